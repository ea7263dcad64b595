//! Which sources have a queue: the others are refreshed as without events.

use std::time::Duration;

use ecs_simulator::Placement;
use prometheus_ecs_sd::config::QueueAddress;
use prometheus_ecs_sd::published::EventStatus;
use prometheus_ecs_sd::sinks::http::metrics::Format;

use super::super::{REGION, Running, Stage, fleet, opted_in};
use super::told;

const OTHER_REGION: &str = "us-east-1";
const PARTNER: &str = "222222222222";
const ROLE: &str = "arn:aws:iam::222222222222:role/reader";

/// Lets minutes pass with a heartbeat each.
async fn minutes(stage: &Stage, minutes: usize) {
    for _ in 0..minutes {
        stage.simulator.change(|world| world.heartbeat());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

fn statuses(running: &Running) -> Vec<(EventStatus, Duration)> {
    running.sources().iter().map(|source| (source.events, source.interval)).collect()
}

const MINUTE: Duration = Duration::from_secs(60);
const RARELY: Duration = Duration::from_secs(600);

#[tokio::test(start_paused = true)]
async fn a_region_without_a_queue_is_polled_and_alerts_nobody() {
    let stage = told(fleet(&[("prod", 1)])).regions(&[REGION, OTHER_REGION]);
    let running = stage.run().await;
    assert_eq!(statuses(&running), [(EventStatus::Waiting, MINUTE), (EventStatus::Off, MINUTE)]);
    minutes(&stage, 10).await;
    assert_eq!(statuses(&running), [(EventStatus::Live, RARELY), (EventStatus::Off, MINUTE)]);
    let page = running.metrics(Format::Text);
    assert!(page.contains("ecs_sd_events_live{source=\"own account eu-central-1\"} 1\n"), "{page}");
    assert!(!page.contains("ecs_sd_events_live{source=\"own account us-east-1\"}"), "{page}");
}

/// The tasks of the own account and of a role's account, each with a rule.
fn two_accounts(queues: [bool; 2], target_of_partner: &str) -> Stage {
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(ROLE, None);
    let partner = world.region(PARTNER, REGION);
    let definition = partner.register(opted_in("web"));
    partner.run("partner", &definition, Placement::Fargate);
    let arns = [ecs_simulator::OWN_ACCOUNT, PARTNER].map(|account| {
        let queue = world.region(account, REGION).create_queue("events");
        world.region(account, REGION).route_events(&queue);
        queue
    });
    if target_of_partner == "central" {
        world.region(PARTNER, REGION).rule("prometheus-ecs-sd").targets = vec![arns[0].clone()];
    }
    let mut stage = Stage::new(world).role(ROLE, None);
    let read = arns.iter().zip(queues).filter(|(_, is_read)| *is_read);
    stage.config.event_queues = read.map(|(arn, _)| QueueAddress::parse(arn).unwrap()).collect();
    stage
}

#[tokio::test(start_paused = true)]
async fn an_account_without_a_queue_is_polled() {
    for (queues, live) in [([true, false], 0), ([false, true], 1)] {
        let stage = two_accounts(queues, "own");
        let running = stage.run().await;
        minutes(&stage, 10).await;
        let mut expected = [(EventStatus::Off, MINUTE); 2];
        expected[live] = (EventStatus::Live, RARELY);
        assert_eq!(statuses(&running), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_whose_events_are_in_a_central_queue_is_live_once_they_come() {
    let stage = two_accounts([true, false], "central");
    let mut running = stage.run().await;
    running.round().await;
    assert_eq!(statuses(&running)[1], (EventStatus::Off, MINUTE));
    minutes(&stage, 4).await;
    assert_eq!(statuses(&running), [(EventStatus::Live, RARELY); 2]);
    // A reload changes nothing of that.
    let mut config = stage.config.clone();
    config.interval = Duration::from_secs(50);
    running.replace(&config).await.unwrap();
    minutes(&stage, 2).await;
    assert_eq!(statuses(&running), [(EventStatus::Live, RARELY); 2]);
    stage.simulator.change(|world| world.region(PARTNER, REGION).rule("prometheus-ecs-sd").enabled = false);
    minutes(&stage, 4).await;
    assert_eq!(statuses(&running)[1], (EventStatus::Waiting, Duration::from_secs(50)));
}

/// The role reads the own account in one region, and the program's credentials read the other one.
#[tokio::test(start_paused = true)]
async fn a_queue_of_the_own_account_serves_a_region_that_no_role_reads() {
    let own_role = format!("arn:aws:iam::{}:role/reader", ecs_simulator::OWN_ACCOUNT);
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(&own_role, None);
    let mut stage = told(world).role(&own_role, None);
    stage.config.accounts[1].regions = vec![OTHER_REGION.to_owned()];
    let running = stage.run().await;
    assert_eq!(statuses(&running), [(EventStatus::Waiting, MINUTE), (EventStatus::Off, MINUTE)]);
}

#[tokio::test(start_paused = true)]
async fn an_account_that_loses_its_central_queue_is_polled_again() {
    let mut stage = two_accounts([true, false], "central");
    let other = stage.simulator.change(|world| world.own(REGION).create_queue("other"));
    stage.config.event_queues.push(QueueAddress::parse(&other).unwrap());
    let running = stage.run().await;
    minutes(&stage, 4).await;
    assert_eq!(statuses(&running)[1], (EventStatus::Live, RARELY));
    stage.config.event_queues.remove(0);
    running.replace(&stage.config).await.unwrap();
    minutes(&stage, 4).await;
    assert_eq!(statuses(&running)[1], (EventStatus::Off, MINUTE));
}

#[tokio::test(start_paused = true)]
async fn a_source_that_loses_its_queue_is_polled_again() {
    let stage = told(fleet(&[("prod", 1)]));
    let running = stage.run().await;
    minutes(&stage, 4).await;
    assert_eq!(statuses(&running), [(EventStatus::Live, RARELY)]);
    let mut config = stage.config.clone();
    config.event_queues.clear();
    running.replace(&config).await.unwrap();
    minutes(&stage, 4).await;
    assert_eq!(statuses(&running), [(EventStatus::Off, MINUTE)]);
}
