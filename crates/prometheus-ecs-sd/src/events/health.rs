//! Whether a queue can be read, and its messages deleted: for the log, the metrics and the status page.
//!
//! It outlives a panic of the reader, so that a problem that ends is still reported.

use std::sync::{Mutex, PoisonError};

use ecs_discovery::failure::{Failure, FailureKind};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::WARNED_EVERY;
use crate::published::{QueueStatus, SnapshotStore};

/// So many deletions in a row fail before that is a problem. A denial is one immediately: it does not pass.
const FAILED_IN_A_ROW: u32 = 3;

/// The health of one queue.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    store: SnapshotStore,
    /// Its position among the queues of the store.
    position: usize,
    /// The failure of the last receipt; the outer `None` before the first one.
    receipt: Mutex<Option<Option<FailureKind>>>,
    deletions: Mutex<DeletionHealth>,
}

/// The failures of deletions.
#[derive(Debug, Default)]
struct DeletionHealth {
    in_a_row: u32,
    /// The kind of failure that the status page shows.
    failing: Option<FailureKind>,
    /// The last warning, and whether its end is to be logged.
    warned: Option<(FailureKind, Instant)>,
    is_warned: bool,
}

impl Health {
    pub(super) fn new(name: String, store: SnapshotStore, position: usize) -> Self {
        Self { name, store, position, receipt: Mutex::default(), deletions: Mutex::default() }
    }

    /// Whether the last receipt succeeded.
    pub(super) fn is_readable(&self) -> bool {
        *self.receipt.lock().unwrap_or_else(PoisonError::into_inner) == Some(None)
    }

    /// Takes in the result of a receipt. Logs a failure when it begins, becomes another one, or ends.
    pub(super) fn received(&self, failure: Option<Failure>) {
        let (name, kind) = (&self.name, failure.as_ref().map(|failure| failure.kind));
        let mut before = self.receipt.lock().unwrap_or_else(PoisonError::into_inner);
        if before.replace(kind) == Some(kind) {
            return;
        }
        match &failure {
            Some(error) => {
                warn!(queue = %name, %error, "queue cannot be read; changes are found by refreshes")
            }
            None => info!(queue = %name, "queue is read"),
        }
        self.store.metrics.queue_readable(name, failure.is_none());
        let now = self.store.clock.now();
        self.change(|status| {
            (status.is_readable, status.since) = (Some(failure.is_none()), now);
            status.problem = failure.map(|failure| failure.message);
        });
    }

    /// Takes in the result of a deletion. Logs a failure when it begins, becomes another one, or ends, and the same one at
    /// most once an hour.
    pub(super) fn deleted(&self, result: Result<(), Failure>) {
        let mut health = self.deletions.lock().unwrap_or_else(PoisonError::into_inner);
        let Err(failure) = result else {
            health.in_a_row = 0;
            if health.failing.take().is_some() {
                self.change(|status| status.undeleted = None);
            }
            if std::mem::take(&mut health.is_warned) {
                info!(queue = %self.name, "messages of the queue are deleted again");
            }
            return;
        };
        health.in_a_row += 1;
        let kind = failure.kind;
        let is_problem = kind == FailureKind::Denied || health.in_a_row >= FAILED_IN_A_ROW;
        if !is_problem || health.failing == Some(kind) {
            debug!(queue = %self.name, error = %failure, "messages could not be deleted");
            return;
        }
        health.failing = Some(kind);
        if health.warned.is_none_or(|(before, at)| before != kind || at.elapsed() >= WARNED_EVERY) {
            health.warned = Some((kind, Instant::now()));
            health.is_warned = true;
            warn_of_undeleted(&self.name, &failure);
        }
        self.change(|status| status.undeleted = Some(failure.message));
    }

    fn change(&self, change: impl FnOnce(&mut QueueStatus)) {
        self.store.queues.send_modify(|queues| {
            // A reload may have replaced them.
            if let Some(status) = queues.get_mut(self.position).filter(|status| status.name == self.name) {
                change(status);
            }
        });
    }
}

fn warn_of_undeleted(queue: &str, error: &Failure) {
    if error.kind == FailureKind::Denied {
        warn!(queue, %error, "messages cannot be deleted, and are received again; allow sqs:DeleteMessage on the queue");
    } else {
        warn!(queue, %error, "messages cannot be deleted, and are received again");
    }
}
