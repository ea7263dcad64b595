//! Tasks whose results wait for facts. Each operation costs what it changes, not what the cluster has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::arn::{ClusterArn, TaskArn};
use crate::inventory::ScopeFacts;

/// Tasks whose results wait for facts, by cluster, and until when. There are no more than tasks.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Awaited {
    tasks: BTreeMap<ClusterArn, BTreeMap<TaskArn, Duration>>,
    /// Those with a time, in its order.
    due: BTreeSet<(Duration, ClusterArn, TaskArn)>,
}

impl Awaited {
    pub(super) fn insert(&mut self, cluster: &ClusterArn, task: &TaskArn, until: Duration) {
        let tasks = self.tasks.entry(cluster.clone()).or_default();
        let before = tasks.get(task).copied().unwrap_or(Duration::MAX);
        let until = until.min(before);
        tasks.insert(task.clone(), until);
        self.due.remove(&(before, cluster.clone(), task.clone()));
        if until < Duration::MAX {
            self.due.insert((until, cluster.clone(), task.clone()));
        }
    }

    pub(super) fn contains(&self, cluster: &ClusterArn, task: &TaskArn) -> bool {
        self.tasks.get(cluster).is_some_and(|tasks| tasks.contains_key(task))
    }

    pub(super) fn remove(&mut self, cluster: &ClusterArn, task: &TaskArn) {
        let Some(tasks) = self.tasks.get_mut(cluster) else { return };
        if let Some(until) = tasks.remove(task) {
            self.due.remove(&(until, cluster.clone(), task.clone()));
        }
        if tasks.is_empty() {
            self.tasks.remove(cluster);
        }
    }

    pub(in crate::inventory) fn forget_cluster(&mut self, cluster: &ClusterArn) {
        for task in self.of(cluster) {
            self.remove(cluster, &task);
        }
    }

    pub(super) fn of(&self, cluster: &ClusterArn) -> BTreeSet<TaskArn> {
        self.tasks.get(cluster).into_iter().flat_map(BTreeMap::keys).cloned().collect()
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(until, ..)| *until)
    }

    pub(super) fn release(&mut self, now: Duration) -> BTreeSet<ClusterArn> {
        let mut released = BTreeSet::new();
        while let Some((_, cluster, task)) = self.due.first().filter(|(until, ..)| *until <= now).cloned() {
            self.remove(&cluster, &task);
            released.insert(cluster);
        }
        released
    }

    pub(super) fn retain(&mut self, is_kept: impl Fn(&ClusterArn, &TaskArn, Duration) -> bool) {
        self.tasks.retain(|cluster, tasks| {
            tasks.retain(|task, until| is_kept(cluster, task, *until));
            !tasks.is_empty()
        });
        self.due.retain(|(until, cluster, task)| is_kept(cluster, task, *until));
    }

    /// Forgets tasks that are known no longer.
    pub(in crate::inventory) fn retain_known(&mut self, scopes: &BTreeMap<ClusterArn, ScopeFacts>) {
        self.retain(|cluster, task, _| scopes.get(cluster).is_some_and(|one| one.tasks.contains_key(task)));
    }
}
