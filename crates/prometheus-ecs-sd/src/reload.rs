//! Reloads the configuration on SIGHUP or on an HTTP request. An invalid configuration is ignored.

use std::io;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{error, info};

use crate::config::{Config, ConfigErrors};
use crate::telemetry::metrics::{Metrics, Part};
use crate::telemetry::panics::caught;

/// The reload requests that may wait; further ones fail and can be repeated.
const WAITING: usize = 4;

/// How long a read of the configuration may take before the reload fails: longer than the time limit of a single file,
/// and longer than a directory on a network file system needs to answer during a failover.
const WITHIN: Duration = Duration::from_secs(30);

/// A new configuration, and the channel for its outcome.
#[derive(Debug)]
pub struct Replacement {
    /// The new configuration.
    pub config: Config,
    /// Receives the outcome.
    pub done: oneshot::Sender<Result<(), ConfigErrors>>,
}

/// Accepts reload requests.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Result<(), ConfigErrors>>>);

/// Performs the reloads.
#[derive(Debug)]
pub struct Reloader {
    hangup: Signal,
    requests: mpsc::Receiver<oneshot::Sender<Result<(), ConfigErrors>>>,
    metrics: Metrics,
    /// A read that timed out and may still be blocked.
    blocked: Option<JoinHandle<()>>,
}

impl Reloads {
    /// Waits until the configuration was read again and has taken effect, or fails.
    pub async fn request(&self) -> Result<(), ConfigErrors> {
        let (done, outcome) = oneshot::channel();
        let busy = || ConfigErrors::one("the configuration is being read already".to_owned());
        self.0.try_send(done).map_err(|_| busy())?;
        outcome.await.unwrap_or_else(|_| Err(busy()))
    }
}

impl Reloader {
    /// Listens for SIGHUP and for requests from now on. Fails if the signal handler cannot be registered.
    pub fn new(metrics: Metrics) -> io::Result<(Self, Reloads)> {
        let (sender, requests) = mpsc::channel(WAITING);
        let hangup = signal(SignalKind::hangup())?;
        Ok((Self { hangup, requests, metrics, blocked: None }, Reloads(sender)))
    }

    /// Reads the configuration on each request, and passes it on.
    pub async fn run<R>(mut self, read: R, replacements: mpsc::Sender<Replacement>)
    where
        R: Fn() -> Result<Config, ConfigErrors> + Clone + Send + 'static,
    {
        loop {
            let asked = tokio::select! {
                Some(()) = self.hangup.recv() => None,
                Some(done) = self.requests.recv() => Some(done),
                else => return,
            };
            let outcome = self.replace(read.clone(), &replacements).await;
            self.report(&outcome);
            if let Some(done) = asked {
                // The client may have disconnected.
                let _ = done.send(outcome);
            }
        }
    }

    fn report(&self, outcome: &Result<(), ConfigErrors>) {
        self.metrics.reloaded(outcome);
        match outcome {
            Ok(()) => info!("configuration was read again"),
            Err(error) => {
                error!(%error, "configuration could not be read again; the previous one stays in effect")
            }
        }
    }

    async fn replace<R>(
        &mut self,
        read: R,
        replacements: &mpsc::Sender<Replacement>,
    ) -> Result<(), ConfigErrors>
    where
        R: Fn() -> Result<Config, ConfigErrors> + Send + 'static,
    {
        let config = self.read(read).await?;
        let (done, outcome) = oneshot::channel();
        let ended = || ConfigErrors::one("the program is ending".to_owned());
        replacements.send(Replacement { config, done }).await.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }

    /// Reads in a separate thread. If the disk blocks it, it is abandoned, and no other read begins before it has
    /// ended.
    async fn read<R>(&mut self, read: R) -> Result<Config, ConfigErrors>
    where
        R: Fn() -> Result<Config, ConfigErrors> + Send + 'static,
    {
        let blocked = |problem: &str| Err(ConfigErrors::one(format!("{problem}; check the disk")));
        if self.blocked.as_ref().is_some_and(|reading| !reading.is_finished()) {
            return blocked("an earlier reading of the configuration is still blocked");
        }
        let mut reading = tokio::task::spawn_blocking(move || caught(read));
        match timeout(WITHIN, &mut reading).await {
            Ok(read) => read.expect("a panic is caught in it").unwrap_or_else(|panicked| {
                self.metrics.panicked(Part::Reload, &panicked);
                Err(ConfigErrors::one(format!("reading it panicked, which is a bug: {panicked}")))
            }),
            Err(_) => {
                // The configuration that it may still return holds locks.
                self.blocked = Some(tokio::spawn(async move { drop(reading.await) }));
                blocked(&format!("the configuration could not be read within {} seconds", WITHIN.as_secs()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::{Arc, Mutex, mpsc as threads};

    use super::*;
    use crate::clock::Clock;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_does_not_answer_does_not_block_reloads_forever() {
        let (reloader, reloads) = Reloader::new(Metrics::new(Clock::new())).unwrap();
        let (release, blocked) = threads::channel::<()>();
        let blocked = Arc::new(Mutex::new(blocked));
        let read = move || {
            // Blocks until it is released; after that it returns immediately.
            let _ = blocked.lock().unwrap().recv();
            Err(ConfigErrors::one("the disk answers".to_owned()))
        };
        tokio::spawn(reloader.run(read, mpsc::channel(1).0));
        let reload = async || reloads.request().await.unwrap_err().to_string();
        let (first, ()) = tokio::join!(reload(), async {
            // Paused time does not advance while a thread is busy. The read has begun once the reloader has run.
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            tokio::time::advance(WITHIN).await;
        });
        assert!(first.contains("could not be read within 30 seconds"), "{first}");
        assert!(reload().await.contains("still blocked"));
        drop(release);
        while reload().await.contains("still blocked") {
            tokio::task::yield_now().await;
        }
        assert_eq!(reload().await, "the disk answers");
    }

    #[tokio::test]
    async fn a_panic_while_the_configuration_is_read_fails_only_that_reload() {
        let (reloader, reloads) = Reloader::new(Metrics::new(Clock::new())).expect("a handler");
        let (sender, _replacements) = mpsc::channel(1);
        let panicked = Arc::new(AtomicBool::new(false));
        let read = move || {
            assert!(panicked.swap(true, Ordering::Relaxed), "an assertion of a library");
            Err(ConfigErrors::one("not right".to_owned()))
        };
        let reloading = tokio::spawn(reloader.run(read, sender));
        for problem in ["reading it panicked, which is a bug: an assertion of a library", "not right"] {
            assert_eq!(reloads.request().await, Err(ConfigErrors::one(problem.to_owned())));
        }
        reloading.abort();
    }
}
