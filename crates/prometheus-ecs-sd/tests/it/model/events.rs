//! How events come from AWS to the program, and what becomes of them on their way.

use std::time::Duration;

use ecs_simulator::{Aws, Event, EventFate, OWN_ACCOUNT};
use prometheus_ecs_sd::config::QueueAddress;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample;
use tokio::task::JoinSet;

use super::changes::PARTNER;
use crate::simulated::{REGION, Stage};

const QUEUE: &str = "events";

/// That the program reads queues, one in each account.
#[derive(Clone, Debug)]
pub(super) struct Events {
    /// Seconds between refreshes while events are live. A short one makes events and refreshes meet often.
    pub(super) reconcile: u16,
    /// Whether messages are received in another order than they were sent.
    pub(super) shuffled: bool,
}

/// What becomes of events from now on, in percent.
#[derive(Clone, Debug)]
pub(super) struct Fate {
    pub(super) lost: u8,
    pub(super) doubled: u8,
    pub(super) held: u8,
    /// Whether that becomes of heartbeats as well.
    pub(super) heartbeats: bool,
    pub(super) seed: u8,
}

impl Events {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let reconcile = prop_oneof![2 => Just(60), 1 => Just(150), 3 => Just(600)];
        (reconcile, any::<bool>()).prop_map(|(reconcile, shuffled)| Self { reconcile, shuffled })
    }

    /// Delivers the events of both accounts, and heartbeats, to queues that the program reads.
    pub(super) fn begin(&self, stage: &mut Stage) -> JoinSet<()> {
        stage.config.reconcile_interval = Duration::from_secs(self.reconcile.into());
        for account in [OWN_ACCOUNT, PARTNER] {
            let arn = stage.simulator.change(|world| {
                let region = world.region(account, REGION);
                let arn = region.create_queue(QUEUE);
                region.queue(QUEUE).shuffle = self.shuffled.then_some(1);
                region.route_events(&arn);
                arn
            });
            stage.config.event_queues.push(QueueAddress::parse(&arn).unwrap());
        }
        let (mut heartbeats, aws) = (JoinSet::new(), stage.simulator.clone());
        heartbeats.spawn(async move { aws.send_heartbeats().await });
        heartbeats
    }

    /// Deletes all that is on its way to the program.
    pub(super) fn purge(aws: &Aws) {
        aws.release_events();
        aws.change(|world| {
            for account in [OWN_ACCOUNT, PARTNER] {
                world.region(account, REGION).queue(QUEUE).purge();
            }
        });
    }
}

impl Fate {
    pub(super) const DELIVERED: Self = Self { lost: 0, doubled: 0, held: 0, heartbeats: false, seed: 0 };

    pub(super) fn any() -> impl Strategy<Value = Self> {
        let percent = || sample::select(&[0, 0, 10, 50, 100][..]);
        (percent(), percent(), percent(), any::<bool>(), any::<u8>()).prop_map(
            |(lost, doubled, held, heartbeats, seed)| Self { lost, doubled, held, heartbeats, seed },
        )
    }

    pub(super) fn begin(&self, aws: &Aws) {
        let fate = self.clone();
        aws.on_event(move |event| fate.of(event));
    }

    fn of(&self, event: &Event) -> EventFate {
        if event.is_heartbeat() && !self.heartbeats {
            return EventFate::Deliver;
        }
        let fates = [
            (self.lost, EventFate::Drop),
            (self.held, EventFate::Hold),
            (self.doubled, EventFate::Duplicate),
        ];
        let mut seeds = u64::from(self.seed) * 3..;
        let is_hit = |percent: u8, seed: u64| event.is_in_share(f64::from(percent) / 100.0, seed);
        let hit =
            fates.into_iter().find(|(percent, _)| seeds.next().is_some_and(|seed| is_hit(*percent, seed)));
        hit.map_or(EventFate::Deliver, |(_, fate)| fate)
    }
}
