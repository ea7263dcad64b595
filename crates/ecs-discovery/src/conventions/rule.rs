//! A rule that the operator writes: which containers are scraped, and where.
//!
//! The built-in conventions of other tools are rules too. A rule is plain data; `reading` applies it to a container.
//! Its patterns are compiled when it is made, never from a text of a task definition.

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod mistakes;
pub(crate) mod pairs;
pub(crate) mod ports;
pub(crate) mod reading;

use std::fmt;
use std::sync::Arc;

use crate::conventions::environment::SettingSource;
use regex_lite::{Regex, RegexBuilder};

/// One rule of a convention.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The convention that it is a part of.
    pub name: Arc<str>,
    /// Where it is written, as `config.yml:4`; `None` for a built-in.
    pub place: Option<Arc<str>>,
    /// All of them must hold.
    pub conditions: Vec<Condition>,
    /// The ports that it scrapes.
    pub ports: Ports,
    /// `None` leaves the path to the scrape job.
    pub path: Option<Value>,
    /// `None` leaves the scheme to the scrape job.
    pub scheme: Option<Value>,
    /// `None` leaves the interval to the scrape job.
    pub interval: Option<Value>,
    /// The label `job`.
    pub job: Option<Value>,
    /// Text of the form `key=value,key=value`.
    pub labels: Option<Source>,
}

/// The ports that a rule scrapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ports {
    /// The first TCP port mapping of the container.
    First,
    /// Container ports, wherever they are reachable.
    Container(Value),
    /// Ports as they are, in every network mode.
    Verbatim(Value),
}

impl Ports {
    /// Where their text comes from.
    pub fn value(&self) -> Option<&Value> {
        match self {
            Self::First => None,
            Self::Container(value) | Self::Verbatim(value) => Some(value),
        }
    }
}

/// A text of the rule, or the place in a task or its definition that has the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// The text.
    Literal(Box<str>),
    /// The place.
    Source(Source),
}

impl Value {
    /// Where the text comes from, unless the rule has it.
    pub fn source(&self) -> Option<&Source> {
        match self {
            Self::Literal(_) => None,
            Self::Source(source) => Some(source),
        }
    }
}

/// A place in a task or its definition. Its text is trimmed; an absent text is empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// A docker label of the container definition.
    DockerLabel(Arc<str>),
    /// A variable of the container definition's `environment`, or of the task's container overrides, which win.
    Environment(Arc<str>),
    /// A tag of the task, else of its service, else of its definition.
    Tag(Arc<str>),
}

impl Source {
    /// Whether it is this name in this place.
    pub(crate) fn is_named(&self, place: SettingSource, name: &str) -> bool {
        match (self, place) {
            (Self::DockerLabel(own), SettingSource::DockerLabels)
            | (Self::Environment(own), SettingSource::Environment | SettingSource::Overrides) => {
                **own == *name
            }
            _ => false,
        }
    }

    /// Whether the text is in the container definition, whose author then expects a target.
    pub(crate) fn is_the_containers(&self) -> bool {
        matches!(self, Self::DockerLabel(_) | Self::Environment(_))
    }
}

/// As sentences name it.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DockerLabel(name) => write!(f, "docker label {name}"),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Tag(name) => write!(f, "tag {name}"),
        }
    }
}

/// A text must match a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which text.
    pub subject: Subject,
    /// The pattern.
    pub pattern: Pattern,
}

/// The text of a condition.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The cluster's name.
    Cluster,
    /// The container's name.
    Container,
    /// The family of the task definition.
    Family,
    /// The name after `service:` in the task's group; empty for other tasks.
    Service,
    /// The ARN of the task definition, with its revision.
    TaskDefinition,
    /// A place in the task or its definition.
    Source(Source),
}

/// As sentences name it.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cluster => f.write_str("cluster"),
            Self::Container => f.write_str("container"),
            Self::Family => f.write_str("family"),
            Self::Service => f.write_str("service"),
            Self::TaskDefinition => f.write_str("task definition"),
            Self::Source(source) => source.fmt(f),
        }
    }
}

