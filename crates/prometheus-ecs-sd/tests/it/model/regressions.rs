//! Cases that once failed.

use super::faults::Fault;
use super::faults::Kind::{ServerError, Stalled};
use super::faults::Lie::Omits;
use super::play::play;
use super::recipes::Recipe;
use super::steps::Change::Start;
use super::steps::Cluster::{Alpha, Partner};
use super::steps::Step::{Pass, Refresh, Restart, Trouble, World};
use super::steps::{Case, Step};

fn check(steps: Vec<Step>) {
    let case = Case { page: 99, latency: 0, named: false, rare_rechecks: false, lie: Omits, steps };
    if let Err(problem) = play(&case) {
        panic!("{problem}\n{case:#?}");
    }
}

#[test]
fn what_one_source_comes_to_is_saved_though_another_was_not_heard_since_the_start() {
    let quick = Recipe { endpoint: "15s:/fast", ..Recipe::plain() };
    check(vec![
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
    ]);
}
