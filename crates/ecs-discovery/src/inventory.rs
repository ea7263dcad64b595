//! What AWS said about one source, by thing: the incremental cache of a whole account and region.
//!
//! Facts come in through a [`Refresh`](plan::Refresh); tasks joined with their definition and host go out
//! through [`Inventory::tasks`]. A fact stays until AWS says otherwise, or until nothing has used it for a
//! while. Nothing here is published: that is for whoever concludes a refresh.

mod denials;
pub mod plan;
pub mod question;
pub mod saved;
pub mod selection;
mod settled;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use crate::model::{Cluster, ContainerInstance, Host, InstanceId, Task, TaskDefinition};
use denials::Denials;
use plan::recheck::{Round, Rounds};
use question::Failure;
use texts::Texts;

/// How long a definition, container instance or host that no task uses is kept: a job that runs every half
/// hour finds its definition still known.
const KEPT_UNUSED: Duration = Duration::from_secs(3600);

/// After how long AWS is asked again for a definition it said it does not know: such calls take one definition each.
const DEFINITION_ASKED_AGAIN: Duration = Duration::from_secs(120);

/// All facts of one source. Times are durations since any fixed moment.
#[derive(Debug, Default)]
pub struct Inventory {
    scopes: BTreeMap<ClusterArn, ScopeFacts>,
    definitions: Facts<TaskDefinitionArn, Arc<TaskDefinition>>,
    /// Definitions that a program read which knew fewer variables of the convention, and dropped the others.
    outdated: BTreeSet<TaskDefinitionArn>,
    container_instances: Facts<ContainerInstanceArn, ContainerInstance>,
    hosts: Facts<InstanceId, Arc<Host>>,
    texts: Texts,
    denials: Denials,
    rounds: Rounds,
    /// The refresh that is on, or was last.
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
    /// When its tags were last requested.
    tags_asked: Duration,
    /// The recheck schedules of its settled tasks and of its container instances.
    task_round: Round,
    instance_round: Round,
    /// Whether some task lacked a fact when the scope was last concluded, or it was held since: what came in
    /// meanwhile was not looked at.
    lacking: bool,
}

#[derive(Debug)]
struct KnownTask {
    task: Arc<Task>,
    settled: bool,
    /// Why the last answer about it was not accepted, if so: it is described again at each refresh.
    partial: Option<Box<str>>,
    described: Duration,
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
            tags_asked: now,
            task_round: Round::begun(now),
            instance_round: Round::begun(now),
            lacking: false,
        }
    }

    /// Has these tasks described again at the next refresh.
    fn unsettle(&mut self, tasks: &[TaskArn]) {
        for task in tasks {
            self.tasks.entry(task.clone()).and_modify(|known| known.settled = false);
        }
    }
}

impl KnownTask {
    /// Whether it is described on its recheck schedule and not at every refresh. It must be listed in this refresh.
    fn has_turns(&self, refresh: u64) -> bool {
        self.settled && self.listed == refresh
    }
}

/// Facts of one kind, and the failures to get one.
#[derive(Debug)]
struct Facts<K, V> {
    known: BTreeMap<K, Fact<V>>,
    failed: BTreeMap<K, (Failure, Duration)>,
}

#[derive(Debug)]
struct Fact<V> {
    value: V,
    used: Duration,
    /// When AWS last described it, or said that it does not exist.
    asked: Duration,
}

impl<K, V> Default for Facts<K, V> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), failed: BTreeMap::new() }
    }
}

impl<K: Ord + Clone, V: PartialEq> Facts<K, V> {
    fn value(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|fact| &fact.value)
    }

    fn failure(&self, key: &K) -> Option<&Failure> {
        self.failed.get(key).map(|(failure, _)| failure)
    }

    /// Whether AWS said a short while ago that it does not know this.
    fn is_refused(&self, key: &K, now: Duration) -> bool {
        let refused = |(failure, when): &(Failure, Duration)| {
            failure.is_answer() && now.saturating_sub(*when) < DEFINITION_ASKED_AGAIN
        };
        self.failed.get(key).is_some_and(refused)
    }

    /// Stores a fact; returns whether it changed. An unchanged fact keeps its allocation, which targets share.
    fn learn(&mut self, key: K, value: V, now: Duration) -> bool {
        self.failed.remove(&key);
        match self.known.get_mut(&key) {
            Some(fact) => {
                fact.asked = now;
                let is_news = fact.value != value;
                if is_news {
                    fact.value = value;
                }
                is_news
            }
            None => {
                self.known.insert(key, Fact { value, used: now, asked: now });
                true
            }
        }
    }

    /// Records that a fact could not be read. A known fact stays; if a retry would not help, its recheck counts as
    /// done.
    fn fail(&mut self, key: K, failure: Failure, now: Duration) {
        if !failure.may_pass() {
            self.touch(&key, now);
        }
        self.failed.insert(key, (failure, now));
    }

    /// Records that AWS was asked; returns whether the fact is known.
    fn touch(&mut self, key: &K, now: Duration) -> bool {
        let fact = self.known.get_mut(key);
        fact.map(|fact| fact.asked = now).is_some()
    }

    /// When a known fact was last requested, unless in this refresh.
    fn asked_before(&self, key: &K, now: Duration) -> Option<Duration> {
        self.known.get(key).map(|fact| fact.asked).filter(|asked| *asked != now)
    }

    /// The facts that were in use at the last collection, at `collected`, and when they were last requested, unless in
    /// this refresh.
    fn in_use(&self, collected: Duration, now: Duration) -> Vec<(Duration, K)> {
        let in_use = self.known.iter().filter(|(_, fact)| fact.used >= collected && fact.asked != now);
        in_use.map(|(key, fact)| (fact.asked, key.clone())).collect()
    }

    fn mark_used(&mut self, key: &K, now: Duration) {
        if let Some(fact) = self.known.get_mut(key) {
            fact.used = now;
        }
    }

    fn forget_unused(&mut self, now: Duration) {
        self.known.retain(|_, fact| now.saturating_sub(fact.used) < KEPT_UNUSED);
        self.failed.retain(|_, (_, when)| now.saturating_sub(*when) < KEPT_UNUSED);
    }
}

