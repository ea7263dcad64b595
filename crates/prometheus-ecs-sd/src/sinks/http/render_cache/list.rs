//! One list as it is sent, and the clients that read it.
//!
//! As long as a client has a piece of a list, the list exists and takes its memory. A client can be cut off: its
//! connection ends, and since the answer stated its length, the client does not take the received part for the whole.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::time::Instant;

use super::memory::Room;
use super::packed::Packed;
use crate::sinks::http::connection_limit::Hangup;

/// A list's bytes.
#[derive(Debug)]
pub(in crate::sinks::http) struct List {
    pieces: Pieces,
    readers: Mutex<Readers>,
    /// Dropped after the bytes.
    room: Room,
}

/// The bytes as they are sent, or packed.
#[derive(Debug)]
enum Pieces {
    Kept(Vec<Bytes>),
    Packed(Vec<Packed>),
}

#[derive(Debug, Default)]
struct Readers {
    /// The readers, in the order in which they began.
    current: BTreeMap<u64, (Instant, Hangup)>,
    began: u64,
    is_cut_off: bool,
}

/// An answer's body.
#[derive(Debug)]
pub(in crate::sinks::http) struct Reading {
    reader: Arc<Reader>,
    next: usize,
    left: u64,
    connection: Hangup,
}

/// Exists until the last byte that was handed out has been written.
#[derive(Debug)]
struct Reader {
    list: Arc<List>,
    number: u64,
}

/// A piece that is being sent.
struct Piece {
    bytes: Sent,
    _reader: Arc<Reader>,
}

enum Sent {
    Kept(Bytes),
    Text(Arc<Vec<u8>>),
}

impl List {
    pub(super) fn kept((pieces, room): (Vec<Bytes>, Room)) -> Self {
        Self { pieces: Pieces::Kept(pieces), readers: Mutex::default(), room }
    }

    pub(super) fn packed((pieces, room): (Vec<Packed>, Room)) -> Self {
        Self { pieces: Pieces::Packed(pieces), readers: Mutex::default(), room }
    }

    fn piece(&self, number: usize) -> Option<Sent> {
        match &self.pieces {
            Pieces::Kept(pieces) => pieces.get(number).cloned().map(Sent::Kept),
            Pieces::Packed(pieces) => pieces.get(number).map(|piece| Sent::Text(piece.text())),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.room.bytes()
    }

    /// The body for a client that is disconnected if it reads too slowly.
    pub(in crate::sinks::http) fn read(self: Arc<Self>, connection: Hangup) -> Reading {
        let mut readers = self.readers();
        readers.began += 1;
        let number = readers.began;
        if readers.is_cut_off {
            connection.hang_up();
        }
        readers.current.insert(number, (Instant::now(), connection.clone()));
        drop(readers);
        connection.unfinished(true);
        let left = self.bytes() as u64;
        Reading { reader: Arc::new(Reader { list: self, number }), next: 0, left, connection }
    }

    /// When the earliest of its readers began.
    pub(super) fn read_since(&self) -> Option<Instant> {
        self.readers().current.first_key_value().map(|(_, (began, _))| *began)
    }

    /// Disconnects all its readers.
    pub(super) fn cut_off(&self) {
        let mut readers = self.readers();
        readers.is_cut_off = true;
        self.room.returns();
        readers.current.values().for_each(|(_, connection)| connection.hang_up());
    }

    pub(super) fn is_cut_off(&self) -> bool {
        self.readers().is_cut_off
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.list.readers().current.remove(&self.number);
    }
}

impl Drop for Reading {
    /// Nothing more follows, even if not all was asked for.
    fn drop(&mut self) {
        self.connection.unfinished(false);
    }
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl AsRef<[u8]> for Sent {
    fn as_ref(&self) -> &[u8] {
        match self {
            Self::Kept(bytes) => bytes,
            Self::Text(text) => text,
        }
    }
}

impl Body for Reading {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(bytes) = self.reader.list.piece(self.next) else { return Poll::Ready(None) };
        self.next += 1;
        self.left -= bytes.as_ref().len() as u64;
        self.connection.unfinished(self.left > 0);
        let piece = Piece { bytes, _reader: self.reader.clone() };
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_owner(piece)))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
