//! Task definitions in files, as `aws ecs describe-task-definition` prints them or `aws ecs register-task-definition`
//! takes them.
//!
//! Unknown fields are skipped, as in AWS's answers; but what a definition cannot be without must be there. No error quotes a
//! value: environments hold secrets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ecs_discovery::arn::TaskDefinitionArn;
use ecs_discovery::conventions::Variable;
use ecs_discovery::explain::draft::Draft;
use ecs_discovery::finding::brief;
use ecs_discovery::model;
use ecs_discovery::model::NetworkMode;
use serde::Deserialize;
use serde_json::error::Category;

use super::{ports, present, protocol, settings, sorted_tags};

/// Why a text is no task definition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotADefinition(String);

const WHAT_IT_IS: &str =
    "give what aws ecs describe-task-definition prints or register-task-definition takes";

/// Reads the text of a file.
pub fn task_definition(text: &[u8]) -> Result<Draft, NotADefinition> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| NotADefinition("it is not UTF-8 text".to_owned()))?;
    if !text.trim_start().starts_with('{') {
        return Err(NotADefinition(format!("it is not a JSON object; {WHAT_IT_IS}")));
    }
    let document: Definition = serde_json::from_str(text).map_err(|error| {
        let why = match error.classify() {
            Category::Eof | Category::Io => "it ends too early",
            Category::Syntax => "it is not JSON from here on",
            Category::Data => "a value is of another type than AWS documents",
        };
        NotADefinition(format!("line {}, column {}: {why}", error.line(), error.column()))
    })?;
    match document.task_definition {
        // DescribeTaskDefinition puts the tags beside the definition.
        Some(definition) => Definition { tags: document.tags, ..*definition }.draft("taskDefinition."),
        None => document.draft(""),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    task_definition: Option<Box<Definition>>,
    task_definition_arn: Option<String>,
    family: Option<String>,
    revision: Option<i64>,
    network_mode: Option<String>,
    container_definitions: Option<Vec<Container>>,
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: Option<String>,
    image: Option<String>,
    environment: Option<Vec<Pair>>,
    secrets: Option<Vec<Secret>>,
    docker_labels: Option<BTreeMap<String, Option<String>>>,
    port_mappings: Option<Vec<PortMapping>>,
}

#[derive(Deserialize)]
struct Pair {
    name: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
struct Secret {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortMapping {
    container_port: Option<i32>,
    container_port_range: Option<String>,
    host_port: Option<i32>,
    protocol: Option<String>,
}

impl Definition {
    fn draft(self, place: &str) -> Result<Draft, NotADefinition> {
        let missing = |field: &str| NotADefinition(format!("{place}{field} is missing; {WHAT_IT_IS}"));
        let arn = self.arn(place, missing)?;
        let definitions = self.container_definitions.ok_or_else(|| missing("containerDefinitions"))?;
        let (mut containers, mut images, mut host_ports) = (Vec::new(), Vec::new(), Vec::new());
        let mut names = BTreeSet::new();
        for (position, container) in definitions.into_iter().enumerate() {
            let place = format!("containerDefinitions[{position}].name");
            let name = container.name.clone().filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| missing(&place))?;
            if !names.insert(name) {
                return Err(NotADefinition(format!(
                    "{place} is another container's name; give each its own"
                )));
            }
            images.push(present::<_, Arc<str>>(container.image.clone()));
            let (container, ports) = container.converted();
            containers.push(container);
            host_ports.push(ports);
        }
        let network_mode = NetworkMode::from(self.network_mode.as_deref().unwrap_or_default());
        let tags = sorted_tags(self.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)));
        let definition = model::TaskDefinition { arn, network_mode, containers, tags };
        Ok(Draft { definition, images, host_ports })
    }

    /// AWS's, or one with stand-ins for what only AWS can say.
    fn arn(
        &self,
        place: &str,
        missing: impl Fn(&str) -> NotADefinition,
    ) -> Result<TaskDefinitionArn, NotADefinition> {
        if let Some(arn) = self.task_definition_arn.as_deref().filter(|arn| !arn.is_empty()) {
            let wrong = |error| NotADefinition(format!("{place}taskDefinitionArn: {error}"));
            return TaskDefinitionArn::parse(arn).map_err(wrong);
        }
        let field = if self.container_definitions.is_some() { "family" } else { "containerDefinitions" };
        let family = self.family.as_deref().filter(|family| !family.is_empty());
        let family = family.ok_or_else(|| missing(field))?;
        let revision = self.revision.map_or_else(|| "<revision>".to_owned(), |revision| revision.to_string());
        let arn = format!("arn:aws:ecs:<region>:<account>:task-definition/{family}:{revision}");
        match TaskDefinitionArn::parse(&arn) {
            Ok(arn) if arn.family() == family => Ok(arn),
            _ => Err(NotADefinition(format!(
                "{place}family: {:?} is not a name; use letters, digits, - and _",
                brief(family)
            ))),
        }
    }
}

impl Container {
    /// Its host ports stand beside it.
    fn converted(self) -> (model::ContainerDefinition, Vec<Option<u16>>) {
        let environment = self.environment.unwrap_or_default();
        let secrets = self.secrets.unwrap_or_default();
        let labels = self.docker_labels.unwrap_or_default();
        let mappings = self.port_mappings.unwrap_or_default().into_iter().filter_map(PortMapping::converted);
        let (port_mappings, host_ports) = mappings.unzip();
        let container = model::ContainerDefinition {
            name: self.name.unwrap_or_default().into(),
            environment: settings(
                environment.iter().map(|pair| (pair.name.as_deref(), pair.value.as_deref())),
            ),
            secrets: secrets.iter().filter_map(|secret| Variable::named(secret.name.as_deref()?)).collect(),
            docker_labels: sorted_tags(labels.into_iter().map(|(name, value)| (Some(name), value))),
            port_mappings,
        };
        (container, host_ports)
    }
}

impl PortMapping {
    fn converted(self) -> Option<(model::PortMapping, Option<u16>)> {
        let container_ports = ports(self.container_port_range.as_deref(), self.container_port)?;
        let host_port = ports(None, self.host_port).map(|port| port.first);
        Some((
            model::PortMapping { container_ports, protocol: protocol(self.protocol.as_deref()) },
            host_port,
        ))
    }
}
