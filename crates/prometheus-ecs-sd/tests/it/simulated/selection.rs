//! Which clusters, accounts and regions are looked at.

use insta::assert_snapshot;
use prometheus_ecs_sd::discovery::Outcome;

use super::{Stage, fleet};

fn stage(patterns: &[&str]) -> Stage {
    Stage::new(fleet(&[("prod-a", 1), ("prod-b", 1), ("test", 1)])).clusters(patterns)
}

#[tokio::test(start_paused = true)]
async fn globs_select_among_the_listed() {
    let stage = stage(&["prod-*"]);
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn named_clusters_are_not_listed() {
    let stage = stage(&["prod-a", "arn:aws:ecs:eu-central-1:111111111111:cluster/test"]);
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);
    assert_snapshot!(stage.asked(), @r"
    ecs DescribeClusters 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 2
    ecs ListTasks 2
    sts GetCallerIdentity 1
    ");
    running.next().await;
    assert_snapshot!(stage.asked(), @"ecs ListTasks 2");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_exists_nowhere_is_no_failure_and_may_come_to_be() {
    let stage = stage(&["prod-a", "later"]);
    let mut running = stage.run().await;
    assert!(running.next().await.complete);
    assert_eq!(stage.targets("1m").len(), 1);
    stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run("later", &definition, ecs_simulator::Placement::Fargate);
    });
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn arns_of_another_account_or_region_select_nothing_here() {
    let stage = stage(&[
        "arn:aws:ecs:us-east-1:111111111111:cluster/test",
        "arn:aws:ecs:eu-central-1:999999999999:cluster/test",
    ]);
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.file("1m"), "[]\n");
}
