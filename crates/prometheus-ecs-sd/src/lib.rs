//! The program: all parts of prometheus-ecs-sd that use the network, files, the clock or the environment.
//!
//! The data flow: [`config`] → [`aws`] sources → questions ([`source`]) → facts and targets (the
//! `ecs-discovery` crate) → [`publisher`] → [`sinks`].

mod atomic_file;
pub mod aws;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
mod descriptors;
mod directories;
pub mod discovery;
mod events;
pub mod explain;
pub mod lock;
pub mod published;
pub mod publisher;
pub mod reload;
pub mod shutdown;
pub mod sinks;
pub mod source;
pub mod state;
pub mod telemetry;
