//! Changes that a refresh learned of and that no event told, which shows that events are lost.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::arn::TaskArn;

/// How long after a refresh an event may tell the change that the refresh learned of.
const ANNOUNCED_WITHIN: Duration = Duration::from_secs(60);

/// The most changes that are remembered until an event tells them: more than a thousand a second would be, for a minute.
const MAX_UNANNOUNCED: usize = 100_000;

/// Tasks whose start or end a refresh has learned of and no event told: whether it is the end, and when that refresh ended.
#[derive(Debug, Default)]
pub(in crate::inventory) struct Unannounced(BTreeMap<TaskArn, (bool, Option<Duration>)>);

impl Unannounced {
    pub(super) fn insert(&mut self, task: &TaskArn, is_end: bool) {
        if self.0.len() < MAX_UNANNOUNCED {
            self.0.insert(task.clone(), (is_end, None));
        }
    }

    /// Each event of a task tells that it started, and only one of its end that it ended.
    pub(super) fn told(&mut self, task: &TaskArn, is_end: bool) {
        if self.0.get(task).is_some_and(|(awaits_end, _)| is_end || !awaits_end) {
            self.0.remove(task);
        }
    }

    /// The refresh ended that learned of them.
    pub(super) fn expect(&mut self, now: Duration) {
        self.0.values_mut().for_each(|(_, since)| *since = since.or(Some(now)));
    }

    pub(super) fn awaits_any(&self) -> bool {
        !self.0.is_empty()
    }

    pub(super) fn missed(&mut self, now: Duration) -> usize {
        let is_late = |since: &Option<Duration>| {
            since.is_some_and(|since| now.saturating_sub(since) >= ANNOUNCED_WITHIN)
        };
        self.0.extract_if(.., |_, (_, since)| is_late(since)).count()
    }
}
