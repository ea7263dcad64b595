//! The result of each source, what is published, and the status of each source: written by the publisher, and read by
//! all sinks.

pub(crate) mod reading;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, RoleArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::snapshot::{Changes, Scope, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::aws::{Aws, BucketStatus};
use crate::clock::Clock;
use crate::state::{Facts, Revision};
use crate::telemetry::metrics::Metrics;

pub use reading::Reading;

/// The id under which the facts of a source are saved.
pub(crate) fn source_id(role: Option<&RoleArn>, region: &str) -> String {
    format!("{} {region}", role.map_or("own account", |role| role.as_str()))
}

/// The result of one refresh of one source.
#[derive(Clone, Debug, Default)]
pub struct SourceResult {
    /// Its part of the snapshot.
    pub scopes: BTreeMap<ClusterArn, Scope>,
    /// Whether all of it was read.
    pub complete: bool,
    /// Whether its clusters were listed, so that it has no others.
    pub listed: bool,
    /// Whether a definition or host could not be read, so that clusters that were read may lack a target.
    pub partial: bool,
    /// Clusters that were read except for some tasks, definitions or hosts.
    pub incomplete: BTreeSet<ClusterArn>,
    /// Known clusters that belong to another account than the credentials.
    pub foreign: Vec<ClusterArn>,
    /// Why its clusters could not be listed.
    pub failure: Option<Failure>,
    /// How long the refresh took.
    pub took: Duration,
    /// The facts that are known of the source; `None` if it has none to save.
    pub facts: Option<Arc<Saved>>,
}

/// The result of a source after events and errands.
#[derive(Clone, Debug)]
pub(crate) struct Patch {
    /// Its part of the snapshot.
    pub(crate) scopes: BTreeMap<ClusterArn, Scope>,
    /// The facts that are known of the source.
    pub(crate) facts: Arc<Saved>,
    /// Whether it changes targets, and not only findings.
    pub(crate) has_targets: bool,
    /// Clusters that an errand found and read in full.
    pub(crate) read: BTreeSet<ClusterArn>,
    /// When the oldest event was received of those that changed its targets.
    pub(crate) received: Option<Instant>,
}

/// Whether events are relied on to tell every change of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EventStatus {
    /// No queue is configured that serves the source, and no event of it came.
    #[default]
    Off,
    /// No sign of life, or no complete refresh since.
    Waiting,
    /// Every change is told.
    Live,
    /// A refresh learned of a change that no event told.
    Doubted,
}

impl EventStatus {
    /// The word that the status page shows.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Waiting => "waiting",
            Self::Live => "live",
            Self::Doubted => "doubted",
        }
    }
}

/// A queue of events.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueueStatus {
    /// `REGION/NAME`
    pub name: String,
    /// Whether it can be read; `None` before the first answer.
    pub is_readable: Option<bool>,
    /// Since when that is so.
    pub since: Duration,
    /// Why it cannot be read.
    pub problem: Option<String>,
    /// Why its messages cannot be deleted.
    pub undeleted: Option<String>,
}

/// How often facts are saved in the middle of refreshes: a process that is killed has to request again what it learned in
/// this time.
pub(crate) const SAVED_EVERY: Duration = Duration::from_secs(5);

/// The progress of the first refresh, for people who wait for it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests that were answered.
    pub answered: AtomicUsize,
    /// Requests that are known to be needed and are not answered.
    pub open: AtomicUsize,
    /// Whether every source was refreshed once.
    pub over: AtomicBool,
}

/// What the sinks read.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The results of all scopes; never changed, only replaced.
    pub snapshot: Arc<Snapshot>,
    /// The difference to the publication before.
    pub changes: Arc<Changes>,
    /// Whether every scope was read at its last refresh, except those to which AWS denies access.
    pub complete: bool,
    /// Counts the publications; 0 before the first.
    pub number: u64,
    /// How long the slowest of the refreshes took that this is the result of.
    pub took: Duration,
    /// The facts that are known of each source.
    pub facts: Facts,
    /// The revision of the facts.
    pub revision: Option<Revision>,
    /// How far everything was read.
    pub reading: Arc<Reading>,
    /// Whether it contains targets of a previous selection, which stay because the current one finds none.
    pub keeps_deselected: bool,
    /// When the oldest event was received that this is the result of, if it is that of events.
    pub received: Option<Instant>,
}

/// The publication that a reader saw last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Earlier {
    number: u64,
    snapshot: Arc<Snapshot>,
}

impl Published {
    /// The difference to an earlier publication. It is computed here only if the reader missed the one before.
    pub(crate) fn since(&self, earlier: &Earlier) -> Arc<Changes> {
        if earlier.number + 1 == self.number {
            return self.changes.clone();
        }
        Arc::new(self.snapshot.since(&earlier.snapshot))
    }

