//! What Prometheus is to scrape.

use std::fmt;
use std::net::SocketAddr;

use crate::arn::TaskArn;
use crate::interval::Interval;
use crate::labels::Labels;

/// One endpoint of one container, ready to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Where and what to scrape.
    pub endpoint: ScrapeEndpoint,
    /// The task.
    pub task: TaskArn,
    /// The container's name.
    pub container: Box<str>,
    /// How often.
    pub interval: Interval,
    /// Every label that is published but `__address__` and `__scrape_interval__`.
    pub labels: Labels,
}

/// What makes two targets of a task one; their order is the order of publication.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ScrapeEndpoint {
    /// Address and port.
    pub address: SocketAddr,
    /// With a leading `/`.
    pub path: Box<str>,
    /// The query's parameters, sorted by name and URL-encoded; for comparing and showing, they travel as labels.
    pub query: Box<str>,
    /// `http` or `https`.
    pub scheme: Scheme,
}

impl fmt::Display for ScrapeEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}{}", self.scheme.as_str(), self.address, self.path)?;
        if !self.query.is_empty() {
            write!(f, "?{}", self.query)?;
        }
        Ok(())
    }
}

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

impl Target {
    /// The order of publication: address, port, path, then the task; the rest only makes it total.
    pub fn in_order(&self, other: &Self) -> std::cmp::Ordering {
        fn key(target: &Target) -> impl Ord {
            let ScrapeEndpoint { address, path, query, scheme } = &target.endpoint;
            (address, path, &target.task, query, scheme, &target.container)
        }
        key(self).cmp(&key(other))
    }
}
