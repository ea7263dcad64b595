//! The actor of one source. It owns the facts of the source, across refreshes, reloads and panics.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::Inventory;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::snapshot::Scope;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, warn};

use super::answers::AnswerLimit;
use super::errand::{self, ErrandRun};
use super::events::{Delivery, Unpublished};
use super::handover::forgive;
use super::liveness::Liveness;
use super::run::{self, Run};
use super::schedule::{JITTER, Schedule};
use super::wishes::Wishes;
use super::{Command, Configuration, Continued, Expected, Message, Report, Settings, Spec};
use crate::published::SourceResult;
use crate::telemetry::panics::{Panicked, caught, caught_in};

/// One source.
pub(super) struct Actor {
    pub(super) spec: Spec,
    pub(super) settings: Settings,
    pub(super) known: Known,
    pub(super) answers: AnswerLimit,
    /// The current refresh.
    pub(super) run: Option<Run>,
    /// Whether the current refresh has an outdated selection or credentials, and another one follows it.
    pub(super) again: bool,
    /// The current errand, and what the next one asks for.
    pub(super) errand: Option<ErrandRun>,
    pub(super) wishes: Wishes,
    pub(super) liveness: Liveness,
    pub(super) deliveries: mpsc::Receiver<Delivery>,
    /// Clusters whose results may have changed since they were published.
    pub(super) dirty: BTreeSet<ClusterArn>,
    pub(super) unpublished: Unpublished,
    /// When the last refresh began that has ended.
    pub(super) refreshed: Option<Instant>,
    schedule: Schedule,
    /// Whether there are no more refreshes.
    is_done: bool,
    /// The number of its messages, and where it sends them.
    number: u64,
    reports: mpsc::UnboundedSender<Message>,
}

/// Waits for a command. Messages are refused meanwhile: they stay in their queue and are received again.
pub(super) async fn next_command(
    commands: &mut mpsc::Receiver<Command>,
    deliveries: &mut mpsc::Receiver<Delivery>,
) -> Option<Command> {
    loop {
        tokio::select! {
            biased;
            command = commands.recv() => return command,
            Some(refused) = deliveries.recv() => drop(refused),
        }
    }
}

/// Waits for a moment, for ever without one.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What is known of a source.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) inventory: Inventory,
    /// Its clusters at the end of the last refresh.
    pub(super) scopes: BTreeMap<ClusterArn, Scope>,
    /// The facts that were last sent to be saved.
    pub(super) saved: Arc<Saved>,
    /// The facts at the end of the last refresh.
    pub(super) concluded: Arc<Saved>,
    pub(super) account: Option<String>,
    /// Whether the last refresh began after the configuration was last replaced, and with it perhaps the credentials.
    pub(super) is_current: bool,
    /// When to call STS for the account again, after it failed.
    pub(super) account_due: Option<Instant>,
    /// The problem of the source as a whole that was last logged.
    pub(super) trouble: Option<FailureKind>,
    /// Operations that the credentials do not allow, as far as that was logged.
    pub(super) denied: BTreeSet<&'static str>,
}

impl Known {
    /// When the clusters were last read that the last refresh read.
    pub(super) fn as_of(&self) -> Duration {
        self.scopes.values().map(|scope| scope.last_read).max().unwrap_or_default()
    }

    /// The facts, which are no newer for being saved now.
    pub(super) fn held_facts(&self) -> Saved {
        let mut saved = self.inventory.saved(&self.scopes);
        saved.hold(self.as_of());
        saved
    }

    /// Removes clusters, and returns their facts.
    fn split_off(&mut self, leaves: impl Fn(&ClusterArn) -> bool) -> Saved {
        let left = self.held_facts().split_off(&leaves);
        self.forget(leaves);
        left
    }

    /// Removes clusters.
    pub(super) fn forget(&mut self, leaves: impl Fn(&ClusterArn) -> bool) {
        let leaving: Vec<_> = self.inventory.clusters().filter(|cluster| leaves(cluster)).cloned().collect();
        for cluster in leaving {
            self.inventory.forget_cluster(&cluster);
            self.scopes.remove(&cluster);
        }
    }
}

impl Actor {
    /// Its first refresh is due now.
    pub(super) fn new(
        spec: Spec,
        settings: Settings,
        number: u64,
        reports: mpsc::UnboundedSender<Message>,
        deliveries: mpsc::Receiver<Delivery>,
    ) -> Self {
        let mut known = Known::default();
        known.inventory.follow(&settings.rules);
        Self {
            errand: None,
            wishes: Wishes::default(),
            liveness: Liveness::new(spec.events),
            deliveries,
            dirty: BTreeSet::new(),
            unpublished: Unpublished::default(),
            refreshed: None,
            schedule: Schedule::new(&spec.id, settings.interval, settings.are_spread),
            answers: settings.shared.answers.of_source(),
            known,
            run: None,
            again: false,
            is_done: false,
            spec,
            settings,
            number,
            reports,
        }
    }

