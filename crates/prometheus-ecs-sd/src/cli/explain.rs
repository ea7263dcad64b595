//! Explains whether and how a task, the tasks of a service or a task definition are scraped.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args};
use ecs_discovery::arn::{ClusterArn, TaskArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::explain::undeployed_task::NetworkModeSource;
use ecs_discovery::model::NetworkMode;
use ecs_discovery::render::explanation::{Colours, Text, json};
use ecs_discovery::text::printable_json;

use crate::aws::{Aws, Environment, SourceSpec, task_definition};
use crate::cli::{EXIT_NOT_SCRAPED, failure, tell, usage};
use crate::config::{self, Account, ConfigErrors, FileLayer, RunArgs, TargetArgs};
use crate::explain::{Wanted, explained};
use crate::source::NoSources;
use crate::telemetry::{LogArgs, has_colours};

/// ECS accepts definitions of up to 64 KiB; indented and with the fields that AWS adds, they are several times larger.
const MAX_FILE: u64 = 1024 * 1024;

/// The options of an explanation.
#[derive(Clone, Debug, Args)]
#[command(
    max_term_width = 100,
    group(ArgGroup::new("what").required(true)),
    after_help = "Exit codes: 0 something is scraped, 1 failure, 2 bad usage or no task definition, 4 nothing is scraped"
)]
pub(super) struct ExplainArgs {
    /// Ask AWS about this task; an id needs --cluster
    #[arg(long, value_name = "ARN", group = "what", help_heading = "What to explain")]
    pub(super) task: Option<String>,

    /// Ask AWS about the tasks of this service; needs --cluster
    #[arg(long, value_name = "NAME", group = "what", requires = "cluster", help_heading = "What to explain")]
    pub(super) service: Option<String>,

    /// Read a task definition, as the AWS CLI writes it, or an array of its containers, and send no request; - is
    /// standard input
    #[arg(long, value_name = "FILE", group = "what", help_heading = "What to explain")]
    pub(super) task_definition: Option<PathBuf>,

    /// The network mode of an array of containers [default: awsvpc]
    #[arg(
        long,
        value_name = "MODE",
        conflicts_with_all = ["task", "service"],
        value_parser = ["awsvpc", "bridge", "host", "none", "default"],
        hide_possible_values = true,
        help_heading = "What to explain"
    )]
    pub(super) network_mode: Option<String>,

    /// The cluster of the task or service: its name or ARN
    #[arg(long, value_name = "C", conflicts_with = "task_definition", help_heading = "What to explain")]
    pub(super) cluster: Option<String>,

    /// Print JSON, for tools
    #[arg(long, help_heading = "What to explain")]
    pub(super) json: bool,

    /// The region [default: the ARN's, else the AWS configuration's]
    #[arg(long, value_name = "R", conflicts_with = "task_definition", help_heading = "Where to look")]
    pub(super) region: Option<String>,

    /// Region whose STS endpoint is called [default: the AWS configuration's]
    #[arg(long, value_name = "R", conflicts_with = "task_definition", help_heading = "Where to look")]
    pub(super) sts_region: Option<String>,

    /// The role to assume
    #[arg(long, value_name = "ARN", conflicts_with = "task_definition", help_heading = "Where to look")]
    pub(super) role: Option<String>,

    /// External id for assuming the role
    #[arg(long, value_name = "ID", requires = "role", help_heading = "Where to look")]
    pub(super) external_id: Option<String>,

    /// Configuration file of the discovery: its conventions, scrape intervals, tags and meta labels are used
    #[arg(long, value_name = "FILE", help_heading = "Targets")]
    pub(super) config_file: Option<PathBuf>,

    /// The rules for targets.
    #[command(flatten)]
    pub(super) targets: TargetArgs,

    /// The options of logging.
    #[command(flatten)]
    pub(super) log: LogArgs,
}

/// The options that are read from the configuration file. Only the command line sets the account.
pub(super) const FILE_OPTIONS: [&str; 8] = [
    "convention",
    "scrape-intervals",
    "default-scrape-interval-prefix",
    "tags-to-labels",
    "meta-labels",
    "service-tags",
    "log-level",
    "log-format",
];

pub(super) fn run(arguments: &ExplainArgs, file: Option<FileLayer>) -> ExitCode {
    let (account, sts_region, rules) = match settings(arguments, file) {
        Ok(settings) => settings,
        Err(errors) => return usage(&errors),
    };
    match &arguments.task_definition {
        Some(file) => match explain_file(file, arguments.network_mode.as_deref(), &rules) {
            Ok(report) => print(&report, arguments.json),
            Err(error) => usage(&ConfigErrors::one(error)),
        },
        // A signal ends this with its default action: exit code 0 would say that something is scraped.
        None => match tokio::runtime::Builder::new_current_thread().enable_all().build() {
            Ok(runtime) => runtime.block_on(explain_running(arguments, account, sts_region, &rules)),
            Err(error) => failure(&error),
        },
    }
}

/// The options that the discovery also has, with the same checks.
fn settings(
    arguments: &ExplainArgs,
    file: Option<FileLayer>,
) -> Result<(Account, Option<String>, Rules), ConfigErrors> {
    let shared = RunArgs {
        role: arguments.role.iter().cloned().collect(),
        no_own_account: arguments.role.is_some(),
        external_id: arguments.external_id.clone(),
        region: arguments.region.iter().cloned().collect(),
        sts_region: arguments.sts_region.clone(),
        targets: arguments.targets.clone(),
        ..RunArgs::default()
    };
    let (accounts, sts_region, rules) = config::targets(&shared, file)?;
    Ok((accounts.into_iter().next().unwrap_or_default(), sts_region, rules))
}

