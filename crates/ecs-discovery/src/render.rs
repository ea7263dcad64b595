//! Snapshot → bytes. Equal snapshots give equal bytes.

pub mod file_sd;
