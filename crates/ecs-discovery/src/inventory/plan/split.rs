//! Batches that AWS denies: they are requested in halves, down to the denied ids, so that these do not affect others.

use std::collections::{BTreeMap, BTreeSet};
use std::slice;
use std::time::Duration;

use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn};
use crate::failure::{Failure, FailureKind};
use crate::inventory::Inventory;
use crate::inventory::denials::Kind;
use crate::inventory::question::Question;
use crate::model::{InstanceId, ServiceName};

use super::Refresh;

/// How many batches of one operation are halved in one refresh: enough to separate 33 ids, and to find four among a
/// hundred. The two calls for each are a tenth of the calls per minute in the default share of AWS's limit on
/// DescribeClusters. The next refresh continues the search. An eighth of this number may be denied ids that are
/// requested again.
const MAX_SPLITS: usize = 32;

/// The same for hosts. EC2 and Systems Manager have no permissions for single hosts: if both halves are denied,
/// everything is, and Systems Manager allows few calls.
const MAX_SPLITS_OF_HOSTS: usize = 1;

/// The same for services, ten of which are a batch: enough to find two of them. Only labels depend on services.
const MAX_SPLITS_OF_SERVICES: usize = 8;

/// The state of the ids of one kind in a refresh.
#[derive(Debug, Default)]
pub(super) struct Search {
    /// Halves that wait to be requested one after the other, the last one first, so that single ids are reached soon.
    halves: Vec<Question>,
    /// Ids that were denied alone, and why.
    denied: BTreeMap<Box<str>, Failure>,
    /// Ids of batches that were denied and not halved, and why.
    left: BTreeSet<Box<str>>,
    why_left: Option<Failure>,
    /// Whether any batch was halved, and whether one was not though none of its ids is known to be denied.
    was_split: bool,
    is_untried: bool,
    /// Whether a target may be missing because of them.
    is_missed: bool,
    /// Whether any id was allowed.
    allowed: bool,
    /// Whether anything failed for another reason, so that it is not known whether it is allowed.
    troubled: bool,
}

impl Refresh {
    /// Requests a batch without the ids that are known to be denied, and separately from ids of which none was allowed.
    pub(super) fn ask_batch(&mut self, index: &mut Inventory, mut question: Question) {
        let Some(kind) = question.kind() else { return self.ask(question) };
        if index.denials.is_whole(&kind) {
            let is_of_whole = |id: &str| index.denials.is_of_whole(&kind, id, self.now);
            let whole = question.only(is_of_whole);
            question = question.only(|id| !is_of_whole(id));
            self.push_batch(whole);
        }
        if index.denials.any_id(&kind) {
            let (mut again, mut known) = (Vec::new(), BTreeMap::new());
            for id in question.ids() {
                let Some((failure, is_due)) = index.denials.of(&kind, id, self.now) else {
                    continue;
                };
                let splits = self.splits.entry(kind.0).or_default();
                if is_due && *splits < question.max_splits().div_ceil(8) {
                    *splits += 1;
                    again.push(question.only(|other| other == id));
                } else {
                    known.insert(Box::from(id), failure);
                }
            }
            let is_alone = |id: &str| again.iter().any(|question| question.ids() == [id]);
            question = question.only(|id| !known.contains_key(id) && !is_alone(id));
            again.into_iter().for_each(|question| self.push_batch(question));
            known.iter().for_each(|(id, failure)| self.still_denied(index, &kind, id, failure));
        }
        self.push_batch(question);
    }

    /// Lets only so many batches of each operation be halved.
    pub(super) fn leave_splits(&mut self, splits: usize) {
        for (operation, most) in [
            (Question::DESCRIBE_CLUSTERS, MAX_SPLITS),
            (Question::DESCRIBE_TASKS, MAX_SPLITS),
            (Question::DESCRIBE_CONTAINER_INSTANCES, MAX_SPLITS),
            (Question::DESCRIBE_SERVICES, MAX_SPLITS_OF_SERVICES),
        ] {
            self.splits.insert(operation, most.saturating_sub(splits));
        }
    }

    /// How many batches were halved.
    pub(super) fn splits(&self) -> usize {
        self.splits.values().sum()
    }

    fn push_batch(&mut self, question: Question) {
        if !question.ids().is_empty() {
            self.count_tasks_batch(&question);
            self.ask(question);
        }
    }

    fn count_tasks_batch(&mut self, question: &Question) {
        if let Question::TaskDetails { cluster, .. } = question
            && let Some(scope) = self.scopes.get_mut(cluster)
        {
            scope.describing += 1;
        }
    }

