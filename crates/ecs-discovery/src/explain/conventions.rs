//! What each convention that is turned on says of a container, in words.
//!
//! Nothing is decided here: whether a rule takes a container is asked of the same functions that derive its targets.

use std::sync::Arc;

use crate::conventions::environment::SettingSource;
use crate::conventions::list::{Convention, Conventions, Dialect};
use crate::conventions::rule::reading::{Defined, NotMeant, Placed, is_of_the_task, scrape};
use crate::conventions::rule::{Condition, Ports, Rule, Source, Subject, Value};
use crate::derive::Rules;
use crate::derive::examine::{Examined, Outcome, Part};
use crate::derive::taken::Made;
use crate::finding::Reason;
use crate::text::brief;

/// A convention, or one of its rules, and what it says of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedConvention {
    /// Its name.
    pub name: Box<str>,
    /// Where the rule is written; `None` for a built-in.
    pub place: Option<Arc<str>>,
    /// Whether it scrapes the container, if that is possible.
    pub asked: bool,
    /// Why it does not, or on what conditions it does; may be empty.
    pub why: String,
    /// What a rule read, if it asked.
    pub seen: Vec<SourceReading>,
}

/// A text that a rule read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceReading {
    /// The name of the docker label, variable or tag.
    pub name: Arc<str>,
    /// `dockerLabels`, `environment`, `overrides` or `tags`.
    pub place: &'static str,
    /// Its text.
    pub value: Box<str>,
    /// What it meant.
    pub meaning: String,
}

/// Each convention in the order of the list, rule by rule; nothing if only the variables of `discoverecs.py` are read.
pub(super) fn explained(
    examined: &Examined<'_, '_>,
    rules: &Rules,
    is_draft: bool,
    not_asked: &str,
) -> Vec<ExplainedConvention> {
    if rules.conventions.is_environment_alone() {
        return Vec::new();
    }
    let mut all = Vec::new();
    let by_variables = |part: &&Part<'_>| part.rule.is_none();
    let opted_out = examined.parts.iter().filter(by_variables).any(
        |part| matches!(&part.outcome, Outcome::NotScraped(problem) if problem.reason == Reason::OptedOut),
    );
    for convention in rules.conventions.iter() {
        match convention {
            Convention::Variables(dialect) => {
                let own = examined.parts.iter().find(|part| part.convention == convention);
                let (asked, why) = match own.map(|part| &part.outcome) {
                    Some(Outcome::Endpoints(made)) => (true, given_up(made)),
                    Some(Outcome::NotScraped(problem)) if problem.reason == Reason::OptedOut => {
                        (true, problem.detail.clone())
                    }
                    Some(Outcome::NotScraped(_)) => (true, String::new()),
                    _ if opted_out => (false, looked_past(&rules.conventions)),
                    _ => (false, format!("not asked, {}", variable_is_not_set(*dialect, not_asked))),
                };
                let name = convention.name().into();
                all.push(ExplainedConvention { name, place: None, asked, why, seen: Vec::new() });
            }
            Convention::Rules(name, own) => {
                let before = all.len();
                for rule in own {
                    let part = examined
                        .parts
                        .iter()
                        .find(|part| part.rule.is_some_and(|asked| std::ptr::eq(asked, rule)));
                    let (asked, why) = match part.map(|part| &part.outcome) {
                        Some(Outcome::Endpoints(made)) => {
                            (true, join(given_up(made), assumed(rule, is_draft)))
                        }
                        Some(Outcome::NotScraped(_)) => (true, assumed(rule, is_draft)),
                        _ if opted_out => (false, looked_past(&rules.conventions)),
                        _ => (false, why_not(rule, &examined.defined, &examined.placed, rules, is_draft)),
                    };
                    let seen =
                        if asked { seen(rule, &examined.defined, &examined.placed) } else { Vec::new() };
                    all.push(ExplainedConvention {
                        name: (&**name).into(),
                        place: rule.place.clone(),
                        asked,
                        why,
                        seen,
                    });
                }
                summarise(&mut all, before);
            }
        }
    }
    all
}

/// Of the rules of a built-in convention from this position on, those that ask suffice, or the first.
fn summarise(all: &mut Vec<ExplainedConvention>, from: usize) {
    if all[from..].iter().all(|one| one.place.is_none()) {
        let asks = all[from..].iter().any(|one| one.asked);
        let own = all.split_off(from).into_iter().enumerate();
        let kept = own.filter(|(number, one)| if asks { one.asked } else { *number == 0 });
        all.extend(kept.map(|(_, one)| one));
    }
}

fn variable_is_not_set(dialect: Dialect, environment: &str) -> String {
    match dialect {
        Dialect::Environment => environment.to_owned(),
        Dialect::Promed => format!("{} is not set, or empty", dialect.opt_in()),
    }
}

fn looked_past(conventions: &Conventions) -> String {
    let mut variables = conventions.iter().filter_map(|one| match one {
        Convention::Variables(dialect) => Some(dialect.opt_in()),
        Convention::Rules(..) => None,
    });
    let name = variables.next().unwrap_or_default();
    format!("not looked at, {name} says no")
}

