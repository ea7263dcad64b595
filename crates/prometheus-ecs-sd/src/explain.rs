//! Asks AWS about one task, or the tasks of one service, and explains what they come to.
//!
//! It asks no more than that takes: not the plan of a refresh, which would list and describe the whole cluster.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::explain::explain;
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::inventory::question::{Answer, Failure, Question};
use ecs_discovery::inventory::{Definition, Placement, TaskView};
use ecs_discovery::model::{Cluster, Host, InstanceId, Task, TaskDefinition};

use crate::aws::Source;

/// Twice as many tasks as AWS lets a service have; what is listed without end is not counted further.
const MAX_PAGES: usize = 100;

/// What to explain, in a cluster that is named or given by its ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The task with this ARN, or this id.
    Task(String),
    /// The tasks of the service with this name.
    Service(String),
}

/// Why there is nothing to explain.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    /// AWS does not know the cluster.
    #[error(
        "there is no cluster {cluster} in {region}; check --cluster, --region and whose credentials are used"
    )]
    NoCluster {
        /// As it was asked for.
        cluster: String,
        /// Where.
        region: String,
    },
    /// AWS does not know the task.
    #[error("there is no task {task} in the cluster {cluster}; ECS forgets a task an hour after it stopped")]
    NoTask {
        /// Its id.
        task: String,
        /// The cluster's name.
        cluster: String,
    },
    /// AWS does not know the service.
    #[error("there is no service {service} in the cluster {cluster}; check --service and --cluster")]
    NoService {
        /// As it was asked for.
        service: String,
        /// The cluster's name.
        cluster: String,
    },
    /// What is asked for is not the name of anything.
    #[error("{0:?} is not the ARN or the id of a task")]
    NotATask(String),
    /// A call failed.
    #[error("{0}")]
    Asked(String),
}

impl From<Failure> for NotExplained {
    fn from(failure: Failure) -> Self {
        Self::Asked(failure.message)
    }
}

/// What AWS said comes to this.
#[derive(Debug)]
pub struct Explained {
    /// All there is to say.
    pub report: Report,
    /// Calls that failed: of what depends on them, the report says that it is not known.
    pub failures: Vec<Failure>,
}

/// Asks, and explains what the answers come to.
pub async fn explained(
    source: &Source,
    cluster: &str,
    wanted: &Wanted,
    rules: &Rules,
) -> Result<Explained, NotExplained> {
    let cluster = Arc::new(described_cluster(source, cluster).await?);
    let (subject, count, arns) = match wanted {
        Wanted::Task(name) => {
            let arn = task_arn(&cluster.arn, name)?;
            (Subject::Task(arn.clone()), 1, vec![arn])
        }
        Wanted::Service(name) => {
            let (count, tasks) = tasks_of(source, &cluster.arn, name).await?;
            let cluster = cluster.arn.last_part().to_owned();
            (Subject::Service { name: name.clone(), cluster }, count, tasks)
        }
    };
    let tasks = described_tasks(source, &cluster.arn, arns).await?;
    if let (Wanted::Task(_), Subject::Task(arn), []) = (wanted, &subject, &tasks[..]) {
        let (task, cluster) = (arn.last_part().to_owned(), cluster.arn.last_part().to_owned());
        return Err(NotExplained::NoTask { task, cluster });
    }
    let around = Around::of(source, &cluster.arn, &tasks).await;
    let explanations = tasks.iter().map(|task| explain(&around.view(&cluster, task), rules));
    Ok(Explained { report: Report::new(subject, count, explanations), failures: around.failures() })
}

async fn described_cluster(source: &Source, name: &str) -> Result<Cluster, NotExplained> {
    let question = Question::ClusterDetails { clusters: vec![name.into()] };
    let Answer::ClusterDetails { active, .. } = source.ask(&question).await? else {
        return Err(misfit(&question));
    };
    let missing = || {
        let (cluster, region) = (name.to_owned(), source.region().to_owned());
        NotExplained::NoCluster { cluster, region }
    };
    active.into_iter().next().ok_or_else(missing)
}

/// An id is enough, since the cluster is known.
fn task_arn(cluster: &ClusterArn, name: &str) -> Result<TaskArn, NotExplained> {
    let arn = match name.starts_with("arn:") {
        true => name.to_owned(),
        false => format!("{}/{name}", cluster.as_str().replacen(":cluster/", ":task/", 1)),
    };
    TaskArn::parse(&arn).map_err(|_| NotExplained::NotATask(name.to_owned()))
}

/// How many tasks the service has, and the first of them, as many as one call describes.
async fn tasks_of(
    source: &Source,
    cluster: &ClusterArn,
    service: &str,
) -> Result<(usize, Vec<TaskArn>), NotExplained> {
    let (mut count, mut first, mut page) = (0, Vec::new(), None);
    for _ in 0..MAX_PAGES {
        let (tasks, next) = match source.tasks_of_service(cluster, service, page).await {
            Ok(page) => page,
            Err(failure) if failure.is_answer() => {
                let (service, cluster) = (service.to_owned(), cluster.last_part().to_owned());
                return Err(NotExplained::NoService { service, cluster });
            }
            Err(failure) => return Err(failure.into()),
        };
        count += tasks.len();
        let room = Question::TASKS - first.len();
        first.extend(tasks.into_iter().take(room));
        page = next;
        if page.is_none() {
            break;
        }
    }
    Ok((count, first))
}

