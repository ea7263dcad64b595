//! The JSON that Prometheus reads, in files and over HTTP: one group a target, one line a group.

use std::io::{self, Write};

use crate::labels::{Labels, LabelsBuilder};
use crate::target::Target;

/// What follows the last group of a document.
pub const END: &str = "\n]\n";

/// A document without groups.
pub const EMPTY: &str = "[]\n";

/// The length of any [separator].
pub const SEPARATOR: usize = ",\n".len();

/// What precedes a group.
pub fn separator(is_first: bool) -> &'static str {
    if is_first { "[\n" } else { ",\n" }
}

/// Writes the groups of `targets` in their order, one target and one line each, with what `labels` says of it; `[]` when
/// there is none. Fails only where `out` does.
pub(crate) fn write<T: AsRef<Target>>(
    out: &mut (impl Write + ?Sized),
    targets: impl IntoIterator<Item = T>,
    labels: impl Fn(&Target) -> Labels<'_>,
) -> io::Result<()> {
    let mut group = Vec::new();
    for target in targets {
        let separator = separator(group.is_empty());
        group.clear();
        group.extend_from_slice(separator.as_bytes());
        push(&mut group, target.as_ref(), &labels(target.as_ref()));
        out.write_all(&group)?;
    }
    out.write_all(if group.is_empty() { EMPTY } else { END }.as_bytes())
}

/// Appends the group of a target.
pub(crate) fn push(group: &mut Vec<u8>, target: &Target, labels: &Labels<'_>) {
    write_group(group, target, labels).expect("memory takes everything");
}

/// Neither an address nor a label's name has a character that JSON escapes; values may have any.
fn write_group(group: &mut Vec<u8>, target: &Target, labels: &Labels<'_>) -> io::Result<()> {
    write!(group, r#"{{"targets":["{}"],"labels":{{"#, target.endpoint.address)?;
    for (position, (name, value)) in labels.iter().enumerate() {
        if position > 0 {
            group.push(b',');
        }
        group.push(b'"');
        group.extend_from_slice(name.as_bytes());
        group.extend_from_slice(b"\":");
        push_text(group, value)?;
    }
    group.extend_from_slice(b"}}");
    Ok(())
}

/// Whether JSON escapes any of its characters. Most texts have none, which is found out many bytes at a time.
fn has_escapes(text: &str) -> bool {
    let is_escaped = |byte: u8| (byte < 0x20) | (byte == b'"') | (byte == b'\\');
    text.bytes().fold(false, |any, byte| any | is_escaped(byte))
}

/// Appends a JSON string.
fn push_text(group: &mut Vec<u8>, text: &str) -> io::Result<()> {
    if has_escapes(text) {
        return Ok(serde_json::to_writer(group, text)?);
    }
    group.push(b'"');
    group.extend_from_slice(text.as_bytes());
    group.push(b'"');
    Ok(())
}

/// The bytes of a target's group and its separator, in a document of several intervals. Computed without rendering;
/// duplicate labels count twice.
pub(crate) fn size(target: &Target, labels: &LabelsBuilder<'_>) -> usize {
    let pair = |(name, value): (&str, &str)| r#","":"""#.len() + name.len() + escaped(value);
    let address = target.endpoint.address.to_string().len();
    let pairs = labels.pairs().filter(|(_, value)| !value.is_empty());
    GROUP.len() + address + pairs.map(pair).sum::<usize>()
}

/// A group without address and labels; the comma is the separator's, since the first label has none.
const GROUP: &str = "\n{\"targets\":[\"\"],\"labels\":{}}";

/// The length in this module's JSON.
fn escaped(value: &str) -> usize {
    if !has_escapes(value) {
        return value.len();
    }
    let more = |byte: u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 1,
        0x00..0x20 => r"\u0000".len() - 1,
        _ => 0,
    };
    value.len() + value.bytes().map(more).sum::<usize>()
}
