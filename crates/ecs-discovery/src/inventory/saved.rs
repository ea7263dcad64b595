//! What of an inventory outlasts the process: facts that are costly to ask for again, as plain data.
//!
//! Failures are not saved, they are requested again; nor is what was published, which follows from the facts
//! and from the rules, and these may have changed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::names::share;
use super::{Inventory, KnownTask, ScopeFacts};
use crate::arn::{ClusterArn, TaskArn};
use crate::derive::Rules;
use crate::inventory::selection::ClusterSelection;
use crate::model::{Cluster, ContainerInstance, Host, Service, ServiceName, Task, TaskDefinition};
use crate::snapshot::{Scope, ScopeStatus};

/// The facts of one source. Each list is sorted, and has nothing twice. Two that share their facts are quickly found to be
/// equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Saved {
    /// By ARN.
    pub scopes: Vec<SavedScope>,
    /// By ARN.
    pub definitions: Vec<Arc<TaskDefinition>>,
    /// By ARN.
    pub container_instances: Vec<ContainerInstance>,
    /// By id.
    pub hosts: Vec<Arc<Host>>,
}

/// One cluster's facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedScope {
    /// The cluster.
    pub cluster: Arc<Cluster>,
    /// Whether DescribeClusters has answered for it.
    pub described: bool,
    /// When it was last heard, if that was not at the last refresh.
    pub stale_since: Option<Duration>,
    /// The time of the first refresh that failed to read it since, if any did.
    pub failing_since: Option<Duration>,
    /// The services of its tasks, by name.
    pub services: Vec<SavedService>,
    /// Its tasks, by ARN.
    pub tasks: Vec<SavedTask>,
}

/// One service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedService {
    /// Its name.
    pub name: ServiceName,
    /// The service; `None` if AWS knows none of this name.
    pub service: Option<Arc<Service>>,
}

/// One task, and how much of it is known.
#[derive(Clone, Debug)]
pub struct SavedTask {
    /// The task.
    pub task: Arc<Task>,
    /// The version of the newest answer about it, if AWS said one.
    pub version: Option<u64>,
    /// Whether DescribeTasks described it, so that its tags are known.
    pub described: bool,
    /// When AWS last described it as it is.
    pub observed: Duration,
}

/// A task that was only described again is not worth saving again: an older version and time do no harm.
impl PartialEq for SavedTask {
    fn eq(&self, other: &Self) -> bool {
        self.task == other.task && self.described == other.described
    }
}

impl Eq for SavedTask {}

impl Inventory {
    /// What is worth saving, with what was last published of it: a scope that was never heard is not.
    pub fn saved(&self, scopes: &BTreeMap<ClusterArn, Scope>) -> Saved {
        let scope = |(facts, scope): (&ScopeFacts, &Scope)| SavedScope {
            services: facts.services.iter().map(SavedService::of).collect(),
            tasks: facts.tasks.values().map(KnownTask::saved).collect(),
            ..facts.saved_head(scope)
        };
        Saved {
            scopes: self.saved_scopes(scopes).map(scope).collect(),
            definitions: self.definitions.values().cloned().collect(),
            container_instances: self.container_instances.values().cloned().collect(),
            hosts: self.hosts.values().cloned().collect(),
        }
    }

    /// Whether [`Self::saved`] would return the same, both [held](Saved::hold) at `as_of` if that is given. Copies nothing:
    /// most refreshes of many tasks find few changes, or none.
    pub fn is_saved_in(
        &self,
        saved: &Saved,
        scopes: &BTreeMap<ClusterArn, Scope>,
        as_of: Option<Duration>,
    ) -> bool {
        let held = |scope: &SavedScope| {
            (scope.described, scope.stale_since.or(as_of), scope.failing_since, scope.cluster.clone())
        };
        let is_same = |(facts, scope): (&ScopeFacts, &Scope), saved: &SavedScope| {
            held(&facts.saved_head(scope)) == held(saved)
                && facts.services.len() == saved.services.len()
                && facts.services.iter().map(SavedService::of).eq(saved.services.iter().cloned())
                && facts.tasks.len() == saved.tasks.len()
                && facts.tasks.values().zip(&saved.tasks).all(|(known, saved)| known.is_saved_as(saved))
        };
        let are_as_many = self.saved_scopes(scopes).count() == saved.scopes.len();
        are_as_many
            && self.saved_scopes(scopes).zip(&saved.scopes).all(|(scope, saved)| is_same(scope, saved))
            && self.definitions.values().eq(&saved.definitions)
            && self.container_instances.values().eq(&saved.container_instances)
            && self.hosts.values().eq(&saved.hosts)
    }

    fn saved_scopes<'a>(
        &'a self,
        scopes: &'a BTreeMap<ClusterArn, Scope>,
    ) -> impl Iterator<Item = (&'a ScopeFacts, &'a Scope)> {
        let is_known = |(arn, facts)| Some((facts, scopes.get(arn).filter(|scope| scope.is_known())?));
        self.scopes.iter().filter_map(is_known)
    }
}

impl ScopeFacts {
    /// What is saved of it without services and tasks.
    fn saved_head(&self, scope: &Scope) -> SavedScope {
        SavedScope {
            cluster: self.cluster.clone(),
            described: self.described,
            stale_since: (scope.status != ScopeStatus::Fresh).then_some(scope.last_read),
            failing_since: scope.failing,
            services: Vec::new(),
            tasks: Vec::new(),
        }
    }
}

