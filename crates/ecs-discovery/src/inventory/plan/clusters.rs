//! What AWS says about clusters: which there are, and which are gone.

use std::sync::Arc;

use crate::arn::ClusterArn;
use crate::inventory::question::{Failure, FailureKind, Question};
use crate::model::Cluster;

use super::Refresh;
use super::pages::Listed;

impl Refresh {
    pub(super) fn clusters_heard(&mut self, clusters: Vec<ClusterArn>, next: Option<String>) {
        let new = clusters.iter().filter(|cluster| self.clusters_seen.insert((*cluster).clone())).count();
        let listed = Listed::of(clusters.len(), new);
        let selected = clusters.into_iter().filter(|cluster| self.selection.selects(cluster));
        self.clusters_listed.extend(selected);
        let Some(page) = next else { return self.all_clusters_heard() };
        match self.cluster_pages.turn(listed, &page) {
            Ok(()) => self.ask(Question::Clusters { page: Some(page) }),
            Err(failure) => self.listing_of_clusters_failed(failure),
        }
    }

    fn all_clusters_heard(&mut self) {
        let listed = std::mem::take(&mut self.clusters_listed);
        let is_described =
            |cluster: &ClusterArn| self.inventory.scopes.get(cluster).is_some_and(|one| one.described);
        let new = listed.iter().filter(|cluster| !is_described(cluster));
        // The credentials may be another account's than those of the process that saved the facts.
        let is_foreign =
            |cluster: &ClusterArn| listed.iter().any(|listed| listed.account() != cluster.account());
        let unlisted = self.inventory.clusters().filter(|cluster| !listed.contains(cluster));
        let (foreign, unlisted): (Vec<_>, Vec<_>) = unlisted.cloned().partition(is_foreign);
        // A cluster that the listing lacks is gone only once AWS says so of that cluster; by its name, since AWS
        // refuses ARNs of another account.
        let unlisted = unlisted.iter().map(|cluster| cluster.last_part());
        let to_describe: Vec<Box<str>> =
            new.map(|cluster| cluster.as_str()).chain(unlisted).map(Into::into).collect();
        self.ask_cluster_details(&to_describe);
        for cluster in foreign {
            self.scopes.entry(cluster).or_default().gone = true;
        }
        for cluster in listed {
            self.begin_scope(cluster);
        }
    }

    /// What is known goes on being followed; only without credentials there is no use in asking.
    pub(super) fn listing_of_clusters_failed(&mut self, failure: Failure) {
        if failure.kind != FailureKind::NoCredentials {
            self.begin_known_scopes();
        }
        self.clusters_failed = Some(failure);
    }

    pub(super) fn cluster_described(&mut self, cluster: Cluster) {
        if !self.selection.selects(&cluster.arn) {
            return;
        }
        self.begin_scope(cluster.arn.clone());
        let Some(facts) = self.inventory.scopes.get_mut(&cluster.arn) else { return };
        facts.described = true;
        if *facts.cluster != cluster {
            facts.cluster = Arc::new(cluster);
            self.learned = true;
        }
    }

    pub(super) fn cluster_gone(&mut self, name: &str) {
        let is_it = |cluster: &&ClusterArn| is_named(cluster, name);
        let Some(cluster) = self.inventory.clusters().find(is_it).cloned() else { return };
        let is_refused = |failure: &Failure| failure.kind == FailureKind::NotFound;
        match self.scopes.get(&cluster) {
            // A cluster that this refresh's listing has is not gone unless its tasks cannot be listed either.
            Some(scope) if !scope.failure.as_ref().is_some_and(is_refused) => {}
            _ => self.scopes.entry(cluster).or_default().gone = true,
        }
    }

    /// Clusters that only lack their tags go on without; one that was to be confirmed is held.
    pub(super) fn cluster_details_failed(&mut self, clusters: &[Box<str>], failure: &Failure) {
        let is_it = |cluster: &&ClusterArn| clusters.iter().any(|name| is_named(cluster, name));
        let held: Vec<_> = self.inventory.clusters().filter(is_it).cloned().collect();
        for cluster in held {
            if !self.scopes.contains_key(&cluster) {
                self.scope_failed(&cluster, failure.clone());
            }
        }
        // Of clusters that are named and were never seen nothing is known at all.
        if self.selection.named().is_some() && self.clusters_failed.is_none() {
            self.clusters_failed = Some(failure.clone());
        }
    }
}

fn is_named(cluster: &ClusterArn, name: &str) -> bool {
    cluster.as_str() == name || cluster.last_part() == name
}
