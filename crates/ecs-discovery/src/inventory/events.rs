//! Task events: merging them with what is known, tasks whose results wait for facts, and changes that no event told.
//!
//! An event is believed by its version. It never removes a target of a running task: a field that it lacks is kept, and
//! a task whose address or ports it lacks is described. A task that an event tells of first is derived once everything
//! is known that its targets depend on, or two seconds after the event that it runs.

pub(super) mod awaited;
mod merge;
pub(super) mod unannounced;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::doors::{Gone, Missing};
use super::settled::{is_over, is_whole, lost};
use super::{Inventory, KnownTask};
use crate::arn::{ClusterArn, TaskArn};
use crate::event::TaskEvent;
use crate::model::{Status, Task, TaskDefinition};
use crate::task_view::{Definition, TaskService, TaskView};
use merge::{keep, merge};

/// How much older than the beginning of a cluster's last complete listing an event about an unknown task may be. An older
/// one tells of a task that the listing would have had.
const BELIEVED_BEFORE_LISTING: Duration = Duration::from_secs(60);

/// How long after an event a lagging replica of ECS may still answer without the change that the event told.
pub(super) const BELIEVED_FOR: Duration = Duration::from_secs(60);

/// How long the result of a running task waits for facts.
pub(super) const AWAITED_FOR: Duration = Duration::from_secs(2);

/// The effect of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventResult {
    /// Its facts are known now.
    Applied,
    /// They were known, or newer ones.
    Duplicate,
    /// It is too old to be believed, or its cluster is not known: AWS is asked.
    Stale,
}

/// A request that an event leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// For the facts of a task that starts: there is time until it runs.
    Starting(ClusterArn, TaskArn),
    /// For the facts of a task that runs, or may run.
    Running(ClusterArn, TaskArn),
    /// For the tasks of a cluster that is not known, and this one if the cluster was read by then.
    Cluster(ClusterArn, TaskArn),
}

impl Wish {
    /// The cluster of the task.
    pub fn cluster(&self) -> &ClusterArn {
        match self {
            Self::Starting(cluster, _) | Self::Running(cluster, _) | Self::Cluster(cluster, _) => cluster,
        }
    }
}

impl Inventory {
    /// Takes in an event that was received at `now`. Returns its effect, and the request that it leads to.
    pub fn apply_event(&mut self, event: TaskEvent, now: Duration) -> (EventResult, Option<Wish>) {
        let TaskEvent { cluster, task, version, updated } = event;
        let arn = task.arn.clone();
        self.unannounced.told(&arn, is_over(&task));
        if self.ended.is_final(&arn, Some(version)) {
            return (EventResult::Duplicate, None);
        }
        if !is_over(&task) {
            self.ended.remove(&arn);
        }
        let Some(scope) = self.scopes.get(&cluster) else {
            if is_over(&task) {
                // The errand that reads its cluster may get an answer that lags behind.
                self.ended.insert(arn, Some(version), now);
                return (EventResult::Stale, None);
            }
            return (EventResult::Stale, Some(Wish::Cluster(cluster, arn)));
        };
        if scope.unread && !is_over(&task) {
            return (EventResult::Stale, Some(Wish::Cluster(cluster, arn)));
        }
        let known = scope.tasks.get(&arn);
        if known.is_some_and(|known| known.version >= Some(version)) {
            return (EventResult::Duplicate, None);
        }
        if is_over(&task) {
            self.forget(&cluster, &arn, Gone::Stopped(Some(version)), now);
            return (EventResult::Applied, None);
        }
        let is_running = task.last_status == Status::Running;
        let wish = move |cluster, arn| {
            if is_running { Wish::Running(cluster, arn) } else { Wish::Starting(cluster, arn) }
        };
        match known {
            None => {
                let is_believed = scope.listing_begun.is_some_and(|begun| {
                    updated.checked_add(BELIEVED_BEFORE_LISTING).is_some_and(|until| until >= begun)
                });
                if !is_believed {
                    return (EventResult::Stale, Some(Wish::Running(cluster, arn)));
                }
                let task = self.needed_of_task(task, None);
                self.insert_event(&cluster, task, version, now, false);
                self.await_event(&cluster, &arn, now);
                (EventResult::Applied, Some(wish(cluster, arn)))
            }
            // The answer that made it known has no version, and is newer.
            Some(known) if known.version.is_none() && updated < known.observed => {
                self.undescribe(&cluster, &arn);
                (EventResult::Stale, Some(Wish::Running(cluster, arn)))
            }
            Some(known) => {
                let (merged, mut lacks_address) = merge(&known.task, task);
                let merged = self.needed_of_task(merged, Some(&known.task));
                if lost(&known.task, &merged, false).is_some() {
                    self.undescribe(&cluster, &arn);
                    return (EventResult::Applied, Some(Wish::Running(cluster, arn)));
                }
                let is_new_result = is_running && *known.task != merged;
                lacks_address |= is_new_result && !self.is_addressed(&merged);
                self.insert_event(&cluster, merged, version, now, lacks_address);
                let is_wished = !self.is_described(&cluster, &arn) || self.can_learn(&cluster, &arn, now);
                if is_wished || self.awaited.contains(&cluster, &arn) {
                    self.await_event(&cluster, &arn, now);
                }
                (EventResult::Applied, is_wished.then(|| wish(cluster, arn)))
            }
        }
    }

