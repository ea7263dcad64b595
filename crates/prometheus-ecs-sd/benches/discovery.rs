//! What discovery costs this program: CPU time, memory and calls of the first refresh and of a steady one.
//!
//! The real binary runs as a process of its own against a simulated AWS on loopback, which lives in this
//! process and is not in the figures. Printed are medians of several runs; the machine's noise is in them.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ecs_simulator::worlds::{REGION, Size, large};
use ecs_simulator::{Aws, OWN_ACCESS_KEY, OWN_SECRET_KEY};

const RUNS: usize = 5;
const STEADY_REFRESHES: u64 = 20;

/// The unit of CPU times in /proc, which Linux fixes for all architectures it shows to programs.
const TICKS_PER_SECOND: f64 = 100.0;

fn main() {
    let size = Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 };
    println!(
        "{} tasks in {} clusters, {} definitions, {} hosts; medians of {RUNS} runs\n",
        size.tasks, size.clusters, size.definitions, size.hosts
    );
    let aws = Aws::new(large(size));
    let url = aws.clone().serve_on_loopback().unwrap();
    let runs: Vec<Run> = (0..RUNS).map(|_| measure(&aws, &url)).collect();
    let median = |value: fn(&Run) -> f64| {
        let mut values: Vec<_> = runs.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    println!("| | CPU s | wall s | calls | peak MiB |");
    println!("|---|---|---|---|---|");
    println!(
        "| first refresh | {:.2} | {:.2} | {:.0} | {:.1} |",
        median(|run| run.first.cpu),
        median(|run| run.first.wall),
        median(|run| run.first.calls),
        median(|run| run.first.peak)
    );
    println!(
        "| steady refresh | {:.4} | | {:.1} | {:.1} |",
        median(|run| run.steady.cpu),
        median(|run| run.steady.calls),
        median(|run| run.steady.peak)
    );
    let binary = fs::metadata(env!("CARGO_BIN_EXE_prometheus-ecs-sd")).unwrap().len();
    println!("\nbinary: {:.1} MB", binary as f64 / 1e6);
}

struct Run {
    first: Cost,
    /// Of one refresh; a tenth of the tasks is described again in each, as with the usual intervals.
    steady: Cost,
}

#[derive(Clone, Copy)]
struct Cost {
    cpu: f64,
    wall: f64,
    calls: f64,
    peak: f64,
}

fn measure(aws: &Aws, url: &str) -> Run {
    let directory = tempfile::tempdir().unwrap();
    aws.take_ledger();
    let began = Instant::now();
    let mut program = Running(start(url, directory.path()));
    let mut output = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let summary = output.find(|line| line.as_ref().unwrap().contains(" targets (+")).unwrap().unwrap();
    while !directory.path().join("5m-tasks.json").exists() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let first = cost(&program, aws, began);
    assert!(summary.starts_with("10000 targets"), "{summary}");

    let begun = first.refreshes;
    while aws.calls().calls("ecs", "ListClusters") < begun + STEADY_REFRESHES {
        std::thread::sleep(Duration::from_millis(20));
    }
    // The last of these refreshes has only begun: let it end.
    std::thread::sleep(Duration::from_millis(500));
    let then = cost(&program, aws, began);
    let refreshes = (then.refreshes - first.refreshes) as f64;
    let steady = Cost {
        cpu: (then.cost.cpu - first.cost.cpu) / refreshes,
        calls: (then.cost.calls - first.cost.calls) / refreshes,
        ..then.cost
    };
    Run { first: first.cost, steady }
}

fn start(url: &str, directory: &Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_prometheus-ecs-sd"))
        .env_clear()
        .env("AWS_ENDPOINT_URL", url)
        .env("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY)
        .args([
            "--interval",
            "1",
            "--recheck-interval",
            "10",
            "--api-share",
            "1",
            "--region",
            REGION,
            "--directory",
        ])
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

struct Measured {
    cost: Cost,
    refreshes: u64,
}

fn cost(program: &Running, aws: &Aws, began: Instant) -> Measured {
    let process = format!("/proc/{}", program.0.id());
    let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
    // After the command's name in parentheses: state is field 3, utime 14 and stime 15.
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let status = fs::read_to_string(format!("{process}/status")).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    let ledger = aws.calls();
    Measured {
        cost: Cost {
            cpu: ticks / TICKS_PER_SECOND,
            wall: began.elapsed().as_secs_f64(),
            calls: ledger.total() as f64,
            peak: peak / 1024.0,
        },
        refreshes: ledger.calls("ecs", "ListClusters"),
    }
}

/// Ends with the run, whichever way that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
