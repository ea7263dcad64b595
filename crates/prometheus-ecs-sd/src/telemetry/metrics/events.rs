//! Events: the messages of each queue by result, their delay, and how long their targets take to be written.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::family::Family;
use super::recent::Recent;

/// In seconds; an event that is older than minutes was held back on its way.
const DELAY_BUCKETS: [f64; 11] = [0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0];

/// In seconds; the longest is the pause between publications and a slow disk.
const PUBLISH_BUCKETS: [f64; 10] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// The result of a message of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageResult {
    /// Its facts are known now.
    Applied,
    /// They were known already.
    Duplicate,
    /// It is too old to be believed, or its cluster is not known.
    Stale,
    /// A sign that events are delivered.
    Heartbeat,
    /// Another event of ECS.
    Ignored,
    /// Of an account, region or cluster that is not discovered.
    Unrelated,
    /// An event that cannot be read.
    Malformed,
    /// No event.
    Foreign,
}

impl MessageResult {
    pub(crate) const ALL: [Self; 8] = [
        Self::Applied,
        Self::Duplicate,
        Self::Stale,
        Self::Heartbeat,
        Self::Ignored,
        Self::Unrelated,
        Self::Malformed,
        Self::Foreign,
    ];

    /// The value of the label.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Duplicate => "duplicate",
            Self::Stale => "stale",
            Self::Heartbeat => "heartbeat",
            Self::Ignored => "ignored",
            Self::Unrelated => "unrelated",
            Self::Malformed => "malformed",
            Self::Foreign => "foreign",
        }
    }
}

/// The last event or heartbeat of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct LastEvent {
    /// When it came.
    pub(crate) at: Duration,
    /// The time from the last change of a task of which an event told, to the receipt of that event.
    pub(crate) delay: Option<Duration>,
}

/// All that is counted of events.
#[derive(Debug)]
pub(super) struct Events {
    results: Family<2, Counter>,
    delay: Family<1, Histogram>,
    publish: Histogram,
    last_heard: Family<1, Gauge<f64, AtomicU64>>,
    missed: Family<1, Counter>,
    readable: Family<1, Gauge>,
    /// By queue and by source, for the status page.
    recent: Mutex<BTreeMap<String, Recent>>,
    last: Mutex<BTreeMap<String, LastEvent>>,
}

impl Events {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let results = Family::new(Counter::default);
        registry.register("events", "Messages of a queue by result", results.clone());
        let delay = Family::new(|| Histogram::new(DELAY_BUCKETS));
        let help = "Time from the change of a task to the receipt of its event";
        registry.register_with_unit("event_delay", help, Unit::Seconds, delay.clone());
        let publish = Histogram::new(PUBLISH_BUCKETS);
        let help = "Time from the receipt of an event to the end of the last write of a target file";
        registry.register_with_unit("event_publish", help, Unit::Seconds, publish.clone());
        let last_heard = Family::new(Gauge::<f64, AtomicU64>::default);
        let (name, help) =
            ("events_last_heard_timestamp", "When the last event or heartbeat of a source came");
        registry.register_with_unit(name, help, Unit::Seconds, last_heard.clone());
        let missed = Family::new(Counter::default);
        let help = "Starts and ends of tasks that a refresh found and no event told";
        registry.register("events_missed", help, missed.clone());
        let readable = Family::new(Gauge::default);
        let help = "Whether a queue can be read";
        registry.register("event_queue_readable", help, readable.clone());
        let (recent, last) = Default::default();
        Self { results, delay, publish, last_heard, missed, readable, recent, last }
    }

    /// Counts for these queues, and shows no others.
    pub(super) fn queues(&self, queues: &[String], now: Duration) {
        let mut recent = lock(&self.recent);
        recent.retain(|queue, _| queues.contains(queue));
        for queue in queues {
            recent.entry(queue.clone()).or_insert_with(|| Recent::new(now));
        }
        self.results.retain(|[(_, queue), _]| queues.contains(queue));
        self.readable.retain(|[(_, queue)]| queues.contains(queue));
        for queue in queues {
            MessageResult::ALL.into_iter().for_each(|result| drop(self.results(queue, result)));
            self.readable.of([("queue", queue)]);
        }
    }

    fn results(&self, queue: &str, result: MessageResult) -> Counter {
        self.results.of([("queue", queue), ("result", result.as_str())])
    }

    pub(super) fn message(&self, queue: &str, result: MessageResult, now: Duration) {
        self.results(queue, result).inc();
        if let Some(recent) = lock(&self.recent).get_mut(queue) {
            recent.add(now);
        }
    }

    pub(super) fn a_minute(&self, queue: &str, now: Duration) -> Option<f64> {
        lock(&self.recent).get(queue)?.a_minute(now)
    }

    pub(super) fn total(&self, queue: &str, result: MessageResult) -> u64 {
        self.results(queue, result).get()
    }

    pub(super) fn readable(&self, queue: &str, is_readable: bool) {
        self.readable.of([("queue", queue)]).set(is_readable.into());
    }

    pub(super) fn delayed(&self, source: &str, delay: Duration) {
        self.delay.of([("source", source)]).observe(delay.as_secs_f64());
        if let Some(last) = lock(&self.last).get_mut(source) {
            last.delay = Some(delay);
        }
    }

    /// Shows these sources and no others, if events are expected.
    pub(super) fn sources(&self, sources: &[&str]) {
        let is_one = |source: &str| sources.contains(&source);
        self.delay.retain(|[(_, source)]| is_one(source));
        self.last_heard.retain(|[(_, source)]| is_one(source));
        self.missed.retain(|[(_, source)]| is_one(source));
        lock(&self.last).retain(|source, _| is_one(source));
        for source in sources {
            self.delay.of([("source", source)]);
            self.last_heard.of([("source", source)]);
            self.missed.of([("source", source)]);
        }
    }

    pub(super) fn received(&self, source: &str, time_of_day: Duration, now: Duration) {
        self.last_heard.of([("source", source)]).set(time_of_day.as_secs_f64());
        lock(&self.last).entry(source.to_owned()).or_default().at = now;
    }

    /// The last event or heartbeat; `None` before the first.
    pub(super) fn last(&self, source: &str) -> Option<LastEvent> {
        lock(&self.last).get(source).copied()
    }

    pub(super) fn missed(&self, source: &str, count: u64) {
        self.missed.of([("source", source)]).inc_by(count);
    }

    pub(super) fn written(&self, took: Duration) {
        self.publish.observe(took.as_secs_f64());
    }
}

fn lock<T>(counted: &Mutex<T>) -> MutexGuard<'_, T> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}
