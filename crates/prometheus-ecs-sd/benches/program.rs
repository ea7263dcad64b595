//! A binary as a process of its own, against a simulated AWS on loopback that lives in this process and is in
//! none of the figures.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use ecs_simulator::worlds::REGION;
use ecs_simulator::{Aws, OWN_ACCESS_KEY, OWN_SECRET_KEY};

/// The unit of CPU times in /proc, which Linux fixes for all architectures it shows to programs.
const TICKS_PER_SECOND: f64 = 100.0;

/// The binary of this build.
pub(crate) const OWN: &str = env!("CARGO_BIN_EXE_prometheus-ecs-sd");

/// A binary while it runs; it ends with this, whichever way that comes.
pub(crate) struct Program {
    process: Child,
    output: Lines<BufReader<ChildStdout>>,
    directory: PathBuf,
    begun: Instant,
}

/// What something cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    /// Of all threads, in seconds.
    pub(crate) cpu: f64,
    pub(crate) wall: f64,
    pub(crate) calls: f64,
    /// The most memory ever resident, in MiB.
    pub(crate) peak: f64,
}

impl Program {
    /// Starts it; nothing is served unless the arguments say so.
    pub(crate) fn start(binary: &Path, url: &str, directory: &Path, arguments: &[&str]) -> Self {
        let begun = Instant::now();
        let mut process = Command::new(binary)
            .env_clear()
            .env("AWS_ENDPOINT_URL", url)
            .env("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY)
            .env("PROMETHEUS_ECS_SD_LISTEN_ADDRESS", "none")
            .args(["--region", REGION, "--directory"])
            .arg(directory)
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, output, directory: directory.to_owned(), begun }
    }

    /// Waits until targets are published for the first time.
    pub(crate) fn published(&mut self) {
        let line = self.output.by_ref().map(Result::unwrap).find(|line| line.contains(" (+"));
        assert!(!line.unwrap().starts_with("0 targets"));
    }

    /// Waits until these files have been written, or marked as new, after a refresh in which everything was heard.
    pub(crate) fn written_since(&self, files: &[&str], then: SystemTime) {
        let is_newer = |name: &&str| {
            let metadata = fs::metadata(self.directory.join(name));
            metadata.and_then(|metadata| metadata.modified()).is_ok_and(|modified| modified > then)
        };
        while !files.iter().all(is_newer) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// What it has cost since it was started, in calls since the ledger was last taken.
    pub(crate) fn cost(&self, aws: &Aws) -> Cost {
        let process = format!("/proc/{}", self.process.id());
        let stat = fs::read_to_string(format!("{process}/stat")).unwrap();
        // After the command's name in parentheses: state is field 3, utime 14 and stime 15.
        let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
        let status = fs::read_to_string(format!("{process}/status")).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        let peak: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
        Cost {
            cpu: ticks / TICKS_PER_SECOND,
            wall: self.begun.elapsed().as_secs_f64(),
            calls: aws.calls().total() as f64,
            peak: peak / 1024.0,
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
