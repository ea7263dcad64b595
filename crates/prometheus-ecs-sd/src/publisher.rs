//! The single owner of the current snapshot: merges the sources' parts and passes the result on to be saved and then
//! shown to the sinks.
//!
//! Targets of a previous selection of regions, accounts or clusters stay in the snapshot until everything that is
//! selected now was read once: a changed selection does not prove that targets ended.

mod saver;

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::{Scope, ScopeStatus, Snapshot};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::published::reading::{
    LISTS_WAIT, LISTS_WAIT_FOR_DENIED, Place, Reading, warn_of_deselected, warn_of_nothing_selected,
};
use crate::published::{
    EventStatus, Patch, Pending, Published, SAVED_EVERY, SnapshotStore, SourceResult, SourceStatus,
};
use crate::state::Facts;
use crate::telemetry::metrics::{self, RefreshResult};
use crate::telemetry::panics::Panicked;

pub(crate) use saver::Saver;

/// Collects what the sources came to.
#[derive(Debug)]
pub struct Publisher {
    parts: Vec<Part>,
    /// Names of clusters that were nowhere at the last complete publication.
    unmatched: BTreeSet<String>,
    /// Whether it was logged that nothing is published.
    is_nothing: bool,
    /// Clusters that were in two parts at the last publication.
    doubled: BTreeSet<ClusterArn>,
    /// The longest refresh since the last publication.
    took: Duration,
    /// When facts were last saved in the middle of a refresh.
    learned: Option<Instant>,
    /// When the oldest event was received that is not published.
    received: Option<Instant>,
    /// The results of a previous selection.
    departing: BTreeMap<Arc<str>, Departing>,
    /// Whether it was logged that they stay.
    kept: bool,
    past: Past,
    rules: PublishRules,
    store: SnapshotStore,
    pending: watch::Sender<Pending>,
    number: u64,
}

/// What this process and the ones before it have read and published.
#[derive(Clone, Debug, Default)]
pub(crate) struct Past {
    /// Whether the process knows everything that was published before it began.
    pub(crate) is_known: bool,
    /// Clusters that this process has read.
    read: BTreeSet<ClusterArn>,
    /// When the first refresh failed to read a cluster that was never read.
    failing: BTreeMap<ClusterArn, Duration>,
    /// The account of each source, as far as it was logged.
    accounts: BTreeMap<Arc<str>, Box<str>>,
}

impl Past {
    /// At the start of a process, which knows everything that was published before, or does not.
    pub(crate) fn of(is_known: bool) -> Self {
        Self { is_known, ..Self::default() }
    }
}

/// The configuration of how targets leave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PublishRules {
    /// How long refreshes may fail until targets are removed.
    pub(crate) max_staleness: Duration,
    /// Whether a selection without targets removes the targets of a previous one.
    pub(crate) allow_empty: bool,
}

#[derive(Debug)]
struct Departing {
    scopes: BTreeMap<ClusterArn, Scope>,
    facts: Arc<Saved>,
}

#[derive(Debug, Default)]
struct Part {
    /// The id of the source.
    id: Arc<str>,
    /// The selected clusters.
    clusters: ClusterSelection,
    /// The last result, or what was known before the first refresh.
    result: Option<SourceResult>,
    /// The facts to save.
    facts: Option<Arc<Saved>>,
    /// Whether it was refreshed once.
    refreshed: bool,
    overdue: bool,
    /// Whether its clusters were listed once.
    listed: bool,
    /// The time of the first refresh that failed to list them since the last success.
    failing: Option<Duration>,
}

impl Part {
    fn is_known(&self) -> bool {
        let is_known = |result: &SourceResult| result.complete || result.scopes.values().any(Scope::is_known);
        self.result.as_ref().is_some_and(is_known)
    }

    fn take_in(&mut self, result: SourceResult) {
        self.facts = result.facts.clone().or(self.facts.take());
        self.result = Some(result);
        self.overdue = false;
    }

    /// Its next refresh is late. The results of the others are saved meanwhile, which makes this one no newer.
    fn fall_behind(&mut self) {
        self.overdue = true;
        let scopes = self.result.iter().flat_map(|result| result.scopes.values());
        let as_of = scopes.map(|scope| scope.last_read).max().unwrap_or_default();
        if let Some(saved) = self.facts.as_mut()
            && saved.scopes.iter().any(|scope| scope.stale_since.is_none())
        {
            Arc::make_mut(saved).hold(as_of);
        }
    }

    fn is_complete(&self) -> bool {
        !self.overdue && self.result.as_ref().is_some_and(|result| result.complete)
    }
}

