//! How hosts come to be: a machine, and the container instance that its agent registers with a cluster.

use std::collections::{BTreeMap, BTreeSet};

use super::host::{ContainerInstance, Host, HostKind, Instance, ManagedNode};
use super::network::private_dns_name;
use super::region::Region;

/// Where dynamic host ports begin: Linux's default `ip_local_port_range`.
pub(super) const FIRST_DYNAMIC_PORT: u16 = 32_768;
/// Instances that one call launched share a reservation.
const INSTANCES_PER_RESERVATION: u64 = 3;

impl Region {
    /// Launches a host of that kind for a cluster and returns its container instance's ARN.
    pub fn launch_host(&mut self, cluster: &str, kind: HostKind) -> String {
        self.launch(Host::new(cluster, kind))
    }

    /// Launches a host as described and returns its container instance's ARN.
    pub fn launch(&mut self, host: Host) -> String {
        let now = self.tick();
        self.cluster(&host.cluster);
        let instance_id = match host.kind {
            HostKind::External => self.activate(&host),
            HostKind::Ec2 | HostKind::ManagedInstances => self.start_instance(&host),
        };
        let id = self.ids.hex("container-instance", 32);
        let arn = self.arn_in(&host.cluster, "container-instance", &id);
        let zone = self.instances.get(&instance_id).and_then(|instance| instance.availability_zone.clone());
        let instance = ContainerInstance {
            container_instance_arn: arn.clone(),
            ec2_instance_id: Some(instance_id),
            kind: host.kind,
            status: "ACTIVE".to_owned(),
            agent_connected: true,
            capacity_provider_name: host.capacity_provider_name.clone(),
            version: 3,
            registered_at: Some(now),
            attributes: attributes(&host, zone),
            tags: BTreeMap::new(),
            ports: BTreeSet::new(),
            next_port: FIRST_DYNAMIC_PORT,
        };
        self.cluster(&host.cluster).container_instances.insert(id, instance);
        arn
    }

    fn start_instance(&mut self, host: &Host) -> String {
        let interface = self.network.interface();
        let subnet = self.network.subnet(interface).clone();
        let address = host.private_ip_address.clone().unwrap_or_else(|| self.network.ipv4(interface));
        let id = format!("i-{}", self.ids.hex("instance", 17));
        let reservation = self.ids.count("reservation") / INSTANCES_PER_RESERVATION;
        let operator = (host.kind == HostKind::ManagedInstances).then(|| "ecs.amazonaws.com".to_owned());
        let instance = Instance {
            instance_id: id.clone(),
            reservation_id: format!("r-{reservation:017x}"),
            instance_type: Some(instance_type(host)),
            state: "running".to_owned(),
            private_dns_name: Some(private_dns_name(&address, &self.name)),
            private_ip_address: Some(address),
            public_ip_address: host.public_ip_address.clone(),
            ipv6_address: host.ipv6_address.clone(),
            subnet_id: Some(subnet.subnet_id),
            vpc_id: Some(subnet.vpc_id),
            availability_zone: Some(subnet.availability_zone),
            operator_principal: operator,
            tags: host.tags.clone(),
        };
        self.instances.insert(id.clone(), instance);
        id
    }

    fn activate(&mut self, host: &Host) -> String {
        let interface = self.network.interface();
        let address = host.private_ip_address.clone().unwrap_or_else(|| self.network.ipv4(interface));
        let id = format!("mi-{}", self.ids.hex("managed-node", 17));
        let node = ManagedNode {
            instance_id: id.clone(),
            computer_name: Some(format!("ip-{}", address.replace('.', "-"))),
            ip_address: Some(address),
            ping_status: Some("Online".to_owned()),
            platform_type: Some("Linux".to_owned()),
        };
        self.managed_nodes.insert(id.clone(), node);
        id
    }
}

fn instance_type(host: &Host) -> String {
    host.instance_type.clone().unwrap_or_else(|| "m7g.large".to_owned())
}

fn attributes(host: &Host, zone: Option<String>) -> BTreeMap<String, String> {
    let mut attributes: BTreeMap<String, String> = [
        ("com.amazonaws.ecs.capability.docker-remote-api.1.44", ""),
        ("com.amazonaws.ecs.capability.logging-driver.awslogs", ""),
        ("ecs.capability.execution-role-awslogs", ""),
        ("ecs.cpu-architecture", "arm64"),
        ("ecs.os-family", "LINUX"),
        ("ecs.os-type", "linux"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    match zone {
        Some(zone) => {
            attributes.insert("ecs.availability-zone".to_owned(), zone);
            attributes.insert("ecs.instance-type".to_owned(), instance_type(host));
        }
        None => {
            attributes.insert("ecs.capability.external".to_owned(), String::new());
        }
    }
    attributes
}