    /// The effect of a denial that is not requested again. (Missing host facts are reported since the denial.)
    fn still_denied(&mut self, index: &mut Inventory, kind: &Kind, id: &str, failure: &Failure) {
        match (kind.1.as_ref(), TaskArn::parse(id)) {
            (None, _) if kind.0 == Question::DESCRIBE_CLUSTERS => {
                self.cluster_details_failed(index, &[id.into()], failure);
                // If it was due to be requested again, its recheck counts as done.
                ClusterArn::parse(id)
                    .iter()
                    .for_each(|cluster| self.cluster_tags_asked(index, slice::from_ref(cluster)));
            }
            (Some(cluster), _) if kind.0 == Question::DESCRIBE_SERVICES => {
                let name = ServiceName::parse(id);
                name.into_iter()
                    .for_each(|name| index.service_failed(cluster, name, failure.clone(), self.now));
            }
            (Some(cluster), Ok(task)) => self.task_denied(index, cluster, &task, failure),
            (Some(_), Err(_)) => {
                ContainerInstanceArn::parse(id).iter().for_each(|arn| {
                    index.container_instances.touch(arn, self.now);
                });
            }
            (None, _) => {
                index.hosts.touch(&InstanceId::new(id), self.now);
            }
        }
    }

    /// A denied task is kept unchanged, and its recheck counts as done.
    pub(super) fn task_denied(
        &mut self,
        index: &mut Inventory,
        cluster: &ClusterArn,
        task: &TaskArn,
        failure: &Failure,
    ) {
        let known = index.scopes.get_mut(cluster).and_then(|facts| facts.tasks.get_mut(task));
        match (known, self.scopes.get_mut(cluster)) {
            (Some(known), _) => known.asked = self.now,
            (None, Some(scope)) => scope.denied = Some(failure.clone()),
            (None, None) => {}
        }
    }

    /// Records that a question failed. Returns whether it is requested in halves instead.
    pub(super) fn is_halved(
        &mut self,
        index: &mut Inventory,
        question: &Question,
        failure: &Failure,
    ) -> bool {
        let Some(kind) = question.kind() else { return false };
        let is_missed = self.is_missed(index, question);
        let search = self.searches.entry(kind.clone()).or_default();
        if failure.kind != FailureKind::Denied {
            search.troubled = true;
            return false;
        }
        let ids = question.ids();
        if let [id] = ids[..] {
            search.denied.insert(id.into(), failure.clone());
            return false;
        }
        let splits = self.splits.entry(kind.0).or_default();
        let is_of_whole = |id: &&str| index.denials.is_of_whole(&kind, id, self.now);
        let is_known = ids.iter().all(is_of_whole);
        if *splits >= question.max_splits() || is_known {
            search.left.extend(ids.into_iter().map(Box::from));
            search.why_left = Some(failure.clone());
            search.is_missed |= is_missed;
            search.is_untried |= !is_known;
            return false;
        }
        *splits += 1;
        search.was_split = true;
        let (first, second) = ids.split_at(ids.len() / 2);
        let mut halves = [second, first].map(|half| question.only(|id| half.contains(&id)));
        // Not always from the same end: one refresh may not find all denied ids.
        if index.refresh >> ids.len().ilog2() & 1 == 1 {
            halves.reverse();
        }
        halves.iter().for_each(|half| self.count_tasks_batch(half));
        if let Some(search) = self.searches.get_mut(&kind) {
            search.halves.extend(halves);
        }
        true
    }

    /// Records that a question was answered.
    pub(super) fn was_allowed(&mut self, index: &mut Inventory, question: &Question) {
        let Some(kind) = question.kind() else { return };
        index.denials.allowed(&kind, question.ids(), self.now);
        self.searches.entry(kind).or_default().allowed = true;
    }

    /// Once a question of this kind is done, the next half is requested.
    pub(super) fn ask_half(&mut self, kind: Option<Kind>) {
        let search = kind.and_then(|kind| self.searches.get_mut(&kind));
        if let Some(half) = search.and_then(|search| search.halves.pop()) {
            self.ask(half);
        }
    }

    /// Whether no container instance of the cluster may be described, once that is [remembered](Self::remember_denials).
    pub(super) fn are_instances_denied(&self, index: &mut Inventory, cluster: &ClusterArn) -> bool {
        let kind = (Question::DESCRIBE_CONTAINER_INSTANCES, Some(cluster.clone()));
        index.denials.is_whole(&kind)
    }

