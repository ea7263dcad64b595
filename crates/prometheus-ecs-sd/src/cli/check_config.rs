//! Checks the configuration without using it.

use std::io::{self, Write};
use std::process::ExitCode;

use ecs_discovery::text::printable;

use super::layers::Layers;
use super::usage;
use crate::aws::{Aws, Environment};
use crate::config::{Config, ConfigErrors, Directories};
use crate::sinks::http::Auth;

/// The check may run on another machine: directories are not checked.
pub(super) fn run(layers: Layers) -> ExitCode {
    let config = layers.config(Directories::LeftAlone);
    let checked = config.and_then(|config| {
        check_auth(&config)?;
        check_aws()?;
        Ok(config)
    });
    match checked {
        Ok(config) => {
            let shown = config.shown();
            let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            let mut out = io::stdout().lock();
            // The reader may be gone.
            let _ = writeln!(out, "The configuration is valid:\n");
            for (name, value) in shown {
                let _ = writeln!(out, "  {name:width$}  {}", printable(&value));
            }
            ExitCode::SUCCESS
        }
        Err(errors) => usage(&errors),
    }
}

/// The file may be missing on this machine.
fn check_auth(config: &Config) -> Result<(), ConfigErrors> {
    let file = config.web_config_file.as_deref().filter(|file| file.exists());
    Auth::new(file).map(drop)
}

/// Checks the AWS variables and files of this machine; sends no request.
fn check_aws() -> Result<(), ConfigErrors> {
    let environment = Environment::of_process()?.offline();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| ConfigErrors::one(error.to_string()))?;
    runtime.block_on(Aws::load(None, &environment)).map(drop)
}
