//! Makes a configuration from that of another tool which discovers containers on ECS: its patterns become rules.
//!
//! Each tool has a file in `import/`, which reads the tool's section. A pattern of these tools matches anywhere in a
//! text, and ours a whole text. What has no counterpart becomes a comment. The result is one that `check-config` accepts.

mod cloudwatch_agent;
mod ecs_observer;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod pattern;
mod printed;
mod settings;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use ecs_discovery::conventions::rule::{Condition, Ports, Rule, Source, Subject, Value as RuleValue};
use ecs_discovery::interval::Intervals;

use super::errors::ConfigErrors;
use super::yaml::{self, Mapping, Place, Value};
use settings::Settings;

/// The number of rules that a configuration may have.
const MAX_RULES: usize = 100;

/// The tools whose configuration can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// The CloudWatch agent.
    CloudwatchAgent,
    /// The extension `ecs_observer` of the OpenTelemetry Collector.
    EcsObserver,
}

/// The result of an import.
#[derive(Debug)]
pub(crate) struct Imported {
    /// The configuration file.
    pub(crate) config: String,
    /// What the user must know at once.
    pub(crate) warnings: Vec<String>,
}

/// Makes the configuration; `errors` knows the name of the file.
pub(crate) fn import(tool: Tool, text: &str, mut errors: ConfigErrors) -> Result<Imported, ConfigErrors> {
    let mut draft = Draft { prefix: tool.prefix(), ..Draft::default() };
    if let Some(root) = yaml::parse(text, &mut errors) {
        let place = root.place.clone();
        match tool {
            Tool::CloudwatchAgent => cloudwatch_agent::read(root, &mut draft, &mut errors),
            Tool::EcsObserver => ecs_observer::read(root, &mut draft, &mut errors),
        }
        let rules = draft.entries.iter().filter(|entry| matches!(entry, Entry::Rule(_))).count();
        if rules > MAX_RULES {
            errors.add(&place, format!("this makes {rules} rules; a configuration can have {MAX_RULES}"));
        }
        // A configuration without a convention is none, and another error may be the cause.
        if rules == 0 && errors.clone().into_result().is_ok() {
            errors.add(&place, "nothing here selects a container with a port, so there is no rule to write");
        }
    }
    errors.into_result()?;
    let settings = settings::printed(tool, &draft.settings);
    let conventions = printed::conventions(&draft.entries);
    Ok(Imported { config: settings + &conventions, warnings: draft.warnings })
}

impl Tool {
    /// The beginning of the names of its rules.
    fn prefix(self) -> &'static str {
        match self {
            Self::CloudwatchAgent => "cloudwatch_agent",
            Self::EcsObserver => "ecs_observer",
        }
    }
}

/// What was read so far.
#[derive(Debug, Default)]
struct Draft {
    prefix: &'static str,
    settings: Vec<Settings>,
    entries: Vec<Entry>,
    warnings: Vec<String>,
}

/// An entry of the list of conventions.
#[derive(Debug)]
enum Entry {
    Rule(Rule),
    Comment(String),
}

/// A text that a rule reads or has, with its place.
type Text = (Place, String);

/// A rule as it is read: the tools differ in the names of its parts only.
#[derive(Debug, Default)]
struct Parts {
    /// `service`, `definition` or `label`.
    kind: &'static str,
    /// The patterns of the other tool.
    patterns: Vec<(Subject, Text)>,
    cluster: Option<String>,
    ports: Vec<Text>,
    path: Option<Text>,
    job: Option<Text>,
}

