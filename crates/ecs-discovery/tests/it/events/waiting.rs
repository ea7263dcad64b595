//! When the targets of a task that an event tells of first appear.

use std::time::Duration;

use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::Question;
use ecs_discovery::model::Status;
use insta::assert_snapshot;

use super::{at_version, event, known, read, web, with_status};
use crate::fixture::{TaskFixture, World, app, ec2, failure, fargate};
use crate::show::scope;
use crate::source::{Source, wishes};

const SECOND: Duration = Duration::from_secs(1);

fn empty() -> Source {
    let mut world = World::of([web("gone")]);
    world.remove("prod", "gone");
    world.definitions.clear();
    read(&world)
}

fn shown(source: &Source) -> String {
    scope(source.scope("prod"))
}

fn bridge() -> TaskFixture {
    ec2("bridge").with(app().maps("80").binds("0.0.0.0 32768 -> 80"))
}

#[test]
fn a_task_that_was_described_while_it_started_is_published_when_it_runs() {
    let starting = with_status(&web("a"), "PENDING");
    let mut source = empty();
    let (_, wish) = source.event(event(&starting, 2, source.now));
    assert_eq!(shown(&source), "");
    source.errand_with(wishes(wish), at_version(&World::of([starting]), 2));
    source.now += SECOND;
    let (_, wish) = source.event(event(&web("a"), 3, source.now));
    assert_eq!(wish, None);
    assert_snapshot!(shown(&source), @"app 10.0.0.1:80/metrics 1m");
    assert_eq!(known(&source, &web("a")).unwrap().tags, web("a").task.tags);
}

#[test]
fn a_running_task_is_published_once_all_is_known() {
    let mut source = empty();
    let world = World::of([bridge()]);
    let (_, wish) = source.event(event(&bridge(), 3, source.now));
    assert_eq!(shown(&source), "");
    let mut open = 0;
    source.errand_with(wishes(wish), |question| {
        open += 1;
        at_version(&world, 3)(question)
    });
    assert_eq!(open, 4);
    assert_snapshot!(shown(&source), @"app 10.0.9.9:32768/metrics 1m");
}

#[test]
fn nothing_is_published_while_one_fact_is_missing() {
    let world = World::of([bridge()]);
    for missing in
        ["DescribeTasks", "DescribeTaskDefinition", "DescribeContainerInstances", "DescribeInstances"]
    {
        let mut source = empty();
        let (_, wish) = source.event(event(&bridge(), 3, source.now));
        source.errand_with(wishes(wish), |question: &Question| {
            if question.operation() == missing {
                return Err(failure(FailureKind::Throttled));
            }
            at_version(&world, 3)(question)
        });
        assert_eq!(shown(&source), "", "{missing}");
        source.wait(Duration::from_millis(1999));
        assert_eq!(shown(&source), "", "{missing}");
        source.wait(Duration::from_millis(1));
        let expected = match missing {
            "DescribeTasks" => "app 10.0.9.9:32768/metrics 1m",
            "DescribeTaskDefinition" => "?: definition unavailable",
            _ => "app: host unknown",
        };
        assert_eq!(shown(&source).replace("_", " "), expected, "{missing}");
        assert_eq!(source.inventory.awaited_until(), None);
    }
}

#[test]
fn a_running_task_without_its_tags_is_published_after_two_seconds() {
    let mut source = empty();
    source.refresh(&World::of([web("other")]));
    let before = shown(&source);
    source.event(event(&web("a"), 3, source.now));
    assert_eq!(source.inventory.awaited_until(), Some(source.now + 2 * SECOND));
    source.wait(Duration::from_millis(1999));
    assert_eq!(shown(&source), before);
    source.wait(Duration::from_millis(1));
    assert_eq!(source.snapshot.targets().len(), 2);
}

