//! Reads YAML and records all errors, each with its line and path.
//!
//! The caller takes the [`Value`] of each key with the expected type; a key that is never taken is an error. Anchors,
//! tags and several documents in one file are not supported: configuration does not need them. An alias is an error
//! where its value is taken.

use std::collections::BTreeSet;

use saphyr_parser::{Event, Parser, ScalarStyle, Span};

use super::errors::ConfigErrors;
use super::similar::similar;

/// The nesting limit: deeper than any configuration, and harmless for the stack.
const DEPTH: usize = 16;

/// The error for an empty value.
pub(crate) const EMPTY: &str = "this is empty; remove it";

/// The error for an alias.
const ALIAS: &str = "anchors and aliases are not supported; write the value in full";

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) line: usize,
    /// Such as `sources[1].role`; empty for the whole file.
    pub(super) path: String,
}

/// A value with its place.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    pub(crate) place: Place,
    node: Node,
}

#[derive(Clone, Debug)]
enum Node {
    Null,
    /// Refused when it is taken: a file of another program may have some that are not read.
    Alias,
    Scalar(String),
    Sequence(Vec<Value>),
    Mapping(Vec<(String, Value)>),
}

/// Keys and their values, until they are taken.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) place: Place,
    entries: Vec<(String, Value)>,
    asked_for: Vec<String>,
}

/// Reads a whole file; records an error and returns `None` if it is not YAML.
pub(crate) fn parse(text: &str, errors: &mut ConfigErrors) -> Option<Value> {
    let mut tree = Tree { events: Parser::new_from_str(text), errors };
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
                tree.errors.add(&place, "a second document begins here; only one is read");
                return None;
            }
            event => document = Some(tree.value(event, span, String::new(), 0)?),
        }
    }
    // A file with only comments is empty.
    Some(document.unwrap_or(Value { place: root, node: Node::Null }))
}

struct Tree<'t, 'p> {
    events: Parser<'t, saphyr_parser::StrInput<'t>>,
    errors: &'p mut ConfigErrors,
}

impl<'t> Tree<'t, '_> {
    /// The next event; `None` if this is not YAML.
    fn next(&mut self) -> Option<(Event<'t>, Span)> {
        self.events
            .next()?
            .map_err(|error| {
                let place = Place { line: error.marker().line(), path: String::new() };
                self.errors.add(&place, format!("this is not YAML: {}", error.info()));
            })
            .ok()
    }

    fn value(&mut self, event: Event<'t>, span: Span, path: String, depth: usize) -> Option<Value> {
        let place = Place { line: span.start.line(), path };
        if depth > DEPTH {
            self.errors.add(&place, "this is nested too deeply");
            return None;
        }
        let node = match event {
            Event::Scalar(text, style, ..) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null");
                if is_null { Node::Null } else { Node::Scalar(text.into_owned()) }
            }
            Event::SequenceStart(..) => self.sequence(&place.path, depth)?,
            Event::MappingStart(..) => self.mapping(&place.path, depth)?,
            _ => Node::Alias,
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
                    self.errors.add(&place, "a key must be a word");
                    return None;
                }
            };
            let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
            let (event, value_span) = self.next()?;
            let mut value = self.value(event, value_span, path, depth + 1)?;
            // The line of the key, even if the value begins on the next line.
            value.place.line = span.start.line();
            if keys.insert(key.clone()) {
                entries.push((key, value));
            } else {
                self.errors.add(&value.place, "this key occurs twice");
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
    /// This path with the line of another place, whose path must not be shown.
    pub(crate) fn at(&self, line_of: &Self) -> Self {
        Self { line: line_of.line, path: self.path.clone() }
    }

    /// The line in the file.
    pub(crate) fn line(&self) -> usize {
        self.line
    }
}

impl Value {
    /// A text, number or boolean, as it is written.
    pub(crate) fn text(&self, errors: &mut ConfigErrors) -> Option<&str> {
        match &self.node {
            Node::Scalar(text) => Some(text),
            Node::Null => None,
            Node::Sequence(_) => self.refuse("this is a list; write one value", errors),
            Node::Mapping(_) => self.refuse("this is a mapping; write one value", errors),
            Node::Alias => self.refuse(ALIAS, errors),
        }
    }

    /// A list of texts, or a single one.
    pub(crate) fn texts(&self, errors: &mut ConfigErrors) -> Vec<(Place, String)> {
        let values = match &self.node {
            Node::Sequence(values) => &values[..],
            _ => std::slice::from_ref(self),
        };
        let text = |value: &Value| match &value.node {
            Node::Null => value.refuse(EMPTY, errors),
            Node::Scalar(text) if text.trim().is_empty() => value.refuse(EMPTY, errors),
            _ => Some((value.place.clone(), value.text(errors)?.to_owned())),
        };
        values.iter().filter_map(text).collect()
    }

    /// The same, but an empty list is an error: its author may mean none instead of the default.
    pub(crate) fn texts_set(&self, errors: &mut ConfigErrors) -> Vec<(Place, String)> {
        if matches!(&self.node, Node::Sequence(values) if values.is_empty()) {
            self.refuse::<()>("this list is empty; remove the key for the default", errors);
        }
        self.texts(errors)
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, errors: &mut ConfigErrors) -> Option<bool> {
        match self.text(errors)? {
            "true" => Some(true),
            "false" => Some(false),
            text => self.refuse(&format!("{text:?} is neither true nor false"), errors),
        }
    }

