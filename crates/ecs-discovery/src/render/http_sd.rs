//! The JSON of Prometheus' `http_sd_configs`, in which each target brings its scrape interval: one document is enough for
//! all. A file may hold the same.
//!
//! <https://prometheus.io/docs/prometheus/latest/http_sd/>

use std::io::{self, Write};

use crate::filter::Selection;
use crate::target::Target;

/// The number of targets from which the size of a document is estimated; this takes a few hundredths of a percent of
/// the time to render a large one.
const SAMPLES: usize = 64;

/// Writes the groups of `targets` in their order; `[]` when there is none. Fails only where `out` does.
pub fn write<T: AsRef<Target>>(
    out: &mut (impl Write + ?Sized),
    targets: impl IntoIterator<Item = T>,
) -> io::Result<()> {
    crate::groups::write(out, targets, Target::labels_with_interval)
}

/// Appends the group of a target.
pub fn push(group: &mut Vec<u8>, target: &Target) {
    crate::groups::push(group, target, &target.labels_with_interval());
}

/// The estimated bytes of the document of these targets, from an evenly spread sample.
pub fn estimated_size(selection: &Selection) -> usize {
    let targets = selection.unordered().count();
    let step = targets.div_ceil(SAMPLES).max(1);
    let mut size = Size::default();
    write(&mut size, selection.unordered().step_by(step)).expect("counting does not fail");
    size.0.saturating_mul(targets.max(1)) / targets.div_ceil(step).max(1)
}

/// Counts the written bytes.
#[derive(Debug, Default)]
struct Size(usize);

impl Write for Size {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
