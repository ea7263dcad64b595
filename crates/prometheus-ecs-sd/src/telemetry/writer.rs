//! Writes to standard error through a queue, so that a log that is not read blocks neither discovery nor the exit.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use ecs_discovery::text::printable_json;
use tracing::error;
use tracing_subscriber::fmt::MakeWriter;

/// The number of messages that may wait to be written. Further ones are dropped and counted.
const WAITING: usize = 10_000;

/// The time that the end of the program waits for the last messages to be written.
const LAST_MESSAGES: Duration = Duration::from_millis(200);

/// The number of dropped messages; there is one log.
static DROPPED: AtomicU64 = AtomicU64::new(0);

/// The number of dropped messages.
pub(crate) fn dropped() -> u64 {
    DROPPED.load(Ordering::Relaxed)
}

enum Message {
    Text(Vec<u8>),
    /// Answered when all messages before it are written.
    Flush(SyncSender<()>),
}

/// Accepts messages without waiting.
#[derive(Clone)]
pub(super) struct Queue {
    messages: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the thread that writes to `out`.
    pub(super) fn new(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (messages, waiting) = sync_channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let counted = dropped.clone();
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || write_all(&waiting, out, &counted))?;
        Ok(Self { messages, dropped })
    }
}

/// A failed write is not reported: there is no other output.
fn write_all(waiting: &Receiver<Message>, mut out: impl Write, dropped: &AtomicU64) {
    for message in waiting {
        match message {
            Message::Text(text) => {
                let _ = out.write_all(&text);
                let lost = dropped.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    // In the format of all messages, at every level, and counted as dropped too if the queue is full.
                    error!(dropped = lost, "log messages were dropped: the log is read too slowly");
                }
            }
            Message::Flush(written) => {
                let _ = out.flush();
                let _ = written.try_send(());
            }
        }
    }
}

impl Write for &Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Err(TrySendError::Full(_)) = self.messages.try_send(Message::Text(bytes.to_vec())) {
            self.dropped.fetch_add(1, Ordering::Relaxed);
            DROPPED.fetch_add(1, Ordering::Relaxed);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// Writes messages in JSON, with escapes for all characters that could control a terminal.
pub(super) struct PrintableJson(pub(super) Queue);

impl Write for &PrintableJson {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&self.0).write_all(printable_json(&String::from_utf8_lossy(bytes)).as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for PrintableJson {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// When dropped, waits for a limited time until all messages are written.
#[must_use = "messages are lost unless it lives as long as the program"]
pub struct LastMessages(pub(super) Queue);

impl Drop for LastMessages {
    fn drop(&mut self) {
        let (written, all_written) = sync_channel(1);
        if self.0.messages.try_send(Message::Flush(written)).is_ok() {
            let _ = all_written.recv_timeout(LAST_MESSAGES);
        }
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::filter::LevelFilter;

    use super::*;

    #[test]
    fn dropped_messages_are_reported_even_if_only_errors_are_logged() {
        let (messages, waiting) = sync_channel(1);
        messages.send(Message::Text(b"a message\n".to_vec())).unwrap();
        drop(messages);
        let (messages, log) = sync_channel(1);
        let queue = Queue { messages, dropped: Arc::default() };
        let errors = tracing_subscriber::fmt().with_max_level(LevelFilter::ERROR).with_ansi(false);
        tracing::subscriber::with_default(errors.with_writer(queue).finish(), || {
            write_all(&waiting, io::sink(), &AtomicU64::new(3));
        });
        let Ok(Message::Text(text)) = log.try_recv() else { panic!("nothing is reported") };
        let text = String::from_utf8(text).unwrap();
        assert!(text.contains("log messages were dropped") && text.contains("dropped=3"), "{text}");
    }
}
