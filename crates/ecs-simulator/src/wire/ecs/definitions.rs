//! DescribeTaskDefinition. It serves no definitions of managed daemons, as ECS does not.

use serde_json::Value;

use super::includes_tags;
use crate::wire::json::Object;
use crate::wire::refusal::Refusal;
use crate::wire::{json, text};
use crate::world::definition::{ContainerDefinition, PortMapping, TaskDefinition};
use crate::world::region::Region;

pub(super) fn describe(input: &Value, region: &Region) -> Result<String, Refusal> {
    let definition = text(input, "taskDefinition").and_then(|name| find(region, name));
    let definition = definition
        .ok_or_else(|| Refusal::new(400, "ClientException", "Unable to describe task definition."))?;
    let mut body = String::new();
    json::object(&mut body, |answer| {
        answer.object("taskDefinition", |object| write(object, definition));
        match includes_tags(input) {
            true => answer.tags(&definition.tags),
            false => answer.texts("tags", [""; 0]),
        }
    });
    Ok(body)
}

/// By ARN, by `FAMILY:REVISION`, or the newest active revision of a family.
fn find<'a>(region: &'a Region, name: &str) -> Option<&'a TaskDefinition> {
    if name.starts_with("arn:") {
        return region.task_definitions.get(name);
    }
    if name.contains(':') {
        return region.task_definitions.get(&region.ecs_arn(&format!("task-definition/{name}")));
    }
    let revisions = region.task_definitions.values().filter(|definition| definition.family == name);
    revisions.filter(|definition| definition.status == "ACTIVE").max_by_key(|definition| definition.revision)
}

fn write(object: &mut Object<'_>, definition: &TaskDefinition) {
    object.text("taskDefinitionArn", &definition.task_definition_arn);
    object.list("containerDefinitions", &definition.container_definitions, container);
    object.text("family", &definition.family);
    object.option("executionRoleArn", definition.execution_role_arn.as_ref());
    object.option("networkMode", definition.network_mode.as_ref());
    object.plain("revision", definition.revision);
    object.texts("volumes", [""; 0]);
    object.text("status", &definition.status);
    object.list(
        "requiresAttributes",
        ["com.amazonaws.ecs.capability.docker-remote-api.1.18"],
        |object, name| {
            object.text("name", name);
        },
    );
    object.texts("placementConstraints", [""; 0]);
    object.texts("compatibilities", ["EXTERNAL", "EC2"]);
    if !definition.requires_compatibilities.is_empty() {
        object.texts("requiresCompatibilities", &definition.requires_compatibilities);
    }
    object.option("cpu", definition.cpu.as_ref());
    object.option("memory", definition.memory.as_ref());
    object.plain("registeredAt", 1_767_225_600);
}

fn container(object: &mut Object<'_>, container: &ContainerDefinition) {
    object.text("name", &container.name);
    object.text("image", &container.image);
    object.plain("cpu", container.cpu);
    object.plain_option("memory", container.memory);
    object.list("portMappings", &container.port_mappings, port_mapping);
    object.plain("essential", container.essential);
    object.pairs(
        "environment",
        ["name", "value"],
        container.environment.iter().map(|(name, value)| (name, value)),
    );
    if !container.environment_files.is_empty() {
        object.list("environmentFiles", &container.environment_files, |object, file| {
            object.text("value", file);
            object.text("type", "s3");
        });
    }
    object.texts("mountPoints", [""; 0]);
    object.texts("volumesFrom", [""; 0]);
    if !container.secrets.is_empty() {
        object.pairs(
            "secrets",
            ["name", "valueFrom"],
            container.secrets.iter().map(|(name, from)| (name, from)),
        );
    }
    if !container.docker_labels.is_empty() {
        object.object("dockerLabels", |labels| {
            for (key, value) in &container.docker_labels {
                labels.text(key, value);
            }
        });
    }
    if let Some(command) = &container.health_check {
        object.object("healthCheck", |check| {
            check.texts("command", ["CMD-SHELL", command]);
            check.plain("interval", 30);
        });
    }
    object.texts("systemControls", [""; 0]);
}

fn port_mapping(object: &mut Object<'_>, mapping: &PortMapping) {
    object.plain_option("containerPort", mapping.container_port);
    object.plain_option("hostPort", mapping.host_port);
    object.option("protocol", mapping.protocol.as_ref());
    object.option("name", mapping.name.as_ref());
    object.option("appProtocol", mapping.app_protocol.as_ref());
    object.option("containerPortRange", mapping.container_port_range.as_ref());
}
