//! What AWS says about clusters: which there are, and which are gone.

use std::collections::BTreeSet;

use crate::arn::ClusterArn;
use crate::failure::{Failure, FailureKind};
use crate::inventory::doors::Fact;
use crate::inventory::question::Question;
use crate::inventory::selection::ClusterPattern;
use crate::inventory::{Inventory, ScopeFacts};
use crate::model::Cluster;

use super::pages::Listed;
use super::{Refresh, ScopeRefresh};

impl Refresh {
    pub(super) fn clusters_listed(
        &mut self,
        index: &mut Inventory,
        clusters: Vec<ClusterArn>,
        next: Option<String>,
    ) {
        let new = clusters.iter().filter(|cluster| self.clusters_seen.insert((*cluster).clone())).count();
        let listed = Listed::of(clusters.len(), new);
        let selected = clusters.into_iter().filter(|cluster| self.selection.selects(cluster));
        self.clusters_listed.extend(selected);
        let Some(page) = next else { return self.all_clusters_heard(index) };
        match self.cluster_pages.turn(listed, &page) {
            Ok(()) => self.ask(Question::Clusters { page: Some(page) }),
            Err(failure) => self.listing_of_clusters_failed(index, failure),
        }
    }

    fn all_clusters_heard(&mut self, index: &mut Inventory) {
        let listed = std::mem::take(&mut self.clusters_listed);
        // The credentials may belong to another account than those of the process that saved the facts.
        self.are_foreign(index, |_, _, cluster| {
            !listed.contains(cluster) && listed.iter().any(|listed| listed.account() != cluster.account())
        });
        let is_described = |cluster: &ClusterArn| index.scopes.get(cluster).is_some_and(|one| one.described);
        let new = listed.iter().filter(|cluster| !is_described(cluster));
        let is_unlisted =
            |cluster: &&ClusterArn| !listed.contains(*cluster) && !self.foreign.contains(*cluster);
        let unlisted: Vec<_> = index.clusters().filter(is_unlisted).cloned().collect();
        // A cluster that the listing lacks is gone only once AWS says so of that cluster; by its name, since AWS
        // refuses ARNs of another account.
        let unlisted = unlisted.iter().map(|cluster| cluster.last_part());
        let to_describe: Vec<Box<str>> =
            new.map(|cluster| cluster.as_str()).chain(unlisted).map(Into::into).collect();
        for cluster in listed {
            self.begin_scope(index, cluster);
        }
        self.ask_cluster_details(index, &to_describe);
    }

    /// Requests the named clusters that this process has not described yet: the saved facts may belong to another
    /// account. Requests them by name, because AWS refuses ARNs of another account, and the account of the credentials
    /// may be unknown.
    pub(super) fn ask_named_clusters(&mut self, index: &mut Inventory) {
        let scopes = &index.scopes;
        let is_confirmed = |pattern: &ClusterPattern| {
            let is_it = |facts: &ScopeFacts| facts.confirmed && facts.described;
            scopes.iter().any(|(cluster, facts)| is_it(facts) && pattern.matches(cluster))
        };
        let names: BTreeSet<_> = self.selection.patterns().iter().filter(|one| !is_confirmed(one)).collect();
        let names: BTreeSet<_> = names.into_iter().filter_map(ClusterPattern::name).map(Box::from).collect();
        self.ask_cluster_details(index, &Vec::from_iter(names));
    }

    /// A named cluster whose description is denied may still be readable: its ARN follows from that of another cluster.
    pub(super) fn begin_denied_scopes(&mut self, index: &mut Inventory) {
        let read = self.scopes.iter().find(|(_, scope)| scope.listed).map(|(cluster, _)| cluster.clone());
        for (name, failure) in std::mem::take(&mut self.denied_names) {
            match &read {
                Some(read) => {
                    let cluster = read.with_name(&name).filter(|cluster| self.selection.selects(cluster));
                    cluster.into_iter().for_each(|cluster| self.begin_scope(index, cluster));
                }
                None => drop(self.clusters_failed.get_or_insert(failure)),
            }
        }
    }

