//! The program's parts, wired: sources → publisher → sinks, until the end of one refresh or for ever.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::interval::Intervals;
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::text::clipped;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{info, warn};

use crate::aws::Aws;
use crate::config::{Config, ConfigErrors, Layout};
use crate::events::Readers;
use crate::published::{Pending, Progress, Published, SnapshotStore, SourceStatus};
use crate::publisher::{Past, PublishRules, Publisher, Saver};
use crate::reload::Replacement;
use crate::sinks::changes::Changes;
use crate::sinks::file_sd::{FileSd, Outcome as Wrote};
use crate::source::events::pause;
use crate::source::{self, Expected, NoSources, Report, Sources, Spec, claimed, departing, deselected};
use crate::state::{Revision, State, StateFile};
use crate::telemetry::metrics::{Metrics, Part};
use crate::telemetry::panics::caught;

/// How long the results of fast sources wait for slower ones that are being refreshed, so that Prometheus need not read
/// the files again for each source.
const WAIT_FOR_OTHERS: Duration = Duration::from_secs(2);

/// How long a reload waits for target files that are being written: 100,000 targets take about two seconds.
const ENDED_WITHIN: Duration = Duration::from_secs(10);

/// What a single refresh came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was heard and written.
    Complete,
    /// Files were written, but some account, region or cluster could not be read, or a changed selection has no targets
    /// and the previous ones stay.
    Incomplete,
    /// Nothing could be written.
    Nothing,
}

/// A discovery that is ready to begin.
#[derive(Debug)]
pub struct Discovery {
    config: Config,
    aws: Aws,
    store: SnapshotStore,
    /// The sources that are configured, before they begin.
    specs: Vec<Spec>,
    sources: Sources,
    publisher: Publisher,
    /// When the results that came in are published at the latest.
    publish_at: Option<Instant>,
    /// When changed targets were last published, and when anything was.
    changed: Option<Instant>,
    told: Option<Instant>,
    /// The publication that is to be saved and then shown.
    pending: watch::Sender<Pending>,
    /// What a process before this one has saved.
    before: Option<State>,
    files: Files,
    changes: JoinHandle<()>,
    /// The readers of the queues of events.
    readers: Readers,
}

impl Discovery {
    /// Prepares it; must be called in a runtime, where the sinks wait from now on. The results are put in `store`,
    /// and what changes is told on `out`.
    pub fn new(
        config: &Config,
        aws: &Aws,
        store: SnapshotStore,
        progress: Arc<Progress>,
        out: impl Write + Send + 'static,
    ) -> Result<Self, NoSources> {
        let metrics = store.metrics();
        store.watch(aws);
        let aws = aws.clone().with_metrics(metrics.clone());
        let mut sources = Sources::new(config, progress, store.clock(), metrics.clone());
        let specs = sources.plan(config, &aws)?;
        store.show(config.shown(), config.rules.clone());
        let before = config.state_file.as_deref().and_then(|path| StateFile::new(path).read());
        let pending = watch::Sender::default();
        let known = before.as_ref().and_then(|before| before.revision);
        let files = Files::begin(config, &store, &pending, known);
        // HTTP has served the saved publication, unless the state file or the target files say that there was a newer
        // one.
        let is_newest = before.as_ref().is_some_and(|before| before.is_newest && before.revision.is_some());
        let past = Past::of(is_newest && files.are_known);
        let publisher = Publisher::new(
            store.clone(),
            pending.clone(),
            statuses(&specs, config),
            (past, publish_rules(config)),
        );
        let changes = Changes::new(out, (!config.quiet).then_some(config.log_format));
        Ok(Self {
            before,
            files,
            pending,
            changes: tokio::spawn(tell_changes(changes, publisher.subscribe(), metrics)),
            specs,
            sources,
            publisher,
            publish_at: None,
            changed: None,
            told: None,
            readers: Readers::default(),
            config: config.clone(),
            aws,
            store,
        })
    }

    /// The selected accounts, regions and clusters, for the log.
    pub fn sources(&self) -> String {
        let source = |spec: &Spec| {
            let patterns: Vec<_> = spec.clusters.patterns().iter().map(ClusterPattern::as_str).collect();
            let clusters = if patterns.is_empty() { "all clusters".to_owned() } else { patterns.join(" ") };
            format!("{}: {clusters}", spec.name)
        };
        let sources: Vec<_> = self.specs.iter().map(source).collect();
        clipped(&sources.join(", "))
    }

