//! Tasks and their containers: every field that `DescribeTasks` answers, under AWS's names, as plain data.
//! Statuses are texts and not enums, so that a test can write a value that AWS has not invented yet.

use std::collections::BTreeMap;

/// One ECS task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Task {
    /// `arn:PARTITION:ecs:REGION:ACCOUNT:task/CLUSTER/ID`, or without the cluster in the short form.
    pub task_arn: String,
    /// The cluster that runs it.
    pub cluster_arn: String,
    /// The definition it was started from; of a managed daemon, `…:daemon-task-definition/FAMILY:REVISION`.
    pub task_definition_arn: String,
    /// The container instance it is placed on; absent on Fargate.
    pub container_instance_arn: Option<String>,
    /// `FARGATE`, `EC2`, `EXTERNAL` or `MANAGED_INSTANCES`.
    pub launch_type: Option<String>,
    /// The capacity provider, when one placed it.
    pub capacity_provider_name: Option<String>,
    /// Of Fargate: `1.4.0`.
    pub platform_version: Option<String>,
    /// Of Fargate: `Linux`.
    pub platform_family: Option<String>,
    /// Such as `eu-central-1a`.
    pub availability_zone: Option<String>,
    /// `service:NAME`, `family:NAME`, or whatever the caller of RunTask said.
    pub group: Option<String>,
    /// A deployment id for services, free text otherwise.
    pub started_by: Option<String>,
    /// What AWS wants: `RUNNING` or `STOPPED`.
    pub desired_status: String,
    /// What is: `PROVISIONING` … `STOPPED`.
    pub last_status: String,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health_status: Option<String>,
    /// Of the agent: `CONNECTED` or `DISCONNECTED`.
    pub connectivity: Option<String>,
    /// Epoch seconds.
    pub connectivity_at: Option<f64>,
    /// CPU units, as text.
    pub cpu: Option<String>,
    /// MiB, as text.
    pub memory: Option<String>,
    /// Epoch seconds.
    pub created_at: Option<f64>,
    /// Epoch seconds.
    pub pull_started_at: Option<f64>,
    /// Epoch seconds.
    pub pull_stopped_at: Option<f64>,
    /// Epoch seconds; absent until RUNNING.
    pub started_at: Option<f64>,
    /// Epoch seconds; since the desired status is STOPPED.
    pub stopping_at: Option<f64>,
    /// Epoch seconds.
    pub stopped_at: Option<f64>,
    /// Such as `UserInitiated`.
    pub stop_code: Option<String>,
    /// In words.
    pub stopped_reason: Option<String>,
    /// Network interfaces, Service Connect, volumes.
    pub attachments: Vec<Attachment>,
    /// Such as `ecs.cpu-architecture`.
    pub attributes: BTreeMap<String, String>,
    /// The containers, injected ones among them.
    pub containers: Vec<Container>,
    /// What RunTask changed for this task alone.
    pub overrides: TaskOverride,
    /// Answered only when `include` asks for `TAGS`.
    pub tags: BTreeMap<String, String>,
    /// Grows with each change.
    pub version: i64,
}

impl Task {
    /// The service that it belongs to.
    pub(crate) fn service(&self) -> Option<&str> {
        self.group.as_deref()?.strip_prefix("service:")
    }
}

/// Something attached to a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Attachment {
    /// A UUID.
    pub id: String,
    /// `ElasticNetworkInterface`, `Service Connect`, `AmazonElasticBlockStorage`.
    pub kind: String,
    /// `PRECREATED`, `ATTACHED`, `DELETED` …
    pub status: String,
    /// Names and values, in AWS's order: `subnetId`, `networkInterfaceId`, `macAddress`, `privateDnsName`, `privateIPv4Address`.
    pub details: Vec<(String, String)>,
}

/// One container of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Container {
    /// `arn:…:container/CLUSTER/TASK/UUID`, or `container/UUID` in the short form.
    pub container_arn: String,
    /// The task it belongs to.
    pub task_arn: String,
    /// The name its definition gives, or one that no definition knows.
    pub name: String,
    /// The image as the definition names it.
    pub image: Option<String>,
    /// `sha256:…`.
    pub image_digest: Option<String>,
    /// The runtime's own id; absent until the container was created.
    pub runtime_id: Option<String>,
    /// `PENDING`, `RUNNING`, `STOPPED`.
    pub last_status: Option<String>,
    /// `HEALTHY`, `UNHEALTHY` or `UNKNOWN`.
    pub health_status: Option<String>,
    /// Once it stopped.
    pub exit_code: Option<i32>,
    /// In words, once it stopped.
    pub reason: Option<String>,
    /// Published ports: of bridge tasks only, and only once RUNNING.
    pub network_bindings: Vec<NetworkBinding>,
    /// The task's interfaces: of awsvpc tasks only.
    pub network_interfaces: Vec<NetworkInterface>,
    /// CPU units, as text.
    pub cpu: Option<String>,
    /// MiB, as text.
    pub memory: Option<String>,
    /// MiB, as text.
    pub memory_reservation: Option<String>,
}

/// A published port, or a range of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkBinding {
    /// `0.0.0.0` or `::`.
    pub bind_ip: Option<String>,
    /// Absent in a range.
    pub container_port: Option<u16>,
    /// Absent in a range.
    pub host_port: Option<u16>,
    /// `tcp` or `udp`.
    pub protocol: Option<String>,
    /// `FIRST-LAST`.
    pub container_port_range: Option<String>,
    /// `FIRST-LAST`, of the same length.
    pub host_port_range: Option<String>,
}

/// A container's view of the task's network interface.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NetworkInterface {
    /// The `id` of the task's attachment.
    pub attachment_id: String,
    /// Absent in IPv6-only subnets.
    pub private_ipv4_address: Option<String>,
    /// In dual-stack and IPv6-only subnets.
    pub ipv6_address: Option<String>,
}

/// What RunTask changed for one task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TaskOverride {
    /// By container name; AWS lists an entry for each container, changed or not.
    pub container_overrides: Vec<ContainerOverride>,
    /// CPU units, as text.
    pub cpu: Option<String>,
    /// MiB, as text.
    pub memory: Option<String>,
    /// The role the task runs as.
    pub task_role_arn: Option<String>,
}

/// What RunTask changed for one container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerOverride {
    /// The container's name.
    pub name: String,
    /// The command, when changed.
    pub command: Vec<String>,
    /// Names and values laid over those of the definition.
    pub environment: Vec<(String, String)>,
}

impl ContainerOverride {
    /// An override of the container `name` that changes nothing yet.
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds one environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}
