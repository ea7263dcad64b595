//! The single owner of the current snapshot: merges the sources' parts and passes the result on to be saved and then
//! shown to the sinks.
//!
//! Targets of a previous selection of regions, accounts or clusters stay in the snapshot until everything that is
//! selected now was read once: a changed selection does not prove that targets ended.

mod reading;
mod saver;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::{Scope, Snapshot, Standing};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::board::{Outlet, Pending, Published, SourceStanding};
use crate::poller::Heard;
use crate::telemetry::metrics::{self, Turn};
use crate::telemetry::panics::Panicked;
use reading::{LISTS_WAIT, LISTS_WAIT_FOR_DENIED, Place};

pub(crate) use reading::Deselected;
pub use reading::Reading;
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
    /// The results of a previous selection.
    leaving: BTreeMap<Arc<str>, Leaving>,
    /// Whether it was logged that they stay.
    kept: bool,
    past: Past,
    terms: Terms,
    outlet: Outlet,
    pending: watch::Sender<Pending>,
    number: u64,
}

/// What one publisher passes on to the next at a reload.
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
pub(crate) struct Terms {
    /// How long refreshes may fail until targets are removed.
    pub(crate) max_staleness: Duration,
    /// Whether a selection without targets removes the targets of a previous one.
    pub(crate) allow_empty: bool,
}

#[derive(Debug)]
struct Leaving {
    scopes: BTreeMap<ClusterArn, Scope>,
    facts: Arc<Saved>,
}

#[derive(Debug, Default)]
struct Part {
    /// Which clusters are looked for there.
    clusters: ClusterSelection,
    heard: Option<Heard>,
    overdue: bool,
    /// Whether its clusters were listed once.
    listed: bool,
    /// The time of the first refresh that failed to list them since the last success.
    failing: Option<Duration>,
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

    /// Its next refresh is late. The results of the others are saved meanwhile, which makes this one no newer.
    fn fall_behind(&mut self) {
        self.overdue = true;
        let Some(heard) = &mut self.heard else { return };
        let as_of = heard.scopes.values().map(|scope| scope.heard).max().unwrap_or_default();
        if let Some((_, saved)) = heard.facts.as_mut()
            && saved.scopes.iter().any(|scope| scope.held_since.is_none())
        {
            Arc::make_mut(saved).hold(as_of);
        }
    }

    fn is_complete(&self) -> bool {
        !self.overdue && self.heard.as_ref().is_some_and(|heard| heard.complete)
    }
}

impl Publisher {
    /// For these sources; nothing is published yet. Publications go into `pending`.
    pub(crate) fn new(
        outlet: Outlet,
        pending: watch::Sender<Pending>,
        sources: Vec<(SourceStanding, ClusterSelection)>,
        (past, terms): (Past, Terms),
    ) -> Self {
        let (standings, clusters): (Vec<_>, Vec<_>) = sources.into_iter().unzip();
        let parts = clusters.into_iter().map(|clusters| Part { clusters, ..Part::default() }).collect();
        outlet.metrics.sources(standings.iter().map(|standing| &*standing.name).collect());
        let number = outlet.begin(standings);
        Self {
            parts,
            unmatched: BTreeSet::new(),
            is_nothing: false,
            doubled: BTreeSet::new(),
            took: Duration::ZERO,
            leaving: BTreeMap::new(),
            kept: false,
            past,
            terms,
            outlet,
            pending,
            number,
        }
    }

    /// What the next publisher needs to know.
    pub(crate) fn past(&self) -> Past {
        self.past.clone()
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
        self.tell_account(source);
        let (part, past) = (&mut self.parts[source], &mut self.past);
        part.listed |= heard.failure.is_none();
        part.failing = heard.failure.as_ref().map(|_| part.failing.unwrap_or(now));
        for (cluster, scope) in &heard.scopes {
            // What is denied of it may have been published before; it is not waited for much longer than for a cluster.
            let is_whole = !heard.incomplete.contains(cluster)
                || past
                    .failing
                    .get(cluster)
                    .is_some_and(|since| now.saturating_sub(*since) > LISTS_WAIT_FOR_DENIED);
            if scope.standing == Standing::Heard && !heard.partial && is_whole {
                past.failing.remove(cluster);
                past.read.insert(cluster.clone());
            } else if !past.read.contains(cluster) {
                past.failing.entry(cluster.clone()).or_insert(now);
            }
        }
        part.take_in(heard);
    }

    fn tell_account(&mut self, source: usize) {
        let name = self.name(source);
        let Some(account) = self.outlet.sources.borrow()[source].account.clone() else { return };
        if self.past.accounts.get(&name) != Some(&account) {
            info!(source = %name, %account, "the account is known");
            self.past.accounts.insert(name, account);
        }
    }

    /// Continues to publish clusters that are no longer selected, until everything that is selected was read.
    pub(crate) fn leave(&mut self, id: Arc<str>, scopes: BTreeMap<ClusterArn, Scope>, facts: Arc<Saved>) {
        self.leaving.insert(id, Leaving { scopes, facts });
    }

