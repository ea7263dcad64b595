//! The current result: the targets and findings of every scope, its status, and the difference to the previous snapshot.
//!
//! A snapshot never changes. A scope that could not be read keeps its last result, and its status says so.

use std::collections::BTreeMap;
use std::iter;
use std::mem::discriminant;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use crate::arn::ClusterArn;
use crate::derive::Derived;
use crate::finding::{Finding, Verdict};
use crate::target::{Target, in_order};

/// The results of all scopes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// By cluster.
    pub scopes: BTreeMap<ClusterArn, Scope>,
}

/// One cluster's part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its targets and findings when it was last read; empty if it never was.
    pub derived: Arc<Derived>,
    /// Whether they are up to date.
    pub status: ScopeStatus,
    /// When it was last read, as a duration since the moment that all times here count from; zero if it never was.
    pub last_read: Duration,
    /// Whether it could not be read at the last refresh because AWS denies access; this lasts until the policy changes.
    pub denied: bool,
    /// The time of the first refresh that failed to read it since; `None` if the last one read it.
    pub failing: Option<Duration>,
}

/// Whether a scope could be read at the last refresh, or why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeStatus {
    /// In full.
    Fresh,
    /// No. Its targets are kept.
    Stale(String),
    /// No, and for so long that its targets were removed.
    Retired(String),
    /// No, and never before.
    NeverRead(String),
    /// It was not read yet. Its targets were saved by a previous process.
    Restored,
}

impl ScopeStatus {
    /// The words that name it everywhere.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Stale(_) => "stale",
            Self::Retired(_) => "retired",
            Self::NeverRead(_) => "never read",
            Self::Restored => "restored",
        }
    }
}

impl Scope {
    /// The scope when it was just read.
    pub fn fresh(derived: Arc<Derived>, now: Duration) -> Self {
        Self { derived, status: ScopeStatus::Fresh, last_read: now, failing: None, denied: false }
    }

    /// The scope when it cannot be read. Its targets are kept.
    pub fn stale(&self, why: String, now: Duration) -> Self {
        let status = match self.status {
            ScopeStatus::NeverRead(_) => ScopeStatus::NeverRead(why),
            ScopeStatus::Retired(_) => ScopeStatus::Retired(why),
            ScopeStatus::Fresh | ScopeStatus::Stale(_) | ScopeStatus::Restored => ScopeStatus::Stale(why),
        };
        let failing = self.failing.or(Some(now));
        Self { derived: self.derived.clone(), status, last_read: self.last_read, failing, denied: false }
    }

    /// The scope as it is published: emptied if refreshes failed to read it for longer than `max_staleness`. Time
    /// without refreshes does not count.
    pub fn published(&self, now: Duration, max_staleness: Duration) -> Self {
        let why = match &self.status {
            ScopeStatus::Stale(why) => why.clone(),
            ScopeStatus::Restored => {
                "it was let go before the program started or was reconfigured".to_owned()
            }
            ScopeStatus::Fresh | ScopeStatus::Retired(_) | ScopeStatus::NeverRead(_) => return self.clone(),
        };
        if self.failing.is_none_or(|since| now.saturating_sub(since) <= max_staleness) {
            return self.clone();
        }
        Self { derived: Arc::default(), status: ScopeStatus::Retired(why), ..*self }
    }

    /// A scope that could not be read the first time.
    pub fn never_read(why: String) -> Self {
        let (derived, status) = (Arc::default(), ScopeStatus::NeverRead(why));
        Self { derived, status, last_read: Duration::ZERO, failing: None, denied: false }
    }

    /// Why it was not read at its last refresh, if so.
    pub fn problem(&self) -> Option<&str> {
        match &self.status {
            ScopeStatus::Fresh | ScopeStatus::Restored => None,
            ScopeStatus::Stale(why) | ScopeStatus::Retired(why) | ScopeStatus::NeverRead(why) => Some(why),
        }
    }

