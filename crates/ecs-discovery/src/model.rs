//! What AWS said, as plain data: one type a thing, optional fields settled where the answer was read.
//!
//! Every value here is immutable once made. Texts that many tasks have in common are `Arc`s, to be shared.
//! Environment values are limited to the [names](Names) that the conventions read, since task definitions contain secrets
//! in their environment.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use crate::arn::{ClusterArn, ContainerArn, ContainerInstanceArn, ServiceArn, TaskArn, TaskDefinitionArn};
use crate::variable::Variable;

/// Names and values as AWS gave them, sorted by name in byte order.
pub type Tags = Vec<(Arc<str>, Arc<str>)>;

/// A cluster; its tags are empty until it was described.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The cluster's ARN.
    pub arn: ClusterArn,
    /// The cluster's tags.
    pub tags: Tags,
}

/// A task as DescribeTasks answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The task's ARN.
    pub arn: TaskArn,
    /// The definition it was started from.
    pub definition: TaskDefinitionArn,
    /// What it runs on; `None` where the answer does not say.
    pub launch_type: Option<LaunchType>,
    /// The capacity provider that placed it.
    pub capacity_provider: Option<Arc<str>>,
    /// `service:NAME` for a service's task, `family:NAME` for others, or any text the caller of RunTask chose.
    pub group: Option<Arc<str>>,
    /// The deployment, or the text the caller of RunTask chose.
    pub started_by: Option<Arc<str>>,
    /// The availability zone.
    pub availability_zone: Option<Arc<str>>,
    /// The status ECS is working towards.
    pub desired_status: Status,
    /// The status last seen.
    pub last_status: Status,
    /// `HEALTHY`, `UNHEALTHY`, or `UNKNOWN` where the definition names no health check.
    pub health_status: Option<Arc<str>>,
    /// `Linux`, `Windows_Server_2022_Core`, …
    pub platform_family: Option<Arc<str>>,
    /// Fargate's platform version.
    pub platform_version: Option<Arc<str>>,
    /// Where it runs; `None` on Fargate and until it is placed.
    pub container_instance: Option<ContainerInstanceArn>,
    /// The network interface of an `awsvpc` task.
    pub network_interface: Option<NetworkInterface>,
    /// Its containers, among them those that ECS adds and no definition names.
    pub containers: Vec<Container>,
    /// Settings of RunTask's container overrides, by container name.
    pub overrides: Vec<(Box<str>, Settings)>,
    /// The task's tags.
    pub tags: Tags,
    /// The environment variables of overrides that were kept when it was read; [all](Names::all) if none was dropped.
    pub names: Names,
}

impl Task {
    /// The text after `service:` in its group.
    pub fn service_text(&self) -> Option<&str> {
        self.group.as_deref()?.strip_prefix("service:")
    }

    /// The service whose task this is. A caller of RunTask may choose any text as the group, so one that can be no
    /// service's is none.
    pub fn service(&self) -> Option<ServiceName> {
        ServiceName::of_group(self.group.as_deref()?)
    }
}

/// The name of a service, unique in its cluster.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceName(Arc<str>);

impl ServiceName {
    /// The longest that ECS accepts.
    const BYTES: usize = 255;

    /// Only names that ECS accepts: it refuses a whole request for another one.
    /// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html>
    pub fn parse(name: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
        ((1..=Self::BYTES).contains(&name.len()) && name.bytes().all(is_allowed)).then(|| Self(name.into()))
    }

    /// The service whose tasks are in this group.
    pub(crate) fn of_group(group: &str) -> Option<Self> {
        Self::parse(group.strip_prefix("service:")?)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A service as DescribeServices answers it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The service's ARN.
    pub arn: ServiceArn,
    /// `ACTIVE`, `DRAINING` or `INACTIVE`.
    pub status: Option<Arc<str>>,
    /// The service's tags.
    pub tags: Tags,
}

/// The `ElasticNetworkInterface` attachment of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NetworkInterface {
    /// Detail `subnetId`.
    pub subnet_id: Option<Arc<str>>,
    /// Detail `privateIPv4Address`.
    pub private_ipv4: Option<Ipv4Addr>,
    /// Detail `privateDnsName`.
    pub private_dns_name: Option<Box<str>>,
}

