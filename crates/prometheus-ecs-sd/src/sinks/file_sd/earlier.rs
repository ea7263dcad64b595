//! The targets of the previous run in a target file that this process may not know.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufReader, Write};
use std::path::Path;

use ecs_discovery::arn::ClusterArn;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// The bytes of target files that are read back, about 13,000 targets. They take about seven times as much memory.
pub(super) const READ_BACK: u64 = 32 << 20;

/// The label with a target's cluster. Targets without labels do not have it.
const CLUSTER: &str = "__meta_ecs_cluster_arn";

/// Groups of the previous run, if the file had any.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    groups: Vec<Group>,
    /// Whether the file is too large to be read: it is not changed as long as targets must be kept.
    is_whole: bool,
}

/// One group, as Prometheus reads it.
#[derive(Debug, Serialize, Deserialize)]
struct Group {
    targets: Vec<String>,
    labels: BTreeMap<String, String>,
}

impl Group {
    fn cluster(&self) -> Option<ClusterArn> {
        self.labels.get(CLUSTER).and_then(|arn| ClusterArn::parse(arn).ok())
    }

    /// The identity of a target: everything but its meta labels.
    fn identity(&self) -> (&[String], BTreeSet<(&str, &str)>) {
        let labels = self.labels.iter().filter(|(name, _)| !name.starts_with("__meta_"));
        (&self.targets, labels.map(|(name, value)| (name.as_str(), value.as_str())).collect())
    }
}

impl Earlier {
    /// A file that cannot be read is dropped: Prometheus cannot read it either.
    ///
    /// Subtracts the file's size from the bytes that may still be read back.
    pub(super) fn read(path: &Path, left: &mut u64) -> Self {
        let Ok(metadata) = fs::symlink_metadata(path) else { return Self::default() };
        // Reading a pipe would block.
        if !metadata.is_file() {
            return Self::default();
        }
        let file = path.display();
        if metadata.len() > *left {
            warn!(%file, "target file is too large to be read back; it is not changed until all clusters were read once");
            return Self { is_whole: true, ..Self::default() };
        }
        *left -= metadata.len();
        let groups = File::open(path).map(BufReader::new).map_err(|error| error.to_string());
        let groups = groups.and_then(|file| serde_json::from_reader(file).map_err(|error| error.to_string()));
        let groups = groups.unwrap_or_else(|error| {
            warn!(%file, error, "target file of the previous run cannot be read and is replaced");
            Vec::new()
        });
        Self { groups, is_whole: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.groups.is_empty() && !self.is_whole
    }

    pub(super) fn is_whole(&self) -> bool {
        self.is_whole
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len()
    }

    /// Forgets the targets whose clusters need not be kept. Returns the clusters of the forgotten targets.
    pub(super) fn forget(
        &mut self,
        is_kept: impl Fn(Option<&ClusterArn>) -> bool,
        is_whole_kept: bool,
    ) -> Vec<Option<ClusterArn>> {
        self.is_whole &= is_whole_kept;
        let forgotten = self.groups.extract_if(.., |group| !is_kept(group.cluster().as_ref()));
        forgotten.map(|group| group.cluster()).collect()
    }

    /// Writes a document of this process, plus the groups that it lacks.
    pub(super) fn write_after(&self, document: Vec<u8>, out: &mut impl Write) -> io::Result<()> {
        let groups: Vec<Group> = serde_json::from_slice(&document)?;
        drop(document);
        let known: BTreeSet<_> = groups.iter().map(Group::identity).collect();
        let more: Vec<_> = self.groups.iter().filter(|group| !known.contains(&group.identity())).collect();
        let mut separator = "[\n";
        for group in groups.iter().chain(more) {
            out.write_all(separator.as_bytes())?;
            serde_json::to_writer(&mut *out, group)?;
            separator = ",\n";
        }
        out.write_all(if separator == "[\n" { b"[]\n" } else { b"\n]\n" })
    }
}
