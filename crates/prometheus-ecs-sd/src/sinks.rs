//! Readers of the published snapshot. They are blind to each other, and never wait for AWS.

pub mod changes;
pub mod file_sd;
pub mod history;
pub mod http;
mod numbers;
pub mod progress;
