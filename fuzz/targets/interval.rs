//! Durations and sets of intervals, against a second reading of Prometheus' grammar.

#![cfg_attr(feature = "libfuzzer", no_main)]

use std::time::Duration;

use ecs_discovery::interval::{Interval, Intervals, InvalidIntervals, parse_duration};

fuzz::target!(interval);

/// The units in the order of Prometheus' regular expression, in milliseconds.
const UNITS: [(&str, u128); 7] = [
    ("y", 31_536_000_000),
    ("w", 604_800_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Prometheus holds nanoseconds in 63 bits.
const LONGEST: u64 = i64::MAX as u64 / 1_000_000;

/// The first line is a duration and the default interval, the others are the offered intervals. The first bytes
/// are a number of milliseconds as well.
fn interval(input: &[u8]) {
    if let Some(milliseconds) = input.first_chunk() {
        let milliseconds = u64::from_le_bytes(*milliseconds);
        let length = Duration::from_millis(milliseconds);
        assert_eq!(parse_duration(&written(length)), (milliseconds <= LONGEST).then_some(length));
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (default, offered) = text.split_once('\n').unwrap_or((text, ""));
    assert_eq!(parse_duration(default), expected(default));
    let offered: Vec<_> = offered.lines().collect();
    set(&offered, default);
}

/// Takes unit after unit from the front, as if each were optional.
fn expected(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut total) = (text, 0u128);
    for (unit, milliseconds) in UNITS {
        let unnumbered = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let number = &rest[..rest.len() - unnumbered.len()];
        let Some(after) = unnumbered.strip_prefix(unit) else { continue };
        if number.is_empty() || (unit == "m" && after.starts_with('s')) {
            continue;
        }
        let number = number.parse().unwrap_or(u128::from(u64::MAX));
        total = total.saturating_add(number.saturating_mul(milliseconds));
        rest = after;
    }
    let total = u64::try_from(total).ok().filter(|total| *total <= LONGEST)?;
    (!text.is_empty() && rest.is_empty()).then(|| Duration::from_millis(total))
}

/// In Prometheus' syntax, with the fewest units.
fn written(length: Duration) -> String {
    let mut rest = length.as_millis();
    let mut text = String::new();
    for (unit, milliseconds) in UNITS {
        if rest >= milliseconds {
            text += &format!("{}{unit}", rest / milliseconds);
            rest %= milliseconds;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn set(offered: &[&str], default: &str) {
    let length = |name: &str| expected(name.trim()).filter(|length| !length.is_zero());
    let mut lengths: Vec<_> = offered.iter().map(|name| length(name)).collect();
    lengths.sort();
    let distinct = lengths.windows(2).all(|pair| pair[0] != pair[1]);
    match Intervals::new(offered, default) {
        Ok(intervals) => {
            let found: Vec<_> = intervals.offered().iter().map(|one| Some(one.length())).collect();
            assert!(distinct && found == lengths);
            assert_eq!(Some(intervals.default_interval().length()), length(default));
            for interval in intervals.offered() {
                assert_eq!(intervals.find(interval.length()).map(Interval::name), Some(interval.name()));
                assert_eq!(expected(interval.name()), Some(interval.length()));
                // It becomes part of a file's name.
                assert!(interval.name().bytes().all(|byte| byte.is_ascii_alphanumeric()));
            }
        }
        Err(InvalidIntervals::None) => assert!(offered.is_empty()),
        Err(InvalidIntervals::NotADuration(name)) => assert_eq!(length(&name), None),
        Err(InvalidIntervals::Twice(one, other)) => assert_eq!(length(&one), length(&other)),
        Err(InvalidIntervals::DefaultNotOffered(_)) => {
            assert!(distinct && (length(default).is_none() || !lengths.contains(&length(default))));
        }
    }
}
