//! The real program against the simulated AWS.
#![allow(clippy::unwrap_used, missing_docs)]

mod cli;
mod simulated;
