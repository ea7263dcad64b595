//! What an answer, or a failure, does to a refresh.

use std::collections::BTreeSet;
use std::mem::replace;
use std::sync::Arc;

use crate::arn::{ClusterArn, TaskArn};
use crate::inventory::KnownTask;
use crate::inventory::question::{Answer, Failure, FailureKind, Question};
use crate::inventory::settled::{is_host_lost, is_over, is_settled, lost};
use crate::model::{Host, InstanceId, Task};

use super::pages::Listed;
use super::{Around, Refresh, is_of_hosts};

impl Refresh {
    /// Takes in the answer to a question; one that does not fit its question counts as a failure.
    pub fn answered(&mut self, question: Question, answer: Answer) {
        let (of_hosts, kind) = (is_of_hosts(&question), question.kind());
        self.was_allowed(&question);
        match (question, answer) {
            (Question::Clusters { .. }, Answer::Clusters { clusters, next }) => {
                self.clusters_heard(clusters, next)
            }
            (Question::ClusterDetails { clusters: asked }, Answer::ClusterDetails { active, gone }) => {
                active.into_iter().for_each(|cluster| self.cluster_described(cluster));
                gone.iter().for_each(|name| self.cluster_gone(name, asked.contains(name)));
            }
            (Question::Tasks { cluster, .. }, Answer::Tasks { tasks, next }) => {
                self.tasks_heard(&cluster, &tasks, next);
            }
            (
                Question::TaskDetails { cluster, tasks: asked },
                Answer::TaskDetails { tasks, missing, untagged },
            ) => {
                let spoken: BTreeSet<_> =
                    tasks.iter().map(|task| &task.arn).chain(&missing).cloned().collect();
                missing.iter().for_each(|task| self.task_missing(&cluster, task));
                for task in tasks {
                    let untagged = untagged.contains(&task.arn);
                    self.task_described(&cluster, task, untagged);
                }
                let unspoken = asked.iter().filter(|task| !spoken.contains(*task));
                unspoken.for_each(|task| {
                    self.task_kept(&cluster, task, "DescribeTasks does not answer for the task")
                });
                self.batch_heard(&cluster);
            }
            (Question::TaskDefinition { definition }, Answer::TaskDefinition(answer)) => {
                self.inventory.outdated.remove(&definition);
                self.learned |= self.inventory.definitions.learn(definition, Arc::new(answer), self.now);
            }
            (Question::DefinitionTags { definition }, Answer::DefinitionTags(tags)) => {
                self.definition_tags_heard(definition, tags);
            }
            (Question::ClusterTags { clusters: asked }, Answer::ClusterTags(clusters)) => {
                self.cluster_tags_heard(&asked, clusters);
            }
            (Question::ContainerInstances { instances, .. }, Answer::ContainerInstances(heard)) => {
                for instance in heard {
                    self.container_instance_described(instance);
                }
                for arn in instances {
                    if !self.inventory.container_instances.touch(&arn, self.now) {
                        let failure = not_known("ECS", "container instance");
                        self.inventory.container_instances.fail(arn, failure, self.now);
                    }
                }
            }
            (Question::Ec2Instances { instances }, Answer::Hosts(hosts)) => {
                self.hosts_heard("EC2", instances, hosts)
            }
            (Question::ExternalInstances { instances }, Answer::Hosts(hosts)) => {
                self.hosts_heard("Systems Manager", instances, hosts);
            }
            (question, _) => {
                let message = format!("the answer is not one to {}", question.operation());
                return self.failed(question, Failure { kind: FailureKind::Unavailable, message });
            }
        }
        self.ask_half(kind);
        self.close_one_of(of_hosts);
    }