/// The roles of these sources.
fn roles(standings: &[SourceStatus]) -> BTreeSet<String> {
    standings.iter().filter(|standing| standing.role.is_some()).map(SourceStatus::id).collect()
}

/// A source before its first result.
fn part((standing, clusters): (SourceStatus, ClusterSelection)) -> (SourceStatus, Part) {
    let id = standing.id().into();
    (standing, Part { id, clusters, ..Part::default() })
}

impl Publisher {
    /// For these sources; nothing is published yet. Publications go into `pending`.
    pub(crate) fn new(
        store: SnapshotStore,
        pending: watch::Sender<Pending>,
        sources: Vec<(SourceStatus, ClusterSelection)>,
        (past, rules): (Past, PublishRules),
    ) -> Self {
        let (standings, parts): (Vec<_>, Vec<_>) = sources.into_iter().map(part).unzip();
        store.metrics.sources(standings.iter().map(|standing| &*standing.name).collect());
        let number = store.begin(standings);
        Self {
            parts,
            unmatched: BTreeSet::new(),
            is_nothing: false,
            doubled: BTreeSet::new(),
            took: Duration::ZERO,
            learned: None,
            received: None,
            departing: BTreeMap::new(),
            kept: false,
            past,
            rules,
            store,
            pending,
            number,
        }
    }

    /// Continues with other sources and rules. Sources that continue keep their results, and their targets stay.
    pub(crate) fn reconfigure(
        &mut self,
        sources: Vec<(SourceStatus, ClusterSelection)>,
        continues: impl Fn(&str) -> bool,
        rules: PublishRules,
    ) {
        let mut earlier: BTreeMap<_, _> =
            std::mem::take(&mut self.parts).into_iter().map(|part| (part.id.clone(), part)).collect();
        let standings_before = self.store.sources.borrow().clone();
        let (mut standings, parts): (Vec<_>, Vec<_>) = sources.into_iter().map(part).unzip();
        // Which roles there are decides whether the own account is read with its own credentials.
        let has_same_roles = roles(&standings_before) == roles(&standings);
        for (standing, part) in standings.iter_mut().zip(parts) {
            let before = earlier.remove(&part.id).filter(|_| continues(&part.id));
            let is_same_selection = before.as_ref().is_some_and(|before| before.clusters == part.clusters)
                && (standing.role.is_some() || has_same_roles);
            if let Some(before) = standings_before.iter().find(|before| before.id() == *part.id) {
                standing.follow(before, is_same_selection);
            }
            self.parts.push(match before {
                Some(before) if is_same_selection => before,
                Some(Part { mut result, facts, refreshed, .. }) => {
                    result.iter_mut().for_each(|result| result.complete = false);
                    Part { result, facts, refreshed, ..part }
                }
                None => part,
            });
        }
        self.store.metrics.sources(standings.iter().map(|standing| &*standing.name).collect());
        self.number = self.store.begin(standings);
        self.rules = rules;
    }