    /// What is published, for whoever else wants to read it.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.publisher.subscribe()
    }

    /// Refreshes for ever, and by another configuration once there is one.
    pub async fn run(mut self, mut replacements: mpsc::Receiver<Replacement>) {
        self.begin();
        loop {
            tokio::select! {
                biased;
                replacement = next_replacement(&self.config, &self.aws, &mut replacements) => {
                    let Replacement { config, done } = replacement;
                    let outcome = self.replace(config).await;
                    // The client that waited for it may have disconnected.
                    let _ = done.send(outcome.map_err(|problem| ConfigErrors::one(problem.to_string())));
                }
                (source, report) = self.sources.next() => self.take(&source, report),
                () = sleep_until(self.publish_at.unwrap_or_else(Instant::now)), if self.publish_at.is_some() => {
                    self.publish();
                }
            }
        }
    }

    /// Refreshes once, and waits until all is written.
    pub async fn once(mut self) -> Outcome {
        let published = self.publisher.subscribe();
        self.begin();
        while !self.publisher.are_refreshed() {
            let (source, report) = self.sources.next().await;
            self.take_in(&source, report);
        }
        self.publish();
        // The sinks end when there is nothing more to come.
        drop((self.publisher, self.pending, self.store, self.sources));
        self.files.saver.await.expect("panics are caught in it");
        self.changes.await.expect("panics are caught in the sink");
        let wrote = self.files.task.await.expect("panics are caught in the sink");
        let published = published.borrow();
        let complete = is_complete(&published, &self.config) && !published.keeps_deselected;
        match wrote {
            Some(Wrote { succeeded: true, keeps: false }) if complete => Outcome::Complete,
            Some(Wrote { succeeded: true, .. }) => Outcome::Incomplete,
            _ => Outcome::Nothing,
        }
    }

    /// Begins all sources, and publishes what a process before this one has saved of them.
    fn begin(&mut self) {
        let State { mut sources, as_of, .. } = self.before.take().unwrap_or_default();
        // Those that no source continues with are saved again, too.
        sources.values_mut().for_each(|saved| saved.keep(self.config.rules.names()));
        let specs = std::mem::take(&mut self.specs);
        let saved = claimed(&specs.iter().collect::<Vec<_>>(), &mut sources);
        let mut is_known = false;
        for (spec, saved) in specs.into_iter().zip(saved) {
            let id = spec.id.clone();
            let Some(continued) = self.sources.begin(spec, saved.map(|saved| (saved, as_of)), true) else {
                continue;
            };
            is_known |= !continued.scopes.is_empty();
            self.publisher.restore(&id, continued.scopes, continued.facts);
            self.depart(deselected(&id), continued.departing, as_of);
        }
        for (id, saved) in sources {
            self.depart(id, saved, as_of);
        }
        self.read_queues();
        if is_known {
            self.publisher.publish();
        }
    }

    fn read_queues(&mut self) {
        for spec in self.sources.specs().filter(|spec| spec.events == Expected::Perhaps) {
            info!(source = %spec.name, "no queue serves the source; it is refreshed as without events until one comes");
        }
        self.readers = Readers::begin(&self.config, &self.aws, &self.sources, &self.store);
    }

    /// Continues by another configuration. Sources that stay keep their facts and the refresh that is going on. What is
    /// published stays until the sources that replace its source were read.
    async fn replace(&mut self, config: Config) -> Result<(), NoSources> {
        self.aws.draw(config.api_share);
        let specs = self.sources.plan(&config, &self.aws)?;
        let as_of = self.store.clock.now();
        let mut facts = self.publisher.take_departing();
        self.end_sources(&specs, &mut facts).await;
        let is_new = |spec: &&Spec| !self.sources.specs().any(|known| known.id == spec.id);
        let new: Vec<_> = specs.iter().filter(is_new).collect();
        let saved = claimed(&new, &mut facts);
        let mut new: BTreeMap<_, _> = new.iter().map(|spec| spec.id.clone()).zip(saved).collect();
        let begun: BTreeSet<_> = new.keys().cloned().collect();
        let (statuses, mut all_continued) = (statuses(&specs, &config), Vec::new());
        for spec in specs {
            let id = spec.id.clone();
            let continued = match new.remove(&id) {
                Some(saved) => self.sources.begin(spec, saved.map(|saved| (saved, as_of)), false),
                None => {
                    let mut left = facts.remove(&deselected(&id)).unwrap_or_default();
                    let selected_again = left.split_off(|cluster| spec.clusters.selects(cluster));
                    let continued = self.sources.configure(spec, selected_again.clone()).await;
                    // If it panicked, they are published as before.
                    if continued.is_none() {
                        left.merge(selected_again);
                    }
                    facts.insert(deselected(&id), left);
                    continued
                }
            };
            all_continued.extend(continued.map(|continued| (id, continued)));
        }
        // What the sources sent before is older than what they continue with.
        for (id, report) in self.sources.earlier() {
            if !matches!(report, Report::Learned(_)) {
                self.take_in(&id, report);
            }
        }
        self.publisher.reconfigure(statuses, |id| !begun.contains(id), publish_rules(&config));
        self.store.show(config.shown(), config.rules.clone());
        for (id, continued) in all_continued {
            self.publisher.restore(&id, continued.scopes, continued.facts);
            self.depart(deselected(&id), continued.departing, as_of);
        }
        for (id, saved) in facts {
            self.depart(id, saved, as_of);
        }
        if self.files.settings != FileSettings::of(&config) {
            let known = self.files.end().await;
            let old = self.files.settings.state_file.clone();
            if let Some(old) = old.filter(|old| Some(old) != config.state_file.as_ref()) {
                // The reload does not wait for the disk.
                tokio::task::spawn_blocking(move || StateFile::new(&old).leave());
            }
            self.files = Files::begin(&config, &self.store, &self.pending, Some(known));
        }
        let reads_others =
            (&self.config.event_queues, &self.config.accounts) != (&config.event_queues, &config.accounts);
        self.config = config;
        if reads_others {
            self.read_queues();
        }
        self.publish();
        Ok(())
    }

    /// Ends the sources that do not stay, and collects their facts.
    async fn end_sources(&mut self, specs: &[Spec], facts: &mut BTreeMap<String, Saved>) {
        let is_known = |id: &str| self.sources.specs().any(|spec| *spec.id == *id);
        let standings = self.store.sources.borrow().clone();
        let account = |id: &str| standings.iter().find(|one| one.id() == id)?.account.as_deref();
        // A new role of the own account continues with its facts.
        let is_new_role =
            |spec: &Spec, own: &Spec| spec.is_role_of(account(&own.id), own.region()) && !is_known(&spec.id);
        let has_new_role = |own: &Spec| specs.iter().any(|spec| is_new_role(spec, own));
        let stays = |spec: &&Spec| {
            specs.iter().any(|new| new.id == spec.id) && !(spec.is_own() && has_new_role(spec))
        };
        let ending = self.sources.specs().filter(|spec| !stays(spec));
        let ending: Vec<_> = ending.map(|spec| spec.id.clone()).collect();
        for id in ending {
            if let Some(saved) = self.sources.end(&id).await {
                facts.insert(id.to_string(), saved);
            }
        }
    }

    /// Continues to publish facts that no source continues with.
    fn depart(&mut self, id: String, saved: Saved, as_of: Duration) {
        if !saved.scopes.is_empty() {
            let (scopes, saved) = departing(saved, as_of, self.sources.settings());
            self.publisher.depart(id.into(), scopes, saved);
        }
    }

    /// Takes a source's message, and publishes if all sources are idle.
    fn take(&mut self, source: &str, report: Report) {
        let wait = match &report {
            Report::Result(..) if !self.sources.are_refreshing() => Duration::ZERO,
            Report::Result(..) => WAIT_FOR_OTHERS,
            Report::Fresh => WAIT_FOR_OTHERS.max(self.pause_since(self.told)),
            // Several sources together keep the pause that each of them keeps.
            Report::Patch(patch) => {
                self.pause_since(if patch.has_targets { self.changed } else { self.told })
            }
            Report::Learned(_) | Report::Events(..) | Report::Overdue | Report::Panicked(_) => {
                return self.take_in(source, report);
            }
        };
        self.take_in(source, report);
        if wait.is_zero() {
            self.publish();
        } else {
            let at = Instant::now() + wait;
            self.publish_at = Some(self.publish_at.map_or(at, |before| before.min(at)));
        }
    }

    /// What is left of the pause after a publication.
    fn pause_since(&self, publication: Option<Instant>) -> Duration {
        let targets = self.store.published.borrow().snapshot.target_count();
        publication.map_or(Duration::ZERO, |at| pause(targets).saturating_sub(at.elapsed()))
    }

    fn take_in(&mut self, source: &str, report: Report) {
        match report {
            Report::Result(result, departing) => {
                self.depart(deselected(source), departing, self.store.clock.now());
                self.publisher.apply(source, *result);
            }
            Report::Learned(facts) => self.publisher.learn(source, facts),
            Report::Patch(patch) => self.publisher.patch(source, patch),
            Report::Fresh => {}
            Report::Events(events, interval) => self.publisher.note_events(source, events, interval),
            Report::Overdue => self.publisher.overdue(source),
            Report::Panicked(panicked) => self.publisher.panicked(source, &panicked),
        }
    }

    fn publish(&mut self) {
        self.publish_at = None;
        if self.publisher.are_refreshed() {
            self.sources.first_is_over();
        }
        let has_changed = self.publisher.publish();
        self.told = Some(Instant::now());
        self.changed = if has_changed { self.told } else { self.changed };
    }
}

