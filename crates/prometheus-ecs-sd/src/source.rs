//! The sources: one actor for each account in each region, which owns the facts of its source for as long as the source
//! is configured.
//!
//! Sources share nothing but the bound on answers in memory, so that a slow or failing one stops no other. A source
//! that is still being refreshed when its next refresh is due skips that refresh.

mod actor;
mod answers;
mod errand;
pub(crate) mod events;
mod handover;
mod liveness;
mod run;
mod schedule;
mod waiting;
mod wishes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, RoleArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::Scope;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

use crate::aws::{Aws, Queue, Source, SourceSpec};
use crate::clock::Clock;
use crate::config::{Account, Config, QueueAddress};
use crate::published::{EventStatus, Patch, Progress, SourceResult, SourceStatus, source_id};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::panics::{Panicked, caught};
use actor::Actor;
use answers::AnswerLimit;
use events::{Delivery, MAX_WAITING, Route, Routes};
pub(crate) use handover::{claimed, departing, deselected};

/// An account and a region.
type Place = (String, String);

/// The settings of all sources, and what they share.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) rules: Rules,
    pub(crate) max_staleness: Duration,
    pub(crate) clock: Clock,
    recheck_interval: Duration,
    interval: Duration,
    /// The time between refreshes while events are live.
    reconcile_interval: Duration,
    /// The queues that are read.
    queues: Arc<[QueueAddress]>,
    metrics: Metrics,
    /// Whether every source is refreshed only once.
    once: bool,
    /// Whether there are sources to spread over the interval.
    are_spread: bool,
    /// Accounts and regions that are discovered through a role.
    by_role: BTreeSet<Place>,
    shared: Arc<Shared>,
}

/// State that all sources share, across reloads.
#[derive(Debug, Default)]
struct Shared {
    progress: Arc<Progress>,
    answers: AnswerLimit,
    /// How many sources are being refreshed.
    refreshing: AtomicUsize,
    /// The roles, by the ids of their sources, through which an account was read in full in a region.
    read_by_role: Mutex<BTreeMap<Arc<str>, Place>>,
}

impl Shared {
    fn read_by_role(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Place>> {
        self.read_by_role.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Settings {
    /// The part of these scopes that is published.
    pub(crate) fn published(&self, scopes: &BTreeMap<ClusterArn, Scope>) -> BTreeMap<ClusterArn, Scope> {
        let now = self.clock.now();
        let published = |(cluster, scope): (&ClusterArn, &Scope)| {
            (cluster.clone(), scope.published(now, self.max_staleness))
        };
        scopes.iter().map(published).collect()
    }
}

/// One source as it is configured.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// For people. Names may be alike.
    pub(crate) name: Arc<str>,
    /// Under this id its facts are saved.
    pub(crate) id: Arc<str>,
    pub(crate) clusters: ClusterSelection,
    /// Whether events are read, and whether those of this source are expected.
    pub(crate) events: Expected,
    source: Source,
    credentials: SourceSpec,
}

/// Whether events of a source are expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expected {
    /// No queue is read.
    Never,
    /// Queues are read, and none of them is of its account and region. There may be events of it in a central one.
    Perhaps,
    /// There is a queue for it.
    Surely,
}

impl Expected {
    /// For a source with that role in that region. A queue in no account of a role there is one of the own account.
    fn of(config: &Config, default_region: Option<&str>, role: Option<&RoleArn>, region: &str) -> Self {
        let is_in_region = |queue: &&QueueAddress| queue.region.as_deref().or(default_region) == Some(region);
        let is_read_there = |regions: &[String]| match regions {
            [] => default_region == Some(region),
            regions => regions.iter().any(|other| other == region),
        };
        let has_role = |id: &str| {
            let is_it = |account: &Account| account.role.as_ref().is_some_and(|role| role.account() == id);
            config.accounts.iter().any(|account| is_it(account) && is_read_there(&account.regions))
        };
        let is_for_it = |queue: &QueueAddress| match (queue.account.as_deref(), role) {
            (None, _) => true,
            (Some(account), Some(role)) => role.account() == account,
            (Some(account), None) => !has_role(account),
        };
        match config.reads_queues() {
            false => Self::Never,
            true if config.event_queues.iter().filter(is_in_region).any(is_for_it) => Self::Surely,
            true => Self::Perhaps,
        }
    }

