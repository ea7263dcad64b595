//! Listings that break off, never end, or leave out what is there; clusters that go while they are looked at.

use std::sync::atomic::{AtomicBool, Ordering};

use ecs_simulator::{Calls, Damage, Fault, OWN_ACCOUNT, World};

use super::super::{REGION, Stage, fleet};
use super::calls::{Trouble, check};
use super::trial::{NEXT_REFRESH, PARTNER, ROLE, Trial, launch, populate, world};

const LISTINGS: [&str; 4] = ["ListClusters", "ListTasks", "DescribeInstances", "DescribeInstanceInformation"];

#[tokio::test(start_paused = true)]
async fn pages_that_repeat_their_token_never_end_or_fail_after_the_first_cost_nothing() {
    let fails_later = Trouble::new("the second page fails", |aws, calls| {
        aws.inject(Fault::SameTokenForEver, calls.clone());
        aws.inject(Fault::Unavailable, calls.for_further_pages());
    });
    let troubles = [Trouble::of(Fault::SameTokenForEver), Trouble::of(Fault::NewTokenForEver), fails_later];
    check(&LISTINGS, &troubles).await;
}

/// More than a page of tasks, or of clusters.
fn two_pages(operation: &str) -> World {
    let mut world = fleet(&[("a", if operation == "ListTasks" { 130 } else { 3 })]);
    if operation == "ListClusters" {
        for number in 0..120 {
            world.own(REGION).cluster(&format!("c{number}"));
        }
        launch(world.own(REGION), "z", "last");
    }
    world
}

/// Where there is half a listing, nothing that is on the other half is lost, nor changes the first half anything.
#[tokio::test(start_paused = true)]
async fn half_a_listing_costs_nothing() {
    for operation in ["ListTasks", "ListClusters"] {
        let mut trial = Trial::on(Stage::new(two_pages(operation))).await;
        let before = trial.targets();
        trial.stage.simulator.inject(Fault::Throttled, Calls::of(operation).for_further_pages());
        trial.watch(NEXT_REFRESH, |now| now.are(&before, &format!("{operation}: throttled"))).await;
        trial.heal(NEXT_REFRESH, operation).await;
        // A first page that looks like the only one.
        trial.stage.simulator.on_answer(move |call, answer| {
            if call.operation == operation {
                answer.damage("nextToken", Damage::Absent, "");
            }
        });
        trial.watch(NEXT_REFRESH, |now| now.are(&before, &format!("{operation}: without its token"))).await;
        trial.heal(NEXT_REFRESH, operation).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_listing_while_tasks_run_costs_nothing() {
    for (operation, list) in [("ListTasks", "taskArns"), ("ListClusters", "clusterArns")] {
        let mut trial = Trial::begin(world()).await;
        let before = trial.targets();
        trial.stage.simulator.on_answer(move |call, answer| {
            if call.operation == operation {
                answer.damage(list, Damage::Empty, "");
            }
        });
        trial.watch(5 * NEXT_REFRESH, |now| now.are(&before, operation)).await;
        // What ends meanwhile does leave.
        trial.change(OWN_ACCOUNT, |region| {
            let task = region.clusters["a"].tasks.values().next().unwrap().task_arn.clone();
            region.stop(&task);
        });
        let (fresh, expected) = trial.fresh().await;
        trial.watch(NEXT_REFRESH, |now| now.lie_between(&before, &expected, operation)).await;
        trial.targets().are(&expected, operation);
        trial.becomes(&fresh, NEXT_REFRESH, operation).await;
    }
}

/// Lets the own account's cluster `a` be deleted just before its first call of an operation is answered.
fn delete_before(stage: &Stage, operation: &'static str) {
    let (simulator, gone) = (stage.simulator.clone(), AtomicBool::new(false));
    stage.simulator.on_call(move |call| {
        let is_it = call.operation == operation
            && call.account == OWN_ACCOUNT
            && call.input.to_string().contains("cluster/a\"");
        if is_it && !gone.swap(true, Ordering::Relaxed) {
            simulator.change(|world| world.own(REGION).delete_cluster("a"));
        }
        None
    });
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_goes_while_it_is_looked_at_costs_no_other() {
    for operation in ["ListTasks", "DescribeTasks"] {
        let mut trial = Trial::rechecking(world()).await;
        let before = trial.targets();
        delete_before(&trial.stage, operation);
        // The periods at the start are shorter, and a task may be described again in the third refresh only.
        trial.watch(4 * NEXT_REFRESH, |now| now.are_in(PARTNER, &before, operation)).await;
        assert!(trial.targets().of(OWN_ACCOUNT).is_empty(), "{operation}");
        trial.heal(NEXT_REFRESH, operation).await;
    }
    for operation in ["ListTasks", "DescribeTasks", "DescribeClusters", "DescribeContainerInstances"] {
        let mut world = world();
        populate(world.own(REGION), "a", "more");
        launch(world.own(REGION), "b", "other");
        let stage = Stage::new(world).role(ROLE, None);
        delete_before(&stage, operation);
        let mut trial = Trial::on(stage).await;
        assert_eq!(trial.targets().of(PARTNER).len(), 5, "{operation}: first look");
        trial.watch(NEXT_REFRESH, |_| {}).await;
        assert_eq!(trial.targets().of(OWN_ACCOUNT).len(), 1, "{operation}: first look");
        trial.heal(NEXT_REFRESH, operation).await;
    }
}
