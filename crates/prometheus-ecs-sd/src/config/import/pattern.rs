//! Translates patterns that match anywhere in a text into patterns that match the whole text.

use ecs_discovery::conventions::rule::Pattern;

/// The pattern of a whole text which contains a match; or why there is none.
pub(super) fn whole(text: &str) -> Result<Pattern, String> {
    // Alone first, so that the error is about the written text.
    Pattern::new(text).map_err(|problem| {
        let suggestion = suggestion(text).map(|better| format!("; write {better}")).unwrap_or_default();
        format!("{text:?} is not a regular expression: {problem}{suggestion}")
    })?;
    Pattern::new(&match exact(text) {
        Some(exact) => exact.to_owned(),
        None => format!(".*(?:{text}).*"),
    })
}

/// The pattern that matches this text only. Names of clusters have no other characters.
pub(super) fn literal(text: &str) -> Option<Pattern> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    text.bytes().all(is_name).then(|| Pattern::new(text).ok())?
}

/// What is between the anchors, if they hold for the whole pattern.
fn exact(text: &str) -> Option<&str> {
    let inner = text.strip_prefix('^')?.strip_suffix('$')?;
    let backslashes = inner.bytes().rev().take_while(|byte| *byte == b'\\').count();
    (!inner.contains('|') && backslashes.is_multiple_of(2)).then_some(inner)
}

/// Patterns of shells are a usual mistake: in one of AWS's own examples too.
fn suggestion(text: &str) -> Option<String> {
    let better = text.starts_with('*').then(|| format!(".{text}"))?;
    Pattern::new(&better).ok().map(|_| better)
}