    /// Known clusters of another account are no longer followed. AWS does not say whether their tasks ended.
    pub(super) fn are_foreign(
        &mut self,
        index: &mut Inventory,
        is_foreign: impl Fn(&Self, &Inventory, &ClusterArn) -> bool,
    ) {
        let foreign: Vec<_> =
            index.clusters().filter(|cluster| is_foreign(self, index, cluster)).cloned().collect();
        for cluster in foreign {
            self.scopes.entry(cluster.clone()).or_default().gone = true;
            self.foreign.insert(cluster);
        }
    }

    /// An answer to a look-up by name shows the account of the credentials.
    fn account_shown(&mut self, index: &mut Inventory, account: &str) {
        self.are_foreign(index, |refresh, index, cluster| {
            let is_confirmed = !refresh.selection.needs_listing()
                && index.scopes.get(cluster).is_some_and(|scope| scope.confirmed);
            cluster.account() != account && !is_confirmed && !refresh.clusters_seen.contains(cluster)
        });
    }

    /// Known or named clusters are still followed; only without credentials no request can succeed.
    pub(super) fn listing_of_clusters_failed(&mut self, index: &mut Inventory, failure: Failure) {
        if failure.kind != FailureKind::NoCredentials {
            self.begin_known_scopes(index);
            self.ask_named_clusters(index);
        }
        self.clusters_failed = Some(failure);
    }

    pub(super) fn cluster_described(&mut self, index: &mut Inventory, cluster: Cluster) {
        if !self.selection.selects(&cluster.arn) {
            return;
        }
        self.account_shown(index, cluster.arn.account());
        self.begin_scope(index, cluster.arn.clone());
        let Some(facts) = index.scopes.get_mut(&cluster.arn) else { return };
        // An answer without tags may lack them: of a cluster whose tags are known, the question for tags tells.
        let is_untagged = facts.described && cluster.tags.is_empty();
        (facts.described, facts.confirmed) = (true, true);
        if is_untagged {
            return;
        }
        facts.tags_asked = self.now;
        index.apply(Fact::Cluster(cluster), self.now);
    }

    pub(super) fn cluster_gone(&mut self, index: &mut Inventory, name: &str, is_as_asked: bool) {
        // One that was asked for by ARN shows nothing: it may be of any account.
        if !is_as_asked && let Ok(arn) = ClusterArn::parse(name) {
            self.account_shown(index, arn.account());
        }
        let is_it = |cluster: &&ClusterArn| is_named(cluster, name);
        let Some(cluster) = index.clusters().find(is_it).cloned() else { return };
        let is_refused = |failure: &Failure| failure.kind == FailureKind::NotFound;
        match self.scopes.get(&cluster) {
            // A cluster that this refresh's listing has is not gone unless its tasks cannot be listed either.
            Some(scope) if !scope.failure.as_ref().is_some_and(is_refused) => {}
            _ => self.scopes.entry(cluster).or_default().gone = true,
        }
    }

    /// Clusters that only lack their tags go on without; one that was to be confirmed is held.
    pub(super) fn cluster_details_failed(
        &mut self,
        index: &mut Inventory,
        clusters: &[Box<str>],
        failure: &Failure,
    ) {
        let is_denied = failure.kind == FailureKind::Denied;
        let is_refused = |scope: &ScopeRefresh| {
            scope.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::NotFound)
        };
        for name in clusters {
            let known = index.scopes.iter().find(|(cluster, _)| is_named(cluster, name));
            let is_blank = known.is_some_and(|(_, facts)| !facts.described && facts.tasks.is_empty());
            match known.map(|(cluster, _)| cluster.clone()) {
                Some(cluster) => match self.scopes.get_mut(&cluster) {
                    None => self.scope_failed(&cluster, failure.clone()),
                    // It was never seen, and its tasks cannot be listed: it does not exist.
                    Some(scope) if is_denied && is_blank && is_refused(scope) => scope.gone = true,
                    Some(_) => {}
                },
                None if is_denied => self.denied_names.push((name.clone(), failure.clone())),
                // Named clusters that were never seen have no facts.
                None => drop(self.clusters_failed.get_or_insert(failure.clone())),
            }
        }
    }
}

fn is_named(cluster: &ClusterArn, name: &str) -> bool {
    cluster.as_str() == name || cluster.last_part() == name
}
