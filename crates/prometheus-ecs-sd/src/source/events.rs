//! Events in the actor of a source: each is applied to the facts when it comes, and the clusters that it changed are
//! published.
//!
//! A change after a quiet time is published immediately. Publications follow each other no faster than Prometheus can
//! read the files again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::event::TaskEvent;
use ecs_discovery::inventory::events::{EventResult, Wish};
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::model::Names;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};
use tracing::{debug, info, warn};

use super::Report;
use super::actor::Actor;
use super::liveness::Change;
use crate::published::Patch;

/// The most events that wait for a source; when they are so many, the readers of queues stop receiving.
pub(super) const MAX_WAITING: usize = 1000;

/// The least and the longest time between two publications.
const LEAST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause for each target: Prometheus takes 0.8 s of a processor to read a file of 5,000 targets.
const PAUSE_PER_TARGET: Duration = Duration::from_micros(500);

/// The least time between two searches for changes. Many events change no result, such as those of tasks that start.
const SEARCHES_APART: Duration = Duration::from_millis(10);

/// How long a message waits for its source: far longer than a source needs for all that can wait. A message that is not
/// taken by then is received again, and the others of its queue do not wait for it.
const TAKEN_WITHIN: Duration = Duration::from_secs(10);

/// The least time between a publication of so many targets and the next one.
pub(crate) fn pause(targets: usize) -> Duration {
    let pause = PAUSE_PER_TARGET.saturating_mul(u32::try_from(targets).unwrap_or(u32::MAX));
    pause.clamp(LEAST_PAUSE, LONGEST_PAUSE)
}

/// What a queue delivers to a source, and where the result goes: the message is deleted after that.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(crate) content: Content,
    pub(crate) received: Instant,
    pub(crate) done: oneshot::Sender<Applied>,
}

/// The content of a message.
#[derive(Debug)]
pub(crate) enum Content {
    Event(Box<TaskEvent>),
    /// A heartbeat of this account, if it names one.
    Heartbeat(Option<String>),
    /// Another event of ECS, of this account.
    Ignored(Option<String>),
    /// An event about this task that cannot be read.
    Unreadable(Wish),
}

/// The effect of a message on a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Applied {
    Event(EventResult),
    /// Nothing but a sign of life.
    Sign,
    /// It is of another account than the source.
    Unrelated,
}

/// Where the messages of an account and region go.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    /// `None` for the own account.
    pub(super) account: Option<String>,
    pub(super) region: String,
    pub(super) clusters: ClusterSelection,
    pub(super) deliveries: mpsc::Sender<Delivery>,
}

impl Route {
    /// Whether the cluster is discovered.
    pub(crate) fn selects(&self, cluster: &ClusterArn) -> bool {
        self.clusters.selects(cluster)
    }

    /// Hands a message over. Waits a while if too many do; `None` if the source is gone, panicked or is too slow.
    pub(crate) async fn deliver(&self, content: Content, received: Instant) -> Option<Applied> {
        let (done, applied) = oneshot::channel();
        let deliver = async {
            self.deliveries.send(Delivery { content, received, done }).await.ok()?;
            applied.await.ok()
        };
        timeout(TAKEN_WITHIN, deliver).await.ok().flatten()
    }
}

/// The routes to all sources. A clone sees the same.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes(Arc<RwLock<Current>>);

#[derive(Debug, Default)]
struct Current {
    routes: Vec<Route>,
    /// The environment variables whose values all sources need.
    names: Names,
}

impl Routes {
    /// The sources that messages of this account and region may be for: those through a role of the account, or else the
    /// own account.
    pub(crate) fn of(&self, account: Option<&str>, region: &str) -> Vec<Route> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let in_region = || current.routes.iter().filter(|route| route.region == region);
        let of_role: Vec<_> = in_region()
            .filter(|route| route.account.is_some() && route.account.as_deref() == account)
            .cloned()
            .collect();
        if !of_role.is_empty() {
            return of_role;
        }
        in_region().filter(|route| route.account.is_none()).cloned().collect()
    }

    /// The environment variables whose values messages are read with.
    pub(crate) fn names(&self) -> Names {
        self.0.read().unwrap_or_else(PoisonError::into_inner).names.clone()
    }

    pub(super) fn replace(&self, routes: Vec<Route>, names: Names) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Current { routes, names };
    }
}

