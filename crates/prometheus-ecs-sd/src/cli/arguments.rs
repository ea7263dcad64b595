//! The options of the demo and of `generate`.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueEnum};

use crate::config::RunArgs;
use crate::config::infrastructure::{Format, MAX_READERS};
use crate::config::relabelling::recipes;
use crate::telemetry::LogArgs;

/// The options of the demo.
#[derive(Clone, Debug, Args)]
pub(super) struct DemoArgs {
    /// Directory of the target files and prometheus.yml [default: a temporary directory, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub directory: Option<PathBuf>,

    /// Address of the HTTP server: HOST:PORT, or none [default: 127.0.0.1:9779, or the next free port]
    #[arg(long, value_name = "ADDR")]
    pub listen_address: Option<String>,

    /// Time between refreshes: seconds, or 90s, 2m
    #[arg(long, value_name = "T", default_value = "5")]
    pub interval: String,

    /// Time between one task's end and the next one's
    #[arg(long, value_name = "T", default_value = "20")]
    pub churn: String,

    /// The options of logging.
    #[command(flatten)]
    pub log: LogArgs,

    /// Do not print the targets that appear, change or disappear
    #[arg(long, help_heading = "Logs")]
    pub quiet: bool,
}

/// The options of `generate`.
#[derive(Clone, Debug, Args)]
pub(super) struct GenerateArgs {
    /// What to print
    #[arg(value_enum, value_name = "WHAT")]
    pub(super) product: Product,

    /// Shell of the completions: bash, elvish, fish, powershell or zsh
    #[arg(value_enum, value_name = "SHELL", hide_possible_values = true)]
    pub(super) shell: Option<clap_complete::Shell>,

    /// The form of event-infrastructure
    #[arg(long, value_enum, default_value = "cloudformation")]
    pub(super) format: Format,

    /// How many instances of the program read events: a queue each
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u8).range(1..=i64::from(MAX_READERS)))]
    pub(super) readers: u8,

    /// The tool whose labels the rules of relabel-config give
    #[arg(long, value_name = "NAME", required_if_eq("product", "relabel-config"), value_parser = recipe_names())]
    pub(super) like: Option<String>,

    /// The name of the scrape job, where the rules of relabel-config set it [default: ecs]
    #[arg(long, value_name = "NAME")]
    pub(super) job_name: Option<String>,

    /// Make config from the JSON file of a CloudWatch agent; - is standard input
    #[arg(long, value_name = "FILE")]
    pub(super) from_cloudwatch_agent: Option<PathBuf>,

    /// Make config from the YAML file of an OpenTelemetry Collector; - is standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from_cloudwatch_agent")]
    pub(super) from_ecs_observer: Option<PathBuf>,

    /// The configuration to generate for.
    #[command(flatten)]
    pub(super) run: RunArgs,
}

fn recipe_names() -> PossibleValuesParser {
    let values = recipes().iter().map(|recipe| PossibleValue::new(recipe.name).aliases(recipe.aliases));
    PossibleValuesParser::new(values)
}

/// The files that can be generated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Product {
    /// Configuration of this program that replaces another tool's
    Config,
    /// Scrape configuration for Prometheus
    PrometheusConfig,
    /// Relabelling rules that give targets the labels of another tool
    RelabelConfig,
    /// IAM policy for the program's own credentials
    IamPolicy,
    /// IAM policy for each of the roles
    IamRolePolicy,
    /// The rules of the conventions, to be copied into a configuration file and altered
    Conventions,
    /// The rule and the queues that events need in AWS
    EventInfrastructure,
    /// Completions for a shell
    Completions,
    /// The manual page
    Man,
}
