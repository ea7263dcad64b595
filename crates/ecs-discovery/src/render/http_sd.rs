//! The JSON of Prometheus' `http_sd_configs`, in which each target brings its scrape interval: one document is enough for
//! all. A file may hold the same.
//!
//! <https://prometheus.io/docs/prometheus/latest/http_sd/>

use std::io::{self, Write};

use crate::filter::Selection;
use crate::target::Target;

/// Of how many targets the size of a document is estimated: some hundredths of a percent of what a large one costs.
const SAMPLES: usize = 64;

/// Writes the groups of `targets` in their order; `[]` when there is none. Fails only where `out` does.
pub fn write<'a>(
    out: &mut (impl Write + ?Sized),
    targets: impl IntoIterator<Item = &'a Target>,
) -> io::Result<()> {
    super::groups::write(out, targets, Target::labels_with_interval)
}

/// About how many bytes the document of these targets has, by a few of them that are spread evenly.
pub fn estimated_size(selection: &Selection) -> usize {
    let targets = selection.unordered().count();
    let step = targets.div_ceil(SAMPLES).max(1);
    let mut size = Size::default();
    write(&mut size, selection.unordered().step_by(step)).expect("counting does not fail");
    size.0.saturating_mul(targets.max(1)) / targets.div_ceil(step).max(1)
}

/// Counts what is written.
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
