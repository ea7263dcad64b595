//! Whether the configuration is right, without using it.

use std::io::{self, Write};
use std::process::ExitCode;

use super::layers::Layers;
use super::usage;
use crate::config::{Config, Directories, Mistakes};
use crate::sinks::http::Access;

/// Another machine than the one that it is for may check it: directories are not looked at.
pub(super) fn run(layers: Layers) -> ExitCode {
    match layers.config(Directories::LeftAlone).and_then(|config| check_access(&config).map(|()| config)) {
        Ok(config) => {
            let shown = config.shown();
            let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
            let mut out = io::stdout().lock();
            // Nobody may be reading.
            let _ = writeln!(out, "The configuration is valid:\n");
            for (name, value) in shown {
                let _ = writeln!(out, "  {name:width$}  {value}");
            }
            ExitCode::SUCCESS
        }
        Err(mistakes) => usage(&mistakes),
    }
}

/// The file may be on the other machine too.
fn check_access(config: &Config) -> Result<(), Mistakes> {
    let file = config.web_config_file.as_deref().filter(|file| file.exists());
    Access::new(file).map(drop)
}