    fn insert_event(
        &mut self,
        cluster: &ClusterArn,
        mut task: Task,
        version: u64,
        now: Duration,
        lacks_address: bool,
    ) {
        let Some(scope) = self.scopes.get_mut(cluster) else { return };
        let arn = task.arn.clone();
        let before = scope.tasks.remove(&arn);
        let is_equal = before.as_ref().is_some_and(|known| *known.task == task);
        let task = match &before {
            // An unchanged task keeps its allocation, which targets share.
            Some(known) if is_equal => known.task.clone(),
            _ => {
                self.interner.share(&mut task);
                Arc::new(task)
            }
        };
        let mut known =
            KnownTask { described: false, told: Some(now), ..KnownTask::new(task, Some(version), now) };
        if let Some(before) = before {
            known.described = before.described && !lacks_address;
            known.lacks_address = before.lacks_address || lacks_address;
            // One that is described at each refresh still is.
            known.settled &= before.partial.is_none() && (before.settled || !is_equal);
            (known.asked, known.partial, known.listed) = (before.asked, before.partial, before.listed);
        }
        known.settled &= known.described;
        scope.tasks.insert(arn.clone(), known);
        if !is_equal {
            scope.touch(&arn);
        }
    }

    /// The result of a task waits for the facts that its event leads to a request for.
    fn await_event(&mut self, cluster: &ClusterArn, task: &TaskArn, now: Duration) {
        let known = self.known_task(cluster, task);
        let is_running = known.is_some_and(|known| known.task.last_status == Status::Running);
        self.await_facts(
            cluster,
            task,
            if is_running { now.saturating_add(AWAITED_FOR) } else { Duration::MAX },
        );
    }

    /// Whether a task has the address and ports that its definition promises. It may lack one if that is not known.
    fn is_addressed(&self, task: &Task) -> bool {
        let definition = self.definitions.value(&task.definition);
        definition.is_some_and(|definition| is_whole(task, definition))
    }

    /// Has a task described by the next refresh, if no errand does it before.
    fn undescribe(&mut self, cluster: &ClusterArn, task: &TaskArn) {
        let known = self.scopes.get_mut(cluster).and_then(|scope| scope.tasks.get_mut(task));
        if let Some(known) = known {
            (known.described, known.settled, known.lacks_address) = (false, false, true);
        }
    }

    pub(super) fn known_task(&self, cluster: &ClusterArn, task: &TaskArn) -> Option<&KnownTask> {
        self.scopes.get(cluster)?.tasks.get(task)
    }

    /// Whether a task is known.
    pub(super) fn is_task_known(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        self.known_task(cluster, task).is_some()
    }

