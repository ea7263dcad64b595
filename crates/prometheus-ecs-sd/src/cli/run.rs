//! Discover real accounts; the program without a command.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::mpsc;
use tracing::info;

use super::layers::{Layers, reread};
use super::{EXIT_INCOMPLETE, serve, until_stopped, usage};
use crate::aws::Aws;
use crate::board::Outlet;
use crate::config::{Config, Directories, Mistakes};
use crate::discovery::{Discovery, Outcome};
use crate::poller::Progress;
use crate::reload::Reloader;
use crate::sinks::progress;

pub(super) fn run(layers: Layers, arguments: Vec<OsString>) -> ExitCode {
    match layers.config(Directories::Prepared) {
        Ok(config) => until_stopped(discover(config, arguments)),
        Err(mistakes) => usage(&mistakes),
    }
}

async fn discover(config: Config, arguments: Vec<OsString>) -> io::Result<ExitCode> {
    let outlet = Outlet::default();
    let (reloader, reloads) = Reloader::new(outlet.metrics())?;
    // Before anything that takes long: whoever starts this program wants to hear from it.
    let reloads = config.enable_lifecycle.then_some(reloads);
    if let Err(mistakes) = serve(&config, &outlet, reloads).await {
        return Ok(usage(&mistakes));
    }
    let aws = Aws::load(None).await.with_share(config.api_share);
    let progress = Arc::new(Progress::default());
    let discovery = match Discovery::new(&config, &aws, outlet, progress.clone(), io::stdout()) {
        Ok(discovery) => discovery,
        Err(mistake) => return Ok(usage(&Mistakes(vec![mistake.to_string()]))),
    };
    let directory = config.directory.as_deref().map(|directory| tracing::field::display(directory.display()));
    info!(directory, interval = ?config.interval, "discovery begins");
    let drawing = io::stderr().is_terminal().then(|| progress::show(progress));
    if !config.once {
        let (sender, replacements) = mpsc::channel(1);
        tokio::spawn(reloader.run(move || reread(&arguments), sender));
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