/// A running, or no longer running, container of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// Its name in the definition.
    pub name: Arc<str>,
    /// Its ARN, where AWS gives one of that form.
    pub arn: Option<ContainerArn>,
    /// The image as the definition names it.
    pub image: Option<Arc<str>>,
    /// The container runtime's id.
    pub runtime_id: Option<Box<str>>,
    /// The status last seen.
    pub last_status: Status,
    /// As [`Task::health_status`].
    pub health_status: Option<Arc<str>>,
    /// The address of its interface, in `awsvpc` mode.
    pub private_ipv4: Option<Ipv4Addr>,
    /// The IPv6 address of its interface, in `awsvpc` mode.
    pub ipv6: Option<Ipv6Addr>,
    /// The ports Docker published; always empty in `awsvpc` and `host` mode.
    pub network_bindings: Vec<NetworkBinding>,
}

/// A container port, or range of them, and the host port it is reached at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkBinding {
    /// The address bound on the host, `0.0.0.0` or `::` as a rule.
    pub bind_ip: Option<IpAddr>,
    /// TCP unless AWS says otherwise.
    pub protocol: Protocol,
    /// The container's side.
    pub container_ports: PortRange,
    /// The host's side, as long as the container's.
    pub host_ports: PortRange,
}

/// Ports `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The first port.
    pub first: u16,
    /// The last port, not below the first.
    pub last: u16,
}

impl PortRange {
    /// The range of one port.
    pub fn one(port: u16) -> Self {
        Self { first: port, last: port }
    }

    pub(crate) fn contains(self, port: u16) -> bool {
        (self.first..=self.last).contains(&port)
    }

    /// Reads `8080-8090`, or `8080`; `None` for anything else and for port 0.
    pub fn parse(text: &str) -> Option<Self> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        (1 <= first && first <= last).then_some(Self { first, last })
    }
}

/// The transport of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// What AWS means where it names none.
    Tcp,
    /// Never scraped unless it is all there is for a port.
    Udp,
}

/// A task definition's immutable content, and its tags, which can change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskDefinition {
    /// The definition's ARN.
    pub arn: TaskDefinitionArn,
    /// How its containers are reached.
    pub network_mode: NetworkMode,
    /// In the definition's order, which decides between duplicates.
    pub containers: Vec<ContainerDefinition>,
    /// The definition's tags.
    pub tags: Tags,
    /// The environment variables that were kept when it was read; [all](Names::all) if none was dropped.
    pub names: Names,
}

/// One container of a task definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerDefinition {
    /// Its name, unique in the definition.
    pub name: Box<str>,
    /// Variables from `environment`, as far as [`TaskDefinition::names`] keeps them.
    pub environment: Settings,
    /// The names among them that come from `secrets`: their values cannot be read.
    pub secrets: Vec<Arc<str>>,
    /// `dockerLabels`.
    pub docker_labels: Tags,
    /// `portMappings` in their order.
    pub port_mappings: Vec<PortMapping>,
}

impl ContainerDefinition {
    /// Whether the variable comes from `secrets`.
    pub fn has_secret(&self, name: impl AsRef<str>) -> bool {
        self.secrets.iter().any(|secret| **secret == *name.as_ref())
    }
}

/// One entry of `portMappings`; which host port serves it is the running container's to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMapping {
    /// `containerPort`, or `containerPortRange`.
    pub container_ports: PortRange,
    /// TCP unless the definition says otherwise.
    pub protocol: Protocol,
}

/// A task definition's `networkMode`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkMode {
    /// Every task has a network interface of its own.
    Awsvpc,
    /// Docker's bridge; also what an absent mode means.
    Bridge,
    /// The host's own network.
    Host,
    /// No network.
    None,
    /// Windows' NAT, which publishes ports as `bridge` does.
    Default,
    /// A mode that did not exist when this was written.
    Other(Box<str>),
}

impl NetworkMode {
    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Awsvpc => "awsvpc",
            Self::Bridge => "bridge",
            Self::Host => "host",
            Self::None => "none",
            Self::Default => "default",
            Self::Other(name) => name,
        }
    }

    /// Whether a container's ports are reached at others of its host.
    pub(crate) fn publishes_ports(&self) -> bool {
        matches!(self, Self::Bridge | Self::Default)
    }

    /// Whether a task's address is its host's.
    pub(crate) fn is_at_the_host(&self) -> bool {
        matches!(self, Self::Bridge | Self::Default | Self::Host)
    }
}

