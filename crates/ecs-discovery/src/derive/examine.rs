//! One task: what each convention makes of each of its containers.
//!
//! The conventions are asked in their order, and each of them about the containers in the definition's order, so that an
//! endpoint belongs to the first that has it.

use std::rc::Rc;
use std::sync::Arc;

use super::Rules;
use super::prepared::{Asks, Candidate, Prepared, Wishes, tags_hold, wishes};
use super::taken::{Made, Taken};
use crate::address::Reachable;
use crate::conventions::hint::WouldTake;
use crate::conventions::list::Convention;
use crate::conventions::rule::reading::{Defined, Placed, scrape};
use crate::conventions::rule::{Rule, Source};
use crate::finding::{Problem, Reason};
use crate::model::{Settings, Status, Task, TaskDefinition};
use crate::task_view::{Definition, TaskService, TaskView};
use crate::text::brief;

/// One container of a task's definition, and its result.
pub(crate) struct Examined<'a, 'r> {
    pub(crate) defined: Defined<'a>,
    pub(crate) placed: Placed<'a>,
    /// A convention that is not turned on and would scrape it.
    pub(crate) would_take: Option<WouldTake>,
    /// What conventions make of it, in their order; those that do not ask for it are absent.
    pub(crate) parts: Vec<Part<'r>>,
}

/// What one convention, or one rule of it, makes of a container.
pub(crate) struct Part<'a> {
    pub(crate) convention: &'a Convention,
    pub(crate) rule: Option<&'a Rule>,
    /// How each endpoint was written that there is an outcome of.
    pub(crate) written: Vec<Box<str>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) outcome: Outcome,
}

/// The result of a convention for a container.
pub(crate) enum Outcome {
    /// It did not opt in.
    NotAsked,
    /// No target, whatever its endpoints.
    NotScraped(Problem),
    /// The result of each of its endpoints; never empty.
    Endpoints(Vec<Made>),
}

/// The overrides of a container without any.
static NONE: Settings = Settings::NONE;

/// Looks at each container of a task's definition, in its order; or says why none can be looked at.
pub(crate) fn examine<'a, 'r>(
    view: &TaskView<'a>,
    prepared: &mut Prepared<'r>,
    mut each: impl FnMut(Examined<'a, 'r>),
) -> Result<(), Problem> {
    let definition = definition(view)?;
    let rules = prepared.rules;
    let plain = prepared.definition(definition);
    let services = prepared.service(view.cluster, view.task.service_text());
    let placed = Placed {
        cluster: view.cluster.arn.last_part(),
        task: view.task,
        service_tags: view.service.known().map(|service| &service.tags),
    };
    let are_overrides_unknown = !view.task.names.include(rules.names());
    let containers = definition.containers.iter().enumerate().map(|(position, container)| {
        let overrides = view.task.overrides.iter().find(|(name, _)| *name == container.name);
        let overrides = overrides.map(|(_, settings)| settings);
        // An override of which nothing was kept is not there.
        let overrides = overrides.or_else(|| are_overrides_unknown.then_some(&NONE));
        let with_names = overrides.map(|settings| (settings, &view.task.names));
        let defined = Defined { definition, container, overrides: with_names };
        let own = overrides.map(|_| Rc::new(wishes(&defined, rules)));
        Container { position, defined, own, parts: Vec::new() }
    });
    let mut containers: Vec<_> = containers.collect();
    let mut taken = Taken::new();
    for (number, convention) in rules.conventions.iter().enumerate() {
        for container in &mut containers {
            let own = container.own.clone();
            let wishes = own.as_deref().unwrap_or(&plain[container.position]);
            let asked = Asking {
                view,
                definition,
                placed: &placed,
                services: services.as_deref().unwrap_or_default(),
                rules,
                assumes: prepared.assumes,
            };
            container.ask(&asked, wishes, (number, convention), &mut taken);
        }
    }
    for Container { position, defined, own, parts } in containers {
        let would_take = own.as_deref().unwrap_or(&plain[position]).would_take.clone();
        each(Examined { defined, placed, would_take, parts });
    }
    Ok(())
}
/// One container while the conventions are asked about it.
struct Container<'a, 'r> {
    position: usize,
    defined: Defined<'a>,
    /// What the conventions say of it, if the task overrides something.
    own: Option<Rc<Wishes>>,
    parts: Vec<Part<'r>>,
}

/// What the answers depend on besides the container.
struct Asking<'a, 'b, 'r> {
    view: &'b TaskView<'a>,
    definition: &'a Arc<TaskDefinition>,
    placed: &'b Placed<'a>,
    services: &'b [bool],
    rules: &'r Rules,
    /// Whether conditions on the task count as met.
    assumes: bool,
}

