//! YAML whose mistakes are all found at once, each with its line and path.
//!
//! What a key may hold is asked of the [`Value`] under it; what no one asked for is a mistake too. Anchors, tags and
//! several documents in one file are not read: configuration has no use for them.

use std::collections::BTreeSet;
use std::path::Path;

use ecs_discovery::text::count;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::Mistakes;
use super::similar::similar;

/// Deeper than any configuration, and not deep enough to harm.
const DEPTH: usize = 16;

/// What is wrong with a value that says nothing.
pub(crate) const EMPTY: &str = "this is empty; leave it out";

/// More mistakes than anyone corrects before the next try.
const TOLD: usize = 100;

/// What is wrong with one file.
#[derive(Clone, Debug)]
pub(crate) struct Problems {
    file: String,
    found: Vec<(usize, String)>,
}

/// Where something stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    line: usize,
    /// Such as `sources[1].role`; empty for the whole.
    path: String,
}

/// What stands somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Null,
    Scalar(String),
    Sequence(Vec<Value>),
    Mapping(Vec<(String, Value)>),
}

/// Keys and what is under them, until they are taken.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) place: Place,
    entries: Vec<(String, Value)>,
    asked_for: Vec<String>,
}

impl Problems {
    /// Of a file in which nothing was found yet.
    pub(crate) fn of(file: &Path) -> Self {
        Self { file: file.display().to_string(), found: Vec::new() }
    }

    /// Notes one.
    pub(crate) fn add(&mut self, place: &Place, problem: impl AsRef<str>) {
        let (Place { line, path }, problem) = (place, problem.as_ref());
        let text = if path.is_empty() { problem.to_owned() } else { format!("{path}: {problem}") };
        self.found.push((*line, text));
    }

    /// All of them by line, if there are any.
    pub(crate) fn into_result(mut self) -> Result<(), Mistakes> {
        if self.found.is_empty() {
            return Ok(());
        }
        self.found.sort_by_key(|(line, _)| *line);
        let (file, more) = (&self.file, self.found.len().saturating_sub(TOLD));
        let told = self.found.iter().take(TOLD).map(|(line, text)| format!("{file}:{line}: {text}"));
        let rest = (more > 0).then(|| format!("{file}: {}", count(more, "more mistake")));
        Err(Mistakes(told.chain(rest).collect()))
    }
}

/// Reads a whole file; `None` if it is no YAML, which is noted.
pub(crate) fn parse(text: &str, problems: &mut Problems) -> Option<Value> {
    let mut tree = Tree { events: Parser::new_from_str(text), problems };
    let root = Place { line: 1, path: String::new() };
    let mut document = None;
    loop {
        let (event, span) = tree.next()?;
        match event {
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::DocumentStart(_) if document.is_none() => {}
            Event::StreamEnd => break,
            _ if document.is_some() => {
                let place = Place { line: span.start.line(), path: String::new() };
                tree.problems.add(&place, "a second document begins here; only one is read");
                return None;
            }
            event => document = Some(tree.value(event, span, String::new(), 0)?),
        }
    }
    // A file of nothing but comments sets nothing.
    Some(document.unwrap_or(Value { place: root, node: Node::Null }))
}

struct Tree<'t, 'p> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    problems: &'p mut Problems,
}

