//! Whether a queue can be read: for the log, the metrics and the status page.
//!
//! It outlives a panic of the reader, so that a problem that ends is still reported.

use std::sync::{Mutex, PoisonError};

use ecs_discovery::failure::{Failure, FailureKind};
use tracing::{info, warn};

use crate::published::{QueueStatus, SnapshotStore};

/// The health of one queue.
#[derive(Debug)]
pub(super) struct Health {
    name: String,
    store: SnapshotStore,
    /// Its position among the queues of the store.
    position: usize,
    /// The failure of the last receipt; the outer `None` before the first one.
    receipt: Mutex<Option<Option<FailureKind>>>,
}

impl Health {
    pub(super) fn new(name: String, store: SnapshotStore, position: usize) -> Self {
        Self { name, store, position, receipt: Mutex::default() }
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

    fn change(&self, change: impl FnOnce(&mut QueueStatus)) {
        self.store.queues.send_modify(|queues| {
            // A reload may have replaced them.
            if let Some(status) = queues.get_mut(self.position).filter(|status| status.name == self.name) {
                change(status);
            }
        });
    }
}
