//! The one owner of the current snapshot: puts the sources' parts together and hands the whole to the sinks.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::{Scope, Snapshot, Standing};
use tokio::sync::watch;
use tracing::warn;

use crate::poller::Heard;
use crate::state::Facts;

/// What the sinks read.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// What all scopes came to; never changed, only replaced.
    pub snapshot: Arc<Snapshot>,
    /// Whether every scope was heard at its last refresh.
    pub complete: bool,
    /// Counts the publications; 0 before the first.
    pub number: u64,
    /// How long the slowest of the refreshes took that this is the result of.
    pub took: Duration,
    /// What is known of each source, once each has been refreshed.
    pub facts: Option<Facts>,
}

/// Collects what the sources came to.
#[derive(Debug)]
pub struct Publisher {
    parts: Vec<Part>,
    clusters: ClusterSelection,
    /// Names of clusters that were warned of.
    warned: BTreeSet<String>,
    /// Clusters that were in two parts at the last publication.
    doubled: BTreeSet<ClusterArn>,
    /// The longest refresh since the last publication.
    took: Duration,
    current: watch::Sender<Published>,
}

#[derive(Debug, Default)]
struct Part {
    heard: Option<Heard>,
    overdue: bool,
}

impl Part {
    fn is_complete(&self) -> bool {
        !self.overdue && self.heard.as_ref().is_some_and(|heard| heard.complete)
    }
}

impl Publisher {
    /// For so many sources; nothing is published yet.
    pub fn new(sources: usize, clusters: ClusterSelection) -> Self {
        Self {
            parts: std::iter::repeat_with(Part::default).take(sources).collect(),
            clusters,
            warned: BTreeSet::new(),
            doubled: BTreeSet::new(),
            took: Duration::ZERO,
            current: watch::Sender::default(),
        }
    }

    /// A sink's view; the newest snapshot replaces one that was not looked at.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.current.subscribe()
    }

    /// Takes in what one source came to.
    pub fn hear(&mut self, source: usize, heard: Heard) {
        self.took = self.took.max(heard.took);
        self.parts[source] = Part { heard: Some(heard), overdue: false };
    }

    /// Notes that a source was not done when its next turn came.
    pub fn overdue(&mut self, source: usize) {
        self.parts[source].overdue = true;
    }

    /// Publishes what all sources came to, once each has been heard or has failed, and unless nothing is known
    /// at all: that must not empty a file which an earlier run has left.
    pub fn publish(&mut self) {
        if self.parts.iter().any(|part| part.heard.is_none()) {
            return;
        }
        let snapshot = self.put_together();
        let any_scope = snapshot.scopes.values().any(Scope::is_known);
        if !any_scope && let Some(problem) = self.first_problem(&snapshot) {
            return self.warn_of_nothing(&problem);
        }
        let complete = self.parts.iter().all(Part::is_complete);
        if complete {
            self.warn_of_unmatched(&snapshot);
        }
        let took = std::mem::take(&mut self.took);
        let facts = self.heard().map(|heard| heard.facts.clone()).collect();
        self.current.send_modify(|published| {
            let (snapshot, number) = (Arc::new(snapshot), published.number + 1);
            *published = Published { snapshot, complete, number, took, facts };
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

    fn warn_of_unmatched(&mut self, snapshot: &Snapshot) {
        for pattern in self.clusters.patterns() {
            let matched = snapshot.scopes.keys().any(|cluster| pattern.matches(cluster));
            if !matched && self.warned.insert(pattern.as_str().to_owned()) {
                let cluster = pattern.as_str();
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
