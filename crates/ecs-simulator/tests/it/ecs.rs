//! The operations of ECS and their limits; listings page in `paging`.

use ecs_simulator::{Aws, ContainerDefinition, HostKind, Placement, TaskDefinition, World};
use serde_json::{Value, json};

use crate::{REGION, ecs, fargate, json_request};

fn check(aws: &Aws, operation: &str, input: Value, code: &str) {
    let (status, body) = ecs(aws, operation, input);
    assert_eq!((status, body["__type"].as_str()), (400, Some(code)), "{operation}: {body}");
}

#[test]
fn batches_outside_aws_limits_are_refused() {
    let (aws, _) = fargate(1);
    let ids = |count| (0..count).map(|id| format!("{id:032x}")).collect::<Vec<_>>();
    let invalid = "InvalidParameterException";
    for count in [0, 101] {
        check(&aws, "DescribeTasks", json!({"cluster": "c", "tasks": ids(count)}), invalid);
        check(
            &aws,
            "DescribeContainerInstances",
            json!({"cluster": "c", "containerInstances": ids(count)}),
            invalid,
        );
        check(&aws, "ListTasks", json!({"cluster": "c", "maxResults": count}), invalid);
        check(&aws, "ListClusters", json!({"maxResults": count}), invalid);
    }
    check(&aws, "DescribeClusters", json!({"clusters": ids(101)}), invalid);
    check(&aws, "ListTasks", json!({"cluster": "c", "desiredStatus": "DONE"}), invalid);
    check(&aws, "ListTasks", json!({"cluster": "nowhere"}), "ClusterNotFoundException");
    check(&aws, "DescribeTasks", json!({"cluster": "nowhere", "tasks": ids(1)}), "ClusterNotFoundException");
    check(&aws, "RunTask", json!({}), "UnknownOperationException");
}

#[test]
fn an_error_names_its_type_in_the_header_too() {
    let (aws, _) = fargate(1);
    let target = "AmazonEC2ContainerServiceV20141113.ListTasks";
    let response = aws.answer(&json_request(target, &json!({"cluster": "nowhere"})));
    assert_eq!(response.headers["x-amzn-errortype"], "ClusterNotFoundException");
}

#[test]
fn a_task_is_found_by_either_arn_form_and_by_id_and_only_in_its_cluster() {
    let (aws, arns) = fargate(1);
    let id = arns[0].rsplit('/').next().unwrap();
    let short = format!("arn:aws:ecs:{REGION}:111111111111:task/{id}");
    for name in [&arns[0], &short, id] {
        let (_, body) = ecs(&aws, "DescribeTasks", json!({"cluster": "c", "tasks": [name]}));
        assert_eq!(body["tasks"][0]["taskArn"], arns[0].as_str());
        assert_eq!(body["failures"], json!([]));
    }
    aws.change(|world| {
        world.own(REGION).cluster("other");
    });
    let (status, body) = ecs(&aws, "DescribeTasks", json!({"cluster": "other", "tasks": [id]}));
    let missing = format!("arn:aws:ecs:{REGION}:111111111111:task/other/{id}");
    assert_eq!((status, &body["failures"]), (200, &json!([{"arn": missing, "reason": "MISSING"}])));
}

#[test]
fn tags_are_answered_only_when_asked_for() {
    let (aws, arns) = fargate(1);
    aws.change(|world| {
        let region = world.own(REGION);
        region.task_mut(&arns[0]).tags.insert("team".to_owned(), "shop \"1\"".to_owned());
        region.cluster("c").tags.insert("stage".to_owned(), "prod".to_owned());
    });
    let (_, without) = ecs(&aws, "DescribeTasks", json!({"cluster": "c", "tasks": arns}));
    assert_eq!(without["tasks"][0]["tags"], json!([]));
    let (_, with) = ecs(&aws, "DescribeTasks", json!({"cluster": "c", "tasks": arns, "include": ["TAGS"]}));
    assert_eq!(with["tasks"][0]["tags"], json!([{"key": "team", "value": "shop \"1\""}]));
    let (_, cluster) = ecs(&aws, "DescribeClusters", json!({"clusters": ["c"], "include": ["TAGS"]}));
    assert_eq!(cluster["clusters"][0]["tags"], json!([{"key": "stage", "value": "prod"}]));
}

#[test]
fn a_definition_is_found_by_family_revision_or_arn_and_a_daemons_is_not() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition =
        || TaskDefinition::new("app").container(ContainerDefinition::new("app", "app:1")).tag("team", "shop");
    let [_, second] = [definition(), definition()].map(|definition| region.register(definition));
    let daemon = region.register_daemon(definition());
    let aws = Aws::new(world);
    for name in ["app", "app:2", &second] {
        let (_, body) =
            ecs(&aws, "DescribeTaskDefinition", json!({"taskDefinition": name, "include": ["TAGS"]}));
        assert_eq!(body["taskDefinition"]["taskDefinitionArn"], second.as_str());
        assert_eq!(body["tags"], json!([{"key": "team", "value": "shop"}]));
    }
    for name in [&daemon, "app:3", "nothing"] {
        check(&aws, "DescribeTaskDefinition", json!({"taskDefinition": name}), "ClientException");
    }
}

