//! Decides which lists are kept, which wait to be rendered, and which are dropped when memory is short.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use ecs_discovery::filter::{Filter, Selection};
use ecs_discovery::snapshot::Snapshot;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::list::List;
use super::memory::{Memory, Room};
use super::places::{Places, Rank};
use super::{Encoding, Making, Outcome};

/// The number of new lists that wait to be rendered, and of new lists that are kept.
pub(super) const NEW: usize = 16;

/// All lists may take this many times the whole one, including lists that are still being sent or rendered.
const WHOLE_LISTS: usize = 2;

/// And this much more: in a small fleet a list takes little, and its pieces in connections need no limit. It is the
/// size of about 1,500 targets; tests have fewer.
pub(super) const ALLOWANCE: usize = if cfg!(test) { 64 << 10 } else { 4 << 20 };

/// While memory is short, a client that takes longer than this to read a list can be disconnected. Prometheus waits for
/// a minute: first for this time, then for the list.
pub(super) const UNDISTURBED: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) snapshot: Arc<Snapshot>,
    /// The number of the publication.
    pub(super) number: u64,
    pub(super) whole: Selection,
    /// The size of the whole list, estimated until it is rendered.
    pub(super) whole_bytes: Option<usize>,
    pub(super) places: Places,
    pub(super) lists: BTreeMap<Key, Entry>,
    /// Lists that are no longer kept but are still being read; the oldest first.
    pub(super) departing: Vec<Weak<List>>,
    pub(super) queue: BTreeMap<(Rank, u64), Job>,
    /// One list is rendered at a time: the other processors are for serving and discovery.
    pub(super) is_making: bool,
    /// Counts requests and rendered lists.
    pub(super) count: u64,
}

pub(super) type Key = (Selection, Encoding);

/// A list that is rendered or will be.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) rank: Rank,
    /// The number of the last request for it, or of its beginning.
    pub(super) asked: u64,
    pub(super) list: Progress,
    /// Its place in the queue.
    pub(super) waits: Option<(Rank, u64)>,
}

#[derive(Debug)]
pub(super) enum Progress {
    Making(Making),
    Made(Arc<List>),
}

#[derive(Debug)]
pub(super) struct Job {
    pub(super) key: Key,
    pub(super) done: oneshot::Sender<Outcome>,
}

/// Why there is no room for a list.
pub(super) enum NoRoom {
    Refused,
    Outdated,
    /// A more important list waits for its turn.
    Preempted,
}

/// The next step towards memory for a list.
pub(super) enum Step {
    Taken(Room),
    /// Wait until a client has read its list, or until this time, when a client can be disconnected.
    Wait(Option<Instant>),
}

impl Kept {
    /// Drops lists, and waiting jobs, that are not of the newest snapshot.
    pub(super) fn sweep(&mut self) {
        let whole = Filter::default().select(&self.snapshot);
        if whole != self.whole {
            (self.whole, self.whole_bytes) = (whole, None);
        }
        let is_current = Selection::of(&self.snapshot);
        self.queue.retain(|_, job| is_current(&job.key.0));
        let outdated: Vec<_> = self.lists.keys().filter(|key| !is_current(&key.0)).cloned().collect();
        drop(is_current);
        outdated.iter().for_each(|key| self.depart(key));
        // A list that was the whole one and is not any more gets the rank of its next request.
        let was_whole = |(key, entry): &(&Key, &mut Entry)| {
            entry.rank == Rank::WHOLE && key.0 != self.whole && entry.made().is_some()
        };
        self.lists.iter_mut().filter(was_whole).for_each(|(_, entry)| entry.rank = Rank::NEW);
    }

    fn depart(&mut self, key: &Key) {
        self.departing.retain(|list| list.strong_count() > 0);
        let entry = self.lists.remove(key);
        let list = entry.as_ref().and_then(Entry::made);
        self.departing.extend(list.map(Arc::downgrade));
    }

    /// Whether one more may wait. Drops the least recently requested of the kept ones.
    pub(super) fn has_place_for_new(&mut self) -> bool {
        if self.queue.range((Rank::NEW, 0)..).count() >= NEW {
            return false;
        }
        let is_made = |(_, entry): &(&Key, &Entry)| {
            entry.made().is_some() && self.places.current(entry.rank) == Rank::NEW
        };
        let made: Vec<_> = self.lists.iter().filter(is_made).collect();
        if made.len() >= NEW {
            let oldest = made.iter().min_by_key(|(_, entry)| entry.asked).map(|(key, _)| (*key).clone());
            oldest.iter().for_each(|key| self.depart(key));
        }
        true
    }

    /// The memory that lists may take.
    pub(super) fn limit(&self) -> usize {
        WHOLE_LISTS * self.whole_bytes.unwrap_or(0) + ALLOWANCE
    }

