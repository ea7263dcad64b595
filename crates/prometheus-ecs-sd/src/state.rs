//! What outlasts the process: facts that were costly to ask AWS for, in one file.
//!
//! It is a cache and nothing more. A file that cannot be used is reported and ignored, one that cannot be written
//! is reported and tried again, and discovery goes on. It holds no environment value but the convention's own,
//! and is readable for its owner only all the same.

mod file;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod record;
mod revision;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ecs_discovery::inventory::saved::Saved;
use tracing::{debug, info, warn};

use crate::clock::Reading;
use crate::replace::{Stamp, Trouble, Workplace, directory_of, make_directory};
use crate::telemetry::metrics::{Metrics, Writes, Written};

pub use revision::Revision;

/// What stands between the name of the state file and what else unfinished ones are called.
const UNFINISHED: &str = ".new-";

/// For nobody but the owner: it tells what runs where.
const MODE: u32 = 0o600;

/// The facts of all sources, by the name of the source, as a process before this one left them.
#[derive(Debug, Default)]
pub struct State {
    pub(crate) sources: BTreeMap<String, Saved>,
    /// When they last held, since the Unix epoch.
    pub(crate) as_of: Duration,
    /// The revision of the facts; version 1 of the file has none.
    pub(crate) revision: Option<Revision>,
    /// Whether they are those of the last publication, as far as the process that saved them could record it.
    pub(crate) is_newest: bool,
}

/// Why a state file is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The system does not let it be read.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Something else has this name.
    #[error("it is no state file")]
    Foreign,
    /// Another version of the program has written it.
    #[error("it is of version {0}, which this program does not read")]
    OtherVersion(String),
    /// It is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(String),
}

/// The state file and what it holds.
#[derive(Debug)]
pub struct StateFile {
    path: PathBuf,
    /// What this process has put there, and what the file looked like then.
    written: Option<(Revision, Stamp)>,
    trouble: Trouble,
}

/// The facts of each source, by its name.
pub type Facts = Vec<(Arc<str>, Arc<Saved>)>;

impl StateFile {
    /// Prepares to write it; nothing is written yet.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), written: None, trouble: Trouble::default() }
    }

    /// Has its writes counted there.
    pub fn counted(mut self, metrics: &Metrics) -> Self {
        self.trouble.writes = metrics.writes("state");
        self
    }

    /// Makes the place where it is written, and removes what a killed process has left there.
    pub fn prepare(&self) -> io::Result<()> {
        self.in_place(|workplace| workplace.prepare())
    }

    /// What a process before this one has left; one that cannot be used is reported, and counts as none.
    pub fn read(&self) -> Option<State> {
        let file = self.path.display();
        match file::read(&self.path) {
            Ok(state) => {
                if state.is_some() {
                    info!(%file, "targets of the run before are published until AWS answers");
                }
                state
            }
            Err(error) => {
                warn!(%file, %error, "state file is ignored, and everything is requested again");
                None
            }
        }
    }

    /// Counts its writes.
    pub(crate) fn writes(&self) -> Writes {
        self.trouble.writes.clone()
    }

    /// Saves the facts of that revision, unless the file has them already: then only its time is set. Returns whether
    /// the file has them now.
    ///
    /// Unless it `is_all` that was published, a restart is told by the file's time that there may be more.
    pub fn write(&mut self, facts: &Facts, revision: Revision, clock: Reading, is_all: bool) -> bool {
        let time = if is_all { UNIX_EPOCH + clock.now() } else { file::OUTDATED };
        let (saved, written) = match self.written.take() {
            Some((written, stamp)) if written == revision && stamp.is_still_of(&self.path) => {
                (self.touch(time), Written::Unchanged)
            }
            _ => (self.replace(facts, revision, clock, time), Written::Replaced),
        };
        let left = saved.and_then(|file| Ok(Stamp::of(&file.metadata()?)));
        let result = left.map(|stamp| self.written = Some((revision, stamp))).map(|()| written);
        self.trouble.report(&self.path, &result);
        result.is_ok()
    }

    fn touch(&self, time: SystemTime) -> io::Result<File> {
        let file = File::open(&self.path)?;
        file.set_modified(time)?;
        Ok(file)
    }

    /// The existing file is marked as outdated first, by [its time](file::OUTDATED). That takes no disk space: if the
    /// disk is full and the new facts are published unsaved, the next process still detects it.
    fn replace(
        &self,
        facts: &Facts,
        revision: Revision,
        clock: Reading,
        time: SystemTime,
    ) -> io::Result<File> {
        if fs::symlink_metadata(&self.path).is_ok_and(|metadata| metadata.is_file())
            && let Err(error) = self.touch(file::OUTDATED)
        {
            debug!(file = %self.path.display(), %error, "state file could not be marked as outdated");
        }
        self.in_place(|workplace| {
            workplace.replace(&self.path, |out| file::write(out, facts, revision, clock))
        })?;
        self.touch(time)
    }

    fn in_place<T>(&self, work: impl FnOnce(Workplace<'_>) -> io::Result<T>) -> io::Result<T> {
        let Some(name) = self.path.file_name() else {
            return Err(io::Error::other("it is not the name of a file"));
        };
        let directory = directory_of(&self.path);
        make_directory(directory)?;
        let prefix = format!("{}{UNFINISHED}", name.to_string_lossy());
        work(Workplace { directory, prefix: &prefix, mode: MODE })
    }
}
