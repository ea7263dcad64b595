//! The configuration file: every option by its name, `sources`, and `conventions`, whose items can be rules.
//!
//! The definition of the command line determines the keys and their types. A value of the file is used if the command
//! line and the environment set none.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::conventions;
use super::errors::ConfigErrors;
use super::regular_file;
use super::yaml::{self, EMPTY, Place, Value};

/// The option that names the file; it cannot be set in it.
const CONFIG_FILE: &str = "config-file";

/// The options that select accounts; a file has these or `sources`.
pub(super) const SOURCE_OPTIONS: [&str; 3] = ["role", "external-id", "no-own-account"];

/// The settings of a file, below those of the command line and the environment.
#[derive(Clone, Debug)]
pub(crate) struct FileLayer {
    /// By the option's long name.
    options: BTreeMap<String, Vec<(Place, String)>>,
    sources: Option<Value>,
    /// The list of conventions, with the path of the file.
    conventions: Option<(Value, PathBuf)>,
    errors: ConfigErrors,
}

/// The parts of a file that are no options with texts, and the errors.
#[derive(Clone, Debug, Default)]
pub(super) struct Parts {
    /// The errors so far, which know the places of the options.
    pub(super) errors: ConfigErrors,
    /// The accounts, if the file lists them.
    pub(super) sources: Option<Value>,
    /// The conventions, if the file lists them, and the path of the file.
    pub(super) conventions: Option<(Value, PathBuf)>,
}

impl FileLayer {
    /// Reads the file. Errors in it are recorded and reported together with all others; fails only if the whole file
    /// cannot be read.
    pub(crate) fn read(path: &Path, command: &Command) -> Result<Self, ConfigErrors> {
        let text = read(path).map_err(|problem| {
            ConfigErrors::one(format!("--{CONFIG_FILE}: {} cannot be read: {problem}", path.display()))
        })?;
        let errors = ConfigErrors::of(path);
        let mut layer = Self { options: BTreeMap::new(), sources: None, conventions: None, errors };
        let root = yaml::parse(&text, &mut layer.errors);
        let Some(mut keys) = root.and_then(|root| root.mapping(&mut layer.errors)) else {
            return Err(layer.errors.into_result().expect_err("the error was recorded"));
        };
        layer.sources = keys.take_set("sources", &mut layer.errors);
        for option in command.get_arguments().filter(|option| is_for_file(option)) {
            for key in names(option) {
                let Some(value) = keys.take_set(&key, &mut layer.errors) else { continue };
                if option.get_long() == Some(conventions::OPTION) {
                    layer.take_conventions(value, path);
                } else {
                    layer.take_in(option, &value);
                }
            }
        }
        keys.finish(&mut layer.errors);
        Ok(layer)
    }

    fn take_conventions(&mut self, value: Value, path: &Path) {
        match &self.conventions {
            Some((other, _)) => {
                self.errors.add(&value.place, format!("{} is the same key; merge both", other.place));
            }
            None => self.conventions = Some((value, path.to_owned())),
        }
    }

    fn take_in(&mut self, option: &Arg, value: &Value) {
        let Some(name) = option.get_long() else { return };
        let values = match option.get_action() {
            ArgAction::SetTrue => {
                let flag = value.flag(&mut self.errors);
                flag.filter(|flag| *flag)
                    .map(|_| (value.place.clone(), "true".to_owned()))
                    .into_iter()
                    .collect()
            }
            ArgAction::Append => value.texts_set(&mut self.errors),
            _ => {
                let text = value.text(&mut self.errors).map(str::to_owned);
                text.map(|text| (value.place.clone(), text)).into_iter().collect()
            }
        };
        let possible = option.get_possible_values();
        for (place, text) in &values {
            // The command line does not accept an empty path either, but would not report its place in the file.
            if text.is_empty() && option.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
                self.errors.add(place, EMPTY);
                return;
            }
            let is_possible = possible.iter().any(|value| value.matches(text, false));
            if !possible.is_empty() && !is_possible && !matches!(option.get_action(), ArgAction::SetTrue) {
                let known: Vec<_> = possible.iter().map(|value| value.get_name()).collect();
                self.errors.add(place, format!("{text:?} is not one of {}", known.join(", ")));
                return;
            }
        }
        if !values.is_empty() {
            self.options.entry(name.to_owned()).or_default().extend(values);
        }
    }

    /// The command line's definition, with the values of the file as defaults.
    pub(crate) fn lay_under(&self, command: Command) -> Command {
        command.mut_args(|option| {
            let values = option.get_long().and_then(|name| self.options.get(name));
            match values {
                Some(values) => {
                    option.default_values(values.iter().map(|(_, text)| text.clone()).collect::<Vec<_>>())
                }
                None => option,
            }
        })
    }

    /// Keeps only the values of these options.
    pub(crate) fn keep(&mut self, options: &[&str]) {
        self.options.retain(|name, _| options.contains(&&**name));
        self.sources = None;
        self.conventions = self.conventions.take().filter(|_| options.contains(&conventions::OPTION));
    }

    /// Drops the options that the command line or the environment sets. Roles set there replace all
    /// sources, and conventions the whole list.
    pub(crate) fn overruled_by(&mut self, matches: &ArgMatches) {
        let is_given = |name: &str| {
            let source = matches.value_source(&name.replace('-', "_"));
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        self.options.retain(|name, _| !is_given(name));
        if is_given("role") {
            self.sources = None;
        }
        if is_given(conventions::OPTION) {
            self.conventions = None;
        }
    }

    /// Its parts, for the checks.
    pub(super) fn into_parts(self) -> Parts {
        let Self { options, sources, conventions, errors } = self;
        Parts { errors: errors.with_options(options), sources, conventions }
    }
}

fn read(path: &Path) -> Result<String, String> {
    match regular_file::read(path)? {
        // A full disk can leave an empty file, which would drop all roles.
        text if text.is_empty() => Err("it is empty; write {} if that is intended".to_owned()),
        text => Ok(text),
    }
}

fn is_for_file(option: &Arg) -> bool {
    !matches!(option.get_long(), None | Some("help" | "version" | CONFIG_FILE))
}

/// The keys of an option: its names with underscores, as in Prometheus.
fn names(option: &Arg) -> impl Iterator<Item = String> {
    let aliases = option.get_all_aliases().into_iter().flatten();
    option.get_long().into_iter().chain(aliases).map(|name| name.replace('-', "_"))
}
