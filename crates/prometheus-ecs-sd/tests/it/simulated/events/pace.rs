//! How fast publications follow each other: Prometheus reads whole target files.

use std::time::Duration;

use ecs_simulator::{ContainerDefinition, Placement, Region, TaskDefinition};
use prometheus_ecs_sd::config::QueueAddress;
use prometheus_ecs_sd::published::Published;
use tokio::time::Instant;

use super::super::{REGION, Running, fleet, opted_in};
use super::{SOON, live, stop_one, told};

const OTHER_REGION: &str = "us-east-1";

/// So many targets make a pause of a second.
const TASKS: usize = 2000;
const PAUSE: Duration = Duration::from_secs(1);

/// Far shorter than the pause.
const IMMEDIATELY: Duration = Duration::from_millis(100);

/// Starts a task that opts in and cannot be scraped.
fn start_misconfigured(region: &mut Region) {
    let container = ContainerDefinition::new("app", "shop/app:1").port(8080);
    let container = container.env("PROMETHEUS", "true").env("PROMETHEUS_SCHEME", "ftp");
    let definition = TaskDefinition::new("misconfigured").network_mode("awsvpc").container(container);
    let definition = region.register(definition);
    region.run("prod", &definition, Placement::Fargate);
}

/// Waits for a publication of which that is so, and returns how long that took.
async fn until(running: &mut Running, is_it: impl Fn(&Published) -> bool) -> Duration {
    let began = Instant::now();
    while !is_it(&running.published()) {
        running.next_within(SOON).await.expect("a publication");
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn a_new_finding_does_not_delay_the_target_after_it() {
    let stage = told(fleet(&[("prod", TASKS)]));
    let mut running = live(&stage).await;
    stage.change(start_misconfigured);
    until(&mut running, |published| published.snapshot.not_scraped() == 1).await;
    assert_eq!(running.published().snapshot.target_count(), TASKS);
    stage.change(stop_one);
    let took = until(&mut running, |published| published.snapshot.target_count() == TASKS - 1).await;
    assert!(took < IMMEDIATELY, "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn findings_are_published_no_faster_than_targets() {
    let stage = told(fleet(&[("prod", TASKS)]));
    let mut running = live(&stage).await;
    let mut times = Vec::new();
    for count in 1..=3 {
        stage.change(start_misconfigured);
        until(&mut running, |published| published.snapshot.not_scraped() == count).await;
        times.push(Instant::now());
    }
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= PAUSE.mul_f64(0.99)), "{times:?}");
}

#[tokio::test(start_paused = true)]
async fn the_sources_keep_the_pause_together() {
    let mut world = fleet(&[("prod", TASKS)]);
    let region = world.own(OTHER_REGION);
    let definition = region.register(opted_in("web"));
    (0..TASKS).for_each(|_| drop(region.run("prod", &definition, Placement::Fargate)));
    let queue = region.create_queue("events");
    region.route_events(&queue);
    let mut stage = told(world).regions(&[REGION, OTHER_REGION]);
    stage.config.event_queues.push(QueueAddress::parse(&queue).unwrap());
    let mut running = stage.run().await;
    running.round().await;
    stage.simulator.change(|world| world.heartbeat());
    running.round().await;
    // Each source keeps a pause of a second, and both together one of two.
    let mut times = Vec::new();
    for change in 0..4 {
        let region = [REGION, OTHER_REGION][change % 2];
        stage.simulator.change(|world| stop_one(world.own(region)));
        let left = 2 * TASKS - 1 - change;
        until(&mut running, |published| published.snapshot.target_count() == left).await;
        times.push(Instant::now());
    }
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= (2 * PAUSE).mul_f64(0.99)), "{times:?}");
}
