//! Requests to AWS: each attempt with its result, its duration, and the time that it waited for a token.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use tokio::time::Instant;

use super::family::Family;

/// In seconds, up to the time limit of an attempt.
const DURATION_BUCKETS: [f64; 10] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// In seconds, up to the time limit of a whole operation.
const WAIT_BUCKETS: [f64; 9] = [0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 60.0, 240.0];

/// The result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// AWS answered.
    Ok,
    /// AWS throttled the request.
    Throttled,
    /// AWS denied access.
    Denied,
    /// AWS did not accept the credentials or the signature.
    Credentials,
    /// AWS refused it for another reason, for example because the requested item does not exist.
    ClientError,
    /// AWS had an internal error.
    ServerError,
    /// No whole answer arrived in time.
    Timeout,
    /// The connection failed or broke.
    Connection,
    /// The answer could not be used.
    Unusable,
    /// The time limit of the operation ended first.
    Abandoned,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::ClientError => "client_error",
            Self::ServerError => "server_error",
            Self::Timeout => "timeout",
            Self::Connection => "connection",
            Self::Unusable => "unusable",
            Self::Abandoned => "abandoned",
        }
    }
}

/// All requests.
#[derive(Debug)]
pub(super) struct Requests {
    requests: Family<3, Counter>,
    durations: Family<2, Histogram>,
    waits: Family<2, Histogram>,
}

impl Requests {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let requests = Family::new(Counter::default);
        registry.register("aws_requests", "Requests to AWS, retries included", requests.clone());
        let durations = Family::new(|| Histogram::new(DURATION_BUCKETS));
        let help = "Time that requests to AWS took, without waiting for a token";
        registry.register_with_unit("aws_request_duration", help, Unit::Seconds, durations.clone());
        let waits = Family::new(|| Histogram::new(WAIT_BUCKETS));
        let help = "Time that requests to AWS waited for a token before they were sent";
        registry.register_with_unit("aws_token_wait", help, Unit::Seconds, waits.clone());
        Self { requests, durations, waits }
    }

    pub(super) fn of(&self, service: &'static str, operation: &'static str) -> Request {
        let waits = self.waits.clone();
        Request {
            requests: self.requests.clone(),
            durations: self.durations.clone(),
            waits,
            service,
            operation,
        }
    }
}

/// One request that waits for a token and is then sent.
#[derive(Debug)]
pub(crate) struct Request {
    requests: Family<3, Counter>,
    durations: Family<2, Histogram>,
    waits: Family<2, Histogram>,
    service: &'static str,
    operation: &'static str,
}

impl Request {
    /// The waiting ends when this is dropped: a cancelled request counts too.
    pub(crate) fn waits(&self) -> Wait {
        Wait { began: Instant::now(), waits: self.waits.of(self.labels()) }
    }

    /// The request is sent. If no result is recorded, it was abandoned.
    pub(crate) fn leaves(self) -> Attempt {
        Attempt { began: Instant::now(), request: self, outcome: Outcome::Abandoned }
    }

    fn labels(&self) -> [(&'static str, &str); 2] {
        [("service", self.service), ("operation", self.operation)]
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        let [service, operation] = self.labels();
        self.requests.of([service, operation, ("outcome", outcome.as_str())]).inc();
        self.durations.of(self.labels()).observe(took.as_secs_f64());
    }
}

/// A request that waits for its token.
#[derive(Debug)]
pub(crate) struct Wait {
    began: Instant,
    waits: Histogram,
}

impl Drop for Wait {
    fn drop(&mut self) {
        self.waits.observe(self.began.elapsed().as_secs_f64());
    }
}

/// A request that was sent and has not ended.
#[derive(Debug)]
pub(crate) struct Attempt {
    began: Instant,
    request: Request,
    outcome: Outcome,
}

impl Attempt {
    pub(crate) fn ends(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.request.count(self.outcome, self.began.elapsed());
    }
}
