//! The JSON of Prometheus' `file_sd_configs`, for files of one scrape interval each.
//!
//! <https://prometheus.io/docs/prometheus/latest/configuration/configuration/#file_sd_config>

use std::io::{self, Write};

use crate::target::Target;

/// Writes the groups of `targets` in their order; `[]` when there is none. Fails only where `out` does.
pub fn write<T: AsRef<Target>>(
    out: &mut (impl Write + ?Sized),
    targets: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    crate::groups::write(out, targets, Target::labels)
}

/// Appends the group of a target.
pub fn push(group: &mut Vec<u8>, target: &Target) {
    crate::groups::push(group, target, &target.labels());
}
