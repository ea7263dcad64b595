//! One refresh of a source: it sends the requests of the core's plan, some of each operation at a time, and takes the
//! answers in, until no request is left.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::plan::{Recheck, Refresh, RefreshOutcome};
use ecs_discovery::inventory::question::Question;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterPattern;
use ecs_discovery::snapshot::{Scope, ScopeStatus};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::actor::{Actor, Known};
use super::answers::AnswerLimit;
use super::errand::{Answered, Open};
use super::waiting::Waiting;
use super::{Report, Shared, Spec};
use crate::published::{SAVED_EVERY, SourceResult};

/// The time before STS is called again for the account after it failed. If STS cannot be reached, each call delays a
/// refresh by the time limits of three attempts.
const ACCOUNT_ASKED_AGAIN: Duration = Duration::from_secs(600);

/// One refresh.
pub(super) struct Run {
    began: Instant,
    begin: Duration,
    /// When facts were last sent to be saved.
    saved: Instant,
    /// Whether the configuration was replaced meanwhile, and with it perhaps the credentials.
    pub(super) is_outdated: bool,
    phase: Phase,
    _refreshing: Refreshing,
}

enum Phase {
    /// Nothing was requested yet.
    Ready,
    /// The account of the credentials is requested from STS.
    Account(BoxFuture<'static, Result<String, Failure>>),
    Asking(Box<Asking>),
}

struct Asking {
    refresh: Refresh,
    waiting: Waiting,
    /// Operations of which a request was answered, and denied.
    answered: BTreeSet<&'static str>,
    denied: BTreeSet<&'static str>,
    open: Open,
}

/// One event in a refresh.
pub(super) enum Step {
    Account(Result<String, Failure>),
    Answer(Answered),
}

/// Counts a refresh that is going on.
struct Refreshing(Arc<Shared>);

impl Refreshing {
    fn new(shared: &Arc<Shared>) -> Self {
        shared.refreshing.fetch_add(1, Ordering::AcqRel);
        Self(shared.clone())
    }
}

impl Drop for Refreshing {
    fn drop(&mut self) {
        self.0.refreshing.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Run {
    /// How long it has been going on.
    pub(super) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }
}

/// Waits for the next event of the current refresh. Cancellation-safe.
pub(super) async fn next(run: &mut Option<Run>) -> Step {
    match run.as_mut().map(|run| &mut run.phase) {
        Some(Phase::Account(account)) => Step::Account(account.await),
        Some(Phase::Asking(asking)) => match asking.open.next().await {
            Some(answered) => Step::Answer(answered),
            None => pending().await,
        },
        Some(Phase::Ready) | None => pending().await,
    }
}

/// Sends a request, unless it is given up.
pub(super) fn ask(
    spec: &Spec,
    answers: &AnswerLimit,
    question: Question,
    given_up: Option<Failure>,
) -> BoxFuture<'static, Answered> {
    let (source, answers) = (spec.source.clone(), answers.clone());
    let ask = async move {
        if let Some(failure) = given_up {
            return (question, Err(failure), None);
        }
        let permit = answers.permit(&question).await;
        let answer = source.ask(&question).await;
        (question, answer, permit)
    };
    ask.boxed()
}

impl Actor {
    pub(super) fn begin(&mut self) {
        let source = self.spec.source.clone();
        let account = self.is_account_wanted().then(|| async move { source.account().await }.boxed());
        let now = Instant::now();
        self.run = Some(Run {
            began: now,
            begin: self.settings.clock.now(),
            saved: now,
            is_outdated: false,
            phase: account.map_or(Phase::Ready, Phase::Account),
            _refreshing: Refreshing::new(&self.settings.shared),
        });
        self.proceed();
    }

    pub(super) fn take(&mut self, step: Step) {
        let Some(run) = &mut self.run else { return };
        match step {
            Step::Account(account) => {
                run.phase = Phase::Ready;
                // If it is outdated, the account may be that of other credentials.
                if !run.is_outdated {
                    self.take_account(account);
                }
            }
            Step::Answer(answered) => {
                self.take_answer(answered);
                self.save_in_between();
            }
        }
        self.proceed();
    }

