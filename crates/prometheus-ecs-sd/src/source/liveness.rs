//! Whether events tell every change of a source, so that refreshes only have to prove it.
//!
//! A source is live if a sign of life is not older than 180 seconds, and a complete refresh began after the signs of life
//! did. If a refresh learns of a change that no event told, the source is doubted until two complete refreshes learn of
//! none. A source that is not live is refreshed once an interval, as without events. One without a queue is not waited for
//! before its first sign of life.

use std::time::Duration;

use tokio::time::Instant;

use super::Expected;
use crate::published::EventStatus;

/// How old the last sign of life of a live source may be: three heartbeats of a minute each.
pub(crate) const SILENT_AFTER: Duration = Duration::from_secs(180);

/// The complete refreshes without a missed change that end doubt.
const PROVEN_BY: u8 = 2;

/// The signs of life of one source.
#[derive(Debug)]
pub(super) struct Liveness {
    status: EventStatus,
    /// When it was configured, for a source that never had a sign of life.
    begun: Instant,
    last: Option<Instant>,
    /// When the signs of life began that have not ceased since.
    since: Option<Instant>,
    /// The complete refreshes without a missed change since the last one.
    proven: u8,
    is_told_silent: bool,
}

/// What is to be logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The source became live.
    Live,
    /// The last sign of life is too old.
    Silent,
    /// A change was missed.
    Doubted,
}

impl Liveness {
    pub(super) fn new(expected: Expected) -> Self {
        Self {
            status: expected.status(),
            begun: Instant::now(),
            last: None,
            since: None,
            proven: 0,
            is_told_silent: false,
        }
    }

    pub(super) fn status(&self) -> EventStatus {
        self.status
    }

    pub(super) fn is_live(&self) -> bool {
        self.status == EventStatus::Live
    }

    pub(super) fn is_on(&self) -> bool {
        self.status != EventStatus::Off
    }

    /// Takes in a sign of life. Returns whether it is the first one of a source without a queue: another one has its events.
    pub(super) fn sign(&mut self) -> bool {
        let now = Instant::now();
        let was_on = self.is_on();
        if !was_on {
            self.status = EventStatus::Waiting;
        }
        if self.last.is_none_or(|last| now - last > SILENT_AFTER) {
            self.since = Some(now);
        }
        self.last = Some(now);
        !was_on
    }

    /// When silence is noticed, unless there is a sign of life before.
    pub(super) fn silent_at(&self) -> Option<Instant> {
        let is_expected = self.is_on() && !self.is_told_silent;
        is_expected.then(|| self.last.unwrap_or(self.begun) + SILENT_AFTER)
    }

    /// Notices silence. A refresh is due then if it was relied on events.
    pub(super) fn silent(&mut self) -> Change {
        self.status = EventStatus::Waiting;
        (self.since, self.is_told_silent) = (None, true);
        Change::Silent
    }

    /// A refresh that began then has ended. If it `is_open`, an event may still tell a change that a refresh found.
    pub(super) fn refreshed(
        &mut self,
        began: Instant,
        is_complete: bool,
        missed: usize,
        is_open: bool,
    ) -> Option<Change> {
        if self.missed(missed).is_some() {
            return Some(Change::Doubted);
        }
        if !is_complete || self.is_silent() || self.since.is_none_or(|since| began < since) {
            return None;
        }
        match self.status {
            EventStatus::Off | EventStatus::Live => None,
            EventStatus::Waiting => Some(self.live()),
            EventStatus::Doubted => {
                self.proven = self.proven.saturating_add(1);
                self.proved(is_open)
            }
        }
    }

    /// Ends doubt if enough refreshes were complete, and no change that they found is still to be told.
    pub(super) fn proved(&mut self, is_open: bool) -> Option<Change> {
        let is_doubted = self.status == EventStatus::Doubted;
        let is_proven = is_doubted && self.proven >= PROVEN_BY && !is_open && !self.is_silent();
        is_proven.then(|| self.live())
    }

    fn is_silent(&self) -> bool {
        self.last.is_none_or(|last| last.elapsed() > SILENT_AFTER)
    }

