//! From what is known to what is scraped: every container becomes targets, or a finding, or did not opt in.
//!
//! Never fails, and looks at one task at a time: nothing about one task changes what another becomes.

use std::collections::{BTreeMap, BTreeSet};

use crate::address::{Reachable, Reached};
use crate::conventions::environment::{Endpoint, Request, Scrape, Variable, read};
use crate::finding::{Finding, Problem, Reason, Verdict};
use crate::interval::Intervals;
use crate::inventory::{Definition, Placement, TaskView};
use crate::labels::{self, Labels, LabelsBuilder};
use crate::model::{Container, ContainerDefinition, NetworkMode, Status, Tags, Task, TaskDefinition};
use crate::target::{Scheme, ScrapeEndpoint, Target};

/// What the operator decides about targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The offered intervals.
    pub intervals: Intervals,
    /// Which tags become `__meta_ecs_tag_…`.
    pub tags_to_labels: TagSelection,
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
        for container in &definition.containers {
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
                            container_definition: container,
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
        let name = &at.container_definition.name;
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
                    self.targets.push(Target {
                        labels: labels(at, endpoint, reached, &scrape, &rules.tags_to_labels),
                        endpoint: place,
                        task: at.task.task.arn.clone(),
                        container: name.clone(),
                        interval: endpoint.interval.clone(),
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

/// The running container of that name, or why there is none.
fn running<'a>(task: &'a Task, name: &str) -> Result<&'a Container, Problem> {
    if task.desired_status != Status::Running || task.last_status != Status::Running {
        let detail =
            format!("its task is {}, to be {}", task.last_status.as_str(), task.desired_status.as_str());
        return Err(Problem::new(Reason::TaskNotRunning, detail));
    }
    match task.containers.iter().find(|container| &*container.name == name) {
        Some(container) if container.last_status == Status::Running => Ok(container),
        Some(container) => {
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

fn labels(
    at: &Reachable<'_>,
    endpoint: &Endpoint,
    reached: Reached,
    scrape: &Scrape,
    selection: &TagSelection,
) -> Labels {
    let task = at.task.task;
    let job = task.definition.family();
    let mut labels = LabelsBuilder::default();
    labels.set(labels::JOB, job);
    labels.set(labels::METRICS_PATH, &*endpoint.path);
    labels.set(labels::CONTROL_PATH, &*endpoint.path);
    labels.set_if_some(labels::TAGS, scrape.tags.as_deref());
    if endpoint.scheme == Scheme::Https {
        labels.set(labels::CONTROL_SCHEME, endpoint.scheme.as_str());
    }
    labels.set_each(labels::PARAM, endpoint.parameters.iter().map(|(name, value)| (&**name, &**value)));
    if scrape.no_labels {
        labels.set(labels::INSTANCE, job);
        return labels.build();
    }
    labels.set(labels::INSTANCE, reached.address.to_string());
    labels.set(labels::ECS_CLUSTER, at.task.cluster.arn.last_part());
    labels.set(labels::ECS_TASK_ID, task.arn.last_part());
    labels.set(labels::ECS_TASK_VERSION, task.definition.revision());
    if task.container_instance.is_some() {
        let container_id = at.container.arn.as_ref().map(|arn| arn.last_part());
        labels.set_if_some(labels::ECS_CONTAINER_ID, container_id);
        labels.set_if_some(labels::INSTANCE_ID, at.task.placement.instance().map(|id| id.as_str()));
    }
    meta_of_task(&mut labels, at.task, at.definition);
    meta_of_address(&mut labels, at, reached);
    meta_of_container(&mut labels, at.container_definition, at.container);
    let selected = selected_tags(selection, at.definition, task);
    labels.set_each(labels::META_TAG, selected);
    labels.build()
}

fn meta_of_task<'a>(labels: &mut LabelsBuilder<'a>, view: &TaskView<'a>, definition: &'a TaskDefinition) {
    let (task, cluster) = (view.task, view.cluster);
    labels.set(labels::META_CLUSTER, cluster.arn.last_part());
    labels.set(labels::META_CLUSTER_ARN, cluster.arn.as_str());
    labels.set(labels::META_REGION, cluster.arn.region());
    labels.set(labels::META_ACCOUNT_ID, cluster.arn.account());
    labels.set_each(labels::META_TAG_CLUSTER, pairs(&cluster.tags));
    labels.set(labels::META_TASK_ARN, task.arn.as_str());
    labels.set(labels::META_TASK_ID, task.arn.last_part());
    labels.set(labels::META_TASK_DEFINITION, task.definition.as_str());
    labels.set(labels::META_TASK_DEFINITION_FAMILY, task.definition.family());
    labels.set(labels::META_TASK_DEFINITION_REVISION, task.definition.revision());
    labels.set_if_some(labels::META_TASK_GROUP, task.group.as_deref());
    let service = task.group.as_deref().and_then(|group| group.strip_prefix("service:"));
    labels.set_if_some(labels::META_SERVICE, service);
    labels.set_if_some(labels::META_TASK_STARTED_BY, task.started_by.as_deref());
    labels.set_if_some(labels::META_CAPACITY_PROVIDER, task.capacity_provider.as_deref());
    labels.set_if_some(labels::META_LAUNCH_TYPE, task.launch_type.as_ref().map(|kind| kind.as_str()));
    labels.set(labels::META_DESIRED_STATUS, task.desired_status.as_str());
    labels.set(labels::META_LAST_STATUS, task.last_status.as_str());
    labels.set_if_some(labels::META_HEALTH_STATUS, task.health_status.as_deref());
    labels.set_if_some(labels::META_PLATFORM_FAMILY, task.platform_family.as_deref());
    labels.set_if_some(labels::META_PLATFORM_VERSION, task.platform_version.as_deref());
    labels.set(labels::META_NETWORK_MODE, definition.network_mode.as_str());
    labels.set_each(labels::META_TAG_TASK, pairs(&task.tags));
}

fn meta_of_address<'a>(labels: &mut LabelsBuilder<'a>, at: &Reachable<'a>, reached: Reached) {
    labels.set(labels::META_IP_ADDRESS, reached.address.ip().to_string());
    labels.set_if_some(labels::META_CONTAINER_PORT, reached.container_port.map(|port| port.to_string()));
    let task = at.task.task;
    let instance_arn = task.container_instance.as_ref().map(|arn| arn.as_str());
    labels.set_if_some(labels::META_CONTAINER_INSTANCE_ARN, instance_arn);
    labels.set_if_some(labels::META_EC2_INSTANCE_ID, at.task.placement.instance().map(|id| id.as_str()));
    let host = match at.task.placement {
        Placement::Host(host) => Some(host),
        _ => None,
    };
    let interface = task.network_interface.as_ref();
    let zone = task.availability_zone.as_deref().or_else(|| host?.availability_zone.as_deref());
    labels.set_if_some(labels::META_AVAILABILITY_ZONE, zone);
    let subnet = interface.and_then(|interface| interface.subnet_id.as_deref());
    labels.set_if_some(labels::META_SUBNET_ID, subnet.or_else(|| host?.subnet_id.as_deref()));
    let Some(host) = host else { return };
    let private_ip = host.private_ipv4.map(|ip| ip.to_string());
    let public_ip = host.public_ipv4.map(|ip| ip.to_string());
    labels.set_if_some(labels::META_EC2_INSTANCE_TYPE, host.instance_type.as_deref());
    labels.set_if_some(labels::META_EC2_INSTANCE_PRIVATE_IP, private_ip);
    labels.set_if_some(labels::META_EC2_INSTANCE_PUBLIC_IP, public_ip.clone());
    if at.definition.network_mode != NetworkMode::Awsvpc {
        labels.set_if_some(labels::META_PUBLIC_IP, public_ip);
    }
    labels.set_each(labels::META_TAG_EC2, pairs(&host.tags));
}

fn meta_of_container<'a>(
    labels: &mut LabelsBuilder<'a>,
    definition: &'a ContainerDefinition,
    container: &'a Container,
) {
    labels.set(labels::META_CONTAINER_NAME, &*container.name);
    labels.set_if_some(labels::META_CONTAINER_ARN, container.arn.as_ref().map(|arn| arn.as_str()));
    labels.set_if_some(labels::META_CONTAINER_IMAGE, container.image.as_deref());
    labels.set_if_some(labels::META_CONTAINER_RUNTIME_ID, container.runtime_id.as_deref());
    labels.set_if_some(labels::META_CONTAINER_HEALTH_STATUS, container.health_status.as_deref());
    labels.set_each(labels::META_CONTAINER_LABEL, pairs(&definition.docker_labels));
}

fn pairs(tags: &Tags) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|(key, value)| (&**key, &**value))
}

/// The definition's tags overlaid by the task's, without AWS's own.
fn selected_tags<'a>(
    selection: &TagSelection,
    definition: &'a TaskDefinition,
    task: &'a Task,
) -> BTreeMap<&'a str, &'a str> {
    let wanted = |key: &str| match selection {
        TagSelection::None => false,
        TagSelection::All => !key.starts_with("aws:"),
        TagSelection::Keys(keys) => keys.contains(key) && !key.starts_with("aws:"),
    };
    pairs(&definition.tags).chain(pairs(&task.tags)).filter(|(key, _)| wanted(key)).collect()
}