impl<'t> Tree<'t, '_> {
    /// The next event; `None` if this is no YAML.
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        self.events
            .next()?
            .map_err(|error| {
                let place = Place { line: error.marker().line(), path: String::new() };
                self.problems.add(&place, format!("this is not YAML: {}", error.info()));
            })
            .ok()
    }

    fn value(&mut self, event: Event<'t>, span: Span, path: String, depth: usize) -> Option<Value> {
        let place = Place { line: span.start.line(), path };
        if depth > DEPTH {
            self.problems.add(&place, "this is nested too deeply");
            return None;
        }
        let node = match event {
            Event::Scalar(text, style, ..) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                if is_null { Node::Null } else { Node::Scalar(text.into_owned()) }
            }
            Event::SequenceStart(..) => self.sequence(&place.path, depth)?,
            Event::MappingStart(..) => self.mapping(&place.path, depth)?,
            _ => {
                self.problems.add(&place, "anchors and aliases are not read; write it out");
                return None;
            }
        };
        Some(Value { place, node })
    }

    fn sequence(&mut self, path: &str, depth: usize) -> Option<Node> {
        let mut values = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                break;
            }
            let path = format!("{path}[{}]", values.len());
            values.push(self.value(event, span, path, depth + 1)?);
        }
        Some(Node::Sequence(values))
    }

    fn mapping(&mut self, path: &str, depth: usize) -> Option<Node> {
        let mut entries: Vec<(String, Value)> = Vec::new();
        let mut keys = BTreeSet::new();
        loop {
            let (event, span) = self.next()?;
            let key = match event {
                Event::MappingEnd => break,
                Event::Scalar(key, ..) => key.into_owned(),
                _ => {
                    let place = Place { line: span.start.line(), path: path.to_owned() };
                    self.problems.add(&place, "a key must be a word");
                    return None;
                }
            };
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let (event, value_span) = self.next()?;
            let mut value = self.value(event, value_span, path, depth + 1)?;
            // Where a reader looks for it, also if what it holds begins on the next line.
            value.place.line = span.start.line();
            if keys.insert(key.clone()) {
                entries.push((key, value));
            } else {
                self.problems.add(&value.place, "this key stands here twice");
            }
        }
        Some(Node::Mapping(entries))
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.path)
    }
}

impl Place {
    /// The line of another place, for what its path is not to tell.
    pub(crate) fn at(&self, line_of: &Self) -> Self {
        Self { line: line_of.line, path: self.path.clone() }
    }
}

impl Value {
    /// One text, number or truth value, as it is written.
    pub(crate) fn text(&self, problems: &mut Problems) -> Option<&str> {
        match &self.node {
            Node::Scalar(text) => Some(text),
            Node::Null => None,
            Node::Sequence(_) => self.refuse("a list stands here; write one value", problems),
            Node::Mapping(_) => self.refuse("a mapping stands here; write one value", problems),
        }
    }

    /// A list of texts, or a single one.
    pub(crate) fn texts(&self, problems: &mut Problems) -> Vec<(Place, String)> {
        let values = match &self.node {
            Node::Sequence(values) => &values[..],
            _ => std::slice::from_ref(self),
        };
        let text = |value: &Value| match &value.node {
            Node::Null => value.refuse(EMPTY, problems),
            Node::Scalar(text) if text.trim().is_empty() => value.refuse(EMPTY, problems),
            _ => Some((value.place.clone(), value.text(problems)?.to_owned())),
        };
        values.iter().filter_map(text).collect()
    }

    /// The same, but an empty list is a mistake: its author may mean nothing, not the default.
    pub(crate) fn texts_set(&self, problems: &mut Problems) -> Vec<(Place, String)> {
        if matches!(&self.node, Node::Sequence(values) if values.is_empty()) {
            self.refuse::<()>("this list is empty; leave the key out for the default", problems);
        }
        self.texts(problems)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, problems: &mut Problems) -> Option<bool> {
        match self.text(problems)? {
            "true" => Some(true),
            "false" => Some(false),
            text => self.refuse(&format!("{text:?} is neither true nor false"), problems),
        }
    }

    /// A list of anything.
    pub(crate) fn sequence(self, problems: &mut Problems) -> Vec<Value> {
        match self.node {
            Node::Sequence(values) => values,
            Node::Null => Vec::new(),
            _ => self.refuse("a list belongs here, each item after a dash", problems).unwrap_or_default(),
        }
    }

    /// Keys and values.
    pub(crate) fn mapping(self, problems: &mut Problems) -> Option<Mapping> {
        let entries = match self.node {
            Node::Mapping(entries) => entries,
            Node::Null => Vec::new(),
            _ => return self.refuse("a mapping belongs here, such as key: value", problems),
        };
        Some(Mapping { place: self.place, entries, asked_for: Vec::new() })
    }

    fn refuse<T>(&self, problem: &str, problems: &mut Problems) -> Option<T> {
        problems.add(&self.place, problem);
        None
    }
}

