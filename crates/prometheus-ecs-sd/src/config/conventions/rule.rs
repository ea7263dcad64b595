//! One rule of the configuration file.
//!
//! Reads the keys into the core's [`Rule`], which then says what could never be used.

use std::path::Path;

use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Source, Subject, Value};
use ecs_discovery::interval::Intervals;

use crate::config::errors::ConfigErrors;
use crate::config::yaml::{self, EMPTY, Mapping, Place, unknown_key};

/// The three kinds of sources.
const SOURCES: [&str; 3] = ["docker_label", "environment", "tag"];

/// The texts of a task and its definition that a condition can be about, besides sources.
const SUBJECTS: [&str; 5] = ["cluster", "container", "family", "service", "task_definition"];

/// The result of reading a rule.
pub(super) struct Read {
    /// `None` if there were mistakes without which no rule can be made.
    pub(super) rule: Option<Rule>,
    /// Its name with its place.
    pub(super) name: Option<(String, Place)>,
}

/// Reads a rule, and records all its mistakes.
pub(super) fn read(item: yaml::Value, file: &Path, intervals: &Intervals, errors: &mut ConfigErrors) -> Read {
    let place = item.place.clone();
    let Some(mut item) = item.mapping(errors) else { return Read { rule: None, name: None } };
    let mut places = vec![("", place.clone())];
    let mut taken = |key, item: &mut Mapping, errors: &mut ConfigErrors| {
        let value = item.take_set(key, errors)?;
        places.push((key, value.place.clone()));
        Some(value)
    };
    let is_named = item.has("name");
    let name = taken("name", &mut item, errors).and_then(|name| {
        let text = name.text(errors)?.to_owned();
        Some((text, name.place))
    });
    if !is_named {
        errors.add(&place, "the rule has no name; add one, such as name: nginx");
    }
    let has_match = item.has("match");
    let mut of_definition = None;
    let read_conditions =
        taken("match", &mut item, errors).map(|value| conditions(value, &mut of_definition, errors));
    let (conditions, conditions_are_read) = read_conditions.unwrap_or((Vec::new(), !has_match));
    let has_port = item.has("container_port") || item.has("port");
    let container_port = taken("container_port", &mut item, errors);
    let port = taken("port", &mut item, errors);
    let ports = match (container_port, port) {
        (Some(_), Some(port)) => {
            errors.add(&port.place, "a rule has either container_port or port; remove one");
            None
        }
        (Some(value), None) => ports(value, errors).map(Ports::Container),
        (None, Some(value)) => ports(value, errors).map(Ports::Verbatim),
        (None, None) if has_port => None,
        (None, None) => Some(Ports::First),
    };
    let mut value = |key, item: &mut Mapping, errors: &mut ConfigErrors| {
        taken(key, item, errors).and_then(|value| read_value(value, errors))
    };
    let path = value("path", &mut item, errors);
    let scheme = value("scheme", &mut item, errors);
    let interval = value("interval", &mut item, errors);
    let job = value("job", &mut item, errors);
    let labels = taken("labels", &mut item, errors).and_then(|labels| {
        if labels.is_mapping() {
            return source(labels, errors);
        }
        let problem = format!("this must be a source: {} with a name", SOURCES.join(", "));
        errors.add(&labels.place, problem);
        None
    });
    item.finish(errors);
    let has_name = name.is_some();
    let rule = Rule {
        name: name.as_ref().map_or("rule", |(name, _)| name).into(),
        place: Some(format!("{}:{}", file.display(), place.line()).into()),
        conditions,
        // As if there were one, so that the others are checked too.
        ports: ports.clone().unwrap_or(Ports::First),
        path,
        scheme,
        interval,
        job,
        labels,
    };
    for (key, problem) in rule.mistakes(intervals) {
        let is_match = key == "match";
        // A condition or port that could not be read restricts the rule too.
        if is_match && (!conditions_are_read || ports.is_none()) {
            continue;
        }
        let found = places.iter().find(|(name, _)| *name == key).map(|(_, place)| place);
        let of_condition = of_definition.as_ref().filter(|_| key == "match.task_definition");
        errors.add(found.or(of_condition).unwrap_or(&place), problem);
    }
    let is_whole = has_name && ports.is_some() && conditions_are_read;
    Read { rule: is_whole.then_some(rule), name }
}