    /// Whether a task is known that DescribeTasks has described in full.
    pub(super) fn is_described(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        let known = self.known_task(cluster, task);
        known.is_some_and(|known| known.described)
    }

    /// Whether a task lacks a fact that a request can still bring; `None` for a task that is not known, and did not end.
    pub fn lacks(&mut self, cluster: &ClusterArn, task: &TaskArn, now: Duration) -> Option<bool> {
        let Some(known) = self.known_task(cluster, task) else {
            return self.ended.contains(task).then_some(false);
        };
        let (task, described) = (known.task.clone(), known.described);
        Some(!described || !self.missing_facts(cluster, &task, now).is_empty())
    }

    /// Whether a known task lacks a fact whose request has not failed lately.
    fn can_learn(&mut self, cluster: &ClusterArn, task: &TaskArn, now: Duration) -> bool {
        let known = self.known_task(cluster, task);
        let Some(task) = known.map(|known| known.task.clone()) else { return false };
        self.missing_facts(cluster, &task, now).iter().any(|missing| match missing {
            Missing::Definition(arn) => !self.definitions.has_failed(arn, now),
            Missing::ContainerInstance(arn) => !self.container_instances.has_failed(arn, now),
            Missing::Service(name) => !self.has_service_failed(cluster, name, now),
            Missing::Host(id) => !self.hosts.has_failed(id, now),
        })
    }

    /// Whether all facts are known that a known task's targets depend on.
    pub(super) fn has_all_facts(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        let scope = self.scopes.get(cluster);
        let known = scope.and_then(|scope| Some((scope, scope.tasks.get(task)?)));
        known.is_some_and(|(scope, known)| {
            let view = self.view(&scope.cluster, known);
            !view.has_missing_facts() && !matches!(view.service, TaskService::Unknown(_))
        })
    }

    /// A refresh learned of the end of a task that was known, or of the start of another. One that only could not be
    /// described before did not start since.
    pub(super) fn note_unannounced(&mut self, cluster: &ClusterArn, task: &TaskArn, is_end: bool) {
        let scope = self.scopes.get(cluster);
        if is_end || !scope.is_some_and(|scope| scope.undescribed.contains(task)) {
            self.unannounced.insert(task, is_end);
        }
    }

    /// Remembers which of these tasks of a complete listing are not known yet.
    pub(super) fn note_undescribed(&mut self, cluster: &ClusterArn, asked: &BTreeSet<TaskArn>) {
        if let Some(scope) = self.scopes.get_mut(cluster) {
            let unknown = asked.iter().filter(|task| !scope.tasks.contains_key(*task));
            scope.undescribed = unknown.filter(|task| !self.ended.contains(task)).cloned().collect();
        }
    }

    /// Whether the tasks of a cluster were listed in full and read.
    pub fn is_listed(&self, cluster: &ClusterArn) -> bool {
        let scope = self.scopes.get(cluster);
        scope.is_some_and(|scope| scope.listing_begun.is_some() && !scope.unread)
    }

    /// An errand could not read the tasks of this cluster: the next event of one of them leads to another. A cluster with a
    /// result was read by a refresh meanwhile.
    pub(super) fn note_unread(&mut self, cluster: &ClusterArn) {
        self.scopes.entry(cluster.clone()).and_modify(|scope| scope.unread |= scope.derived.is_none());
    }

    /// A listing of a cluster's tasks that began then is complete.
    pub(super) fn listed_in_full(&mut self, cluster: &ClusterArn, begun: Duration) {
        if let Some(scope) = self.scopes.get_mut(cluster) {
            scope.listing_begun = Some(begun);
        }
    }

    /// The result of a task waits for facts, at most until then. Until [`Duration::MAX`] is until the refresh that asks for
    /// them ends, or, if the task starts, until it runs.
    pub(super) fn await_facts(&mut self, cluster: &ClusterArn, task: &TaskArn, until: Duration) {
        if self.is_task_known(cluster, task) {
            self.awaited.insert(cluster, task, until);
        }
    }

