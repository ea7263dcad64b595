//! The state file: keeps the facts from AWS across restarts, in one file.
//!
//! A publication appends the facts that changed. The file is rewritten as a whole when a process begins, and when half
//! of it may be outdated. It is only a cache: an unusable file is reported and ignored, a failed write is reported and
//! tried again, and discovery continues. Of environments it contains only the variables that the rules need; still,
//! only its owner can read it.

mod changes;
mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod reader;
mod record;
mod revision;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ecs_discovery::inventory::saved::Saved;
use tracing::{debug, info, warn};

use crate::atomic_file::{AtomicWriter, BUFFER, FileIdentity, WriteHealth, directory_of, make_directory};
use crate::clock::Reading;
use crate::lock::Locks;
use crate::telemetry::metrics::{Metrics, Writes, Written};
use file::End;
use record::Publication;

pub use revision::Revision;

/// The part of the name of unfinished files after that of the state file.
const UNFINISHED: &str = ".new-";

/// The end of the name of the lock file, after that of the state file.
const LOCK_SUFFIX: &str = ".lock";

/// Readable only for the owner: the file describes the fleet.
const MODE: u32 = 0o600;

/// The file is rewritten as a whole when it has grown to this many times the length after the last rewrite. The appended
/// bytes bound the outdated ones, so that at most half of the file is outdated, and a byte is written twice on average.
const GROWTH: u64 = 2;

/// Up to this many appended bytes, the file is not rewritten: a small file would be rewritten again and again. Reading
/// them takes less than a millisecond.
const ALWAYS_APPENDED: u64 = 0x1_0000;

/// The facts of all sources, as saved by an earlier process.
#[derive(Debug, Default)]
pub struct State {
    /// By the name of the source.
    pub sources: BTreeMap<String, Saved>,
    /// The time of the last save, since the Unix epoch.
    pub(crate) as_of: Duration,
    /// The revision of the facts; version 1 of the file has none.
    pub revision: Option<Revision>,
    /// Whether they are those of the last publication, as far as the process that saved them could record it.
    pub is_newest: bool,
}

/// Why a state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system refuses to read it.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Another file has this name.
    #[error("it is not a state file")]
    Foreign,
    /// Another version of the program has written it.
    #[error("it is of version {0}, which this program does not read")]
    OtherVersion(String),
    /// The content is not as it was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// The state file and its content.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// The content that this process wrote, if no write has failed since.
    left: Option<Box<Left>>,
    health: WriteHealth,
}

/// The content of the file, and its identity after the last write.
#[derive(Debug)]
struct Left {
    facts: Facts,
    publication: Publication,
    /// The modification time.
    time: SystemTime,
    /// The clocks by which the first publication's moments were written as times of day.
    clock: Reading,
    /// The length of the first publication, which has all facts.
    begun: u64,
    end: End,
    identity: FileIdentity,
}

/// The facts of each source, by its name. No name is there twice.
pub type Facts = Vec<(Arc<str>, Arc<Saved>)>;

