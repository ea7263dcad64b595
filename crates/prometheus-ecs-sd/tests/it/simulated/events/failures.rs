//! Events that do not come, or tell nothing: the program does what it does without them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ecs_simulator::{Calls, EventFate, Fault, HostKind, Placement, Response, Run};
use prometheus_ecs_sd::published::EventStatus;

use super::super::{Running, Stage, fleet, opted_in};
use super::{SOON, depth, live, some_task, stop_one, targets, told};

#[tokio::test(start_paused = true)]
async fn silence_is_noticed_after_three_minutes_and_refreshes_go_on() {
    let stage = told(fleet(&[("prod", 2)]));
    let mut running = live(&stage).await;
    stage.change(|region| region.rule("prometheus-ecs-sd").enabled = false);
    let task = some_task(&stage);
    stage.change(|region| region.stop(&task));
    let began = tokio::time::Instant::now();
    while running.published().snapshot.target_count() == 2 {
        running.next().await;
    }
    assert!((Duration::from_secs(110)..Duration::from_secs(185)).contains(&began.elapsed()));
    assert_eq!(running.sources()[0].events, EventStatus::Waiting);
    assert_eq!(running.sources()[0].interval, Duration::from_secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_event_told_is_doubted_and_two_clean_refreshes_end_it() {
    let stage = told(fleet(&[("prod", 2)]));
    let mut running = live(&stage).await;
    let heartbeat = || stage.change(|region| region.heartbeat());
    stage.simulator.on_event(|event| match event.is_heartbeat() {
        true => ecs_simulator::EventFate::Deliver,
        false => ecs_simulator::EventFate::Drop,
    });
    let task = some_task(&stage);
    stage.change(|region| region.stop(&task));
    let mut statuses = Vec::new();
    for _ in 0..30 {
        heartbeat();
        tokio::time::sleep(Duration::from_secs(60)).await;
        let status = running.sources()[0].events;
        if statuses.last() != Some(&status) {
            statuses.push(status);
        }
    }
    assert_eq!(statuses, [EventStatus::Live, EventStatus::Doubted, EventStatus::Live]);
    assert_eq!(running.next().await.snapshot.target_count(), 1);
}

/// A refresh that finds a change proves nothing for a minute: its event may still come.
#[tokio::test(start_paused = true)]
async fn frequent_refreshes_do_not_end_doubt_before_events_had_time_to_tell_what_they_found() {
    let mut stage = told(fleet(&[("prod", 4)]));
    stage.config.interval = Duration::from_secs(15);
    let running = live(&stage).await;
    stage.simulator.on_event(|event| match event.is_heartbeat() {
        true => EventFate::Deliver,
        false => EventFate::Drop,
    });
    let mut statuses = Vec::new();
    stage.change(stop_one);
    for second in 0..1500 {
        if second % 60 == 0 {
            stage.change(|region| region.heartbeat());
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        let status = running.sources()[0].events;
        if statuses.last() != Some(&status) {
            statuses.push(status);
            // Another change is missed while the source is doubted.
            if status == EventStatus::Doubted && statuses.len() == 2 {
                stage.change(stop_one);
            }
        }
    }
    assert_eq!(statuses, [EventStatus::Live, EventStatus::Doubted, EventStatus::Live]);
}

#[tokio::test(start_paused = true)]
async fn messages_that_are_no_events_are_deleted_and_change_nothing() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    stage.change(|region| {
        for body in ["", "{", "[]", r#"{"Service":"Amazon S3","Event":"s3:TestEvent"}"#, "text"] {
            region.queue("events").send(body);
        }
    });
    assert!(running.next_within(SOON).await.is_none());
    assert_eq!(depth(&stage), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_exist_costs_nothing() {
    let mut stage = Stage::new(fleet(&[("prod", 1)]));
    let arn = "arn:aws:sqs:eu-central-1:111111111111:nowhere";
    stage.config.event_queues = vec![prometheus_ecs_sd::config::QueueAddress::parse(arn).unwrap()];
    let mut running = stage.run().await;
    for _ in 0..3 {
        assert!(running.next_within(Duration::from_secs(70)).await.unwrap().complete);
    }
    assert_eq!(running.sources()[0].events, EventStatus::Waiting);
}

#[tokio::test(start_paused = true)]
async fn a_queue_without_messages_is_no_failure() {
    let stage = told(fleet(&[("prod", 1)]));
    let running = live(&stage).await;
    tokio::time::sleep(Duration::from_secs(170)).await;
    assert_eq!(running.queues()[0].is_readable, Some(true));
    let ledger = stage.asked();
    let receives = ledger.lines().find(|line| line.starts_with("sqs ReceiveMessage")).unwrap();
    assert_eq!(receives, "sqs ReceiveMessage 8");
}

/// The API is eventually consistent, and events may be faster.
#[tokio::test(start_paused = true)]
async fn a_target_stays_though_describe_tasks_does_not_know_its_task_yet() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    let fails = Arc::new(AtomicBool::new(true));
    stage.simulator.on_call({
        let fails = fails.clone();
        move |call| match (&*call.operation, fails.load(Ordering::Relaxed)) {
            ("DescribeTasks", true) => Some(Response::server_error(call)),
            ("DescribeTasks", false) => {
                let arn = &call.input["tasks"][0];
                let failures = serde_json::json!([{"arn": arn, "reason": "MISSING"}]);
                let answer = serde_json::json!({"tasks": [], "failures": failures});
                Some(Response::json(200, answer.to_string()))
            }
            _ => None,
        }
    });
    stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run("prod", &definition, Placement::Fargate)
    });
    targets(&mut running, 2).await;
    fails.store(false, Ordering::Relaxed);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.targets("1m").len(), 2);
    stage.simulator.heal();
    running.round().await;
    assert_eq!(stage.file("1m"), stage.fresh().await.file("1m"));
}

