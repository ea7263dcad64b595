//! From what is known to what is scraped: every container becomes targets, or a finding, or did not opt in.
//!
//! Never fails, and looks at one task at a time: nothing about one task changes what another becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::address::{Reachable, Reached};
use crate::conventions::environment::{Endpoint, Request, Scrape, Variable, read};
use crate::finding::{Finding, Problem, Reason, Verdict};
use crate::interval::Intervals;
use crate::inventory::{Definition, Placement, TaskView};
use crate::model::{Status, Task};
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
        if view.task.definition.is_managed_daemon() {
            let detail =
                "ECS managed daemons have no address that can be reached from outside their instance";
            return self.not_scraped(view.task, "", Problem::new(Reason::ManagedDaemon, detail));
        }
        let definition = match view.definition {
            Definition::Known(definition) => definition,
            Definition::Unavailable(failure) => {
                let why = failure.map_or_else(|| "it was not read yet".to_owned(), ToString::to_string);
                let detail = format!("its definition {} could not be read: {why}", view.task.definition);
                return self.not_scraped(view.task, "", Problem::new(Reason::DefinitionUnavailable, detail));
            }
        };
        let mut taken = BTreeMap::new();
        for (position, container) in definition.containers.iter().enumerate() {
            let overrides = view.task.overrides.iter().find(|(name, _)| *name == container.name);
            match read(container, overrides.map(|(_, settings)| settings), &rules.intervals) {
                Request::None if container.secrets.contains(&Variable::Prometheus) => {
                    let detail = "PROMETHEUS comes from secrets, which cannot be read; set it in environment";
                    self.find(view.task, &container.name, Verdict::Warning(detail.to_owned()));
                }
                Request::None => {}
                Request::OptedOut => {
                    let problem = Problem::new(Reason::OptedOut, "PROMETHEUS says no");
                    self.not_scraped(view.task, &container.name, problem);
                }
                Request::Scrape(scrape) => match running(view.task, &container.name) {
                    Ok(running) => {
                        let reachable = Reachable {
                            task: view,
                            definition,
                            container_definition: position,
                            container: running,
                        };
                        self.container(&reachable, scrape, rules, &mut taken);
                    }
                    Err(problem) => self.not_scraped(view.task, &container.name, problem),
                },
            }
        }
    }

    /// `taken` is what the containers before in this task are scraped at, and which they are.
    fn container<'a>(
        &mut self,
        at: &Reachable<'a>,
        scrape: Scrape,
        rules: &Rules,
        taken: &mut BTreeMap<ScrapeEndpoint, &'a str>,
    ) {
        let name = &at.container_definition().name;
        let mut problems = Vec::new();
        let before = self.targets.len();
        for endpoint in &scrape.endpoints {
            let reached = endpoint.as_ref().map_err(Problem::clone).and_then(|endpoint| {
                let reached = at.reach(endpoint.port)?;
                free(endpoint, reached, taken).map(|place| (endpoint, reached, place))
            });
            match reached {
                Ok((endpoint, reached, place)) => {
                    taken.insert(place.clone(), name);
                    let origin = origin(at, reached, &scrape, &rules.tags_to_labels);
                    self.targets.push(Target {
                        endpoint: place,
                        interval: endpoint.interval.clone(),
                        origin,
                    });
                }
                Err(problem) => problems.push(problem),
            }
        }
        if self.targets.len() > before {
            let partly =
                problems.into_iter().map(|problem| format!("{}: {}", problem.reason, problem.detail));
            for warning in scrape.warnings.into_iter().chain(partly) {
                self.find(at.task.task, name, Verdict::Warning(warning));
            }
        } else if let Some(problem) = problems.into_iter().next() {
            self.not_scraped(at.task.task, name, problem);
        }
    }

    fn not_scraped(&mut self, task: &Task, container: &str, problem: Problem) {
        self.find(task, container, Verdict::NotScraped(problem));
    }

    fn find(&mut self, task: &Task, container: &str, verdict: Verdict) {
        self.findings.push(Finding { task: task.arn.clone(), container: container.into(), verdict });
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
