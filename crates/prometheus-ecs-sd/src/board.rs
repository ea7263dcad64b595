//! What is published, and how each source stands: put up by the publisher, and read by all sinks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ecs_discovery::arn::RoleArn;
use ecs_discovery::interval::Intervals;
use ecs_discovery::snapshot::Snapshot;
use tokio::sync::watch;

use crate::clock::Clock;
use crate::poller::{Heard, source_id};
use crate::publisher::Reading;
use crate::state::{Facts, Revision};
use crate::telemetry::metrics::Metrics;

/// What the sinks read.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// What all scopes came to; never changed, only replaced.
    pub snapshot: Arc<Snapshot>,
    /// Whether every scope was read at its last refresh, except those to which AWS denies access.
    pub complete: bool,
    /// Counts the publications; 0 before the first.
    pub number: u64,
    /// How long the slowest of the refreshes took that this is the result of.
    pub took: Duration,
    /// What is known of each source, once each has been refreshed.
    pub facts: Option<Facts>,
    /// The revision of the facts.
    pub revision: Option<Revision>,
    /// How far everything was read.
    pub reading: Arc<Reading>,
    /// Whether it contains targets of a previous selection, which stay because the current one finds none.
    pub keeps_deselected: bool,
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
pub struct SourceStanding {
    /// For people.
    pub name: Arc<str>,
    /// The role that is assumed; `None` for the credentials as they are.
    pub role: Option<RoleArn>,
    /// The account's id, as far as it is known.
    pub account: Option<Box<str>>,
    /// The region.
    pub region: String,
    /// Whether all of it was heard, and no turn was skipped since.
    pub complete: bool,
    /// Whether all of it was heard when the newest snapshot was put together, so that what is not in there is not there.
    pub published: bool,
    /// Why not all of it was heard, if so.
    pub problem: Option<String>,
    /// How long the last refresh took.
    pub took: Duration,
    /// When the last refresh ended.
    pub refreshed: Option<Duration>,
    /// The end of the last refresh that read the whole source.
    pub completed: Option<Duration>,
    /// Whether something of it is published, from a refresh or from the process before.
    pub is_known: bool,
}

impl SourceStanding {
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
        }
    }

    /// What its facts are saved as: names may be alike.
    pub fn id(&self) -> String {
        source_id(self.role.as_ref(), &self.region)
    }

    /// Goes on from the same source before a reload. Whether all of it was heard is to be seen: it may look for other
    /// clusters.
    pub(crate) fn follow(&mut self, earlier: &Self) {
        let Self { account, problem, took, refreshed, completed, .. } = earlier.clone();
        *self = Self { account, problem, took, refreshed, completed, ..self.clone() };
    }

    pub(crate) fn hear(&mut self, heard: &Heard, now: Duration) {
        let of_source = || heard.failure.as_ref().map(ToString::to_string);
        let of_scope = || heard.scopes.values().find_map(|scope| scope.problem().map(str::to_owned));
        self.complete = heard.complete;
        self.problem = if heard.complete { None } else { of_source().or_else(of_scope) };
        self.took = heard.took;
        self.refreshed = Some(now);
        if heard.complete {
            self.completed = Some(now);
        }
        self.know(heard);
    }

    pub(crate) fn know(&mut self, heard: &Heard) {
        // The known facts belong to another account; there may be none of this one.
        if self.role.is_none() && !heard.foreign.is_empty() {
            self.account = None;
        }
        if let Some(cluster) = heard.scopes.keys().next() {
            self.account = Some(cluster.account().into());
        }
    }
}

/// Where the current snapshot is put. Readers get a [`Board`].
#[derive(Clone, Debug)]
pub struct Outlet {
    pub(crate) published: watch::Sender<Published>,
    pub(crate) sources: watch::Sender<Vec<SourceStanding>>,
    configuration: watch::Sender<Vec<(String, String)>>,
    intervals: watch::Sender<Intervals>,
    /// The number of publishers so far; the sources of the last one are shown.
    publishers: Arc<AtomicU64>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
}

impl Default for Outlet {
    fn default() -> Self {
        Self::timed_by(Clock::default())
    }
}

/// The current snapshot and how each source stands, for reading.
#[derive(Clone, Debug)]
pub struct Board {
    /// The newest publication replaces one that was not looked at.
    pub published: watch::Receiver<Published>,
    /// In the order of the configuration.
    pub sources: watch::Receiver<Vec<SourceStanding>>,
    /// The configuration in effect: names and values, none of them secret.
    pub configuration: watch::Receiver<Vec<(String, String)>>,
    /// The scrape intervals that it offers.
    pub intervals: watch::Receiver<Intervals>,
    /// What the times above are read from.
    pub clock: Clock,
}

impl Outlet {
    /// An empty board whose times come from this clock.
    pub fn timed_by(clock: Clock) -> Self {
        let (published, sources, configuration, intervals, publishers) = Default::default();
        let metrics = Metrics::new(clock.clone());
        Self { published, sources, configuration, intervals, publishers, clock, metrics }
    }

    /// What a reader looks at.
    pub fn board(&self) -> Board {
        Board {
            published: self.published.subscribe(),
            sources: self.sources.subscribe(),
            configuration: self.configuration.subscribe(),
            intervals: self.intervals.subscribe(),
            clock: self.clock.clone(),
        }
    }

    /// Shows the configuration that is in effect from now on, and which scrape intervals it offers.
    pub fn show(&self, configuration: Vec<(String, String)>, intervals: Intervals) {
        self.configuration.send_replace(configuration);
        self.intervals.send_replace(intervals);
    }

    /// Replaces the sources of the previous publisher by those of a new one. Returns the new publisher's number.
    pub(crate) fn begin(&self, standings: Vec<SourceStanding>) -> u64 {
        let mut number = 0;
        self.sources.send_modify(|sources| {
            number = self.publishers.fetch_add(1, Ordering::Relaxed) + 1;
            let before = std::mem::replace(sources, standings);
            for standing in sources {
                let is_same = |other: &&SourceStanding| other.id() == standing.id();
                if let Some(earlier) = before.iter().find(is_same) {
                    standing.follow(earlier);
                }
            }
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
