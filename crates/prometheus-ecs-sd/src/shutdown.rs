//! SIGINT and SIGTERM, which end the program, and SIGXFSZ, which does not.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGXFSZ, sent to a process that writes beyond the allowed size of a file (`ulimit -f`). Linux on MIPS and PA-RISC
/// has other numbers.
const FILE_TOO_LARGE: i32 = 25;

/// Listens for the signals from its creation.
#[derive(Debug)]
pub struct Shutdown {
    interrupt: Signal,
    terminate: Signal,
}

impl Shutdown {
    /// Replaces the default actions of the signals. Fails if the system refuses to register the handlers.
    pub fn new() -> io::Result<Self> {
        // The handler stays registered without a listener: the write fails and is reported, as on a full disk.
        drop(signal(SignalKind::from_raw(FILE_TOO_LARGE))?);
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for either signal.
    pub async fn requested(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
