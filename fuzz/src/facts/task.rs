//! Tasks and their containers.

use std::net::IpAddr;
use std::sync::Arc;

use ecs_discovery::arn::{ContainerArn, TaskArn};
use ecs_discovery::model::{
    Container, LaunchType, Names, NetworkBinding, NetworkInterface, PortRange, Settings, Status, Task,
};

use super::{ACCOUNT, Facts, NAMES};

const STATUSES: [&str; 8] =
    ["RUNNING", "RUNNING", "RUNNING", "RUNNING", "PENDING", "STOPPED", "", "HIBERNATING"];
const LAUNCH_TYPES: [&str; 5] = ["EC2", "FARGATE", "EXTERNAL", "MANAGED_INSTANCES", "LUNAR"];

impl Facts<'_> {
    /// A task of a cluster that was read with these names.
    pub fn task(&mut self, cluster: u16, names: &Names) -> Task {
        let arn = format!("{ACCOUNT}:task/{cluster}/{}", self.below(16));
        Task {
            arn: TaskArn::parse(&arn).expect("an ARN"),
            definition: self.definition_arn(),
            launch_type: self.maybe(|facts| facts.one_of(&LAUNCH_TYPES)).and_then(LaunchType::parse),
            capacity_provider: self.said(),
            group: self.group(),
            started_by: self.said(),
            availability_zone: self.said(),
            desired_status: self.status(),
            last_status: self.status(),
            health_status: self.said(),
            platform_family: self.said(),
            platform_version: self.said(),
            container_instance: self.maybe(|facts| facts.container_instance_arn(cluster)),
            network_interface: self.maybe(|facts| NetworkInterface {
                subnet_id: facts.said(),
                private_ipv4: facts.maybe(Self::ipv4),
                private_dns_name: facts.said(),
            }),
            containers: self.list(4, Self::container),
            overrides: self.overrides(names),
            tags: self.tags(),
            names: names.clone(),
        }
    }

    fn overrides(&mut self, names: &Names) -> Vec<(Box<str>, Settings)> {
        let overrides = self.list(2, |facts| (facts.one_of(&NAMES).into(), facts.settings(names)));
        overrides.into_iter().filter(|(_, settings)| !settings.is_empty()).collect()
    }

    /// Often a service's.
    fn group(&mut self) -> Option<Arc<str>> {
        let service = self.maybe(|facts| format!("service:{}", facts.one_of(&NAMES)).into());
        service.or_else(|| self.said())
    }

    fn status(&mut self) -> Status {
        self.one_of(&STATUSES).into()
    }

    fn container(&mut self) -> Container {
        let arn = self.maybe(|facts| format!("{ACCOUNT}:container/0/1/{}", facts.below(16)));
        Container {
            name: self.one_of(&NAMES).into(),
            arn: arn.map(|arn| ContainerArn::parse(&arn).expect("an ARN")),
            image: self.said(),
            runtime_id: self.said(),
            last_status: self.status(),
            health_status: self.said(),
            private_ipv4: self.maybe(Self::ipv4),
            ipv6: self.maybe(Self::ipv6),
            network_bindings: self.list(3, Self::network_binding),
        }
    }

    fn network_binding(&mut self) -> NetworkBinding {
        let container_ports = self.ports();
        let length = container_ports.last - container_ports.first;
        let first = self.port(u16::MAX - length);
        NetworkBinding {
            bind_ip: self.maybe(|facts| {
                if facts.below(2) == 0 { IpAddr::from(facts.ipv4()) } else { facts.ipv6().into() }
            }),
            protocol: self.protocol(),
            container_ports,
            host_ports: PortRange { first, last: first + length },
        }
    }
}
