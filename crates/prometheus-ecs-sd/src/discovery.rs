//! The whole of it, wired: poller → publisher → sinks, until the end of one refresh or for ever.

use std::io::Write;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::aws::Aws;
use crate::config::Config;
use crate::poller::{NoRegion, Poller, Progress};
use crate::publisher::{Outlet, Published, Publisher};
use crate::sinks::changes::Changes;
use crate::sinks::file_sd::FileSd;
use crate::state::{State, StateFile};

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
    /// What a process before this one has saved.
    before: Option<State>,
    files: JoinHandle<Option<bool>>,
    changes: JoinHandle<()>,
}

impl Discovery {
    /// Prepares it; must be called in a runtime, where the sinks wait from now on. What it comes to is put in `outlet`,
    /// and what changes is told on `out`.
    pub fn new(
        config: &Config,
        aws: &Aws,
        outlet: Outlet,
        progress: Arc<Progress>,
        out: impl Write + Send + 'static,
    ) -> Result<Self, NoRegion> {
        let poller = Poller::new(config, aws, progress, outlet.clock())?;
        let publisher = Publisher::new(outlet, poller.standings(), config.clusters.clone());
        let state = config.state_file.as_deref().map(StateFile::new);
        let before = state.as_ref().and_then(StateFile::read);
        let files = |directory| FileSd::new(directory, &config.rules.intervals, config.once);
        let files = config.directory.as_deref().map(files);
        Ok(Self {
            before,
            files: tokio::spawn(write_files(state, files, publisher.subscribe())),
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
        self.restore();
        self.poller.run(&mut self.publisher).await;
    }

    /// Refreshes once, and waits until all is written.
    pub async fn once(mut self) -> Outcome {
        let published = self.publisher.subscribe();
        self.restore();
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

    fn restore(&mut self) {
        if let Some(before) = self.before.take() {
            self.poller.restore(before, &mut self.publisher);
        }
    }
}

/// Returns whether the last write of the target files succeeded, if there was any. The state goes first: no target is
/// in a file that the next process would not know of.
async fn write_files(
    mut state: Option<StateFile>,
    mut files: Option<FileSd>,
    mut published: watch::Receiver<Published>,
) -> Option<bool> {
    let mut succeeded = None;
    while let Ok(now) = next(&mut published).await {
        let write = tokio::task::spawn_blocking(move || {
            if let (Some(state), Some(facts)) = (&mut state, &now.facts) {
                state.write(facts);
            }
            let written = files.as_mut().is_none_or(|files| files.write(&now.snapshot, now.complete));
            (state, files, written)
        });
        let written;
        (state, files, written) = write.await.expect("writing does not panic");
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
