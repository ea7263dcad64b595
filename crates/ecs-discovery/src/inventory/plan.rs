//! One refresh of one source, as a list of questions: what must be asked now, what an answer makes askable
//! next, and what it all comes to.
//!
//! Whoever drives a [`Refresh`] asks the [`questions`](Refresh::questions) in any order and number at a time,
//! and hands in every [answer](Refresh::answered) or [failure](Refresh::failed). A failure touches only what
//! was asked; a scope whose tasks could not be heard in full is held by [`Refresh::finish`].

mod clusters;
mod conclude;
mod halves;
mod hear;
mod pages;
pub(super) mod recheck;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use crate::inventory::denials::Kind;
use crate::inventory::question::{Failure, Question};
use crate::inventory::selection::ClusterSelection;
use crate::inventory::{Inventory, ScopeFacts};
use crate::model::{ContainerInstance, InstanceId, Task};

pub use conclude::Conclusion;
use halves::Search;
use pages::Pages;
pub use recheck::Recheck;

/// One refresh in progress; it owns the source's facts meanwhile.
#[derive(Debug)]
pub struct Refresh {
    inventory: Inventory,
    now: Duration,
    recheck: Recheck,
    /// Whether the facts outside of clusters were checked for due ones.
    rechecked: bool,
    selection: ClusterSelection,
    ready: Vec<Question>,
    /// Questions taken and not yet answered, but those for hosts.
    open: usize,
    /// Why the listing of clusters, or the look-up of named ones, failed.
    clusters_failed: Option<Failure>,
    cluster_pages: Pages,
    /// Every cluster on the pages so far, and those of them that are selected.
    clusters_seen: BTreeSet<ClusterArn>,
    clusters_listed: BTreeSet<ClusterArn>,
    /// Known clusters of another account than that of the credentials.
    foreign: BTreeSet<ClusterArn>,
    /// Clusters of which some task, definition or host could not be read.
    incomplete: BTreeSet<ClusterArn>,
    scopes: BTreeMap<ClusterArn, ScopeRefresh>,
    /// Named clusters without facts, because describing them is denied.
    denied_names: Vec<(Box<str>, Failure)>,
    searches: BTreeMap<Kind, Search>,
    /// By operation, how many batches were halved.
    splits: BTreeMap<&'static str, usize>,
    /// What was asked for in this refresh, so that it is asked once.
    definitions: BTreeSet<TaskDefinitionArn>,
    instances: BTreeSet<ContainerInstanceArn>,
    hosts: BTreeSet<InstanceId>,
    /// Hosts that wait for a full batch: those of EC2, and those of ECS Anywhere.
    waiting_ec2: BTreeSet<InstanceId>,
    waiting_external: BTreeSet<InstanceId>,
    /// Known container instances that, according to AWS, are on another machine, which is not known yet.
    moving: Vec<ContainerInstance>,
    /// Whether a definition, container instance, host or cluster's tags became known or changed.
    learned: bool,
    /// Whether a call for one of these failed in a way that may pass: what is published may lack a target.
    partial: bool,
}

/// One cluster's part of a refresh.
#[derive(Debug, Default)]
struct ScopeRefresh {
    pages: Pages,
    listed: bool,
    to_describe: Vec<TaskArn>,
    /// What was ever in `to_describe`.
    described: BTreeSet<TaskArn>,
    describing: usize,
    instances: BTreeSet<ContainerInstanceArn>,
    changed: bool,
    /// Whether AWS called tasks missing that it had just listed, and of which nothing else is known.
    doubtful: bool,
    /// Why an unknown task could not be described, while others could.
    denied: Option<Failure>,
    failure: Option<Failure>,
    gone: bool,
}

impl ScopeRefresh {
    /// Returns whether that was not to be done already.
    fn describe(&mut self, task: &TaskArn) -> bool {
        let new = self.described.insert(task.clone());
        if new {
            self.to_describe.push(task.clone());
        }
        new
    }
}

/// What a task's targets depend on.
struct Around {
    definition: TaskDefinitionArn,
    container_instance: Option<ContainerInstanceArn>,
}

impl Around {
    fn of(task: &Task) -> Self {
        Self { definition: task.definition.clone(), container_instance: task.container_instance.clone() }
    }
}

impl Refresh {
    /// Begins a refresh. `now` is a duration since any fixed moment and never goes back.
    pub fn begin(
        mut inventory: Inventory,
        selection: ClusterSelection,
        now: Duration,
        recheck: Recheck,
    ) -> Self {
        inventory.refresh += 1;
        let mut refresh = Self {
            inventory,
            now,
            recheck,
            rechecked: false,
            selection,
            ready: Vec::new(),
            open: 0,
            clusters_failed: None,
            cluster_pages: Pages::default(),
            clusters_seen: BTreeSet::new(),
            clusters_listed: BTreeSet::new(),
            foreign: BTreeSet::new(),
            incomplete: BTreeSet::new(),
            scopes: BTreeMap::new(),
            denied_names: Vec::new(),
            searches: BTreeMap::new(),
            splits: BTreeMap::new(),
            definitions: BTreeSet::new(),
            instances: BTreeSet::new(),
            hosts: BTreeSet::new(),
            waiting_ec2: BTreeSet::new(),
            waiting_external: BTreeSet::new(),
            moving: Vec::new(),
            learned: false,
            partial: false,
        };
        // Clusters selected by ARN were narrowed to the account.
        refresh.are_foreign(|refresh, cluster| !refresh.selection.selects(cluster));
        if refresh.selection.needs_listing() {
            refresh.ask(Question::Clusters { page: None });
        } else {
            refresh.begin_known_scopes();
            refresh.ask_named_clusters();
        }
        refresh
    }

