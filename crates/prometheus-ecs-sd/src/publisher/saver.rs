//! Saves publications before readers see them, so that the next process knows every target that was shown.
//!
//! A disk that hangs or is full delays publications by a second at most: then, or when saving fails, the publication is
//! shown unsaved, and the log and a metric say so. The time or the revision of the state file on disk shows that it is
//! outdated.

use std::io;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{info, warn};

use crate::clock::Clock;
use crate::published::{Pending, Published, SnapshotStore};
use crate::state::{Facts, Revision, StateFile};
use crate::telemetry::metrics::{Metrics, Part, Writes};
use crate::telemetry::panics::caught;

/// How long a publication waits to be saved: far longer than a disk needs for a state of 100,000 tasks, and short
/// compared to a refresh.
const SAVED_WITHIN: Duration = Duration::from_secs(1);

/// Saves publications and shows them.
#[derive(Debug)]
pub(crate) struct Saver {
    file: Option<Disk>,
    /// The last publication that was to be saved.
    newest: Option<(Facts, Revision)>,
    /// Whether a restart may serve it as all that there was: not while lists are withheld.
    is_all: bool,
    revision: Revision,
    writes: Writes,
    is_late: bool,
    clock: Clock,
    metrics: Metrics,
}

/// The state file, idle or with a write in progress. A write returns whether it succeeded, and its revision.
#[derive(Debug)]
enum Disk {
    Idle(StateFile),
    Busy(JoinHandle<(StateFile, Revision)>),
}

impl Saver {
    /// Continues after `revision`. Without a file nothing is saved.
    pub(crate) fn new(file: Option<StateFile>, revision: Revision, store: &SnapshotStore) -> Self {
        let writes = file.as_ref().map(StateFile::writes).unwrap_or_default();
        let (clock, metrics) = (store.clock(), store.metrics());
        Self {
            file: file.map(Disk::Idle),
            newest: None,
            is_all: false,
            revision,
            writes,
            is_late: false,
            clock,
            metrics,
        }
    }

    /// The revision of the newest publication.
    pub(crate) fn revision(&self) -> Revision {
        self.revision
    }

    /// Saves and shows pending publications, until their sender is dropped or `ended` resolves.
    pub(crate) async fn run(
        mut self,
        store: SnapshotStore,
        mut pending: watch::Receiver<Pending>,
        ended: impl Future<Output = ()>,
    ) -> Self {
        tokio::pin!(ended);
        loop {
            tokio::select! {
                changed = pending.changed() => match changed {
                    Ok(()) => {
                        let now = pending.borrow_and_update().clone();
                        let saved = self.saved(now).await;
                        // Facts are saved in the middle of a refresh, too.
                        if saved.published.number > store.published.borrow().number {
                            store.publish(saved);
                        }
                        self.compact();
                    }
                    Err(_) => {
                        while self.idle().await.is_some_and(|saved| saved != self.revision) {
                            self.begin();
                        }
                        return self;
                    }
                },
                () = self.finish() => {}
                () = &mut ended => {
                    // Does not wait for a write that hangs.
                    let _ = tokio::time::timeout(SAVED_WITHIN, self.idle()).await;
                    return self;
                }
            }
        }
    }

    async fn saved(&mut self, mut pending: Pending) -> Pending {
        let facts = &pending.published.facts;
        if self.newest.as_ref().is_none_or(|(newest, _)| newest != facts) {
            self.revision = self.revision.next();
        }
        self.newest = Some((facts.clone(), self.revision));
        // Before anything is published, an earlier process may have served more than is known.
        let Published { number, reading, .. } = &pending.published;
        self.is_all = *number > 0 && !reading.lists_may_lack();
        self.save_in_time().await;
        pending.published.revision = Some(self.revision);
        pending
    }

    async fn save_in_time(&mut self) {
        let is_late = tokio::time::timeout(SAVED_WITHIN, self.save()).await.is_err();
        if is_late {
            self.writes.count(&Err(io::ErrorKind::TimedOut));
        }
        match (std::mem::replace(&mut self.is_late, is_late), is_late) {
            (false, true) => warn!(
                "targets are published before they are saved, the disk takes too long; a restart would not know them"
            ),
            (true, false) => info!("targets are saved in time again"),
            _ => {}
        }
    }

