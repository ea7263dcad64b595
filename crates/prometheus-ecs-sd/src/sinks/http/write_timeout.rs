//! Closes a connection when its client reads the answer too slowly.
//!
//! It also tells the connection limit when a whole answer was written.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

use super::connection_limit::Connection;

/// The slowest client that is served: it reads this many bytes, or the rest, in this time. The system reports progress
/// only when a third of its buffer is free again, which is more than a megabyte.
const LEAST_BYTES: usize = 64 << 10;
const WITHIN: Duration = Duration::from_secs(30);

/// The time limit of a whole answer. Prometheus has timed out by then, and a list takes memory while it is being sent.
const AT_MOST: Duration = Duration::from_secs(120);

/// After this many bytes without a pause, other connections continue: some need only a few bytes.
const BURST: usize = 2 << 20;

/// The bytes of a connection, TLS included.
#[derive(Debug)]
pub(super) struct WriteTimeout<S> {
    stream: S,
    connection: Arc<Connection>,
    /// Runs while the client has bytes to read.
    limit: Option<Pin<Box<Sleep>>>,
    /// Bytes read since it runs.
    taken: usize,
    /// Bytes written without a pause.
    burst: usize,
    /// When the first bytes of an answer were written, until all of it is.
    answering: Option<Instant>,
}

impl<S> WriteTimeout<S> {
    pub(super) fn new(stream: S, connection: Arc<Connection>) -> Self {
        Self { stream, connection, limit: None, taken: 0, burst: 0, answering: None }
    }

    /// Lets other connections continue after a burst.
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
        Poll::Ready(Err(io::Error::new(ErrorKind::TimedOut, "the client reads the answer too slowly")))
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
                // An answer in pieces is flushed after each piece.
                if !self.connection.is_unfinished() && self.answering.take().is_some() {
                    self.connection.end_answer();
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

    /// Both ends of a connection with a buffer of a kilobyte.
    fn connection() -> (WriteTimeout<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(1024);
        (WriteTimeout::new(near, Arc::new(ConnectionLimit::new(1).open())), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_closed() {
        let (mut near, _far) = connection();
        let began = Instant::now();
        let error = near.write_all(&[0; 4096]).await.unwrap_err();
        assert_eq!((error.kind(), began.elapsed().as_secs()), (ErrorKind::TimedOut, WITHIN.as_secs()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_a_little_now_and_then_is_closed() {
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
    async fn an_answer_has_a_time_limit() {
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
    async fn an_answer_in_pieces_has_the_same_time_limit() {
        let (near, mut far) = duplex(1024);
        let connection = Arc::new(ConnectionLimit::new(1).open());
        let answer = connection.hangup();
        let mut near = WriteTimeout::new(near, connection);
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
    async fn a_slow_client_gets_the_whole_answer() {
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
        // The time between two answers does not count.
        sleep(WITHIN * 2).await;
        near.write_all(&[0; 4096]).await.unwrap();
        drop(near);
        assert_eq!(reading.await.unwrap(), (1 << 20) + 4096);
    }
}
