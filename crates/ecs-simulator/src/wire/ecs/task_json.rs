//! A task as DescribeTasks writes it. Absent optional fields are left out, empty lists are written, as ECS does.

use crate::wire::json::Object;
use crate::world::task::{Attachment, Container, ContainerOverride, NetworkBinding, NetworkInterface, Task};

pub(super) fn write(object: &mut Object<'_>, task: &Task, with_tags: bool) {
    object.list("attachments", &task.attachments, attachment);
    object.pairs("attributes", ["name", "value"], &task.attributes);
    object.option("availabilityZone", task.availability_zone.as_ref());
    object.option("capacityProviderName", task.capacity_provider_name.as_ref());
    object.text("clusterArn", &task.cluster_arn);
    object.option("connectivity", task.connectivity.as_ref());
    object.plain_option("connectivityAt", task.connectivity_at);
    object.option("containerInstanceArn", task.container_instance_arn.as_ref());
    object.list("containers", &task.containers, container);
    object.option("cpu", task.cpu.as_ref());
    object.plain_option("createdAt", task.created_at);
    object.text("desiredStatus", &task.desired_status);
    object.plain("enableExecuteCommand", false);
    object.plain_option("executionStoppedAt", task.stopped_at);
    object.option("group", task.group.as_ref());
    object.option("healthStatus", task.health_status.as_ref());
    object.text("lastStatus", &task.last_status);
    object.option("launchType", task.launch_type.as_ref());
    object.option("memory", task.memory.as_ref());
    object.object("overrides", |overrides| {
        overrides.list("containerOverrides", &task.overrides.container_overrides, container_override);
        overrides.option("cpu", task.overrides.cpu.as_ref());
        overrides.texts("inferenceAcceleratorOverrides", [""; 0]);
        overrides.option("memory", task.overrides.memory.as_ref());
        overrides.option("taskRoleArn", task.overrides.task_role_arn.as_ref());
    });
    object.option("platformFamily", task.platform_family.as_ref());
    object.option("platformVersion", task.platform_version.as_ref());
    object.plain_option("pullStartedAt", task.pull_started_at);
    object.plain_option("pullStoppedAt", task.pull_stopped_at);
    object.plain_option("startedAt", task.started_at);
    object.option("startedBy", task.started_by.as_ref());
    object.option("stopCode", task.stop_code.as_ref());
    object.plain_option("stoppedAt", task.stopped_at);
    object.option("stoppedReason", task.stopped_reason.as_ref());
    object.plain_option("stoppingAt", task.stopping_at);
    match with_tags {
        true => object.tags(&task.tags),
        false => object.texts("tags", [""; 0]),
    }
    object.text("taskArn", &task.task_arn);
    object.text("taskDefinitionArn", &task.task_definition_arn);
    object.plain("version", task.version);
    if task.launch_type.as_deref() == Some("FARGATE") {
        object.object("ephemeralStorage", |storage| storage.plain("sizeInGiB", 20));
    }
}

fn attachment(object: &mut Object<'_>, attachment: &Attachment) {
    object.text("id", &attachment.id);
    object.text("type", &attachment.kind);
    object.text("status", &attachment.status);
    let details = attachment.details.iter().map(|(name, value)| (name, value));
    object.pairs("details", ["name", "value"], details);
}

fn container(object: &mut Object<'_>, container: &Container) {
    object.text("containerArn", &container.container_arn);
    object.text("taskArn", &container.task_arn);
    object.text("name", &container.name);
    object.option("image", container.image.as_ref());
    object.option("imageDigest", container.image_digest.as_ref());
    object.option("runtimeId", container.runtime_id.as_ref());
    object.option("lastStatus", container.last_status.as_ref());
    object.plain_option("exitCode", container.exit_code);
    object.option("reason", container.reason.as_ref());
    object.list("networkBindings", &container.network_bindings, network_binding);
    object.list("networkInterfaces", &container.network_interfaces, network_interface);
    object.option("healthStatus", container.health_status.as_ref());
    object.option("cpu", container.cpu.as_ref());
    object.option("memory", container.memory.as_ref());
    object.option("memoryReservation", container.memory_reservation.as_ref());
}

fn network_binding(object: &mut Object<'_>, binding: &NetworkBinding) {
    object.option("bindIP", binding.bind_ip.as_ref());
    object.plain_option("containerPort", binding.container_port);
    object.plain_option("hostPort", binding.host_port);
    object.option("protocol", binding.protocol.as_ref());
    object.option("containerPortRange", binding.container_port_range.as_ref());
    object.option("hostPortRange", binding.host_port_range.as_ref());
}

pub(in crate::wire) fn network_interface(object: &mut Object<'_>, interface: &NetworkInterface) {
    object.text("attachmentId", &interface.attachment_id);
    object.option("privateIpv4Address", interface.private_ipv4_address.as_ref());
    object.option("ipv6Address", interface.ipv6_address.as_ref());
}

pub(in crate::wire) fn container_override(object: &mut Object<'_>, entry: &ContainerOverride) {
    object.text("name", &entry.name);
    if !entry.command.is_empty() {
        object.texts("command", &entry.command);
    }
    if !entry.environment.is_empty() {
        let environment = entry.environment.iter().map(|(name, value)| (name, value));
        object.pairs("environment", ["name", "value"], environment);
    }
}
