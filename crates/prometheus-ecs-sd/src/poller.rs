//! When to ask: every source once a period, each on its own, and what a refresh of one comes to.
//!
//! One refresh drives the core's plan: it asks the questions that are open, some at a time, and hands the
//! answers in, until there is no question left. Sources share nothing, so that one that is slow or fails
//! holds up no other; a source that is still at it when its next turn comes skips that turn.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::derive::Rules;
use ecs_discovery::inventory::Inventory;
use ecs_discovery::inventory::plan::{Conclusion, Refresh};
use ecs_discovery::inventory::question::{Failure, FailureKind, Question};
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::snapshot::Scope;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, info, warn};

use crate::aws::{Aws, Source, SourceSpec};
use crate::config::Config;
use crate::publisher::Publisher;

/// Questions of one source that wait for answers at the same time. An answer of a hundred tasks takes about a
/// megabyte while it is read, and AWS's own limits let no more through for long.
const AT_A_TIME: usize = 8;

/// An operation that fails so often in a row, retries included, is left alone until the next refresh: with a
/// time-out each, hundreds of definitions would hold up everything else for half an hour.
const GIVE_UP_AFTER: u32 = 16;

/// How long the results of fast sources wait for slower ones, so that Prometheus need not read the files again
/// for each source by itself.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(2);

/// A refresh begins up to this share of the interval late, so that many instances do not all ask at once.
const JITTER: f64 = 0.05;

/// All sources, and how they are looked at.
#[derive(Debug)]
pub struct Poller {
    sources: Vec<Polled>,
    settings: Arc<Settings>,
    interval: Duration,
}

#[derive(Debug)]
struct Settings {
    clusters: ClusterSelection,
    rules: Rules,
    recheck_interval: Duration,
    /// Accounts that a role stands for.
    role_accounts: BTreeSet<String>,
    begun: Instant,
    progress: Arc<Progress>,
}

/// How far the first refresh has come, for people who wait for it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests that were answered.
    pub answered: AtomicUsize,
    /// Requests that are known to be needed and are not answered.
    pub open: AtomicUsize,
    /// Whether every source has come to an end once.
    pub over: AtomicBool,
}

/// One source between its refreshes. While it is being refreshed, `facts` is with that refresh.
#[derive(Debug)]
struct Polled {
    source: Source,
    region: Arc<str>,
    name: Arc<str>,
    is_own: bool,
    facts: Option<Known>,
}

#[derive(Debug, Default)]
struct Known {
    inventory: Inventory,
    scopes: BTreeMap<ClusterArn, Scope>,
    account: Option<String>,
    /// What was last logged about the source as a whole.
    trouble: Option<String>,
    /// Operations that the credentials do not allow, as far as that was logged.
    denied: BTreeSet<&'static str>,
}

/// What one refresh of one source came to.
#[derive(Debug, Default)]
pub struct Heard {
    /// Its part of the snapshot.
    pub scopes: BTreeMap<ClusterArn, Scope>,
    /// Whether all of it was heard.
    pub complete: bool,
    /// Why its clusters could not be listed.
    pub failure: Option<Failure>,
    /// How long that took.
    pub took: Duration,
}

/// No region is named anywhere.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("--region: no region is named; add --region, or set AWS_REGION or the profile's region")]
pub struct NoRegion;

impl Poller {
    /// Prepares every account in every region; nothing is asked yet.
    pub async fn new(config: &Config, aws: &Aws, progress: Arc<Progress>) -> Result<Self, NoRegion> {
        let accounts = &config.accounts;
        let mut regions = accounts.regions.clone();
        if regions.is_empty() {
            regions.push(aws.default_region().ok_or(NoRegion)?.to_owned());
        }
        let own = accounts.own.then_some(None);
        let roles = own.into_iter().chain(accounts.roles.iter().map(Some));
        let mut sources = Vec::new();
        for role in roles {
            for region in &regions {
                let account = role.map_or_else(
                    || "own account".to_owned(),
                    |role| format!("{} ({})", role.account(), role.last_part()),
                );
                let external_id = role.and_then(|_| accounts.external_id.clone());
                let spec = SourceSpec { role: role.cloned(), external_id, region: region.clone() };
                sources.push(Polled {
                    source: aws.source(spec),
                    region: region.as_str().into(),
                    name: format!("{account} {region}").into(),
                    is_own: role.is_none(),
                    facts: Some(Known::default()),
                });
            }
        }
        let settings = Settings {
            clusters: config.clusters.clone(),
            rules: config.rules.clone(),
            recheck_interval: config.recheck_interval,
            role_accounts: accounts.roles.iter().map(|role| role.account().to_owned()).collect(),
            begun: Instant::now(),
            progress,
        };
        Ok(Self { sources, settings: Arc::new(settings), interval: config.interval })
    }

