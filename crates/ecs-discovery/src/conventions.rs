//! How a container asks to be scraped. One convention, one file, one fixture table.
//!
//! There is one today: the [environment variables](environment) that `discoverecs.py` introduced.

pub mod environment;

pub use environment::Variable;
