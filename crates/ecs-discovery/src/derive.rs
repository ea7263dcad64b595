//! From what is known to what is scraped: every container becomes targets, or a finding, or did not opt in.
//!
//! Never fails, and looks at one task at a time: no task affects the targets of another, and one task publishes no more
//! than a fixed number of bytes.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::take;
use std::sync::Arc;

use crate::address::{Reachable, Reached};
use crate::arn::TaskArn;
use crate::conventions::environment::{Endpoint, Request, Scrape, read};
use crate::finding::{Finding, Problem, Reason, Verdict};
use crate::groups;
use crate::interval::Intervals;
use crate::labels::TagSelection;
use crate::labels::VALUE_BYTES;
use crate::model::{ContainerDefinition, Settings, Status, Task, TaskDefinition};
use crate::sorted::{Sorted, unequal};
use crate::target::{Machine, Origin, ScrapeEndpoint, Target};
use crate::task_view::{Definition, Placement, TaskView};
use crate::text::{brief, few};
use crate::variable::Variable;

/// What the operator decides about targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The offered intervals.
    pub intervals: Intervals,
    /// Which tags become `__meta_ecs_tag_…`.
    pub tags_to_labels: Arc<TagSelection>,
}

impl Rules {
    /// Whether tags of definitions are published at all.
    pub fn need_definition_tags(&self) -> bool {
        *self.tags_to_labels != TagSelection::None
    }
}

/// The targets and findings of a cluster. Results that are derived again share those that did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// In order of publication.
    pub targets: Sorted<Target>,
    /// By task and container.
    pub findings: Sorted<Finding>,
    /// The targets by task.
    pub(crate) by_task: Sorted<Target>,
}

/// The targets and findings of some tasks, each in the order of [`Derived`].
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) findings: Vec<Arc<Finding>>,
}

/// The maximum number of bytes that one task may publish. A definition has up to 64 KiB, and each of its targets could
/// repeat all of it.
const TASK_BYTES: usize = 1024 * 1024;

/// The number of documents that contain a target: a target file, and the list that is served.
const DOCUMENTS: usize = 2;

/// Works out the targets and findings of tasks.
pub fn derive<'a>(tasks: impl IntoIterator<Item = TaskView<'a>>, rules: &Rules) -> Derived {
    Derived::new(results(tasks, rules))
}

/// Works out the targets and findings of tasks whose cluster has others.
pub(crate) fn results<'a>(tasks: impl IntoIterator<Item = TaskView<'a>>, rules: &Rules) -> Results {
    let mut results = Results::default();
    for task in tasks {
        results.task(&task, rules);
    }
    results.targets.sort_by(|one, other| one.in_order(other));
    results.findings.sort();
    results
}

impl Derived {
    pub(crate) fn new(results: Results) -> Self {
        let Results { mut targets, findings } = results;
        let in_order = Sorted::new(&targets);
        targets.sort_by(|one, other| by_task(one, other));
        Self { targets: in_order, findings: Sorted::new(&findings), by_task: Sorted::new(&targets) }
    }

    /// The same with other results of these tasks; `None` if they are equal. Costs what these tasks have, not what the
    /// cluster has.
    pub(crate) fn with(&self, tasks: &BTreeSet<TaskArn>, results: Results) -> Option<Self> {
        let before = tasks.iter().flat_map(|task| self.by_task.range(|target| target.task().cmp(task)));
        let mut before: Vec<_> = before.cloned().collect();
        before.sort_by(|one, other| one.in_order(other));
        let (mut gone, mut new) = unequal(before, results.targets, Target::in_order);
        let found = tasks.iter().flat_map(|task| self.findings_of(task)).cloned().collect();
        let (not_found, found) = unequal(found, results.findings, Finding::cmp);
        if [gone.len(), new.len(), not_found.len(), found.len()] == [0; 4] {
            return None;
        }
        let targets = self.targets.with(&gone, &new, Target::in_order);
        gone.sort_by(|one, other| by_task(one, other));
        new.sort_by(|one, other| by_task(one, other));
        Some(Self {
            targets,
            findings: self.findings.with(&not_found, &found, Finding::cmp),
            by_task: self.by_task.with(&gone, &new, by_task),
        })
    }

    /// The findings of a task.
    pub(crate) fn findings_of(&self, task: &TaskArn) -> impl Iterator<Item = &Arc<Finding>> {
        self.findings.range(|finding| finding.task.cmp(task))
    }
}

fn by_task(one: &Target, other: &Target) -> Ordering {
    one.task().cmp(other.task()).then_with(|| one.in_order(other))
}