    /// A list of any values.
    pub(crate) fn sequence(self, errors: &mut ConfigErrors) -> Vec<Value> {
        match self.node {
            Node::Sequence(values) => values,
            Node::Null => Vec::new(),
            Node::Alias => self.refuse(ALIAS, errors).unwrap_or_default(),
            _ => self.refuse("this must be a list, each item after a dash", errors).unwrap_or_default(),
        }
    }

    /// Keys and values.
    pub(crate) fn mapping(self, errors: &mut ConfigErrors) -> Option<Mapping> {
        let entries = match self.node {
            Node::Mapping(entries) => entries,
            Node::Null => Vec::new(),
            Node::Alias => return self.refuse(ALIAS, errors),
            _ => return self.refuse("this must be a mapping, such as key: value", errors),
        };
        Some(Mapping { place: self.place, entries, asked_for: Vec::new() })
    }

    /// A list of any values, or a single text.
    pub(crate) fn items(self, errors: &mut ConfigErrors) -> Vec<Value> {
        if matches!(self.node, Node::Scalar(_)) { vec![self] } else { self.sequence(errors) }
    }

    /// Whether this has keys and values.
    pub(crate) fn is_mapping(&self) -> bool {
        matches!(self.node, Node::Mapping(_))
    }

    /// Whether there is no value.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self.node, Node::Null)
    }

    fn refuse<T>(&self, problem: &str, errors: &mut ConfigErrors) -> Option<T> {
        errors.add(&self.place, problem);
        None
    }
}

impl Mapping {
    /// The value of a key, unless it is empty.
    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.take_present(key).filter(|value| !matches!(value.node, Node::Null))
    }

    /// The value of a key; records an error if it is empty.
    pub(crate) fn take_set(&mut self, key: &str, errors: &mut ConfigErrors) -> Option<Value> {
        let value = self.take_present(key)?;
        if matches!(value.node, Node::Null) { value.refuse(EMPTY, errors) } else { Some(value) }
    }

    /// The value of a key, even if it is empty.
    pub(crate) fn take_present(&mut self, key: &str) -> Option<Value> {
        self.asked_for.push(key.to_owned());
        let position = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(position).1)
    }

    /// Whether no keys are left.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether a key is left.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|(name, _)| name == key)
    }

    /// All keys that are left.
    pub(crate) fn take_all(&mut self) -> Vec<(String, Value)> {
        std::mem::take(&mut self.entries)
    }

    /// Records an error for each key that was not taken.
    pub(crate) fn finish(self, errors: &mut ConfigErrors) {
        for (key, value) in &self.entries {
            unknown_key(key, &value.place, self.asked_for.iter().map(|known| &**known), errors);
        }
    }
}

/// Records an error for a key that does not exist.
pub(crate) fn unknown_key<'a>(
    key: &str,
    place: &Place,
    known: impl IntoIterator<Item = &'a str>,
    errors: &mut ConfigErrors,
) {
    match similar(key, known) {
        Some(known) => errors.add(place, format!("there is no such key; did you mean {known}?")),
        None => errors.add(place, "there is no such key"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    /// Reads a file that may have a `name`, a list of `clusters` and a flag `own`.
    fn check(text: &str) -> String {
        let mut errors = ConfigErrors::of(std::path::Path::new("config.yml"));
        let mut read = String::new();
        if let Some(mut mapping) = parse(text, &mut errors).and_then(|value| value.mapping(&mut errors)) {
            let name = mapping.take("name").and_then(|value| value.text(&mut errors).map(str::to_owned));
            let clusters = mapping.take("clusters").map(|value| value.texts(&mut errors));
            let clusters: Vec<_> = clusters.into_iter().flatten().map(|(_, text)| text).collect();
            let own = mapping.take("own").and_then(|value| value.flag(&mut errors));
            mapping.finish(&mut errors);
            read = format!("{name:?} {clusters:?} {own:?}");
        }
        errors.into_result().map_or_else(|errors| errors.to_string(), |()| read)
    }

    #[test]
    fn values_are_read_as_they_are_written() {
        let full = "# a comment\nname: 1m\nclusters: [prod, \"a: b\"]\nown: false\n";
        assert_eq!(check(full), r#"Some("1m") ["prod", "a: b"] Some(false)"#);
        assert_eq!(check("clusters: prod\nname: ~\nown:\n"), r#"None ["prod"] None"#);
        assert_eq!(check("name: \"\""), r#"Some("") [] None"#);
        for empty in ["", "---\n", "# nothing\n", "null", "{}"] {
            assert_eq!(check(empty), "None [] None", "{empty:?}");
        }
    }

    #[test]
    fn every_error_has_its_line_and_path() {
        let text = "nmae: x\nname:\n  - a\nclusters:\n  - a\n  - b: c\nown: yes\nown: true\nnumbers: 1\n";
        assert_snapshot!(check(text), @r#"
        config.yml:1: nmae: there is no such key; did you mean name?
        config.yml:2: name: this is a list; write one value
        config.yml:6: clusters[1]: this is a mapping; write one value
        config.yml:7: own: "yes" is neither true nor false
        config.yml:8: own: this key occurs twice
        config.yml:9: numbers: there is no such key
        "#);
    }

    #[test]
    fn a_file_that_is_not_a_mapping_is_an_error() {
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
        config.yml:1: this must be a mapping, such as key: value
        config.yml:1: this must be a mapping, such as key: value
        config.yml:2: this is not YAML: while parsing a node, did not find expected node content
        config.yml:2: clusters: anchors and aliases are not supported; write the value in full
        config.yml:1: a key must be a word
        config.yml:2: a second document begins here; only one is read
        Some("x") [] None
        config.yml:1: [0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0][0]: this is nested too deeply
        "#);
    }
}
