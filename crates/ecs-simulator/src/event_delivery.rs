//! How events come from the regions' rules to the queues, and how a test disturbs that: an event can be lost, delivered
//! twice, or held back.

use std::sync::Arc;
use std::time::Duration;

use crate::aws::Aws;
use crate::wire::{clock, event};
use crate::world::World;
use crate::world::events::Subject;
use crate::world::ids::{fold, mix};

/// How often a rule's schedule sends a heartbeat.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(60);

/// An event on its way to one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its position among the events of its region, from 0 up.
    pub number: u64,
    /// The ARN of the queue.
    pub queue: String,
    /// `ECS Task State Change` or `Scheduled Event`.
    pub detail_type: &'static str,
    /// The task; none for a heartbeat.
    pub task_arn: Option<String>,
    /// The `lastStatus` of the task; empty for a heartbeat.
    pub last_status: String,
    /// The body of the message.
    pub body: String,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventFate {
    /// It is delivered.
    Deliver,
    /// It is lost.
    Drop,
    /// It is delivered twice.
    Duplicate,
    /// It is held back until [`Aws::release_events`].
    Hold,
}

pub(crate) type Fate = Arc<dyn Fn(&Event) -> EventFate + Send + Sync>;

impl Event {
    /// Whether it is a heartbeat.
    pub fn is_heartbeat(&self) -> bool {
        self.task_arn.is_none()
    }

    /// Whether it is among about this share, from 0 to 1, of all events; the seed chooses which.
    pub fn is_in_share(&self, share: f64, seed: u64) -> bool {
        let chosen = mix(seed ^ mix(self.number) ^ fold(&self.queue));
        ((chosen >> 11) as f64 / (1u64 << 53) as f64) < share
    }
}

impl Aws {
    /// Lets `fate` decide what becomes of each event from now on, until [`Aws::heal`]. It must not use this AWS.
    pub fn on_event(&self, fate: impl Fn(&Event) -> EventFate + Send + Sync + 'static) {
        self.set_fate(Some(Arc::new(fate)));
    }

    /// Delivers the events that were held back, in their order; returns how many there were.
    pub fn release_events(&self) -> usize {
        self.change(|world| {
            let held = std::mem::take(&mut world.held_events);
            let count = held.len();
            held.into_iter().for_each(|(queue, body)| send(world, &queue, body));
            count
        })
    }

    /// Sends the heartbeats of all rules each minute, by tokio's clock. It never ends: drop it to stop.
    pub async fn send_heartbeats(&self) {
        loop {
            tokio::time::sleep(HEARTBEAT_INTERVAL).await;
            self.change(World::heartbeat);
        }
    }
}

/// Delivers the events that came about in the world since the last time.
pub(crate) fn deliver(world: &mut World, fate: Option<&Fate>) {
    let mut events = Vec::new();
    let (clock, moment) = (world.clock, clock::moment(world));
    for region in world.regions_mut() {
        for mut emission in std::mem::take(&mut region.emissions) {
            let body = event::body(&emission, region, event::time(&emission, clock, moment));
            let (detail_type, task_arn, last_status) = match &emission.subject {
                Subject::Task(task) => (event::TASK, Some(task.task_arn.clone()), task.last_status.clone()),
                Subject::Schedule(_) => (event::SCHEDULED, None, String::new()),
            };
            for queue in std::mem::take(&mut emission.targets) {
                events.push(Event {
                    number: emission.number,
                    queue,
                    detail_type,
                    task_arn: task_arn.clone(),
                    last_status: last_status.clone(),
                    body: body.clone(),
                });
            }
        }
    }
    for event in events {
        match fate.map_or(EventFate::Deliver, |fate| fate(&event)) {
            EventFate::Deliver => send(world, &event.queue, event.body),
            EventFate::Drop => {}
            EventFate::Duplicate => {
                send(world, &event.queue, event.body.clone());
                send(world, &event.queue, event.body);
            }
            EventFate::Hold => world.held_events.push((event.queue, event.body)),
        }
    }
}

/// Sends to a queue. EventBridge gives up an event whose queue is not there.
fn send(world: &mut World, queue_arn: &str, body: String) {
    let mut parts = queue_arn.split(':').skip(3);
    let (Some(region), Some(account), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return;
    };
    let region = world.accounts.get_mut(account).and_then(|account| account.regions.get_mut(region));
    if let Some(queue) = region.and_then(|region| region.queues.get_mut(name)) {
        queue.send(body);
    }
}
