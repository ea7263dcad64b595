//! The documents that are served, each made once a snapshot and kept for all who ask.
//!
//! A document is made by the first request for it, away from the threads that serve, and by one thread at a time; who
//! goes away does not stop it, and whoever asks meanwhile gets the same. What was asked for is made anew as soon as the
//! next snapshot differs, so that hardly anybody waits.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::Bytes;
use ecs_discovery::filter::Filter;
use ecs_discovery::render;
use ecs_discovery::snapshot::Snapshot;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

use crate::board::Published;

/// Documents that are kept at a time, and that wait to be made. Who asks for more has them made again and again.
const DOCUMENTS: usize = 64;

/// What the kept documents may take together: twice what 100,000 targets take.
const BYTES: usize = 512 << 20;

/// What all documents may take that are kept or still being sent, each to who takes it slowly. Above that none is made.
const BYTES_ALIVE: usize = 2 * BYTES;

/// How a document is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Encoding {
    /// As it is.
    Identity,
    /// Compressed for whoever accepts that. Prometheus does not.
    Gzip,
}

type Document = (Filter, Encoding);

/// A document that is there or will be; `None` if there is no memory for it.
pub(super) type Making = Shared<BoxFuture<'static, Option<Bytes>>>;

/// The documents of the newest snapshot.
#[derive(Debug)]
pub(super) struct Bodies {
    kept: Mutex<Kept>,
    /// Documents that may wait to be made.
    queue: Arc<Semaphore>,
    /// One is made at a time: the other processor is for those who serve and discover.
    turn: Arc<Semaphore>,
    /// What those take that anybody still has.
    alive: Arc<AtomicUsize>,
}

/// A document's bytes, which are counted as long as anybody has them.
struct Counted {
    bytes: Vec<u8>,
    alive: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct Kept {
    snapshot: Arc<Snapshot>,
    /// Of the publication.
    number: u64,
    documents: BTreeMap<Document, Body>,
    /// Counts the requests.
    asked: u64,
}

#[derive(Debug)]
struct Body {
    making: Making,
    /// The last request for it; `None` if there was none since it was made of its own accord.
    asked: Option<u64>,
}

impl Default for Bodies {
    fn default() -> Self {
        let (queue, turn) = (Arc::new(Semaphore::new(DOCUMENTS)), Arc::new(Semaphore::new(1)));
        Self { kept: Mutex::default(), queue, turn, alive: Arc::default() }
    }
}

impl Bodies {
    /// A document of this snapshot, or of a newer one if there is; `None` if too many wait to be made.
    pub(super) fn of(&self, published: &Published, filter: Filter, encoding: Encoding) -> Option<Making> {
        let mut kept = self.kept();
        self.advance(&mut kept, published);
        kept.asked += 1;
        let asked = Some(kept.asked);
        let document = (filter, encoding);
        let body = kept.documents.get_mut(&document);
        if let Some(body) = body.filter(|body| body.making.peek() != Some(&None)) {
            body.asked = asked;
            let making = body.making.clone();
            // What was made since the last request had no size before.
            kept.make_room();
            return Some(making);
        }
        let making = self.make(kept.snapshot.clone(), document.clone())?;
        kept.documents.insert(document, Body { making: making.clone(), asked });
        kept.make_room();
        Some(making)
    }

    /// Makes what was asked for of the snapshot before, if it is different now.
    pub(super) fn renew(&self, published: &Published) {
        self.advance(&mut self.kept(), published);
    }

    fn advance(&self, kept: &mut Kept, published: &Published) {
        if published.number <= kept.number {
            return;
        }
        kept.number = published.number;
        let before = std::mem::replace(&mut kept.snapshot, published.snapshot.clone());
        if before.shares_all(&kept.snapshot) {
            return;
        }
        // First the old ones go: with many targets there is no room for two of each.
        let documents = std::mem::take(&mut kept.documents);
        let wanted = documents.into_iter().filter(|(_, body)| body.asked.is_some());
        let wanted: Vec<_> = wanted.map(|(document, _)| document).collect();
        for document in wanted {
            let Some(making) = self.make(kept.snapshot.clone(), document.clone()) else { return };
            kept.documents.insert(document, Body { making, asked: None });
        }
    }

