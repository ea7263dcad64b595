//! Discover real accounts; the program without a command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, spawn_blocking};
use tokio::time::timeout;
use tracing::{info, warn};

use super::layers::{Layers, reread};
use super::{EXIT_INCOMPLETE, serve, until_stopped, usage};
use crate::aws::{Aws, Environment};
use crate::config::{Config, Directories, Mistakes};
use crate::directories::prepare;
use crate::discovery::{Discovery, Outcome};
use crate::published::Progress;
use crate::published::SnapshotStore;
use crate::reload::Reloader;
use crate::sinks::progress;

/// A disk that has not answered after this time may hang.
const HANGS_AFTER: Duration = Duration::from_secs(2);

pub(super) fn run(layers: Layers, arguments: Vec<OsString>) -> ExitCode {
    match Environment::of_process() {
        Ok(environment) => until_stopped(discover(layers, environment, arguments)),
        Err(mistakes) => usage(&mistakes),
    }
}

async fn discover(
    layers: Layers,
    environment: Environment,
    arguments: Vec<OsString>,
) -> io::Result<ExitCode> {
    let store = SnapshotStore::default();
    let (reloader, reloads) = Reloader::new(store.metrics())?;
    let serve = async |config: &Config| {
        let reloads = config.enable_lifecycle.then_some(reloads);
        serve(config, &store, reloads).await.map(drop)
    };
    let without_disk = layers.clone().config(Directories::LeftAlone);
    let mut preparing = spawn_blocking(|| layers.config(Directories::Prepared(prepare)));
    // All mistakes are reported together. But a hanging disk must not delay `/-/healthy`.
    let config = match (timeout(HANGS_AFTER, &mut preparing).await, without_disk) {
        (Err(_), Ok(config)) => {
            if let Err(mistakes) = serve(&config).await {
                return Ok(usage(&mistakes));
            }
            warn!(
                "the disk of the target directory or the state file does not answer; discovery waits for it"
            );
            prepared(preparing.await)
        }
        (Err(_), Err(_)) => prepared(preparing.await),
        (Ok(config), _) => match prepared(config) {
            Ok(config) => serve(&config).await.map(|()| config),
            Err(mistakes) => Err(mistakes),
        },
    };
    let config = match config {
        Ok(config) => config,
        Err(mistakes) => return Ok(usage(&mistakes)),
    };
    let aws = match Aws::load(None, &environment).await {
        Ok(aws) => aws.with_share(config.api_share),
        Err(mistakes) => return Ok(usage(&mistakes)),
    };
    let progress = Arc::new(Progress::default());
    let discovery = match Discovery::new(&config, &aws, store, progress.clone(), io::stdout()) {
        Ok(discovery) => discovery,
        Err(mistake) => return Ok(usage(&Mistakes(vec![mistake.to_string()]))),
    };
    let directory = config.directory.as_deref().map(|directory| tracing::field::display(directory.display()));
    let version = env!("CARGO_PKG_VERSION");
    info!(version, directory, interval = ?config.interval, sources = discovery.sources(), "discovery begins");
    let drawing = io::stderr().is_terminal().then(|| progress::show(progress));
    if !config.once {
        let (sender, replacements) = mpsc::channel(1);
        tokio::spawn(reloader.run(move || reread(&arguments), sender));
        // The discovery has its own, until a reload; then other processes may use what it does not use any more.
        drop(config);
        discovery.run(replacements).await;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = discovery.once().await;
    // The line is to be gone when the prompt comes.
    drawing.map(JoinHandle::join);
    Ok(match outcome {
        Outcome::Complete => ExitCode::SUCCESS,
        Outcome::Incomplete => ExitCode::from(EXIT_INCOMPLETE),
        Outcome::Nothing => ExitCode::FAILURE,
    })
}

fn prepared(config: Result<Result<Config, Mistakes>, JoinError>) -> Result<Config, Mistakes> {
    config.expect("reading the configuration does not panic")
}
