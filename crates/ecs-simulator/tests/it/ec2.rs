//! DescribeInstances: the XML, the limits, and the instances that are hidden.

use ecs_simulator::{Aws, Host, HostKind, Response, World};

use crate::{REGION, element, query_request};

/// Four hosts: two of EC2, one external, one managed by ECS; and the ids of their instances.
fn hosts() -> (Aws, Vec<String>) {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let tagged =
        Host::new("c", HostKind::Ec2).private_ip("10.9.9.9").public_ip("198.51.100.1").tag("Name", "R&D <1>");
    let mut hosts = vec![region.launch(tagged)];
    hosts.extend(
        [HostKind::Ec2, HostKind::External, HostKind::ManagedInstances]
            .map(|kind| region.launch_host("c", kind)),
    );
    let ids =
        hosts.iter().map(|host| region.container_instance(host).ec2_instance_id.clone().unwrap()).collect();
    (Aws::new(world), ids)
}

fn describe(aws: &Aws, query: &str) -> Response {
    aws.answer(&query_request("ec2", &format!("Action=DescribeInstances&{query}")))
}

fn by_filter<'a>(ids: impl IntoIterator<Item = &'a String>) -> String {
    let values = ids.into_iter().enumerate().map(|(i, id)| format!("&Filter.1.Value.{}={id}", i + 1));
    format!("Filter.1.Name=instance-id{}", values.collect::<String>())
}

#[test]
fn an_instance_has_the_fields_of_the_api_reference() {
    let (aws, ids) = hosts();
    let xml = describe(&aws, &by_filter(&ids[..1])).text();
    let instance = element(element(&xml, "reservationSet").unwrap(), "instancesSet").unwrap();
    let names = [
        "instanceId",
        "instanceType",
        "privateIpAddress",
        "ipAddress",
        "availabilityZone",
        "privateDnsName",
        "key",
        "value",
    ];
    let fields: Vec<_> = names.iter().map(|name| element(instance, name).unwrap()).collect();
    assert_eq!(
        fields,
        [
            ids[0].as_str(),
            "m7g.large",
            "10.9.9.9",
            "198.51.100.1",
            "eu-central-1b",
            "ip-10-9-9-9.eu-central-1.compute.internal",
            "Name",
            "R&amp;D &lt;1&gt;"
        ]
    );
    assert!(xml.contains("<instanceState><code>16</code><name>running</name></instanceState>"));
}

#[test]
fn managed_instances_are_hidden_unless_included_and_unknown_ids_are_left_out() {
    let (aws, mut ids) = hosts();
    ids.push("i-00000000000000000".to_owned());
    let count = |query: &str| describe(&aws, query).text().matches("<instanceState>").count();
    assert_eq!(count(&by_filter(&ids)), 2);
    assert_eq!(count(&format!("{}&IncludeManagedResources=true&MaxResults=1000", by_filter(&ids))), 3);
    assert_eq!(aws.take_calls().iter().map(|call| call.items).collect::<Vec<_>>(), [5, 5]);
}

#[test]
fn mistakes_are_refused_in_ec2s_own_form() {
    let (aws, ids) = hosts();
    let many = vec![ids[0].clone(); 201];
    for (query, code) in [
        ("InstanceId.1=i-00000000000000000".to_owned(), "InvalidInstanceID.NotFound"),
        ("InstanceId.1=mi-00000000000000000".to_owned(), "InvalidInstanceID.Malformed"),
        (format!("InstanceId.1={}&MaxResults=10", ids[0]), "InvalidParameterCombination"),
        (by_filter(&many), "FilterLimitExceeded"),
        ("MaxResults=4".to_owned(), "InvalidParameterValue"),
        ("MaxResults=1001".to_owned(), "InvalidParameterValue"),
        ("NextToken=abc".to_owned(), "InvalidNextToken"),
        ("Filter.1.Name=shoe-size&Filter.1.Value.1=42".to_owned(), "InvalidParameterValue"),
    ] {
        let response = describe(&aws, &query);
        let xml = response.text();
        assert_eq!((response.status, element(&xml, "Code")), (400, Some(code)));
        assert!(xml.contains("<Response><Errors><Error>") && xml.contains("<RequestID>"), "{xml}");
    }
    let response = aws.answer(&query_request("ec2", "Action=RunInstances"));
    assert_eq!(element(&response.text(), "Code"), Some("InvalidAction"));
}

#[test]
fn instances_page_and_share_reservations() {
    let mut world = World::new(1);
    for _ in 0..12 {
        world.own(REGION).launch_host("c", HostKind::Ec2);
    }
    let aws = Aws::new(world);
    let all = describe(&aws, "").text();
    assert_eq!(all.matches("<reservationId>").count(), 4);
    let mut seen = 0;
    let mut token = String::new();
    for _ in 0..3 {
        let xml = describe(&aws, &format!("MaxResults=5{token}")).text();
        seen += xml.matches("<instanceState>").count();
        token = element(&xml, "nextToken").map(|token| format!("&NextToken={token}")).unwrap_or_default();
    }
    assert_eq!((seen, token.as_str()), (12, ""));
}