    /// How many of its containers opted in and are not scraped.
    pub fn not_scraped(&self) -> usize {
        let findings = self.derived.findings.iter();
        findings.filter(|finding| matches!(finding.verdict, Verdict::NotScraped(_))).count()
    }

    /// Whether it was ever heard.
    pub fn is_known(&self) -> bool {
        !matches!(self.status, ScopeStatus::NeverRead(_))
    }
}

impl Snapshot {
    /// Every target, in order of publication.
    pub fn targets(&self) -> Vec<&Target> {
        self.shared_targets().into_iter().map(|target| &**target).collect()
    }

    /// The same, to keep.
    pub fn shared_targets(&self) -> Vec<&Arc<Target>> {
        in_order(self.scopes.values().flat_map(|scope| scope.derived.targets.iter()))
    }

    /// Whether two snapshots hold the very same results, so that nothing need be rendered to know that the bytes are
    /// equal.
    pub fn shares_all(&self, other: &Self) -> bool {
        self.scopes.len() == other.scopes.len()
            && self.scopes.iter().all(|(cluster, scope)| {
                other.scopes.get(cluster).is_some_and(|twin| Arc::ptr_eq(&scope.derived, &twin.derived))
            })
    }

    /// Every finding, by task and container.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.scopes.values().flat_map(|scope| scope.derived.findings.iter().map(|finding| &**finding))
    }

    /// How many containers without a target a built-in convention would scrape which is not turned on, by convention.
    pub fn hints(&self) -> BTreeMap<&'static str, usize> {
        let mut hints = BTreeMap::new();
        for hint in self.scopes.values().flat_map(|scope| scope.derived.hints.iter()) {
            *hints.entry(hint.convention).or_default() += 1;
        }
        hints
    }

    /// How many targets each convention has; those without targets are absent.
    pub fn by_convention(&self) -> BTreeMap<&str, usize> {
        let mut targets = BTreeMap::new();
        for (convention, count) in self.scopes.values().flat_map(|scope| &scope.derived.by_convention) {
            *targets.entry(&**convention).or_default() += count;
        }
        targets
    }

    /// How many targets there are.
    pub fn target_count(&self) -> usize {
        self.scopes.values().map(|scope| scope.derived.targets.len()).sum()
    }

    /// How many containers opted in and are not scraped.
    pub fn not_scraped(&self) -> usize {
        self.scopes.values().map(Scope::not_scraped).sum()
    }

    /// How many scopes could not be read at their last refresh.
    pub fn stale(&self) -> usize {
        self.scopes.values().filter(|scope| scope.problem().is_some()).count()
    }

    /// How many scopes have not been refreshed by this process.
    pub fn restored(&self) -> usize {
        self.scopes.values().filter(|scope| scope.status == ScopeStatus::Restored).count()
    }

    /// What became different since `before`. Costs what differs, and not what both share.
    pub fn since(&self, before: &Self) -> Changes {
        let mut changes = Changes { scopes: self.scopes_since(before), ..Changes::default() };
        let nothing = Derived::default();
        let (old, new) = (before.beyond(self, &nothing), self.beyond(before, &nothing));
        let targets = |parts: &[(&'_ Derived, &Derived)]| {
            let targets = parts.iter().flat_map(|(one, twin)| one.by_task.beyond(&twin.by_task));
            let mut targets: Vec<_> = targets.cloned().collect();
            targets.sort_by(|one, other| identity(one).cmp(&identity(other)));
            targets
        };
        let mut old_targets = targets(&old).into_iter().peekable();
        for target in targets(&new) {
            let is_gone = |earlier: &Arc<Target>| identity(earlier) < identity(&target);
            changes.gone.extend(iter::from_fn(|| old_targets.next_if(is_gone)));
            match old_targets.next_if(|earlier| identity(earlier) == identity(&target)) {
                None => changes.appeared.push(target),
                Some(earlier) if earlier.is_published_like(&target) => {}
                Some(earlier) => changes.changed.push((earlier, target)),
            }
        }
        changes.gone.extend(old_targets);
        for (now, earlier) in new {
            let is_new = |finding: &&Arc<Finding>| {
                let mut known = earlier.findings_of(&finding.task);
                !known.any(|known| known.subject() == finding.subject())
            };
            changes.findings.extend(now.findings.beyond(&earlier.findings).filter(is_new).cloned());
        }
        changes
    }

    /// The results that the other snapshot does not share, each with its result of the same cluster.
    fn beyond<'a>(&'a self, other: &'a Self, nothing: &'a Derived) -> Vec<(&'a Derived, &'a Derived)> {
        let of_scope = |(cluster, scope): (_, &'a Scope)| {
            let twin = other.scopes.get(cluster).map_or(nothing, |twin| &*twin.derived);
            (!ptr::eq(twin, &*scope.derived)).then_some((&*scope.derived, twin))
        };
        self.scopes.iter().filter_map(of_scope).collect()
    }

    fn scopes_since(&self, before: &Self) -> Vec<(ClusterArn, ScopeChange)> {
        let now = self.scopes.iter().filter_map(|(cluster, scope)| {
            Some((cluster.clone(), ScopeChange::new(before.scopes.get(cluster), scope)?))
        });
        let gone = before.scopes.keys().filter(|cluster| !self.scopes.contains_key(*cluster));
        now.chain(gone.map(|cluster| (cluster.clone(), ScopeChange::Gone))).collect()
    }
}

