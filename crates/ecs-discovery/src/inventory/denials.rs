//! Denied items, remembered for a while.
//!
//! IAM can allow an operation for some clusters, tasks or container instances only, and AWS denies the whole call if it
//! names one of the others. [`plan`](super::plan) finds the denied ids.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::arn::ClusterArn;
use crate::failure::Failure;

/// The time after which a denied id is requested again, alone: the same as for an unknown definition. For some seconds
/// after a policy was changed, AWS may still deny what the policy allows.
const ID_ASKED_AGAIN: Duration = Duration::from_secs(120);

/// How long ids of which none is allowed are requested in whole batches only: splitting them would cost calls without a
/// result. If all are allowed again, the next refresh shows it.
const SPLIT_AGAIN: Duration = Duration::from_secs(600);

/// The kind of items that one call can request: its operation, and its cluster, if it names one.
pub(super) type Kind = (&'static str, Option<ClusterArn>);

/// All denied items of one source.
#[derive(Debug, Default)]
pub(super) struct Denials {
    kinds: BTreeMap<Kind, DeniedKind>,
}

#[derive(Debug, Default)]
struct DeniedKind {
    /// Ids that are denied while others are allowed.
    ids: BTreeMap<Box<str>, DeniedId>,
    /// Ids that were denied while no other id was allowed, and when that was found.
    whole: BTreeSet<Box<str>>,
    found: Duration,
    /// When an id was last allowed while another was denied.
    allowed: Option<Duration>,
}

#[derive(Debug)]
struct DeniedId {
    why: Failure,
    denied: Duration,
    /// When it was last due to be requested.
    wanted: Duration,
}

impl Denials {
    /// The denial of an id that is to be requested, if it is known, and whether the id is due for another request.
    pub(super) fn of(&mut self, kind: &Kind, id: &str, now: Duration) -> Option<(Failure, bool)> {
        let known = self.kinds.get_mut(kind)?.ids.get_mut(id)?;
        known.wanted = now;
        Some((known.why.clone(), now.saturating_sub(known.denied) >= ID_ASKED_AGAIN))
    }

    /// Whether this id was denied while no other id was allowed, and that is still remembered.
    pub(super) fn is_of_whole(&self, kind: &Kind, id: &str, now: Duration) -> bool {
        self.kinds.get(kind).is_some_and(|denied| denied.whole.contains(id) && is_recent(denied.found, now))
    }

    /// Whether no item of this kind is allowed.
    pub(super) fn is_whole(&self, kind: &Kind) -> bool {
        self.kinds.get(kind).is_some_and(|denied| !denied.whole.is_empty())
    }

    /// Whether an item that this operation requested is denied.
    pub(super) fn any_of(&self, operation: &str) -> bool {
        let mut kinds = self.kinds.iter().filter(|((of, _), _)| *of == operation);
        kinds.any(|(_, denied)| !(denied.whole.is_empty() && denied.ids.is_empty()))
    }

    /// Whether an item of this kind was allowed within that time although another is denied.
    pub(super) fn is_mixed(&self, kind: &Kind, within: Duration, now: Duration) -> bool {
        let allowed = self.kinds.get(kind).and_then(|denied| denied.allowed);
        allowed.is_some_and(|when| now.saturating_sub(when) < within)
    }

    /// Whether single ids of this kind are denied.
    pub(super) fn any_id(&self, kind: &Kind) -> bool {
        self.kinds.get(kind).is_some_and(|denied| !denied.ids.is_empty())
    }

    /// Records that these ids were allowed. If one of them was denied before, the policy has changed, and others may be
    /// allowed too.
    pub(super) fn allowed<'a>(&mut self, kind: &Kind, ids: impl IntoIterator<Item = &'a str>, now: Duration) {
        let Some(denied) = self.kinds.get_mut(kind) else { return };
        denied.allowed = Some(now);
        denied.whole.clear();
        if ids.into_iter().any(|id| denied.ids.contains_key(id)) {
            denied.ids.clear();
        }
    }

    /// Records that these ids were denied alone while others are allowed, or were at this refresh.
    pub(super) fn denied(
        &mut self,
        kind: Kind,
        ids: BTreeMap<Box<str>, Failure>,
        allowed: bool,
        now: Duration,
    ) {
        let denied = self.kinds.entry(kind).or_default();
        denied.allowed = if allowed { Some(now) } else { denied.allowed };
        denied.ids.extend(ids.into_iter().map(|(id, why)| (id, DeniedId { why, denied: now, wanted: now })));
    }

    /// Records that these ids were denied, alone or together, and no other item of this kind was allowed.
    pub(super) fn whole(&mut self, kind: Kind, ids: impl Iterator<Item = Box<str>>, now: Duration) {
        let denied = self.kinds.entry(kind).or_default();
        if denied.whole.is_empty() || !is_recent(denied.found, now) {
            (denied.whole, denied.found) = (BTreeSet::new(), now);
        }
        let before = std::mem::take(&mut denied.ids).into_keys();
        denied.whole.extend(ids.chain(before));
    }

    /// Forgets ids that were due for another request and were not requested.
    pub(super) fn forget_unused(&mut self, recheck: Duration, now: Duration) {
        let kept = 2 * ID_ASKED_AGAIN.max(recheck);
        self.kinds.retain(|_, denied| {
            denied.ids.retain(|_, id| now.saturating_sub(id.wanted) < kept);
            if now.saturating_sub(denied.found) >= 2 * SPLIT_AGAIN {
                denied.whole.clear();
            }
            denied.allowed.is_some_and(|when| is_recent(when, now))
                || !(denied.whole.is_empty() && denied.ids.is_empty())
        });
    }
}

fn is_recent(when: Duration, now: Duration) -> bool {
    now.saturating_sub(when) < SPLIT_AGAIN
}
