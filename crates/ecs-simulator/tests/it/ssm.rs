//! DescribeInstanceInformation and its limits.

use ecs_simulator::{Aws, Host, HostKind, World};
use serde_json::{Value, json};

use crate::{REGION, json_request, read};

fn describe(aws: &Aws, input: Value) -> (u16, Value) {
    read(&aws.answer(&json_request("AmazonSSM.DescribeInstanceInformation", &input)))
}

#[test]
fn external_machines_tell_their_address() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let host = region.launch(Host::new("c", HostKind::External).private_ip("192.168.0.9"));
    let id = region.container_instance(&host).ec2_instance_id.clone().unwrap();
    let aws = Aws::new(world);
    let filter = json!([{"Key": "InstanceIds", "Values": [id, "mi-00000000000000000"]}]);
    let (_, body) = describe(&aws, json!({"Filters": filter, "MaxResults": 50}));
    let list = body["InstanceInformationList"].as_array().unwrap();
    assert_eq!(
        (list.len(), &list[0]["IPAddress"], &list[0]["PingStatus"]),
        (1, &json!("192.168.0.9"), &json!("Online"))
    );
}

#[test]
fn sizes_and_values_outside_the_limits_are_refused() {
    let aws = Aws::new(World::new(1));
    let filter = |values: Vec<&str>| json!({"Filters": [{"Key": "InstanceIds", "Values": values}]});
    for (input, code) in [
        (json!({"MaxResults": 4}), "ValidationException"),
        (json!({"MaxResults": 51}), "ValidationException"),
        (filter(vec!["mi-00000000000000000"; 101]), "ValidationException"),
        (filter(vec!["10.0.0.1"]), "InvalidInstanceId"),
        (filter(vec!["mi-00000000000000000", "mi-"]), "InvalidInstanceId"),
        (json!({"NextToken": "abc"}), "InvalidNextToken"),
    ] {
        let (status, body) = describe(&aws, input);
        assert_eq!((status, body["__type"].as_str()), (400, Some(code)));
    }
}
