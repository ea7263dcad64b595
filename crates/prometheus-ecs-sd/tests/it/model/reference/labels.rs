//! The labels of a group, name by name.

use std::collections::BTreeMap;

use ecs_simulator::Container;

use super::{Asking, Endpoint, Group, Reached};

/// The machine of a task, whoever knows it.
pub(super) struct Machine {
    pub(super) private_ip: Option<String>,
    id: String,
    public_ip: Option<String>,
    kind: Option<String>,
    dns_name: Option<String>,
    vpc: Option<String>,
    subnet: Option<String>,
    zone: Option<String>,
    tags: BTreeMap<String, String>,
}

#[derive(Default)]
struct Labels(BTreeMap<String, String>);

impl Labels {
    fn set(&mut self, name: &str, value: &str) {
        self.0.insert(name.to_owned(), value.to_owned());
    }

    /// A meta label; one without a value is left out.
    fn meta(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.set(&format!("__meta_ecs_{name}"), value);
        }
    }

    fn tags(&mut self, family: &str, tags: &BTreeMap<String, String>) {
        for (key, value) in tags {
            self.meta(&format!("{family}_{}", key.replace('-', "_")), Some(value));
        }
    }
}

fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

impl Asking<'_> {
    pub(super) fn host(&self) -> Option<Machine> {
        let id = last_part(self.task.container_instance_arn.as_deref()?);
        let id = self.cluster.container_instances[id].ec2_instance_id.clone()?;
        if let Some(node) = self.region.managed_nodes.get(&id) {
            return Some(Machine {
                id,
                private_ip: node.ip_address.clone(),
                public_ip: None,
                kind: None,
                dns_name: None,
                vpc: None,
                subnet: None,
                zone: None,
                tags: BTreeMap::new(),
            });
        }
        let instance = &self.region.instances[&id];
        Some(Machine {
            id,
            private_ip: instance.private_ip_address.clone(),
            public_ip: instance.public_ip_address.clone(),
            kind: instance.instance_type.clone(),
            dns_name: instance.private_dns_name.clone(),
            vpc: instance.vpc_id.clone(),
            subnet: instance.subnet_id.clone(),
            zone: instance.availability_zone.clone(),
            tags: instance.tags.clone(),
        })
    }

    pub(super) fn group(
        &self,
        container: &Container,
        endpoint: &Endpoint<'_>,
        Reached { ip, port, container_port }: &Reached,
    ) -> Group {
        let target = format!("{ip}:{port}");
        let mut labels = Labels::default();
        let (_, name) = self.task.task_definition_arn.split_once("task-definition/").unwrap();
        let (family, revision) = name.split_once(':').unwrap();
        let setting = |name: &str| self.settings.get(name).copied();
        labels.set("job", family);
        labels.set("metrics_path", endpoint.path);
        labels.set("__metrics_path__", endpoint.path);
        if let Some(tags) = setting("PROMETHEUS_TAGS") {
            labels.set("tags", tags);
        }
        if setting("PROMETHEUS_SCHEME") == Some("https") {
            labels.set("__scheme__", "https");
        }
        for (name, value) in &endpoint.query {
            labels.set(&format!("__param_{name}"), value);
        }
        if setting("PROMETHEUS_NOLABELS") == Some("true") {
            labels.set("instance", family);
        } else {
            labels.set("instance", &target);
            self.visible(&mut labels, container, revision);
            labels.meta("ip_address", Some(ip.trim_matches(['[', ']'])));
            labels.meta("container_port", container_port.map(|port| port.to_string()).as_deref());
            labels.meta("convention", Some("environment"));
            labels.meta("task_definition_family", Some(family));
            labels.meta("task_definition_revision", Some(revision));
            self.of_task(&mut labels);
            self.of_container(&mut labels, container);
            self.of_host(&mut labels);
        }
        Group { interval: endpoint.interval.to_owned(), target, labels: labels.0 }
    }

    fn visible(&self, labels: &mut Labels, container: &Container, revision: &str) {
        labels.set("ecs_cluster", &self.cluster.cluster_name);
        labels.set("ecs_task_id", last_part(&self.task.task_arn));
        labels.set("ecs_task_version", revision);
        if let Some(host) = self.host() {
            labels.set("ecs_container_id", last_part(&container.container_arn));
            labels.set("instance_id", &host.id);
        }
    }

    fn of_task(&self, labels: &mut Labels) {
        let Self { region, cluster, task, .. } = self;
        labels.meta("account_id", Some(&region.account_id));
        labels.meta("region", Some(&region.name));
        labels.meta("cluster", Some(&cluster.cluster_name));
        labels.meta("cluster_arn", Some(&cluster.cluster_arn));
        labels.meta("task_arn", Some(&task.task_arn));
        labels.meta("task_id", Some(last_part(&task.task_arn)));
        labels.meta("task_definition", Some(&task.task_definition_arn));
        labels.meta("task_group", task.group.as_deref());
        labels.meta("service", task.group.as_deref().and_then(|group| group.strip_prefix("service:")));
        labels.meta("task_started_by", task.started_by.as_deref());
        labels.meta("capacity_provider", task.capacity_provider_name.as_deref());
        labels.meta("launch_type", task.launch_type.as_deref());
        labels.meta("desired_status", Some(&task.desired_status));
        labels.meta("last_status", Some(&task.last_status));
        labels.meta("health_status", task.health_status.as_deref());
        labels.meta("platform_family", task.platform_family.as_deref());
        labels.meta("platform_version", task.platform_version.as_deref());
        labels.meta("container_instance_arn", task.container_instance_arn.as_deref());
        labels.meta("network_mode", Some(self.network_mode));
        labels.tags("tag_cluster", &cluster.tags);
        labels.tags("tag_task", &task.tags);
        labels.tags("tag", &region.task_definitions[&task.task_definition_arn].tags);
        labels.tags("tag", &task.tags);
    }

    fn of_container(&self, labels: &mut Labels, container: &Container) {
        labels.meta("container_name", Some(&container.name));
        labels.meta("container_arn", Some(&container.container_arn));
        labels.meta("container_image", container.image.as_deref());
        labels.meta("container_runtime_id", container.runtime_id.as_deref());
        labels.meta("container_health_status", container.health_status.as_deref());
        let ipv6 =
            container.network_interfaces.iter().find_map(|interface| interface.ipv6_address.as_deref());
        labels.meta("ipv6_address", ipv6);
        let mut docker = self.definition.docker_labels.clone();
        docker.retain(|name, _| !name.starts_with("PROMETHEUS"));
        labels.tags("container_label", &docker);
    }

    fn of_host(&self, labels: &mut Labels) {
        let own = self.network_mode == "awsvpc";
        let interface = self.task.attachments.iter().find(|one| one.kind == "ElasticNetworkInterface");
        let detail = |wanted: &str| {
            let mut details = interface.into_iter().flat_map(|interface| &interface.details);
            details.find(|(name, _)| name == wanted).map(|(_, value)| value.as_str())
        };
        let subnet = detail("subnetId");
        let host = self.host();
        let zone = host.as_ref().and_then(|host| host.zone.as_deref());
        labels.meta("availability_zone", self.task.availability_zone.as_deref().or(zone));
        labels.meta("subnet_id", subnet.or_else(|| host.as_ref()?.subnet.as_deref()));
        let host_name = host.as_ref().filter(|_| !own).and_then(|host| host.dns_name.as_deref());
        labels.meta("private_dns_name", detail("privateDnsName").or(host_name));
        let Some(host) = &host else { return };
        labels.meta("ec2_vpc_id", host.vpc.as_deref());
        labels.meta("ec2_subnet_id", host.subnet.as_deref());
        labels.meta("ec2_instance_id", Some(&host.id));
        labels.meta("ec2_instance_type", host.kind.as_deref());
        labels.meta("ec2_instance_private_ip", host.private_ip.as_deref());
        labels.meta("ec2_instance_public_ip", host.public_ip.as_deref());
        labels.meta("public_ip", host.public_ip.as_deref().filter(|_| !own));
        labels.tags("tag_ec2", &host.tags);
    }
}