    pub(crate) fn as_earlier(&self) -> Earlier {
        Earlier { number: self.number, snapshot: self.snapshot.clone() }
    }
}

/// A publication that is not saved yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    pub(crate) published: Published,
    /// The number of its publisher: another one may have taken over meanwhile.
    pub(crate) publisher: u64,
    /// For each source, whether it was read in full, and whether any of its facts are known.
    pub(crate) sources: Vec<(bool, bool)>,
}

/// How one source stands, from its last refresh.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SourceStatus {
    /// For people.
    pub name: Arc<str>,
    /// The role that is assumed; `None` for the credentials as they are.
    pub role: Option<RoleArn>,
    /// The account's id, as far as it is known.
    pub account: Option<Box<str>>,
    /// The region.
    pub region: String,
    /// Whether all of it was read at its last refresh, and no refresh was skipped since.
    pub complete: bool,
    /// Whether all of it was read when the newest snapshot was made, so that the snapshot lacks nothing of it.
    pub published: bool,
    /// Why it could not be read in full, if so.
    pub problem: Option<String>,
    /// How long the last refresh took.
    pub took: Duration,
    /// When the last refresh ended.
    pub refreshed: Option<Duration>,
    /// The end of the last refresh that read the whole source.
    pub completed: Option<Duration>,
    /// Whether something of it is published, from a refresh or from the process before.
    pub is_known: bool,
    /// Whether events are relied on.
    pub events: EventStatus,
    /// The time between two refreshes now; zero before the source says so.
    pub interval: Duration,
}

impl SourceStatus {
    /// Before the first refresh.
    pub fn new(name: Arc<str>, role: Option<RoleArn>, region: String) -> Self {
        let account = role.as_ref().map(|role| role.account().into());
        Self {
            name,
            role,
            account,
            region,
            complete: false,
            published: false,
            problem: None,
            took: Duration::ZERO,
            refreshed: None,
            completed: None,
            is_known: false,
            events: EventStatus::Off,
            interval: Duration::ZERO,
        }
    }

    /// What its facts are saved as: names may be alike.
    pub fn id(&self) -> String {
        source_id(self.role.as_ref(), &self.region)
    }

    /// Continues from the same source before a reload. If it selects other clusters now, it was not read in full.
    pub(crate) fn follow(&mut self, earlier: &Self, is_same_selection: bool) {
        let Self { account, problem, took, refreshed, completed, .. } = earlier.clone();
        *self = Self { account, problem, took, refreshed, completed, ..self.clone() };
        if self.events != EventStatus::Off && earlier.events != EventStatus::Off {
            (self.events, self.interval) = (earlier.events, earlier.interval);
        }
        if is_same_selection {
            (self.complete, self.published) = (earlier.complete, earlier.published);
        }
    }

    pub(crate) fn apply(&mut self, result: &SourceResult, now: Duration) {
        let of_source = || result.failure.as_ref().map(ToString::to_string);
        let of_scope = || result.scopes.values().find_map(|scope| scope.problem().map(str::to_owned));
        self.complete = result.complete;
        self.problem = if result.complete { None } else { of_source().or_else(of_scope) };
        self.took = result.took;
        self.refreshed = Some(now);
        if result.complete {
            self.completed = Some(now);
        }
        self.know(result);
    }

    pub(crate) fn know(&mut self, result: &SourceResult) {
        // The known facts belong to another account; there may be none of this one.
        if self.role.is_none() && !result.foreign.is_empty() {
            self.account = None;
        }
        if let Some(cluster) = result.scopes.keys().next() {
            self.account = Some(cluster.account().into());
        }
    }
}

/// Where the current snapshot is put. Readers get a [`SnapshotReader`].
#[derive(Clone, Debug)]
pub struct SnapshotStore {
    pub(crate) published: watch::Sender<Published>,
    pub(crate) sources: watch::Sender<Vec<SourceStatus>>,
    /// The queues of events.
    pub(crate) queues: watch::Sender<Vec<QueueStatus>>,
    configuration: watch::Sender<Vec<(String, String)>>,
    rules: watch::Sender<Rules>,
    /// The number of publishers so far; the sources of the last one are shown.
    publishers: Arc<AtomicU64>,
    aws: SharedAws,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl Default for SnapshotStore {
    fn default() -> Self {
        Self::timed_by(Clock::default())
    }
}

/// The current snapshot and how each source stands, for reading.
#[derive(Clone, Debug)]
pub struct SnapshotReader {
    /// The newest publication replaces one that was not looked at.
    pub published: watch::Receiver<Published>,
    /// In the order of the configuration.
    pub sources: watch::Receiver<Vec<SourceStatus>>,
    /// The queues of events, in the order of the configuration.
    pub queues: watch::Receiver<Vec<QueueStatus>>,
    /// The configuration in effect: names and values, none of them secret.
    pub configuration: watch::Receiver<Vec<(String, String)>>,
    /// Its rules: scrape intervals and conventions.
    pub rules: watch::Receiver<Rules>,
    /// What the times above are read from.
    pub clock: Clock,
    aws: SharedAws,
}

/// The AWS client whose remaining requests are shown, once it is known.
type SharedAws = Arc<RwLock<Option<Aws>>>;

impl SnapshotReader {
    /// How many requests AWS's limits allow now; empty until the AWS configuration was read.
    pub(crate) fn bucket_statuses(&self) -> Vec<BucketStatus> {
        let aws = self.aws.read().unwrap_or_else(PoisonError::into_inner);
        aws.as_ref().map(Aws::bucket_statuses).unwrap_or_default()
    }
}

impl SnapshotStore {
    /// An empty store whose times come from this clock.
    pub fn timed_by(clock: Clock) -> Self {
        let (published, sources, queues, configuration, rules, publishers, aws) = Default::default();
        let metrics = Metrics::new(clock.clone());
        Self { published, sources, queues, configuration, rules, publishers, aws, clock, metrics }
    }

