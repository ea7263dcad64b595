//! The `PROMETHEUS_*` variables of a container definition, as `discoverecs.py` introduced them.
//!
//! [`read`] turns their values into a [`Request`]: what the container asks for. Where it runs, and so
//! which address and port answer, is not looked at here. What each value meant is [told](readings) by the same functions.

pub(crate) mod endpoints;
pub mod near_miss;
pub mod readings;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conventions::Scheme;
use crate::finding::Problem;
use crate::interval::{Interval, Intervals};
use crate::model::{ContainerDefinition, Names, Settings};
use crate::variable::Variable;

/// What a container asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// Nothing: `PROMETHEUS` is unset or empty.
    None,
    /// Not to be scraped: `PROMETHEUS` is `false`, `0`, `no` or `off`.
    OptedOut,
    /// To be scraped.
    Scrape(Scrape),
}

/// How a container asks to be scraped. One bad endpoint stands beside the good ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrape {
    /// Never empty; in the order written.
    pub endpoints: Vec<Result<Endpoint, Problem>>,
    /// How each of them was written, in the same order.
    pub written: Vec<Box<str>>,
    /// `PROMETHEUS_NOLABELS`.
    pub no_labels: bool,
    /// `PROMETHEUS_TAGS`, verbatim.
    pub tags: Option<Arc<str>>,
    /// What was not followed to the letter.
    pub warnings: Vec<String>,
}

/// One place to scrape.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// One of the offered intervals.
    pub interval: Interval,
    /// Where the port comes from.
    pub port: PortRequest,
    /// `http` or `https`.
    pub scheme: Scheme,
    /// With a leading `/`, without the query.
    pub path: Box<str>,
    /// The query's parameters, decoded.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
}

/// Which port a container asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortRequest {
    /// This one, whatever the network mode.
    Verbatim(u16),
    /// Wherever this container port is reachable.
    Container(u16),
    /// Wherever the first TCP port mapping is reachable.
    First,
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
    definition: &'a ContainerDefinition,
    overrides: Option<&'a Settings>,
) -> [(SettingSource, Cow<'a, Settings>); 3] {
    let labels = definition.docker_labels.iter().map(|(name, value)| (&**name, &**value));
    [
        (SettingSource::DockerLabels, Cow::Owned(Settings::from_pairs(labels, &Names::default()))),
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
    definition: &ContainerDefinition,
    overrides: Option<&Settings>,
    intervals: &Intervals,
) -> Request {
    let settings = settings(&places(definition, overrides));
    match opt_in(&settings) {
        OptIn::Unset => return Request::None,
        OptIn::No => return Request::OptedOut,
        OptIn::Yes => {}
    }
    let mut warnings = unreadable(definition, &settings);
    let (endpoints, written) =
        endpoints::endpoints(&settings, intervals, &definition.port_mappings, &mut warnings);
    Request::Scrape(Scrape {
        endpoints,
        written,
        no_labels: no_labels(&settings),
        tags: settings.value(Variable::Tags).map(Into::into),
        warnings,
    })
}

/// What `PROMETHEUS` says.
enum OptIn {
    Unset,
    No,
    Yes,
}

fn opt_in(settings: &Settings) -> OptIn {
    match settings.value(Variable::Prometheus).unwrap_or_default().trim() {
        "" => OptIn::Unset,
        no if ["false", "0", "no", "off"].iter().any(|word| no.eq_ignore_ascii_case(word)) => OptIn::No,
        _ => OptIn::Yes,
    }
}

fn no_labels(settings: &Settings) -> bool {
    settings.value(Variable::NoLabels).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"))
}

/// What to do about a variable that only `secrets` sets.
fn remedy(variable: Variable) -> &'static str {
    match variable {
        Variable::Endpoint => "set it, or PROMETHEUS_SD_ENDPOINT, in environment",
        _ => "set it in environment",
    }
}

/// A variable that only `secrets` sets reads as unset, which its owner would not expect.
fn unreadable(definition: &ContainerDefinition, settings: &Settings) -> Vec<String> {
    let is_unset = |variable: &Variable| settings.value(*variable).is_none();
    // Where the image owns the name, its secret is no mistake.
    let is_unused = |variable: &Variable| {
        *variable == Variable::Endpoint && endpoints::endpoint_variable(settings) == Variable::SdEndpoint
    };
    // A definition can name a secret any number of times.
    Variable::ALL
        .into_iter()
        .filter(|variable| definition.has_secret(variable) && is_unset(variable) && !is_unused(variable))
        .map(|variable| {
            let (name, remedy) = (variable.name(), remedy(variable));
            format!("{name} comes from secrets, which cannot be read; {remedy}")
        })
        .collect()
}
