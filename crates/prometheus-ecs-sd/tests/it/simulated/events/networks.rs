//! Each network mode, told by events: a new task on a new host is found by an event alone, and costs one call of each
//! kind that its address and labels need.

use ecs_simulator::{Addresses, Host, HostKind, Placement, Region, Run, TaskDefinition};
use insta::assert_snapshot;

use super::super::{fleet, opted_in};
use super::check;

/// Runs a task in this network mode on a new host.
fn run_on(region: &mut Region, network_mode: Option<&str>, kind: HostKind) {
    let network_mode = network_mode.map(str::to_owned);
    let definition = region.register(TaskDefinition { network_mode, ..opted_in("api") });
    let host = region.launch(Host::new("prod", kind).public_ip("192.0.2.7").tag("rack", "1"));
    region.run("prod", &definition, Placement::On(host));
}

fn run_with_addresses(region: &mut Region, addresses: Addresses) {
    let definition = region.task_definitions.keys().next().unwrap().clone();
    region.run_with(Run::new("prod", &definition, Placement::Fargate).addresses(addresses));
}

#[tokio::test(start_paused = true)]
async fn bridge() {
    let run = check(fleet(&[("prod", 1)]), |region| run_on(region, None, HostKind::Ec2));
    assert_snapshot!(run.await, @r"
    ec2 DescribeInstances 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn bridge_on_an_external_machine() {
    let run = check(fleet(&[("prod", 1)]), |region| run_on(region, Some("bridge"), HostKind::External));
    assert_snapshot!(run.await, @r"
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ssm DescribeInstanceInformation 1
    ");
}

#[tokio::test(start_paused = true)]
async fn host() {
    let run = check(fleet(&[("prod", 1)]), |region| run_on(region, Some("host"), HostKind::Ec2));
    assert_snapshot!(run.await, @r"
    ec2 DescribeInstances 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn host_on_a_managed_instance() {
    let kind = HostKind::ManagedInstances;
    let run = check(fleet(&[("prod", 1)]), |region| run_on(region, Some("host"), kind));
    assert_snapshot!(run.await, @r"
    ec2 DescribeInstances 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn awsvpc_on_a_host() {
    let run = check(fleet(&[("prod", 1)]), |region| run_on(region, Some("awsvpc"), HostKind::Ec2));
    assert_snapshot!(run.await, @r"
    ec2 DescribeInstances 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ");
}

#[tokio::test(start_paused = true)]
async fn ipv6_alone() {
    let run = check(fleet(&[("prod", 1)]), |region| run_with_addresses(region, Addresses::Ipv6));
    assert_snapshot!(run.await, @"ecs DescribeTasks 1");
}

#[tokio::test(start_paused = true)]
async fn both_families() {
    let run = check(fleet(&[("prod", 1)]), |region| run_with_addresses(region, Addresses::DualStack));
    assert_snapshot!(run.await, @"ecs DescribeTasks 1");
}
