//! Events of tasks and heartbeats, as they arrive in a queue.

use std::time::Duration;

use ecs_simulator::{
    Aws, Clock, ContainerDefinition, ContainerOverride, Event, EventFate, HostKind, Injected, OWN_ACCOUNT,
    Placement, PortMapping, Region, Run, TaskDefinition, World,
};
use serde_json::{Value, json};

use crate::{REGION, ecs, fargate, register};

/// A world whose events are delivered to one queue, with a clock that makes them equal in each run.
fn routed() -> (World, String) {
    let mut world = World::new(1);
    world.clock = Clock::Fixed(1_800_000_000); // 2027-01-15T08:00:00Z
    let region = world.own(REGION);
    let queue = region.create_queue("events");
    region.route_events(&queue);
    (world, queue)
}

fn change<R>(aws: &Aws, change: impl FnOnce(&mut Region) -> R) -> R {
    aws.change(|world| change(world.own(REGION)))
}

/// The messages of the queue since the last time.
fn arrived(aws: &Aws) -> Vec<Value> {
    change(aws, |region| {
        let queue = region.queue("events");
        let all = queue.bodies().into_iter().map(|body| serde_json::from_str(body).unwrap()).collect();
        queue.purge();
        all
    })
}

/// `lastStatus` and `version` of each, and what its containers are, to be compared with what DescribeTasks says.
fn steps(events: &[Value]) -> Vec<String> {
    let step = |event: &Value| {
        let detail = &event["detail"];
        let containers = detail["containers"].as_array().unwrap().iter();
        let containers: Vec<_> =
            containers.map(|container| container["lastStatus"].as_str().unwrap()).collect();
        let last_status = detail["lastStatus"].as_str().unwrap();
        format!("{last_status} v{} {}", detail["version"], containers.join(","))
    };
    events.iter().map(step).collect()
}

fn described(aws: &Aws, arn: &str) -> Value {
    ecs(aws, "DescribeTasks", json!({"cluster": "c", "tasks": [arn], "include": ["TAGS"]})).1["tasks"][0]
        .clone()
}

