//! A rule applied to a container: what it asks for, or why the container is not meant.
//!
//! What depends on the definition alone is separate from what depends on the task, so that it is worked out once for all
//! tasks of a definition.

use std::sync::Arc;

use super::ports::{self, ITEMS};
use super::{Condition, Ports, Rule, Source, Subject, Value, pairs};
use crate::conventions::environment::endpoints::quoted;
use crate::conventions::path::Path;
use crate::conventions::{Endpoint, PortRequest, Said, Scheme, Scrape, Style};
use crate::finding::{Problem, Reason};
use crate::interval::{Interval, Intervals, parse_duration};
use crate::model::{ContainerDefinition, Names, Protocol, Settings, Tags, Task, TaskDefinition};

/// A container as far as its definition says what it is; with the overrides of a task, if it has any.
#[derive(Clone, Copy)]
pub(crate) struct Defined<'a> {
    pub(crate) definition: &'a TaskDefinition,
    pub(crate) container: &'a ContainerDefinition,
    /// Overrides, and the names with which they were read.
    pub(crate) overrides: Option<(&'a Settings, &'a Names)>,
}

/// What a task adds.
#[derive(Clone, Copy)]
pub(crate) struct Placed<'a> {
    /// The cluster's name.
    pub(crate) cluster: &'a str,
    pub(crate) task: &'a Task,
    /// The tags of its service, if they are known.
    pub(crate) service_tags: Option<&'a Tags>,
}

/// Why a rule does not scrape a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NotMeant {
    /// A condition does not hold: its position, and the text, which may be empty.
    Condition(usize, Box<str>),
    /// The text that names the port is absent.
    NoText(Source),
    /// So it is, since it is a secret.
    Secret(Arc<str>),
    /// The container maps none of these TCP ports.
    NotMapped(Vec<u16>),
    /// The container maps no TCP port.
    NoTcpPort,
    /// The variable was not kept when the definition or task was read.
    NotReadYet(Arc<str>),
}

impl<'a> Defined<'a> {
    /// The text of a docker label or variable; empty if it is absent.
    pub(crate) fn text(&self, source: &Source) -> &'a str {
        match source {
            Source::DockerLabel(name) => tag(&self.container.docker_labels, name).unwrap_or_default().trim(),
            Source::Environment(name) => {
                let over = self.overrides.and_then(|(settings, _)| settings.value(name));
                over.or_else(|| self.container.environment.value(name)).unwrap_or_default().trim()
            }
            Source::Tag(_) => "",
        }
    }

    /// A variable of the rule that was not kept when the definition or the overrides were read.
    fn unread(&self, rule: &Rule) -> Option<NotMeant> {
        let is_read = |name: &str| {
            self.definition.names.contain(name) && self.overrides.is_none_or(|(_, names)| names.contain(name))
        };
        rule.sources().find_map(|source| match source {
            Source::Environment(name) if !is_read(name) => Some(NotMeant::NotReadYet(name.clone())),
            _ => None,
        })
    }

    /// Whether the conditions on the definition hold; those on the task are not checked.
    pub(crate) fn meets(&self, rule: &Rule) -> Result<(), NotMeant> {
        if let Some(unread) = self.unread(rule) {
            return Err(unread);
        }
        for (position, condition) in rule.conditions.iter().enumerate() {
            let text = match &condition.subject {
                Subject::Cluster | Subject::Service | Subject::Source(Source::Tag(_)) => continue,
                Subject::Container => &*self.container.name,
                Subject::Family => self.definition.arn.family(),
                Subject::TaskDefinition => self.definition.arn.as_str(),
                Subject::Source(source) => self.text(source),
            };
            if !condition.pattern.matches(text) {
                return Err(NotMeant::Condition(position, text.into()));
            }
        }
        // Most containers lack the text that names the port.
        match rule.ports.value() {
            Some(Value::Source(source)) if source.is_the_containers() && self.text(source).is_empty() => {
                Err(self.absent(source))
            }
            _ => Ok(()),
        }
    }

    fn absent(&self, source: &Source) -> NotMeant {
        match source {
            Source::Environment(name) if self.container.has_secret(name) => NotMeant::Secret(name.clone()),
            _ => NotMeant::NoText(source.clone()),
        }
    }

    fn maps(&self, port: u16) -> bool {
        let mut mappings = self.container.port_mappings.iter();
        mappings.any(|mapping| mapping.protocol == Protocol::Tcp && mapping.container_ports.contains(port))
    }
}

