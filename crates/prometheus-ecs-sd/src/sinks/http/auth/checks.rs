//! Decides which password is checked next. A check uses a processor for a tenth of a second by design, so few run at a
//! time.
//!
//! Each client address has its own queue, and the queues are served in turn: a client that guesses waits for its own
//! guesses and does not delay others. Queues of addresses that have recently sent wrong passwords come after the
//! others, and within a queue so do connections that have sent one; both are still served. Within a queue the newest
//! check is next: guessing clients keep the queue long, and a Prometheus server behind the same proxy would otherwise
//! wait for all of them. All queues have limits; the check that has waited longest, whose client has probably left,
//! makes room.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::available_parallelism;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

/// Checks use one of this many processors; the others are for discovery and for answers.
const SHARE_OF_PROCESSORS: usize = 2;

/// With two, an address that guesses leaves one to other addresses. More than eight concurrent checks are guesses.
const FEWEST_AT_A_TIME: usize = 2;
const MOST_AT_A_TIME: usize = 8;

/// The number of checks that may wait. More do not come from Prometheus.
const WAITING: usize = 256;

/// The number of these from one address: more than the concurrent connections of a Prometheus server.
const WAITING_OF_ONE: usize = 64;

/// How long an address stays behind after a wrong password: several checks of a guessing client, and about the refresh
/// interval of Prometheus.
const BEHIND_FOR: Duration = Duration::from_secs(60);

/// After this many consecutive checks of other addresses, an address that is behind is served.
const OTHERS_IN_A_ROW: u32 = 3;

/// The number of queues that are kept, including those of addresses that are behind and have no waiting check.
const LINES: usize = 1024;

/// The client of one connection.
#[derive(Clone, Debug)]
pub(in crate::sinks::http) struct Client {
    network: IpAddr,
    /// Whether this connection has sent a wrong password.
    has_failed: Arc<AtomicBool>,
}

impl Client {
    /// A new connection from this address. An IPv6 client usually has a whole /64, which counts as one address.
    pub(in crate::sinks::http) fn new(address: IpAddr) -> Self {
        const NETWORK: u128 = u128::MAX << 64;
        let network = match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & NETWORK).into(),
            address => address,
        };
        Self { network, has_failed: Arc::default() }
    }
}

/// All queues.
#[derive(Debug)]
pub(super) struct Checks {
    at_a_time: usize,
    lines: Mutex<Lines>,
}

#[derive(Debug, Default)]
struct Lines {
    by_network: BTreeMap<IpAddr, Line>,
    running: usize,
    waiting: usize,
    /// Numbers places and turns; these numbers define the order.
    count: u64,
    /// The number of consecutive turns of addresses that are not behind.
    in_a_row: u32,
}

/// The queue of one address.
#[derive(Debug, Default)]
struct Line {
    waiting: BTreeMap<Rank, oneshot::Sender<()>>,
    running: BTreeSet<Rank>,
    /// The queue with the lowest number is served next.
    turn: u64,
    failed: Option<Instant>,
}

/// Whether the connection has failed, and when the check arrived: the lowest is next.
type Rank = (bool, Reverse<u64>);

/// One check's place, first in a queue and then among the running checks; dropping it gives the place back.
#[derive(Debug)]
pub(super) struct Place {
    checks: Arc<Checks>,
    client: Client,
    rank: Rank,
    granted: oneshot::Receiver<()>,
}

impl Default for Checks {
    fn default() -> Self {
        let share = available_parallelism().map_or(1, usize::from) / SHARE_OF_PROCESSORS;
        Self::running(share.clamp(FEWEST_AT_A_TIME, MOST_AT_A_TIME))
    }
}

impl Checks {
    fn running(at_a_time: usize) -> Self {
        Self { at_a_time, lines: Mutex::default() }
    }