impl Results {
    fn task(&mut self, view: &TaskView<'_>, rules: &Rules) {
        let examined = examine(view, rules, |examined| self.container(view.task, examined));
        if let Err(problem) = examined {
            self.not_scraped(view.task, "", problem);
        }
        if let Some(why) = view.partial {
            self.find(view.task, "", Verdict::Warning(why.to_owned()));
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
                        Ok((target, _)) => self.targets.push(Arc::new(target)),
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
        for warning in few(warnings, "warning") {
            self.find(task, name, Verdict::Warning(warning));
        }
    }

    fn not_scraped(&mut self, task: &Task, container: &str, problem: Problem) {
        self.find(task, container, Verdict::NotScraped(problem));
    }

    fn find(&mut self, task: &Task, container: &str, verdict: Verdict) {
        let (definition, task) = (task.definition.clone(), task.arn.clone());
        self.findings.push(Arc::new(Finding { task, container: container.into(), verdict, definition }));
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
    let mut taken = Taken { places: BTreeMap::new(), room: TASK_BYTES / DOCUMENTS };
    for (position, container) in definition.containers.iter().enumerate() {
        let overrides = view.task.overrides.iter().find(|(name, _)| *name == container.name);
        let overrides = overrides.map(|(_, settings)| settings);
        let (mut written, mut warnings) = (Vec::new(), Vec::new());
        let outcome = match read(container, overrides, &rules.intervals) {
            Request::None => {
                if container.has_secret(Variable::Prometheus) {
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
                        Outcome::Endpoints(taken.endpoints(&at, scrape, rules, &mut warnings))
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
            let detail =
                format!("its definition {} could not be read: {why}", brief(view.task.definition.as_str()));
            Err(Problem::new(Reason::DefinitionUnavailable, detail))
        }
    }
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

/// The addresses and bytes that the containers of a task examined so far use.
struct Taken<'a> {
    /// The addresses that are scraped already, with their container.
    places: BTreeMap<ScrapeEndpoint, &'a str>,
    /// Bytes that are left in one document.
    room: usize,
}

impl<'a> Taken<'a> {
    /// The target of each endpoint of a container, or why there is none.
    fn endpoints(
        &mut self,
        at: &Reachable<'a>,
        scrape: Scrape,
        rules: &Rules,
        warnings: &mut Vec<String>,
    ) -> Vec<Result<(Target, Reached), Problem>> {
        let (mut is_full, mut too_long) = (false, BTreeSet::new());
        let endpoint = |endpoint: &Result<Endpoint, Problem>| {
            let endpoint = endpoint.as_ref().map_err(Problem::clone)?;
            let reached = at.reach(endpoint.port)?;
            let place = self.free(endpoint, reached)?;
            let origin = origin(at, reached, &scrape, &rules.tags_to_labels);
            let target = Target { endpoint: place, interval: endpoint.interval.clone(), origin };
            // After the first endpoint that does not fit nothing is measured, so the work is proportional to the
            // published bytes.
            is_full = is_full || !self.fits(&target, &mut too_long);
            if is_full {
                let detail = format!(
                    "its task would publish more than {TASK_BYTES} bytes; use fewer endpoints, or shorter labels and tags"
                );
                return Err(Problem::new(Reason::InvalidEndpoint, detail));
            }
            self.places.insert(target.endpoint.clone(), &at.container_definition().name);
            Ok((target, reached))
        };
        let endpoints = scrape.endpoints.iter().map(endpoint).collect();
        warnings.extend(shortened(&too_long));
        endpoints
    }

    /// Where the endpoint is scraped, unless an earlier container of the task is scraped there already.
    fn free(&self, endpoint: &Endpoint, reached: Reached) -> Result<ScrapeEndpoint, Problem> {
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(&endpoint.parameters).finish();
        let place = ScrapeEndpoint {
            address: reached.address,
            path: endpoint.path.clone(),
            query: query.into(),
            scheme: endpoint.scheme,
        };
        match self.places.get(&place) {
            Some(by) => {
                let (place, by) = (place.to_string(), brief(by));
                let place = brief(&place);
                let detail = format!("{place} is scraped already, for the container {by:?} of the same task");
                Err(Problem::new(Reason::DuplicateEndpoint, detail))
            }
            None => Ok(place),
        }
    }

    /// Reserves the bytes of a target if there are enough, and records which of its labels are too long.
    fn fits(&mut self, target: &Target, too_long: &mut BTreeSet<String>) -> bool {
        let labels = target.all_labels();
        let Some(room) = self.room.checked_sub(groups::size(target, &labels)) else { return false };
        self.room = room;
        too_long.extend(labels.too_long().iter().map(|name| brief(name).into_owned()));
        true
    }
}

/// A warning about labels that are cut or left out.
fn shortened(labels: &BTreeSet<String>) -> Option<String> {
    let first = labels.first()?;
    let others = match labels.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more"),
    };
    Some(format!("labels longer than {VALUE_BYTES} bytes are cut or left out: {first:?}{others}"))
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
