//! Which source continues with whose facts, after a restart or a reload.
//!
//! Facts get no newer that way, and what is published stays until the sources that replace its source were read.

use std::collections::BTreeMap;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::Scope;

use super::{Settings, Spec};

/// The id under which the facts of a source's clusters are saved that are no longer selected.
pub(crate) fn deselected(id: &str) -> String {
    format!("{id} deselected")
}

/// Takes the facts of each of these sources, which are new. A role of which nothing is known continues with what another
/// role or the own credentials read of its account, if these do not read it any more.
pub(crate) fn claimed(specs: &[&Spec], sources: &mut BTreeMap<String, Saved>) -> Vec<Option<Saved>> {
    let mut own = |spec: &&Spec| {
        let saved = sources.remove(&*spec.id);
        match (saved, sources.remove(&deselected(&spec.id))) {
            (Some(mut saved), Some(left)) => {
                saved.merge(left);
                Some(saved)
            }
            (saved, left) => saved.or(left),
        }
    };
    let mut saved: Vec<_> = specs.iter().map(&mut own).collect();
    for (index, spec) in specs.iter().enumerate() {
        let Some(role) = spec.role().filter(|_| saved[index].is_none()) else { continue };
        let place = (role.account(), spec.source.region());
        let sees = |saved: &Saved| {
            let cluster = saved.scopes.first().map(|scope| &scope.cluster.arn);
            cluster.is_some_and(|cluster| (cluster.account(), cluster.region()) == place)
        };
        let left = sources.iter().find(|(_, saved)| sees(saved)).map(|(id, _)| id.clone());
        let is_stood_for = |(spec, saved): &(&&Spec, &mut Option<Saved>)| {
            spec.role().is_none() && saved.as_ref().is_some_and(sees)
        };
        saved[index] = match left {
            Some(id) => sources.remove(&id),
            None => specs.iter().zip(&mut saved).find(is_stood_for).and_then(|(_, saved)| saved.take()),
        };
    }
    saved
}

/// The clusters of facts that no source continues with, and these facts: they stay published for a while.
pub(crate) fn departing(
    mut saved: Saved,
    as_of: Duration,
    settings: &Settings,
) -> (BTreeMap<ClusterArn, Scope>, Saved) {
    saved.hold(as_of);
    let now = settings.clock.now();
    let (_, mut scopes) = saved.clone().restore(&ClusterSelection::All, &settings.rules, as_of, now);
    forgive(&mut scopes, as_of, settings.max_staleness);
    (settings.published(&scopes), saved)
}

/// Refreshes that failed before do not count for `--max-staleness`, unless the targets had been removed by then: removed
/// targets do not come back.
pub(crate) fn forgive(scopes: &mut BTreeMap<ClusterArn, Scope>, as_of: Duration, max_staleness: Duration) {
    for scope in scopes.values_mut() {
        let was_let_go = |since: &Duration| as_of.saturating_sub(*since) > max_staleness;
        scope.failing = scope.failing.filter(was_let_go).map(|_| Duration::ZERO);
    }
}
