//! What the files must hold, worked out from the simulated world itself: the contract of the README once more, as
//! plainly as it can be said for what [`recipes`](super::recipes) writes, and with no code of the program's.

mod labels;

use std::collections::{BTreeMap, BTreeSet};

use ecs_simulator::{Cluster, Container, ContainerDefinition, NetworkBinding, Region, Task, World};

use super::steps;

/// One group of a target file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Group {
    pub(super) interval: String,
    pub(super) target: String,
    pub(super) labels: BTreeMap<String, String>,
}

impl Group {
    /// The group without what may change while it is scraped all the same.
    pub(super) fn identity(&self) -> Self {
        let is_for_good = |name: &str| match name.strip_prefix("__meta_ecs_") {
            Some(rest) => matches!(rest, "task_arn" | "container_name" | "task_definition"),
            None => true,
        };
        // The instance's id is a label as soon as its host is known.
        let mut labels = self.labels.clone();
        labels.retain(|name, _| is_for_good(name) && name != "instance_id");
        Self { labels, ..self.clone() }
    }
}

/// A group, and what it is of, which its labels need not say.
pub(super) struct Target {
    pub(super) cluster: steps::Cluster,
    pub(super) task: String,
    pub(super) group: Group,
}

/// A container that asks to be scraped, and all around it.
struct Asking<'a> {
    region: &'a Region,
    cluster: &'a Cluster,
    task: &'a Task,
    network_mode: &'a str,
    definition: &'a ContainerDefinition,
    settings: BTreeMap<&'a str, &'a str>,
}

struct Endpoint<'a> {
    interval: &'static str,
    port: Option<u16>,
    path: &'a str,
    query: BTreeMap<&'a str, &'a str>,
}

/// An address with both sides of its port.
struct Reached {
    ip: String,
    port: u16,
    container_port: Option<u16>,
}

/// All groups of all files.
pub(super) fn targets(world: &World) -> Vec<Target> {
    let mut targets = Vec::new();
    // Two of one task are one, and the first stays.
    let mut taken = BTreeSet::new();
    for asking in asking(world) {
        let Some(container) = asking.running() else { continue };
        for endpoint in asking.endpoints() {
            let Some(reached) = asking.reach(container, endpoint.port) else { continue };
            let place = (reached.ip.clone(), reached.port, endpoint.path, endpoint.query.clone());
            if taken.insert((&asking.task.task_arn, place)) {
                let group = asking.group(container, &endpoint, &reached);
                let name = &asking.cluster.cluster_name;
                let cluster = steps::Cluster::ALL.into_iter().find(|cluster| cluster.name() == name).unwrap();
                targets.push(Target { cluster, task: asking.task.task_arn.clone(), group });
            }
        }
    }
    targets
}

/// The task and the name of each container that asks to be scraped.
pub(super) fn opted_in(world: &World) -> Vec<(String, String)> {
    let named = |asking: Asking<'_>| (asking.task.task_arn.clone(), asking.definition.name.clone());
    asking(world).into_iter().map(named).collect()
}

/// Of the tasks that run and are meant to.
fn asking(world: &World) -> Vec<Asking<'_>> {
    let mut all = Vec::new();
    for region in world.accounts.values().flat_map(|account| account.regions.values()) {
        for cluster in region.clusters.values() {
            let runs = |task: &&Task| task.desired_status == "RUNNING" && task.last_status == "RUNNING";
            for task in cluster.tasks.values().filter(runs) {
                let definition = &region.task_definitions[&task.task_definition_arn];
                let network_mode = definition.network_mode.as_deref().unwrap_or("bridge");
                for definition in &definition.container_definitions {
                    let settings = settings(task, definition);
                    let asks = settings.get("PROMETHEUS").is_some_and(|value| *value == "true");
                    if asks {
                        all.push(Asking { region, cluster, task, network_mode, definition, settings });
                    }
                }
            }
        }
    }
    all
}

/// Labels, environment, overrides: the later wins, name by name.
fn settings<'a>(task: &'a Task, definition: &'a ContainerDefinition) -> BTreeMap<&'a str, &'a str> {
    let overrides = task.overrides.container_overrides.iter().filter(|one| one.name == definition.name);
    let pairs = definition.docker_labels.iter();
    let pairs = pairs.chain(definition.environment.iter().map(|(name, value)| (name, value)));
    let pairs = pairs.chain(overrides.flat_map(|one| &one.environment).map(|(name, value)| (name, value)));
    pairs.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

