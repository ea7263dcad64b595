//! What an answer, or a failure, does to a refresh.

use std::collections::BTreeSet;

use crate::arn::{ClusterArn, TaskArn};
use crate::failure::{Failure, FailureKind};
use crate::inventory::Inventory;
use crate::inventory::doors::{Fact, Gone};
use crate::inventory::question::{Answer, Question, Unreadable};
use crate::model::{Host, InstanceId};

use super::pages::Listed;
use super::{Refresh, is_of_hosts};

/// Of a task that was asked for.
const NOT_ANSWERED: &str = "DescribeTasks does not answer for the task";

impl Refresh {
    /// Takes in the answer to a question; one that does not fit its question counts as a failure.
    pub fn answered(&mut self, index: &mut Inventory, question: Question, answer: Answer) {
        let (of_hosts, kind) = (is_of_hosts(&question), question.kind());
        self.was_allowed(index, &question);
        let (answer, unreadable) = answer.readable();
        let unreadable = unreadable.as_ref();
        match (question, answer) {
            (Question::Clusters { .. }, Answer::Clusters { clusters, next }) => {
                self.clusters_listed(index, clusters, next)
            }
            (Question::ClusterDetails { clusters: asked }, Answer::ClusterDetails { active, gone }) => {
                active.into_iter().for_each(|cluster| self.cluster_described(index, cluster));
                gone.iter().for_each(|name| self.cluster_gone(index, name, asked.contains(name)));
                if let Some(Unreadable { ids, failure }) = unreadable {
                    self.cluster_details_failed(index, ids, failure);
                }
            }
            (Question::Tasks { cluster, .. }, Answer::Tasks { tasks, next }) => {
                self.tasks_listed(index, &cluster, &tasks, next);
            }
            (Question::TaskDetails { cluster, tasks: asked }, Answer::TaskDetails { tasks, missing }) => {
                let described = tasks.iter().map(|described| &described.task.arn);
                let spoken: BTreeSet<_> = described.chain(&missing).cloned().collect();
                for task in &missing {
                    let was_known = index.is_task_known(&cluster, task);
                    if self.is_errand && was_known {
                        // Without a listing that lacks the task as well, this does not prove that it is gone.
                        index.doubt(
                            &cluster,
                            task,
                            "an event tells of the task, but DescribeTasks calls it missing",
                        );
                        continue;
                    }
                    let is_contradiction = index.forget(&cluster, task, Gone::Missing, self.now);
                    if let Some(scope) = self.scopes.get_mut(&cluster) {
                        scope.contradicted |= is_contradiction;
                    }
                    self.note_unannounced(index, &cluster, task, was_known);
                }
                for described in tasks {
                    let arn = described.task.arn.clone();
                    let was_known = index.is_task_known(&cluster, &arn);
                    let was_complete = !was_known || index.has_all_facts(&cluster, &arn);
                    let missing = index.apply(Fact::Task(cluster.clone(), described), self.now);
                    if was_complete && !missing.is_empty() || index.runs_awaited(&cluster, &arn) {
                        index.await_facts(&cluster, &arn, self.awaits_until);
                    }
                    self.note_unannounced(index, &cluster, &arn, was_known);
                    self.ask_for(index, &cluster, missing);
                }
                for task in asked.iter().filter(|task| !spoken.contains(*task)) {
                    let failure = unreadable.and_then(|unreadable| unreadable.failure(task.as_str()));
                    let problem = failure.map_or(NOT_ANSWERED.to_owned(), |failure| failure.message);
                    index.doubt(&cluster, task, &problem);
                }
                self.batch_answered(index, &cluster);
            }
            (Question::TaskDefinition { definition }, Answer::TaskDefinition(answer)) => {
                index.apply(Fact::Definition(definition, answer), self.now);
            }
            (Question::DefinitionTags { definition }, Answer::DefinitionTags(tags)) => {
                self.definition_tags_read(index, definition, tags);
            }
            (Question::ClusterTags { clusters: asked }, Answer::ClusterTags(clusters)) => {
                self.cluster_tags_read(index, &asked, clusters);
            }
            (Question::ContainerInstances { cluster, instances }, Answer::ContainerInstances(described)) => {
                for instance in described {
                    self.container_instance_described(index, &cluster, instance);
                }
                for arn in instances {
                    if !index.container_instances.touch(&arn, self.now) {
                        let failure = unreadable.and_then(|unreadable| unreadable.failure(arn.as_str()));
                        let failure = failure.unwrap_or_else(|| not_known("ECS", "container instance"));
                        index.container_instances.fail(arn, failure, self.now);
                    }
                }
            }
            (Question::Services { cluster, services: asked }, Answer::Services { services, missing }) => {
                self.services_described(index, &cluster, asked, (services, missing), unreadable);
            }
            (Question::Ec2Instances { instances }, Answer::Hosts(hosts)) => {
                self.hosts_heard(index, "EC2", instances, hosts, unreadable)
            }
            (Question::ExternalInstances { instances }, Answer::Hosts(hosts)) => {
                self.hosts_heard(index, "Systems Manager", instances, hosts, unreadable);
            }
            (question, _) => {
                let message = format!("the answer is not one to {}", question.operation());
                return self.failed(index, question, Failure { kind: FailureKind::Unavailable, message });
            }
        }
        self.ask_half(kind);
        self.close_one_of(of_hosts);
    }

