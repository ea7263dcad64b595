//! Scrape intervals: durations in Prometheus' own syntax, and the set of them that is offered.
//!
//! The syntax is that of Prometheus' configuration
//! (<https://prometheus.io/docs/prometheus/latest/configuration/configuration/>, `<duration>`): whole numbers
//! with the units `y w d h m s ms` in that order, each at most once.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

/// The units of a duration with their milliseconds, in the only order Prometheus accepts.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000),
    ("w", 7 * 24 * 3_600_000),
    ("d", 24 * 3_600_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// The longest duration that Prometheus can hold, in nanoseconds of a signed 64-bit number: 292 years.
const LONGEST: u64 = i64::MAX as u64 / 1_000_000;

/// Reads a duration such as `15s`, `1m30s` or `0`; `None` if Prometheus would not accept it.
pub fn parse_duration(text: &str) -> Option<Duration> {
    if text.is_empty() {
        return None;
    }
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut total = 0u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let (number, after) = rest.split_at(digits);
        let unit_length = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_length);
        // Continuing with the units that are left is what enforces their order.
        let (_, milliseconds) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*milliseconds)?)?;
        rest = after;
    }
    (total <= LONGEST).then_some(Duration::from_millis(total))
}

/// A scrape interval under the name it was configured with; equal when equally long.
#[derive(Clone, Debug)]
pub struct Interval {
    name: Arc<str>,
    length: Duration,
}

impl Interval {
    /// Reads an interval in Prometheus' syntax; zero is none.
    pub fn parse(name: &str) -> Option<Self> {
        let length = parse_duration(name).filter(|length| !length.is_zero())?;
        Some(Self { name: name.into(), length })
    }

    /// The name, which is a valid Prometheus duration and a safe part of a file name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.length
    }
}

impl PartialEq for Interval {
    fn eq(&self, other: &Self) -> bool {
        self.length == other.length
    }
}

impl Eq for Interval {}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.length.hash(state);
    }
}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Interval {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.length.cmp(&other.length)
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The intervals that containers may ask for, ascending, and the one they get otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals {
    offered: Vec<Interval>,
    default: Interval,
}

/// Why a set of intervals cannot be offered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidIntervals {
    /// No interval at all.
    None,
    /// Not a duration in Prometheus' syntax.
    NotADuration(String),
    /// Two names for one length, which would be two files for one interval.
    Twice(String, String),
    /// The default is not among the offered.
    DefaultNotOffered(String),
}

impl fmt::Display for InvalidIntervals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("no scrape interval is offered; name at least one, such as 1m"),
            Self::NotADuration(text) => {
                write!(f, "{text:?} is not a scrape interval; use Prometheus' form, such as 15s, 1m or 1m30s")
            }
            Self::Twice(one, other) => {
                write!(f, "the scrape intervals {one} and {other} are the same; name it once")
            }
            Self::DefaultNotOffered(text) => {
                write!(
                    f,
                    "{text:?} is not one of the scrape intervals that are offered; name one of these, or offer it too"
                )
            }
        }
    }
}

impl std::error::Error for InvalidIntervals {}

impl Intervals {
    /// What `discoverecs.py` offers.
    pub const OFFERED: [&str; 4] = ["15s", "30s", "1m", "5m"];
    /// What `discoverecs.py` falls back to.
    pub const DEFAULT: &str = "1m";

    /// Checks the names and sorts them by length.
    pub fn new<S: AsRef<str>>(offered: &[S], default: &str) -> Result<Self, InvalidIntervals> {
        let parse = |name: &str| {
            Interval::parse(name.trim()).ok_or_else(|| InvalidIntervals::NotADuration(name.to_owned()))
        };
        let mut offered = offered.iter().map(|name| parse(name.as_ref())).collect::<Result<Vec<_>, _>>()?;
        offered.sort();
        if offered.is_empty() {
            return Err(InvalidIntervals::None);
        }
        if let Some(pair) = offered.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(InvalidIntervals::Twice(pair[0].name().to_owned(), pair[1].name().to_owned()));
        }
        let wanted = Interval::parse(default.trim());
        let default = offered
            .iter()
            .find(|interval| Some(*interval) == wanted.as_ref())
            .cloned()
            .ok_or_else(|| InvalidIntervals::DefaultNotOffered(default.to_owned()))?;
        Ok(Self { offered, default })
    }

    /// Ascending by length.
    pub fn offered(&self) -> &[Interval] {
        &self.offered
    }

    /// What a container gets that asks for none, or for one that is not offered.
    pub fn default_interval(&self) -> &Interval {
        &self.default
    }

    /// The offered interval of that length.
    pub fn find(&self, length: Duration) -> Option<&Interval> {
        self.offered.iter().find(|interval| interval.length == length)
    }
}

impl Default for Intervals {
    fn default() -> Self {
        Self::new(&Self::OFFERED, Self::DEFAULT).expect("the built-in intervals are valid and distinct")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_prometheus_durations() {
        for (text, milliseconds) in [
            ("15s", 15_000),
            ("1m", 60_000),
            ("60s", 60_000),
            ("1m30s", 90_000),
            ("1h", 3_600_000),
            ("1d12h", 129_600_000),
            ("1w", 604_800_000),
            ("1y", 31_536_000_000),
            ("500ms", 500),
            ("1s500ms", 1_500),
            ("0s", 0),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for text in [
            "",
            "15",
            "s",
            "1.5m",
            "-1s",
            "30s1m",
            "1m1m",
            "1M",
            "1 m",
            " 1m",
            "1m30",
            "١s",
            "99999999999999999999s",
            "999999999999y",
            "293y",
            "v1",
            "/metrics",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn intervals_are_compared_by_length() {
        let intervals = Intervals::default();
        let names: Vec<_> = intervals.offered().iter().map(Interval::name).collect();
        assert_eq!(names, ["15s", "30s", "1m", "5m"]);
        assert_eq!(intervals.find(Duration::from_secs(60)).map(Interval::name), Some("1m"));
        assert_eq!(intervals.find(Duration::from_secs(61)), None);
    }

    #[test]
    fn a_bad_set_says_what_to_do() {
        let check = |offered: &[&str], default: &str| {
            Intervals::new(offered, default).expect_err("a bad set").to_string()
        };
        assert_eq!(check(&[], "1m"), "no scrape interval is offered; name at least one, such as 1m");
        assert_eq!(
            check(&["1m", "fast"], "1m"),
            r#""fast" is not a scrape interval; use Prometheus' form, such as 15s, 1m or 1m30s"#
        );
        assert_eq!(check(&["60s", "1m"], "1m"), "the scrape intervals 60s and 1m are the same; name it once");
        assert_eq!(
            check(&["15s", "30s"], "1m"),
            r#""1m" is not one of the scrape intervals that are offered; name one of these, or offer it too"#
        );
    }
}
