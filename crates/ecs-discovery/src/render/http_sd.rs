//! The JSON of Prometheus' `http_sd_configs`, in which each target brings its scrape interval: one document is enough for
//! all. A file may hold the same.
//!
//! <https://prometheus.io/docs/prometheus/latest/http_sd/>

use std::io::{self, Write};

use crate::target::Target;

/// Writes the groups of `targets` in their order; `[]` when there is none. Fails only where `out` does.
pub fn write<'a>(out: &mut impl Write, targets: impl IntoIterator<Item = &'a Target>) -> io::Result<()> {
    super::groups::write(out, targets, Target::labels_with_interval)
}
