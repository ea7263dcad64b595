//! A search index of the current snapshot. It is built when a page is requested and dropped with the next publication, so
//! that it costs nothing while the page is not used.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::conventions::list::Dialect;
use ecs_discovery::finding::{Finding, Reason, Verdict};
use ecs_discovery::snapshot::Scope;
use ecs_discovery::target::Target;

use super::search::Search;
use crate::published::{Published, SnapshotReader};

/// Jobs or clusters in a filter; others can be found by typing their name.
const CHOICES: usize = 500;

/// The characters of a text that are searched: a path or a message can be of any length.
const SEARCHED: usize = 500;

/// The newest index, if a page was requested.
#[derive(Clone, Debug, Default)]
pub(crate) struct SearchIndex(Arc<Mutex<Option<Arc<Index>>>>);

impl SearchIndex {
    /// The index of the published snapshot.
    pub(super) fn of(&self, published: &Published) -> Arc<Index> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(kept) = kept.filter(|kept| kept.number == published.number) {
            return kept;
        }
        // Not under the lock: a thread that serves other requests waits for it.
        let index = Arc::new(Index::new(published));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
        index
    }

    /// Drops the index at each publication, until the last one.
    pub(crate) async fn follow(self, mut reader: SnapshotReader) {
        while reader.published.changed().await.is_ok() {
            reader.published.borrow_and_update();
            self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
    }
}

/// All targets and findings of one snapshot, in the order of the page, with the text of each.
#[derive(Debug)]
pub(super) struct Index {
    number: u64,
    parts: Vec<Part>,
    targets: Listed<Target>,
    findings: Listed<Finding>,
    /// The number of findings about containers that are not scraped; the others are warnings.
    pub(super) not_scraped: usize,
    pub(super) intervals: Vec<String>,
    /// Containers that a convention would scrape which is not turned on, by convention.
    pub(super) hints: BTreeMap<&'static str, usize>,
    /// The conventions that have targets.
    pub(super) conventions: Vec<String>,
    pub(super) clusters: Choices,
    pub(super) jobs: Choices,
}

/// One scope.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) cluster: ClusterArn,
    pub(super) state: &'static str,
}

/// Values, each with the number of its part, and their texts in lower case, one after the other.
#[derive(Debug)]
struct Listed<T> {
    values: Vec<(u32, Arc<T>)>,
    texts: String,
    ends: Vec<usize>,
}

/// The values of a filter.
#[derive(Debug, Default)]
pub(super) struct Choices {
    pub(super) names: Vec<String>,
    /// The number of further values.
    pub(super) more: usize,
}

/// The results of a search, by position in the order of the page.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) targets: Vec<usize>,
    pub(super) findings: Vec<usize>,
}

impl<T> Listed<T> {
    fn new() -> Self {
        Self { values: Vec::new(), texts: String::new(), ends: Vec::new() }
    }

    fn push(&mut self, part: usize, value: &Arc<T>, fields: &[&str]) {
        for field in fields {
            // A separator that no word contains.
            self.texts.extend(field.chars().take(SEARCHED).flat_map(char::to_lowercase).chain(['\n']));
        }
        self.ends.push(self.texts.len());
        self.values.push((u32::try_from(part).expect("fewer fit into memory"), value.clone()));
    }

    fn part(&self, position: usize) -> usize {
        self.values[position].0 as usize
    }

    fn text(&self, position: usize) -> &str {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.texts[start..self.ends[position]]
    }
}

impl Index {
    fn new(published: &Published) -> Self {
        let scopes = published.snapshot.scopes.iter();
        let part = |(cluster, scope): (&ClusterArn, &Scope)| Part {
            cluster: cluster.clone(),
            state: scope.status.as_str(),
        };
        let parts: Vec<_> = scopes.map(part).collect();
        let scopes = || published.snapshot.scopes.values().map(|scope| &*scope.derived).enumerate();
        let mut jobs = BTreeSet::new();
        let targets = scopes().flat_map(|(part, one)| one.targets.iter().map(move |target| (part, target)));
        let mut targets: Vec<_> = targets.collect();
        targets.sort_by(|(_, one), (_, other)| one.in_order(other));
        let mut listed_targets = Listed::new();
        let mut intervals = BTreeMap::new();
        for (part, target) in targets {
            jobs.insert(target.job());
            intervals.insert(target.interval.length(), target.interval.name());
            let endpoint = target.endpoint.to_string();
            let cluster = &parts[part].cluster;
            let place = [cluster.last_part(), cluster.account(), cluster.region()];
            let own = [&endpoint, target.job(), target.container(), target.task().last_part()];
            listed_targets.push(part, target, &[&own[..], &place[..]].concat());
        }
        let findings =
            scopes().flat_map(|(part, one)| one.findings.iter().map(move |finding| (part, finding)));
        let mut findings: Vec<_> = findings.collect();
        findings.sort_by_key(|(_, finding)| Group::of(finding));
        let mut listed_findings = Listed::new();
        for (part, finding) in findings {
            jobs.insert(finding.job());
            let cluster = &parts[part].cluster;
            let (reason, detail) = match &finding.verdict {
                Verdict::NotScraped(problem) => (problem.reason.as_str(), &*problem.detail),
                Verdict::Warning(detail) => ("", &**detail),
            };
            let place = [cluster.last_part(), cluster.account(), cluster.region()];
            let own = [finding.job(), &finding.container, finding.task.last_part(), reason, detail];
            listed_findings.push(part, finding, &[&own[..], &place[..]].concat());
        }
        let clusters = parts.iter().map(|part| part.cluster.last_part()).collect();
        let intervals = intervals.into_values().map(str::to_owned).collect();
        let hints = published.snapshot.hints();
        let conventions = published.snapshot.by_convention().into_keys().map(str::to_owned).collect();
        let (clusters, jobs) = (Choices::new(&clusters), Choices::new(&jobs));
        let (targets, findings, number) = (listed_targets, listed_findings, published.number);
        let not_scraped = published.snapshot.not_scraped();
        Self { number, targets, findings, not_scraped, intervals, conventions, hints, clusters, jobs, parts }
    }

