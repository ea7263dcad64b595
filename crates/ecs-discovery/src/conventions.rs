//! Which containers are scraped, and where. The operator turns conventions on, and each of them decides for each
//! container.
//!
//! This file has the general types. A convention is the [environment variables](environment) of `discoverecs.py`, or
//! [rules](rule), of which the [built-in](builtin) conventions of other tools are made.

pub mod builtin;
pub mod environment;
pub mod hint;
pub mod list;
pub mod path;
pub mod rule;

use std::sync::Arc;

use crate::finding::Problem;
use crate::interval::Interval;
use path::Path;

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

/// What a convention asks for, of a container that it scrapes. One bad endpoint stands beside the good ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Never empty; in the order written.
    pub endpoints: Vec<Result<Endpoint, Problem>>,
    /// How each of them was written, in the same order.
    pub written: Vec<Box<str>>,
    /// What it says of labels.
    pub said: Arc<Said>,
    /// What was not followed to the letter.
    pub warnings: Vec<String>,
}

/// One place to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// One of the offered intervals; `None` leaves it to the scrape job.
    pub interval: Option<Interval>,
    /// Where the port comes from.
    pub port: PortRequest,
    /// `None` leaves it to the scrape job.
    pub scheme: Option<Scheme>,
    /// `None` leaves it to the scrape job.
    pub path: Option<Path>,
}

/// Which port a container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortRequest {
    /// This one, whatever the network mode.
    Verbatim(u16),
    /// Wherever this container port is reachable.
    Container(u16),
    /// The same; if no container port has the number, but the host port of one has, that host port.
    ContainerOrHost(u16),
    /// Wherever the first TCP port mapping is reachable.
    First,
}

/// What a convention says of the labels of a container's targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The convention's name.
    pub convention: Arc<str>,
    /// Which labels there are.
    pub style: Style,
    /// The label `job`.
    pub job: Option<Arc<str>>,
    /// Published as `__meta_ecs_custom_…`; in byte order.
    pub custom: Vec<(Arc<str>, Arc<str>)>,
}

/// Which labels the targets of a convention have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Style {
    /// Those of `discoverecs.py`.
    Variables {
        /// `PROMETHEUS_NOLABELS`.
        no_labels: bool,
        /// `PROMETHEUS_TAGS`, verbatim.
        tags: Option<Arc<str>>,
    },
    /// What the rule says, and meta labels.
    Rule,
}
