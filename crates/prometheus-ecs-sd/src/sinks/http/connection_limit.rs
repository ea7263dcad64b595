//! Limits the number of connections. At the limit, a new connection closes the one that has been idle longest, so that
//! idle connections do not keep other clients out.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// Set in the rank of a connection with a request in progress: those are closed last, unless they are more than half.
const ANSWERING: u64 = 1 << 63;

/// All connections.
#[derive(Debug)]
pub(super) struct ConnectionLimit {
    limit: usize,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    /// Counts events of connections, and serves as the clock.
    now: u64,
    /// By rank, the time of their last event.
    by_rank: BTreeMap<u64, Arc<Notify>>,
}

/// One connection; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Connection {
    limit: Arc<ConnectionLimit>,
    rank: AtomicU64,
    closing: Arc<Notify>,
    is_unfinished: Arc<AtomicBool>,
}

impl ConnectionLimit {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, open: Mutex::default() })
    }

    /// Counts a new connection; at the limit, closes another.
    pub(super) fn open(self: &Arc<Self>) -> Connection {
        let mut open = self.lock();
        while open.by_rank.len() >= self.limit {
            open.close_one(self.limit);
        }
        let (rank, closing) = (open.next(), Arc::new(Notify::new()));
        open.by_rank.insert(rank, closing.clone());
        Connection { limit: self.clone(), rank: AtomicU64::new(rank), closing, is_unfinished: Arc::default() }
    }

    /// Closes one connection, since the system cannot accept another.
    pub(super) fn close_one(&self) {
        self.lock().close_one(self.limit);
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn next(&mut self) -> u64 {
        self.now += 1;
        self.now
    }

    /// Closes a connection without a request in progress, if possible. If more than half have one, closes the oldest of
    /// those: otherwise too few would be left for clients that have not sent a request yet.
    fn close_one(&mut self, limit: usize) {
        let mut answered = self.by_rank.range(ANSWERING..).map(|(rank, _)| *rank);
        let first = answered.next().filter(|_| answered.count() >= limit / 2);
        let closing = match first {
            Some(rank) => self.by_rank.remove(&rank),
            None => self.by_rank.pop_first().map(|(_, closing)| closing),
        };
        if let Some(closing) = closing {
            closing.notify_one();
        }
    }
}

/// Closes a connection, for an answer that is sent in pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Hangup {
    closing: Arc<Notify>,
    is_unfinished: Arc<AtomicBool>,
}

impl Hangup {
    pub(super) fn hang_up(&self) {
        self.closing.notify_one();
    }

    /// Records whether more pieces of the answer follow.
    pub(super) fn unfinished(&self, is_unfinished: bool) {
        self.is_unfinished.store(is_unfinished, Ordering::Relaxed);
    }

    /// Waits until the connection is ended.
    #[cfg(test)]
    pub(super) async fn hung_up(&self) {
        self.closing.notified().await;
    }
}

impl Connection {
    /// For code that may have to close the connection.
    pub(super) fn hangup(&self) -> Hangup {
        Hangup { closing: self.closing.clone(), is_unfinished: self.is_unfinished.clone() }
    }

    /// Whether more pieces of the current answer follow.
    pub(super) fn is_unfinished(&self) -> bool {
        self.is_unfinished.load(Ordering::Relaxed)
    }

    /// A request has arrived.
    pub(super) fn begin_answer(&self) {
        self.rank(ANSWERING);
    }

    /// The whole answer was written.
    pub(super) fn end_answer(&self) {
        self.rank(0);
    }

    /// Waits until this connection is to be closed.
    pub(super) async fn closed(&self) {
        self.closing.notified().await;
    }

    fn rank(&self, phase: u64) {
        let mut open = self.limit.lock();
        let rank = phase | open.next();
        // A connection that is being closed is not counted again.
        if let Some(closing) = open.by_rank.remove(&self.rank.swap(rank, Ordering::Relaxed)) {
            open.by_rank.insert(rank, closing);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.limit.lock().by_rank.remove(&self.rank.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn is_closed(connection: &Connection) -> bool {
        connection.closed().now_or_never().is_some()
    }

    #[test]
    fn the_longest_idle_connection_is_closed_first_and_one_with_a_request_last() {
        let limit = ConnectionLimit::new(3);
        let [answered, first, second] = [limit.open(), limit.open(), limit.open()];
        answered.begin_answer();
        first.begin_answer();
        first.end_answer();
        let third = limit.open();
        assert!(is_closed(&second) && !is_closed(&first) && !is_closed(&answered));
        let fourth = limit.open();
        assert!(is_closed(&first) && !is_closed(&third) && !is_closed(&answered));
        // Its later events do not count it again.
        first.begin_answer();
        first.end_answer();
        drop((first, third, fourth));
        let others = [limit.open(), limit.open()];
        assert!(!is_closed(&answered));
        for other in &others {
            other.begin_answer();
        }
        let _last = limit.open();
        assert!(is_closed(&answered) && !others.iter().any(is_closed));
    }

    #[test]
    fn a_connection_is_hung_up_on() {
        let limit = ConnectionLimit::new(2);
        let [one, other] = [limit.open(), limit.open()];
        one.hangup().hang_up();
        assert!(is_closed(&one) && !is_closed(&other));
    }

    #[test]
    fn connections_with_a_request_leave_half_to_others() {
        let limit = ConnectionLimit::new(8);
        let answered: Vec<_> = (0..8).map(|_| limit.open()).collect();
        answered.iter().for_each(Connection::begin_answer);
        let came = limit.open();
        let others: Vec<_> = (0..3).map(|_| limit.open()).collect();
        assert!(!is_closed(&came) && !others.iter().any(is_closed));
        assert_eq!(answered.iter().filter(|connection| is_closed(connection)).count(), 4);
    }
}
