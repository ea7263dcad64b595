//! Task definitions in files, as `aws ecs describe-task-definition` prints them or `aws ecs register-task-definition`
//! takes them, and arrays of containers, as Terraform and the CDK write them.
//!
//! Unknown fields are skipped, as in AWS's answers; but required fields must be there. No error quotes a value:
//! environments contain secrets.

mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ecs_discovery::arn::TaskDefinitionArn;
use ecs_discovery::conventions::environment::SettingSource;
use ecs_discovery::conventions::environment::near_miss::meant;
use ecs_discovery::explain::undeployed_task::{Hints, NearMiss, NetworkModeSource, UndeployedTask};
use ecs_discovery::model::NetworkMode;
use ecs_discovery::model::{self, Names};
use ecs_discovery::text::brief;
use ecs_discovery::variable::Variable;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::{Kept, ports, present, protocol, sorted_tags};
use text::Text;

/// Why a text is not a task definition.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotADefinition(String);

const WHAT_IT_IS: &str = "give what aws ecs describe-task-definition prints or register-task-definition takes, \
     or an array of containers";

const NOT_JSON: &str = "it is not JSON from here on";

/// The network mode of an array of containers, which has none: that of Fargate.
const ASSUMED: NetworkMode = NetworkMode::Awsvpc;

/// Reads the text of a file, and of environments only the variables of these names. The network mode is that of an array of containers; a definition names its own.
pub fn task_definition(
    text: &[u8],
    network_mode: Option<NetworkMode>,
    names: &Names,
) -> Result<UndeployedTask, NotADefinition> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let text = std::str::from_utf8(text).map_err(|_| NotADefinition("it is not UTF-8 text".to_owned()))?;
    if let Some(place) = serde_json::from_str(text).ok().as_ref().and_then(function) {
        return Err(NotADefinition(format!(
            "{place} is a function that only the deployment resolves; write its result in its place"
        )));
    }
    match text.trim_start().chars().next() {
        Some('{') => {
            let document: Definition = parsed(text)?;
            match document.task_definition {
                // DescribeTaskDefinition puts the tags beside the definition.
                Some(definition) => {
                    Definition { tags: document.tags, ..*definition }.draft("taskDefinition.", names)
                }
                None => document.draft("", names),
            }
        }
        Some('[') => of_containers(parsed(text)?, network_mode, names),
        _ => Err(NotADefinition(format!("it is not JSON of an object or an array; {WHAT_IT_IS}"))),
    }
}

fn of_containers(
    containers: Vec<Container>,
    network_mode: Option<NetworkMode>,
    names: &Names,
) -> Result<UndeployedTask, NotADefinition> {
    let source = match network_mode {
        Some(_) => NetworkModeSource::Option,
        None => NetworkModeSource::Assumption,
    };
    let arn = TaskDefinitionArn::parse("arn:aws:ecs:<region>:<account>:task-definition/<family>:<revision>");
    let arn = arn.expect("it has the form of an ARN");
    drafted(arn, network_mode.unwrap_or(ASSUMED), source, containers, (Vec::new(), names), "")
}

/// Names the key and the container of a value that has another type.
fn parsed<T: DeserializeOwned>(text: &str) -> Result<T, NotADefinition> {
    let mut json = serde_json::Deserializer::from_str(text);
    let at = |error: &serde_json::Error, why: &str| {
        NotADefinition(format!("line {}, column {}: {why}", error.line(), error.column()))
    };
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let place = place(text, error.path());
        let error = error.into_inner();
        match error.classify() {
            Category::Eof | Category::Io => at(&error, "it ends too early"),
            Category::Syntax => at(&error, NOT_JSON),
            Category::Data => at(&error, &format!("{place} {}", expected(&error.to_string()))),
        }
    })?;
    json.end().map_err(|error| {
        let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
        match line.as_bytes().get(error.column().saturating_sub(1)) {
            Some(b'[' | b'{') => at(&error, "another document begins here; give one"),
            _ => at(&error, NOT_JSON),
        }
    })?;
    Ok(value)
}

/// The fields of a container that are lists or objects, by their names in AWS and in a template.
const FIELDS: [[&str; 2]; 4] = [
    ["environment", "Environment"],
    ["secrets", "Secrets"],
    ["portMappings", "PortMappings"],
    ["dockerLabels", "DockerLabels"],
];

/// The first place where a template has a function instead of a container, a list, or an item of a list. A function in
/// place of a text is a [`Text`].
fn function(document: &Value) -> Option<String> {
    let is_named = |name: &str| name.starts_with("Fn::") || name == "Ref";
    let is_function = |value: &Value| {
        value.as_object().is_some_and(|map| map.len() == 1 && map.keys().all(|name| is_named(name)))
    };
    let definition = document.get("taskDefinition").unwrap_or(document);
    let (list, containers) =
        field(definition, ["containerDefinitions", "ContainerDefinitions"]).unwrap_or(("", definition));
    containers.as_array()?.iter().enumerate().find_map(|(position, container)| {
        if is_function(container) {
            return Some(format!("{list}[{position}]"));
        }
        let place = FIELDS.into_iter().find_map(|names| {
            let (name, value) = field(container, names)?;
            // A label may be named Ref.
            if is_function(value) && (value.get("Ref").is_none() || names != FIELDS[3]) {
                return Some(name.to_owned());
            }
            let index = value.as_array()?.iter().position(is_function)?;
            Some(format!("{name}[{index}]"))
        })?;
        let name = field(container, ["name", "Name"]).and_then(|(_, name)| name.as_str());
        Some(format!("{place} of the container {:?}", brief(name.unwrap_or_default())))
    })
}

