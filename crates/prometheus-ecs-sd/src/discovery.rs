//! The whole of it, wired: poller → publisher → sinks, until the end of one refresh or for ever.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use ecs_discovery::interval::Intervals;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tracing::warn;

use crate::aws::Aws;
use crate::board::{Outlet, Published};
use crate::config::{Config, Mistakes};
use crate::poller::{NoSources, Poller, Progress};
use crate::publisher::Publisher;
use crate::reload::Replacement;
use crate::sinks::changes::Changes;
use crate::sinks::file_sd::{FileSd, Layout};
use crate::state::{State, StateFile};
use crate::telemetry::metrics::{Metrics, Part};
use crate::telemetry::panics::caught;

/// What a single refresh came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was heard and written.
    Complete,
    /// Files were written, but some account, region or cluster could not be heard.
    Incomplete,
    /// Nothing could be written.
    Nothing,
}

/// A discovery that is ready to begin.
#[derive(Debug)]
pub struct Discovery {
    config: Config,
    aws: Aws,
    outlet: Outlet,
    progress: Arc<Progress>,
    poller: Poller,
    publisher: Publisher,
    /// What a process before this one has saved.
    before: Option<State>,
    files: Files,
    changes: JoinHandle<()>,
}

impl Discovery {
    /// Prepares it; must be called in a runtime, where the sinks wait from now on. What it comes to is put in `outlet`,
    /// and what changes is told on `out`.
    pub fn new(
        config: &Config,
        aws: &Aws,
        outlet: Outlet,
        progress: Arc<Progress>,
        out: impl Write + Send + 'static,
    ) -> Result<Self, NoSources> {
        let metrics = outlet.metrics();
        metrics.watch(aws);
        let aws = aws.clone().with_metrics(metrics.clone());
        let poller = Poller::new(config, &aws, progress.clone(), outlet.clock())?;
        let publisher = Publisher::new(outlet.clone(), poller.standings());
        outlet.show(config.shown(), config.rules.intervals.clone());
        let before = config.state_file.as_deref().and_then(|path| StateFile::new(path).read());
        let files = Files::begin(config, &metrics, publisher.subscribe());
        Ok(Self {
            before,
            files,
            changes: tokio::spawn(tell_changes(Changes::new(out), publisher.subscribe(), metrics)),
            poller,
            publisher,
            config: config.clone(),
            aws,
            outlet,
            progress,
        })
    }

    /// What is published, for whoever else wants to read it.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.publisher.subscribe()
    }

    /// Refreshes for ever, and by other rules once there are others.
    pub async fn run(mut self, mut replacements: mpsc::Receiver<Replacement>) {
        self.restore();
        loop {
            // A refresh that takes long must come to its end, however often something comes that changes nothing.
            let Replacement { config, done } = tokio::select! {
                () = self.poller.run(&mut self.publisher) => unreachable!("it polls for ever"),
                replacement = next_replacement(&self.config, &self.aws, &mut replacements) => replacement,
            };
            let outcome = self.replace(config).await.map_err(|problem| Mistakes(vec![problem.to_string()]));
            // Whoever waited for it may have left.
            let _ = done.send(outcome);
        }
    }

    /// Goes on by another configuration. Sources that stay keep their facts, as in a restart; what is published
    /// stays until the new sources come to something.
    async fn replace(&mut self, config: Config) -> Result<(), NoSources> {
        self.aws.draw(config.api_share);
        let (known, awaited) = (self.poller.known(), self.publisher.is_waiting());
        self.poller = Poller::new(&config, &self.aws, self.progress.clone(), self.outlet.clock())?;
        self.publisher = Publisher::new(self.outlet.clone(), self.poller.standings());
        self.outlet.show(config.shown(), config.rules.intervals.clone());
        if self.files.settings != FileSettings::of(&config) {
            self.files.end().await;
            let mut published = self.publisher.subscribe();
            // The new files need not wait for what is not published yet.
            if published.borrow().number > 0 {
                published.mark_changed();
            }
            self.files = Files::begin(&config, &self.outlet.metrics(), published);
        }
        self.config = config;
        self.poller.restore(known, awaited, &mut self.publisher);
        Ok(())
    }

    /// Refreshes once, and waits until all is written.
    pub async fn once(mut self) -> Outcome {
        let published = self.publisher.subscribe();
        self.restore();
        self.poller.once(&mut self.publisher).await;
        let complete = is_complete(&published.borrow(), &self.config);
        // The sinks end when there is nothing more to come.
        drop((self.publisher, self.outlet));
        self.changes.await.expect("panics are caught in the sink");
        match self.files.task.await.expect("panics are caught in the sink") {
            Some(true) if complete => Outcome::Complete,
            Some(true) => Outcome::Incomplete,
            Some(false) | None => Outcome::Nothing,
        }
    }

    fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            self.poller.restore(before, false, &mut self.publisher);
        }
    }
}

