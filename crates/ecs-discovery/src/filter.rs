//! Which targets a reader asks for: those of some scrape intervals, accounts, regions or clusters.
//!
//! A filter is read strictly, since a typo that is passed over would give too many targets, or none. Equal wishes
//! make equal filters, in whatever order they are written.

use std::collections::BTreeSet;

use wildmatch::WildMatch;

use crate::arn::ClusterArn;
use crate::interval::{Interval, Intervals, parse_duration};
use crate::inventory::selection::ClusterPattern;
use crate::snapshot::{Scope, Snapshot};
use crate::target::Target;

/// The names of what can be asked for.
const NAMES: &str = "interval, account, region and cluster";
const ACCOUNT_DIGITS: usize = 12;
/// What can be asked for at once: each is tried on each cluster.
const VALUES: usize = 100;

/// What is asked for: of each kind any of the named, everything where none is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Filter {
    intervals: BTreeSet<Interval>,
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

    /// Every target of the snapshot that is asked for, in order of publication.
    pub fn targets<'a>(&self, snapshot: &'a Snapshot) -> Vec<&'a Target> {
        let of_scopes = self.scopes(snapshot).flat_map(|scope| &scope.derived.targets);
        let mut targets: Vec<_> = of_scopes.filter(|target| self.selects_interval(target)).collect();
        targets.sort_by(|one, other| one.in_order(other));
        targets
    }

    /// The scopes that are asked for.
    pub fn scopes<'a>(&self, snapshot: &'a Snapshot) -> impl Iterator<Item = &'a Scope> {
        snapshot.scopes.iter().filter(|(cluster, _)| self.selects(cluster)).map(|(_, scope)| scope)
    }

    /// Whether a cluster of that region, and of that account if it is known, could be asked for.
    pub fn covers(&self, account: Option<&str>, region: &str) -> bool {
        let is_there = |pattern: &ClusterPattern| match pattern {
            ClusterPattern::Arn(arn) => {
                arn.region() == region && account.is_none_or(|account| account == arn.account())
            }
            ClusterPattern::Name(_) | ClusterPattern::Glob(_) => true,
        };
        account.is_none_or(|account| any_matches(&self.accounts, account))
            && any_matches(&self.regions, region)
            && (self.clusters.is_empty() || self.clusters.iter().any(is_there))
    }

    fn selects(&self, cluster: &ClusterArn) -> bool {
        any_matches(&self.accounts, cluster.account())
            && any_matches(&self.regions, cluster.region())
            && (self.clusters.is_empty() || self.clusters.iter().any(|pattern| pattern.matches(cluster)))
    }

    fn selects_interval(&self, target: &Target) -> bool {
        self.intervals.is_empty() || self.intervals.contains(&target.interval)
    }
}

fn any_matches(patterns: &BTreeSet<Box<str>>, text: &str) -> bool {
    patterns.is_empty() || patterns.iter().any(|pattern| WildMatch::new(pattern).matches(text))
}

fn interval(value: &str, intervals: &Intervals) -> Result<Interval, String> {
    parse_duration(value).and_then(|length| intervals.find(length)).cloned().ok_or_else(|| {
        let offered: Vec<_> = intervals.offered().iter().map(Interval::name).collect();
        format!("interval: {value:?} is not one of those that are offered: {}", offered.join(", "))
    })
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
