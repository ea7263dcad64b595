//! Reading a queue: whether it is read, deletions, and panics of a reader.

use std::time::Duration;

use ecs_simulator::Call;
use prometheus_ecs_sd::sinks::http::metrics::Format;

use super::super::{Running, Stage, fleet};
use super::{SOON, depth, live, some_task, targets, told};

/// Sends messages that are no events.
fn send(stage: &Stage, count: usize) {
    stage.change(|region| (0..count).for_each(|_| region.queue("events").send("text")));
}

/// The panics of readers so far.
fn panics(running: &Running) -> u64 {
    let page = running.metrics(Format::Text);
    let count = page.lines().find_map(|line| line.strip_prefix("ecs_sd_panics_total{part=\"events\"} "));
    count.unwrap().parse().unwrap()
}

/// Whether it is a receipt of a loop that joined the first one.
fn is_of_other_loop(call: &Call) -> bool {
    call.operation == "ReceiveMessage" && call.input["WaitTimeSeconds"] == 0
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_reader_of_a_queue_lets_it_begin_again() {
    let stage = told(fleet(&[("prod", 2)]));
    let mut running = live(&stage).await;
    stage.simulator.on_call(|call| {
        assert_ne!(call.operation, "ReceiveMessage", "an assertion of a library");
        None
    });
    send(&stage, 1);
    tokio::time::sleep(SOON).await;
    assert!(panics(&running) > 1);
    stage.simulator.heal();
    let task = some_task(&stage);
    stage.change(|region| region.begin_stop(&task));
    targets(&mut running, 1).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_another_loop_leaves_its_place_to_the_next_one() {
    let stage = told(fleet(&[("prod", 1)]));
    let running = live(&stage).await;
    stage.simulator.on_call(|call| {
        assert!(!is_of_other_loop(call), "an assertion of a library");
        None
    });
    send(&stage, 400);
    tokio::time::sleep(SOON).await;
    assert_eq!(depth(&stage), 0);
    // More than there may be loops.
    assert!(panics(&running) > 8);
    stage.simulator.heal();
    stage.simulator.take_calls();
    send(&stage, 400);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(depth(&stage), 0);
    assert!(stage.simulator.take_calls().iter().any(is_of_other_loop));
}
