//! The program's clock: monotonic moments, and the time of day of a moment.
//!
//! Ages, pauses and the order of events are computed from moments, which follow the monotonic clock. The system's clock
//! may be set at any time: a machine boots with a wrong one and corrects it, or wakes from a suspend. So the time of
//! day is never stored: each answer computes it from the current system clock and the moment's age.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The difference of the two clocks from which displayed times change: more than the time between the reads of both
/// clocks.
const STEP: Duration = Duration::from_secs(1);

/// The source of the time of day.
type System = Arc<dyn Fn() -> SystemTime + Send + Sync>;

/// Measures moments, as durations since the Unix epoch according to the system's clock at the start.
#[derive(Clone)]
pub struct Clock {
    start: Duration,
    begun: Instant,
    system: System,
}

impl Clock {
    /// Starts now, with the system's time of day.
    pub fn new() -> Self {
        Self::following(SystemTime::now)
    }

    /// Starts now, with the time of day from `system`.
    pub fn following(system: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        Self { start: since_epoch(system()), begun: Instant::now(), system: Arc::new(system) }
    }

    /// The current moment.
    pub fn now(&self) -> Duration {
        self.start + self.begun.elapsed()
    }

    /// Reads both clocks.
    pub fn read(&self) -> Reading {
        Reading { now: self.now(), system: since_epoch((self.system)()) }
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    now: Duration,
    system: Duration,
}

impl Reading {
    /// Two clocks that agree on this time, since the Unix epoch.
    pub fn at(now: Duration) -> Self {
        Self { now, system: now }
    }

    /// The time of day of the reading.
    pub fn now(&self) -> Duration {
        self.time_of_day(self.now)
    }

    /// How long ago a moment was.
    pub fn age(&self, moment: Duration) -> Duration {
        self.now.saturating_sub(moment)
    }

    /// The time until a moment; zero if it is over.
    pub fn until(&self, moment: Duration) -> Duration {
        moment.saturating_sub(self.now)
    }

    /// Whether a moment has the same time of day in another reading: the system's clock was not set in between.
    pub(crate) fn is_in_step_with(&self, other: &Self) -> bool {
        self.system.saturating_add(other.now).abs_diff(other.system.saturating_add(self.now)) < STEP
    }

    /// The time of day of a moment, since the Unix epoch; for a moment after the reading, that of the reading.
    ///
    /// As long as the system's clock is not set by a second or more, a moment has the same time of day in each reading,
    /// so that published timestamps are stable.
    pub fn time_of_day(&self, moment: Duration) -> Duration {
        let moment = moment.min(self.now);
        match self.system.abs_diff(self.now) {
            step if step < STEP => moment,
            step if self.system > self.now => moment + step,
            step => moment.saturating_sub(step),
        }
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Clock").field("start", &self.start).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_time_of_day_follows_the_system_and_ages_do_not() {
        let seconds = Arc::new(AtomicU64::new(1000));
        let system = seconds.clone();
        let clock =
            Clock::following(move || UNIX_EPOCH + Duration::from_secs(system.load(Ordering::Relaxed)));
        let moment = clock.now();
        let check = |system: u64| {
            seconds.store(system, Ordering::Relaxed);
            let reading = clock.read();
            (reading.age(moment).as_secs(), reading.time_of_day(moment).as_secs())
        };
        assert_eq!(check(1000), (0, 1000));
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(check(1060), (60, 1000));
        // Set forward and back, and to before the epoch.
        assert_eq!(check(1_800_000_060), (60, 1_800_000_000));
        assert_eq!(check(560), (60, 500));
        assert_eq!(check(0), (60, 0));
        // A machine that was suspended for an hour: the monotonic clock stood still.
        assert_eq!(check(1060 + 3600), (60, 1000 + 3600));
        // A moment in the future, from a file, is displayed as now.
        let reading = clock.read();
        assert_eq!(reading.time_of_day(Duration::MAX), reading.time_of_day(clock.now()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_timestamp_is_the_same_in_each_reading() {
        let clock = Clock::following(|| UNIX_EPOCH + Duration::from_micros(1_000_999_999));
        let moment = clock.now();
        tokio::time::advance(Duration::from_millis(900)).await;
        assert_eq!(clock.read().time_of_day(moment), moment);
    }
}
