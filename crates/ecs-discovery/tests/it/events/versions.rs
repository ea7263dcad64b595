//! Which of two words about a task is believed.

use std::time::Duration;

use ecs_discovery::inventory::doors::{DescribedTask, Fact};
use ecs_discovery::inventory::events::{EventResult, Wish};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::Task;
use insta::assert_snapshot;

use super::{at_version, event, known, read, stopped, web, with_status};
use crate::fixture::{TaskFixture, World, tags};
use crate::show::scope;
use crate::source::{Source, wishes};

const SECOND: Duration = Duration::from_secs(1);

fn describe(fixture: &TaskFixture, version: Option<u64>, sent: Duration, source: &mut Source) {
    let described = DescribedTask { task: fixture.task.clone(), version, untagged: false };
    source.inventory.apply(Fact::Task(fixture.cluster.arn.clone(), described), sent);
    source.publish();
}

fn restarted(runtime: &str) -> TaskFixture {
    web("a").task(|task| task.containers[0].runtime_id = Some(runtime.into()))
}

fn runtime(source: &Source) -> Option<Box<str>> {
    known(source, &web("a")).unwrap().containers[0].runtime_id.clone()
}

#[test]
fn an_event_that_is_not_newer_is_a_duplicate() {
    let mut source = read(&World::of([web("a")]));
    for version in [5, 4, 0] {
        let told = stopped(&web("a"));
        assert_eq!(source.event(event(&told, version, source.now)), (EventResult::Duplicate, None));
    }
    assert_eq!(source.snapshot.targets().len(), 1);
}

#[test]
fn events_out_of_order_leave_the_newest_facts() {
    let mut source = read(&World::of([restarted("v5")]));
    let results = [7, 6, 8, 7].map(|version| {
        let now = source.now;
        source.event(event(&restarted(&format!("v{version}")), version, now)).0
    });
    assert_eq!(
        results,
        [EventResult::Applied, EventResult::Duplicate, EventResult::Applied, EventResult::Duplicate]
    );
    assert_eq!(runtime(&source).as_deref(), Some("v8"));
}

#[test]
fn an_answer_of_the_version_of_an_event_replaces_its_facts() {
    let mut source = read(&World::of([web("a")]));
    let sent = source.now;
    source.now += SECOND;
    source.event(event(&restarted("new"), 6, source.now));
    let other = restarted("new").task(|task| task.tags = tags(&[("team", "other")]));
    describe(&other, Some(6), sent, &mut source);
    assert_eq!(known(&source, &other), Some(other.task));
}

#[test]
fn an_answer_with_a_lower_version_than_an_event_changes_nothing_that_events_tell() {
    let mut source = read(&World::of([restarted("v5")]));
    source.event(event(&restarted("v9"), 9, source.now));
    for _ in 0..5 {
        source.now += SECOND;
        describe(&restarted("v8"), Some(8), source.now, &mut source);
        assert_eq!(runtime(&source).as_deref(), Some("v9"));
    }
    // No answer confirms the event. Its sender may have been wrong.
    source.now += 60 * SECOND;
    describe(&restarted("v8"), Some(8), source.now, &mut source);
    assert_eq!(runtime(&source).as_deref(), Some("v8"));
}

#[test]
fn an_answer_with_a_lower_version_adds_what_events_never_tell() {
    let mut source = read(&World::of([]));
    source.refresh(&World::of([web("other")]));
    let starting = with_status(&web("a"), "PENDING");
    source.event(event(&starting, 2, source.now));
    source.event(event(&web("a"), 3, source.now));
    source.errand_with(
        wishes([Wish::Running(web("a").cluster.arn, web("a").task.arn)]),
        at_version(&World::of([starting]), 2),
    );
    let task = known(&source, &web("a")).unwrap();
    assert_eq!(Task { health_status: None, ..task.clone() }.last_status, web("a").task.last_status);
    assert_eq!((task.tags, task.capacity_provider), (web("a").task.tags, web("a").task.capacity_provider));
    assert_eq!(task.platform_family, web("a").task.platform_family);
    assert!(scope(source.scope("prod")).contains("10.0.0.1:80"), "it is complete");
}

#[test]
fn an_untagged_answer_with_a_lower_version_keeps_the_tags() {
    let mut source = read(&World::of([web("a")]));
    let told = web("a").task(|task| task.network_interface = None);
    source.event(event(&told, 6, source.now));
    let task = web("a").task(|task| task.tags.clear()).task;
    let described = DescribedTask { task, version: Some(5), untagged: true };
    source.inventory.apply(Fact::Task(web("a").cluster.arn, described), source.now);
    assert_eq!(known(&source, &web("a")).unwrap().tags, web("a").task.tags);
}

