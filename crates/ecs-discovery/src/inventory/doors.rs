//! The three doors through which facts enter and leave the [`Inventory`]: nothing else changes a fact.
//!
//! | door | called when |
//! |---|---|
//! | [`apply`](Inventory::apply) | AWS describes a cluster, task, definition, container instance, service or host; for task events [`apply_event`](Inventory::apply_event) |
//! | [`forget`](Inventory::forget) | AWS says that a task is stopped or missing, or a cluster inactive or missing |
//! | [`reset`](Inventory::reset) | a listing of a cluster's tasks is complete: it returns the tasks to doubt |
//!
//! A door records which tasks it touched, for [`Inventory::derive`], and returns which facts are missing now.
//! `observed` is not later than the moment when AWS answered.

use std::collections::BTreeMap;
use std::mem::replace;
use std::sync::Arc;
use std::time::Duration;

use super::events::BELIEVED_FOR;
use super::settled::{is_host_lost, is_instance_lost, is_over, is_settled, lost};
use super::{Inventory, KnownTask};
use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use crate::model::{
    Cluster, ContainerInstance, Host, InstanceId, Service, ServiceName, Tags, Task, TaskDefinition,
};

/// What AWS said about one thing.
#[expect(clippy::large_enum_variant, reason = "it is passed on once and never stored")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A cluster of the inventory and its tags.
    Cluster(Cluster),
    /// A task of a cluster of the inventory.
    Task(ClusterArn, DescribedTask),
    /// A revision, which never changes but for its tags.
    Definition(TaskDefinitionArn, TaskDefinition),
    /// The tags of a revision.
    DefinitionTags(TaskDefinitionArn, Tags),
    /// A container instance.
    ContainerInstance(ContainerInstance),
    /// A service of a cluster of the inventory; `None` if AWS knows no such service.
    Service(ClusterArn, ServiceName, Option<Service>),
    /// A host.
    Host(Host),
}

/// A task as an answer describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedTask {
    /// The task.
    pub task: Task,
    /// Its version, which grows with each change of status; `None` if the answer has none.
    pub version: Option<u64>,
    /// Whether the answer has no list of tags, not even an empty one.
    pub untagged: bool,
}

/// A fact that a task's targets depend on and that is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// DescribeTaskDefinition tells.
    Definition(TaskDefinitionArn),
    /// DescribeContainerInstances tells, or did not tell the machine yet.
    ContainerInstance(ContainerInstanceArn),
    /// DescribeServices tells.
    Service(ServiceName),
    /// EC2 or Systems Manager tells, or did not tell the address yet.
    Host(InstanceId),
}

/// Why a task is to be forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// AWS describes it as stopped, or told to stop, in this version. That is final: only an answer with a higher version
    /// brings it back, which shows that this one was wrong.
    Stopped(Option<u64>),
    /// AWS says that there is no such task.
    Missing,
}

impl Inventory {
    /// Takes a fact in and returns the facts that are missing now.
    ///
    /// Of two answers about a task, the one with the higher version wins, and then the later one. An answer that lacks
    /// something that was known is not accepted: AWS says so if a task, a container or a host ends.
    pub fn apply(&mut self, fact: Fact, observed: Duration) -> Vec<Missing> {
        match fact {
            Fact::Cluster(cluster) => self.apply_cluster(cluster),
            Fact::Task(cluster, described) => return self.apply_task(&cluster, described, observed),
            Fact::Definition(arn, definition) => {
                let definition = self.needed_of_definition(definition);
                self.definitions.learn(arn, Arc::new(definition), observed);
            }
            Fact::DefinitionTags(arn, tags) => self.apply_definition_tags(arn, tags, observed),
            Fact::ContainerInstance(said) => return self.apply_container_instance(said, observed),
            Fact::Service(cluster, name, said) => self.apply_service(&cluster, name, said, observed),
            Fact::Host(said) => {
                let known = self.hosts.value(&said.id);
                if known.is_none_or(|known| !is_host_lost(known, &said)) {
                    self.hosts.learn(said.id.clone(), Arc::new(said), observed);
                }
            }
        }
        Vec::new()
    }