    /// Sends the requests that can be sent now. If none is left, the refresh ends.
    fn proceed(&mut self) {
        let Some(run) = &self.run else { return };
        if matches!(run.phase, Phase::Account(_)) {
            return;
        }
        if matches!(run.phase, Phase::Ready) {
            if self.is_stood_for() {
                return self.end(SourceResult { complete: true, ..SourceResult::default() });
            }
            let asking = Phase::Asking(self.asking());
            if let Some(run) = &mut self.run {
                run.phase = asking;
            }
        }
        if self.is_answered() {
            let phase = self.run.as_mut().map(|run| std::mem::replace(&mut run.phase, Phase::Ready));
            if let Some(Phase::Asking(asking)) = phase {
                let result = self.conclude(*asking);
                self.end(result);
            }
        }
    }

    /// Whether the account is to be requested: if anything depends on it and it is not known. Discovery continues
    /// without it: if a cluster is read twice, one result is published, and clusters are requested by name.
    fn is_account_wanted(&mut self) -> bool {
        let by_arn = |pattern: &ClusterPattern| matches!(pattern, ClusterPattern::Arn(_));
        let patterns = self.spec.clusters.patterns();
        let matters = !self.settings.by_role.is_empty() || patterns.iter().any(by_arn);
        let known = &mut self.known;
        if !matters || known.account.is_some() {
            return false;
        }
        // Answers to requests with these credentials are about their account.
        let mut read =
            known.scopes.iter().filter(|(_, scope)| known.is_current && scope.status == ScopeStatus::Fresh);
        known.account = read.next().map(|(cluster, _)| cluster.account().to_owned());
        known.account.is_none() && known.account_due.is_none_or(|due| due <= Instant::now())
    }

    fn take_account(&mut self, account: Result<String, Failure>) {
        let error = match account {
            Ok(account) => {
                self.known.account = Some(account);
                return;
            }
            Err(failure) => failure,
        };
        let name = &self.spec.name;
        match (error.kind, &self.known.account_due) {
            // This affects every request, and is reported separately.
            (FailureKind::NoCredentials, _) => return,
            (_, Some(_)) => debug!(source = %name, %error, "account could not be looked up again"),
            (_, None) => {
                warn!(source = %name, %error, "account could not be looked up; discovery continues without it");
            }
        }
        self.known.account_due = Some(Instant::now() + ACCOUNT_ASKED_AGAIN);
    }

    fn asking(&mut self) -> Box<Asking> {
        let settings = &self.settings;
        let selection = self.spec.clusters.within(self.known.account.as_deref(), self.spec.source.region());
        let definition_tags = settings.rules.need_definition_tags();
        let services = settings.rules.service_tags;
        let interval = settings.recheck_interval;
        let recheck = Recheck { interval, definition_tags, services, is_last: settings.once };
        let now = settings.clock.now();
        Box::new(Asking {
            refresh: Refresh::begin(&mut self.known.inventory, selection, now, recheck),
            waiting: Waiting::new(&self.known.scopes),
            answered: BTreeSet::new(),
            denied: BTreeSet::new(),
            open: Open::new(),
        })
    }

    /// Whether a role of the same account is discovered instead, in the same region. The results of the own credentials
    /// stay until the account was read through that role.
    fn is_stood_for(&self) -> bool {
        let account = self.known.account.as_ref().filter(|_| self.spec.role().is_none());
        let Some(account) = account else { return false };
        let place = (account.clone(), self.spec.source.region().to_owned());
        let read_by_role = || self.settings.shared.read_by_role().values().any(|read| *read == place);
        self.settings.by_role.contains(&place)
            && (!self.known.scopes.values().any(Scope::is_known) || read_by_role())
    }