#[test]
fn an_outdated_answer_does_not_end_the_search_for_an_address() {
    let world = World::of([web("a")]);
    let mut source = read(&world);
    let told = web("a").task(|task| task.network_interface = None);
    let (_, wish) = source.event(event(&told, 6, source.now));
    source.errand_with(wishes(wish.clone()), at_version(&world, 5));
    let asked = source.errand_with(wishes(wish.clone()), at_version(&world, 6));
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(source.errand_with(wishes(wish), at_version(&world, 6)), []);
}

#[test]
fn an_answer_without_a_version_is_dropped_if_an_event_came_after_the_request() {
    let mut source = Source::default();
    source.refresh(&World::of([restarted("old")]));
    let sent = source.now;
    source.event(event(&restarted("new"), 6, source.now + SECOND));
    source.now += SECOND;
    source.event(event(&restarted("newer"), 7, source.now));
    describe(&restarted("old"), None, sent, &mut source);
    assert_eq!(runtime(&source).as_deref(), Some("newer"));
    describe(&restarted("newest"), None, source.now + SECOND, &mut source);
    assert_eq!(runtime(&source).as_deref(), Some("newest"));
}

#[test]
fn an_event_that_is_older_than_an_answer_without_a_version_is_not_believed() {
    let mut source = Source::default();
    source.refresh(&World::of([restarted("old")]));
    let told = source.now - SECOND;
    source.now += SECOND;
    describe(&restarted("new"), None, source.now, &mut source);
    let wish = Wish::Running(web("a").cluster.arn, web("a").task.arn);
    assert_eq!(source.event(event(&restarted("old"), 6, told)), (EventResult::Stale, Some(wish)));
    assert_eq!(runtime(&source).as_deref(), Some("new"));
    assert_eq!(source.event(event(&restarted("newer"), 7, source.now)).0, EventResult::Applied);
    assert_eq!(runtime(&source).as_deref(), Some("newer"));
}

#[test]
fn a_stopped_task_comes_back_by_no_event_and_no_answer() {
    let world = World::of([web("a"), web("bb")]);
    let mut source = read(&world);
    source.event(event(&stopped(&web("a")), 8, source.now));
    assert_eq!(source.event(event(&web("a"), 7, source.now)).0, EventResult::Duplicate);
    // A description that lags behind the event lowers nothing.
    describe(&stopped(&web("a")), Some(6), source.now, &mut source);
    assert_eq!(source.event(event(&web("a"), 8, source.now)).0, EventResult::Duplicate);
    source.refresh_with(at_version(&world, 8));
    source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.2:80/metrics 1m");
}

#[test]
fn a_stopped_task_is_remembered_before_it_is_known() {
    let mut source = read(&World::of([web("other")]));
    assert_eq!(source.event(event(&stopped(&web("a")), 8, source.now)).0, EventResult::Applied);
    assert_eq!(source.event(event(&web("a"), 7, source.now)).0, EventResult::Duplicate);
    assert_eq!(known(&source, &web("a")), None);
}

/// Otherwise an answer that lags behind makes it a target until the next refresh.
#[test]
fn a_stopped_task_of_an_unknown_cluster_is_remembered() {
    let mut source = read(&World::of([web("other")]));
    let new = web("a").in_cluster("new");
    let (_, wish) = source.event(event(&new, 7, source.now));
    assert_eq!(source.event(event(&stopped(&new), 8, source.now)), (EventResult::Stale, None));
    assert_eq!(source.event(event(&new, 7, source.now)), (EventResult::Duplicate, None));
    source.errand_with(wishes(wish), at_version(&World::of([web("other"), new]), 7));
    assert_eq!(source.snapshot.targets().len(), 1);
}

#[test]
fn a_task_that_a_higher_version_brings_back_is_described_by_an_errand() {
    for is_believed in [true, false] {
        let mut source = read(&World::of([web("other")]));
        source.event(event(&stopped(&web("a")), 5, source.now));
        source.now += 600 * SECOND;
        source.refresh_with(at_version(&World::of([web("other")]), 5));
        let updated = if is_believed { source.now } else { Duration::ZERO };
        let (result, wish) = source.event(event(&web("a"), 6, updated));
        assert_eq!(result, if is_believed { EventResult::Applied } else { EventResult::Stale });
        source.errand_with(wishes(wish), at_version(&World::of([web("a"), web("other")]), 6));
        assert_eq!(known(&source, &web("a")), Some(web("a").task), "{is_believed}");
        assert_eq!(source.snapshot.targets().len(), 2);
    }
}

