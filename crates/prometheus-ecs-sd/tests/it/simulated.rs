//! The program in this process, on the simulated AWS, under paused time.

mod budget;
mod doubt;
mod events;
mod faults;
mod files;
mod log;
mod names;
mod pace;
mod panics;
mod rechecks;
mod reload;
mod restart;
mod selection;
mod services;

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use ecs_discovery::arn::RoleArn;
use ecs_discovery::derive::Rules;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::labels::TagSelection;
use ecs_simulator::{
    Clock, ContainerDefinition, OWN_ACCESS_KEY, OWN_SECRET_KEY, Placement, Region, TaskDefinition, World,
    worlds,
};
use prometheus_ecs_sd::aws::Aws;
use prometheus_ecs_sd::clock::Clock as ProgramClock;
use prometheus_ecs_sd::config::Layout;
use prometheus_ecs_sd::config::Share;
use prometheus_ecs_sd::config::{Account, Config};
use prometheus_ecs_sd::discovery::{Discovery, Outcome};
use prometheus_ecs_sd::lock::Locks;
use prometheus_ecs_sd::published::{Published, QueueStatus, SnapshotStore, SourceStatus};
use prometheus_ecs_sd::reload::Replacement;
use prometheus_ecs_sd::sinks::http::metrics::{Format, page};
use prometheus_ecs_sd::telemetry::LogFormat;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

pub(crate) const REGION: &str = "eu-central-1";

/// A simulated AWS, a directory, and a configuration to run the program with.
pub(crate) struct Stage {
    pub(crate) simulator: ecs_simulator::Aws,
    pub(crate) config: Config,
    output: Output,
    directory: tempfile::TempDir,
}

impl Stage {
    pub(crate) fn new(world: World) -> Self {
        let directory = tempfile::tempdir().unwrap();
        // The jitter of refreshes and of retries is the same in every run.
        fastrand::seed(0);
        prometheus_ecs_sd::sinks::file_sd::prepare(directory.path()).unwrap();
        let config = Config {
            directory: Some(directory.path().to_owned()),
            file_layout: Layout::PerInterval,
            listen: None,
            allowed_hosts: BTreeSet::new(),
            web_config_file: None,
            enable_lifecycle: false,
            once: false,
            allow_empty: false,
            state_file: Some(directory.path().join(".prometheus-ecs-sd/state")),
            interval: Duration::from_secs(60),
            event_queues: Vec::new(),
            reconcile_interval: Duration::from_secs(600),
            recheck_interval: Duration::from_secs(600),
            max_staleness: Duration::MAX,
            accounts: vec![Account::default()],
            sts_region: None,
            api_share: Share::default(),
            rules: Rules { tags_to_labels: Arc::new(TagSelection::All), ..Rules::default() },
            log_format: LogFormat::Text,
            quiet: false,
            locks: Locks::default(),
        };
        Self { simulator: ecs_simulator::Aws::new(world), config, output: Output::default(), directory }
    }

    pub(crate) fn regions(mut self, regions: &[&str]) -> Self {
        for account in &mut self.config.accounts {
            account.regions = regions.iter().map(|region| (*region).to_owned()).collect();
        }
        self
    }

    pub(crate) fn role(mut self, arn: &str, external_id: Option<&str>) -> Self {
        let first = &self.config.accounts[0];
        let (regions, clusters) = (first.regions.clone(), first.clusters.clone());
        let role = Some(RoleArn::parse_strictly(arn).unwrap());
        let external_id = external_id.map(str::to_owned);
        self.config.accounts.push(Account { role, external_id, session_name: None, regions, clusters });
        self
    }

    pub(crate) fn clusters(mut self, patterns: &[&str]) -> Self {
        let patterns = patterns.iter().map(|text| ClusterPattern::parse(text).unwrap()).collect();
        let clusters = ClusterSelection::new(patterns);
        for account in &mut self.config.accounts {
            account.clusters = clusters.clone();
        }
        self
    }

    /// Looks at or changes the own account's usual region.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Region) -> R) -> R {
        self.simulator.change(|world| change(world.own(REGION)))
    }

    pub(crate) fn discovery(&self, once: bool, store: SnapshotStore) -> Discovery {
        let aws = Aws::isolated(self.simulator.connector(), REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY);
        let aws = aws.with_share(self.config.api_share);
        let config = Config { once, ..self.config.clone() };
        Discovery::new(&config, &aws, store, Arc::default(), self.output.clone()).unwrap()
    }

    /// Refreshes once, as `--once` does.
    pub(crate) async fn once(&self) -> Outcome {
        self.discovery(true, SnapshotStore::default()).once().await
    }

    /// Begins to refresh for ever.
    pub(crate) async fn run(&self) -> Running {
        self.run_into(SystemClock::default().store()).await
    }

    /// The same, for whoever else reads what is put there.
    pub(crate) async fn run_into(&self, store: SnapshotStore) -> Running {
        let discovery = self.discovery(false, store.clone());
        let published = discovery.subscribe();
        let (replacements, changes) = mpsc::channel(1);
        let task = tokio::spawn(discovery.run(changes)).abort_handle();
        Running { published, store, replacements, task }
    }

    /// What a fresh and undisturbed run finds in the world as it is.
    pub(crate) async fn fresh(&self) -> Self {
        let mut fresh = Self::new(self.simulator.change(|world| world.clone()));
        fresh.config.accounts = self.config.accounts.clone();
        fresh.config.rules = self.config.rules.clone();
        assert_eq!(fresh.once().await, Outcome::Complete);
        fresh
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(crate) fn state_file(&self) -> PathBuf {
        self.path(".prometheus-ecs-sd/state")
    }

    /// Changes the text of the state file, and the checksum with it.
    pub(crate) fn edit_state(&self, edit: impl FnOnce(&str) -> String) {
        let text = std::fs::read_to_string(self.state_file()).unwrap();
        let (facts, _) = text.rsplit_once("end ").unwrap();
        let edited = edit(facts);
        let sum = crc32fast::hash(edited.as_bytes());
        std::fs::write(self.state_file(), format!("{edited}end {sum:08x}\n")).unwrap();
    }

    /// The text of the file of one interval.
    pub(crate) fn file(&self, interval: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{interval}-tasks.json"))).unwrap()
    }

    /// The addresses in the file of one interval.
    pub(crate) fn targets(&self, interval: &str) -> Vec<String> {
        let groups: Vec<serde_json::Value> = serde_json::from_str(&self.file(interval)).unwrap();
        groups.iter().map(|group| group["targets"][0].as_str().unwrap().to_owned()).collect()
    }

    /// What was printed since this was last asked.
    pub(crate) fn printed(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.output.0.lock().unwrap())).unwrap()
    }

    /// The calls since this was last asked, as a table.
    pub(crate) fn asked(&self) -> String {
        self.simulator.take_ledger().to_string()
    }
}