/// The changes of a source that are not published yet.
#[derive(Debug, Default)]
pub(super) struct Unpublished {
    /// When the oldest of their events was received, if any was.
    received: Option<Instant>,
    /// When changed targets were last published, and when anything was.
    changed: Option<Instant>,
    told: Option<Instant>,
    /// When changes were last searched for.
    searched: Option<Instant>,
    /// Whether findings changed.
    pub(super) has_findings: bool,
    /// The clusters that errands found, and whether each was read in full.
    clusters: BTreeMap<ClusterArn, bool>,
}

impl Unpublished {
    /// An errand found a cluster.
    pub(super) fn found(&mut self, cluster: &ClusterArn, is_whole: bool) {
        self.clusters.insert(cluster.clone(), is_whole);
    }

    /// The results of the last refresh replace all changes.
    pub(super) fn forget(&mut self) {
        (self.received, self.has_findings) = (None, false);
        self.clusters.clear();
    }

    /// When findings may be published, after this pause.
    fn findings_at(&self, pause: Duration) -> Instant {
        self.told.map_or_else(Instant::now, |told| told + pause)
    }
}

impl Actor {
    /// Applies a message, and those that wait behind it.
    pub(super) fn take_deliveries(&mut self, first: Delivery) {
        self.take_delivery(first);
        for _ in 1..MAX_WAITING {
            let Ok(next) = self.deliveries.try_recv() else { break };
            self.take_delivery(next);
        }
    }

    fn take_delivery(&mut self, Delivery { content, received, done }: Delivery) {
        let applied = match content {
            Content::Event(event) if self.is_of_another_account(Some(event.cluster.account())) => {
                Applied::Unrelated
            }
            Content::Heartbeat(account) | Content::Ignored(account)
                if self.is_of_another_account(account.as_deref()) =>
            {
                Applied::Unrelated
            }
            Content::Event(event) => Applied::Event(self.apply_event(*event, received)),
            Content::Heartbeat(_) | Content::Ignored(_) => {
                self.sign();
                Applied::Sign
            }
            Content::Unreadable(wish) => {
                self.wish(wish);
                Applied::Sign
            }
        };
        // The reader may have ended.
        let _ = done.send(applied);
    }

    fn apply_event(&mut self, event: TaskEvent, received: Instant) -> EventResult {
        self.sign();
        let (cluster, now) = (event.cluster.clone(), self.settings.clock.now());
        self.settings.metrics.event_delayed(&self.spec.name, now.saturating_sub(event.updated));
        let (result, wish) = self.known.inventory.apply_event(event, now);
        wish.into_iter().for_each(|wish| self.wish(wish));
        if result == EventResult::Applied {
            self.dirty.insert(cluster);
            self.unpublished.received.get_or_insert(received);
        }
        result
    }

    /// A cluster that AWS denies is left to the refreshes.
    fn wish(&mut self, wish: Wish) {
        if !self.known.scopes.get(wish.cluster()).is_some_and(|scope| scope.denied) {
            self.wishes.add(wish);
        }
    }

    fn sign(&mut self) {
        self.settings.metrics.event_heard(&self.spec.name);
        if self.liveness.sign() {
            self.note_events(None);
        }
    }

    /// If STS was not asked for the own account, the clusters show it.
    fn is_of_another_account(&self, account: Option<&str>) -> bool {
        let Some(account) = account else { return false };
        if let Some(own) = &self.known.account {
            return own != account;
        }
        let mut clusters = self.known.inventory.clusters().peekable();
        clusters.peek().is_some() && clusters.all(|known| known.account() != account)
    }

    /// When changes are searched for and published, if there may be any.
    pub(super) fn publish_at(&self) -> Option<Instant> {
        let unpublished = &self.unpublished;
        if self.dirty.is_empty() && !unpublished.has_findings {
            return None;
        }
        let (now, pause) = (Instant::now(), self.pause());
        let search = (!self.dirty.is_empty()).then(|| {
            let after_change = unpublished.changed.map_or(now, |changed| changed + pause);
            after_change.max(unpublished.searched.map_or(now, |searched| searched + SEARCHES_APART))
        });
        let findings = unpublished.has_findings.then(|| unpublished.findings_at(pause));
        search.into_iter().chain(findings).min()
    }

    fn pause(&self) -> Duration {
        pause(self.known.scopes.values().map(|scope| scope.derived.targets.len()).sum())
    }

    /// When the result of a task no longer waits for facts.
    pub(super) fn release_at(&self) -> Option<Instant> {
        let until = self.known.inventory.awaited_until()?;
        Some(Instant::now() + until.saturating_sub(self.settings.clock.now()))
    }