impl From<&str> for NetworkMode {
    fn from(name: &str) -> Self {
        match name {
            "awsvpc" => Self::Awsvpc,
            "bridge" | "" => Self::Bridge,
            "host" => Self::Host,
            "none" => Self::None,
            "default" => Self::Default,
            other => Self::Other(other.into()),
        }
    }
}

/// What a task runs on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaunchType {
    /// The account's own EC2 instances.
    Ec2,
    /// Fargate.
    Fargate,
    /// ECS Anywhere.
    External,
    /// EC2 instances that ECS manages.
    ManagedInstances,
    /// A launch type that did not exist when this was written.
    Other(Box<str>),
}

impl LaunchType {
    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Ec2 => "EC2",
            Self::Fargate => "FARGATE",
            Self::External => "EXTERNAL",
            Self::ManagedInstances => "MANAGED_INSTANCES",
            Self::Other(name) => name,
        }
    }

    /// Reads AWS's spelling; an empty text says nothing.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "" => return None,
            "EC2" => Self::Ec2,
            "FARGATE" => Self::Fargate,
            "EXTERNAL" => Self::External,
            "MANAGED_INSTANCES" => Self::ManagedInstances,
            other => Self::Other(other.into()),
        })
    }
}

/// A step of a task's or container's life, in the order of
/// <https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html>.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    /// The answer has none, or one that did not exist when this was written.
    Other(Box<str>),
    /// Its network interface is being made.
    Provisioning,
    /// Waiting for resources, or for its image.
    Pending,
    /// Started, being registered.
    Activating,
    /// Running.
    Running,
    /// Being deregistered.
    Deactivating,
    /// Told to stop.
    Stopping,
    /// Its network interface is being removed.
    Deprovisioning,
    /// Over.
    Stopped,
}

impl Status {
    /// AWS's spelling.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Other(name) => name,
            Self::Provisioning => "PROVISIONING",
            Self::Pending => "PENDING",
            Self::Activating => "ACTIVATING",
            Self::Running => "RUNNING",
            Self::Deactivating => "DEACTIVATING",
            Self::Stopping => "STOPPING",
            Self::Deprovisioning => "DEPROVISIONING",
            Self::Stopped => "STOPPED",
        }
    }
}

impl From<&str> for Status {
    fn from(name: &str) -> Self {
        match name {
            "PROVISIONING" => Self::Provisioning,
            "PENDING" => Self::Pending,
            "ACTIVATING" => Self::Activating,
            "RUNNING" => Self::Running,
            "DEACTIVATING" => Self::Deactivating,
            "STOPPING" => Self::Stopping,
            "DEPROVISIONING" => Self::Deprovisioning,
            "STOPPED" => Self::Stopped,
            other => Self::Other(other.into()),
        }
    }
}

/// The id of an EC2 instance (`i-…`), or of a host of ECS Anywhere (`mi-…`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(Arc<str>);

impl InstanceId {
    /// Any text: AWS made it.
    pub fn new(id: &str) -> Self {
        Self(id.into())
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether Systems Manager knows this host, and EC2 does not.
    pub fn is_external(&self) -> bool {
        self.0.starts_with("mi-")
    }
}

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container instance: which host it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerInstance {
    /// The container instance's ARN.
    pub arn: ContainerInstanceArn,
    /// Its host, once it has registered one.
    pub instance: Option<InstanceId>,
}

/// The machine behind a container instance, from EC2 or Systems Manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// The instance's id.
    pub id: InstanceId,
    /// Its primary private IPv4 address.
    pub private_ipv4: Option<Ipv4Addr>,
    /// Its public IPv4 address.
    pub public_ipv4: Option<Ipv4Addr>,
    /// Its private DNS name; EC2 only.
    pub private_dns_name: Option<Box<str>>,
    /// `m5.large`, …; EC2 only.
    pub instance_type: Option<Box<str>>,
    /// EC2 only.
    pub vpc_id: Option<Box<str>>,
    /// EC2 only.
    pub subnet_id: Option<Box<str>>,
    /// EC2 only.
    pub availability_zone: Option<Box<str>>,
    /// EC2 only.
    pub tags: Tags,
}

