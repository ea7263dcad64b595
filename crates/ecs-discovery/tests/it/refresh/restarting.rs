//! What a process knows of the facts that one before it saved.

use std::time::Duration;

use ecs_discovery::derive::Rules;
use ecs_discovery::failure::FailureKind;
use ecs_discovery::interval::Intervals;
use ecs_discovery::inventory::question::Question;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::snapshot::ScopeStatus;
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, cluster_arn, ec2, external, fargate};
use crate::show::{calls, file, scope};
use crate::source::Source;

/// Tasks on Fargate, on an instance and on a host of ECS Anywhere, in two clusters.
fn world() -> World {
    World::of([
        fargate().in_cluster("a").id("1").of("one:1").interface("10.0.0.1").with(app()),
        ec2("host").in_cluster("a").id("2").of("two:1").on("i-2", "10.0.0.2").with(app()),
        external("host").in_cluster("bb").id("3").of("three:1").on("mi-3", "10.0.0.3").with(app()),
    ])
}

fn new_task() -> TaskFixture {
    fargate().in_cluster("a").id("4").of("one:1").interface("10.0.0.4").with(app())
}

fn heard(world: &World) -> Source {
    let mut source = Source::default();
    source.refresh(world);
    source
}

#[test]
fn a_restart_publishes_at_once_and_asks_for_listings_only() {
    let world = world();
    let mut source = heard(&world);
    let before = file(&source);
    source.restart();
    assert_eq!(file(&source), before);
    assert!(source.scopes().values().all(|scope| scope.status == ScopeStatus::Restored));
    assert_snapshot!(calls(&source.refresh(&world)), @"
    1 ListClusters
    2 ListTasks
    ");
    assert_eq!(file(&source), before);
    assert!(source.complete);
}

#[test]
fn what_changed_meanwhile_is_asked_for() {
    let mut world = world();
    let mut source = heard(&world);
    world.remove("bb", "3");
    world.add(new_task());
    source.restart();
    assert_snapshot!(calls(&source.refresh(&world)), @"
    2 DescribeTasks
    1 ListClusters
    2 ListTasks
    ");
    assert_eq!(file(&source), file(&heard(&world)));
}

#[test]
fn what_was_lacking_is_asked_for_again() {
    let world = world();
    let mut source = Source::default();
    source.refresh_failing(&world, FailureKind::Throttled, |question| {
        matches!(question, Question::Ec2Instances { .. })
    });
    source.restart();
    assert_snapshot!(calls(&source.refresh(&world)), @"
    1 DescribeInstances
    1 ListClusters
    2 ListTasks
    ");
    assert_eq!(source.snapshot.targets().len(), 3);
}

#[test]
fn a_restart_amid_trouble_keeps_everything() {
    let world = world();
    let mut source = heard(&world);
    let before = file(&source);
    source.restart();
    source.refresh_failing(&world, FailureKind::Unavailable, |_| true);
    assert_eq!(file(&source), before);
    source.restart();
    assert_eq!(file(&source), before);
}

#[test]
fn settled_tasks_have_their_turn_within_the_recheck_interval_after_a_restart() {
    let world = world();
    let mut source = heard(&world);
    source.restart();
    let described = (0..11).flat_map(|_| source.refresh(&world)).filter_map(|question| match question {
        Question::TaskDetails { tasks, .. } => Some(tasks.len()),
        _ => None,
    });
    assert_eq!(described.sum::<usize>(), 3);
}

#[test]
fn other_rules_apply_to_what_was_saved() {
    let mut source = heard(&world());
    let intervals = ["30s".to_owned()];
    source.rules = Rules { intervals: Intervals::new(&intervals, "30s").unwrap(), ..Rules::default() };
    source.restart();
    assert_snapshot!(scope(source.scope("bb")), @"
    restored
    app 10.0.0.3:80/metrics 30s
    ");
}

#[test]
fn a_cluster_that_is_not_selected_any_more_is_left_out() {
    let mut source = heard(&world());
    source.selection = ClusterSelection::new(vec![ClusterPattern::parse("b*").unwrap()]);
    source.restart();
    assert_eq!(source.scopes().keys().collect::<Vec<_>>(), [&cluster_arn("bb")]);
}

#[test]
fn a_cluster_that_was_never_heard_is_not_saved() {
    let mut source = Source::default();
    source.refresh_failing(&world(), FailureKind::Denied, |question| match question {
        Question::Tasks { cluster, .. } => cluster.last_part() == "a",
        _ => false,
    });
    source.restart();
    assert_eq!(source.scopes().keys().collect::<Vec<_>>(), [&cluster_arn("bb")]);
}

#[test]
fn clusters_of_another_account_go_when_the_credentials_are_changed() {
    let mut source = heard(&world());
    source.restart();
    let other = fargate().in_cluster("a").interface("10.0.0.9").with(app()).in_account("999999999999");
    source.refresh(&World::of([other]));
    assert_eq!(source.snapshot.targets().len(), 1);
    assert!(source.complete);
}

#[test]
fn clusters_of_another_account_without_clusters_go_too() {
    let mut source = heard(&world());
    source.restart();
    let asked = source.refresh(&World::of([]));
    // AWS refuses the ARN of another account's cluster, but knows no cluster of that name.
    let names: Vec<_> = asked
        .iter()
        .filter_map(|question| match question {
            Question::ClusterDetails { clusters } => Some(clusters.clone()),
            _ => None,
        })
        .flatten()
        .collect();
    assert_eq!(names, ["a".into(), "bb".into()]);
    assert!(source.scopes().is_empty() && source.complete);
}

#[test]
fn a_scope_is_retired_once_it_is_held_for_longer_than_it_may_be() {
    let world = world();
    let mut source = heard(&world);
    let since = source.now;
    source.refresh_failing(&world, FailureKind::Throttled, |_| true);
    source.refresh_failing(&world, FailureKind::Throttled, |_| true);
    let held = source.scope("a").clone();
    assert_eq!((held.last_read, held.failing), (since - Source::INTERVAL, Some(since)));
    let hour = Duration::from_secs(3600);
    assert_eq!(held.published(since + hour, hour), held);
    let retired = held.published(since + hour + Duration::from_secs(1), hour);
    assert_snapshot!(scope(&retired), @"retired: Throttled");
    // It is as if nothing had been once it can be heard.
    source.refresh(&world);
    let heard = source.scope("a");
    assert_eq!(heard.published(source.now + hour * 9, hour), *heard);

    // Time in which nobody tried does not count.
    source.restart();
    let restored = source.scope("a").clone();
    assert_eq!(restored.published(source.now + hour * 9, hour), restored);
    // The next process continues to count.
    let since = source.now;
    source.refresh_failing(&world, FailureKind::Throttled, |_| true);
    source.restart();
    assert_eq!(source.scope("a").failing, Some(since));
    let retired = source.scope("a").published(since + hour * 2, hour);
    assert_snapshot!(scope(&retired), @"retired: it was let go before the program started or was reconfigured");
}
