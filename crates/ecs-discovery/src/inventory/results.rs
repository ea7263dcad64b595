//! The results of the tasks: each cluster's are kept, and only those of touched tasks are derived again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::Inventory;
use super::settled::incomplete;
use crate::arn::{ClusterArn, TaskArn};
use crate::derive::{Derived, Rules, results};
use crate::failure::Failure;
use crate::model::Task;

/// How often facts that nothing uses are looked for.
const COLLECTED_EVERY: Duration = Duration::from_secs(600);

impl Inventory {
    /// The targets and findings of a cluster's tasks. An unchanged result keeps its allocation, and so does each
    /// unchanged target.
    pub fn derive(&mut self, cluster: &ClusterArn, rules: &Rules) -> Arc<Derived> {
        self.follow(rules);
        let mut again = self.touched(cluster);
        let awaited = self.still_awaited(cluster);
        again.retain(|task| !awaited.contains(task));
        let Some(scope) = self.scopes.get(cluster) else { return Arc::default() };
        let views: Vec<_> = match &scope.derived {
            Some(derived) if again.is_empty() => return derived.clone(),
            Some(_) => {
                let tasks = again.iter().filter_map(|task| scope.tasks.get(task));
                tasks.map(|known| self.view(&scope.cluster, known)).collect()
            }
            None => self.tasks(cluster).filter(|view| !awaited.contains(&view.task.arn)).collect(),
        };
        let mut results = results(views.iter().copied(), rules);
        // A result that waits is the earlier one, though by other rules.
        if let Some(earlier) = &scope.by_other_rules {
            results.keep(earlier, &awaited);
        }
        let incomplete = incomplete(&views, &results.findings);
        let missing_facts = views.iter().filter(|view| view.has_missing_facts());
        let missing_facts = missing_facts.map(|view| view.task.arn.clone()).collect();
        let derived = match &scope.derived {
            Some(derived) => derived.with(&again, results).map_or_else(|| derived.clone(), Arc::new),
            None => {
                let derived = Derived::new(results);
                let equal = scope.by_other_rules.clone().filter(|earlier| **earlier == derived);
                equal.unwrap_or_else(|| Arc::new(derived))
            }
        };
        if let Some(scope) = self.scopes.get_mut(cluster) {
            scope.touched = awaited;
            scope.missing_facts = missing_facts;
            (scope.derived, scope.by_other_rules) = (Some(derived.clone()), None);
            // They are described again at the next refresh.
            for task in incomplete {
                scope.tasks.entry(task).and_modify(|known| known.settled = false);
            }
        }
        derived
    }

    /// The tasks of a cluster whose results may differ from those of the last [derivation](Self::derive): those that a
    /// door touched, the users of changed facts, and those that lacked facts, because the reasons may have changed. All
    /// tasks are derived the first time, and none is counted.
    pub fn touched(&mut self, cluster: &ClusterArn) -> BTreeSet<TaskArn> {
        self.touch_users();
        let scope = self.scopes.get(cluster);
        scope.map(|scope| &scope.touched | &scope.missing_facts).unwrap_or_default()
    }

    /// Why facts are missing that the cluster's tasks depend on, as of the last [derivation](Self::derive), where that
    /// is because a call failed rather than because AWS knows no such thing.
    pub(super) fn missing_facts_failures(&self, cluster: &ClusterArn) -> impl Iterator<Item = &Failure> {
        let scope = self.scopes.get(cluster).into_iter();
        let tasks = scope.clone().flat_map(|scope| {
            let tasks = scope.missing_facts.iter().filter_map(|task| scope.tasks.get(task));
            tasks.map(|known| self.view(&scope.cluster, known))
        });
        let failures = tasks.filter_map(|view| view.failure());
        // A rule may not apply to what could not be read again.
        let again: BTreeMap<_, _> = self.failed_again().collect();
        let is_any = !again.is_empty();
        let users = scope.filter(move |_| is_any).flat_map(|scope| scope.tasks.values());
        let again = users.filter_map(move |known| again.get(&known.task.definition).copied());
        failures.chain(again).filter(|failure| !failure.is_answer())
    }

    /// Touches the tasks that use a changed definition, container instance, host or service. Looks at all tasks, but only if
    /// a known fact changed: the tasks that lacked a new one are derived again anyway.
    fn touch_users(&mut self) {
        let definitions = self.definitions.take_touched();
        let instances = self.container_instances.take_touched();
        let hosts = self.hosts.take_touched();
        let is_any_of_source = !(definitions.is_empty() && instances.is_empty() && hosts.is_empty());
        let known = &self.container_instances;
        for scope in self.scopes.values_mut() {
            let services = scope.services.take_touched();
            if scope.derived.is_none() || !is_any_of_source && services.is_empty() {
                continue;
            }
            let is_of_service = |task: &Task| {
                !services.is_empty() && task.service().is_some_and(|name| services.contains(&name))
            };
            let users = scope.tasks.iter().filter(|(_, one)| {
                let instance = one.task.container_instance.as_ref();
                let host = instance.and_then(|arn| known.value(arn)?.instance.as_ref());
                definitions.contains(&one.task.definition)
                    || instance.is_some_and(|arn| instances.contains(arn))
                    || host.is_some_and(|id| hosts.contains(id))
                    || is_of_service(&one.task)
            });
            let users: Vec<TaskArn> = users.map(|(arn, _)| arn.clone()).collect();
            scope.touched.extend(users);
        }
    }

    /// Forgets, now and then, facts that no task has used for long.
    pub(super) fn collect(&mut self, now: Duration) {
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
        self.container_instances.forget_unused(now);
        self.hosts.forget_unused(now);
        self.ended.collect(now);
        self.awaited.retain_known(&self.scopes);
        self.interner.collect();
    }
}
