//! What is wrong with a rule, found when it is read and not when a task appears.

use super::ports::ITEMS;
use super::{Ports, Rule, Source, Subject, Value, ports};
use crate::conventions::path::Path;
use crate::conventions::rule::reading::{interval, scheme};
use crate::interval::Intervals;

/// The longest name of a convention.
const NAME_BYTES: usize = 63;

impl Rule {
    /// What could never be used as it is written: the key, and what is wrong and what to do.
    pub fn mistakes(&self, intervals: &Intervals) -> Vec<(&'static str, String)> {
        let mut mistakes = Vec::new();
        if !is_name(&self.name) {
            let text = format!(
                "{:?} is not a name; use lower-case letters, digits, _ and -, beginning with a letter or digit, at most {NAME_BYTES}",
                self.name
            );
            mistakes.push(("name", text));
        }
        let key = match self.ports {
            Ports::First => "",
            Ports::Container(_) => "container_port",
            Ports::Verbatim(_) => "port",
        };
        if let Some(Value::Literal(text)) = self.ports.value() {
            let items = ports::items(text);
            if items.len() > ITEMS {
                mistakes.push((key, format!("there are {} ports; use up to {ITEMS}", items.len())));
            }
            if items.is_empty() {
                mistakes.push((key, "there is no port; write a number from 1 to 65535".to_owned()));
            }
            let read = items.into_iter().map(|item| ports::read("the port", item, intervals));
            let bad =
                read.filter_map(|read| read.map_or_else(|problem| Some(problem.detail), |item| item.warning));
            mistakes.extend(bad.map(|problem| (key, problem)));
        }
        if let Some(Value::Literal(text)) = &self.path {
            mistakes.extend(Path::read("the path", text).err().map(|problem| ("path", problem.detail)));
        }
        if let Some(Value::Literal(text)) = &self.scheme {
            mistakes.extend(scheme("the scheme", text).err().map(|problem| ("scheme", problem.detail)));
        }
        if let Some(Value::Literal(text)) = &self.interval {
            mistakes.extend(interval("the interval", text, intervals).err().map(|text| ("interval", text)));
        }
        for condition in &self.conditions {
            // Every ARN has a colon, and a pattern that matches one has that, or a dot for it.
            let text = condition.pattern.as_str();
            if condition.subject == Subject::TaskDefinition && !text.contains([':', '.', '\\', '[']) {
                let text = format!("{text:?} matches no ARN; use family, or a pattern such as .*/{text}:.*");
                mistakes.push(("match.task_definition", text));
            }
        }
        for source in self.sources() {
            // It would keep the values of all variables that begin with it.
            if let Source::Environment(name) = source
                && name.ends_with('*')
            {
                mistakes.push(("environment", format!("{name:?} is not the name of a variable")));
            }
        }
        if self.conditions.is_empty() && self.ports.value().and_then(Value::source).is_none() {
            let text = "the rule would scrape every container; write match: {container: .*} if that is meant";
            mistakes.push(("match", text.to_owned()));
        }
        mistakes
    }
}

fn is_name(name: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=NAME_BYTES).contains(&name.len())
        && name.bytes().next().is_some_and(is_word)
        && name.bytes().all(|byte| is_word(byte) || byte == b'_' || byte == b'-')
}
