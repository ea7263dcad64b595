//! When a container counts, and every reason why a container is none.

use std::collections::BTreeSet;

use ecs_discovery::finding::Reason;
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, container, ec2, fargate};
use crate::show::{published, scope};
use crate::source::Source;

#[test]
fn a_task_counts_while_it_runs_and_is_meant_to() {
    let check = |last: &str, desired: &str| {
        published(fargate().with(app()).task(|task| {
            task.last_status = last.into();
            task.desired_status = desired.into();
        }))
    };
    assert_snapshot!(check("RUNNING", "RUNNING"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("PROVISIONING", "RUNNING"), @"app: task not running");
    assert_snapshot!(check("PENDING", "RUNNING"), @"app: task not running");
    assert_snapshot!(check("ACTIVATING", "RUNNING"), @"app: task not running");
    assert_snapshot!(check("DEACTIVATING", "RUNNING"), @"app: task not running");
    assert_snapshot!(check("SOMETHING_NEW", "RUNNING"), @"app: task not running");
    assert_snapshot!(check("", "RUNNING"), @"app: task not running");
    assert_snapshot!(check("STOPPED", "RUNNING"), @"");
    assert_snapshot!(check("RUNNING", "STOPPED"), @"");
}

#[test]
fn a_container_counts_while_it_runs() {
    let check = |status: &str| published(fargate().with(app().status(status)));
    assert_snapshot!(check("RUNNING"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("PENDING"), @"app: container not running");
    assert_snapshot!(check("STOPPED"), @"app: container not running");
    assert_snapshot!(check("SOMETHING_NEW"), @"app: container not running");
    assert_snapshot!(published(fargate().with(app().absent())), @"app: container not running");
    let beside = fargate().with(app().status("STOPPED")).with(container("next").env("PROMETHEUS", "1"));
    assert_snapshot!(published(beside), @"
    next 10.0.0.1:80/metrics 1m
    app: container not running
    ");
}

#[test]
fn health_does_not_matter() {
    for health in ["HEALTHY", "UNHEALTHY", "UNKNOWN"] {
        let fixture = fargate().with(app()).task(|task| task.health_status = Some(health.into()));
        assert_eq!(published(fixture), "app 10.0.0.1:80/metrics 1m", "{health}");
    }
}

#[test]
fn containers_that_ecs_adds_are_ignored() {
    let fixture = fargate()
        .with_injected(container("ecs-service-connect-x1").at("10.0.0.1"))
        .with(app())
        .with_injected(container("aws-guardduty-agent-y2").status("STOPPED"));
    assert_snapshot!(published(fixture), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn of_two_endpoints_that_are_one_the_first_in_the_definition_stays() {
    let both = |first: &str, second: &str| {
        let second = container("next").env("PROMETHEUS", "true").endpoint(second);
        published(fargate().with(app().endpoint(first)).with(second))
    };
    assert_snapshot!(both("15s:/metrics", "5m:/metrics"), @"
    app 10.0.0.1:80/metrics 15s
    next: duplicate endpoint
    ");
    assert_snapshot!(both("/metrics", "9102/metrics"), @"
    app 10.0.0.1:80/metrics 1m
    next 10.0.0.1:9102/metrics 1m
    ");
    assert_snapshot!(both("/metrics", "/metrics,/other"), @"
    app 10.0.0.1:80/metrics 1m
    next 10.0.0.1:80/other 1m
    next: warning
    ");
    assert_snapshot!(both("/metrics?a=1&b=2", "/metrics?b=2&a=1"), @"
    app 10.0.0.1:80/metrics?a=1&b=2 1m
    next: duplicate endpoint
    ");
    assert_snapshot!(both("/metrics?a=1", "/metrics?a=2"), @"
    app 10.0.0.1:80/metrics?a=1 1m
    next 10.0.0.1:80/metrics?a=2 1m
    ");
}

#[test]
fn another_scheme_is_another_target() {
    let fixture = fargate()
        .with(app())
        .with(container("next").env("PROMETHEUS", "true").env("PROMETHEUS_SCHEME", "https"));
    assert_snapshot!(published(fixture), @"
    app 10.0.0.1:80/metrics 1m
    next https://10.0.0.1:80/metrics 1m
    ");
}

#[test]
fn endpoints_that_meet_in_one_port_within_a_container_are_one() {
    let fixture = fargate().with(app().maps("8080").endpoint("15s:/metrics,5m:8080/metrics"));
    assert_snapshot!(published(fixture), @"
    app 10.0.0.1:8080/metrics 15s
    app: warning
    ");
}

#[test]
fn two_tasks_at_one_address_are_two_targets() {
    let mut source = Source::default();
    source.refresh(&World::of(["b", "a"].map(|id| fargate().id(id).with(app()))));
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.0.1:80/metrics 1m
    app 10.0.0.1:80/metrics 1m
    ");
}

#[test]
fn a_definition_that_cannot_be_described_is_a_finding() {
    assert_snapshot!(published(fargate().with(app()).without_definition()), @"?: definition unavailable");
}

#[test]
fn a_managed_daemon_is_a_finding_and_its_definition_is_not_asked_for() {
    let daemon = "arn:aws:ecs:eu-west-1:123456789012:daemon-task-definition/agent:2";
    let world = World::of([ec2("host").with(app()).of_definition(daemon)]);
    let mut source = Source::default();
    let asked = source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"?: managed daemon");
    assert!(asked.iter().all(|question| question.operation() != "DescribeTaskDefinition"));
    assert!(source.complete);
}

#[test]
fn one_bad_task_harms_no_other() {
    let world = World::of([
        fargate().id("good").of("good:1").with(app()),
        fargate().id("undefined").of("gone:1").with(app()).without_definition(),
        ec2("bridge").id("lost").of("lost:1").with(app()).without_host(),
        fargate().id("wrong").of("wrong:1").with(app().env("PROMETHEUS_PORT", "x")),
    ]);
    let mut source = Source::default();
    source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.0.1:80/metrics 1m
    app: host gone
    ?: definition unavailable
    app: invalid port
    ");
}

#[test]
fn every_reason_has_a_container_that_shows_it() {
    let daemon = "arn:aws:ecs:eu-west-1:123456789012:daemon-task-definition/agent:2";
    let twice = container("next").env("PROMETHEUS", "true");
    let fixtures: Vec<TaskFixture> = vec![
        fargate().with(container("app").env("PROMETHEUS", "off")),
        fargate().with(app()).task(|task| task.last_status = "PENDING".into()),
        fargate().with(app().status("STOPPED")),
        ec2("awsvpc").with(app()),
        ec2("none").with(app()),
        ec2("bridge").with(app()).task(|task| task.container_instance = None),
        ec2("bridge").with(app()).without_host(),
        fargate().with(app()).without_definition(),
        ec2("host").of_definition(daemon),
        ec2("bridge").with(app()),
        fargate().with(app().env("PROMETHEUS_PORT", "65536")),
        fargate().with(app().endpoint("15s:")),
        fargate().with(app()).with(twice),
    ];
    let shown: Vec<String> = fixtures.into_iter().map(published).collect();
    let words: BTreeSet<&str> = shown
        .iter()
        .flat_map(|text| text.lines())
        .filter_map(|line| line.split_once(": "))
        .map(|(_, reason)| reason)
        .collect();
    let all: BTreeSet<&str> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
    // Only a rule needs a service: see the tests of conventions.
    let by_rules = BTreeSet::from(["service unknown"]);
    assert_eq!(&words | &by_rules, all);
    let documented = [
        "opted out",
        "task not running",
        "container not running",
        "no address",
        "network mode none",
        "host unknown",
        "host gone",
        "service unknown",
        "definition unavailable",
        "managed daemon",
        "port not published",
        "invalid port",
        "invalid endpoint",
        "duplicate endpoint",
    ];
    assert_eq!(all, BTreeSet::from(documented));
}
