//! Merges an event with what is known of its task. A field that the event lacks is kept: it is never a change.

use crate::model::{Container, NetworkInterface, Status, Task};

/// What an event says, with the fields that it lacks as they were; and whether it lacks the address or a port of a
/// running container, which may have changed.
pub(super) fn merge(known: &Task, said: Task) -> (Task, bool) {
    let mut task = Task { tags: known.tags.clone(), ..said };
    keep(&mut task.launch_type, &known.launch_type);
    keep(&mut task.capacity_provider, &known.capacity_provider);
    keep(&mut task.group, &known.group);
    keep(&mut task.started_by, &known.started_by);
    keep(&mut task.availability_zone, &known.availability_zone);
    keep(&mut task.health_status, &known.health_status);
    keep(&mut task.platform_family, &known.platform_family);
    keep(&mut task.platform_version, &known.platform_version);
    // A task keeps its definition and its container instance for life. If the event has others, DescribeTasks decides.
    let is_moved = known.container_instance.is_some()
        && task.container_instance.is_some()
        && task.container_instance != known.container_instance;
    let mut lacks_address = is_moved || task.definition != known.definition;
    task.definition = known.definition.clone();
    task.container_instance = known.container_instance.clone().or(task.container_instance);
    lacks_address |= merge_interface(&mut task.network_interface, known.network_interface.as_ref());
    if task.overrides.is_empty() {
        task.overrides.clone_from(&known.overrides);
        task.names.clone_from(&known.names);
    }
    for container in &mut task.containers {
        let before = known.containers.iter().find(|before| before.name == container.name);
        lacks_address |= before.is_some_and(|before| merge_container(container, before));
    }
    (task, lacks_address)
}

fn merge_interface(said: &mut Option<NetworkInterface>, known: Option<&NetworkInterface>) -> bool {
    let Some(known) = known else { return false };
    let Some(said) = said else {
        *said = Some(known.clone());
        return true;
    };
    let lacks_address = said.private_ipv4.is_none() && known.private_ipv4.is_some();
    keep(&mut said.subnet_id, &known.subnet_id);
    keep(&mut said.private_ipv4, &known.private_ipv4);
    keep(&mut said.private_dns_name, &known.private_dns_name);
    lacks_address
}

fn merge_container(said: &mut Container, known: &Container) -> bool {
    keep(&mut said.arn, &known.arn);
    keep(&mut said.image, &known.image);
    keep(&mut said.health_status, &known.health_status);
    // A container that starts or stops has no address and no port.
    if said.last_status != Status::Running {
        return false;
    }
    let lacks_address = (said.private_ipv4.is_none() && known.private_ipv4.is_some())
        || (said.ipv6.is_none() && known.ipv6.is_some())
        || (said.network_bindings.is_empty() && !known.network_bindings.is_empty());
    keep(&mut said.runtime_id, &known.runtime_id);
    keep(&mut said.private_ipv4, &known.private_ipv4);
    keep(&mut said.ipv6, &known.ipv6);
    if said.network_bindings.is_empty() {
        said.network_bindings.clone_from(&known.network_bindings);
    }
    lacks_address
}

pub(super) fn keep<T: Clone>(said: &mut Option<T>, known: &Option<T>) {
    if said.is_none() {
        said.clone_from(known);
    }
}
