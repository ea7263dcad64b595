//! What happens to one task, told by events: the files are those of a program that polls.

use ecs_simulator::{ContainerOverride, Placement, Run, TaskDefinition};
use insta::assert_snapshot;

use super::super::{fleet, opted_in};
use super::{calls_after, check, first_task, live, told};

/// To run one more task of the fleet's definition.
fn one_more(region: &ecs_simulator::Region) -> Run {
    Run::new("prod", region.task_definitions.keys().next().unwrap(), Placement::Fargate)
}

#[tokio::test(start_paused = true)]
async fn a_start_costs_one_description() {
    let start = check(fleet(&[("prod", 1)]), |region| {
        let run = one_more(region).tag("team", "shop");
        region.run_with(run);
    });
    assert_snapshot!(start.await, @"ecs DescribeTasks 1");
}

#[tokio::test(start_paused = true)]
async fn a_slow_start_costs_one_description() {
    let stage = told(fleet(&[("prod", 1)]));
    let _running = live(&stage).await;
    let begin = calls_after(&stage, |region| {
        let run = one_more(region).tag("team", "shop").service("web");
        region.start(run);
    });
    assert_snapshot!(begin.await, @"ecs DescribeTasks 1");
    for _ in 0..3 {
        let advance = calls_after(&stage, |region| {
            let all: Vec<_> =
                region.clusters["prod"].tasks.values().map(|task| task.task_arn.clone()).collect();
            all.iter().for_each(|task| region.advance(task));
        });
        assert_eq!(advance.await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn a_task_that_ends_while_it_starts_is_no_target() {
    let end = check(fleet(&[("prod", 1)]), |region| {
        let run = one_more(region);
        let task = region.start(run);
        region.advance(&task);
        region.stop(&task);
    });
    assert_snapshot!(end.await, @"");
}

#[tokio::test(start_paused = true)]
async fn a_stop_costs_no_call() {
    let stop = check(fleet(&[("prod", 2)]), |region| region.stop(&first_task(region)));
    assert_snapshot!(stop.await, @"");
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_begins_costs_no_call() {
    let stop = check(fleet(&[("prod", 2)]), |region| region.begin_stop(&first_task(region)));
    assert_snapshot!(stop.await, @"");
}

#[tokio::test(start_paused = true)]
async fn a_spot_interruption_costs_no_call() {
    let stop = check(fleet(&[("prod", 2)]), |region| region.begin_spot_stop(&first_task(region)));
    assert_snapshot!(stop.await, @"");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_stops_leaves_without_a_call() {
    let stop = check(fleet(&[("prod", 2)]), |region| region.stop_container(&first_task(region), "app"));
    assert_snapshot!(stop.await, @"");
}

#[tokio::test(start_paused = true)]
async fn a_container_restart_costs_no_call() {
    let restart = check(fleet(&[("prod", 2)]), |region| region.restart_container(&first_task(region), "app"));
    assert_snapshot!(restart.await, @"");
}

#[tokio::test(start_paused = true)]
async fn the_overrides_of_a_task_are_those_of_its_event() {
    let run = check(fleet(&[("prod", 1)]), |region| {
        let changed = ContainerOverride::new("app").env("PROMETHEUS_ENDPOINT", "15s:9102/own");
        let run = one_more(region).overriding(changed);
        region.run_with(run);
    });
    assert_snapshot!(run.await, @"ecs DescribeTasks 1");
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_opt_in_is_no_target() {
    let run = check(fleet(&[("prod", 1)]), |region| {
        let container = ecs_simulator::ContainerDefinition::new("app", "shop/app:1").port(8080);
        let definition = TaskDefinition::new("quiet").network_mode("awsvpc").container(container);
        let definition = region.register(definition);
        region.run("prod", &definition, Placement::Fargate);
        let definition = region.register(opted_in("loud"));
        region.run("prod", &definition, Placement::Fargate);
    });
    assert_snapshot!(run.await, @r"
    ecs DescribeTaskDefinition 2
    ecs DescribeTasks 1
    ");
}
