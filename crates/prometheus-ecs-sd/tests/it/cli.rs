//! The binary as people run it: exit codes, messages, signals.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ecs_simulator::{
    Aws, Calls, Delivery, Fault, OWN_ACCESS_KEY, OWN_SECRET_KEY, Placement, Response, World,
};
use insta::assert_snapshot;

use crate::simulated::{fleet, opted_in};
use crate::tools::{Running, demo_turn, wait};

/// A directory for the files, and the binary with nothing of this machine's AWS configuration.
pub(crate) struct Program {
    directory: tempfile::TempDir,
    pub(crate) command: Command,
}

impl Program {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_prometheus-ecs-sd"));
        command.env_clear().env("HOME", directory.path()).env("AWS_EC2_METADATA_DISABLED", "true");
        // Tests run side by side.
        command.env("PROMETHEUS_ECS_SD_LISTEN_ADDRESS", "none");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { directory, command }
    }

    /// Points it at a simulated AWS and at the directory.
    pub(crate) fn on(aws: &Aws) -> Self {
        let mut program = Self::asking(aws);
        let directory = program.directory.path().to_owned();
        program.command.arg("--directory").arg(directory);
        program
    }

    /// Points it at a simulated AWS.
    pub(crate) fn asking(aws: &Aws) -> Self {
        let mut program = Self::new();
        program
            .command
            .env("AWS_ENDPOINT_URL", aws.clone().serve_on_loopback().unwrap())
            .env("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY)
            .env("AWS_REGION", "eu-central-1");
        program
    }

    pub(crate) fn args(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The exit code and standard error, with times and the directory's name left out.
    pub(crate) fn failed(mut self) -> String {
        let Output { status, stderr, .. } = self.command.output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap().replace(self.path().to_str().unwrap(), "DIR");
        format!("exit {}\n{stderr}", status.code().unwrap())
    }

    pub(crate) fn exit_code(mut self) -> Option<i32> {
        self.command.output().unwrap().status.code()
    }
}

#[test]
fn once_with_another_selection_that_finds_nothing_says_what_would_have_left() {
    let aws = Aws::new(fleet(&[("production", 2)]));
    let mut program = Program::on(&aws).args(&["--once"]);
    assert!(program.command.status().unwrap().success());
    let failed = program.args(&["--cluster", "prodution"]).failed();
    assert!(failed.starts_with("exit 3\n"), "{failed}");
    let line = failed.lines().find(|line| line.contains("--allow-empty")).expect("a warning");
    assert!(line.contains("WARN") && line.contains("targets=2"), "{line}");
}

#[test]
fn what_leaves_with_another_selection_is_told() {
    let mut world = fleet(&[("production", 1)]);
    let region = world.own("eu-west-1");
    let definition = region.register(opted_in("there"));
    (0..3).for_each(|_| drop(region.run("prod", &definition, Placement::Fargate)));
    let aws = Aws::new(world);
    let mut program = Program::on(&aws).args(&["--once", "--region", "eu-central-1,eu-west-1"]);
    assert!(program.command.status().unwrap().success());
    let directory = program.path().to_owned();
    let mut again = Program::asking(&aws).args(&["--once", "--region", "eu-central-1", "--directory"]);
    let output = again.command.arg(&directory).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{log}");
    let line = log.lines().find(|line| line.contains("region is no longer selected")).expect("a warning");
    assert!(line.contains("region=eu-west-1") && line.contains("targets=3"), "{line}");
    assert!(log.contains("cluster is no longer selected") && !log.contains("cluster is gone"), "{log}");
    let line = log.lines().find(|line| line.contains("discovery begins")).expect("a line");
    assert!(line.contains("version=") && line.contains("own account eu-central-1: all clusters"), "{line}");
    assert!(log.lines().any(|line| line.contains("the account is known") && line.contains("111111111111")));
}

#[test]
fn a_mistyped_option_is_named_and_corrected() {
    assert_snapshot!(Program::new().args(&["--directry", "/tmp"]).failed(), @r"
    exit 2
    error: unexpected argument '--directry' found

      tip: a similar argument exists: '--directory'

    Usage: prometheus-ecs-sd --directory <DIR>

    For more information, try '--help'.
    ");
}

#[test]
fn a_missing_directory_says_what_to_do() {
    let program = Program::new();
    let missing = program.path().join("missing");
    assert_snapshot!(program.args(&["--directory", missing.to_str().unwrap()]).failed(), @r"
    exit 2
    error: --directory: DIR/missing does not exist; create it, for example with mkdir -p DIR/missing

    For more information, try '--help'.
    ");
}

#[test]
fn a_directory_that_cannot_be_written_says_so() {
    // Root may write to any directory but those of the kernel.
    assert_snapshot!(Program::new().args(&["--directory", "/proc"]).failed(), @r"
    exit 2
    error: --directory: /proc cannot be written to (No such file or directory (os error 2)); make it writable for the user that this program runs as, or name another directory

    For more information, try '--help'.
    ");
}

#[test]
fn an_unknown_interval_and_a_malformed_role_are_named_together() {
    let arguments = ["--default-scrape-interval-prefix", "2m", "--role", "arn:aws:iam::1:role/x"];
    assert_snapshot!(Program::on(&Aws::new(World::new(1))).args(&arguments).failed(), @r#"
    exit 2
    error: --role: "arn:aws:iam::1:role/x" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME
    error: --default-scrape-interval-prefix: "2m" is not one of the scrape intervals that are offered; name one of these, or offer it too

    For more information, try '--help'.
    "#);
}

#[test]
fn options_come_from_the_environment_too() {
    let directory = tempfile::tempdir().unwrap();
    let program = Program::new()
        .env("PROMETHEUS_ECS_SD_DIRECTORY", directory.path().to_str().unwrap())
        .env("PROMETHEUS_ECS_SD_ROLE", "one,two");
    assert_snapshot!(program.failed(), @r#"
    exit 2
    error: --role: "one" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME
    error: --role: "two" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME

    For more information, try '--help'.
    "#);
}

#[test]
fn no_region_is_bad_configuration() {
    let program = Program::new();
    let directory = program.path().to_str().unwrap().to_owned();
    let failed = program.args(&["--directory", &directory]).failed();
    assert_snapshot!(failed, @r"
    exit 2
    error: --region: no region is named; add --region, or set AWS_REGION or the profile's region

    For more information, try '--help'.
    ");
}

#[test]
fn a_queue_in_no_region_or_in_one_that_is_not_discovered_is_bad_configuration() {
    let failed = |arguments: &[&str], region: Option<&str>| {
        let program = Program::new();
        let directory = program.path().to_str().unwrap().to_owned();
        let mut program = program.args(&["--directory", &directory]).args(arguments);
        if let Some(region) = region {
            program = program.env("AWS_REGION", region);
        }
        program.failed()
    };
    let stand_in = ["--region", "eu-central-1", "--event-queue", "http://localhost:9324/queue/events"];
    assert_snapshot!(failed(&stand_in, None), @r"
    exit 2
    error: --event-queue: the queue events is in no region; give its ARN, or set AWS_REGION or the profile's region

    For more information, try '--help'.
    ");
    let elsewhere = ["--event-queue", "arn:aws:sqs:eu-west-1:111111111111:events"];
    assert_snapshot!(failed(&elsewhere, Some("eu-central-1")), @r"
    exit 2
    error: --event-queue: the queue eu-west-1/events is in a region that is not discovered; add the region to --region, or remove the queue

    For more information, try '--help'.
    ");
}

#[test]
fn the_usual_address_may_be_taken_unless_there_is_nothing_else_to_do() {
    // By this test, or by another process that holds it; the test of a demo would hold it for a moment only.
    let _turn = demo_turn();
    let _taken = std::net::TcpListener::bind("127.0.0.1:9779");
    let mut without_files = Program::new().env("AWS_REGION", "eu-central-1");
    without_files.command.env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS");
    let said = without_files.failed();
    assert!(said.starts_with("exit 2\nerror: --listen-address: cannot listen at 127.0.0.1:9779"), "{said}");
    let mut with_files = Program::on(&Aws::new(fleet(&[("production", 1)])));
    with_files.command.env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS");
    let mut child = Running::start(&mut with_files.command);
    let out = BufReader::new(child.0.stdout.take().unwrap()).lines();
    assert!(out.map(Result::unwrap).any(|line| line.starts_with("1 target ")));
    child.check();
}

#[test]
fn once_tells_complete_incomplete_and_nothing_apart() {
    let aws = Aws::new(fleet(&[("bad", 1), ("good", 1)]));
    assert_eq!(Program::on(&aws).args(&["--once"]).exit_code(), Some(0));

    let bad =
        |call: &ecs_simulator::Call| call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("bad"));
    aws.on_call(move |call| bad(call).then(|| Response::throttled(call)));
    let mut program = Program::on(&aws).args(&["--once"]);
    let output = program.command.output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(
        std::fs::read_to_string(program.path().join("1m-tasks.json")).unwrap().contains("__meta_ecs_cluster")
    );

    aws.on_call(|call| Some(Response::denied(call)));
    let mut program = Program::on(&aws).args(&["--once"]);
    assert_eq!(program.command.output().unwrap().status.code(), Some(1));
    assert!(!program.path().join("1m-tasks.json").exists());
}

#[test]
fn a_denied_cluster_is_told_once_with_what_to_do_and_fails_only_who_named_it() {
    let aws = Aws::new(fleet(&[("prod", 1), ("secret", 1)]));
    aws.inject(Fault::Denied, Calls::all().in_cluster("secret"));
    for (clusters, code) in [(&[][..], 0), (&["--cluster", "prod"], 0), (&["--cluster", "prod", "secret"], 3)]
    {
        let mut program = Program::on(&aws).args(&["--once"]).args(clusters);
        let output = program.command.output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{clusters:?}: {log}");
        let told: Vec<_> = log.lines().filter(|line| line.contains("access to cluster is denied")).collect();
        assert_eq!(told.len(), usize::from(clusters.last() != Some(&"prod")), "{log}");
        for line in told {
            assert!(line.contains(
                "allow ecs:ListTasks and ecs:DescribeTasks on it, or select other clusters with --cluster"
            ));
            assert!(line.contains("secret") && line.contains("AccessDeniedException"), "{line}");
        }
    }
}

#[test]
fn no_credentials_are_told_in_words_and_empty_no_file() {
    let mut program = Program::new().env("AWS_REGION", "eu-central-1");
    let directory = program.path().to_owned();
    std::fs::write(directory.join("1m-tasks.json"), "of the run before").unwrap();
    let output = program.command.arg("--once").arg("--directory").arg(&directory).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(log.contains("no AWS credentials were found: set AWS_PROFILE"), "{log}");
    assert!(log.contains("nothing is published yet, files stay as they are"), "{log}");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(directory.join("1m-tasks.json")).unwrap(), "of the run before");
}

#[test]
fn a_state_file_may_be_named_without_a_directory() {
    let mut program =
        Program::on(&Aws::new(fleet(&[("prod", 1)]))).args(&["--once", "--state-file", "state"]);
    let directory = program.path().to_owned();
    let output = program.command.current_dir(&directory).output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(!log.contains("could not be written"), "{log}");
    assert!(directory.join("state").is_file());
}

#[test]
fn help_and_version_are_no_errors() {
    assert_eq!(Program::new().args(&["--help"]).exit_code(), Some(0));
    assert_eq!(Program::new().args(&["--version"]).exit_code(), Some(0));
    assert_eq!(Program::new().args(&["demo", "--help"]).exit_code(), Some(0));
}

/// Less than the program would wait for AWS, on a machine that runs other tests too.
const SOON: Duration = Duration::from_secs(5);

/// Starts the program, sends it a signal once `ready` says so, and expects an exit with 0 soon.
fn stops_at_once(program: &mut Program, signal: &str, mut ready: impl FnMut(&mut Child) -> bool) {
    let mut child = Running::start(&mut program.command);
    wait(|| if ready(&mut child.0) { Ok(()) } else { Err("what the program is to do first".to_owned()) });
    let sent = Instant::now();
    assert!(Command::new("kill").args([signal, &child.0.id().to_string()]).status().unwrap().success());
    let status = child.0.wait().unwrap();
    assert_eq!(status.code(), Some(0));
    assert!(sent.elapsed() < SOON, "it took {:?}", sent.elapsed());
}

#[test]
fn signals_stop_it_between_refreshes_and_leave_the_files() {
    for signal in ["-INT", "-TERM"] {
        let mut program = Program::on(&Aws::new(fleet(&[("prod", 1)])));
        let last = program.path().join("5m-tasks.json");
        stops_at_once(&mut program, signal, |_| last.exists());
        assert!(
            std::fs::read_to_string(program.path().join("1m-tasks.json")).unwrap().contains("10.0.0.4:8080")
        );
    }
}

#[test]
fn a_signal_stops_it_while_aws_does_not_answer() {
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let asked = Arc::new(AtomicBool::new(false));
    let seen = asked.clone();
    aws.on_call(move |call| {
        seen.store(true, Ordering::Relaxed);
        let mut response = Response::unavailable(call);
        response.delivery = Delivery::Stalled;
        Some(response)
    });
    stops_at_once(&mut Program::on(&aws), "-TERM", |_| asked.load(Ordering::Relaxed));
}

#[test]
fn a_signal_stops_it_while_it_waits_for_its_turn_with_aws() {
    let mut world = fleet(&[]);
    let region = world.own("eu-central-1");
    for number in 0..50 {
        let definition = region.register(opted_in(&format!("family-{number}")));
        region.run("prod", &definition, Placement::Fargate);
    }
    let aws = Aws::new(world);
    let mut program = Program::on(&aws).args(&["--api-share", "0.01"]);
    stops_at_once(&mut program, "-TERM", |_| aws.calls().calls("ecs", "DescribeTaskDefinition") > 0);
    assert!(aws.calls().calls("ecs", "DescribeTaskDefinition") < 3);
}

#[test]
fn a_signal_stops_it_while_nobody_reads_its_output() {
    // More lines than a pipe holds.
    let mut program = Program::on(&Aws::new(fleet(&[("prod", 2_000)])));
    let last = program.path().join("5m-tasks.json");
    stops_at_once(&mut program, "-TERM", |_| last.exists());
}

#[test]
fn a_signal_stops_it_without_credentials() {
    let program = Program::new().env("AWS_REGION", "eu-central-1");
    let directory = program.path().to_str().unwrap().to_owned();
    stops_at_once(&mut program.args(&["--directory", &directory]), "-TERM", |child| {
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("nothing is published yet") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the log ended");
        }
        true
    });
}

#[test]
fn every_target_appears_changes_or_goes_in_a_line() {
    let mut program = Program::on(&Aws::new(fleet(&[("prod", 1)]))).args(&["--once"]);
    let output = program.command.output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], "+ http://10.0.0.4:8080/metrics 1m prod web app 656a2dd6fc794c1546ca31247755d136");
    assert!(lines[1].starts_with("1 target (+1 ~0 -0) in 1 cluster, 0 containers"), "{}", lines[1]);
}

#[test]
fn logs_and_changes_can_be_json() {
    let mut program = Program::on(&Aws::new(fleet(&[("prod", 1)]))).args(&["--once", "--log-format", "json"]);
    let output = program.command.output().unwrap();
    let logged = objects(&output.stderr);
    assert_eq!((&logged[0]["level"], &logged[0]["message"]), (&"INFO".into(), &"discovery begins".into()));
    let mut printed = objects(&output.stdout);
    assert!(printed[1].as_object_mut().unwrap().remove("seconds").unwrap().is_f64());
    let printed = printed.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert_snapshot!(printed, @r#"
    {"cluster":"prod","container":"app","event":"appeared","job":"web","scrape_interval":"1m","task":"arn:aws:ecs:eu-central-1:111111111111:task/prod/656a2dd6fc794c1546ca31247755d136","url":"http://10.0.0.4:8080/metrics"}
    {"appeared":1,"changed":0,"clusters":1,"containers_not_scraped":0,"event":"totals","gone":0,"stale_clusters":0,"targets":1,"unread_clusters":0}
    "#);
}

/// The objects, without what is different each time.
fn objects(lines: &[u8]) -> Vec<serde_json::Value> {
    let lines = std::str::from_utf8(lines).unwrap().lines();
    let objects =
        lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
    objects
        .map(|mut object: serde_json::Value| {
            let time = object.as_object_mut().unwrap().remove("timestamp").unwrap();
            assert!(time.as_str().is_some_and(|time| time.ends_with('Z')), "{time}");
            object
        })
        .collect()
}

#[test]
fn quiet_prints_no_changes() {
    let quiet = |program: Program| {
        let output = { program }.command.arg("--once").output().unwrap();
        assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b""[..]));
        assert!(String::from_utf8(output.stderr).unwrap().contains("discovery begins"));
    };
    let aws = Aws::new(fleet(&[("prod", 1)]));
    quiet(Program::on(&aws).args(&["--quiet"]));
    quiet(Program::on(&aws).env("PROMETHEUS_ECS_SD_QUIET", "true"));
    let program = Program::on(&aws);
    let file = program.path().join("config.yml");
    std::fs::write(&file, "quiet: true\n").unwrap();
    quiet(program.args(&["--config-file", file.to_str().unwrap()]));
}

#[test]
fn a_signal_stops_it_while_nobody_reads_its_log() {
    let mut program = Program::on(&Aws::new(fleet(&[("prod", 1)]))).args(&["--log-level", "trace"]);
    // All that a pipe holds, so that there is no room for a message. Linux gives each 64 KiB.
    let (_nobody_reads, mut pipe) = std::io::pipe().unwrap();
    pipe.write_all(&[b' '; 64 << 10]).unwrap();
    program.command.stderr(pipe);
    let last = program.path().join("5m-tasks.json");
    stops_at_once(&mut program, "-TERM", |_| last.exists());
}
