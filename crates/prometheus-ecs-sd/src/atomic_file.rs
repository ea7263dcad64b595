//! Replaces files atomically, even if the process is killed or the disk is full.
//!
//! The new file is written in the work directory, under a name with the prefix of unfinished files, and renamed into
//! place. The next process removes unfinished files of a killed one.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use tempfile::{Builder, NamedTempFile};
use tracing::{debug, error, info, warn};

use crate::telemetry::metrics::{Writes, Written};

/// Writes new files before they replace old ones.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AtomicWriter<'a> {
    /// A directory in the file system of the replaced files.
    pub(crate) directory: &'a Path,
    /// The prefix of the names of unfinished files, which no other file has.
    pub(crate) prefix: &'a str,
    /// Permissions of the file, independent of the umask.
    pub(crate) mode: u32,
}

/// Permissions of a directory that the program makes for its own files: a stricter umask may narrow them, but a lax
/// one does not let others replace the files.
const DIRECTORY_MODE: u32 = 0o755;

/// The bytes that are collected for one write. With the standard library's 8 KiB, the files of 10,000 tasks take
/// thousands of writes.
pub(crate) const BUFFER: usize = 0x1_0000;

impl AtomicWriter<'_> {
    /// Replaces `path` by a new file with the output of `write`. If anything fails, the old file stays. The identity is
    /// that of the file before the renaming, so that a later write of another program is detected.
    pub(crate) fn replace(
        &self,
        path: &Path,
        write: impl FnOnce(&mut BufWriter<&File>) -> io::Result<()>,
    ) -> io::Result<(File, FileIdentity)> {
        let new = self.new_file()?;
        let mut out = BufWriter::with_capacity(BUFFER, new.as_file());
        write(&mut out)?;
        out.flush()?;
        drop(out);
        new.as_file().sync_all()?;
        let identity = FileIdentity::of(&new.as_file().metadata()?);
        let file = new.persist(path).map_err(|error| not_replaced(error.error))?;
        // Makes the renaming survive a power cut. Some file systems do not support it, and it fails in a directory without
        // read permission; the file is still in place.
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

/// Sets these permissions on a file of this user, since the umask may have removed some when it was created.
pub(crate) fn set_mode(file: &File, mode: u32) {
    // A file system that stores no permissions, such as FAT or some network mounts, refuses: its mount options decide.
    let _ = file.set_permissions(Permissions::from_mode(mode));
}

/// Creates a directory for the program's own files, unless it exists.
pub(crate) fn make_directory(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// The system refuses to replace a mount point, with the error "busy": a single file was mounted into a container.
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
    // The parent of a plain name is the empty path.
    parent.unwrap_or(Path::new("."))
}

/// Identifies a version of a file, to detect changes.
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

    /// Whether the file of that name is the same one, unchanged.
    pub(crate) fn is_still_of(&self, path: &Path) -> bool {
        fs::symlink_metadata(path).is_ok_and(|metadata| Self::of(&metadata) == *self)
    }
}

/// Counts the writes of a file, and logs the begin and the end of failures.
#[derive(Debug, Default)]
pub(crate) struct WriteHealth {
    pub(crate) writes: Writes,
    is_failing: bool,
}

impl WriteHealth {
    pub(crate) fn report(&mut self, file: &Path, result: &io::Result<Written>) {
        let file = file.display();
        self.writes.count(result);
        let before = std::mem::replace(&mut self.is_failing, result.is_err());
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
    fn the_error_for_a_mount_point_says_what_to_mount() {
        const BUSY: i32 = 16;
        const READ_ONLY: i32 = 30;
        let told = |code| not_replaced(io::Error::from_raw_os_error(code)).to_string();
        let busy = told(BUSY);
        assert!(busy.contains("mount point") && busy.ends_with("mount its directory instead"), "{busy}");
        assert!(!told(READ_ONLY).contains("mount"));
    }
}
