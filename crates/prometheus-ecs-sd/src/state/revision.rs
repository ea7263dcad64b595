//! The revision of the facts in a file, so that the next process can tell whether the state file contains everything
//! that was published.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in a line of publications. The line continues across restarts as long as each process begins with everything
/// that the previous one has published; otherwise a new line begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    pub(super) line: u64,
    pub(super) number: u64,
}

impl Revision {
    /// The beginning of a new line.
    pub fn begin() -> Self {
        Self { line: fastrand::u64(..), number: 0 }
    }

    /// The revision after this one.
    pub fn next(self) -> Self {
        Self { number: self.number.saturating_add(1), ..self }
    }

    /// Whether facts of this revision include everything that was published at `other`, except what has ended since.
    pub fn covers(&self, other: &Self) -> bool {
        self.line == other.line && self.number >= other.number
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x} {}", self.line, self.number)
    }
}

impl FromStr for Revision {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (line, number) = text.split_once(' ').ok_or(())?;
        let line = u64::from_str_radix(line, 16).map_err(drop)?;
        Ok(Self { line, number: number.parse().map_err(drop)? })
    }
}