/// A task with everything its targets depend on.
#[derive(Clone, Copy, Debug)]
pub struct TaskView<'a> {
    /// Its cluster.
    pub cluster: &'a Arc<Cluster>,
    /// The task.
    pub task: &'a Arc<Task>,
    /// Its definition.
    pub definition: Definition<'a>,
    /// Where it runs.
    pub placement: Placement<'a>,
    /// Why AWS's last answer about the task was not accepted, if so.
    pub partial: Option<&'a str>,
}

/// A task's definition, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Definition<'a> {
    /// It was read.
    Known(&'a Arc<TaskDefinition>),
    /// It was not, and why if that was tried.
    Unavailable(Option<&'a Failure>),
}

/// Where a task runs, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Placement<'a> {
    /// On Fargate, or not placed yet.
    Nowhere,
    /// On a container instance whose machine is not known.
    ContainerInstance {
        /// The container instance.
        arn: &'a ContainerInstanceArn,
        /// Its machine's id, if that much is known.
        instance: Option<&'a InstanceId>,
        /// Why no more is known.
        problem: Option<&'a Failure>,
    },
    /// On this machine.
    Host(&'a Arc<Host>),
}

impl<'a> Placement<'a> {
    /// The id of the machine.
    pub fn instance(&self) -> Option<&'a InstanceId> {
        match self {
            Self::Nowhere => None,
            Self::ContainerInstance { instance, .. } => *instance,
            Self::Host(host) => Some(&host.id),
        }
    }
}

impl Inventory {
    /// The clusters that are known.
    pub fn clusters(&self) -> impl Iterator<Item = &ClusterArn> {
        self.scopes.keys()
    }

    /// How many definitions, container instances and hosts are known.
    pub fn cached(&self) -> [usize; 3] {
        [self.definitions.known.len(), self.container_instances.known.len(), self.hosts.known.len()]
    }

    /// Whether AWS should be asked for a definition.
    fn is_definition_wanted(&self, arn: &TaskDefinitionArn, now: Duration) -> bool {
        let is_known = self.definitions.value(arn).is_some() && !self.outdated.contains(arn);
        !is_known && !self.definitions.is_refused(arn, now)
    }

    /// Whether a fact should be asked for that this task's targets depend on.
    fn is_lacking(&self, view: &TaskView<'_>) -> bool {
        view.is_lacking() || self.outdated.contains(&view.task.definition)
    }

    /// Whether AWS denies an item that this operation is to request.
    pub fn is_denied(&self, operation: &str) -> bool {
        self.denials.any_of(operation)
    }

    /// The known tasks of a cluster, joined, by ARN.
    pub fn tasks(&self, cluster: &ClusterArn) -> impl Iterator<Item = TaskView<'_>> {
        self.scopes
            .get(cluster)
            .into_iter()
            .flat_map(|scope| scope.tasks.values().map(|known| self.view(&scope.cluster, known)))
    }

    fn view<'a>(&'a self, cluster: &'a Arc<Cluster>, known: &'a KnownTask) -> TaskView<'a> {
        let KnownTask { task, partial, .. } = known;
        let definition = self.definitions.value(&task.definition);
        let definition = definition.map_or_else(
            || Definition::Unavailable(self.definitions.failure(&task.definition)),
            Definition::Known,
        );
        TaskView { cluster, task, definition, placement: self.placement(task), partial: partial.as_deref() }
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

impl TaskView<'_> {
    /// Whether a fact that this task's targets depend on is not known.
    fn is_lacking(&self) -> bool {
        !self.task.definition.is_managed_daemon()
            && match (self.definition, self.placement) {
                (Definition::Unavailable(_), _) | (_, Placement::ContainerInstance { .. }) => true,
                (Definition::Known(definition), Placement::Host(host)) => {
                    host.private_ipv4.is_none() && definition.network_mode.is_at_the_host()
                }
                (Definition::Known(_), Placement::Nowhere) => false,
            }
    }

    /// Why such a fact is not known.
    fn failure(&self) -> Option<&Failure> {
        match (self.definition, self.placement) {
            (Definition::Unavailable(Some(failure)), _) => Some(failure),
            (_, Placement::ContainerInstance { problem, .. }) => problem,
            _ => None,
        }
    }
}
