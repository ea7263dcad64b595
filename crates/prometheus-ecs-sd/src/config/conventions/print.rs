//! Conventions as YAML, which the configuration file takes and reads as the same conventions.

use std::fmt::Write;

use ecs_discovery::conventions::list::{Convention, Conventions};
use ecs_discovery::conventions::rule::{Condition, Ports, Rule, Source, Subject, Value};

/// The key `conventions`, with each rule in full; `None` if there is no rule.
pub(crate) fn yaml(conventions: &Conventions) -> Option<String> {
    conventions.rules().next()?;
    let mut text = "conventions:\n".to_owned();
    for convention in conventions.iter() {
        match convention {
            Convention::Variables(dialect) => {
                text += &format!("  - {} # reads environment variables, and is no rule\n", dialect.name());
            }
            Convention::Rules(_, rules) => rules.iter().for_each(|one| text += &rule(one)),
        }
    }
    Some(text)
}

fn rule(rule: &Rule) -> String {
    let mut keys = vec![format!("name: {}", word(&rule.name))];
    keys.extend(conditions(&rule.conditions));
    match &rule.ports {
        Ports::First => {}
        Ports::Container(one) => keys.push(format!("container_port: {}", ports(one))),
        Ports::Verbatim(one) => keys.push(format!("port: {}", ports(one))),
    }
    let values =
        [("path", &rule.path), ("scheme", &rule.scheme), ("interval", &rule.interval), ("job", &rule.job)];
    let values = values.into_iter().filter_map(|(key, one)| Some(format!("{key}: {}", value(one.as_ref()?))));
    keys.extend(values);
    keys.extend(rule.labels.as_ref().map(|labels| format!("labels: {}", source(labels))));
    let mut text = String::new();
    for (position, key) in keys.iter().enumerate() {
        let start = if position == 0 { "  - " } else { "    " };
        let _ = writeln!(text, "{start}{key}");
    }
    text
}

/// The key `match` with a line for each condition; those of one kind of source are one mapping.
fn conditions(conditions: &[Condition]) -> Option<String> {
    let mut lines: Vec<(&str, Vec<String>)> = Vec::new();
    for Condition { subject, pattern } in conditions {
        let (key, name) = keys(subject);
        let pattern = word(pattern.as_str());
        let Some(name) = name else {
            lines.push((key, vec![pattern]));
            continue;
        };
        let pair = format!("{}: {pattern}", word(name));
        match lines.last_mut() {
            Some((last, pairs)) if *last == key => pairs.push(pair),
            _ => lines.push((key, vec![pair])),
        }
    }
    let is_source = |key: &str| ["docker_label", "environment", "tag"].contains(&key);
    let lines = lines.into_iter().map(|(key, texts)| match (is_source(key), texts.join(", ")) {
        (true, pairs) => format!("\n      {key}: {{{pairs}}}"),
        (false, pattern) => format!("\n      {key}: {pattern}"),
    });
    (!conditions.is_empty()).then(|| format!("match:{}", lines.collect::<String>()))
}

/// The key of a condition, and the name below it.
fn keys(subject: &Subject) -> (&'static str, Option<&str>) {
    match subject {
        Subject::Cluster => ("cluster", None),
        Subject::Container => ("container", None),
        Subject::Family => ("family", None),
        Subject::Service => ("service", None),
        Subject::TaskDefinition => ("task_definition", None),
        Subject::Source(source) => {
            let (kind, name) = kind(source);
            (kind, Some(name))
        }
    }
}

fn kind(source: &Source) -> (&'static str, &str) {
    match source {
        Source::DockerLabel(name) => ("docker_label", name),
        Source::Environment(name) => ("environment", name),
        Source::Tag(name) => ("tag", name),
    }
}

/// A port is a number where it is alone.
fn ports(ports: &Value) -> String {
    match ports {
        Value::Literal(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.to_string(),
        other => value(other),
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Literal(text) => word(text),
        Value::Source(one) => source(one),
    }
}

fn source(source: &Source) -> String {
    let (kind, name) = kind(source);
    format!("{{{kind}: {}}}", word(name))
}

/// A text as it is if every reader of YAML takes it for a text, else in quotes: a JSON string is one of YAML.
fn word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let others = ["null", "true", "false", "yes", "no", "on", "off", "y", "n"];
    let is_text = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/')
        && text.bytes().all(is_plain)
        && !others.iter().any(|other| text.eq_ignore_ascii_case(other));
    if is_text { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}
