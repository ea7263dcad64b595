//! Decides which filters have a reserved place: that of the whole list, and those that were requested again, as each
//! Prometheus server does once a minute. A place is kept as long as it is used, however many other lists are requested.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use ecs_discovery::filter::Filter;
use tokio::time::Instant;

use super::Encoding;

/// The number of filters with a place: more than Prometheus servers share a fleet.
pub(super) const PLACES: usize = 32;

/// The number of filters that are remembered after one request. Eight bytes each.
const ONCE: usize = 1024;

/// After this time without use, another filter may take a place. Prometheus asks every minute by default, and its
/// graphs have gaps after five.
const LAPSES_AFTER: Duration = Duration::from_secs(900);

/// The priority of a list, for rendering and for memory. Lists with a place are ranked in the order in which they got
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank(u64);

impl Rank {
    pub(super) const WHOLE: Self = Self(0);
    pub(super) const NEW: Self = Self(u64::MAX);
}

#[derive(Debug)]
pub(super) struct Places {
    /// Always contains the filter that selects everything.
    places: BTreeMap<Filter, Place>,
    taken: u64,
    /// Hashes of filters, the newest last.
    once: VecDeque<u64>,
    hashes: RandomState,
}

#[derive(Debug)]
struct Place {
    rank: Rank,
    asked: Instant,
    /// The encodings that were requested since the list was last rendered.
    wanted: BTreeSet<Encoding>,
}

impl Default for Places {
    fn default() -> Self {
        let whole = Place { rank: Rank::WHOLE, asked: Instant::now(), wanted: BTreeSet::new() };
        let places = [(Filter::default(), whole)].into();
        Self { places, taken: 0, once: VecDeque::new(), hashes: RandomState::new() }
    }
}

impl Places {
    /// The rank of a requested list. A repeated request gets a place, if there is one.
    pub(super) fn ask(&mut self, filter: &Filter, encoding: Encoding) -> Rank {
        let now = Instant::now();
        if !self.places.contains_key(filter) {
            let hash = self.hashes.hash_one(filter);
            if !self.once.contains(&hash) {
                self.once.push_back(hash);
                if self.once.len() > ONCE {
                    self.once.pop_front();
                }
                return Rank::NEW;
            }
            if self.places.len() > PLACES && !self.lapse(now) {
                return Rank::NEW;
            }
            self.taken += 1;
            let place = Place { rank: Rank(self.taken), asked: now, wanted: BTreeSet::new() };
            self.places.insert(filter.clone(), place);
        }
        let place = self.places.get_mut(filter).expect("it has a place");
        place.asked = now;
        place.wanted.insert(encoding);
        place.rank
    }

    /// The filters that were requested since their lists were last rendered, in the order in which these are to be
    /// rendered again.
    pub(super) fn wanted(&self) -> Vec<(Filter, Encoding)> {
        let mut places: Vec<_> = self.places.iter().collect();
        places.sort_by_key(|(_, place)| place.rank);
        let of_place = |(filter, place): (&Filter, &Place)| {
            let wanted = place.wanted.iter().map(|encoding| (filter.clone(), *encoding));
            wanted.collect::<Vec<_>>()
        };
        places.into_iter().flat_map(of_place).collect()
    }

    /// Records that the list is rendered again; returns its rank.
    pub(super) fn make(&mut self, filter: &Filter, encoding: Encoding) -> Option<Rank> {
        let place = self.places.get_mut(filter)?;
        place.wanted.remove(&encoding);
        Some(place.rank)
    }

    /// The rank that applies now: the place may have been lost.
    pub(super) fn current(&self, rank: Rank) -> Rank {
        if self.places.values().any(|place| place.rank == rank) { rank } else { Rank::NEW }
    }

    /// Frees the least recently used place, if it has lapsed.
    fn lapse(&mut self, now: Instant) -> bool {
        let others = self.places.iter().filter(|(_, place)| place.rank != Rank::WHOLE);
        let oldest = others.min_by_key(|(_, place)| place.asked);
        let oldest = oldest.filter(|(_, place)| now - place.asked >= LAPSES_AFTER);
        let Some(filter) = oldest.map(|(filter, _)| filter.clone()) else { return false };
        self.places.remove(&filter).is_some()
    }
}

#[cfg(test)]
mod tests {
    use ecs_discovery::interval::Intervals;
    use tokio::time::advance;

    use super::*;

    fn filter(name: usize) -> Filter {
        Filter::parse(&format!("cluster=c{name}"), &Intervals::default()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_filter_has_a_place_until_it_is_not_used() {
        let mut places = Places::default();
        let mut ask = |name| places.ask(&filter(name), Encoding::Identity);
        assert_eq!([ask(0), ask(1)], [Rank::NEW; 2]);
        assert_eq!([ask(1), ask(0), ask(1)], [Rank(1), Rank(2), Rank(1)]);
        // Other clients repeatedly request more lists than there are places.
        for _ in 0..3 {
            (2..100).for_each(|name| _ = ask(name));
        }
        assert_eq!([ask(0), ask(99)], [Rank(2), Rank::NEW]);
        advance(LAPSES_AFTER).await;
        assert_eq!(ask(1), Rank(1));
        assert!(
            (100..200).flat_map(|name| [ask(name), ask(name)]).filter(|rank| *rank != Rank::NEW).count() > 1
        );
        assert_eq!(ask(1), Rank(1));
        assert_eq!(ask(0), Rank::NEW);
        assert_eq!(places.current(Rank(2)), Rank::NEW);
        assert_eq!(places.ask(&Filter::default(), Encoding::Gzip), Rank::WHOLE);
        assert_eq!(places.places.len(), 1 + PLACES);
    }

    #[tokio::test]
    async fn a_filter_that_is_used_every_minute_is_remembered_among_many_new_ones() {
        let mut places = Places::default();
        places.ask(&filter(0), Encoding::Identity);
        (1..ONCE).for_each(|name| _ = places.ask(&filter(name), Encoding::Identity));
        assert_eq!(places.ask(&filter(0), Encoding::Identity), Rank(1));
        (ONCE..3 * ONCE).for_each(|name| _ = places.ask(&filter(name), Encoding::Identity));
        assert_eq!((places.once.len(), places.places.len()), (ONCE, 2));
    }
}