#[test]
fn a_stopped_task_is_remembered_for_two_hours() {
    let world = World::of([web("other")]);
    for (seconds, result) in [(7100, EventResult::Duplicate), (8500, EventResult::Applied)] {
        let mut source = read(&world);
        source.event(event(&stopped(&web("a")), 8, source.now));
        source.now += Duration::from_secs(seconds);
        source.refresh_with(at_version(&world, 5));
        assert_eq!(source.event(event(&web("a"), 7, source.now)).0, result, "{seconds}");
    }
}

#[test]
fn of_too_many_stopped_tasks_the_oldest_are_forgotten() {
    let mut source = read(&World::of([web("other")]));
    let fixture = web("a");
    let stop = |source: &mut Source, number: usize| {
        let stopped = stopped(&fixture.clone().id(&format!("{:06}", 999_999 - number)));
        source.inventory.apply_event(event(&stopped, 8, source.now), source.now);
    };
    // Half of them at one moment.
    (0..60_000).for_each(|number| stop(&mut source, number));
    source.now += SECOND;
    (60_000..100_001).for_each(|number| stop(&mut source, number));
    let mut result = |number: usize| {
        let again = web("a").id(&format!("{:06}", 999_999 - number));
        source.inventory.apply_event(event(&again, 7, source.now), source.now).0
    };
    assert!((60_000..100_001).all(|number| result(number) == EventResult::Duplicate));
    let kept = (0..60_000).filter(|number| result(*number) == EventResult::Duplicate).count();
    assert_eq!(kept, 10_000);
}

#[test]
fn a_listing_that_lacks_the_task_of_a_later_event_proves_nothing() {
    let world = World::of([web("other")]);
    let mut source = read(&world);
    let mut refresh = source.begin();
    source.now += SECOND;
    source.event(event(&web("a"), 3, source.now));
    let mut open = refresh.questions(&mut source.inventory);
    let mut asked = Vec::new();
    while let Some(question) = open.pop() {
        refresh.answered(&mut source.inventory, question.clone(), world.answer(&question).unwrap());
        asked.push(question);
        open.extend(refresh.questions(&mut source.inventory));
    }
    source.finish(refresh);
    assert!(asked.iter().all(|question| !matches!(question, Question::TaskDetails { .. })), "{asked:?}");
    assert!(known(&source, &web("a")).is_some());
    // The next one lacks it too, and AWS says that there is none.
    source.refresh(&world);
    assert_eq!(known(&source, &web("a")), None);
}

#[test]
fn a_replica_that_lags_behind_an_event_does_not_remove_its_task() {
    let mut source = read(&World::of([web("other")]));
    let (_, wish) = source.event(event(&web("a"), 3, source.now));
    source.errand_with(wishes(wish), |question| match question {
        Question::TaskDetails { tasks, .. } => {
            Ok(Answer::TaskDetails { tasks: Vec::new(), missing: tasks.clone() })
        }
        other => World::of([web("a")]).answer(other),
    });
    source.wait(2 * SECOND);
    assert!(scope(source.scope("prod")).contains("10.0.0.1:80"));
}

#[test]
fn an_old_event_of_an_unknown_task_is_not_believed() {
    let mut source = read(&World::of([web("other")]));
    // The listing began at zero. Another one is newer than the events.
    source.now += 100 * SECOND;
    let begun = source.now;
    source.refresh_with(at_version(&World::of([web("other")]), 5));
    let old = event(&web("a"), 3, begun - 61 * SECOND);
    let wish = Wish::Running(web("a").cluster.arn, web("a").task.arn);
    assert_eq!(source.event(old), (EventResult::Stale, Some(wish)));
    assert_eq!(known(&source, &web("a")), None);
    assert_eq!(source.event(event(&web("a"), 3, begun - 60 * SECOND)).0, EventResult::Applied);
    assert!(known(&source, &web("a")).is_some());
}

#[test]
fn an_event_of_a_cluster_that_was_never_listed_is_not_believed() {
    let mut source = read(&World::of([web("a")]));
    source.restart();
    let wish = Wish::Running(web("bb").cluster.arn, web("bb").task.arn);
    assert_eq!(source.event(event(&web("bb"), 3, source.now)), (EventResult::Stale, Some(wish)));
    // Of a known task it is.
    assert_eq!(source.event(event(&stopped(&web("a")), 6, source.now)).0, EventResult::Applied);
    assert_eq!(source.snapshot.targets().len(), 0);
}

#[test]
fn versions_outlast_the_process() {
    let mut source = read(&World::of([web("a")]));
    source.event(event(&restarted("v9"), 9, source.now));
    source.restart();
    assert_eq!(source.event(event(&stopped(&web("a")), 9, source.now)).0, EventResult::Duplicate);
}