/// The sources' status before they were refreshed, and their selected clusters.
fn statuses(specs: &[Spec], config: &Config) -> Vec<(SourceStatus, ClusterSelection)> {
    let status = |spec: &Spec| {
        let (interval, events) = (config.interval, spec.events.status());
        (SourceStatus { interval, events, ..spec.status() }, spec.clusters.clone())
    };
    specs.iter().map(status).collect()
}

/// Whether everything was read that was asked for. A denied cluster counts as asked for if it is selected by name.
fn is_complete(published: &Published, config: &Config) -> bool {
    let is_named = |cluster| config.accounts.iter().any(|account| account.clusters.names(cluster));
    let mut scopes = published.snapshot.scopes.iter();
    published.complete && !scopes.any(|(cluster, scope)| scope.denied && is_named(cluster))
}

/// Waits for a configuration that is another one and can be; answers the others.
async fn next_replacement(
    current: &Config,
    aws: &Aws,
    replacements: &mut mpsc::Receiver<Replacement>,
) -> Replacement {
    while let Some(Replacement { config, done }) = replacements.recv().await {
        let outcome = source::check(&config, aws);
        if outcome.is_ok() {
            aws.read_again();
            let config = without_restart(current, config);
            if config != *current {
                return Replacement { config, done };
            }
        }
        let _ = done.send(outcome.map_err(|problem| ConfigErrors::one(problem.to_string())));
    }
    std::future::pending().await
}

