//! The pauses after failures in a row.

use std::time::Duration;

const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);

/// Doubles with each failure.
#[derive(Debug)]
pub(super) struct Backoff(Duration);

impl Backoff {
    pub(super) fn new() -> Self {
        Self(FIRST)
    }

    /// The pause after one more failure: at least half of the step, so that many readers do not ask together.
    pub(super) fn pause(&mut self) -> Duration {
        let step = self.0;
        self.0 = (step * 2).min(LONGEST);
        step.mul_f64(0.5 + 0.5 * fastrand::f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_minute() {
        let mut backoff = Backoff::new();
        for step in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = backoff.pause();
            let step = Duration::from_secs(step);
            assert!(step / 2 <= pause && pause <= step, "{pause:?} of {step:?}");
        }
    }
}
