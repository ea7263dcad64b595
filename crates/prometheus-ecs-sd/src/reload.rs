//! Reading the configuration again, on SIGHUP or when asked over HTTP. One that is not right changes nothing.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use crate::config::{Config, Mistakes};
use crate::telemetry::metrics::Metrics;

/// Requests that wait while one is met; whoever finds so many waiting is told to come back.
const WAITING: usize = 4;

/// A configuration that is to take the place of the one before, and who waits for that.
#[derive(Debug)]
pub struct Replacement {
    /// What is to be.
    pub config: Config,
    /// Told whether it is, and if not, why.
    pub done: oneshot::Sender<Result<(), Mistakes>>,
}

/// Where a reload can be asked for.
#[derive(Clone, Debug)]
pub struct Reloads(mpsc::Sender<oneshot::Sender<Result<(), Mistakes>>>);

/// Meets the requests for a reload.
#[derive(Debug)]
pub struct Reloader {
    hangup: Signal,
    requests: mpsc::Receiver<oneshot::Sender<Result<(), Mistakes>>>,
    metrics: Metrics,
}

impl Reloads {
    /// Waits until the configuration was read again and has taken effect, or says why it has not.
    pub async fn request(&self) -> Result<(), Mistakes> {
        let (done, outcome) = oneshot::channel();
        let busy = || Mistakes(vec!["the configuration is being read already".to_owned()]);
        self.0.try_send(done).map_err(|_| busy())?;
        outcome.await.unwrap_or_else(|_| Err(busy()))
    }
}

impl Reloader {
    /// Listens for SIGHUP and for requests from now on. Fails if the system refuses to register the signal's handler.
    pub fn new(metrics: Metrics) -> io::Result<(Self, Reloads)> {
        let (sender, requests) = mpsc::channel(WAITING);
        Ok((Self { hangup: signal(SignalKind::hangup())?, requests, metrics }, Reloads(sender)))
    }

    /// Reads the configuration whenever that is asked for, and hands it on.
    pub async fn run<R>(mut self, read: R, replacements: mpsc::Sender<Replacement>)
    where
        R: Fn() -> Result<Config, Mistakes> + Clone + Send + 'static,
    {
        loop {
            let asked = tokio::select! {
                Some(()) = self.hangup.recv() => None,
                Some(done) = self.requests.recv() => Some(done),
                else => return,
            };
            let outcome = Self::replace(read.clone(), &replacements).await;
            self.report(&outcome);
            if let Some(done) = asked {
                // Whoever asked may have left.
                let _ = done.send(outcome);
            }
        }
    }

    fn report(&self, outcome: &Result<(), Mistakes>) {
        self.metrics.reloaded(outcome);
        match outcome {
            Ok(()) => info!("configuration was read again"),
            Err(error) => error!(%error, "configuration could not be read again, and stays as it was"),
        }
    }

    async fn replace<R>(read: R, replacements: &mpsc::Sender<Replacement>) -> Result<(), Mistakes>
    where
        R: Fn() -> Result<Config, Mistakes> + Send + 'static,
    {
        let config = tokio::task::spawn_blocking(read).await.expect("reading does not panic")?;
        let (done, outcome) = oneshot::channel();
        let ended = || Mistakes(vec!["the program is ending".to_owned()]);
        replacements.send(Replacement { config, done }).await.map_err(|_| ended())?;
        outcome.await.unwrap_or_else(|_| Err(ended()))
    }
}
