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

/// Draws on standard error until something is published.
pub async fn show(progress: Arc<Progress>, mut published: watch::Receiver<Published>) {
    let mut redraw = tokio::time::interval(REDRAWN_EVERY);
    loop {
        tokio::select! {
            _ = published.changed() => break draw(""),
            _ = redraw.tick() => {
                let answered = progress.answered.load(Ordering::Relaxed);
                let open = progress.open.load(Ordering::Relaxed);
                draw(&format!("asking AWS: {answered} requests answered, {open} to go"));
            }
        }
    }
}

/// Replaces the line; one that cannot be drawn is not missed.
fn draw(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}
