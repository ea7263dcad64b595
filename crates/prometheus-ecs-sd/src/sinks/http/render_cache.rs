//! The lists that are served, each rendered once and kept for all clients.
//!
//! A list is rendered at its first request, outside of the threads that serve, and one at a time. Lists are keyed by
//! their content, not by the text of the filter: filters that select the same targets share one list, and a list is
//! kept as long as its content does not change. When targets change, lists that were requested since they were rendered
//! are rendered again immediately, so that few requests wait.
//!
//! Places, turns and memory are assigned by rank: first the whole list, then lists that were requested more than once,
//! then new ones. So clients with many different filters, or that read slowly, do not keep a Prometheus server from its
//! list.

mod kept;
mod list;
mod memory;
mod packed;
mod places;

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ecs_discovery::filter::{Filter, Selection};
use ecs_discovery::render::http_sd;
use ecs_discovery::snapshot::Snapshot;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep_until};
use tracing::error;

use crate::published::Published;
use kept::{Entry, Job, Kept, Key, NoRoom, Progress, Step};
pub(super) use list::List;
use memory::{Memory, Pieces, Room};
use packed::Packing;
use places::Rank;

/// How long a list waits for memory: a disconnected client is gone within a moment.
const ROOM_WITHIN: Duration = Duration::from_secs(30);

/// A list may exceed its estimated size by this much; otherwise it is rendered again with twice the room.
const MARGIN: usize = 16;
/// gzip compresses a list to an eighth or ninth.
const GZIP_MAKES: usize = 6;
/// How often the room is doubled: enough if the sampled targets are a hundred times smaller than the others.
const ATTEMPTS: usize = 8;

/// How often a request waits again because targets changed before rendering began.
const CHANGES: usize = 8;

/// The encoding of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    /// Uncompressed.
    Identity,
    /// Compressed, for clients that accept it.
    Gzip,
}

/// The lists of the newest snapshot. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct RenderCache(Arc<Cache>);

#[derive(Debug, Default)]
struct Cache {
    kept: Mutex<Kept>,
    memory: Arc<Memory>,
}

type Making = Shared<BoxFuture<'static, Outcome>>;

/// The result of rendering a list.
#[derive(Clone, Debug)]
enum Outcome {
    Made(Arc<List>),
    /// There is no memory or no place for the list.
    Refused,
    /// Targets changed before it was begun.
    Outdated,
}

impl RenderCache {
    /// A list of this snapshot, or of a newer one; `None` if there is no place or memory for it.
    pub(super) async fn list(
        &self,
        published: &Published,
        filter: &Filter,
        encoding: Encoding,
    ) -> Option<Arc<List>> {
        for _ in 0..CHANGES {
            let (number, snapshot) = self.0.advance(published);
            // Not under the lock: there may be many patterns.
            let selection = filter.select(&snapshot);
            let making = self.0.ask(number, filter, (selection, encoding));
            match making.await {
                Outcome::Made(list) => return Some(list),
                Outcome::Refused => return None,
                Outcome::Outdated => {}
            }
        }
        None
    }

    /// Renders the lists that were requested of the previous snapshot and have changed; the most important first.
    pub(super) fn renew(&self, published: &Published) {
        let (number, snapshot) = self.0.advance(published);
        let wanted = self.0.kept().places.wanted();
        for (filter, encoding) in wanted {
            let key = (filter.select(&snapshot), encoding);
            let mut kept = self.0.kept();
            if kept.number != number {
                return;
            }
            if !kept.lists.contains_key(&key)
                && let Some(rank) = kept.places.make(&filter, encoding)
            {
                drop(self.0.enqueue(&mut kept, rank, key));
            }
        }
    }
}

impl Cache {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drops outdated lists. Returns the newest snapshot, with its number.
    fn advance(&self, published: &Published) -> (u64, Arc<Snapshot>) {
        let mut kept = self.kept();
        if published.number > kept.number {
            kept.number = published.number;
            let before = std::mem::replace(&mut kept.snapshot, published.snapshot.clone());
            if !before.shares_all(&kept.snapshot) {
                kept.sweep();
            }
        }
        (kept.number, kept.snapshot.clone())
    }

    fn ask(self: &Arc<Self>, number: u64, filter: &Filter, key: Key) -> Making {
        let mut kept = self.kept();
        if kept.number != number {
            return Outcome::Outdated.ready();
        }
        let mut rank = kept.places.ask(filter, key.1);
        // It keeps its own place too: another cluster makes it a different list.
        if key.0 == kept.whole {
            rank = rank.min(kept.places.ask(&Filter::default(), key.1));
        }
        kept.count += 1;
        let asked = kept.count;
        let Kept { lists, queue, .. } = &mut *kept;
        if let Some(entry) = lists.get_mut(&key) {
            entry.asked = asked;
            entry.raise(rank, queue);
            return match &entry.list {
                Progress::Made(list) => Outcome::Made(list.clone()).ready(),
                Progress::Making(making) => making.clone(),
            };
        }
        if rank == Rank::NEW && !kept.has_place_for_new() {
            return Outcome::Refused.ready();
        }
        self.enqueue(&mut kept, rank, key)
    }

    fn enqueue(self: &Arc<Self>, kept: &mut Kept, rank: Rank, key: Key) -> Making {
        let (done, made) = oneshot::channel();
        let making = made.map(|made| made.unwrap_or(Outcome::Outdated)).boxed().shared();
        kept.count += 1;
        let (asked, waits) = (kept.count, Some((rank, kept.count)));
        let entry = Entry { rank, asked, list: Progress::Making(making.clone()), waits };
        kept.lists.insert(key.clone(), entry);
        kept.queue.insert((rank, asked), Job { key, done });
        self.start(kept);
        // A list that waits for memory lets more important ones go first.
        self.memory.freed.notify_waiters();
        making
    }