    /// Removes a task, unless it is called [missing](Gone::Missing) while the current listing has it or an event told of
    /// it a short while ago. Returns whether nothing is known of a task that is called missing: if it was listed, the
    /// answers contradict each other.
    pub fn forget(&mut self, cluster: &ClusterArn, task: &TaskArn, gone: Gone, observed: Duration) -> bool {
        if let Gone::Stopped(version) = gone {
            self.ended.insert(task.clone(), version, observed);
        }
        let refresh = self.refresh;
        let Some(scope) = self.scopes.get_mut(cluster) else { return false };
        match scope.tasks.get_mut(task) {
            Some(known) if gone == Gone::Missing && known.listed == refresh => {
                self.doubt(cluster, task, "ListTasks lists the task, but DescribeTasks calls it missing");
                false
            }
            // The answer comes from a replica that lags behind the event.
            Some(known) if gone == Gone::Missing && known.is_told(observed) => {
                known.settled = false;
                false
            }
            Some(_) => {
                scope.tasks.remove(task);
                scope.touch(task);
                false
            }
            None => gone == Gone::Missing,
        }
    }

    /// Removes a cluster, of which AWS says that it is inactive or missing, with its tasks.
    pub fn forget_cluster(&mut self, cluster: &ClusterArn) {
        self.scopes.remove(cluster);
        self.awaited.forget_cluster(cluster);
    }

    /// Ends a listing of a cluster's tasks whose pages were all marked and that began then. Returns
    /// the tasks that it lacks: they are to be described, since a listing alone proves nothing. A task that was observed
    /// later is not doubted.
    pub fn reset(&self, cluster: &ClusterArn, begun: Duration) -> Vec<TaskArn> {
        let tasks = self.scopes.get(cluster).into_iter().flat_map(|scope| &scope.tasks);
        let is_unlisted = |known: &KnownTask| known.listed != self.refresh && known.observed <= begun;
        tasks.filter(|(_, known)| is_unlisted(known)).map(|(arn, _)| arn.clone()).collect()
    }

    /// Notes that a page of the current listing has this task. Returns whether it is settled, and whether no page of the
    /// listing had it before; `None` for an unknown task.
    pub(super) fn mark_listed(&mut self, cluster: &ClusterArn, task: &TaskArn) -> Option<(bool, bool)> {
        let known = self.scopes.get_mut(cluster)?.tasks.get_mut(task)?;
        Some((known.settled, replace(&mut known.listed, self.refresh) != self.refresh))
    }

    /// Keeps a known task whose answer is not accepted, so that it is described again at the next refresh.
    pub(super) fn doubt(&mut self, cluster: &ClusterArn, task: &TaskArn, problem: &str) {
        let Some(scope) = self.scopes.get_mut(cluster) else { return };
        let Some(known) = scope.tasks.get_mut(task) else { return };
        let why = format!("{problem}; its targets are kept, and it is described again at each refresh");
        known.settled = false;
        if known.partial.as_deref() != Some(&why) {
            known.partial = Some(why.into());
            scope.touch(task);
        }
    }

    fn apply_cluster(&mut self, cluster: Cluster) {
        let Some(scope) = self.scopes.get_mut(&cluster.arn) else { return };
        if *scope.cluster != cluster {
            scope.cluster = Arc::new(cluster);
            // The targets of all its tasks have its tags.
            if scope.derived.is_some() {
                scope.touched.extend(scope.tasks.keys().cloned());
            }
        }
    }

