//! The grammar of ports, wherever they are written: in a rule, a docker label, a variable or a tag.
//!
//! `ports = item *( "," item )`, `item = [ interval ":" ] port [ [ ":" ] path ]`. The path begins with `/`, and the
//! interval has a unit. White space around the parts and empty items are ignored.

use crate::conventions::environment::endpoints::quoted;
use crate::conventions::path::Path;
use crate::conventions::rule::reading::interval;
use crate::finding::{Problem, Reason};
use crate::interval::{Interval, Intervals, parse_duration};

/// The maximum number of items that count for a container and a rule. Containers in use have one or two, the largest
/// exporters about ten.
pub(crate) const ITEMS: usize = 64;

/// One port with what else it says.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) port: u16,
    pub(crate) path: Option<Path>,
    pub(crate) interval: Option<Interval>,
    /// Why the interval does not count.
    pub(crate) warning: Option<String>,
}

/// The items of a text, trimmed.
pub(crate) fn items(text: &str) -> Vec<&str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).collect()
}

/// Reads an item; `place` names the text that has it in a sentence.
pub(crate) fn read(place: &str, item: &str, intervals: &Intervals) -> Result<Item, Problem> {
    let (asked, rest) = split_interval(item);
    let (head, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let head = head.trim();
    let (digits, has_colon) = match head.strip_suffix(':') {
        Some(digits) => (digits.trim_end(), true),
        None => (head, false),
    };
    let is_digits = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let port = digits.parse().ok().filter(|port: &u16| is_digits && *port != 0).ok_or_else(|| {
        let detail = format!("{place} is {:?}; a port is a number from 1 to 65535", quoted(item));
        Problem::new(Reason::InvalidPort, detail)
    })?;
    if has_colon && path.is_empty() {
        let detail =
            format!("{place} has {:?}, without a path; write {digits}, or {digits}:/metrics", quoted(item));
        return Err(Problem::new(Reason::InvalidEndpoint, detail));
    }
    let path = (!path.is_empty()).then(|| Path::read(place, path)).transpose()?;
    let (interval, warning) = match asked.map(|text| interval(place, text, intervals)) {
        None => (None, None),
        Some(Ok(interval)) => (Some(interval), None),
        Some(Err(why)) => (None, Some(why)),
    };
    Ok(Item { port, path, interval, warning })
}

/// The interval before the first `:`, if it is one with a unit, and the rest.
fn split_interval(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':').map(|(before, after)| (before.trim(), after.trim())) {
        Some((before, after)) if parse_duration(before).is_some() && before != "0" => (Some(before), after),
        _ => (None, text),
    }
}