impl Saved {
    /// Removes the clusters for which `leaves` is true, with the facts that they depend on.
    pub fn split_off(&mut self, leaves: impl Fn(&ClusterArn) -> bool) -> Self {
        let scopes = std::mem::take(&mut self.scopes);
        let (left, stay): (Vec<_>, Vec<_>) = scopes.into_iter().partition(|one| leaves(&one.cluster.arn));
        self.scopes = stay;
        if left.is_empty() { Self::default() } else { Self { scopes: left, ..self.clone() } }
    }

    /// Records when its clusters were last read, so that saving them again or handing them on makes them no newer.
    pub fn hold(&mut self, as_of: Duration) {
        for scope in &mut self.scopes {
            scope.stale_since.get_or_insert(as_of);
        }
    }

    /// Adds facts of the same source that are missing here.
    pub fn merge(&mut self, other: Self) {
        add(&mut self.scopes, other.scopes, |scope| scope.cluster.arn.clone());
        add(&mut self.definitions, other.definitions, |definition| definition.arn.clone());
        add(&mut self.container_instances, other.container_instances, |instance| instance.arn.clone());
        add(&mut self.hosts, other.hosts, |host| host.id.clone());
    }

    /// The inventory that was saved, and what it comes to by these rules; clusters that are not selected any more are
    /// left out. `as_of` is when a scope was read that was not held. Facts that can change are requested again within
    /// the recheck interval from now on; tasks that are not settled are described at the next refresh.
    pub fn restore(
        self,
        selection: &ClusterSelection,
        rules: &Rules,
        as_of: Duration,
        now: Duration,
    ) -> (Inventory, BTreeMap<ClusterArn, Scope>) {
        let mut inventory = Inventory { collected: now, ..Inventory::default() };
        let mut selected = self;
        selected.scopes.retain(|scope| selection.selects(&scope.cluster.arn));
        let scopes = inventory.restore(selected, rules, as_of, now);
        (inventory, scopes)
    }
}

/// Adds what is missing in a list; the list stays sorted.
fn add<T, K: Ord>(own: &mut Vec<T>, others: Vec<T>, key: impl Fn(&T) -> K) {
    // Of two with one key, the later one stays, which is the own.
    let all = others.into_iter().chain(std::mem::take(own)).map(|one| (key(&one), one));
    let all: BTreeMap<K, T> = all.collect();
    own.extend(all.into_values());
}

impl Inventory {
    /// Adds the clusters that were saved and that are not known, with the facts that they depend on, and returns their
    /// results by these rules. Facts that are known stay. Times are those of [`Saved::restore`].
    pub fn restore(
        &mut self,
        mut saved: Saved,
        rules: &Rules,
        as_of: Duration,
        now: Duration,
    ) -> BTreeMap<ClusterArn, Scope> {
        self.rounds.begin(now);
        self.follow(rules);
        saved.keep(rules.names());
        for definition in saved.definitions {
            if self.definitions.value(&definition.arn).is_none() {
                self.definitions.learn(definition.arn.clone(), definition, now);
            }
        }
        for instance in saved.container_instances {
            if self.container_instances.value(&instance.arn).is_none() {
                self.container_instances.learn(instance.arn.clone(), instance, now);
            }
        }
        for host in saved.hosts {
            if self.hosts.value(&host.id).is_none() {
                self.hosts.learn(host.id.clone(), host, now);
            }
        }
        let mut scopes = BTreeMap::new();
        for SavedScope { cluster, described, stale_since, failing_since, services, tasks } in saved.scopes {
            let arn = cluster.arn.clone();
            if self.scopes.contains_key(&arn) {
                continue;
            }
            let tasks = self.restored_tasks(tasks, now);
            let mut facts = ScopeFacts {
                cluster,
                described,
                tasks,
                confirmed: false,
                ..ScopeFacts::new(arn.clone(), now)
            };
            for SavedService { name, service } in services.into_iter().filter(|_| self.has_services) {
                facts.services.learn(name, service, now);
            }
            self.scopes.insert(arn.clone(), facts);
            let derived = self.derive(&arn, rules);
            let (last_read, failing) = (stale_since.unwrap_or(as_of), failing_since);
            let status = ScopeStatus::Restored;
            scopes.insert(arn, Scope { derived, status, last_read, failing, denied: false });
        }
        scopes
    }

    /// Each is requested again within the recheck interval from now on.
    fn restored_tasks(&mut self, tasks: Vec<SavedTask>, now: Duration) -> BTreeMap<TaskArn, KnownTask> {
        let restored = tasks.into_iter().map(|SavedTask { mut task, version, described, observed }| {
            let shared = Arc::make_mut(&mut task);
            self.interner.share(shared);
            self.names.iter().for_each(|names| share(&mut shared.names, names));
            let arn = task.arn.clone();
            let mut known = KnownTask { asked: now, ..KnownTask::new(task, version, observed.min(now)) };
            if !described {
                (known.described, known.settled, known.lacks_address) = (false, false, true);
            }
            (arn, known)
        });
        restored.collect()
    }
}

impl SavedService {
    fn of((name, service): (&ServiceName, &Option<Arc<Service>>)) -> Self {
        Self { name: name.clone(), service: service.clone() }
    }
}

impl KnownTask {
    /// Whether [`Self::saved`] is equal to that.
    fn is_saved_as(&self, saved: &SavedTask) -> bool {
        self.task == saved.task && self.described == saved.described
    }

    fn saved(&self) -> SavedTask {
        SavedTask {
            task: self.task.clone(),
            version: self.version,
            described: self.described,
            observed: self.observed,
        }
    }
}
