//! Logging on standard error.

pub mod metrics;
pub(crate) mod panics;
mod writer;

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::cli::{LogArgs, LogFormat, LogLevel};

pub use writer::LastMessages;
use writer::Queue;
pub(crate) use writer::dropped;

/// Sends log messages to standard error from now on, until what this returns is dropped. The libraries' own are
/// left out until `trace`: what they warn of reaches this program as an error that it words itself. Fails where
/// no thread can be started.
pub fn init(arguments: LogArgs) -> io::Result<LastMessages> {
    let level = match arguments.log_level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let others = if level == LevelFilter::TRACE { LevelFilter::TRACE } else { LevelFilter::OFF };
    let filter = Targets::new().with_default(others).with_target("prometheus_ecs_sd", level);
    let queue = Queue::new(io::stderr())?;
    let layer = tracing_subscriber::fmt::layer().with_writer(queue.clone());
    let registry = tracing_subscriber::registry().with(filter);
    match arguments.log_format {
        LogFormat::Text => {
            registry.with(layer.with_ansi(has_colours(&io::stderr())).with_target(false)).init();
        }
        LogFormat::Json => registry.with(layer.json().flatten_event(true).with_target(false)).init(),
    }
    panics::log();
    Ok(LastMessages(queue))
}

/// Whether a stream shows colours: a terminal does, unless its user set `NO_COLOR` (<https://no-color.org>).
pub(crate) fn has_colours(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|set| set.is_empty())
}
