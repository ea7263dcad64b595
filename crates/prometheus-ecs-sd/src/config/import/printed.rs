//! Writes rules as the configuration file has them.

use std::collections::BTreeMap;

use ecs_discovery::conventions::rule::{Condition, Ports, Rule, Source, Subject, Value};

use super::super::scalar::{comment, scalar};
use super::Entry;

/// The key `conventions`, which is never empty.
pub(super) fn conventions(entries: &[Entry]) -> String {
    let entries = entries.iter().map(|entry| match entry {
        Entry::Rule(rule) => printed(rule),
        Entry::Comment(text) => comment("  ", text),
    });
    format!("conventions:\n{}", entries.collect::<String>())
}

fn printed(rule: &Rule) -> String {
    let mut lines = vec![format!("  - name: {}", scalar(&rule.name))];
    if !rule.conditions.is_empty() {
        lines.push("    match:".to_owned());
        lines.extend(conditions(&rule.conditions));
    }
    let ports = match &rule.ports {
        Ports::First => None,
        Ports::Container(ports) => Some(("container_port", port_list(ports))),
        Ports::Verbatim(ports) => Some(("port", port_list(ports))),
    };
    let values =
        [("path", &rule.path), ("scheme", &rule.scheme), ("interval", &rule.interval), ("job", &rule.job)];
    let values = values.into_iter().filter_map(|(key, value)| Some((key, text(value.as_ref()?))));
    let labels = rule.labels.iter().map(|labels| ("labels", source(labels)));
    let all = ports.into_iter().chain(values).chain(labels);
    lines.extend(all.map(|(key, value)| format!("    {key}: {value}")));
    lines.join("\n") + "\n"
}

/// The keys of `match`: names first, then mappings of names to patterns.
fn conditions(conditions: &[Condition]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut mappings: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for Condition { subject, pattern } in conditions {
        let pattern = scalar(pattern.as_str());
        let key = match subject {
            Subject::Cluster => "cluster",
            Subject::Container => "container",
            Subject::Family => "family",
            Subject::Service => "service",
            Subject::TaskDefinition => "task_definition",
            Subject::Source(source) => {
                let (kind, name) = parts(source);
                mappings.entry(kind).or_default().push(format!("{}: {pattern}", scalar(name)));
                continue;
            }
        };
        lines.push(format!("      {key}: {pattern}"));
    }
    lines.extend(mappings.iter().map(|(kind, pairs)| format!("      {kind}: {{ {} }}", pairs.join(", "))));
    lines
}

/// A list of numbers, or a single one.
fn port_list(value: &Value) -> String {
    match value {
        Value::Literal(ports) if ports.contains(',') => format!("[{}]", ports.replace(',', ", ")),
        Value::Literal(port) => port.to_string(),
        Value::Source(place) => source(place),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Literal(text) => scalar(text),
        Value::Source(place) => source(place),
    }
}

fn source(source: &Source) -> String {
    let (kind, name) = parts(source);
    format!("{{ {kind}: {} }}", scalar(name))
}

fn parts(source: &Source) -> (&'static str, &str) {
    match source {
        Source::DockerLabel(name) => ("docker_label", name),
        Source::Environment(name) => ("environment", name),
        Source::Tag(name) => ("tag", name),
    }
}