impl Draft {
    /// Adds a rule with patterns, or a comment if it has no port.
    fn add(&mut self, parts: Parts, place: &Place, ports_key: &str, errors: &mut ConfigErrors) {
        if parts.ports.is_empty() {
            return self.leave_out(place, &format!("there is no {ports_key}"));
        }
        let (mut ports, mut places, mut is_whole) = (Vec::<&str>::new(), BTreeMap::new(), true);
        for (place, port) in &parts.ports {
            let is_port = port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse().is_ok_and(|port: u16| port > 0);
            match is_port {
                false => errors.add(place, format!("{port:?} is not a port, a number from 1 to 65535")),
                true if !ports.contains(&&**port) => ports.push(port),
                true => {}
            }
        }
        let mut conditions: Vec<_> =
            parts.cluster.iter().filter_map(|cluster| literal(Subject::Cluster, cluster)).collect();
        for (subject, (place, text)) in parts.patterns {
            places.insert(
                if subject == Subject::TaskDefinition { "match.task_definition" } else { "match" },
                place.clone(),
            );
            match pattern::whole(&text) {
                Ok(pattern) => conditions.push(Condition { subject, pattern }),
                Err(problem) => {
                    errors.add(&place, problem);
                    is_whole = false;
                }
            }
        }
        let mut value = |key: &'static str, text: Option<Text>| {
            let (place, text) = text?;
            places.insert(key, place);
            Some(RuleValue::Literal(text.into()))
        };
        let (path, job) = (value("path", parts.path), value("job", parts.job));
        // Without one of its conditions, the rule is another one.
        if !is_whole {
            return;
        }
        let ports = Ports::Container(RuleValue::Literal(ports.join(",").into()));
        let rule = Rule { conditions, path, job, ..self.rule(parts.kind, ports) };
        self.checked(rule, place, &places, errors);
    }

    /// Adds a rule that reads docker labels; if it names no job, the job is read from a label too.
    fn add_labels(&mut self, labels: Labels, place: &Place, errors: &mut ConfigErrors) {
        let source = |name: String| RuleValue::Source(Source::DockerLabel(name.into()));
        let Some((_, port)) = labels.port else {
            return self.leave_out(place, "the name of its port label is empty");
        };
        let job = labels.job.map(|(_, text)| RuleValue::Literal(text.into()));
        let rule = Rule {
            conditions: labels
                .cluster
                .iter()
                .filter_map(|cluster| literal(Subject::Cluster, cluster))
                .collect(),
            path: labels.path_label.map(|(_, name)| source(name)),
            job: job.or_else(|| labels.job_label.map(|(_, name)| source(name))),
            ..self.rule("label", Ports::Container(source(port)))
        };
        self.checked(rule, place, &BTreeMap::new(), errors);
    }

    fn rule(&self, kind: &str, ports: Ports) -> Rule {
        Rule::new(&format!("{}-{kind}", self.prefix), ports)
    }

    /// Adds the rule if it could be used; the other tool may accept what could never match.
    fn checked(
        &mut self,
        rule: Rule,
        place: &Place,
        places: &BTreeMap<&'static str, Place>,
        errors: &mut ConfigErrors,
    ) {
        for (key, problem) in rule.mistakes(&Intervals::default()) {
            // The ports have been checked one by one.
            if key != "container_port" {
                errors.add(places.get(key).unwrap_or(place), problem);
            }
        }
        self.entries.push(Entry::Rule(rule));
    }

    /// The other tool does nothing with a key.
    fn ignore(&mut self, place: &Place, why: &str) {
        self.entries.push(Entry::Comment(format!("{place} is left out: {why}.")));
    }

    /// The other tool discovers nothing there.
    fn leave_out(&mut self, place: &Place, why: &str) {
        let text = format!("{place} is left out, because it discovered nothing: {why}.");
        self.warnings.push(text.clone());
        self.entries.push(Entry::Comment(text));
    }
}

/// The docker labels that say what is scraped.
#[derive(Debug, Default)]
struct Labels {
    cluster: Option<String>,
    port: Option<Text>,
    path_label: Option<Text>,
    job_label: Option<Text>,
    job: Option<Text>,
}

/// A condition that a text is exactly this one.
fn literal(subject: Subject, text: &str) -> Option<Condition> {
    Some(Condition { subject, pattern: pattern::literal(text)? })
}

/// Reads texts, and refuses those that could not be written into a line.
struct Reader<'a> {
    mapping: Mapping,
    errors: &'a mut ConfigErrors,
    /// What a tool does with a text before it uses it.
    unescape: fn(&str) -> Result<String, &'static str>,
}

impl Reader<'_> {
    /// The text of a key; `None` if it is absent or empty.
    fn text(&mut self, key: &str) -> Option<Text> {
        self.present(key).filter(|(_, text)| !text.trim().is_empty())
    }

    /// The same, but an empty text is told from an absent one.
    fn present(&mut self, key: &str) -> Option<Text> {
        let value = self.mapping.take(key)?;
        self.read(&value)
    }

    /// The text of a key that the tool requires.
    fn required(&mut self, key: &str) -> Option<Text> {
        let text = self.text(key);
        if text.is_none() {
            let place = self.mapping.place.clone();
            self.errors.add(&place, format!("there is no {key}"));
        }
        text
    }

    /// The texts of a list.
    fn texts(&mut self, key: &str) -> Vec<Text> {
        let Some(value) = self.mapping.take(key) else { return Vec::new() };
        let texts = value.texts(self.errors);
        texts.into_iter().filter_map(|(place, text)| self.unescaped(place, &text)).collect()
    }

    fn read(&mut self, value: &Value) -> Option<Text> {
        let text = value.text(self.errors)?.to_owned();
        self.unescaped(value.place.clone(), &text)
    }

    fn unescaped(&mut self, place: Place, text: &str) -> Option<Text> {
        let text = (self.unescape)(text).and_then(|text| match text.chars().any(char::is_control) {
            true => Err("this has a control character"),
            false => Ok(text),
        });
        text.map_err(|problem| self.errors.add(&place, problem)).ok().map(|text| (place, text))
    }

    fn finish(self) {
        self.mapping.finish(self.errors);
    }
}
