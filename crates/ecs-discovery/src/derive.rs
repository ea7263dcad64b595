//! From what is known to what is scraped: every container becomes targets, or a finding, or did not opt in.
//!
//! Never fails, and looks at one task at a time: nothing about one task changes what another becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::Arc;

use crate::address::{Reachable, Reached};
use crate::conventions::environment::{Endpoint, Request, Scrape, Variable, read};
use crate::finding::{Finding, Problem, Reason, Verdict};
use crate::interval::Intervals;
use crate::inventory::{Definition, Placement, TaskView};
use crate::model::{ContainerDefinition, Settings, Status, Task, TaskDefinition};
use crate::target::{Machine, Origin, ScrapeEndpoint, Target};

/// What the operator decides about targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The offered intervals.
    pub intervals: Intervals,
    /// Which tags become `__meta_ecs_tag_…`.
    pub tags_to_labels: Arc<TagSelection>,
}

/// Which tags of definitions and tasks become labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagSelection {
    /// None.
    #[default]
    None,
    /// Every one but AWS's own.
    All,
    /// Those of these keys.
    Keys(BTreeSet<String>),
}

/// What came out, sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// In order of publication.
    pub targets: Vec<Target>,
    /// By task and container.
    pub findings: Vec<Finding>,
}

/// Works out the targets and findings of tasks.
pub fn derive<'a>(tasks: impl IntoIterator<Item = TaskView<'a>>, rules: &Rules) -> Derived {
    let mut derived = Derived::default();
    for task in tasks {
        derived.task(&task, rules);
    }
    derived.targets.sort_by(|one, other| one.in_order(other));
    derived.findings.sort();
    derived.targets.shrink_to_fit();
    derived
}

impl Derived {
    fn task(&mut self, view: &TaskView<'_>, rules: &Rules) {
        let examined = examine(view, rules, |examined| self.container(view.task, examined));
        if let Err(problem) = examined {
            self.not_scraped(view.task, "", problem);
        }
    }

    fn container(&mut self, task: &Task, examined: Examined<'_>) {
        let name = &examined.definition.name;
        let mut warnings = examined.warnings;
        match examined.outcome {
            Outcome::NotAsked => {}
            Outcome::NotScraped(problem) => return self.not_scraped(task, name, problem),
            Outcome::Endpoints(endpoints) => {
                let mut problems = Vec::new();
                let before = self.targets.len();
                for endpoint in endpoints {
                    match endpoint {
                        Ok((target, _)) => self.targets.push(target),
                        Err(problem) => problems.push(problem),
                    }
                }
                let mut problems = problems.into_iter();
                if self.targets.len() == before {
                    problems.next().into_iter().for_each(|problem| self.not_scraped(task, name, problem));
                    return;
                }
                warnings.extend(problems.map(|problem| format!("{}: {}", problem.reason, problem.detail)));
            }
        }
        for warning in warnings {
            self.find(task, name, Verdict::Warning(warning));
        }
    }

    fn not_scraped(&mut self, task: &Task, container: &str, problem: Problem) {
        self.find(task, container, Verdict::NotScraped(problem));
    }

    fn find(&mut self, task: &Task, container: &str, verdict: Verdict) {
        let (definition, task) = (task.definition.clone(), task.arn.clone());
        self.findings.push(Finding { task, container: container.into(), verdict, definition });
    }
}

/// One container of a task's definition, and what it comes to.
pub(crate) struct Examined<'a> {
    pub(crate) definition: &'a ContainerDefinition,
    pub(crate) overrides: Option<&'a Settings>,
    /// How each endpoint was written that there is an outcome of.
    pub(crate) written: Vec<Box<str>>,
    pub(crate) warnings: Vec<String>,
    pub(crate) outcome: Outcome,
}

/// What a container comes to.
pub(crate) enum Outcome {
    /// It did not opt in.
    NotAsked,
    /// No target, whatever its endpoints.
    NotScraped(Problem),
    /// What each of its endpoints comes to; never empty.
    Endpoints(Vec<Result<(Target, Reached), Problem>>),
}