    pub(super) fn release(&mut self) {
        let released = self.known.inventory.release(self.settings.clock.now());
        self.dirty.extend(released);
    }

    /// Publishes the clusters that changed. Prometheus does not read findings: they delay no targets, and wait until their
    /// pause is over.
    pub(super) fn publish_changes(&mut self) {
        let now = Instant::now();
        let has_targets = self.find_changes();
        self.unpublished.searched = Some(now);
        let received = self.unpublished.received.take().filter(|_| has_targets);
        let has_findings = self.unpublished.has_findings && self.unpublished.findings_at(self.pause()) <= now;
        if !has_targets && !has_findings {
            // The facts are saved with the next publication: the copy of all of them costs more than an event.
            return;
        }
        self.unpublished.has_findings = false;
        self.unpublished.told = Some(now);
        if has_targets {
            self.unpublished.changed = Some(now);
        }
        self.known.saved = Arc::new(self.known.held_facts());
        self.known.concluded = self.known.saved.clone();
        let scopes = self.settings.published(&self.known.scopes);
        let clusters = std::mem::take(&mut self.unpublished.clusters).into_iter();
        let read = clusters.filter_map(|(cluster, is_whole)| is_whole.then_some(cluster)).collect();
        let facts = self.known.saved.clone();
        self.report(Report::Patch(Patch { scopes, facts, has_targets, read, received }));
    }

    /// Derives the clusters that may have changed. Returns whether any target changed, or a cluster was found.
    fn find_changes(&mut self) -> bool {
        let mut has_targets = !self.unpublished.clusters.is_empty();
        for cluster in std::mem::take(&mut self.dirty) {
            // A cluster that was never read has no results. The refresh publishes it.
            let Some(scope) = self.known.scopes.get_mut(&cluster).filter(|scope| scope.is_known()) else {
                continue;
            };
            let derived = self.known.inventory.derive(&cluster, &self.settings.rules);
            if !Arc::ptr_eq(&derived, &scope.derived) {
                has_targets |= !derived.shares_targets(&scope.derived);
                self.unpublished.has_findings = true;
                scope.derived = derived;
            }
        }
        has_targets
    }

    /// Logs a change of what events are relied on for, and begins a refresh if they are not any more.
    pub(super) fn note_events(&mut self, change: Option<Change>) {
        let source = &self.spec.name;
        match change {
            None => {}
            Some(Change::Live) => info!(%source, "events are live; refreshes are rare from now on"),
            Some(Change::Silent) => {
                warn!(%source, "no event came for three minutes; refreshes take place as without events");
            }
            Some(Change::Doubted) => {
                warn!(%source, "a refresh found a change that no event told; refreshes take place as without events");
            }
        }
        self.report(Report::Events(self.liveness.status(), self.interval_in_force()));
    }

    /// The silence of events is noticed.
    pub(super) fn note_silence(&mut self) {
        let was_live = self.liveness.is_live();
        let change = self.liveness.silent();
        self.note_events(Some(change));
        if was_live && self.run.is_none() {
            self.begin();
        }
    }

    /// Counts changes that no event told in time.
    pub(super) fn count_missed(&mut self) -> usize {
        let missed = self.known.inventory.missed_events(self.settings.clock.now());
        if missed > 0 {
            debug!(source = %self.spec.name, missed, "changes were found that no event told");
            self.settings.metrics.events_missed(&self.spec.name, missed);
        }
        missed
    }

    /// The time between two refreshes.
    pub(super) fn interval_in_force(&self) -> Duration {
        match self.liveness.is_live() {
            true => self.settings.reconcile_interval,
            false => self.settings.interval,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::actor::next_command;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_message_does_not_wait_long_for_a_source_that_takes_none() {
        let (deliveries, mut taken) = mpsc::channel(1);
        let region = "eu-west-1".to_owned();
        let route = Route { account: None, region, clusters: ClusterSelection::All, deliveries };
        let deliver = || route.deliver(Content::Heartbeat(None), Instant::now());
        let began = Instant::now();
        assert_eq!(tokio::join!(deliver(), deliver()), (None, None));
        assert_eq!(began.elapsed(), TAKEN_WITHIN);
        // A source that could not recover from a panic refuses all.
        let (_configure, mut commands) = mpsc::channel(1);
        let refuse = next_command(&mut commands, &mut taken);
        let refused = tokio::select! {
            _ = refuse => panic!("there is no command"),
            applied = deliver() => applied,
        };
        assert_eq!((refused, began.elapsed()), (None, TAKEN_WITHIN));
    }
}
