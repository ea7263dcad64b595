//! What one poller leaves to the next, after a restart or a reload: whose facts become whose.
//!
//! Nothing gets newer that way, and what is published stays until what takes its place was heard.

use std::collections::BTreeMap;
use std::sync::Arc;

use ecs_discovery::inventory::saved::Saved;

use super::{Known, Polled, Poller};
use crate::publisher::Publisher;
use crate::state::State;

impl Poller {
    /// Publishes what was known of the sources before, by another process or by other rules; to be called before any
    /// refresh. What nothing is known of counts as empty, unless it is `awaited` or may have what another source had.
    pub fn restore(&mut self, before: State, awaited: bool, publisher: &mut Publisher) {
        let State { mut sources, as_of } = before;
        let saved = self.claimed(&mut sources);
        let (settings, now) = (&self.settings, self.settings.clock.now());
        let mut any_scope = false;
        for (polled, saved) in self.sources.iter_mut().zip(saved) {
            let Some(saved) = saved else { continue };
            let (inventory, scopes) = saved.restore(&polled.clusters, &settings.rules, as_of, now);
            any_scope |= !scopes.is_empty();
            let saved = Arc::new(inventory.saved(&scopes));
            polled.saved = Some((saved.clone(), as_of));
            polled.facts = Some(Known { inventory, scopes, saved, ..Known::default() });
        }
        sources.retain(|_, saved| !saved.scopes.is_empty());
        self.leaving = sources;
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
        publisher.publish();
    }

    /// Takes what is known of each source. A role of which nothing is known goes on with what another role or the own
    /// credentials saw of its account, if these do not look there any more.
    fn claimed(&self, sources: &mut BTreeMap<String, Saved>) -> Vec<Option<Saved>> {
        let mut saved: Vec<_> = self.sources.iter().map(|polled| sources.remove(&*polled.id)).collect();
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
            // Nothing becomes newer by being handed on.
            for scope in &mut saved.scopes {
                scope.held_since.get_or_insert(*as_of);
            }
            sources.insert(polled.id.to_string(), saved);
        }
        State { sources, as_of: self.settings.clock.now() }
    }
}
