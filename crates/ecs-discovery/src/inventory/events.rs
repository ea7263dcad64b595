//! Task events: merging them with what is known, tasks whose results wait for facts, and changes that no event told.
//!
//! An event is believed by its version. It never removes a target of a running task: a field that it lacks is kept, and
//! a task whose address or ports it lacks is described. A task that an event tells of first is derived once everything
//! is known that its targets depend on, or two seconds after the event that it runs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::doors::Gone;
use super::settled::{is_over, is_whole, lost};
use super::{Inventory, KnownTask, ScopeFacts};
use crate::arn::{ClusterArn, TaskArn};
use crate::event::TaskEvent;
use crate::model::{Container, NetworkInterface, Status, Task};
use crate::task_view::{Definition, TaskView};

/// How much older than the beginning of a cluster's last complete listing an event about an unknown task may be. An older
/// one tells of a task that the listing would have had.
const BELIEVED_BEFORE_LISTING: Duration = Duration::from_secs(60);

/// How long the result of a running task waits for facts.
const AWAITED_FOR: Duration = Duration::from_secs(2);

/// How long after a refresh an event may tell the change that the refresh learned of.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(60);

/// The most changes that are remembered until an event tells them: more than a thousand a second would be, for a minute.
const MAX_UNANNOUNCED: usize = 100_000;

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
    /// For the tasks of a cluster that is not known.
    Cluster(ClusterArn),
}

impl Inventory {
    /// Takes in an event that was received at `now`. Returns its effect, and the request that it leads to.
    pub fn apply_event(&mut self, event: TaskEvent, now: Duration) -> (EventResult, Option<Wish>) {
        let TaskEvent { cluster, task, version, updated } = event;
        let arn = task.arn.clone();
        self.unannounced.remove(&arn);
        if self.ended.is_final(&arn, Some(version)) {
            return (EventResult::Duplicate, None);
        }
        let Some(scope) = self.scopes.get(&cluster) else {
            let wish = (!is_over(&task)).then(|| Wish::Cluster(cluster));
            return (EventResult::Stale, wish);
        };
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
                self.insert_event(&cluster, task, version, now, false);
                (EventResult::Applied, Some(wish(cluster, arn)))
            }
            Some(known) => {
                let (merged, lacks_address) = merge(&known.task, task);
                let described = known.described && !lacks_address;
                if lost(&known.task, &merged, false).is_some() {
                    self.undescribe(&cluster, &arn);
                    return (EventResult::Applied, Some(Wish::Running(cluster, arn)));
                }
                let is_told = is_running && !described;
                self.insert_event(&cluster, merged, version, now, described);
                let is_wished = is_told || !described || self.lacks(&cluster, &arn, now);
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
        described: bool,
    ) {
        let Some(scope) = self.scopes.get_mut(cluster) else { return };
        let (arn, is_running) = (task.arn.clone(), task.last_status == Status::Running);
        let before = scope.tasks.remove(&arn);
        let is_new = before.is_none();
        let is_equal = before.as_ref().is_some_and(|known| *known.task == task);
        let task = match &before {
            // An unchanged task keeps its allocation, which targets share.
            Some(known) if is_equal => known.task.clone(),
            _ => {
                self.interner.share(&mut task);
                Arc::new(task)
            }
        };
        let mut known = KnownTask { described, ..KnownTask::new(task, Some(version), now) };
        known.settled &= described;
        if let Some(KnownTask { asked, partial, listed, .. }) = before {
            (known.asked, known.partial, known.listed) = (asked, partial, listed);
        }
        scope.tasks.insert(arn.clone(), known);
        if !is_equal {
            scope.touch(&arn);
        }
        if is_new || !described || self.awaited.contains(&arn) {
            let until = if is_running { now.saturating_add(AWAITED_FOR) } else { Duration::MAX };
            self.awaited.insert(cluster, arn, until);
        }
    }

    /// Has a task described by the next refresh, if no errand does it before.
    fn undescribe(&mut self, cluster: &ClusterArn, task: &TaskArn) {
        let known = self.scopes.get_mut(cluster).and_then(|scope| scope.tasks.get_mut(task));
        if let Some(known) = known {
            (known.described, known.settled) = (false, false);
        }
    }

    /// Whether a task is known.
    pub(super) fn is_task_known(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        self.scopes.get(cluster).is_some_and(|scope| scope.tasks.contains_key(task))
    }