    pub(super) fn room(&mut self, memory: &Arc<Memory>, key: &Key, need: usize) -> Result<Step, NoRoom> {
        let Some(entry) = self.lists.get(key) else { return Err(NoRoom::Outdated) };
        if self.whole_bytes.is_none() {
            // A publication came after the estimate, and there is no limit yet.
            return Err(NoRoom::Outdated);
        }
        let (rank, is_awaited, limit) = (entry.rank, entry.is_awaited(), self.limit());
        if rank == Rank::NEW && !is_awaited {
            return Err(NoRoom::Outdated);
        }
        loop {
            if let Some(room) = memory.reserve(need, limit) {
                return Ok(Step::Taken(room));
            }
            // A list that no request waits for takes no memory from lists of its rank, and a new list takes memory only
            // from new ones.
            let is_equal = |other: Rank| other == Rank::NEW || (rank != Rank::NEW && other != Rank::WHOLE);
            let is_rival = |other: Rank| other > rank || (is_awaited && is_equal(other));
            let Some(unread) = self.unread(key, is_rival) else { break };
            self.lists.remove(&unread);
        }
        if !is_awaited {
            // Requests that arrived meanwhile ask again.
            return Err(NoRoom::Outdated);
        }
        if rank == Rank::NEW {
            return Err(NoRoom::Refused);
        }
        if self.queue.first_key_value().is_some_and(|((first, _), _)| *first < rank) {
            return Err(NoRoom::Preempted);
        }
        if memory.will_have(need, limit) {
            return Ok(Step::Wait(None));
        }
        if let Some(until) = self.cut_one_off(key, rank) {
            return Ok(Step::Wait(until));
        }
        // The whole list is dropped last, and only while nobody reads it.
        let whole = self.unread(key, |_| true).ok_or(NoRoom::Refused)?;
        self.lists.remove(&whole);
        self.room(memory, key, need)
    }

    /// The least important list without readers, of those that may be dropped.
    fn unread(&self, own: &Key, may_go: impl Fn(Rank) -> bool) -> Option<Key> {
        let lists = self.lists.iter().filter_map(|(key, entry)| {
            let is_unread = entry.made().is_some_and(|list| Arc::strong_count(list) == 1);
            let rank = self.places.current(entry.rank);
            (is_unread && key != own && may_go(rank)).then_some((key, rank, entry.asked))
        });
        lists.max_by_key(|(_, rank, asked)| (*rank, Reverse(*asked))).map(|(key, _, _)| key.clone())
    }

    /// Disconnects the readers of the oldest list that is no longer kept, or else of a less important one, or else of
    /// one that is more important only by its place. Readers that have just begun get some time: returns when that is
    /// over, or nothing if there is no reader to wait for.
    fn cut_one_off(&mut self, own: &Key, rank: Rank) -> Option<Option<Instant>> {
        let departing = self.departing.iter().filter_map(Weak::upgrade).map(|list| (None, list));
        let kept = self.lists.iter().filter_map(|(key, entry)| {
            let list = entry.made().filter(|_| key != own)?;
            Some((Some(key.clone()), self.places.current(entry.rank), list.clone()))
        });
        let mut kept: Vec<_> = kept.filter(|(_, other, _)| *other > rank || *other > Rank::WHOLE).collect();
        kept.sort_by_key(|(_, other, list)| (Reverse((*other).max(rank)), list.read_since()));
        let candidates = departing.chain(kept.into_iter().map(|(key, _, list)| (key, list)));
        let now = Instant::now();
        let mut ripe_at = None;
        for (key, list) in candidates {
            if list.is_cut_off() {
                continue;
            }
            let ripe = list.read_since().unwrap_or(now) + UNDISTURBED;
            if ripe <= now {
                list.cut_off();
                key.iter().for_each(|key| self.depart(key));
                return Some(None);
            }
            ripe_at = Some(ripe_at.map_or(ripe, |earlier: Instant| earlier.min(ripe)));
        }
        ripe_at.map(Some)
    }
}

impl Entry {
    /// Whether a request waits for it.
    fn is_awaited(&self) -> bool {
        match &self.list {
            // One of them is the job's own.
            Progress::Making(making) => making.strong_count().is_some_and(|count| count > 1),
            Progress::Made(_) => true,
        }
    }

    fn made(&self) -> Option<&Arc<List>> {
        match &self.list {
            Progress::Making(_) => None,
            Progress::Made(list) => Some(list),
        }
    }

    pub(super) fn raise(&mut self, rank: Rank, queue: &mut BTreeMap<(Rank, u64), Job>) {
        self.rank = self.rank.min(rank);
        if let Some(waits) = self.waits
            && waits.0 > rank
            && let Some(job) = queue.remove(&waits)
        {
            self.waits = Some((rank, waits.1));
            queue.insert((rank, waits.1), job);
        }
    }
}
