//! The loops that read one queue: one waits for messages, and others join it while there are many.
//!
//! A panic ends one of the other loops, or lets the first one begin again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::backoff::Backoff;
use super::deletions::Deletions;
use super::health::Health;
use super::{Dispatch, count_panic};
use crate::aws::{Message, Queue};
use crate::telemetry::metrics::{Metrics, Part};
use crate::telemetry::panics::again;

/// The longest wait that SQS allows.
const WAIT: Duration = Duration::from_secs(20);

/// An answer without messages that comes sooner was not waited for.
const SOONEST_EMPTY: Duration = Duration::from_secs(1);

/// The messages of a full answer.
const FULL: usize = 10;

/// Another loop joins after so many full answers in a row.
const FULL_IN_A_ROW: u32 = 2;

/// The loops of one queue beside the first one: 80 messages at a time.
const MAX_OTHERS: usize = 7;

/// The reader of one queue.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    queue: Queue,
    dispatch: Arc<Dispatch>,
    health: Arc<Health>,
    deletions: Arc<Deletions>,
    /// One permit for each other loop.
    places: Arc<Semaphore>,
}

impl Reader {
    pub(super) fn new(queue: Queue, dispatch: Arc<Dispatch>, health: Health) -> Self {
        let (health, metrics) = (Arc::new(health), dispatch.metrics.clone());
        let deletions = Arc::new(Deletions::new(queue.clone(), health.clone(), metrics));
        Self { queue, dispatch, health, deletions, places: Arc::new(Semaphore::new(MAX_OTHERS)) }
    }

    /// Reads until it is dropped.
    pub(super) async fn run(self) {
        again(self.metrics().clone(), Part::Events, || self.wait_for_messages()).await;
    }

    async fn wait_for_messages(&self) {
        let (mut backoff, mut full) = (Backoff::new(), 0);
        // Other loops, and deletions, which delay no receipt.
        let mut others = JoinSet::new();
        loop {
            while others.try_join_next().is_some() {}
            let began = Instant::now();
            // The first answer comes immediately, so that a queue that can be read is known to be.
            let wait = if self.health.is_readable() { WAIT } else { Duration::ZERO };
            match self.queue.receive(wait).await {
                // It does not wait for messages, as stand-ins of SQS may not.
                Ok(messages) if messages.is_empty() && wait == WAIT && began.elapsed() < SOONEST_EMPTY => {
                    self.health.received(None);
                    sleep(SOONEST_EMPTY).await;
                }
                Ok(messages) => {
                    backoff = Backoff::new();
                    self.health.received(None);
                    full = if messages.len() >= FULL { full + 1 } else { 0 };
                    if full >= FULL_IN_A_ROW
                        && let Ok(place) = self.places.clone().try_acquire_owned()
                    {
                        full = 0;
                        others.spawn(self.clone().help(place));
                    }
                    self.take(messages, &mut others).await;
                }
                Err(failure) => {
                    self.health.received(Some(failure));
                    sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Reads as long as answers are full. Its place is free again when it ends, however it ends.
    async fn help(self, place: OwnedSemaphorePermit) {
        let read = async {
            let mut deletions = JoinSet::new();
            while let Ok(messages) = self.queue.receive(Duration::ZERO).await {
                let is_full = messages.len() >= FULL;
                self.take(messages, &mut deletions).await;
                while deletions.try_join_next().is_some() {}
                if !is_full {
                    break;
                }
            }
            drop(place);
            while deletions.join_next().await.is_some() {}
        };
        count_panic(self.metrics(), read).await;
    }

    async fn take(&self, messages: Vec<Message>, deletions: &mut JoinSet<()>) {
        let receipts = self.dispatch.all(messages).await;
        self.deletions.begin(receipts, deletions);
    }

    fn metrics(&self) -> &Metrics {
        &self.dispatch.metrics
    }
}
