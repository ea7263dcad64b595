//! Selects the facts that are requested again in a refresh because AWS can change them: a slice of each kind, the
//! oldest first, at a rate that covers all within the recheck interval.
//!
//! If such a request fails, or its answer is incomplete, the known facts stay and are requested again later.

use std::collections::{BTreeSet, HashSet};
use std::time::Duration;

use crate::arn::{ClusterArn, TaskArn, TaskDefinitionArn};
use crate::failure::Failure;
use crate::inventory::doors::Fact;
use crate::inventory::question::Question;
use crate::inventory::{Inventory, KnownTask};
use crate::model::{Cluster, ContainerInstance, InstanceId, Tags};

use super::Refresh;

/// The most definitions that are requested again in one refresh, a call each, only for their tags. AWS's bucket has a
/// burst of 50 such calls and 20 a second after that, and half of it is ours: these calls take two seconds of our half,
/// after all new definitions of the refresh have been read. With the default intervals that is 200 definitions within
/// the recheck interval; more of them take longer.
const DEFINITIONS: usize = 20;

/// The most definitions that are read again in one refresh because the rules need values that were dropped when they were
/// read: ten seconds of our half. Until all of them are read, the refreshes take that much longer.
const DEFINITIONS_AGAIN: usize = 100;

/// The same for tasks with overrides, in batches: two seconds of our half of the bucket of DescribeTasks.
const TASK_BATCHES_AGAIN: usize = 20;

/// Which facts are requested again, and how often.
#[derive(Clone, Copy, Debug)]
pub struct Recheck {
    /// Every fact is requested again within this time.
    pub interval: Duration,
    /// Whether anything depends on the tags of definitions.
    pub definition_tags: bool,
    /// Whether the services of tasks are described.
    pub services: bool,
    /// Whether no other refresh follows, to which the rest of a slice could be left.
    pub is_last: bool,
}

impl Recheck {
    /// How many batches of tasks are described again in one refresh because the rules need dropped values.
    pub(super) fn task_batches_again(&self) -> usize {
        if self.is_last { usize::MAX } else { TASK_BATCHES_AGAIN }
    }
}

/// The recheck schedule of one kind of fact.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::inventory) struct Round {
    /// The number of calls that are due; grows with time.
    debt: f64,
    /// When it was last computed.
    reckoned: Option<Duration>,
}

impl Round {
    /// Starts the schedule now.
    pub(in crate::inventory) fn begun(now: Duration) -> Self {
        Self { debt: 0.0, reckoned: Some(now) }
    }

    /// The `facts` to request now, in full batches and at most `most` calls: each comes with the time of its last
    /// request.
    pub(super) fn due<K: Ord>(
        &mut self,
        mut facts: Vec<(Duration, K)>,
        batch: usize,
        most: usize,
        now: Duration,
        interval: Duration,
    ) -> Vec<K> {
        // A last batch that is not full counts as a full one, or some facts would wait for two rounds.
        let round = facts.len().div_ceil(batch) as f64;
        let elapsed = now.saturating_sub(self.reckoned.replace(now).unwrap_or(now));
        let share = elapsed.as_secs_f64() / interval.as_secs_f64();
        let due = (self.debt + round * share).min(round);
        // The small constant keeps sums of fractions from falling just short of a whole call.
        let calls = ((due + 1e-6) as usize).min(most);
        self.debt = due - calls as f64;
        let count = (calls * batch).min(facts.len());
        if count < facts.len() {
            facts.select_nth_unstable(count);
            facts.truncate(count);
        }
        facts.sort();
        facts.into_iter().map(|(_, key)| key).collect()
    }

    /// This many calls were not answered: their facts are due again.
    fn again(&mut self, calls: f64) {
        self.debt += calls;
    }
}

/// The schedules of the kinds of facts outside of clusters.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Rounds {
    clusters: Round,
    definitions: Round,
    ec2: Round,
    external: Round,
}

impl Rounds {
    /// Starts the schedules that have not started: facts are known from now on.
    pub(in crate::inventory) fn begin(&mut self, now: Duration) {
        for round in [&mut self.clusters, &mut self.definitions, &mut self.ec2, &mut self.external] {
            round.reckoned.get_or_insert(now);
        }
    }
}

impl Refresh {
    /// Which settled tasks of a cluster that is listed in full to describe again.
    pub(super) fn tasks_due(&mut self, index: &mut Inventory, cluster: &ClusterArn) -> Vec<TaskArn> {
        let (now, interval, refresh) = (self.now, self.recheck.interval, index.refresh);
        let Some(facts) = index.scopes.get_mut(cluster) else { return Vec::new() };
        let settled = facts.tasks.iter().filter(|(_, known)| known.has_schedule(refresh));
        let settled = settled.map(|(arn, known)| (known.asked, arn)).collect();
        let due = facts.task_round.due(settled, Question::TASKS, usize::MAX, now, interval);
        due.into_iter().cloned().collect()
    }

