//! Task definitions: what `DescribeTaskDefinition` answers, with a chain of setters for the usual parts.

use std::collections::BTreeMap;

/// One revision of a task definition. `Region::register` fills in the ARN and the revision.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskDefinition {
    /// `arn:…:task-definition/FAMILY:REVISION`, filled in on registration.
    pub task_definition_arn: String,
    /// The family.
    pub family: String,
    /// 1 and up, filled in on registration.
    pub revision: u32,
    /// `ACTIVE`, `INACTIVE`.
    pub status: String,
    /// `awsvpc`, `bridge`, `host`, `none`, or absent.
    pub network_mode: Option<String>,
    /// Such as `FARGATE`.
    pub requires_compatibilities: Vec<String>,
    /// CPU units, as text.
    pub cpu: Option<String>,
    /// MiB, as text.
    pub memory: Option<String>,
    /// The role of the agent.
    pub execution_role_arn: Option<String>,
    /// The containers, in order.
    pub container_definitions: Vec<ContainerDefinition>,
    /// Answered beside the definition, when `include` asks for `TAGS`.
    pub tags: BTreeMap<String, String>,
}

/// One container of a definition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerDefinition {
    /// Unique in its definition.
    pub name: String,
    /// The image.
    pub image: String,
    /// CPU units.
    pub cpu: u32,
    /// MiB.
    pub memory: Option<u32>,
    /// Whether the task stops with it.
    pub essential: bool,
    /// Names and values, in order.
    pub environment: Vec<(String, String)>,
    /// Names and where their values come from, which no one else can read.
    pub secrets: Vec<(String, String)>,
    /// S3 objects with more environment.
    pub environment_files: Vec<String>,
    /// Docker labels.
    pub docker_labels: BTreeMap<String, String>,
    /// Ports, in order.
    pub port_mappings: Vec<PortMapping>,
    /// The command of a health check; with one, a running container is HEALTHY, without it UNKNOWN.
    pub health_check: Option<String>,
}

/// One port of a container definition, or a range of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PortMapping {
    /// Absent in a range.
    pub container_port: Option<u16>,
    /// 0 or absent: a dynamic one in bridge mode.
    pub host_port: Option<u16>,
    /// `tcp` or `udp`; absent means tcp.
    pub protocol: Option<String>,
    /// Such as `metrics`.
    pub name: Option<String>,
    /// `http`, `http2` or `grpc`.
    pub app_protocol: Option<String>,
    /// `FIRST-LAST`.
    pub container_port_range: Option<String>,
}

impl TaskDefinition {
    /// A definition without containers and without a network mode.
    pub fn new(family: &str) -> Self {
        Self { family: family.to_owned(), status: "ACTIVE".to_owned(), ..Self::default() }
    }

    /// Sets the network mode.
    pub fn network_mode(mut self, mode: &str) -> Self {
        self.network_mode = Some(mode.to_owned());
        self
    }

    /// Makes it a Fargate definition: awsvpc, with the sizes that Fargate demands.
    pub fn fargate(mut self) -> Self {
        self.requires_compatibilities = vec!["FARGATE".to_owned()];
        self.cpu = Some("256".to_owned());
        self.memory = Some("512".to_owned());
        self.network_mode("awsvpc")
    }

    /// Adds a container.
    pub fn container(mut self, container: ContainerDefinition) -> Self {
        self.container_definitions.push(container);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.insert(key.to_owned(), value.to_owned());
        self
    }
}

impl ContainerDefinition {
    /// An essential container without environment and ports.
    pub fn new(name: &str, image: &str) -> Self {
        Self { name: name.to_owned(), image: image.to_owned(), essential: true, ..Self::default() }
    }

    /// Adds an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds a docker label.
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.docker_labels.insert(key.to_owned(), value.to_owned());
        self
    }

    /// Adds a secret: a variable whose value only the container sees.
    pub fn secret(mut self, name: &str, value_from: &str) -> Self {
        self.secrets.push((name.to_owned(), value_from.to_owned()));
        self
    }

    /// Adds a TCP port whose host port is dynamic in bridge mode.
    pub fn port(self, container_port: u16) -> Self {
        self.mapping(PortMapping::tcp(container_port))
    }

    /// Adds a port mapping.
    pub fn mapping(mut self, mapping: PortMapping) -> Self {
        self.port_mappings.push(mapping);
        self
    }

    /// Gives it a health check.
    pub fn health_check(mut self, command: &str) -> Self {
        self.health_check = Some(command.to_owned());
        self
    }
}

impl PortMapping {
    /// A TCP port; the host port is absent.
    pub fn tcp(container_port: u16) -> Self {
        Self { container_port: Some(container_port), protocol: Some("tcp".to_owned()), ..Self::default() }
    }

    /// A UDP port; the host port is absent.
    pub fn udp(container_port: u16) -> Self {
        Self { container_port: Some(container_port), protocol: Some("udp".to_owned()), ..Self::default() }
    }

    /// A range of TCP ports, both ends included.
    pub fn range(first: u16, last: u16) -> Self {
        Self {
            container_port_range: Some(format!("{first}-{last}")),
            protocol: Some("tcp".to_owned()),
            ..Self::default()
        }
    }

    /// Sets the host port; 0 means dynamic.
    pub fn on_host(mut self, host_port: u16) -> Self {
        self.host_port = Some(host_port);
        self
    }

    /// Names the port.
    pub fn named(mut self, name: &str) -> Self {
        self.name = Some(name.to_owned());
        self
    }
}