/// Looks at each container of a task's definition, in its order; or says why none can be looked at.
pub(crate) fn examine(
    view: &TaskView<'_>,
    rules: &Rules,
    mut each: impl FnMut(Examined<'_>),
) -> Result<(), Problem> {
    let definition = definition(view)?;
    let mut taken = BTreeMap::new();
    for (position, container) in definition.containers.iter().enumerate() {
        let overrides = view.task.overrides.iter().find(|(name, _)| *name == container.name);
        let overrides = overrides.map(|(_, settings)| settings);
        let (mut written, mut warnings) = (Vec::new(), Vec::new());
        let outcome = match read(container, overrides, &rules.intervals) {
            Request::None => {
                if container.secrets.contains(&Variable::Prometheus) {
                    let warning =
                        "PROMETHEUS comes from secrets, which cannot be read; set it in environment";
                    warnings.push(warning.to_owned());
                }
                Outcome::NotAsked
            }
            Request::OptedOut => Outcome::NotScraped(Problem::new(Reason::OptedOut, "PROMETHEUS says no")),
            Request::Scrape(mut scrape) => {
                (written, warnings) = (take(&mut scrape.written), take(&mut scrape.warnings));
                match running(view.task, &container.name) {
                    Ok(running) => {
                        let at = Reachable {
                            task: view,
                            definition,
                            container_definition: position,
                            container: running,
                        };
                        Outcome::Endpoints(endpoints(&at, scrape, rules, &mut taken))
                    }
                    Err(problem) => Outcome::NotScraped(problem),
                }
            }
        };
        each(Examined { definition: container, overrides, written, warnings, outcome });
    }
    Ok(())
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
            let detail = format!("its definition {} could not be read: {why}", view.task.definition);
            Err(Problem::new(Reason::DefinitionUnavailable, detail))
        }
    }
}

/// What each endpoint comes to. `taken` is what is scraped of the task already, and of which container.
fn endpoints<'a>(
    at: &Reachable<'a>,
    scrape: Scrape,
    rules: &Rules,
    taken: &mut BTreeMap<ScrapeEndpoint, &'a str>,
) -> Vec<Result<(Target, Reached), Problem>> {
    let endpoint = |endpoint: &Result<Endpoint, Problem>| {
        let endpoint = endpoint.as_ref().map_err(Problem::clone)?;
        let reached = at.reach(endpoint.port)?;
        let place = free(endpoint, reached, taken)?;
        taken.insert(place.clone(), &at.container_definition().name);
        let origin = origin(at, reached, &scrape, &rules.tags_to_labels);
        Ok((Target { endpoint: place, interval: endpoint.interval.clone(), origin }, reached))
    };
    scrape.endpoints.iter().map(endpoint).collect()
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
            let detail = format!("the container is {}", container.last_status.as_str());
            Err(Problem::new(Reason::ContainerNotRunning, detail))
        }
        None => Err(Problem::new(Reason::ContainerNotRunning, "the task has no such container yet")),
    }
}

/// Where the endpoint is scraped, unless an earlier container of the task is scraped there already.
fn free(
    endpoint: &Endpoint,
    reached: Reached,
    taken: &BTreeMap<ScrapeEndpoint, &str>,
) -> Result<ScrapeEndpoint, Problem> {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&endpoint.parameters).finish();
    let place = ScrapeEndpoint {
        address: reached.address,
        path: endpoint.path.clone(),
        query: query.into(),
        scheme: endpoint.scheme,
    };
    match taken.get(&place) {
        Some(by) => {
            let detail = format!("{place} is scraped already, for the container {by:?} of the same task");
            Err(Problem::new(Reason::DuplicateEndpoint, detail))
        }
        None => Ok(place),
    }
}

fn origin(
    at: &Reachable<'_>,
    reached: Reached,
    scrape: &Scrape,
    tags_to_labels: &Arc<TagSelection>,
) -> Origin {
    let machine = match (at.task.placement, at.task.placement.instance()) {
        (Placement::Host(host), _) => Machine::Known(host.clone()),
        (_, Some(id)) => Machine::Named(id.clone()),
        (_, None) => Machine::None,
    };
    Origin {
        cluster: at.task.cluster.clone(),
        task: at.task.task.clone(),
        definition: at.definition.clone(),
        machine,
        container_definition: at.container_definition,
        container: at.container,
        container_port: reached.container_port,
        no_labels: scrape.no_labels,
        tags: scrape.tags.clone(),
        tags_to_labels: tags_to_labels.clone(),
    }
}