    /// How many sources there are.
    pub fn sources(&self) -> usize {
        self.sources.len()
    }

    /// Refreshes every source once, publishes, and ends.
    pub async fn once(mut self, publisher: &mut Publisher) {
        let mut running = JoinSet::new();
        self.begin(&mut running);
        while let Some(done) = running.join_next().await {
            self.end(done.expect("a refresh does not panic"), publisher);
        }
        self.publish(publisher);
    }

    /// Refreshes every source once a period, for ever.
    pub async fn run(mut self, publisher: &mut Publisher) {
        let mut running = JoinSet::new();
        let mut period = Instant::now();
        let mut turn = period;
        let mut publish_at = None;
        loop {
            tokio::select! {
                () = sleep_until(turn) => {
                    for skipped in self.begin(&mut running) {
                        publisher.overdue(skipped);
                    }
                    // A fixed period, whatever the work took; turns that were slept through are gone.
                    while period <= Instant::now() {
                        period += self.interval;
                    }
                    turn = period + self.interval.mul_f64(JITTER * fastrand::f64());
                }
                Some(done) = running.join_next() => {
                    self.end(done.expect("a refresh does not panic"), publisher);
                    publish_at.get_or_insert_with(|| Instant::now() + WAIT_FOR_OTHERS);
                    if running.is_empty() {
                        publish_at = None;
                        self.publish(publisher);
                    }
                }
                () = sleep_until(publish_at.unwrap_or(turn)), if publish_at.is_some() => {
                    publish_at = None;
                    publisher.publish();
                }
            }
        }
    }

    /// Begins a refresh of each source that is not being refreshed; the others are returned.
    fn begin(&mut self, running: &mut JoinSet<(usize, Known, Heard)>) -> Vec<usize> {
        let mut skipped = Vec::new();
        for (index, polled) in self.sources.iter_mut().enumerate() {
            let Some(known) = polled.facts.take() else {
                debug!(source = %polled.name, "source is still being refreshed; its turn is skipped");
                skipped.push(index);
                continue;
            };
            let turn = Turn {
                source: polled.source.clone(),
                region: polled.region.clone(),
                name: polled.name.clone(),
                is_own: polled.is_own,
                settings: self.settings.clone(),
            };
            running.spawn(async move {
                let (known, heard) = turn.refresh(known).await;
                (index, known, heard)
            });
        }
        skipped
    }

    fn publish(&self, publisher: &mut Publisher) {
        self.settings.progress.over.store(true, Ordering::Relaxed);
        publisher.publish();
    }

    fn end(&mut self, (index, known, heard): (usize, Known, Heard), publisher: &mut Publisher) {
        self.sources[index].facts = Some(known);
        publisher.hear(index, heard);
    }
}

/// One refresh of one source.
struct Turn {
    source: Source,
    region: Arc<str>,
    name: Arc<str>,
    is_own: bool,
    settings: Arc<Settings>,
}

impl Turn {
    async fn refresh(self, mut known: Known) -> (Known, Heard) {
        let began = Instant::now();
        let mut heard = match self.account(&mut known).await {
            Ok(account) if self.is_stood_for(account.as_deref()) => {
                Heard { complete: true, ..Heard::default() }
            }
            Ok(account) => self.heard(&mut known, account.as_deref()).await,
            Err(failure) => self.unheard(&known, failure),
        };
        if let Some(failure) = heard.failure.take_if(|failure| self.is_not_meant(failure, &heard.scopes)) {
            heard.complete = true;
            self.note(
                &mut known,
                Some(format!("the own account is left out, only the roles' are discovered: {failure}")),
            );
        } else {
            self.note(&mut known, heard.failure.as_ref().map(ToString::to_string));
        }
        heard.took = began.elapsed();
        debug!(
            source = %self.name,
            seconds = heard.took.as_secs_f64(),
            clusters = heard.scopes.len(),
            complete = heard.complete,
            "source refreshed"
        );
        known.scopes = heard.scopes.clone();
        (known, heard)
    }

    /// Whether a role of the same account is discovered instead.
    fn is_stood_for(&self, account: Option<&str>) -> bool {
        self.is_own && account.is_some_and(|account| self.settings.role_accounts.contains(account))
    }

