//! An errand: the questions about tasks and clusters that events told of, without a listing of what is known.
//!
//! It takes the same steps as a refresh and changes only the clusters that it looked at. It proves nothing about others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::arn::{ClusterArn, TaskArn};
use crate::derive::Rules;
use crate::failure::Failure;
use crate::inventory::Inventory;
use crate::inventory::question::{Answer, Question};
use crate::inventory::selection::ClusterSelection;
use crate::snapshot::Scope;

use super::{Refresh, ScopeRefresh};

/// What an errand asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Tasks whose facts are wanted, by cluster.
    pub tasks: BTreeMap<ClusterArn, BTreeSet<TaskArn>>,
    /// Clusters that are not known. One that was read meanwhile is not read again.
    pub clusters: BTreeSet<ClusterArn>,
}

/// A cluster that was not known before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its part of the snapshot.
    pub scope: Scope,
    /// Whether all of its tasks, definitions and hosts were read.
    pub is_whole: bool,
}

/// One errand in progress. It borrows the [`Inventory`] at each step.
#[derive(Debug)]
pub struct Errand {
    refresh: Refresh,
    clusters: BTreeSet<ClusterArn>,
}

impl Errand {
    /// Begins an errand. Tasks that were described are not described again. `now` is a duration since any fixed moment and
    /// never goes back.
    pub fn begin(index: &mut Inventory, selection: ClusterSelection, wishes: Wishes, now: Duration) -> Self {
        let mut refresh = Refresh::of_given_tasks(selection, now);
        refresh.is_errand = true;
        let Wishes { tasks, mut clusters } = wishes;
        clusters.retain(|cluster| !index.is_listed(cluster));
        for (cluster, tasks) in tasks {
            // All tasks of a cluster that is looked at are listed.
            if !index.scopes.contains_key(&cluster) || clusters.contains(&cluster) {
                continue;
            }
            let scope = ScopeRefresh { listed: true, is_first: true, ..ScopeRefresh::default() };
            refresh.scopes.insert(cluster.clone(), scope);
            for task in &tasks {
                // One that came back is known again.
                if index.ended.contains(task) && !index.is_task_known(&cluster, task) {
                    continue;
                }
                if !index.is_described(&cluster, task) {
                    refresh.scopes.entry(cluster.clone()).or_default().describe(task);
                }
                let known = index.known_task(&cluster, task);
                if let Some(task) = known.map(|known| known.task.clone()) {
                    let missing = index.missing_facts(&cluster, &task, now);
                    refresh.ask_for(index, &cluster, missing);
                }
            }
            refresh.ask_task_details(index, &cluster, true);
            if refresh.scopes.get(&cluster).is_some_and(|scope| scope.describing == 0) {
                refresh.ask_container_instances(index, &cluster, 1);
                refresh.ask_services(index, &cluster, 1);
            }
        }
        let unknown: Vec<Box<str>> = clusters.iter().map(|cluster| cluster.as_str().into()).collect();
        refresh.ask_cluster_details(index, &unknown);
        Self { refresh, clusters }
    }

    /// The questions that can be asked now and have not been given out yet.
    pub fn questions(&mut self, index: &mut Inventory) -> Vec<Question> {
        self.refresh.questions(index)
    }

    /// Takes in the answer to a question.
    pub fn answered(&mut self, index: &mut Inventory, question: Question, answer: Answer) {
        self.refresh.answered(index, question, answer);
    }

    /// Takes in that a question has no answer.
    pub fn failed(&mut self, index: &mut Inventory, question: Question, failure: Failure) {
        self.refresh.failed(index, question, failure);
    }

    /// Ends the errand, all its questions being answered or failed. Returns the clusters that were not known before and
    /// were read now. The results of others are touched.
    pub fn finish(mut self, index: &mut Inventory, rules: &Rules) -> BTreeMap<ClusterArn, Found> {
        self.refresh.finish_moves(index);
        let mut scopes = BTreeMap::new();
        for cluster in &self.clusters {
            let Some(refresh) = self.refresh.scopes.remove(cluster).filter(|refresh| !refresh.gone) else {
                continue;
            };
            if self.refresh.why_stale(&refresh).is_none() {
                let scope = self.refresh.concluded(index, cluster, &refresh, rules, None);
                let is_partial = self.refresh.partial || self.refresh.incomplete.contains(cluster);
                scopes.insert(cluster.clone(), Found { is_whole: scope.is_known() && !is_partial, scope });
            } else {
                index.note_unread(cluster);
            }
        }
        scopes
    }
}
