//! Outputs of the published snapshot. They do not depend on each other, and never wait for AWS.

pub mod changes;
pub mod file_sd;
pub mod history;
pub mod http;
pub mod progress;
