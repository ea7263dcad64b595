//! The services of tasks: whether they are described at all, which are unknown, and the effect of an answer.
//!
//! Only labels depend on them, so a service that cannot be read affects no target. A service is forgotten with its last
//! task.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::cache::Cache;
use super::settled::is_service_lost;
use super::{Inventory, ScopeFacts};
use crate::arn::ClusterArn;
use crate::failure::Failure;
use crate::model::{Service, ServiceName, Task};
use crate::task_view::TaskService;

/// The status of a deleted service.
const INACTIVE: &str = "INACTIVE";

impl Inventory {
    /// Whether the services of tasks are described from now on. If not, they are forgotten.
    pub fn describe_services(&mut self, is_wanted: bool) {
        self.has_services = is_wanted;
        if !is_wanted {
            self.scopes.values_mut().for_each(|scope| scope.services = Cache::default());
        }
    }

    /// The service of a task, as far as it is known.
    pub(super) fn service(&self, cluster: &ClusterArn, task: &Task) -> TaskService<'_> {
        let Some(name) = self.has_services.then(|| task.service()).flatten() else {
            return TaskService::None;
        };
        let Some(scope) = self.scopes.get(cluster) else { return TaskService::Unknown(None) };
        match scope.services.value(&name) {
            Some(Some(service)) => TaskService::Known(service),
            Some(None) => TaskService::Missing,
            None => TaskService::Unknown(scope.services.failure(&name)),
        }
    }

    /// The service of a task, if AWS should be asked for it.
    pub(super) fn missing_service(
        &self,
        cluster: &ClusterArn,
        task: &Task,
        now: Duration,
    ) -> Option<ServiceName> {
        let name = self.has_services.then(|| task.service()).flatten()?;
        let services = &self.scopes.get(cluster)?.services;
        let is_wanted = services.value(&name).is_none() && !services.is_given_up(&name, now);
        is_wanted.then_some(name)
    }

    /// Whether a request for a service failed a short while ago.
    pub(super) fn has_service_failed(&self, cluster: &ClusterArn, name: &ServiceName, now: Duration) -> bool {
        self.scopes.get(cluster).is_some_and(|scope| scope.services.has_failed(name, now))
    }

    /// `None` if AWS knows no such service. A known one stays as it was then: its tasks run, or ECS says that they ended.
    pub(super) fn apply_service(
        &mut self,
        cluster: &ClusterArn,
        name: ServiceName,
        said: Option<Service>,
        observed: Duration,
    ) {
        let has_services = self.has_services;
        let Some(scope) = self.scopes.get_mut(cluster).filter(|_| has_services) else { return };
        let known = scope.services.value(&name).cloned();
        let is_new = known.is_none();
        let fact = match (known.flatten(), said) {
            (known, None) => known,
            (None, Some(said)) => Some(Arc::new(said)),
            (Some(known), Some(said)) if is_service_lost(&known, &said) => Some(known),
            (Some(known), Some(mut said)) => {
                // A deleted service has no tags any more, but its last tasks still run.
                if said.status.as_deref() == Some(INACTIVE) && said.tags.is_empty() {
                    said.tags.clone_from(&known.tags);
                }
                Some(Arc::new(said))
            }
        };
        scope.services.learn(name.clone(), fact, observed);
        if is_new {
            scope.services.note_changed(name);
        }
    }

    /// Records that AWS was asked for a service; returns whether it is known.
    pub(super) fn touch_service(&mut self, cluster: &ClusterArn, name: &ServiceName, now: Duration) -> bool {
        self.scopes.get_mut(cluster).is_some_and(|scope| scope.services.touch(name, now))
    }

    /// Records that a service could not be read. A known one stays.
    pub(super) fn service_failed(
        &mut self,
        cluster: &ClusterArn,
        name: ServiceName,
        failure: Failure,
        now: Duration,
    ) {
        let Some(scope) = self.scopes.get_mut(cluster) else { return };
        let is_unknown = scope.services.value(&name).is_none();
        let is_as_before = scope.services.failure(&name).map(|failure| failure.kind) == Some(failure.kind);
        scope.services.fail(name.clone(), failure, now);
        if is_unknown && !is_as_before {
            scope.services.note_changed(name);
        }
    }
}

impl ScopeFacts {
    /// The services of its tasks. Forgets all others.
    pub(super) fn services_in_use(&mut self) -> BTreeSet<ServiceName> {
        // Many tasks have one group.
        let tasks = self.tasks.values().map(|known| &known.task);
        let groups: BTreeSet<_> = tasks.map(|task| task.group.as_deref()).collect();
        let names = groups.into_iter().flatten().filter_map(ServiceName::of_group);
        let names: BTreeSet<_> = names.collect();
        self.services.retain(|name| names.contains(name));
        names
    }
}
