//! Writes texts as scalars of YAML.

/// Plain where no character can mean something to YAML, otherwise in quotes. The text has no control characters.
pub(super) fn scalar(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_.()+*/$|-".contains(c);
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || "_.($/".contains(c));
    // Some readers take these for something else than a text.
    let is_word = |word: &&str| text.eq_ignore_ascii_case(word);
    let is_text = !["null", "true", "false", "yes", "no", "on", "off"].iter().any(is_word);
    if begins && is_text && text.chars().all(is_plain) { text.to_owned() } else { quoted(text) }
}

/// In single quotes, where the only escape is a doubled quote.
pub(super) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// The lines of a comment.
pub(super) fn comment(indent: &str, text: &str) -> String {
    let mut lines = vec![format!("{indent}#")];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{indent}# {word}")),
        }
    }
    lines.join("\n") + "\n"
}

/// The length of a comment's line.
const WIDTH: usize = 100;
