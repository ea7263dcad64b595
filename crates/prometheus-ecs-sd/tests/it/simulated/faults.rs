//! What goes wrong with AWS harms only itself, and costs no target.

mod answers;
mod calls;
mod denied;
mod files;
mod hosts;
mod items;
mod listings;
mod restart;
mod trial;

use ecs_discovery::snapshot::Standing;
use ecs_simulator::{OWN_ACCOUNT, Placement, Response, World};
use prometheus_ecs_sd::discovery::Outcome;

use super::{REGION, Stage, fleet, opted_in};

const PARTNER: &str = "222222222222";
const ROLE: &str = "arn:aws:iam::222222222222:role/reader";

/// One task in the own account, one in the partner's.
fn two_accounts() -> Stage {
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(ROLE, None);
    let partner = world.region(PARTNER, REGION);
    let definition = partner.register(opted_in("web"));
    partner.run("prod", &definition, Placement::Fargate);
    Stage::new(world).role(ROLE, None)
}

#[tokio::test(start_paused = true)]
async fn a_denied_role_leaves_the_own_account() {
    let stage = two_accounts();
    stage.simulator.change(|world| world.account(PARTNER).roles.clear());
    assert_eq!(stage.once().await, Outcome::Incomplete);
    assert_eq!(stage.targets("1m").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_own_account_that_is_denied_is_no_failure_when_there_are_roles() {
    let stage = two_accounts();
    stage.simulator.on_call(|call| {
        (call.service == "ecs" && call.account == OWN_ACCOUNT).then(|| Response::denied(call))
    });
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_own_account_that_is_denied_without_roles_writes_nothing() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    stage.simulator.on_call(|call| (call.service == "ecs").then(|| Response::denied(call)));
    assert_eq!(stage.once().await, Outcome::Nothing);
    assert!(!stage.path("1m-tasks.json").exists());
}

#[tokio::test(start_paused = true)]
async fn a_role_of_the_own_account_replaces_it() {
    let own_role = format!("arn:aws:iam::{OWN_ACCOUNT}:role/reader");
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(&own_role, None);
    let stage = Stage::new(world).role(&own_role, None);
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 1);
    assert_eq!(stage.simulator.take_ledger().calls("ecs", "ListClusters"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_fails_is_held_while_the_others_go_on() {
    let stage = Stage::new(fleet(&[("bad", 3), ("good", 3)]));
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 6);

    stage.simulator.on_call(|call| {
        let bad = call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("bad"));
        bad.then(|| Response::server_error(call))
    });
    stage.change(|region| {
        for cluster in ["bad", "good"] {
            let task = region.clusters[cluster].tasks.values().next().unwrap().task_arn.clone();
            region.stop(&task);
        }
    });
    let published = running.next().await;
    assert!(!published.complete);
    let held = published.snapshot.scopes.values().filter(|scope| matches!(scope.standing, Standing::Held(_)));
    assert_eq!((held.count(), stage.targets("1m").len()), (1, 5));

    stage.simulator.heal();
    assert!(running.next().await.complete);
    assert_eq!(stage.targets("1m").len(), 4);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_is_known() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    std::fs::write(stage.path("1m-tasks.json"), "of the run before").unwrap();
    stage.simulator.on_call(|call| Some(Response::throttled(call)));
    assert_eq!(stage.once().await, Outcome::Nothing);
    assert_eq!(stage.file("1m"), "of the run before");
}

#[tokio::test(start_paused = true)]
async fn a_slow_region_delays_no_other_after_the_first_refresh() {
    let mut world = fleet(&[("prod", 1)]);
    let other = world.own("us-east-1");
    let definition = other.register(opted_in("web"));
    other.run("prod", &definition, Placement::Fargate);
    let stage = Stage::new(world).regions(&[REGION, "us-east-1"]);
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);

    stage.simulator.on_call(|call| {
        (call.region == "us-east-1").then(|| {
            let mut response = Response::unavailable(call);
            response.delivery = ecs_simulator::Delivery::Stalled;
            response
        })
    });
    stage.change(|region| {
        let task = region.clusters["prod"].tasks.values().next().unwrap().task_arn.clone();
        region.stop(&task);
    });
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn no_clusters_at_all_is_an_answer() {
    let stage = Stage::new(World::new(1));
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.file("1m"), "[]\n");
}

/// What a run before has left.
const BEFORE: &str = "[\n{\"targets\":[\"10.9.9.9:80\"],\"labels\":{}}\n]\n";

#[tokio::test(start_paused = true)]
async fn a_restart_amid_trouble_takes_nothing_of_the_run_before_away() {
    let stage = Stage::new(fleet(&[("bad", 1), ("good", 1)]));
    std::fs::write(stage.path("1m-tasks.json"), BEFORE).unwrap();
    std::fs::write(stage.path("5m-tasks.json"), BEFORE).unwrap();
    stage.simulator.on_call(|call| {
        let bad = call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("bad"));
        bad.then(|| Response::throttled(call))
    });
    let mut running = stage.run().await;
    // Targets that can be read are added. A target without a cluster label may belong to the unreadable cluster.
    for _ in 0..5 {
        running.next().await;
        assert_eq!(stage.targets("1m"), ["10.0.0.5:8080", "10.9.9.9:80"]);
        assert_eq!(stage.file("5m"), BEFORE);
    }

    stage.simulator.heal();
    running.next().await;
    assert_eq!((stage.targets("1m").len(), stage.file("5m").as_str()), (2, "[]\n"));
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_always_fails_is_not_tried_for_ever() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    for number in 0..100 {
        let definition = region.register(opted_in(&format!("family-{number}")));
        region.run("prod", &definition, Placement::Fargate);
    }
    let stage = Stage::new(world);
    stage
        .simulator
        .on_call(|call| (call.operation == "DescribeTaskDefinition").then(|| Response::server_error(call)));
    assert_eq!(stage.once().await, Outcome::Nothing);
    let ledger = stage.simulator.take_ledger();
    // Sixteen failures of three attempts each, and those that were on their way.
    assert!((48..=72).contains(&ledger.calls("ecs", "DescribeTaskDefinition")), "{ledger}");
}
