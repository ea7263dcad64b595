//! Files that are replaced whole or not at all, whatever ends the process or fills the disk.
//!
//! The new file is made beside others of its kind, under a name that begins with their prefix, and renamed into
//! place. What a killed process has left there is removed by the next one.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};
use tracing::{debug, error, info, warn};

use crate::telemetry::metrics::{Writes, Written};

/// Where and how new files are made before they take the place of old ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtomicWriter<'a> {
    /// A directory of the same file system as what is replaced.
    pub(crate) directory: &'a Path,
    /// What the names of unfinished files begin with, and of no others.
    pub(crate) prefix: &'a str,
    /// Permissions of the file, whatever the umask.
    pub(crate) mode: u32,
}

/// Permissions of a directory that the program makes for its own files: a stricter umask may narrow them, but a lax
/// one does not let others replace the files.
const DIRECTORY_MODE: u32 = 0o755;

impl AtomicWriter<'_> {
    /// Makes `path` a new file with what `write` writes. If anything fails, what was there stays. The identity is that of
    /// the file before it had this name, so that a write of someone else is noticed later.
    pub(crate) fn replace(
        &self,
        path: &Path,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> io::Result<(File, FileIdentity)> {
        let new = self.new_file()?;
        let mut out = BufWriter::new(new.as_file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        new.as_file().sync_all()?;
        let identity = FileIdentity::of(&new.as_file().metadata()?);
        let file = new.persist(path).map_err(|error| not_replaced(error.error))?;
        // Makes the renaming itself survive a power cut. Not every file system can do that, nor can it be done in a
        // directory that only lets files be made; the file is in its place all the same.
        let _ = File::open(directory_of(path)).and_then(|directory| directory.sync_all());
        Ok((file, identity))
    }

    /// Removes leftovers of a killed process, and tests that files can be created. Leftovers that cannot be removed (a
    /// directory, or another user's file) are not an error.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        for entry in fs::read_dir(self.directory)?.flatten() {
            if !entry.file_name().to_string_lossy().starts_with(self.prefix) {
                continue;
            }
            match fs::remove_file(entry.path()) {
                // Another process may be done with it by now.
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let file = entry.path();
                    warn!(file = %file.display(), %error, "a leftover file cannot be removed; remove it");
                }
                _ => {}
            }
        }
        self.new_file().map(drop)
    }

    fn new_file(&self) -> io::Result<NamedTempFile> {
        let permissions = Permissions::from_mode(self.mode);
        let new = Builder::new().prefix(self.prefix).permissions(permissions).tempfile_in(self.directory)?;
        set_mode(new.as_file(), self.mode);
        Ok(new)
    }
}

/// Gives a file of this user these permissions, which the umask can have prevented when it was made.
pub(crate) fn set_mode(file: &File, mode: u32) {
    // A file system that stores no permissions, such as FAT or some network mounts, refuses: its mount options decide.
    let _ = file.set_permissions(Permissions::from_mode(mode));
}

/// Makes a directory for the program's own files, unless it exists.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The system refuses to replace a mount point, and calls it busy: a single file was mounted into a container.
fn not_replaced(error: io::Error) -> io::Error {
    if error.kind() != io::ErrorKind::ResourceBusy {
        return error;
    }
    let message =
        format!("the file is a mount point, and cannot be replaced: {error}; mount its directory instead");
    io::Error::new(error.kind(), message)
}

/// The directory that a file is in.
pub(crate) fn directory_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    // A mere name has the empty path as its parent.
    parent.unwrap_or(Path::new("."))
}

/// Tells whether a file is still the one that was left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileIdentity {
    inode: (u64, u64),
    length: u64,
    modified: (i64, i64),
}

impl FileIdentity {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }

    /// Whether the file of that name is the very one, untouched.
    pub(crate) fn is_still_of(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| Self::of(&metadata) == *self)
    }
}

/// Counts the writes of a file, and tells of lasting trouble with it when that begins and when it ends.
#[derive(Debug, Default)]
pub(crate) struct WriteHealth {
    pub(crate) writes: Writes,
    lasts: bool,
}

impl WriteHealth {
    pub(crate) fn report(&mut self, file: &Path, result: &io::Result<Written>) {
        let file = file.display();
        self.writes.count(result);
        let before = std::mem::replace(&mut self.lasts, result.is_err());
        match result {
            Ok(_) if before => info!(%file, "file can be written again"),
            Ok(_) => {}
            Err(error) if before => debug!(%file, %error, "file could still not be written"),
            Err(error) => error!(%file, %error, "file could not be written and is tried again"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_a_mount_point_is_told_with_what_to_mount() {
        const BUSY: i32 = 16;
        const READ_ONLY: i32 = 30;
        let told = |code| not_replaced(io::Error::from_raw_os_error(code)).to_string();
        let busy = told(BUSY);
        assert!(busy.contains("mount point") && busy.ends_with("mount its directory instead"), "{busy}");
        assert!(!told(READ_ONLY).contains("mount"));
    }
}
