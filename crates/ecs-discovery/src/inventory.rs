//! The facts of one source: what AWS said about its clusters, tasks, definitions and hosts.
//!
//! It lives as long as the source. Facts change only through the three [doors]: [`Inventory::apply`],
//! [`Inventory::forget`] and [`Inventory::reset`]. [`Inventory::derive`] keeps the result of each cluster and derives
//! only the tasks again that a fact has touched. Nothing here is published.

mod cache;
mod denials;
pub mod doors;
pub mod events;
pub mod interner;
mod names;
pub mod plan;
pub mod question;
mod results;
pub mod saved;
pub mod selection;
mod services;
mod settled;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use crate::derive::{Derived, Rules};
use crate::model::{
    Cluster, ContainerInstance, Host, InstanceId, Names, Service, ServiceName, Task, TaskDefinition,
};
use crate::task_view::{Definition, Placement, TaskView};
use cache::Cache;
use denials::Denials;
use doors::Ended;
use events::awaited::Awaited;
use events::unannounced::Unannounced;
use interner::Interner;
use plan::recheck::{Round, Rounds};

/// All facts of one source. Times are durations since any fixed moment.
#[derive(Debug, Default)]
pub struct Inventory {
    scopes: BTreeMap<ClusterArn, ScopeFacts>,
    definitions: Cache<TaskDefinitionArn, Arc<TaskDefinition>>,
    container_instances: Cache<ContainerInstanceArn, ContainerInstance>,
    hosts: Cache<InstanceId, Arc<Host>>,
    interner: Interner,
    ended: Ended,
    awaited: Awaited,
    unannounced: Unannounced,
    denials: Denials,
    rounds: Rounds,
    /// Whether the services of tasks are described.
    has_services: bool,
    /// The rules by which the results were derived.
    rules: Option<Rules>,
    /// The environment variables whose values these need.
    names: Option<Names>,
    /// The number of the current refresh, or of the last one.
    refresh: u64,
    /// When unused facts were last looked for.
    collected: Duration,
}

/// What is known of one cluster.
#[derive(Debug)]
struct ScopeFacts {
    cluster: Arc<Cluster>,
    /// Whether DescribeClusters has answered for it, so that its tags are known.
    described: bool,
    /// Whether AWS has named it to this process, which proves that it belongs to the account of the credentials.
    confirmed: bool,
    tasks: BTreeMap<TaskArn, KnownTask>,
    /// The services of its tasks; `None` for one that AWS does not know.
    services: Cache<ServiceName, Option<Arc<Service>>>,
    /// When its tags were last requested.
    tags_asked: Duration,
    /// When the last complete listing of its tasks began; `None` if this process has listed none.
    listing_begun: Option<Duration>,
    /// The tasks of the last complete listing that could not be described.
    undescribed: BTreeSet<TaskArn>,
    /// Whether an errand for its tasks failed and nothing has read them since.
    unread: bool,
    /// The recheck schedules of its settled tasks, of its container instances and of its services.
    task_round: Round,
    instance_round: Round,
    service_round: Round,
    /// The result of its tasks; `None` before the first.
    derived: Option<Arc<Derived>>,
    /// The result by other rules, which tasks keep that wait for facts.
    by_other_rules: Option<Arc<Derived>>,
    /// The tasks whose result may have changed since.
    touched: BTreeSet<TaskArn>,
    /// The tasks that lacked a fact when they were derived.
    missing_facts: BTreeSet<TaskArn>,
}

/// A task, and how much of it is known.
#[derive(Debug)]
struct KnownTask {
    task: Arc<Task>,
    /// The version of the newest answer about it; `None` if AWS did not say one.
    version: Option<u64>,
    /// When AWS last described it as it is.
    observed: Duration,
    /// When it was last requested.
    asked: Duration,
    settled: bool,
    /// Whether DescribeTasks described it, and no event has left out its address or ports since.
    described: bool,
    /// Whether an event left out its address or ports, so that those that are known may be outdated.
    lacks_address: bool,
    /// When the newest event about it was received, if no answer described it since.
    told: Option<Duration>,
    /// Whether the last answer about it had a lower version.
    is_ahead: bool,
    /// Why the last answer about it was not accepted, if so: it is described again at each refresh.
    partial: Option<Box<str>>,
    /// The refresh in which a listing last had it.
    listed: u64,
}