impl StateFile {
    /// A state file at this path; writes nothing yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), left: None, health: WriteHealth::default() }
    }

    /// Counts the writes in `metrics`.
    pub fn counted(mut self, metrics: &Metrics) -> Self {
        self.health.writes = metrics.writes("state");
        self
    }

    /// Creates the directory, and removes unfinished files of a killed process.
    pub fn prepare(&self) -> io::Result<()> {
        self.in_place(|writer| writer.prepare())
    }

    /// Locks the file and prepares it for writing. An error says what to do.
    pub(crate) fn lock(&self, locks: &mut Locks) -> Result<(), String> {
        let mut lock_file = self.path.clone().into_os_string();
        lock_file.push(LOCK_SUFFIX);
        // If that fails, preparing it fails too.
        let _ = make_directory(directory_of(&self.path));
        let resort = "set another, or none";
        let prepare = || {
            let failed = |error| format!("{} cannot be written: {error}; {resort}", self.path.display());
            self.prepare().map_err(failed)
        };
        locks.take((&self.path, lock_file.as_ref()), &format!("end it, {resort}"), prepare)
    }

    /// The facts of an earlier process. An unusable file is reported, and counts as missing.
    pub fn read(&self) -> Option<State> {
        let file = self.path.display();
        match file::read(&self.path) {
            Ok(state) => {
                if state.is_some() {
                    info!(%file, "targets of the previous run are published until AWS answers");
                }
                state
            }
            Err(error) => {
                warn!(%file, %error, "state file is ignored, and everything is requested again");
                None
            }
        }
    }

    /// The counters of its writes.
    pub(crate) fn writes(&self) -> Writes {
        self.health.writes.clone()
    }

    /// Saves the facts of that revision: appends the changes, or only sets the file's time if nothing changed. Returns
    /// whether the file contains them now.
    ///
    /// `is_all`: whether the file then has all published facts; otherwise the next process knows that some may be
    /// missing.
    pub fn write(&mut self, facts: &Facts, revision: Revision, clock: Reading, is_all: bool) -> bool {
        let result =
            self.save(facts, Publication { revision, at: clock.now(), is_all, has_names: true }, clock);
        self.health.report(&self.path, &result);
        result.is_ok()
    }

    fn save(&mut self, facts: &Facts, publication: Publication, clock: Reading) -> io::Result<Written> {
        let time = UNIX_EPOCH + clock.now();
        // Taken, so that the file is rewritten as a whole after a failure or a panic.
        let left = self.left.take().filter(|left| left.clock.is_in_step_with(&clock));
        let Some((mut left, file)) = left.and_then(|left| left.open(&self.path)) else {
            self.leave();
            self.left = Some(Box::new(self.replace(facts, publication, clock, time)?));
            return Ok(Written::Replaced);
        };
        if left.is_outgrown() {
            mark_as_outdated(Ok(&file));
            // If no other file can be written, this one may still grow.
            if let Ok(whole) = self.replace(facts, publication, clock, time) {
                self.left = Some(Box::new(whole));
                return Ok(Written::Replaced);
            }
        }
        let is_unchanged = left.publication.revision == publication.revision
            && left.publication.is_all == publication.is_all;
        let saved = if is_unchanged { Ok(()) } else { left.append(&file, facts, publication, clock) };
        if saved.is_ok() {
            left.time = time;
        }
        file.set_modified(left.time)?;
        if saved.is_err() {
            // Otherwise a power cut could undo the mark.
            let _ = file.sync_all();
        }
        let metadata = file.metadata()?;
        left.identity = FileIdentity::of(&metadata);
        // If an incomplete publication could not be removed, the file is rewritten as a whole.
        self.left = (metadata.len() == left.end.length).then_some(left);
        if let Err(error) = saved {
            // A new file may be written even if this one cannot grow.
            let whole = self.replace(facts, publication, clock, time);
            self.left = Some(Box::new(whole.map_err(|_| error)?));
        }
        Ok(if is_unchanged { Written::Unchanged } else { Written::Replaced })
    }

    /// Marks the file as outdated, if there is one: later publications are not saved in it.
    pub(crate) fn leave(&self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_file()) {
            mark_as_outdated(File::open(&self.path));
        }
    }

    /// Writes the file as a whole.
    fn replace(
        &self,
        facts: &Facts,
        publication: Publication,
        clock: Reading,
        time: SystemTime,
    ) -> io::Result<Left> {
        let mut end = End::default();
        let (file, _) = self.in_place(|writer| {
            writer.replace(&self.path, |out| {
                end = file::begin(out, facts, publication, clock)?;
                Ok(())
            })
        })?;
        file.set_modified(time)?;
        let (facts, identity) = (facts.clone(), FileIdentity::of(&file.metadata()?));
        Ok(Left { facts, publication, time, clock, begun: end.length, end, identity })
    }

    /// Whether so much of it may be outdated, or a value in it is no longer needed, that it should be rewritten as a whole.
    pub(crate) fn is_outgrown(&self) -> bool {
        self.left.as_ref().is_some_and(|left| left.is_outgrown())
    }

    /// Rewrites it as a whole, with the same facts. If that fails, the file is unchanged, and compaction is tried again
    /// later.
    pub(crate) fn compact(&mut self, clock: Reading) {
        let left = self.left.take().and_then(|left| left.open(&self.path));
        let Some((mut left, file)) = left else { return };
        // If that takes long, a publication is shown that is not saved.
        mark_as_outdated(Ok(&file));
        match self.replace(&left.facts, left.publication, clock, left.time) {
            Ok(left) => self.left = Some(Box::new(left)),
            Err(error) => {
                debug!(file = %self.path.display(), %error, "state file could not be compacted");
                let metadata = file.set_modified(left.time).and_then(|()| file.metadata());
                self.left = metadata.ok().map(|metadata| {
                    left.identity = FileIdentity::of(&metadata);
                    left
                });
            }
        }
    }

    fn in_place<T>(&self, work: impl FnOnce(AtomicWriter<'_>) -> io::Result<T>) -> io::Result<T> {
        let Some(name) = self.path.file_name() else {
            return Err(io::Error::other("it is not the name of a file"));
        };
        let directory = directory_of(&self.path);
        make_directory(directory)?;
        let prefix = format!("{}{UNFINISHED}", name.to_string_lossy());
        work(AtomicWriter { directory, prefix: &prefix, mode: MODE })
    }
}

impl Left {
    fn is_outgrown(&self) -> bool {
        self.end.has_surplus || self.end.length > (self.begun * GROWTH).max(self.begun + ALWAYS_APPENDED)
    }

    /// Opens the file, if it has not been changed.
    fn open(self: Box<Self>, path: &Path) -> Option<(Box<Self>, File)> {
        // Opening a pipe would wait for a reader.
        if !self.identity.is_still_of(path) {
            return None;
        }
        let file = OpenOptions::new().append(true).open(path).ok()?;
        Some((self, file))
    }

    /// Appends a publication. If that fails, the facts in the file are unchanged, and it is marked as outdated.
    ///
    /// It is marked before the first byte is written, since a publication may be shown before a slow save has ended.
    /// After that byte, the incomplete publication at the end has the same meaning.
    fn append(
        &mut self,
        file: &File,
        facts: &Facts,
        publication: Publication,
        clock: Reading,
    ) -> io::Result<()> {
        mark_as_outdated(Ok(file));
        let mut out = BufWriter::with_capacity(BUFFER, file);
        let appended = file::append(&mut out, self.end.clone(), (&self.facts, facts), publication, clock)
            .and_then(|end| out.flush().map(|()| end));
        // Dropping the writer would try to write the rest once more.
        drop(out.into_parts());
        match appended.and_then(|end| file.sync_all().map(|()| end)) {
            Ok(end) => {
                (self.facts, self.publication, self.end) = (facts.clone(), publication, end);
                Ok(())
            }
            Err(error) => {
                self.time = file::OUTDATED;
                file.set_len(self.end.length)?;
                Err(error)
            }
        }
    }
}

/// Marks a file as outdated, by [its time](file::OUTDATED), before it is changed. That takes no disk space: if the disk
/// is full and the new facts are published unsaved, the next process still detects it.
fn mark_as_outdated(file: io::Result<impl Borrow<File>>) {
    if let Err(error) = file.and_then(|file| file.borrow().set_modified(file::OUTDATED)) {
        debug!(%error, "state file could not be marked as outdated");
    }
}
