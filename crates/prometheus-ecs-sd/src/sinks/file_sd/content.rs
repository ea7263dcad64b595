//! The content of a target file as the texts of its targets, and the next content made from it: unchanged texts are
//! copied from the replaced file, and only the others are rendered.
//!
//! The kernel copies where it can, so that a change among many targets costs little more than the disk write.
//! Only the lengths of the texts are in memory.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

use ecs_discovery::groups::{EMPTY, END, SEPARATOR, separator};
use ecs_discovery::render::{file_sd, http_sd};
use ecs_discovery::target::Target;

/// The labels of a document.
#[derive(Clone, Copy, Debug)]
pub(super) enum Form {
    /// For a file whose targets have one scrape interval.
    OfOneInterval,
    /// Each target has its scrape interval.
    OfAnyInterval,
}

impl Form {
    fn push(self, group: &mut Vec<u8>, target: &Target) {
        match self {
            Self::OfOneInterval => file_sd::push(group, target),
            Self::OfAnyInterval => http_sd::push(group, target),
        }
    }
}

/// The lengths of the texts, in the order of the targets.
#[derive(Debug, Default)]
pub(super) struct Content(Vec<u32>);

/// A part of the next content.
#[derive(Debug)]
enum Piece<'a> {
    /// Texts that follow one another in the file, by position.
    Kept(Range<usize>),
    New(&'a Target),
}

/// The next content of a file.
#[derive(Debug)]
pub(super) struct Next<'a> {
    before: &'a Content,
    pieces: Vec<Piece<'a>>,
    form: Form,
}

impl Content {
    /// Writes the document of these targets.
    pub(super) fn write<'a>(
        form: Form,
        targets: impl Iterator<Item = &'a Arc<Target>>,
        out: &mut impl Write,
    ) -> io::Result<Self> {
        let mut writer = Writer { out, form, lengths: Vec::new(), group: Vec::new() };
        targets.into_iter().try_for_each(|target| writer.render(target))?;
        writer.end()
    }

    /// The next content, of the targets `now`; `None` if it is the same. `before` are the targets of this content.
    pub(super) fn next<'s, 'a: 's>(
        &'s self,
        form: Form,
        before: impl Iterator<Item = &'a Arc<Target>>,
        now: impl Iterator<Item = &'a Arc<Target>>,
    ) -> Option<Next<'s>> {
        let mut before = before.enumerate().peekable();
        let (mut pieces, mut kept) = (Vec::<Piece<'_>>::new(), 0);
        for target in now {
            let is_same = |(_, earlier): &(usize, &Arc<Target>)| Arc::ptr_eq(earlier, target);
            let found = before.next_if(is_same).or_else(|| {
                while before.next_if(|(_, earlier)| earlier.in_order(target).is_lt()).is_some() {}
                let twin = before.next_if(|(_, earlier)| earlier.in_order(target).is_eq());
                twin.filter(|(_, earlier)| Arc::ptr_eq(earlier, target) || earlier.is_published_like(target))
            });
            let Some((position, _)) = found else {
                pieces.push(Piece::New(target));
                continue;
            };
            kept += 1;
            match pieces.last_mut() {
                Some(Piece::Kept(range)) if range.end == position => range.end += 1,
                _ => pieces.push(Piece::Kept(position..position + 1)),
            }
        }
        let is_same = kept == self.0.len() && pieces.iter().all(|piece| matches!(piece, Piece::Kept(_)));
        (!is_same).then_some(Next { before: self, pieces, form })
    }
}

impl Next<'_> {
    /// Writes it, given the file with the previous content.
    pub(super) fn write(&self, mut file: &File, out: &mut BufWriter<&File>) -> io::Result<Content> {
        let lengths = &self.before.0;
        let bytes = |range: Range<usize>| -> u64 {
            lengths[range].iter().map(|length| u64::from(*length) + SEPARATOR as u64).sum()
        };
        let (mut position, mut offset) = (0, 0);
        let mut writer = Writer { out, form: self.form, lengths: Vec::new(), group: Vec::new() };
        for piece in &self.pieces {
            match piece {
                Piece::New(target) => writer.render(target)?,
                Piece::Kept(range) => {
                    offset += bytes(position..range.start);
                    let length = bytes(range.clone());
                    writer.separate()?;
                    file.seek(SeekFrom::Start(offset + SEPARATOR as u64))?;
                    let wanted = length - SEPARATOR as u64;
                    // With these types, which are known to be files, the kernel copies.
                    if io::copy(&mut file.take(wanted), writer.out)? != wanted {
                        return Err(ErrorKind::UnexpectedEof.into());
                    }
                    writer.lengths.extend(&lengths[range.clone()]);
                    (position, offset) = (range.end, offset + length);
                }
            }
        }
        writer.end()
    }
}

/// Writes a document, text after text.
struct Writer<'a, W> {
    out: &'a mut W,
    form: Form,
    lengths: Vec<u32>,
    group: Vec<u8>,
}

impl<W: Write> Writer<'_, W> {
    fn separate(&mut self) -> io::Result<()> {
        self.out.write_all(separator(self.lengths.is_empty()).as_bytes())
    }

    fn render(&mut self, target: &Target) -> io::Result<()> {
        self.separate()?;
        self.group.clear();
        self.form.push(&mut self.group, target);
        self.out.write_all(&self.group)?;
        // One task publishes at most a mebibyte.
        self.lengths.push(u32::try_from(self.group.len()).map_err(io::Error::other)?);
        Ok(())
    }

    fn end(mut self) -> io::Result<Content> {
        self.out.write_all(if self.lengths.is_empty() { EMPTY } else { END }.as_bytes())?;
        self.lengths.shrink_to_fit();
        Ok(Content(self.lengths))
    }
}