fn explain_file(file: &Path, network_mode: Option<&str>, rules: &Rules) -> Result<Report, String> {
    let name = if file == "-" { "standard input".to_owned() } else { file.display().to_string() };
    let text = if file == "-" { bounded(io::stdin()) } else { File::open(file).and_then(bounded) };
    let text = text.map_err(|error| format!("{name} cannot be read: {error}"))?;
    if text.len() as u64 > MAX_FILE {
        return Err(format!(
            "{name} is larger than {} KiB, the limit for a task definition",
            MAX_FILE / 1024
        ));
    }
    let draft = task_definition(&text, network_mode.map(NetworkMode::from), rules.names());
    let draft = draft.map_err(|error| format!("{name} is not a task definition: {error}"))?;
    if network_mode.is_some() && draft.network_mode_source == NetworkModeSource::Definition {
        let own = draft.definition.network_mode.as_str();
        return Err(format!(
            "--network-mode: {name} is a task definition, whose network mode is {own}; it is for an array of containers"
        ));
    }
    let explanation = draft.explain(rules).map_err(|error| format!("{name}: {error}"))?;
    Ok(Report::new(Subject::Definition(name), 1, [explanation]))
}

/// Reads one byte more than the limit, so that a larger file is detected.
fn bounded(file: impl Read) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(MAX_FILE + 1).read_to_end(&mut text)?;
    Ok(text)
}

async fn explain_running(
    arguments: &ExplainArgs,
    account: Account,
    sts_region: Option<String>,
    rules: &Rules,
) -> ExitCode {
    let question = match Question::of(arguments) {
        Ok(question) => question,
        Err(error) => return usage(&ConfigErrors::one(error)),
    };
    let aws = match Environment::of_process() {
        Ok(environment) => Aws::load(None, &environment).await,
        Err(errors) => Err(errors),
    };
    let aws = match aws {
        Ok(aws) => aws.with_sts(sts_region.as_deref(), []),
        Err(errors) => return usage(&errors),
    };
    let Account { role, external_id, session_name, regions, .. } = account;
    let region = regions.into_iter().next().or(question.region);
    let Some(region) = region.or_else(|| aws.default_region().map(str::to_owned)) else {
        return usage(&ConfigErrors::one(NoSources::NoRegion(aws.no_region()).to_string()));
    };
    let source = aws.source(SourceSpec { role, external_id, session_name, region }).keeping(rules.names());
    match explained(&source, &question.cluster, &question.wanted, rules).await {
        Ok(explained) => {
            let code = print(&explained.report, arguments.json);
            explained.failures.iter().for_each(tell);
            let unknown = explained.report.targets() == 0 && !explained.failures.is_empty();
            if unknown { ExitCode::FAILURE } else { code }
        }
        Err(error) => {
            tell(&error);
            ExitCode::FAILURE
        }
    }
}

/// The subject of the requests, with the region if an ARN names one.
struct Question {
    cluster: String,
    wanted: Wanted,
    region: Option<String>,
}

impl Question {
    fn of(arguments: &ExplainArgs) -> Result<Self, String> {
        let mut cluster = arguments.cluster.clone();
        let mut region = None;
        if let Some(name) = cluster.as_deref().filter(|name| name.starts_with("arn:")) {
            let arn = ClusterArn::parse(name).map_err(|error| format!("--cluster: {error}"))?;
            region = Some(arn.region().to_owned());
        }
        let wanted = match (&arguments.task, &arguments.service) {
            (Some(task), _) if task.starts_with("arn:") => {
                let arn = TaskArn::parse(task).map_err(|error| format!("--task: {error}"))?;
                region = Some(arn.region().to_owned());
                if let Some(named) = arn.cluster() {
                    let agrees = |given: &String| given == named.as_str() || given == named.last_part();
                    if let Some(given) = cluster.filter(|given| !agrees(given)) {
                        let named = named.last_part();
                        return Err(format!(
                            "--cluster: {given} is not the cluster of the ARN, which is {named}"
                        ));
                    }
                    cluster = Some(named.to_string());
                }
                Wanted::Task(task.clone())
            }
            (Some(task), _) => Wanted::Task(task.clone()),
            (None, service) => Wanted::Service(service.clone().unwrap_or_default()),
        };
        let missing = "--task: this does not name the task's cluster; add --cluster";
        let cluster = cluster.filter(|cluster| !cluster.is_empty()).ok_or(missing)?;
        if let (Some(given), Some(region)) = (&arguments.region, &region)
            && given != region
        {
            return Err(format!("--region: {given} is not the region of the ARN, which is {region}"));
        }
        Ok(Self { cluster, wanted, region })
    }
}

/// Prints the report. A failed write does not change the exit code.
fn print(report: &Report, as_json: bool) -> ExitCode {
    let mut out = io::stdout();
    let colours = if has_colours(&out) { Colours::On } else { Colours::Off };
    let text = if as_json {
        printable_json(&json::write(report)).into_owned()
    } else {
        Text(report, colours).to_string()
    };
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    if report.targets() > 0 { ExitCode::SUCCESS } else { ExitCode::from(EXIT_NOT_SCRAPED) }
}
