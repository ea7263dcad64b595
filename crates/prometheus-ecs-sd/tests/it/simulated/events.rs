//! Events from the queue to the target files.

mod deployments;
mod failures;
mod networks;
mod pace;
mod queues;
mod served;
mod tasks;

use std::time::Duration;

use ecs_simulator::{Placement, Region, Run, World};
use insta::assert_snapshot;
use prometheus_ecs_sd::config::QueueAddress;
use prometheus_ecs_sd::published::EventStatus;

use super::{REGION, Running, Stage, fleet, opted_in};

/// Shorter than any refresh is away.
const SOON: Duration = Duration::from_secs(4);

const INTERVALS: [&str; 4] = ["15s", "30s", "1m", "5m"];

/// A stage whose events are delivered to a queue that it reads.
pub(super) fn told(mut world: World) -> Stage {
    let region = world.own(REGION);
    let queue = region.create_queue("events");
    region.route_events(&queue);
    let mut stage = Stage::new(world);
    stage.config.event_queues = vec![QueueAddress::parse(&queue).unwrap()];
    stage
}

/// The same after the refresh by which events became live.
pub(super) async fn live(stage: &Stage) -> Running {
    let mut running = stage.run().await;
    running.next().await;
    stage.change(|region| region.heartbeat());
    running.round().await;
    assert_eq!(running.sources()[0].events, EventStatus::Live);
    stage.asked();
    stage.printed();
    running
}

/// Waits until so many targets are published, without a refresh.
pub(super) async fn targets(running: &mut Running, count: usize) {
    while running.published().snapshot.target_count() != count {
        running.next_within(SOON).await.expect("the change is published soon");
    }
}

/// The calls of ECS and EC2: the queue is read all the time.
pub(super) fn asked(stage: &Stage) -> String {
    let asked = stage.asked();
    asked.lines().filter(|line| !line.contains("sqs ")).collect::<Vec<_>>().join("\n")
}

/// Makes a change while events are live. Returns the calls of ECS, EC2 and SSM that it leads to.
async fn check(world: World, change: impl FnOnce(&mut Region)) -> String {
    let stage = told(world);
    let _running = live(&stage).await;
    calls_after(&stage, change).await
}

/// Makes a change. Soon after, the files are those of a fresh program that polls. Returns the calls in between.
async fn calls_after(stage: &Stage, change: impl FnOnce(&mut Region)) -> String {
    stage.change(change);
    tokio::time::sleep(SOON).await;
    let polled = stage.fresh().await;
    for interval in INTERVALS {
        assert_eq!(stage.file(interval), polled.file(interval), "the file of {interval}");
    }
    assert_eq!(depth(stage), 0);
    asked(stage)
}

fn depth(stage: &Stage) -> usize {
    stage.change(|region| region.queue("events").depth() + region.queue("events").in_flight())
}

fn some_task(stage: &Stage) -> String {
    stage.change(|region| first_task(region))
}

fn first_task(region: &Region) -> String {
    region.clusters["prod"].tasks.values().next().unwrap().task_arn.clone()
}

/// Begins to stop a task that runs.
fn stop_one(region: &mut Region) {
    let mut tasks = region.clusters["prod"].tasks.values();
    let task = tasks.find(|task| task.desired_status == "RUNNING").unwrap().task_arn.clone();
    region.begin_stop(&task);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_stops_leaves_without_a_call() {
    let stage = told(fleet(&[("prod", 2)]));
    let mut running = live(&stage).await;
    let task = some_task(&stage);
    stage.change(|region| region.begin_stop(&task));
    targets(&mut running, 1).await;
    assert_eq!(stage.targets("1m").len(), 1);
    assert_eq!((asked(&stage).as_str(), depth(&stage)), ("", 0));
}

#[tokio::test(start_paused = true)]
async fn a_task_that_starts_is_described_while_it_starts_and_published_when_it_runs() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    let task = stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.start(Run::new("prod", &definition, Placement::Fargate))
    });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_snapshot!(asked(&stage), @"ecs DescribeTasks 1");
    // It is known and does not run: until then there is nothing to scrape.
    assert_eq!(stage.targets("1m").len(), 1);
    stage.change(|region| (0..3).for_each(|_| region.advance(&task)));
    targets(&mut running, 2).await;
    assert_eq!(asked(&stage), "");
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_on_a_new_cluster_is_found_by_its_event() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    stage.change(|region| {
        region.cluster("new");
        let definition = region.register(opted_in("api"));
        region.run("new", &definition, Placement::Fargate)
    });
    targets(&mut running, 2).await;
    assert_snapshot!(asked(&stage), @r"
    ecs DescribeClusters 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ecs ListTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_rare_while_events_are_live() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    for _ in 0..60 {
        stage.change(|region| region.heartbeat());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    let listings = asked(&stage);
    assert!(listings.contains("ecs ListTasks 6"), "{listings}");
    // The files are as fresh as after a refresh.
    assert!(running.next_within(Duration::from_secs(70)).await.unwrap().complete);
}
