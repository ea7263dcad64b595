//! What the conventions say of the containers of a definition, worked out once for all tasks of the definition.
//!
//! It is dropped after one derivation of some tasks, which bounds it: it has an entry for each of their definitions and
//! services.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::Rules;
use crate::conventions::Scrape;
use crate::conventions::environment::{Request, read};
use crate::conventions::hint::{WouldTake, would_take};
use crate::conventions::list::{Convention, Dialect};
use crate::conventions::rule::reading::{Defined, NotMeant, Placed, is_of_the_task, scrape, secret};
use crate::conventions::rule::{Condition, Rule, Source, Subject};
use crate::model::{Cluster, TaskDefinition};

/// What was worked out already for the tasks of one derivation.
pub(crate) struct Prepared<'a> {
    pub(crate) rules: &'a Rules,
    /// Whether conditions on the task count as met: of a definition without a task.
    pub(crate) assumes: bool,
    /// By the address of the definition, which its tasks share.
    definitions: HashMap<*const TaskDefinition, Rc<[Wishes]>>,
    /// For each rule of the configuration, whether its conditions on cluster and service hold.
    services: HashMap<Service, Rc<[bool]>>,
}

/// A service, or the tasks of a cluster without one.
type Service = (*const Cluster, Option<Box<str>>);

/// What the conventions say of a container, as far as its definition decides.
#[derive(Default)]
pub(super) struct Wishes {
    /// The dialect of the variables that says no: then no convention scrapes the container.
    pub(super) opted_out: Option<Dialect>,
    /// A convention that is not turned on and would scrape it.
    pub(super) would_take: Option<WouldTake>,
    /// In the order of the conventions; those that say nothing of it are absent.
    pub(super) candidates: Vec<Candidate>,
}

/// A convention that may scrape the container.
pub(super) struct Candidate {
    /// Its position.
    pub(super) convention: usize,
    /// The position of the rule in its convention, and among all.
    pub(super) rule: Option<(usize, usize)>,
    pub(super) asks: Asks,
}

pub(super) enum Asks {
    /// For nothing, but its owner should know this.
    Warning(String),
    /// For this, if the conditions on the task hold.
    Scrape(Rc<Scrape>),
    /// For what a tag of the task says.
    OfTheTask,
}

impl<'a> Prepared<'a> {
    pub(crate) fn new(rules: &'a Rules) -> Self {
        Self { rules, assumes: false, definitions: HashMap::new(), services: HashMap::new() }
    }

    /// What the conventions say of each container of the definition, without overrides.
    pub(super) fn definition(&mut self, definition: &Arc<TaskDefinition>) -> Rc<[Wishes]> {
        let rules = self.rules;
        let wishes = self.definitions.entry(Arc::as_ptr(definition)).or_insert_with(|| {
            let containers = definition.containers.iter();
            let defined = containers.map(|container| Defined { definition, container, overrides: None });
            defined.map(|defined| wishes(&defined, rules)).collect()
        });
        wishes.clone()
    }

    /// Whether the conditions of each rule on cluster and service hold; `None` without rules.
    pub(super) fn service(&mut self, cluster: &Arc<Cluster>, service: Option<&str>) -> Option<Rc<[bool]>> {
        self.rules.conventions.rules().next()?;
        let key = (Arc::as_ptr(cluster), service.map(Into::into));
        let rules = self.rules;
        let holds = |condition: &Condition| match condition.subject {
            Subject::Cluster => condition.pattern.matches(cluster.arn.last_part()),
            Subject::Service => condition.pattern.matches(service.unwrap_or_default()),
            _ => true,
        };
        let all = || rules.conventions.rules().map(|rule| rule.conditions.iter().all(holds)).collect();
        Some(self.services.entry(key).or_insert_with(all).clone())
    }
}

/// What the conventions say of a container.
pub(super) fn wishes(defined: &Defined<'_>, rules: &Rules) -> Wishes {
    let would_take = would_take(defined, &rules.conventions);
    let mut wishes = Wishes { would_take, ..Wishes::default() };
    let mut number = 0;
    for (convention, one) in rules.conventions.iter().enumerate() {
        match one {
            Convention::Variables(dialect) => {
                let overrides = defined.overrides.map(|(settings, _)| settings);
                let asks = match read(*dialect, defined.container, overrides, &rules.intervals) {
                    Request::None if defined.container.has_secret(dialect.opt_in()) => {
                        Asks::Warning(secret(dialect.opt_in()))
                    }
                    Request::None => continue,
                    Request::OptedOut => {
                        wishes.opted_out.get_or_insert(*dialect);
                        continue;
                    }
                    Request::Scrape(scrape) => Asks::Scrape(Rc::new(scrape)),
                };
                wishes.candidates.push(Candidate { convention, rule: None, asks });
            }
            Convention::Rules(_, own) => {
                for (position, rule) in own.iter().enumerate() {
                    let asks = asks(rule, defined, rules);
                    let rule = Some((position, number));
                    number += 1;
                    wishes.candidates.extend(asks.map(|asks| Candidate { convention, rule, asks }));
                }
            }
        }
    }
    wishes
}

/// What a rule asks for, as far as the definition decides; `None` if the container is not meant.
fn asks(rule: &Rule, defined: &Defined<'_>, rules: &Rules) -> Option<Asks> {
    let read = defined.meets(rule).and_then(|()| {
        if rule.sources_of_values().any(|source| matches!(source, Source::Tag(_))) {
            return Ok(Asks::OfTheTask);
        }
        Ok(Asks::Scrape(Rc::new(scrape(rule, defined, None, &rules.intervals)?)))
    });
    match read {
        Ok(asks) => Some(asks),
        // The definition's author expects a target, unless the rule means other clusters or services.
        Err(NotMeant::Secret(name)) if !rule.conditions.iter().any(|one| is_of_the_task(&one.subject)) => {
            Some(Asks::Warning(secret(&name)))
        }
        Err(_) => None,
    }
}

/// Whether the conditions of a rule on tags hold.
pub(super) fn tags_hold(rule: &Rule, defined: &Defined<'_>, placed: &Placed<'_>) -> bool {
    let is_on_tags = |one: &Condition| matches!(one.subject, Subject::Source(Source::Tag(_)));
    !rule.conditions.iter().any(is_on_tags) || placed.meets(defined, rule).is_ok()
}
