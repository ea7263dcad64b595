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
        seconds => format!("{} ago", span(seconds)),
    }
}

/// The time until a moment, with its exact time in the attributes.
pub(super) fn until(moment: Duration, now: Reading) -> Markup {
    let left = now.until(moment);
    let at = now.now() + left;
    let words = match left.as_secs() {
        0 => "now".to_owned(),
        seconds => format!("in {}", span(seconds)),
    };
    html! { time.until datetime=(utc(at, 'T', "Z")) title=(utc(at, ' ', " UTC")) { (words) } }
}

/// A number of seconds, in the unit that fits.
fn span(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
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

/// A period of the configuration: in minutes if these are whole ones.
pub(super) fn period(period: Duration) -> String {
    match period.as_secs() {
        whole if whole >= 120 && whole % 60 == 0 && period.subsec_nanos() == 0 => {
            format!("{} min", whole / 60)
        }
        whole if period.subsec_nanos() == 0 => format!("{whole} s"),
        _ => seconds(period),
    }
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
    fn a_time_to_come_is_the_time_that_is_left() {
        let at = Duration::from_secs(1_800_000_000);
        let before = |seconds| until(at, Reading::at(at - Duration::from_secs(seconds))).into_string();
        assert_eq!(
            before(200),
            r#"<time class="until" datetime="2027-01-15T08:00:00Z" title="2027-01-15 08:00:00 UTC">in 3 min</time>"#
        );
        assert!(before(59).contains(">in 59 s<") && before(0).contains(">now<"));
        let over = until(at, Reading::at(at + Duration::from_secs(5))).into_string();
        assert!(over.contains(">now<"), "{over}");
    }

    #[test]
    fn a_period_is_in_minutes_if_these_are_whole_ones() {
        for (period, words) in [(60, "60 s"), (90, "90 s"), (600, "10 min"), (86_400, "1440 min")] {
            assert_eq!(super::period(Duration::from_secs(period)), words);
        }
        assert_eq!(super::period(Duration::from_millis(1500)), "1.5 s");
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
