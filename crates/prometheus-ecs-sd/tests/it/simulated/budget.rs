//! What discovery costs, in calls, exactly.

use std::time::Duration;

use ecs_simulator::{Placement, worlds};
use insta::assert_snapshot;

use super::{REGION, Stage, fleet, opted_in};

/// Tasks are described again so rarely here that no slice of them is in the figures.
fn without_recheck(mut stage: Stage) -> Stage {
    stage.config.recheck_interval = Duration::from_secs(1_000_000);
    stage
}

#[tokio::test(start_paused = true)]
async fn a_steady_refresh_costs_listings_only() {
    let stage = without_recheck(Stage::new(fleet(&[("a", 0), ("b", 1), ("c", 100), ("d", 101), ("e", 250)])));
    let mut running = stage.run().await;
    running.next().await;
    assert_snapshot!(stage.asked(), @r"
    ecs DescribeClusters 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 7
    ecs ListClusters 1
    ecs ListTasks 8
    ");
    running.next().await;
    // 1 + (1 + 1 + 1 + 2 + 3)
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 8
    ");
}

#[tokio::test(start_paused = true)]
async fn definitions_and_hosts_are_asked_for_once_however_many_there_are() {
    let size = worlds::Size { tasks: 2_000, clusters: 4, definitions: 40, hosts: 250 };
    let mut stage = without_recheck(Stage::new(worlds::large(size)));
    stage = stage.regions(&[worlds::REGION]);
    let mut running = stage.run().await;
    running.next().await;
    assert_snapshot!(stage.asked(), @r"
    ec2 DescribeInstances 2
    ecs DescribeClusters 1
    ecs DescribeContainerInstances 4
    ecs DescribeTaskDefinition 40
    ecs DescribeTasks 22
    ecs ListClusters 1
    ecs ListTasks 22
    ");
    running.next().await;
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 22
    ");
}

#[tokio::test(start_paused = true)]
async fn every_task_is_described_again_within_the_recheck_interval_in_full_batches() {
    let stage = Stage::new(fleet(&[("small", 30), ("large", 1_000)]));
    let mut running = stage.run().await;
    running.next().await;
    stage.asked();
    for _ in 0..10 {
        running.next().await;
    }
    // 10 refreshes in 10 minutes: 1 + 1 + 10 listings each, and each task, both clusters and the definition described once.
    assert_snapshot!(stage.asked(), @r"
    ecs DescribeClusters 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 11
    ecs ListClusters 10
    ecs ListTasks 110
    ");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_costs_its_new_tasks_only() {
    let stage = without_recheck(Stage::new(fleet(&[("prod", 150)])));
    let mut running = stage.run().await;
    running.next().await;
    stage.asked();
    stage.simulator.change(|world| {
        let region = world.own(REGION);
        let definition = region.register(opted_in("web"));
        let old: Vec<_> =
            region.clusters["prod"].tasks.values().take(20).map(|task| task.task_arn.clone()).collect();
        for task in old {
            region.stop(&task);
            region.run("prod", &definition, Placement::Fargate);
        }
    });
    running.next().await;
    // Twenty new and twenty that are gone, in one batch; one new revision.
    assert_snapshot!(stage.asked(), @r"
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ecs ListClusters 1
    ecs ListTasks 2
    ");
    assert_eq!(stage.targets("1m").len(), 150);
}
