//! The end of a refresh: the touched tasks of each scope are derived, or the scope is stale, or gone.

use std::collections::{BTreeMap, BTreeSet};

use crate::arn::ClusterArn;
use crate::derive::Rules;
use crate::failure::{Failure, FailureKind};
use crate::inventory::Inventory;
use crate::snapshot::{Scope, ScopeStatus};

use super::{Refresh, ScopeRefresh};

/// The end of a refresh.
#[derive(Debug)]
pub struct RefreshOutcome {
    /// The source's part of the snapshot.
    pub scopes: BTreeMap<ClusterArn, Scope>,
    /// Why the clusters could not be listed or looked up, if so: there may be more than are known.
    pub failure: Option<Failure>,
    /// Whether a definition or host could not be read for a reason that may pass, so that a target may be missing.
    pub partial: bool,
    /// Clusters that were read but for some tasks, definitions or hosts, so that a target may be missing.
    pub incomplete: BTreeSet<ClusterArn>,
    /// Clusters that are left out because they belong to another account than the credentials.
    pub foreign: Vec<ClusterArn>,
}

impl RefreshOutcome {
    /// Whether every allowed scope was read, with everything that its targets depend on; false if no scope is allowed.
    pub fn is_complete(&self) -> bool {
        let is_heard = |scope: &Scope| scope.status == ScopeStatus::Fresh;
        self.failure.is_none()
            && !self.partial
            && self.scopes.values().all(|scope| is_heard(scope) || scope.denied)
            && (self.scopes.is_empty() || self.scopes.values().any(is_heard))
    }
}

impl Refresh {
    /// Ends the refresh, all its questions being answered or failed. `before` is what the source came to last time.
    pub fn finish(
        mut self,
        index: &mut Inventory,
        rules: &Rules,
        before: &BTreeMap<ClusterArn, Scope>,
    ) -> RefreshOutcome {
        self.finish_moves(index);
        self.remember_denials(index);
        let mut refreshed = std::mem::take(&mut self.scopes);
        let mut scopes = BTreeMap::new();
        let clusters: Vec<_> = index.clusters().cloned().collect();
        // What could not be read by now is not awaited any longer.
        index.release_refreshed(self.now);
        for cluster in clusters {
            let earlier = before.get(&cluster);
            let refresh = refreshed.remove(&cluster).unwrap_or_default();
            if refresh.listed {
                index.note_undescribed(&cluster, &refresh.described);
            }
            if refresh.gone {
                index.forget_cluster(&cluster);
                continue;
            }
            let scope = match self.why_stale(&refresh) {
                Some((why, denied)) => {
                    // It is not published, but touched tasks must not add up.
                    index.derive(&cluster, rules);
                    let stale = |scope: &Scope| scope.stale(why.clone(), self.now);
                    let scope = earlier.map_or_else(|| Scope::never_read(why.clone()), stale);
                    Scope { denied, ..scope }
                }
                None => self.concluded(index, &cluster, &refresh, rules, earlier),
            };
            scopes.insert(cluster, scope);
        }
        index.collect(self.now);
        let foreign = self.foreign.into_iter().collect();
        RefreshOutcome {
            scopes,
            failure: self.clusters_failed,
            partial: self.partial,
            incomplete: self.incomplete,
            foreign,
        }
    }

    /// Why, and whether that is because AWS denies it.
    pub(super) fn why_stale(&self, refresh: &ScopeRefresh) -> Option<(String, bool)> {
        if let Some(failure) = &refresh.failure {
            return Some((failure.message.clone(), failure.kind == FailureKind::Denied));
        }
        let is_read = refresh.listed && refresh.describing == 0 && refresh.to_describe.is_empty();
        let why = || self.clusters_failed.as_ref().map_or("it was not asked for", |failure| &failure.message);
        (!is_read).then(|| (why().to_owned(), false))
    }

    pub(super) fn concluded(
        &mut self,
        index: &mut Inventory,
        cluster: &ClusterArn,
        refresh: &ScopeRefresh,
        rules: &Rules,
        earlier: Option<&Scope>,
    ) -> Scope {
        index.scopes.entry(cluster.clone()).and_modify(|scope| scope.unread = false);
        let derived = index.derive(cluster, rules);
        let failures = || index.missing_facts_failures(cluster);
        let failure = failures().next().map(ToString::to_string);
        let all_denied = failure.is_some() && failures().all(|failure| failure.kind == FailureKind::Denied);
        if failure.is_some() || refresh.denied.is_some() || refresh.contradicted {
            self.incomplete.insert(cluster.clone());
        }
        let is_known = earlier.is_some_and(Scope::is_known);
        let contradiction = || {
            refresh.contradicted.then(|| "AWS lists tasks of which it says that there are none".to_owned())
        };
        let denied = refresh.denied.as_ref().map(ToString::to_string);
        let is_denied = all_denied || denied.is_some() || self.are_instances_denied(index, cluster);
        match failure.or(denied).or_else(contradiction) {
            // A first look that yields nothing because calls failed has seen nothing.
            Some(why) if !is_known && derived.targets.is_empty() => {
                Scope { denied: is_denied, ..Scope::never_read(why) }
            }
            _ => Scope::fresh(derived, self.now),
        }
    }
}