/// The first of two fields that exists, with its name.
fn field<'a, 'n>(value: &'a Value, names: [&'n str; 2]) -> Option<(&'n str, &'a Value)> {
    names.into_iter().find_map(|name| Some((name, value.get(name)?)))
}

/// Serde says what it expected after the value that it got.
fn expected(error: &str) -> &'static str {
    match error.rsplit_once(", expected ").map(|(_, expected)| expected) {
        None if error.starts_with("duplicate field") => "has a key twice",
        Some(expected) if expected.starts_with("a string") => "must be a string",
        Some(expected) if expected.starts_with('i') => "must be a number",
        Some(expected) if expected.starts_with("a sequence") => "must be an array",
        Some(expected) if expected.starts_with("a map") || expected.starts_with("struct") => {
            "must be an object"
        }
        _ => "is of another type than AWS documents",
    }
}

/// `environment[0].value of the container "app"`
fn place(text: &str, path: &Path) -> String {
    let mut value = serde_json::from_str::<Value>(text).ok();
    let (mut keys, mut container) = (String::new(), None);
    let mut is_container = true;
    for segment in path {
        match segment {
            Segment::Map { key } => {
                value = value.and_then(|value| value.get(key).cloned());
                keys = if keys.is_empty() { key.clone() } else { format!("{keys}.{key}") };
                is_container = key.eq_ignore_ascii_case("containerDefinitions");
            }
            Segment::Seq { index } => {
                value = value.and_then(|value| value.get(index).cloned());
                keys = format!("{keys}[{index}]");
                let name = value.as_ref().and_then(|value| value.get("name").or_else(|| value.get("Name")));
                if let (true, Some(name)) = (is_container, name.and_then(Value::as_str)) {
                    (container, keys) = (Some(brief(name).into_owned()), String::new());
                }
                is_container = false;
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    match container {
        Some(name) if keys.is_empty() => format!("the container {name:?}"),
        Some(name) => format!("{} of the container {name:?}", brief(&keys)),
        None => brief(&keys).into_owned(),
    }
}

/// In a template of CloudFormation, such as the CDK writes, names begin with a capital.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    task_definition: Option<Box<Definition>>,
    task_definition_arn: Option<String>,
    #[serde(alias = "Family")]
    family: Option<String>,
    revision: Option<i64>,
    #[serde(alias = "NetworkMode")]
    network_mode: Option<String>,
    #[serde(alias = "ContainerDefinitions")]
    container_definitions: Option<Vec<Container>>,
    #[serde(alias = "Tags")]
    tags: Option<Vec<Tag>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    #[serde(alias = "Name")]
    name: Option<String>,
    #[serde(alias = "Image")]
    image: Option<Text>,
    #[serde(alias = "Environment")]
    environment: Option<Vec<Pair>>,
    #[serde(alias = "EnvironmentFiles")]
    environment_files: Option<Vec<serde::de::IgnoredAny>>,
    #[serde(alias = "Secrets")]
    secrets: Option<Vec<Secret>>,
    #[serde(alias = "DockerLabels")]
    docker_labels: Option<BTreeMap<String, Option<Text>>>,
    #[serde(alias = "PortMappings")]
    port_mappings: Option<Vec<PortMapping>>,
}

#[derive(Deserialize)]
struct Pair {
    #[serde(alias = "Name")]
    name: Option<String>,
    #[serde(alias = "Value")]
    value: Option<Text>,
}

#[derive(Deserialize)]
struct Secret {
    #[serde(alias = "Name")]
    name: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    #[serde(alias = "Key")]
    key: Option<String>,
    #[serde(alias = "Value")]
    value: Option<Text>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PortMapping {
    #[serde(alias = "ContainerPort")]
    container_port: Option<i32>,
    #[serde(alias = "ContainerPortRange")]
    container_port_range: Option<String>,
    #[serde(alias = "HostPort")]
    host_port: Option<i32>,
    #[serde(alias = "Protocol")]
    protocol: Option<String>,
}

fn missing(place: &str, field: &str) -> NotADefinition {
    NotADefinition(format!("{place}{field} is missing; {WHAT_IT_IS}"))
}

impl Definition {
    fn draft(self, place: &str, names: &Names) -> Result<UndeployedTask, NotADefinition> {
        let arn = self.arn(place)?;
        let containers = self.container_definitions.ok_or_else(|| missing(place, "containerDefinitions"))?;
        let network_mode = NetworkMode::from(self.network_mode.as_deref().unwrap_or_default());
        let tags =
            self.tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value.and_then(Text::known)));
        let place = format!("{place}containerDefinitions");
        drafted(
            arn,
            network_mode,
            NetworkModeSource::Definition,
            containers,
            (sorted_tags(tags), names),
            &place,
        )
    }

    /// The ARN from AWS, or one with placeholders for the parts that only AWS knows.
    fn arn(&self, place: &str) -> Result<TaskDefinitionArn, NotADefinition> {
        if let Some(arn) = self.task_definition_arn.as_deref().filter(|arn| !arn.is_empty()) {
            let wrong = |error| NotADefinition(format!("{place}taskDefinitionArn: {error}"));
            return TaskDefinitionArn::parse(arn).map_err(wrong);
        }
        let field = if self.container_definitions.is_some() { "family" } else { "containerDefinitions" };
        let family = self.family.as_deref().filter(|family| !family.is_empty());
        let family = family.ok_or_else(|| missing(place, field))?;
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

/// The containers are at `place` in the file.
fn drafted(
    arn: TaskDefinitionArn,
    network_mode: NetworkMode,
    network_mode_source: NetworkModeSource,
    definitions: Vec<Container>,
    (tags, kept): (model::Tags, &Names),
    place: &str,
) -> Result<UndeployedTask, NotADefinition> {
    let (mut containers, mut images, mut host_ports) = (Vec::new(), Vec::new(), Vec::new());
    let (mut hints, mut names, mut kept) = (Vec::new(), BTreeSet::new(), Kept::new(kept));
    for (position, container) in definitions.into_iter().enumerate() {
        let field = format!("{place}[{position}].name");
        let name = container.name.clone().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| missing("", &field))?;
        if let Some(variable) = container.unresolved(kept.names) {
            let (name, variable) = (brief(&name), brief(variable));
            return Err(NotADefinition(format!(
                "{variable} of the container {name:?} has a value that only the deployment knows; write it as text"
            )));
        }
        if !names.insert(name) {
            return Err(NotADefinition(format!("{field} is another container's name; give each its own")));
        }
        images.push(present::<_, Arc<str>>(container.image.clone().and_then(Text::known)));
        hints.push(container.hints());
        let (container, ports) = container.converted(&mut kept);
        containers.push(container);
        host_ports.push(ports);
    }
    let definition = model::TaskDefinition { arn, network_mode, containers, tags, names: kept.names() };
    Ok(UndeployedTask { definition, network_mode_source, images, host_ports, hints })
}

impl Container {
    /// A variable that is read, and whose value is a function of CloudFormation.
    fn unresolved(&self, names: &Names) -> Option<&str> {
        let environment = self.environment.iter().flatten();
        let environment = environment.filter_map(|pair| Some((pair.name.as_deref()?, pair.value.as_ref()?)));
        let environment = environment.filter(|(name, _)| names.contain(name));
        let labels = self.docker_labels.iter().flatten();
        let labels = labels.filter_map(|(name, value)| Some((name.as_str(), value.as_ref()?)));
        let labels = labels.filter(|(name, _)| Variable::named(name).is_some());
        let mut unresolved = environment.chain(labels).filter(|(_, value)| **value == Text::Later);
        unresolved.next().map(|(name, _)| name)
    }

    fn hints(&self) -> Hints {
        let environment = self.environment.iter().flatten().filter_map(|pair| pair.name.as_deref());
        let secrets = self.secrets.iter().flatten().filter_map(|secret| secret.name.as_deref());
        let labels = self.docker_labels.iter().flatten().map(|(name, _)| name.as_str());
        let environment = environment.map(|name| (SettingSource::Environment, name));
        let secrets = secrets.map(|name| (SettingSource::Secrets, name));
        let labels = labels.map(|name| (SettingSource::DockerLabels, name));
        let near_misses = environment
            .chain(secrets)
            .chain(labels)
            .filter_map(|(place, name)| Some(NearMiss { name: name.into(), place, meant: meant(name)? }));
        Hints {
            near_misses: near_misses.collect(),
            environment_files: self.environment_files.as_ref().is_some_and(|files| !files.is_empty()),
        }
    }

    /// The host ports are in another field.
    fn converted(self, kept: &mut Kept<'_>) -> (model::ContainerDefinition, Vec<Option<u16>>) {
        let environment = self.environment.unwrap_or_default();
        let secrets = self.secrets.unwrap_or_default();
        let labels = self.docker_labels.unwrap_or_default();
        let labels = labels.into_iter().map(|(name, value)| (Some(name), value.and_then(Text::known)));
        let mappings = self.port_mappings.unwrap_or_default().into_iter().filter_map(PortMapping::converted);
        let (port_mappings, host_ports) = mappings.unzip();
        let container = model::ContainerDefinition {
            name: self.name.unwrap_or_default().into(),
            environment: kept.settings(
                environment
                    .iter()
                    .map(|pair| (pair.name.as_deref(), pair.value.as_ref().and_then(Text::as_str))),
            ),
            secrets: kept.secrets(secrets.iter().filter_map(|secret| secret.name.as_deref())),
            docker_labels: sorted_tags(labels),
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
