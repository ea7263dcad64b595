//! Whether the configuration is right, without using it.

use std::io::{self, Write};
use std::process::ExitCode;

use ecs_discovery::text::printable;

use super::layers::Layers;
use super::usage;
use crate::aws::{Aws, Environment};
use crate::config::{Config, Directories, Mistakes};
use crate::sinks::http::Auth;

/// Another machine than the one that it is for may check it: directories are not looked at.
pub(super) fn run(layers: Layers) -> ExitCode {
    let config = layers.config(Directories::LeftAlone);
    let checked = config.and_then(|config| {
        check_access(&config)?;
        check_aws()?;
        Ok(config)
    });
    match checked {
        Ok(config) => {
            let shown = config.shown();
            let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            let mut out = io::stdout().lock();
            // Nobody may be reading.
            let _ = writeln!(out, "The configuration is valid:\n");
            for (name, value) in shown {
                let _ = writeln!(out, "  {name:width$}  {}", printable(&value));
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => usage(&mistakes),
    }
}

/// The file may be on the other machine too.
fn check_access(config: &Config) -> Result<(), Mistakes> {
    let file = config.web_config_file.as_deref().filter(|file| file.exists());
    Auth::new(file).map(drop)
}

/// The variables and files that the program would start with on this machine; no request is made.
fn check_aws() -> Result<(), Mistakes> {
    let environment = Environment::of_process()?.offline();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Mistakes(vec![error.to_string()]))?;
    runtime.block_on(Aws::load(None, &environment)).map(drop)
}
