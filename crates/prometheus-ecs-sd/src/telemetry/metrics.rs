//! The counters of the program.
//!
//! Clones of one [`Metrics`] are used where events occur. Values of the current snapshot, of the status of sources and of
//! the rate limits are not counted here: `/metrics` computes them on each request, so that they cannot drift.

mod events;
mod family;
mod recent;
mod requests;

use std::collections::BTreeSet;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tracing::error;

use crate::clock::{Clock, Reading};
use crate::telemetry::panics::Panicked;
use events::Events;
use family::Family;
use requests::Requests;

pub(crate) use events::{LastEvent, MessageResult};
pub(crate) use requests::{Outcome, Request};

/// The label of the account of the credentials, whose id may be unknown.
pub(crate) const OWN: &str = "own";

/// The prefix of all metric names except those of the process.
pub(crate) const PREFIX: &str = "ecs_sd";

/// In seconds; the last is the time of a first discovery of tens of thousands of tasks.
const REFRESH_BUCKETS: [f64; 11] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 1200.0];

/// Counts events. Clones share the counters.
#[derive(Clone, Debug)]
pub struct Metrics(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    registry: Registry,
    clock: Clock,
    /// When counting began.
    began: Duration,
    requests: Requests,
    credential_failures: Family<1, Counter>,
    refreshes: Family<2, Counter>,
    refresh_duration: Family<1, Histogram>,
    writes: Family<2, Counter>,
    reloads: Family<1, Counter>,
    reloaded: Gauge,
    /// The moment of the last load.
    reloaded_at: Mutex<Duration>,
    reload_timestamp: Gauge<f64, AtomicU64>,
    answers: Family<2, Counter>,
    accept_failures: Counter,
    events: Events,
    panics: Family<1, Counter>,
}

/// The result of a refresh of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RefreshResult {
    /// All its clusters were read.
    Complete,
    /// Some of it could not be read.
    Incomplete,
    /// The previous refresh had not ended.
    Skipped,
}

impl RefreshResult {
    const ALL: [Self; 3] = [Self::Complete, Self::Incomplete, Self::Skipped];

    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Skipped => "skipped",
        }
    }
}

/// A part of the program that continues after a panic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// A refresh of a source.
    Refresh,
    /// Writing the target files and the state file.
    Files,
    /// Reporting changes on standard output and in the log.
    Changes,
    /// Reading the configuration again.
    Reload,
    /// Answers over HTTP.
    Http,
    /// Reading a queue of events.
    Events,
}

impl Part {
    const ALL: [Self; 6] =
        [Self::Refresh, Self::Files, Self::Changes, Self::Reload, Self::Http, Self::Events];

    fn as_str(self) -> &'static str {
        match self {
            Self::Refresh => "refresh",
            Self::Files => "files",
            Self::Changes => "changes",
            Self::Reload => "reload",
            Self::Http => "http",
            Self::Events => "events",
        }
    }
}

/// The result of a write of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// The file was replaced.
    Replaced,
    /// The file had the same content already.
    Unchanged,
}

/// Counts the writes of one file; the default counts nowhere.
#[derive(Clone, Debug, Default)]
pub(crate) struct Writes {
    written: Counter,
    unchanged: Counter,
    failed: Counter,
}

impl Writes {
    pub(crate) fn count<E>(&self, result: &Result<Written, E>) {
        let counter = match result {
            Ok(Written::Replaced) => &self.written,
            Ok(Written::Unchanged) => &self.unchanged,
            Err(_) => &self.failed,
        };
        counter.inc();
    }
}

