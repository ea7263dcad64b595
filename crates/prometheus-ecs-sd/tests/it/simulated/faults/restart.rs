//! Faults that meet a run from its first call on: a restart into trouble, with what the run before has left at hand.

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

/// A run that begins amid trouble, which lasts, takes nothing from the files, and what it could not hear is there once
/// it can.
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
            trial.watch(4 * NEXT_REFRESH, |now| now.lie_between(&before, &after, &what)).await;
            trial.becomes(&fresh, NEXT_REFRESH, &what).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_fail_after_a_restart_cost_nothing() {
    check(&OPERATIONS, &[Fault::Throttled, Fault::Denied, Fault::CutShort].map(Trouble::of)).await;
}

#[tokio::test(start_paused = true)]
async fn items_that_are_not_described_after_a_restart_cost_nothing() {
    for operation in ["DescribeTasks", "DescribeContainerInstances", "DescribeClusters"] {
        let troubles = ["MISSING", "ACCESS_DENIED"].map(|reason| {
            Trouble::new(reason, move |aws, _| {
                aws.on_answer(move |call, answer| {
                    if call.operation == operation && call.account == PARTNER {
                        answer.fail(reason, |_| true);
                    }
                });
            })
        });
        check(&[operation], &troubles).await;
    }
}