    fn apply_task(
        &mut self,
        cluster: &ClusterArn,
        described: DescribedTask,
        observed: Duration,
    ) -> Vec<Missing> {
        let DescribedTask { mut task, version, untagged } = described;
        if is_over(&task) {
            self.forget(cluster, &task.arn, Gone::Stopped(version), observed);
            return Vec::new();
        }
        let known = self.known_task(cluster, &task.arn).map(|known| known.task.clone());
        task = self.needed_of_task(task, known.as_deref());
        let Some(scope) = self.scopes.get_mut(cluster) else { return Vec::new() };
        let known = match scope.tasks.get_mut(&task.arn) {
            Some(known) => {
                known.asked = observed;
                // An event of the same version leaves out facts of the answer.
                let is_as_new = version == known.version && (!known.described || known.told.is_some());
                let is_newer = known.version.is_some() && (version > known.version || is_as_new);
                // An answer with a lower version comes from a replica that lags behind, or an event was faster. If the
                // next one has a lower version too, and no event told of the known one lately, the known one is wrong.
                let is_lower = version.is_some() && version < known.version;
                let is_wrong =
                    |known: &mut KnownTask| replace(&mut known.is_ahead, true) && !known.is_told(observed);
                let is_older = (observed < known.observed && !is_newer) || (is_lower && !is_wrong(known));
                if is_older {
                    known.settled &= observed < known.observed;
                    self.interner.share(&mut task);
                    let definition = self.definitions.value(&known.task.definition);
                    if known.complete_from(&task, untagged, definition) {
                        scope.touch(&task.arn);
                    }
                    return Vec::new();
                }
                Some(known)
            }
            None if self.ended.is_final(&task.arn, version) => return Vec::new(),
            None => None,
        };
        if let Some(what) = known.and_then(|known| lost(&known.task, &task, untagged)) {
            let why = format!("DescribeTasks leaves out {what} and does not say that the task ends");
            self.doubt(cluster, &task.arn, &why);
            return Vec::new();
        }
        let missing = self.missing_facts(cluster, &task, observed);
        let Some(scope) = self.scopes.get_mut(cluster) else { return missing };
        let (arn, is_settled) = (task.arn.clone(), is_settled(&task));
        let is_touched = match scope.tasks.get_mut(&arn) {
            // An unchanged task keeps its allocation, which targets share.
            Some(known) if *known.task == task => {
                (known.version, known.observed) = (version, observed.max(known.observed));
                let was_partial = known.partial.take().is_some();
                let was_ahead = replace(&mut known.is_ahead, false);
                let was_undescribed = !replace(&mut known.described, true);
                (known.lacks_address, known.told) = (false, None);
                known.settled |= (was_partial || was_ahead || was_undescribed) && is_settled;
                // Whether it is incomplete is found when it is derived.
                was_partial || was_ahead || was_undescribed
            }
            known => {
                let listed = known.as_ref().map_or(self.refresh, |known| known.listed);
                let observed = known.map_or(observed, |known| observed.max(known.observed));
                self.interner.share(&mut task);
                let known = KnownTask { listed, ..KnownTask::new(Arc::new(task), version, observed) };
                scope.tasks.insert(arn.clone(), known);
                true
            }
        };
        if is_touched {
            scope.touch(&arn);
        }
        missing
    }

    fn apply_definition_tags(&mut self, arn: TaskDefinitionArn, tags: Tags, observed: Duration) {
        if let Some(known) = self.definitions.value(&arn)
            && known.tags != tags
        {
            let definition = TaskDefinition { tags, ..TaskDefinition::clone(known) };
            self.definitions.learn(arn, Arc::new(definition), observed);
        }
    }

    fn apply_container_instance(&mut self, said: ContainerInstance, observed: Duration) -> Vec<Missing> {
        let known = self.container_instances.value(&said.arn);
        if known.is_some_and(|known| is_instance_lost(known, &said)) {
            return Vec::new();
        }
        let instance = said.instance.clone();
        self.container_instances.learn(said.arn.clone(), said, observed);
        self.missing_host(instance, observed).into_iter().collect()
    }

    /// The facts that this task's targets depend on and that are not known.
    pub(super) fn missing_facts(&mut self, cluster: &ClusterArn, task: &Task, now: Duration) -> Vec<Missing> {
        let mut missing = Vec::new();
        let definition = &task.definition;
        self.definitions.mark_used(definition, now);
        if !definition.is_managed_daemon() && self.is_definition_wanted(definition, now) {
            missing.push(Missing::Definition(definition.clone()));
        }
        if let Some(arn) = &task.container_instance {
            // One that has not registered its machine yet is not known well enough.
            match self.container_instances.value(arn).and_then(|known| known.instance.clone()) {
                None => missing.push(Missing::ContainerInstance(arn.clone())),
                instance => missing.extend(self.missing_host(instance, now)),
            }
        }
        missing.extend(self.missing_service(cluster, task, now).map(Missing::Service));
        missing
    }