    /// Continues with saved facts. Those of another process are `forgiven` failed refreshes.
    pub(super) fn restore(&mut self, mut saved: Saved, as_of: Duration, forgiven: bool) -> Continued {
        let departing = saved.split_off(|cluster| !self.spec.clusters.selects(cluster));
        let now = self.settings.clock.now();
        let mut scopes = self.known.inventory.restore(saved, &self.settings.rules, as_of, now);
        if forgiven {
            forgive(&mut scopes, as_of, self.settings.max_staleness);
        }
        self.known.scopes.extend(scopes);
        self.continued(departing)
    }

    /// Runs until it is told to end, or the sender of commands is dropped.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        while let Err(panicked) = caught_in(self.serve(&mut commands)).await {
            // Until it succeeds, the last result stays published.
            while caught(|| self.recover(&panicked)).is_err() {
                let next = next_command(&mut commands, &mut self.deliveries);
                match timeout(self.settings.interval, next).await {
                    Err(_) => {}
                    // Other rules may not panic. The sender is told nothing and keeps the last result.
                    Ok(Some(Command::Configure(configuration, _))) => {
                        let Configuration { number, spec, settings, .. } = *configuration;
                        (self.number, self.spec, self.settings) = (number, spec, settings);
                    }
                    Ok(Some(Command::End(reply))) => {
                        let mut facts = Saved::clone(&self.known.concluded);
                        facts.hold(self.known.as_of());
                        return drop(reply.send(facts));
                    }
                    Ok(None) => return,
                }
            }
        }
    }

    async fn serve(&mut self, commands: &mut mpsc::Receiver<Command>) {
        loop {
            let (release, publish, errand) = (self.release_at(), self.publish_at(), self.errand_due());
            let (refresh, silence) = (self.refresh_at(), self.liveness.silent_at());
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    // The receiver of the reply may have been dropped.
                    Some(Command::Configure(configuration, reply)) => {
                        drop(reply.send(self.configure(*configuration)));
                    }
                    Some(Command::End(reply)) => return drop(reply.send(self.known.held_facts())),
                    None => return,
                },
                () = sleep_until(refresh), if !self.is_done => self.tick(),
                () = until(release) => self.release(),
                () = until(publish) => self.publish_changes(),
                () = until(errand) => self.begin_errand(),
                () = until(silence), if !self.is_done => self.note_silence(),
                answered = errand::next(&mut self.errand) => self.take_errand_answer(answered),
                step = run::next(&mut self.run) => self.take(step),
                // Last, so that a storm of events delays nothing else.
                Some(delivery) = self.deliveries.recv() => self.take_deliveries(delivery),
            }
        }
    }

    /// When the next refresh is due, unless events make it unnecessary. It is due immediately for wishes that are left to
    /// it, but not sooner than an interval after the last one.
    fn refresh_at(&self) -> Instant {
        let is_wanted =
            |began: Instant| self.wishes.are_left_since(began) && began.elapsed() >= self.settings.interval;
        match self.refreshed.is_some_and(is_wanted) && self.run.is_none() {
            true => Instant::now(),
            false => self.schedule.next,
        }
    }

    fn tick(&mut self) {
        self.schedule.advance();
        self.is_done = self.settings.once;
        if self.liveness.is_on() {
            let missed = self.count_missed();
            let is_open = self.known.inventory.awaits_events();
            let change = self.liveness.missed(missed).or_else(|| self.liveness.proved(is_open));
            if change.is_some() {
                self.note_events(change);
            }
        }
        if self.run.is_none() && self.is_proven() {
            // Events tell every change: what is published is as fresh as after a refresh.
            self.report(Report::Fresh);
        } else if self.run.is_none() {
            self.begin();
        } else {
            debug!(source = %self.spec.name, "the source is still being refreshed; the next refresh is skipped");
            // The periods at the start are shorter.
            if self
                .run
                .as_ref()
                .is_some_and(|run| run.elapsed() >= self.settings.interval.mul_f64(1.0 - JITTER))
            {
                self.report(Report::Overdue);
            }
        }
    }

    /// Whether events are live, and the last refresh is not older than the time between refreshes then. What errands could
    /// not read since is not proven.
    fn is_proven(&self) -> bool {
        // The ticks are an interval apart, and a little late.
        let within = self.settings.reconcile_interval.saturating_sub(self.settings.interval / 2);
        let is_proof = |began: Instant| began.elapsed() < within && !self.wishes.are_left_since(began);
        self.liveness.is_live() && self.refreshed.is_some_and(is_proof)
    }

    fn configure(&mut self, configuration: Configuration) -> Continued {
        let Configuration { number, spec, settings, mut selected_again } = configuration;
        self.number = number;
        let has_other_rules = settings.rules != self.settings.rules;
        let differs = spec.clusters != self.spec.clusters || spec.credentials != self.spec.credentials;
        self.again |= differs && self.run.is_some();
        // Events of a source without a queue came through a central one, which may be no longer read.
        let has_other_queues = settings.queues != self.settings.queues && spec.events == Expected::Perhaps;
        if spec.events != self.spec.events || has_other_queues {
            self.liveness = Liveness::new(spec.events);
        }
        // Events prove nothing about another selection or other credentials: a refresh follows.
        self.refreshed = None;
        (self.spec, self.settings) = (spec, settings);
        self.known.inventory.follow(&self.settings.rules);
        if let Some(errand) = self.errand.take() {
            self.wishes.put_back(errand.into_taken());
        }
        self.wishes.retain(|cluster| self.spec.clusters.selects(cluster));
        // All credentials are read again, and may be those of another account.
        (self.known.account, self.known.account_due, self.known.is_current) = (None, None, false);
        self.run.iter_mut().for_each(|run| run.is_outdated = true);
        self.known.inventory.unconfirm();
        let clusters = &self.spec.clusters;
        let departing = self.known.split_off(|cluster| !clusters.selects(cluster));
        selected_again.scopes.retain(|scope| !self.known.scopes.contains_key(&scope.cluster.arn));
        // A refresh may have found them already, but not all of their tasks.
        for scope in &selected_again.scopes {
            self.known.inventory.forget_cluster(&scope.cluster.arn);
        }
        let (as_of, now) = (self.known.as_of(), self.settings.clock.now());
        let restored = self.known.inventory.restore(selected_again, &self.settings.rules, as_of, now);
        self.known.scopes.extend(restored);
        for (cluster, scope) in &mut self.known.scopes {
            if has_other_rules && scope.is_known() {
                scope.derived = self.known.inventory.derive(cluster, &self.settings.rules);
            }
        }
        self.schedule.restart(self.settings.interval);
        if self.run.is_some() {
            self.schedule.advance();
        }
        // A source without a queue may have events of a central one.
        self.note_events(None);
        self.continued(departing)
    }

    fn continued(&mut self, departing: Saved) -> Continued {
        self.known.saved = Arc::new(self.known.held_facts());
        self.known.concluded = self.known.saved.clone();
        let facts = self.known.saved.clone();
        Continued { scopes: self.settings.published(&self.known.scopes), facts, departing }
    }

    /// The panic may have destroyed facts. Those of the last refresh that ended replace them and keep the targets.
    fn recover(&mut self, panicked: &Panicked) {
        self.run = None;
        if let Some(errand) = self.errand.take() {
            self.wishes.put_back(errand.into_taken());
        }
        self.dirty.clear();
        self.unpublished.forget();
        // The facts of events may be lost.
        self.refreshed = None;
        self.liveness = Liveness::new(self.spec.events);
        self.again = false;
        let failure = Failure {
            kind: FailureKind::Unavailable,
            message: format!("the refresh panicked, which is a bug: {panicked}"),
        };
        warn!(source = %self.spec.name, error = %failure, "source could not be read in full");
        let (as_of, now) = (self.known.as_of(), self.settings.clock.now());
        let saved = Saved::clone(&self.known.concluded);
        let (inventory, scopes) = saved.restore(&self.spec.clusters, &self.settings.rules, as_of, now);
        let stale =
            |(cluster, scope): (ClusterArn, Scope)| (cluster, scope.stale(failure.message.clone(), now));
        let scopes = scopes.into_iter().map(stale).collect();
        // This records since when they are kept.
        let saved = Arc::new(inventory.saved(&scopes));
        let trouble = Some(failure.kind);
        let concluded = saved.clone();
        self.known =
            Known { inventory, scopes, saved: saved.clone(), concluded, trouble, ..Known::default() };
        let result = SourceResult {
            scopes: self.settings.published(&self.known.scopes),
            facts: Some(saved),
            failure: Some(failure),
            ..SourceResult::default()
        };
        self.report(Report::Panicked(panicked.clone()));
        self.report(Report::Result(Box::new(result), Saved::default()));
        self.note_events(None);
    }

    /// The receiver is only gone when the program ends.
    pub(super) fn report(&self, report: Report) {
        let _ = self.reports.send((self.number, self.spec.id.clone(), report));
    }
}
