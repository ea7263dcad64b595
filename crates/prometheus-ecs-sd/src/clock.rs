//! The one clock of the program.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// The time since the Unix epoch as it was at the start, and goes on whatever is done to the system's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Duration,
    begun: Instant,
}

impl Clock {
    /// Takes the system's word for what time it is.
    pub fn new() -> Self {
        let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { start, begun: Instant::now() }
    }

    /// Since the Unix epoch.
    pub fn now(&self) -> Duration {
        self.start + self.begun.elapsed()
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