impl<'a> Placed<'a> {
    /// The text of a condition on the task.
    fn subject(&self, defined: &Defined<'a>, subject: &Subject) -> &'a str {
        match subject {
            Subject::Cluster => self.cluster,
            Subject::Service => self.task.service_text().unwrap_or_default(),
            Subject::Source(Source::Tag(name)) => self.tag(defined, name),
            _ => "",
        }
    }

    /// The task's tag, else its service's, else its definition's.
    fn tag(&self, defined: &Defined<'a>, name: &str) -> &'a str {
        let tags = [Some(&self.task.tags), self.service_tags, Some(&defined.definition.tags)];
        let mut texts = tags.into_iter().flatten().filter_map(|tags| tag(tags, name)).map(str::trim);
        // An empty tag is the same as none.
        texts.find(|text| !text.is_empty()).unwrap_or_default()
    }

    /// The text of a place; empty if it is absent.
    pub(crate) fn text(&self, defined: &Defined<'a>, source: &Source) -> &'a str {
        match source {
            Source::Tag(name) => self.tag(defined, name),
            _ => defined.text(source),
        }
    }

    /// Whether the conditions on the task hold.
    pub(crate) fn meets(&self, defined: &Defined<'a>, rule: &Rule) -> Result<(), NotMeant> {
        for (position, Condition { subject, pattern }) in rule.conditions.iter().enumerate() {
            if is_of_the_task(subject) {
                let text = self.subject(defined, subject);
                if !pattern.matches(text) {
                    return Err(NotMeant::Condition(position, text.into()));
                }
            }
        }
        Ok(())
    }
}

/// Whether a condition depends on more than the definition.
pub(crate) fn is_of_the_task(subject: &Subject) -> bool {
    matches!(subject, Subject::Cluster | Subject::Service | Subject::Source(Source::Tag(_)))
}

fn tag<'a>(tags: &'a Tags, name: &str) -> Option<&'a str> {
    let position = tags.binary_search_by(|(key, _)| (**key).cmp(name)).ok()?;
    Some(&tags[position].1)
}

/// Reads what a rule asks for, of a container that meets its conditions. Only a rule that reads a tag needs `placed`.
pub(crate) fn scrape(
    rule: &Rule,
    defined: &Defined<'_>,
    placed: Option<&Placed<'_>>,
    intervals: &Intervals,
) -> Result<Scrape, NotMeant> {
    let mut reader = Reader { rule, defined, placed, intervals, warnings: Vec::new() };
    let listed = rule.labels.as_ref().map(|source| (source.to_string(), reader.source(source)));
    let (place, text) = listed.unwrap_or_default();
    let pairs = pairs::read(&place, text);
    reader.warnings.extend(pairs.warnings);
    let defaults = Defaults {
        path: reader
            .said(&place, pairs.path, rule.path.as_ref(), "path")
            .map(|(place, text)| Path::read(&place, text))
            .transpose(),
        scheme: reader
            .said(&place, pairs.scheme, rule.scheme.as_ref(), "scheme")
            .map(|(place, text)| scheme(&place, text))
            .transpose(),
        interval: reader.interval(&place, pairs.interval),
    };
    let job = reader.said("", None, rule.job.as_ref(), "job").map(|(_, text)| text.into());
    let (endpoints, written) = reader.endpoints(&defaults)?.into_iter().unzip();
    let custom = pairs.labels.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
    let said = Arc::new(Said { convention: rule.name.clone(), style: Style::Rule, job, custom });
    Ok(Scrape { endpoints, written, said, warnings: reader.warnings })
}

/// What counts for each port that does not say otherwise.
struct Defaults {
    path: Result<Option<Path>, Problem>,
    scheme: Result<Option<Scheme>, Problem>,
    interval: Option<Interval>,
}

impl Defaults {
    fn endpoint(
        &self,
        port: PortRequest,
        path: Option<Path>,
        interval: Option<Interval>,
    ) -> Result<Endpoint, Problem> {
        let path = path.map_or_else(|| self.path.clone(), |path| Ok(Some(path)))?;
        let interval = interval.or_else(|| self.interval.clone());
        Ok(Endpoint { interval, port, scheme: self.scheme.clone()?, path })
    }
}

struct Reader<'a> {
    rule: &'a Rule,
    defined: &'a Defined<'a>,
    placed: Option<&'a Placed<'a>>,
    intervals: &'a Intervals,
    warnings: Vec<String>,
}

/// An endpoint, and how it is written.
type Written = (Result<Endpoint, Problem>, Box<str>);

