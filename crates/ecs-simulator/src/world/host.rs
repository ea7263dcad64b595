//! What tasks run on: ECS container instances, and behind them EC2 instances or machines that SSM knows.

use std::collections::{BTreeMap, BTreeSet};

/// What a container instance is made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostKind {
    /// An EC2 instance of the account.
    #[default]
    Ec2,
    /// A machine elsewhere (ECS Anywhere): its id is `mi-…`, and only SSM knows its address.
    External,
    /// An EC2 instance that ECS runs, which EC2 hides unless a request includes managed resources.
    ManagedInstances,
}

impl HostKind {
    /// The launch type of tasks on such a host.
    pub fn launch_type(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::External => "EXTERNAL",
            Self::ManagedInstances => "MANAGED_INSTANCES",
        }
    }
}

/// An ECS container instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerInstance {
    /// `arn:…:container-instance/CLUSTER/ID`, or without the cluster in the short form.
    pub container_instance_arn: String,
    /// `i-…`, or the `mi-…` id of an external one.
    pub ec2_instance_id: Option<String>,
    /// What it is; not an AWS field.
    pub kind: HostKind,
    /// `ACTIVE`, `DRAINING`, `INACTIVE`.
    pub status: String,
    /// Whether its agent is in touch.
    pub agent_connected: bool,
    /// The capacity provider, when one launched it.
    pub capacity_provider_name: Option<String>,
    /// Grows with each change.
    pub version: i64,
    /// Epoch seconds.
    pub registered_at: Option<f64>,
    /// Such as `ecs.instance-type`; an empty value is an attribute without one.
    pub attributes: BTreeMap<String, String>,
    /// Answered only when `include` asks for `TAGS`.
    pub tags: BTreeMap<String, String>,
    /// Host ports taken by bridge tasks; not an AWS field.
    pub ports: BTreeSet<u16>,
    /// Where the search for a free dynamic port begins; not an AWS field.
    pub next_port: u16,
}

/// An EC2 instance.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Instance {
    /// `i-…`.
    pub instance_id: String,
    /// Instances of one reservation are answered under one `reservationSet` item.
    pub reservation_id: String,
    /// Such as `m7g.large`.
    pub instance_type: Option<String>,
    /// `running`, `stopped`, `terminated` …
    pub state: String,
    /// Absent once terminated.
    pub private_ip_address: Option<String>,
    /// The public IPv4, which the answer calls `ipAddress`.
    pub public_ip_address: Option<String>,
    /// The first IPv6 address.
    pub ipv6_address: Option<String>,
    /// Such as `ip-10-0-0-4.eu-central-1.compute.internal`.
    pub private_dns_name: Option<String>,
    /// Absent once terminated.
    pub subnet_id: Option<String>,
    /// Absent once terminated.
    pub vpc_id: Option<String>,
    /// Such as `eu-central-1a`.
    pub availability_zone: Option<String>,
    /// Such as `ecs.amazonaws.com`: the service that runs it. Such an instance is hidden by default.
    pub operator_principal: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A machine that SSM manages: one item of `InstanceInformationList`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ManagedNode {
    /// `mi-…`, or `i-…` of an EC2 instance with the agent.
    pub instance_id: String,
    /// Its address.
    pub ip_address: Option<String>,
    /// Its host name.
    pub computer_name: Option<String>,
    /// `Online`, `ConnectionLost`, `Inactive`.
    pub ping_status: Option<String>,
    /// `Linux` or `Windows`.
    pub platform_type: Option<String>,
}

/// What to launch a host as; see `Region::launch`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Host {
    /// The name of the cluster it joins.
    pub cluster: String,
    /// What it is.
    pub kind: HostKind,
    /// Its private IPv4; allocated when absent.
    pub private_ip_address: Option<String>,
    /// Its public IPv4; none when absent.
    pub public_ip_address: Option<String>,
    /// Its IPv6 address; none when absent.
    pub ipv6_address: Option<String>,
    /// `m7g.large` when absent.
    pub instance_type: Option<String>,
    /// The capacity provider, when one launches it.
    pub capacity_provider_name: Option<String>,
    /// Tags of the EC2 instance.
    pub tags: BTreeMap<String, String>,
}

impl Host {
    /// A host of that kind for that cluster, with everything else as AWS would choose.
    pub fn new(cluster: &str, kind: HostKind) -> Self {
        Self { cluster: cluster.to_owned(), kind, ..Self::default() }
    }

    /// Gives it this private IPv4.
    pub fn private_ip(mut self, address: &str) -> Self {
        self.private_ip_address = Some(address.to_owned());
        self
    }

    /// Gives it this public IPv4.
    pub fn public_ip(mut self, address: &str) -> Self {
        self.public_ip_address = Some(address.to_owned());
        self
    }

    /// Gives it this IPv6 address.
    pub fn ipv6(mut self, address: &str) -> Self {
        self.ipv6_address = Some(address.to_owned());
        self
    }

    /// Adds a tag to its EC2 instance.
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.insert(key.to_owned(), value.to_owned());
        self
    }
}
