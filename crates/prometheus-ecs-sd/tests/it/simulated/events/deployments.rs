//! What happens to many tasks, told by events: the files are those of a program that polls.

use ecs_simulator::{HostKind, Placement, Region, TaskDefinition, World};
use insta::assert_snapshot;

use super::super::{REGION, fleet, opted_in};
use super::check;

fn tasks(region: &Region) -> Vec<String> {
    region.clusters["prod"].tasks.values().map(|task| task.task_arn.clone()).collect()
}

fn definition(region: &Region) -> String {
    region.task_definitions.keys().next().unwrap().clone()
}

/// Three tasks in bridge mode on each of two hosts.
fn on_hosts() -> World {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = region.register(TaskDefinition { network_mode: None, ..opted_in("web") });
    for _ in 0..2 {
        let host = region.launch_host("prod", HostKind::Ec2);
        (0..3).for_each(|_| drop(region.run("prod", &definition, Placement::On(host.clone()))));
    }
    world
}

#[tokio::test(start_paused = true)]
async fn a_deployment_asks_once_for_the_new_revision() {
    let deploy = check(fleet(&[("prod", 3)]), |region| {
        let old = tasks(region);
        let definition = region.register(opted_in("web"));
        old.iter().for_each(|_| drop(region.run("prod", &definition, Placement::Fargate)));
        old.iter().for_each(|task| region.stop(task));
    });
    assert_snapshot!(deploy.await, @r"
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn more_tasks_are_described_a_hundred_at_a_time() {
    let scale = check(fleet(&[("prod", 2)]), |region| {
        let definition = definition(region);
        (0..150).for_each(|_| drop(region.run("prod", &definition, Placement::Fargate)));
    });
    assert_snapshot!(scale.await, @"ecs DescribeTasks 2");
}

#[tokio::test(start_paused = true)]
async fn fewer_tasks_cost_no_call() {
    let scale = check(fleet(&[("prod", 20)]), |region| {
        tasks(region)[3..].iter().for_each(|task| region.stop(task));
    });
    assert_snapshot!(scale.await, @"");
}

#[tokio::test(start_paused = true)]
async fn the_death_of_an_instance_costs_no_call() {
    let death = check(on_hosts(), |region| {
        let host = region.clusters["prod"].container_instances.values().next().unwrap();
        let host = host.container_instance_arn.clone();
        region.terminate_host(&host);
    });
    assert_snapshot!(death.await, @"");
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_a_dead_instance_are_found_on_a_new_one() {
    let death = check(on_hosts(), |region| {
        let host = region.clusters["prod"].container_instances.values().next().unwrap();
        let host = host.container_instance_arn.clone();
        region.terminate_host(&host);
        let (host, definition) = (region.launch_host("prod", HostKind::Ec2), definition(region));
        (0..3).for_each(|_| drop(region.run("prod", &definition, Placement::On(host.clone()))));
    });
    assert_snapshot!(death.await, @r"
    ec2 DescribeInstances 1
    ecs DescribeContainerInstances 1
    ecs DescribeTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn a_restart_in_bridge_mode_is_found_at_its_new_port() {
    let restart = check(on_hosts(), |region| region.restart_container(&tasks(region)[0], "app"));
    assert_snapshot!(restart.await, @"");
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_is_listed_alone() {
    let begin = check(fleet(&[("prod", 2), ("other", 2)]), |region| {
        let definition = definition(region);
        (0..3).for_each(|_| drop(region.run("new", &definition, Placement::Fargate)));
    });
    assert_snapshot!(begin.await, @r"
    ecs DescribeClusters 1
    ecs DescribeTasks 1
    ecs ListTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn new_clusters_are_described_together() {
    let begin = check(fleet(&[("prod", 2)]), |region| {
        let definition = definition(region);
        for cluster in ["one", "two", "three"] {
            region.run(cluster, &definition, Placement::Fargate);
        }
    });
    assert_snapshot!(begin.await, @r"
    ecs DescribeClusters 1
    ecs DescribeTasks 3
    ecs ListTasks 3
    ");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_deleted_loses_its_targets_without_a_call() {
    let end = check(fleet(&[("prod", 2), ("other", 2)]), |region| region.delete_cluster("prod"));
    assert_snapshot!(end.await, @"");
}
