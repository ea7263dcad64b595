//! How numbers and times are written.

use std::time::Duration;

use maud::{Markup, html};
use time::OffsetDateTime;

use crate::clock::Reading;

/// `10,000`
pub(super) fn number(number: usize) -> String {
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

/// `1 cluster`, `10,000 clusters`
pub(super) fn count(count: usize, noun: &str) -> String {
    format!("{} {noun}{}", number(count), if count == 1 { "" } else { "s" })
}

/// How long ago it was, with the time itself for programs and for those who want it exactly.
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

/// How long something took.
pub(super) fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 10_000, 1_234_567].map(number),
            ["0", "999", "1,000", "10,000", "1,234,567"]
        );
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