impl Metrics {
    /// All counters at zero; the configuration of the start counts as loaded now.
    pub fn new(clock: Clock) -> Self {
        let mut registry = Registry::with_prefix(PREFIX);
        let requests = Requests::new(&mut registry);
        let credential_failures = Family::new(Counter::default);
        let help = "Loads of AWS credentials that failed";
        registry.register("aws_credential_failures", help, credential_failures.clone());
        let refreshes = Family::new(Counter::default);
        registry.register("refreshes", "Refreshes of a source by result", refreshes.clone());
        let refresh_duration = Family::new(|| Histogram::new(REFRESH_BUCKETS));
        let (name, help) = ("refresh_duration", "Time that the refreshes of a source took");
        registry.register_with_unit(name, help, Unit::Seconds, refresh_duration.clone());
        let writes = Family::new(Counter::default);
        let help = "Writes of target files and of the state file by result";
        registry.register("file_writes", help, writes.clone());
        let reloads = Family::new(Counter::default);
        registry.register("config_reloads", "Reloads of the configuration by result", reloads.clone());
        let reloaded = Gauge::default();
        let help = "Whether the last load of the configuration succeeded";
        registry.register("config_last_reload_successful", help, reloaded.clone());
        let reload_timestamp = Gauge::default();
        let (name, help) = ("config_last_reload_success_timestamp", "When the configuration was last loaded");
        registry.register_with_unit(name, help, Unit::Seconds, reload_timestamp.clone());
        let answers = Family::new(Counter::default);
        registry.register("http_requests", "HTTP requests answered by path and status code", answers.clone());
        let accept_failures = Counter::default();
        let help = "Connections of HTTP clients that could not be accepted";
        registry.register("http_accept_failures", help, accept_failures.clone());
        let events = Events::new(&mut registry);
        let panics = Family::new(Counter::default);
        let help = "Panics that a part of the program has caught";
        registry.register("panics", help, panics.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "The version of the program", build);
        let began = clock.now();
        for result in ["success", "failure"] {
            reloads.of([("result", result)]);
        }
        Part::ALL.into_iter().for_each(|part| drop(panics.of([("part", part.as_str())])));
        reloaded.set(1);
        let counted = Counted {
            registry,
            clock,
            began,
            requests,
            credential_failures,
            refreshes,
            refresh_duration,
            writes,
            reloads,
            reloaded,
            reloaded_at: Mutex::new(began),
            reload_timestamp,
            answers,
            accept_failures,
            events,
            panics,
        };
        Self(Arc::new(counted))
    }

    /// The registry of all counters.
    pub(crate) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// When counting began.
    pub(crate) fn began(&self) -> Duration {
        self.0.began
    }

    /// Shows when the configuration was last loaded.
    pub(crate) fn show_reload_time(&self, clock: Reading) {
        let reloaded_at = *self.0.reloaded_at.lock().unwrap_or_else(PoisonError::into_inner);
        self.0.reload_timestamp.set(clock.time_of_day(reloaded_at).as_secs_f64());
    }

    /// The counters for requests of this operation.
    pub(crate) fn request(&self, service: &'static str, operation: &'static str) -> Request {
        self.0.requests.of(service, operation)
    }

    /// The counter for failures to load the credentials of this role; `None` for the base credentials.
    pub(crate) fn credential_failures(&self, account: Option<&str>) -> Counter {
        self.0.credential_failures.of([("account", account.unwrap_or(OWN))])
    }

    /// Counts the refreshes of these sources, and drops the series of others.
    pub(crate) fn sources(&self, sources: BTreeSet<&str>) {
        self.0.refreshes.retain(|[(_, source), _]| sources.contains(&**source));
        self.0.refresh_duration.retain(|[(_, source)]| sources.contains(&**source));
        for source in sources {
            RefreshResult::ALL.into_iter().for_each(|result| drop(self.refreshes(source, result)));
            self.0.refresh_duration.of([("source", source)]);
        }
    }

    fn refreshes(&self, source: &str, result: RefreshResult) -> Counter {
        self.0.refreshes.of([("source", source), ("result", result.as_str())])
    }

    /// A refresh of a source was skipped.
    pub(crate) fn turn_skipped(&self, source: &str) {
        self.refreshes(source, RefreshResult::Skipped).inc();
    }

