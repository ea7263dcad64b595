//! Why a question has no answer. Nothing is decided here.

use std::fmt;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What a caller decides by.
    pub kind: FailureKind,
    /// What happened, for people: AWS's code and message, or the transport's.
    pub message: String,
}

/// What a failure means for those who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FailureKind {
    /// AWS knows no such thing (`ClusterNotFoundException`, `ClientException` of a definition): asking again is no use.
    NotFound,
    /// The credentials do not allow it.
    Denied,
    /// There are no usable credentials.
    NoCredentials,
    /// Too many requests.
    Throttled,
    /// Everything else: server errors, time-outs, connections, answers that cannot be read.
    Unavailable,
}

impl Failure {
    /// Whether it may be over at the next refresh, without anyone doing anything.
    pub fn may_pass(&self) -> bool {
        match self.kind {
            FailureKind::NotFound | FailureKind::Denied => false,
            FailureKind::NoCredentials | FailureKind::Throttled | FailureKind::Unavailable => true,
        }
    }

    /// Whether AWS did answer, namely that it knows no such thing.
    pub fn is_answer(&self) -> bool {
        self.kind == FailureKind::NotFound
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
