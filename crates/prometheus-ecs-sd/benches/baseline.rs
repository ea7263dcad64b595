//! Another binary to compare with, given by the environment.

use std::path::PathBuf;

use crate::program::OWN;

/// The binary that is measured, and the one of `BASELINE`.
pub(crate) fn binaries() -> Vec<PathBuf> {
    let baseline = std::env::var_os("BASELINE").filter(|path| !path.is_empty());
    // Benchmarks run in the directory of their package, and `make` in that of the repository.
    let repository = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    [OWN.into()].into_iter().chain(baseline.map(|path| repository.join(path))).collect()
}

/// The one in the middle.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