    pub(super) fn targets(&self) -> usize {
        self.targets.values.len()
    }

    /// Whether the convention of a target is worth a column: not if `environment` has all of them.
    pub(super) fn shows_conventions(&self) -> bool {
        self.conventions.iter().any(|name| name != Dialect::Environment.name())
    }

    pub(super) fn findings(&self) -> usize {
        self.findings.values.len()
    }

    pub(super) fn target(&self, position: usize) -> (&Part, &Target) {
        (&self.parts[self.targets.part(position)], &self.targets.values[position].1)
    }

    pub(super) fn finding(&self, position: usize) -> (&Part, &Finding) {
        (&self.parts[self.findings.part(position)], &self.findings.values[position].1)
    }

    /// The statuses of the scopes.
    pub(super) fn states(&self) -> BTreeSet<&'static str> {
        self.parts.iter().map(|part| part.state).collect()
    }

    /// Everything that matches. Interval and convention do not filter containers that are not scraped.
    pub(super) fn find(&self, search: &Search) -> Found {
        let is = |filter: &str, value: &str| filter.is_empty() || filter == value;
        let part =
            |part: &Part| is(&search.cluster, part.cluster.last_part()) && is(&search.state, part.state);
        let parts: Vec<bool> = self.parts.iter().map(part).collect();
        let words = search.words();
        let matches =
            |part: usize, text: &str| parts[part] && words.iter().all(|word| text.contains(word.as_str()));
        let target = |position: &usize| {
            let (_, target) = self.target(*position);
            is(&search.interval, target.interval.name())
                && is(&search.convention, target.convention())
                && is(&search.job, target.job())
        };
        let finding = |position: &usize| is(&search.job, self.finding(*position).1.job());
        let targets =
            (0..self.targets()).filter(|at| matches(self.targets.part(*at), self.targets.text(*at)));
        let findings =
            (0..self.findings()).filter(|at| matches(self.findings.part(*at), self.findings.text(*at)));
        let (targets, findings) = (targets.filter(target), findings.filter(finding));
        Found { targets: targets.collect(), findings: findings.collect() }
    }

    /// The number of these targets by interval, the shortest first.
    pub(super) fn by_interval(&self, found: &Found) -> impl Iterator<Item = (&str, usize)> {
        let mut counts = BTreeMap::new();
        for at in &found.targets {
            let interval = &self.target(*at).1.interval;
            counts.entry(interval.length()).or_insert((interval.name(), 0)).1 += 1;
        }
        counts.into_values()
    }

    /// The number of these findings about containers that are not scraped.
    pub(super) fn not_scraped_in(&self, found: &Found) -> usize {
        let is_warning = |at: &&usize| Group::of(self.finding(**at).1) == Group::Warning;
        found.findings.len() - found.findings.iter().filter(is_warning).count()
    }
}

impl Choices {
    fn new(all: &BTreeSet<&str>) -> Self {
        let names = all.iter().take(CHOICES).map(|name| (*name).to_owned()).collect();
        Self { names, more: all.len().saturating_sub(CHOICES) }
    }
}

/// The groups of findings; those that need attention come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Group {
    Unexpected(Reason),
    Warning,
    Expected(Reason),
}

impl Group {
    pub(super) fn of(finding: &Finding) -> Self {
        match &finding.verdict {
            Verdict::NotScraped(problem) if problem.reason.is_expected() => Self::Expected(problem.reason),
            Verdict::NotScraped(problem) => Self::Unexpected(problem.reason),
            Verdict::Warning(_) => Self::Warning,
        }
    }
}
