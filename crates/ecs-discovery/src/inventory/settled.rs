//! Decides whether an answer about a task or a host is accepted: whether the task ended, whether all of it is known,
//! and whether the answer lacks facts that were known before.
//!
//! AWS never says that something is gone: an incomplete answer may be cut short, or come from a replica that lags
//! behind. So a missing fact is never a change. A task ends by its status, and so does a container.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::arn::TaskArn;
use crate::finding::Finding;
use crate::model::{
    Container, ContainerInstance, Host, LaunchType, NetworkMode, PortRange, Protocol, Service, Status, Task,
    TaskDefinition,
};
use crate::task_view::{Definition, TaskView};

/// A task that has ended, or is told to end.
pub(super) fn is_over(task: &Task) -> bool {
    task.desired_status == Status::Stopped || task.last_status == Status::Stopped
}

/// A task that runs and whose answer has everything that its address depends on; it is not described at every refresh.
pub(super) fn is_settled(task: &Task) -> bool {
    let addressed = || {
        task.containers.iter().any(|container| container.private_ipv4.is_some() || container.ipv6.is_some())
    };
    let placed = match &task.network_interface {
        // On a container instance, too, an interface may still be without its address.
        Some(interface) => interface.private_ipv4.is_some() || addressed(),
        None => task.container_instance.is_some() || addressed(),
    };
    let is_on_its_way = |status: &Status| is_starting(status) || is_unknown(status);
    task.desired_status == Status::Running
        && task.last_status == Status::Running
        && placed
        && !task.containers.is_empty()
        && !task.containers.iter().any(|container| is_on_its_way(&container.last_status))
}

/// Tasks that are not fully scraped as asked, and whose answer lacks something that their definition promises.
pub(super) fn incomplete(tasks: &[TaskView<'_>], findings: &[Arc<Finding>]) -> Vec<TaskArn> {
    let found: BTreeSet<_> = findings.iter().map(|finding| &finding.task).collect();
    let is_incomplete = |view: &&TaskView<'_>| {
        found.contains(&view.task.arn)
            && matches!(view.definition, Definition::Known(definition) if !is_whole(view.task, definition))
    };
    tasks.iter().filter(is_incomplete).map(|view| view.task.arn.clone()).collect()
}

/// Whether a task has what its definition promises: each container, and of those that run the address and the host ports.
pub(super) fn is_whole(task: &Task, definition: &TaskDefinition) -> bool {
    let attached = task.network_interface.as_ref().is_some_and(|interface| interface.private_ipv4.is_some());
    definition.containers.iter().all(|defined| {
        let container = task.containers.iter().find(|container| *container.name == *defined.name);
        let Some(container) = container else { return false };
        if container.last_status != Status::Running {
            return true;
        }
        match definition.network_mode {
            NetworkMode::Awsvpc => attached || container.private_ipv4.is_some() || container.ipv6.is_some(),
            NetworkMode::Bridge | NetworkMode::Default => {
                let mut mappings = defined.port_mappings.iter();
                mappings.all(|mapping| is_bound(container, mapping.protocol, mapping.container_ports))
            }
            NetworkMode::Host | NetworkMode::None | NetworkMode::Other(_) => true,
        }
    })
}

/// The known parts of a task that an answer lacks, in words, unless it says that the task, or the container, ends. A
/// different value is a change: a restarted container has other host ports. `untagged` is an answer without a list of
/// tags, as opposed to an empty list.
pub(super) fn lost(known: &Task, said: &Task, untagged: bool) -> Option<String> {
    if is_over(said) || is_ending(&said.last_status) {
        return None;
    }
    let interface = |task: &Task| task.network_interface.clone().unwrap_or_default();
    let (before, now) = (interface(known), interface(said));
    let fields = [
        ("a desired status", is_status_lost(&known.desired_status, &said.desired_status)),
        ("a last status", is_status_lost(&known.last_status, &said.last_status)),
        // A task never goes back to an earlier status: this answer is outdated.
        ("that it runs", !is_starting(&known.last_status) && is_starting(&said.last_status)),
        ("its launch type", is_launch_type_lost(known, said)),
        ("its capacity provider", is_lost(&known.capacity_provider, &said.capacity_provider)),
        ("its group", is_lost(&known.group, &said.group)),
        ("by what it was started", is_lost(&known.started_by, &said.started_by)),
        ("its availability zone", is_lost(&known.availability_zone, &said.availability_zone)),
        ("its health status", is_lost(&known.health_status, &said.health_status)),
        ("its platform family", is_lost(&known.platform_family, &said.platform_family)),
        ("its platform version", is_lost(&known.platform_version, &said.platform_version)),
        ("its container instance", is_lost(&known.container_instance, &said.container_instance)),
        ("its network interface", is_lost(&known.network_interface, &said.network_interface)),
        ("its subnet", is_lost(&before.subnet_id, &now.subnet_id)),
        ("its address", is_lost(&before.private_ipv4, &now.private_ipv4)),
        ("its private DNS name", is_lost(&before.private_dns_name, &now.private_dns_name)),
        ("its overrides", are_overrides_lost(known, said)),
        ("its tags", untagged && !known.tags.is_empty()),
    ];
    let field = fields.into_iter().find(|(_, is_lost)| *is_lost).map(|(name, _)| name.to_owned());
    field.or_else(|| {
        let mut there = known.containers.iter().filter(|container| !is_ending(&container.last_status));
        there.find_map(|before| {
            let now = said.containers.iter().find(|container| container.name == before.name);
            let what = now.map_or(Some("any word"), |now| lost_of_container(before, now))?;
            Some(format!("{what} of its container {:?}", before.name))
        })
    })
}