    /// Renders the first waiting list, unless one is being rendered.
    fn start(self: &Arc<Self>, kept: &mut Kept) {
        if !kept.is_making
            && let Some((_, job)) = kept.queue.pop_first()
        {
            kept.is_making = true;
            if let Some(entry) = kept.lists.get_mut(&job.key) {
                entry.waits = None;
            }
            tokio::spawn(self.clone().run(job));
        }
    }

    async fn run(self: Arc<Self>, job: Job) {
        let made = self.make(&job.key).await;
        let mut kept = self.kept();
        kept.is_making = false;
        kept.count += 1;
        let number = kept.count;
        let outcome = match made {
            Ok(list) => {
                match kept.lists.get_mut(&job.key) {
                    Some(entry) => entry.list = Progress::Made(list.clone()),
                    None => kept.departing.push(Arc::downgrade(&list)),
                }
                Some(Outcome::Made(list))
            }
            Err(NoRoom::Preempted) => None,
            Err(NoRoom::Outdated) => Some(Outcome::Outdated),
            Err(NoRoom::Refused) => Some(Outcome::Refused),
        };
        if let Some(outcome) = outcome {
            if !matches!(outcome, Outcome::Made(_)) {
                kept.lists.remove(&job.key);
            }
            // Perhaps no request waits for it any more.
            let _ = job.done.send(outcome);
        } else if let Some(entry) = kept.lists.get_mut(&job.key) {
            let waits = (entry.rank, number);
            entry.waits = Some(waits);
            kept.queue.insert(waits, job);
        }
        self.start(&mut kept);
    }

    async fn make(&self, key: &Key) -> Result<Arc<List>, NoRoom> {
        let mut need = self.estimate(key).await?;
        for _ in 0..ATTEMPTS {
            let room = self.room(key, need).await?;
            let (selection, encoding) = key.clone();
            let rendered = aside(move || render(&selection, encoding, room)).await?;
            let mut kept = self.kept();
            let is_whole = key.0 == kept.whole;
            match rendered {
                Ok((list, size)) => {
                    if is_whole {
                        kept.whole_bytes = Some(size);
                    }
                    return Ok(Arc::new(list));
                }
                // The estimate was too low. The whole list is at least as large as the room that did not suffice.
                Err(_) => {
                    kept.whole_bytes = kept.whole_bytes.max(Some(need));
                    need *= 2;
                }
            }
        }
        Err(NoRoom::Refused)
    }

    /// The estimated size of a list.
    async fn estimate(&self, (selection, encoding): &Key) -> Result<usize, NoRoom> {
        let (whole, known) = {
            let kept = self.kept();
            (kept.whole.clone(), kept.whole_bytes)
        };
        let (selection, measured) = (selection.clone(), whole.clone());
        let sizes = aside(move || {
            let size = |selection: &_| {
                let size = http_sd::estimated_size(selection);
                size + size / MARGIN
            };
            (size(&selection), known.unwrap_or_else(|| size(&measured)))
        });
        let (size, whole_bytes) = sizes.await?;
        let mut kept = self.kept();
        if kept.whole != whole {
            // A publication came meanwhile: this is the size of the previous list.
            return Err(NoRoom::Outdated);
        }
        let whole_bytes = *kept.whole_bytes.get_or_insert(whole_bytes);
        drop(kept);
        // No list is longer than the whole one, whatever the sample says.
        let size = size.min(whole_bytes);
        Ok(match encoding {
            Encoding::Identity => size,
            // gzip makes a short text longer.
            Encoding::Gzip => size / GZIP_MAKES + 1024,
        })
    }

    /// Waits for memory for a list, and takes it from lists of lower rank.
    async fn room(&self, key: &Key, need: usize) -> Result<Room, NoRoom> {
        let until = Instant::now() + ROOM_WITHIN;
        loop {
            let freed = self.memory.freed.notified();
            let mut freed = std::pin::pin!(freed);
            freed.as_mut().enable();
            let look_again = {
                let mut kept = self.kept();
                match kept.room(&self.memory, key, need)? {
                    Step::Taken(room) => return Ok(room),
                    Step::Wait(at) => at.unwrap_or(until).min(until),
                }
            };
            if Instant::now() >= until {
                return Err(NoRoom::Refused);
            }
            tokio::select! {
                () = freed => {}
                () = sleep_until(look_again) => {}
            }
        }
    }
}

impl Outcome {
    fn ready(self) -> Making {
        std::future::ready(self).boxed().shared()
    }
}

/// Runs outside of the threads that serve. A panic there fails only that list.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, NoRoom> {
    tokio::task::spawn_blocking(work).await.map_err(|error| {
        error!(%error, "a list could not be made");
        NoRoom::Refused
    })
}

/// The list, and its uncompressed length. Fails if there is not enough room. An uncompressed list reserves room for its
/// whole text, which is in memory if clients read all of its pieces at the same time.
fn render(selection: &Selection, encoding: Encoding, room: Room) -> io::Result<(List, usize)> {
    let targets = selection.targets();
    match encoding {
        Encoding::Identity => {
            let mut out = Packing::new(room);
            http_sd::write(&mut out, targets)?;
            let list = List::packed(out.finish()?);
            let size = list.bytes();
            Ok((list, size))
        }
        Encoding::Gzip => {
            let mut out = Counted { out: GzEncoder::new(Pieces::new(room), Compression::fast()), size: 0 };
            http_sd::write(&mut out, targets)?;
            Ok((List::kept(out.out.finish()?.finish()), out.size))
        }
    }
}

/// Counts the bytes written through it.
struct Counted<W> {
    out: W,
    size: usize,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.size += written;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
