//! Plays the steps of a case on the whole program, and looks at the files after every publication.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::Duration;

use ecs_simulator::World;
use prometheus_ecs_sd::published::Published;
use prometheus_ecs_sd::sinks::file_sd;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::changes::{Address, PARTNER};
use super::events::{Events, Fate};
use super::faults::Trouble;
use super::reference::{self, Group, Target};
use super::steps::{Case, Change, Cluster, Step};
use super::watch::{PERIOD, Watch};
use crate::simulated::{Running, Stage};

const INTERVALS: [&str; 4] = ["15s", "30s", "1m", "5m"];

/// The longest that a refresh is waited for: some calls one after the other that never end.
const LONG: Duration = Duration::from_secs(300);
/// Until the last call that is on its way has given up, and AWS is asked as fast as before.
const RECOVERY: Duration = Duration::from_secs(240);
/// Until events that came late are applied, and the requests that they lead to were answered.
const LATE_EVENTS: Duration = Duration::from_secs(10);
const RECHECK: Duration = Duration::from_secs(600);
/// How long AWS is taken at its word that it knows no such definition.
const DEFINITION_REFUSED: Duration = Duration::from_secs(120);
/// How long an item that was denied while others of its kind were allowed is not requested again.
const DENIED: Duration = Duration::from_secs(120);

/// Plays a case; an error says what was not as it should be.
pub(super) fn play(case: &Case) -> Result<(), String> {
    // The jitter of turns and of retries, so that a case that failed fails again.
    fastrand::seed(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let mut play = Play::begin(case).await;
        let mut result = Ok(());
        for (number, step) in case.steps.iter().chain([&Step::Heal]).enumerate() {
            result = play.step(step).await.map_err(|problem| format!("step {number}, {step:?}: {problem}"));
            if result.is_err() {
                break;
            }
        }
        // The hooks hold the world that holds them.
        play.stage.simulator.heal();
        result
    })
}

struct Play<'a> {
    case: &'a Case,
    stage: Stage,
    trouble: Arc<Trouble>,
    running: Option<Running>,
    watch: Watch,
    /// The longest time from one refresh to the next.
    period: Duration,
    /// Where machines were before they moved.
    former: BTreeSet<Address>,
    _heartbeats: JoinSet<()>,
    /// What must pass until the program can know of all that happened.
    patience: Duration,
}