/// Whether all was heard that was asked for: a cluster that AWS denies was, if it is selected by its name.
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
        let outcome = Poller::check(&config, aws);
        if outcome.is_ok() {
            aws.read_again();
            let config = without_restart(current, config);
            if config != *current {
                return Replacement { config, done };
            }
        }
        let _ = done.send(outcome.map_err(|problem| Mistakes(vec![problem.to_string()])));
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
    ];
    for (setting, _) in differing.into_iter().filter(|(_, differs)| *differs) {
        warn!(setting, "a setting differs that takes effect at the next start only");
    }
    let Config { listen, allowed_hosts, web_config_file, enable_lifecycle, once, .. } = before.clone();
    Config { listen, allowed_hosts, web_config_file, enable_lifecycle, once, ..now }
}

/// The sink of the target files and of the state file, and what it was made for.
#[derive(Debug)]
struct Files {
    settings: FileSettings,
    /// Dropped when there is to be no more.
    end: Option<oneshot::Sender<()>>,
    task: JoinHandle<Option<bool>>,
}

/// What files there are.
#[derive(Debug, PartialEq, Eq)]
struct FileSettings {
    directory: Option<PathBuf>,
    layout: Layout,
    state_file: Option<PathBuf>,
    intervals: Intervals,
}

impl FileSettings {
    fn of(config: &Config) -> Self {
        let Config { directory, file_layout, state_file, rules, .. } = config.clone();
        Self { directory, layout: file_layout, state_file, intervals: rules.intervals }
    }
}

impl Files {
    /// Writes what is published from now on.
    fn begin(config: &Config, metrics: &Metrics, published: watch::Receiver<Published>) -> Self {
        let state = config.state_file.as_deref().map(|path| StateFile::new(path).counted(metrics));
        let (layout, intervals) = (config.file_layout, &config.rules.intervals);
        let files = |directory| FileSd::new(directory, layout, intervals, config.once).counted(metrics);
        let files = config.directory.as_deref().map(files);
        let of_state = state.iter().map(|_| "state".to_owned());
        metrics.files(&files.iter().flat_map(FileSd::names).chain(of_state).collect());
        let (end, ended) = oneshot::channel();
        let task = tokio::spawn(write_files(state, files, published, ended, metrics.clone()));
        Self { settings: FileSettings::of(config), end: Some(end), task }
    }

    /// Waits for what is being written.
    async fn end(&mut self) {
        self.end = None;
        (&mut self.task).await.expect("panics are caught in the sink");
    }
}

/// Returns whether the last write of the target files succeeded, if there was any. The state goes first: no target is
/// in a file that the next process would not know of.
async fn write_files(
    mut state: Option<StateFile>,
    mut files: Option<FileSd>,
    mut published: watch::Receiver<Published>,
    mut ended: oneshot::Receiver<()>,
    metrics: Metrics,
) -> Option<bool> {
    let mut succeeded = None;
    loop {
        let now = tokio::select! {
            now = next(&mut published) => now,
            _ = &mut ended => return succeeded,
        };
        let Ok(now) = now else { return succeeded };
        let write = tokio::task::spawn_blocking(move || {
            let written = caught(|| {
                if let (Some(state), Some(facts)) = (&mut state, &now.facts) {
                    state.write(facts);
                }
                files.as_mut().is_none_or(|files| files.write(&now.snapshot, now.complete))
            });
            (state, files, written)
        });
        let written;
        (state, files, written) = write.await.expect("a panic is caught in it");
        succeeded = Some(written.unwrap_or_else(|panicked| {
            metrics.panicked(Part::Files, &panicked);
            false
        }));
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
