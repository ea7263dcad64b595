//! Generates the matching configuration of Prometheus, and the IAM policies.

use std::path::{Path, PathBuf};

use ecs_discovery::interval::Interval;
use serde::Serialize;
use serde_json::{Value, json};

use super::layout::{self, Layout};
use super::{Account, Config};

/// The calls in every account. ListClusters is added unless all clusters are named.
const READING: [&str; 5] = [
    "ecs:DescribeClusters",
    "ecs:ListTasks",
    "ecs:DescribeTasks",
    "ecs:DescribeTaskDefinition",
    "ecs:DescribeContainerInstances",
];
const LISTING: &str = "ecs:ListClusters";
const SERVICES: &str = "ecs:DescribeServices";
const HOSTS: [&str; 2] = ["ec2:DescribeInstances", "ssm:DescribeInstanceInformation"];

/// The batch form of the deletion needs no other action.
const QUEUES: [&str; 3] = ["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"];

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
        // The operator knows which of them the file requires.
        Some(_) => format!(
            "{}\n        # As the web configuration file requires it, and http if it has no certificate:\n        # basic_auth: {{ username: …, password_file: … }}\n        # tls_config: {{ ca_file: … }}",
            url("https")
        ),
    }
}

/// A JSON string is a valid YAML string.
fn quoted(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

/// What the credentials that the program is started with must be allowed. `queues` are the ARNs of those that are read with
/// them.
pub(crate) fn iam_policy(config: &Config, queues: &[String]) -> String {
    let mut statements = Vec::new();
    let own: Vec<_> = config.accounts.iter().filter(|account| account.role.is_none()).collect();
    if !own.is_empty() {
        statements.extend(reading(config, &own));
    }
    let roles: Vec<_> = config
        .accounts
        .iter()
        .filter_map(|account| account.role.as_ref())
        .map(|role| role.as_str())
        .collect();
    statements.extend(reading_queues(queues));
    if !roles.is_empty() {
        statements.push(statement("EnterOtherAccounts", &["sts:AssumeRole"], json!(roles)));
    }
    policy(&statements)
}

/// What each of the roles must be allowed; nothing without roles. `queues` are the ARNs of those that are read with a role.
pub(crate) fn iam_role_policy(config: &Config, queues: &[String]) -> Option<String> {
    let of_roles: Vec<_> = config.accounts.iter().filter(|account| account.role.is_some()).collect();
    if of_roles.is_empty() {
        return None;
    }
    let mut statements = reading(config, &of_roles);
    statements.extend(reading_queues(queues));
    Some(policy(&statements))
}

fn reading(config: &Config, accounts: &[&Account]) -> Vec<Statement> {
    let lists = accounts.iter().any(|account| account.clusters.needs_listing());
    let services = config.rules.service_tags.then_some(SERVICES);
    let tasks: Vec<_> = lists.then_some(LISTING).into_iter().chain(READING).chain(services).collect();
    vec![statement("ReadTasks", &tasks, json!("*")), statement("ReadHosts", &HOSTS, json!("*"))]
}

fn reading_queues(queues: &[String]) -> Option<Statement> {
    (!queues.is_empty()).then(|| statement("ReadQueues", &QUEUES, json!(queues)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use ecs_discovery::arn::RoleArn;

    /// The actions on queues that a policy allows, and on which.
    fn on_queues(policy: &str) -> Vec<(Value, Value)> {
        let policy: Value = serde_json::from_str(policy).expect("JSON");
        let statements = policy["Statement"].as_array().expect("statements").clone();
        let of_sqs = statements.into_iter().filter(|it| it["Action"].to_string().contains("sqs:"));
        of_sqs.map(|it| (it["Action"].clone(), it["Resource"].clone())).collect()
    }

    #[test]
    fn services_may_be_described_if_their_tags_are_published() {
        let role = RoleArn::parse("arn:aws:iam::222222222222:role/reader").expect("a role");
        let assumed = Account { role: Some(role), ..Account::default() };
        let mut config = super::super::tests::with_accounts(vec![Account::default(), assumed]);
        for service_tags in [false, true] {
            config.rules.service_tags = service_tags;
            for policy in [iam_policy(&config, &[]), iam_role_policy(&config, &[]).expect("a role")] {
                assert_eq!(policy.matches("ecs:DescribeServices").count(), usize::from(service_tags));
            }
        }
    }

    #[test]
    fn reading_is_allowed_of_the_named_queues_and_of_no_other() {
        let role = RoleArn::parse("arn:aws:iam::222222222222:role/reader").expect("a role");
        let assumed = Account { role: Some(role), ..Account::default() };
        let config = super::super::tests::with_accounts(vec![Account::default(), assumed]);
        let queues = ["1", "2"].map(|account| format!("arn:aws:sqs:eu-west-1:{}:events", account.repeat(12)));
        let actions = json!(["sqs:GetQueueUrl", "sqs:ReceiveMessage", "sqs:DeleteMessage"]);
        let expected = vec![(actions, json!(queues))];
        assert_eq!(on_queues(&iam_policy(&config, &queues)), expected);
        assert_eq!(on_queues(&iam_role_policy(&config, &queues).expect("a role")), expected);
        assert_eq!(on_queues(&iam_policy(&config, &[])), []);
        assert_eq!(on_queues(&iam_role_policy(&config, &[]).expect("a role")), []);
    }
}