    fn take_answer(&mut self, (question, answer, permit): Answered) {
        let Some(Run { phase: Phase::Asking(asking), .. }) = &mut self.run else { return };
        let progress = &self.settings.shared.progress;
        progress.open.fetch_sub(1, Ordering::Relaxed);
        progress.answered.fetch_add(1, Ordering::Relaxed);
        asking.waiting.done(&question, answer.as_ref().err());
        let (inventory, operation) = (&mut self.known.inventory, question.operation());
        match answer {
            Ok(answer) => {
                asking.answered.insert(operation);
                asking.refresh.answered(inventory, question, answer);
            }
            Err(failure) => {
                let is_denied = failure.kind == FailureKind::Denied;
                if is_denied {
                    asking.denied.insert(operation);
                }
                let (name, error) = (&self.spec.name, &failure);
                // A missing permission shows as missing labels or targets; a message says what to do when that begins.
                // The failures of listings are those of the source or the cluster and logged as such.
                if is_denied && !question.is_page() && self.known.denied.insert(operation) {
                    warn!(source = %name, operation, %error, "request is not allowed; see the IAM policy in the documentation");
                } else {
                    debug!(source = %name, operation, %error, "request failed");
                }
                asking.refresh.failed(inventory, question, failure);
            }
        }
        drop(permit);
    }

    /// Sends the requests that can be sent now. Returns whether all are answered.
    fn is_answered(&mut self) -> bool {
        let Some(Run { phase: Phase::Asking(asking), .. }) = &mut self.run else { return false };
        let questions = asking.refresh.questions(&mut self.known.inventory);
        self.settings.shared.progress.open.fetch_add(questions.len(), Ordering::Relaxed);
        questions.into_iter().for_each(|question| asking.waiting.add(question));
        while let Some((question, given_up)) = asking.waiting.next() {
            asking.open.push(ask(&self.spec, &self.answers, question, given_up));
        }
        asking.open.is_empty()
    }

    /// Has the facts saved that were learned by now.
    fn save_in_between(&mut self) {
        let Some(run) = self.run.as_mut().filter(|run| run.saved.elapsed() >= SAVED_EVERY) else { return };
        run.saved = Instant::now();
        let Known { inventory, saved, scopes, .. } = &self.known;
        if inventory.is_saved_in(saved, scopes, Some(self.known.as_of())) {
            return;
        }
        let mut saved = self.known.held_facts();
        // A cluster that this refresh leaves out is published until it ends.
        saved.merge(Saved { scopes: self.known.saved.scopes.clone(), ..Saved::default() });
        let mut before = Saved::clone(&self.known.saved);
        before.hold(self.known.as_of());
        if before != saved {
            self.known.saved = Arc::new(saved);
            self.report(Report::Learned(self.known.saved.clone()));
        }
    }

    fn conclude(&mut self, asking: Asking) -> SourceResult {
        let Asking { refresh, answered, denied, .. } = asking;
        let known = &mut self.known;
        let conclusion = refresh.finish(&mut known.inventory, &self.settings.rules, &known.scopes);
        let inventory = &known.inventory;
        let is_allowed = |operation: &str| {
            answered.contains(operation) && !denied.contains(operation) && !inventory.is_denied(operation)
        };
        for operation in known.denied.extract_if(.., |operation| is_allowed(operation)) {
            info!(source = %self.spec.name, operation, "request is allowed again");
        }
        let complete = conclusion.is_complete();
        let RefreshOutcome { scopes, failure, partial, incomplete, foreign } = conclusion;
        SourceResult { scopes, complete, failure, partial, incomplete, foreign, ..SourceResult::default() }
    }

