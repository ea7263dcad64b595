//! Formats paths, task ids and times.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;

use crate::clock::Reading;

/// Allows a line break before each part of a path, so that none is needed within a part.
pub(super) fn path(text: &str) -> Markup {
    let start = text.find("://").map_or(0, |at| at + "://".len());
    let cuts = text.match_indices(['/', '?', '&']).map(|(at, _)| at).filter(|at| *at > start);
    let ends: Vec<_> = [0].into_iter().chain(cuts).chain([text.len()]).collect();
    html! { @for part in ends.windows(2) { @if part[0] > 0 { wbr; } (text[part[0]..part[1]]) } }
}

/// A task's id, in one line or in two lines of the same length.
pub(super) fn task_id(id: &str) -> Markup {
    let (first, second) = id.split_at_checked(id.len() / 2).unwrap_or((id, ""));
    html! { code { (first) wbr; (second) } }
}

/// The age of a moment, with its exact time in the attributes.
pub(super) fn ago(moment: Duration, now: Reading) -> Markup {
    let at = now.time_of_day(moment);
    html! { time datetime=(utc(at, 'T', "Z")) title=(utc(at, ' ', " UTC")) { (age(now.age(moment))) } }
}

fn age(age: Duration) -> String {
    match age.as_secs() {
        0 => "just now".to_owned(),
        seconds @ 1..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..172_800 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} days ago", seconds / 86_400),
    }
}

fn utc(at: Duration, between: char, zone: &str) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or_default();
    let at = OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let (year, month, day) = at.to_calendar_date();
    let (hour, minute, second) = at.to_hms();
    let month = u8::from(month);
    format!("{year}-{month:02}-{day:02}{between}{hour:02}:{minute:02}:{second:02}{zone}")
}

/// A duration.
pub(super) fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_before_a_part_of_a_path_and_in_the_middle_of_a_tasks_id() {
        for (text, markup) in [
            ("http://10.0.0.1:80/a/b?c&d", "http://10.0.0.1:80<wbr>/a<wbr>/b<wbr>?c<wbr>&amp;d"),
            ("2 targets in 1 cluster", "2 targets in 1 cluster"),
            ("web/app", "web<wbr>/app"),
            ("", ""),
        ] {
            assert_eq!(path(text).into_string(), markup);
        }
        assert_eq!(task_id("0af7651916cd43dd").into_string(), "<code>0af76519<wbr>16cd43dd</code>");
        assert_eq!(task_id("äa").into_string(), "<code>äa<wbr></code>");
    }

    #[test]
    fn a_time_is_an_age_and_says_when_it_was() {
        let at = Duration::from_secs(1_800_000_000);
        let after = |seconds| ago(at, Reading::at(at + Duration::from_secs(seconds))).into_string();
        assert_eq!(
            after(200),
            r#"<time datetime="2027-01-15T08:00:00Z" title="2027-01-15 08:00:00 UTC">3 min ago</time>"#
        );
        for (seconds, words) in [(0, "just now"), (59, "59 s"), (7200, "2 h"), (200_000, "2 days")] {
            assert!(after(seconds).contains(&format!(">{words}")), "{seconds}");
        }
    }
}
