//! Snapshot → bytes. Equal snapshots give equal bytes.

use std::borrow::Cow;

pub mod explanation;
pub mod file_sd;
pub(crate) mod groups;
pub mod http_sd;

/// As much of a text as has room in a line.
const LINE: usize = 300;

/// Text from a task definition must not be able to write to the terminal, or to turn a line around: everything that is not
/// seen, and whatever acts on the text around it, is written out as `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_seen) {
        return text.into();
    }
    text.chars().flat_map(|c| if is_seen(c) { vec![c] } else { c.escape_default().collect() }).collect()
}

/// The beginning of the text, [`printable`], for where a line of it suffices.
pub fn clipped(text: &str) -> String {
    let end = text.char_indices().nth(LINE).map_or(text.len(), |(end, _)| end);
    let more = if end < text.len() { "…" } else { "" };
    format!("{}{more}", printable(&text[..end]))
}

/// Unicode's own tables decide, those of the standard library: letters of every script are seen; controls, directional
/// overrides, what has no width, and what only piles up on others are not.
fn is_seen(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '"' | '\'' | '\\') || c.escape_debug().eq([c])
}

#[cfg(test)]
mod tests {
    use super::{clipped, printable};

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}c\u{200b}\0"), r"a\u{1b}[2Jb\n\u{202e}c\u{200b}\u{0}");
    }

    #[test]
    fn words_of_every_script_stay_as_they_are() {
        for text in ["Größe – 5 €", "名前", r#"a "quoted" 'text' \ /path"#, "<script>"] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn a_long_text_ends_in_dots() {
        assert_eq!(clipped(&"ä".repeat(300)), "ä".repeat(300));
        assert_eq!(clipped(&"ä".repeat(301)), format!("{}…", "ä".repeat(300)));
    }
}
