//! Locks, so that two processes do not write the same files.
//!
//! The system releases a lock when its process ends for any reason. A lock file is empty, is created once and is never
//! removed: otherwise two processes could lock two files of the same name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tracing::warn;

/// The locks of this process. A second descriptor of a file cannot get the lock of the first one, but a reloaded
/// configuration has the same files.
static OWN: Mutex<Vec<Weak<Lock>>> = Mutex::new(Vec::new());

/// Locks that are released when the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct Locks(Vec<Arc<Lock>>);

/// Locks do not affect the equality of configurations: they follow from the paths.
impl PartialEq for Locks {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Locks {}

/// A locked file.
#[derive(Debug)]
struct Lock {
    /// Its device and inode.
    identity: (u64, u64),
    /// Keeps the lock while it is open.
    _file: File,
}

impl Locks {
    /// Locks `place` by a lock file, and then prepares it. Preparing may remove files in use, so it is skipped if this
    /// process has the lock already. If another process has it, the error ends in `resort`, the advice. If the system
    /// cannot lock files, logs a warning.
    pub(crate) fn take(
        &mut self,
        (place, lock_file): (&Path, &Path),
        resort: &str,
        prepare: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let locked = lock(lock_file);
        if locked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock) {
            let (place, lock_file) = (place.display(), lock_file.display());
            return Err(format!(
                "{place} is used by another process, which has locked {lock_file}; {resort}"
            ));
        }
        if !locked.as_ref().is_ok_and(|(_, is_old)| *is_old) {
            prepare()?;
        }
        match locked {
            Ok((lock, _)) => self.0.push(lock),
            Err(error) => {
                let file = lock_file.display();
                warn!(%file, %error, "file cannot be locked; make sure that no other process writes to the same place");
            }
        }
        Ok(())
    }
}

/// Returns whether this process had the lock already, too.
fn lock(path: &Path) -> io::Result<(Arc<Lock>, bool)> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    let identity = (metadata.dev(), metadata.ino());
    let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
    own.retain(|lock| lock.strong_count() > 0);
    if let Some(lock) = own.iter().filter_map(Weak::upgrade).find(|lock| lock.identity == identity) {
        return Ok((lock, true));
    }
    file.try_lock()?;
    let lock = Arc::new(Lock { identity, _file: file });
    own.push(Arc::downgrade(&lock));
    Ok((lock, false))
}

/// Opens for writing, since NFS locks only such files. Another user's file can only be opened for reading.
fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path);
    match file {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(path).map_err(|_| error),
        file => file,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_this_process_has_locked_is_not_prepared_again() {
        let directory = tempfile::tempdir().unwrap();
        let lock_file = directory.path().join("lock");
        let mut prepared = 0;
        let mut take = || {
            let mut locks = Locks::default();
            let prepare = || {
                prepared += 1;
                Ok(())
            };
            locks.take((directory.path(), &lock_file), "", prepare).map(|()| locks)
        };
        let locks = [take().unwrap(), take().unwrap()];
        drop(locks);
        take().unwrap();
        assert_eq!(prepared, 2);
    }
}
