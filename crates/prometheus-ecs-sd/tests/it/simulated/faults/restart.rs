//! Faults that meet a run from its first call on: a restart into trouble, with the files of the run before at hand.

use ecs_simulator::{Fault, OWN_ACCOUNT};

use super::super::{REGION, Stage};
use super::calls::{OPERATIONS, Trouble, partners};
use super::trial::{NEXT_REFRESH, PARTNER, ROLE, Trial, launch, targets, world};

/// A stage on which a run has been and ended, and tasks have begun since then.
async fn left_by_a_run() -> Stage {
    let stage = Stage::new(world()).role(ROLE, None);
    stage.once().await;
    stage.simulator.change(|world| {
        for account in [OWN_ACCOUNT, PARTNER] {
            launch(world.region(account, REGION), "a", "new");
        }
    });
    stage
}

/// A run that begins amid trouble takes nothing from the files, and what it could not hear is there once it can.
async fn check(operations: &[&str], troubles: &[Trouble]) {
    for operation in operations {
        for trouble in troubles {
            let what = format!("{operation}: {trouble}");
            let stage = left_by_a_run().await;
            let before = targets(&stage);
            trouble.befall(&stage.simulator, partners(operation));
            let mut trial = Trial::on(stage).await;
            let (fresh, after) = trial.fresh().await;
            trial.targets().lie_between(&before, &after, &what);
            // The rest of the first refresh.
            trial.watch(NEXT_REFRESH / 2, |now| now.lie_between(&before, &after, &what)).await;
            trial.becomes(&fresh, NEXT_REFRESH, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_after_a_restart_cost_nothing() {
    check(&OPERATIONS, &[Fault::Throttled, Fault::ResetMidBody, Fault::CutShort].map(Trouble::of)).await;
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_gone_after_a_restart_costs_nothing() {
    check(&["AssumeRole", "ListClusters", "ListTasks"], &[Trouble::of(Fault::Denied)]).await;
}
