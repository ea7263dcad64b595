//! Address and port of an endpoint: network mode × port request × where the task runs, as one table.
//!
//! | network mode | address | a container port, or the first TCP mapping |
//! |---|---|---|
//! | `awsvpc` | the container's or the task's interface | as it is; without a mapping 80 |
//! | `host` | the host | as it is; without a mapping 80 |
//! | `bridge`, `default` | the host | the host port it is published at |
//! | `none` | none | |

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::conventions::PortRequest;
use crate::failure::FailureKind;
use crate::finding::{Problem, Reason};
use crate::model::{
    Container, ContainerDefinition, Host, NetworkBinding, NetworkMode, PortRange, Protocol, TaskDefinition,
};
use crate::task_view::{Placement, TaskView};
use crate::text::brief;

/// What is scraped when neither a variable nor a mapping names a port.
const DEFAULT_PORT: u16 = 80;

/// Where an endpoint is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    pub(crate) address: SocketAddr,
    /// The container's side of the port, where one was looked up.
    pub(crate) container_port: Option<u16>,
    pub(crate) source: AddressSource,
    pub(crate) port_source: PortSource,
}

/// Whose address it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressSource {
    /// The IPv4 address of the container's network interface.
    Container,
    /// The IPv4 address of the network interface attached to the task.
    Task,
    /// The IPv6 address of the container's network interface.
    Ipv6,
    /// The private IPv4 address of the host.
    Host,
}

/// What names the port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PortSource {
    /// `PROMETHEUS_PORT`.
    Verbatim,
    /// The endpoint, or `PROMETHEUS_CONTAINER_PORT`.
    Asked,
    /// The same, but it is the host port.
    AskedAsHostPort,
    /// The first TCP port mapping.
    FirstMapping,
    /// Nothing does.
    Default,
}

/// One container with what its address depends on.
#[derive(Clone, Copy)]
pub(crate) struct Reachable<'a> {
    pub(crate) task: &'a TaskView<'a>,
    pub(crate) definition: &'a Arc<TaskDefinition>,
    /// Which of the definition's containers.
    pub(crate) container_definition: usize,
    /// Which of the task's containers.
    pub(crate) container: usize,
}

