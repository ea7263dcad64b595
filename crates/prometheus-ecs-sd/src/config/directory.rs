//! Whether the target directory can be used, found out before anything else is tried.

use std::io::ErrorKind;
use std::path::Path;

use super::layout;
use crate::lock::Locks;
use crate::replace::make_directory;
use crate::sinks::file_sd;

/// The name of the lock file, in the work directory.
const LOCK: &str = "lock";

/// Checks that the directory exists, that no other process uses it and that files can be made in it; says in words what
/// to do if not.
pub(crate) fn usable(directory: &Path, locks: &mut Locks) -> Result<(), String> {
    let shown = directory.display();
    match directory.metadata() {
        Ok(found) if !found.is_dir() => return Err(format!("{shown} is not a directory")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("{shown} does not exist; create it, for example with mkdir -p {shown}"));
        }
        Err(error) => return Err(format!("{shown} cannot be used: {error}")),
    }
    let work = directory.join(layout::WORK_DIRECTORY);
    // If that fails, preparing it fails too.
    let _ = make_directory(&work);
    let prepare = || {
        file_sd::prepare(directory).map_err(|error| {
            let user = "make it writable for the user that this program runs as";
            format!("{shown} cannot be written to ({error}); {user}, or name another directory")
        })
    };
    locks.take((directory, &work.join(LOCK)), "end it, or name another directory", prepare)
}