#[test]
fn each_step_of_a_task_is_an_event_under_the_version_that_describe_tasks_gives() {
    let (mut world, _) = routed();
    let definition = register(world.own(REGION));
    let aws = Aws::new(world);
    let arn = change(&aws, |region| region.start(Run::new("c", &definition, Placement::Fargate)));
    let mut seen = arrived(&aws);
    for _ in 0..3 {
        change(&aws, |region| region.advance(&arn));
        seen.extend(arrived(&aws));
        assert_eq!(described(&aws, &arn)["version"], seen.last().unwrap()["detail"]["version"]);
    }
    // A running task does not go on, and an event does not come.
    change(&aws, |region| region.advance(&arn));
    change(&aws, |region| region.stop(&arn));
    seen.extend(arrived(&aws));
    assert_eq!(
        steps(&seen),
        [
            "PROVISIONING v1 PENDING",
            "PENDING v2 PENDING",
            "ACTIVATING v3 RUNNING",
            "RUNNING v4 RUNNING",
            "DEACTIVATING v5 RUNNING",
            "STOPPING v6 RUNNING",
            "DEPROVISIONING v7 RUNNING",
            "STOPPED v8 STOPPED",
        ]
    );
    assert_eq!(described(&aws, &arn)["version"], 8);
    let desired: Vec<_> =
        seen.iter().map(|event| event["detail"]["desiredStatus"].as_str().unwrap()).collect();
    assert_eq!(desired, [["RUNNING"; 4], ["STOPPED"; 4]].concat());
    assert_eq!(seen[7]["detail"]["attachments"][0]["status"], "DELETED");
    let ids: std::collections::BTreeSet<_> = seen.iter().map(|event| event["id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 8);
}

#[test]
fn an_event_is_as_aws_writes_it() {
    let (mut world, _) = routed();
    let region = world.own(REGION);
    let definition = register(region);
    let aws = Aws::new(world);
    let mut run = Run::new("c", &definition, Placement::Fargate).service("web").tag("team", "shop");
    run.capacity_provider = Some("FARGATE_SPOT".to_owned());
    run.overrides.push(ContainerOverride::new("app").env("PROMETHEUS", "true"));
    let arn = change(&aws, |region| region.run_with(run));
    let event = arrived(&aws).pop().unwrap();
    let envelope = |name: &str| event[name].as_str().unwrap();
    assert_eq!(
        ["version", "detail-type", "source", "account", "region", "time"].map(envelope),
        ["0", "ECS Task State Change", "aws.ecs", OWN_ACCOUNT, REGION, "2027-01-15T08:00:01Z"]
    );
    assert_eq!(event["resources"], json!([arn]));
    let (detail, task) = (&event["detail"], described(&aws, &arn));
    for same in [
        "attributes",
        "availabilityZone",
        "clusterArn",
        "connectivity",
        "cpu",
        "desiredStatus",
        "group",
        "lastStatus",
        "launchType",
        "memory",
        "platformVersion",
        "startedBy",
        "taskArn",
        "taskDefinitionArn",
        "version",
    ] {
        assert!(!detail[same].is_null(), "{same}");
        assert_eq!(detail[same], task[same], "{same}");
    }
    assert_eq!(detail["attachments"][0]["type"], "eni");
    assert_eq!(task["attachments"][0]["type"], "ElasticNetworkInterface");
    assert_eq!(detail["attachments"][0]["details"], task["attachments"][0]["details"]);
    assert_eq!(
        detail["overrides"]["containerOverrides"],
        json!([{"name": "app", "environment": [{"name": "PROMETHEUS", "value": "true"}]}])
    );
    let (container, told) = (&task["containers"][0], &detail["containers"][0]);
    for same in ["containerArn", "name", "image", "imageDigest", "runtimeId", "taskArn", "lastStatus"] {
        assert!(!told[same].is_null() && told[same] == container[same], "{same}");
    }
    assert!(container["networkInterfaces"][0]["privateIpv4Address"].is_string());
    assert_eq!(told["networkInterfaces"], container["networkInterfaces"]);
    // DescribeTasks has epoch seconds, and events have texts with the decimals that there are.
    assert_eq!(
        (&task["createdAt"], &detail["createdAt"]),
        (&json!(1_767_225_600.25), &json!("2026-01-01T00:00:00.25Z"))
    );
    assert_eq!(detail["startedAt"], "2026-01-01T00:00:01Z");
    assert_eq!(detail["updatedAt"], "2027-01-15T08:00:01Z");
    let text = event.to_string();
    for absent in ["tags", "healthStatus", "capacityProviderName", "platformFamily", "networkBindings"] {
        assert!(!text.contains(absent), "{absent}");
    }
}

#[test]
fn a_bridge_tasks_event_has_its_bindings_and_no_ranges() {
    let (mut world, _) = routed();
    let region = world.own(REGION);
    let app = ContainerDefinition::new("app", "app:1").port(8080).mapping(PortMapping::range(7000, 7002));
    let side = ContainerDefinition::new("side", "side:1").port(9090);
    let definition =
        region.register(TaskDefinition::new("app").network_mode("bridge").container(app).container(side));
    let host = region.launch_host("c", HostKind::Ec2);
    let aws = Aws::new(world);
    let arn = change(&aws, |region| region.run("c", &definition, Placement::On(host.clone())));
    let event = arrived(&aws).pop().unwrap();
    assert_eq!(event["detail"]["containerInstanceArn"], json!(host));
    let binding = |ip: &str, port: u16| json!({"bindIP": ip, "containerPort": 8080, "hostPort": port, "protocol": "tcp"});
    let containers = &event["detail"]["containers"];
    assert_eq!(containers[0]["networkBindings"], json!([binding("0.0.0.0", 32768), binding("::", 32768)]));
    assert_eq!(containers[0]["networkInterfaces"], json!([]));
    // A container that restarts gets other ports; the other one keeps its own.
    let before = described(&aws, &arn);
    change(&aws, |region| region.restart_container(&arn, "app"));
    let events = arrived(&aws);
    assert_eq!(steps(&events), ["RUNNING v5 STOPPED,RUNNING", "RUNNING v6 RUNNING,RUNNING"]);
    let (after, told) = (described(&aws, &arn), &events[1]["detail"]["containers"]);
    assert_eq!(told[0]["networkBindings"][0]["hostPort"], 32773);
    assert_ne!(after["containers"][0]["runtimeId"], before["containers"][0]["runtimeId"]);
    assert_eq!(after["containers"][1], before["containers"][1]);
    assert_eq!(told[0]["runtimeId"], after["containers"][0]["runtimeId"]);
    let ports = change(&aws, |region| region.container_instance(&host).ports.clone());
    assert!(!ports.contains(&32768) && ports.contains(&32773), "{ports:?}");
}

#[test]
fn spot_interruptions_dead_hosts_deleted_clusters_and_bent_tasks_have_events() {
    let (mut world, _) = routed();
    let region = world.own(REGION);
    let definition = register(region);
    let host = region.launch_host("c", HostKind::Ec2);
    let daemon = region.register(
        TaskDefinition::new("daemon").network_mode("host").container(ContainerDefinition::new("d", "d:1")),
    );
    let aws = Aws::new(world);
    let spot = change(&aws, |region| {
        let run = Run::new("c", &definition, Placement::Fargate);
        region.run_with(run.inject(Injected::GuardDuty))
    });
    let on_host = change(&aws, |region| region.run("c", &daemon, Placement::On(host.clone())));
    arrived(&aws);
    change(&aws, |region| region.begin_spot_stop(&spot));
    let event = arrived(&aws).pop().unwrap();
    assert_eq!(event["detail"]["stopCode"], "SpotInterruption");
    assert_eq!(steps(&[event]), ["DEACTIVATING v5 RUNNING,RUNNING"]);
    change(&aws, |region| region.terminate_host(&host));
    let event = arrived(&aws).pop().unwrap();
    assert_eq!(event["detail"]["taskArn"], json!(on_host));
    assert_eq!(
        (&event["detail"]["stopCode"], steps(std::slice::from_ref(&event))),
        (&json!("TerminationNotice"), vec!["STOPPED v5 STOPPED".to_owned()])
    );
    assert_eq!(described(&aws, &on_host)["version"], 5);
    assert_eq!(change(&aws, |region| region.instance_of(&host).state.clone()), "terminated");
    // A second time there is nothing to stop.
    change(&aws, |region| region.terminate_host(&host));
    assert_eq!(arrived(&aws), Vec::<Value>::new());
    change(&aws, |region| region.change_task(&spot, |task| task.group = Some("other".to_owned())));
    assert_eq!(arrived(&aws)[0]["detail"]["group"], "other");
    change(&aws, |region| region.delete_cluster("c"));
    let last = arrived(&aws).pop().unwrap();
    assert_eq!(
        (&last["detail"]["taskArn"], &last["detail"]["lastStatus"]),
        (&json!(spot), &json!("STOPPED"))
    );
}

#[test]
fn rules_choose_clusters_and_queues_and_can_be_disabled() {
    let (mut world, _) = routed();
    let region = world.own(REGION);
    let definition = register(region);
    let second = region.create_queue("second");
    let wanted = region.cluster("wanted").cluster_arn.clone();
    region.route_events(&second);
    region.rule("only-one").to(&second).of_cluster(&wanted);
    let partner = world.region("222222222222", REGION).create_queue("central");
    world.own(REGION).rule("central").to(&partner);
    let aws = Aws::new(world);
    let depths = || {
        aws.change(|world| {
            let own = ["events", "second"].map(|name| world.own(REGION).queue(name).depth());
            [own[0], own[1], world.region("222222222222", REGION).queue("central").depth()]
        })
    };
    let start = |cluster: &str| {
        change(&aws, |region| region.start(Run::new(cluster, &definition, Placement::Fargate)))
    };
    start("c");
    assert_eq!(depths(), [1, 1, 1]);
    start("wanted");
    assert_eq!(depths(), [2, 3, 2]);
    change(&aws, Region::heartbeat);
    assert_eq!(depths(), [3, 5, 3]);
    change(&aws, |region| region.rule("prometheus-ecs-sd").enabled = false);
    start("wanted");
    change(&aws, Region::heartbeat);
    assert_eq!(depths(), [3, 7, 5]);
    // A queue that is gone gets nothing, and does not keep others from it.
    aws.change(|world| world.region("222222222222", REGION).delete_queue("central"));
    start("wanted");
    assert_eq!(change(&aws, |region| region.queue("second").depth()), 8);
}

#[tokio::test(start_paused = true)]
async fn heartbeats_come_each_minute_and_on_demand() {
    let (world, _) = routed();
    let aws = Aws::new(world);
    aws.change(World::heartbeat);
    let beat = arrived(&aws).pop().unwrap();
    let rule = format!("arn:aws:events:{REGION}:{OWN_ACCOUNT}:rule/prometheus-ecs-sd");
    assert_eq!(beat["resources"], json!([rule]));
    assert_eq!((&beat["source"], &beat["detail-type"]), (&json!("aws.events"), &json!("Scheduled Event")));
    assert_eq!(
        (&beat["account"], &beat["region"], &beat["detail"]),
        (&json!(OWN_ACCOUNT), &json!(REGION), &json!({}))
    );
    let beating = tokio::time::timeout(Duration::from_secs(185), aws.send_heartbeats());
    assert!(beating.await.is_err());
    assert_eq!(arrived(&aws).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn events_are_dated_by_the_clock_that_the_reader_has() {
    let (mut world, _) = routed();
    world.clock = Clock::System;
    let aws = Aws::new(world);
    let beat = || {
        aws.change(World::heartbeat);
        let time = arrived(&aws).pop().unwrap()["time"].as_str().unwrap().to_owned();
        aws_smithy_types::DateTime::from_str(&time, aws_smithy_types::date_time::Format::DateTime)
            .unwrap()
            .secs()
    };
    let first = beat();
    tokio::time::advance(Duration::from_secs(3_600)).await;
    let later = beat();
    assert!((3_595..=3_605).contains(&(later - first)), "{first} {later}");
}

#[test]
fn events_are_lost_doubled_and_held_back_on_demand() {
    let (mut world, queue) = routed();
    let definition = register(world.own(REGION));
    let aws = Aws::new(world);
    let run = || {
        change(&aws, |region| region.run("c", &definition, Placement::Fargate));
        steps(&arrived(&aws))
            .into_iter()
            .map(|step| step.split(' ').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = ["PROVISIONING", "PENDING", "ACTIVATING", "RUNNING"];
    assert_eq!(run(), all);
    aws.on_event(move |event| {
        assert_eq!((&event.queue, event.is_heartbeat()), (&queue, false));
        if event.last_status == "RUNNING" { EventFate::Drop } else { EventFate::Deliver }
    });
    assert_eq!(run(), all[..3]);
    aws.on_event(|event| match event.last_status.as_str() {
        "PENDING" => EventFate::Duplicate,
        "ACTIVATING" => EventFate::Hold,
        _ => EventFate::Deliver,
    });
    assert_eq!(run(), ["PROVISIONING", "PENDING", "PENDING", "RUNNING"]);
    aws.heal();
    assert_eq!(run(), all);
    assert_eq!(aws.release_events(), 1);
    assert_eq!(steps(&arrived(&aws)), ["ACTIVATING v3 RUNNING"]);
    assert_eq!(aws.release_events(), 0);
    let lost = |seed| {
        let share = move |event: &Event| match event.is_in_share(0.25, seed) {
            true => EventFate::Drop,
            false => EventFate::Deliver,
        };
        aws.on_event(share);
        change(&aws, |region| (0..100).for_each(|_| drop(region.run("c", &definition, Placement::Fargate))));
        400 - arrived(&aws).len()
    };
    assert!((70..=130).contains(&lost(1)) && (70..=130).contains(&lost(2)));
}

#[test]
fn without_a_rule_nothing_is_sent_and_the_world_is_the_same() {
    let (routed, arn) = {
        let (mut world, _) = routed();
        let definition = register(world.own(REGION));
        let arn = world.own(REGION).run("c", &definition, Placement::Fargate);
        (Aws::new(world), arn)
    };
    let (plain, arns) = fargate(1);
    assert_eq!(vec![arn.clone()], arns);
    assert_eq!(described(&routed, &arn), described(&plain, &arn));
    change(&plain, |region| region.create_queue("events"));
    change(&plain, |region| region.stop(&arn));
    assert_eq!(change(&plain, |region| region.queue("events").depth()), 0);
    // Events of a world that was made before there was an AWS wait for it.
    assert_eq!(arrived(&routed).len(), 4);
}