    /// Whether a task is known that DescribeTasks has described in full.
    pub(super) fn is_described(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        let known = self.scopes.get(cluster).and_then(|scope| scope.tasks.get(task));
        known.is_some_and(|known| known.described)
    }

    /// Whether a known task lacks a fact that a request can still bring.
    pub fn lacks(&mut self, cluster: &ClusterArn, task: &TaskArn, now: Duration) -> bool {
        let known = self.scopes.get(cluster).and_then(|scope| scope.tasks.get(task));
        let Some((task, described)) = known.map(|known| (known.task.clone(), known.described)) else {
            return false;
        };
        !described || !self.missing_facts(&task, now).is_empty()
    }

    /// A listing of a cluster's tasks that began then is complete.
    pub(super) fn listed_in_full(&mut self, cluster: &ClusterArn, begun: Duration) {
        if let Some(scope) = self.scopes.get_mut(cluster) {
            scope.listing_begun = Some(begun);
        }
    }

    /// The result of a new task waits for facts until the refresh that asks for them ends.
    pub(super) fn await_facts(&mut self, cluster: &ClusterArn, task: &TaskArn) {
        if self.is_task_known(cluster, task) {
            self.awaited.insert(cluster, task.clone(), Duration::MAX);
        }
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
        done.iter().for_each(|task| self.awaited.remove(task));
        still
    }

    fn is_incomplete(&self, view: &TaskView<'_>) -> bool {
        let is_whole = match view.definition {
            Definition::Known(definition) => is_whole(view.task, definition),
            Definition::Unavailable(_) => false,
        };
        view.task.last_status == Status::Running && (self.has_missing_facts(view) || !is_whole)
    }

    /// When the next result stops waiting, if a task that runs has one.
    pub fn awaited_until(&self) -> Option<Duration> {
        self.awaited.next()
    }

    /// Ends the waiting of results that have waited long enough. Returns their clusters.
    pub fn release(&mut self, now: Duration) -> BTreeSet<ClusterArn> {
        self.awaited.release(now)
    }

    /// Ends the waiting for the facts that a refresh asked for. Results of running tasks wait for their time.
    pub(super) fn release_refreshed(&mut self) {
        self.awaited.0.retain(|_, (_, until)| *until < Duration::MAX);
    }

    /// How many starts and ends refreshes have learned of that no event told in time. Each is counted once.
    pub fn missed_events(&mut self, now: Duration) -> usize {
        self.unannounced.missed(now)
    }

    /// A refresh ended: the time in which events may tell what it learned begins.
    pub fn expect_events(&mut self, now: Duration) {
        self.unannounced.0.values_mut().for_each(|since| *since = since.or(Some(now)));
    }

    /// Forgets the changes that no event told: no events were expected.
    pub fn expect_no_events(&mut self) {
        self.unannounced = Unannounced::default();
    }
}

impl KnownTask {
    /// Adds what events never tell from an answer that is otherwise outdated. Returns whether that completes the task.
    pub(super) fn complete_from(&mut self, said: &Task) -> bool {
        if self.described {
            return false;
        }
        let task = Arc::make_mut(&mut self.task);
        task.tags = said.tags.clone();
        keep(&mut task.capacity_provider, &said.capacity_provider);
        keep(&mut task.platform_family, &said.platform_family);
        // The rest is described at the next refresh.
        self.described = true;
        true
    }
}

/// What an event says, with the fields that it lacks as they were; and whether it lacks the address or a port of a
/// running container, which may have changed.
fn merge(known: &Task, said: Task) -> (Task, bool) {
    let mut task = Task { tags: known.tags.clone(), ..said };
    keep(&mut task.launch_type, &known.launch_type);
    keep(&mut task.capacity_provider, &known.capacity_provider);
    keep(&mut task.group, &known.group);
    keep(&mut task.started_by, &known.started_by);
    keep(&mut task.availability_zone, &known.availability_zone);
    keep(&mut task.health_status, &known.health_status);
    keep(&mut task.platform_family, &known.platform_family);
    keep(&mut task.platform_version, &known.platform_version);
    keep(&mut task.container_instance, &known.container_instance);
    let mut lacks_address = merge_interface(&mut task.network_interface, known.network_interface.as_ref());
    if task.overrides.is_empty() {
        task.overrides.clone_from(&known.overrides);
    }
    for container in &mut task.containers {
        let before = known.containers.iter().find(|before| before.name == container.name);
        lacks_address |= before.is_some_and(|before| merge_container(container, before));
    }
    (task, lacks_address)
}

