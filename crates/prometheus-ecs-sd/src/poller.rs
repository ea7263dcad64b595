//! When to ask: every source once a period, each on its own.
//!
//! Sources share nothing, so that one that is slow or fails holds up no other; a source that is still at it when
//! its next turn comes skips that turn.

mod before;
mod turn;
mod waiting;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, RoleArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::inventory::Inventory;
use ecs_discovery::inventory::question::{Failure, FailureKind};
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::snapshot::Scope;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, warn};

use crate::aws::{Aws, Source, SourceSpec};
use crate::board::SourceStanding;
use crate::clock::Clock;
use crate::config::{Account, Config};
use crate::publisher::Publisher;
use crate::telemetry::panics::{Panicked, caught_in};
use turn::Turn;

/// How long the results of fast sources wait for slower ones, so that Prometheus need not read the files again
/// for each source by itself.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(2);

/// A refresh begins up to this share of the interval late, so that many instances do not all ask at once.
const JITTER: f64 = 0.05;

/// All sources, and how they are looked at.
#[derive(Debug)]
pub struct Poller {
    sources: Vec<Polled>,
    settings: Arc<Settings>,
    interval: Duration,
    /// Facts of clusters that are no longer selected; they are published until all others were read.
    leaving: BTreeMap<String, Saved>,
}

#[derive(Debug)]
struct Settings {
    rules: Rules,
    recheck_interval: Duration,
    max_staleness: Duration,
    /// Accounts and regions that a role stands for.
    by_role: BTreeSet<(String, String)>,
    clock: Clock,
    progress: Arc<Progress>,
}

impl Settings {
    /// What is published of these scopes.
    fn published(&self, scopes: &BTreeMap<ClusterArn, Scope>) -> BTreeMap<ClusterArn, Scope> {
        let now = self.clock.now();
        let published = |(cluster, scope): (&ClusterArn, &Scope)| {
            (cluster.clone(), scope.published(now, self.max_staleness))
        };
        scopes.iter().map(published).collect()
    }
}

/// How far the first refresh has come, for people who wait for it.
#[derive(Debug, Default)]
pub struct Progress {
    /// Requests that were answered.
    pub answered: AtomicUsize,
    /// Requests that are known to be needed and are not answered.
    pub open: AtomicUsize,
    /// Whether every source has come to an end once.
    pub over: AtomicBool,
}

/// One source between its refreshes. While it is being refreshed, `facts` is with that refresh.
#[derive(Debug)]
struct Polled {
    source: Source,
    /// For people.
    name: Arc<str>,
    /// What its facts are saved as: names may be alike.
    id: Arc<str>,
    is_own: bool,
    clusters: ClusterSelection,
    facts: Option<Known>,
    /// Whether the last refresh read the whole source.
    complete: bool,
    /// What was known after the last refresh, whatever the one that is going on comes to, and when that held; `None`
    /// before there was any.
    saved: Option<(Arc<Saved>, Duration)>,
}

impl Polled {
    fn new(account: &Account, region: String, aws: &Aws) -> Self {
        let role = account.role.as_ref();
        let name = role.map_or_else(
            || "own account".to_owned(),
            |role| format!("{} ({})", role.account(), role.last_part()),
        );
        Self {
            name: format!("{name} {region}").into(),
            id: source_id(role, &region).into(),
            is_own: role.is_none(),
            clusters: account.clusters.clone(),
            facts: Some(Known::default()),
            complete: false,
            saved: None,
            source: aws.source(SourceSpec {
                role: role.cloned(),
                external_id: account.external_id.clone(),
                session_name: account.session_name.clone(),
                region,
            }),
        }
    }
}

/// Where an account is looked at.
fn regions(account: &Account, aws: &Aws) -> Result<Vec<String>, NoSources> {
    match &account.regions[..] {
        [] => Ok(vec![aws.default_region().ok_or_else(|| NoSources::NoRegion(aws.no_region()))?.to_owned()]),
        regions => Ok(regions.to_vec()),
    }
}

/// What the facts of a source are saved as.
pub(crate) fn source_id(role: Option<&RoleArn>, region: &str) -> String {
    format!("{} {region}", role.map_or("own account", |role| role.as_str()))
}