    /// Before the first event.
    pub(crate) fn status(self) -> EventStatus {
        match self {
            Self::Never | Self::Perhaps => EventStatus::Off,
            Self::Surely => EventStatus::Waiting,
        }
    }
}

impl Spec {
    fn new(account: &Account, region: String, events: Expected, aws: &Aws, rules: &Rules) -> Self {
        let role = account.role.as_ref();
        let name = role.map_or_else(
            || "own account".to_owned(),
            |role| format!("{} ({})", role.account(), role.last_part()),
        );
        let credentials = SourceSpec {
            role: role.cloned(),
            external_id: account.external_id.clone(),
            session_name: account.session_name.clone(),
            region,
        };
        Self {
            name: format!("{name} {}", credentials.region).into(),
            id: source_id(role, &credentials.region).into(),
            clusters: account.clusters.clone(),
            events,
            source: aws.source(credentials.clone()).keeping(rules.names()),
            credentials,
        }
    }

    fn role(&self) -> Option<&RoleArn> {
        self.credentials.role.as_ref()
    }

    pub(crate) fn region(&self) -> &str {
        &self.credentials.region
    }

    pub(crate) fn is_own(&self) -> bool {
        self.role().is_none()
    }

    /// Whether it is a role of this account in this region.
    pub(crate) fn is_role_of(&self, account: Option<&str>, region: &str) -> bool {
        self.role().is_some_and(|role| Some(role.account()) == account) && self.region() == region
    }

    /// Its status before it was refreshed.
    pub(crate) fn status(&self) -> SourceStatus {
        SourceStatus::new(self.name.clone(), self.role().cloned(), self.credentials.region.clone())
    }
}

/// The regions of an account that are discovered.
fn regions(account: &Account, aws: &Aws) -> Result<Vec<String>, NoSources> {
    match &account.regions[..] {
        [] => Ok(vec![aws.default_region().ok_or_else(|| NoSources::NoRegion(aws.no_region()))?.to_owned()]),
        regions => Ok(regions.to_vec()),
    }
}

/// Why there are no sources.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSources {
    /// No region is named anywhere; how to name one in the AWS configuration.
    #[error("--region: no region is named; add --region, or {0}")]
    NoRegion(String),
    /// One names a region, the other leaves it to the AWS configuration.
    #[error("two sources have the same credentials in region {0}, which is the usual one; put both together")]
    Twice(String),
    /// A queue is in no region; how to name one in the AWS configuration.
    #[error("--event-queue: the queue {0} is in no region; give its ARN, or {1}")]
    QueueWithoutRegion(String, String),
    /// A queue is in a region that is not discovered, since one leaves the region to the AWS configuration.
    #[error(
        "--event-queue: the queue {0} is in a region that is not discovered; add the region to --region, or remove the \
         queue"
    )]
    QueueElsewhere(String),
}