/// The new configuration as far as it can be in effect, since some things cannot be changed while they are in use.
fn without_restart(before: &Config, now: Config) -> Config {
    let differing = [
        ("listen_address", before.listen != now.listen),
        ("allowed_host", before.allowed_hosts != now.allowed_hosts),
        ("web_config_file", before.web_config_file != now.web_config_file),
        ("enable_lifecycle", before.enable_lifecycle != now.enable_lifecycle),
        ("once", before.once != now.once),
        ("log_format", before.log_format != now.log_format),
        ("quiet", before.quiet != now.quiet),
    ];
    for (setting, _) in differing.into_iter().filter(|(_, differs)| *differs) {
        warn!(setting, "a setting differs that takes effect at the next start only");
    }
    let Config { listen, allowed_hosts, web_config_file, enable_lifecycle, once, log_format, quiet, .. } =
        before.clone();
    Config { listen, allowed_hosts, web_config_file, enable_lifecycle, once, log_format, quiet, ..now }
}

fn publish_rules(config: &Config) -> PublishRules {
    PublishRules { max_staleness: config.max_staleness, allow_empty: config.allow_empty }
}

/// The tasks that write the state file and the target files, and their configuration.
#[derive(Debug)]
struct Files {
    settings: FileSettings,
    /// Dropped when there is to be no more.
    end: Option<(oneshot::Sender<()>, oneshot::Sender<()>)>,
    saver: JoinHandle<Saver>,
    task: JoinHandle<Option<Wrote>>,
    /// Whether the process knew everything that the target files contained.
    are_known: bool,
}

/// What files there are.
#[derive(Debug, PartialEq, Eq)]
struct FileSettings {
    directory: Option<PathBuf>,
    layout: Layout,
    state_file: Option<PathBuf>,
    intervals: Intervals,
    /// Intervals of equal length may have other names.
    interval_names: Vec<String>,
}

impl FileSettings {
    fn of(config: &Config) -> Self {
        let Config { directory, file_layout, state_file, rules, .. } = config.clone();
        let names = rules.intervals.offered().iter().map(|interval| interval.name().to_owned());
        let interval_names = names.collect();
        Self { directory, layout: file_layout, state_file, intervals: rules.intervals, interval_names }
    }
}

