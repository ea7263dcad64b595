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

use std::time::Duration;

use ecs_discovery::snapshot::ScopeStatus;
use ecs_simulator::{Call, Delivery, OWN_ACCOUNT, Placement, Response, World};
use prometheus_ecs_sd::discovery::Outcome;
use prometheus_ecs_sd::published::Published;
use tokio::time::Instant;

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
    let held =
        published.snapshot.scopes.values().filter(|scope| matches!(scope.status, ScopeStatus::Stale(_)));
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

/// 55 of 60 clusters fail, by errors or by time-outs, the first in order among them.
#[tokio::test(start_paused = true)]
async fn healthy_clusters_are_read_while_most_others_fail() {
    const HEALTHY: [&str; 5] = ["c11", "c23", "c37", "c48", "c59"];
    let stalled = |_: &Call| Response { delivery: Delivery::Stalled, ..Response::json(200, "{}") };
    let failures: [fn(&Call) -> Response; 2] = [Response::server_error, stalled];
    for fail in failures {
        let names: Vec<String> = (0..60).map(|number| format!("c{number:02}")).collect();
        let stage = Stage::new(fleet(&names.iter().map(|name| (&**name, 1)).collect::<Vec<_>>()));
        let mut running = stage.run().await;
        running.next().await;
        stage.simulator.on_call(move |call| {
            let cluster = call.cluster.as_deref()?;
            let is_healthy = HEALTHY.iter().any(|name| cluster.ends_with(name));
            (call.operation == "ListTasks" && !is_healthy).then(|| fail(call))
        });
        // This refresh finds out which clusters fail.
        running.next().await;
        stage.change(|region| {
            let definition = region.task_definitions.keys().next().unwrap().clone();
            names.iter().for_each(|name| drop(region.run(name, &definition, Placement::Fargate)));
        });
        let begun = Instant::now();
        let targets = |published: &Published| -> Vec<_> {
            let scopes = published.snapshot.scopes.iter();
            let new = scopes.filter(|(_, scope)| scope.derived.targets.len() == 2);
            new.map(|(cluster, _)| cluster.last_part().to_owned()).collect()
        };
        let mut published = running.next().await;
        while targets(&published) != HEALTHY {
            published = running.next().await;
        }
        assert!(begun.elapsed() <= 2 * stage.config.interval, "{:?}", begun.elapsed());
        for (cluster, scope) in &published.snapshot.scopes {
            assert_eq!(scope.problem().is_none(), HEALTHY.contains(&cluster.last_part()), "{cluster}");
        }
    }
}

/// One cluster still fails after an outage of all.
#[tokio::test(start_paused = true)]
async fn clusters_of_many_pages_are_read_again_after_an_outage() {
    let names: Vec<String> = (0..12).map(|number| format!("c{number:02}")).collect();
    let stage = Stage::new(fleet(&names.iter().map(|name| (&**name, 250)).collect::<Vec<_>>()));
    let mut running = stage.run().await;
    running.next().await;
    let stalled = |_: &Call| Response { delivery: Delivery::Stalled, ..Response::json(200, "{}") };
    stage.simulator.on_call(move |call| (call.operation == "ListTasks").then(|| stalled(call)));
    running.next().await;
    running.next().await;
    stage.simulator.heal();
    stage.simulator.on_call(move |call| {
        let is_hit = call.operation == "ListTasks" && call.cluster.as_deref()?.ends_with("c05");
        is_hit.then(|| stalled(call))
    });
    running.next().await;
    let published = running.next().await;
    let failing = published.snapshot.scopes.iter().filter(|(_, scope)| scope.problem().is_some());
    assert_eq!(failing.map(|(cluster, _)| cluster.last_part()).collect::<Vec<_>>(), ["c05"]);
}

/// An outage is told within two intervals, however many clusters there are.
#[tokio::test(start_paused = true)]
async fn a_refresh_ends_though_every_cluster_begins_to_time_out() {
    let names: Vec<String> = (0..200).map(|number| format!("c{number:03}")).collect();
    let stage = Stage::new(fleet(&names.iter().map(|name| (&**name, 1)).collect::<Vec<_>>()));
    let mut running = stage.run().await;
    running.next().await;
    stage.simulator.on_call(|call| {
        let stalled = Response { delivery: Delivery::Stalled, ..Response::json(200, "{}") };
        (call.operation == "ListTasks").then_some(stalled)
    });
    let begun = Instant::now();
    let published = running.next().await;
    assert!(begun.elapsed() <= Duration::from_secs(180), "{:?}", begun.elapsed());
    assert_eq!((published.snapshot.stale(), published.snapshot.target_count()), (200, 200));
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
