//! The configuration file, what is checked of it, and what is made of it.

mod conventions;
mod events;
mod import;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;

use crate::tools::{program, repository, tool};

/// A directory with a configuration file.
struct Configured {
    directory: tempfile::TempDir,
    command: Command,
}

fn configured(text: &str) -> Configured {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("config.yml"), text).unwrap();
    let mut command = program();
    command.env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS").current_dir(&directory);
    Configured { directory, command }
}

impl Configured {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs a command on the file; its exit code, and all that it prints.
    fn runs(mut self, arguments: &[&str]) -> String {
        self.command.args(arguments).args(["--config-file", "config.yml"]).stdin(Stdio::null());
        let Output { status, stdout, stderr } = self.command.output().unwrap();
        let text = String::from_utf8([stdout, stderr].concat()).unwrap();
        let text = text.replace(self.directory.path().to_str().unwrap(), "DIR");
        format!("exit {}\n{text}", status.code().unwrap())
    }
}

#[test]
fn everything_that_is_wrong_is_told_at_once_with_line_and_path() {
    let text = "\
intervall: 30
interval: often
directory: [a, b]
enable_lifecycle: perhaps
log_level: loud
external_id: x
region: [eu-west-1, Frankfurt]
scrape_intervals:
  - 15s
  - 15s
sources:
  - role: arn:aws:iam::1234:role/reader
    regoins: [eu-west-1]
  - own_account: true
    external_id: x
  - clusters: [a, '']
  - role: arn:aws:iam::123456789012:role/reader
    session_name: a b
    regions: [eu-west-1]
  - role: arn:aws:iam::123456789012:role/reader
    own_account: true
    regions: [eu-west-1, us-east-1]
  - just words
";
    assert_snapshot!(configured(text).runs(&["check-config", "--api-share", "2"]), @r#"
    exit 2
    error: config.yml:1: intervall: there is no such key; did you mean interval?
    error: config.yml:2: interval: "often" is not a duration; use seconds such as 60, or 90s, 2m
    error: config.yml:3: directory: this is a list; write one value
    error: config.yml:4: enable_lifecycle: "perhaps" is neither true nor false
    error: config.yml:5: log_level: "loud" is not one of error, warn, info, debug, trace
    error: config.yml:6: external_id: the file has sources; put this at the source
    error: config.yml:7: region[1]: "Frankfurt" is not a region; it looks like eu-west-1
    error: config.yml:9: scrape_intervals[0]: the scrape intervals 15s and 15s are the same; name it once
    error: config.yml:12: sources[0].role: "arn:aws:iam::1234:role/reader" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME
    error: config.yml:13: sources[0].regoins: there is no such key; did you mean regions?
    error: config.yml:15: sources[1].external_id: this is for assuming a role, and there is no role
    error: config.yml:16: sources[2]: the source has no account; set role, or own_account: true
    error: config.yml:16: sources[2].clusters[1]: this is empty; remove it
    error: config.yml:18: sources[3].session_name: "a b" is not a session name: 2 to 64 letters, digits or _+=,.@-
    error: config.yml:20: sources[4]: sources[3] has the same credentials and region; merge both
    error: config.yml:21: sources[4].own_account: a source is either the own account or that of a role; write two sources
    error: config.yml:23: sources[5]: this must be a mapping, such as key: value
    error: --api-share: "2" is not a share of AWS's request limits; use a number from 0.01 to 1

    For more information, try '--help'.
    "#);
}

#[test]
fn an_empty_path_is_told_with_its_place_and_all_else() {
    let text = "directory: ''\nstate_file: ''\nweb_config_file: ''\ninterval: ''\n";
    assert_snapshot!(configured(text).runs(&["check-config"]), @r#"
    exit 2
    error: config.yml:1: directory: this is empty; remove it
    error: config.yml:2: state_file: this is empty; remove it
    error: config.yml:3: web_config_file: this is empty; remove it
    error: config.yml:4: interval: "" is not a duration; use seconds such as 60, or 90s, 2m
    "#);
}

#[test]
fn a_list_or_key_that_says_nothing_is_no_default() {
    let text = "\
scrape_intervals: []
region: ['']
cluster:
allowed_host: [a.example.org, ~]
tags_to_labels: ' '
interval:
sources:
  - role: arn:aws:iam::123456789012:role/reader
    external_id:
    regions: []
    clusters: {}
";
    assert_snapshot!(configured(text).runs(&["check-config"]), @r"
    exit 2
    error: config.yml:1: scrape_intervals: this list is empty; remove the key for the default
    error: config.yml:2: region[0]: this is empty; remove it
    error: config.yml:3: cluster: this is empty; remove it
    error: config.yml:4: allowed_host[1]: this is empty; remove it
    error: config.yml:5: tags_to_labels: this is empty; remove it
    error: config.yml:6: interval: this is empty; remove it
    error: config.yml:9: sources[0].external_id: this is empty; remove it
    error: config.yml:10: sources[0].regions: this list is empty; remove the key for the default
    error: config.yml:11: sources[0].clusters: this is a mapping; write one value
    ");
    assert_snapshot!(configured("sources:\n").runs(&["check-config"]), @r"
    exit 2
    error: config.yml:1: sources: this is empty; remove it
    ");
}

#[test]
fn a_selection_of_meta_labels_that_selects_nothing_is_told_with_its_place() {
    let check = |text: &str| configured(text).runs(&["check-config"]);
    let text = "\
meta_labels:
  - cluster
  - __meta_ecs_service
  - servce
  - tag_task_cost-center
  - container_label_
";
    assert_snapshot!(check(text), @r#"
    exit 2
    error: config.yml:3: meta_labels[1]: "__meta_ecs_service" begins with __meta_ecs_; leave the prefix out, and write service
    error: config.yml:4: meta_labels[2]: "servce" matches no meta label; did you mean service?
    error: config.yml:5: meta_labels[3]: "tag_task_cost-center" has '-', which no label's name has; write tag_task_cost_center
    error: config.yml:6: meta_labels[4]: "container_label_" is only the beginning of names; write container_label_*
    "#);
    assert_snapshot!(check("meta_labels: [none, cluster]\n"), @r"
    exit 2
    error: config.yml:1: meta_labels[0]: none cannot be combined with names of labels
    ");
    assert_snapshot!(check("meta_labels: ''\n"), @r"
    exit 2
    error: config.yml:1: meta_labels: this is empty; remove it
    ");
    assert_snapshot!(check("meta_labels: []\n"), @r"
    exit 2
    error: config.yml:1: meta_labels: this list is empty; remove the key for the default
    ");
    let many = (0..101).map(|n| format!("tag_{n}")).collect::<Vec<_>>().join(", ");
    assert_snapshot!(check(&format!("meta_labels: [{many}]\n")), @r"
    exit 2
    error: config.yml:1: meta_labels[0]: there are more than 100 patterns; combine some to globs
    ");
    let of_command_line = configured("{}").runs(&["check-config", "--meta-labels", ""]);
    assert_snapshot!(of_command_line, @r"
    exit 2
    error: --meta-labels: this is empty; write none to publish no meta labels

    For more information, try '--help'.
    ");
    let of_variable = configured("{}").env("PROMETHEUS_ECS_SD_META_LABELS", "none,cluster");
    assert_snapshot!(of_variable.runs(&["check-config"]), @r"
    exit 2
    error: --meta-labels: none cannot be combined with names of labels

    For more information, try '--help'.
    ");
    let shown = |values: &str| {
        let said = configured("meta_labels: cluster\n").runs(&["check-config", "--meta-labels", values]);
        said.lines().find_map(|line| line.trim().strip_prefix("meta_labels")).unwrap().trim().to_owned()
    };
    assert_eq!(["none", "*", "task_*, cluster,cluster,"].map(shown), ["none", "*", "cluster, task_*"]);
    let blank = configured("meta_labels: cluster\n").env("PROMETHEUS_ECS_SD_META_LABELS", " ");
    assert!(blank.runs(&["check-config"]).contains("  meta_labels                     cluster\n"));
}

#[test]
fn an_external_id_without_a_role_is_a_mistake_wherever_it_stands() {
    assert_snapshot!(configured("external_id: x1\n").runs(&["check-config"]), @r"
    exit 2
    error: config.yml:1: external_id: this is for assuming a role, and there is no role; add --role
    ");
    let of_environment = configured("{}").env("PROMETHEUS_ECS_SD_EXTERNAL_ID", "x1");
    assert_snapshot!(of_environment.runs(&["check-config"]), @r"
    exit 2
    error: --external-id: this is for assuming a role, and there is no role; add --role

    For more information, try '--help'.
    ");
}

#[test]
fn an_option_that_belongs_to_a_source_says_so() {
    let sources = "sources:\n  - role: arn:aws:iam::123456789012:role/reader\n";
    let of_environment = configured(sources).env("PROMETHEUS_ECS_SD_EXTERNAL_ID", "x1");
    assert_snapshot!(of_environment.runs(&["check-config", "--no-own-account"]), @r"
    exit 2
    error: --external-id: the configuration file has sources; put external_id at the source that needs it
    error: --no-own-account: the configuration file has sources; remove the one with own_account there

    For more information, try '--help'.
    ");
    let role = ["check-config", "--external-id", "x1", "--role", "arn:aws:iam::333333333333:role/reader"];
    assert!(configured(sources).runs(&role).contains("333333333333"));
}

#[test]
fn an_empty_external_id_is_told_with_its_place() {
    assert_snapshot!(configured("external_id: ''\n").runs(&["check-config"]), @r"
    exit 2
    error: config.yml:1: external_id: this is for assuming a role, and there is no role; add --role
    ");
    let text = "role: arn:aws:iam::123456789012:role/reader\nexternal_id: ''\n";
    assert_snapshot!(configured(text).runs(&["check-config"]), @r"
    exit 2
    error: config.yml:2: external_id: it is not an external id: 2 to 1,224 letters, digits or _+=,.@:/-
    ");
    let text = "sources:\n  - role: arn:aws:iam::123456789012:role/reader\n    external_id: ' '\n";
    assert_snapshot!(configured(text).runs(&["check-config"]), @r"
    exit 2
    error: config.yml:3: sources[0].external_id: it is not an external id: 2 to 1,224 letters, digits or _+=,.@:/-
    ");
}

#[test]
fn what_is_no_mapping_of_keys_and_what_is_not_there_cannot_be_read() {
    for (text, told) in [
        ("- a\n", "config.yml:1: this must be a mapping, such as key: value"),
        ("interval: 'x\n", "config.yml:"),
        ("a: 1\n---\nb: 2\n", "config.yml:2: a second document begins here; only one is read"),
    ] {
        let said = configured(text).runs(&["check-config"]);
        assert!(said.starts_with(&format!("exit 2\nerror: {told}")), "{said}");
    }
    let empty = configured("").runs(&["check-config"]);
    let told = "error: --config-file: config.yml cannot be read: it is empty; write {} if that is intended";
    assert!(empty.starts_with(&format!("exit 2\n{told}")), "{empty}");
    assert!(configured("{}").runs(&["check-config"]).starts_with("exit 0"));
    let gone = configured("");
    std::fs::remove_file(gone.directory.path().join("config.yml")).unwrap();
    assert_snapshot!(gone.runs(&[]), @r"
    exit 2
    error: --config-file: config.yml cannot be read: No such file or directory (os error 2)

    For more information, try '--help'.
    ");
}

#[test]
fn the_command_line_and_the_environment_win_over_the_file() {
    let text = "\
interval: 2m
recheck_interval: 20m
api_share: 0.25
once: true
directory: targets
max_staleness: 1d
scrape_intervals: [10s, 1m]
tags_to_labels: [team, stage]
sources:
  - own_account: true
    regions: [eu-west-1, eu-central-1]
    clusters: [prod-*]
  - role: arn:aws:iam::222222222222:role/reader
    external_id: very-secret
    session_name: scraper
";
    assert_snapshot!(configured(text).runs(&["check-config"]), @r"
    exit 0
    The configuration is valid:

      directory                       targets
      file_layout                     per-interval
      state_file                      targets/.prometheus-ecs-sd/state
      listen_address                  none
      allowed_host                    none
      web_config_file                 none
      enable_lifecycle                false
      allow_empty                     false
      interval                        2m
      event_queue                     none
      reconcile_interval              10m
      recheck_interval                20m
      max_staleness                   24h
      sts_region                      the default region
      api_share                       0.25
      conventions                     environment
      scrape_intervals                10s, 1m
      default_scrape_interval_prefix  1m
      tags_to_labels                  stage, team
      meta_labels                     *
      service_tags                    false
      sources[0]                      own account; eu-west-1, eu-central-1; prod-*
      sources[1]                      arn:aws:iam::222222222222:role/reader; the default region; all clusters; with an external id; session scraper
    ");
    let overruled = configured(text).env("PROMETHEUS_ECS_SD_RECHECK_INTERVAL", "30m");
    let arguments = ["check-config", "--interval", "90", "--region", "us-east-1", "--cluster", "one"];
    assert_snapshot!(overruled.runs(&arguments), @r"
    exit 0
    The configuration is valid:

      directory                       targets
      file_layout                     per-interval
      state_file                      targets/.prometheus-ecs-sd/state
      listen_address                  none
      allowed_host                    none
      web_config_file                 none
      enable_lifecycle                false
      allow_empty                     false
      interval                        90s
      event_queue                     none
      reconcile_interval              10m
      recheck_interval                30m
      max_staleness                   24h
      sts_region                      the default region
      api_share                       0.25
      conventions                     environment
      scrape_intervals                10s, 1m
      default_scrape_interval_prefix  1m
      tags_to_labels                  stage, team
      meta_labels                     *
      service_tags                    false
      sources[0]                      own account; us-east-1; one
      sources[1]                      arn:aws:iam::222222222222:role/reader; us-east-1; one; with an external id; session scraper
    ");
    let role = ["check-config", "--role", "arn:aws:iam::333333333333:role/reader"];
    assert_snapshot!(configured(text).runs(&role).lines().last().unwrap(), @r"  sources[1]                      arn:aws:iam::333333333333:role/reader; the default region; all clusters");
}

#[test]
fn a_web_configuration_that_is_there_is_checked_too() {
    let text = "web_config_file: web.yml\n";
    assert!(configured(text).runs(&["check-config"]).starts_with("exit 0"));
    let checked = configured(text);
    std::fs::write(checked.directory.path().join("web.yml"), "").unwrap();
    assert_snapshot!(checked.runs(&["check-config"]), @r"
    exit 2
    error: web.yml:1: the file sets nothing; to serve without TLS and passwords, start the program without --web-config-file
    ");
    let checked = configured(text);
    std::fs::write(checked.directory.path().join("web.yml"), "basic_auth_user: {}\n").unwrap();
    assert_snapshot!(checked.runs(&["check-config"]), @r"
    exit 2
    error: web.yml:1: basic_auth_user: there is no such key; did you mean basic_auth_users?
    ");
}

#[test]
fn an_empty_file_says_nothing() {
    let without =
        program().env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS").arg("check-config").output().unwrap();
    let without = format!("exit 0\n{}", String::from_utf8(without.stdout).unwrap());
    assert_eq!(configured("# nothing\n").runs(&["check-config"]), without);
}

#[test]
fn the_configuration_for_prometheus_is_one_that_it_takes() {
    let files = configured("directory: /var/lib/a 'b'\nscrape_intervals: [10s, 1m]\n");
    let single = configured("directory: targets\nfile_layout: single\n");
    let served = configured("listen_address: :9800\n");
    let guarded = configured("web_config_file: web.yml\n");
    let made = [files, single, served, guarded].map(|configured| {
        let made = configured.runs(&["generate", "prometheus-config"]);
        let made = made.strip_prefix("exit 0\n").unwrap().to_owned();
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("prometheus.yml");
        std::fs::write(&file, &made).unwrap();
        let checked = tool("promtool").args(["check", "config"]).arg(&file).output().unwrap();
        assert!(checked.status.success(), "{checked:?}");
        made
    });
    assert_snapshot!(made.join("\n"), @r#"
    scrape_configs:
      - job_name: ecs-10s
        scrape_interval: 10s
        file_sd_configs:
          - files: ["/var/lib/a 'b'/10s-tasks.json"]
      - job_name: ecs-1m
        scrape_interval: 1m
        file_sd_configs:
          - files: ["/var/lib/a 'b'/1m-tasks.json"]

    scrape_configs:
      # Each target brings its own interval, path and scheme.
      - job_name: ecs
        file_sd_configs:
          - files: ["DIR/targets/tasks.json"]

    scrape_configs:
      # Each target brings its own interval, path and scheme.
      - job_name: ecs
        http_sd_configs:
          - url: http://localhost:9800/sd

    scrape_configs:
      # Each target brings its own interval, path and scheme.
      - job_name: ecs
        http_sd_configs:
          - url: https://127.0.0.1:9779/sd
            # As the web configuration file requires it, and http if it has no certificate:
            # basic_auth: { username: …, password_file: … }
            # tls_config: { ca_file: … }
    "#);
}

fn example(name: &str) -> String {
    std::fs::read_to_string(repository(&format!("examples/{name}"))).unwrap()
}

fn as_json(text: &str) -> serde_json::Value {
    serde_json::from_str(text.strip_prefix("exit 0\n").unwrap_or(text)).unwrap()
}

#[test]
fn the_policies_are_those_of_the_examples() {
    let roles = [
        "arn:aws:iam::222222222222:role/prometheus-ecs-sd",
        "arn:aws:iam::333333333333:role/prometheus-ecs-sd",
    ];
    let of = |product: &str, text: &str| as_json(&configured(text).runs(&["generate", product]));
    assert_eq!(of("iam-policy", "{}"), as_json(&example("iam-policy.json")));
    let only_roles = format!("no_own_account: true\nrole: [{}]\n", roles.join(", "));
    assert_eq!(of("iam-policy", &only_roles), as_json(&example("iam-assume-role.json")));
    assert_eq!(of("iam-role-policy", &only_roles), as_json(&example("iam-policy.json")));
    assert_snapshot!(configured("{}").runs(&["generate", "iam-role-policy"]), @r"
    exit 2
    error: there is no role; add --role, or a source with one
    ");
    let named = of("iam-policy", "cluster: [one, arn:aws:ecs:eu-west-1:123456789012:cluster/two]\n");
    assert!(!named.to_string().contains("ListClusters"), "{named}");
}

#[test]
fn completions_and_the_manual_name_every_command() {
    let made = |arguments: &[&str]| {
        let output = program().arg("generate").args(arguments).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    for shell in ["bash", "fish", "zsh"] {
        assert!(made(&["completions", shell]).contains("check-config"), "{shell}");
    }
    let manual = made(&["man"]);
    assert!(manual.starts_with(".ie") && manual.contains("check\\-config"), "{manual}");
    assert_eq!(
        program().args(["generate", "completions"]).env_remove("SHELL").output().unwrap().status.code(),
        Some(2)
    );
}

#[test]
fn every_example_of_a_configuration_is_valid() {
    let examples: Vec<PathBuf> = vec![repository("examples/config.yml")];
    for path in examples {
        let output = program().args(["check-config", "--config-file"]).arg(&path).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_pipe_is_no_configuration_file() {
    let configured = configured("");
    let file = configured.directory.path().join("config.yml");
    std::fs::remove_file(&file).unwrap();
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    assert_snapshot!(configured.runs(&["check-config"]), @r"
    exit 2
    error: --config-file: config.yml cannot be read: it is not a regular file

    For more information, try '--help'.
    ");
}

/// Comparing each with all others took 20 s for so many clusters.
#[test]
fn a_file_as_large_as_allowed_is_checked_value_by_value() {
    let clusters: String = (0..100_000).map(|number| format!("- c{number:05}\n")).collect();
    let said = configured(&format!("listen_address: none\ncluster:\n{clusters}")).runs(&["check-config"]);
    assert!(said.contains("set their directory"), "{}", &said[..said.len().min(1000)]);
    let keys: String = (0..50_000).map(|number| format!("k{number:05}: x\n")).collect();
    let said = configured(&keys).runs(&["check-config"]);
    assert!(said.contains("config.yml: 49,900 more errors") && said.lines().count() < 110, "{said}");
}
