//! The names of the files in the target directory.

use std::fmt;

use clap::ValueEnum;

/// The directory in the target directory where files are written before they are renamed into place.
pub(crate) const WORK_DIRECTORY: &str = ".prometheus-ecs-sd";
/// The end of the name of a target file, after its interval.
pub(crate) const SUFFIX: &str = "-tasks.json";
/// The file of all targets.
pub(crate) const SINGLE: &str = "tasks.json";

/// The target files that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Layout {
    /// One file for each scrape interval, for a Prometheus job each.
    #[default]
    PerInterval,
    /// `tasks.json`, whose targets include their scrape interval, for a single job.
    Single,
}

impl fmt::Display for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PerInterval => "per-interval",
            Self::Single => "single",
        })
    }
}
