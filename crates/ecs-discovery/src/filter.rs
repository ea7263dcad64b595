//! Which targets a reader asks for: those of some scrape intervals, conventions, accounts, regions or clusters.
//!
//! A filter is read strictly, since a typo that is passed over would give too many targets, or none. Equal wishes
//! make equal filters, in whatever order they are written.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::sync::Arc;

use wildmatch::WildMatch;

use crate::arn::ClusterArn;
use crate::derive::Derived;
use crate::interval::{Interval, Intervals, parse_duration};
use crate::inventory::selection::ClusterPattern;
use crate::snapshot::{Scope, Snapshot};
use crate::target::{Target, in_order};

/// The names of what can be asked for.
const NAMES: &str = "interval, convention, account, region and cluster";
const ACCOUNT_DIGITS: usize = 12;
/// What can be asked for at once: each is tried on each cluster.
const VALUES: usize = 100;

/// What is asked for: of each kind any of the named, everything where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Filter {
    intervals: BTreeSet<Interval>,
    conventions: BTreeSet<Box<str>>,
    accounts: BTreeSet<Box<str>>,
    regions: BTreeSet<Box<str>>,
    clusters: BTreeSet<ClusterPattern>,
}

impl Filter {
    /// Reads a URL's query such as `interval=30s&cluster=prod-*&cluster=stage`; says in words what is wrong with it.
    pub fn parse(query: &str, intervals: &Intervals) -> Result<Self, String> {
        let mut filter = Self::default();
        for (number, (name, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if number == VALUES {
                return Err(format!("too much is asked for at once; give up to {VALUES} values, or a glob"));
            }
            let value = value.trim();
            match &*name {
                "interval" => drop(filter.intervals.insert(interval(value, intervals)?)),
                "convention" => drop(filter.conventions.insert(convention(value)?)),
                "account" => drop(filter.accounts.insert(account(value)?)),
                "region" => drop(filter.regions.insert(region(value)?)),
                "cluster" => {
                    let cluster =
                        ClusterPattern::parse(value).map_err(|problem| format!("cluster: {problem}"))?;
                    filter.clusters.insert(cluster);
                }
                _ => return Err(format!("there is no parameter {name:?}; there are {NAMES}")),
            }
        }
        Ok(filter)
    }

    /// The selection of that snapshot.
    pub fn select(&self, snapshot: &Snapshot) -> Selection {
        let conventions = compiled(&self.conventions);
        self.scopes(snapshot).filter_map(|scope| self.part(&scope.derived, &conventions)).collect()
    }

    /// The scopes that are asked for.
    pub fn scopes<'a>(&'a self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Scope> {
        let matcher = Matcher::new(self);
        snapshot.scopes.iter().filter(move |(cluster, _)| matcher.matches(cluster)).map(|(_, scope)| scope)
    }

    /// Whether a cluster of that region, and of that account if it is known, could be asked for.
    pub fn covers(&self, account: Option<&str>, region: &str) -> bool {
        let is_there = |pattern: &ClusterPattern| match pattern {
            ClusterPattern::Arn(arn) => {
                arn.region() == region && account.is_none_or(|account| account == arn.account())
            }
            ClusterPattern::Name(_) | ClusterPattern::Glob(_) => true,
        };
        account.is_none_or(|account| any_matches(&compiled(&self.accounts), account))
            && any_matches(&compiled(&self.regions), region)
            && (self.clusters.is_empty() || self.clusters.iter().any(is_there))
    }

    fn part(&self, derived: &Arc<Derived>, conventions: &[Glob]) -> Option<Part> {
        let of_part = |kinds| Part { derived: derived.clone(), kinds };
        if self.intervals.is_empty() && self.conventions.is_empty() {
            return (!derived.targets.is_empty()).then(|| of_part(None));
        }
        let (mut seen, mut chosen) = (BTreeSet::new(), BTreeSet::new());
        for kind in derived.targets.iter().map(|target| Kind::of(target)) {
            if seen.insert(kind) {
                let is_chosen = (self.intervals.is_empty() || self.intervals.contains(kind.interval))
                    && any_matches(conventions, kind.convention);
                chosen.extend(is_chosen.then(|| kind.to_owned()));
            }
        }
        let all = chosen.len() == seen.len();
        (!chosen.is_empty()).then(|| of_part((!all).then_some(chosen)))
    }

    /// Whether the filter selects the targets of that cluster.
    pub fn selects(&self, cluster: &ClusterArn) -> bool {
        Matcher::new(self).matches(cluster)
    }
}

/// A filter with compiled patterns, for matching many clusters.
struct Matcher<'a> {
    accounts: Vec<Glob>,
    regions: Vec<Glob>,
    any_cluster: bool,
    clusters: BTreeSet<&'a ClusterArn>,
    names: BTreeSet<&'a str>,
    globs: Vec<Glob>,
}

impl<'a> Matcher<'a> {
    fn new(filter: &'a Filter) -> Self {
        let (mut clusters, mut names, mut globs) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for pattern in &filter.clusters {
            match pattern {
                ClusterPattern::Arn(arn) => drop(clusters.insert(arn)),
                ClusterPattern::Name(name) => drop(names.insert(&**name)),
                ClusterPattern::Glob(glob) => globs.push(Glob::new(glob)),
            }
        }
        let any_cluster = filter.clusters.is_empty();
        let (accounts, regions) = (compiled(&filter.accounts), compiled(&filter.regions));
        Self { accounts, regions, any_cluster, clusters, names, globs }
    }

