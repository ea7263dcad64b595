//! What happens to a task after its start: PROVISIONING → PENDING → ACTIVATING → RUNNING, and once it is not wanted
//! any more DEACTIVATING → STOPPING → DEPROVISIONING → STOPPED. Each fact appears where AWS lets it appear: the
//! interface's address at PENDING, running containers at ACTIVATING, host ports at RUNNING.

use std::collections::BTreeSet;

use super::definition::{PortMapping, TaskDefinition};
use super::host::ContainerInstance;
use super::launch::FIRST_DYNAMIC_PORT;
use super::region::{Region, holder, last_part};
use super::task::{Container, NetworkBinding, NetworkInterface};

/// The part of a network interface that shows once it is attached.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Unattached {
    pub(super) details: Vec<(String, String)>,
    pub(super) interface: NetworkInterface,
}

impl Region {
    /// Moves a task one status on, up to RUNNING or, once it is not wanted any more, to STOPPED; there it stays.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn advance(&mut self, task_arn: &str) {
        let now = self.tick();
        let next = match self.task(task_arn).last_status.as_str() {
            "PROVISIONING" => "PENDING",
            "PENDING" => "ACTIVATING",
            "ACTIVATING" => "RUNNING",
            "DEACTIVATING" => "STOPPING",
            "STOPPING" => "DEPROVISIONING",
            "DEPROVISIONING" => "STOPPED",
            _ => return,
        };
        match next {
            "PENDING" => self.attach(task_arn),
            "ACTIVATING" => self.start_containers(task_arn, now),
            "RUNNING" => self.publish_ports(task_arn, now),
            "STOPPED" => self.release(task_arn, now),
            _ => {}
        }
        self.task_mut(task_arn).last_status = next.to_owned();
        self.changed(task_arn);
    }

    /// Ends a task: it leaves the default listing and stays describable, as STOPPED.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn stop(&mut self, task_arn: &str) {
        self.begin_stop(task_arn);
        while self.task(task_arn).last_status != "STOPPED" {
            self.advance(task_arn);
        }
    }

    /// Begins to end a task: it is not wanted any more and leaves the default listing, but its containers still run.
    ///
    /// # Panics
    /// When there is no such task.
    pub fn begin_stop(&mut self, task_arn: &str) {
        self.begin_end(task_arn, "UserInitiated", "Task stopped by user");
    }

    pub(super) fn begin_end(&mut self, task_arn: &str, code: &str, reason: &str) {
        let now = self.tick();
        let task = self.task_mut(task_arn);
        if task.desired_status == "STOPPED" {
            return;
        }
        task.desired_status = "STOPPED".to_owned();
        task.last_status = "DEACTIVATING".to_owned();
        task.stopping_at = Some(now);
        task.stop_code = Some(code.to_owned());
        task.stopped_reason = Some(reason.to_owned());
        self.changed(task_arn);
    }

    /// Forgets a task, as AWS does an hour or more after its end: describing it says MISSING.
    pub fn expire(&mut self, task_arn: &str) {
        let id = last_part(task_arn);
        self.unattached.remove(id);
        for cluster in self.clusters.values_mut() {
            cluster.tasks.remove(id);
        }
    }

    fn attach(&mut self, task_arn: &str) {
        let Some(Unattached { details, interface }) = self.unattached.remove(last_part(task_arn)) else {
            return;
        };
        let task = self.task_mut(task_arn);
        for attachment in &mut task.attachments {
            if attachment.id == interface.attachment_id {
                attachment.status = "ATTACHED".to_owned();
                attachment.details.extend(details.iter().cloned());
            }
        }
        for container in &mut task.containers {
            container.network_interfaces.push(interface.clone());
        }
    }

    fn start_containers(&mut self, task_arn: &str, now: f64) {
        let id = last_part(task_arn);
        // Split borrows: the definitions and ids are read while the task changes.
        let Self { clusters, task_definitions, ids, .. } = self;
        let Some(task) = holder(clusters, task_arn).and_then(|cluster| cluster.tasks.get_mut(id)) else {
            return;
        };
        let definition = task_definitions.get(&task.task_definition_arn);
        task.pull_started_at = Some(now);
        task.pull_stopped_at = Some(now);
        for container in &mut task.containers {
            container.last_status = Some("RUNNING".to_owned());
            container.runtime_id = Some(match task.launch_type.as_deref() {
                Some("FARGATE") => format!("{id}-{}", 1_000_000_000 + ids.count("runtime")),
                _ => ids.hex("runtime", 64),
            });
            container.image_digest = Some(format!("sha256:{}", ids.hex("digest", 64)));
            let checked = definition.is_some_and(|definition| has_health_check(definition, &container.name));
            if checked {
                container.health_status = Some("HEALTHY".to_owned());
                task.health_status = Some("HEALTHY".to_owned());
            }
        }
    }

    fn publish_ports(&mut self, task_arn: &str, now: f64) {
        self.task_mut(task_arn).started_at = Some(now);
        self.bind_ports(task_arn, |_| true);
    }

    /// Binds the ports of some containers to host ports, in bridge mode; those that they had before are free then.
    pub(super) fn bind_ports(&mut self, task_arn: &str, is_meant: impl Fn(&Container) -> bool) {
        let id = last_part(task_arn);
        let Self { clusters, task_definitions, .. } = self;
        let Some(cluster) = holder(clusters, task_arn) else { return };
        let Some(task) = cluster.tasks.get_mut(id) else { return };
        let host = task.container_instance_arn.as_deref().map(last_part);
        let host = host.and_then(|host| cluster.container_instances.get_mut(host));
        let definition = task_definitions.get(&task.task_definition_arn);
        let (Some(host), Some(definition)) = (host, definition) else { return };
        if !matches!(definition.network_mode.as_deref(), None | Some("bridge" | "default")) {
            return;
        }
        for container in task.containers.iter_mut().filter(|container| is_meant(container)) {
            let freed = host_ports(&std::mem::take(&mut container.network_bindings));
            host.ports.retain(|port| !freed.contains(port));
            let defined =
                definition.container_definitions.iter().find(|defined| defined.name == container.name);
            for mapping in defined.map(|defined| defined.port_mappings.as_slice()).unwrap_or_default() {
                container.network_bindings.extend(bind(mapping, host));
            }
        }
    }

    pub(super) fn release(&mut self, task_arn: &str, now: f64) {
        let id = last_part(task_arn);
        self.unattached.remove(id);
        let Some(cluster) = holder(&mut self.clusters, task_arn) else { return };
        let Some(task) = cluster.tasks.get_mut(id) else { return };
        task.stopped_at = Some(now);
        for attachment in &mut task.attachments {
            attachment.status = "DELETED".to_owned();
        }
        for container in &mut task.containers {
            container.last_status = Some("STOPPED".to_owned());
            container.exit_code = Some(0);
        }
        let bindings: Vec<_> =
            task.containers.iter().flat_map(|container| container.network_bindings.clone()).collect();
        let freed = host_ports(&bindings);
        let host = task.container_instance_arn.as_deref().map(last_part);
        if let Some(host) = host.and_then(|host| cluster.container_instances.get_mut(host)) {
            host.ports.retain(|port| !freed.contains(port));
        }
    }
}