impl<'a> Reachable<'a> {
    pub(crate) fn container_definition(&self) -> &'a ContainerDefinition {
        &self.definition.containers[self.container_definition]
    }

    fn container(&self) -> &'a Container {
        &self.task.task.containers[self.container]
    }

    /// The address and port of one endpoint.
    pub(crate) fn reach(&self, request: PortRequest) -> Result<Reached, Problem> {
        let (ip, source) = match &self.definition.network_mode {
            NetworkMode::Awsvpc => self.interface()?,
            NetworkMode::Host | NetworkMode::Bridge | NetworkMode::Default => {
                (self.host()?, AddressSource::Host)
            }
            NetworkMode::None => {
                return Err(Problem::new(
                    Reason::NetworkModeNone,
                    "its network mode none gives it no network; use awsvpc, bridge or host",
                ));
            }
            NetworkMode::Other(mode) => {
                return Err(Problem::new(
                    Reason::NoAddress,
                    format!("its network mode {:?} is not known here", brief(mode)),
                ));
            }
        };
        let published = self.definition.network_mode.publishes_ports();
        let (port, container_port, port_source) = match request {
            PortRequest::Verbatim(port) => (port, None, PortSource::Verbatim),
            PortRequest::Container(port) if published => {
                (self.host_port(port)?, Some(port), PortSource::Asked)
            }
            PortRequest::ContainerOrHost(port) if published => match self.host_port(port) {
                Ok(host_port) => (host_port, Some(port), PortSource::Asked),
                Err(problem) => {
                    (port, Some(self.bound_to(port).ok_or(problem)?), PortSource::AskedAsHostPort)
                }
            },
            PortRequest::Container(port) | PortRequest::ContainerOrHost(port) => {
                (port, Some(port), PortSource::Asked)
            }
            PortRequest::First => match self.first_port() {
                Some(port) if published => (self.host_port(port)?, Some(port), PortSource::FirstMapping),
                Some(port) => (port, Some(port), PortSource::FirstMapping),
                None if published => {
                    let detail =
                        "its definition maps no TCP port; add a port mapping, or set PROMETHEUS_PORT";
                    return Err(Problem::new(Reason::PortNotPublished, detail));
                }
                None => (DEFAULT_PORT, Some(DEFAULT_PORT), PortSource::Default),
            },
        };
        Ok(Reached { address: SocketAddr::new(ip, port), container_port, source, port_source })
    }

    /// IPv4 of the container's interface, else of the task's attachment, else IPv6.
    fn interface(&self) -> Result<(IpAddr, AddressSource), Problem> {
        let attached = || self.task.task.network_interface.as_ref()?.private_ipv4;
        let own = self.container().private_ipv4.map(|ip| (ip.into(), AddressSource::Container));
        own.or_else(|| attached().map(|ip| (ip.into(), AddressSource::Task)))
            .or_else(|| self.container().ipv6.map(|ip| (ip.into(), AddressSource::Ipv6)))
            .ok_or_else(|| Problem::new(Reason::NoAddress, "AWS names no address of its network interface"))
    }

    fn host(&self) -> Result<IpAddr, Problem> {
        let host: &Host = match &self.task.placement {
            Placement::Host(host) => host,
            Placement::Nowhere => {
                return Err(Problem::new(
                    Reason::HostUnknown,
                    "AWS names no container instance that it runs on",
                ));
            }
            Placement::ContainerInstance { arn, instance, problem } => {
                let thing = instance.map_or_else(|| arn.to_string(), ToString::to_string);
                let (reason, why) = match problem {
                    Some(failure) if failure.kind == FailureKind::NotFound => {
                        (Reason::HostGone, failure.to_string())
                    }
                    Some(failure) => (Reason::HostUnknown, failure.to_string()),
                    None => (Reason::HostUnknown, "AWS has not named its instance yet".to_owned()),
                };
                return Err(Problem::new(reason, format!("its host {} is unknown: {why}", brief(&thing))));
            }
        };
        host.private_ipv4.map(IpAddr::from).ok_or_else(|| {
            Problem::new(
                Reason::NoAddress,
                format!("AWS names no private IPv4 address of its host {}", brief(host.id.as_str())),
            )
        })
    }

    /// The first TCP port mapping's container port.
    fn first_port(&self) -> Option<u16> {
        let mut mappings = self.container_definition().port_mappings.iter();
        mappings
            .find(|mapping| mapping.protocol == Protocol::Tcp)
            .map(|mapping| mapping.container_ports.first)
    }

    /// The container port that Docker published at a host port, over TCP.
    fn bound_to(&self, host_port: u16) -> Option<u16> {
        self.container().network_bindings.iter().filter(|binding| binding.protocol == Protocol::Tcp).find_map(
            |binding| {
                let offset = host_port.checked_sub(binding.host_ports.first)?;
                binding
                    .host_ports
                    .contains(host_port)
                    .then(|| binding.container_ports.first.checked_add(offset))?
            },
        )
    }

    /// The host port at which Docker published a container port: TCP before UDP, IPv4 before IPv6.
    fn host_port(&self, container_port: u16) -> Result<u16, Problem> {
        let bindings = self.container().network_bindings.iter();
        bindings
            .filter_map(|binding| Some((preference(binding), published_at(binding, container_port)?)))
            .min()
            .map(|(_, host_port)| host_port)
            .ok_or_else(|| {
                let detail =
                    format!("its container port {container_port} is not published on the host; map it");
                Problem::new(Reason::PortNotPublished, detail)
            })
    }
}

fn preference(binding: &NetworkBinding) -> (Protocol, bool) {
    (binding.protocol, binding.bind_ip.is_some_and(|ip| ip.is_ipv6()))
}

/// The host port of a container port inside a binding; ranges map one to one, in order.
fn published_at(binding: &NetworkBinding, container_port: u16) -> Option<u16> {
    let PortRange { first, last } = binding.container_ports;
    (first..=last)
        .contains(&container_port)
        .then(|| binding.host_ports.first.checked_add(container_port - first))?
}