/// The conditions of `match`, in the order written, and whether all of them can be read. Sets the place of the condition on
/// the task definition, about which the core can have a complaint.
fn conditions(
    value: yaml::Value,
    of_definition: &mut Option<Place>,
    errors: &mut ConfigErrors,
) -> (Vec<Condition>, bool) {
    let (mut conditions, mut are_read) = (Vec::new(), true);
    let Some(mut keys) = value.mapping(errors) else { return (conditions, false) };
    for (key, value) in keys.take_all() {
        if key == "task_definition" {
            *of_definition = Some(value.place.clone());
        }
        let read = match (SUBJECTS.contains(&&*key), source_kind(&key)) {
            (true, _) => pattern(&value, errors).map(|pattern| {
                conditions.push(Condition { subject: subject(&key), pattern });
            }),
            (false, Some(kind)) => of_sources(kind, value, &mut conditions, errors),
            (false, None) => {
                unknown_key(&key, &value.place, SUBJECTS.into_iter().chain(SOURCES), errors);
                None
            }
        };
        are_read &= read.is_some();
    }
    (conditions, are_read)
}

fn subject(key: &str) -> Subject {
    match key {
        "cluster" => Subject::Cluster,
        "container" => Subject::Container,
        "family" => Subject::Family,
        "service" => Subject::Service,
        _ => Subject::TaskDefinition,
    }
}

fn source_kind(key: &str) -> Option<fn(&str) -> Source> {
    match key {
        "docker_label" => Some(|name| Source::DockerLabel(name.into())),
        "environment" => Some(|name| Source::Environment(name.into())),
        "tag" => Some(|name| Source::Tag(name.into())),
        _ => None,
    }
}

/// A mapping of names to patterns.
fn of_sources(
    kind: fn(&str) -> Source,
    value: yaml::Value,
    conditions: &mut Vec<Condition>,
    errors: &mut ConfigErrors,
) -> Option<()> {
    let place = value.place.clone();
    let names = value.mapping(errors)?.take_all();
    if names.is_empty() {
        errors.add(&place, EMPTY);
        return None;
    }
    let mut are_read = true;
    for (name, value) in names {
        let source = named(kind, &name, &value.place, errors);
        match (source, pattern(&value, errors)) {
            (Some(source), Some(pattern)) => {
                conditions.push(Condition { subject: Subject::Source(source), pattern });
            }
            _ => are_read = false,
        }
    }
    are_read.then_some(())
}

fn pattern(value: &yaml::Value, errors: &mut ConfigErrors) -> Option<Pattern> {
    if value.is_null() {
        errors.add(&value.place, "this is empty; write \"\" for a text that is absent or empty");
        return None;
    }
    let text = value.text(errors)?;
    Pattern::new(text).map_err(|problem| errors.add(&value.place, format!("{text:?}: {problem}"))).ok()
}

/// A number, a text, a list of them, or a source.
fn ports(value: yaml::Value, errors: &mut ConfigErrors) -> Option<Value> {
    if value.is_mapping() {
        return source(value, errors).map(Value::Source);
    }
    let texts: Vec<_> = value.texts_set(errors).into_iter().map(|(_, text)| text).collect();
    (!texts.is_empty()).then(|| Value::Literal(texts.join(", ").into()))
}

/// A text or a source.
fn read_value(value: yaml::Value, errors: &mut ConfigErrors) -> Option<Value> {
    if value.is_mapping() {
        return source(value, errors).map(Value::Source);
    }
    match value.text(errors)?.trim() {
        "" => {
            errors.add(&value.place, EMPTY);
            None
        }
        text => Some(Value::Literal(text.into())),
    }
}

/// A mapping of one entry.
fn source(value: yaml::Value, errors: &mut ConfigErrors) -> Option<Source> {
    let place = value.place.clone();
    let entries = value.mapping(errors)?.take_all();
    let number = entries.len();
    let mut sources = Vec::new();
    for (key, value) in entries {
        match source_kind(&key) {
            None => unknown_key(&key, &value.place, SOURCES, errors),
            Some(_) if value.is_null() => errors.add(&value.place, EMPTY),
            Some(kind) => {
                let name = value.text(errors);
                sources.extend(name.and_then(|name| named(kind, name, &value.place, errors)));
            }
        }
    }
    if number != 1 {
        errors.add(&place, format!("a source is one of {}", SOURCES.join(", ")));
        return None;
    }
    sources.pop()
}

/// A source of that name. A name that ends with `*` would keep the values of other variables.
fn named(kind: fn(&str) -> Source, name: &str, place: &Place, errors: &mut ConfigErrors) -> Option<Source> {
    let source = kind(name);
    let is_variable = matches!(source, Source::Environment(_));
    if name.trim().is_empty() {
        errors.add(place, EMPTY);
        return None;
    }
    if is_variable && name.contains(['*', '=', '\0']) {
        errors.add(place, format!("{name:?} is not the name of an environment variable"));
        return None;
    }
    Some(source)
}
