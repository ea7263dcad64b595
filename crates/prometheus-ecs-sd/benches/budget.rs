//! How long a first discovery takes when AWS enforces its request limits, beside the least that they allow.
//!
//! The first rows are in real time: the real binary, as a process of its own, against a simulated AWS on loopback. In the
//! rows of growth the program runs in this process under tokio's paused clock, in which nothing but waiting takes
//! time; they would take many minutes otherwise.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ecs_discovery::derive::Rules;
use ecs_simulator::worlds::{REGION, Size, large};
use ecs_simulator::{Aws, OWN_ACCESS_KEY, OWN_SECRET_KEY, least_seconds};
use prometheus_ecs_sd::config::Layout;
use prometheus_ecs_sd::config::{Account, Config};
use prometheus_ecs_sd::discovery::{Discovery, Outcome};
use prometheus_ecs_sd::lock::Locks;
use prometheus_ecs_sd::published::SnapshotStore;
use prometheus_ecs_sd::telemetry::LogFormat;

/// Of an answer, as from within a region.
const LATENCY: Duration = Duration::from_millis(20);

fn main() {
    println!("| first discovery | share | calls | least s | measured s | ratio | throttled |");
    println!("|---|---|---|---|---|---|---|");
    let usual = Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 };
    for (size, share) in [(usual, 1.0), (usual, 0.5), (Size { clusters: 1, ..usual }, 1.0)] {
        let aws = metered(size);
        let seconds = in_real_time(&aws, share);
        row("", size, share, &aws, seconds);
    }
    for definitions in [1_000, 10_000] {
        let size = Size { definitions, ..usual };
        for share in [1.0, 0.5] {
            let aws = metered(size);
            let seconds = in_paused_time(&aws, share);
            row(" (paused clock)", size, share, &aws, seconds);
        }
    }
}

fn metered(size: Size) -> Aws {
    let aws = Aws::new(large(size));
    aws.set_latency(LATENCY);
    aws.enforce_limits();
    aws
}

fn row(how: &str, size: Size, share: f64, aws: &Aws, seconds: f64) {
    let calls = aws.take_ledger();
    // The pages of a cluster come one after the other.
    let pages = calls.calls("ecs", "ListTasks") as f64 / size.clusters as f64;
    let least = least_seconds(&calls, share).max(pages * LATENCY.as_secs_f64());
    println!(
        "| {} tasks, clusters: {}, definitions: {}, hosts: {}{how} | {share} | {} | {least:.1} | {seconds:.1} | {:.2} | {} |",
        size.tasks,
        size.clusters,
        size.definitions,
        size.hosts,
        calls.total(),
        seconds / least,
        calls.refused(),
    );
}

/// From the start of the process to its end.
fn in_real_time(aws: &Aws, share: f64) -> f64 {
    let url = aws.clone().serve_on_loopback().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let began = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_prometheus-ecs-sd"))
        .env_clear()
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY)
        .args([
            "--once",
            "--log-level",
            "warn",
            "--region",
            REGION,
            "--api-share",
            &share.to_string(),
            "--directory",
        ])
        .arg(directory.path())
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
    began.elapsed().as_secs_f64()
}

fn in_paused_time(aws: &Aws, share: f64) -> f64 {
    let directory = tempfile::tempdir().unwrap();
    prometheus_ecs_sd::sinks::file_sd::prepare(directory.path()).unwrap();
    let config = config(directory.path(), share);
    let program =
        prometheus_ecs_sd::aws::Aws::isolated(aws.connector(), REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY);
    let program = program.with_share(config.api_share);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(async {
        let began = tokio::time::Instant::now();
        let discovery =
            Discovery::new(&config, &program, SnapshotStore::default(), Arc::default(), io::sink()).unwrap();
        assert_eq!(discovery.once().await, Outcome::Complete);
        began.elapsed().as_secs_f64()
    })
}

fn config(directory: &Path, share: f64) -> Config {
    Config {
        directory: Some(directory.to_owned()),
        file_layout: Layout::PerInterval,
        listen: None,
        allowed_hosts: BTreeSet::new(),
        web_config_file: None,
        enable_lifecycle: false,
        allow_empty: false,
        once: true,
        state_file: None,
        interval: Duration::from_secs(60),
        event_queues: Vec::new(),
        reconcile_interval: Duration::from_secs(600),
        recheck_interval: Duration::from_secs(600),
        max_staleness: Duration::MAX,
        accounts: vec![Account::default()],
        sts_region: None,
        api_share: share.to_string().parse().unwrap(),
        rules: Rules::default(),
        log_format: LogFormat::Text,
        quiet: true,
        locks: Locks::default(),
    }
}
