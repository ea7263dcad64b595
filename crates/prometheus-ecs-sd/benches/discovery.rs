//! What discovery costs this program, and how that grows: a first discovery, a steady refresh, one in which a
//! hundredth of the tasks has been replaced, and a restart, with 1,000, 10,000 and 100,000 tasks.
//!
//! With `BASELINE=path/to/prometheus-ecs-sd` another binary is measured in turn with this one, and ratios are printed.
//!
//! Printed are medians of several runs; the machine's noise is in them. The requests take the whole of AWS's
//! budget, so that waiting for it, which is most of the time, is as short as it can be.
#![allow(clippy::unwrap_used)]

mod baseline;
mod program;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use ecs_simulator::Aws;
use ecs_simulator::worlds::{Size, churn, large};

use baseline::{binaries, median};
use program::{Cost, OWN, Program};

const FILES: [&str; 4] = ["15s-tasks.json", "30s-tasks.json", "1m-tasks.json", "5m-tasks.json"];

const FIRST: &str = "first discovery";
const RESTART: &str = "restart";
const PHASES: [&str; 4] = [FIRST, "steady refresh", "refresh, 1 % replaced", RESTART];

/// How large, how it is measured, and how often.
struct Setting {
    size: Size,
    runs: usize,
    /// Refreshes of a kind in each run.
    refreshes: usize,
    /// In seconds; longer than a refresh, so that one does not begin while the files of the one before are written.
    interval: u32,
}

const SETTINGS: [Setting; 3] = [
    Setting {
        size: Size { tasks: 1_000, clusters: 5, definitions: 50, hosts: 100 },
        runs: 3,
        refreshes: 10,
        interval: 1,
    },
    Setting {
        size: Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 },
        runs: 3,
        refreshes: 3,
        interval: 10,
    },
    Setting {
        size: Size { tasks: 100_000, clusters: 50, definitions: 2_000, hosts: 5_000 },
        runs: 1,
        refreshes: 1,
        interval: 75,
    },
];

fn main() {
    let binary = fs::metadata(OWN).unwrap().len();
    println!("binary: {:.1} MB\n", binary as f64 / 1e6);
    println!("| tasks | | calls | CPU s | peak MiB | start to first targets, s |");
    println!("|---|---|---|---|---|---|");
    for setting in SETTINGS {
        let mut runs: Vec<_> = binaries().into_iter().map(|binary| (binary, Vec::new())).collect();
        for _ in 0..setting.runs {
            runs.iter_mut().for_each(|(binary, runs)| runs.push(measure(binary, &setting)));
        }
        for (phase, name) in PHASES.iter().enumerate() {
            let of = |runs: &[[Cost; PHASES.len()]], value: fn(&Cost) -> f64| {
                median(runs.iter().map(|costs| value(&costs[phase])))
            };
            let costs = runs.iter().map(|(_, runs)| Cost {
                cpu: of(runs, |cost| cost.cpu),
                wall: of(runs, |cost| cost.wall),
                calls: of(runs, |cost| cost.calls),
                peak: of(runs, |cost| cost.peak),
            });
            let costs: Vec<_> = costs.collect();
            let print = |name: &str, Cost { cpu, wall, calls, peak }: Cost| {
                let wall = if [FIRST, RESTART].contains(&PHASES[phase]) {
                    format!("{wall:.2}")
                } else {
                    String::new()
                };
                println!("| {} | {name} | {calls:.0} | {cpu:.3} | {peak:.0} | {wall} |", setting.size.tasks);
            };
            print(name, costs[0]);
            if let [own, baseline] = costs[..] {
                print("baseline", baseline);
                println!("| | ratio | | {:.2} | {:.2} | |", own.cpu / baseline.cpu, own.peak / baseline.peak);
            }
        }
    }
}

fn measure(binary: &Path, &Setting { size, refreshes, interval, .. }: &Setting) -> [Cost; PHASES.len()] {
    let aws = Aws::new(large(size));
    let url = aws.clone().serve_on_loopback().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let start = || {
        aws.take_ledger();
        // A tenth of the tasks is described again in each refresh, as with the usual intervals.
        let [interval, recheck] = [interval, 10 * interval].map(|seconds| seconds.to_string());
        let arguments = ["--interval", &interval, "--recheck-interval", &recheck, "--api-share", "1"];
        (SystemTime::now(), Program::start(binary, &url, directory.path(), &arguments))
    };
    let (began, mut program) = start();
    program.published();
    program.written_since(&FILES, began);
    let first = program.cost(&aws);
    let refresh = |before: &dyn Fn()| {
        let begin = program.cost(&aws);
        for _ in 0..refreshes {
            before();
            program.written_since(&FILES, SystemTime::now());
        }
        per_refresh(begin, program.cost(&aws), refreshes)
    };
    let steady = refresh(&|| {});
    let replacing = refresh(&|| aws.change(|world| churn(world, size.tasks / 100)));
    drop(program);
    let (began, mut program) = start();
    program.published();
    let published = program.cost(&aws).wall;
    program.written_since(&FILES, began);
    let restart = Cost { wall: published, ..program.cost(&aws) };
    [first, steady, replacing, restart]
}

fn per_refresh(begin: Cost, end: Cost, refreshes: usize) -> Cost {
    let share = |value: fn(&Cost) -> f64| (value(&end) - value(&begin)) / refreshes as f64;
    Cost {
        cpu: share(|cost| cost.cpu),
        wall: share(|cost| cost.wall),
        calls: share(|cost| cost.calls),
        peak: end.peak,
    }
}
