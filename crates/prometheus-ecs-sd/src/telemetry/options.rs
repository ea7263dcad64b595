//! The options of logging.

use clap::{Args, ValueEnum};

/// How to log, on standard error.
#[derive(Clone, Copy, Debug, Default, Args)]
pub struct LogArgs {
    /// The least important messages to log
    #[arg(long, value_name = "LEVEL", value_enum, default_value = "info", help_heading = "Logs")]
    pub log_level: LogLevel,

    /// The form of log messages on standard error, and of changes on standard output
    #[arg(long, value_name = "FORMAT", value_enum, default_value = "text", help_heading = "Logs")]
    pub log_format: LogFormat,
}

/// The least important messages to log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum LogLevel {
    /// What stops the program.
    Error,
    /// Where an operator should act.
    Warn,
    /// Each change.
    #[default]
    Info,
    /// Each refresh and each failed request.
    Debug,
    /// Also logs each request to AWS: its name, size and duration.
    Trace,
}

/// The form of log messages and changes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
