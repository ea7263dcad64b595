//! The target files for `file_sd_configs` of Prometheus: one for each scrape interval, or one for all.
//!
//! A file is replaced atomically. The new file is written in a sub-directory, because Prometheus reads every file of a
//! directory again at any event in it, temporary files included. A file that would not change is not written: its
//! modification time is set instead, which `prometheus_sd_file_mtime_seconds` shows. If a few of many targets change,
//! the others are copied from the previous file.
//!
//! A small file beside them records the revision of their facts. It is replaced first, so that they are never newer
//! than it says. If the state file is older than that revision, targets of the previous run stay in the files until
//! their cluster was read once.

mod content;
mod earlier;
mod target_file;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ecs_discovery::interval::{Interval, Intervals};
use ecs_discovery::snapshot::Snapshot;
use ecs_discovery::target::Target;
use tracing::{info, warn};

use crate::atomic_file::{AtomicWriter, WriteHealth, make_directory};
use crate::config::Layout;
use crate::config::layout::{SINGLE, SUFFIX, WORK_DIRECTORY};
use crate::published::Published;
use crate::published::Reading;
use crate::published::reading::{warn_of_deselected, warn_of_nothing_selected};
use crate::state::Revision;
use crate::telemetry::metrics::{Metrics, Written};
use earlier::{Earlier, READ_BACK};
use target_file::TargetFile;

/// The prefix of unfinished files in the work directory.
const WORK_PREFIX: &str = "tasks-";
/// Readable for all users, since Prometheus may run as another one; independent of the umask.
const MODE: u32 = 0o644;

/// The file that records the revision of the target files' facts.
const REVISION: &str = "published";

/// Makes the work directory, tries to write, and removes what a killed run has left.
pub fn prepare(directory: &Path) -> io::Result<()> {
    // Without a name, so that Prometheus does not notice it.
    tempfile::tempfile_in(directory)?;
    let work = work_directory(directory)?;
    writer(&work).prepare()
}

fn writer(directory: &Path) -> AtomicWriter<'_> {
    AtomicWriter { directory, prefix: WORK_PREFIX, mode: MODE }
}

/// The work directory; created again if it was removed. It must be in the same file system.
fn work_directory(directory: &Path) -> io::Result<PathBuf> {
    let work = directory.join(WORK_DIRECTORY);
    make_directory(&work)?;
    let found = fs::symlink_metadata(&work)?;
    if !found.is_dir() || found.dev() != fs::metadata(directory)?.dev() {
        let message = format!("{} is not a directory of the same file system; remove it", work.display());
        return Err(io::Error::other(message));
    }
    Ok(work)
}

/// The files of one directory, and their known content.
#[derive(Debug)]
pub struct FileSd {
    directory: PathBuf,
    files: Vec<TargetFile>,
    /// The content of all files, if the last write succeeded.
    written: Option<Arc<Snapshot>>,
    /// The revision that this file records.
    revision: Option<Revision>,
    /// The write errors of this file.
    health: WriteHealth,
    /// Whether it was logged that the files keep targets that the selection does not have.
    kept: bool,
}

/// The result of a write of the target files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Whether all files could be written.
    pub succeeded: bool,
    /// Whether they contain targets of the previous run that are not in the snapshot.
    pub keeps: bool,
}

impl FileSd {
    /// The files of a directory that was [prepared](prepare). The first publication has facts of the revision `known`.
    pub fn new(directory: &Path, layout: Layout, intervals: &Intervals, known: Option<Revision>) -> Self {
        let revision = fs::read_to_string(directory.join(WORK_DIRECTORY).join(REVISION)).ok();
        let revision = revision.and_then(|text| text.trim_end().parse::<Revision>().ok());
        let is_known = known.zip(revision).is_some_and(|(known, revision)| known.covers(&revision));
        let mut left = READ_BACK;
        let mut file = |interval: Option<Interval>, name: String| {
            let path = directory.join(name);
            let earlier = if is_known { Earlier::default() } else { Earlier::read(&path, &mut left) };
            TargetFile::new(interval, path, earlier)
        };
        let of_interval = |interval: &Interval| file(Some(interval.clone()), format!("{interval}{SUFFIX}"));
        let files: Vec<_> = match layout {
            Layout::PerInterval => intervals.offered().iter().map(of_interval).collect(),
            Layout::Single => vec![file(None, SINGLE.to_owned())],
        };
        warn_of_strangers(directory, &files);
        let files = Self {
            directory: directory.to_owned(),
            files,
            written: None,
            revision: revision.filter(|_| is_known),
            health: WriteHealth::default(),
            kept: false,
        };
        if files.keeps() {
            info!("target files may contain unknown targets; these stay until each cluster was read once");
        }
        files
    }

