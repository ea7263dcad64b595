//! What ECS adds to a task besides its definition's containers: a network interface, and containers of other services.

use super::lifecycle::Unattached;
use super::network::private_dns_name;
use super::region::Region;
use super::run::{Addresses, Injected};
use super::task::{Attachment, Container, ContainerOverride, NetworkInterface, Task};

impl Region {
    /// Precreates the network interface: the attachment shows its subnet, and the rest once the interface is attached.
    pub(super) fn attach_interface(&mut self, task: &mut Task, task_id: &str, addresses: &Addresses) {
        let interface = self.network.interface();
        let (ipv4, ipv6) = match addresses {
            Addresses::Ipv4 => (Some(self.network.ipv4(interface)), None),
            Addresses::DualStack => (Some(self.network.ipv4(interface)), Some(self.network.ipv6(interface))),
            Addresses::Ipv6 => (None, Some(self.network.ipv6(interface))),
            Addresses::Given(ipv4, ipv6) => (ipv4.clone(), ipv6.clone()),
        };
        let subnet = self.network.subnet(interface);
        task.availability_zone.get_or_insert_with(|| subnet.availability_zone.clone());
        let attachment = Attachment {
            id: self.ids.uuid("attachment"),
            kind: "ElasticNetworkInterface".to_owned(),
            status: "PRECREATED".to_owned(),
            details: vec![("subnetId".to_owned(), subnet.subnet_id.clone())],
        };
        let mut details = vec![
            ("networkInterfaceId".to_owned(), format!("eni-{}", self.ids.hex("interface", 17))),
            ("macAddress".to_owned(), self.network.mac(interface)),
        ];
        if let Some(address) = &ipv4 {
            details.push(("privateDnsName".to_owned(), private_dns_name(address, &self.name)));
            details.push(("privateIPv4Address".to_owned(), address.clone()));
        }
        let interface = NetworkInterface {
            attachment_id: attachment.id.clone(),
            private_ipv4_address: ipv4,
            ipv6_address: ipv6,
        };
        self.unattached.insert(task_id.to_owned(), Unattached { details, interface });
        task.attachments.insert(0, attachment);
    }

    pub(super) fn inject(&mut self, task: &mut Task, injected: Injected) {
        let (name, image) = match injected {
            Injected::ServiceConnect => {
                let name = format!("ecs-service-connect-{}", self.ids.hex("injected", 6));
                let details = vec![("ContainerName".to_owned(), name.clone())];
                let (kind, status) = ("Service Connect".to_owned(), "ATTACHED".to_owned());
                task.attachments.push(Attachment { id: self.ids.uuid("attachment"), kind, status, details });
                (name, "ecs-service-connect-agent:interface-v1")
            }
            Injected::GuardDuty => {
                let name = format!("aws-guardduty-agent-{}", self.ids.hex("injected", 7));
                let entry = ContainerOverride::new(&name).env("REGION", &self.name).env("STAGE", "prod");
                task.overrides.container_overrides.push(entry);
                (name, "aws-guardduty-agent-fargate:v1.5.0-Fg_aarch64")
            }
        };
        task.containers.push(Container {
            name,
            image: Some(image.to_owned()),
            last_status: Some("PENDING".to_owned()),
            health_status: Some("UNKNOWN".to_owned()),
            cpu: Some("0".to_owned()),
            ..Container::default()
        });
    }
}