    /// The same for the tasks of a cluster that lacked facts when they were last derived, or were touched since.
    pub(super) fn missing_facts_of(&mut self, cluster: &ClusterArn, now: Duration) -> Vec<Missing> {
        let Some(scope) = self.scopes.get(cluster) else { return Vec::new() };
        let is_due = |(arn, _): &(&TaskArn, &KnownTask)| {
            scope.derived.is_none() || scope.touched.contains(*arn) || scope.missing_facts.contains(*arn)
        };
        let tasks = scope.tasks.iter().filter(is_due);
        let tasks: Vec<_> = tasks.map(|(_, known)| known.task.clone()).collect();
        tasks.iter().flat_map(|task| self.missing_facts(cluster, task, now)).collect()
    }

    fn missing_host(&mut self, instance: Option<InstanceId>, now: Duration) -> Option<Missing> {
        let id = instance?;
        self.hosts.mark_used(&id, now);
        let host = self.hosts.value(&id);
        host.is_none_or(|host| host.private_ipv4.is_none()).then_some(Missing::Host(id))
    }
}

impl KnownTask {
    pub(super) fn new(task: Arc<Task>, version: Option<u64>, observed: Duration) -> Self {
        let settled = is_settled(&task);
        Self {
            task,
            version,
            observed,
            asked: observed,
            settled,
            described: true,
            lacks_address: false,
            told: None,
            is_ahead: false,
            partial: None,
            listed: 0,
        }
    }

    /// Whether the last event about it is newer than an answer that a replica of ECS may give, for a request that was
    /// sent then.
    fn is_told(&self, sent: Duration) -> bool {
        self.told.is_some_and(|told| sent < told.saturating_add(BELIEVED_FOR))
    }
}

/// How long a stopped task is remembered, so that an outdated answer does not bring it back: ECS itself describes
/// stopped tasks for an hour, and after two no answer on its way is older.
const ENDED_KEPT: Duration = Duration::from_secs(7200);

/// The most stopped tasks that are remembered; about 20 MiB.
const MAX_ENDED: usize = 100_000;

/// The tasks that stopped, in which version, and when that was observed.
#[derive(Debug, Default)]
pub(super) struct Ended(BTreeMap<TaskArn, (Option<u64>, Duration)>);

impl Ended {
    pub(super) fn insert(&mut self, task: TaskArn, version: Option<u64>, observed: Duration) {
        if self.0.len() >= MAX_ENDED && !self.0.contains_key(&task) {
            self.forget_oldest();
        }
        let (highest, last) = self.0.entry(task).or_insert((version, observed));
        // One without a version is final.
        *highest = highest.and_then(|highest| Some(highest.max(version?)));
        *last = observed.max(*last);
    }

    /// A higher version shows that a task did not end.
    pub(super) fn remove(&mut self, task: &TaskArn) {
        self.0.remove(task);
    }

    /// Forgets the older half, so that the search for the oldest ones is rare.
    fn forget_oldest(&mut self) {
        let mut observed: Vec<_> = self.0.values().map(|(_, observed)| *observed).collect();
        let middle = observed.len() / 2;
        let (_, median, _) = observed.select_nth_unstable(middle);
        let median = *median;
        // Many may be as old as the median.
        let older = self.0.values().filter(|(_, observed)| *observed < median).count();
        let mut surplus = middle - older;
        self.0.retain(|_, (_, observed)| {
            let is_surplus = *observed == median && surplus > 0;
            surplus -= usize::from(is_surplus);
            *observed >= median && !is_surplus
        });
    }

    /// Whether a task stopped, and an answer of that version does not show that this was wrong.
    pub(super) fn is_final(&self, task: &TaskArn, version: Option<u64>) -> bool {
        let stopped = self.0.get(task);
        stopped.is_some_and(|(stopped, _)| stopped.is_none() || version <= *stopped)
    }

    /// Whether a task is known to have stopped.
    pub(super) fn contains(&self, task: &TaskArn) -> bool {
        self.0.contains_key(task)
    }

    /// Forgets those that stopped long ago.
    pub(super) fn collect(&mut self, now: Duration) {
        self.0.retain(|_, (_, observed)| now.saturating_sub(*observed) < ENDED_KEPT);
    }
}