impl Files {
    /// Saves and writes all publications from now on, which continue after the revision `known`.
    fn begin(
        config: &Config,
        store: &SnapshotStore,
        pending: &watch::Sender<Pending>,
        known: Option<Revision>,
    ) -> Self {
        let metrics = store.metrics();
        let state = config.state_file.as_deref().map(|path| StateFile::new(path).counted(&metrics));
        let (layout, intervals) = (config.file_layout, &config.rules.intervals);
        let files = |directory| FileSd::new(directory, layout, intervals, known).counted(&metrics);
        let files = config.directory.as_deref().map(files);
        let of_state = state.iter().map(|_| "state".to_owned());
        metrics.files(&files.iter().flat_map(FileSd::names).chain(of_state).collect());
        let are_known = files.as_ref().is_none_or(|files| !files.keeps());
        let goes_on = files.as_ref().is_none_or(FileSd::goes_on);
        let revision = known.filter(|_| goes_on).unwrap_or_else(Revision::begin);
        let (end_of_saver, saver_ended) = oneshot::channel::<()>();
        let (end_of_files, files_ended) = oneshot::channel();
        let (mut unsaved, mut published) = (pending.subscribe(), store.reader().published);
        // The new files need not wait for later publications.
        if unsaved.borrow().published.number > published.borrow().number {
            unsaved.mark_changed();
        }
        if published.borrow().number > 0 {
            published.mark_changed();
        }
        let saver = Saver::new(state, revision, store).run(store.clone(), unsaved, async {
            let _ = saver_ended.await;
        });
        Self {
            settings: FileSettings::of(config),
            end: Some((end_of_saver, end_of_files)),
            saver: tokio::spawn(saver),
            task: tokio::spawn(write_files(files, published, files_ended, metrics)),
            are_known,
        }
    }

    /// Waits for the current writes. Returns the revision of the facts that were last published.
    async fn end(&mut self) -> Revision {
        self.end = None;
        let saver = (&mut self.saver).await.expect("panics are caught in it");
        // What hangs is not waited for: it ends after that write.
        match timeout(ENDED_WITHIN, &mut self.task).await {
            Ok(ended) => drop(ended.expect("panics are caught in the sink")),
            Err(_) => warn!("target files are still being written, the disk takes too long"),
        }
        saver.revision()
    }
}

/// Returns the result of the last write of the target files, if there was any.
async fn write_files(
    mut files: Option<FileSd>,
    mut published: watch::Receiver<Published>,
    mut ended: oneshot::Receiver<()>,
    metrics: Metrics,
) -> Option<Wrote> {
    let mut wrote = None;
    loop {
        let now = tokio::select! {
            now = next(&mut published) => now,
            _ = &mut ended => return wrote,
        };
        let Ok(now) = now else { return wrote };
        let received = now.received.filter(|_| files.is_some());
        let write = tokio::task::spawn_blocking(move || {
            let written = caught(|| files.as_mut().map(|files| files.write(&now)));
            (files, written)
        });
        let written;
        (files, written) = write.await.expect("a panic is caught in it");
        wrote = Some(match written {
            Ok(written) => written.unwrap_or(Wrote { succeeded: true, keeps: false }),
            Err(panicked) => {
                metrics.panicked(Part::Files, &panicked);
                Wrote { succeeded: false, keeps: false }
            }
        });
        if let (Some(received), Some(Wrote { succeeded: true, .. })) = (received, wrote) {
            metrics.event_written(received.elapsed());
        }
    }
}

async fn tell_changes<W: Write + Send + 'static>(
    mut changes: Changes<W>,
    mut published: watch::Receiver<Published>,
    metrics: Metrics,
) {
    while let Ok(now) = next(&mut published).await {
        // Whoever reads the output may take their time.
        let tell = tokio::task::spawn_blocking(move || {
            let told = caught(|| changes.tell(&now));
            (changes, told)
        });
        let told;
        (changes, told) = tell.await.expect("a panic is caught in it");
        if let Err(panicked) = told {
            metrics.panicked(Part::Changes, &panicked);
        }
    }
}

async fn next(published: &mut watch::Receiver<Published>) -> Result<Published, watch::error::RecvError> {
    published.changed().await?;
    Ok(published.borrow_and_update().clone())
}
