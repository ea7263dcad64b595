//! Snapshot → bytes. Equal snapshots give equal bytes.

pub mod explanation;
pub mod file_sd;
pub mod http_sd;