    /// A place in the client's queue; `None` if too many wait.
    pub(super) fn enter(self: &Arc<Self>, client: &Client) -> Option<Place> {
        let now = Instant::now();
        let has_failed = client.has_failed.load(Ordering::Relaxed);
        let mut lines = self.lines();
        let rank = (has_failed, Reverse(lines.next()));
        lines.make_room(client.network, rank, now)?;
        let (sender, granted) = oneshot::channel();
        let turn = lines.next();
        let line = lines.by_network.entry(client.network).or_default();
        if line.waiting.is_empty() {
            line.turn = turn;
        }
        line.waiting.insert(rank, sender);
        lines.waiting += 1;
        lines.advance(self.at_a_time, now);
        Some(Place { checks: self.clone(), client: client.clone(), rank, granted })
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    /// Makes room for one more waiting check. If there is none, another check leaves: the last one in the queue of the
    /// same address, if that is full, else in the longest queue.
    fn make_room(&mut self, network: IpAddr, rank: Rank, now: Instant) -> Option<()> {
        let length = |line: &Line| (line.waiting.len(), line.is_behind(now));
        let (own, is_behind) = self.by_network.get(&network).map_or((0, false), length);
        if own >= WAITING_OF_ONE {
            let line = self.by_network.get_mut(&network)?;
            line.waiting.last_key_value().filter(|(last, _)| **last > rank)?;
            line.waiting.pop_last();
            self.waiting -= 1;
        } else if self.waiting >= WAITING {
            let longest = self.by_network.values_mut().max_by_key(|line| length(line))?;
            if length(longest) <= (own + 1, is_behind) {
                return None;
            }
            longest.waiting.pop_last();
            self.waiting -= 1;
        }
        if self.by_network.len() >= LINES && !self.by_network.contains_key(&network) {
            self.by_network.retain(|_, line| line.is_in_use() || line.is_behind(now));
            let idle = self.by_network.iter().filter(|(_, line)| !line.is_in_use());
            let earliest = idle.min_by_key(|(_, line)| line.failed).map(|(network, _)| *network);
            if let Some(earliest) = earliest.filter(|_| self.by_network.len() >= LINES) {
                self.by_network.remove(&earliest);
            }
        }
        Some(())
    }

    /// Starts the next checks. One address uses at most half of the places, so that another address finds one.
    fn advance(&mut self, at_a_time: usize, now: Instant) {
        while self.running < at_a_time {
            let may_run =
                |line: &&mut Line| !line.waiting.is_empty() && line.running.len() < at_a_time.div_ceil(2);
            let (mut behind, mut others): (Vec<_>, Vec<_>) =
                self.by_network.values_mut().filter(may_run).partition(|line| line.is_behind(now));
            let is_turn_of_behind = others.is_empty() || self.in_a_row >= OTHERS_IN_A_ROW;
            let of = if is_turn_of_behind && !behind.is_empty() { &mut behind } else { &mut others };
            let Some(line) = of.iter_mut().min_by_key(|line| line.turn) else { return };
            self.in_a_row = if line.is_behind(now) { 0 } else { self.in_a_row.saturating_add(1) };
            let Some((rank, granted)) = line.waiting.pop_first() else { return };
            self.count += 1;
            line.turn = self.count;
            line.running.insert(rank);
            self.running += 1;
            self.waiting -= 1;
            // If the client has left, the place is about to be dropped.
            let _ = granted.send(());
        }
    }
}

impl Line {
    fn is_behind(&self, now: Instant) -> bool {
        self.failed.is_some_and(|failed| now.saturating_duration_since(failed) < BEHIND_FOR)
    }

    fn is_in_use(&self) -> bool {
        !self.waiting.is_empty() || !self.running.is_empty()
    }
}

impl Place {
    /// Waits until the check may run; `false` if another check took its place.
    pub(super) async fn granted(&mut self) -> bool {
        (&mut self.granted).await.is_ok()
    }