    /// Takes in that a question has no answer.
    pub fn failed(&mut self, index: &mut Inventory, question: Question, failure: Failure) {
        let (of_hosts, kind) = (is_of_hosts(&question), question.kind());
        let is_halved = self.is_halved(index, &question, &failure);
        self.partial |= failure.may_pass() && self.is_missed(index, &question);
        self.due_again(index, &question, &failure);
        match question {
            Question::TaskDetails { cluster, .. } if is_halved => self.batch_answered(index, &cluster),
            _ if is_halved => {}
            Question::Clusters { .. } => self.listing_of_clusters_failed(index, failure),
            Question::ClusterDetails { clusters } => self.cluster_details_failed(index, &clusters, &failure),
            Question::ClusterTags { clusters } => {
                if !failure.may_pass() {
                    self.cluster_tags_asked(index, &clusters);
                }
            }
            Question::Tasks { cluster, .. } => {
                let is_unknown = failure.kind == FailureKind::NotFound;
                self.scope_failed(&cluster, failure);
                if is_unknown {
                    self.ask_cluster_details(index, &[cluster.as_str().into()]);
                }
            }
            // Whether this affects the whole cluster is known at the end of the refresh.
            Question::TaskDetails { cluster, tasks } if failure.kind == FailureKind::Denied => {
                tasks.iter().for_each(|task| self.task_denied(index, &cluster, task, &failure));
                self.batch_answered(index, &cluster);
            }
            Question::TaskDetails { cluster, tasks } => {
                self.tasks_due_again(index, &cluster, &tasks);
                self.scope_failed(&cluster, failure);
                self.batch_answered(index, &cluster);
            }
            Question::TaskDefinition { definition } | Question::DefinitionTags { definition } => {
                index.definitions.fail(definition, failure, self.now);
            }
            Question::ContainerInstances { instances, .. } => {
                for arn in instances {
                    index.container_instances.fail(arn, failure.clone(), self.now);
                }
            }
            Question::Services { cluster, services } => {
                for name in services {
                    index.service_failed(&cluster, name, failure.clone(), self.now);
                }
            }
            Question::Ec2Instances { instances } | Question::ExternalInstances { instances } => {
                for id in instances {
                    index.hosts.fail(id, failure.clone(), self.now);
                }
            }
        }
        self.ask_half(kind);
        self.close_one_of(of_hosts);
    }