/// Those that AWS knows, by ARN.
async fn described_tasks(
    source: &Source,
    cluster: &ClusterArn,
    tasks: Vec<TaskArn>,
) -> Result<Vec<Arc<Task>>, NotExplained> {
    if tasks.is_empty() {
        return Ok(Vec::new());
    }
    let question = Question::TaskDetails { cluster: cluster.clone(), tasks };
    let Answer::TaskDetails { tasks, .. } = source.ask(&question).await? else {
        return Err(misfit(&question));
    };
    let mut tasks: Vec<_> = tasks.into_iter().map(|described| Arc::new(described.task)).collect();
    tasks.sort_by(|one, other| one.arn.cmp(&other.arn));
    Ok(tasks)
}

fn misfit(question: &Question) -> NotExplained {
    NotExplained::Asked(format!("the answer is not one to {}", question.operation()))
}

/// What the tasks' targets depend on, or why that is not known.
#[derive(Default)]
struct Around {
    definitions: BTreeMap<TaskDefinitionArn, Result<Arc<TaskDefinition>, Failure>>,
    instances: BTreeMap<ContainerInstanceArn, InstanceId>,
    instances_failed: Option<Failure>,
    hosts: BTreeMap<InstanceId, Arc<Host>>,
    hosts_failed: [Option<Failure>; 2],
}

impl Around {
    async fn of(source: &Source, cluster: &ClusterArn, tasks: &[Arc<Task>]) -> Self {
        let mut around = Self::default();
        let definitions = tasks.iter().map(|task| &task.definition);
        let definitions = definitions.filter(|definition| !definition.is_managed_daemon());
        for definition in definitions.collect::<BTreeSet<_>>() {
            let question = Question::TaskDefinition { definition: definition.clone() };
            match source.ask(&question).await {
                Ok(Answer::TaskDefinition(answer)) => {
                    around.definitions.insert(definition.clone(), Ok(Arc::new(answer)));
                }
                Ok(_) => {}
                Err(failure) => {
                    around.definitions.insert(definition.clone(), Err(failure));
                }
            }
        }
        let instances: BTreeSet<_> =
            tasks.iter().filter_map(|task| task.container_instance.clone()).collect();
        around.ask_instances(source, cluster, instances.into_iter().collect()).await;
        let ids: BTreeSet<_> = around.instances.values().cloned().collect();
        let (external, ec2) = ids.into_iter().partition(InstanceId::is_external);
        around.ask_hosts(source, Question::Ec2Instances { instances: ec2 }).await;
        around.ask_hosts(source, Question::ExternalInstances { instances: external }).await;
        around
    }

    async fn ask_instances(
        &mut self,
        source: &Source,
        cluster: &ClusterArn,
        instances: Vec<ContainerInstanceArn>,
    ) {
        if instances.is_empty() {
            return;
        }
        match source.ask(&Question::ContainerInstances { cluster: cluster.clone(), instances }).await {
            Ok(Answer::ContainerInstances(known)) => {
                let known = known.into_iter().filter_map(|known| Some((known.arn, known.instance?)));
                self.instances.extend(known);
            }
            Ok(_) => {}
            Err(failure) => self.instances_failed = Some(failure),
        }
    }

    async fn ask_hosts(&mut self, source: &Source, question: Question) {
        let (Question::Ec2Instances { instances } | Question::ExternalInstances { instances }) = &question
        else {
            return;
        };
        let Some(external) = instances.first().map(InstanceId::is_external) else { return };
        match source.ask(&question).await {
            Ok(Answer::Hosts(hosts)) => {
                self.hosts.extend(hosts.into_iter().map(|host| (host.id.clone(), Arc::new(host))));
            }
            Ok(_) => {}
            Err(failure) => self.hosts_failed[usize::from(external)] = Some(failure),
        }
    }

    /// Calls that failed. That AWS knows no such thing is an answer.
    fn failures(&self) -> Vec<Failure> {
        let definitions = self.definitions.values().filter_map(|definition| definition.as_ref().err());
        let others = self.instances_failed.iter().chain(self.hosts_failed.iter().flatten());
        definitions.chain(others).filter(|failure| !failure.is_answer()).cloned().collect()
    }

    fn view<'a>(&'a self, cluster: &'a Arc<Cluster>, task: &'a Arc<Task>) -> TaskView<'a> {
        let definition = match self.definitions.get(&task.definition) {
            Some(Ok(definition)) => Definition::Known(definition),
            Some(Err(failure)) => Definition::Unavailable(Some(failure)),
            None => Definition::Unavailable(None),
        };
        TaskView { cluster, task, definition, placement: self.placement(task), partial: None }
    }

    fn placement<'a>(&'a self, task: &'a Task) -> Placement<'a> {
        let Some(arn) = &task.container_instance else { return Placement::Nowhere };
        let Some(id) = self.instances.get(arn) else {
            return Placement::ContainerInstance {
                arn,
                instance: None,
                problem: self.instances_failed.as_ref(),
            };
        };
        match self.hosts.get(id) {
            Some(host) => Placement::Host(host),
            None => {
                let problem = self.hosts_failed[usize::from(id.is_external())].as_ref();
                Placement::ContainerInstance { arn, instance: Some(id), problem }
            }
        }
    }
}
