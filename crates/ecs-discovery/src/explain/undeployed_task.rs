//! A task definition that nothing runs of yet: explained as one running task of it would be.
//!
//! The task is made up, and goes the way of every other. What only a running task has is a stand-in: texts in `<…>`
//! from the start, addresses and host ports of a kind that no task can have, which are turned to texts when they
//! are shown.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::{Explanation, explain_as};
use crate::arn::{ClusterArn, ContainerArn, ContainerInstanceArn, TaskArn};
use crate::conventions::builtin;
use crate::conventions::environment::SettingSource;
use crate::conventions::rule::{Rule, Source};
use crate::derive::Rules;
use crate::model::{
    Cluster, Container, Host, InstanceId, LaunchType, NetworkBinding, NetworkInterface, PortRange, Status,
    Task, TaskDefinition,
};
use crate::task_view::{Definition, Placement, TaskService, TaskView};
use crate::text::{brief, few};
use crate::variable::Variable;

/// Kept for documentation by RFC 5737.
const TASK_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const HOST_ADDRESS: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// A definition, and what it says of its containers that a running task would say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndeployedTask {
    /// The definition.
    pub definition: TaskDefinition,
    /// Who names its network mode.
    pub network_mode_source: NetworkModeSource,
    /// The image of each of its containers, in their order.
    pub images: Vec<Option<Arc<str>>>,
    /// For each port mapping of each of its containers the first host port, if that is fixed.
    pub host_ports: Vec<Vec<Option<u16>>>,
    /// For each of its containers what is no variable, but may be meant as one.
    pub hints: Vec<Hints>,
}

/// Who names a network mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkModeSource {
    /// The definition, which is `bridge` if it says nothing.
    Definition,
    /// The user, since an array of containers has none.
    Option,
    /// Nobody.
    Assumption,
}

/// What a container's definition has that is not read, and may be meant to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Names that are nearly variables.
    pub near_misses: Vec<NearMiss>,
    /// Whether it has `environmentFiles`.
    pub environment_files: bool,
}

/// A name that is nearly a variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// The name.
    pub name: Box<str>,
    /// Where it stands.
    pub place: SettingSource,
    /// The variable that is probably meant.
    pub meant: Variable,
}

impl Hints {
    /// Names that `is_read` by a convention are no mistakes.
    fn words(&self, opted_in: bool, is_read: impl Fn(&NearMiss) -> bool) -> Vec<String> {
        let near_miss = |NearMiss { name, place, meant }: &NearMiss| {
            let (name, place, meant) = (brief(name), place.as_str(), meant.name());
            format!("{name:?} in {place} is not read; is {meant} meant?")
        };
        let mut words =
            few(self.near_misses.iter().filter(|one| !is_read(one)).map(near_miss).collect(), "hint");
        if self.environment_files && !opted_in {
            let hint = "environmentFiles are not read; set PROMETHEUS in environment or as a docker label";
            words.push(hint.to_owned());
        }
        words
    }
}

/// More ports are mapped than a host has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyPorts;

impl fmt::Display for TooManyPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("its port mappings take more ports than a host has")
    }
}

impl std::error::Error for TooManyPorts {}

/// What was made up, and what it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placeholders {
    /// Container ports by the host ports that Docker would choose.
    host_ports: BTreeMap<u16, u16>,
}

impl Placeholders {
    pub(super) fn host(ip: IpAddr) -> &'static str {
        if ip == IpAddr::from(TASK_ADDRESS) { "<task address>" } else { "<host address>" }
    }

    pub(super) fn address(&self, address: SocketAddr) -> String {
        let host = Self::host(address.ip());
        match self.host_ports.get(&address.port()) {
            Some(container_port) => format!("{host}:<host port of {container_port}>"),
            None => format!("{host}:{}", address.port()),
        }
    }

    /// A text that begins with a URL, whose path may be anything.
    pub(super) fn url_before<'a>(&self, text: &'a str) -> Cow<'a, str> {
        let shown = || {
            let (scheme, rest) = text.split_once("://")?;
            let (address, rest) = rest.split_once('/')?;
            Some(format!("{scheme}://{}/{rest}", self.address(address.parse().ok()?)))
        };
        shown().map_or(Cow::Borrowed(text), Cow::Owned)
    }
}