    /// The questions that can be asked now and have not been given out yet. Pages of a listing are asked for one
    /// after the other, so they should not have to wait behind batches.
    pub fn questions(&mut self) -> Vec<Question> {
        if self.open == 0 && self.ready.is_empty() {
            self.begin_denied_scopes();
        }
        if self.open == 0 && self.ready.is_empty() {
            self.recheck_source();
            // Nothing else can add a host: what is waiting is as full a batch as it gets.
            self.ask_hosts(1);
        }
        let questions = std::mem::take(&mut self.ready);
        self.open += questions.iter().filter(|question| !is_of_hosts(question)).count();
        questions
    }

    fn ask(&mut self, question: Question) {
        self.ready.push(question);
    }

    fn begin_known_scopes(&mut self) {
        let known: Vec<_> = self.inventory.clusters().cloned().collect();
        for cluster in known {
            self.begin_scope(cluster);
        }
    }

    fn begin_scope(&mut self, cluster: ClusterArn) {
        if self.scopes.contains_key(&cluster) {
            return;
        }
        let now = self.now;
        self.inventory.scopes.entry(cluster.clone()).or_insert_with(|| ScopeFacts::new(cluster.clone(), now));
        self.scopes.insert(cluster.clone(), ScopeRefresh::default());
        self.ask(Question::Tasks { cluster, page: None });
    }

    fn ask_cluster_details(&mut self, clusters: &[Box<str>]) {
        for batch in clusters.chunks(Question::CLUSTERS) {
            self.ask_batch(Question::ClusterDetails { clusters: batch.to_vec() });
        }
    }

    /// Asks for tasks of a cluster in full batches, and with `rest` for what remains too.
    fn ask_task_details(&mut self, cluster: &ClusterArn, rest: bool) {
        while let Some(scope) = self.scopes.get_mut(cluster)
            && (scope.to_describe.len() >= Question::TASKS || (rest && !scope.to_describe.is_empty()))
        {
            let batch = scope.to_describe.len().min(Question::TASKS);
            let tasks = scope.to_describe.drain(..batch).collect();
            self.ask_batch(Question::TaskDetails { cluster: cluster.clone(), tasks });
        }
    }

    /// Asks for what a task's targets depend on and is not known yet.
    fn ask_around(&mut self, cluster: &ClusterArn, around: &Around) {
        let (definition, now) = (&around.definition, self.now);
        self.inventory.definitions.mark_used(definition, now);
        if !definition.is_managed_daemon()
            && self.inventory.is_definition_wanted(definition, now)
            && self.definitions.insert(definition.clone())
        {
            self.ask(Question::TaskDefinition { definition: definition.clone() });
        }
        let Some(arn) = &around.container_instance else { return };
        // One that has not registered its machine yet is not known well enough.
        let known = self.inventory.container_instances.value(arn);
        if known.is_none_or(|known| known.instance.is_none()) {
            if self.instances.insert(arn.clone())
                && let Some(scope) = self.scopes.get_mut(cluster)
            {
                scope.instances.insert(arn.clone());
                self.ask_container_instances(cluster, Question::CONTAINER_INSTANCES);
            }
        } else {
            self.ask_host_of(arn);
        }
    }

    /// Asks for a cluster's waiting container instances in full batches, as long as there are `least`.
    fn ask_container_instances(&mut self, cluster: &ClusterArn, least: usize) {
        while let Some(scope) = self.scopes.get_mut(cluster)
            && scope.instances.len() >= least
        {
            let instances = take(&mut scope.instances, Question::CONTAINER_INSTANCES);
            self.ask_batch(Question::ContainerInstances { cluster: cluster.clone(), instances });
        }
    }

    fn ask_host_of(&mut self, arn: &ContainerInstanceArn) {
        let known = self.inventory.container_instances.value(arn);
        let Some(id) = known.and_then(|known| known.instance.clone()) else { return };
        self.inventory.hosts.mark_used(&id, self.now);
        let host = self.inventory.hosts.value(&id);
        if host.is_none_or(|host| host.private_ipv4.is_none()) {
            self.wait_for_host(id);
        }
    }

    fn wait_for_host(&mut self, id: InstanceId) {
        if self.hosts.insert(id.clone()) {
            let waiting = if id.is_external() { &mut self.waiting_external } else { &mut self.waiting_ec2 };
            waiting.insert(id);
            self.ask_hosts(Question::EC2_INSTANCES);
        }
    }

    /// Asks for waiting hosts in full batches, as long as there are `least` of a kind.
    fn ask_hosts(&mut self, least: usize) {
        while self.waiting_ec2.len() >= least {
            let instances = take(&mut self.waiting_ec2, Question::EC2_INSTANCES);
            self.ask_batch(Question::Ec2Instances { instances });
        }
        while self.waiting_external.len() >= least.min(Question::EXTERNAL_INSTANCES) {
            let instances = take(&mut self.waiting_external, Question::EXTERNAL_INSTANCES);
            self.ask_batch(Question::ExternalInstances { instances });
        }
    }
}

fn is_of_hosts(question: &Question) -> bool {
    matches!(question, Question::Ec2Instances { .. } | Question::ExternalInstances { .. })
}

fn take<T: Ord + Clone>(set: &mut BTreeSet<T>, count: usize) -> Vec<T> {
    let rest = set.iter().nth(count).cloned();
    let rest = rest.map_or_else(BTreeSet::new, |first| set.split_off(&first));
    std::mem::replace(set, rest).into_iter().collect()
}