    fn matches(&self, cluster: &ClusterArn) -> bool {
        let name = cluster.last_part();
        any_matches(&self.accounts, cluster.account())
            && any_matches(&self.regions, cluster.region())
            && (self.any_cluster
                || self.names.contains(name)
                || self.clusters.contains(cluster)
                || self.globs.iter().any(|glob| glob.matches(name)))
    }
}

/// A pattern. It is not tried on texts that are shorter than it, so a text of *n* characters takes at most *n*²/4
/// steps, and about *n* unless it is repetitive.
struct Glob {
    pattern: WildMatch,
    /// The fewest characters that can match.
    least: usize,
}

impl Glob {
    fn new(pattern: &str) -> Self {
        let least = pattern.chars().filter(|character| *character != '*').count();
        Self { pattern: WildMatch::new(pattern), least }
    }

    fn matches(&self, text: &str) -> bool {
        // A text has at most as many characters as bytes.
        self.least <= text.len() && self.pattern.matches(text)
    }
}

fn compiled(patterns: &BTreeSet<Box<str>>) -> Vec<Glob> {
    patterns.iter().map(|pattern| Glob::new(pattern)).collect()
}

fn any_matches(patterns: &[Glob], text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(text))
}

/// The part of a snapshot that a filter selects: the results of some scopes, each with all of its targets, or those of
/// some intervals and conventions.
///
/// Filters that select the same targets make equal selections, whatever their text. So does one filter for two
/// snapshots, as long as none of the selected scopes was derived again. Equal selections render to equal bytes. They
/// are compared by reference.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Selection(Arc<[Part]>);

/// The selected part of one scope; never empty.
#[derive(Clone, Debug)]
struct Part {
    derived: Arc<Derived>,
    /// `None` for all of its targets.
    kinds: Option<BTreeSet<OwnedKind>>,
}

/// The interval and the convention of a target.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind<'a> {
    interval: &'a Interval,
    convention: &'a str,
}

/// The same, without a target.
type OwnedKind = (Interval, Box<str>);

impl<'a> Kind<'a> {
    fn of(target: &'a Target) -> Self {
        Self { interval: &target.interval, convention: target.convention() }
    }

    fn to_owned(self) -> OwnedKind {
        (self.interval.clone(), self.convention.into())
    }
}

impl Selection {
    /// Its targets, in order of publication.
    pub fn targets(&self) -> Vec<&Arc<Target>> {
        in_order(self.unordered())
    }

    /// Its targets, cluster after cluster.
    pub fn unordered(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.0.iter().flat_map(|Part { derived, kinds }| {
            let is_chosen = |target: &&Arc<Target>| {
                let kind = Kind::of(target);
                let is_kind = |(interval, convention): &OwnedKind| {
                    interval == kind.interval && **convention == *kind.convention
                };
                // A few intervals and conventions: searching them costs less than a key to look up.
                kinds.as_ref().is_none_or(|kinds| kinds.iter().any(is_kind))
            };
            derived.targets.iter().filter(is_chosen)
        })
    }

    /// Whether a selection also belongs to this snapshot: none of its scopes was derived again since.
    pub fn of(snapshot: &Snapshot) -> impl Fn(&Self) -> bool {
        let results: BTreeSet<_> =
            snapshot.scopes.values().map(|scope| Arc::as_ptr(&scope.derived)).collect();
        move |selection| selection.0.iter().all(|part| results.contains(&Arc::as_ptr(&part.derived)))
    }
}

impl FromIterator<Part> for Selection {
    fn from_iter<T: IntoIterator<Item = Part>>(parts: T) -> Self {
        Self(parts.into_iter().collect())
    }
}

impl Part {
    fn key(&self) -> (*const Derived, &Option<BTreeSet<OwnedKind>>) {
        (Arc::as_ptr(&self.derived), &self.kinds)
    }
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Part {}

impl PartialOrd for Part {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Part {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

fn interval(value: &str, intervals: &Intervals) -> Result<Interval, String> {
    parse_duration(value).and_then(|length| intervals.find(length)).cloned().ok_or_else(|| {
        let offered: Vec<_> = intervals.offered().iter().map(Interval::name).collect();
        format!("interval: {value:?} is not one of those that are offered: {}", offered.join(", "))
    })
}

/// Which conventions are turned on can change, so one without targets is no mistake.
fn convention(value: &str) -> Result<Box<str>, String> {
    let fits = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte) || is_wild(byte)
    };
    if !value.is_empty() && value.bytes().all(fits) {
        return Ok(value.into());
    }
    Err(format!("convention: {value:?} is not the name of a convention; it looks like teralytics, or my-*"))
}

fn is_wild(byte: u8) -> bool {
    matches!(byte, b'*' | b'?')
}

fn account(value: &str) -> Result<Box<str>, String> {
    let fits = match value.contains(['*', '?']) {
        true => value.bytes().all(|byte| byte.is_ascii_digit() || is_wild(byte)),
        false => value.len() == ACCOUNT_DIGITS && value.bytes().all(|byte| byte.is_ascii_digit()),
    };
    if fits {
        return Ok(value.into());
    }
    Err(format!("account: {value:?} is not an account; it looks like 123456789012, or 12345678*"))
}

fn region(value: &str) -> Result<Box<str>, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || is_wild(byte);
    if !value.is_empty() && value.bytes().all(fits) {
        return Ok(value.into());
    }
    Err(format!("region: {value:?} is not a region; it looks like eu-west-1, or eu-*"))
}
