//! Reading a queue: whether it is read, deletions, and panics of a reader.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ecs_simulator::{Call, Calls, Fault, OWN_ACCOUNT, Response};
use prometheus_ecs_sd::config::QueueAddress;
use prometheus_ecs_sd::sinks::http::metrics::Format;

use super::super::log::Log;
use super::super::{REGION, Running, Stage, fleet};
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
    for _ in 0..3 {
        send(&stage, 400);
        tokio::time::sleep(SOON).await;
        assert_eq!(depth(&stage), 0);
    }
    // More than there may be loops.
    assert!(panics(&running) > 8);
    stage.simulator.heal();
    stage.simulator.take_calls();
    send(&stage, 400);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(depth(&stage), 0);
    assert!(stage.simulator.take_calls().iter().any(is_of_other_loop));
}

/// Heartbeats for so many minutes.
async fn minutes(stage: &Stage, count: usize) {
    for _ in 0..count {
        stage.change(|region| region.heartbeat());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_permission_to_delete_messages_is_logged_once_and_shown() {
    let (log, _guard) = Log::listen();
    let stage = told(fleet(&[("prod", 1)]));
    let running = live(&stage).await;
    stage.simulator.inject(Fault::Denied, Calls::of("DeleteMessageBatch"));
    minutes(&stage, 5).await;
    let warning = "messages cannot be deleted, and are received again; allow sqs:DeleteMessage on the queue";
    assert_eq!(log.count(warning, "WARN"), 1);
    let problem = running.queues()[0].undeleted.clone().unwrap();
    assert!(problem.starts_with("DeleteMessageBatch: AccessDenied"), "{problem}");
    assert_eq!(running.queues()[0].is_readable, Some(true));
    stage.simulator.heal();
    minutes(&stage, 2).await;
    assert_eq!(log.count("messages of the queue are deleted again", "eu-central-1/events"), 1);
    assert_eq!((running.queues()[0].undeleted.as_deref(), depth(&stage)), (None, 0));
}

/// They are received again.
#[tokio::test(start_paused = true)]
async fn single_deletions_that_fail_are_no_warning() {
    let (log, _guard) = Log::listen();
    let stage = told(fleet(&[("prod", 1)]));
    let _running = live(&stage).await;
    for _ in 0..5 {
        stage.change(|region| region.queue("events").fail_deletes = 1);
        minutes(&stage, 2).await;
    }
    assert_eq!((log.count("deleted", ""), depth(&stage)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn deletions_that_are_not_answered_are_bounded_and_delay_no_receipt() {
    let (log, _guard) = Log::listen();
    let stage = told(fleet(&[("prod", 1)]));
    let _running = live(&stage).await;
    stage.simulator.take_calls();
    stage.simulator.inject(Fault::NeverEnds, Calls::of("DeleteMessageBatch"));
    send(&stage, 3000);
    tokio::time::sleep(SOON).await;
    // Of the deletions that are sent only the answers are missing.
    let received = stage.change(|region| {
        let queue = region.queue("events");
        (queue.depth(), queue.in_flight())
    });
    assert_eq!(received, (2000, 2000));
    let calls = stage.simulator.take_calls();
    assert_eq!(calls.iter().filter(|call| call.operation == "DeleteMessageBatch").count(), 100);
    assert_eq!(log.count("messages cannot be deleted, and are received again", "100 requests"), 1);
    // Each of them fails after some attempts, and the messages come again.
    stage.simulator.heal();
    tokio::time::sleep(Duration::from_secs(150)).await;
    assert_eq!(depth(&stage), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_messages_is_known_to_be_read_immediately() {
    let stage = told(fleet(&[("prod", 1)]));
    let running = stage.run().await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(running.queues()[0].is_readable, Some(true));
    // Long polls follow.
    stage.asked();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stage.asked().contains("sqs ReceiveMessage 3\n"));
}

#[tokio::test(start_paused = true)]
async fn credentials_that_are_refused_and_renewed_are_no_warning() {
    let (log, _guard) = Log::listen();
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    log.count("", "");
    let refusals = AtomicUsize::new(0);
    stage.simulator.on_call(move |call| {
        let is_first = call.operation == "ReceiveMessage" && refusals.fetch_add(1, Ordering::Relaxed) == 0;
        is_first.then(|| Response::expired(call))
    });
    let task = some_task(&stage);
    stage.change(|region| region.begin_stop(&task));
    targets(&mut running, 0).await;
    stage.change(|region| region.heartbeat());
    tokio::time::sleep(SOON).await;
    assert_eq!((log.count("queue", ""), depth(&stage)), (0, 0));
    assert_eq!(running.queues()[0].is_readable, Some(true));
}

const ROLE: &str = "arn:aws:iam::222222222222:role/prometheus";

#[tokio::test(start_paused = true)]
async fn queues_of_one_name_in_one_region_are_told_apart() {
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(ROLE, None);
    let queues =
        [OWN_ACCOUNT, "222222222222"].map(|account| world.region(account, REGION).create_queue("events"));
    let mut stage = Stage::new(world).role(ROLE, None);
    stage.config.event_queues = queues.iter().map(|arn| QueueAddress::parse(arn).unwrap()).collect();
    let running = stage.run().await;
    send(&stage, 3);
    tokio::time::sleep(SOON).await;
    let page = running.metrics(Format::Text);
    for (account, count) in [(OWN_ACCOUNT, 3), ("222222222222", 0)] {
        let name = format!("{REGION}/{account}/events");
        let foreign = format!("ecs_sd_events_total{{queue=\"{name}\",result=\"foreign\"}} {count}\n");
        assert!(page.contains(&foreign), "{page}");
        let is_read =
            running.queues().iter().any(|queue| queue.name == name && queue.is_readable == Some(true));
        assert!(is_read, "{name}");
    }
}

/// A heartbeat of a minute, later than those of the simulator.
fn heartbeat(minute: u64) -> String {
    format!(
        r#"{{"source":"aws.events","detail-type":"Scheduled Event","account":"{OWN_ACCOUNT}","region":"{REGION}","time":"2099-01-01T00:{minute:02}:34Z"}}"#
    )
}

#[tokio::test(start_paused = true)]
async fn heartbeats_count_for_the_minute_in_which_they_were_sent() {
    let (log, _guard) = Log::listen();
    let stage = told(fleet(&[("prod", 1)]));
    let _running = live(&stage).await;
    let (few, complete) =
        ("fewer than 8 heartbeats came in ten minutes", "heartbeats come every minute again");
    let send = async |minutes: &mut dyn Iterator<Item = u64>| {
        stage.change(|region| minutes.for_each(|minute| region.queue("events").send(heartbeat(minute))));
        tokio::time::sleep(SOON).await;
    };
    // All at the same time, which another program's share would not be.
    send(&mut (0..15)).await;
    assert_eq!(log.count(few, ""), 0);
    send(&mut (15..30).step_by(2)).await;
    assert_eq!(log.count(few, "eu-central-1/events"), 1);
    send(&mut (30..45)).await;
    assert_eq!(log.count(complete, "eu-central-1/events"), 1);
    send(&mut (45..60).step_by(2)).await;
    assert_eq!(log.count(few, "eu-central-1/events"), 1);
}
