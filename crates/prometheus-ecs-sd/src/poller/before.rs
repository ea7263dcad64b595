//! What one poller leaves to the next, after a restart or a reload: whose facts become whose.
//!
//! Nothing gets newer that way, and what is published stays until what takes its place was heard.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::Scope;

use super::{Known, Polled, Poller, Settings};
use crate::publisher::Publisher;
use crate::state::State;

/// The suffix of the source's name under which the facts of clusters that are no longer selected are saved.
const DESELECTED: &str = " deselected";

impl Poller {
    /// Publishes what was known of the sources before, by another process or by other rules; to be called before any
    /// refresh. What nothing is known of counts as empty, unless it is `awaited` or may have what another source had.
    pub fn restore(&mut self, before: State, awaited: bool, publisher: &mut Publisher) {
        let State { mut sources, as_of, is_of_this_process, .. } = before;
        let saved = self.claimed(&mut sources);
        let (settings, now) = (self.settings.clone(), self.settings.clock.now());
        let mut any_scope = false;
        let mut deselected = Vec::new();
        for (polled, saved) in self.sources.iter_mut().zip(saved) {
            let Some(mut saved) = saved else { continue };
            let left = saved.split_off(|cluster| !polled.clusters.selects(cluster));
            deselected.push((format!("{}{DESELECTED}", polled.id), left));
            let (inventory, mut scopes) = saved.restore(&polled.clusters, &settings.rules, as_of, now);
            if !is_of_this_process {
                settings.forgive(&mut scopes, as_of);
            }
            any_scope |= !scopes.is_empty();
            let saved = Arc::new(inventory.saved(&scopes));
            polled.saved = Some((saved.clone(), as_of));
            polled.facts = Some(Known { inventory, scopes, saved, ..Known::default() });
        }
        for (id, saved) in sources.into_iter().chain(deselected) {
            self.leave(id, saved, as_of, publisher);
        }
        if !any_scope {
            return;
        }
        let awaited = awaited || !self.leaving.is_empty();
        for (index, polled) in self.sources.iter().enumerate() {
            let Some(known) = &polled.facts else { continue };
            if awaited && polled.saved.is_none() {
                continue;
            }
            let scopes = settings.published(&known.scopes);
            // What one source comes to is saved before the others are heard.
            publisher.restore(index, scopes, (polled.id.clone(), known.saved.clone()));
        }
        self.publish_part(publisher);
    }

    /// Continues to publish clusters that are no longer selected, for a while.
    fn leave(&mut self, id: String, mut saved: Saved, as_of: Duration, publisher: &mut Publisher) {
        if saved.scopes.is_empty() {
            return;
        }
        saved.hold(as_of);
        let saved = match self.leaving.remove(&id) {
            Some(mut earlier) => {
                earlier.merge(saved);
                earlier
            }
            None => saved,
        };
        let (settings, now) = (&self.settings, self.settings.clock.now());
        let (_, mut scopes) = saved.clone().restore(&ClusterSelection::All, &settings.rules, as_of, now);
        settings.forgive(&mut scopes, as_of);
        publisher.leave(id.as_str().into(), settings.published(&scopes), Arc::new(saved.clone()));
        self.leaving.insert(id, saved);
    }

    /// Does so for clusters that, according to a refresh, belong to another account than its credentials.
    pub(super) fn leave_foreign(&mut self, index: usize, foreign: &[ClusterArn], publisher: &mut Publisher) {
        let polled = &self.sources[index];
        let Some((saved, as_of)) = &polled.saved else { return };
        let left = Saved::clone(saved).split_off(|cluster| foreign.contains(cluster));
        let (id, as_of) = (format!("{}{DESELECTED}", polled.id), *as_of);
        self.leave(id, left, as_of, publisher);
    }

    /// Takes what is known of each source. A role of which nothing is known goes on with what another role or the own
    /// credentials saw of its account, if these do not look there any more.
    fn claimed(&self, sources: &mut BTreeMap<String, Saved>) -> Vec<Option<Saved>> {
        let mut own = |polled: &Polled| {
            let saved = sources.remove(&*polled.id);
            match (saved, sources.remove(&format!("{}{DESELECTED}", polled.id))) {
                (Some(mut saved), Some(left)) => {
                    saved.merge(left);
                    Some(saved)
                }
                (saved, left) => saved.or(left),
            }
        };
        let mut saved: Vec<_> = self.sources.iter().map(&mut own).collect();
        for (index, polled) in self.sources.iter().enumerate() {
            let Some(role) = polled.source.role().filter(|_| saved[index].is_none()) else { continue };
            let place = (role.account(), polled.source.region());
            let sees = |saved: &Saved| {
                let cluster = saved.scopes.first().map(|scope| &scope.cluster.arn);
                cluster.is_some_and(|cluster| (cluster.account(), cluster.region()) == place)
            };
            let left = sources.iter().find(|(_, saved)| sees(saved)).map(|(id, _)| id.clone());
            let is_stood_for = |(polled, saved): &(&Polled, &mut Option<Saved>)| {
                polled.is_own && saved.as_ref().is_some_and(sees)
            };
            saved[index] = match left {
                Some(id) => sources.remove(&id),
                None => {
                    self.sources.iter().zip(&mut saved).find(is_stood_for).and_then(|(_, saved)| saved.take())
                }
            };
        }
        saved
    }

    /// What is known of the sources, for a poller after this one.
    pub fn known(&self) -> State {
        let mut sources = self.leaving.clone();
        for polled in &self.sources {
            let Some((saved, as_of)) = &polled.saved else { continue };
            let mut saved = Saved::clone(saved);
            saved.hold(*as_of);
            sources.insert(polled.id.to_string(), saved);
        }
        State { sources, as_of: self.settings.clock.now(), is_of_this_process: true, ..State::default() }
    }
}

impl Settings {
    /// Refreshes that failed before this process began do not count for `--max-staleness`, unless the targets had been
    /// removed by then: removed targets do not come back.
    fn forgive(&self, scopes: &mut BTreeMap<ClusterArn, Scope>, as_of: Duration) {
        for scope in scopes.values_mut() {
            let was_let_go = |since: &Duration| as_of.saturating_sub(*since) > self.max_staleness;
            scope.failing = scope.failing.filter(was_let_go).map(|_| Duration::ZERO);
        }
    }
}
