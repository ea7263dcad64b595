//! Facts of one kind that tasks have in common: definitions, container instances, hosts or services. A fact stays until
//! AWS says otherwise, or until nothing has used it for a while. (A service is forgotten with its last task.)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::failure::Failure;

/// How long a definition, container instance or host that no task uses is kept: a job that runs every half
/// hour finds its definition still known.
const KEPT_UNUSED: Duration = Duration::from_secs(3600);

/// After how long AWS is asked again for a definition it said it does not know: such calls take one definition each.
const DEFINITION_ASKED_AGAIN: Duration = Duration::from_secs(120);

/// How long events lead to no further request for a fact that could not be read: errands repeat theirs within this time.
const FAILED_LATELY: Duration = Duration::from_secs(60);

/// Facts of one kind, and the failures to get one.
#[derive(Debug)]
pub(super) struct Cache<K, V> {
    known: BTreeMap<K, Fact<V>>,
    failed: BTreeMap<K, (Failure, Duration)>,
    /// The facts that changed since this was last taken. A new fact is none of them: the tasks that lack it are known.
    touched: BTreeSet<K>,
}

#[derive(Debug)]
struct Fact<V> {
    value: V,
    used: Duration,
    /// When AWS last described it, or said that it does not exist.
    asked: Duration,
}

impl<K, V> Default for Cache<K, V> {
    fn default() -> Self {
        Self { known: BTreeMap::new(), failed: BTreeMap::new(), touched: BTreeSet::new() }
    }
}

impl<K: Ord + Clone, V: PartialEq> Cache<K, V> {
    pub(super) fn value(&self, key: &K) -> Option<&V> {
        self.known.get(key).map(|fact| &fact.value)
    }

    pub(super) fn failure(&self, key: &K) -> Option<&Failure> {
        self.failed.get(key).map(|(failure, _)| failure)
    }

    /// Whether AWS said a short while ago that it does not know this.
    pub(super) fn is_refused(&self, key: &K, now: Duration) -> bool {
        let refused = |(failure, when): &(Failure, Duration)| {
            failure.is_answer() && now.saturating_sub(*when) < DEFINITION_ASKED_AGAIN
        };
        self.failed.get(key).is_some_and(refused)
    }

    /// Whether a request for this failed a short while ago for a reason that a retry does not change.
    pub(super) fn is_given_up(&self, key: &K, now: Duration) -> bool {
        let given_up = |(failure, when): &(Failure, Duration)| {
            !failure.may_pass() && now.saturating_sub(*when) < DEFINITION_ASKED_AGAIN
        };
        self.failed.get(key).is_some_and(given_up)
    }

    /// Whether a request for this failed a short while ago.
    pub(super) fn has_failed(&self, key: &K, now: Duration) -> bool {
        let is_recent = |when: Duration| now.saturating_sub(when) < FAILED_LATELY;
        self.failed.get(key).is_some_and(|(_, when)| is_recent(*when))
    }

    /// Stores a fact. An unchanged one keeps its allocation, which targets share.
    pub(super) fn learn(&mut self, key: K, value: V, now: Duration) {
        self.failed.remove(&key);
        let known = self.known.get_mut(&key);
        match known {
            Some(fact) => {
                fact.asked = now;
                if fact.value != value {
                    fact.value = value;
                    self.touched.insert(key);
                }
            }
            None => drop(self.known.insert(key, Fact { value, used: now, asked: now })),
        }
    }

    /// Records that a fact could not be read. A known fact stays; if a retry would not help, its recheck counts as
    /// done.
    pub(super) fn fail(&mut self, key: K, failure: Failure, now: Duration) {
        if !failure.may_pass() {
            self.touch(&key, now);
        }
        self.failed.insert(key, (failure, now));
    }

    /// Counts an unknown fact, or one that was unknown before, as changed: its users are not known otherwise.
    pub(super) fn note_changed(&mut self, key: K) {
        self.touched.insert(key);
    }

    /// Forgets facts and failures.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        self.known.retain(|key, _| is_kept(key));
        self.failed.retain(|key, _| is_kept(key));
    }

    /// All facts, by key.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.known.iter().map(|(key, fact)| (key, &fact.value))
    }

    /// The facts that changed since the last call.
    pub(super) fn take_touched(&mut self) -> BTreeSet<K> {
        std::mem::take(&mut self.touched)
    }

    /// Records that AWS was asked; returns whether the fact is known.
    pub(super) fn touch(&mut self, key: &K, now: Duration) -> bool {
        let fact = self.known.get_mut(key);
        fact.map(|fact| fact.asked = now).is_some()
    }

    /// When a known fact was last requested, unless in this refresh.
    pub(super) fn asked_before(&self, key: &K, now: Duration) -> Option<Duration> {
        self.known.get(key).map(|fact| fact.asked).filter(|asked| *asked != now)
    }

    /// The facts that were in use at the last collection, at `collected`, and when they were last requested, unless in
    /// this refresh.
    pub(super) fn in_use(&self, collected: Duration, now: Duration) -> Vec<(Duration, K)> {
        let in_use = self.known.iter().filter(|(_, fact)| fact.used >= collected && fact.asked != now);
        in_use.map(|(key, fact)| (fact.asked, key.clone())).collect()
    }

    /// The facts that were used at that time or later, and when they were last requested.
    pub(super) fn used_since(&self, time: Duration) -> impl Iterator<Item = (Duration, &K, &V)> {
        let used = self.known.iter().filter(move |(_, fact)| fact.used >= time);
        used.map(|(key, fact)| (fact.asked, key, &fact.value))
    }

    /// The facts that could not be read, and why.
    pub(super) fn failures(&self) -> impl Iterator<Item = (&K, &Failure)> {
        self.failed.iter().map(|(key, (failure, _))| (key, failure))
    }

    /// Replaces known facts, for all of which the results are derived again anyway.
    pub(super) fn alter(&mut self, altered: impl Fn(&V) -> Option<V>) {
        for fact in self.known.values_mut() {
            if let Some(value) = altered(&fact.value) {
                fact.value = value;
            }
        }
    }

    pub(super) fn mark_used(&mut self, key: &K, now: Duration) {
        if let Some(fact) = self.known.get_mut(key) {
            fact.used = now;
        }
    }

    pub(super) fn forget_unused(&mut self, now: Duration) {
        self.known.retain(|_, fact| now.saturating_sub(fact.used) < KEPT_UNUSED);
        self.failed.retain(|_, (_, when)| now.saturating_sub(*when) < KEPT_UNUSED);
    }

    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.known.values().map(|fact| &fact.value)
    }
}
