//! Against moto, an AWS that others wrote: it reads the wire formats in its own way, checks the signatures of our
//! requests, and allows what the example policy does. `moto/world.py` says what runs there.

mod events;
mod stack;
mod templates;
// PyPI has the AWS provider of Terraform for this platform alone.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod terraform;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;
use tempfile::TempDir;

use crate::files::{INTERVALS, groups};
use crate::tools::{Running, free_address, program, python_with_moto, repository};

const ROLE: &str = "arn:aws:iam::222222222222:role/discovery/reader";
/// It is there, but the user's policy does not name it.
const FORBIDDEN_ROLE: &str = "arn:aws:iam::222222222222:role/setup";

/// moto, and a directory for what the program writes.
struct Moto {
    _server: Running,
    /// What moto made up, by name.
    world: BTreeMap<String, String>,
    directory: TempDir,
}

impl Moto {
    fn start() -> Self {
        let mut python = python_with_moto();
        python.arg(repository("crates/prometheus-ecs-sd/tests/it/moto/world.py"));
        python.arg(repository("examples/iam-policy.json")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut server = Running::start(&mut python);
        let mut line = String::new();
        BufReader::new(server.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let world = serde_json::from_str(&line).expect("moto says on standard error why it did not start");
        Self { _server: server, world, directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The program without any credentials or endpoint.
    fn discovery(&self) -> Command {
        let mut command = program();
        command.args(["--once", "--tags-to-labels", "*", "--directory"]).arg(self.path());
        command
    }

    /// The program with the user's own keys.
    fn as_user(&self) -> Command {
        let mut command = self.discovery();
        command.env("AWS_ACCESS_KEY_ID", &self.world["access_key"]);
        command.env("AWS_SECRET_ACCESS_KEY", &self.world["secret_key"]);
        command.env("AWS_REGION", "eu-west-1").env("AWS_ENDPOINT_URL", &self.world["endpoint"]);
        command
    }

    /// What is in the target files, with what moto made up replaced by its name; of the meta labels, only those
    /// that tell the accounts and the tags.
    fn targets(&self) -> String {
        let mut lines = Vec::new();
        for interval in INTERVALS {
            for group in groups(self.path(), interval).unwrap() {
                let is_shown = |name: &str| {
                    !name.starts_with("__meta_")
                        || name.starts_with("__meta_ecs_tag_")
                        || name == "__meta_ecs_account_id"
                };
                let labels = group.labels.iter().filter(|(name, _)| is_shown(name));
                let labels: String = labels.map(|(name, value)| format!("\n  {name}={value}")).collect();
                lines.push(format!("{interval} {}{labels}", group.targets.join(" ")));
            }
        }
        for (name, value) in self.world.iter().filter(|(name, _)| name.contains('.')) {
            lines.iter_mut().for_each(|line| *line = line.replace(value, &format!("<{name}>")));
        }
        lines.sort();
        lines.join("\n")
    }

    /// The same without labels.
    fn instances(&self) -> String {
        let targets = self.targets();
        targets.lines().filter(|line| !line.starts_with(' ')).collect::<Vec<_>>().join("\n")
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    eprintln!("{output:#?}");
    output
}

#[test]
fn the_containers_of_both_accounts_are_found() {
    let moto = Moto::start();
    let output = run(moto.as_user().args(["--role", ROLE]));
    assert_eq!(output.status.code(), Some(0));
    assert_snapshot!(moto.targets(), @"
    15s <api.address>:8080
      __meta_ecs_account_id=123456789012
      __meta_ecs_tag_cost_centre=42
      __meta_ecs_tag_stage=live
      __meta_ecs_tag_task_cost_centre=42
      __meta_ecs_tag_task_stage=live
      __meta_ecs_tag_team=shop
      __metrics_path__=/metrics
      ecs_cluster=shop
      ecs_task_id=<api.task>
      ecs_task_version=1
      instance=<api.address>:8080
      job=api
      metrics_path=/metrics
    1m <api.address>:9102
      __meta_ecs_account_id=123456789012
      __meta_ecs_tag_cost_centre=42
      __meta_ecs_tag_stage=live
      __meta_ecs_tag_task_cost_centre=42
      __meta_ecs_tag_task_stage=live
      __meta_ecs_tag_team=shop
      __metrics_path__=/admin
      __param_format=text
      ecs_cluster=shop
      ecs_task_id=<api.task>
      ecs_task_version=1
      instance=<api.address>:9102
      job=api
      metrics_path=/admin
    1m <ledger.address>:8443
      __meta_ecs_account_id=222222222222
      __meta_ecs_tag_task_team=payments
      __meta_ecs_tag_team=payments
      __metrics_path__=/metrics
      __scheme__=https
      ecs_cluster=payments
      ecs_task_id=<ledger.task>
      ecs_task_version=1
      instance=<ledger.address>:8443
      job=ledger
      metrics_path=/metrics
    30s <host.address>:9100
      __meta_ecs_account_id=123456789012
      __metrics_path__=/metrics
      ecs_cluster=shop
      ecs_task_id=<node.task>
      ecs_task_version=1
      instance=<host.address>:9100
      instance_id=<host.instance>
      job=node
      metrics_path=/metrics
    ");
}

#[test]
fn a_role_that_may_not_be_assumed_costs_only_its_own_targets() {
    let moto = Moto::start();
    let output = run(moto.as_user().args(["--role", ROLE, FORBIDDEN_ROLE]));
    assert_eq!(output.status.code(), Some(3));
    assert_snapshot!(moto.instances(), @"
    15s <api.address>:8080
    1m <api.address>:9102
    1m <ledger.address>:8443
    30s <host.address>:9100
    ");
}

#[test]
fn a_wrong_secret_is_refused_and_nothing_is_written() {
    let moto = Moto::start();
    let output = run(moto.as_user().env("AWS_SECRET_ACCESS_KEY", "wrong"));
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("SignatureDoesNotMatch"));
    assert!(!moto.path().join("1m-tasks.json").exists());
}

#[test]
fn a_profile_that_chains_roles_just_works() {
    let moto = Moto::start();
    let configuration = moto.path().join("aws-config");
    let Moto { world, .. } = &moto;
    let text = format!(
        "[profile base]\n\
         aws_access_key_id = {}\n\
         aws_secret_access_key = {}\n\
         [profile middle]\n\
         role_arn = arn:aws:iam::123456789012:role/middle\n\
         source_profile = base\n\
         [profile payments]\n\
         role_arn = {ROLE}\n\
         source_profile = middle\n\
         region = eu-west-1\n\
         services = moto\n\
         [services moto]\n\
         sts =\n  endpoint_url = {endpoint}\n\
         ecs =\n  endpoint_url = {endpoint}\n\
         ec2 =\n  endpoint_url = {endpoint}\n",
        world["access_key"],
        world["secret_key"],
        endpoint = world["endpoint"],
    );
    std::fs::write(&configuration, text).unwrap();
    let mut command = moto.discovery();
    let output = run(command.env("AWS_CONFIG_FILE", &configuration).env("AWS_PROFILE", "payments"));
    assert_eq!(output.status.code(), Some(0));
    assert_snapshot!(moto.instances(), @"
    1m <ledger.address>:8443
    ");
}

#[test]
fn an_endpoint_set_for_one_service_is_used() {
    let moto = Moto::start();
    let mut command = moto.as_user();
    for service in ["ECS", "EC2", "STS"] {
        command.env(format!("AWS_ENDPOINT_URL_{service}"), &moto.world["endpoint"]);
    }
    // Nothing listens there.
    command.env("AWS_ENDPOINT_URL", format!("http://{}", free_address()));
    let output = run(command.args(["--role", ROLE]));
    assert_eq!(output.status.code(), Some(0));
    assert_snapshot!(moto.instances(), @"
    15s <api.address>:8080
    1m <api.address>:9102
    1m <ledger.address>:8443
    30s <host.address>:9100
    ");
}
