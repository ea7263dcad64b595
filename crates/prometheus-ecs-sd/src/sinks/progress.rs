//! A progress line on the terminal during the first refresh.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use ecs_discovery::text::count;

use crate::published::Progress;

/// Short enough to show that the program runs.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Draws on standard error until the first refresh is over, in a separate thread: a terminal can block writes.
pub fn show(progress: Arc<Progress>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !progress.over.load(Ordering::Relaxed) {
            let answered = progress.answered.load(Ordering::Relaxed);
            let open = progress.open.load(Ordering::Relaxed);
            draw(&format!("reading from AWS: {} answered, {open} open", count(answered, "request")));
            std::thread::sleep(REDRAW_INTERVAL);
        }
        draw("");
    })
}

/// Replaces the line; errors are ignored.
fn draw(line: &str) {
    let _ = write!(io::stderr(), "\r\x1b[K{line}");
}
