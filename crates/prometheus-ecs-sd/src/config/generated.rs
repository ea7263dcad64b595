//! What belongs to a configuration elsewhere: Prometheus's own, and what AWS is to allow.

use std::path::{Path, PathBuf};

use ecs_discovery::interval::Interval;
use serde::Serialize;
use serde_json::{Value, json};

use super::layout::{self, Layout};
use super::{Account, Config};

/// What is asked in every account. The listing of clusters comes besides, unless all are named.
const READING: [&str; 5] = [
    "ecs:DescribeClusters",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeContainerInstances",
];
const LISTING: &str = "ecs:ListClusters";
const HOSTS: [&str; 2] = ["ec2:DescribeInstances", "ssm:DescribeInstanceInformation"];

/// The scrape configuration: of the target files if there are any, otherwise of what is served. To Prometheus a relative
/// path is relative to the directory of its configuration file, hence absolute paths.
pub(crate) fn prometheus_config(config: &Config) -> String {
    let intervals = config.rules.intervals.offered();
    let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let jobs = match (config.directory.as_ref().map(absolute), config.file_layout) {
        (Some(directory), Layout::PerInterval) => {
            intervals.iter().map(|interval| job_of_interval(&directory, interval)).collect()
        }
        (Some(directory), Layout::Single) => {
            let file = quoted(&directory.join(layout::SINGLE));
            one_job(&format!("file_sd_configs:\n      - files: [{file}]"))
        }
        (None, _) => one_job(&http_sd(config)),
    };
    format!("scrape_configs:\n{jobs}")
}

fn job_of_interval(directory: &Path, interval: &Interval) -> String {
    let file = quoted(&directory.join(format!("{interval}{}", layout::SUFFIX)));
    format!(
        "  - job_name: ecs-{interval}\n    scrape_interval: {interval}\n    file_sd_configs:\n      - files: [{file}]\n"
    )
}

fn one_job(discovery: &str) -> String {
    format!("  # Each target brings its own interval, path and scheme.\n  - job_name: ecs\n    {discovery}\n")
}

fn http_sd(config: &Config) -> String {
    let address = config.listen.as_ref().map_or("", |listen| listen.address());
    let here = if address.starts_with(':') { "localhost" } else { "" };
    let url = |scheme: &str| format!("http_sd_configs:\n      - url: {scheme}://{here}{address}/sd");
    match &config.web_config_file {
        None => url("http"),
        // What it asks for, its users know.
        Some(_) => format!(
            "{}\n        # As the web configuration file asks for it, and http if it has no certificate:\n        # basic_auth: {{ username: …, password_file: … }}\n        # tls_config: {{ ca_file: … }}",
            url("https")
        ),
    }
}

/// JSON's strings are YAML's.
fn quoted(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

/// What the credentials that the program is started with must be allowed.
pub(crate) fn iam_policy(config: &Config) -> String {
    let mut statements = Vec::new();
    let own: Vec<_> = config.accounts.iter().filter(|account| account.role.is_none()).collect();
    if !own.is_empty() {
        statements.extend(reading(&own));
    }
    let roles: Vec<_> = config
        .accounts
        .iter()
        .filter_map(|account| account.role.as_ref())
        .map(|role| role.as_str())
        .collect();
    if !roles.is_empty() {
        statements.push(statement("EnterOtherAccounts", &["sts:AssumeRole"], json!(roles)));
    }
    policy(&statements)
}

/// What each of the roles must be allowed; nothing without roles.
pub(crate) fn iam_role_policy(config: &Config) -> Option<String> {
    let of_roles: Vec<_> = config.accounts.iter().filter(|account| account.role.is_some()).collect();
    (!of_roles.is_empty()).then(|| policy(&reading(&of_roles)))
}

fn reading(accounts: &[&Account]) -> Vec<Statement> {
    let lists = accounts.iter().any(|account| account.clusters.needs_listing());
    let tasks: Vec<_> = lists.then_some(LISTING).into_iter().chain(READING).collect();
    vec![statement("ReadTasks", &tasks, json!("*")), statement("ReadHosts", &HOSTS, json!("*"))]
}

fn statement(name: &'static str, actions: &[&'static str], resource: Value) -> Statement {
    Statement { sid: name, effect: "Allow", action: actions.to_vec(), resource }
}

fn policy(statements: &[Statement]) -> String {
    let policy = Policy { version: "2012-10-17", statement: statements };
    let text = serde_json::to_string_pretty(&policy).expect("texts and lists are JSON");
    format!("{text}\n")
}

/// A policy with its parts in the order in which AWS shows them.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Policy<'a> {
    version: &'static str,
    statement: &'a [Statement],
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Statement {
    sid: &'static str,
    effect: &'static str,
    action: Vec<&'static str>,
    resource: Value,
}
