//! What a refresh comes to: each scope is derived anew, left as it was, held, or gone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::arn::ClusterArn;
use crate::derive::{Rules, derive};
use crate::inventory::question::{Failure, FailureKind};
use crate::inventory::settled::incomplete;
use crate::inventory::{Inventory, TaskView};
use crate::snapshot::{Scope, Standing};

use super::{Refresh, ScopeRefresh};

/// How often facts that nothing uses are looked for.
const COLLECTED_EVERY: Duration = Duration::from_secs(600);

/// The end of a refresh.
#[derive(Debug)]
pub struct Conclusion {
    /// The facts, for the next refresh.
    pub inventory: Inventory,
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

impl Conclusion {
    /// Whether every allowed scope was read, with everything that its targets depend on; false if no scope is allowed.
    pub fn is_complete(&self) -> bool {
        let is_heard = |scope: &Scope| scope.standing == Standing::Heard;
        self.failure.is_none()
            && !self.partial
            && self.scopes.values().all(|scope| is_heard(scope) || scope.denied)
            && (self.scopes.is_empty() || self.scopes.values().any(is_heard))
    }
}

impl Refresh {
    /// Ends the refresh, all its questions being answered or failed. `before` is what the source came to last time.
    pub fn finish(mut self, rules: &Rules, before: &BTreeMap<ClusterArn, Scope>) -> Conclusion {
        self.finish_moves();
        self.remember_denials();
        let mut refreshed = std::mem::take(&mut self.scopes);
        let mut scopes = BTreeMap::new();
        let clusters: Vec<_> = self.inventory.clusters().cloned().collect();
        for cluster in clusters {
            let earlier = before.get(&cluster);
            let refresh = refreshed.remove(&cluster).unwrap_or_default();
            if refresh.gone {
                self.inventory.scopes.remove(&cluster);
                continue;
            }
            let scope = match self.why_held(&refresh) {
                Some((why, denied)) => {
                    self.inventory.scopes.entry(cluster.clone()).and_modify(|facts| facts.lacking = true);
                    let held = |scope: &Scope| scope.held(why.clone(), self.now);
                    let scope = earlier.map_or_else(|| Scope::unheard(why.clone()), held);
                    Scope { denied, ..scope }
                }
                None => self.concluded(&cluster, &refresh, rules, earlier),
            };
            scopes.insert(cluster, scope);
        }
        self.inventory.collect(self.now);
        let (inventory, incomplete) = (self.inventory, self.incomplete);
        let foreign = self.foreign.into_iter().collect();
        Conclusion {
            inventory,
            scopes,
            failure: self.clusters_failed,
            partial: self.partial,
            incomplete,
            foreign,
        }
    }

    /// Why, and whether that is because AWS denies it.
    fn why_held(&self, refresh: &ScopeRefresh) -> Option<(String, bool)> {
        if let Some(failure) = &refresh.failure {
            return Some((failure.message.clone(), failure.kind == FailureKind::Denied));
        }
        let heard = refresh.listed && refresh.describing == 0 && refresh.to_describe.is_empty();
        let unheard =
            || self.clusters_failed.as_ref().map_or("it was not asked for", |failure| &failure.message);
        (!heard).then(|| (unheard().to_owned(), false))
    }

    fn concluded(
        &mut self,
        cluster: &ClusterArn,
        refresh: &ScopeRefresh,
        rules: &Rules,
        earlier: Option<&Scope>,
    ) -> Scope {
        if refresh.denied.is_some() || refresh.doubtful {
            self.incomplete.insert(cluster.clone());
        }
        let heard = earlier.filter(|scope| scope.is_known());
        let lacked = self.inventory.scopes.get(cluster).is_some_and(|scope| scope.lacking);
        if let Some(scope) = heard
            && !(refresh.changed || lacked || self.learned)
        {
            return Scope::heard(scope.derived.clone(), self.now);
        }
        let tasks: Vec<_> = self.inventory.tasks(cluster).collect();
        let lacking = tasks.iter().any(|view| self.inventory.is_lacking(view));
        let failures = || tasks.iter().filter_map(TaskView::lacking_failure);
        let failure = failures().next().map(ToString::to_string);
        let all_denied = failure.is_some() && failures().all(|failure| failure.kind == FailureKind::Denied);
        let derived = derive(tasks.iter().copied(), rules);
        let incomplete = incomplete(&tasks, &derived);
        if let Some(scope) = self.inventory.scopes.get_mut(cluster) {
            scope.lacking = lacking;
            scope.unsettle(&incomplete);
        }
        if failure.is_some() {
            self.incomplete.insert(cluster.clone());
        }
        let doubt =
            || refresh.doubtful.then(|| "AWS lists tasks of which it says that there are none".to_owned());
        let denied = refresh.denied.as_ref().map(ToString::to_string);
        let is_denied = all_denied || denied.is_some() || self.are_instances_denied(cluster);
        match (heard, failure.or(denied).or_else(doubt)) {
            // A first look that yields nothing because calls failed has seen nothing.
            (None, Some(why)) if derived.targets.is_empty() => {
                Scope { denied: is_denied, ..Scope::unheard(why) }
            }
            (Some(scope), _) if *scope.derived == derived => Scope::heard(scope.derived.clone(), self.now),
            _ => Scope::heard(Arc::new(derived), self.now),
        }
    }
}

impl Inventory {
    /// Forgets, now and then, what no task has used for long.
    fn collect(&mut self, now: Duration) {
        if now.saturating_sub(self.collected) < COLLECTED_EVERY {
            return;
        }
        self.collected = now;
        for task in self.scopes.values().flat_map(|scope| scope.tasks.values()).map(|known| &known.task) {
            self.definitions.mark_used(&task.definition, now);
            let Some(arn) = &task.container_instance else { continue };
            self.container_instances.mark_used(arn, now);
            if let Some(id) = self.container_instances.value(arn).and_then(|known| known.instance.as_ref()) {
                self.hosts.mark_used(id, now);
            }
        }
        self.definitions.forget_unused(now);
        self.outdated.retain(|arn| self.definitions.value(arn).is_some());
        self.container_instances.forget_unused(now);
        self.hosts.forget_unused(now);
        self.texts.collect();
    }
}

impl TaskView<'_> {
    /// Why a fact is lacking, if it is because a call failed rather than because AWS knows no such thing.
    fn lacking_failure(&self) -> Option<&Failure> {
        self.failure().filter(|failure| !failure.is_answer())
    }
}
