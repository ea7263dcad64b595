//! Texts for people: quotes, lists and numbers, all of them bounded.

use std::borrow::Cow;
use std::collections::BTreeSet;

/// The number of characters that a sentence quotes. The names that ECS accepts have at most 255.
const QUOTED: usize = 256;

/// The number of warnings of one container, and of hints. More are repetitions of the same mistake, and are only counted.
const LINES: usize = 8;

/// The part of an external text that a sentence quotes.
pub fn brief(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}…", &text[..end]).into(),
        None => text.into(),
    }
}

/// Each line once, and the number of omitted ones, which are called by this noun.
pub(crate) fn few(mut lines: Vec<String>, noun: &str) -> Vec<String> {
    let mut told = BTreeSet::new();
    lines.retain(|line| told.insert(line.clone()));
    if lines.len() > LINES {
        let more = lines.split_off(LINES - 1).len();
        lines.push(format!("and {} like these", count(more, &format!("more {noun}"))));
    }
    lines
}

/// As much of a text as has room in a line.
const LINE: usize = 300;

/// Text from a task definition must not be able to write to the terminal, or to turn a line around: everything that is not
/// seen, and whatever acts on the text around it, is written out as `\u{…}`.
pub fn printable(text: &str) -> Cow<'_, str> {
    // Most texts are plain ASCII, which is found out many bytes at a time.
    let is_plain = text.bytes().fold(true, |all, byte| all & (b' '..=b'~').contains(&byte));
    if is_plain || text.chars().all(is_seen) {
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

/// `10,000`
pub fn number(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 target`, `10,000 targets`
pub fn count(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// The same JSON, with everything but [printable] characters in strings escaped: a parser reads the same values.
pub fn printable_json(json: &str) -> Cow<'_, str> {
    // JSON itself escapes the line breaks within strings.
    let stays = |c: char| c == '\n' || is_seen(c);
    if json.chars().all(stays) {
        return json.into();
    }
    let mut units = [0; 2];
    let mut escaped = String::with_capacity(json.len());
    for c in json.chars() {
        match stays(c) {
            true => escaped.push(c),
            false => c.encode_utf16(&mut units).iter().for_each(|unit| escaped += &format!("\\u{unit:04x}")),
        }
    }
    escaped.into()
}

/// Unicode's own tables decide, those of the standard library: letters of every script are seen; controls, directional
/// overrides, what has no width, and what only piles up on others are not.
fn is_seen(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '"' | '\'' | '\\') || c.escape_debug().eq([c])
}

#[cfg(test)]
mod tests {
    use super::{clipped, count, number, printable, printable_json};

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 10_000, 1_234_567].map(number),
            ["0", "999", "1,000", "10,000", "1,234,567"]
        );
    }

    #[test]
    fn what_is_not_seen_is_written_out() {
        assert_eq!(printable("a\u{1b}[2Jb\n\u{202e}c\u{200b}\0"), r"a\u{1b}[2Jb\n\u{202e}c\u{200b}\u{0}");
    }

    #[test]
    fn json_says_the_same_without_what_is_not_seen() {
        let json = "{\"a\": \"b\u{9b}2J\u{202e}\u{e0001}é\"}\n";
        let printed = printable_json(json);
        assert_eq!(printed, "{\"a\": \"b\\u009b2J\\u202e\\udb40\\udc01é\"}\n");
        let value = |json: &str| serde_json::from_str::<serde_json::Value>(json).unwrap();
        assert_eq!(value(&printed), value(json));
    }

    #[test]
    fn words_of_every_script_stay_as_they_are() {
        for text in ["Größe – 5 €", "名前", r#"a "quoted" 'text' \ /path"#, "<script>"] {
            assert_eq!(printable(text), text);
        }
    }

    #[test]
    fn a_count_agrees_with_its_noun() {
        let counted = [0, 1, 2].map(|number| count(number, "target"));
        assert_eq!(counted, ["0 targets", "1 target", "2 targets"]);
    }

    #[test]
    fn a_long_text_ends_in_dots() {
        assert_eq!(clipped(&"ä".repeat(300)), "ä".repeat(300));
        assert_eq!(clipped(&"ä".repeat(301)), format!("{}…", "ä".repeat(300)));
    }
}
