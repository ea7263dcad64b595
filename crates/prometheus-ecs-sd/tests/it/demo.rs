//! The demo beside other programs, and what it leaves.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, ExitStatus, Stdio};
use std::time::Duration;

use prometheus_ecs_sd::demo::containers::Containers;
use prometheus_ecs_sd::demo::fleet::{Fleet, PORTS, REGION};
use prometheus_ecs_sd::demo::ports::Ports;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::cli::Program;
use crate::files::{INTERVALS, groups};
use crate::prometheus::scrape_url;
use crate::tools::{Running, demo_turn, get, wait};

/// A running demo that has introduced itself.
struct Demo {
    running: Running,
    introduction: String,
    /// Where temporary files are.
    temporary: tempfile::TempDir,
    _output: BufReader<ChildStdout>,
    // Dropped last.
    _turn: fs::File,
}

impl Demo {
    fn start(umask: &str) -> Self {
        let (turn, temporary) = (demo_turn(), tempfile::tempdir().unwrap());
        let program = Program::new();
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask {umask}; exec \"$0\" demo --interval 1 --churn 1h")]);
        command.arg(program.command.get_program()).env_clear().env("TMPDIR", temporary.path());
        let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::inherit()));
        let mut output = BufReader::new(running.0.stdout.take().unwrap());
        let mut introduction = String::new();
        while !introduction.contains("Ctrl-C ends the demo") {
            assert_ne!(output.read_line(&mut introduction).unwrap(), 0, "it ended after {introduction:?}");
        }
        Self { running, introduction, temporary, _output: output, _turn: turn }
    }

    /// The word of the introduction that stands after this text.
    fn word_after(&self, text: &str) -> &str {
        let after = self.introduction.split(text).nth(1).unwrap_or_else(|| panic!("{}", self.introduction));
        after.split_whitespace().next().unwrap()
    }

    fn directory(&self) -> PathBuf {
        Path::new(self.word_after("configuration")).parent().unwrap().to_owned()
    }

    fn end(&mut self, signal: &str) -> ExitStatus {
        let process = self.running.0.id().to_string();
        assert!(Command::new("kill").args([signal, &process]).status().unwrap().success());
        self.running.0.wait().unwrap()
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        fs::read_dir(self.temporary.path()).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

#[test]
fn where_its_ports_are_in_use_it_takes_others_and_every_target_answers() {
    let fixed = [6379, 8080, 9090, 9100, 9102, 9115, 9779].map(|port| (Ipv4Addr::UNSPECIFIED, port));
    // The first ones that its hosts give to tasks.
    let dynamic = [32_768, 32_770].map(|port| (Ipv4Addr::new(127, 10, 0, 1), port));
    // Whichever of them is in use already is as good.
    let others = fixed.into_iter().chain(dynamic).filter_map(|address| TcpListener::bind(address).ok());
    let others: Vec<_> = others.collect();
    let mut demo = Demo::start("0022");
    let taken: Vec<_> = others.iter().map(|listener| listener.local_addr().unwrap()).collect();
    let is_taken = |address: SocketAddr| {
        let all = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        taken.contains(&address) || taken.contains(&all)
    };
    let page: SocketAddr = demo.word_after("status page     http://").trim_end_matches('/').parse().unwrap();
    let prometheus = demo.word_after("--web.listen-address=localhost:");
    assert!(demo.introduction.contains(&format!("http://localhost:{prometheus}/targets")));
    assert!(!is_taken(page) && !is_taken(format!("127.0.0.1:{prometheus}").parse().unwrap()));
    wait(|| get(page, "/-/ready").map_err(|error| error.to_string()));
    let directory = demo.directory();
    let written = wait(|| {
        demo.running.check();
        let groups: Option<Vec<_>> = INTERVALS.iter().map(|interval| groups(&directory, interval)).collect();
        groups.ok_or_else(|| "the target files".to_owned())
    });
    let written: Vec<_> = written.into_iter().flatten().collect();
    assert!(written.len() > 10, "{written:?}");
    for group in written {
        let address: SocketAddr = group.targets[0].parse().unwrap();
        assert!(!is_taken(address), "{address}");
        let url = scrape_url(&group);
        let path = &url[url.find(&*group.targets[0]).unwrap() + group.targets[0].len()..];
        assert!(get(address, path).unwrap().contains("demo_scrapes_total"), "{url}");
    }
}

#[test]
fn its_temporary_directory_is_for_all_to_read_and_goes_with_it() {
    for signal in ["-INT", "-TERM", "-HUP"] {
        let mut demo = Demo::start("0077");
        let directory = demo.directory();
        assert_eq!(demo.leftovers(), [&*directory]);
        let last = directory.join("5m-tasks.json");
        wait(|| if last.exists() { Ok(()) } else { Err("the target files".to_owned()) });
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        let modes = [mode(&directory), mode(&directory.join("prometheus.yml")), mode(&last)];
        assert_eq!(modes, [0o755, 0o644, 0o644]);
        assert_eq!(demo.end(signal).code(), Some(0), "{signal}");
        assert!(demo.leftovers().is_empty(), "{signal}");
    }
}

#[test]
fn a_demo_that_cannot_begin_leaves_nothing() {
    let _turn = demo_turn();
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (listen, code) in [(&*address, 1), ("nonsense", 2)] {
        let temporary = tempfile::tempdir().unwrap();
        let mut program = Program::new().args(&["demo", "--listen-address", listen]);
        let output = program.command.env("TMPDIR", temporary.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "", "it introduces itself once it runs");
        assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
    }
}

const SECOND: Duration = Duration::from_secs(1);

/// The dynamic ports of the fleet's hosts that its tasks have.
fn host_ports(fleet: &ecs_simulator::Aws) -> BTreeSet<(Option<String>, u16)> {
    fleet.change(|world| {
        let tasks = world.own(REGION).clusters.values().flat_map(|cluster| cluster.tasks.values());
        let bindings = tasks.flat_map(|task| {
            let bindings = task.containers.iter().flat_map(|container| &container.network_bindings);
            bindings.map(|binding| (task.container_instance_arn.clone(), binding.host_port.unwrap()))
        });
        bindings.filter(|(_, port)| *port >= 32_768).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn two_demos_never_take_a_port_from_each_other() {
    let _turn = demo_turn();
    let start = || {
        let fleet = Fleet::start(&Ports::choose(&PORTS).unwrap());
        (Containers::listen(&fleet).unwrap(), fleet.aws().clone(), fleet)
    };
    let ((containers, aws, fleet), (others, other_aws, other_fleet)) = (start(), start());
    let first = host_ports(&aws);
    let compared = async {
        for _ in 0..600 {
            let (one, other) = (host_ports(&aws), host_ports(&other_aws));
            assert!(one.is_disjoint(&other), "{one:?} {other:?}");
            sleep(SECOND).await;
        }
        assert_ne!(first, host_ports(&aws), "tasks were replaced");
    };
    // In step: each looks for its ports at the same moment.
    tokio::select! {
        () = containers.run() => unreachable!(),
        () = others.run() => unreachable!(),
        () = fleet.churn(SECOND * 5, SECOND) => unreachable!(),
        () = other_fleet.churn(SECOND * 5, SECOND) => unreachable!(),
        () = compared => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_demo_goes_on_where_another_program_has_the_address_of_a_later_task() {
    let _turn = demo_turn();
    let ports = Ports::choose(&PORTS).unwrap();
    let fleet = Fleet::start(&ports);
    let containers = Containers::listen(&fleet).unwrap();
    let addresses = (1..=100).map(|last| (Ipv4Addr::new(127, 20, 0, last), ports.of(8080)));
    let taken: Vec<_> = addresses.filter_map(|address| TcpListener::bind(address).ok()).collect();
    assert!(taken.len() > 80);
    let ended = async {
        tokio::select! {
            () = containers.run() => {}
            () = fleet.churn(SECOND * 5, SECOND) => {}
        }
    };
    assert!(timeout(SECOND * 360, ended).await.is_err());
}

#[test]
fn with_logs_in_json_its_standard_output_is_json() {
    let (_turn, temporary) = (demo_turn(), tempfile::tempdir().unwrap());
    let mut program = Program::new().args(&["demo", "--interval", "1", "--log-format", "json"]);
    let command = program.command.env("TMPDIR", temporary.path());
    let mut running = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut introduction = String::new();
    let mut errors = BufReader::new(running.0.stderr.take().unwrap());
    while !introduction.contains("Ctrl-C ends the demo") {
        assert_ne!(errors.read_line(&mut introduction).unwrap(), 0, "it ended after {introduction:?}");
    }
    let mut line = String::new();
    BufReader::new(running.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
}
