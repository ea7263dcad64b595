//! Where containers can be reached: each network mode on each kind of host, and hosts that are not to be found.

use super::{CLUSTER, Stage, family, portless, quiet, scraped};
use crate::world::definition::TaskDefinition;
use crate::world::host::HostKind;
use crate::world::run::Addresses;

pub(super) fn play(stage: &mut Stage<'_>) {
    own_interface(stage);
    own_interface_bent(stage);
    host_network(stage);
    bridge(stage);
    host_unknown(stage);
    // Skipped: a container without a network has no address.
    stage.on(&stage.ec2.clone(), family("mode-none", scraped("app")).network_mode("none"));
}

fn own_interface(stage: &mut Stage<'_>) {
    let [ec2, managed] = [stage.ec2.clone(), stage.managed.clone()];
    // On port 80, as nothing names another.
    stage.run(family("awsvpc-no-port", portless("app")), |run| run.ipv4("10.0.1.1"));
    // The interface's own address, not the host's; with container and instance ids.
    stage.on(&ec2, family("awsvpc-ec2", scraped("app")).network_mode("awsvpc"));
    stage.on(&managed, family("awsvpc-managed-instances", scraped("app")).network_mode("awsvpc"));
    // IPv6 in brackets.
    let ipv6 = Addresses::Given(None, Some("2001:db8::1:2".to_owned()));
    stage.run(family("awsvpc-ipv6-only", scraped("app")), |run| run.addresses(ipv6));
    // IPv4, since there is one.
    let both = Addresses::Given(Some("10.0.1.2".to_owned()), Some("2001:db8::1:3".to_owned()));
    stage.run(family("awsvpc-dual-stack", scraped("app")), |run| run.addresses(both));
}

fn own_interface_bent(stage: &mut Stage<'_>) {
    // The attachment's address: the container does not say its own.
    let arn = stage.fargate(family("awsvpc-attachment-only", scraped("app")));
    stage.region.task_mut(&arn).containers[0].network_interfaces.clear();
    // No address anywhere.
    let arn = stage.fargate(family("awsvpc-no-address", scraped("app")));
    let task = stage.region.task_mut(&arn);
    task.containers[0].network_interfaces.clear();
    task.attachments.clear();
}

fn host_network(stage: &mut Stage<'_>) {
    let hosts = [stage.ec2.clone(), stage.external.clone(), stage.managed.clone()];
    // The host's address with the definition's first TCP port.
    for (host, name) in hosts.iter().zip(["host-ec2", "host-external", "host-managed-instances"]) {
        stage.on(host, family(name, scraped("app")).network_mode("host"));
    }
    // The host's address, port 80.
    stage.on(&hosts[0], family("host-no-port", portless("app")).network_mode("host"));
}

fn bridge(stage: &mut Stage<'_>) {
    let [ec2, external] = [stage.ec2.clone(), stage.external.clone()];
    // The host's address with a dynamic port, from 32768 up.
    stage.on(&ec2, family("bridge-ec2", scraped("app")).network_mode("bridge"));
    stage.on(&external, family("bridge-external", scraped("app")).network_mode("bridge"));
    // Bridge too: the mode is absent, or Windows' own.
    stage.on(&ec2, family("mode-absent", scraped("app")));
    stage.on(&ec2, family("mode-default", scraped("app")).network_mode("default"));
}

fn host_unknown(stage: &mut Stage<'_>) {
    let bridge = |name: &str| family(name, scraped("app")).network_mode("bridge");
    // EC2 has terminated the instance and does not know it any more.
    let gone = stage.region.launch_host(CLUSTER, HostKind::Ec2);
    stage.on(&gone, bridge("host-gone-from-ec2"));
    let id = stage.region.container_instance(&gone).ec2_instance_id.clone();
    stage.region.instances.remove(&id.unwrap_or_default());
    // SSM does not know the machine.
    let gone = stage.region.launch_host(CLUSTER, HostKind::External);
    stage.on(&gone, bridge("host-gone-from-ssm"));
    let id = stage.region.container_instance(&gone).ec2_instance_id.clone();
    stage.region.managed_nodes.remove(&id.unwrap_or_default());
    // ECS does not know the container instance. A container that has not opted in has no finding beside it.
    let gone = stage.region.launch_host(CLUSTER, HostKind::Ec2);
    let definition: TaskDefinition = bridge("host-gone-from-ecs").container(quiet("sidecar"));
    stage.on(&gone, definition);
    let id = gone.rsplit('/').next().unwrap_or_default();
    stage.region.cluster(CLUSTER).container_instances.remove(id);
}