    /// Records that the password was wrong.
    pub(super) fn failed(&self) {
        self.client.has_failed.store(true, Ordering::Relaxed);
        if let Some(line) = self.checks.lines().by_network.get_mut(&self.client.network) {
            line.failed = Some(Instant::now());
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let now = Instant::now();
        let mut lines = self.checks.lines();
        let Some(line) = lines.by_network.get_mut(&self.client.network) else { return };
        let (waited, ran) = (line.waiting.remove(&self.rank).is_some(), line.running.remove(&self.rank));
        if !line.is_in_use() && !line.is_behind(now) {
            lines.by_network.remove(&self.client.network);
        }
        lines.waiting -= usize::from(waited);
        lines.running -= usize::from(ran);
        lines.advance(self.checks.at_a_time, now);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn client(address: &str) -> Client {
        Client::new(address.parse().unwrap())
    }

    /// A number of connections from one address, each with a password to check.
    fn enter(checks: &Arc<Checks>, address: &str, number: usize) -> Vec<Place> {
        (0..number).filter_map(|_| checks.enter(&client(address))).collect()
    }

    fn may_run(place: &mut Place) -> bool {
        place.granted().now_or_never() == Some(true)
    }

    /// Lets one check run at a time, and returns their order.
    fn order(mut places: Vec<(&'static str, Place)>) -> Vec<&'static str> {
        let mut order = Vec::new();
        while !places.is_empty() {
            let next = places.iter_mut().position(|(_, place)| may_run(place)).unwrap();
            let (name, _ended) = places.remove(next);
            order.push(name);
        }
        order
    }

    #[tokio::test]
    async fn an_address_that_guesses_leaves_a_place_to_others() {
        let checks = Arc::new(Checks::running(2));
        let mut guesses = enter(&checks, "10.0.0.1", 60);
        let mut other = checks.enter(&client("10.0.0.2")).unwrap();
        assert!(may_run(&mut guesses[0]) && !may_run(&mut guesses[1]) && may_run(&mut other));
        drop(other);
        assert!(!may_run(&mut guesses[1]), "the place is kept free");
        guesses.remove(0);
        assert!(may_run(&mut guesses[58]));
    }

    #[tokio::test]
    async fn a_new_client_behind_the_address_of_others_is_the_next() {
        let checks = Arc::new(Checks::running(2));
        // Each uses a new connection, so that none has failed yet.
        let mut guesses = enter(&checks, "10.0.0.1", 100);
        let mut new = checks.enter(&client("10.0.0.1")).unwrap();
        assert!(may_run(&mut guesses[0]) && !may_run(&mut new));
        assert_eq!(guesses[1].granted().now_or_never(), Some(false), "the oldest check made room");
        assert_eq!(checks.lines().waiting, WAITING_OF_ONE);
        guesses.remove(0);
        assert!(may_run(&mut new));
    }

    #[tokio::test]
    async fn addresses_take_turns() {
        let checks = Arc::new(Checks::running(1));
        let named = |name: &'static str, address, number| {
            enter(&checks, address, number).into_iter().map(move |place| (name, place))
        };
        let mut places: Vec<_> = named("a", "10.0.0.1", 4).collect();
        places.extend(named("b", "10.0.0.2", 2));
        places.extend(named("c", "10.0.0.3", 1));
        assert_eq!(order(places), ["a", "a", "b", "c", "a", "b", "a"]);
        let lines = checks.lines();
        assert_eq!((lines.running, lines.waiting, lines.by_network.len()), (0, 0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_failed_is_behind_for_a_while_and_is_still_served() {
        let checks = Arc::new(Checks::running(1));
        checks.enter(&client("10.0.0.1")).unwrap().failed();
        let fill = || {
            let mut places = vec![("running", checks.enter(&client("10.0.0.9")).unwrap())];
            places.extend(enter(&checks, "10.0.0.1", 2).into_iter().map(|place| ("failed", place)));
            for address in ["10.0.0.2", "10.0.0.3", "10.0.0.4"] {
                places.extend(enter(&checks, address, 2).into_iter().map(|place| ("other", place)));
            }
            places
        };
        assert_eq!(
            order(fill()),
            ["running", "other", "failed", "other", "other", "other", "failed", "other", "other"]
        );
        tokio::time::advance(BEHIND_FOR).await;
        assert_eq!(
            order(fill()),
            ["running", "failed", "other", "other", "other", "failed", "other", "other", "other"]
        );
    }

    #[tokio::test]
    async fn a_connection_that_failed_comes_after_others_of_its_address() {
        let checks = Arc::new(Checks::running(1));
        let (guesser, other) = (client("10.0.0.1"), client("10.0.0.1"));
        checks.enter(&guesser).unwrap().failed();
        let mut places = vec![("running", checks.enter(&client("10.0.0.1")).unwrap())];
        places.push(("guess", checks.enter(&guesser).unwrap()));
        places.push(("other", checks.enter(&other).unwrap()));
        assert_eq!(order(places), ["running", "other", "guess"]);
        // If others wait, such a connection gets no place.
        let _waiting: Vec<_> = (0..=WAITING_OF_ONE).filter_map(|_| checks.enter(&other)).collect();
        assert!(checks.enter(&guesser).is_none() && checks.enter(&other).is_some());
    }

    #[tokio::test]
    async fn only_an_address_with_many_checks_finds_no_place() {
        let checks = Arc::new(Checks::running(2));
        let mut held = Vec::new();
        for address in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5"] {
            let places = enter(&checks, address, 2 * WAITING_OF_ONE);
            assert!(places.len() >= WAITING_OF_ONE / 2, "{address}: {}", places.len());
            held.extend(places);
        }
        assert_eq!(checks.lines().waiting, WAITING);
        for number in 0..100 {
            held.push(checks.enter(&client(&format!("10.0.1.{number}"))).unwrap());
            assert_eq!(checks.lines().waiting, WAITING);
        }
        drop(held);
        let lines = checks.lines();
        assert_eq!((lines.running, lines.waiting, lines.by_network.len()), (0, 0, 0));
    }

    #[tokio::test]
    async fn the_number_of_remembered_addresses_is_bounded() {
        let checks = Arc::new(Checks::running(2));
        for number in 0..LINES + 10 {
            let address = format!("10.0.{}.{}", number / 256, number % 256);
            checks.enter(&client(&address)).unwrap().failed();
        }
        assert_eq!(checks.lines().by_network.len(), LINES);
    }

    #[test]
    fn a_network_of_one_client_counts_as_one_address() {
        let network = |address: &str| client(address).network;
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
