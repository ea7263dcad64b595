//! The format of the state file: a title line, and then one publication after the other.
//!
//! A publication is a record a line, the first of which is its revision, and a last line with the checksum of everything
//! before it, from the beginning of the file on. The first publication has all facts, and each later one those that
//! changed. The end of a file that is not a whole publication is ignored: the process was killed while it wrote it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crc32fast::Hasher;
use tracing::info;

use super::changes::changes;
use super::reader::Reader;
use super::record::{Publication, Record};
use super::{Facts, State, Unusable};
use crate::clock::Reading;

/// The first line, followed by the version.
const TITLE: &str = "prometheus-ecs-sd state ";
/// The version; increased when an older program would misread the records.
const VERSION: u32 = 3;
/// Since this version there may be several publications. Files of the versions from 1 on are read.
const SEVERAL_PUBLICATIONS: u32 = 3;
/// The last line of a publication, followed by the checksum of all before it.
const END: &str = "end ";

/// The modification time of a file that is, or may be, older than the newest publication.
pub(super) const OUTDATED: SystemTime = UNIX_EPOCH;

/// The length limit of a line, longer than any record: a task definition has at most 64 KiB, and a task less.
const LONGEST_LINE: u64 = 0x10_0000;

/// The end of a file, where the next publication is appended.
#[derive(Clone, Debug, Default)]
pub(super) struct End {
    sum: Hasher,
    pub(super) length: u64,
    /// Whether the file has values of environment variables that are no longer needed.
    pub(super) has_surplus: bool,
}

/// Writes a file with one publication. Equal facts give equal bytes except for the revision and the time.
pub(super) fn begin(
    out: &mut impl Write,
    facts: &Facts,
    publication: Publication,
    clock: Reading,
) -> io::Result<End> {
    let mut out = Summing { out, end: End::default() };
    writeln!(out, "{TITLE}{VERSION}")?;
    out.publish(&Vec::new(), facts, publication, clock)
}

/// Writes the next publication, whose facts were `before` in the one that ends there.
pub(super) fn append(
    out: &mut impl Write,
    end: End,
    (before, facts): (&Facts, &Facts),
    publication: Publication,
    clock: Reading,
) -> io::Result<End> {
    Summing { out, end }.publish(before, facts, publication, clock)
}

/// Reads the file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<State>, Unusable> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    // Opening a pipe would wait for a writer.
    if !metadata.is_file() {
        return Err(Unusable::Foreign);
    }
    let modified = metadata.modified()?;
    let (reader, ignored) = parse(BufReader::new(File::open(path)?))?;
    if ignored > 0 {
        let file = path.display();
        info!(%file, bytes = ignored, "state file ends in an incomplete publication, which is ignored");
    }
    let (revision, saved_at, is_all) = match reader.publication {
        Some(Publication { revision, at, is_all, .. }) => (Some(revision), at, is_all),
        None => (None, Duration::ZERO, true),
    };
    // The ignored publication may have been shown before it was saved, if the disk was slow.
    let is_newest = modified > OUTDATED && is_all && ignored == 0;
    let as_of = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).max(saved_at);
    Ok(Some(State { sources: reader.sources(), as_of, revision, is_newest }))
}

/// Reads the output of [`begin`] and [`append`], and nothing else. Also returns the number of bytes at the end that are
/// not a whole publication.
pub(super) fn parse(mut file: impl BufRead + Seek) -> Result<(Reader, u64), Unusable> {
    // A publication is valid only with its end. So the file is read twice, instead of keeping it in memory.
    let whole = whole_publications(&mut file)?;
    let length = file.seek(SeekFrom::End(0))?;
    file.rewind()?;
    let mut lines = Lines::new(file.take(whole));
    lines.version()?;
    let mut reader = Reader::default();
    while lines.length < whole {
        if lines.next()? == Line::Record {
            let record = serde_json::from_slice(&lines.line).map_err(|error| damaged(&error.to_string()))?;
            reader.take(record).map_err(|problem| damaged(&problem))?;
        }
    }
    Ok((reader, length.saturating_sub(whole)))
}

