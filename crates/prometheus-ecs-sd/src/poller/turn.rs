//! One refresh of one source: it drives the core's plan, asking the questions that are open, some of each operation at a
//! time, and handing the answers in, until there is no question left.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::plan::{Conclusion, Recheck, Refresh};
use ecs_discovery::inventory::question::{Failure, FailureKind, Question};
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::snapshot::{Scope, Standing};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::waiting::Waiting;
use super::{Heard, Known, Settings};
use crate::aws::Source;

/// The time before STS is called again for the account after it failed. If STS cannot be reached, each call delays a
/// refresh by the time limits of three attempts.
const ACCOUNT_ASKED_AGAIN: Duration = Duration::from_secs(600);

/// One refresh of one source.
pub(super) struct Turn {
    pub(super) source: Source,
    pub(super) name: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) is_own: bool,
    pub(super) clusters: ClusterSelection,
    /// Accounts and regions that were read in full through a role.
    pub(super) heard_by_role: Arc<BTreeSet<(String, String)>>,
    pub(super) settings: Arc<Settings>,
}

impl Turn {
    /// Asks all there is to ask. The facts come back with what they came to.
    pub(super) async fn refresh(self, mut known: Known) -> (Known, Heard) {
        let (began, begin) = (Instant::now(), self.settings.clock.now());
        let account = self.account(&mut known).await;
        let mut heard = match self.is_stood_for(account.as_deref(), &known) {
            true => Heard { complete: true, ..Heard::default() },
            false => self.heard(&mut known, account.as_deref()).await,
        };
        let failure = heard.failure.clone();
        let problem = if heard.failure.take_if(|failure| self.is_not_meant(failure, &heard.scopes)).is_some()
        {
            heard.complete = true;
            "the own account is left out, only the roles' are discovered"
        } else {
            "source could not be read in full"
        };
        self.note(&mut known, failure.as_ref(), problem);
        heard.took = began.elapsed();
        // A failure begins at the end of the refresh: the duration of a refresh does not count.
        for scope in heard.scopes.values_mut() {
            scope.failing = scope.failing.map(|since| if since < begin { since } else { begin + heard.took });
        }
        debug!(
            source = %self.name,
            seconds = heard.took.as_secs_f64(),
            clusters = heard.scopes.len(),
            complete = heard.complete,
            "source refreshed"
        );
        known.scopes = heard.scopes;
        heard.scopes = self.settings.published(&known.scopes);
        let saved = known.inventory.saved(&known.scopes);
        if *known.saved != saved {
            known.saved = Arc::new(saved);
        }
        heard.facts = Some((self.id.clone(), known.saved.clone()));
        (known, heard)
    }

    /// Whether a role of the same account is discovered instead, in the same region. The results of the own credentials
    /// stay until the account was read through that role.
    fn is_stood_for(&self, account: Option<&str>, known: &Known) -> bool {
        let Some(account) = account.filter(|_| self.is_own) else { return false };
        let place = (account.to_owned(), self.source.region().to_owned());
        self.settings.by_role.contains(&place)
            && (!known.scopes.values().any(Scope::is_known) || self.heard_by_role.contains(&place))
    }

    /// The account, if anything depends on it and it is known. Discovery continues without it: if a cluster is read
    /// twice, one result is published, and clusters are requested by name.
    async fn account(&self, known: &mut Known) -> Option<String> {
        let by_arn = |pattern: &ClusterPattern| matches!(pattern, ClusterPattern::Arn(_));
        let matters = !self.settings.by_role.is_empty() || self.clusters.patterns().iter().any(by_arn);
        if matters && known.account.is_none() {
            // Answers to requests with these credentials are about their account.
            let heard = known.scopes.iter().find(|(_, scope)| scope.standing == Standing::Heard);
            known.account = heard.map(|(cluster, _)| cluster.account().to_owned());
            if known.account.is_none() && known.account_due.is_none_or(|due| due <= Instant::now()) {
                known.account = self.ask_account(&mut known.account_due).await;
            }
        }
        known.account.clone()
    }

    async fn ask_account(&self, due: &mut Option<Instant>) -> Option<String> {
        let error = match self.source.account().await {
            Ok(account) => return Some(account),
            Err(failure) => failure,
        };
        match (error.kind, &due) {
            // This affects every request, and is reported separately.
            (FailureKind::NoCredentials, _) => return None,
            (_, Some(_)) => debug!(source = %self.name, %error, "account could not be looked up again"),
            (_, None) => {
                warn!(source = %self.name, %error, "account could not be looked up; discovery continues without it");
            }
        }
        *due = Some(Instant::now() + ACCOUNT_ASKED_AGAIN);
        None
    }

