//! The command line, with one file for each command in `cli/`. [`config`](crate::config) checks the options together.

mod arguments;
mod check_config;
mod demo;
mod explain;
mod generate;
mod layers;
mod run;
mod variables;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, CommandFactory, Parser, Subcommand};
use ecs_discovery::text::printable;

use crate::aws::is_blank;
use crate::config::{Config, ConfigErrors, RunArgs};
use crate::published::SnapshotStore;
use crate::reload::Reloads;
use crate::shutdown::Shutdown;
use crate::sinks::http::{Auth, Server, Site};
use crate::telemetry;
use crate::telemetry::panics::{caught, caught_in};
use arguments::{DemoArgs, GenerateArgs, Product};
use layers::{Layers, Unread};

/// Invalid usage or configuration.
const EXIT_USAGE: u8 = 2;
/// Files were written, but some scope failed.
const EXIT_INCOMPLETE: u8 = 3;
/// Explained, and nothing would be scraped.
const EXIT_NOT_SCRAPED: u8 = 4;

/// Nearly all time is spent waiting for AWS; a second worker handles signals and sinks while a large answer is read.
const WORKERS: usize = 2;

const ENVIRONMENT_HELP: &str = "\
Every option also reads an environment variable: --directory reads PROMETHEUS_ECS_SD_DIRECTORY, and
so on; several values are separated by commas. AWS credentials, region and endpoints are read as the
AWS CLI reads them, for example from AWS_PROFILE.

Exit codes: 0 success, 1 failure, 2 bad usage or configuration, 3 written but some cluster failed,
4 explained and nothing would be scraped";

/// Prometheus service discovery for containers on Amazon ECS
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    about,
    after_help = ENVIRONMENT_HELP,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
struct Cli {
    #[command(flatten)]
    run: RunArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

impl Cli {
    /// The options of `run`, if the command has them.
    fn run_arguments(&self) -> Option<&RunArgs> {
        match &self.command {
            None => Some(&self.run),
            Some(Command::CheckConfig(arguments)) => Some(arguments),
            Some(Command::Generate(arguments)) => Some(&arguments.run),
            Some(Command::Demo(_) | Command::Explain(_)) => None,
        }
    }

    fn config_file(&self) -> Option<&Path> {
        match &self.command {
            Some(Command::Explain(arguments)) => arguments.config_file.as_deref(),
            _ => self.run_arguments()?.config_file.as_deref(),
        }
    }
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Run with a simulated fleet instead of an AWS account; its tasks answer real scrapes
    Demo(DemoArgs),
    /// Explain why a task, a service or a task definition is scraped or not, and what to change
    Explain(explain::ExplainArgs),
    /// Check the options and the configuration file, and show the result; sends no request
    CheckConfig(RunArgs),
    /// Print files for this configuration, such as IAM policies
    Generate(GenerateArgs),
}

/// Parses the command line and runs the command; returns the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let layers = match Layers::read(&arguments) {
        Ok(layers) => layers,
        Err(Unread::Usage(error)) => {
            // Not `exit()`: it would end a test, and `--help` is not an error.
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
        Err(Unread::File(errors)) => return usage(&errors),
    };
    let log = match &layers.cli.command {
        Some(Command::Demo(arguments)) => arguments.log,
        Some(Command::Explain(arguments)) => arguments.log,
        _ => layers.cli.run_arguments().map(|arguments| arguments.log).unwrap_or_default(),
    };
    let _last_messages = match telemetry::init(log) {
        Ok(last_messages) => last_messages,
        Err(error) => return failure(&error),
    };
    variables::warn_of_unknown(&command());
    let run = || match &layers.cli.command {
        None => run::run(layers, arguments),
        Some(Command::Demo(arguments)) => demo::run(arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments.clone(), layers.file),
        Some(Command::CheckConfig(_)) => check_config::run(layers),
        Some(Command::Generate(arguments)) => generate::run(&arguments.clone(), layers),
    };
    // The panic is already in the log.
    caught(run).unwrap_or(ExitCode::FAILURE)
}