    /// What a reader looks at.
    pub fn reader(&self) -> SnapshotReader {
        SnapshotReader {
            published: self.published.subscribe(),
            sources: self.sources.subscribe(),
            queues: self.queues.subscribe(),
            configuration: self.configuration.subscribe(),
            rules: self.rules.subscribe(),
            clock: self.clock.clone(),
            aws: self.aws.clone(),
        }
    }

    /// Shows the remaining requests of this client.
    pub(crate) fn watch(&self, aws: &Aws) {
        *self.aws.write().unwrap_or_else(PoisonError::into_inner) = Some(aws.clone());
    }

    /// Shows the configuration that is in effect from now on, and its rules.
    pub fn show(&self, configuration: Vec<(String, String)>, rules: Rules) {
        self.configuration.send_replace(configuration);
        self.rules.send_replace(rules);
    }

    /// Replaces the sources, at the start and at a reload. Returns the number of these sources, which a publication of
    /// theirs has.
    pub(crate) fn begin(&self, standings: Vec<SourceStatus>) -> u64 {
        let mut number = 0;
        self.sources.send_modify(|sources| {
            number = self.publishers.fetch_add(1, Ordering::Relaxed) + 1;
            *sources = standings;
        });
        number
    }

    /// Replaces the current publication.
    pub(crate) fn publish(&self, pending: Pending) {
        let Pending { published, publisher, sources } = pending;
        self.published.send_replace(published);
        // After the snapshot, so that a reader that sees this first then sees that snapshot, or a newer one.
        self.sources.send_modify(|standings| {
            if self.publishers.load(Ordering::Relaxed) == publisher {
                for (standing, (is_complete, is_known)) in standings.iter_mut().zip(sources) {
                    standing.published = is_complete;
                    standing.is_known |= is_known;
                }
            }
        });
    }

    /// What all times here are read from.
    pub fn clock(&self) -> Clock {
        self.clock.clone()
    }

    /// Where what happens is counted.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }
}

#[cfg(test)]
mod tests {
    use ecs_discovery::arn::ClusterArn;
    use ecs_discovery::snapshot::Scope;

    use super::*;

    /// The publication with that number, which has as many clusters.
    fn published(number: u64, before: &Snapshot) -> Published {
        let cluster = |number| {
            let arn = format!("arn:aws:ecs:eu-west-1:123456789012:cluster/c{number}");
            (ClusterArn::parse(&arn).unwrap(), Scope::fresh(Arc::default(), Duration::ZERO))
        };
        let snapshot = Snapshot { scopes: (1..=number).map(cluster).collect() };
        let changes = Arc::new(snapshot.since(before));
        Published { snapshot: Arc::new(snapshot), changes, number, ..Published::default() }
    }

    #[test]
    fn a_reader_that_missed_a_publication_gets_all_changes_and_any_other_the_shared_difference() {
        let first = published(1, &Snapshot::default());
        let second = published(2, &first.snapshot);
        let third = published(3, &second.snapshot);
        let clusters = |changes: &Changes| {
            let names = changes.scopes.iter().map(|(cluster, _)| cluster.last_part().to_owned());
            names.collect::<Vec<_>>()
        };
        assert!(Arc::ptr_eq(&third.since(&second.as_earlier()), &third.changes));
        assert_eq!(clusters(&third.changes), ["c3"]);
        assert_eq!(clusters(&third.since(&first.as_earlier())), ["c2", "c3"]);
        assert_eq!(clusters(&third.since(&Earlier::default())), ["c1", "c2", "c3"]);
        assert_eq!(clusters(&first.since(&Earlier::default())), ["c1"]);
    }
}
