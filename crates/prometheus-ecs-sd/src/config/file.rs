//! The configuration file: every option by its name, and `sources`.
//!
//! What an option may be is asked of the command line's definition, so that the file can hold nothing else; a value
//! counts where the command line and the environment name none.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::Mistakes;
use super::regular_file;
use super::yaml::{self, EMPTY, Place, Problems, Value};

/// What names the file cannot stand in it.
const CONFIG_FILE: &str = "config-file";

/// What says whose containers, which the file says in `sources` or with these.
pub(super) const WHOSE: [&str; 3] = ["role", "external-id", "no-own-account"];

/// What a file says where nothing else does.
#[derive(Clone, Debug)]
pub(crate) struct FileLayer {
    /// By the option's long name.
    options: BTreeMap<String, Vec<(Place, String)>>,
    sources: Option<Value>,
    problems: Problems,
}

impl FileLayer {
    /// Reads it. What is wrong in it is noted and told with all else that is wrong; only if it cannot be read at all,
    /// nothing else is known to be wrong.
    pub(crate) fn read(path: &Path, command: &Command) -> Result<Self, Mistakes> {
        let text = read(path).map_err(|problem| {
            Mistakes(vec![format!("--{CONFIG_FILE}: {} cannot be read: {problem}", path.display())])
        })?;
        let mut layer = Self { options: BTreeMap::new(), sources: None, problems: Problems::of(path) };
        let root = yaml::parse(&text, &mut layer.problems);
        let Some(mut keys) = root.and_then(|root| root.mapping(&mut layer.problems)) else {
            return Err(layer.problems.into_result().expect_err("there is something wrong with it"));
        };
        layer.sources = keys.take_set("sources", &mut layer.problems);
        for option in command.get_arguments().filter(|option| is_for_file(option)) {
            for key in names(option) {
                if let Some(value) = keys.take_set(&key, &mut layer.problems) {
                    layer.take_in(option, &value);
                }
            }
        }
        keys.finish(&mut layer.problems);
        Ok(layer)
    }

    fn take_in(&mut self, option: &Arg, value: &Value) {
        let Some(name) = option.get_long() else { return };
        let values = match option.get_action() {
            ArgAction::SetTrue => {
                let flag = value.flag(&mut self.problems);
                flag.filter(|flag| *flag)
                    .map(|_| (value.place.clone(), "true".to_owned()))
                    .into_iter()
                    .collect()
            }
            ArgAction::Append => value.texts_set(&mut self.problems),
            _ => {
                let text = value.text(&mut self.problems).map(str::to_owned);
                text.map(|text| (value.place.clone(), text)).into_iter().collect()
            }
        };
        let possible = option.get_possible_values();
        for (place, text) in &values {
            // The command line takes no empty path either, and could not say where in the file this one stands.
            if text.is_empty() && option.get_value_parser().type_id() == TypeId::of::<PathBuf>() {
                self.problems.add(place, EMPTY);
                return;
            }
            let is_possible = possible.iter().any(|value| value.matches(text, false));
            if !possible.is_empty() && !is_possible && !matches!(option.get_action(), ArgAction::SetTrue) {
                let known: Vec<_> = possible.iter().map(|value| value.get_name()).collect();
                self.problems.add(place, format!("{text:?} is not one of {}", known.join(", ")));
                return;
            }
        }
        if !values.is_empty() {
            self.options.entry(name.to_owned()).or_default().extend(values);
        }
    }

    /// The command line's definition with what the file says as defaults.
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

    /// Forgets all but what it says of these options.
    pub(crate) fn keep(&mut self, options: &[&str]) {
        self.options.retain(|name, _| options.contains(&&**name));
        self.sources = None;
    }

    /// Forgets what the command line or the environment says otherwise. Roles given there replace all sources.
    pub(crate) fn overruled_by(&mut self, matches: &ArgMatches) {
        let is_given = |name: &str| {
            let source = matches.value_source(&name.replace('-', "_"));
            matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable))
        };
        self.options.retain(|name, _| !is_given(name));
        if is_given("role") {
            self.sources = None;
        }
    }

    /// Whether the option's value is the file's.
    pub(super) fn says(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// Notes what is wrong with an option that the file sets, with one of its values if there are several.
    pub(super) fn note(&mut self, option: &str, value: Option<&str>, problem: &str) {
        let values = self.options.get(option).into_iter().flatten();
        let mut places = values.clone().filter(|(_, text)| value.is_none_or(|value| text.trim() == value));
        if let Some((place, _)) = places.next().or_else(|| values.clone().next()) {
            self.problems.add(&place.clone(), problem);
        }
    }

    /// The sources, if there are any.
    pub(super) fn take_sources(&mut self) -> Option<Value> {
        self.sources.take()
    }

    pub(super) fn problems(&mut self) -> &mut Problems {
        &mut self.problems
    }

    /// All that is wrong in the file.
    pub(super) fn into_result(self) -> Result<(), Mistakes> {
        self.problems.into_result()
    }
}

fn read(path: &Path) -> Result<String, String> {
    match regular_file::read(path)? {
        // A full disk leaves that of a file, and it would mean to forget all roles.
        text if text.is_empty() => Err("it is empty; write {} if that is meant".to_owned()),
        text => Ok(text),
    }
}

fn is_for_file(option: &Arg) -> bool {
    !matches!(option.get_long(), None | Some("help" | "version" | CONFIG_FILE))
}

/// The keys of an option: its names with underscores, as Prometheus spells keys.
fn names(option: &Arg) -> impl Iterator<Item = String> {
    let aliases = option.get_all_aliases().into_iter().flatten();
    option.get_long().into_iter().chain(aliases).map(|name| name.replace('-', "_"))
}
