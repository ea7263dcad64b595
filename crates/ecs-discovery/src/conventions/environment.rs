//! The `PROMETHEUS_*` variables of a container definition, as `discoverecs.py` introduced them.
//!
//! [`read`] turns their values into a [`Request`]: what the container asks for. Where it runs, and so
//! which address and port answer, is not looked at here. What each value meant is [told](readings) by the same functions.

pub(crate) mod endpoints;
pub mod near_miss;
mod promed;
pub mod readings;

use std::borrow::Cow;
use std::sync::Arc;

use crate::conventions::list::Dialect;
use crate::conventions::{Said, Scrape, Style};
use crate::interval::Intervals;
use crate::model::{ContainerDefinition, Settings};
use crate::variable::Variable;

/// What a container asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing: the variable that opts in is unset or empty.
    None,
    /// Not to be scraped: the variable is `false`, `0`, `no` or `off`.
    OptedOut,
    /// To be scraped.
    Scrape(Scrape),
}

/// Where a variable can be set. Of those that are read, a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SettingSource {
    /// The container definition's `dockerLabels`.
    DockerLabels,
    /// The container definition's `environment`.
    Environment,
    /// The task's `overrides`, which RunTask sets.
    Overrides,
    /// The container definition's `secrets`, whose values cannot be read.
    Secrets,
}

/// The places that are read, each with what it sets, in their order.
fn places<'a>(
    dialect: Dialect,
    definition: &'a ContainerDefinition,
    overrides: Option<&'a Settings>,
) -> [(SettingSource, Cow<'a, Settings>); 3] {
    let labels = definition.docker_labels.iter().map(|(name, value)| (&**name, &**value));
    [
        (SettingSource::DockerLabels, Cow::Owned(Settings::from_pairs(labels, &dialect.names()))),
        (SettingSource::Environment, Cow::Borrowed(&definition.environment)),
        (SettingSource::Overrides, overrides.map_or_else(Cow::default, Cow::Borrowed)),
    ]
}

/// What they come to: name by name, the later place wins.
fn settings(places: &[(SettingSource, Cow<'_, Settings>)]) -> Settings {
    let mut settings = Settings::default();
    places.iter().for_each(|(_, set)| settings.overlay(set));
    settings
}

/// Reads what a container asks for: docker labels, then environment, then the task's overrides, the later wins.
pub fn read(
    dialect: Dialect,
    definition: &ContainerDefinition,
    overrides: Option<&Settings>,
    intervals: &Intervals,
) -> Request {
    let settings = settings(&places(dialect, definition, overrides));
    match opt_in(dialect, &settings) {
        OptIn::Unset => return Request::None,
        OptIn::No => return Request::OptedOut,
        OptIn::Yes => {}
    }
    let mut warnings = unreadable(dialect, definition, &settings);
    let (endpoints, written) =
        endpoints::endpoints(dialect, &settings, intervals, &definition.port_mappings, &mut warnings);
    let custom = match dialect {
        Dialect::Environment => Vec::new(),
        Dialect::Promed => promed::custom(definition, &settings, &mut warnings),
    };
    let tags = settings.value(Variable::Tags).map(Into::into);
    let style = Style::Variables { no_labels: no_labels(dialect, &settings), tags };
    let said = Said { convention: dialect.shared_name(), style, job: None, custom };
    Request::Scrape(Scrape { endpoints, written, said: Arc::new(said), warnings })
}

/// Whether a container asks to be scraped.
pub(crate) fn asks_to_be_scraped(
    dialect: Dialect,
    definition: &ContainerDefinition,
    overrides: Option<&Settings>,
) -> bool {
    matches!(opt_in(dialect, &settings(&places(dialect, definition, overrides))), OptIn::Yes)
}

/// What the variable that opts in says.
enum OptIn {
    Unset,
    No,
    Yes,
}

fn opt_in(dialect: Dialect, settings: &Settings) -> OptIn {
    match settings.value(dialect.opt_in()).unwrap_or_default().trim() {
        "" => OptIn::Unset,
        no if is_no(no) => OptIn::No,
        _ => OptIn::Yes,
    }
}

fn is_no(text: &str) -> bool {
    ["false", "0", "no", "off"].iter().any(|word| text.eq_ignore_ascii_case(word))
}

fn no_labels(dialect: Dialect, settings: &Settings) -> bool {
    settings.value(Variable::NoLabels).map(str::trim).is_some_and(|text| match dialect {
        Dialect::Environment => text.eq_ignore_ascii_case("true"),
        Dialect::Promed => !text.is_empty() && !is_no(text),
    })
}

/// What to do about a variable that only `secrets` sets.
fn remedy(variable: Variable) -> &'static str {
    match variable {
        Variable::Endpoint => "set it, or PROMETHEUS_SD_ENDPOINT, in environment",
        _ => "set it in environment",
    }
}

/// A variable that only `secrets` sets reads as unset, which its owner would not expect.
fn unreadable(dialect: Dialect, definition: &ContainerDefinition, settings: &Settings) -> Vec<String> {
    let is_unset = |variable: &Variable| settings.value(*variable).is_none();
    // Where the image owns the name, its secret is no mistake.
    let is_unused = |variable: &Variable| {
        *variable == Variable::Endpoint && endpoints::endpoint_variable(settings) == Variable::SdEndpoint
    };
    // A definition can name a secret any number of times.
    Variable::ALL
        .into_iter()
        // PromED does not read PROMETHEUS.
        .filter(|variable| dialect == Dialect::Environment || *variable != Variable::Prometheus)
        .filter(|variable| definition.has_secret(variable) && is_unset(variable) && !is_unused(variable))
        .map(|variable| {
            let (name, remedy) = (variable.name(), remedy(variable));
            format!("{name} comes from secrets, which cannot be read; {remedy}")
        })
        .collect()
}