/// Checks that there is a region for every account, and another one for each of those with the same credentials; and that
/// each queue is in a region, in one that is discovered if it names its region.
pub(crate) fn check(config: &Config, aws: &Aws) -> Result<(), NoSources> {
    let (mut seen, mut discovered) = (BTreeSet::new(), BTreeSet::new());
    for account in &config.accounts {
        for region in regions(account, aws)? {
            if !seen.insert(source_id(account.role.as_ref(), &region)) {
                return Err(NoSources::Twice(region));
            }
            discovered.insert(region);
        }
    }
    let queues = if config.reads_queues() { &config.event_queues[..] } else { &[] };
    for queue in queues {
        match &queue.region {
            Some(region) if !discovered.contains(region) => {
                return Err(NoSources::QueueElsewhere(queue.label()));
            }
            None if aws.default_region().is_none() => {
                return Err(NoSources::QueueWithoutRegion(queue.label(), aws.no_region()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A message of a source, and the number and the id of its sender.
type Message = (u64, Arc<str>, Report);

/// The content of a message.
#[derive(Debug)]
pub(crate) enum Report {
    /// A refresh ended. With the facts of clusters that were found to belong to another account than the credentials.
    Result(Box<SourceResult>, Saved),
    /// The facts that are known in the middle of a refresh, to be saved.
    Learned(Arc<Saved>),
    /// Clusters changed without a refresh.
    Patch(Patch),
    /// No refresh was needed: events told every change until now.
    Fresh,
    /// Whether events are relied on, and the time between refreshes.
    Events(EventStatus, Duration),
    /// The next refresh was due before the last one ended.
    Overdue,
    /// A refresh panicked; its result follows.
    Panicked(Panicked),
}

/// What a source continues with after a reload.
#[derive(Debug)]
pub(crate) struct Continued {
    /// Its clusters by the new rules and the new selection.
    pub(crate) scopes: BTreeMap<ClusterArn, Scope>,
    pub(crate) facts: Arc<Saved>,
    /// The facts of clusters that are no longer selected.
    pub(crate) departing: Saved,
}

/// A command for a source.
enum Command {
    /// Continues with other settings, and with facts of clusters that are selected again. It is refreshed as soon as
    /// possible. Its messages have another number from then on.
    Configure(Box<Configuration>, oneshot::Sender<Continued>),
    /// Ends, and hands over its facts.
    End(oneshot::Sender<Saved>),
}

struct Configuration {
    number: u64,
    spec: Spec,
    settings: Settings,
    selected_again: Saved,
}

/// All sources, in the order of the configuration. They end when this is dropped.
#[derive(Debug)]
pub(crate) struct Sources {
    settings: Settings,
    running: Vec<Running>,
    tasks: JoinSet<()>,
    reports: mpsc::UnboundedReceiver<Message>,
    /// Messages that were received while older ones were looked for.
    held: VecDeque<Message>,
    /// A source sends a message when a refresh begins or ends and every few seconds in between, and the receiver never
    /// waits for AWS or a disk.
    reporting: mpsc::UnboundedSender<Message>,
    /// The last number that a sender of messages was given.
    numbers: u64,
    routes: Routes,
}

/// The actor of one source.
#[derive(Debug)]
struct Running {
    spec: Spec,
    number: u64,
    commands: mpsc::Sender<Command>,
    deliveries: mpsc::Sender<Delivery>,
}

impl Sources {
    /// No source yet.
    pub(crate) fn new(config: &Config, progress: Arc<Progress>, clock: Clock, metrics: Metrics) -> Self {
        let shared = Arc::new(Shared { progress, ..Shared::default() });
        let (reporting, reports) = mpsc::unbounded_channel();
        let settings = Settings {
            rules: config.rules.clone(),
            max_staleness: config.max_staleness,
            clock,
            recheck_interval: config.recheck_interval,
            interval: config.interval,
            reconcile_interval: config.reconcile_interval,
            queues: config.event_queues.clone().into(),
            metrics,
            once: config.once,
            are_spread: false,
            by_role: BTreeSet::new(),
            shared,
        };
        Self {
            settings,
            running: Vec::new(),
            tasks: JoinSet::new(),
            reports,
            held: VecDeque::new(),
            reporting,
            numbers: 0,
            routes: Routes::default(),
        }
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Prepares every account in every region, and takes over the settings; nothing is requested yet.
    pub(crate) fn plan(&mut self, config: &Config, aws: &Aws) -> Result<Vec<Spec>, NoSources> {
        check(config, aws)?;
        let configured = config.accounts.iter().flat_map(|account| &account.regions).map(String::as_str);
        let aws = &aws.clone().with_sts(config.sts_region.as_deref(), configured);
        let mut specs = Vec::new();
        let mut by_role = BTreeSet::new();
        for account in &config.accounts {
            for region in regions(account, aws)? {
                by_role.extend(account.role.as_ref().map(|role| (role.account().to_owned(), region.clone())));
                let events = Expected::of(config, aws.default_region(), account.role.as_ref(), &region);
                specs.push(Spec::new(account, region, events, aws, &config.rules));
            }
        }
        self.settings = Settings {
            rules: config.rules.clone(),
            max_staleness: config.max_staleness,
            recheck_interval: config.recheck_interval,
            interval: config.interval,
            reconcile_interval: config.reconcile_interval,
            queues: config.event_queues.clone().into(),
            are_spread: specs.len() > 1,
            by_role,
            ..self.settings.clone()
        };
        Ok(specs)
    }

    /// Begins to refresh a source that continues with saved facts, as of that time. Returns its clusters.
    pub(crate) fn begin(
        &mut self,
        spec: Spec,
        saved: Option<(Saved, Duration)>,
        forgiven: bool,
    ) -> Option<Continued> {
        self.numbers += 1;
        let number = self.numbers;
        let (commands, receiver) = mpsc::channel(1);
        let actor = |spec: &Spec| {
            let (deliveries, receiver) = mpsc::channel(MAX_WAITING);
            let (settings, reporting) = (self.settings.clone(), self.reporting.clone());
            (Actor::new(spec.clone(), settings, number, reporting, receiver), deliveries)
        };
        let (mut first, mut deliveries) = actor(&spec);
        let restored = caught(|| saved.map(|(saved, as_of)| first.restore(saved, as_of, forgiven)));
        let continued = restored.unwrap_or_else(|panicked| {
            // It begins without facts.
            (first, deliveries) = actor(&spec);
            first.report(Report::Panicked(panicked));
            None
        });
        self.tasks.spawn(first.run(receiver));
        self.running.push(Running { spec, number, commands, deliveries });
        self.route();
        continued
    }

    /// Has a source continue by these settings; `None` if it panicked on that.
    pub(crate) async fn configure(&mut self, spec: Spec, selected_again: Saved) -> Option<Continued> {
        let position = self.running.iter().position(|running| running.spec.id == spec.id)?;
        self.numbers += 1;
        let number = self.numbers;
        let Running { commands, deliveries, .. } = self.running.remove(position);
        self.running.push(Running { spec: spec.clone(), number, commands: commands.clone(), deliveries });
        self.route();
        let (reply, continued) = oneshot::channel();
        let configuration = Configuration { number, spec, settings: self.settings.clone(), selected_again };
        commands.send(Command::Configure(Box::new(configuration), reply)).await.ok()?;
        continued.await.ok()
    }

    /// Ends the source with this id, and returns its facts.
    pub(crate) async fn end(&mut self, id: &str) -> Option<Saved> {
        let position = self.running.iter().position(|running| *running.spec.id == *id)?;
        let running = self.running.remove(position);
        self.route();
        self.settings.shared.read_by_role().remove(id);
        let (reply, facts) = oneshot::channel();
        running.commands.send(Command::End(reply)).await.ok()?;
        let facts = facts.await.ok();
        while self.tasks.try_join_next().is_some() {}
        facts
    }

    /// The sources, in the order of the configuration.
    pub(crate) fn specs(&self) -> impl Iterator<Item = &Spec> {
        self.running.iter().map(|running| &running.spec)
    }

    /// The way of messages from the queues to the sources.
    pub(crate) fn routes(&self) -> &Routes {
        &self.routes
    }

    /// A queue that is read with the credentials of a role: that of its account in its region.
    pub(crate) fn queue(&self, address: &QueueAddress) -> Option<Queue> {
        let (account, region) = (address.account.as_deref()?, address.region.as_deref()?);
        let spec = self.specs().find(|spec| spec.is_role_of(Some(account), region))?;
        Some(spec.source.queue(address))
    }

    fn route(&self) {
        let route = |Running { spec, deliveries, .. }: &Running| Route {
            account: spec.role().map(|role| role.account().to_owned()),
            region: spec.region().to_owned(),
            clusters: spec.clusters.clone(),
            deliveries: deliveries.clone(),
        };
        let names = self.settings.rules.names().clone();
        self.routes.replace(self.running.iter().map(route).collect(), names);
    }

    /// The next message, and the id of its source. Cancellation-safe.
    pub(crate) async fn next(&mut self) -> (Arc<str>, Report) {
        if let Some((_, id, report)) = self.held.pop_front() {
            return (id, report);
        }
        let (_, id, report) = self.reports.recv().await.expect("a sender is kept here");
        (id, report)
    }

    /// The messages that sources have sent before they ended or were configured.
    pub(crate) fn earlier(&mut self) -> Vec<(Arc<str>, Report)> {
        let mut earlier = Vec::new();
        let mut messages = std::mem::take(&mut self.held);
        messages.extend(std::iter::from_fn(|| self.reports.try_recv().ok()));
        for (number, id, report) in messages {
            match self.running.iter().any(|running| running.number == number) {
                true => self.held.push_back((number, id, report)),
                false => earlier.push((id, report)),
            }
        }
        earlier
    }

    /// Whether a refresh is going on.
    pub(crate) fn are_refreshing(&self) -> bool {
        self.settings.shared.refreshing.load(Ordering::Acquire) > 0
    }

    /// Notes that every source was refreshed once.
    pub(crate) fn first_is_over(&self) {
        self.settings.shared.progress.over.store(true, Ordering::Relaxed);
    }
}