    /// Which settled tasks of a cluster that is listed in full to describe again, because the rules need values of their
    /// overrides that were dropped.
    pub(super) fn tasks_to_read_again(&mut self, index: &Inventory, cluster: &ClusterArn) -> Vec<TaskArn> {
        let Some(facts) = index.scopes.get(cluster) else { return Vec::new() };
        let settled = facts.tasks.iter().filter(|(_, known)| known.has_schedule(index.refresh));
        let again = settled.filter(|(_, known)| index.are_too_few(&known.task.names));
        let mut again: Vec<_> = again.map(|(arn, known)| (known.asked, arn)).collect();
        again.sort();
        again.truncate(self.task_batches_again.saturating_mul(Question::TASKS));
        self.task_batches_again -= again.len().div_ceil(Question::TASKS);
        again.into_iter().map(|(_, arn)| arn.clone()).collect()
    }

    /// Tasks that were requested again and not answered are due again.
    pub(super) fn tasks_due_again(&mut self, index: &mut Inventory, cluster: &ClusterArn, tasks: &[TaskArn]) {
        let refresh = index.refresh;
        let Some(facts) = index.scopes.get_mut(cluster) else { return };
        let has_schedule = |known: &&KnownTask| known.has_schedule(refresh);
        let due = tasks.iter().filter_map(|task| facts.tasks.get(task)).filter(has_schedule).count();
        if due > 0 {
            let batch = facts.tasks.values().filter(has_schedule).count().min(Question::TASKS);
            facts.task_round.again(due as f64 / batch as f64);
        }
    }

    /// Queues the container instances of a cluster's tasks to be requested again, along with new ones.
    pub(super) fn recheck_instances(&mut self, index: &mut Inventory, cluster: &ClusterArn) {
        let (now, interval) = (self.now, self.recheck.interval);
        let (Some(facts), Some(scope)) = (index.scopes.get_mut(cluster), self.scopes.get_mut(cluster)) else {
            return;
        };
        let used = facts.tasks.values().filter_map(|known| known.task.container_instance.as_ref());
        // Many tasks share an ARN and its text: only texts that are stored once each are compared.
        let mut texts = HashSet::new();
        let used: BTreeSet<_> = used.filter(|arn| texts.insert(arn.as_str().as_ptr())).collect();
        let known = &index.container_instances;
        let known = used.into_iter().filter_map(|arn| Some((known.asked_before(arn, now)?, arn))).collect();
        let due = facts.instance_round.due(known, Question::CONTAINER_INSTANCES, usize::MAX, now, interval);
        for arn in due {
            if self.instances.insert(arn.clone()) {
                scope.instances.insert(arn.clone());
            }
        }
    }

    /// Requests the facts outside of clusters again, once everything new is answered; unless no cluster could be
    /// listed.
    pub(super) fn recheck_source(&mut self, index: &mut Inventory) {
        if !self.rechecked && self.scopes.values().any(|scope| scope.listed) {
            self.rechecked = true;
            self.recheck_cluster_tags(index);
            self.read_definitions_again(index);
            self.recheck_definition_tags(index);
            self.recheck_hosts(index);
        }
    }

    fn recheck_cluster_tags(&mut self, index: &mut Inventory) {
        let (now, interval) = (self.now, self.recheck.interval);
        let described = index.scopes.iter().filter(|(arn, facts)| {
            let is_listed = self.scopes.get(*arn).is_some_and(|scope| scope.listed);
            is_listed && facts.described && facts.tags_asked != now
        });
        let described = described.map(|(arn, facts)| (facts.tags_asked, arn.clone())).collect();
        let round = &mut index.rounds.clusters;
        let due = round.due(described, Question::CLUSTERS, usize::MAX, now, interval);
        for batch in due.chunks(Question::CLUSTERS) {
            self.ask_batch(index, Question::ClusterTags { clusters: batch.to_vec() });
        }
    }

    /// The rules need values that were dropped when these were read.
    fn read_definitions_again(&mut self, index: &Inventory) {
        let again = index.definitions.used_since(index.collected).filter(|(_, arn, known)| {
            index.are_too_few(&known.names) && !index.definitions.is_refused(arn, self.now)
        });
        let mut again: Vec<_> = again.map(|(asked, arn, _)| (asked, arn.clone())).collect();
        again.sort();
        again.truncate(if self.recheck.is_last { usize::MAX } else { DEFINITIONS_AGAIN });
        for (_, definition) in again {
            if self.definitions.insert(definition.clone()) {
                self.ask(Question::TaskDefinition { definition });
            }
        }
    }

    fn recheck_definition_tags(&mut self, index: &mut Inventory) {
        if !self.recheck.definition_tags {
            return;
        }
        let mut known = index.definitions.in_use(index.collected, self.now);
        // The answer about a whole definition has its tags.
        known.retain(|(_, definition)| !self.definitions.contains(definition));
        let round = &mut index.rounds.definitions;
        for definition in round.due(known, 1, DEFINITIONS, self.now, self.recheck.interval) {
            self.ask(Question::DefinitionTags { definition });
        }
    }