    /// A source was refreshed.
    pub(crate) fn refreshed(&self, source: &str, result: RefreshResult, took: Duration) {
        self.refreshes(source, result).inc();
        self.0.refresh_duration.of([("source", source)]).observe(took.as_secs_f64());
    }

    /// Counts the messages of these queues and the events of these sources, and shows no others.
    pub(crate) fn queues(&self, queues: &[String], sources: &[&str]) {
        self.0.events.queues(queues, self.0.clock.now());
        self.0.events.sources(if queues.is_empty() { &[] } else { sources });
    }

    /// A message of a queue was dealt with.
    pub(crate) fn message(&self, queue: &str, result: MessageResult) {
        self.0.events.message(queue, result, self.0.clock.now());
    }

    /// The messages of a queue with this result so far.
    pub(crate) fn messages(&self, queue: &str, result: MessageResult) -> u64 {
        self.0.events.total(queue, result)
    }

    /// The messages of a queue a minute, over the last five minutes; `None` in the first one.
    pub(crate) fn messages_a_minute(&self, queue: &str) -> Option<f64> {
        self.0.events.a_minute(queue, self.0.clock.now())
    }

    /// A queue could be read, or could not.
    pub(crate) fn queue_readable(&self, queue: &str, is_readable: bool) {
        self.0.events.readable(queue, is_readable);
    }

    /// An event of a source was received so long after the change of its task.
    pub(crate) fn event_delayed(&self, source: &str, delay: Duration) {
        self.0.events.delayed(source, delay);
    }

    /// An event or a heartbeat of a source came now.
    pub(crate) fn event_heard(&self, source: &str) {
        let clock = &self.0.clock;
        self.0.events.received(source, clock.read().now(), clock.now());
    }

    /// The last event or heartbeat of a source, if there was one.
    pub(crate) fn last_event(&self, source: &str) -> Option<LastEvent> {
        self.0.events.last(source)
    }

    /// A refresh found changes that no event told.
    pub(crate) fn events_missed(&self, source: &str, count: usize) {
        self.0.events.missed(source, count as u64);
    }

    /// The target files were written so long after the receipt of an event.
    pub(crate) fn event_written(&self, took: Duration) {
        self.0.events.written(took);
    }

    /// Drops the series of other files.
    pub(crate) fn files(&self, files: &BTreeSet<String>) {
        self.0.writes.retain(|[(_, file), _]| files.contains(file));
    }

    /// The counters for writes of a file.
    pub(crate) fn writes(&self, file: &str) -> Writes {
        let of = |result| self.0.writes.of([("file", file), ("result", result)]);
        Writes { written: of("written"), unchanged: of("unchanged"), failed: of("failed") }
    }

    /// A reload of the configuration has succeeded or failed.
    pub fn reloaded<T, E>(&self, result: &Result<T, E>) {
        self.0.reloaded.set(result.is_ok().into());
        if result.is_ok() {
            *self.0.reloaded_at.lock().unwrap_or_else(PoisonError::into_inner) = self.0.clock.now();
        }
        let result = if result.is_ok() { "success" } else { "failure" };
        self.0.reloads.of([("result", result)]).inc();
    }

    /// A connection could not be accepted.
    pub(crate) fn accept_failed(&self) {
        self.0.accept_failures.inc();
    }

    /// A part of the program panicked, and continues.
    pub(crate) fn panicked(&self, part: Part, panicked: &Panicked) {
        let part = part.as_str();
        error!(part, panic = %panicked, "a panic was caught; the work is tried again");
        self.0.panics.of([("part", part)]).inc();
    }

    /// A request was answered. `handler` is the declared path, since the number of requested paths is unbounded.
    pub(crate) fn answered(&self, handler: &str, status: u16) {
        self.0.answers.of([("handler", handler), ("code", &status.to_string())]).inc();
    }
}
