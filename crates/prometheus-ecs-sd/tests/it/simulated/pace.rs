//! How fast AWS is asked: as fast as a share of its limits allows, and not faster.

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecs_simulator::worlds::{Size, large};
use ecs_simulator::{Call, OWN_ACCESS_KEY, Placement, Region, Request, Response, World, least_seconds};
use prometheus_ecs_sd::config::Share;
use prometheus_ecs_sd::discovery::Outcome;
use tokio::time::{Instant, sleep};

use super::{REGION, Stage, opted_in};

const LATENCY: Duration = Duration::from_millis(20);
const ROLE: &str = "arn:aws:iam::222222222222:role/reader";
/// Of definitions at full share: nine tenths of AWS's.
const BURST: usize = 45;
/// Of definitions at full share, a second.
const RATE: usize = 20;

/// An AWS that meters, some way off, all of whose limits may be used.
fn metered(world: World) -> Stage {
    let mut stage = Stage::new(world);
    stage.config.api_share = Share::ALL;
    stage.simulator.set_latency(LATENCY);
    stage.simulator.enforce_limits();
    stage
}

/// Discovers such a world once, in little more than the time that the limits allow at best.
async fn check(size: Size, share: f64) {
    let mut stage = metered(large(size));
    stage.config.api_share = share.to_string().parse().unwrap();
    let began = Instant::now();
    assert_eq!(stage.once().await, Outcome::Complete);
    let took = began.elapsed().as_secs_f64();
    let ledger = stage.simulator.take_ledger();
    let pages = ledger.calls("ecs", "ListTasks") as f64 / size.clusters as f64;
    let least = least_seconds(&ledger, share).max(pages * LATENCY.as_secs_f64());
    assert_eq!(ledger.refused(), 0, "{ledger}");
    assert!(took < 1.15 * least, "{took} s instead of {least} s for\n{ledger}");
}

#[tokio::test(start_paused = true)]
async fn a_first_discovery_takes_as_long_as_the_limits_make_it() {
    check(Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 }, 1.0).await;
}

#[tokio::test(start_paused = true)]
async fn with_half_of_the_limits_a_first_discovery_takes_as_long_as_half_of_them_make_it() {
    check(Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 }, 0.5).await;
}

#[tokio::test(start_paused = true)]
async fn one_large_cluster_is_described_while_it_is_listed_page_after_page() {
    check(Size { tasks: 10_000, clusters: 1, definitions: 40, hosts: 500 }, 1.0).await;
}

/// So many definitions, and a task of each.
fn define(region: &mut Region, definitions: usize) {
    for number in 0..definitions {
        let definition = region.register(opted_in(&format!("family-{number}")));
        region.run("prod", &definition, Placement::Fargate);
    }
}

fn definitions(count: usize) -> World {
    let mut world = World::new(1);
    define(world.own(REGION), count);
    world
}

fn is_definition(call: &Call) -> bool {
    call.operation == "DescribeTaskDefinition"
}

/// When calls came, in seconds.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<Vec<(String, f64)>>>);

impl Times {
    /// Writes calls down from now on, and lets `fault` have its say with the number of seconds since.
    fn of(stage: &Stage, fault: impl Fn(&Call, f64) -> Option<Response> + Send + Sync + 'static) -> Self {
        let times = Self::default();
        let (began, written) = (Instant::now(), times.clone());
        stage.simulator.on_call(move |call| {
            let at = began.elapsed().as_secs_f64();
            written.0.lock().unwrap().push((call.operation.clone(), at));
            fault(call, at)
        });
        times
    }

    fn within(&self, operation: &str, seconds: Range<f64>) -> usize {
        let times = self.0.lock().unwrap();
        times.iter().filter(|(name, at)| name == operation && seconds.contains(at)).count()
    }

    fn last(&self, operation: &str) -> f64 {
        let times = self.0.lock().unwrap();
        times.iter().rev().find(|(name, _)| name == operation).unwrap().1
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_bucket_delays_only_what_draws_on_it() {
    let mut world = World::new(1);
    for cluster in 0..10 {
        let region = world.own(REGION);
        for number in 0..200 {
            let definition = region.register(opted_in(&format!("family-{cluster}-{}", number / 4)));
            region.run(&format!("cluster-{cluster}"), &definition, Placement::Fargate);
        }
    }
    let stage = metered(world);
    let times = Times::of(&stage, |_, _| None);
    assert_eq!(stage.once().await, Outcome::Complete);
    assert!(times.last("DescribeTaskDefinition") > 20.0);
    assert!(times.last("DescribeTasks") < 1.0 && times.last("ListTasks") < 1.0);
}

#[tokio::test(start_paused = true)]
async fn accounts_do_not_wait_for_each_other_and_roles_of_one_account_do() {
    const OTHER: &str = "arn:aws:iam::222222222222:role/other";
    let time = async |roles: &[&str]| {
        let mut world = definitions(BURST + 10 * RATE);
        define(world.region("222222222222", REGION), BURST + 10 * RATE);
        roles.iter().for_each(|role| world.allow_role(role, None));
        let stage = roles.iter().fold(metered(world), |stage, role| stage.role(role, None));
        let began = Instant::now();
        assert_eq!(stage.once().await, Outcome::Complete);
        assert_eq!(stage.simulator.take_ledger().refused(), 0);
        began.elapsed().as_secs_f64().round()
    };
    assert_eq!(time(&[]).await, 10.0);
    assert_eq!(time(&[ROLE]).await, 10.0);
    assert_eq!(time(&[ROLE, OTHER]).await, 22.0);
}

#[tokio::test(start_paused = true)]
async fn throttling_halves_the_rate_for_a_while_and_loses_nothing() {
    let stage = metered(definitions(1_200));
    let turn = Mutex::new(false);
    let times = Times::of(&stage, move |call, at| {
        let throttled = is_definition(call) && (10.0..10.9).contains(&at) && {
            let mut turn = turn.lock().unwrap();
            *turn = !*turn;
            *turn
        };
        throttled.then(|| Response::throttled(call))
    });
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 1_200);
    let asked = |seconds| times.within("DescribeTaskDefinition", seconds);
    for (seconds, rate) in [(5.0..10.0, RATE), (12.0..39.0, RATE / 2), (42.0..60.0, RATE)] {
        let expected = (seconds.end - seconds.start) as usize * rate;
        assert!(asked(seconds.clone()).abs_diff(expected) <= 1, "{} in {seconds:?}", asked(seconds.clone()));
    }
    let refused = stage.simulator.take_ledger().refused();
    assert!((3..=10).contains(&refused), "{refused}");
}

/// Takes all that AWS lets through of definitions, for a while; says how often it was refused.
async fn drain(aws: &ecs_simulator::Aws, seconds: u64) -> u64 {
    let request = Request::post("{}")
        .header("x-amz-target", "AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition")
        .signed(OWN_ACCESS_KEY, REGION, "ecs");
    let until = Instant::now() + Duration::from_secs(seconds);
    let mut refused = 0;
    while Instant::now() < until {
        // Without a definition's name, an answer is an error all the same.
        aws.answer(&request);
        refused += 1;
        sleep(Duration::from_millis(25)).await;
    }
    refused
}

#[tokio::test(start_paused = true)]
async fn whoever_else_drains_the_account_is_made_way_for() {
    let stage = metered(definitions(400));
    let mut running = stage.run().await;
    let others = drain(&stage.simulator, 20).await;
    while !running.next().await.complete {}
    assert_eq!(stage.targets("1m").len(), 400);
    let refused = stage.simulator.take_ledger().refused() - others;
    assert!((1..=20).contains(&refused), "{refused}");
}
