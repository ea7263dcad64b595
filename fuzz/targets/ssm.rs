//! Systems Manager's answers.
//!
//! An input that begins like JSON is an answer; of any other, hosts are made, which must be read as they were written.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::model::Host;
use fuzz::facts::Facts;
use fuzz::wire;
use prometheus_ecs_sd::aws::fuzzing;

fuzz::target!(ssm);

fn ssm(input: &[u8]) {
    if !matches!(input.first(), Some(b'{' | b'[' | b'"')) {
        let mut facts = Facts::new(input);
        let next = facts.maybe(Facts::text).filter(|token| !token.is_empty());
        let hosts = facts.list(4, |facts| known_to_ssm(facts.host_or_nameless()));
        return is_read(hosts, next);
    }
    let Ok((hosts, next)) = fuzzing::ssm(input) else { return };
    for host in &hosts {
        assert!(!host.id.as_str().is_empty());
        assert_eq!(*host, known_to_ssm(host.clone()));
    }
    is_read(hosts, next);
}

/// Hosts are read as they were written, but for those without an id.
fn is_read(mut hosts: Vec<Host>, next: Option<String>) {
    let body = wire::ssm(&hosts, next.as_deref());
    hosts.retain(|host| !host.id.as_str().is_empty());
    assert_eq!(fuzzing::ssm(body.as_bytes()), Ok((hosts, next)));
}

/// The id and the address, and nothing else.
fn known_to_ssm(host: Host) -> Host {
    Host {
        id: host.id,
        private_ipv4: host.private_ipv4,
        public_ipv4: None,
        instance_type: None,
        private_dns_name: None,
        vpc_id: None,
        subnet_id: None,
        availability_zone: None,
        tags: Vec::new(),
    }
}
