//! The share of AWS's request limits that the program uses.

use std::fmt;
use std::str::FromStr;

/// The share of AWS's request limits that may be used; more than 0, and at most 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

/// It is never NaN.
impl Eq for Share {}

/// A text that is not a [`Share`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a share of AWS's request limits; use a number from {} to 1", Share::LEAST)]
pub struct InvalidShare {
    text: String,
}

impl Share {
    /// The default of the option: half is left to other programs.
    pub const DEFAULT: &str = "0.5";

    /// All of the limits.
    pub const ALL: Self = Self(1.0);

    /// The share as a number, more than 0 and at most 1.
    pub(crate) fn get(self) -> f64 {
        self.0
    }

    /// With less, the slowest class would allow one request every few minutes, which is too long to wait.
    const LEAST: f64 = 0.01;
}

impl Default for Share {
    fn default() -> Self {
        Self::DEFAULT.parse().expect("the default is valid")
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let share = text.trim().parse().ok().filter(|share| (Self::LEAST..=1.0).contains(share));
        share.map(Self).ok_or_else(|| InvalidShare { text: text.to_owned() })
    }
}
