//! DescribeContainerInstances.

use serde_json::Value;

use super::{batch, cluster_of, failures, includes_tags, missing_arn};
use crate::wire::json;
use crate::wire::json::Object;
use crate::wire::refusal::Refusal;
use crate::world::host::ContainerInstance;
use crate::world::region::{Region, last_part};

pub(super) fn describe(input: &Value, region: &Region) -> Result<String, Refusal> {
    let cluster = cluster_of(input, region)?;
    let ids = batch(input, "containerInstances", "Container instances")?;
    let with_tags = includes_tags(input);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match cluster.container_instances.get(last_part(id)) {
            Some(instance) => found.push(instance),
            None => missing.push(missing_arn(region, cluster, "container-instance", id)),
        }
    }
    let mut body = String::new();
    json::object(&mut body, |answer| {
        answer.list("containerInstances", found, |object, instance| write(object, instance, with_tags));
        failures(answer, &missing);
    });
    Ok(body)
}

fn write(object: &mut Object<'_>, instance: &ContainerInstance, with_tags: bool) {
    object.text("containerInstanceArn", &instance.container_instance_arn);
    object.option("ec2InstanceId", instance.ec2_instance_id.as_ref());
    object.option("capacityProviderName", instance.capacity_provider_name.as_ref());
    object.plain("version", instance.version);
    object.object("versionInfo", |version| {
        version.text("agentVersion", "1.99.0");
        version.text("agentHash", "4bc4a8f0");
        version.text("dockerVersion", "DockerVersion: 25.0.8");
    });
    for field in ["remainingResources", "registeredResources"] {
        object.list(field, [("CPU", 2048), ("MEMORY", 7764)], |resource, (name, value)| {
            resource.text("name", name);
            resource.text("type", "INTEGER");
            resource.plain("integerValue", value);
        });
    }
    object.text("status", &instance.status);
    object.plain("agentConnected", instance.agent_connected);
    object.plain("runningTasksCount", 0);
    object.plain("pendingTasksCount", 0);
    object.list("attributes", &instance.attributes, |attribute, (name, value)| {
        attribute.text("name", name);
        if !value.is_empty() {
            attribute.text("value", value);
        }
    });
    object.plain_option("registeredAt", instance.registered_at);
    object.texts("attachments", [""; 0]);
    match with_tags {
        true => object.tags(&instance.tags),
        false => object.texts("tags", [""; 0]),
    }
}
