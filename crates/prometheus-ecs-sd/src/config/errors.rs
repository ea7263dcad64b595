//! The errors in what the user configures, each with its place: an option, or a line of a file.
//!
//! Errors are collected, so that all of them are reported together: those of the file first, by line.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use ecs_discovery::text::count;

use super::yaml::Place;

/// The errors of a file that are shown: more than anyone corrects before the next try.
const SHOWN: usize = 100;

/// All errors in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigErrors {
    file: String,
    /// The options that the file sets: the places and values of each.
    options: BTreeMap<String, Vec<(Place, String)>>,
    of_file: Vec<(usize, String)>,
    others: Vec<String>,
}

impl ConfigErrors {
    /// A single error.
    pub fn one(error: impl Into<String>) -> Self {
        Self::from(vec![error.into()])
    }

    /// No errors yet, of this file.
    pub(crate) fn of(file: &Path) -> Self {
        Self { file: file.display().to_string(), ..Self::default() }
    }

    /// Reports errors of these options at their places in the file from now on.
    pub(super) fn with_options(self, options: BTreeMap<String, Vec<(Place, String)>>) -> Self {
        Self { options, ..self }
    }

    /// Records an error at a place in the file.
    pub(crate) fn add(&mut self, place: &Place, problem: impl AsRef<str>) {
        let (Place { line, path }, problem) = (place, problem.as_ref());
        let text = if path.is_empty() { problem.to_owned() } else { format!("{path}: {problem}") };
        self.of_file.push((*line, text));
    }

    /// Records an error of an option.
    pub(super) fn option(&mut self, option: &str, problem: impl AsRef<str>) {
        self.record(option, None, problem.as_ref());
    }

    /// Records an error of one of an option's values.
    pub(super) fn value(&mut self, option: &str, value: &str, problem: impl AsRef<str>) {
        self.record(option, Some(value), problem.as_ref());
    }

    fn record(&mut self, option: &str, value: Option<&str>, problem: &str) {
        let values = self.options.get(option).into_iter().flatten();
        let mut places = values.clone().filter(|(_, text)| value.is_none_or(|value| text.trim() == value));
        match places.next().or_else(|| values.clone().next()) {
            Some((place, _)) => self.add(&place.clone(), problem),
            None => self.others.push(format!("--{option}: {problem}")),
        }
    }

    /// The value; if it is invalid, records the error and returns a default.
    pub(super) fn checked<T: Default>(&mut self, option: &str, value: Result<T, String>) -> T {
        value.unwrap_or_else(|problem| {
            self.option(option, problem);
            T::default()
        })
    }

    /// Whether the file sets the option.
    pub(super) fn is_of_file(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// Fails if there are errors.
    pub(crate) fn into_result(self) -> Result<(), Self> {
        if self.of_file.is_empty() && self.others.is_empty() { Ok(()) } else { Err(self) }
    }

    /// One line for each error.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut of_file: Vec<_> = self.of_file.iter().collect();
        of_file.sort_by_key(|(line, _)| *line);
        let (file, more) = (&self.file, of_file.len().saturating_sub(SHOWN));
        let shown = of_file.into_iter().take(SHOWN).map(|(line, text)| format!("{file}:{line}: {text}"));
        let rest = (more > 0).then(|| format!("{file}: {}", count(more, "more error")));
        shown.chain(rest).chain(self.others.iter().cloned()).collect()
    }
}

impl From<Vec<String>> for ConfigErrors {
    fn from(errors: Vec<String>) -> Self {
        Self { others: errors, ..Self::default() }
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}