    /// Asks all there is to ask.
    async fn heard(&self, known: &mut Known, account: Option<&str>) -> Heard {
        let conclusion = self.ask_everything(known, account).await;
        let complete = conclusion.is_complete();
        let Conclusion { scopes, failure, partial, incomplete, foreign } = conclusion;
        Heard { scopes, complete, failure, partial, incomplete, foreign, ..Heard::default() }
    }

    async fn ask_everything(&self, known: &mut Known, account: Option<&str>) -> Conclusion {
        let settings = &self.settings;
        let selection = self.clusters.within(account, self.source.region());
        let definition_tags = settings.rules.need_definition_tags();
        let recheck = Recheck { interval: settings.recheck_interval, definition_tags };
        let mut refresh = Refresh::begin(&mut known.inventory, selection, settings.clock.now(), recheck);
        let mut waiting = Waiting::new(&known.scopes);
        let (mut answered, mut denied) = (BTreeSet::new(), BTreeSet::new());
        let mut asking = FuturesUnordered::new();
        loop {
            let questions = refresh.questions(&mut known.inventory);
            settings.progress.open.fetch_add(questions.len(), Ordering::Relaxed);
            questions.into_iter().for_each(|question| waiting.add(question));
            while let Some((question, given_up)) = waiting.next() {
                asking.push(async {
                    let answer = match given_up {
                        Some(failure) => Err(failure),
                        None => self.source.ask(&question).await,
                    };
                    (question, answer)
                });
            }
            let Some((question, answer)) = asking.next().await else { break };
            settings.progress.open.fetch_sub(1, Ordering::Relaxed);
            settings.progress.answered.fetch_add(1, Ordering::Relaxed);
            waiting.done(&question, answer.as_ref().err());
            match answer {
                Ok(answer) => {
                    answered.insert(question.operation());
                    refresh.answered(&mut known.inventory, question, answer);
                }
                Err(failure) => {
                    if failure.kind == FailureKind::Denied {
                        denied.insert(question.operation());
                    }
                    self.note_failure(&mut known.denied, &question, &failure);
                    refresh.failed(&mut known.inventory, question, failure);
                }
            }
        }
        drop(asking);
        let conclusion = refresh.finish(&mut known.inventory, &settings.rules, &known.scopes);
        let is_allowed = |operation: &str| {
            answered.contains(operation)
                && !denied.contains(operation)
                && !known.inventory.is_denied(operation)
        };
        for operation in known.denied.extract_if(.., |operation| is_allowed(operation)) {
            info!(source = %self.name, operation, "request is allowed again");
        }
        conclusion
    }

    /// A missing permission shows as missing labels or targets; a message says what to do when that begins. Listings
    /// are left out, since their failures are the source's or the cluster's and told as such.
    fn note_failure(&self, denied: &mut BTreeSet<&'static str>, question: &Question, error: &Failure) {
        let operation = question.operation();
        if error.kind == FailureKind::Denied && !question.is_page() && denied.insert(operation) {
            warn!(source = %self.name, operation, %error, "request is not allowed; see the IAM policy in the documentation");
        } else {
            debug!(source = %self.name, operation, %error, "request failed");
        }
    }

    /// Whether the own credentials only serve to assume the roles.
    fn is_not_meant(&self, failure: &Failure, scopes: &BTreeMap<ClusterArn, Scope>) -> bool {
        self.is_own
            && failure.kind == FailureKind::Denied
            && !self.settings.by_role.is_empty()
            && scopes.is_empty()
    }

    /// Logs trouble with the source as a whole when it begins, becomes another, or ends. (The wording of one and
    /// the same trouble may change from answer to answer.)
    fn note(&self, known: &mut Known, failure: Option<&Failure>, problem: &str) {
        let trouble = failure.map(|failure| failure.kind);
        if std::mem::replace(&mut known.trouble, trouble) == trouble {
            return;
        }
        match failure {
            Some(error) => warn!(source = %self.name, %error, "{problem}"),
            None => info!(source = %self.name, "source can be read again"),
        }
    }
}
