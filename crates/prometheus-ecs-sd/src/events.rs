//! The readers of the queues: each message goes to the sources that it is for, and is deleted once its facts are known.
//!
//! A message that no source took stays in the queue and is received again. What cannot be read tells nothing and is
//! deleted as well. A queue that cannot be read costs no target: its sources notice the silence.

mod backoff;
mod deletions;
mod health;
mod heartbeats;
mod queue;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, TaskArn};
use ecs_discovery::event::TaskEvent;
use ecs_discovery::inventory::events::{EventResult, Wish};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::aws::{Aws, Message, Notice, Queue, Receipt, TaskNotice};
use crate::clock::Clock;
use crate::config::{Config, QueueAddress, queue_labels};
use crate::published::{QueueStatus, SnapshotStore};
use crate::source::Sources;
use crate::source::events::{Applied, Content, Route, Routes};
use crate::telemetry::metrics::{MessageResult, Metrics, Part};
use crate::telemetry::panics::caught_in;
use health::Health;
use heartbeats::{Change, Heartbeats};
use queue::Reader;

/// How often it is logged again that a queue has messages which are no events, or not for this program.
const WARNED_EVERY: Duration = Duration::from_secs(3600);

/// The accounts and regions that are remembered as warned of; a message can name any.
const MAX_WARNED: usize = 100;

/// All readers. They end when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Readers {
    _tasks: JoinSet<()>,
}

impl Readers {
    /// Begins to read the queues of the configuration.
    pub(crate) fn begin(config: &Config, aws: &Aws, sources: &Sources, store: &SnapshotStore) -> Self {
        let addresses = if config.reads_queues() { &config.event_queues[..] } else { &[] };
        let queue = |address| sources.queue(address).or_else(|| aws.queue(address));
        let queues: Vec<_> = addresses.iter().filter_map(queue).collect();
        let address = |queue: &Queue| QueueAddress {
            region: Some(queue.region().to_owned()),
            ..queue.address().clone()
        };
        let names = queue_labels(&queues.iter().map(address).collect::<Vec<_>>());
        let since = store.clock.now();
        let status = |name: &String| QueueStatus {
            name: name.clone(),
            is_readable: None,
            since,
            problem: None,
            undeleted: None,
        };
        store.queues.send_replace(names.iter().map(status).collect());
        let source_names: Vec<_> = sources.specs().map(|spec| &*spec.name).collect();
        store.metrics.queues(&names, &source_names);
        let mut tasks = JoinSet::new();
        for (position, (queue, name)) in queues.into_iter().zip(names).enumerate() {
            let health = Health::new(name.clone(), store.clone(), position);
            let dispatch = Arc::new(Dispatch {
                name,
                region: queue.region().to_owned(),
                routes: sources.routes().clone(),
                metrics: store.metrics(),
                clock: store.clock(),
                warned: Mutex::default(),
                heartbeats: Mutex::default(),
            });
            tasks.spawn(Reader::new(queue, dispatch, health).run());
        }
        Self { _tasks: tasks }
    }
}

/// Hands the messages of one queue to the sources.
#[derive(Debug)]
struct Dispatch {
    name: String,
    region: String,
    routes: Routes,
    metrics: Metrics,
    clock: Clock,
    /// When it was last logged that messages are no events (`None`), or of an account and region.
    warned: Mutex<BTreeMap<Option<(String, String)>, Instant>>,
    heartbeats: Mutex<Heartbeats>,
}

impl Dispatch {
    /// Hands messages over. Returns those that may be deleted.
    async fn all(&self, messages: Vec<Message>) -> Vec<Receipt> {
        let received = Instant::now();
        let names = &self.routes.names();
        let one = |message: Message| async move {
            let result = self.one(Notice::parse(message.body.as_bytes(), names), received).await?;
            self.metrics.message(&self.name, result);
            Some(message.receipt)
        };
        let results = futures_util::future::join_all(messages.into_iter().map(one)).await;
        results.into_iter().flatten().collect()
    }

    /// `None` if a source could not take the message: it panicked, or was ended.
    async fn one(&self, notice: Notice, received: Instant) -> Option<MessageResult> {
        match notice {
            Notice::Foreign => {
                if self.is_to_be_warned(None) {
                    warn!(queue = %self.name, "a message of the queue is no event, and is ignored");
                }
                Some(MessageResult::Foreign)
            }
            Notice::Heartbeat { account, region, sent } => {
                let place = (account.clone(), region.clone().unwrap_or_else(|| self.region.clone()));
                let sign = self.sign(account, region, received, MessageResult::Heartbeat, Content::Heartbeat);
                let result = sign.await?;
                if result == MessageResult::Heartbeat {
                    self.count_heartbeat(place, sent.unwrap_or_else(|| self.clock.read().now()));
                }
                Some(result)
            }
            Notice::Ignored { account, region } => {
                self.sign(account, region, received, MessageResult::Ignored, Content::Ignored).await
            }
            Notice::Malformed { cluster: Some(cluster), task: Some(task), .. } => {
                self.unreadable(cluster, task, received).await
            }
            Notice::Malformed { .. } => Some(MessageResult::Malformed),
            Notice::Task(notice) => self.task(*notice, received).await,
        }
    }

