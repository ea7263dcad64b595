//! The whole of it, wired: poller → publisher → sinks, until the end of one refresh or for ever.

use std::io::Write;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::aws::Aws;
use crate::config::Config;
use crate::poller::{NoRegion, Poller, Progress};
use crate::publisher::{Published, Publisher};
use crate::sinks::changes::Changes;
use crate::sinks::file_sd::FileSd;

/// What a single refresh came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was heard and written.
    Complete,
    /// Files were written, but some account, region or cluster could not be heard.
    Incomplete,
    /// Nothing could be written.
    Nothing,
}

/// A discovery that is ready to begin.
#[derive(Debug)]
pub struct Discovery {
    poller: Poller,
    publisher: Publisher,
    files: JoinHandle<Option<bool>>,
    changes: JoinHandle<()>,
}

impl Discovery {
    /// Prepares it; must be called in a runtime, where the sinks wait from now on. What changes is told on `out`.
    pub fn new(
        config: &Config,
        aws: &Aws,
        progress: Arc<Progress>,
        out: impl Write + Send + 'static,
    ) -> Result<Self, NoRegion> {
        let poller = Poller::new(config, aws, progress)?;
        let publisher = Publisher::new(poller.sources(), config.clusters.clone());
        let files = FileSd::new(&config.directory, &config.rules.intervals, config.once);
        Ok(Self {
            files: tokio::spawn(write_files(files, publisher.subscribe())),
            changes: tokio::spawn(tell_changes(Changes::new(out), publisher.subscribe())),
            poller,
            publisher,
        })
    }

    /// What is published, for whoever else wants to read it.
    pub fn subscribe(&self) -> watch::Receiver<Published> {
        self.publisher.subscribe()
    }

    /// Refreshes for ever.
    pub async fn run(mut self) {
        self.poller.run(&mut self.publisher).await;
    }

    /// Refreshes once, and waits until all is written.
    pub async fn once(mut self) -> Outcome {
        let published = self.publisher.subscribe();
        self.poller.once(&mut self.publisher).await;
        let complete = published.borrow().complete;
        // The sinks end when there is nothing more to come.
        drop(self.publisher);
        self.changes.await.expect("the sink does not panic");
        match self.files.await.expect("the sink does not panic") {
            Some(true) if complete => Outcome::Complete,
            Some(true) => Outcome::Incomplete,
            Some(false) | None => Outcome::Nothing,
        }
    }
}

/// Returns whether the last write succeeded, if there was any.
async fn write_files(mut files: FileSd, mut published: watch::Receiver<Published>) -> Option<bool> {
    let mut succeeded = None;
    while let Ok(now) = next(&mut published).await {
        let write = tokio::task::spawn_blocking(move || {
            let written = files.write(&now.snapshot, now.complete);
            (files, written)
        });
        let (returned, written) = write.await.expect("writing does not panic");
        files = returned;
        succeeded = Some(written);
    }
    succeeded
}

async fn tell_changes<W: Write + Send + 'static>(
    mut changes: Changes<W>,
    mut published: watch::Receiver<Published>,
) {
    while let Ok(now) = next(&mut published).await {
        // Whoever reads the output may take their time.
        let tell = tokio::task::spawn_blocking(move || {
            changes.tell(&now);
            changes
        });
        changes = tell.await.expect("telling does not panic");
    }
}

async fn next(published: &mut watch::Receiver<Published>) -> Result<Published, watch::error::RecvError> {
    published.changed().await?;
    Ok(published.borrow_and_update().clone())
}
