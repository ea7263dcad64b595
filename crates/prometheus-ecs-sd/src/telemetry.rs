//! Logging on standard error.

pub mod metrics;
mod options;
pub(crate) mod panics;
mod text;
mod writer;

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

pub use options::{LogArgs, LogFormat, LogLevel};
pub use writer::LastMessages;
pub(crate) use writer::dropped;
use writer::{PrintableJson, Queue};

/// Sends log messages to standard error until the returned guard is dropped. Fails if no thread can be started.
///
/// Messages of libraries are left out at every level: those of the AWS SDK contain whole answers, with credentials and
/// the environment of every task definition. Failures of libraries reach this program as errors, which it logs itself.
pub fn init(arguments: LogArgs) -> io::Result<LastMessages> {
    let level = match arguments.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let filter = Targets::new().with_default(LevelFilter::OFF).with_target(env!("CARGO_CRATE_NAME"), level);
    let queue = Queue::new(io::stderr())?;
    let layer = tracing_subscriber::fmt::layer().with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    match arguments.log_format {
        LogFormat::Text => {
            let layer = layer.with_writer(queue.clone()).fmt_fields(text::Fields);
            registry.with(layer.with_ansi(has_colours(&io::stderr()))).init();
        }
        LogFormat::Json => {
            registry.with(layer.json().flatten_event(true).with_writer(PrintableJson(queue.clone()))).init();
        }
    }
    panics::log();
    Ok(LastMessages(queue))
}

/// The current time, in the format of log messages.
pub(crate) fn timestamp() -> String {
    let mut text = String::new();
    SystemTime.format_time(&mut Writer::new(&mut text)).expect("writing to a string cannot fail");
    text
}

/// Whether a stream shows colours: a terminal does, unless its user set `NO_COLOR` (<https://no-color.org>).
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
