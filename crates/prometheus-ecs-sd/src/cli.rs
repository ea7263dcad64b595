//! The command line. One command a file in `cli/`; what the options mean together is [`config`](crate::config)'s.

mod check_config;
mod demo;
mod explain;
mod generate;
mod layers;
mod run;

use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use clap::{Arg, ArgAction, Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::config::{Config, Mistakes};
use crate::publisher::Outlet;
use crate::reload::Reloads;
use crate::shutdown::Shutdown;
use crate::sinks::file_sd::Layout;
use crate::sinks::http::{Access, Server, Site};
use crate::telemetry;
use layers::{Layers, Unread};

/// Bad usage or configuration.
const EXIT_USAGE: u8 = 2;
/// Files were written, but some scope failed.
const EXIT_INCOMPLETE: u8 = 3;
/// Explained, and nothing would be scraped.
const EXIT_NOT_SCRAPED: u8 = 4;

/// Nearly all time is spent waiting for AWS; a second worker keeps signals and sinks going while a big answer is read.
const WORKERS: usize = 2;

const ENVIRONMENT_HELP: &str = "\
Every option also reads an environment variable: --directory reads PROMETHEUS_ECS_SD_DIRECTORY, and
so on; several values are separated by commas. AWS credentials, region and endpoints come from where
the AWS CLI takes them: AWS_PROFILE=x just works.

Exit codes: 0 success, 1 failure, 2 bad usage or configuration, 3 written but some cluster failed,
4 explained and nothing would be scraped";

/// Prometheus service discovery for containers on Amazon ECS
#[derive(Debug, Parser)]
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
    /// What the command takes of what `run` takes, if anything.
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

#[derive(Debug, Subcommand)]
enum Command {
    /// Try it without an AWS account: a simulated fleet, with tasks that answer real scrapes
    Demo(DemoArgs),
    /// Why a task, a service or a task definition is scraped as it is, or not, and what to change
    Explain(explain::ExplainArgs),
    /// Check the options and the configuration file, and show what they come to; asks nobody
    CheckConfig(RunArgs),
    /// Print things to copy, made for the configuration at hand
    Generate(GenerateArgs),
}

/// What the discovery of a real account takes.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Every option by its name, and sources with settings of their own; YAML
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub config_file: Option<std::path::PathBuf>,

    /// Where the target files go; must exist and be writable [default: no files]
    #[arg(long, value_name = "DIR", help_heading = "Output")]
    pub directory: Option<std::path::PathBuf>,

    /// Where HTTP is served: HOST:PORT, or none [default: 127.0.0.1:9779, if free]
    #[arg(long, value_name = "ADDR", help_heading = "Output")]
    pub listen_address: Option<String>,

    /// Who may in over HTTP: TLS and basic auth, in the format of Prometheus' web configuration
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub web_config_file: Option<std::path::PathBuf>,

    /// One target file for each scrape interval, or a single one
    #[arg(long, value_name = "LAYOUT", value_enum, default_value = "per-interval", help_heading = "Output")]
    pub file_layout: Layout,
    /// Let POST /-/reload read the configuration file again
    #[arg(long, help_heading = "Output")]
    pub enable_lifecycle: bool,

    /// Refresh once and exit: 0 complete, 3 written but some cluster failed
    #[arg(long, help_heading = "Output")]
    pub once: bool,

    /// Time between refreshes: seconds, or 90s, 2m
    #[arg(long, value_name = "T", default_value = "60", help_heading = "Output")]
    pub interval: String,

    /// Time within which each running task is described again for its health and tags
    #[arg(long, value_name = "T", default_value = "10m", help_heading = "Output")]
    pub recheck_interval: String,

    /// Time after which the targets of a cluster that cannot be read are let go
    #[arg(long, value_name = "T", default_value = "never", help_heading = "Output")]
    pub max_staleness: String,

    /// Where facts outlast a restart, or none [default: DIR/.prometheus-ecs-sd/state]
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    pub state_file: Option<std::path::PathBuf>,

    /// Also discover the accounts of these roles
    #[arg(
        long,
        visible_alias = "roles",
        value_name = "ARN",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "Where to look"
    )]
    pub role: Vec<String>,

    /// External id for assuming the roles
    #[arg(long, value_name = "ID", help_heading = "Where to look")]
    pub external_id: Option<String>,

    /// Leave out the account of the credentials, look only at those of the roles
    #[arg(long, help_heading = "Where to look")]
    pub no_own_account: bool,

    /// Regions [default: the AWS configuration's]
    #[arg(
        long,
        alias = "regions",
        value_name = "R",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "Where to look"
    )]
    pub region: Vec<String>,

    /// Only these clusters: names, ARNs, or globs such as 'prod-*' [default: all]
    #[arg(
        long,
        visible_alias = "cluster-arns",
        alias = "clusters",
        value_name = "C",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "Where to look"
    )]
    pub cluster: Vec<String>,

    /// Share of AWS's request limits to use, up to 1; the rest is left to others
    #[arg(
        long,
        value_name = "SHARE",
        default_value = crate::aws::Share::DEFAULT,
        help_heading = "Where to look"
    )]
    pub api_share: String,

    /// Scrape intervals that containers can ask for, one file each
    #[arg(
        long,
        value_name = "T",
        num_args = 1..,
        value_delimiter = ',',
        default_values = ecs_discovery::interval::Intervals::OFFERED,
        help_heading = "Targets"
    )]
    pub scrape_intervals: Vec<String>,

    /// Scrape interval of containers that ask for none
    #[arg(
        long,
        value_name = "T",
        default_value = ecs_discovery::interval::Intervals::DEFAULT,
        help_heading = "Targets"
    )]
    pub default_scrape_interval_prefix: String,

    /// Publish these tags of task definitions and tasks as __meta_ecs_tag_…; '*' for all
    #[arg(
        long,
        value_name = "K",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "Targets"
    )]
    pub tags_to_labels: Vec<String>,

    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What the demo takes.
