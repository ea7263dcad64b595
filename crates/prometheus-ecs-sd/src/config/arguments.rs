//! The options of discovery, on the command line or in the configuration file.

use std::path::PathBuf;

use clap::Args;

use super::layout::Layout;
use super::share::Share;
use crate::telemetry::LogArgs;

/// The options of the discovery of real accounts.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// YAML file with any of these options, and sources with separate settings
    #[arg(long, value_name = "FILE", help_heading = "Configuration")]
    pub config_file: Option<PathBuf>,

    /// Directory of the target files; must exist and be writable [default: no files]
    #[arg(long, value_name = "DIR", help_heading = "Files")]
    pub directory: Option<PathBuf>,

    /// One target file for each scrape interval, or a single one
    #[arg(long, value_name = "LAYOUT", value_enum, default_value = "per-interval", help_heading = "Files")]
    pub file_layout: Layout,

    /// File that keeps facts across restarts, or none [default: DIR/.prometheus-ecs-sd/state]
    #[arg(long, value_name = "FILE", help_heading = "Files")]
    pub state_file: Option<PathBuf>,

    /// Address of the HTTP server: HOST:PORT, or none [default: 127.0.0.1:9779, if free]
    #[arg(long, value_name = "ADDR", help_heading = "HTTP")]
    pub listen_address: Option<String>,

    /// Host names that requests may use besides IP addresses, localhost and the name in --listen-address
    #[arg(
        long,
        value_name = "HOST",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "HTTP"
    )]
    pub allowed_host: Vec<String>,

    /// TLS and basic authentication for HTTP, in the format of Prometheus' web configuration
    #[arg(long, value_name = "FILE", help_heading = "HTTP")]
    pub web_config_file: Option<PathBuf>,

    /// Allow POST /-/reload to read the configuration file again
    #[arg(long, help_heading = "HTTP")]
    pub enable_lifecycle: bool,

    /// Refresh once and exit: 0 complete, 3 written but some cluster failed
    #[arg(long, help_heading = "Refreshes")]
    pub once: bool,

    /// If a changed selection has no targets, remove those of the previous selection
    #[arg(long, help_heading = "Refreshes")]
    pub allow_empty: bool,

    /// Time between refreshes: seconds, or 90s, 2m
    #[arg(long, value_name = "T", default_value = "60", help_heading = "Refreshes")]
    pub interval: String,

    /// Queues with ECS events, so that changes are published immediately: ARNs or URLs
    #[arg(
        long,
        value_name = "QUEUE",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "Refreshes"
    )]
    pub event_queue: Vec<String>,

    /// Time between refreshes while events are received
    #[arg(long, value_name = "T", default_value = super::RECONCILE_INTERVAL, help_heading = "Refreshes")]
    pub reconcile_interval: String,

    /// Time within which each running task, each host and all tags are read again
    #[arg(long, value_name = "T", default_value = "10m", help_heading = "Refreshes")]
    pub recheck_interval: String,

    /// Time after which the targets of a cluster that cannot be read are removed
    #[arg(long, value_name = "T", default_value = "never", help_heading = "Refreshes")]
    pub max_staleness: String,

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

    /// Do not discover the account of the credentials, only those of the roles
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

    /// Region whose STS endpoint is called [default: the AWS configuration's, else the first that is usable]
    #[arg(long, value_name = "R", help_heading = "Where to look")]
    pub sts_region: Option<String>,

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

    /// Share of AWS's request limits to use, up to 1; the rest is left to other programs
    #[arg(
        long,
        value_name = "SHARE",
        default_value = Share::DEFAULT,
        help_heading = "Where to look"
    )]
    pub api_share: String,

    /// The rules for targets.
    #[command(flatten)]
    pub targets: TargetArgs,

    /// The options of logging.
    #[command(flatten)]
    pub log: LogArgs,

    /// Do not print the targets that appear, change or disappear
    #[arg(long, help_heading = "Logs")]
    pub quiet: bool,
}

/// The rules for targets.
#[derive(Clone, Debug, Default, Args)]
pub struct TargetArgs {
    /// Conventions that say which containers are scraped, by precedence [default: environment]
    #[arg(
        long,
        alias = "conventions",
        value_name = "NAME",
        num_args = 1..,
        value_delimiter = ',',
        help_heading = "Targets"
    )]
    pub convention: Vec<String>,

    /// Scrape intervals that containers can request, one file each
    #[arg(
        long,
        value_name = "T",
        num_args = 1..,
        value_delimiter = ',',
        default_values = ecs_discovery::interval::Intervals::OFFERED,
        help_heading = "Targets"
    )]
    pub scrape_intervals: Vec<String>,

    /// Scrape interval of containers that request none
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

    /// Publish only these __meta_ecs_… labels: names without __meta_ecs_, or globs such as 'task_*'; or none
    #[arg(
        long,
        value_name = "GLOB",
        num_args = 1..,
        value_delimiter = ',',
        default_value = "*",
        help_heading = "Targets"
    )]
    pub meta_labels: Vec<String>,
    /// Publish the tags of services as __meta_ecs_tag_service_…, and their ARN and status; needs ecs:DescribeServices
    #[arg(long, help_heading = "Targets")]
    pub service_tags: bool,
}