impl UndeployedTask {
    /// Explains the one task that it would be.
    pub fn explain(&self, rules: &Rules) -> Result<Explanation, TooManyPorts> {
        let (task, stand_ins) = self.task()?;
        let cluster = self.arn("cluster/<cluster>");
        let cluster = Cluster { arn: ClusterArn::parse(&cluster).expect(A_FORM), tags: Vec::new() };
        let definition = Arc::new(self.definition.clone());
        let host = Arc::new(Host {
            id: InstanceId::new("<instance id>"),
            private_ipv4: Some(HOST_ADDRESS),
            public_ipv4: None,
            private_dns_name: None,
            instance_type: None,
            vpc_id: None,
            subnet_id: None,
            availability_zone: None,
            tags: Vec::new(),
        });
        let is_at_the_host = self.definition.network_mode.is_at_the_host();
        let view = TaskView {
            cluster: &Arc::new(cluster),
            task: &Arc::new(task),
            definition: Definition::Known(&definition),
            placement: if is_at_the_host { Placement::Host(&host) } else { Placement::Nowhere },
            service: TaskService::None,
            partial: None,
        };
        let mut explanation = Explanation {
            stand_ins: Some(stand_ins),
            network_mode_is_assumed: self.network_mode_source == NetworkModeSource::Assumption,
            ..explain_as(&view, rules, true)
        };
        for (container, hints) in explanation.containers.iter_mut().flatten().zip(&self.hints) {
            // Those of a built-in convention have a hint, if they were to opt in.
            let has_hint = !container.hints.is_empty();
            let is_read = |miss: &NearMiss| {
                let is_it = |source: &Source| source.is_named(miss.place, &miss.name);
                rules.conventions.rules().flat_map(Rule::sources).any(is_it)
                    || (has_hint && builtin::sources().any(is_it))
            };
            container.hints.extend(hints.words(container.opted_in(), is_read));
        }
        Ok(explanation)
    }

    fn task(&self) -> Result<(Task, Placeholders), TooManyPorts> {
        let is_at_the_host = self.definition.network_mode.is_at_the_host();
        let instance = self.arn("container-instance/<cluster>/<container instance id>");
        let (containers, stand_ins) = self.containers()?;
        let task = Task {
            arn: TaskArn::parse(&self.arn("task/<cluster>/<task id>")).expect(A_FORM),
            definition: self.definition.arn.clone(),
            launch_type: LaunchType::parse("<launch type>"),
            capacity_provider: None,
            group: None,
            started_by: None,
            availability_zone: Some("<availability zone>".into()),
            desired_status: Status::Running,
            last_status: Status::Running,
            health_status: None,
            platform_family: None,
            platform_version: None,
            container_instance: is_at_the_host.then(|| ContainerInstanceArn::parse(&instance).expect(A_FORM)),
            network_interface: (!is_at_the_host).then(|| NetworkInterface {
                private_ipv4: Some(TASK_ADDRESS),
                ..NetworkInterface::default()
            }),
            containers,
            overrides: Vec::new(),
            tags: Vec::new(),
            names: crate::model::Names::all(),
        };
        Ok((task, stand_ins))
    }