impl Mapping {
    /// What is under a key, unless that is nothing.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.take_present(key).filter(|value| !matches!(value.node, Node::Null))
    }

    /// What is under a key; that it is nothing is noted.
    pub(crate) fn take_set(&mut self, key: &str, problems: &mut Problems) -> Option<Value> {
        let value = self.take_present(key)?;
        if matches!(value.node, Node::Null) { value.refuse(EMPTY, problems) } else { Some(value) }
    }

    /// The value of a key, even if it is empty.
    pub(crate) fn take_present(&mut self, key: &str) -> Option<Value> {
        self.asked_for.push(key.to_owned());
        let position = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(position).1)
    }

    /// Whether there are no keys, or no more.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All that is left, whatever its keys.
    pub(crate) fn take_all(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.entries)
    }

    /// What was not asked for has no meaning.
    pub(crate) fn finish(self, problems: &mut Problems) {
        for (key, value) in &self.entries {
            match similar(key, self.asked_for.iter().map(|known| &**known)) {
                Some(known) => {
                    problems.add(&value.place, format!("there is no such key; is {known} meant?"));
                }
                None => problems.add(&value.place, "there is no such key"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    /// Reads a file that may have a `name`, a list of `clusters` and a flag `own`.
    fn check(text: &str) -> String {
        let mut problems = Problems::of(Path::new("config.yml"));
        let mut read = String::new();
        if let Some(mut mapping) = parse(text, &mut problems).and_then(|value| value.mapping(&mut problems)) {
            let name = mapping.take("name").and_then(|value| value.text(&mut problems).map(str::to_owned));
            let clusters = mapping.take("clusters").map(|value| value.texts(&mut problems));
            let clusters: Vec<_> = clusters.into_iter().flatten().map(|(_, text)| text).collect();
            let own = mapping.take("own").and_then(|value| value.flag(&mut problems));
            mapping.finish(&mut problems);
            read = format!("{name:?} {clusters:?} {own:?}");
        }
        problems.into_result().map_or_else(|mistakes| mistakes.to_string(), |()| read)
    }

    #[test]
    fn what_is_there_is_read_as_it_is_written() {
        let full = "# a comment\nname: 1m\nclusters: [prod, \"a: b\"]\nown: false\n";
        assert_eq!(check(full), r#"Some("1m") ["prod", "a: b"] Some(false)"#);
        assert_eq!(check("clusters: prod\nname: ~\nown:\n"), r#"None ["prod"] None"#);
        assert_eq!(check("name: \"\""), r#"Some("") [] None"#);
        for empty in ["", "---\n", "# nothing\n", "null", "{}"] {
            assert_eq!(check(empty), "None [] None", "{empty:?}");
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_path() {
        let text = "nmae: x\nname:\n  - a\nclusters:\n  - a\n  - b: c\nown: yes\nown: true\nnumbers: 1\n";
        assert_snapshot!(check(text), @r#"
        config.yml:1: nmae: there is no such key; is name meant?
        config.yml:2: name: a list stands here; write one value
        config.yml:6: clusters[1]: a mapping stands here; write one value
        config.yml:7: own: "yes" is neither true nor false
        config.yml:8: own: this key stands here twice
        config.yml:9: numbers: there is no such key
        "#);
    }

    #[test]
    fn what_is_no_mapping_says_so() {
        let deep = "[".repeat(100) + &"]".repeat(100);
        let texts = [
            "- a",
            "a",
            "name: [",
            "name: &a x\nclusters: *a",
            "? [a]\n: b",
            "--- a\n--- b\n",
            "\tname: x",
            &deep,
        ];
        let told: Vec<_> = texts.into_iter().map(check).collect();
        assert_snapshot!(told.join("\n"), @r#"
        config.yml:1: a mapping belongs here, such as key: value
        config.yml:1: a mapping belongs here, such as key: value
        config.yml:2: this is not YAML: while parsing a node, did not find expected node content
        config.yml:2: clusters: anchors and aliases are not read; write it out
        config.yml:1: a key must be a word
        config.yml:2: a second document begins here; only one is read
        Some("x") [] None
        config.yml:1: [0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: this is nested too deeply
        "#);
    }
}