/// Prints the errors, and refers to the help if one is about an option: the help does not describe files and AWS's
/// variables.
fn usage(errors: &ConfigErrors) -> ExitCode {
    let lines = errors.lines();
    lines.iter().for_each(tell);
    if lines.iter().any(|error| error.starts_with("--")) {
        eprintln!("\nFor more information, try '--help'.");
    }
    ExitCode::from(EXIT_USAGE)
}

/// Runs a command to its end, or until SIGINT or SIGTERM. The runtime does not wait for unfinished work: requests in
/// flight, or a write to a pipe that is not read.
fn until_stopped(command: impl Future<Output = std::io::Result<ExitCode>>) -> ExitCode {
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failure(&error),
        };
    // Otherwise a panic would drop the runtime, which waits for blocking work such as a write to a pipe that is not read.
    let code = runtime.block_on(caught_in(async {
        let mut shutdown = Shutdown::new()?;
        tokio::select! {
            () = shutdown.requested() => Ok(ExitCode::SUCCESS),
            code = command => code,
        }
    }));
    runtime.shutdown_background();
    match code {
        Ok(code) => code.unwrap_or_else(|error| failure(&error)),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Serves the content of `store` over HTTP, if that is configured; returns the address.
async fn serve(
    config: &Config,
    store: &SnapshotStore,
    reloads: Option<Reloads>,
) -> Result<Option<SocketAddr>, ConfigErrors> {
    let Some(listen) = &config.listen else { return Ok(None) };
    let failed = |error: &dyn fmt::Display| ConfigErrors::one(error.to_string());
    let auth = Auth::new(config.web_config_file.as_deref())?;
    let auth = auth.with_allowed_hosts(config.allowed_hosts.clone());
    let server = Server::bind(listen, config.directory.is_some()).await.map_err(|error| failed(&error))?;
    let address = server.address();
    let site = Site::new(store.reader(), store.metrics(), reloads);
    in_separate_threads(server.serve(site, auth)).map_err(|error| failed(&error))?;
    Ok(address)
}

/// Serves in separate threads, so that discovery does not wait while large answers are written.
fn in_separate_threads(serving: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(WORKERS).thread_name("http").enable_all().build()?;
    std::thread::Builder::new().name("http".to_owned()).spawn(move || runtime.block_on(serving))?;
    Ok(())
}

/// Prints an error as one line without control characters: its text may come from AWS.
fn tell(error: &impl fmt::Display) {
    eprintln!("error: {}", printable(&error.to_string()));
}

fn failure(error: &std::io::Error) -> ExitCode {
    tell(error);
    ExitCode::FAILURE
}

/// The command line with an environment variable for every option; a blank variable counts as unset. The demo reads
/// only the variables of its log, since those of a real account must not affect it. `explain` also reads the variables
/// that determine targets.
fn command() -> clap::Command {
    fn with_variable(option: Arg) -> Arg {
        match option.get_long() {
            Some("help" | "version") | None => option,
            Some(long) => {
                let name = variables::variable(long);
                match std::env::var_os(&name) {
                    Some(value) if is_blank(&value) => option,
                    _ => option.env(name).hide_env(true),
                }
            }
        }
    }
    let shared = |option: Arg| match option.get_long() {
        Some(
            "config-file"
            | "convention"
            | "default-scrape-interval-prefix"
            | "meta-labels"
            | "quiet"
            | "scrape-intervals"
            | "tags-to-labels",
        ) => with_variable(option),
        Some(long) if long.starts_with("log-") => with_variable(option),
        _ => option,
    };
    // Only the short help: otherwise `--help` would describe each log level on a separate line.
    let help =
        Arg::new("help").short('h').long("help").action(ArgAction::HelpShort).help("Print help").global(true);
    Cli::command()
        .disable_help_flag(true)
        .disable_help_subcommand(true)
        .mut_args(with_variable)
        .mut_subcommands(|command| {
            let command = command.disable_help_flag(true);
            match command.get_name() {
                "demo" | "explain" => command.mut_args(shared),
                _ => command.mut_args(with_variable),
            }
        })
        .arg(help)
}

#[cfg(test)]
mod tests {
    use super::command;

    #[test]
    fn the_options_are_consistent() {
        command().debug_assert();
    }
}