    fn containers(&self) -> Result<(Vec<Container>, Placeholders), TooManyPorts> {
        let mut ports = Ports::beside(&self.known_ports());
        let mut containers = Vec::with_capacity(self.definition.containers.len());
        for (position, definition) in self.definition.containers.iter().enumerate() {
            let fixed =
                self.host_ports.get(position).into_iter().flatten().copied().chain(std::iter::repeat(None));
            let mut network_bindings = Vec::new();
            if self.definition.network_mode.publishes_ports() {
                for (mapping, fixed) in definition.port_mappings.iter().zip(fixed) {
                    network_bindings.push(NetworkBinding {
                        bind_ip: None,
                        protocol: mapping.protocol,
                        container_ports: mapping.container_ports,
                        host_ports: ports.publish(mapping.container_ports, fixed)?,
                    });
                }
            }
            let arn = self.arn("container/<cluster>/<task id>/<container id>");
            containers.push(Container {
                name: (&*definition.name).into(),
                arn: Some(ContainerArn::parse(&arn).expect(A_FORM)),
                image: self.images.get(position).cloned().flatten(),
                runtime_id: None,
                last_status: Status::Running,
                health_status: None,
                private_ipv4: None,
                ipv6: None,
                network_bindings,
            });
        }
        Ok((containers, ports.stand_ins))
    }

    /// The host ports that the definition itself names; none of them may stand in for another.
    fn known_ports(&self) -> Vec<PortRange> {
        let mut known = Vec::new();
        for (container, fixed) in self.definition.containers.iter().zip(&self.host_ports) {
            let labels = container.docker_labels.iter();
            let labelled =
                labels.filter(|(name, _)| **name == *Variable::Port.name()).map(|(_, port)| &**port);
            let asked = labelled.chain(container.environment.value(Variable::Port));
            known.extend(asked.filter_map(|port| port.trim().parse().ok()).map(PortRange::one));
            let mapped = container.port_mappings.iter().zip(fixed);
            known.extend(mapped.filter_map(|(mapping, fixed)| at(mapping.container_ports, (*fixed)?)));
        }
        known
    }

    fn arn(&self, resource: &str) -> String {
        let owner: Vec<_> = self.definition.arn.as_str().splitn(6, ':').take(5).collect();
        format!("{}:{resource}", owner.join(":"))
    }
}

const A_FORM: &str = "it has the form of an ARN, as the definition's has";

/// A range of the same length from another first port on.
fn at(ports: PortRange, first: u16) -> Option<PortRange> {
    Some(PortRange { first, last: first.checked_add(ports.last - ports.first)? })
}

/// The number of ports; 0 is not a port.
const PORTS: usize = u16::MAX as usize + 1;

/// Host ports as they are given out.
struct Ports {
    taken: Vec<bool>,
    /// All higher ports are taken, so that a definition with all ports is searched only once.
    highest: u16,
    stand_ins: Placeholders,
}

impl Ports {
    fn beside(known: &[PortRange]) -> Self {
        let mut taken = vec![false; PORTS];
        known.iter().for_each(|ports| taken[usize::from(ports.first)..=usize::from(ports.last)].fill(true));
        Self { taken, highest: u16::MAX, stand_ins: Placeholders::default() }
    }

    /// The fixed ports, or stand-ins as high as there are.
    fn publish(&mut self, ports: PortRange, fixed: Option<u16>) -> Result<PortRange, TooManyPorts> {
        if let Some(first) = fixed {
            return at(ports, first).ok_or(TooManyPorts);
        }
        while self.highest > 0 && self.taken[usize::from(self.highest)] {
            self.highest -= 1;
        }
        let length = usize::from(ports.last - ports.first) + 1;
        let mut free = 0;
        for first in (1..=self.highest).rev() {
            free = if self.taken[usize::from(first)] { 0 } else { free + 1 };
            if free == length {
                let range = at(ports, first).ok_or(TooManyPorts)?;
                self.taken[usize::from(range.first)..=usize::from(range.last)].fill(true);
                let pairs = (range.first..=range.last).zip(ports.first..=ports.last);
                self.stand_ins.host_ports.extend(pairs);
                return Ok(range);
            }
        }
        Err(TooManyPorts)
    }
}
