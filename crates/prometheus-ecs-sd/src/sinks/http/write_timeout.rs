//! A connection that is given up when its other end takes the answer too slowly.
//!
//! It is also what knows when an answer is on its way as a whole.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection_limit::Connection;

/// The slowest link that is served: so many bytes, or all that is left, within so long. The system tells of progress
/// only when a third of its buffer is free again, which is more than a megabyte.
const LEAST_BYTES: usize = 64 << 10;
const WITHIN: Duration = Duration::from_secs(30);

/// How long a whole answer may take. Prometheus has given up by then; and as long as a list is being sent it takes memory,
/// however old it is.
const AT_MOST: Duration = Duration::from_secs(120);

/// After so many bytes in one go it is the turn of other connections, of which some wait for a few bytes only.
const BURST: usize = 2 << 20;

/// The bytes of a connection, TLS included.
#[derive(Debug)]
pub(super) struct WriteTimeout<S> {
    stream: S,
    seat: Arc<Connection>,
    /// Runs while the other end has enough to take.
    limit: Option<Pin<Box<Sleep>>>,
    /// Taken since it runs.
    taken: usize,
    /// Taken without a pause.
    burst: usize,
    /// When the first bytes of an answer were taken, until it is on its way as a whole.
    answering: Option<Instant>,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(stream: S, seat: Arc<Connection>) -> Self {
        Self { stream, seat, limit: None, taken: 0, burst: 0, answering: None }
    }

    /// Makes way for others, now and then.
    fn pauses(&mut self, at: &Context<'_>) -> bool {
        let is_long = self.burst >= BURST;
        if is_long {
            self.burst = 0;
            at.waker().wake_by_ref();
        }
        is_long
    }

    fn written(&mut self, result: Poll<io::Result<usize>>, at: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match result {
            Poll::Pending => self.waits(at),
            Poll::Ready(Ok(bytes)) => {
                self.answering.get_or_insert_with(Instant::now);
                self.taken += bytes;
                self.burst += bytes;
                if self.taken >= LEAST_BYTES {
                    (self.limit, self.taken) = (None, 0);
                }
                Poll::Ready(Ok(bytes))
            }
            failed => failed,
        }
    }

    fn waits<T>(&mut self, at: &mut Context<'_>) -> Poll<io::Result<T>> {
        self.burst = 0;
        let limit = self.limit.get_or_insert_with(|| {
            self.taken = 0;
            let end = Instant::now() + WITHIN;
            Box::pin(sleep_until(self.answering.map_or(end, |began| end.min(began + AT_MOST))))
        });
        ready!(limit.as_mut().poll(at));
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the answer is taken too slowly")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for WriteTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        at: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(at, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, at: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.pauses(at) {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.stream).poll_write(at, bytes);
        self.written(result, at)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        at: &mut Context<'_>,
        bytes: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.pauses(at) {
            return Poll::Pending;
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(at, bytes);
        self.written(result, at)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, at: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_flush(at) {
            Poll::Pending => self.waits(at),
            Poll::Ready(result) => {
                self.limit = None;
                // An answer in pieces is flushed after each.
                if !self.seat.is_unfinished() && self.answering.take().is_some() {
                    self.seat.rest();
                }
                Poll::Ready(result)
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, at: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.stream).poll_shutdown(at) {
            Poll::Pending => self.waits(at),
            ready => ready,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::sleep;

    use super::*;
    use crate::sinks::http::connection_limit::ConnectionLimit;

    /// Both ends of a connection that holds a kilobyte on its way.
    fn connection() -> (WriteTimeout<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1024);
        (WriteTimeout::new(near, Arc::new(ConnectionLimit::new(1).take())), far)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_given_up() {
        let (mut near, _far) = connection();
        let began = Instant::now();
        let error = near.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::TimedOut, WITHIN.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_a_little_now_and_then_is_given_up() {
        let (mut near, mut far) = connection();
        let reading = tokio::spawn(async move {
            while far.read_u8().await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let began = Instant::now();
        assert!(near.write_all(&[0; 1 << 20]).await.is_err());
        assert!(began.elapsed() <= WITHIN + Duration::from_secs(1));
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_takes_longer_than_it_is_worth() {
        let (mut near, mut far) = connection();
        let reading = tokio::spawn(async move {
            // Always fast enough for a little longer.
            while far.read_exact(&mut [0; LEAST_BYTES]).await.is_ok() {
                sleep(Duration::from_secs(20)).await;
            }
        });
        let began = Instant::now();
        assert!(near.write_all(&[0; 1 << 20]).await.is_err());
        assert_eq!(began.elapsed().as_secs(), AT_MOST.as_secs());
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_flushed_piece_by_piece_takes_no_longer_either() {
        let (near, mut far) = duplex(1024);
        let seat = Arc::new(ConnectionLimit::new(1).take());
        let answer = seat.hangup();
        let mut near = WriteTimeout::new(near, seat);
        let reading = tokio::spawn(async move {
            while far.read_exact(&mut [0; LEAST_BYTES]).await.is_ok() {
                sleep(Duration::from_secs(20)).await;
            }
        });
        answer.unfinished(true);
        let began = Instant::now();
        while near.write_all(&[0; LEAST_BYTES]).await.is_ok() && near.flush().await.is_ok() {}
        assert_eq!(began.elapsed().as_secs(), AT_MOST.as_secs());
        reading.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_slow_gets_all_of_it() {
        let (mut near, mut far) = connection();
        let reading = tokio::spawn(async move {
            let mut read = 0;
            while let Ok(bytes @ 1..) = far.read(&mut [0; 1024]).await {
                read += bytes;
                sleep(Duration::from_millis(100)).await;
            }
            read
        });
        near.write_all(&[0; 1 << 20]).await.unwrap();
        near.flush().await.unwrap();
        // Time that passes between two answers is nobody's.
        sleep(WITHIN * 2).await;
        near.write_all(&[0; 4096]).await.unwrap();
        drop(near);
        assert_eq!(reading.await.unwrap(), (1 << 20) + 4096);
    }
}
