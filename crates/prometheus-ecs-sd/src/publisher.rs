//! The one owner of the current snapshot: puts the sources' parts together and hands the whole to the sinks.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::{Scope, Snapshot, Standing};
use tokio::sync::watch;
use tracing::warn;

use crate::board::{Outlet, Published, SourceStanding};
use crate::poller::Heard;
use crate::telemetry::metrics::{self, Turn};
use crate::telemetry::panics::Panicked;

/// Collects what the sources came to.
#[derive(Debug)]
pub struct Publisher {
    parts: Vec<Part>,
    /// Names of clusters that were warned of.
    warned: BTreeSet<String>,
    /// Clusters that were in two parts at the last publication.
    doubled: BTreeSet<ClusterArn>,
    /// The longest refresh since the last publication.
    took: Duration,
    outlet: Outlet,
}

#[derive(Debug, Default)]
struct Part {
    /// Which clusters are looked for there.
    clusters: ClusterSelection,
    heard: Option<Heard>,
    overdue: bool,
}

impl Part {
    fn is_known(&self) -> bool {
        let is_known = |heard: &Heard| heard.complete || heard.scopes.values().any(Scope::is_known);
        self.heard.as_ref().is_some_and(is_known)
    }

    fn take_in(&mut self, heard: Heard) {
        self.heard = Some(heard);
        self.overdue = false;
    }

    fn is_complete(&self) -> bool {
        !self.overdue && self.heard.as_ref().is_some_and(|heard| heard.complete)
    }
}

impl Publisher {
    /// For these sources; nothing is published yet.
    pub fn new(outlet: Outlet, sources: Vec<(SourceStanding, ClusterSelection)>) -> Self {
        let (standings, clusters): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        let parts = clusters.into_iter().map(|clusters| Part { clusters, ..Part::default() }).collect();
        outlet.metrics.sources(standings.iter().map(|standing| &*standing.name).collect());
        outlet.sources.send_modify(|sources| {
            let before = std::mem::replace(sources, standings);
            for standing in sources {
                let is_same = |other: &&SourceStanding| other.id() == standing.id();
                if let Some(earlier) = before.iter().find(is_same) {
                    standing.follow(earlier);
                }
            }
        });
        Self { parts, warned: BTreeSet::new(), doubled: BTreeSet::new(), took: Duration::ZERO, outlet }
    }

    /// A sink's view; the newest snapshot replaces one that was not looked at.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.outlet.published.subscribe()
    }

    /// Takes in what one source came to.
    pub fn hear(&mut self, source: usize, heard: Heard) {
        self.took = self.took.max(heard.took);
        let now = self.outlet.clock.now();
        let turn = if heard.complete { Turn::Complete } else { Turn::Incomplete };
        self.outlet.metrics.refreshed(&self.name(source), turn, heard.took);
        self.outlet.sources.send_modify(|standings| standings[source].hear(&heard, now));
        self.parts[source].take_in(heard);
    }

    /// Takes in what is known of a source that was not refreshed yet.
    pub fn restore(
        &mut self,
        source: usize,
        scopes: BTreeMap<ClusterArn, Scope>,
        facts: (Arc<str>, Arc<Saved>),
    ) {
        let heard = Heard { scopes, facts: Some(facts), ..Heard::default() };
        self.outlet.sources.send_modify(|standings| standings[source].know(&heard));
        self.parts[source].take_in(heard);
    }

    /// Notes that a source was not done when its next turn came.
    pub fn overdue(&mut self, source: usize) {
        self.parts[source].overdue = true;
        self.outlet.metrics.turn_skipped(&self.name(source));
        self.outlet.sources.send_modify(|standings| standings[source].complete = false);
    }

    /// Notes that a refresh panicked.
    pub(crate) fn panicked(&self, panicked: &Panicked) {
        self.outlet.metrics.panicked(metrics::Part::Refresh, panicked);
    }

    fn name(&self, source: usize) -> Arc<str> {
        self.outlet.sources.borrow()[source].name.clone()
    }

    /// Whether there is a source that has neither been heard nor has failed.
    pub fn is_waiting(&self) -> bool {
        self.parts.iter().any(|part| part.heard.is_none())
    }

    /// Publishes what all sources came to, once each has been heard or has failed, and unless nothing is known
    /// at all: that must not empty a file which an earlier run has left.
    pub fn publish(&mut self) {
        if self.is_waiting() {
            return;
        }
        let snapshot = self.put_together();
        let any_scope = snapshot.scopes.values().any(Scope::is_known);
        if !any_scope && let Some(problem) = self.first_problem(&snapshot) {
            return self.warn_of_nothing(&problem);
        }
        let complete = self.parts.iter().all(Part::is_complete);
        if complete {
            self.warn_of_unmatched();
        }
        let took = std::mem::take(&mut self.took);
        let facts = self.heard().map(|heard| heard.facts.clone()).collect();
        self.outlet.published.send_modify(|published| {
            let (snapshot, number) = (Arc::new(snapshot), published.number + 1);
            *published = Published { snapshot, complete, number, took, facts };
        });
        // After the snapshot, so that who sees this first sees that snapshot then, or a newer one.
        self.outlet.sources.send_modify(|standings| {
            for (standing, part) in standings.iter_mut().zip(&self.parts) {
                standing.published = part.is_complete();
                standing.is_known |= part.is_known();
            }
        });
    }

    fn heard(&self) -> impl Iterator<Item = &Heard> {
        self.parts.iter().filter_map(|part| part.heard.as_ref())
    }

    /// Two roles of one account see the same clusters; one of them speaks for each cluster.
    fn put_together(&mut self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut doubled = BTreeSet::new();
        for (cluster, scope) in self.heard().flat_map(|heard| &heard.scopes) {
            match snapshot.scopes.get(cluster) {
                Some(first) => {
                    doubled.insert(cluster.clone());
                    // Of two views, one that was heard is better than one that is held.
                    if first.standing != Standing::Heard && scope.is_known() {
                        snapshot.scopes.insert(cluster.clone(), scope.clone());
                    }
                }
                None => {
                    snapshot.scopes.insert(cluster.clone(), scope.clone());
                }
            }
        }
        for cluster in doubled.difference(&self.doubled) {
            warn!(%cluster, "cluster is seen through two roles; one of them is enough");
        }
        self.doubled = doubled;
        snapshot
    }

    fn warn_of_unmatched(&mut self) {
        let mut unmatched = BTreeMap::new();
        for part in &self.parts {
            let clusters = || part.heard.iter().flat_map(|heard| heard.scopes.keys());
            for pattern in part.clusters.patterns() {
                *unmatched.entry(pattern.as_str()).or_insert(true) &=
                    !clusters().any(|cluster| pattern.matches(cluster));
            }
        }
        for (cluster, _) in unmatched.into_iter().filter(|(_, unmatched)| *unmatched) {
            if self.warned.insert(cluster.to_owned()) {
                warn!(
                    cluster,
                    "no such cluster in any account and region that is looked at; check --cluster and --region"
                );
            }
        }
    }

    /// Why something was not heard, if anything was not.
    fn first_problem(&self, snapshot: &Snapshot) -> Option<String> {
        let of_source = self.heard().find_map(|heard| heard.failure.as_ref()).map(ToString::to_string);
        let of_scope = || snapshot.scopes.values().find_map(|scope| scope.problem().map(str::to_owned));
        of_source.or_else(of_scope)
    }

    fn warn_of_nothing(&mut self, problem: &str) {
        if self.warned.insert("nothing is published".to_owned()) {
            warn!(problem, "nothing is published yet, files stay as they are");
        }
    }
}
