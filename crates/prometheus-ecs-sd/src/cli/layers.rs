//! Combines, by precedence, the command line, the environment, the configuration file and the defaults.

use std::ffi::OsString;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use super::{Cli, Command, command, explain, variables};
use crate::config::{Config, ConfigErrors, Directories, FileLayer};
use crate::directories::prepare;

/// The command line, combined with the file.
#[derive(Clone)]
pub(super) struct Layers {
    pub(super) cli: Cli,
    /// The settings of the file, and its errors.
    pub(super) file: Option<FileLayer>,
}

/// Why there is no command to run.
pub(super) enum Unread {
    /// The command line is invalid, or requests help.
    Usage(clap::Error),
    /// The configuration file or a variable is invalid.
    File(ConfigErrors),
}

impl From<clap::Error> for Unread {
    /// Clap does not name the variable that is not UTF-8.
    fn from(error: clap::Error) -> Self {
        let not_utf8 = |(name, value): (OsString, OsString)| {
            let name = name.into_string().ok().filter(|name| name.starts_with(variables::PREFIX))?;
            value
                .to_str()
                .is_none()
                .then(|| format!("{name}: the value is not UTF-8; set it again, or unset it"))
        };
        if error.kind() != ErrorKind::InvalidUtf8 {
            return Self::Usage(error);
        }
        match std::env::vars_os().filter_map(not_utf8).collect::<Vec<_>>() {
            none if none.is_empty() => Self::Usage(error),
            errors => Self::File(ConfigErrors::from(errors)),
        }
    }
}

impl Layers {
    /// Reads the file that the command line names, if any. [`config`](Self::config) reports errors in its values together
    /// with all others.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, Unread> {
        let command = command();
        let matches = command.clone().try_get_matches_from(arguments)?;
        let cli = Cli::from_arg_matches(&matches)?;
        let Some(path) = cli.config_file() else { return Ok(Self { cli, file: None }) };
        // Every command reads the file of the discovery.
        let mut file = FileLayer::read(path, &command).map_err(Unread::File)?;
        if let Some(Command::Explain(_)) = cli.command {
            file.keep(&explain::FILE_OPTIONS);
        }
        let (subcommand, innermost) = matches.subcommand().unwrap_or(("", &matches));
        file.overruled_by(innermost);
        let command = match subcommand {
            "" => file.lay_under(command),
            subcommand => command.mut_subcommand(subcommand, |command| file.lay_under(command)),
        };
        let cli = Cli::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
        Ok(Self { cli, file: Some(file) })
    }

    /// The resulting configuration.
    pub(super) fn config(self, directories: Directories) -> Result<Config, ConfigErrors> {
        let arguments = self.cli.run_arguments().cloned().unwrap_or_default();
        Config::layered(&arguments, self.file, directories)
    }
}

/// Reads the configuration again, with the same command line.
pub(super) fn reread(arguments: &[OsString]) -> Result<Config, ConfigErrors> {
    match Layers::read(arguments) {
        Ok(layers) => layers.config(Directories::Prepared(prepare)),
        Err(Unread::Usage(error)) => Err(ConfigErrors::one(error.to_string())),
        Err(Unread::File(errors)) => Err(errors),
    }
}
