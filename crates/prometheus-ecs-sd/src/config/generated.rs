//! What belongs to a configuration elsewhere: Prometheus's own, and what AWS is to allow.

use serde::Serialize;
use serde_json::{Value, json};

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

/// The scrape configuration: of the target files if there are any, otherwise of what is served.
pub(crate) fn prometheus_config(config: &Config) -> String {
    let mut made = "scrape_configs:\n".to_owned();
    match (&config.directory, &config.listen) {
        (Some(directory), _) => {
            for interval in config.rules.intervals.offered() {
                let file =
                    Value::from(directory.join(format!("{interval}-tasks.json")).display().to_string());
                made += &format!(
                    "  - job_name: ecs-{interval}\n    scrape_interval: {interval}\n    file_sd_configs:\n      - files: [{file}]\n"
                );
            }
        }
        (None, listen) => {
            let address = listen.as_ref().map_or("", |listen| listen.address());
            let here = if address.starts_with(':') { "localhost" } else { "" };
            made += &format!(
                "  # Each target brings its own interval, path and scheme.\n  - job_name: ecs\n    http_sd_configs:\n      - url: http://{here}{address}/sd\n        refresh_interval: 30s\n"
            );
        }
    }
    made
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

/// What each of the roles must be allowed.
pub(crate) fn iam_role_policy(config: &Config) -> String {
    let of_roles: Vec<_> = config.accounts.iter().filter(|account| account.role.is_some()).collect();
    policy(&if of_roles.is_empty() { Vec::new() } else { reading(&of_roles) })
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