    /// Whether the files contain targets of the previous run that may be unknown.
    pub(crate) fn keeps(&self) -> bool {
        self.files.iter().any(|file| !file.earlier.is_empty())
    }

    /// Whether publications continue from the content of the files.
    pub(crate) fn goes_on(&self) -> bool {
        self.revision.is_some()
    }

    /// Counts the writes of each file in `metrics`.
    pub fn counted(mut self, metrics: &Metrics) -> Self {
        for file in &mut self.files {
            file.health.writes = metrics.writes(&file.name());
        }
        self
    }

    /// The names of the files.
    pub(crate) fn names(&self) -> impl Iterator<Item = String> {
        self.files.iter().map(TargetFile::name)
    }

    /// Writes the targets of the snapshot to the files, and the targets of the previous run that are not known to have
    /// ended. If the publication is complete, files that stay as they are get a new modification time. A file that
    /// cannot be written stays as it was, is reported, and is tried again next time.
    pub fn write(&mut self, published: &Published) -> Outcome {
        let Published { snapshot, complete, reading, .. } = published;
        // Taken, so that the files count as unknown while they are written.
        let written = self.written.take();
        let mut unchanged = written.as_ref().is_some_and(|written| written.shares_all(snapshot));
        let mut left = Vec::new();
        for file in &mut self.files {
            left.extend(
                file.earlier.forget(|cluster| reading.keeps(cluster), reading.keeps_deselected(true)),
            );
        }
        unchanged &= left.is_empty();
        warn_of_deselected(reading, left.iter().flatten());
        self.say_what_stays(reading);
        if !self.says(published.revision) {
            return Outcome { succeeded: false, keeps: self.keeps() };
        }
        let mut targets = None;
        let mut succeeded = true;
        for file in self.files.iter_mut().filter(|file| !file.earlier.is_whole()) {
            let result = if unchanged && file.is_as_left() && (!complete || file.touch().is_ok()) {
                Ok(Written::Unchanged)
            } else {
                let in_order = || {
                    let before = written.as_ref().map(|written| written.shared_targets());
                    (before, snapshot.shared_targets())
                };
                let (before, now) = targets.get_or_insert_with(in_order);
                let interval = file.interval.clone();
                let before = before.as_deref().map(|before| of_interval(before, interval.as_ref()));
                file.update(&self.directory, before, of_interval(now, interval.as_ref()), *complete)
            };
            if result.is_err() {
                succeeded = false;
                file.forget();
            }
            file.health.report(&file.path, &result);
        }
        self.written = succeeded.then(|| snapshot.clone());
        Outcome { succeeded, keeps: self.keeps() }
    }

    fn say_what_stays(&mut self, reading: &Reading) {
        let stays = reading.keeps_for_want_of_others() && self.keeps();
        if !std::mem::replace(&mut self.kept, stays) && stays {
            warn_of_nothing_selected(self.files.iter().map(|file| file.earlier.len()).sum());
        }
    }

    /// Records the revision of the target files' facts. Does nothing while the files contain targets of the previous
    /// run: the next process must keep them too. Returns whether the target files may be written.
    fn says(&mut self, revision: Option<Revision>) -> bool {
        let Some(now) = revision.filter(|now| self.revision != Some(*now) && !self.keeps()) else {
            return true;
        };
        let path = self.directory.join(WORK_DIRECTORY).join(REVISION);
        let replaced = work_directory(&self.directory)
            .and_then(|work| writer(&work).replace(&path, |out| writeln!(out, "{now}")));
        let result = replaced.map(|_| Written::Replaced);
        self.health.report(&path, &result);
        if result.is_ok() {
            self.revision = Some(now);
        }
        result.is_ok()
    }
}

/// The targets of that interval, or all of them.
fn of_interval<'a>(
    targets: &'a [&'a Arc<Target>],
    interval: Option<&'a Interval>,
) -> impl Iterator<Item = &'a Arc<Target>> + Clone {
    let is_own = move |target: &&Arc<Target>| interval.is_none_or(|interval| target.interval == *interval);
    targets.iter().copied().filter(is_own)
}

/// Warns of files of other intervals, or of the other layout: they keep their targets, and Prometheus scrapes them.
fn warn_of_strangers(directory: &Path, files: &[TargetFile]) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for path in entries.flatten().map(|entry| entry.path()) {
        let Some(name) = path.file_name().map(|name| name.to_string_lossy()) else { continue };
        let is_target_file = name == SINGLE || name.ends_with(SUFFIX);
        if is_target_file && !files.iter().any(|file| file.path == path) {
            let file = path.display();
            warn!(%file, "this target file belongs to no scrape interval and layout in use, and is not updated; delete it");
        }
    }
}
