//! Discovers real accounts; the program without a command.

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
use crate::config::{Config, ConfigErrors, Directories};
use crate::directories::prepare;
use crate::discovery::{Discovery, Outcome};
use crate::published::Progress;
use crate::published::SnapshotStore;
use crate::reload::Reloader;
use crate::sinks::progress;

/// A disk that has not answered within this time may hang.
const HANGS_AFTER: Duration = Duration::from_secs(2);

pub(super) fn run(layers: Layers, arguments: Vec<OsString>) -> ExitCode {
    match Environment::of_process() {
        Ok(environment) => until_stopped(discover(layers, environment, arguments)),
        Err(errors) => usage(&errors),
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
    // All errors are reported together. But a hanging disk must not delay `/-/healthy`.
    let config = match (timeout(HANGS_AFTER, &mut preparing).await, without_disk) {
        (Err(_), Ok(config)) => {
            if let Err(errors) = serve(&config).await {
                return Ok(usage(&errors));
            }
            warn!(
                "the disk of the target directory or the state file does not answer; discovery waits for it"
            );
            prepared(preparing.await)
        }
        (Err(_), Err(_)) => prepared(preparing.await),
        (Ok(config), _) => match prepared(config) {
            Ok(config) => serve(&config).await.map(|()| config),
            Err(errors) => Err(errors),
        },
    };
    let config = match config {
        Ok(config) => config,
        Err(errors) => return Ok(usage(&errors)),
    };
    let aws = match Aws::load(None, &environment).await {
        Ok(aws) => aws.with_share(config.api_share),
        Err(errors) => return Ok(usage(&errors)),
    };
    let progress = Arc::new(Progress::default());
    let discovery = match Discovery::new(&config, &aws, store, progress.clone(), io::stdout()) {
        Ok(discovery) => discovery,
        Err(error) => return Ok(usage(&ConfigErrors::one(error.to_string()))),
    };
    let directory = config.directory.as_deref().map(|directory| tracing::field::display(directory.display()));
    let version = env!("CARGO_PKG_VERSION");
    info!(version, directory, interval = ?config.interval, sources = discovery.sources(), "discovery begins");
    let drawing = io::stderr().is_terminal().then(|| progress::show(progress));
    if !config.once {
        let (sender, replacements) = mpsc::channel(1);
        tokio::spawn(reloader.run(move || reread(&arguments), sender));
        // The discovery has a copy until a reload; then other processes may lock the files that it no longer uses.
        drop(config);
        discovery.run(replacements).await;
        return Ok(ExitCode::SUCCESS);
    }
    let outcome = discovery.once().await;
    // The progress line must be gone before the shell prompt.
    drawing.map(JoinHandle::join);
    Ok(match outcome {
        Outcome::Complete => ExitCode::SUCCESS,
        Outcome::Incomplete => ExitCode::from(EXIT_INCOMPLETE),
        Outcome::Nothing => ExitCode::FAILURE,
    })
}

fn prepared(config: Result<Result<Config, ConfigErrors>, JoinError>) -> Result<Config, ConfigErrors> {
    config.expect("reading the configuration does not panic")
}