    /// Whether the result of a task that runs waits for facts.
    pub(super) fn runs_awaited(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        let known = self.known_task(cluster, task);
        known.is_some_and(|known| known.task.last_status == Status::Running)
            && self.awaited.contains(cluster, task)
    }

    /// The awaited tasks of a cluster that still lack facts. Others are awaited no longer.
    pub(super) fn still_awaited(&mut self, cluster: &ClusterArn) -> BTreeSet<TaskArn> {
        let of_cluster = self.awaited.of(cluster);
        let scope = self.scopes.get(cluster);
        let lacks = |task: &TaskArn| {
            let known = scope.and_then(|scope| Some((scope, scope.tasks.get(task)?)));
            known.is_some_and(|(scope, known)| {
                !known.described || self.is_incomplete(&self.view(&scope.cluster, known))
            })
        };
        let (still, done): (BTreeSet<_>, BTreeSet<_>) = of_cluster.into_iter().partition(lacks);
        done.iter().for_each(|task| self.awaited.remove(cluster, task));
        still
    }

    fn is_incomplete(&self, view: &TaskView<'_>) -> bool {
        let is_whole = match view.definition {
            Definition::Known(definition) => is_whole(view.task, definition),
            Definition::Unavailable(_) => false,
        };
        view.task.last_status == Status::Running
            && (view.has_missing_facts() || view.service.is_awaited() || !is_whole)
    }

    /// When the next result stops waiting, if a task that runs has one.
    pub fn awaited_until(&self) -> Option<Duration> {
        self.awaited.next()
    }

    /// Ends the waiting of results that have waited long enough. Returns their clusters.
    pub fn release(&mut self, now: Duration) -> BTreeSet<ClusterArn> {
        self.awaited.release(now)
    }

    /// Ends the waiting for the facts that a refresh asked for which began then. Results of running tasks that an event told
    /// of since wait for their time, and those of starting ones until they run.
    pub(super) fn release_refreshed(&mut self, begun: Duration) {
        let by_then = begun.saturating_add(AWAITED_FOR);
        let starts = |cluster: &ClusterArn, task: &TaskArn| {
            let known = self.scopes.get(cluster).and_then(|scope| scope.tasks.get(task));
            known.is_some_and(|known| known.task.last_status != Status::Running)
        };
        let is_later = |until: Duration| by_then < until && until < Duration::MAX;
        self.awaited.retain(|cluster, task, until| is_later(until) || starts(cluster, task));
    }

    /// How many starts and ends refreshes have learned of that no event told in time. Each is counted once.
    pub fn missed_events(&mut self, now: Duration) -> usize {
        self.unannounced.missed(now)
    }

    /// Whether an event may still tell a change that a refresh has learned of.
    pub fn awaits_events(&self) -> bool {
        self.unannounced.awaits_any()
    }

    /// A refresh ended: the time in which events may tell what it learned begins.
    pub fn expect_events(&mut self, now: Duration) {
        self.unannounced.expect(now);
    }

    /// Forgets the changes that no event told: no events were expected.
    pub fn expect_no_events(&mut self) {
        self.unannounced = unannounced::Unannounced::default();
    }
}

impl KnownTask {
    /// Adds what events never tell from an answer that is otherwise outdated. That completes the task unless it lacks an
    /// address or a port that its definition promises. Returns whether anything changed.
    pub(super) fn complete_from(
        &mut self,
        said: &Task,
        untagged: bool,
        definition: Option<&Arc<TaskDefinition>>,
    ) -> bool {
        if self.described {
            return false;
        }
        let task = Arc::make_mut(&mut self.task);
        if !untagged {
            task.tags.clone_from(&said.tags);
        }
        keep(&mut task.capacity_provider, &said.capacity_provider);
        keep(&mut task.platform_family, &said.platform_family);
        let is_addressed = definition.is_none_or(|definition| is_whole(task, definition));
        // The rest is described at the next refresh.
        self.described = !self.lacks_address && (is_addressed || task.last_status != Status::Running);
        true
    }
}
