//! The state file without a file: for the fuzz targets, and in no other build.

use std::collections::BTreeMap;
use std::time::Duration;

use ecs_discovery::inventory::saved::Saved;

use super::record::Reader;
use super::{Facts, Revision, Unusable, file};
use crate::clock::Reading;

/// Reads a state file's bytes: the facts by the name of the source.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Saved>, Unusable> {
    file::parse(bytes).map(Reader::sources)
}

/// The bytes of a state file.
pub fn write(facts: &Facts) -> Vec<u8> {
    let mut bytes = Vec::new();
    file::write(&mut bytes, facts, Revision { line: 1, number: 1 }, Reading::at(Duration::MAX))
        .expect("memory takes everything");
    bytes
}
