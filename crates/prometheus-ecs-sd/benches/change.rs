//! How long one changed task among 10,000 takes until it is in the target files, and what that costs: from the moment
//! when AWS has answered with it until the last file is renamed.
//!
//! With `BASELINE=path/to/prometheus-ecs-sd` another binary is measured in turn with this one, and ratios are printed.
#![allow(clippy::unwrap_used, missing_docs)]

mod baseline;
mod program;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ecs_simulator::Aws;
use ecs_simulator::worlds::{Size, churn, large};

use baseline::{binaries, median};
use program::Program;

/// The clusters that the 10,000 tasks are in.
const CLUSTERS: [usize; 2] = [1, 20];
/// In seconds; longer than a refresh takes.
const INTERVAL: &str = "4";
/// Changes that are measured in each run.
const CHANGES: usize = 12;
const ROUNDS: usize = 2;
/// Short beside what is measured.
const LOOKS_EVERY: Duration = Duration::from_millis(1);
const FILES: [&str; 4] = ["15s-tasks.json", "30s-tasks.json", "1m-tasks.json", "5m-tasks.json"];

/// The medians and the worst of the changes.
#[derive(Clone, Copy)]
struct Figures {
    /// From the last answer to the last renamed file, in seconds.
    median: f64,
    worst: f64,
    /// Of a refresh with a change, in seconds of a processor.
    cpu: f64,
    /// In MiB.
    peak: f64,
}

fn main() {
    println!("| 10,000 tasks | median ms | worst ms | CPU s a refresh | peak MiB |");
    println!("|---|---|---|---|---|");
    for clusters in CLUSTERS {
        let mut runs: Vec<_> = binaries().into_iter().map(|binary| (binary, Vec::new())).collect();
        for _ in 0..ROUNDS {
            runs.iter_mut().for_each(|(binary, runs)| runs.push(measure(binary, clusters)));
        }
        let figures: Vec<_> = runs.iter().map(|(_, runs)| together(runs)).collect();
        print(&format!("in {clusters} clusters"), figures[0]);
        if let [own, baseline] = figures[..] {
            print("baseline", baseline);
            let ratio = |value: fn(&Figures) -> f64| value(&own) / value(&baseline);
            let (median, worst) = (ratio(|one| one.median), ratio(|one| one.worst));
            let (cpu, peak) = (ratio(|one| one.cpu), ratio(|one| one.peak));
            println!("| ratio | {median:.2} | {worst:.2} | {cpu:.2} | {peak:.2} |");
        }
    }
}

fn print(name: &str, Figures { median, worst, cpu, peak }: Figures) {
    println!("| {name} | {:.0} | {:.0} | {cpu:.3} | {peak:.0} |", median * 1e3, worst * 1e3);
}

fn together(runs: &[Figures]) -> Figures {
    let of = |value: fn(&Figures) -> f64| median(runs.iter().map(value));
    Figures {
        median: of(|run| run.median),
        worst: runs.iter().map(|run| run.worst).fold(0.0, f64::max),
        cpu: of(|run| run.cpu),
        peak: of(|run| run.peak),
    }
}

fn measure(binary: &Path, clusters: usize) -> Figures {
    let aws = Aws::new(large(Size { tasks: 10_000, clusters, definitions: 200, hosts: 500 }));
    let url = aws.clone().serve_on_loopback().unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Tasks that run are described again at every refresh after an hour only.
    let arguments = ["--interval", INTERVAL, "--recheck-interval", "3600", "--api-share", "1"];
    let mut program = Program::start(binary, &url, directory.path(), &arguments);
    program.published();
    let (mut delays, mut costs) = (Vec::new(), Vec::new());
    for _ in 0..CHANGES {
        program.written_since(&FILES, SystemTime::now());
        let inodes =
            || FILES.map(|name| fs::metadata(directory.path().join(name)).map_or(0, |file| file.ino()));
        let (before, begin) = (inodes(), program.cost(&aws));
        aws.change(|world| churn(world, 1));
        let mut answered = begin;
        while inodes() == before {
            let now = program.cost(&aws);
            answered = if now.calls > answered.calls { now } else { answered };
            std::thread::sleep(LOOKS_EVERY);
        }
        let end = program.cost(&aws);
        delays.push(end.wall - answered.wall);
        costs.push(end.cpu - begin.cpu);
    }
    Figures {
        worst: delays.iter().copied().fold(0.0, f64::max),
        median: median(delays.into_iter()),
        cpu: median(costs.into_iter()),
        peak: program.cost(&aws).peak,
    }
}
