//! What Prometheus is to scrape.

mod labels;

use std::cmp::Ordering;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::arn::TaskArn;
use crate::conventions::{Said, Scheme};
use crate::interval::Interval;
use crate::labels::TagSelection;
use crate::labels::meta::MetaLabels;
use crate::model::{
    Cluster, Container, ContainerDefinition, Host, InstanceId, Service, Task, TaskDefinition,
};

/// One endpoint of one container, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where and what to scrape.
    pub endpoint: ScrapeEndpoint,
    /// How often; the default where its convention leaves it to the scrape job.
    pub interval: Interval,
    /// What its convention says of it, and so what is published of it.
    pub asked: Asked,
    pub(crate) origin: Origin,
}

/// Which of the scrape job's settings a target brings; the others are the job's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// `__scrape_interval__`
    pub interval: bool,
    /// `__metrics_path__`
    pub path: bool,
    /// `__scheme__`
    pub scheme: bool,
}

/// What a target's labels are made of, shared with the inventory: a label costs nothing until it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) cluster: Arc<Cluster>,
    pub(crate) task: Arc<Task>,
    pub(crate) definition: Arc<TaskDefinition>,
    pub(crate) machine: Machine,
    /// The task's service, as far as it is known.
    pub(crate) service: Option<Arc<Service>>,
    /// Which of the definition's containers.
    pub(crate) container_definition: usize,
    /// Which of the task's containers.
    pub(crate) container: usize,
    /// The container's side of the port, where one was looked up.
    pub(crate) container_port: Option<u16>,
    /// What its convention says of labels.
    pub(crate) said: Arc<Said>,
    pub(crate) tags_to_labels: Arc<TagSelection>,
    pub(crate) meta_labels: Arc<MetaLabels>,
}

/// The machine that a task runs on, as far as it is known and is one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    None,
    Named(InstanceId),
    Known(Arc<Host>),
}

impl Origin {
    fn container_definition(&self) -> &ContainerDefinition {
        &self.definition.containers[self.container_definition]
    }

    fn container(&self) -> &Container {
        &self.task.containers[self.container]
    }
}

impl Target {
    /// The task.
    pub fn task(&self) -> &TaskArn {
        &self.origin.task.arn
    }

    /// The label `job`, or the task definition's family where its convention names no job.
    pub fn job(&self) -> &str {
        self.origin.said.job.as_deref().unwrap_or_else(|| self.origin.task.definition.family())
    }

    /// The name of the convention that it belongs to.
    pub fn convention(&self) -> &str {
        &self.origin.said.convention
    }

    pub(crate) fn shared_convention(&self) -> Arc<str> {
        self.origin.said.convention.clone()
    }

    /// The interval that is shown: `-` where it is the scrape job's own.
    pub fn shown_interval(&self) -> &str {
        if self.asked.interval { self.interval.name() } else { "-" }
    }

    /// The cluster's name.
    pub fn cluster(&self) -> &str {
        self.origin.cluster.arn.last_part()
    }

    /// The container's name.
    pub fn container(&self) -> &str {
        &self.origin.container().name
    }

    /// Whether the same is published of both; their facts may differ in more than that.
    pub fn is_published_like(&self, other: &Self) -> bool {
        // Intervals of equal length may have other names.
        self.interval.name() == other.interval.name()
            && self.asked.interval == other.asked.interval
            && (self == other || self.labels() == other.labels())
    }

    /// The order of publication: address, port, path, then the task; the rest only makes it total.
    pub fn in_order(&self, other: &Self) -> Ordering {
        fn key(target: &Target) -> impl Ord {
            let ScrapeEndpoint { address, path, query, scheme } = &target.endpoint;
            (address, path, target.task(), query, scheme, target.container())
        }
        key(self).cmp(&key(other))
    }
}

impl AsRef<Self> for Target {
    fn as_ref(&self) -> &Self {
        self
    }
}

/// All of them in the order of publication. Fast for a few sequences that are in order.
pub(crate) fn in_order<'a>(targets: impl Iterator<Item = &'a Arc<Target>>) -> Vec<&'a Arc<Target>> {
    let mut targets: Vec<_> = targets.collect();
    targets.sort_by(|one, other| one.in_order(other));
    targets
}

/// What makes two targets of a task one; their order is the order of publication.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrapeEndpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// With a leading `/`.
    pub path: Box<str>,
    /// The query's parameters, sorted by name and URL-encoded; they are published as labels.
    pub query: Box<str>,
    /// `http` or `https`.
    pub scheme: Scheme,
}

impl fmt::Display for ScrapeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.address, self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        Ok(())
    }
}
