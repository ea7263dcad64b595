//! Starts and ends that a refresh learned of and no event told.

use std::time::Duration;

use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::Question;

use super::{event, read, stopped, web, with_status};
use crate::fixture::World;
use crate::source::{Source, wishes};

const SECOND: Duration = Duration::from_secs(1);

/// A refresh, and the beginning of the time in which events may tell its changes.
fn refresh(source: &mut Source, world: &World) {
    source.refresh(world);
    source.inventory.expect_events(source.now);
}

fn missed_after(source: &mut Source, time: Duration) -> usize {
    source.now += time;
    source.inventory.missed_events(source.now)
}

#[test]
fn a_start_that_no_event_tells_counts_once() {
    let mut source = read(&World::of([web("a")]));
    refresh(&mut source, &World::of([web("a"), web("bb")]));
    assert_eq!(missed_after(&mut source, Duration::from_millis(59_999)), 0);
    assert_eq!(missed_after(&mut source, Duration::from_millis(1)), 1);
    refresh(&mut source, &World::of([web("a"), web("bb")]));
    assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
}

#[test]
fn an_end_that_no_event_tells_counts_once() {
    for over in [None, Some(stopped(&web("bb")))] {
        let mut source = read(&World::of([web("a"), web("bb")]));
        refresh(&mut source, &World::of([web("a")].into_iter().chain(over)));
        assert_eq!(missed_after(&mut source, 60 * SECOND), 1);
        assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
    }
}

#[test]
fn a_change_that_an_event_tells_in_time_does_not_count() {
    let mut source = read(&World::of([web("a"), web("bb")]));
    refresh(&mut source, &World::of([web("a"), web("ccc")]));
    source.now += 59 * SECOND;
    source.event(event(&stopped(&web("bb")), 9, source.now));
    source.event(event(&with_status(&web("ccc"), "PENDING"), 2, source.now));
    assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
}

#[test]
fn an_event_of_the_start_does_not_tell_the_end() {
    let mut source = read(&World::of([web("a"), web("bb")]));
    refresh(&mut source, &World::of([web("a"), stopped(&web("bb"))]));
    source.event(event(&web("bb"), 4, source.now));
    assert_eq!(missed_after(&mut source, 60 * SECOND), 1);
}

#[test]
fn a_change_that_an_event_told_before_the_refresh_does_not_count() {
    let mut source = read(&World::of([web("a"), web("bb")]));
    source.event(event(&stopped(&web("bb")), 9, source.now));
    source.event(event(&web("ccc"), 3, source.now));
    refresh(&mut source, &World::of([web("a"), web("ccc")]));
    assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
}

#[test]
fn the_first_refresh_and_new_clusters_do_not_count() {
    let mut source = Source::default();
    refresh(&mut source, &World::of([web("a")]));
    assert_eq!(missed_after(&mut source, 60 * SECOND), 0);
    refresh(&mut source, &World::of([web("a"), web("bb").in_cluster("new")]));
    assert_eq!(missed_after(&mut source, 60 * SECOND), 0);
    source.restart();
    refresh(&mut source, &World::of([web("a"), web("ccc")]));
    assert_eq!(missed_after(&mut source, 60 * SECOND), 0);
}

#[test]
fn tasks_that_only_could_not_be_described_do_not_count() {
    let world = World::of([web("a"), web("bb")]);
    let mut source = Source::default();
    let describe = |question: &Question| matches!(question, Question::TaskDetails { .. });
    for _ in 0..3 {
        source.refresh_failing(&world, FailureKind::Throttled, describe);
    }
    refresh(&mut source, &world);
    assert_eq!(source.snapshot.targets().len(), 2);
    assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
}

#[test]
fn what_an_errand_learns_does_not_count() {
    let mut source = read(&World::of([web("a")]));
    source.now += 600 * SECOND;
    let world = World::of([web("a"), web("bb")]);
    source.refresh(&World::of([web("a")]));
    let (_, wish) = source.event(event(&web("bb"), 3, Duration::ZERO));
    source.errand_with(wishes(wish), |question| world.answer(question));
    source.inventory.expect_events(source.now);
    assert_eq!(source.snapshot.targets().len(), 2);
    assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
}

#[test]
fn changes_found_while_no_events_are_expected_are_forgotten() {
    let mut source = read(&World::of([web("a")]));
    refresh(&mut source, &World::of([web("a"), web("bb")]));
    source.inventory.expect_no_events();
    assert_eq!(missed_after(&mut source, 600 * SECOND), 0);
}
