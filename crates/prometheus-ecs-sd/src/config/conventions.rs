//! The conventions of the configuration: names of built-ins from the option or the file, and rules from the file.
//!
//! All mistakes are recorded with their place. The core says which rules are of no use; this file reads them.

pub(crate) mod print;
mod rule;

use std::collections::BTreeMap;
use std::path::Path;

use ecs_discovery::conventions::builtin::{self, builtin};
use ecs_discovery::conventions::list::{Conventions, Entry};
use ecs_discovery::interval::Intervals;
use ecs_discovery::text::count;

use super::errors::ConfigErrors;
use super::similar::similar;
use super::yaml::{EMPTY, Place, Value};

/// The name of the option.
pub(super) const OPTION: &str = "convention";

/// The maximum number of rules. Each is applied to each container of each definition.
const RULES: usize = 100;

/// The conventions that the option names; `None` if it is not given.
pub(super) fn from_option(given: &[String], errors: &mut ConfigErrors) -> Option<Conventions> {
    if given.is_empty() {
        return None;
    }
    let names: Vec<_> = super::values(given).collect();
    if names.is_empty() {
        errors.option(OPTION, "this is empty; name a convention, or remove the option for the default");
    }
    let mut entries = Vec::new();
    for (position, name) in names.iter().enumerate() {
        match entries_of(name) {
            Ok(_) if names[..position].contains(name) => errors.option(OPTION, twice(name)),
            Ok(one) => entries.extend(one),
            Err(problem) => errors.option(OPTION, problem),
        }
    }
    Some(Conventions::new(entries))
}

/// The conventions of the file, which is named in the places of its rules.
pub(super) fn from_file(
    list: Value,
    file: &Path,
    intervals: &Intervals,
    errors: &mut ConfigErrors,
) -> Conventions {
    let place = list.place.clone();
    let items = list.items(errors);
    if items.is_empty() {
        errors.add(&place, "this list is empty; remove the key for the default");
    }
    let mut entries = Vec::new();
    let mut builtins = Vec::new();
    let mut rules: Vec<(String, Place)> = Vec::new();
    let mut number = 0;
    for item in items {
        if item.is_mapping() {
            number += 1;
            // The others would cost time and memory only to be refused.
            if number <= RULES {
                let read = rule::read(item, file, intervals, errors);
                rules.extend(read.name);
                entries.extend(read.rule.map(Entry::rule));
            }
            continue;
        }
        let place = item.place.clone();
        if item.is_null() {
            errors.add(&place, EMPTY);
        }
        let Some(name) = item.text(errors).map(str::trim) else { continue };
        match entries_of(name) {
            _ if name.is_empty() => errors.add(&place, EMPTY),
            Ok(_) if builtins.contains(&name.to_owned()) => errors.add(&place, twice(name)),
            Ok(one) => {
                builtins.push(name.to_owned());
                entries.extend(one);
            }
            Err(problem) => errors.add(&place, problem),
        }
    }
    if number > RULES {
        errors.add(&place, format!("there are {}; use up to {RULES}", count(number, "rule")));
    }
    for (name, place) in rules.iter().filter(|(name, _)| builtins.contains(name)) {
        let problem = format!(
            "{name} is a built-in convention of this list; name the rule otherwise, or remove the built-in"
        );
        errors.add(place, problem);
    }
    Conventions::new(entries)
}

fn entries_of(name: &str) -> Result<Vec<Entry>, String> {
    builtin(name).ok_or_else(|| match similar(name, builtin::NAMES) {
        Some(meant) => format!("there is no convention {name:?}; is {meant} meant?"),
        None => format!("there is no convention {name:?}; there are {}", builtin::NAMES.join(", ")),
    })
}

fn twice(name: &str) -> String {
    format!("{name} is listed twice; remove one")
}

/// The conventions in their order, with the places of their rules: `teralytics, nginx (config.yml:4, config.yml:9)`.
pub(super) fn shown(conventions: &Conventions) -> String {
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for rule in conventions.rules() {
        places.entry(&rule.name).or_default().extend(rule.place.as_deref());
    }
    let shown = conventions.iter().map(|convention| {
        match places.get(convention.name()).filter(|places| !places.is_empty()) {
            Some(places) => format!("{} ({})", convention.name(), places.join(", ")),
            None => convention.name().to_owned(),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}
