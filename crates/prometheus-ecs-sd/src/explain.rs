//! Reads one task, or the tasks of one service, from AWS, and explains whether and how they are scraped.
//!
//! It requests only the facts about these tasks: a refresh would list and describe the whole cluster.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, TaskArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::explain::explain;
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::Inventory;
use ecs_discovery::inventory::plan::Lookup;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Cluster, Task};

use crate::aws::Source;

/// Pages of twice as many tasks as AWS allows in a service; longer listings are not counted further.
const MAX_PAGES: usize = 100;

/// The tasks to explain, in a cluster that is given by its name or ARN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The task with this ARN, or this id.
    Task(String),
    /// The tasks of the service with this name.
    Service(String),
}

/// Why there is no explanation.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotExplained {
    /// AWS does not know the cluster.
    #[error("there is no cluster {cluster} in {region}; check --cluster, --region and the credentials")]
    NoCluster {
        /// The name or ARN as given.
        cluster: String,
        /// The region.
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
        /// The name or ARN as given.
        service: String,
        /// The cluster's name.
        cluster: String,
    },
    /// The text is neither an ARN nor an id.
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

/// The explanation.
#[derive(Debug)]
pub struct Explained {
    /// The report on the tasks.
    pub report: Report,
    /// The failed calls; facts that depend on them are unknown in the report.
    pub failures: Vec<Failure>,
}

/// Reads the facts from AWS, and explains them.
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
    let mut inventory = Inventory::default();
    inventory.describe_services(rules.service_tags);
    let (tasks, failures) = look_up(source, &mut inventory, &cluster, &arns).await?;
    if let (Wanted::Task(_), Subject::Task(arn), []) = (wanted, &subject, &tasks[..]) {
        let (task, cluster) = (arn.last_part().to_owned(), cluster.arn.last_part().to_owned());
        // The task may exist, but cannot be read.
        let unreadable = failures.into_iter().next().map(Into::into);
        return Err(unreadable.unwrap_or(NotExplained::NoTask { task, cluster }));
    }
    let explanations = tasks.iter().map(|task| explain(&inventory.join(&cluster, task), rules));
    Ok(Explained { report: Report::new(subject, count, explanations), failures })
}

async fn described_cluster(source: &Source, name: &str) -> Result<Cluster, NotExplained> {
    let question = Question::ClusterDetails { clusters: vec![name.into()] };
    let (answer, unreadable) = source.ask(&question).await?.readable();
    let Answer::ClusterDetails { active, .. } = answer else { return Err(misfit(&question)) };
    if let (Some(unreadable), []) = (unreadable, &active[..]) {
        return Err(unreadable.failure.into());
    }
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

/// The number of tasks of the service, and the first tasks, as many as one call describes.
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

/// Looks up the tasks. Returns those that AWS knows, by ARN, and one failure for each failed operation on which they
/// depend. That AWS does not know an item is an answer, not a failure.
async fn look_up(
    source: &Source,
    inventory: &mut Inventory,
    cluster: &Cluster,
    tasks: &[TaskArn],
) -> Result<(Vec<Arc<Task>>, Vec<Failure>), Failure> {
    let mut lookup = Lookup::begin(inventory, cluster.clone(), tasks, Duration::ZERO);
    let mut failures = BTreeMap::new();
    loop {
        let questions = lookup.questions(inventory);
        if questions.is_empty() {
            return Ok((lookup.finish(inventory), failures.into_values().collect()));
        }
        for question in questions {
            match source.ask(&question).await {
                Ok(answer) => {
                    if let Answer::Partial { unreadable, .. } = &answer {
                        failures.entry(question.operation()).or_insert_with(|| unreadable.failure.clone());
                    }
                    lookup.answered(inventory, question, answer);
                }
                Err(failure) if matches!(question, Question::TaskDetails { .. }) => return Err(failure),
                Err(failure) => {
                    let (operation, is_answer) = (question.operation(), failure.is_answer());
                    let is_halved = lookup.failed(inventory, question, failure.clone());
                    if !is_answer && !is_halved {
                        failures.entry(operation).or_insert(failure);
                    }
                }
            }
        }
    }
}

fn misfit(question: &Question) -> NotExplained {
    NotExplained::Asked(format!("the answer is not one to {}", question.operation()))
}
