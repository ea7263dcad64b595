//! Reports changes: a line for each target on standard output, and log messages about clusters and containers.

mod json;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::sync::Arc;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::finding::{Finding, Reason, Verdict};
use ecs_discovery::labels::Labels;
use ecs_discovery::snapshot::{Changes as Differences, ScopeChange};
use ecs_discovery::target::Target;
use ecs_discovery::text::brief;
use ecs_discovery::text::printable;
use ecs_discovery::text::{clipped, count};
use tracing::{debug, info, warn};

use crate::published::Reading;
use crate::published::{Earlier, Published};
use crate::telemetry::LogFormat;

/// Reports the changes from one snapshot to the next.
#[derive(Debug)]
pub struct Changes<W> {
    out: W,
    /// The format of target lines; `None` prints none.
    format: Option<LogFormat>,
    /// The publication that was reported last.
    before: Earlier,
    /// Whether some clusters were still restored in the last report.
    restored: bool,
    /// The conventions that the log has named as not turned on.
    hinted: BTreeSet<&'static str>,
}

impl<W: Write> Changes<W> {
    /// Writes to `out` from the first snapshot on; with no format, only to the log.
    pub fn new(out: W, format: Option<LogFormat>) -> Self {
        Self { out, format, before: Earlier::default(), restored: false, hinted: BTreeSet::new() }
    }

    /// Reports the changes since the previous snapshot. A failed write to the output does not stop discovery.
    pub fn tell(&mut self, published: &Published) {
        let before = std::mem::replace(&mut self.before, published.as_earlier());
        let changes = published.since(&before);
        // The log first: a write to the output may block.
        log_scopes(&changes.scopes, &published.reading);
        log_findings(&changes.findings);
        self.log_hints(published);
        if let Err(error) = self.print(&changes, published) {
            debug!(%error, "changes could not be written to standard output");
        }
    }

    /// Once for each convention: the labels of another tool may be there for that tool alone.
    fn log_hints(&mut self, published: &Published) {
        for (convention, containers) in published.snapshot.hints() {
            if self.hinted.insert(convention) {
                info!(
                    convention,
                    containers,
                    "containers have the labels of a convention that is not turned on; --convention turns it on"
                );
            }
        }
    }

    fn print(&mut self, changes: &Differences, published: &Published) -> io::Result<()> {
        let restored = published.snapshot.restored();
        let are_all_read = restored == 0 && self.restored;
        if !changes.any_target() && published.number > 1 && !are_all_read {
            return Ok(());
        }
        self.restored = restored > 0;
        let mut out = io::BufWriter::new(&mut self.out);
        match self.format {
            Some(LogFormat::Text) => print_text(&mut out, changes, published)?,
            Some(LogFormat::Json) => json::print(&mut out, changes, published)?,
            None => {}
        }
        out.flush()
    }
}

fn print_text(out: &mut impl Write, changes: &Differences, published: &Published) -> io::Result<()> {
    for target in &changes.appeared {
        writeln!(out, "+ {}", Line(target))?;
    }
    for (earlier, target) in &changes.changed {
        writeln!(out, "~ {} {}", Line(target), Difference(earlier, target))?;
    }
    for target in &changes.gone {
        writeln!(out, "- {}", Line(target))?;
    }
    let snapshot = &published.snapshot;
    let restored = snapshot.restored();
    let unread = if restored > 0 { format!(", {restored} not read yet") } else { String::new() };
    writeln!(
        out,
        "{} (+{} ~{} -{}) in {}, {} not scraped, {} not up to date{unread}; {:.1} s",
        count(snapshot.target_count(), "target"),
        changes.appeared.len(),
        changes.changed.len(),
        changes.gone.len(),
        count(snapshot.scopes.len(), "cluster"),
        count(snapshot.not_scraped(), "container"),
        count(snapshot.stale(), "cluster"),
        published.took.as_secs_f64(),
    )
}

/// A target as one line.
struct Line<'a>(&'a Target);

impl std::fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (endpoint, interval) = (&self.0.endpoint, self.0.shown_interval());
        let (cluster, job, container) = (self.0.cluster(), self.0.job(), self.0.container());
        let line = format!("{endpoint} {interval} {cluster} {job} {container} {}", self.0.task().last_part());
        f.write_str(&printable(&line))
    }
}

/// The labels in which two versions of a target differ, as many as fit on a line.
pub(super) struct Difference<'a>(pub(super) &'a Target, pub(super) &'a Target);