    async fn task(&self, notice: TaskNotice, received: Instant) -> Option<MessageResult> {
        let TaskNotice { cluster, task, version, updated } = notice;
        let mut routes = self.routes_to(&cluster);
        let Some(last) = routes.pop() else {
            self.warn_of_unrelated(cluster.account(), cluster.region());
            return Some(MessageResult::Unrelated);
        };
        let now = self.clock.now();
        let updated = updated
            .map_or(now, |updated| now.saturating_sub(self.clock.read().now().saturating_sub(updated)));
        let event = TaskEvent { cluster, task, version, updated };
        let mut result = MessageResult::Unrelated;
        for route in routes {
            result = of_event(route.deliver(Content::Event(Box::new(event.clone())), received).await?);
        }
        let of_last = of_event(last.deliver(Content::Event(Box::new(event)), received).await?);
        Some(if of_last == MessageResult::Unrelated { result } else { of_last })
    }

    /// An event that cannot be read names its task: AWS is asked.
    async fn unreadable(
        &self,
        cluster: ClusterArn,
        task: TaskArn,
        received: Instant,
    ) -> Option<MessageResult> {
        for route in self.routes_to(&cluster) {
            let wish = Wish::Running(cluster.clone(), task.clone());
            route.deliver(Content::Unreadable(wish), received).await?;
        }
        Some(MessageResult::Malformed)
    }

    async fn sign(
        &self,
        account: Option<String>,
        region: Option<String>,
        received: Instant,
        result: MessageResult,
        content: fn(Option<String>) -> Content,
    ) -> Option<MessageResult> {
        let region = region.unwrap_or_else(|| self.region.clone());
        let routes = self.routes.of(account.as_deref(), &region);
        if routes.is_empty() {
            self.warn_of_unrelated(account.as_deref().unwrap_or_default(), &region);
            return Some(MessageResult::Unrelated);
        }
        let mut applied = BTreeSet::new();
        for route in routes {
            applied.insert(route.deliver(content(account.clone()), received).await? == Applied::Sign);
        }
        Some(if applied.contains(&true) { result } else { MessageResult::Unrelated })
    }

    fn routes_to(&self, cluster: &ClusterArn) -> Vec<Route> {
        let mut routes = self.routes.of(Some(cluster.account()), cluster.region());
        routes.retain(|route| route.selects(cluster));
        routes
    }

    fn warn_of_unrelated(&self, account: &str, region: &str) {
        if self.is_to_be_warned(Some((account.to_owned(), region.to_owned()))) {
            warn!(
                queue = %self.name,
                account,
                region,
                "the queue has events of an account, region or cluster that is not discovered; they are ignored"
            );
        }
    }

    fn count_heartbeat(&self, place: heartbeats::Place, sent: Duration) {
        let (account, region) = (place.0.clone().unwrap_or_default(), place.1.clone());
        let mut heartbeats = self.heartbeats.lock().unwrap_or_else(PoisonError::into_inner);
        match heartbeats.add(place, sent) {
            None => {}
            Some(Change::Few) => warn!(
                queue = %self.name,
                account,
                region,
                "fewer than 8 heartbeats came in ten minutes; does another program read the queue?"
            ),
            Some(Change::Complete) => {
                info!(queue = %self.name, account, region, "heartbeats come every minute again");
            }
        }
    }

    fn is_to_be_warned(&self, of: Option<(String, String)>) -> bool {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        warned.retain(|_, at| now - *at < WARNED_EVERY);
        if warned.contains_key(&of) || warned.len() >= MAX_WARNED {
            return false;
        }
        warned.insert(of, now);
        true
    }
}

fn of_event(applied: Applied) -> MessageResult {
    match applied {
        Applied::Event(EventResult::Applied) => MessageResult::Applied,
        Applied::Event(EventResult::Duplicate) | Applied::Sign => MessageResult::Duplicate,
        Applied::Event(EventResult::Stale) => MessageResult::Stale,
        Applied::Unrelated => MessageResult::Unrelated,
    }
}

/// Catches a panic of work that is not done again.
async fn count_panic(metrics: &Metrics, work: impl Future<Output = ()>) {
    if let Err(panicked) = caught_in(work).await {
        metrics.panicked(Part::Events, &panicked);
    }
}
