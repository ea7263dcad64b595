//! The requests for services in a refresh, and the effect of their answers: all unknown services, and a part of the known
//! ones again.

use crate::arn::ClusterArn;
use crate::failure::{Failure, FailureKind};
use crate::inventory::Inventory;
use crate::inventory::doors::Fact;
use crate::inventory::question::{Question, Unreadable};
use crate::model::{Service, ServiceName};

use super::{Refresh, ScopeRefresh, take};

/// Of a service that was asked for.
const NOT_ANSWERED: &str = "DescribeServices does not answer for the service";

impl ScopeRefresh {
    /// Returns whether it was not requested in this refresh.
    pub(super) fn wait_for_service(&mut self, name: &ServiceName) -> bool {
        let is_new = self.services_asked.insert(name.clone());
        if is_new {
            self.services.insert(name.clone());
        }
        is_new
    }
}

impl Refresh {
    /// Asks for a cluster's waiting services in full batches, as long as there are `least`.
    pub(super) fn ask_services(&mut self, index: &mut Inventory, cluster: &ClusterArn, least: usize) {
        while let Some(scope) = self.scopes.get_mut(cluster)
            && scope.services.len() >= least
        {
            let services = take(&mut scope.services, Question::SERVICES);
            self.ask_batch(index, Question::Services { cluster: cluster.clone(), services });
        }
    }

    /// Queues the services of a cluster's tasks to be requested again, along with unknown ones.
    pub(super) fn recheck_services(&mut self, index: &mut Inventory, cluster: &ClusterArn) {
        let (now, interval) = (self.now, self.recheck.interval);
        let has_services = index.has_services;
        let (Some(facts), Some(scope)) = (index.scopes.get_mut(cluster), self.scopes.get_mut(cluster)) else {
            return;
        };
        if !has_services {
            return;
        }
        let used = facts.services_in_use();
        // Those whose request failed are of no task that was described again.
        let is_unknown = |name: &&ServiceName| {
            facts.services.value(name).is_none() && !facts.services.is_given_up(name, now)
        };
        for name in used.iter().filter(is_unknown) {
            scope.wait_for_service(name);
        }
        let known = used.iter().filter_map(|name| Some((facts.services.asked_before(name, now)?, name)));
        let due = facts.service_round.due(known.collect(), Question::SERVICES, usize::MAX, now, interval);
        for name in due {
            scope.wait_for_service(name);
        }
    }

    pub(super) fn services_described(
        &mut self,
        index: &mut Inventory,
        cluster: &ClusterArn,
        asked: Vec<ServiceName>,
        (services, missing): (Vec<Service>, Vec<ServiceName>),
        unreadable: Option<&Unreadable>,
    ) {
        let mut services: Vec<_> = services.into_iter().map(Some).collect();
        for name in asked {
            let is_it = |service: &&mut Option<Service>| {
                service.as_ref().is_some_and(|service| service.arn.last_part() == name.as_str())
            };
            let said = services.iter_mut().find(is_it).and_then(Option::take);
            if said.is_some() || missing.contains(&name) {
                index.apply(Fact::Service(cluster.clone(), name, said), self.now);
            } else if !index.touch_service(cluster, &name, self.now) {
                let failure = unreadable.and_then(|unreadable| {
                    let mut ids = unreadable.ids.iter();
                    unreadable.failure(ids.find(|id| id.rsplit('/').next() == Some(name.as_str()))?)
                });
                // As for an item that AWS does not know, nothing says that the next answer has it.
                let not_answered =
                    || Failure { kind: FailureKind::NotFound, message: NOT_ANSWERED.to_owned() };
                index.service_failed(cluster, name, failure.unwrap_or_else(not_answered), self.now);
            }
        }
    }
}
