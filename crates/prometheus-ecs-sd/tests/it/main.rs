//! The real program against the simulated AWS, moto, and a real Prometheus.
#![allow(clippy::unwrap_used, missing_docs)]

mod browser;
mod cli;
mod config_file;
mod demo;
mod dependencies;
mod disk;
mod documents;
mod environment;
mod explain;
mod files;
mod full;
mod http;
mod killed;
mod leak;
mod metrics;
mod model;
mod moto;
mod page;
mod permissions;
mod prometheus;
mod reload;
mod rotation;
mod secrets;
mod simulated;
mod tools;