/// The length of the file up to the end of the last whole publication; an error if there is none.
fn whole_publications(file: impl BufRead) -> Result<u64, Unusable> {
    let mut lines = Lines::new(file);
    let has_several = lines.version()? >= SEVERAL_PUBLICATIONS;
    let mut whole = None;
    loop {
        match (lines.next(), whole) {
            (Ok(Line::Record), _) => {}
            (Ok(Line::End), _) if lines.is_last().unwrap_or_default() => return Ok(lines.length),
            (Ok(Line::End), _) if has_several => whole = Some(lines.length),
            (Ok(Line::End), _) => return Err(damaged("it continues after its end")),
            (Err(Unusable::Damaged(_) | Unusable::Unreadable(_)), Some(whole)) => return Ok(whole),
            (Err(error), _) => return Err(error),
        }
    }
}

/// Reads a file line by line, and checks the checksums.
struct Lines<R> {
    file: R,
    line: Vec<u8>,
    sum: Hasher,
    /// The checksum of the bytes read so far.
    length: u64,
}

#[derive(PartialEq, Eq)]
enum Line {
    Record,
    /// The last line of a whole publication.
    End,
}

impl<R: BufRead> Lines<R> {
    fn new(file: R) -> Self {
        Self { file, line: Vec::new(), sum: Hasher::new(), length: 0 }
    }

    /// Reads the first line.
    fn version(&mut self) -> Result<u32, Unusable> {
        self.read()?;
        let title = self.line.strip_prefix(TITLE.as_bytes()).ok_or(Unusable::Foreign)?;
        let version = title.strip_suffix(b"\n").and_then(|version| std::str::from_utf8(version).ok());
        match version.and_then(|version| Some((version, version.parse().ok()?))) {
            Some((_, version @ 1..=VERSION)) => Ok(version),
            Some((text, _)) => Err(Unusable::OtherVersion(text.to_owned())),
            None => Err(Unusable::Foreign),
        }
    }

    fn next(&mut self) -> Result<Line, Unusable> {
        let before = self.sum.clone();
        self.read()?;
        match self.line.strip_prefix(END.as_bytes()) {
            None => Ok(Line::Record),
            Some(sum) if sum == format!("{:08x}\n", before.finalize()).as_bytes() => Ok(Line::End),
            Some(_) => Err(damaged("its checksum is wrong")),
        }
    }

    fn read(&mut self) -> Result<(), Unusable> {
        self.line.clear();
        self.file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut self.line)?;
        if !self.line.ends_with(b"\n") {
            return Err(damaged("it is cut off"));
        }
        self.sum.update(&self.line);
        self.length += self.line.len() as u64;
        Ok(())
    }

    fn is_last(&mut self) -> io::Result<bool> {
        Ok(self.file.fill_buf()?.is_empty())
    }
}

fn damaged(how: &str) -> Unusable {
    Unusable::Damaged(how.to_owned())
}

/// Computes the checksum of the bytes written through it.
struct Summing<W> {
    out: W,
    end: End,
}

impl<W: Write> Summing<W> {
    fn publish(
        mut self,
        before: &Facts,
        facts: &Facts,
        publication: Publication,
        clock: Reading,
    ) -> io::Result<End> {
        // A record is written as a whole: JSON is made of very short texts, and each write costs a checksum.
        let mut line = Vec::new();
        let mut write = |record: Record<'_>| {
            line.clear();
            serde_json::to_writer(&mut line, &record)?;
            line.push(b'\n');
            self.write_all(&line)
        };
        write(Record::Revision(publication))?;
        let has_surplus = changes(before, facts, clock, write)?;
        self.end.has_surplus |= has_surplus;
        let sum = self.end.sum.clone().finalize();
        writeln!(self, "{END}{sum:08x}")?;
        Ok(self.end)
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.end.sum.update(&bytes[..written]);
        self.end.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