#[derive(Debug, Default)]
struct Known {
    inventory: Inventory,
    scopes: BTreeMap<ClusterArn, Scope>,
    saved: Arc<Saved>,
    account: Option<String>,
    /// When to ask STS for the account again, after it failed.
    account_due: Option<Instant>,
    /// What was last logged about the source as a whole.
    trouble: Option<FailureKind>,
    /// Operations that the credentials do not allow, as far as that was logged.
    denied: BTreeSet<&'static str>,
}

/// What one refresh of one source came to.
#[derive(Debug, Default)]
pub struct Heard {
    /// Its part of the snapshot.
    pub scopes: BTreeMap<ClusterArn, Scope>,
    /// Whether all of it was heard.
    pub complete: bool,
    /// Whether a definition or host could not be read, so that clusters that were read may lack a target.
    pub partial: bool,
    /// Clusters that were read but for some tasks, definitions or hosts.
    pub incomplete: BTreeSet<ClusterArn>,
    /// Known clusters that belong to another account than the credentials.
    pub foreign: Vec<ClusterArn>,
    /// Why its clusters could not be listed.
    pub failure: Option<Failure>,
    /// How long that took.
    pub took: Duration,
    /// What is known of the source, by its name; `None` before its first refresh.
    pub facts: Option<(Arc<str>, Arc<Saved>)>,
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
}

/// The result of a refresh of the source with this index.
type Refreshed = (usize, Result<(Known, Heard), Panicked>);

impl Poller {
    /// Whether there is a region for every account, and another one for each of those with the same credentials.
    pub fn check(config: &Config, aws: &Aws) -> Result<(), NoSources> {
        let mut seen = BTreeSet::new();
        for account in &config.accounts {
            for region in regions(account, aws)? {
                if !seen.insert(source_id(account.role.as_ref(), &region)) {
                    return Err(NoSources::Twice(region));
                }
            }
        }
        Ok(())
    }

    /// Prepares every account in every region; nothing is asked yet.
    pub fn new(config: &Config, aws: &Aws, progress: Arc<Progress>, clock: Clock) -> Result<Self, NoSources> {
        Self::check(config, aws)?;
        let configured = config.accounts.iter().flat_map(|account| &account.regions).map(String::as_str);
        let aws = &aws.clone().with_sts(config.sts_region.as_deref(), configured);
        let mut sources = Vec::new();
        let mut by_role = BTreeSet::new();
        for account in &config.accounts {
            let regions = regions(account, aws)?;
            let role = account.role.as_ref();
            by_role.extend(
                role.into_iter().flat_map(|role| {
                    regions.iter().map(|region| (role.account().to_owned(), region.clone()))
                }),
            );
            sources.extend(regions.into_iter().map(|region| Polled::new(account, region, aws)));
        }
        let settings = Settings {
            rules: config.rules.clone(),
            recheck_interval: config.recheck_interval,
            max_staleness: config.max_staleness,
            by_role,
            clock,
            progress,
        };
        let (settings, interval) = (Arc::new(settings), config.interval);
        Ok(Self { sources, settings, interval, leaving: BTreeMap::new() })
    }

    /// The sources as they stand before any was refreshed, and which clusters are looked for in each.
    pub fn standings(&self) -> Vec<(SourceStanding, ClusterSelection)> {
        let standing = |polled: &Polled| {
            let role = polled.source.role().cloned();
            let region = polled.source.region().to_owned();
            (SourceStanding::new(polled.name.clone(), role, region), polled.clusters.clone())
        };
        self.sources.iter().map(standing).collect()
    }

    /// Refreshes every source once, publishes, and ends.
    pub async fn once(mut self, publisher: &mut Publisher) {
        let mut running = JoinSet::new();
        self.begin(&mut running);
        while let Some(done) = running.join_next().await {
            self.end(done.expect("a panic is caught in it"), publisher);
        }
        self.publish(publisher);
    }