fn merge_interface(said: &mut Option<NetworkInterface>, known: Option<&NetworkInterface>) -> bool {
    let Some(known) = known else { return false };
    let Some(said) = said else {
        *said = Some(known.clone());
        return true;
    };
    let lacks_address = said.private_ipv4.is_none() && known.private_ipv4.is_some();
    keep(&mut said.subnet_id, &known.subnet_id);
    keep(&mut said.private_ipv4, &known.private_ipv4);
    lacks_address
}

fn merge_container(said: &mut Container, known: &Container) -> bool {
    keep(&mut said.arn, &known.arn);
    keep(&mut said.image, &known.image);
    keep(&mut said.health_status, &known.health_status);
    // A container that starts or stops has no address and no port.
    if said.last_status != Status::Running {
        return false;
    }
    let lacks_address = (said.private_ipv4.is_none() && known.private_ipv4.is_some())
        || (said.ipv6.is_none() && known.ipv6.is_some())
        || (said.network_bindings.is_empty() && !known.network_bindings.is_empty());
    keep(&mut said.runtime_id, &known.runtime_id);
    keep(&mut said.private_ipv4, &known.private_ipv4);
    keep(&mut said.ipv6, &known.ipv6);
    if said.network_bindings.is_empty() {
        said.network_bindings.clone_from(&known.network_bindings);
    }
    lacks_address
}

fn keep<T: Clone>(said: &mut Option<T>, known: &Option<T>) {
    if said.is_none() {
        said.clone_from(known);
    }
}

/// Tasks whose results wait for facts, with their clusters, and until when. There are no more than tasks.
#[derive(Debug, Default)]
pub(super) struct Awaited(BTreeMap<TaskArn, (ClusterArn, Duration)>);

impl Awaited {
    fn insert(&mut self, cluster: &ClusterArn, task: TaskArn, until: Duration) {
        let (_, before) = self.0.entry(task).or_insert_with(|| (cluster.clone(), until));
        *before = until.min(*before);
    }

    fn contains(&self, task: &TaskArn) -> bool {
        self.0.contains_key(task)
    }

    fn remove(&mut self, task: &TaskArn) {
        self.0.remove(task);
    }

    fn of(&self, cluster: &ClusterArn) -> BTreeSet<TaskArn> {
        let of_cluster = self.0.iter().filter(|(_, (of, _))| of == cluster);
        of_cluster.map(|(task, _)| task.clone()).collect()
    }

    fn next(&self) -> Option<Duration> {
        self.0.values().map(|(_, until)| *until).min().filter(|until| *until < Duration::MAX)
    }

    fn release(&mut self, now: Duration) -> BTreeSet<ClusterArn> {
        let released = self.0.extract_if(.., |_, (_, until)| *until <= now);
        released.map(|(_, (cluster, _))| cluster).collect()
    }

    /// Forgets tasks that are known no longer.
    pub(super) fn retain(&mut self, scopes: &BTreeMap<ClusterArn, ScopeFacts>) {
        let scope = |cluster: &ClusterArn| scopes.get(cluster);
        self.0.retain(|task, (cluster, _)| scope(cluster).is_some_and(|one| one.tasks.contains_key(task)));
    }
}

/// Tasks whose start or end a refresh has learned of and no event told, and when that refresh ended.
#[derive(Debug, Default)]
pub(super) struct Unannounced(BTreeMap<TaskArn, Option<Duration>>);

impl Unannounced {
    pub(super) fn insert(&mut self, task: &TaskArn) {
        if self.0.len() < MAX_UNANNOUNCED {
            self.0.insert(task.clone(), None);
        }
    }

    fn remove(&mut self, task: &TaskArn) {
        self.0.remove(task);
    }

    fn missed(&mut self, now: Duration) -> usize {
        let is_late = |since: &Option<Duration>| {
            since.is_some_and(|since| now.saturating_sub(since) >= ANNOUNCED_WITHIN)
        };
        self.0.extract_if(.., |_, since| is_late(since)).count()
    }
}
