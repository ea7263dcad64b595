//! Each variable as it was found: where, with what value, which place wins, and what the value meant.
//!
//! The words are those of the functions that [`read`](super::read) uses; nothing is decided here.

use super::endpoints::{endpoint_texts, endpoint_variable, port_in, scheme};
use super::{OptIn, SettingSource, no_labels, opt_in, places, remedy, settings};
use crate::conventions::PortRequest;
use crate::conventions::list::Dialect;
use crate::labels::VALUE_BYTES;
use crate::model::{ContainerDefinition, Settings};
use crate::variable::Variable;

impl SettingSource {
    /// AWS's name of it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DockerLabels => "dockerLabels",
            Self::Environment => "environment",
            Self::Overrides => "overrides",
            Self::Secrets => "secrets",
        }
    }
}

/// A variable in one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VariableReading {
    /// Which.
    pub variable: Variable,
    /// Where.
    pub place: SettingSource,
    /// `None` where it cannot be read.
    pub value: Option<Box<str>>,
    /// Whether this is the value that counts.
    pub counts: bool,
    /// What it meant, or why it does not count.
    pub meaning: String,
}

/// Every variable in every place that sets it, in the order of the documentation, the place that counts first.
pub fn readings(definition: &ContainerDefinition, overrides: Option<&Settings>) -> Vec<VariableReading> {
    let places = places(Dialect::Environment, definition, overrides);
    let settings = settings(&places);
    let mut readings = Vec::new();
    for variable in Variable::ALL {
        let found = places.iter().rev().filter_map(|(place, set)| Some((*place, set.value(variable)?)));
        let mut winner = None;
        for (place, value) in found {
            let (counts, meaning) = match winner {
                None => (true, meaning(variable, &settings)),
                Some(winner) => (false, format!("does not count: {} wins", SettingSource::as_str(winner))),
            };
            winner.get_or_insert(place);
            readings.push(VariableReading { variable, place, value: Some(value.into()), counts, meaning });
        }
        if definition.has_secret(variable) {
            let is_unused =
                variable == Variable::Endpoint && endpoint_variable(&settings) == Variable::SdEndpoint;
            let meaning = match winner {
                None if is_unused => "not looked at: PROMETHEUS_SD_ENDPOINT wins".to_owned(),
                None => format!("cannot be read, and counts as unset; {}", remedy(variable)),
                Some(winner) => format!("cannot be read: {} counts", winner.as_str()),
            };
            readings.push(VariableReading {
                variable,
                place: SettingSource::Secrets,
                value: None,
                counts: false,
                meaning,
            });
        }
    }
    readings
}

/// What the value of a variable that is set meant.
fn meaning(variable: Variable, settings: &Settings) -> String {
    let is_in = matches!(opt_in(Dialect::Environment, settings), OptIn::Yes);
    if variable != Variable::Prometheus && !is_in {
        return "not looked at: PROMETHEUS does not opt in".to_owned();
    }
    match variable {
        Variable::Prometheus => match opt_in(Dialect::Environment, settings) {
            OptIn::Unset => "empty, which does not opt in".to_owned(),
            OptIn::No => "opts out".to_owned(),
            OptIn::Yes => "opts in".to_owned(),
        },
        Variable::Endpoint if endpoint_variable(settings) == Variable::SdEndpoint => {
            "not looked at: PROMETHEUS_SD_ENDPOINT wins".to_owned()
        }
        Variable::Endpoint | Variable::SdEndpoint => match endpoint_texts(settings, variable).len() {
            0 => "names no endpoint, as if it were not set".to_owned(),
            1 => "one endpoint".to_owned(),
            several => format!("{several} endpoints"),
        },
        Variable::Port => match port_in(settings, variable, PortRequest::Verbatim) {
            Some(Ok(_)) => "the port of endpoints that name none, in every network mode".to_owned(),
            Some(Err(_)) => "not a port".to_owned(),
            None => "empty, as if it were not set".to_owned(),
        },
        Variable::ContainerPort => match port_in(settings, variable, PortRequest::Container) {
            Some(_) if port_in(settings, Variable::Port, PortRequest::Verbatim).is_some() => {
                "not looked at: PROMETHEUS_PORT wins".to_owned()
            }
            Some(Ok(_)) => "the container port of endpoints that name none".to_owned(),
            Some(Err(_)) => "not a port".to_owned(),
            None => "empty, as if it were not set".to_owned(),
        },
        Variable::NoLabels if no_labels(Dialect::Environment, settings) => {
            "no labels of ECS and EC2, and instance is the job's name".to_owned()
        }
        Variable::NoLabels => "not true, as if it were not set".to_owned(),
        Variable::Tags if settings.value(variable) == Some("") => "empty: no label tags".to_owned(),
        Variable::Tags if settings.value(variable).is_some_and(|tags| tags.len() > VALUE_BYTES) => {
            format!("the label tags, cut at {VALUE_BYTES} bytes")
        }
        Variable::Tags => "the label tags, as it is".to_owned(),
        Variable::Scheme => match scheme(settings) {
            Ok(scheme) => format!("speaks {}", scheme.as_str()),
            Err(_) => "neither http nor https".to_owned(),
        },
    }
}