    /// Remembers the denied ids. A cluster is held if none of its tasks could be described; if some are denied, it is
    /// read without them.
    pub(super) fn remember_denials(&mut self, index: &mut Inventory) {
        for (kind, search) in std::mem::take(&mut self.searches) {
            let Search {
                denied, left, why_left, is_missed, allowed, troubled, was_split, is_untried, ..
            } = search;
            // Some task of a cluster is described within each recheck interval, if any may be.
            let within =
                if kind.0 == Question::DESCRIBE_TASKS { 2 * self.recheck.interval } else { Duration::MAX };
            let is_mixed = allowed || index.denials.is_mixed(&kind, within, self.now);
            let Some(why) = why_left.or_else(|| denied.values().next().cloned()) else { continue };
            // What is left beside what is allowed may be allowed, too.
            let is_untried = is_untried && !was_split;
            let is_open = is_untried || is_mixed && !left.is_empty();
            self.partial |= is_open && is_missed;
            if let (Question::DESCRIBE_TASKS, Some(cluster)) = &kind {
                match is_mixed {
                    _ if is_open => {
                        self.scope_failed(cluster, Failure { kind: FailureKind::Unavailable, ..why });
                    }
                    true => {}
                    false => self.scope_failed(cluster, why),
                }
            }
            match is_mixed {
                true => index.denials.denied(kind, denied, allowed, self.now),
                false if !troubled && !is_untried => {
                    index.denials.whole(kind, left.into_iter().chain(denied.into_keys()), self.now);
                }
                false => {}
            }
        }
        index.denials.forget_unused(self.recheck.interval, self.now);
    }
}

impl Question {
    const DESCRIBE_CLUSTERS: &str = "DescribeClusters";
    const DESCRIBE_TASKS: &str = "DescribeTasks";
    const DESCRIBE_CONTAINER_INSTANCES: &str = "DescribeContainerInstances";
    const DESCRIBE_SERVICES: &str = "DescribeServices";

    /// The kind of a batch; `None` if the question is not a batch.
    pub(super) fn kind(&self) -> Option<Kind> {
        let cluster = match self {
            Self::TaskDetails { cluster, .. }
            | Self::ContainerInstances { cluster, .. }
            | Self::Services { cluster, .. } => Some(cluster.clone()),
            Self::ClusterDetails { .. }
            | Self::ClusterTags { .. }
            | Self::Ec2Instances { .. }
            | Self::ExternalInstances { .. } => None,
            Self::Clusters { .. }
            | Self::Tasks { .. }
            | Self::TaskDefinition { .. }
            | Self::DefinitionTags { .. } => return None,
        };
        Some((self.operation(), cluster))
    }

    /// The ids of a batch; none if the question is not a batch.
    pub fn ids(&self) -> Vec<&str> {
        match self {
            Self::ClusterDetails { clusters } => clusters.iter().map(|name| &**name).collect(),
            Self::ClusterTags { clusters } => clusters.iter().map(ClusterArn::as_str).collect(),
            Self::TaskDetails { tasks, .. } => tasks.iter().map(TaskArn::as_str).collect(),
            Self::ContainerInstances { instances, .. } => instances.iter().map(|one| one.as_str()).collect(),
            Self::Services { services, .. } => services.iter().map(ServiceName::as_str).collect(),
            Self::Ec2Instances { instances } | Self::ExternalInstances { instances } => {
                instances.iter().map(|one| one.as_str()).collect()
            }
            Self::Clusters { .. }
            | Self::Tasks { .. }
            | Self::TaskDefinition { .. }
            | Self::DefinitionTags { .. } => Vec::new(),
        }
    }

    /// The same batch with some of its ids.
    fn only(&self, is_wanted: impl Fn(&str) -> bool) -> Self {
        let mut question = self.clone();
        match &mut question {
            Self::ClusterDetails { clusters } => clusters.retain(|name| is_wanted(name)),
            Self::ClusterTags { clusters } => clusters.retain(|one| is_wanted(one.as_str())),
            Self::TaskDetails { tasks, .. } => tasks.retain(|one| is_wanted(one.as_str())),
            Self::ContainerInstances { instances, .. } => instances.retain(|one| is_wanted(one.as_str())),
            Self::Services { services, .. } => services.retain(|one| is_wanted(one.as_str())),
            Self::Ec2Instances { instances } | Self::ExternalInstances { instances } => {
                instances.retain(|one| is_wanted(one.as_str()));
            }
            Self::Clusters { .. }
            | Self::Tasks { .. }
            | Self::TaskDefinition { .. }
            | Self::DefinitionTags { .. } => {}
        }
        question
    }

    fn max_splits(&self) -> usize {
        match self {
            Self::Ec2Instances { .. } | Self::ExternalInstances { .. } => MAX_SPLITS_OF_HOSTS,
            Self::Services { .. } => MAX_SPLITS_OF_SERVICES,
            _ => MAX_SPLITS,
        }
    }
}
