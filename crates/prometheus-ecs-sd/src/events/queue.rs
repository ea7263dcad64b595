//! The loops that read one queue: one waits for messages, and others join it while there are many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ecs_discovery::failure::{Failure, FailureKind};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tracing::{debug, info, warn};

use super::Dispatch;
use super::backoff::Backoff;
use crate::aws::{Message, Queue};
use crate::published::SnapshotStore;

/// The longest wait that SQS allows.
const WAIT: Duration = Duration::from_secs(20);

/// An answer without messages that comes sooner was not waited for.
const SOONEST_EMPTY: Duration = Duration::from_secs(1);

/// The messages of a full answer.
const FULL: usize = 10;

/// Another loop joins after so many full answers in a row.
const FULL_IN_A_ROW: u32 = 2;

/// The loops of one queue: 80 messages at a time.
const MAX_LOOPS: usize = 8;

/// The reader of one queue.
#[derive(Clone, Debug)]
pub(super) struct Reader {
    queue: Queue,
    dispatch: Arc<Dispatch>,
    store: SnapshotStore,
    /// Its position among the queues of the store.
    position: usize,
    loops: Arc<AtomicUsize>,
}

impl Reader {
    pub(super) fn new(queue: Queue, dispatch: Arc<Dispatch>, store: SnapshotStore, position: usize) -> Self {
        Self { queue, dispatch, store, position, loops: Arc::new(AtomicUsize::new(1)) }
    }

    /// Reads until it is dropped.
    pub(super) async fn run(self) {
        let (mut backoff, mut problem, mut full) = (Backoff::new(), None, 0);
        // Other loops, and deletions, which delay no receipt.
        let mut others = JoinSet::new();
        loop {
            while others.try_join_next().is_some() {}
            let began = Instant::now();
            match self.queue.receive(WAIT).await {
                // It does not wait for messages, as stand-ins of SQS may not.
                Ok(messages) if messages.is_empty() && began.elapsed() < SOONEST_EMPTY => {
                    self.note(&mut problem, None);
                    sleep(SOONEST_EMPTY).await;
                }
                Ok(messages) => {
                    backoff = Backoff::new();
                    self.note(&mut problem, None);
                    full = if messages.len() >= FULL { full + 1 } else { 0 };
                    if full >= FULL_IN_A_ROW && self.joins() {
                        full = 0;
                        others.spawn(self.clone().help());
                    }
                    self.take(messages, &mut others).await;
                }
                Err(failure) => {
                    self.note(&mut problem, Some(failure));
                    sleep(backoff.pause()).await;
                }
            }
        }
    }

    /// Whether there may be another loop.
    fn joins(&self) -> bool {
        let join = |loops: usize| (loops < MAX_LOOPS).then_some(loops + 1);
        self.loops.fetch_update(Ordering::Relaxed, Ordering::Relaxed, join).is_ok()
    }

    /// Reads as long as answers are full.
    async fn help(self) {
        let mut deletions = JoinSet::new();
        while let Ok(messages) = self.queue.receive(Duration::ZERO).await {
            let is_full = messages.len() >= FULL;
            self.take(messages, &mut deletions).await;
            while deletions.try_join_next().is_some() {}
            if !is_full {
                break;
            }
        }
        self.loops.fetch_sub(1, Ordering::Relaxed);
        while deletions.join_next().await.is_some() {}
    }

    async fn take(&self, messages: Vec<Message>, deletions: &mut JoinSet<()>) {
        let receipts = self.dispatch.all(messages).await;
        if receipts.is_empty() {
            return;
        }
        let (queue, name) = (self.queue.clone(), self.dispatch.name.clone());
        deletions.spawn(async move {
            // They are received again, and are duplicates then.
            if let Err(error) = queue.delete(receipts).await {
                debug!(queue = %name, %error, "messages could not be deleted");
            }
        });
    }

    /// Logs a problem when it begins, becomes another one, or ends.
    fn note(&self, before: &mut Option<FailureKind>, failure: Option<Failure>) {
        let (name, kind) = (&self.dispatch.name, failure.as_ref().map(|failure| failure.kind));
        let is_known =
            self.store.queues.borrow().get(self.position).is_some_and(|one| one.is_readable.is_some());
        if is_known && std::mem::replace(before, kind) == kind {
            return;
        }
        *before = kind;
        match &failure {
            Some(error) => {
                warn!(queue = %name, %error, "queue cannot be read; changes are found by refreshes")
            }
            None => info!(queue = %name, "queue is read"),
        }
        self.store.metrics.queue_readable(name, failure.is_none());
        let now = self.store.clock.now();
        self.store.queues.send_modify(|queues| {
            // A reload may have replaced them.
            if let Some(status) = queues.get_mut(self.position).filter(|status| status.name == *name) {
                (status.is_readable, status.since) = (Some(failure.is_none()), now);
                status.problem = failure.map(|failure| failure.message);
            }
        });
    }
}
