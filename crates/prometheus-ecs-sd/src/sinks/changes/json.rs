//! Changes for programs: one JSON object a line. The keys are documented and stable.

use std::io::{self, Write};

use ecs_discovery::snapshot::Changes;
use ecs_discovery::target::Target;
use ecs_discovery::text::printable_json;
use serde_json::{Map, Value, json};

use super::differing;
use crate::published::Published;
use crate::telemetry::timestamp;

/// Prints a line for each target that appeared, changed or disappeared, and one with totals.
pub(super) fn print(out: &mut impl Write, changes: &Changes, published: &Published) -> io::Result<()> {
    for target in &changes.appeared {
        line(out, "appeared", of(target))?;
    }
    for (earlier, target) in &changes.changed {
        let mut fields = of(target);
        fields["labels"] = labels(earlier, target);
        line(out, "changed", fields)?;
    }
    for target in &changes.gone {
        line(out, "gone", of(target))?;
    }
    let snapshot = &published.snapshot;
    let totals = json!({
        "targets": snapshot.target_count(),
        "appeared": changes.appeared.len(),
        "changed": changes.changed.len(),
        "gone": changes.gone.len(),
        "clusters": snapshot.scopes.len(),
        "containers_not_scraped": snapshot.not_scraped(),
        "stale_clusters": snapshot.stale(),
        "unread_clusters": snapshot.restored(),
        "seconds": published.took.as_secs_f64(),
    });
    line(out, "totals", totals)
}

fn line(out: &mut impl Write, event: &str, mut fields: Value) -> io::Result<()> {
    fields["event"] = event.into();
    fields["timestamp"] = timestamp().into();
    writeln!(out, "{}", printable_json(&fields.to_string()))
}

fn of(target: &Target) -> Value {
    json!({
        "url": target.endpoint.to_string(),
        "scrape_interval": target.asked.interval.then(|| target.interval.name()),
        "cluster": target.cluster(),
        "job": target.job(),
        "container": target.container(),
        "task": target.task().as_str(),
    })
}

/// The labels that differ, each with its value before and after, or null.
fn labels(before: &Target, after: &Target) -> Value {
    let (before, after) = (before.labels_with_interval(), after.labels_with_interval());
    let differing = differing(&before, &after).into_iter();
    let values = |[before, after]: [Option<&str>; 2]| json!({ "before": before, "after": after });
    Value::Object(differing.map(|(name, both)| (name.to_owned(), values(both))).collect::<Map<_, _>>())
}