/// A system clock that follows paused time, and can be set.
#[derive(Clone, Debug, Default)]
pub(crate) struct SystemClock(Arc<AtomicI64>);

impl SystemClock {
    /// Sets it so many seconds ahead of where it began; negative is behind.
    pub(crate) fn set(&self, ahead: i64) {
        self.0.store(ahead, Ordering::Relaxed);
    }

    /// A store whose times come from this clock.
    pub(crate) fn store(&self) -> SnapshotStore {
        let (ahead, begun, start) = (self.0.clone(), tokio::time::Instant::now(), SystemTime::now());
        SnapshotStore::timed_by(ProgramClock::following(move || {
            let (now, ahead) = (start + begun.elapsed(), ahead.load(Ordering::Relaxed));
            let by = Duration::from_secs(ahead.unsigned_abs());
            if ahead < 0 { now - by } else { now + by }
        }))
    }
}

/// A discovery that goes on until it is dropped.
pub(crate) struct Running {
    published: watch::Receiver<Published>,
    store: SnapshotStore,
    replacements: mpsc::Sender<Replacement>,
    task: AbortHandle,
}

impl Running {
    /// Goes on by another configuration, as after a reload.
    pub(crate) async fn replace(&self, config: &Config) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        self.replacements.send(Replacement { config: config.clone(), done }).await.unwrap();
        outcome.await.unwrap().map_err(|mistakes| mistakes.to_string())
    }

    /// Waits for the next publication; paused time passes as it must. Everything that the one before led to is
    /// written by then, since time does not pass while a file is being written.
    pub(crate) async fn next(&mut self) -> Published {
        self.next_within(Duration::MAX).await.unwrap()
    }

    /// The same, unless there is none for so long.
    pub(crate) async fn next_within(&mut self, limit: Duration) -> Option<Published> {
        tokio::time::timeout(limit, self.published.changed()).await.ok()?.unwrap();
        let published = self.published.borrow_and_update().clone();
        // Lets the sinks of this publication begin, and time stand still until they are done.
        tokio::time::sleep(Duration::from_millis(1)).await;
        Some(published)
    }

    /// Waits until a refresh of each source is published that ended after this.
    pub(crate) async fn round(&mut self) -> Published {
        let before = self.sources();
        loop {
            let published = self.next().await;
            // That is how long it waits after a publication.
            let at = self.store.clock().now() - Duration::from_millis(1);
            let sources = self.sources();
            let mut pairs = before.iter().zip(&sources);
            if pairs.all(|(before, now)| {
                now.refreshed != before.refreshed && now.refreshed.is_some_and(|refreshed| refreshed <= at)
            }) {
                return published;
            }
        }
    }

    /// What is published now.
    pub(crate) fn published(&self) -> Published {
        self.published.borrow().clone()
    }

    /// The status of each source.
    pub(crate) fn sources(&self) -> Vec<SourceStatus> {
        self.store.reader().sources.borrow().clone()
    }

    /// The status of each queue.
    pub(crate) fn queues(&self) -> Vec<QueueStatus> {
        self.store.reader().queues.borrow().clone()
    }

    /// Lets the configuration have been loaded again, or not.
    pub(crate) fn reloaded<T, E>(&self, result: &Result<T, E>) {
        self.store.metrics().reloaded(result);
    }

    /// The page of metrics.
    pub(crate) fn metrics(&self, format: Format) -> String {
        page(&self.store.metrics(), &self.store.reader(), format)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Clone, Debug, Default)]
struct Output(Arc<Mutex<Vec<u8>>>);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A definition of one container that opts in and listens at 8080.
pub(crate) fn opted_in(family: &str) -> TaskDefinition {
    let app = ContainerDefinition::new("app", "shop/app:1").env("PROMETHEUS", "true").port(8080);
    TaskDefinition::new(family).network_mode("awsvpc").container(app)
}

/// So many Fargate tasks of one definition in each of these clusters.
pub(crate) fn fleet(clusters: &[(&str, usize)]) -> World {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = region.register(opted_in("web"));
    for (cluster, tasks) in clusters {
        region.cluster(cluster);
        for _ in 0..*tasks {
            region.run(cluster, &definition, Placement::Fargate);
        }
    }
    world
}

/// The program on a world of every kind of fact there is, in two accounts and two regions.
pub(crate) fn every_case() -> Stage {
    let mut world = worlds::every_case();
    world.clock = Clock::Fixed(1_800_000_000);
    Stage::new(world)
        .regions(&["eu-central-1", "us-east-1"])
        .role(worlds::PARTNER_ROLE, Some(worlds::PARTNER_EXTERNAL_ID))
}