    /// Takes in that a question has no answer.
    pub fn failed(&mut self, question: Question, failure: Failure) {
        let (of_hosts, kind) = (is_of_hosts(&question), question.kind());
        let is_halved = self.is_halved(&question, &failure);
        self.partial |= failure.may_pass() && self.is_missed(&question);
        self.due_again(&question, &failure);
        match question {
            Question::TaskDetails { cluster, .. } if is_halved => self.batch_heard(&cluster),
            _ if is_halved => {}
            Question::Clusters { .. } => self.listing_of_clusters_failed(failure),
            Question::ClusterDetails { clusters } => self.cluster_details_failed(&clusters, &failure),
            Question::ClusterTags { clusters } => {
                if !failure.may_pass() {
                    self.cluster_tags_asked(&clusters);
                }
            }
            Question::Tasks { cluster, .. } => {
                let is_unknown = failure.kind == FailureKind::NotFound;
                self.scope_failed(&cluster, failure);
                if is_unknown {
                    self.ask_cluster_details(&[cluster.as_str().into()]);
                }
            }
            // Whether this affects the whole cluster is known at the end of the refresh.
            Question::TaskDetails { cluster, tasks } if failure.kind == FailureKind::Denied => {
                tasks.iter().for_each(|task| self.task_denied(&cluster, task, &failure));
                self.batch_heard(&cluster);
            }
            Question::TaskDetails { cluster, tasks } => {
                self.tasks_due_again(&cluster, &tasks);
                self.scope_failed(&cluster, failure);
                self.batch_heard(&cluster);
            }
            Question::TaskDefinition { definition } | Question::DefinitionTags { definition } => {
                self.inventory.definitions.fail(definition, failure, self.now);
            }
            Question::ContainerInstances { instances, .. } => {
                for arn in instances {
                    self.inventory.container_instances.fail(arn, failure.clone(), self.now);
                }
            }
            Question::Ec2Instances { instances } | Question::ExternalInstances { instances } => {
                for id in instances {
                    self.inventory.hosts.fail(id, failure.clone(), self.now);
                }
            }
        }
        self.ask_half(kind);
        self.close_one_of(of_hosts);
    }

    fn close_one_of(&mut self, of_hosts: bool) {
        self.open -= usize::from(!of_hosts);
    }

    pub(super) fn scope_failed(&mut self, cluster: &ClusterArn, failure: Failure) {
        self.scopes.entry(cluster.clone()).or_default().failure.get_or_insert(failure);
    }

    fn tasks_heard(&mut self, cluster: &ClusterArn, tasks: &[TaskArn], next: Option<String>) {
        let refresh = self.inventory.refresh;
        let (Some(facts), Some(scope)) =
            (self.inventory.scopes.get_mut(cluster), self.scopes.get_mut(cluster))
        else {
            return;
        };
        let mut new = 0;
        for task in tasks {
            let known = facts.tasks.get_mut(task);
            let settled = known.as_ref().is_some_and(|known| known.settled);
            let marked = known.is_some_and(|known| replace(&mut known.listed, refresh) != refresh);
            let asked = !settled && scope.describe(task);
            new += usize::from(marked || asked);
        }
        match next {
            None => {
                self.all_tasks_heard(cluster);
                self.ask_task_details(cluster, true);
                self.batches_heard(cluster);
            }
            Some(page) => {
                self.ask_task_details(cluster, false);
                let listed = Listed::of(tasks.len(), new);
                match self.scopes.entry(cluster.clone()).or_default().pages.turn(listed, &page) {
                    Ok(()) => self.ask(Question::Tasks { cluster: cluster.clone(), page: Some(page) }),
                    Err(failure) => self.scope_failed(cluster, failure),
                }
            }
        }
    }

    /// The listing is complete: what it lacks is described before it goes, and a slice of the rest for news.
    fn all_tasks_heard(&mut self, cluster: &ClusterArn) {
        let rechecked = self.tasks_due(cluster);
        self.recheck_instances(cluster);
        let (Some(facts), Some(scope)) =
            (self.inventory.scopes.get_mut(cluster), self.scopes.get_mut(cluster))
        else {
            return;
        };
        scope.listed = true;
        let refresh = self.inventory.refresh;
        let unlisted = facts.tasks.iter().filter(|(_, known)| known.listed != refresh).map(|(arn, _)| arn);
        for task in rechecked.iter().chain(unlisted) {
            scope.describe(task);
        }
        if facts.lacking {
            let around: Vec<_> = facts.tasks.values().map(|known| Around::of(&known.task)).collect();
            around.iter().for_each(|around| self.ask_around(cluster, around));
        }
    }

