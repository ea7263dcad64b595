//! The whole page, in both formats that Prometheus reads.

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use super::current::Current;
use super::process::Process;
use crate::published::SnapshotReader;
use crate::telemetry::metrics::{Metrics, PREFIX};

/// The format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// <https://github.com/prometheus/OpenMetrics/blob/v1.0.0/specification/OpenMetrics.md>
    OpenMetrics,
    /// <https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format>
    Text,
}

/// All current metrics; equal metrics give equal bytes.
pub fn page(metrics: &Metrics, reader: &SnapshotReader, format: Format) -> String {
    let clock = reader.clock.read();
    metrics.show_reload_time(clock);
    let current = Current {
        published: reader.published.borrow().clone(),
        conventions: reader.rules.borrow().conventions.clone(),
        sources: reader.sources.borrow().clone(),
        bucket_statuses: reader.bucket_statuses(),
        began: metrics.began(),
        clock,
    };
    let mut present = Registry::with_prefix(PREFIX);
    present.register_collector(Box::new(current));
    let mut process = Registry::default();
    process.register_collector(Box::new(Process));
    let mut page = String::new();
    [&present, metrics.registry(), &process]
        .into_iter()
        .try_for_each(|registry| encode_registry(&mut page, registry))
        .and_then(|()| encode_eof(&mut page))
        .expect("writing to a string cannot fail");
    match format {
        Format::OpenMetrics => page,
        Format::Text => text(&page),
    }
}

/// The same page in the older format: a family has the name of its samples, an info is a gauge, and there is neither a
/// unit nor an end.
fn text(page: &str) -> String {
    let mut text = String::with_capacity(page.len());
    for family in page.split("# HELP ").skip(1) {
        let mut lines = family.lines();
        let (name, help) = lines.next().and_then(|line| line.split_once(' ')).unwrap_or_default();
        let kind = lines.next().and_then(|line| line.rsplit(' ').next()).unwrap_or_default();
        let (suffix, kind) = match kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            kind => ("", kind),
        };
        text.push_str(&format!("# HELP {name}{suffix} {help}\n# TYPE {name}{suffix} {kind}\n"));
        for sample in lines.filter(|line| !line.starts_with('#')) {
            text.push_str(sample);
            text.push('\n');
        }
    }
    text
}
