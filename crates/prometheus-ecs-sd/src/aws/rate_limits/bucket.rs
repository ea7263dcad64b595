//! One token bucket, which fills steadily and slows down when AWS throttles.
//!
//! Of the crates for this, `leaky-bucket` forgets waiting requests when two before them are cancelled together, and delays
//! every token by the delay of its timer; `governor` does not keep the order of waiting requests.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::BucketStatus;

/// A throttled answer divides the rate by this, and a period without one multiplies it again.
const STEP: f64 = 2.0;

/// The rate is not divided further: other programs then cause the throttling, and slower requests would only delay the
/// detection of its end.
const SLOWEST: f64 = 16.0;

/// Concurrent requests are throttled together, which counts as one event.
const SLOWED_EACH: Duration = Duration::from_secs(1);

/// After this time without a throttled answer, the rate is raised. AWS fills its largest bucket within 5 s, so the program
/// that emptied it has stopped.
const CALM: Duration = Duration::from_secs(30);

/// The resolution of tokio's clock.
const TICK: Duration = Duration::from_millis(1);

/// One token is one request.
pub(in crate::aws) struct Bucket {
    burst: f64,
    rate: f64,
    /// Locked by the first waiting request. Tokio's lock is fair; a cancelled request leaves the queue.
    line: tokio::sync::Mutex<()>,
    fill: Mutex<Fill>,
}

/// The state of a bucket.
#[derive(Clone, Copy)]
struct Fill {
    tokens: f64,
    at: Instant,
    /// The divisor of rate and burst.
    slowness: f64,
    slowed: Option<Instant>,
    /// The time of the latest throttled answer, or of the last raise after it.
    calm_since: Instant,
    drawn: u64,
    throttled: u64,
}

impl Bucket {
    /// A full one.
    pub(super) fn new(burst: f64, rate: f64) -> Self {
        let now = Instant::now();
        let fill = Fill {
            tokens: burst,
            at: now,
            slowness: 1.0,
            slowed: None,
            calm_since: now,
            drawn: 0,
            throttled: 0,
        };
        Self { burst, rate, line: tokio::sync::Mutex::default(), fill: Mutex::new(fill) }
    }

    /// Waits for a token, after the requests that already wait. A cancelled request takes none.
    pub(in crate::aws) async fn draw(&self) {
        let _first_in_line = self.line.lock().await;
        while let Err(missing) = self.change(Fill::take) {
            sleep(missing).await;
        }
    }

    /// Records a throttled answer: AWS's bucket is empty, so this one is emptied, and from now on it fills at half the
    /// rate. Returns whether the throttling is a new event.
    pub(in crate::aws) fn slow_down(&self) -> bool {
        self.change(|fill, _| fill.slow_down())
    }

    /// The current status; the caller fills in account and region.
    pub(in crate::aws) fn status(&self) -> BucketStatus {
        let Fill { tokens, slowness, drawn, throttled, .. } = self.change(|fill, _| *fill);
        BucketStatus {
            tokens,
            burst: self.burst,
            rate: self.rate,
            slowness,
            drawn,
            throttled,
            ..BucketStatus::default()
        }
    }

    fn change<T>(&self, change: impl FnOnce(&mut Fill, f64) -> T) -> T {
        let mut fill = self.fill.lock().unwrap_or_else(PoisonError::into_inner);
        fill.pass(self.burst, self.rate, Instant::now());
        let rate = self.rate / fill.slowness;
        change(&mut fill, rate)
    }
}

impl Fill {
    /// Time has passed.
    fn pass(&mut self, burst: f64, rate: f64, now: Instant) {
        let tokens = self.tokens + now.duration_since(self.at).as_secs_f64() * rate / self.slowness;
        self.tokens = tokens.min((burst / self.slowness).max(1.0));
        self.at = now;
        while self.slowness > 1.0 && now.duration_since(self.calm_since) >= CALM {
            self.slowness /= STEP;
            self.calm_since += CALM;
        }
    }

