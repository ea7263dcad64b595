//! Prepares the target directory and the state file before discovery starts.

use std::io::ErrorKind;
use std::path::Path;

use crate::atomic_file::make_directory;
use crate::config::layout;
use crate::lock::Locks;
use crate::sinks::file_sd;
use crate::state::StateFile;

/// The name of the lock file, in the work directory.
const LOCK: &str = "lock";

/// Prepares both, and reports problems by option. The flag says whether the user names the state file.
pub(crate) fn prepare(
    directory: Option<&Path>,
    state_file: Option<(&Path, bool)>,
    report: &mut dyn FnMut(&'static str, String),
) -> Locks {
    let mut locks = Locks::default();
    let usable = directory.map_or(Ok(()), |directory| usable(directory, &mut locks));
    if let Err(problem) = &usable {
        report("directory", problem.clone());
    }
    // Its default place is in the directory, whose problem is enough.
    if let Some((path, is_named)) = state_file
        && (usable.is_ok() || is_named)
        && let Err(problem) = StateFile::new(path).lock(&mut locks)
    {
        report("state-file", problem);
    }
    locks
}

/// Checks that the directory exists, that no other process uses it and that files can be created in it. An error says
/// what to do.
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
