//! The format of the state file without a file, for the fuzz targets only.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::time::Duration;

use ecs_discovery::inventory::saved::Saved;

use super::file::{self, End};
use super::record::Publication;
use super::{Facts, Revision, Unusable};
use crate::clock::Reading;

/// Reads a state file's bytes: the facts by the name of the source.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Saved>, Unusable> {
    file::parse(Cursor::new(bytes)).map(|(reader, _)| reader.sources())
}

/// The bytes of a state file with these publications, and where each ends.
pub fn write(publications: &[Facts]) -> (Vec<u8>, Vec<usize>) {
    let clock = Reading::at(Duration::MAX);
    let mut bytes = Vec::new();
    let mut ends = Vec::new();
    let mut last: Option<(&Facts, End)> = None;
    for (facts, number) in publications.iter().zip(1..) {
        let publication = Publication {
            revision: Revision { line: 1, number },
            at: clock.now(),
            is_all: true,
            has_names: true,
        };
        let end = match last {
            None => file::begin(&mut bytes, facts, publication, clock),
            Some((before, end)) => file::append(&mut bytes, end, (before, facts), publication, clock),
        };
        last = Some((facts, end.expect("writing to memory cannot fail")));
        ends.push(bytes.len());
    }
    (bytes, ends)
}
