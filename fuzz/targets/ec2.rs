//! EC2's answers.
//!
//! An input that begins like XML is an answer; of any other, hosts are made, which must be read as they were written.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::model::{Host, InstanceId, Tags};
use fuzz::facts::Facts;
use fuzz::wire;
use prometheus_ecs_sd::aws::fuzzing;

fuzz::target!(ec2);

fn ec2(input: &[u8]) {
    if input.first() != Some(&b'<') {
        let mut facts = Facts::new(input);
        let next = facts.maybe(|facts| wire::for_xml(&facts.text()));
        let hosts = facts.list(4, |facts| for_xml(facts.host_or_nameless()));
        return is_read(hosts, next);
    }
    let Ok((hosts, next)) = fuzzing::ec2(input) else { return };
    for host in &hosts {
        assert!(!host.id.as_str().is_empty());
        let names = [&host.private_dns_name, &host.vpc_id];
        let texts = [&host.instance_type, &host.subnet_id, &host.availability_zone].into_iter().chain(names);
        assert!(texts.into_iter().all(|text| text.as_deref() != Some("")));
        assert!(host.tags.is_sorted() && host.tags.iter().all(|(key, _)| !key.is_empty()));
    }
    is_read(hosts, next);
}

/// Hosts are read as they were written, but for those without an id.
fn is_read(mut hosts: Vec<Host>, next: Option<String>) {
    let body = wire::ec2(&hosts, next.as_deref());
    hosts.retain(|host| !host.id.as_str().is_empty());
    assert_eq!(fuzzing::ec2(body.as_bytes()), Ok((hosts, next)), "{body}");
}

/// The host without the characters that no XML document can have.
fn for_xml(host: Host) -> Host {
    let text = |text: Option<Box<str>>| {
        text.map(|text| wire::for_xml(&text).into_boxed_str()).filter(|text| !text.is_empty())
    };
    let tags = host.tags.iter().map(|(key, value)| (wire::for_xml(key).into(), wire::for_xml(value).into()));
    let mut tags: Tags = tags.collect();
    tags.retain(|(key, _)| !key.is_empty());
    tags.sort();
    Host {
        id: InstanceId::new(host.id.as_str()),
        instance_type: text(host.instance_type),
        private_dns_name: text(host.private_dns_name),
        vpc_id: text(host.vpc_id),
        subnet_id: text(host.subnet_id),
        availability_zone: text(host.availability_zone),
        tags,
        ..host
    }
}