    /// Whether anything is published that is no longer selected.
    pub(crate) fn has_leaving(&self) -> bool {
        !self.leaving.is_empty()
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
        self.parts[source].fall_behind();
        self.outlet.metrics.turn_skipped(&self.name(source));
        self.outlet.sources.send_modify(|standings| standings[source].complete = false);
    }

    /// Notes that a refresh panicked.
    pub(crate) fn panicked(&mut self, source: usize, panicked: &Panicked) {
        // Clusters that were found and not read yet are lost with it.
        self.parts[source].listed = false;
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
        let mut snapshot = self.put_together();
        let reading = self.reading(&snapshot);
        self.let_go(&reading);
        for (cluster, scope) in self.leaving.values().flat_map(|leaving| &leaving.scopes) {
            snapshot.scopes.entry(cluster.clone()).or_insert_with(|| scope.clone());
        }
        let any_scope = snapshot.scopes.values().any(Scope::is_known);
        if !any_scope && let Some(problem) = self.first_problem(&snapshot) {
            return self.warn_of_nothing(&problem);
        }
        self.is_nothing = false;
        let complete = self.parts.iter().all(Part::is_complete);
        if complete {
            self.warn_of_unmatched();
        }
        let left = self.leaving.iter().map(|(id, leaving)| Some((id.clone(), leaving.facts.clone())));
        let published = Published {
            snapshot: Arc::new(snapshot),
            complete,
            number: self.pending.borrow().published.number + 1,
            took: std::mem::take(&mut self.took),
            facts: self.heard().map(|heard| heard.facts.clone()).chain(left).collect(),
            keeps_deselected: reading.keeps_for_want_of_others() && !self.leaving.is_empty(),
            reading: Arc::new(reading),
            revision: None,
        };
        let sources = self.parts.iter().map(|part| (part.is_complete(), part.is_known())).collect();
        self.pending.send_replace(Pending { published, publisher: self.number, sources });
    }

    /// How much was read, given this snapshot of the selected clusters.
    fn reading(&mut self, snapshot: &Snapshot) -> Reading {
        let now = self.outlet.clock.now();
        let lasts =
            |since: Option<Duration>, longest| since.is_some_and(|since| now.saturating_sub(since) > longest);
        let max_staleness = self.terms.max_staleness;
        let wait = if max_staleness == Duration::MAX { LISTS_WAIT } else { max_staleness };
        let standings = self.outlet.sources.borrow();
        let place = |(part, standing): (&Part, &SourceStanding)| Place {
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
                && !matches!(scope.standing, Standing::Retired(_))
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
            allow_empty: self.terms.allow_empty,
            lists_wait,
        }
    }

    /// Removes clusters that are no longer selected, once everything else was read, and logs which and why.
    fn let_go(&mut self, reading: &Reading) {
        let scopes = || self.leaving.values().flat_map(|leaving| &leaving.scopes);
        let targets: usize = scopes().map(|(_, scope)| scope.derived.targets.len()).sum();
        if targets == 0 {
            if reading.is_settled {
                self.leaving.clear();
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
        self.leaving.retain(|_, leaving| {
            leaving.scopes.retain(|cluster, _| !goes(cluster));
            !leaving.scopes.is_empty()
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

    /// Why something was not heard, if anything was not.
    fn first_problem(&self, snapshot: &Snapshot) -> Option<String> {
        let of_source = self.heard().find_map(|heard| heard.failure.as_ref()).map(ToString::to_string);
        let of_scope = || snapshot.scopes.values().find_map(|scope| scope.problem().map(str::to_owned));
        of_source.or_else(of_scope)
    }

    fn warn_of_nothing(&mut self, problem: &str) {
        if !std::mem::replace(&mut self.is_nothing, true) {
            warn!(problem, "nothing is published yet, files stay as they are");
        }
    }
}

/// Warns of targets that leave because they are no longer selected, given the cluster of each.
pub(crate) fn warn_of_deselected<'a>(reading: &Reading, clusters: impl Iterator<Item = &'a ClusterArn>) {
    let mut reasons = BTreeMap::new();
    for reason in clusters.filter_map(|cluster| reading.deselected(cluster)) {
        *reasons.entry(reason).or_insert(0) += 1;
    }
    for (reason, targets) in reasons {
        match reason {
            Deselected::Region(region) => {
                warn!(region, targets, "region is no longer selected; its targets leave");
            }
            Deselected::Account(account) => {
                warn!(account, targets, "account is no longer selected; its targets leave");
            }
            Deselected::Cluster(cluster) => {
                warn!(cluster, targets, "cluster is no longer selected; its targets leave");
            }
        }
    }
}

/// Warns of a selection without targets, if a previous one had some.
pub(crate) fn warn_of_nothing_selected(targets: usize) {
    warn!(
        targets,
        "the regions, accounts and clusters that are selected have no target; those of the selection before stay, \
         unless --allow-empty is given"
    );
}
