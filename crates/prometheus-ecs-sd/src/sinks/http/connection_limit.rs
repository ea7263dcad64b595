//! Who is connected. There are so many seats and no more; when all are taken, whoever comes gets that of the one who
//! has asked for nothing longest. So any number of idle connections keeps nobody out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Set in the rank of a connection that is being answered: those are given up last, as long as they are no more than half.
const ANSWERING: u64 = 1 << 63;

/// All seats.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    limit: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    /// Counts what connections do, which is all the time that matters here.
    now: u64,
    /// By rank, which is when they last did something.
    by_rank: BTreeMap<u64, Arc<Notify>>,
}

/// One connection's seat, free again when this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    seats: Arc<ConnectionLimit>,
    rank: AtomicU64,
    lost: Arc<Notify>,
    is_unfinished: Arc<AtomicBool>,
}

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, taken: Mutex::default() })
    }

    /// A seat for a new connection, taken from another if need be.
    pub(super) fn take(self: &Arc<Self>) -> Connection {
        let mut taken = self.taken();
        while taken.by_rank.len() >= self.limit {
            taken.give_up_one(self.limit);
        }
        let (rank, lost) = (taken.next(), Arc::new(Notify::new()));
        taken.by_rank.insert(rank, lost.clone());
        Connection { seats: self.clone(), rank: AtomicU64::new(rank), lost, is_unfinished: Arc::default() }
    }

    /// Gives up a connection, for want of anything else that connections take.
    pub(super) fn give_up_one(&self) {
        self.taken().give_up_one(self.limit);
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    fn next(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Who is answered goes last, unless those have more than half of the seats: there would be too few left for who has
    /// come and not asked yet.
    fn give_up_one(&mut self, limit: usize) {
        let mut answered = self.by_rank.range(ANSWERING..).map(|(rank, _)| *rank);
        let first = answered.next().filter(|_| answered.count() >= limit / 2);
        let lost = match first {
            Some(rank) => self.by_rank.remove(&rank),
            None => self.by_rank.pop_first().map(|(_, lost)| lost),
        };
        if let Some(lost) = lost {
            lost.notify_one();
        }
    }
}

/// A connection, for an answer that is sent in pieces: it may have to end the connection.
#[derive(Clone, Debug, Default)]
pub(super) struct Hangup {
    lost: Arc<Notify>,
    is_unfinished: Arc<AtomicBool>,
}

impl Hangup {
    pub(super) fn hang_up(&self) {
        self.lost.notify_one();
    }

    /// Says whether more of the answer follows what was handed out.
    pub(super) fn unfinished(&self, is_unfinished: bool) {
        self.is_unfinished.store(is_unfinished, Ordering::Relaxed);
    }

    /// Waits until the connection is ended.
    #[cfg(test)]
    pub(super) async fn hung_up(&self) {
        self.lost.notified().await;
    }
}

impl Connection {
    /// For code that may have to end the connection.
    pub(super) fn hangup(&self) -> Hangup {
        Hangup { lost: self.lost.clone(), is_unfinished: self.is_unfinished.clone() }
    }

    /// Whether an answer is under way of which more will be handed out.
    pub(super) fn is_unfinished(&self) -> bool {
        self.is_unfinished.load(Ordering::Relaxed)
    }

    /// A request has come.
    pub(super) fn answer(&self) {
        self.rank(ANSWERING);
    }

    /// Its answer is on its way.
    pub(super) fn rest(&self) {
        self.rank(0);
    }

    /// Waits until another connection has this seat.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }

    fn rank(&self, phase: u64) {
        let mut taken = self.seats.taken();
        let rank = phase | taken.next();
        // Who has lost the seat stays without.
        if let Some(lost) = taken.by_rank.remove(&self.rank.swap(rank, Ordering::Relaxed)) {
            taken.by_rank.insert(rank, lost);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.seats.taken().by_rank.remove(&self.rank.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_lost(seat: &Connection) -> bool {
        seat.lost().now_or_never().is_some()
    }

    #[test]
    fn the_one_that_was_idle_longest_is_given_up_and_one_that_is_answered_last() {
        let seats = ConnectionLimit::new(3);
        let [answered, first, second] = [seats.take(), seats.take(), seats.take()];
        answered.answer();
        first.answer();
        first.rest();
        let third = seats.take();
        assert!(is_lost(&second) && !is_lost(&first) && !is_lost(&answered));
        let fourth = seats.take();
        assert!(is_lost(&first) && !is_lost(&third) && !is_lost(&answered));
        // Nothing that it does brings the seat back.
        first.answer();
        first.rest();
        drop((first, third, fourth));
        let others = [seats.take(), seats.take()];
        assert!(!is_lost(&answered));
        for seat in &others {
            seat.answer();
        }
        let _last = seats.take();
        assert!(is_lost(&answered) && !others.iter().any(is_lost));
    }

    #[test]
    fn a_connection_is_hung_up_on() {
        let seats = ConnectionLimit::new(2);
        let [one, other] = [seats.take(), seats.take()];
        one.hangup().hang_up();
        assert!(is_lost(&one) && !is_lost(&other));
    }

    #[test]
    fn many_that_are_answered_leave_time_to_ask() {
        let seats = ConnectionLimit::new(8);
        let answered: Vec<_> = (0..8).map(|_| seats.take()).collect();
        answered.iter().for_each(Connection::answer);
        let came = seats.take();
        let others: Vec<_> = (0..3).map(|_| seats.take()).collect();
        assert!(!is_lost(&came) && !others.iter().any(is_lost));
        assert_eq!(answered.iter().filter(|seat| is_lost(seat)).count(), 4);
    }
}
