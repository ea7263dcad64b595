//! When a source is refreshed: once an interval, whatever a refresh takes.

use std::time::Duration;

use tokio::time::Instant;

/// A refresh begins up to this share of the interval late, so that many instances do not all ask at the same time.
pub(super) const JITTER: f64 = 0.05;

/// The periods at the start that are shorter, so that the sources are spread over the interval after them.
const SHORTER_PERIODS: u32 = 2;

/// The schedule of one source.
#[derive(Debug)]
pub(super) struct Schedule {
    interval: Duration,
    /// The part of the interval by which the source is shifted, below 1.
    phase: f64,
    shorter: u32,
    /// When the current period began, and the next refresh.
    period: Instant,
    pub(super) next: Instant,
}

impl Schedule {
    /// The first refresh is due now. The periods after it shift the source by a part of the interval that its id
    /// decides.
    pub(super) fn new(id: &str, interval: Duration, is_spread: bool) -> Self {
        let now = Instant::now();
        let phase = if is_spread { f64::from(crc32fast::hash(id.as_bytes())) / 2f64.powi(32) } else { 0.0 };
        Self { interval, phase, shorter: SHORTER_PERIODS, period: now, next: now }
    }

    /// Continues with another interval, and a refresh now.
    pub(super) fn restart(&mut self, interval: Duration) {
        let now = Instant::now();
        (self.interval, self.period, self.next, self.shorter) = (interval, now, now, SHORTER_PERIODS);
    }

    /// A refresh began, or was skipped. Periods that were slept through are gone.
    pub(super) fn advance(&mut self) {
        let now = Instant::now();
        while self.period <= now {
            let shorter = self.shorter > 0;
            self.shorter = self.shorter.saturating_sub(1);
            let share = if shorter { 1.0 - self.phase / f64::from(SHORTER_PERIODS) } else { 1.0 };
            self.period += self.interval.mul_f64(share);
        }
        self.next = self.period + self.interval.mul_f64(JITTER * fastrand::f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// The seconds of the first refreshes, as far as they do not depend on the jitter.
    async fn refreshes(id: &str, is_spread: bool) -> Vec<f64> {
        let begun = Instant::now();
        let mut schedule = Schedule::new(id, MINUTE, is_spread);
        let mut refreshes = Vec::new();
        for _ in 0..5 {
            tokio::time::sleep_until(schedule.next).await;
            refreshes.push((schedule.period - begun).as_secs_f64());
            schedule.advance();
        }
        refreshes
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_source_is_refreshed_once_an_interval() {
        assert_eq!(refreshes("own account", false).await, [0.0, 60.0, 120.0, 180.0, 240.0]);
    }

    #[tokio::test(start_paused = true)]
    async fn sources_are_refreshed_at_the_start_and_then_spread_over_the_interval() {
        let mut phases = Vec::new();
        for source in 0..20 {
            let refreshes = refreshes(&format!("own account region-{source}"), true).await;
            let periods: Vec<_> = refreshes.windows(2).map(|pair| pair[1] - pair[0]).collect();
            assert_eq!(refreshes[0], 0.0);
            assert!(periods.iter().all(|period| (29.9..=60.1).contains(period)), "{periods:?}");
            assert!(periods[2..].iter().all(|period| (period - 60.0).abs() < 0.1), "{periods:?}");
            phases.push(refreshes[3] % 60.0);
        }
        for quarter in 0..4 {
            let range = f64::from(quarter) * 15.0..f64::from(quarter + 1) * 15.0;
            assert!(phases.iter().any(|phase| range.contains(phase)), "{phases:?}");
        }
    }
}