/// Words about endpoints that an earlier convention or container has; empty if there are none.
fn given_up(made: &[Made]) -> String {
    let owners = made.iter().filter_map(|made| match made {
        Made::GivenUp(owner) => Some(&**owner),
        _ => None,
    });
    let mut owners: Vec<_> = owners.collect();
    let endpoints = if owners.len() == 1 { "the same endpoint as" } else { "the same endpoints as" };
    owners.dedup();
    match owners.is_empty() {
        true => String::new(),
        false => format!("{endpoints} {}'s", owners.join(" and ")),
    }
}

fn join(one: String, other: String) -> String {
    match (one.is_empty(), other.is_empty()) {
        (false, false) => format!("{one}, {other}"),
        (true, _) => other,
        (_, true) => one,
    }
}

/// The conditions that a definition alone cannot meet or fail.
fn assumed(rule: &Rule, is_draft: bool) -> String {
    let conditions = rule.conditions.iter().filter(|one| is_draft && is_of_the_task(&one.subject));
    let words: Vec<_> = conditions
        .map(|Condition { subject, pattern }| match subject {
            Subject::Source(source) => format!("its {source} matches {}", pattern.as_str()),
            subject => format!("its {subject} matches {}", pattern.as_str()),
        })
        .collect();
    if words.is_empty() { String::new() } else { format!("if {}", words.join(" and ")) }
}

fn why_not(rule: &Rule, defined: &Defined<'_>, placed: &Placed<'_>, rules: &Rules, is_draft: bool) -> String {
    let on_the_task = || if is_draft { Ok(()) } else { placed.meets(defined, rule) };
    let read = defined.meets(rule).and_then(|()| on_the_task());
    let read = read.and_then(|()| scrape(rule, defined, Some(placed), &rules.intervals).map(drop));
    let ports = |ports: &[u16]| ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match read {
        Ok(()) => "not asked".to_owned(),
        Err(NotMeant::Condition(position, text)) => fails(rule, position, &text),
        Err(NotMeant::NoText(source)) => format!("not asked, there is no {source}"),
        Err(NotMeant::Secret(name)) => format!("not asked, {name} comes from secrets, which cannot be read"),
        Err(NotMeant::NotMapped(one)) if one.len() == 1 => {
            format!("not meant, it does not map the container port {}", ports(&one))
        }
        Err(NotMeant::NotMapped(several)) => {
            format!("not meant, it maps none of the container ports {}", ports(&several))
        }
        Err(NotMeant::NoTcpPort) => "not meant, it maps no TCP port".to_owned(),
        Err(NotMeant::NotReadYet(name)) => {
            format!("not known yet, {name} was not kept when the definition or task was read")
        }
    }
}

fn fails(rule: &Rule, position: usize, text: &str) -> String {
    let Condition { subject, pattern } = &rule.conditions[position];
    let is_the_containers = matches!(subject, Subject::Source(source) if source.is_the_containers());
    let verdict = if is_the_containers && rule.is_asked_for() { "not asked" } else { "not meant" };
    let pattern = pattern.as_str();
    match (subject, text) {
        (Subject::Source(source), "") => format!("{verdict}, there is no {source}"),
        (Subject::Service, "") => format!("{verdict}, its task has no service"),
        (Subject::Source(source), _) => {
            format!("{verdict}, the {source} is {:?}, which {pattern} does not match", brief(text))
        }
        (subject, _) => {
            format!("{verdict}, the {subject} is {}, which {pattern} does not match", brief(text))
        }
    }
}

/// The texts that a rule read, with what each of them meant.
fn seen(rule: &Rule, defined: &Defined<'_>, placed: &Placed<'_>) -> Vec<SourceReading> {
    let port = |port: &str| match &rule.ports {
        Ports::Verbatim(_) => format!("asks for port {port}, as it is in every network mode"),
        _ => format!("asks for container port {port}"),
    };
    let mut seen: Vec<SourceReading> = Vec::new();
    let mut add = |source: &Source, meaning: &dyn Fn(&str) -> String| {
        let (Source::DockerLabel(name) | Source::Environment(name) | Source::Tag(name)) = source;
        let value = placed.text(defined, source);
        if value.is_empty() || seen.iter().any(|one| one.name == *name && *one.value == *value) {
            return;
        }
        let is_overridden = defined.overrides.is_some_and(|(settings, _)| settings.value(name).is_some());
        let place = match source {
            Source::DockerLabel(_) => SettingSource::DockerLabels.as_str(),
            Source::Environment(_) if is_overridden => SettingSource::Overrides.as_str(),
            Source::Environment(_) => SettingSource::Environment.as_str(),
            Source::Tag(_) => "tags",
        };
        let meaning = meaning(&brief(value));
        seen.push(SourceReading { name: name.clone(), place, value: value.into(), meaning });
    };
    let values = [
        (rule.ports.value(), &port as &dyn Fn(&str) -> String),
        (rule.path.as_ref(), &|_| "the path".to_owned()),
        (rule.scheme.as_ref(), &|_| "the scheme".to_owned()),
        (rule.interval.as_ref(), &|_| "the interval".to_owned()),
        (rule.job.as_ref(), &|_| "the label job".to_owned()),
    ];
    for (value, meaning) in values {
        if let Some(source) = value.and_then(Value::source) {
            add(source, meaning);
        }
    }
    if let Some(source) = &rule.labels {
        add(source, &|_| "labels".to_owned());
    }
    for Condition { subject, pattern } in &rule.conditions {
        if let Subject::Source(source) = subject {
            add(source, &|_| format!("matches {}", pattern.as_str()));
        }
    }
    seen
}