    /// Saves the newest publication, after the current write.
    async fn save(&mut self) {
        self.idle().await;
        self.begin();
        self.idle().await;
    }

    fn begin(&mut self) {
        if let Some((facts, revision)) = self.newest.clone() {
            let (clock, is_all) = (self.clock.read(), self.is_all);
            self.work(revision, move |file| {
                file.write(&facts, revision, clock, is_all);
            });
        }
    }

    /// Rewrites the file if too much of it is out of use. The publication is shown by then, and the next one waits.
    fn compact(&mut self) {
        if matches!(&self.file, Some(Disk::Idle(file)) if file.is_outgrown()) {
            let clock = self.clock.read();
            self.work(self.revision, move |file| file.compact(clock));
        }
    }

    /// Does something with an idle file, in a thread that may block.
    fn work(&mut self, revision: Revision, work: impl FnOnce(&mut StateFile) + Send + 'static) {
        let metrics = self.metrics.clone();
        self.file = match self.file.take() {
            Some(Disk::Idle(mut file)) => Some(Disk::Busy(tokio::task::spawn_blocking(move || {
                if let Err(panicked) = caught(|| work(&mut file)) {
                    metrics.panicked(Part::Files, &panicked);
                }
                (file, revision)
            }))),
            other => other,
        };
    }

    /// Waits for the current write. Cancellation-safe. Returns its revision.
    async fn idle(&mut self) -> Option<Revision> {
        let Some(Disk::Busy(write)) = &mut self.file else { return None };
        let (file, revision) = write.await.expect("a panic is caught in it");
        self.file = Some(Disk::Idle(file));
        Some(revision)
    }

    /// Saves publications that were shown during a slow write. Returns immediately if there is no such write.
    async fn finish(&mut self) {
        match self.idle().await {
            Some(saved) if saved != self.revision => self.begin(),
            Some(_) => {}
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::oneshot;
    use tokio::time::Instant;

    use super::*;
    use crate::published::Published;

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_hangs_delays_a_publication_by_a_second_and_is_caught_up_with() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let store = SnapshotStore::default();
        let mut saver = Saver::new(None, Revision::begin(), &store);
        let (release, released) = oneshot::channel::<()>();
        let (file, earlier) = (StateFile::new(&path), saver.revision());
        saver.file = Some(Disk::Busy(tokio::spawn(async move {
            let _ = released.await;
            (file, earlier)
        })));
        let pending = watch::Sender::default();
        let run = tokio::spawn(saver.run(store.clone(), pending.subscribe(), std::future::pending()));
        let (began, mut shown) = (Instant::now(), store.reader().published);
        let published = Published { number: 1, facts: Vec::new(), ..Published::default() };
        pending.send_replace(Pending { published, ..Pending::default() });
        shown.changed().await.unwrap();
        assert_eq!((began.elapsed(), path.exists()), (SAVED_WITHIN, false));
        let revision = shown.borrow().revision.unwrap();
        release.send(()).unwrap();
        drop(pending);
        assert_eq!(run.await.unwrap().revision(), revision);
        assert_eq!(StateFile::new(&path).read().unwrap().revision, Some(revision));
    }

    #[tokio::test]
    async fn a_file_that_is_mostly_out_of_use_is_rewritten_after_the_publication() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state");
        let store = SnapshotStore::default();
        let saver = Saver::new(Some(StateFile::new(&path)), Revision::begin(), &store);
        let pending = watch::Sender::default();
        let run = tokio::spawn(saver.run(store.clone(), pending.subscribe(), std::future::pending()));
        let mut shown = store.reader().published;
        // The second publication has the name of the first source once more, since it is gone.
        let names = ["a", "b"].map(|name| name.repeat(100_000));
        for (name, number) in names.iter().zip(1..) {
            let facts = vec![(name.as_str().into(), Arc::default())];
            let published = Published { number, facts, ..Published::default() };
            pending.send_replace(Pending { published, ..Pending::default() });
            shown.changed().await.unwrap();
        }
        drop(pending);
        run.await.unwrap();
        let state = StateFile::new(&path).read().unwrap();
        assert_eq!(state.revision, shown.borrow().revision);
        assert!(state.is_newest && state.sources.keys().eq(&names[1..]));
        assert!((100_000..101_000).contains(&path.metadata().unwrap().len()));
    }
}