impl<'a> Reader<'a> {
    fn source(&mut self, source: &Source) -> &'a str {
        match (source, self.placed) {
            (Source::Tag(name), Some(placed)) => placed.tag(self.defined, name),
            _ => {
                let text = self.defined.text(source);
                if let (true, NotMeant::Secret(name)) = (text.is_empty(), self.defined.absent(source)) {
                    self.warnings.push(secret(&name));
                }
                text
            }
        }
    }

    /// The text of the pair, else of the rule's key, with its name in a sentence; `None` if it is empty.
    fn said(
        &mut self,
        place: &str,
        pair: Option<&'a str>,
        value: Option<&'a Value>,
        key: &str,
    ) -> Option<(String, &'a str)> {
        if let Some(text) = pair {
            return Some((place.to_owned(), text));
        }
        let said = match value? {
            Value::Literal(text) => (format!("the rule's {key}"), &**text),
            Value::Source(source) => (source.to_string(), self.source(source)),
        };
        (!said.1.is_empty()).then_some(said)
    }

    fn interval(&mut self, place: &str, pair: Option<&'a str>) -> Option<Interval> {
        let (place, text) = self.said(place, pair, self.rule.interval.as_ref(), "interval")?;
        interval(&place, text, self.intervals).map_err(|why| self.warnings.push(no_interval(&why))).ok()
    }

    fn endpoints(&mut self, defaults: &Defaults) -> Result<Vec<Written>, NotMeant> {
        let is_asked_for = self.rule.is_asked_for();
        let Some(value) = self.rule.ports.value() else {
            let mut mappings = self.defined.container.port_mappings.iter();
            let endpoint = match mappings.any(|mapping| mapping.protocol == Protocol::Tcp) {
                true => defaults.endpoint(PortRequest::First, None, None),
                false if is_asked_for => {
                    Err(not_published("its definition maps no TCP port; add a port mapping"))
                }
                false => return Err(NotMeant::NoTcpPort),
            };
            return Ok(vec![(endpoint, "the first TCP port".into())]);
        };
        let (place, text) = match value {
            Value::Literal(text) => ("the rule's port".to_owned(), &**text),
            Value::Source(source) => (source.to_string(), self.source(source)),
        };
        if let (true, Value::Source(source)) = (text.is_empty(), value) {
            return Err(self.defined.absent(source));
        }
        let mut items = ports::items(text);
        if items.len() > ITEMS {
            let rest = items.len() - ITEMS;
            self.warnings.push(format!("{place} names more than {ITEMS} ports; the last {rest} are ignored"));
            items.truncate(ITEMS);
        } else if items.is_empty() {
            // So that it is read, and is no port.
            items.push(text);
        }
        let (mut endpoints, mut not_mapped) = (Vec::new(), Vec::new());
        for item in items {
            let read = ports::read(&place, item, self.intervals);
            let endpoint = match read.map(|read| (self.request(value, read.port), read)) {
                Err(problem) => Err(problem),
                Ok((request, read)) => {
                    self.warnings.extend(read.warning.as_deref().map(no_interval));
                    match request {
                        Some(request) => defaults.endpoint(request, read.path, read.interval),
                        None if is_asked_for => {
                            let port = read.port;
                            Err(not_published(&format!("its definition maps no TCP port {port}; map it")))
                        }
                        None => {
                            not_mapped.push(read.port);
                            continue;
                        }
                    }
                }
            };
            endpoints.push((endpoint, item.into()));
        }
        if endpoints.is_empty() { Err(NotMeant::NotMapped(not_mapped)) } else { Ok(endpoints) }
    }

    /// How a port is looked up; `None` if the container must map it and does not.
    fn request(&self, value: &Value, port: u16) -> Option<PortRequest> {
        match (&self.rule.ports, value) {
            (Ports::Verbatim(_), _) => Some(PortRequest::Verbatim(port)),
            (_, Value::Source(source)) if source.is_the_containers() => {
                Some(PortRequest::ContainerOrHost(port))
            }
            _ => self.defined.maps(port).then_some(PortRequest::Container(port)),
        }
    }
}

fn not_published(detail: &str) -> Problem {
    Problem::new(Reason::PortNotPublished, detail)
}

/// A warning about a variable that a rule needs and that comes from `secrets`.
pub(crate) fn secret(name: &str) -> String {
    format!("{name} comes from secrets, which cannot be read; set it in environment")
}

/// Reads `http` or `https` in any case.
pub(crate) fn scheme(place: &str, text: &str) -> Result<Scheme, Problem> {
    match text.trim() {
        text if text.eq_ignore_ascii_case("http") => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("https") => Ok(Scheme::Https),
        text => {
            let detail = format!("{place} is {:?}; it can be http or https", quoted(text));
            Err(Problem::new(Reason::InvalidEndpoint, detail))
        }
    }
}

/// A warning about an interval that does not count.
pub(crate) fn no_interval(why: &str) -> String {
    format!("{why}; none counts")
}

/// Reads an interval that is offered, or says why it is none.
pub(crate) fn interval(place: &str, text: &str, intervals: &Intervals) -> Result<Interval, String> {
    let text = text.trim();
    let names = || intervals.offered().iter().map(Interval::name).collect::<Vec<_>>().join(", ");
    match parse_duration(text) {
        None => Err(format!("{place} is {:?}, which is not an interval ({})", quoted(text), names())),
        Some(length) => intervals.find(length).cloned().ok_or_else(|| {
            format!("{place} asks for the interval {text}, which is not offered ({})", names())
        }),
    }
}
