//! What the core promises, seen from outside: facts go in as answers to its questions, and what it publishes
//! and asks is compared with the documentation.

#![allow(missing_docs, clippy::unwrap_used)]

mod conventions;
mod doors;
mod events;
mod explanations;
mod fixture;
mod properties;
mod refresh;
mod show;
mod source;
mod targets;
