//! Answers in which one item of a batch, or each of them, has trouble of its own.

use ecs_simulator::{Call, Response};

use super::calls::Changing;
use super::trial::{NEXT_REFRESH, PARTNER, Trial, launch, populate, world};

/// What ECS may say of an item instead of describing it.
const REASONS: [&str; 3] = ["MISSING", "ACCESS_DENIED", ""];

#[tokio::test(start_paused = true)]
async fn items_that_are_not_described_cost_nothing() {
    for operation in ["DescribeTasks", "DescribeContainerInstances", "DescribeClusters"] {
        let mut trial = Trial::rechecking(world()).await;
        let mut theirs = Changing::default();
        for (reason, some) in REASONS.into_iter().flat_map(|reason| [(reason, false), (reason, true)]) {
            let what = format!("{operation}: {reason:?}, only some: {some}");
            let before = trial.targets();
            trial.stage.simulator.on_answer(move |call, answer: &mut Response| {
                if call.operation == operation && call.account == PARTNER {
                    answer
                        .fail(reason, |arn| !some || arn.ends_with(['0', '2', '4', '6', '8', 'a', 'c', 'e']));
                }
            });
            trial.watch(NEXT_REFRESH, |now| now.are(&before, &what)).await;
            trial.change(PARTNER, |region| theirs.change(region, populate));
            let (fresh, expected) = trial.fresh().await;
            trial.watch(2 * NEXT_REFRESH, |now| now.lie_between(&before, &expected, &what)).await;
            trial.becomes(&fresh, NEXT_REFRESH, &what).await;
        }
    }
}

/// While the definitions of one family cannot be described, because of `refusal`, everything else comes and stays; its
/// own tasks come within so many refreshes of its end.
async fn check_definition(refusal: fn(&Call) -> Response, refreshes: u32) {
    let mut trial = Trial::begin(world()).await;
    let before = trial.targets();
    trial.stage.simulator.on_call(move |call| {
        let family = call.input["taskDefinition"].as_str().is_some_and(|arn| arn.contains("/a-unlucky:"));
        family.then(|| refusal(call))
    });
    trial.change(PARTNER, |region| launch(region, "a", "unlucky"));
    trial.watch(NEXT_REFRESH, |now| now.are(&before, "meanwhile")).await;
    trial.change(PARTNER, |region| populate(region, "a", "new"));
    let (fresh, expected) = trial.fresh().await;
    trial.watch(NEXT_REFRESH, |now| now.lie_between(&before, &expected, "others")).await;
    assert_eq!(trial.targets().of(PARTNER).len(), expected.of(PARTNER).len() - 1);
    trial.stage.simulator.heal();
    trial.watch((refreshes - 1) * NEXT_REFRESH, |now| now.lie_between(&before, &expected, "healed")).await;
    trial.becomes(&fresh, NEXT_REFRESH, "the definition can be described").await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_cannot_be_described_is_its_own_tasks_trouble() {
    check_definition(Response::server_error, 1).await;
    // What ECS says it does not know is asked for again after two minutes only.
    let unknown =
        |call: &Call| Response::refused(call, 400, "ClientException", "Unable to describe task definition.");
    check_definition(unknown, 3).await;
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_is_deleted_while_its_tasks_run_costs_nothing() {
    let mut trial = Trial::rechecking(world()).await;
    let before = trial.targets();
    trial.change(PARTNER, |region| region.task_definitions.clear());
    trial.watch(3 * NEXT_REFRESH, |now| now.are(&before, "meanwhile")).await;
}