impl<'a> Asking<'a> {
    fn running(&self) -> Option<&'a Container> {
        let named = self.task.containers.iter().find(|container| container.name == self.definition.name);
        named.filter(|container| container.last_status.as_deref() == Some("RUNNING"))
    }

    fn endpoints(&self) -> Vec<Endpoint<'a>> {
        let text = ["PROMETHEUS_SD_ENDPOINT", "PROMETHEUS_ENDPOINT"].map(|name| self.settings.get(name));
        let text = text.into_iter().flatten().next().copied().unwrap_or_default();
        let text = if text.is_empty() { "/metrics" } else { text };
        let mut endpoints: Vec<Endpoint<'a>> = Vec::new();
        for one in text.split(',').filter_map(endpoint) {
            let same = |other: &Endpoint<'_>| {
                (other.port, other.path, &other.query) == (one.port, one.path, &one.query)
            };
            match endpoints.iter().position(same) {
                Some(earlier) => drop(endpoints.remove(earlier)),
                None if endpoints.len() == 64 => break,
                None => {}
            }
            endpoints.push(one);
        }
        endpoints
    }

    fn reach(&self, container: &Container, port: Option<u16>) -> Option<Reached> {
        let ip = match self.network_mode {
            "awsvpc" => {
                let interface = &container.network_interfaces[0];
                let ipv6 = || interface.ipv6_address.as_ref().map(|ip| format!("[{ip}]"));
                interface.private_ipv4_address.clone().or_else(ipv6)?
            }
            "bridge" | "host" => self.host()?.private_ip?,
            _ => return None,
        };
        if port.is_none()
            && let Some(port) = self.settings.get("PROMETHEUS_PORT")
        {
            return Some(Reached { ip, port: port.parse().ok()?, container_port: None });
        }
        let asked = match (port, self.settings.get("PROMETHEUS_CONTAINER_PORT")) {
            (Some(port), _) => Some(port),
            (None, Some(port)) => Some(port.parse().ok()?),
            (None, None) => self.first_port(),
        };
        let published = |port| container.network_bindings.iter().find_map(|binding| host_port(binding, port));
        let (port, container_port) = match self.network_mode {
            "bridge" => (published(asked?)?, asked),
            _ => (asked.unwrap_or(80), asked.or(Some(80))),
        };
        Some(Reached { ip, port, container_port })
    }

    /// The first TCP port that is mapped.
    fn first_port(&self) -> Option<u16> {
        let mut mappings = self.definition.port_mappings.iter();
        let first = mappings.find(|mapping| mapping.protocol.as_deref() == Some("tcp"))?;
        first.container_port.or_else(|| Some(range(first.container_port_range.as_deref()?).0))
    }
}

/// `None` for a listen address.
fn endpoint(text: &str) -> Option<Endpoint<'_>> {
    let (interval, port, rest) = match text.split_once(':').filter(|_| !text.starts_with('/')) {
        Some(("15s", rest)) => ("15s", None, rest),
        Some(("30s", rest)) => ("30s", None, rest),
        Some(("5m", rest)) => ("5m", None, rest),
        // So many seconds are not offered.
        Some(("9102", rest)) => ("1m", Some(9102), rest),
        // An interval that is not offered, or is not one, is a minute too.
        Some((_, rest)) => ("1m", None, rest),
        None => ("1m", None, text),
    };
    let (digits, path) = rest.split_at(rest.find('/')?);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let query = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    Some(Endpoint { interval, port: port.or(digits.parse().ok()), path, query })
}

/// Where a TCP port of a container is published.
fn host_port(binding: &NetworkBinding, port: u16) -> Option<u16> {
    if binding.protocol.as_deref() != Some("tcp") {
        return None;
    }
    let Some(ports) = binding.container_port_range.as_deref() else {
        return binding.host_port.filter(|_| binding.container_port == Some(port));
    };
    let (first, last) = range(ports);
    (first..=last)
        .contains(&port)
        .then(|| range(binding.host_port_range.as_deref().unwrap()).0 + port - first)
}

fn range(text: &str) -> (u16, u16) {
    let (first, last) = text.split_once('-').unwrap();
    (first.parse().unwrap(), last.parse().unwrap())
}