    /// A sink's view; the newest snapshot replaces one that was not looked at.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.store.published.subscribe()
    }

    /// Takes in the result of a source.
    pub fn apply(&mut self, source: &str, result: SourceResult) {
        let Some(source) = self.index(source) else { return };
        self.took = self.took.max(result.took);
        let now = self.store.clock.now();
        let kind = if result.complete { RefreshResult::Complete } else { RefreshResult::Incomplete };
        self.store.metrics.refreshed(&self.name(source), kind, result.took);
        self.store.sources.send_modify(|standings| standings[source].apply(&result, now));
        self.tell_account(source);
        let (part, past) = (&mut self.parts[source], &mut self.past);
        part.listed |= result.listed;
        part.refreshed = true;
        part.failing = result.failure.as_ref().map(|_| part.failing.unwrap_or(now));
        for (cluster, scope) in &result.scopes {
            // What is denied of it may have been published before; it is not waited for much longer than for a cluster.
            let is_whole = !result.incomplete.contains(cluster)
                || past
                    .failing
                    .get(cluster)
                    .is_some_and(|since| now.saturating_sub(*since) > LISTS_WAIT_FOR_DENIED);
            if scope.status == ScopeStatus::Fresh && !result.partial && is_whole {
                past.failing.remove(cluster);
                past.read.insert(cluster.clone());
            } else if !past.read.contains(cluster) {
                past.failing.entry(cluster.clone()).or_insert(now);
            }
        }
        part.take_in(result);
    }

    fn tell_account(&mut self, source: usize) {
        let name = self.name(source);
        let Some(account) = self.store.sources.borrow()[source].account.clone() else { return };
        if self.past.accounts.get(&name) != Some(&account) {
            info!(source = %name, %account, "the account is known");
            self.past.accounts.insert(name, account);
        }
    }

    /// Takes in the facts that a source has learned in the middle of a refresh, and has them saved.
    pub(crate) fn learn(&mut self, source: &str, facts: Arc<Saved>) {
        let Some(source) = self.index(source) else { return };
        self.parts[source].facts = Some(facts);
        if self.learned.is_none_or(|at| at.elapsed() >= SAVED_EVERY) {
            self.learned = Some(Instant::now());
            let facts = self.facts();
            self.pending.send_modify(|pending| pending.published.facts = facts);
        }
    }

    /// Continues to publish clusters that are no longer selected, until everything that is selected was read.
    pub(crate) fn depart(&mut self, id: Arc<str>, scopes: BTreeMap<ClusterArn, Scope>, facts: Saved) {
        // Another source may select them that has not read them yet.
        self.past.read.retain(|cluster| !scopes.contains_key(cluster));
        match self.departing.entry(id) {
            Entry::Vacant(entry) => {
                entry.insert(Departing { scopes, facts: Arc::new(facts) });
            }
            Entry::Occupied(mut entry) => {
                let departing = entry.get_mut();
                for (cluster, scope) in scopes {
                    departing.scopes.entry(cluster).or_insert(scope);
                }
                Arc::make_mut(&mut departing.facts).merge(facts);
            }
        }
    }

    /// Takes the facts of clusters that are no longer selected, by the id of their source.
    pub(crate) fn take_departing(&mut self) -> BTreeMap<String, Saved> {
        let departing = std::mem::take(&mut self.departing).into_iter();
        departing.map(|(id, departing)| (id.to_string(), Arc::unwrap_or_clone(departing.facts))).collect()
    }

    /// Takes in what is known of a source before it is refreshed.
    pub(crate) fn restore(&mut self, source: &str, scopes: BTreeMap<ClusterArn, Scope>, facts: Arc<Saved>) {
        let Some(source) = self.index(source) else { return };
        let part = &mut self.parts[source];
        part.facts = Some(facts);
        let mut result = part.result.take().unwrap_or_default();
        result.scopes = scopes;
        if !result.scopes.is_empty() || part.refreshed {
            self.store.sources.send_modify(|standings| standings[source].know(&result));
            part.result = Some(result);
        }
    }

    /// Takes in the result of events and errands. It proves nothing about clusters but those that an errand has read.
    pub(crate) fn patch(&mut self, source: &str, patch: Patch) {
        let Some(source) = self.index(source) else { return };
        let Patch { scopes, facts, read, received, .. } = patch;
        let part = &mut self.parts[source];
        let Some(result) = &mut part.result else { return };
        result.scopes = scopes;
        part.facts = Some(facts);
        for cluster in read {
            self.past.failing.remove(&cluster);
            self.past.read.insert(cluster);
        }
        self.received = self.received.into_iter().chain(received).min();
    }

    /// Notes whether events of a source are relied on.
    pub(crate) fn note_events(&mut self, source: &str, events: EventStatus, interval: Duration) {
        let Some(source) = self.index(source) else { return };
        self.store.sources.send_modify(|statuses| {
            (statuses[source].events, statuses[source].interval) = (events, interval);
        });
    }

    /// Notes that a source was not done when its next turn came.
    pub fn overdue(&mut self, source: &str) {
        let Some(source) = self.index(source) else { return };
        self.parts[source].fall_behind();
        self.store.metrics.turn_skipped(&self.name(source));
        self.store.sources.send_modify(|standings| standings[source].complete = false);
    }

    /// Notes that a refresh panicked.
    pub(crate) fn panicked(&mut self, source: &str, panicked: &Panicked) {
        let Some(source) = self.index(source) else { return };
        // Clusters that were found and not read yet are lost with it.
        self.parts[source].listed = false;
        self.store.metrics.panicked(metrics::Part::Refresh, panicked);
    }

    /// The position of the source with this id.
    fn index(&self, id: &str) -> Option<usize> {
        self.parts.iter().position(|part| *part.id == *id)
    }

    fn name(&self, source: usize) -> Arc<str> {
        self.store.sources.borrow()[source].name.clone()
    }

    /// Whether every source was refreshed once.
    pub(crate) fn are_refreshed(&self) -> bool {
        self.parts.iter().all(|part| part.refreshed)
    }

    /// Publishes the results of all sources as far as they are known, unless nothing is known at all: that must not
    /// empty a file which an earlier run has left. Returns whether any target differs from the publication before.
    pub fn publish(&mut self) -> bool {
        let mut snapshot = self.put_together();
        let reading = self.reading(&snapshot);
        self.let_go(&reading);
        for (cluster, scope) in self.departing.values().flat_map(|departing| &departing.scopes) {
            if !snapshot.scopes.get(cluster).is_some_and(Scope::is_known) {
                snapshot.scopes.insert(cluster.clone(), scope.clone());
            }
        }
        let any_scope = snapshot.scopes.values().any(Scope::is_known);
        if !any_scope {
            if !self.are_refreshed() {
                return false;
            }
            if let Some(problem) = self.first_problem(&snapshot) {
                self.warn_of_nothing(&problem);
                return false;
            }
        }
        self.is_nothing = false;
        let complete = self.parts.iter().all(Part::is_complete);
        if complete {
            self.warn_of_unmatched();
        }
        let before = self.pending.borrow().published.clone();
        let published = Published {
            changes: Arc::new(snapshot.since(&before.snapshot)),
            snapshot: Arc::new(snapshot),
            complete,
            number: before.number + 1,
            took: std::mem::take(&mut self.took),
            facts: self.facts(),
            keeps_deselected: reading.keeps_for_want_of_others() && !self.departing.is_empty(),
            reading: Arc::new(reading),
            revision: None,
            received: self.received.take(),
        };
        let sources = self.parts.iter().map(|part| (part.is_complete(), part.is_known())).collect();
        let has_changed = published.changes.any_target();
        self.pending.send_replace(Pending { published, publisher: self.number, sources });
        has_changed
    }

    fn facts(&self) -> Facts {
        let of_parts = self.parts.iter().filter_map(|part| Some((part.id.clone(), part.facts.clone()?)));
        let departing = self.departing.iter().map(|(id, departing)| (id.clone(), departing.facts.clone()));
        of_parts.chain(departing).collect()
    }

    /// How much was read, given this snapshot of the selected clusters.
    fn reading(&mut self, snapshot: &Snapshot) -> Reading {
        let now = self.store.clock.now();
        let lasts =
            |since: Option<Duration>, longest| since.is_some_and(|since| now.saturating_sub(since) > longest);
        let max_staleness = self.rules.max_staleness;
        let wait = if max_staleness == Duration::MAX { LISTS_WAIT } else { max_staleness };
        let standings = self.store.sources.borrow();
        let place = |(part, standing): (&Part, &SourceStatus)| Place {
            account: standing.account.clone(),
            region: standing.region.clone(),
            clusters: part.clusters.clone(),
            is_listed: part.listed || lasts(part.failing, max_staleness),
            lists_wait: !part.listed && !lasts(part.failing, wait),
        };
        let places: Vec<_> = self.parts.iter().zip(&*standings).map(place).collect();
        let failing = |cluster: &ClusterArn| self.past.failing.get(cluster).copied();
        let unread = snapshot.scopes.iter().filter(|(cluster, scope)| {
            !self.past.read.contains(*cluster)
                && !matches!(scope.status, ScopeStatus::Retired(_))
                && !lasts(failing(cluster), max_staleness)
        });
        let lists_wait = |(cluster, scope): (&ClusterArn, &Scope)| {
            let wait = if scope.denied { wait.min(LISTS_WAIT_FOR_DENIED) } else { wait };
            (cluster.clone(), !lasts(failing(cluster), wait))
        };
        let unread: BTreeMap<_, _> = unread.map(lists_wait).collect();
        let is_done = unread.is_empty() && places.iter().all(|place| place.is_listed);
        let is_settled = !unread.values().any(|waits| *waits) && !places.iter().any(|place| place.lists_wait);
        let lists_wait = !self.past.is_known;
        drop(standings);
        if is_done {
            let Past { is_known, read, failing, .. } = &mut self.past;
            *is_known = true;
            read.retain(|cluster| snapshot.scopes.contains_key(cluster));
            failing.retain(|cluster, _| snapshot.scopes.contains_key(cluster));
        }
        Reading {
            places,
            unread,
            read: if is_done { BTreeSet::new() } else { self.past.read.clone() },
            is_done,
            is_settled: is_settled || is_done,
            found: snapshot.target_count() > 0,
            allow_empty: self.rules.allow_empty,
            lists_wait,
        }
    }

    /// Removes clusters that are no longer selected, once everything else was read, and logs which and why.
    fn let_go(&mut self, reading: &Reading) {
        let scopes = || self.departing.values().flat_map(|departing| &departing.scopes);
        let targets: usize = scopes().map(|(_, scope)| scope.derived.targets.len()).sum();
        if targets == 0 {
            if reading.is_settled {
                self.departing.clear();
            }
            return;
        }
        if reading.keeps_for_want_of_others() {
            if !std::mem::replace(&mut self.kept, true) {
                warn_of_nothing_selected(targets);
            }
            return;
        }
        self.kept = false;
        let goes = |cluster: &ClusterArn| !reading.keeps(Some(cluster));
        let of_each = |(cluster, scope)| {
            let scope: &Scope = scope;
            std::iter::repeat_n(cluster, scope.derived.targets.len())
        };
        let gone = scopes().filter(|(cluster, _)| goes(cluster)).flat_map(of_each);
        warn_of_deselected(reading, gone);
        self.departing.retain(|_, departing| {
            departing.scopes.retain(|cluster, _| !goes(cluster));
            Arc::make_mut(&mut departing.facts).scopes.retain(|scope| !goes(&scope.cluster.arn));
            !departing.scopes.is_empty()
        });
    }

    fn results(&self) -> impl Iterator<Item = &SourceResult> {
        self.parts.iter().filter_map(|part| part.result.as_ref())
    }

    /// Two roles of one account see the same clusters; one of them speaks for each cluster.
    fn put_together(&mut self) -> Snapshot {
        let mut snapshot = Snapshot::default();
        let mut doubled = BTreeSet::new();
        for (cluster, scope) in self.results().flat_map(|result| &result.scopes) {
            match snapshot.scopes.get(cluster) {
                Some(first) => {
                    doubled.insert(cluster.clone());
                    // Of two views, a fresh one is better than a stale one.
                    if first.status != ScopeStatus::Fresh && scope.is_known() {
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
            let clusters = || part.result.iter().flat_map(|result| result.scopes.keys());
            for pattern in part.clusters.patterns() {
                *unmatched.entry(pattern.as_str()).or_insert(true) &=
                    !clusters().any(|cluster| pattern.matches(cluster));
            }
        }
        let unmatched = unmatched.into_iter().filter(|(_, unmatched)| *unmatched);
        let unmatched: BTreeSet<_> = unmatched.map(|(cluster, _)| cluster.to_owned()).collect();
        for cluster in unmatched.difference(&self.unmatched) {
            warn!(
                cluster,
                "no such cluster in any account and region that is looked at; check --cluster and --region"
            );
        }
        self.unmatched = unmatched;
    }

    /// Why something was not read, if so.
    fn first_problem(&self, snapshot: &Snapshot) -> Option<String> {
        let of_source = self.results().find_map(|result| result.failure.as_ref()).map(ToString::to_string);
        let of_scope = || snapshot.scopes.values().find_map(|scope| scope.problem().map(str::to_owned));
        of_source.or_else(of_scope)
    }

    fn warn_of_nothing(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.is_nothing, true) {
            warn!(problem, "nothing is published yet, files stay as they are");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(name: &str) -> ClusterArn {
        ClusterArn::parse(&format!("arn:aws:ecs:eu-west-1:123456789012:cluster/{name}")).unwrap()
    }

    fn scopes(names: &[&str]) -> BTreeMap<ClusterArn, Scope> {
        let scope = || Scope::fresh(Arc::default(), Duration::ZERO);
        names.iter().map(|name| (cluster(name), scope())).collect()
    }

    /// Otherwise its targets would count as those of a cluster that may have others until the next refresh.
    #[test]
    fn a_cluster_that_an_errand_read_in_full_is_read() {
        for (read, is_done) in [(BTreeSet::from([cluster("new")]), true), (BTreeSet::new(), false)] {
            let status = SourceStatus::new("source".into(), None, "eu-west-1".to_owned());
            let (id, pending) = (status.id(), watch::Sender::default());
            let rules = PublishRules { max_staleness: Duration::MAX, allow_empty: false };
            let sources = vec![(status, ClusterSelection::All)];
            let past = (Past::of(false), rules);
            let mut publisher = Publisher::new(SnapshotStore::default(), pending, sources, past);
            let result = SourceResult {
                scopes: scopes(&["prod"]),
                complete: true,
                listed: true,
                ..SourceResult::default()
            };
            publisher.apply(&id, result);
            publisher.publish();
            let (scopes, facts) = (scopes(&["new", "prod"]), Arc::default());
            publisher.patch(&id, Patch { scopes, facts, has_targets: true, read, received: None });
            publisher.publish();
            assert_eq!(publisher.pending.borrow().published.reading.is_done, is_done);
        }
    }
}