/// Further labels are only counted.
const SHOWN_LABELS: usize = 3;

impl std::fmt::Display for Difference<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (before, now) = (self.0.labels(), self.1.labels());
        let value = |value: Option<&str>| value.map_or("-".to_owned(), clipped);
        let differing = differing(&before, &now);
        if (&self.0.interval, self.0.asked.interval) != (&self.1.interval, self.1.asked.interval) {
            write!(f, "({} → {}) ", self.0.shown_interval(), self.1.shown_interval())?;
        }
        for (name, [before, now]) in differing.iter().take(SHOWN_LABELS) {
            write!(f, "{name}: {} → {} ", value(*before), value(*now))?;
        }
        if differing.len() > SHOWN_LABELS {
            write!(f, "and {} more", differing.len() - SHOWN_LABELS)?;
        }
        Ok(())
    }
}

/// The labels that are not the same in both, with the value in each.
fn differing<'a>(before: &'a Labels<'_>, now: &'a Labels<'_>) -> BTreeMap<&'a str, [Option<&'a str>; 2]> {
    let mut values = BTreeMap::<_, [Option<_>; 2]>::new();
    for (version, labels) in [before, now].into_iter().enumerate() {
        for (name, value) in labels.iter() {
            values.entry(name).or_default()[version] = Some(value);
        }
    }
    values.retain(|_, [before, now]| before != now);
    values
}

fn log_scopes(scopes: &[(ClusterArn, ScopeChange)], reading: &Reading) {
    for (cluster, change) in scopes {
        let name = cluster.last_part();
        let (account, region) = (cluster.account(), cluster.region());
        match change {
            ScopeChange::Read => {
                debug!(cluster = name, account, region, "cluster was read");
            }
            ScopeChange::ReadAgain => info!(cluster = name, account, region, "cluster can be read again"),
            ScopeChange::Stale(error) => {
                warn!(cluster = name, account, region, %error, "cluster could not be read; its targets are kept");
            }
            ScopeChange::Denied { why: error, .. } => {
                warn!(cluster = name, account, region, %error, "access to cluster is denied; allow ecs:ListTasks and ecs:DescribeTasks on it, or select other clusters with --cluster");
            }
            ScopeChange::Retired(error) => {
                warn!(cluster = name, account, region, %error, "cluster could not be read for longer than --max-staleness; its targets are removed");
            }
            ScopeChange::Restored => {
                debug!(
                    cluster = name,
                    account, region, "cluster is restored as it was before the start or the reload"
                );
            }
            ScopeChange::NeverRead(error) => {
                warn!(cluster = name, account, region, %error, "cluster could not be read yet; trying again");
            }
            ScopeChange::Gone if reading.deselected(cluster).is_some() => {
                info!(cluster = name, account, region, "cluster is no longer selected");
            }
            ScopeChange::Gone => info!(cluster = name, account, region, "cluster is gone"),
        }
    }
}

/// The number of findings of one kind that are logged at a time: one missing permission can cause one for each container.
const TOLD_AT_A_TIME: usize = 20;

fn log_findings(findings: &[Arc<Finding>]) {
    let mut kinds: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for finding in findings {
        let kind = match &finding.verdict {
            Verdict::NotScraped(problem) => Some(problem.reason),
            Verdict::Warning(_) => None,
        };
        kinds.entry(kind).or_default().push(finding);
    }
    for (kind, findings) in kinds {
        findings.iter().take(TOLD_AT_A_TIME).for_each(|finding| log_finding(finding));
        let more = findings.len().saturating_sub(TOLD_AT_A_TIME);
        let expected = kind.is_some_and(Reason::is_expected);
        if more > 0 && !expected {
            let reason = kind.map_or("scraped with a warning", Reason::as_str);
            warn!(containers = more, reason, "more containers have the same problem");
        }
    }
}

fn log_finding(Finding { task, container, verdict, .. }: &Finding) {
    let container = brief(container);
    match verdict {
        Verdict::NotScraped(problem) if problem.reason.is_expected() => {
            debug!(%task, %container, reason = %problem.reason, detail = problem.detail, "container is not scraped");
        }
        Verdict::NotScraped(problem) => {
            warn!(%task, %container, reason = %problem.reason, detail = problem.detail, "container is not scraped");
        }
        Verdict::Warning(detail) => {
            warn!(%task, %container, detail, "container is scraped with a warning")
        }
    }
}