impl<'a, 'r> Container<'a, 'r> {
    fn ask(
        &mut self,
        asking: &Asking<'a, '_, 'r>,
        wishes: &Wishes,
        (number, convention): (usize, &'r Convention),
        taken: &mut Taken,
    ) {
        if let Some(dialect) = wishes.opted_out {
            if *convention == Convention::Variables(dialect) {
                let problem = Problem::new(Reason::OptedOut, format!("{} says no", dialect.opt_in()));
                self.parts.push(Part::of(convention, None, Outcome::NotScraped(problem)));
            }
            return;
        }
        for candidate in wishes.candidates.iter().filter(|candidate| candidate.convention == number) {
            let part = self.part(asking, candidate, convention, taken);
            self.parts.extend(part);
        }
    }

    fn part(
        &self,
        asking: &Asking<'a, '_, 'r>,
        candidate: &Candidate,
        convention: &'r Convention,
        taken: &mut Taken,
    ) -> Option<Part<'r>> {
        let rule = match (convention, candidate.rule) {
            (Convention::Rules(_, rules), Some((position, number))) => {
                let rule = &rules[position];
                let holds = asking.services[number] && tags_hold(rule, &self.defined, asking.placed);
                if !holds && !asking.assumes {
                    return None;
                }
                if let Some(problem) = service_unknown(rule, asking.view) {
                    return Some(Part::of(convention, Some(rule), Outcome::NotScraped(problem)));
                }
                Some(rule)
            }
            _ => None,
        };
        let scrape = match (&candidate.asks, rule) {
            (Asks::Warning(warning), _) => {
                let part = Part::of(convention, rule, Outcome::NotAsked);
                return Some(Part { warnings: vec![warning.clone()], ..part });
            }
            (Asks::Scrape(scrape), _) => scrape.clone(),
            (Asks::OfTheTask, Some(rule)) => {
                let placed = Some(asking.placed);
                Rc::new(scrape(rule, &self.defined, placed, &asking.rules.intervals).ok()?)
            }
            (Asks::OfTheTask, None) => return None,
        };
        let mut warnings = scrape.warnings.clone();
        let outcome = match running(asking.view.task, &self.defined.container.name) {
            Ok(running) => {
                let at = Reachable {
                    task: asking.view,
                    definition: asking.definition,
                    container_definition: self.position,
                    container: running,
                };
                let is_asked_for = rule.is_none_or(Rule::is_asked_for);
                Outcome::Endpoints(taken.endpoints(&at, &scrape, is_asked_for, asking.rules, &mut warnings))
            }
            Err(problem) => Outcome::NotScraped(problem),
        };
        Some(Part { written: scrape.written.clone(), warnings, ..Part::of(convention, rule, outcome) })
    }
}

impl<'a> Part<'a> {
    fn of(convention: &'a Convention, rule: Option<&'a Rule>, outcome: Outcome) -> Self {
        Self { convention, rule, written: Vec::new(), warnings: Vec::new(), outcome }
    }
}

fn definition<'a>(view: &TaskView<'a>) -> Result<&'a Arc<TaskDefinition>, Problem> {
    if view.task.definition.is_managed_daemon() {
        let detail = "ECS managed daemons have no address that can be reached from outside their instance";
        return Err(Problem::new(Reason::ManagedDaemon, detail));
    }
    match view.definition {
        Definition::Known(definition) => Ok(definition),
        Definition::Unavailable(failure) => {
            let why = failure.map_or_else(|| "it was not read yet".to_owned(), ToString::to_string);
            let detail =
                format!("its definition {} could not be read: {why}", brief(view.task.definition.as_str()));
            Err(Problem::new(Reason::DefinitionUnavailable, detail))
        }
    }
}

/// The problem of a rule that reads a tag which the task lacks, and its service may have.
fn service_unknown(rule: &Rule, view: &TaskView<'_>) -> Option<Problem> {
    let TaskService::Unknown(failure) = view.service else { return None };
    let is_own = |name: &str| view.task.tags.iter().any(|(own, _)| **own == *name);
    let needs = rule.sources().any(|source| matches!(source, Source::Tag(name) if !is_own(name)));
    needs.then(|| {
        let why = failure.map_or_else(|| "it was not read yet".to_owned(), ToString::to_string);
        let name = view.task.service_text().unwrap_or_default();
        let detail = format!("{} needs a tag that its service {} may have: {why}", rule.name, brief(name));
        Problem::new(Reason::ServiceUnknown, detail)
    })
}

/// The position of the running container of that name, or why there is none.
fn running(task: &Task, name: &str) -> Result<usize, Problem> {
    if task.desired_status != Status::Running || task.last_status != Status::Running {
        let detail =
            format!("its task is {}, to be {}", task.last_status.as_str(), task.desired_status.as_str());
        return Err(Problem::new(Reason::TaskNotRunning, detail));
    }
    match task.containers.iter().enumerate().find(|(_, container)| &*container.name == name) {
        Some((position, container)) if container.last_status == Status::Running => Ok(position),
        Some((_, container)) => {
            let detail = format!("the container is {}", brief(container.last_status.as_str()));
            Err(Problem::new(Reason::ContainerNotRunning, detail))
        }
        None => Err(Problem::new(Reason::ContainerNotRunning, "the task has no such container yet")),
    }
}