    /// Takes in how many changes no event told.
    pub(super) fn missed(&mut self, missed: usize) -> Option<Change> {
        if missed == 0 || !self.is_on() {
            return None;
        }
        self.proven = 0;
        let was_live = self.is_live();
        if self.status != EventStatus::Waiting {
            self.status = EventStatus::Doubted;
        }
        was_live.then_some(Change::Doubted)
    }

    fn live(&mut self) -> Change {
        self.status = EventStatus::Live;
        self.is_told_silent = false;
        Change::Live
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    async fn seconds(seconds: u64) {
        advance(Duration::from_secs(seconds)).await;
    }

    /// A live source whose last sign of life is now.
    fn live() -> Liveness {
        let mut liveness = Liveness::new(Expected::Surely);
        liveness.sign();
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), Some(Change::Live));
        liveness
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_is_live_after_a_complete_refresh_that_began_after_the_first_sign_of_life() {
        let mut liveness = Liveness::new(Expected::Surely);
        let before = Instant::now();
        seconds(1).await;
        liveness.sign();
        assert_eq!(liveness.refreshed(before, true, 0, false), None);
        assert_eq!(liveness.refreshed(Instant::now(), false, 0, false), None);
        assert_eq!(liveness.status(), EventStatus::Waiting);
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), Some(Change::Live));
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_noticed_after_180_seconds() {
        let mut liveness = live();
        seconds(179).await;
        assert!(liveness.silent_at().unwrap() > Instant::now());
        liveness.sign();
        seconds(181).await;
        assert!(liveness.silent_at().unwrap() < Instant::now());
        assert_eq!((liveness.silent(), liveness.status()), (Change::Silent, EventStatus::Waiting));
        assert_eq!(liveness.silent_at(), None, "it is told once");
        // A sign of life after silence proves nothing about the time of silence.
        let before = Instant::now();
        seconds(1).await;
        liveness.sign();
        assert_eq!(liveness.refreshed(before, true, 0, false), None);
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), Some(Change::Live));
    }

    #[tokio::test(start_paused = true)]
    async fn doubt_ends_with_the_second_complete_refresh_that_misses_nothing() {
        let mut liveness = live();
        assert_eq!(liveness.missed(1), Some(Change::Doubted));
        assert_eq!(liveness.status(), EventStatus::Doubted);
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), None);
        assert_eq!(liveness.missed(2), None, "it is told once");
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), None);
        assert_eq!(liveness.refreshed(Instant::now(), false, 0, false), None);
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), Some(Change::Live));
    }

    #[tokio::test(start_paused = true)]
    async fn doubt_does_not_end_while_an_event_may_still_tell_a_change_that_a_refresh_found() {
        let mut liveness = live();
        assert_eq!(liveness.missed(1), Some(Change::Doubted));
        for _ in 0..3 {
            seconds(15).await;
            assert_eq!(liveness.refreshed(Instant::now(), true, 0, true), None);
        }
        assert_eq!((liveness.proved(true), liveness.missed(1)), (None, None));
        // None of those refreshes proved anything.
        assert_eq!(liveness.proved(false), None);
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), None);
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, true), None);
        assert_eq!(liveness.proved(false), Some(Change::Live));
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_long_after_the_last_sign_of_life_proves_nothing() {
        let mut liveness = live();
        seconds(181).await;
        liveness.silent();
        liveness.sign();
        seconds(181).await;
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), None);
        assert_eq!((liveness.status(), liveness.silent_at()), (EventStatus::Waiting, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_without_a_queue_is_never_waited_for() {
        for expected in [Expected::Never, Expected::Perhaps] {
            let mut liveness = Liveness::new(expected);
            assert_eq!((liveness.status(), liveness.silent_at()), (EventStatus::Off, None));
            assert_eq!(liveness.missed(1), None);
            assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_whose_events_are_in_a_central_queue_is_live_after_its_first_sign_of_life() {
        let mut liveness = Liveness::new(Expected::Perhaps);
        seconds(600).await;
        assert!(liveness.sign());
        assert_eq!((liveness.status(), liveness.silent_at().is_some()), (EventStatus::Waiting, true));
        assert!(!liveness.sign());
        assert_eq!(liveness.refreshed(Instant::now(), true, 0, false), Some(Change::Live));
        seconds(181).await;
        assert_eq!((liveness.silent(), liveness.status()), (Change::Silent, EventStatus::Waiting));
    }
}
