//! Discover real accounts; the program without a command.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread::JoinHandle;

use tracing::info;

use crate::aws::Aws;
use crate::cli::{EXIT_INCOMPLETE, EXIT_USAGE, RunArgs, serve, until_stopped};
use crate::config::Config;
use crate::discovery::{Discovery, Outcome};
use crate::poller::Progress;
use crate::publisher::Outlet;
use crate::sinks::progress;

pub(super) fn run(arguments: &RunArgs) -> ExitCode {
    let config = match Config::new(arguments) {
        Ok(config) => config,
        Err(mistakes) => return usage(&mistakes.0),
    };
    until_stopped(async { Ok(discover(&config).await) })
}

async fn discover(config: &Config) -> ExitCode {
    let outlet = Outlet::default();
    // Before anything that takes long: whoever starts this program wants to hear from it.
    if let Err(unavailable) = serve(config, &outlet).await {
        return usage(&[unavailable.to_string()]);
    }
    let aws = Aws::load(None).await.with_share(config.api_share);
    let progress = Arc::new(Progress::default());
    let discovery = match Discovery::new(config, &aws, outlet, progress.clone(), io::stdout()) {
        Ok(discovery) => discovery,
        Err(mistake) => return usage(&[mistake.to_string()]),
    };
    let directory = config.directory.as_deref().map(|directory| tracing::field::display(directory.display()));
    info!(directory, interval = ?config.interval, "discovery begins");
    let drawing = io::stderr().is_terminal().then(|| progress::show(progress));
    if !config.once {
        discovery.run().await;
        return ExitCode::SUCCESS;
    }
    let outcome = discovery.once().await;
    // The line is to be gone when the prompt comes.
    drawing.map(JoinHandle::join);
    match outcome {
        Outcome::Complete => ExitCode::SUCCESS,
        Outcome::Incomplete => ExitCode::from(EXIT_INCOMPLETE),
        Outcome::Nothing => ExitCode::FAILURE,
    }
}

fn usage(mistakes: &[String]) -> ExitCode {
    for mistake in mistakes {
        eprintln!("error: {mistake}");
    }
    eprintln!("\nFor more information, try '--help'.");
    ExitCode::from(EXIT_USAGE)
}