    fn make(&self, snapshot: Arc<Snapshot>, (filter, encoding): Document) -> Option<Making> {
        let place = self.queue.clone().try_acquire_owned().ok()?;
        let (turn, alive) = (self.turn.clone(), self.alive.clone());
        let making = tokio::spawn(async move {
            let turn = turn.acquire_owned().await;
            let make = move || {
                let _until_made = (place, turn);
                let has_room = alive.load(Ordering::Relaxed) <= BYTES_ALIVE;
                has_room.then(|| Counted::shared(render(&snapshot, &filter, encoding), alive))
            };
            // What panicked is made again when it is asked for again.
            tokio::task::spawn_blocking(make).await.unwrap_or(None)
        });
        Some(making.map(|made| made.unwrap_or(None)).boxed().shared())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// Forgets documents that were not asked for longest, until the rest fits. The newest stays in any case.
    fn make_room(&mut self) {
        let size = |body: &Body| body.making.peek().and_then(Option::as_ref).map_or(0, Bytes::len);
        while self.documents.len() > DOCUMENTS
            || (self.documents.len() > 1 && self.documents.values().map(size).sum::<usize>() > BYTES)
        {
            let oldest = self.documents.iter().min_by_key(|(_, body)| body.asked);
            let Some(oldest) = oldest.map(|(document, _)| document.clone()) else { return };
            self.documents.remove(&oldest);
        }
    }
}

impl Counted {
    fn shared(bytes: Vec<u8>, alive: Arc<AtomicUsize>) -> Bytes {
        alive.fetch_add(bytes.len(), Ordering::Relaxed);
        Bytes::from_owner(Self { bytes, alive })
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.alive.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}

fn render(snapshot: &Snapshot, filter: &Filter, encoding: Encoding) -> Vec<u8> {
    let targets = filter.targets(snapshot);
    let in_memory = "memory takes whatever is written";
    let mut bytes = match encoding {
        Encoding::Identity => {
            let mut out = Vec::new();
            render::http_sd::write(&mut out, targets).expect(in_memory);
            out
        }
        Encoding::Gzip => {
            let mut out = GzEncoder::new(Vec::new(), Compression::fast());
            render::http_sd::write(&mut out, targets).expect(in_memory);
            out.flush().and_then(|()| out.finish()).expect(in_memory)
        }
    };
    bytes.shrink_to_fit();
    bytes
}

#[cfg(test)]
mod tests {
    use ecs_discovery::arn::ClusterArn;
    use ecs_discovery::derive::Derived;
    use ecs_discovery::interval::Intervals;
    use ecs_discovery::snapshot::Scope;

    use super::*;

    fn published(number: u64, derived: &Arc<Derived>) -> Published {
        let cluster = ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/prod").unwrap();
        let scope = Scope::heard(derived.clone(), std::time::Duration::ZERO);
        let snapshot = Arc::new(Snapshot { scopes: [(cluster, scope)].into() });
        Published { snapshot, number, ..Published::default() }
    }

    async fn whole(bodies: &Bodies, published: &Published) -> *const u8 {
        bodies.of(published, Filter::default(), Encoding::Identity).unwrap().await.unwrap().as_ptr()
    }

    #[tokio::test]
    async fn a_document_is_made_once_and_again_when_targets_change() {
        let bodies = Bodies::default();
        let [before, after] = [Arc::new(Derived::default()), Arc::new(Derived::default())];
        let first = whole(&bodies, &published(1, &before)).await;
        assert_eq!(whole(&bodies, &published(1, &before)).await, first);
        // A refresh without news.
        bodies.renew(&published(2, &before));
        assert_eq!(whole(&bodies, &published(2, &before)).await, first);
        let kept = bodies.of(&published(2, &before), Filter::default(), Encoding::Identity).unwrap();
        bodies.renew(&published(3, &after));
        let second = whole(&bodies, &published(3, &after)).await;
        assert_ne!(second, first);
        // Who was about to read the board when it changed.
        assert_eq!(whole(&bodies, &published(2, &before)).await, second);
        drop(kept);
    }

    #[tokio::test]
    async fn what_nobody_asks_for_any_more_is_not_made_again() {
        let bodies = Bodies::default();
        let change = |number| published(number, &Arc::new(Derived::default()));
        whole(&bodies, &change(1)).await;
        bodies.renew(&change(2));
        assert_eq!(bodies.kept().documents.len(), 1);
        bodies.renew(&change(3));
        assert_eq!(bodies.kept().documents.len(), 0);
    }

    #[tokio::test]
    async fn any_number_of_filters_is_answered_and_some_are_kept() {
        let bodies = Bodies::default();
        let now = published(1, &Arc::default());
        for number in 0..3 * DOCUMENTS {
            let filter = Filter::parse(&format!("cluster=c{number}"), &Intervals::default()).unwrap();
            bodies.of(&now, filter, Encoding::Identity).unwrap().await;
        }
        assert_eq!(bodies.kept().documents.len(), DOCUMENTS);
        // Without a turn nothing is made, and what waits is bounded.
        let _turn = bodies.turn.clone().acquire_owned().await.unwrap();
        let waiting = (0..3 * DOCUMENTS).map(|number| {
            let filter = Filter::parse(&format!("cluster=w{number}"), &Intervals::default()).unwrap();
            bodies.of(&now, filter, Encoding::Identity)
        });
        assert_eq!(waiting.filter(Option::is_some).count(), DOCUMENTS);
    }
    #[tokio::test]
    async fn while_slow_readers_have_too_much_nothing_new_is_made() {
        let bodies = Bodies::default();
        let ask = |number| {
            let now = published(number, &Arc::new(Derived::default()));
            bodies.of(&now, Filter::default(), Encoding::Identity)
        };
        let slow = ask(1).unwrap().await;
        let rest = Counted::shared(vec![0; BYTES_ALIVE], bodies.alive.clone());
        assert!(ask(2).unwrap().await.is_none());
        drop((slow, rest));
        let made = ask(2).unwrap().await.unwrap();
        assert_eq!(bodies.alive.load(Ordering::Relaxed), made.len());
    }
}
