//! ECS's answers on the wire: only the fields that the core's model needs.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};

use super::json::{List, Number, Text};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Cluster<'a> {
    pub(super) cluster_arn: Option<Text<'a>>,
    pub(super) status: Option<Text<'a>>,
    pub(super) tags: List<Tag<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerInstance<'a> {
    pub(super) container_instance_arn: Option<Text<'a>>,
    pub(super) ec2_instance_id: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Service<'a> {
    pub(super) service_arn: Option<Text<'a>>,
    pub(super) status: Option<Text<'a>>,
    pub(super) tags: List<Tag<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct DescribedDefinition<'a> {
    pub(super) task_definition: Option<TaskDefinition<'a>>,
    pub(super) tags: List<Tag<'a>>,
}

/// The same answer for its tags alone.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct DefinitionTags<'a> {
    pub(super) tags: List<Tag<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct TaskDefinition<'a> {
    pub(super) network_mode: Option<Text<'a>>,
    pub(super) container_definitions: List<ContainerDefinition<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerDefinition<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) environment: List<KeyValuePair<'a>>,
    pub(super) secrets: List<Secret<'a>>,
    pub(super) docker_labels: Option<BTreeMap<Text<'a>, Option<Text<'a>>>>,
    pub(super) port_mappings: List<PortMapping<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Secret<'a> {
    pub(super) name: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct PortMapping<'a> {
    pub(super) container_port: Option<Number>,
    pub(super) container_port_range: Option<Text<'a>>,
    pub(super) protocol: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Task<'a> {
    pub(super) task_arn: Option<Text<'a>>,
    pub(super) task_definition_arn: Option<Text<'a>>,
    pub(super) launch_type: Option<Text<'a>>,
    pub(super) capacity_provider_name: Option<Text<'a>>,
    pub(super) group: Option<Text<'a>>,
    pub(super) started_by: Option<Text<'a>>,
    pub(super) availability_zone: Option<Text<'a>>,
    pub(super) desired_status: Option<Text<'a>>,
    pub(super) last_status: Option<Text<'a>>,
    pub(super) health_status: Option<Text<'a>>,
    pub(super) platform_family: Option<Text<'a>>,
    pub(super) platform_version: Option<Text<'a>>,
    pub(super) container_instance_arn: Option<Text<'a>>,
    pub(super) attachments: List<Attachment<'a>>,
    pub(super) containers: List<Container<'a>>,
    pub(super) overrides: Option<TaskOverride<'a>>,
    pub(super) tags: List<Tag<'a>>,
    #[serde(default, deserialize_with = "version")]
    pub(super) version: Option<u64>,
}

/// A version that is not a number counts as missing: it only orders answers.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Version {
        Number(Number),
        Other(IgnoredAny),
    }
    Ok(match Version::deserialize(deserializer)? {
        Version::Number(number) => number.try_into().ok(),
        Version::Other(_) => None,
    })
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Attachment<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    pub(super) status: Option<Text<'a>>,
    pub(super) details: List<KeyValuePair<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Container<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) container_arn: Option<Text<'a>>,
    pub(super) image: Option<Text<'a>>,
    pub(super) runtime_id: Option<Text<'a>>,
    pub(super) last_status: Option<Text<'a>>,
    pub(super) health_status: Option<Text<'a>>,
    pub(super) network_interfaces: List<NetworkInterface<'a>>,
    pub(super) network_bindings: List<NetworkBinding<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct NetworkInterface<'a> {
    pub(super) private_ipv4_address: Option<Text<'a>>,
    pub(super) ipv6_address: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct NetworkBinding<'a> {
    /// ECS's API spells it `bindIP`, the schema of its events `bindIp`.
    #[serde(rename = "bindIP", alias = "bindIp")]
    pub(super) bind_ip: Option<Text<'a>>,
    pub(super) protocol: Option<Text<'a>>,
    pub(super) container_port: Option<Number>,
    pub(super) container_port_range: Option<Text<'a>>,
    pub(super) host_port: Option<Number>,
    pub(super) host_port_range: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct TaskOverride<'a> {
    pub(super) container_overrides: List<ContainerOverride<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerOverride<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) environment: List<KeyValuePair<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct KeyValuePair<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) value: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Tag<'a> {
    pub(super) key: Option<Text<'a>>,
    pub(super) value: Option<Text<'a>>,
}

/// A failure of AWS: a requested item, and the reason why it is not in the answer.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Failure<'a> {
    pub(super) arn: Option<Text<'a>>,
    pub(super) reason: Option<Text<'a>>,
}
