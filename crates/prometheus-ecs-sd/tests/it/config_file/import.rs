//! `generate config`: from where it reads, and what it tells.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use insta::assert_snapshot;

use crate::tools::{program, repository};

/// The exit code and all that is printed, with this standard input.
fn generated(arguments: &[&str], input: &[u8]) -> String {
    let mut command: Command = program();
    command.args(["generate", "config"]).args(arguments).current_dir(repository("fuzz/seeds"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have refused the arguments, or more than a megabyte.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let text = String::from_utf8([stdout, stderr].concat()).unwrap();
    format!("exit {}\n{text}", status.code().unwrap())
}

#[test]
fn a_configuration_is_read_from_a_file_or_from_standard_input() {
    for (option, path) in [
        ("--from-cloudwatch-agent", "cloudwatch_agent/file.json"),
        ("--from-ecs-observer", "ecs_observer/file.yaml"),
    ] {
        let of_file = generated(&[option, path], b"");
        assert!(of_file.starts_with("exit 0\n# Made from a configuration of the "), "{of_file}");
        let text = std::fs::read(repository("fuzz/seeds").join(path)).unwrap();
        assert_eq!(generated(&[option, "-"], &text), of_file);
    }
}

#[test]
fn check_config_accepts_the_configuration() {
    for (option, path) in [
        ("--from-cloudwatch-agent", "cloudwatch_agent/file.json"),
        ("--from-ecs-observer", "ecs_observer/file.yaml"),
    ] {
        let made = generated(&[option, path], b"");
        let made = made.split_once("warning: ").map_or(&*made, |(made, _)| made);
        let checked = super::configured(made.strip_prefix("exit 0\n").unwrap()).runs(&["check-config"]);
        assert!(checked.starts_with("exit 0\n"), "{checked}");
    }
    // Clusters of several regions are several sources.
    let text = "extensions:\n  ecs_observer: {cluster_name: a, cluster_region: eu-west-1}\n  ecs_observer/b: {cluster_name: b}\n";
    let made = generated(&["--from-ecs-observer", "-"], text.as_bytes());
    let checked = super::configured(made.strip_prefix("exit 0\n").unwrap()).runs(&["check-config"]);
    assert!(checked.starts_with("exit 0\n"), "{checked}");
}

#[test]
fn an_entry_that_is_left_out_is_told_beside_the_configuration() {
    let text = b"extensions: {ecs_observer: {cluster_name: a, services: [{name_pattern: a}]}}";
    assert_snapshot!(generated(&["--from-ecs-observer", "-"], text), @r"
    exit 0
    # Made from a configuration of the OpenTelemetry Collector.
    # There was no cluster_region: the collector discovered the region of its variable AWS_REGION.
    # There was no refresh_interval: the collector used its own interval.
    cluster: a
    conventions:
      # extensions.ecs_observer.services[0] is left out, because it discovered nothing: there is no
      # metrics_ports.
      - name: ecs_observer-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
    warning: extensions.ecs_observer.services[0] is left out, because it discovered nothing: there is no metrics_ports.
    ");
}

#[test]
fn a_file_that_cannot_be_read_is_told_with_its_place() {
    assert_snapshot!(generated(&["--from-cloudwatch-agent", "cloudwatch_agent/section.json"], b""), @r#"
    exit 2
    error: cloudwatch_agent/section.json:1: task_definition_list[0].sd_task_definition_arn_pattern: "*nginx" is not a regular expression: uncounted repetition operator must be applied to a sub-expression, at column 1; write .*nginx
    "#);
    assert_snapshot!(generated(&["--from-cloudwatch-agent", "-"], b"[]"), @r"
    exit 2
    error: standard input:1: this must be a mapping, such as key: value
    ");
    assert_snapshot!(generated(&["--from-ecs-observer", "no-such-file"], b""), @r"
    exit 2
    error: no-such-file cannot be read: No such file or directory (os error 2)
    ");
    assert_snapshot!(generated(&["--from-ecs-observer", "-"], &vec![b' '; (1 << 20) + 1]), @r"
    exit 2
    error: standard input cannot be read: it is longer than a megabyte
    ");
    assert_snapshot!(generated(&["--from-ecs-observer", "-"], b"\xff"), @r"
    exit 2
    error: standard input cannot be read: stream did not contain valid UTF-8
    ");
    assert_snapshot!(generated(&[], b""), @r"
    exit 2
    error: generate config: name the file of another tool: --from-cloudwatch-agent or --from-ecs-observer
    ");
}
