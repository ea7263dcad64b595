//! Ids as AWS shapes them, made from a seed and a counter for each kind, so that two runs over one world are
//! equal and adding a host does not rename every task. Not random, not secret, not unique across equal seeds.

use std::collections::BTreeMap;

/// The source of generated ids of one region.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ids {
    seed: u64,
    counters: BTreeMap<&'static str, u64>,
}

impl Ids {
    /// Ids for one place of a world: `seed` is the world's, `place` tells this source from its siblings.
    pub(crate) fn new(seed: u64, place: &str) -> Self {
        let seed = mix(seed ^ fold(place));
        Self { seed, counters: BTreeMap::new() }
    }

    /// The next number of a kind, from 0 up.
    pub(crate) fn count(&mut self, kind: &'static str) -> u64 {
        let counter = self.counters.entry(kind).or_insert(0);
        *counter += 1;
        *counter - 1
    }

    /// The next id of a kind: `digits` hexadecimal digits, at most 64.
    pub(crate) fn hex(&mut self, kind: &'static str, digits: usize) -> String {
        let count = self.count(kind);
        let mut text = String::with_capacity(digits + 16);
        let mut state = mix(self.seed ^ fold(kind)) ^ count;
        while text.len() < digits {
            state = mix(state);
            text.push_str(&format!("{state:016x}"));
        }
        text.truncate(digits);
        text
    }

    /// The next id of a kind in the 8-4-4-4-12 form.
    pub(crate) fn uuid(&mut self, kind: &'static str) -> String {
        uuid(&self.hex(kind, 32))
    }
}

/// 32 hexadecimal digits in the 8-4-4-4-12 form.
pub(crate) fn uuid(hex: &str) -> String {
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Turns a text into a number: 64-bit FNV-1a.
pub(crate) fn fold(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// One step of SplitMix64.
pub(crate) fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
