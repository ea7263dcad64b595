//! The command line over the environment over the configuration file over the defaults.

use std::ffi::OsString;

use clap::FromArgMatches;
use clap::error::ErrorKind;

use super::{Cli, Command, command, explain, variables};
use crate::config::{Config, Directories, FileLayer, Mistakes};
use crate::directories::prepare;

/// What was typed, with the file laid under it.
#[derive(Clone)]
pub(super) struct Layers {
    pub(super) cli: Cli,
    /// What the file said, and what is wrong with it.
    pub(super) file: Option<FileLayer>,
}

/// Why there is nothing to run.
pub(super) enum Unread {
    /// The command line is not right, or asks for help.
    Usage(clap::Error),
    /// The configuration file or a variable is invalid.
    File(Mistakes),
}

impl From<clap::Error> for Unread {
    /// Clap does not say which variable is not UTF-8.
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
            mistakes => Self::File(Mistakes(mistakes)),
        }
    }
}

impl Layers {
    /// Reads the file that the command line names, if it does. What is wrong with its values is told by
    /// [`config`](Self::config), with all else.
    pub(super) fn read(arguments: &[OsString]) -> Result<Self, Unread> {
        let command = command();
        let matches = command.clone().try_get_matches_from(arguments)?;
        let cli = Cli::from_arg_matches(&matches)?;
        let Some(path) = cli.config_file() else { return Ok(Self { cli, file: None }) };
        // It is the discovery's, whichever command reads it.
        let mut file = FileLayer::read(path, &command).map_err(Unread::File)?;
        if let Some(Command::Explain(_)) = cli.command {
            file.keep(&explain::OF_FILE);
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

    /// What it all comes to.
    pub(super) fn config(self, directories: Directories) -> Result<Config, Mistakes> {
        let arguments = self.cli.run_arguments().cloned().unwrap_or_default();
        Config::layered(&arguments, self.file, directories)
    }
}

/// Reads the same command line's configuration again.
pub(super) fn reread(arguments: &[OsString]) -> Result<Config, Mistakes> {
    match Layers::read(arguments) {
        Ok(layers) => layers.config(Directories::Prepared(prepare)),
        Err(Unread::Usage(error)) => Err(Mistakes(vec![error.to_string()])),
        Err(Unread::File(mistakes)) => Err(mistakes),
    }
}