    /// The account, if anything depends on knowing it.
    async fn account(&self, known: &mut Known) -> Result<Option<String>, Failure> {
        let by_arn = |pattern: &ClusterPattern| matches!(pattern, ClusterPattern::Arn(_));
        let matters =
            !self.settings.role_accounts.is_empty() || self.settings.clusters.patterns().iter().any(by_arn);
        if matters && known.account.is_none() {
            known.account = Some(self.source.account().await?);
        }
        Ok(known.account.clone())
    }

    /// Nothing could be asked: what is known is held.
    fn unheard(&self, known: &Known, failure: Failure) -> Heard {
        let held = known
            .scopes
            .iter()
            .map(|(cluster, scope)| (cluster.clone(), scope.held(failure.message.clone())));
        Heard { scopes: held.collect(), failure: Some(failure), ..Heard::default() }
    }

    /// Asks all there is to ask.
    async fn heard(&self, known: &mut Known, account: Option<&str>) -> Heard {
        let conclusion = self.ask_everything(known, account).await;
        let complete = conclusion.is_complete();
        let Conclusion { inventory, scopes, failure, .. } = conclusion;
        known.inventory = inventory;
        Heard { scopes, complete, failure, took: Duration::ZERO }
    }

    async fn ask_everything(&self, known: &mut Known, account: Option<&str>) -> Conclusion {
        let settings = &self.settings;
        let selection = settings.clusters.within(account, &self.region);
        let inventory = std::mem::take(&mut known.inventory);
        let mut refresh =
            Refresh::begin(inventory, selection, settings.begun.elapsed(), settings.recheck_interval);
        let mut waiting = Waiting::default();
        let mut asking = FuturesUnordered::new();
        loop {
            let questions = refresh.questions();
            settings.progress.open.fetch_add(questions.len(), Ordering::Relaxed);
            questions.into_iter().for_each(|question| waiting.add(question));
            while asking.len() < AT_A_TIME
                && let Some(question) = waiting.next()
            {
                let given_up = waiting.given_up.get(question.operation()).cloned();
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
                Ok(answer) => refresh.answered(question, answer),
                Err(failure) => {
                    self.note_failure(&mut known.denied, &question, &failure);
                    refresh.failed(question, failure);
                }
            }
        }
        drop(asking);
        refresh.finish(&settings.rules, &known.scopes)
    }

    /// A permission that is missing shows as missing labels or targets; what to do is said once. Listings are
    /// left out, since their failures are the source's or the cluster's and told as such.
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
            && !self.settings.role_accounts.is_empty()
            && scopes.is_empty()
    }

    /// Logs trouble with the source as a whole when it begins, changes or ends.
    fn note(&self, known: &mut Known, trouble: Option<String>) {
        if known.trouble == trouble {
            return;
        }
        match &trouble {
            Some(problem) => warn!(source = %self.name, %problem, "source could not be read in full"),
            None => info!(source = %self.name, "source can be read again"),
        }
        known.trouble = trouble;
    }
}

/// Questions that wait for their turn, and what is known of how such questions fare.
#[derive(Default)]
struct Waiting {
    pages: VecDeque<Question>,
    batches: VecDeque<Question>,
    open_pages: usize,
    /// Failures in a row, by operation.
    failures: BTreeMap<&'static str, u32>,
    /// Operations that are not tried any more in this refresh, and why.
    given_up: BTreeMap<&'static str, Failure>,
}

impl Waiting {
    fn add(&mut self, question: Question) {
        if question.is_page() { self.pages.push_back(question) } else { self.batches.push_back(question) }
    }

    /// Pages first, since the next one cannot be asked for before; but they leave room for batches.
    fn next(&mut self) -> Option<Question> {
        if self.open_pages < AT_A_TIME / 2 || self.batches.is_empty() {
            let page = self.pages.pop_front();
            self.open_pages += usize::from(page.is_some());
            page.or_else(|| self.batches.pop_front())
        } else {
            self.batches.pop_front()
        }
    }

    fn done(&mut self, question: &Question, failure: Option<&Failure>) {
        self.open_pages -= usize::from(question.is_page());
        let failures = self.failures.entry(question.operation()).or_default();
        match failure.filter(|failure| failure.may_pass()) {
            Some(failure) => {
                *failures += 1;
                if *failures >= GIVE_UP_AFTER {
                    self.given_up.insert(question.operation(), failure.clone());
                }
            }
            None => *failures = 0,
        }
    }
}
