//! Panics, most of them assertions of a library about external input: each is logged, and ends only the work in which
//! it happened.
//!
//! The loop of each part of the program [catches](caught) the panics of that part, [counts](crate::telemetry::metrics)
//! them, and continues: the refresh or the publication has failed, and the next one is another try.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::time::Duration;

use ecs_discovery::text::clipped;
use futures_util::FutureExt;
use tracing::error;

use super::metrics::{Metrics, Part};

/// Time between a panic and the next try of work that has no interval: short for people, long for a log.
const PAUSE: Duration = Duration::from_secs(1);

/// Logs all panics instead of printing them on standard error.
pub(super) fn log() {
    std::panic::set_hook(Box::new(|panic: &PanicHookInfo<'_>| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let thread = std::thread::current();
        let message = Panicked::new(panic.payload());
        error!(place, thread = thread.name(), %message, "panic; please report it");
    }));
}

/// A part of the program panicked. Displays as much of the message as fits in a log line.
#[derive(Clone, Debug)]
pub(crate) struct Panicked(String);

impl Panicked {
    fn new(payload: &(dyn Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self(clipped(text.unwrap_or("no message")))
    }
}

impl fmt::Display for Panicked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Does work that may panic. Changes that the work made before the panic remain.
pub(crate) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|payload| Panicked::new(&*payload))
}

/// The same for async work.
pub(crate) async fn caught_in<T>(work: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|payload| Panicked::new(&*payload))
}

/// Runs endless work, and starts it again when it panics.
pub(crate) async fn again<F: Future<Output = ()>>(metrics: Metrics, part: Part, work: impl Fn() -> F) {
    while let Err(panicked) = caught_in(work()).await {
        metrics.panicked(part, &panicked);
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::published::SnapshotStore;
    use crate::sinks::http::metrics::{Format, page};

    #[tokio::test(start_paused = true)]
    async fn endless_work_starts_again_after_a_panic_and_each_is_counted() {
        let (begun, store) = (AtomicUsize::new(0), SnapshotStore::default());
        let work = async || assert!(begun.fetch_add(1, Ordering::Relaxed) > 1, "an assertion of a library");
        again(store.metrics(), Part::Http, work).await;
        assert_eq!(begun.into_inner(), 3);
        let page = page(&store.metrics(), &store.reader(), Format::Text);
        assert!(page.contains("ecs_sd_panics_total{part=\"http\"} 2\n"), "{page}");
    }

    #[test]
    fn a_message_is_one_line_without_control_characters() {
        let message = |work: fn()| caught(work).err().map(|panicked| panicked.to_string());
        assert_eq!(message(|| panic!("a\n\u{1b}[2J")), Some(r"a\n\u{1b}[2J".to_owned()));
        assert_eq!(message(|| panic!("{}", "x".repeat(5000))).map(|text| text.chars().count()), Some(301));
        assert_eq!(message(|| std::panic::panic_any(1)), Some("no message".to_owned()));
    }
}
