//! The `PROMETHEUS_*` variables of a container definition, as `discoverecs.py` introduced them.
//!
//! [`read`] turns their values into a [`Request`]: what the container asks for. Where it runs, and so
//! which address and port answer, is not looked at here.

use std::collections::BTreeMap;

use crate::finding::{Problem, Reason};
use crate::interval::{Interval, Intervals, parse_duration};
use crate::labels::is_label_name;
use crate::model::{ContainerDefinition, Settings};
use crate::target::Scheme;

/// A variable that a container opts in with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Variable {
    /// `PROMETHEUS`
    Prometheus,
    /// `PROMETHEUS_ENDPOINT`
    Endpoint,
    /// `PROMETHEUS_PORT`
    Port,
    /// `PROMETHEUS_CONTAINER_PORT`
    ContainerPort,
    /// `PROMETHEUS_NOLABELS`
    NoLabels,
    /// `PROMETHEUS_TAGS`
    Tags,
    /// `PROMETHEUS_SCHEME`
    Scheme,
}

impl Variable {
    /// Every variable, in the order of the documentation.
    pub const ALL: [Self; 7] = [
        Self::Prometheus,
        Self::Endpoint,
        Self::Port,
        Self::ContainerPort,
        Self::NoLabels,
        Self::Tags,
        Self::Scheme,
    ];

    /// The name as task definitions spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "PROMETHEUS",
            Self::Endpoint => "PROMETHEUS_ENDPOINT",
            Self::Port => "PROMETHEUS_PORT",
            Self::ContainerPort => "PROMETHEUS_CONTAINER_PORT",
            Self::NoLabels => "PROMETHEUS_NOLABELS",
            Self::Tags => "PROMETHEUS_TAGS",
            Self::Scheme => "PROMETHEUS_SCHEME",
        }
    }

    /// The variable of that exact name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|variable| variable.name() == name)
    }
}

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
    /// `PROMETHEUS_NOLABELS`.
    pub no_labels: bool,
    /// `PROMETHEUS_TAGS`, verbatim.
    pub tags: Option<Box<str>>,
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

const DEFAULT_PATH: &str = "/metrics";

/// Reads what a container asks for: docker labels, then environment, then the task's overrides, the later wins.
pub fn read(
    definition: &ContainerDefinition,
    overrides: Option<&Settings>,
    intervals: &Intervals,
) -> Request {
    let mut settings =
        Settings::from_pairs(definition.docker_labels.iter().map(|(name, value)| (&**name, &**value)));
    settings.overlay(&definition.environment);
    if let Some(overrides) = overrides {
        settings.overlay(overrides);
    }
    let opt_in = settings.value(Variable::Prometheus).unwrap_or_default().trim();
    if opt_in.is_empty() {
        return Request::None;
    }
    if ["false", "0", "no", "off"].iter().any(|no| opt_in.eq_ignore_ascii_case(no)) {
        return Request::OptedOut;
    }
    let mut warnings = unreadable(definition, &settings);
    let endpoints = endpoints(&settings, intervals, &mut warnings);
    let set = |variable| settings.value(variable).map(str::trim).filter(|value| !value.is_empty());
    Request::Scrape(Scrape {
        endpoints,
        no_labels: set(Variable::NoLabels).is_some_and(|value| value.eq_ignore_ascii_case("true")),
        tags: settings.value(Variable::Tags).map(Into::into),
        warnings,
    })
}

/// A variable that only `secrets` sets reads as unset, which its owner would not expect.
fn unreadable(definition: &ContainerDefinition, settings: &Settings) -> Vec<String> {
    definition
        .secrets
        .iter()
        .filter(|variable| settings.value(**variable).is_none())
        .map(|variable| {
            format!("{} comes from secrets, which cannot be read; set it in environment", variable.name())
        })
        .collect()
}

/// What the variables say for every endpoint that does not say otherwise.
struct Defaults<'a> {
    intervals: &'a Intervals,
    port: Result<PortRequest, Problem>,
    scheme: Result<Scheme, Problem>,
}

