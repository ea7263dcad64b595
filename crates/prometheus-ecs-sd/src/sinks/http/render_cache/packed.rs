//! An uncompressed list, which is kept compressed in memory: it takes a ninth of its length, and reading it back is about as fast
//! as copying it.
//!
//! Each piece is in memory as text only while it is being sent, and once for all clients that it is being sent to. So
//! all texts together never take more than the list is long.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::memory::{PIECE, Room};

/// A piece of a list.
#[derive(Debug)]
pub(super) struct Packed {
    deflated: Box<[u8]>,
    length: usize,
    /// Its text, while that is being sent.
    text: Mutex<Weak<Vec<u8>>>,
}

impl Packed {
    fn new(text: &[u8]) -> io::Result<Self> {
        let mut out = DeflateEncoder::new(Vec::new(), Compression::fast());
        out.write_all(text)?;
        Ok(Self { deflated: out.finish()?.into(), length: text.len(), text: Mutex::default() })
    }

    pub(super) fn text(&self) -> Arc<Vec<u8>> {
        // Others that send the same piece wait, about as long as it takes to copy it.
        let mut kept = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = kept.upgrade().unwrap_or_else(|| {
            let mut text = Vec::with_capacity(self.length);
            let read = DeflateDecoder::new(&*self.deflated).read_to_end(&mut text);
            read.expect("the compressed bytes are intact");
            Arc::new(text)
        });
        *kept = Arc::downgrade(&text);
        text
    }
}

/// Compresses the written bytes, and fails when there are more than the room has.
#[derive(Debug)]
pub(super) struct Packing {
    room: Room,
    length: usize,
    text: Vec<u8>,
    pieces: Vec<Packed>,
}

impl Packing {
    pub(super) fn new(room: Room) -> Self {
        Self { room, length: 0, text: Vec::new(), pieces: Vec::new() }
    }

    /// The list, and the room of its text.
    pub(super) fn finish(mut self) -> io::Result<(Vec<Packed>, Room)> {
        if !self.text.is_empty() {
            self.pack()?;
        }
        self.room.shrink(self.length);
        Ok((self.pieces, self.room))
    }

    fn pack(&mut self) -> io::Result<()> {
        self.pieces.push(Packed::new(&self.text)?);
        self.text.clear();
        Ok(())
    }
}

impl Write for Packing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.room.bytes() - self.length < bytes.len() {
            return Err(ErrorKind::OutOfMemory.into());
        }
        self.length += bytes.len();
        self.text.extend_from_slice(bytes);
        if self.text.len() >= PIECE {
            self.pack()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::Memory;
    use super::*;

    #[test]
    fn a_packed_list_is_what_was_written_and_its_text_is_in_memory_while_it_is_used() {
        let memory = Arc::new(Memory::default());
        for size in [0, 1, PIECE - 1, PIECE, 3 * PIECE + 7] {
            let mut packing = Packing::new(memory.reserve(4 * PIECE, 4 * PIECE).unwrap());
            let written: Vec<u8> = (0..size).map(|position| ((position * position) >> 3) as u8).collect();
            written.chunks(1000).for_each(|part| packing.write_all(part).unwrap());
            let (pieces, room) = packing.finish().unwrap();
            assert_eq!((room.bytes(), memory.taken()), (size, size));
            let texts: Vec<_> = pieces.iter().map(Packed::text).collect();
            assert!(texts.iter().all(|text| text.len() < PIECE + 1000));
            assert!(texts.iter().flat_map(|text| text.iter()).eq(&written));
            assert!(pieces.iter().zip(&texts).all(|(piece, text)| Arc::ptr_eq(&piece.text(), text)));
            drop(texts);
            assert!(pieces.iter().all(|piece| piece.text.lock().unwrap().upgrade().is_none()));
        }
        let mut packing = Packing::new(memory.reserve(10, 10).unwrap());
        assert!(packing.write_all(&[0; 11]).is_err());
    }
}
