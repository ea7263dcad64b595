//! Locks, so that two processes do not write the same files.
//!
//! The system releases a lock when its process ends, however it ends. A lock file is empty, is made once and is never
//! removed: if it were removed, two processes could lock two files of the same name.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tracing::warn;

/// The locks of this process. A second descriptor of a file would not get the lock that the first one has, but a
/// configuration that is loaded again has the same files.
static OWN: Mutex<Vec<Weak<Lock>>> = Mutex::new(Vec::new());

/// Locks that are held until the last clone is dropped.
#[derive(Clone, Debug, Default)]
pub struct Locks(Vec<Arc<Lock>>);

/// A configuration is not another one because of its locks: these follow from its paths.
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
    /// Locks `place` by a lock file, and then prepares it, which may remove files that a process is about to use: so not
    /// if this process has the lock already. If another process has it, says so and what to `resort` to. Where nothing
    /// can be locked, there is a warning.
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

/// For writing, since NFS locks no other file. Another user's file can only be read.
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