#[test]
fn a_starting_task_has_no_finding() {
    let mut source = empty();
    source.event(event(&with_status(&web("a"), "PENDING"), 2, source.now));
    source.wait(60 * SECOND);
    assert_eq!((shown(&source), source.inventory.awaited_until()), (String::new(), None));
}

#[test]
fn a_started_task_whose_event_lacks_its_ports_is_described() {
    let starting = with_status(&bridge(), "PENDING").task(|task| task.containers[0].network_bindings.clear());
    let mut source = empty();
    source.event_and_errand(&World::of([starting.clone()]), event(&starting, 2, source.now));
    source.now += SECOND;
    let told = bridge().task(|task| task.containers[0].network_bindings.clear());
    let (_, wish) = source.event(event(&told, 3, source.now));
    let before = shown(&source);
    assert!(!before.contains("32768"), "{before}");
    let asked = source.errand_with(wishes(wish), at_version(&World::of([bridge()]), 3));
    assert_eq!(asked.iter().map(Question::operation).collect::<Vec<_>>(), ["DescribeTasks"]);
    assert_snapshot!(shown(&source), @"app 10.0.9.9:32768/metrics 1m");
}

#[test]
fn a_started_task_whose_event_lacks_its_address_is_described() {
    let full = fargate().interface("10.0.0.1").with(app());
    let starting = with_status(&full, "PENDING").task(|task| task.network_interface = None);
    let mut source = empty();
    source.event_and_errand(&World::of([starting.clone()]), event(&starting, 2, source.now));
    let told = full.clone().task(|task| task.network_interface = None);
    let (_, wish) = source.event(event(&told, 3, source.now));
    source.errand_with(wishes(wish), at_version(&World::of([full]), 3));
    assert_snapshot!(shown(&source), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn a_task_that_an_errand_finds_running_does_not_wait_for_the_next_refresh() {
    let starting = with_status(&bridge(), "PENDING");
    let mut source = empty();
    let (_, wish) = source.event(event(&starting, 2, source.now));
    source.errand_with(wishes(wish), |question: &Question| match question {
        Question::TaskDefinition { .. } => Err(failure(FailureKind::Unavailable)),
        other => at_version(&World::of([bridge()]), 3)(other),
    });
    source.wait(2 * SECOND);
    assert_snapshot!(shown(&source), @"?: definition unavailable");
}

/// Two events that are published together: the container restarts, and the second event lacks its port.
#[test]
fn new_rules_keep_the_earlier_target_of_a_task_until_its_new_result_is_there() {
    let mut source = read(&World::of([bridge()]));
    let restarting = bridge().task(|task| {
        task.containers[0].last_status = Status::Pending;
        task.containers[0].network_bindings.clear();
    });
    let restarted = bridge().task(|task| task.containers[0].network_bindings.clear());
    source.inventory.apply_event(event(&restarting, 6, source.now), source.now);
    let (_, wish) = source.event(event(&restarted, 7, source.now));
    assert_snapshot!(shown(&source), @"app 10.0.9.9:32768/metrics 1m");
    source.rules.tags_to_labels = std::sync::Arc::new(ecs_discovery::labels::TagSelection::All);
    source.publish();
    assert_snapshot!(shown(&source), @"app 10.0.9.9:32768/metrics 1m");
    let moved = ec2("bridge").with(app().maps("80").binds("0.0.0.0 32769 -> 80"));
    source.errand_with(wishes(wish), at_version(&World::of([moved]), 7));
    assert_snapshot!(shown(&source), @"app 10.0.9.9:32769/metrics 1m");
}

#[test]
fn new_rules_remove_no_target_of_a_task_that_waits() {
    let mut source = read(&World::of([web("a")]));
    source.event(event(&web("a").task(|task| task.network_interface = None), 6, source.now));
    source.rules.tags_to_labels = std::sync::Arc::new(ecs_discovery::labels::TagSelection::All);
    source.publish();
    assert_snapshot!(shown(&source), @"app 10.0.0.1:80/metrics 1m");
}
