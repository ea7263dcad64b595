//! The memory of all lists: each is counted from before it is rendered until its last reader is done.

use std::io::{self, ErrorKind, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::body::Bytes;
use tokio::sync::Notify;

/// The size of a list's pieces: a growing list is not copied, and has at most one piece that is not full.
pub(super) const PIECE: usize = 256 << 10;

/// Counts the bytes of lists.
#[derive(Debug, Default)]
pub(super) struct Memory {
    taken: AtomicUsize,
    /// The part of it that is freed as soon as ended connections are gone.
    returning: AtomicUsize,
    /// Notifies when memory was freed.
    pub(super) freed: Notify,
}

/// A part of the memory; dropping it frees the memory.
#[derive(Debug)]
pub(super) struct Room {
    memory: Arc<Memory>,
    bytes: usize,
    is_returning: AtomicBool,
}

impl Memory {
    /// Reserves memory, unless all lists together would take more than `limit`.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize, limit: usize) -> Option<Room> {
        let grown = |taken: usize| taken.checked_add(bytes).filter(|sum| *sum <= limit);
        self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, grown).ok()?;
        Some(Room { memory: self.clone(), bytes, is_returning: AtomicBool::default() })
    }

    /// Whether there will be room once the memory of ended connections is freed.
    pub(super) fn will_have(&self, bytes: usize, limit: usize) -> bool {
        let returning = self.returning.load(Ordering::Acquire);
        self.taken.load(Ordering::Acquire).saturating_sub(returning).saturating_add(bytes) <= limit
    }

    #[cfg(test)]
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }
}

impl Room {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// All its users are disconnected.
    pub(super) fn returns(&self) {
        if !self.is_returning.swap(true, Ordering::AcqRel) {
            self.memory.returning.fetch_add(self.bytes, Ordering::AcqRel);
        }
    }

    /// Frees what is more than that.
    pub(super) fn shrink(&mut self, bytes: usize) {
        self.memory.taken.fetch_sub(self.bytes - bytes, Ordering::AcqRel);
        self.bytes = bytes;
        self.memory.freed.notify_waiters();
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::AcqRel);
        if *self.is_returning.get_mut() {
            self.memory.returning.fetch_sub(self.bytes, Ordering::AcqRel);
        }
        self.memory.freed.notify_waiters();
    }
}

/// Stores the written bytes in its room, and fails when that is full.
#[derive(Debug)]
pub(super) struct Pieces {
    room: Room,
    full: Vec<Bytes>,
    current: Vec<u8>,
    /// The remaining bytes of the current piece, and of the room after it.
    left: (usize, usize),
}

impl Pieces {
    pub(super) fn new(room: Room) -> Self {
        let left = (0, room.bytes);
        Self { room, full: Vec::new(), current: Vec::new(), left }
    }

    /// The written bytes, and their room.
    pub(super) fn finish(mut self) -> (Vec<Bytes>, Room) {
        self.current.shrink_to_fit();
        self.full.push(self.current.into());
        self.room.shrink(self.full.iter().map(Bytes::len).sum());
        (self.full, self.room)
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left.0 == 0 {
            let size = PIECE.min(self.left.1);
            if size == 0 {
                return Err(ErrorKind::OutOfMemory.into());
            }
            let full = std::mem::replace(&mut self.current, Vec::with_capacity(size));
            if !full.is_empty() {
                self.full.push(full.into());
            }
            self.left = (size, self.left.1 - size);
        }
        let taken = bytes.len().min(self.left.0);
        self.current.extend_from_slice(&bytes[..taken]);
        self.left.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_bytes_never_exceed_their_room() {
        let memory = Arc::new(Memory::default());
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE] {
            let room = memory.reserve(3 * PIECE, 4 * PIECE).unwrap();
            assert!(memory.reserve(2 * PIECE, 4 * PIECE).is_none());
            let mut pieces = Pieces::new(room);
            let text: Vec<u8> = (0..size).map(|position| position as u8).collect();
            pieces.write_all(&text).unwrap();
            let (written, room) = pieces.finish();
            assert!(written.concat() == text && written.iter().all(|piece| piece.len() <= PIECE));
            assert_eq!((room.bytes(), memory.taken()), (size, size));
            drop(room);
            assert_eq!(memory.taken(), 0);
        }
        let mut pieces = Pieces::new(memory.reserve(10, 10).unwrap());
        assert!(pieces.write_all(&[0; 11]).is_err());
    }
}