#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Where the target files and prometheus.yml go [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<std::path::PathBuf>,

    /// Where HTTP is served: HOST:PORT, or none [default: 127.0.0.1:9779, if free]
    #[arg(long, value_name = "ADDR")]
    pub listen_address: Option<String>,

    /// Time between refreshes: seconds, or 90s, 2m
    #[arg(long, value_name = "T", default_value = "5")]
    pub interval: String,

    /// Time between one task's end and the next one's
    #[arg(long, value_name = "T", default_value = "20")]
    pub churn: String,

    /// How to log.
    #[command(flatten)]
    pub log: LogArgs,
}

/// What is made, and what it is made for.
#[derive(Clone, Debug, Args)]
struct GenerateArgs {
    /// What to print
    #[arg(value_enum, value_name = "WHAT")]
    product: Product,

    /// For which shell: bash, elvish, fish, powershell or zsh
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    shell: Option<clap_complete::Shell>,

    /// For which configuration.
    #[command(flatten)]
    run: RunArgs,
}

/// Things that people copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Product {
    /// Scrape configuration for Prometheus
    PrometheusConfig,
    /// What the program's own credentials must be allowed
    IamPolicy,
    /// What each of the roles must be allowed
    IamRolePolicy,
    /// Completions for a shell
    Completions,
    /// The manual page
    Man,
}

/// How to log, on standard error.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct LogArgs {
    /// The least important messages to log
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info", help_heading = "Logs")]
    pub log_level: LogLevel,

    /// The form of messages on standard error
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", help_heading = "Logs")]
    pub log_format: LogFormat,
}

/// The least important messages to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// What stops the program.
    Error,
    /// Where an operator should act.
    Warn,
    /// Each change.
    #[default]
    Info,
    /// Each refresh and each failed request.
    Debug,
    /// Everything, the AWS SDK's messages included.
    Trace,
}

