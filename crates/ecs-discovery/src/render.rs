//! Snapshot → bytes. Equal snapshots give equal bytes.

use std::borrow::Cow;

pub mod explanation;
pub mod file_sd;

/// Text from a task definition must not be able to write to the terminal, or to turn a line around.
pub fn printable(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_graphic() || c == ' ' || c.is_alphanumeric();
    if text.chars().all(plain) {
        return text.into();
    }
    text.chars().flat_map(|c| if plain(c) { vec![c] } else { c.escape_default().collect() }).collect()
}
