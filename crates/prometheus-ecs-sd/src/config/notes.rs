//! What is wrong with what was typed, each with its place: an option, or a line of the configuration file.

use super::Mistakes;
use super::accounts::{self, Account, Common};
use super::file::{FileLayer, WHOSE};

/// Mistakes, as they are found.
#[derive(Debug)]
pub(super) struct Notes {
    mistakes: Vec<String>,
    file: Option<FileLayer>,
}

impl Notes {
    pub(super) fn new(file: Option<FileLayer>) -> Self {
        Self { mistakes: Vec::new(), file }
    }

    /// Notes what is wrong with an option.
    pub(super) fn option(&mut self, option: &str, problem: String) {
        self.note(option, None, problem);
    }

    /// Notes what is wrong with one of an option's values.
    pub(super) fn value(&mut self, option: &str, value: &str, problem: String) {
        self.note(option, Some(value), problem);
    }

    fn note(&mut self, option: &str, value: Option<&str>, problem: String) {
        match &mut self.file {
            Some(file) if file.says(option) => file.note(option, value, &problem),
            _ => self.mistakes.push(format!("--{option}: {problem}")),
        }
    }

    /// The value, or what stands in for it until all mistakes are known.
    pub(super) fn checked<T: Default>(&mut self, option: &str, value: Result<T, String>) -> T {
        value.unwrap_or_else(|problem| {
            self.option(option, problem);
            T::default()
        })
    }

    /// Whether an option's value is the file's.
    pub(super) fn is_of_file(&self, option: &str) -> bool {
        self.file.as_ref().is_some_and(|file| file.says(option))
    }

    /// The accounts that the file names as sources, if it does.
    pub(super) fn sources(&mut self, common: &Common) -> Option<Vec<Account>> {
        let file = self.file.as_mut()?;
        let sources = file.take_sources()?;
        for option in WHOSE {
            file.note(option, None, "sources say whose containers; put this there");
        }
        Some(accounts::from_file(sources, common, file.problems()))
    }

    /// All of them, those of the file first.
    pub(super) fn into_result(self) -> Result<(), Mistakes> {
        let of_file = self.file.map_or(Ok(()), FileLayer::into_result);
        let mut mistakes = of_file.err().map_or_else(Vec::new, |Mistakes(of_file)| of_file);
        mistakes.extend(self.mistakes);
        if mistakes.is_empty() { Ok(()) } else { Err(Mistakes(mistakes)) }
    }
}