impl<'a> Play<'a> {
    async fn begin(case: &'a Case) -> Self {
        let mut world = World::new(1);
        let role = format!("arn:aws:iam::{PARTNER}:role/reader");
        world.allow_role(&role, None);
        let mut stage = Stage::new(world).role(&role, None);
        stage.config.recheck_interval = if case.rare_rechecks { RECHECK } else { Duration::from_secs(1) };
        if case.named {
            stage = stage.clusters(&Cluster::ALL.map(Cluster::name));
        }
        let heartbeats = case.events.as_ref().map(|events| events.begin(&mut stage)).unwrap_or_default();
        let rare = case.events.as_ref().map(|_| stage.config.reconcile_interval);
        // A tick later than that, jitter included.
        let period = rare.map_or(PERIOD, |between| between + PERIOD);
        let trouble = Trouble::with(&stage.simulator, case.page, case.lie);
        stage.simulator.set_latency(Duration::from_millis(case.latency));
        let running = Some(stage.run().await);
        let (watch, patience) = (Watch::new(period), Duration::ZERO);
        Self {
            case,
            stage,
            trouble,
            running,
            watch,
            period,
            former: BTreeSet::new(),
            _heartbeats: heartbeats,
            patience,
        }
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::World(change) => self.change(change),
            Step::Refresh => {
                self.next(LONG).await?;
            }
            Step::Pass(seconds) => self.pass(Duration::from_secs((*seconds).into())).await?,
            Step::Trouble(fault) => {
                self.trouble.begin(fault.clone());
                self.watch.note(&self.trouble);
                if self.trouble.denies_definitions() {
                    self.patience = self.patience.max(DEFINITION_REFUSED);
                }
                if self.trouble.denies() {
                    self.patience = self.patience.max(DENIED);
                }
            }
            Step::Events(fate) if self.case.events.is_some() => fate.begin(&self.stage.simulator),
            Step::Events(_) => {}
            Step::Release => drop(self.stage.simulator.release_events()),
            Step::Heal => self.heal().await?,
            Step::Restart => self.restart().await,
        }
        Ok(())
    }

    fn change(&mut self, change: &Change) {
        if self.case.events.is_some() && matches!(change, Change::Expire) {
            // No event is delivered that is an hour old.
            Events::purge(&self.stage.simulator);
        }
        if matches!(change, Change::MoveHost(_)) {
            self.former.extend(self.stage.simulator.change(Address::all));
        }
        self.stage.simulator.change(|world| change.make(world));
        self.watch.changed(self.targets());
        for address in &self.former {
            let mut world = self.stage.simulator.change(|world| world.clone());
            address.restore(&mut world);
            self.watch.was_possible(reference::targets(&world));
        }
        if self.case.rare_rechecks && change.is_of_known_facts() {
            self.patience = RECHECK + self.period;
        }
    }

    /// Ends the program and begins another on the same directory.
    async fn restart(&mut self) {
        self.running = None;
        // The old one ends when it would go on.
        tokio::task::yield_now().await;
        file_sd::prepare(self.stage.config.directory.as_deref().unwrap()).unwrap();
        self.running = Some(self.stage.run().await);
        self.watch.restarted();
        self.watch.note(&self.trouble);
    }

    /// All must be right, and stay right, once a refresh has begun after the trouble.
    async fn heal(&mut self) -> Result<(), String> {
        self.watch.note(&self.trouble);
        self.trouble.end();
        Fate::DELIVERED.begin(&self.stage.simulator);
        self.stage.simulator.set_latency(Duration::ZERO);
        // All that a refresh needs that begins then can be known.
        let begin = Instant::now() + self.patience;
        let settled = loop {
            let published = self.next(LONG).await?.ok_or("nothing is published after the trouble")?;
            if published.complete && self.watch.is_past(begin) {
                break published;
            }
            if Instant::now() > begin + RECOVERY + self.period + self.watch.slowest_since(begin) {
                return Err("no refresh after the trouble is complete".to_owned());
            }
        };
        self.patience = Duration::ZERO;
        self.compare()?;
        self.account_for(&settled)?;
        let before = self.look();
        // Events that come after a refresh say nothing new.
        if self.case.events.is_some() {
            self.stage.simulator.release_events();
            self.pass(LATE_EVENTS).await?;
        }
        let again = self.next(LONG).await?.ok_or("nothing is published again")?;
        let changes = again.snapshot.since(&settled.snapshot);
        let differs = changes.any_target() || !changes.findings.is_empty();
        if !again.complete || differs || self.look() != before {
            return Err("the next refresh changes something, though nothing has changed".to_owned());
        }
        self.stage.simulator.set_latency(Duration::from_millis(self.case.latency));
        Ok(())
    }

    /// Time passes, and whatever is published meanwhile is looked at.
    async fn pass(&mut self, time: Duration) -> Result<(), String> {
        let end = Instant::now() + time;
        while Instant::now() < end && self.next(end - Instant::now()).await?.is_some() {}
        Ok(())
    }

    async fn next(&mut self, limit: Duration) -> Result<Option<Published>, String> {
        let running = self.running.as_mut().unwrap();
        let Some(published) = running.next_within(limit).await else { return Ok(None) };
        self.watch.note(&self.trouble);
        let sources = self.running.as_ref().unwrap().sources();
        self.watch.check(&published, &sources, self.files(), &self.targets(), !self.patience.is_zero())?;
        Ok(Some(published))
    }

    /// The files are what the reference says, to the last label.
    fn compare(&self) -> Result<(), String> {
        let mut expected: Vec<Group> = self.targets().into_iter().map(|target| target.group).collect();
        expected.sort();
        let found = self.files();
        if expected == found {
            return Ok(());
        }
        let lines = |groups: &[Group]| -> BTreeSet<String> { groups.iter().flat_map(lines).collect() };
        let (expected, found) = (lines(&expected), lines(&found));
        let missing = expected.difference(&found).map(|line| format!("- {line}\n"));
        let more = found.difference(&expected).map(|line| format!("+ {line}\n"));
        let difference: String = missing.chain(more).take(60).collect();
        Err(format!("the files are not what they should be (- expected, + found):\n{difference}"))
    }

    /// Each container that asks to be scraped is a target or has a finding.
    fn account_for(&self, published: &Published) -> Result<(), String> {
        let targets = published.snapshot.targets();
        let targets = targets.iter().map(|target| (target.task(), target.container()));
        let findings = published.snapshot.findings().map(|finding| (&finding.task, &*finding.container));
        let known: BTreeSet<_> =
            targets.chain(findings).map(|(task, name)| (task.to_string(), name.to_owned())).collect();
        let asking = self.stage.simulator.change(|world| reference::opted_in(world));
        match asking.iter().find(|container| !known.contains(container)) {
            Some(container) => Err(format!("neither a target nor a finding: {container:?}")),
            None => Ok(()),
        }
    }

    fn targets(&self) -> Vec<Target> {
        self.stage.simulator.change(|world| reference::targets(world))
    }

    /// The groups of all files, sorted.
    fn files(&self) -> Vec<Group> {
        let mut groups = Vec::new();
        for interval in INTERVALS {
            let Ok(text) = std::fs::read(self.stage.path(&format!("{interval}-tasks.json"))) else {
                continue;
            };
            let file: Vec<serde_json::Value> = serde_json::from_slice(&text).unwrap();
            groups.extend(file.into_iter().map(|group| Group {
                interval: interval.to_owned(),
                target: group["targets"][0].as_str().unwrap().to_owned(),
                labels: serde_json::from_value(group["labels"].clone()).unwrap(),
            }));
        }
        groups.sort();
        groups
    }

    /// The files as such: which they are and what is in them.
    fn look(&self) -> Vec<(u64, Vec<u8>)> {
        let paths = INTERVALS.map(|interval| self.stage.path(&format!("{interval}-tasks.json")));
        paths.iter().map(|path| (path.metadata().unwrap().ino(), std::fs::read(path).unwrap())).collect()
    }
}

fn lines(group: &Group) -> Vec<String> {
    let path = &group.labels["metrics_path"];
    let head = format!("{} {}{path}", group.interval, group.target);
    group.labels.iter().map(|(name, value)| format!("{head} {name}={value}")).collect()
}