    /// Takes a token, or returns the time until there is one.
    fn take(&mut self, rate: f64) -> Result<(), Duration> {
        if self.tokens >= 1.0 {
            self.tokens -= 1.0;
            self.drawn += 1;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.tokens) / rate).max(TICK))
    }

    fn slow_down(&mut self) -> bool {
        self.calm_since = self.at;
        self.throttled += 1;
        if self.slowed.is_some_and(|slowed| self.at.duration_since(slowed) < SLOWED_EACH) {
            return false;
        }
        self.slowed = Some(self.at);
        self.tokens = 0.0;
        let before = self.slowness;
        self.slowness = (before * STEP).min(SLOWEST);
        self.slowness > before
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket").field("burst", &self.burst).field("rate", &self.rate).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::{advance, timeout};

    async fn seconds(work: impl Future) -> f64 {
        let began = Instant::now();
        work.await;
        began.elapsed().as_secs_f64()
    }

    async fn draw(bucket: &Bucket, count: usize) -> f64 {
        seconds(async {
            for _ in 0..count {
                bucket.draw().await;
            }
        })
        .await
    }

    #[tokio::test(start_paused = true)]
    async fn a_burst_is_followed_by_a_steady_rate_whatever_fraction_of_a_second_that_is() {
        for (burst, rate, count, expected) in [
            (90.0, 20.0, 90, 0.0),
            (90.0, 20.0, 91, 0.05),
            (45.0, 10.0, 1_045, 100.0),
            (2.0, 7.3, 732, 100.0),
            (1.0, 0.05, 3, 40.0),
        ] {
            let took = draw(&Bucket::new(burst, rate), count).await;
            assert!((expected..expected + 0.002).contains(&took), "{count} of {burst} and {rate}: {took}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_drawn_is_kept_up_to_the_burst() {
        let bucket = Bucket::new(10.0, 5.0);
        draw(&bucket, 10).await;
        advance(Duration::from_secs(1)).await;
        assert_eq!(draw(&bucket, 6).await, 0.2);
        advance(Duration::from_secs(3600)).await;
        assert_eq!(draw(&bucket, 11).await, 0.2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_comes_first_is_first_and_who_gives_up_takes_nothing() {
        let bucket = Arc::new(Bucket::new(1.0, 1.0));
        let served = Arc::new(Mutex::new(Vec::new()));
        let began = Instant::now();
        let mut waiting = Vec::new();
        for number in 0..8 {
            let (bucket, served) = (bucket.clone(), served.clone());
            waiting.push(tokio::spawn(async move {
                bucket.draw().await;
                served.lock().expect("no panic").push((number, began.elapsed().as_secs()));
            }));
            tokio::task::yield_now().await;
        }
        // The first in line, those behind it, and the last, all at the same moment.
        for number in [1, 2, 3, 7] {
            waiting[number].abort();
        }
        for waiting in waiting {
            let _ = timeout(Duration::from_secs(60), waiting).await.expect("every request gets a token");
        }
        assert_eq!(*served.lock().expect("no panic"), [(0, 0), (4, 1), (5, 2), (6, 3)]);
    }

    /// The time until the next token of an empty bucket.
    async fn pace(bucket: &Bucket) -> Duration {
        while draw(bucket, 1).await == 0.0 {}
        Duration::from_secs_f64(draw(bucket, 1).await)
    }

    #[tokio::test(start_paused = true)]
    async fn throttled_answers_halve_the_rate_once_a_second_and_calm_doubles_it_again() {
        let bucket = Bucket::new(90.0, 20.0);
        for (news, milliseconds) in [(true, 100), (true, 200), (true, 400), (true, 800), (false, 800)] {
            assert_eq!(bucket.slow_down(), news);
            assert!(!bucket.slow_down());
            assert!(pace(&bucket).await.as_millis().abs_diff(milliseconds) <= 1);
            advance(SLOWED_EACH).await;
        }
        for milliseconds in [800, 400, 200, 100, 50, 50] {
            assert!(pace(&bucket).await.as_millis().abs_diff(milliseconds) <= 1);
            advance(CALM).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_while_the_rate_falls_waits_longer() {
        let bucket = Arc::new(Bucket::new(1.0, 1.0));
        bucket.draw().await;
        let waiting = bucket.clone();
        let waiting = tokio::spawn(async move { seconds(waiting.draw()).await });
        tokio::time::sleep(Duration::from_millis(500)).await;
        bucket.slow_down();
        assert_eq!(waiting.await.expect("a token"), 2.5);
    }
}