    fn recheck_hosts(&mut self, index: &mut Inventory) {
        let (now, interval) = (self.now, self.recheck.interval);
        let known = index.hosts.in_use(index.collected, now);
        let (external, ec2): (Vec<_>, Vec<_>) = known.into_iter().partition(|(_, id)| id.is_external());
        let rounds = &mut index.rounds;
        let ec2 = rounds.ec2.due(ec2, Question::EC2_INSTANCES, usize::MAX, now, interval);
        let external = rounds.external.due(external, Question::EXTERNAL_INSTANCES, usize::MAX, now, interval);
        for id in ec2.into_iter().chain(external) {
            self.wait_for_host(index, id);
        }
    }

    /// Facts that were requested again and got no answer stay unchanged. They are due at the next refresh if a retry
    /// may help, and else on schedule: permanently refused facts must not displace others.
    pub(super) fn due_again(&mut self, index: &mut Inventory, question: &Question, failure: &Failure) {
        let Inventory { scopes, container_instances, hosts, rounds, .. } = index;
        let any_host = |ids: &[InstanceId]| ids.iter().any(|id| hosts.value(id).is_some());
        let (is_known, round) = match question {
            Question::ContainerInstances { cluster, instances } => {
                let Some(facts) = scopes.get_mut(cluster) else { return };
                let is_known = instances.iter().any(|arn| container_instances.value(arn).is_some());
                (is_known, &mut facts.instance_round)
            }
            Question::Services { cluster, services } => {
                let Some(facts) = scopes.get_mut(cluster) else { return };
                let is_known = services.iter().any(|name| facts.services.value(name).is_some());
                (is_known, &mut facts.service_round)
            }
            Question::Ec2Instances { instances } => (any_host(instances), &mut rounds.ec2),
            Question::ExternalInstances { instances } => (any_host(instances), &mut rounds.external),
            Question::ClusterTags { .. } => (true, &mut rounds.clusters),
            Question::DefinitionTags { .. } => (true, &mut rounds.definitions),
            _ => return,
        };
        if is_known && failure.may_pass() {
            round.again(1.0);
        }
    }

    /// Whether a target may be missing without an answer to this question, and not only be outdated.
    pub(super) fn is_missed(&self, index: &mut Inventory, question: &Question) -> bool {
        match question {
            Question::TaskDefinition { .. } => true,
            Question::ContainerInstances { instances, .. } => {
                let known = |arn| index.container_instances.value(arn);
                instances.iter().any(|arn| known(arn).is_none_or(|known| known.instance.is_none()))
            }
            Question::Ec2Instances { instances } | Question::ExternalInstances { instances } => {
                let known = |id| index.hosts.value(id);
                instances.iter().any(|id| known(id).is_none_or(|host| host.private_ipv4.is_none()))
            }
            _ => false,
        }
    }

    /// A container instance that moved to another machine is updated once the machine is known: until then its tasks
    /// keep their address.
    pub(super) fn container_instance_described(
        &mut self,
        index: &mut Inventory,
        cluster: &ClusterArn,
        said: ContainerInstance,
    ) {
        let known = index.container_instances.value(&said.arn);
        let moves = known.is_some_and(|known| known.instance.is_some() && known.instance != said.instance);
        match said.instance.clone().filter(|id| moves && index.hosts.value(id).is_none()) {
            Some(id) => {
                self.moving.push(said);
                self.wait_for_host(index, id);
            }
            None => {
                let missing = index.apply(Fact::ContainerInstance(said), self.now);
                self.ask_for(index, cluster, missing);
            }
        }
    }

    /// Updates moved container instances whose new machines are known by now.
    pub(super) fn finish_moves(&mut self, index: &mut Inventory) {
        for said in std::mem::take(&mut self.moving) {
            if said.instance.as_ref().is_some_and(|id| index.hosts.value(id).is_some()) {
                index.apply(Fact::ContainerInstance(said), self.now);
            }
        }
    }

    pub(super) fn cluster_tags_read(
        &mut self,
        index: &mut Inventory,
        asked: &[ClusterArn],
        clusters: Vec<Cluster>,
    ) {
        self.cluster_tags_asked(index, asked);
        for cluster in clusters {
            index.apply(Fact::Cluster(cluster), self.now);
        }
    }

    /// Their recheck is done.
    pub(super) fn cluster_tags_asked(&mut self, index: &mut Inventory, clusters: &[ClusterArn]) {
        for cluster in clusters {
            let now = self.now;
            index.scopes.entry(cluster.clone()).and_modify(|facts| facts.tags_asked = now);
        }
    }

    pub(super) fn definition_tags_read(
        &mut self,
        index: &mut Inventory,
        arn: TaskDefinitionArn,
        tags: Option<Tags>,
    ) {
        index.definitions.touch(&arn, self.now);
        if let Some(tags) = tags {
            index.apply(Fact::DefinitionTags(arn, tags), self.now);
        }
    }
}
