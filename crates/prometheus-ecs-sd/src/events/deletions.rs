//! The deletions of one queue's messages. They run beside receipts, and delay none.
//!
//! A message that is not deleted is received again, and is a duplicate then. So a failed deletion is reported, and not
//! repeated.

use std::sync::Arc;

use ecs_discovery::failure::{Failure, FailureKind};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::count_panic;
use super::health::Health;
use crate::aws::{Queue, Receipt};
use crate::telemetry::metrics::Metrics;

/// The deletions that run at a time, each of up to ten messages: a request that is not answered takes half a minute, and
/// a storm has up to 200 receipts a second.
const MAX_RUNNING: usize = 100;

/// Deletes the messages of one queue.
#[derive(Debug)]
pub(super) struct Deletions {
    queue: Queue,
    health: Arc<Health>,
    metrics: Metrics,
    permits: Arc<Semaphore>,
}

impl Deletions {
    pub(super) fn new(queue: Queue, health: Arc<Health>, metrics: Metrics) -> Self {
        Self { queue, health, metrics, permits: Arc::new(Semaphore::new(MAX_RUNNING)) }
    }

    /// Deletes messages in one of these tasks, unless too many deletions run already.
    pub(super) fn begin(&self, receipts: Vec<Receipt>, tasks: &mut JoinSet<()>) {
        if receipts.is_empty() {
            return;
        }
        let Ok(permit) = self.permits.clone().try_acquire_owned() else {
            let message = format!("{MAX_RUNNING} requests to delete messages are not answered yet");
            return self.health.deleted(Err(Failure { kind: FailureKind::Unavailable, message }));
        };
        let (queue, health, metrics) = (self.queue.clone(), self.health.clone(), self.metrics.clone());
        tasks.spawn(async move {
            let _permit = permit;
            count_panic(&metrics, async { health.deleted(queue.delete(receipts).await) }).await;
        });
    }
}
