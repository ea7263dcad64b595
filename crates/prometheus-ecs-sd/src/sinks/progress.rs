//! A line on the terminal for whoever waits for the first refresh.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use ecs_discovery::text::count;

use crate::published::Progress;

/// Often enough to look alive.
const REDRAWN_EVERY: Duration = Duration::from_millis(200);

/// Draws on standard error until the first refresh is over, in a thread of its own: a terminal can be stopped.
pub fn show(progress: Arc<Progress>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !progress.over.load(Ordering::Relaxed) {
            let answered = progress.answered.load(Ordering::Relaxed);
            let open = progress.open.load(Ordering::Relaxed);
            draw(&format!("asking AWS: {} answered, {open} to go", count(answered, "request")));
            std::thread::sleep(REDRAWN_EVERY);
        }
        draw("");
    })
}

/// Replaces the line; one that cannot be drawn is not missed.
fn draw(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}
