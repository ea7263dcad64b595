//! Cases that once failed.

use super::faults::Fault;
use super::faults::Kind::{Expired, ServerError, Stalled, Throttled};
use super::faults::Lie::Omits;
use super::play::play;
use super::recipes::Place::Ec2Awsvpc;
use super::recipes::Recipe;
use super::steps::Case;
use super::steps::Change::{BeginStop, RetagCluster, RetagHost, Start};
use super::steps::Cluster::{Alpha, Beta, Partner};
use super::steps::Step::{Heal, Pass, Refresh, Restart, Trouble, World};

const SIMPLE: Case = Case {
    page: 99,
    latency: 0,
    named: false,
    rare_rechecks: false,
    lie: Omits,
    events: None,
    steps: Vec::new(),
};

fn check(case: Case) {
    if let Err(problem) = play(&case) {
        panic!("{problem}\n{case:#?}");
    }
}

#[test]
fn what_one_source_comes_to_is_saved_though_another_was_not_heard_since_the_start() {
    let quick = Recipe { endpoint: "15s:/fast", ..Recipe::plain() };
    let steps = vec![
        World(Start { cluster: Alpha, recipe: Recipe::plain(), tasks: 1, running: true }),
        World(Start { cluster: Partner, recipe: Recipe::plain(), tasks: 1, running: true }),
        Refresh,
        Restart,
        Trouble(Fault { operation: "AssumeRole", cluster: None, kind: Stalled, share: 4, seed: 0 }),
        World(Start { cluster: Alpha, recipe: quick, tasks: 1, running: true }),
        Pass(5),
        Trouble(Fault { operation: "ListTasks", cluster: None, kind: ServerError, share: 4, seed: 0 }),
        Restart,
        Pass(300),
    ];
    check(Case { steps, ..SIMPLE });
}

/// While one source is refreshed for longer than the period, the other is published without it.
#[test]
fn a_refresh_that_takes_longer_than_the_period_is_waited_for() {
    let many = Start { cluster: Alpha, recipe: Recipe::plain(), tasks: 101, running: false };
    let steps = vec![
        World(many),
        Refresh,
        Heal,
        Pass(25),
        World(Start { cluster: Beta, recipe: Recipe::plain(), tasks: 1, running: true }),
        Pass(200),
    ];
    check(Case { page: 2, latency: 2_000, steps, ..SIMPLE });
}

/// The tags and the task change in one refresh.
#[test]
fn a_task_that_ends_leaves_though_its_clusters_tags_change() {
    let start = Start { cluster: Partner, recipe: Recipe::plain(), tasks: 2, running: true };
    let throttled = Fault { operation: "", cluster: None, kind: Throttled, share: 4, seed: 0 };
    let steps = vec![
        World(start),
        Refresh,
        Trouble(throttled),
        World(RetagCluster(Partner)),
        World(BeginStop(0)),
        Heal,
    ];
    check(Case { steps, ..SIMPLE });
}

/// A task begins in a cluster whose tags changed before.
#[test]
fn a_task_that_begins_has_the_tags_its_cluster_has_now() {
    let start = |tasks| World(Start { cluster: Alpha, recipe: Recipe::plain(), tasks, running: true });
    let steps = vec![Refresh, Refresh, start(0), World(RetagCluster(Alpha)), Heal, start(1), Pass(4)];
    check(Case { rare_rechecks: true, steps, ..SIMPLE });
}

/// The first complete refresh after a start is not the first one.
#[test]
fn a_host_that_changed_is_found_by_the_first_complete_refresh_after_a_restart() {
    let recipe = Recipe { place: Ec2Awsvpc, ..Recipe::plain() };
    let expired = Fault { operation: "", cluster: None, kind: Expired, share: 4, seed: 0 };
    let steps = vec![
        World(Start { cluster: Partner, recipe, tasks: 1, running: true }),
        Refresh,
        Trouble(expired),
        Refresh,
        World(RetagHost(0)),
        Restart,
        Pass(7),
        Refresh,
        Refresh,
    ];
    check(Case { steps, ..SIMPLE });
}
