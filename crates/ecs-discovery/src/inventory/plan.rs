//! One refresh of one source, as a list of questions: what must be asked now, what an answer makes askable
//! next, and the results.
//!
//! Whoever drives a [`Refresh`] asks the [`questions`](Refresh::questions) in any order and number at a time,
//! and hands in every [answer](Refresh::answered) or [failure](Refresh::failed). A failure touches only what
//! was asked; a scope whose tasks could not be heard in full is held by [`Refresh::finish`].
//!
//! It borrows the [`Inventory`] at each step, so that facts can enter it from elsewhere in between.

mod answers;
mod clusters;
mod errand;
mod finish;
mod lookup;
mod pages;
pub(super) mod recheck;
mod services;
mod split;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use crate::failure::Failure;
use crate::inventory::denials::Kind;
use crate::inventory::doors::Missing;
use crate::inventory::events::AWAITED_FOR;
use crate::inventory::question::Question;
use crate::inventory::selection::ClusterSelection;
use crate::inventory::{Inventory, ScopeFacts};
use crate::model::{ContainerInstance, InstanceId, ServiceName};

pub use errand::{Errand, Found, Wishes};
pub use finish::RefreshOutcome;
pub use lookup::Lookup;
use pages::Pages;
pub use recheck::Recheck;
use split::Search;

/// How many denied batches of one operation are requested in halves if a person or a target waits for the answer.
const SPLITS: usize = 4;

/// One refresh in progress.
#[derive(Debug)]
pub struct Refresh {
    now: Duration,
    recheck: Recheck,
    /// Whether the facts outside of clusters were checked for due ones.
    rechecked: bool,
    /// How many more batches of tasks may be described because the rules need dropped values.
    task_batches_again: usize,
    /// Whether it lists no tasks of known clusters, so that a missing task was not listed for that reason.
    is_errand: bool,
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
    /// Whether a call for one of these failed in a way that may pass: what is published may lack a target.
    partial: bool,
    /// Until when the results of tasks wait for facts that are asked for.
    awaits_until: Duration,
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
    /// Services that wait for a full batch, and all that were ever among them.
    services: BTreeSet<ServiceName>,
    services_asked: BTreeSet<ServiceName>,
    /// Whether AWS called tasks missing that it had just listed, and of which nothing else is known.
    contradicted: bool,
    /// Why an unknown task could not be described, while others could.
    denied: Option<Failure>,
    failure: Option<Failure>,
    gone: bool,
    /// Whether no listing of its tasks was completed before, or starts and ends are told otherwise.
    is_first: bool,
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

impl Refresh {
    /// Begins a refresh. `now` is a duration since any fixed moment and never goes back.
    pub fn begin(
        index: &mut Inventory,
        selection: ClusterSelection,
        now: Duration,
        recheck: Recheck,
    ) -> Self {
        index.refresh += 1;
        index.describe_services(recheck.services);
        let mut refresh = Self { awaits_until: Duration::MAX, ..Self::new(selection, now, recheck) };
        // Clusters selected by ARN were narrowed to the account.
        refresh.are_foreign(index, |refresh, _, cluster| !refresh.selection.selects(cluster));
        if refresh.selection.needs_listing() {
            refresh.ask(Question::Clusters { page: None });
        } else {
            refresh.begin_known_scopes(index);
            refresh.ask_named_clusters(index);
        }
        refresh
    }

    /// Without listings and rechecks.
    fn of_given_tasks(selection: ClusterSelection, now: Duration) -> Self {
        let recheck =
            Recheck { interval: Duration::MAX, definition_tags: false, services: false, is_last: false };
        let mut refresh = Self { rechecked: true, ..Self::new(selection, now, recheck) };
        refresh.leave_splits(SPLITS);
        refresh
    }

    fn new(selection: ClusterSelection, now: Duration, recheck: Recheck) -> Self {
        Self {
            now,
            task_batches_again: recheck.task_batches_again(),
            recheck,
            rechecked: false,
            is_errand: false,
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
            partial: false,
            awaits_until: now.saturating_add(AWAITED_FOR),
        }
    }

    /// The questions that can be asked now and have not been given out yet. Pages of a listing are asked for one
    /// after the other, so they should not have to wait behind batches.
    pub fn questions(&mut self, index: &mut Inventory) -> Vec<Question> {
        if self.open == 0 && self.ready.is_empty() {
            self.begin_denied_scopes(index);
        }
        if self.open == 0 && self.ready.is_empty() {
            self.recheck_source(index);
            // Nothing else can add a host: what is waiting is as full a batch as it gets.
            self.ask_hosts(index, 1);
        }
        let questions = std::mem::take(&mut self.ready);
        self.open += questions.iter().filter(|question| !is_of_hosts(question)).count();
        questions
    }

