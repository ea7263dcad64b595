//! How a container asks to be scraped. One convention, one file, one fixture table.
//!
//! There is one today: the [environment variables](environment) that `discoverecs.py` introduced.

pub mod environment;

/// How a target is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// The default.
    Http,
    /// Published as `__scheme__`.
    Https,
}

impl Scheme {
    /// Prometheus' spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}