    /// Notes that this refresh learned of a start or an end, unless it is the first one of its cluster.
    fn note_unannounced(
        &mut self,
        index: &mut Inventory,
        cluster: &ClusterArn,
        task: &TaskArn,
        was_known: bool,
    ) {
        let is_first = self.scopes.get(cluster).is_none_or(|scope| scope.is_first);
        if !is_first && index.is_task_known(cluster, task) != was_known {
            index.note_unannounced(cluster, task, was_known);
        }
    }

    fn close_one_of(&mut self, of_hosts: bool) {
        self.open -= usize::from(!of_hosts);
    }

    pub(super) fn scope_failed(&mut self, cluster: &ClusterArn, failure: Failure) {
        self.scopes.entry(cluster.clone()).or_default().failure.get_or_insert(failure);
    }

    fn tasks_listed(
        &mut self,
        index: &mut Inventory,
        cluster: &ClusterArn,
        tasks: &[TaskArn],
        next: Option<String>,
    ) {
        let Some(scope) = self.scopes.get_mut(cluster) else { return };
        let mut new = 0;
        for task in tasks {
            let (settled, marked) = index.mark_listed(cluster, task).unwrap_or_default();
            let asked = !settled && scope.describe(task);
            new += usize::from(marked || asked);
        }
        match next {
            None => {
                self.all_tasks_heard(index, cluster);
                self.ask_task_details(index, cluster, true);
                self.batches_heard(index, cluster);
            }
            Some(page) => {
                self.ask_task_details(index, cluster, false);
                let listed = Listed::of(tasks.len(), new);
                match self.scopes.entry(cluster.clone()).or_default().pages.turn(listed, &page) {
                    Ok(()) => self.ask(Question::Tasks { cluster: cluster.clone(), page: Some(page) }),
                    Err(failure) => self.scope_failed(cluster, failure),
                }
            }
        }
    }

    /// The listing is complete: what it lacks is described before it goes, and a slice of the rest for news.
    fn all_tasks_heard(&mut self, index: &mut Inventory, cluster: &ClusterArn) {
        let rechecked = self.tasks_due(index, cluster);
        let again = self.tasks_to_read_again(index, cluster);
        self.recheck_instances(index, cluster);
        self.recheck_services(index, cluster);
        let Some(scope) = self.scopes.get_mut(cluster) else { return };
        scope.listed = true;
        for task in rechecked.iter().chain(&again).chain(&index.reset(cluster, self.now)) {
            scope.describe(task);
        }
        index.listed_in_full(cluster, self.now);
        let missing = index.missing_facts_of(cluster, self.now);
        self.ask_for(index, cluster, missing);
    }

    fn batch_answered(&mut self, index: &mut Inventory, cluster: &ClusterArn) {
        if let Some(scope) = self.scopes.get_mut(cluster) {
            scope.describing -= 1;
        }
        self.batches_heard(index, cluster);
    }

    /// Once every batch of tasks is in, the container instances and services they wait for are as full batches as they get.
    fn batches_heard(&mut self, index: &mut Inventory, cluster: &ClusterArn) {
        if self.scopes.get(cluster).is_some_and(|scope| scope.listed && scope.describing == 0) {
            self.ask_container_instances(index, cluster, 1);
            self.ask_services(index, cluster, 1);
        }
    }

    fn hosts_heard(
        &mut self,
        index: &mut Inventory,
        service: &str,
        asked: Vec<InstanceId>,
        hosts: Vec<Host>,
        unreadable: Option<&Unreadable>,
    ) {
        for host in hosts {
            index.apply(Fact::Host(host), self.now);
        }
        // A known host that the answer omits stays: its tasks run, or ECS says that they ended.
        for id in asked {
            if !index.hosts.touch(&id, self.now) {
                let failure = unreadable.and_then(|unreadable| unreadable.failure(id.as_str()));
                let failure = failure.unwrap_or_else(|| not_known(service, "instance"));
                index.hosts.fail(id, failure, self.now);
            }
        }
    }
}

fn not_known(service: &str, thing: &str) -> Failure {
    Failure { kind: FailureKind::NotFound, message: format!("{service} knows no such {thing}") }
}