fn lost_of_container(known: &Container, said: &Container) -> Option<&'static str> {
    // A container that starts again has no address and no port until it runs.
    if is_ending(&said.last_status) || is_starting(&said.last_status) {
        return None;
    }
    let bindings = || {
        let mut bindings = known.network_bindings.iter();
        !bindings.all(|binding| is_bound(said, binding.protocol, binding.container_ports))
    };
    let fields = [
        ("the last status", is_status_lost(&known.last_status, &said.last_status)),
        ("the address", is_lost(&known.private_ipv4, &said.private_ipv4)),
        ("the IPv6 address", is_lost(&known.ipv6, &said.ipv6)),
        ("the ARN", is_lost(&known.arn, &said.arn)),
        ("the image", is_lost(&known.image, &said.image)),
        ("the runtime id", is_lost(&known.runtime_id, &said.runtime_id)),
        ("the health status", is_lost(&known.health_status, &said.health_status)),
        ("a host port", known.network_bindings != said.network_bindings && bindings()),
    ];
    fields.into_iter().find(|(_, is_lost)| *is_lost).map(|(name, _)| name)
}

/// Whether an answer about a container instance lacks its host, which was known.
pub(super) fn is_instance_lost(known: &ContainerInstance, said: &ContainerInstance) -> bool {
    is_lost(&known.instance, &said.instance)
}

/// Whether an answer about a host lacks facts that a host never loses while it runs. A public address can be released,
/// and tags removed; EC2 has no list of tags for an instance without tags. A terminated instance has no address any
/// more: its tasks leave when ECS says that they ended.
pub(super) fn is_host_lost(known: &Host, said: &Host) -> bool {
    is_lost(&known.private_ipv4, &said.private_ipv4)
        || is_lost(&known.private_dns_name, &said.private_dns_name)
        || is_lost(&known.instance_type, &said.instance_type)
        || is_lost(&known.vpc_id, &said.vpc_id)
        || is_lost(&known.subnet_id, &said.subnet_id)
        || is_lost(&known.availability_zone, &said.availability_zone)
}

/// Whether an answer about a service lacks its status, which was known. Tags can be removed.
pub(super) fn is_service_lost(known: &Service, said: &Service) -> bool {
    is_lost(&known.status, &said.status)
}

fn is_lost<T>(known: &Option<T>, said: &Option<T>) -> bool {
    known.is_some() && said.is_none()
}

fn is_status_lost(known: &Status, said: &Status) -> bool {
    !is_unknown(known) && is_unknown(said)
}

fn is_launch_type_lost(known: &Task, said: &Task) -> bool {
    let is_named = |task: &Task| !matches!(task.launch_type, None | Some(LaunchType::Other(_)));
    is_lost(&known.launch_type, &said.launch_type) || (is_named(known) && !is_named(said))
}

/// The overrides given to RunTask never change. An answer may have more of them: variables that were not read before. It
/// may have been read with other names, and lacks the values of names that are no longer kept.
fn are_overrides_lost(known: &Task, said: &Task) -> bool {
    let is_said = |(name, settings): &(Box<str>, crate::model::Settings)| {
        let now = said.overrides.iter().find(|(other, _)| other == name);
        settings
            .iter()
            .filter(|(variable, _)| said.names.contain(variable))
            .all(|(variable, value)| now.is_some_and(|(_, settings)| settings.value(variable) == Some(value)))
    };
    !known.overrides.iter().all(is_said)
}

/// Whether each of those container ports is bound to some port of the host.
fn is_bound(container: &Container, protocol: Protocol, ports: PortRange) -> bool {
    let bindings = || container.network_bindings.iter().filter(|binding| binding.protocol == protocol);
    let is_of = |range: PortRange, port: u16| (range.first..=range.last).contains(&port);
    (ports.first..=ports.last).all(|port| bindings().any(|binding| is_of(binding.container_ports, port)))
}

fn is_starting(status: &Status) -> bool {
    matches!(status, Status::Provisioning | Status::Pending | Status::Activating)
}

fn is_ending(status: &Status) -> bool {
    matches!(status, Status::Deactivating | Status::Stopping | Status::Deprovisioning | Status::Stopped)
}

fn is_unknown(status: &Status) -> bool {
    matches!(status, Status::Other(_))
}
