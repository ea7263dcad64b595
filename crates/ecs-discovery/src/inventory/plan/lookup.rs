//! A look-up of given tasks: the same questions as in a refresh, but begun with tasks instead of listings.

use std::sync::Arc;
use std::time::Duration;

use crate::arn::{ClusterArn, TaskArn};
use crate::failure::Failure;
use crate::inventory::doors::Fact;
use crate::inventory::question::{Answer, Question};
use crate::inventory::selection::ClusterSelection;
use crate::inventory::{Inventory, ScopeFacts};
use crate::model::{Cluster, Task};

use super::{Refresh, ScopeRefresh};

/// One look-up in progress. It borrows the [`Inventory`] at each step.
#[derive(Debug)]
pub struct Lookup {
    refresh: Refresh,
    cluster: ClusterArn,
    described: Vec<Arc<Task>>,
}

impl Lookup {
    /// Begins to look up tasks of a cluster. `now` is a duration since any fixed moment and never goes back.
    pub fn begin(index: &mut Inventory, cluster: Cluster, tasks: &[TaskArn], now: Duration) -> Self {
        let mut refresh = Refresh::of_given_tasks(ClusterSelection::All, now);
        let arn = cluster.arn.clone();
        // The tags of a known cluster are requested again on schedule: this answer may lack them.
        if !index.scopes.contains_key(&arn) {
            index.scopes.insert(arn.clone(), ScopeFacts::new(arn.clone(), now));
            index.apply(Fact::Cluster(cluster), now);
        }
        let mut scope = ScopeRefresh { listed: true, is_first: true, ..ScopeRefresh::default() };
        for task in tasks {
            scope.describe(task);
        }
        refresh.scopes.insert(arn.clone(), scope);
        refresh.ask_task_details(index, &arn, true);
        Self { refresh, cluster: arn, described: Vec::new() }
    }

    /// The questions that can be asked now and have not been given out yet.
    pub fn questions(&mut self, index: &mut Inventory) -> Vec<Question> {
        self.refresh.questions(index)
    }

    /// Takes in the answer to a question.
    pub fn answered(&mut self, index: &mut Inventory, question: Question, answer: Answer) {
        let tasks = match &answer {
            Answer::Partial { readable, .. } => &**readable,
            answer => answer,
        };
        if let Answer::TaskDetails { tasks, .. } = tasks {
            for described in tasks {
                // The inventory does not keep stopped tasks, but what they depend on is looked up, too.
                let missing = index.missing_facts(&self.cluster, &described.task, self.refresh.now);
                self.refresh.ask_for(index, &self.cluster, missing);
                self.described.push(Arc::new(described.task.clone()));
            }
        }
        self.refresh.answered(index, question, answer);
    }

    /// Takes in that a question has no answer. Returns whether it is requested in halves instead.
    pub fn failed(&mut self, index: &mut Inventory, question: Question, failure: Failure) -> bool {
        let splits = self.refresh.splits();
        self.refresh.failed(index, question, failure);
        self.refresh.splits() > splits
    }

    /// Ends the look-up, all its questions being answered or failed. Returns the tasks as AWS described them, those that
    /// stopped among them, by ARN; [`Inventory::join`] joins them with what they depend on.
    pub fn finish(mut self, index: &mut Inventory) -> Vec<Arc<Task>> {
        self.refresh.finish_moves(index);
        self.described.sort_by(|one, other| one.arn.cmp(&other.arn));
        self.described
    }
}