#[test]
fn clusters_are_missing_or_inactive_or_the_default_one() {
    let (aws, _) = fargate(1);
    aws.change(|world| {
        world.own(REGION).delete_cluster("gone");
        world.own(REGION).cluster("default");
    });
    let (_, body) = ecs(&aws, "DescribeClusters", json!({"clusters": ["c", "gone", "never"]}));
    assert_eq!(body["clusters"][0]["status"], "ACTIVE");
    assert_eq!(body["clusters"][1]["status"], "INACTIVE");
    assert_eq!(body["failures"][0]["arn"], "arn:aws:ecs:eu-central-1:111111111111:cluster/never");
    let (_, body) = ecs(&aws, "DescribeClusters", json!({}));
    assert_eq!(body["clusters"][0]["clusterName"], "default");
    let (_, body) = ecs(&aws, "ListClusters", json!({}));
    assert_eq!(body["clusterArns"].as_array().map(Vec::len), Some(2));
}

#[test]
fn container_instances_say_what_they_run_on() {
    let mut world = World::new(1);
    let region = world.own("cn-north-1");
    let hosts = [HostKind::Ec2, HostKind::External].map(|kind| region.launch_host("c", kind));
    assert!(hosts[0].starts_with("arn:aws-cn:ecs:cn-north-1:111111111111:container-instance/c/"));
    let aws = Aws::new(world);
    let input = json!({"cluster": "c", "containerInstances": hosts});
    let target = "AmazonEC2ContainerServiceV20141113.DescribeContainerInstances";
    let request = json_request(target, &input).signed(ecs_simulator::OWN_ACCESS_KEY, "cn-north-1", "ecs");
    let (_, body) = crate::read(&aws.answer(&request));
    let ids = body["containerInstances"]
        .as_array()
        .unwrap()
        .iter()
        .map(|host| host["ec2InstanceId"].as_str().unwrap());
    let prefixes: Vec<_> = ids.map(|id| id.split('-').next().unwrap()).collect();
    assert_eq!(prefixes, ["i", "mi"]);
}

#[test]
fn services_are_described_ten_at_a_time_with_those_of_tasks_among_them() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = crate::register(region);
    region.run_with(ecs_simulator::Run::new("c", &definition, Placement::Fargate).service("shop"));
    let service = region.service("c", "idle");
    service.tags.insert("team".to_owned(), "a".to_owned());
    service.status = "DRAINING".to_owned();
    let aws = Aws::new(world);
    let named = |names: &[&str], include: &[&str]| {
        let input = json!({"cluster": "c", "services": names, "include": include});
        ecs(&aws, "DescribeServices", input).1
    };
    let body = named(&["idle", "shop", "none"], &["TAGS"]);
    let arn = |name: &str| format!("arn:aws:ecs:{REGION}:111111111111:service/c/{name}");
    let [idle, shop] = &body["services"].as_array().unwrap()[..] else { panic!("{body}") };
    assert_eq!(idle["serviceArn"], arn("idle"));
    assert_eq!((&idle["status"], &shop["status"]), (&json!("DRAINING"), &json!("ACTIVE")));
    assert_eq!((&idle["tags"], &shop["tags"]), (&json!([{"key": "team", "value": "a"}]), &json!([])));
    assert_eq!((&shop["serviceName"], &shop["runningCount"]), (&json!("shop"), &json!(1)));
    assert_eq!(body["failures"], json!([{"arn": arn("none"), "reason": "MISSING"}]));
    assert_eq!(named(&[&arn("idle")], &[])["services"][0]["tags"], json!([]));
    for names in [vec![], vec!["a"; 11], vec!["a", "b:c"]] {
        let input = json!({"cluster": "c", "services": names});
        check(&aws, "DescribeServices", input, "InvalidParameterException");
    }
    let elsewhere = json!({"cluster": "d", "services": ["a"]});
    check(&aws, "DescribeServices", elsewhere, "ClusterNotFoundException");
}

#[test]
fn a_listing_can_be_limited_to_a_family_a_service_or_a_launch_type() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = crate::register(region);
    region.run_with(ecs_simulator::Run::new("c", &definition, Placement::Fargate).service("shop"));
    region.service("c", "idle");
    let aws = Aws::new(world);
    let count = |filter: &str, value: &str| {
        let (_, body) = ecs(&aws, "ListTasks", json!({"cluster": "c", filter: value}));
        body["taskArns"].as_array().map(Vec::len)
    };
    assert_eq!(
        [count("family", "app"), count("serviceName", "shop"), count("launchType", "FARGATE")],
        [Some(1); 3]
    );
    assert_eq!(
        [count("family", "other"), count("serviceName", "idle"), count("launchType", "EC2")],
        [Some(0); 3]
    );
    let nobody = json!({"cluster": "c", "serviceName": "sho"});
    check(&aws, "ListTasks", nobody, "ServiceNotFoundException");
    let both = json!({"cluster": "c", "serviceName": "shop", "containerInstance": "1"});
    check(&aws, "ListTasks", both, "InvalidParameterException");
}
