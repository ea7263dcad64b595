//! The messages of a queue in the last minutes, for the status page.

use std::collections::BTreeMap;
use std::time::Duration;

/// The minutes that are counted: a deployment is seen, and a quiet minute is not the whole picture.
const MINUTES: u64 = 5;

/// Counts the messages of one queue.
#[derive(Debug)]
pub(super) struct Recent {
    began: Duration,
    /// By the minute since it began.
    counts: BTreeMap<u64, u64>,
}

impl Recent {
    pub(super) fn new(now: Duration) -> Self {
        Self { began: now, counts: BTreeMap::new() }
    }

    /// Counts a message.
    pub(super) fn add(&mut self, now: Duration) {
        let minute = self.minute(now);
        *self.counts.entry(minute).or_default() += 1;
        self.counts.retain(|counted, _| counted + MINUTES >= minute);
    }

    /// The messages a minute, over the last whole minutes; `None` before the first one is over.
    pub(super) fn a_minute(&self, now: Duration) -> Option<f64> {
        let minute = self.minute(now);
        let minutes = minute.min(MINUTES);
        let count: u64 = self.counts.range(minute - minutes..minute).map(|(_, count)| count).sum();
        (minutes > 0).then(|| count as f64 / minutes as f64)
    }

    fn minute(&self, now: Duration) -> u64 {
        now.saturating_sub(self.began).as_secs() / 60
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_counted_over_the_last_five_whole_minutes() {
        let at = |seconds: u64| Duration::from_secs(1_800_000_000 + seconds);
        let mut recent = Recent::new(at(0));
        recent.add(at(1));
        assert_eq!(recent.a_minute(at(59)), None);
        (0..29).for_each(|_| recent.add(at(59)));
        assert_eq!(recent.a_minute(at(60)), Some(30.0));
        recent.add(at(60));
        assert_eq!(recent.a_minute(at(119)), Some(30.0), "the minute is not over");
        assert_eq!(recent.a_minute(at(300)), Some(6.2));
        assert_eq!(recent.a_minute(at(360)), Some(0.2));
        assert_eq!(recent.a_minute(at(420)), Some(0.0));
        for second in 0..3600 {
            recent.add(at(420 + second));
        }
        assert_eq!((recent.a_minute(at(4020)), recent.counts.len()), (Some(60.0), 6));
    }
}