    /// Ends the refresh and sends its result.
    fn end(&mut self, mut result: SourceResult) {
        let Some(run) = self.run.take() else { return };
        let departing = self.facts_of(&result.foreign);
        let failure = result.failure.clone();
        let is_unwanted = |failure: &mut Failure| self.is_not_meant(failure, &result.scopes);
        let problem = if result.failure.take_if(is_unwanted).is_some() {
            result.complete = true;
            "the own account is left out, only the roles' are discovered"
        } else {
            "source could not be read in full"
        };
        self.note(failure.as_ref(), problem);
        result.listed = result.failure.is_none();
        result.took = run.began.elapsed();
        if self.again {
            self.leave_outdated(&mut result);
        }
        // A failure begins at the end of the refresh: the duration of a refresh does not count.
        let end = run.begin + result.took;
        for scope in result.scopes.values_mut() {
            scope.failing = scope.failing.map(|since| if since < run.begin { since } else { end });
        }
        debug!(
            source = %self.spec.name,
            seconds = result.took.as_secs_f64(),
            clusters = result.scopes.len(),
            complete = result.complete,
            "source refreshed"
        );
        self.known.scopes = std::mem::take(&mut result.scopes);
        self.known.is_current = !run.is_outdated;
        result.scopes = self.settings.published(&self.known.scopes);
        if !self.known.inventory.is_saved_in(&self.known.saved, &self.known.scopes, None) {
            self.known.saved = Arc::new(self.known.inventory.saved(&self.known.scopes));
        }
        result.facts = Some(self.known.saved.clone());
        self.known.concluded = self.known.saved.clone();
        let complete = result.complete;
        let began = run.began;
        self.unpublished.has_findings = false;
        drop(run);
        self.report(Report::Result(Box::new(result), departing));
        self.prove_events(began, complete);
        // The source of the own account gives way to this result.
        self.note_read_by_role(complete);
        if std::mem::take(&mut self.again) {
            self.begin();
        }
    }

    /// Whether events told all that the refresh found is known in a minute.
    fn prove_events(&mut self, began: Instant, is_complete: bool) {
        // One that failed is repeated after the usual interval, and one that left a part of the definitions for the next.
        let is_all = is_complete && !self.known.inventory.has_definitions_to_read_again();
        self.refreshed = is_all.then_some(began);
        if !self.liveness.is_on() {
            return self.known.inventory.expect_no_events();
        }
        let missed = self.count_missed();
        self.known.inventory.expect_events(self.settings.clock.now());
        let is_open = self.known.inventory.awaits_events();
        let change = self.liveness.refreshed(began, is_complete, missed, is_open);
        self.note_events(change);
    }

    /// Another selection was read, or with other credentials: clusters that are selected now were not read, unless the
    /// result has them.
    fn leave_outdated(&mut self, result: &mut SourceResult) {
        (result.listed, result.complete, result.partial) = (false, false, true);
        let clusters = &self.spec.clusters;
        result.scopes.retain(|cluster, _| clusters.selects(cluster));
        for (cluster, scope) in &mut result.scopes {
            if scope.status != ScopeStatus::Fresh
                && let Some(earlier) = self.known.scopes.get(cluster)
            {
                *scope = earlier.clone();
            }
        }
        self.known.forget(|cluster| !clusters.selects(cluster));
    }

    /// The facts of clusters that belong to another account than the credentials, as they were last published.
    fn facts_of(&self, foreign: &[ClusterArn]) -> Saved {
        if foreign.is_empty() {
            return Saved::default();
        }
        let mut saved = Saved::clone(&self.known.saved);
        saved.hold(self.known.as_of());
        saved.split_off(|cluster| foreign.contains(cluster))
    }

    /// Tells the source of the own account whether this role reads its account.
    fn note_read_by_role(&self, complete: bool) {
        let Some(role) = self.spec.role() else { return };
        let mut read = self.settings.shared.read_by_role();
        if complete {
            let place = (role.account().to_owned(), self.spec.source.region().to_owned());
            read.insert(self.spec.id.clone(), place);
        } else {
            read.remove(&self.spec.id);
        }
    }

    /// Whether the own credentials only serve to assume the roles.
    fn is_not_meant(&self, failure: &Failure, scopes: &BTreeMap<ClusterArn, Scope>) -> bool {
        self.spec.role().is_none()
            && failure.kind == FailureKind::Denied
            && !self.settings.by_role.is_empty()
            && scopes.is_empty()
    }

    /// Logs a problem of the source as a whole when it begins, becomes another one, or ends. (The wording of one problem
    /// may change from answer to answer.)
    fn note(&mut self, failure: Option<&Failure>, problem: &str) {
        let trouble = failure.map(|failure| failure.kind);
        if std::mem::replace(&mut self.known.trouble, trouble) == trouble {
            return;
        }
        match failure {
            Some(error) => warn!(source = %self.spec.name, %error, "{problem}"),
            None => info!(source = %self.spec.name, "source can be read again"),
        }
    }
}
