//! A line on the terminal for whoever waits for the first refresh.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;

use crate::poller::Progress;
use crate::publisher::Published;

/// Often enough to look alive.
const REDRAWN_EVERY: Duration = Duration::from_millis(200);

/// Draws on standard error until something is published, in a thread of its own: a terminal can be stopped.
pub fn show(progress: Arc<Progress>, published: watch::Receiver<Published>) {
    std::thread::spawn(move || {
        // An error means that discovery has ended.
        while matches!(published.has_changed(), Ok(false)) {
            let answered = progress.answered.load(Ordering::Relaxed);
            let open = progress.open.load(Ordering::Relaxed);
            draw(&format!("asking AWS: {answered} requests answered, {open} to go"));
            std::thread::sleep(REDRAWN_EVERY);
        }
        draw("");
    });
}

/// Replaces the line; one that cannot be drawn is not missed.
fn draw(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}