fn endpoints(
    settings: &Settings,
    intervals: &Intervals,
    warnings: &mut Vec<String>,
) -> Vec<Result<Endpoint, Problem>> {
    let defaults = Defaults { intervals, port: port(settings), scheme: scheme(settings) };
    let text = settings.value(Variable::Endpoint).unwrap_or_default();
    let mut written: Vec<&str> =
        text.split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty()).collect();
    if written.is_empty() {
        written.push(DEFAULT_PATH);
    }
    let mut read: Vec<Result<Endpoint, Problem>> = Vec::with_capacity(written.len());
    for text in written {
        let endpoint = defaults.endpoint(text, warnings);
        let same = |other: &Endpoint| {
            endpoint.as_ref().is_ok_and(|endpoint| {
                (&endpoint.path, &endpoint.parameters, endpoint.port)
                    == (&other.path, &other.parameters, other.port)
            })
        };
        if let Some(earlier) = read.iter().position(|earlier| earlier.as_ref().is_ok_and(same)) {
            warnings.push(format!("PROMETHEUS_ENDPOINT names {text:?} again; the last one counts"));
            drop(read.remove(earlier));
        }
        read.push(endpoint);
    }
    read
}

impl Defaults<'_> {
    /// `endpoint = [ interval ":" ] [ port ] path`
    fn endpoint(&self, text: &str, warnings: &mut Vec<String>) -> Result<Endpoint, Problem> {
        let (interval, rest) = match text.split_once(':') {
            Some((before, after)) if parse_duration(before.trim()).is_some() => {
                (Some(before.trim()), after.trim())
            }
            _ => (None, text),
        };
        if rest.is_empty() {
            let detail =
                format!("PROMETHEUS_ENDPOINT has {text:?}, an interval without a path; write {text}/metrics");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        let (port, path) = split_port(rest);
        let port = match port {
            Some(port) => PortRequest::Container(parse_port("the port in PROMETHEUS_ENDPOINT", port)?),
            None => self.port.clone()?,
        };
        let scheme = self.scheme.clone()?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        let parameters = parameters(query)?;
        Ok(Endpoint { interval: self.interval(interval, warnings), port, scheme, path, parameters })
    }

    fn interval(&self, text: Option<&str>, warnings: &mut Vec<String>) -> Interval {
        let default = self.intervals.default_interval();
        let Some(text) = text else { return default.clone() };
        let offered = parse_duration(text).and_then(|length| self.intervals.find(length));
        offered.cloned().unwrap_or_else(|| {
            let names: Vec<_> = self.intervals.offered().iter().map(Interval::name).collect();
            let names = names.join(", ");
            warnings.push(format!(
                "PROMETHEUS_ENDPOINT asks for the interval {text}, which is not offered ({names}); it gets {default}"
            ));
            default.clone()
        })
    }
}

/// Digits before the first `/` are a port; `9102` without a path is a path.
fn split_port(text: &str) -> (Option<&str>, &str) {
    match text.find('/') {
        Some(slash) if slash > 0 && text[..slash].trim_end().bytes().all(|byte| byte.is_ascii_digit()) => {
            (Some(text[..slash].trim_end()), &text[slash..])
        }
        _ => (None, text),
    }
}

fn port(settings: &Settings) -> Result<PortRequest, Problem> {
    let of = |variable: Variable, request: fn(u16) -> PortRequest| {
        let value = settings.value(variable)?.trim();
        (!value.is_empty()).then(|| parse_port(variable.name(), value).map(request))
    };
    of(Variable::Port, PortRequest::Verbatim)
        .or_else(|| of(Variable::ContainerPort, PortRequest::Container))
        .unwrap_or(Ok(PortRequest::First))
}

fn parse_port(place: &str, text: &str) -> Result<u16, Problem> {
    // `parse` alone would let a leading `+` pass.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or_else(|| {
        Problem::new(Reason::InvalidPort, format!("{place} is {text:?}; a port is a number from 1 to 65535"))
    })
}

fn scheme(settings: &Settings) -> Result<Scheme, Problem> {
    match settings.value(Variable::Scheme).unwrap_or_default().trim() {
        "" => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("http") => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("https") => Ok(Scheme::Https),
        text => {
            let detail = format!("PROMETHEUS_SCHEME is {text:?}; it can be http or https");
            Err(Problem::new(Reason::InvalidEndpoint, detail))
        }
    }
}

/// Prometheus escapes a `?` in a path, so a query travels as `__param_NAME` labels, which name each parameter once
/// and only with the characters of a label name.
fn parameters(query: &str) -> Result<BTreeMap<Box<str>, Box<str>>, Problem> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // An empty value is the same to Prometheus as no label at all.
        if name.is_empty() || value.is_empty() || !is_label_name(&format!("__param_{name}")) {
            let parameter = format!("{name}={value}");
            let detail =
                format!("the query of PROMETHEUS_ENDPOINT has {parameter:?}, which no label can carry");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        if parameters.insert(Box::from(&*name), Box::from(&*value)).is_some() {
            let detail = format!("the query of PROMETHEUS_ENDPOINT has the parameter {name:?} twice");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
    }
    Ok(parameters)
}
