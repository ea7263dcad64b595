//! The target files, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// The offered intervals, each with a file and, in the example configuration, a job.
pub(crate) const INTERVALS: [&str; 4] = ["15s", "30s", "1m", "5m"];

/// One target group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) targets: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// The groups of one file; `None` if it is not there.
pub(crate) fn groups(directory: &Path, interval: &str) -> Option<Vec<Group>> {
    let text = fs::read_to_string(target_file(directory, interval)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

pub(crate) fn target_file(directory: &Path, interval: &str) -> PathBuf {
    directory.join(format!("{interval}-tasks.json"))
}

/// Where the state file is by default.
pub(crate) fn state_file(directory: &Path) -> PathBuf {
    work_directory(directory).join("state")
}

/// The file with the revision of the target files.
pub(crate) fn revision_file(directory: &Path) -> PathBuf {
    work_directory(directory).join("published")
}

fn work_directory(directory: &Path) -> PathBuf {
    directory.join(".prometheus-ecs-sd")
}

/// What there is in the directory and in the work directory besides these files.
pub(crate) fn others(directory: &Path) -> Vec<PathBuf> {
    let files = INTERVALS.map(|interval| target_file(directory, interval));
    let is_known = |path: &PathBuf| {
        let others = [state_file(directory), revision_file(directory), work_directory(directory)];
        files.contains(path) || others.contains(path)
    };
    let entries = [directory.to_owned(), work_directory(directory)].map(|path| fs::read_dir(path).unwrap());
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| !is_known(path)).collect()
}

/// The records of a state file without the times at which the process observed and saved them.
pub(crate) fn facts(text: &str) -> Vec<String> {
    let is_of_facts = |line: &&str| !line.starts_with("{\"Revision\"") && !line.starts_with("end ");
    let without_time = |line: &str| match line.split_once(",\"observed\":") {
        Some((task, _)) => task.to_owned(),
        None => line.to_owned(),
    };
    text.lines().filter(is_of_facts).map(without_time).collect()
}