/// Values of some environment variables, by name; which names are kept is decided where they are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(Vec<(Arc<str>, Box<str>)>);

impl Settings {
    /// No values.
    pub(crate) const NONE: Self = Self(Vec::new());

    /// Keeps the pairs whose name is among `names`; of two with one name, the later.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, names: &Names) -> Self {
        let mut settings = Self::default();
        for (name, value) in pairs {
            if let Some(name) = names.kept(name) {
                settings.set(name, value);
            }
        }
        settings
    }

    /// The value of a variable, if it is set; it may be empty.
    pub fn value(&self, name: impl AsRef<str>) -> Option<&str> {
        let name = name.as_ref();
        self.0.iter().find(|(own, _)| **own == *name).map(|(_, value)| &**value)
    }

    /// The variables that are set, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Whether no variable is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lays `over` on top of this, name by name.
    pub fn overlay(&mut self, over: &Self) {
        for (name, value) in &over.0 {
            self.set(name.clone(), value);
        }
    }

    /// Drops the values of all other names.
    pub fn keep(&mut self, names: &Names) {
        self.0.retain(|(name, _)| names.contain(name));
    }

    /// The names, to be shared with others that are equal.
    pub(crate) fn names_mut(&mut self) -> impl Iterator<Item = &mut Arc<str>> {
        self.0.iter_mut().map(|(name, _)| name)
    }

    fn set(&mut self, name: Arc<str>, value: &str) {
        match self.0.iter_mut().find(|(own, _)| *own == name) {
            Some((_, old)) => *old = value.into(),
            None => self.0.push((name, value.into())),
        }
    }
}

/// Every name begins with the text before the `*`.
const EVERYTHING: &str = "*";

/// Names of environment variables whose values are kept. All other values are dropped where an answer is read, since
/// task definitions contain secrets in their environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names(Arc<BTreeSet<Arc<str>>>);

impl Names {
    /// These names. A name that ends with `*` keeps all names that begin with the text before it.
    pub fn new<T: AsRef<str>>(names: impl IntoIterator<Item = T>) -> Self {
        Self(Arc::new(names.into_iter().map(|name| name.as_ref().into()).collect()))
    }

    /// All names: those of an environment of which nothing was dropped.
    pub fn all() -> Self {
        static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new([EVERYTHING]));
        NAMES.clone()
    }

    /// Whether all values are kept.
    pub fn are_all(&self) -> bool {
        self.0.contains(EVERYTHING)
    }

    /// In byte order.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    /// Whether everything that `other` keeps is kept.
    pub fn include(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.are_all() || other.iter().all(|name| self.cover(name))
    }

    /// What both keep.
    pub fn both(&self, other: &Self) -> Self {
        let of = |one: &Self, other: &Self| -> Vec<Box<str>> {
            one.iter().filter(|name| other.cover(name)).map(Into::into).collect()
        };
        if other.include(self) {
            self.clone()
        } else {
            Self::new([of(self, other), of(other, self)].concat())
        }
    }

    /// Whether everything is kept that this name of others keeps. Prefixes are nested or have nothing in common.
    fn cover(&self, name: &str) -> bool {
        let begins = |own: &Arc<str>| own.strip_suffix('*').is_some_and(|prefix| name.starts_with(prefix));
        self.0.contains(name)
            || if name.ends_with('*') { self.0.iter().any(begins) } else { self.contain(name) }
    }

    /// Whether a value of this name is kept.
    pub fn contain(&self, name: &str) -> bool {
        self.kept(name).is_some()
    }

    /// The name, if values of it are kept.
    pub fn kept(&self, name: &str) -> Option<Arc<str>> {
        let is_prefix = |pattern: &Arc<str>| {
            pattern
                .strip_suffix('*')
                .is_some_and(|prefix| name.len() > prefix.len() && name.starts_with(prefix))
        };
        let exact = self.0.get(name).filter(|name| !name.ends_with('*')).cloned();
        exact.or_else(|| self.0.iter().any(is_prefix).then(|| name.into()))
    }
}

/// The variables of `discoverecs.py`'s convention.
impl Default for Names {
    fn default() -> Self {
        static NAMES: LazyLock<Names> = LazyLock::new(|| Names::new(Variable::ALL));
        NAMES.clone()
    }
}
