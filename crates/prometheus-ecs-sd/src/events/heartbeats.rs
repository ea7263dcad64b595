//! The heartbeats of one queue, one a minute from each account and region: fewer show that another program reads the
//! queue too.
//!
//! A heartbeat counts for the minute in which it was sent, so that late and repeated ones change nothing. If none comes
//! for some minutes, counting starts again: that is silence, which the sources notice.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The minutes over which heartbeats are counted.
const MINUTES: u64 = 10;
/// The least of them that have a heartbeat.
const LEAST: usize = 8;
/// So many have one when nothing is missing. A heartbeat that is late by seconds may be one of the next minute.
const COMPLETE: usize = 9;

/// More minutes without a heartbeat are silence.
const SILENT: u64 = 3;

/// The accounts and regions that are counted. A queue has the events of one or a few; its messages can name any.
const MAX_PLACES: usize = 100;

/// An account, if the heartbeat names one, and a region.
pub(super) type Place = (Option<String>, String);

/// The heartbeats of one queue.
#[derive(Debug, Default)]
pub(super) struct Heartbeats(BTreeMap<Place, Minutes>);

/// What is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Too few came.
    Few,
    /// All came again.
    Complete,
}

/// The heartbeats of one account and region.
#[derive(Debug, Default)]
struct Minutes {
    /// The first minute that is counted.
    first: u64,
    /// The last minutes with a heartbeat.
    with: BTreeSet<u64>,
    are_few: bool,
}

impl Heartbeats {
    /// Takes in a heartbeat that was sent at this time, since the Unix epoch.
    pub(super) fn add(&mut self, place: Place, sent: Duration) -> Option<Change> {
        if self.0.len() >= MAX_PLACES && !self.0.contains_key(&place) {
            return None;
        }
        self.0.entry(place).or_default().add(sent.as_secs() / 60)
    }
}

impl Minutes {
    fn add(&mut self, minute: u64) -> Option<Change> {
        let is_silence = self.with.last().is_none_or(|last| minute > last + SILENT);
        if is_silence {
            (self.first, self.with) = (minute, BTreeSet::new());
        }
        self.with.insert(minute);
        let newest = self.with.last().copied().unwrap_or(minute);
        self.with.retain(|minute| minute + MINUTES > newest);
        let (count, were_few) = (self.with.len(), self.are_few);
        let is_measured = newest - self.first.min(newest) >= MINUTES;
        if is_measured {
            self.are_few = count < LEAST || (were_few && count < COMPLETE);
        }
        match (were_few, self.are_few) {
            (false, true) => Some(Change::Few),
            (true, false) => Some(Change::Complete),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The changes after heartbeats of these minutes, and in which minute each came.
    fn check(minutes: impl IntoIterator<Item = u64>) -> Vec<(u64, Change)> {
        let mut heartbeats = Heartbeats::default();
        let place = || (Some("111111111111".to_owned()), "eu-west-1".to_owned());
        let mut add = |minute| heartbeats.add(place(), Duration::from_secs(minute * 60 + 34));
        minutes.into_iter().filter_map(|minute| Some((minute, add(minute)?))).collect()
    }

    #[test]
    fn too_few_heartbeats_are_told_once_and_again_after_all_came() {
        assert_eq!(check(0..60), []);
        assert_eq!(check((0..60).step_by(2)), [(10, Change::Few)]);
        let half = |from: u64| (from..from + 30).step_by(2);
        let changes = check(half(0).chain(30..60).chain(half(60)));
        assert_eq!(changes, [(10, Change::Few), (37, Change::Complete), (66, Change::Few)]);
    }

    #[test]
    fn late_repeated_and_reordered_heartbeats_are_no_reason() {
        let late = (0..20).chain(20..25).chain([25, 25, 27, 26, 29, 28, 28]).chain(30..60);
        assert_eq!(check(late), []);
        // As many messages, half of them repeated.
        let repeated = (0..60).step_by(2).flat_map(|minute| [minute, minute]);
        assert_eq!(check(repeated), [(10, Change::Few)]);
    }

    #[test]
    fn silence_is_no_reason() {
        assert_eq!(check((0..30).chain(60..90)), []);
        assert_eq!(check([0, 100, 200, 300]), []);
    }

    #[test]
    fn places_are_bounded() {
        let mut heartbeats = Heartbeats::default();
        for number in 0..1000 {
            heartbeats.add((None, format!("region-{number}")), Duration::ZERO);
        }
        assert_eq!(heartbeats.0.len(), MAX_PLACES);
    }
}
