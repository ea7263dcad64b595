use super::*;
use ecs_discovery::model::{LaunchType, Status};
use ecs_discovery::variable::Variable;
use serde_json::{Value, json};

const ACCOUNT: &str = "111111111111";
const REGION: &str = "us-east-2";
const CLUSTER: &str = "arn:aws:ecs:us-east-2:111111111111:cluster/prod";
const TASK: &str = "arn:aws:ecs:us-east-2:111111111111:task/prod/c50e321c974248dbaf4ae2cfa1662986";

/// An event that AWS sent, but for its ids.
const RECORDED: &str = include_str!("recorded.json");

fn recorded() -> Value {
    serde_json::from_str(RECORDED).expect("JSON")
}

/// The recorded event with another value of one field of its detail, or without that field.
fn with(field: &str, value: Value) -> Value {
    let mut event = recorded();
    event["detail"][field] = value;
    event
}

fn notice(body: &Value) -> Notice {
    Notice::parse(body.to_string().as_bytes(), &Names::default())
}

fn task(body: &Value) -> TaskNotice {
    match notice(body) {
        Notice::Task(task) => *task,
        other => panic!("{other:?}"),
    }
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// A malformed event of the recorded event's account and region.
fn malformed(cluster: Option<&str>, task: Option<&str>) -> Notice {
    let cluster = cluster.map(|arn| ClusterArn::parse(arn).expect("a cluster"));
    let task = task.map(|arn| TaskArn::parse(arn).expect("a task"));
    Notice::Malformed { account: some(ACCOUNT), region: some(REGION), cluster, task }
}

fn heartbeat(account: Option<&str>, region: Option<&str>) -> Notice {
    Notice::Heartbeat { account: account.map(str::to_owned), region: region.map(str::to_owned), sent: None }
}

/// The body of a message that SNS passes on.
fn sns(message: &str) -> Value {
    json!({
        "Type": "Notification", "MessageId": "1", "TopicArn": "arn:aws:sns:us-east-2:111111111111:events",
        "Message": message, "Timestamp": "2023-05-02T14:19:35.000Z", "SignatureVersion": "1",
    })
}

#[test]
fn a_recorded_event_is_read() {
    let TaskNotice { cluster, task, version, updated } = task(&recorded());
    assert_eq!((cluster.as_str(), task.arn.as_str(), version), (CLUSTER, TASK, 3));
    assert_eq!((task.definition.family(), task.definition.revision()), ("app", "10"));
    assert_eq!(updated, Some(Duration::from_millis(1_683_037_174_520)));
    assert_eq!((&task.desired_status, &task.last_status), (&Status::Running, &Status::Running));
    assert_eq!(task.launch_type, LaunchType::parse("FARGATE"));
    assert_eq!(
        (task.group.as_deref(), task.started_by.as_deref()),
        (Some("service:app"), Some("ecs-svc/8646900195280463695"))
    );
    assert_eq!(
        (task.availability_zone.as_deref(), task.platform_version.as_deref()),
        (Some("us-east-2a"), Some("1.4.0"))
    );
    let interface = task.network_interface.expect("an interface");
    assert_eq!(
        (interface.subnet_id.as_deref(), interface.private_ipv4),
        (Some("subnet-1"), Some([10, 0, 215, 105].into()))
    );
    let [container] = &task.containers[..] else { panic!("{:?}", task.containers) };
    assert_eq!((&*container.name, container.private_ipv4), ("app", Some([10, 0, 215, 105].into())));
    assert_eq!((container.image.as_deref(), &container.last_status), (Some("repo/app:1"), &Status::Running));
    // What no event has.
    assert_eq!((task.tags.len(), task.health_status, &container.health_status), (0, None, &None));
    assert_eq!((task.capacity_provider, task.platform_family), (None, None));
}

#[test]
fn what_is_not_an_event_is_foreign() {
    for body in [
        "",
        "hello",
        "null",
        "5",
        "[]",
        r#"["aws.events","Scheduled Event","1","r","t",{},"k","m","heartbeat"]"#,
        "{}",
        r#"{"Service":"Amazon S3","Event":"s3:TestEvent","Time":"2023-05-02T14:19:34.000Z","Bucket":"b"}"#,
        r#"{"source":"aws.ecs"}"#,
        r#"{"detail-type":"ECS Task State Change"}"#,
        r#"{"source":5,"detail-type":"ECS Task State Change"}"#,
        r#"{"source":"aws.ecs","detail-type":["ECS Task State Change"]}"#,
        r#"{"source":"aws.s3","detail-type":"Object Created"}"#,
        r#"{"source":"aws.events","detail-type":"Something else"}"#,
        r#"{"source":"aws.ecs","source":"aws.ecs","detail-type":"ECS Task State Change"}"#,
        r#"{"prometheus-ecs-sd":"something else"}"#,
        r#"{"prometheus-ecs-sd":5}"#,
        r#"{"source":"aws.ecs","detail-type":"ECS Task State Change""#,
    ] {
        assert_eq!(Notice::parse(body.as_bytes(), &Names::default()), Notice::Foreign, "{body}");
    }
    assert_eq!(Notice::parse(b"{\"source\":\"\xff\"}", &Names::default()), Notice::Foreign);
    assert_eq!(Notice::parse(&b"[".repeat(1_000_000), &Names::default()), Notice::Foreign);
    let deep = format!(r#"{{"source":"aws.ecs","detail-type":"x","detail":{}}}"#, "[".repeat(500_000));
    assert_eq!(Notice::parse(deep.as_bytes(), &Names::default()), Notice::Foreign);
}

#[test]
fn a_body_is_read_up_to_1_mib() {
    for (length, is_read) in [(MAX_BODY, true), (MAX_BODY + 1, false)] {
        let mut body = RECORDED.to_owned();
        body.extend(std::iter::repeat_n(' ', length - RECORDED.len()));
        let notice = Notice::parse(body.as_bytes(), &Names::default());
        assert_eq!(matches!(notice, Notice::Task(_)), is_read, "{length}");
        assert_eq!(notice == Notice::Foreign, !is_read, "{length}");
    }
}

#[test]
fn a_notification_of_sns_is_unwrapped_once() {
    assert_eq!(notice(&sns(RECORDED)), notice(&recorded()));
    assert_eq!(notice(&sns(r#"{"prometheus-ecs-sd":"heartbeat"}"#)), heartbeat(None, None));
    for message in ["hello", "", "[]", &sns(RECORDED).to_string()] {
        assert_eq!(notice(&sns(message)), Notice::Foreign, "{message}");
    }
    let mut odd = sns(RECORDED);
    odd["Message"] = recorded();
    assert_eq!(notice(&odd), Notice::Foreign);
    odd = sns(RECORDED);
    odd["Type"] = "SubscriptionConfirmation".into();
    assert_eq!(notice(&odd), Notice::Foreign);
}

#[test]
fn both_forms_of_a_heartbeat_are_a_sign_of_life() {
    let scheduled = json!({
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": ACCOUNT,
        "time": "2023-05-02T14:19:34Z", "region": REGION, "resources": ["arn:aws:events:…"], "detail": {},
    });
    let sent = Some(Duration::from_secs(1_683_037_174));
    let expected = Notice::Heartbeat { account: some(ACCOUNT), region: some(REGION), sent };
    assert_eq!(notice(&scheduled), expected);
    let own = json!({"prometheus-ecs-sd": "heartbeat", "account": ACCOUNT, "region": REGION});
    assert_eq!(notice(&own), heartbeat(Some(ACCOUNT), Some(REGION)));
    let bare = json!({"prometheus-ecs-sd": "heartbeat", "account": 5, "region": ""});
    assert_eq!(notice(&bare), heartbeat(None, None));
}

#[test]
fn another_event_of_ecs_is_ignored() {
    let ignored = |account, region| Notice::Ignored { account, region };
    let mut event = recorded();
    event["detail-type"] = "ECS Service Action".into();
    event["account"] = "999999999999".into();
    assert_eq!(notice(&event), ignored(some(ACCOUNT), some(REGION)), "the cluster's");
    event["detail"] = json!({"clusterArn": "prod"});
    assert_eq!(notice(&event), ignored(some("999999999999"), some(REGION)), "the envelope's");
    event["account"] = Value::Null;
    event["detail"] = Value::Null;
    assert_eq!(notice(&event), ignored(None, some(REGION)));
}

#[test]
fn the_envelope_may_lack_account_and_region() {
    let mut event = recorded();
    for field in ["account", "region", "id", "version", "resources"] {
        event.as_object_mut().expect("an object").remove(field);
    }
    assert_eq!(notice(&event), notice(&recorded()));
    event["detail"]["version"] = Value::Null;
    assert_eq!(notice(&event), malformed(Some(CLUSTER), Some(TASK)));
}

#[test]
fn an_event_that_lacks_what_is_needed_names_its_task_if_it_can() {
    let another_type = [json!(5), json!({}), json!([1]), json!(true), Value::Null];
    for field in ["version", "desiredStatus", "lastStatus", "taskDefinitionArn", "containers"] {
        for value in another_type.iter().filter(|value| field != "version" || !value.is_number()) {
            assert_eq!(
                notice(&with(field, value.clone())),
                malformed(Some(CLUSTER), Some(TASK)),
                "{field} {value}"
            );
        }
    }
    for version in [json!(-1), json!("3"), json!(3.5)] {
        assert_eq!(notice(&with("version", version)), malformed(Some(CLUSTER), Some(TASK)));
    }
    for status in ["desiredStatus", "lastStatus"] {
        assert_eq!(notice(&with(status, json!(""))), malformed(Some(CLUSTER), Some(TASK)));
    }
    for value in another_type.iter().chain(&[json!(CLUSTER), json!("")]) {
        assert_eq!(notice(&with("taskArn", value.clone())), malformed(Some(CLUSTER), None), "{value}");
    }
    for value in another_type.iter().chain(&[json!(TASK), json!("prod")]) {
        assert_eq!(notice(&with("clusterArn", value.clone())), malformed(None, None), "{value}");
    }
    for detail in another_type {
        let mut event = recorded();
        event["detail"] = detail;
        assert_eq!(notice(&event), malformed(None, None));
    }
}

#[test]
fn a_task_is_not_named_with_a_cluster_that_it_is_not_in() {
    for task in [
        TASK.replace("/prod/", "/other/"),
        TASK.replace(ACCOUNT, "999999999999"),
        TASK.replace(REGION, "us-east-1"),
    ] {
        assert_eq!(notice(&with("taskArn", task.into())), malformed(Some(CLUSTER), None));
    }
    let short = TASK.replace("/prod/", "/");
    assert_eq!(task(&with("taskArn", short.clone().into())).task.arn.as_str(), short);
}

/// One of AWS's samples is like that.
#[test]
fn a_definition_without_a_revision_is_not_used() {
    let definition = "arn:aws:ecs:us-east-2:111111111111:task-definition/app";
    assert_eq!(notice(&with("taskDefinitionArn", definition.into())), malformed(Some(CLUSTER), Some(TASK)));
    let instance = with("containerInstanceArn", "nonsense".into());
    assert_eq!(notice(&instance), malformed(Some(CLUSTER), Some(TASK)));
}

#[test]
fn both_spellings_of_the_interface_are_read_and_a_deleted_one_last() {
    let interface = |kind: &str, status: &str, address: &str| json!({"type": kind, "status": status, "details": [{"name": "privateIPv4Address", "value": address}]});
    for kind in ["eni", "ElasticNetworkInterface"] {
        let deleted = interface(kind, "DELETED", "10.9.9.9");
        for (attachments, expected) in [
            (
                json!([
                    interface("elb", "ATTACHED", "10.8.8.8"),
                    deleted,
                    interface(kind, "ATTACHED", "10.0.0.1")
                ]),
                [10, 0, 0, 1],
            ),
            (json!([deleted]), [10, 9, 9, 9]),
        ] {
            let interface = task(&with("attachments", attachments)).task.network_interface;
            assert_eq!(interface.expect("an interface").private_ipv4, Some(expected.into()));
        }
    }
    assert_eq!(task(&with("attachments", Value::Null)).task.network_interface, None);
}

#[test]
fn both_spellings_of_a_binding_are_read() {
    for spelling in ["bindIP", "bindIp"] {
        let binding = json!({spelling: "0.0.0.0", "containerPort": 80, "hostPort": 32768, "protocol": "tcp"});
        let containers = json!([{"name": "app", "lastStatus": "RUNNING", "networkBindings": [binding]}]);
        let bound = &task(&with("containers", containers)).task.containers[0].network_bindings[0];
        assert_eq!((bound.bind_ip, bound.host_ports.first), (Some([0, 0, 0, 0].into()), 32768));
    }
}

#[test]
fn sizes_and_unknown_fields_are_not_read() {
    let mut event = with("cpu", "null".into());
    event["detail"]["memory"] = json!({"value": "null"});
    event["detail"]["createdAt"] = json!(5);
    event["detail"]["notYetInvented"] = json!([{}]);
    event["detail"]["containers"][0]["cpu"] = json!(0);
    event["notYetInvented"] = json!(1);
    assert_eq!(notice(&event), notice(&recorded()));
}

#[test]
fn of_an_overridden_environment_only_the_own_variables_are_kept() {
    let environment = json!([
        {"name": "PASSWORD", "value": "hunter2"}, {"name": "PROMETHEUS_PORT", "value": "9100"},
    ]);
    let overrides = json!({"containerOverrides": [{"name": "app", "environment": environment}]});
    let notice = task(&with("overrides", overrides));
    let [(name, settings)] = &notice.task.overrides[..] else { panic!("{:?}", notice.task.overrides) };
    let settings: Vec<_> = settings.iter().collect();
    assert_eq!((&**name, settings), ("app", vec![("PROMETHEUS_PORT", "9100")]));
    assert!(!format!("{notice:?}").contains("hunter2"));
    assert!(Variable::ALL.iter().any(|variable| variable.name() == "PROMETHEUS_PORT"));
}

#[test]
fn times_have_any_number_of_decimals_or_are_not_known() {
    let updated = |time: Value| task(&with("updatedAt", time)).updated;
    for (time, nanoseconds) in [
        ("2023-05-02T14:19:34Z", 0),
        ("2023-05-02T14:19:34.5Z", 500_000_000),
        ("2023-05-02T14:19:34.98Z", 980_000_000),
        ("2023-05-02T14:19:34.928Z", 928_000_000),
        ("2023-05-02T14:19:34.928123Z", 928_123_000),
        ("2023-05-02T14:19:34.928123456Z", 928_123_456),
        ("2023-05-02T16:19:34+02:00", 0),
    ] {
        assert_eq!(updated(time.into()), Some(Duration::new(1_683_037_174, nanoseconds)), "{time}");
    }
    let of_envelope = Some(Duration::from_secs(1_683_037_174));
    for time in [
        json!(""),
        json!("soon"),
        json!(1_683_037_174.5),
        Value::Null,
        json!("1969-12-31T23:59:59Z"),
        json!("2023-05-0ü"),
    ] {
        assert_eq!(updated(time.clone()), of_envelope, "{time}");
    }
    let mut event = with("updatedAt", Value::Null);
    event["time"] = json!("yesterday");
    assert_eq!(task(&event).updated, None);
}