/// The form of log messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Parses the command line, runs what it says until that ends, and tells the exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let layers = match Layers::read(&arguments) {
        Ok(layers) => layers,
        Err(Unread::Usage(error)) => {
            // Not `exit()`: it would skip what follows in a test, and `--help` is no error.
            let code = if error.use_stderr() { EXIT_USAGE } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
        Err(Unread::File(mistakes)) => return usage(&mistakes),
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
    match &layers.cli.command {
        None => run::run(layers, arguments),
        Some(Command::Demo(arguments)) => demo::run(arguments),
        Some(Command::Explain(arguments)) => explain::run(&arguments.clone(), layers.file),
        Some(Command::CheckConfig(_)) => check_config::run(layers),
        Some(Command::Generate(arguments)) => generate::run(&arguments.clone(), layers),
    }
}

/// Says what is wrong, and where to read on.
fn usage(Mistakes(mistakes): &Mistakes) -> ExitCode {
    for mistake in mistakes {
        eprintln!("error: {mistake}");
    }
    eprintln!("\nFor more information, try '--help'.");
    ExitCode::from(EXIT_USAGE)
}

/// Runs a command to its end, or until SIGINT or SIGTERM, in a runtime that does not wait for what is still going on
/// then: requests in flight, a write to a pipe that nobody reads.
fn until_stopped(command: impl Future<Output = std::io::Result<ExitCode>>) -> ExitCode {
    let runtime =
        match tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build() {
            Ok(runtime) => runtime,
            Err(error) => return failure(&error),
        };
    let code = runtime.block_on(async {
        let mut shutdown = Shutdown::new()?;
        tokio::select! {
            () = shutdown.requested() => Ok(ExitCode::SUCCESS),
            code = command => code,
        }
    });
    runtime.shutdown_background();
    code.unwrap_or_else(|error| failure(&error))
}

/// Serves what will be put in `outlet` over HTTP, if that is configured, and says where.
async fn serve(
    config: &Config,
    outlet: &Outlet,
    reloads: Option<Reloads>,
) -> Result<(Site, Option<SocketAddr>), Mistakes> {
    let site = Site::new(outlet.board(), outlet.metrics(), reloads);
    let Some(listen) = &config.listen else { return Ok((site, None)) };
    let mistake = |error: &dyn fmt::Display| Mistakes(vec![error.to_string()]);
    let access = Access::new(config.web_config_file.as_deref())?;
    let server = Server::bind(listen, config.directory.is_some()).await.map_err(|error| mistake(&error))?;
    let address = server.as_ref().and_then(|server| server.address().ok());
    if let Some(server) = server {
        apart(server.serve(site.clone(), access)).map_err(|error| mistake(&error))?;
    }
    Ok((site, address))
}

/// Serves in threads of its own, so that discovery does not wait while big answers are written.
fn apart(serving: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(WORKERS).thread_name("http").enable_all().build()?;
    std::thread::Builder::new().name("http".to_owned()).spawn(move || runtime.block_on(serving))?;
    Ok(())
}

fn failure(error: &std::io::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

/// The command line with an environment variable for every option. The demo takes only those for its log: what
/// is set for a real account's files must not reach it. An explanation takes those too that say what becomes a target.
fn command() -> clap::Command {
    fn with_variable(option: Arg) -> Arg {
        match option.get_long() {
            Some("help" | "version") | None => option,
            Some(long) => {
                let name = format!("PROMETHEUS_ECS_SD_{}", long.to_uppercase().replace('-', "_"));
                option.env(name).hide_env(true)
            }
        }
    }
    let shared = |option: Arg| match option.get_long() {
        Some("config-file" | "default-scrape-interval-prefix" | "scrape-intervals" | "tags-to-labels") => {
            with_variable(option)
        }
        Some(long) if long.starts_with("log-") => with_variable(option),
        _ => option,
    };
    // One form of help, the short one: `--help` would otherwise describe each log level on a line of its own.
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