impl ScopeFacts {
    fn new(arn: ClusterArn, now: Duration) -> Self {
        Self {
            cluster: Arc::new(Cluster { arn, tags: Vec::new() }),
            described: false,
            confirmed: true,
            tasks: BTreeMap::new(),
            services: Cache::default(),
            tags_asked: now,
            listing_begun: None,
            undescribed: BTreeSet::new(),
            unread: false,
            task_round: Round::begun(now),
            instance_round: Round::begun(now),
            service_round: Round::begun(now),
            derived: None,
            by_other_rules: None,
            touched: BTreeSet::new(),
            missing_facts: BTreeSet::new(),
        }
    }

    /// All results are derived again, by other rules.
    fn forget_results(&mut self) {
        self.by_other_rules = self.derived.take().or(self.by_other_rules.take());
        self.touched.clear();
        self.missing_facts.clear();
    }

    /// The result of this task may change. Before the first result, all of them are derived.
    fn touch(&mut self, task: &TaskArn) {
        if self.derived.is_some() {
            self.touched.insert(task.clone());
        }
    }
}

impl KnownTask {
    /// Whether it is described on its recheck schedule and not at every refresh. It must be listed in this refresh.
    fn has_schedule(&self, refresh: u64) -> bool {
        self.settled && self.listed == refresh
    }
}

impl Inventory {
    /// The clusters that are known.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterArn> {
        self.scopes.keys()
    }

    /// How many definitions, container instances and hosts are known.
    pub fn cached(&self) -> [usize; 3] {
        [self.definitions.len(), self.container_instances.len(), self.hosts.len()]
    }

    /// Whether AWS should be asked for a definition.
    fn is_definition_wanted(&self, arn: &TaskDefinitionArn, now: Duration) -> bool {
        self.definitions.value(arn).is_none() && !self.definitions.is_refused(arn, now)
    }

    /// Whether AWS denies an item that this operation is to request.
    pub fn is_denied(&self, operation: &str) -> bool {
        self.denials.any_of(operation)
    }

    /// Notes that the credentials may be those of another account now: until AWS names a cluster again, nothing proves
    /// that it belongs to their account.
    pub fn unconfirm(&mut self) {
        self.scopes.values_mut().for_each(|scope| scope.confirmed = false);
    }

    /// The known tasks of a cluster, joined, by ARN.
    pub fn tasks(&self, cluster: &ClusterArn) -> impl Iterator<Item = TaskView<'_>> {
        self.scopes
            .get(cluster)
            .into_iter()
            .flat_map(|scope| scope.tasks.values().map(|known| self.view(&scope.cluster, known)))
    }

    fn view<'a>(&'a self, cluster: &'a Arc<Cluster>, known: &'a KnownTask) -> TaskView<'a> {
        TaskView { partial: known.partial.as_deref(), ..self.join(cluster, &known.task) }
    }

    /// A task with everything its targets depend on, as far as that is known.
    pub fn join<'a>(&'a self, cluster: &'a Arc<Cluster>, task: &'a Arc<Task>) -> TaskView<'a> {
        let definition = self.definitions.value(&task.definition);
        let definition = definition.map_or_else(
            || Definition::Unavailable(self.definitions.failure(&task.definition)),
            Definition::Known,
        );
        let (placement, service) = (self.placement(task), self.service(&cluster.arn, task));
        TaskView { cluster, task, definition, placement, service, partial: None }
    }

    fn placement<'a>(&'a self, task: &'a Task) -> Placement<'a> {
        let Some(arn) = &task.container_instance else { return Placement::Nowhere };
        let instance = self.container_instances.value(arn).and_then(|known| known.instance.as_ref());
        let problem = self.container_instances.failure(arn);
        let Some(id) = instance else { return Placement::ContainerInstance { arn, instance, problem } };
        match self.hosts.value(id) {
            Some(host) => Placement::Host(host),
            None => Placement::ContainerInstance { arn, instance, problem: self.hosts.failure(id) },
        }
    }
}
