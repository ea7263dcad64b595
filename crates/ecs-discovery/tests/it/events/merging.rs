//! What an event replaces, and what it keeps.

use ecs_discovery::inventory::events::{EventResult, Wish};
use ecs_discovery::model::{NetworkInterface, Status};
use insta::assert_snapshot;

use super::{at_version, event, known, read, stopped, web, with_status};
use crate::fixture::{TaskFixture, World, app, container, ec2, tags};
use crate::show::scope;
use crate::source::{Source, wishes};

#[test]
fn an_event_keeps_what_events_never_tell() {
    let mut source = read(&World::of([web("a")]));
    let told = web("a").task(|task| task.started_by = Some("ecs-svc/1".into()));
    assert_eq!(source.event(event(&told, 6, source.now)), (EventResult::Applied, None));
    assert_eq!(known(&source, &told), Some(told.task));
}

#[test]
fn an_event_keeps_the_fields_that_it_lacks() {
    let full = web("a").task(|task| {
        task.group = Some("service:web".into());
        task.started_by = Some("ecs-svc/1".into());
        task.availability_zone = Some("eu-west-1a".into());
        task.platform_version = Some("1.4.0".into());
    });
    let mut source = read(&World::of([full.clone()]));
    let bare = full.clone().task(|task| {
        (task.group, task.started_by, task.availability_zone) = (None, None, None);
        (task.platform_version, task.launch_type) = (None, None);
    });
    assert_eq!(source.event(event(&bare, 6, source.now)), (EventResult::Applied, None));
    assert_eq!(known(&source, &full), Some(full.task));
}

#[test]
fn an_event_with_equal_facts_keeps_the_result() {
    let mut source = read(&World::of([web("a")]));
    let before = source.scope("prod").derived.clone();
    assert_eq!(source.event(event(&web("a"), 6, source.now)).0, EventResult::Applied);
    assert!(std::sync::Arc::ptr_eq(&before, &source.scope("prod").derived));
    assert_eq!(source.event(event(&web("a"), 6, source.now)).0, EventResult::Duplicate);
}

#[test]
fn a_stopped_task_leaves_immediately() {
    for over in [stopped(&web("a")), with_status(&web("a"), "STOPPED")] {
        let mut source = read(&World::of([web("a"), web("bb")]));
        assert_eq!(source.event(event(&over, 6, source.now)), (EventResult::Applied, None));
        assert_eq!(scope(source.scope("prod")), "app 10.0.0.2:80/metrics 1m");
    }
}

#[test]
fn a_stopped_container_leaves_and_the_other_stays() {
    let both = |status| {
        web("a")
            .with(container("other").env("PROMETHEUS", "true").env("PROMETHEUS_PORT", "81").status(status))
    };
    let mut source = read(&World::of([both("RUNNING")]));
    assert_eq!(source.snapshot.targets().len(), 2);
    assert_eq!(source.event(event(&both("STOPPED"), 6, source.now)), (EventResult::Applied, None));
    assert_snapshot!(scope(source.scope("prod")), @r"
    app 10.0.0.1:80/metrics 1m
    other: container not running
    ");
}

/// An event that lacks part of a running task keeps its target, and the task is described.
fn check_kept(before: &TaskFixture, told: &TaskFixture) {
    let world = World::of([before.clone()]);
    let mut source = read(&world);
    let published = scope(source.scope("prod"));
    let wish = Wish::Running(before.cluster.arn.clone(), before.task.arn.clone());
    assert_eq!(source.event(event(told, 6, source.now)), (EventResult::Applied, Some(wish.clone())));
    assert_eq!(scope(source.scope("prod")), published);
    source.wait(Source::INTERVAL);
    assert_eq!(scope(source.scope("prod")), published);
    let asked = source.errand_with(wishes([wish]), at_version(&world, 6));
    assert_eq!(asked.iter().map(|question| question.operation()).collect::<Vec<_>>(), ["DescribeTasks"]);
    assert_eq!(scope(source.scope("prod")), published);
    assert_eq!(known(&source, before).unwrap(), before.task);
}

#[test]
fn an_event_without_the_interface_keeps_the_target() {
    check_kept(&web("a"), &web("a").task(|task| task.network_interface = None));
}

#[test]
fn an_event_without_the_address_keeps_the_target() {
    let told = web("a").task(|task| task.network_interface = Some(NetworkInterface::default()));
    check_kept(&web("a"), &told);
}

fn bridge() -> TaskFixture {
    ec2("bridge").with(app().maps("80").maps("81").binds("0.0.0.0 32768 -> 80").binds("0.0.0.0 32769 -> 81"))
}

#[test]
fn an_event_without_bindings_keeps_the_target() {
    check_kept(&bridge(), &bridge().task(|task| task.containers[0].network_bindings.clear()));
}

#[test]
fn an_event_with_some_of_the_bindings_keeps_the_target() {
    check_kept(&bridge(), &bridge().task(|task| task.containers[0].network_bindings.truncate(1)));
}

#[test]
fn an_event_without_the_container_keeps_the_target() {
    check_kept(&bridge(), &bridge().task(|task| task.containers.clear()));
}

#[test]
fn an_event_without_a_known_status_keeps_the_target() {
    check_kept(&web("a"), &web("a").task(|task| task.last_status = Status::from("")));
    check_kept(&web("a"), &web("a").task(|task| task.containers[0].last_status = Status::from("NEW")));
}

#[test]
fn an_event_that_goes_back_to_an_earlier_status_keeps_the_target() {
    let told = web("a").task(|task| task.last_status = Status::Pending);
    check_kept(&web("a"), &told);
}

#[test]
fn an_event_with_another_definition_or_container_instance_keeps_the_target() {
    check_kept(&web("a"), &web("a").of("web:8"));
    check_kept(&bridge(), &bridge().on("i-2", "10.0.9.10"));
}

#[test]
fn an_event_with_another_port_moves_the_target() {
    let before = ec2("bridge").with(app().maps("80").binds("0.0.0.0 32768 -> 80"));
    let after = ec2("bridge").with(app().maps("80").binds("0.0.0.0 40000 -> 80"));
    let mut source = read(&World::of([before]));
    assert_eq!(source.event(event(&after, 6, source.now)), (EventResult::Applied, None));
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.9.9:40000/metrics 1m");
}

#[test]
fn a_task_that_a_refresh_doubts_is_described_at_each_refresh_after_an_event_too() {
    let world = World::of([web("a")]);
    let mut source = read(&world);
    source.now += Source::RECHECK;
    let mut untagged = World::of([web("a").task(|task| task.health_status = None)]);
    untagged.page = 1;
    source.refresh_with(at_version(&untagged, 5));
    assert_snapshot!(scope(source.scope("prod")), @r"
    app 10.0.0.1:80/metrics 1m
    ?: warning
    ");
    source.event(event(&web("a"), 6, source.now));
    let asked = source.refresh_with(at_version(&world, 6));
    assert!(asked.iter().any(|question| question.operation() == "DescribeTasks"));
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn tags_that_only_a_description_has_stay_through_every_event() {
    let mut source = read(&World::of([web("a")]));
    for version in 6..20 {
        let id = version.to_string();
        let told = web("a").task(|task| task.containers[0].runtime_id = Some(id.into()));
        source.event(event(&told, version, source.now));
        assert_eq!(known(&source, &told).unwrap().tags, tags(&[("team", "shop")]));
    }
}
