//! The options of logging.

use clap::{Args, ValueEnum};

/// The options of logging.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct LogArgs {
    /// Level of the least important messages to log
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info", help_heading = "Logs")]
    pub log_level: LogLevel,

    /// Format of log messages on standard error, and of changes on standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", help_heading = "Logs")]
    pub log_format: LogFormat,
}

/// The least important messages to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// What stops the program.
    Error,
    /// Problems that need attention.
    Warn,
    /// Each change.
    #[default]
    Info,
    /// Each refresh and each failed request.
    Debug,
    /// Also logs each request to AWS: its name, size and duration.
    Trace,
}

/// The format of log messages and changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
