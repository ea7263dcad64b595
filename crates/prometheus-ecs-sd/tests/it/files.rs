//! The target files, as Prometheus reads them.

use std::collections::BTreeMap;
use std::path::Path;

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
    let text = std::fs::read_to_string(directory.join(format!("{interval}-tasks.json"))).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}