    /// Refreshes every source once a period, for ever.
    pub async fn run(&mut self, publisher: &mut Publisher) {
        let mut running = JoinSet::new();
        let mut period = Instant::now();
        let mut turn = period;
        let mut publish_at = None;
        loop {
            tokio::select! {
                () = sleep_until(turn) => {
                    for skipped in self.begin(&mut running) {
                        publisher.overdue(skipped);
                    }
                    // A fixed period, whatever the work took; turns that were slept through are gone.
                    while period <= Instant::now() {
                        period += self.interval;
                    }
                    turn = period + self.interval.mul_f64(JITTER * fastrand::f64());
                }
                Some(done) = running.join_next() => {
                    self.end(done.expect("a panic is caught in it"), publisher);
                    publish_at.get_or_insert_with(|| Instant::now() + WAIT_FOR_OTHERS);
                    if running.is_empty() {
                        publish_at = None;
                        self.publish(publisher);
                    }
                }
                () = sleep_until(publish_at.unwrap_or(turn)), if publish_at.is_some() => {
                    publish_at = None;
                    self.publish_part(publisher);
                }
            }
        }
    }

    /// Begins a refresh of each source that is not being refreshed; the others are returned.
    fn begin(&mut self, running: &mut JoinSet<Refreshed>) -> Vec<usize> {
        let mut skipped = Vec::new();
        let of_roles = self.sources.iter().filter(|polled| polled.complete);
        let of_roles = of_roles.filter_map(|polled| Some((polled.source.role()?, polled.source.region())));
        let heard_by_role: BTreeSet<_> =
            of_roles.map(|(role, region)| (role.account().to_owned(), region.to_owned())).collect();
        let heard_by_role = Arc::new(heard_by_role);
        for (index, polled) in self.sources.iter_mut().enumerate() {
            let Some(known) = polled.facts.take() else {
                debug!(source = %polled.name, "source is still being refreshed; its turn is skipped");
                skipped.push(index);
                continue;
            };
            let turn = Turn {
                source: polled.source.clone(),
                name: polled.name.clone(),
                id: polled.id.clone(),
                is_own: polled.is_own,
                clusters: polled.clusters.clone(),
                heard_by_role: heard_by_role.clone(),
                settings: self.settings.clone(),
            };
            running.spawn(async move { (index, caught_in(turn.refresh(known)).await) });
        }
        skipped
    }

    fn publish(&mut self, publisher: &mut Publisher) {
        self.settings.progress.over.store(true, Ordering::Relaxed);
        self.publish_part(publisher);
    }

    fn publish_part(&mut self, publisher: &mut Publisher) {
        publisher.publish();
        if !publisher.has_leaving() {
            self.leaving.clear();
        }
    }

    fn end(&mut self, (index, refreshed): Refreshed, publisher: &mut Publisher) {
        let (known, heard) = refreshed.unwrap_or_else(|panicked| {
            publisher.panicked(index, &panicked);
            self.after_panic(index, &panicked)
        });
        self.leave_foreign(index, &heard.foreign, publisher);
        let as_of = known.scopes.values().map(|scope| scope.heard).max().unwrap_or_default();
        self.sources[index].saved = Some((known.saved.clone(), as_of));
        self.sources[index].facts = Some(known);
        self.sources[index].complete = heard.complete;
        publisher.hear(index, heard);
    }

    /// The panic has destroyed the facts of the refresh. The facts that were saved after the refresh before replace
    /// them and keep the targets.
    fn after_panic(&self, index: usize, panicked: &Panicked) -> (Known, Heard) {
        let (polled, settings) = (&self.sources[index], &self.settings);
        let failure = Failure {
            kind: FailureKind::Unavailable,
            message: format!("the refresh panicked, which is a bug: {panicked}"),
        };
        warn!(source = %polled.name, error = %failure, "source could not be read in full");
        let (saved, as_of) = polled.saved.clone().unwrap_or_default();
        let now = settings.clock.now();
        let saved = Arc::unwrap_or_clone(saved);
        let (inventory, scopes) = saved.restore(&polled.clusters, &settings.rules, as_of, now);
        let held =
            |(cluster, scope): (ClusterArn, Scope)| (cluster, scope.held(failure.message.clone(), now));
        let scopes = scopes.into_iter().map(held).collect();
        // This records since when they are kept.
        let saved = Arc::new(inventory.saved(&scopes));
        let heard = Heard {
            scopes: settings.published(&scopes),
            facts: Some((polled.id.clone(), saved.clone())),
            failure: Some(failure.clone()),
            ..Heard::default()
        };
        (Known { inventory, scopes, saved, trouble: Some(failure.kind), ..Known::default() }, heard)
    }
}
