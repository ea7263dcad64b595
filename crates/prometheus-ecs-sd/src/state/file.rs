//! The state file's form: a first line that says what it is, a record a line, and a last line that says that it is whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crc32fast::Hasher;

use super::record::{Reader, Record, records};
use super::{Facts, Revision, State, Unusable};
use crate::clock::Reading;

/// The first line, followed by the version.
const TITLE: &str = "prometheus-ecs-sd state ";
/// Counts the changes of the records' form that a program would misread which does not know them.
const VERSION: &str = "2";
/// A version without the revision; it is still read.
const EARLIER_VERSION: &str = "1";
/// The last line, followed by the checksum of all before it.
const END: &str = "end ";

/// The modification time of a file that is, or may be, older than the newest publication.
pub(super) const OUTDATED: SystemTime = UNIX_EPOCH;

/// Longer than any record: a task definition has at most 64 KiB, and a task no more than its containers and tags.
const LONGEST_LINE: u64 = 0x10_0000;

/// Writes the facts; equal facts give equal bytes except for the revision and the time.
pub(super) fn write(
    out: &mut impl Write,
    facts: &Facts,
    revision: Revision,
    clock: Reading,
) -> io::Result<()> {
    let mut out = Summing { out, sum: Hasher::new() };
    writeln!(out, "{TITLE}{VERSION}")?;
    let mut write = |record: Record<'_>| {
        serde_json::to_writer(&mut out, &record)?;
        out.write_all(b"\n")
    };
    write(Record::revision(revision, clock.now()))?;
    for (source, saved) in facts {
        records(source, saved, clock, &mut write)?;
    }
    let sum = out.sum.finalize();
    writeln!(out.out, "{END}{sum:08x}")
}

/// Reads the file; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<State>, Unusable> {
    let metadata = match path.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    // Opening a pipe would wait for someone to write into it.
    if !metadata.is_file() {
        return Err(Unusable::Foreign);
    }
    let modified = metadata.modified()?;
    let reader = parse(BufReader::new(File::open(path)?))?;
    let is_newest = modified > OUTDATED;
    let as_of = modified.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).max(reader.saved_at);
    let revision = reader.revision;
    let sources = reader.sources();
    Ok(Some(State { sources, as_of, revision, is_newest }))
}

/// Reads what [`write`] wrote, and nothing else.
pub(super) fn parse(mut file: impl BufRead) -> Result<Reader, Unusable> {
    let mut line = Vec::new();
    let mut sum = Hasher::new();
    next_line(&mut file, &mut line)?;
    let title = line.strip_prefix(TITLE.as_bytes()).ok_or(Unusable::Foreign)?;
    match title.strip_suffix(b"\n").and_then(|version| std::str::from_utf8(version).ok()) {
        Some(VERSION | EARLIER_VERSION) => {}
        Some(version) if version.parse::<u32>().is_ok() => {
            return Err(Unusable::OtherVersion(version.to_owned()));
        }
        _ => return Err(Unusable::Foreign),
    }
    let mut reader = Reader::default();
    loop {
        sum.update(&line);
        next_line(&mut file, &mut line)?;
        if let Some(end) = line.strip_prefix(END.as_bytes()) {
            if end != format!("{:08x}\n", sum.finalize()).as_bytes() {
                return Err(damaged("its checksum is wrong"));
            }
            return match file.read(&mut [0])? {
                0 => Ok(reader),
                _ => Err(damaged("it goes on after its end")),
            };
        }
        let record = serde_json::from_slice(&line).map_err(|error| damaged(&error.to_string()))?;
        reader.take(record).map_err(|problem| damaged(&problem))?;
    }
}

fn next_line(file: &mut impl BufRead, line: &mut Vec<u8>) -> Result<(), Unusable> {
    line.clear();
    file.by_ref().take(LONGEST_LINE).read_until(b'\n', line)?;
    if line.ends_with(b"\n") { Ok(()) } else { Err(damaged("it is cut off")) }
}

fn damaged(how: &str) -> Unusable {
    Unusable::Damaged(how.to_owned())
}

/// Sums up what is written through it.
struct Summing<W> {
    out: W,
    sum: Hasher,
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.sum.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