/// DescribeTasks may tell that a task runs before its event does.
#[tokio::test(start_paused = true)]
async fn a_task_that_is_described_as_running_does_not_wait_long_for_facts_that_are_denied() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    stage
        .simulator
        .on_call(|call| (call.operation == "DescribeContainerInstances").then(|| Response::denied(call)));
    stage.simulator.on_event(|event| match &*event.last_status {
        "PROVISIONING" => EventFate::Deliver,
        _ => EventFate::Hold,
    });
    stage.change(|region| {
        let definition = region.register(opted_in("api"));
        let host = region.launch_host("prod", HostKind::Ec2);
        region.run_with(Run::new("prod", &definition, Placement::On(host)))
    });
    targets(&mut running, 2).await;
    // The events are duplicates of what is known.
    stage.simulator.release_events();
    assert!(running.next_within(SOON).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reload_reads_another_selection_at_the_next_refresh_though_events_are_live() {
    let stage = told(fleet(&[("prod", 2), ("test", 3)])).clusters(&["prod"]);
    let mut running = live(&stage).await;
    assert_eq!(running.published().snapshot.target_count(), 2);
    let config = stage.clusters(&["prod", "test"]).config.clone();
    running.replace(&config).await.unwrap();
    while running.published().snapshot.target_count() != 5 {
        running.next_within(SOON).await.expect("the new cluster is read");
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_repeated_after_the_interval_though_events_are_live() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    for _ in 0..9 {
        stage.change(|region| region.heartbeat());
        tokio::time::sleep(Duration::from_secs(60)).await;
    }
    stage
        .simulator
        .on_call(|call| (call.operation == "ListTasks").then(|| ecs_simulator::Response::unavailable(call)));
    while running.next_within(Duration::from_secs(130)).await.unwrap().complete {}
    stage.simulator.heal();
    stage.change(|region| region.heartbeat());
    assert!(running.next_within(Duration::from_secs(70)).await.unwrap().complete);
}

/// While events are live, the next refresh may be ten minutes away.
#[tokio::test(start_paused = true)]
async fn facts_that_errands_could_not_read_are_read_by_a_refresh_soon_after() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(!stage.asked().contains("ecs ListTasks"));
    stage
        .simulator
        .on_call(|call| (call.operation == "DescribeTaskDefinition").then(|| Response::unavailable(call)));
    stage.change(|region| {
        region.heartbeat();
        let definition = region.register(opted_in("api"));
        region.run("prod", &definition, Placement::Fargate)
    });
    // The first errand, and those 5 and 30 seconds after a failed one; each request is repeated by the client.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(stage.asked().contains("ecs ListTasks"));
    assert_eq!(running.published().snapshot.target_count(), 1);
    stage.change(|region| region.heartbeat());
    stage.simulator.heal();
    two_targets_within(&mut running, Duration::from_secs(65)).await;
    assert_eq!(running.sources()[0].events, EventStatus::Live);
}

#[tokio::test(start_paused = true)]
async fn a_denied_cluster_is_not_asked_for_with_each_event() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    stage.simulator.inject(Fault::Denied, Calls::all().in_cluster("secret"));
    for second in 0..300 {
        stage.change(|region| {
            if second % 60 == 0 {
                region.heartbeat();
            }
            if second % 5 == 0 {
                let definition = region.task_definitions.keys().next().unwrap().clone();
                region.run("secret", &definition, Placement::Fargate);
            }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!(running.next().await.snapshot.target_count(), 1);
    let calls = stage.simulator.take_ledger();
    assert_eq!(calls.calls("ecs", "DescribeTasks"), 0, "{calls}");
    assert!(calls.calls("ecs", "DescribeClusters") <= 4, "{calls}");
    assert!(calls.calls("ecs", "ListClusters") <= 2, "{calls}");
}

#[tokio::test(start_paused = true)]
async fn a_new_cluster_that_may_only_be_listed_is_read_by_a_refresh_soon_after() {
    let stage = told(fleet(&[("prod", 1)]));
    let mut running = live(&stage).await;
    stage.simulator.inject(Fault::Denied, Calls::of("DescribeClusters"));
    stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run("new", &definition, Placement::Fargate)
    });
    two_targets_within(&mut running, Duration::from_secs(65)).await;
}

async fn two_targets_within(running: &mut Running, limit: Duration) {
    let published = async {
        while running.published().snapshot.target_count() != 2 {
            running.next().await;
        }
    };
    tokio::time::timeout(limit, published).await.expect("a refresh finds the second one");
}
