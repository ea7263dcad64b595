//! A container that no convention scrapes, although a built-in convention that is not turned on would.
//!
//! A hint is neither a finding nor a warning: the labels of another tool may be there for that tool alone.

use std::sync::LazyLock;

use super::builtin::{NAMES, builtin};
use super::environment::asks_to_be_scraped;
use super::list::{Conventions, Dialect, Entry};
use super::rule::reading::Defined;
use super::rule::{Rule, Source, Subject, Value};
use crate::arn::TaskArn;

/// A container that a built-in convention would scrape.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hint {
    /// The task.
    pub task: TaskArn,
    /// The container's name.
    pub container: Box<str>,
    /// The convention, which is not turned on.
    pub convention: &'static str,
}

/// A built-in convention that would scrape a container, and the text that says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WouldTake {
    pub(crate) convention: &'static str,
    source: Source,
}

impl WouldTake {
    /// What `explain` says of it.
    pub(crate) fn words(&self) -> String {
        let Self { convention, source } = self;
        format!(
            "{convention} is not turned on, but the {source} is set; --convention {convention} turns it on"
        )
    }
}

/// The first built-in convention that would scrape the container, if none that is turned on is one of them.
pub(crate) fn would_take(defined: &Defined<'_>, conventions: &Conventions) -> Option<WouldTake> {
    static BUILTINS: LazyLock<Vec<(&str, Vec<Entry>)>> =
        LazyLock::new(|| NAMES.into_iter().filter_map(|name| Some((name, builtin(name)?))).collect());
    let is_turned_on = |name: &str| conventions.iter().any(|one| one.name() == name);
    let mut candidates = BUILTINS.iter().filter(|(name, _)| !is_turned_on(name));
    candidates.find_map(|(convention, entries)| {
        let source = entries.iter().find_map(|entry| match entry {
            Entry::Variables(dialect) => by_variables(defined, *dialect),
            Entry::Rule(rule) => defined.meets(rule).ok().and_then(|()| first_source(rule, defined)),
        });
        source.map(|source| WouldTake { convention, source })
    })
}

fn by_variables(defined: &Defined<'_>, dialect: Dialect) -> Option<Source> {
    let overrides = defined.overrides.map(|(settings, _)| settings);
    let name = dialect.opt_in();
    asks_to_be_scraped(dialect, defined.container, overrides).then(|| {
        match defined.container.docker_labels.iter().any(|(label, _)| **label == *name) {
            true => Source::DockerLabel(name.into()),
            false => Source::Environment(name.into()),
        }
    })
}

/// The first text of the rule that is set.
fn first_source(rule: &Rule, defined: &Defined<'_>) -> Option<Source> {
    let port = rule.ports.value().and_then(Value::source);
    let conditions = rule.conditions.iter().filter_map(|condition| match &condition.subject {
        Subject::Source(source) => Some(source),
        _ => None,
    });
    port.into_iter().chain(conditions).find(|source| !defined.text(source).is_empty()).cloned()
}