    fn task_described(&mut self, cluster: &ClusterArn, mut task: Task, untagged: bool) {
        if is_over(&task) {
            return self.task_over(cluster, &task.arn);
        }
        let known = self.inventory.scopes.get(cluster).and_then(|facts| facts.tasks.get(&task.arn));
        if let Some(what) = known.and_then(|known| lost(&known.task, &task, untagged)) {
            return self.task_kept(
                cluster,
                &task.arn,
                &format!("DescribeTasks leaves out {what} and does not say that the task ends"),
            );
        }
        self.ask_around(cluster, &Around::of(&task));
        let refresh = self.inventory.refresh;
        let Some(facts) = self.inventory.scopes.get_mut(cluster) else { return };
        let (arn, settled, described) = (task.arn.clone(), is_settled(&task), self.now);
        // What is as it was stays the very same: targets share it.
        let changed = match facts.tasks.get_mut(&arn) {
            Some(known) if *known.task == task => {
                known.described = described;
                let was_partial = known.partial.take().is_some();
                known.settled |= was_partial && settled;
                was_partial
            }
            known => {
                let listed = known.map_or(refresh, |known| known.listed);
                self.inventory.texts.share(&mut task);
                let task = Arc::new(task);
                facts.tasks.insert(arn, KnownTask { task, settled, partial: None, described, listed });
                true
            }
        };
        self.mark_changed(cluster, changed);
    }

    /// A known task whose answer is not accepted is kept unchanged, and is described again at the next refresh.
    fn task_kept(&mut self, cluster: &ClusterArn, task: &TaskArn, problem: &str) {
        let known = self.inventory.scopes.get_mut(cluster).and_then(|facts| facts.tasks.get_mut(task));
        let Some(known) = known else { return };
        let why = format!("{problem}; its targets are kept, and it is described again at each refresh");
        known.settled = false;
        let changed = known.partial.as_deref() != Some(&why);
        known.partial = Some(why.into());
        self.mark_changed(cluster, changed);
    }

    /// A task that this refresh's listing has is not gone for one answer that says so.
    fn task_missing(&mut self, cluster: &ClusterArn, task: &TaskArn) {
        let known = self.inventory.scopes.get(cluster).and_then(|facts| facts.tasks.get(task));
        match known {
            Some(known) if known.listed != self.inventory.refresh => self.task_over(cluster, task),
            Some(_) => {
                self.task_kept(cluster, task, "ListTasks lists the task, but DescribeTasks calls it missing")
            }
            None => {
                if let Some(scope) = self.scopes.get_mut(cluster) {
                    scope.doubtful = true;
                }
            }
        }
    }

    fn task_over(&mut self, cluster: &ClusterArn, task: &TaskArn) {
        let Some(facts) = self.inventory.scopes.get_mut(cluster) else { return };
        let changed = facts.tasks.remove(task).is_some();
        self.mark_changed(cluster, changed);
    }

    fn mark_changed(&mut self, cluster: &ClusterArn, changed: bool) {
        if let Some(scope) = self.scopes.get_mut(cluster) {
            scope.changed |= changed;
        }
    }

    fn batch_heard(&mut self, cluster: &ClusterArn) {
        if let Some(scope) = self.scopes.get_mut(cluster) {
            scope.describing -= 1;
        }
        self.batches_heard(cluster);
    }

    /// Once every batch of tasks is in, the container instances they wait for are as full a batch as they get.
    fn batches_heard(&mut self, cluster: &ClusterArn) {
        if self.scopes.get(cluster).is_some_and(|scope| scope.listed && scope.describing == 0) {
            self.ask_container_instances(cluster, 1);
        }
    }

    fn hosts_heard(&mut self, service: &str, asked: Vec<InstanceId>, hosts: Vec<Host>) {
        for host in hosts {
            let known = self.inventory.hosts.value(&host.id);
            if known.is_none_or(|known| !is_host_lost(known, &host)) {
                self.learned |= self.inventory.hosts.learn(host.id.clone(), Arc::new(host), self.now);
            }
        }
        // A known host that the answer omits stays: its tasks run, or ECS says that they ended.
        for id in asked {
            if !self.inventory.hosts.touch(&id, self.now) {
                self.inventory.hosts.fail(id, not_known(service, "instance"), self.now);
            }
        }
    }
}

fn not_known(service: &str, thing: &str) -> Failure {
    Failure { kind: FailureKind::NotFound, message: format!("{service} knows no such {thing}") }
}