    fn ask(&mut self, question: Question) {
        self.ready.push(question);
    }

    fn begin_known_scopes(&mut self, index: &mut Inventory) {
        let known: Vec<_> = index.clusters().cloned().collect();
        for cluster in known {
            self.begin_scope(index, cluster);
        }
    }

    fn begin_scope(&mut self, index: &mut Inventory, cluster: ClusterArn) {
        if self.scopes.contains_key(&cluster) {
            return;
        }
        let now = self.now;
        let facts = index.scopes.entry(cluster.clone());
        let facts = facts.or_insert_with(|| ScopeFacts::new(cluster.clone(), now));
        let is_first = facts.listing_begun.is_none();
        self.scopes.insert(cluster.clone(), ScopeRefresh { is_first, ..ScopeRefresh::default() });
        self.ask(Question::Tasks { cluster, page: None });
    }

    fn ask_cluster_details(&mut self, index: &mut Inventory, clusters: &[Box<str>]) {
        for batch in clusters.chunks(Question::CLUSTERS) {
            self.ask_batch(index, Question::ClusterDetails { clusters: batch.to_vec() });
        }
    }

    /// Asks for tasks of a cluster in full batches, and with `rest` for what remains too.
    fn ask_task_details(&mut self, index: &mut Inventory, cluster: &ClusterArn, rest: bool) {
        while let Some(scope) = self.scopes.get_mut(cluster)
            && (scope.to_describe.len() >= Question::TASKS || (rest && !scope.to_describe.is_empty()))
        {
            let batch = scope.to_describe.len().min(Question::TASKS);
            let tasks = scope.to_describe.drain(..batch).collect();
            self.ask_batch(index, Question::TaskDetails { cluster: cluster.clone(), tasks });
        }
    }

    /// Asks for facts that are missing, once in a refresh.
    fn ask_for(&mut self, index: &mut Inventory, cluster: &ClusterArn, missing: Vec<Missing>) {
        for fact in missing {
            match fact {
                Missing::Definition(definition) => {
                    if self.definitions.insert(definition.clone()) {
                        self.ask(Question::TaskDefinition { definition });
                    }
                }
                Missing::ContainerInstance(arn) => {
                    if self.instances.insert(arn.clone())
                        && let Some(scope) = self.scopes.get_mut(cluster)
                    {
                        scope.instances.insert(arn);
                        self.ask_container_instances(index, cluster, Question::CONTAINER_INSTANCES);
                    }
                }
                Missing::Service(name) => {
                    if let Some(scope) = self.scopes.get_mut(cluster)
                        && scope.wait_for_service(&name)
                    {
                        self.ask_services(index, cluster, Question::SERVICES);
                    }
                }
                Missing::Host(id) => self.wait_for_host(index, id),
            }
        }
    }

    /// Asks for a cluster's waiting container instances in full batches, as long as there are `least`.
    fn ask_container_instances(&mut self, index: &mut Inventory, cluster: &ClusterArn, least: usize) {
        while let Some(scope) = self.scopes.get_mut(cluster)
            && scope.instances.len() >= least
        {
            let instances = take(&mut scope.instances, Question::CONTAINER_INSTANCES);
            self.ask_batch(index, Question::ContainerInstances { cluster: cluster.clone(), instances });
        }
    }

    fn wait_for_host(&mut self, index: &mut Inventory, id: InstanceId) {
        if self.hosts.insert(id.clone()) {
            let waiting = if id.is_external() { &mut self.waiting_external } else { &mut self.waiting_ec2 };
            waiting.insert(id);
            self.ask_hosts(index, Question::EC2_INSTANCES);
        }
    }

    /// Asks for waiting hosts in full batches, as long as there are `least` of a kind.
    fn ask_hosts(&mut self, index: &mut Inventory, least: usize) {
        while self.waiting_ec2.len() >= least {
            let instances = take(&mut self.waiting_ec2, Question::EC2_INSTANCES);
            self.ask_batch(index, Question::Ec2Instances { instances });
        }
        while self.waiting_external.len() >= least.min(Question::EXTERNAL_INSTANCES) {
            let instances = take(&mut self.waiting_external, Question::EXTERNAL_INSTANCES);
            self.ask_batch(index, Question::ExternalInstances { instances });
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