/// How a scope's status became another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeChange {
    /// It was read, and never before by this process.
    Read,
    /// It was read, after it could not be.
    ReadAgain,
    /// It could not be read. Its targets are kept.
    Stale(String),
    /// AWS denies access to it. It keeps its targets, if it was read before.
    Denied {
        /// AWS's answer.
        why: String,
        /// Whether it was ever read.
        known: bool,
    },
    /// It could not be read for so long that its targets were removed.
    Retired(String),
    /// It could not be read, and never was.
    NeverRead(String),
    /// It is as a process before this one saved it.
    Restored,
    /// AWS says that it is no more, or it is not looked at any more.
    Gone,
}

impl ScopeChange {
    /// None if both stand for the same: the wording of an error may change from answer to answer.
    fn new(before: Option<&Scope>, now: &Scope) -> Option<Self> {
        let sort = |scope: &Scope| (discriminant(&scope.status), scope.denied);
        if before.is_some_and(|before| sort(before) == sort(now)) {
            return None;
        }
        let before = before.map(|before| &before.status);
        Some(match (now.status.clone(), before) {
            (ScopeStatus::Stale(why) | ScopeStatus::NeverRead(why), _) if now.denied => {
                Self::Denied { why, known: now.is_known() }
            }
            (ScopeStatus::Fresh, None | Some(ScopeStatus::Restored)) => Self::Read,
            (ScopeStatus::Fresh, Some(_)) => Self::ReadAgain,
            (ScopeStatus::Stale(why), _) => Self::Stale(why),
            (ScopeStatus::Retired(why), _) => Self::Retired(why),
            (ScopeStatus::NeverRead(why), _) => Self::NeverRead(why),
            (ScopeStatus::Restored, _) => Self::Restored,
        })
    }
}

/// What stays the same of a target whose labels change.
fn identity(target: &Target) -> impl Ord {
    (target.task(), target.container(), &target.endpoint)
}

/// The difference between two snapshots, each list in a fixed order.
#[derive(Debug, Default)]
pub struct Changes {
    /// New targets.
    pub appeared: Vec<Arc<Target>>,
    /// Targets whose interval or labels differ, before and now.
    pub changed: Vec<(Arc<Target>, Arc<Target>)>,
    /// Targets that are no more.
    pub gone: Vec<Arc<Target>>,
    /// Findings that were not there before.
    pub findings: Vec<Arc<Finding>>,
    /// Scopes that stand differently.
    pub scopes: Vec<(ClusterArn, ScopeChange)>,
}

impl Changes {
    /// Whether any target differs.
    pub fn any_target(&self) -> bool {
        !(self.appeared.is_empty() && self.changed.is_empty() && self.gone.is_empty())
    }
}
