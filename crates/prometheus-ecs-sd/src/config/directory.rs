//! Whether the target directory can be used, found out before anything else is tried.

use std::io::ErrorKind;
use std::path::Path;

use crate::sinks::file_sd;

/// Checks that the directory exists and that files can be made in it; says in words what to do if not.
pub(crate) fn usable(directory: &Path) -> Result<(), String> {
    let shown = directory.display();
    match directory.metadata() {
        Ok(found) if !found.is_dir() => return Err(format!("{shown} is not a directory")),
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(format!("{shown} does not exist; create it, for example with mkdir -p {shown}"));
        }
        Err(error) => return Err(format!("{shown} cannot be used: {error}")),
    }
    file_sd::prepare(directory).map_err(|error| {
        let user = "make it writable for the user that this program runs as";
        format!("{shown} cannot be written to ({error}); {user}, or name another directory")
    })
}