fn has_health_check(definition: &TaskDefinition, container: &str) -> bool {
    definition
        .container_definitions
        .iter()
        .any(|defined| defined.name == container && defined.health_check.is_some())
}

/// The bindings of one mapping: one for IPv4 and one for IPv6, as Docker publishes on both.
fn bind(mapping: &PortMapping, host: &mut ContainerInstance) -> Vec<NetworkBinding> {
    let protocol = mapping.protocol.clone().or_else(|| Some("tcp".to_owned()));
    let binding = match mapping.container_port_range.as_deref().and_then(parse_range) {
        Some((first, last)) => {
            let first_host = host.allocate((last - first).saturating_add(1));
            NetworkBinding {
                container_port_range: mapping.container_port_range.clone(),
                host_port_range: Some(format!("{first_host}-{}", first_host.saturating_add(last - first))),
                protocol,
                ..NetworkBinding::default()
            }
        }
        None => NetworkBinding {
            container_port: mapping.container_port,
            host_port: Some(match mapping.host_port {
                None | Some(0) => host.allocate(1),
                Some(port) => port,
            }),
            protocol,
            ..NetworkBinding::default()
        },
    };
    host.ports.extend(binding.host_port);
    ["0.0.0.0", "::"].map(|ip| NetworkBinding { bind_ip: Some(ip.to_owned()), ..binding.clone() }).into()
}

impl ContainerInstance {
    /// The first of `count` free dynamic ports in a row, taken from now on. The search goes up from the last port
    /// handed out and begins anew at the bottom, so a freed port is not reused at once.
    fn allocate(&mut self, count: u16) -> u16 {
        let count = count.min(u16::MAX - FIRST_DYNAMIC_PORT);
        let mut first = self.next_port;
        // Two rounds over the dynamic range suffice to find room when there is any; beyond it a port is shared.
        for _ in 0..2 * u32::from(u16::MAX - FIRST_DYNAMIC_PORT) {
            if first.checked_add(count).is_none() {
                first = FIRST_DYNAMIC_PORT;
            }
            match self.ports.range(first..first + count).next_back() {
                Some(taken) => first = taken.saturating_add(1),
                None => break,
            }
        }
        self.ports.extend(first..first + count);
        self.next_port = first.checked_add(count).unwrap_or(FIRST_DYNAMIC_PORT);
        first
    }
}

fn host_ports(bindings: &[NetworkBinding]) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for binding in bindings {
        ports.extend(binding.host_port);
        if let Some((first, last)) = binding.host_port_range.as_deref().and_then(parse_range) {
            ports.extend(first..=last);
        }
    }
    ports
}

fn parse_range(range: &str) -> Option<(u16, u16)> {
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some((first, last))
}