/// The longest pattern, in bytes.
pub const PATTERN_BYTES: usize = 1024;

/// The largest compiled pattern, in bytes. A pattern of [`PATTERN_BYTES`] without repetitions has less.
const COMPILED_BYTES: usize = 256 * 1024;

/// A regular expression, which must match a whole text. Matching takes linear time.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    kind: Kind,
}

/// Most patterns of rules are a plain text, or ask whether there is any.
#[derive(Clone)]
enum Kind {
    /// `X`
    Is,
    /// `.+`
    Any,
    /// `.*`
    All,
    Regex(Regex),
}

impl Pattern {
    /// Compiles a pattern, or says why it is none.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES {
            return Err(format!("the pattern has {} bytes; it can have {PATTERN_BYTES}", text.len()));
        }
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_/:@ ".contains(&byte);
        let kind = match text {
            ".+" => Kind::Any,
            ".*" => Kind::All,
            text if text.bytes().all(is_plain) => Kind::Is,
            text => {
                // Alone first: its parentheses must be balanced, and the message is about the written text.
                compiled(text).map_err(|error| with_column(text, &error))?;
                Kind::Regex(compiled(&format!("^(?:{text})$")).map_err(|error| error.to_string())?)
            }
        };
        Ok(Self { text: text.into(), kind })
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        match &self.kind {
            Kind::Is => *self.text == *text,
            Kind::Any => !text.is_empty(),
            Kind::All => true,
            Kind::Regex(regex) => regex.is_match(text),
        }
    }
}

fn compiled(text: &str) -> Result<Regex, regex_lite::Error> {
    RegexBuilder::new(text).size_limit(COMPILED_BYTES).dot_matches_new_line(true).build()
}

/// The engine's words, and the column after which they are true whatever follows. The engine does not tell the column.
fn with_column(text: &str, error: &regex_lite::Error) -> String {
    let error = error.to_string();
    // Not of one column.
    if error.contains("size") {
        return error;
    }
    let ends = text.char_indices().skip(1).map(|(end, _)| end);
    let is_wrong = |end: &usize| compiled(&text[..*end]).is_err_and(|other| other.to_string() == error);
    let wrong = ends.collect::<Vec<_>>().into_iter().rev().take_while(is_wrong).count();
    format!("{error}, at column {}", text.chars().count() - wrong)
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Rule {
    /// A rule without conditions, which leaves all else to the scrape job.
    pub fn new(name: &str, ports: Ports) -> Self {
        Self {
            name: name.into(),
            place: None,
            conditions: Vec::new(),
            ports,
            path: None,
            scheme: None,
            interval: None,
            job: None,
            labels: None,
        }
    }

    /// Whether the container itself asks to be scraped, rather than the operator: then a container that cannot be
    /// scraped has a reason.
    pub(crate) fn is_asked_for(&self) -> bool {
        let is_the_containers = |source: Option<&Source>| source.is_some_and(Source::is_the_containers);
        let asks = |condition: &Condition| match &condition.subject {
            Subject::Source(source) => source.is_the_containers() && !condition.pattern.matches(""),
            _ => false,
        };
        is_the_containers(self.ports.value().and_then(Value::source)) || self.conditions.iter().any(asks)
    }

    /// Every place that it reads.
    pub fn sources(&self) -> impl Iterator<Item = &Source> {
        let conditions = self.conditions.iter().filter_map(|condition| match &condition.subject {
            Subject::Source(source) => Some(source),
            _ => None,
        });
        conditions.chain(self.sources_of_values())
    }

    /// Those of what it asks for, without those of its conditions.
    pub(crate) fn sources_of_values(&self) -> impl Iterator<Item = &Source> {
        let values = [self.ports.value(), self.path.as_ref(), self.scheme.as_ref(), self.interval.as_ref()];
        let values = values.into_iter().chain([self.job.as_ref()]).flatten().filter_map(Value::source);
        values.chain(&self.labels)
    }
}
