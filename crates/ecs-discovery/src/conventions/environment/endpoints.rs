//! The grammar of `PROMETHEUS_ENDPOINT`, and the variables that say what an endpoint leaves open.
//!
//! `endpoint = [ interval ":" ] [ port ] path`

use std::collections::BTreeMap;

use super::{Endpoint, PortRequest, Variable};
use crate::finding::{Problem, Reason, brief};
use crate::interval::{Interval, Intervals, parse_duration};
use crate::labels::{VALUE_BYTES, is_label_name};
use crate::model::Settings;
use crate::target::Scheme;

/// What is scraped of a container that names no endpoint.
pub(crate) const DEFAULT_PATH: &str = "/metrics";

/// What the variables say for every endpoint that does not say otherwise.
struct Defaults<'a> {
    intervals: &'a Intervals,
    port: Result<PortRequest, Problem>,
    scheme: Result<Scheme, Problem>,
}

/// The maximum number of endpoints of one container. Containers in use have one or two, the largest exporters about
/// ten.
const ENDPOINTS: usize = 64;

/// The maximum number of bytes of one endpoint. Its parts become label values, and a cut path would be a different
/// path.
const ENDPOINT_BYTES: usize = VALUE_BYTES;

pub(super) fn endpoints(
    settings: &Settings,
    intervals: &Intervals,
    warnings: &mut Vec<String>,
) -> (Vec<Result<Endpoint, Problem>>, Vec<Box<str>>) {
    let defaults = Defaults { intervals, port: port(settings), scheme: scheme(settings) };
    let texts: Vec<&str> = endpoint_texts(settings).collect();
    let texts = match &texts[..] {
        [] => vec![DEFAULT_PATH],
        [_] => texts,
        _ => defaults.different(&texts, warnings),
    };
    let read = texts.iter().map(|text| defaults.endpoint(text, warnings)).collect();
    (read, texts.into_iter().map(Into::into).collect())
}

/// What `PROMETHEUS_ENDPOINT` lists.
pub(super) fn endpoint_texts(settings: &Settings) -> impl Iterator<Item = &str> {
    let text = settings.value(Variable::Endpoint).unwrap_or_default();
    text.split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty())
}

/// The parts of an endpoint as they are written.
pub(crate) struct Parts<'a> {
    pub(crate) interval: Option<&'a str>,
    pub(crate) port: Option<&'a str>,
    path: &'a str,
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        let (interval, rest) = match text.split_once(':') {
            Some((before, after)) if parse_duration(before.trim()).is_some() => {
                (Some(before.trim()), after.trim())
            }
            _ => (None, text),
        };
        let (port, path) = split_port(rest);
        Self { interval, port, path }
    }
}

/// Endpoints of a container with the same identity are duplicates.
type Identity = (Scheme, Box<str>, BTreeMap<Box<str>, Box<str>>, PortRequest);

impl Defaults<'_> {
    /// Each distinct endpoint, in the form that is written last, in order, up to the first one beyond the limit.
    fn different<'a>(&self, texts: &[&'a str], warnings: &mut Vec<String>) -> Vec<&'a str> {
        let mut latest = BTreeMap::new();
        let (mut repeats, mut repeated) = (0, None);
        for (position, text) in texts.iter().enumerate() {
            // Invalid endpoints are duplicates if their texts are equal.
            let identity = self.parsed(text).map(|(_, identity)| identity).map_err(|_| *text);
            if latest.len() == ENDPOINTS && !latest.contains_key(&identity) {
                let rest = texts.len() - position;
                warnings.push(format!(
                    "PROMETHEUS_ENDPOINT names more than {ENDPOINTS} endpoints; the last {rest} are ignored"
                ));
                break;
            }
            if latest.insert(identity, position).is_some() {
                repeats += 1;
                repeated.get_or_insert(*text);
            }
        }
        if let Some(text) = repeated.map(brief) {
            let others = if repeats > 1 { format!(" and {} more", repeats - 1) } else { String::new() };
            warnings.push(format!("PROMETHEUS_ENDPOINT names {text:?}{others} again; the last one counts"));
        }
        let mut positions: Vec<_> = latest.into_values().collect();
        positions.sort_unstable();
        positions.into_iter().map(|position| texts[position]).collect()
    }

    fn endpoint(&self, text: &str, warnings: &mut Vec<String>) -> Result<Endpoint, Problem> {
        let (interval, (scheme, path, parameters, port)) = self.parsed(text)?;
        Ok(Endpoint { interval: self.interval(interval, warnings), port, scheme, path, parameters })
    }

    /// The interval as it is written, and the rest.
    fn parsed<'a>(&self, text: &'a str) -> Result<(Option<&'a str>, Identity), Problem> {
        if text.len() > ENDPOINT_BYTES {
            let (bytes, text) = (text.len(), brief(text));
            let detail = format!(
                "PROMETHEUS_ENDPOINT has {text:?}, which is {bytes} bytes long; it can have {ENDPOINT_BYTES}"
            );
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        let Parts { interval, port, path } = Parts::of(text);
        if path.is_empty() {
            let text = brief(text);
            let detail =
                format!("PROMETHEUS_ENDPOINT has {text:?}, an interval without a path; write {text}/metrics");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        let port = match port {
            Some(port) => PortRequest::Container(parse_port("the port in PROMETHEUS_ENDPOINT", port)?),
            None => self.port.clone()?,
        };
        let scheme = self.scheme.clone()?;
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok((interval, (scheme, path, parameters(query)?, port)))
    }

    fn interval(&self, text: Option<&str>, warnings: &mut Vec<String>) -> Interval {
        let default = self.intervals.default_interval();
        let Some(text) = text else { return default.clone() };
        let offered = parse_duration(text).and_then(|length| self.intervals.find(length));
        offered.cloned().unwrap_or_else(|| {
            let names: Vec<_> = self.intervals.offered().iter().map(Interval::name).collect();
            let (text, names) = (brief(text), names.join(", "));
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
    port_in(settings, Variable::Port, PortRequest::Verbatim)
        .or_else(|| port_in(settings, Variable::ContainerPort, PortRequest::Container))
        .unwrap_or(Ok(PortRequest::First))
}

/// The port that a variable names, if it is set to anything.
pub(super) fn port_in(
    settings: &Settings,
    variable: Variable,
    request: fn(u16) -> PortRequest,
) -> Option<Result<PortRequest, Problem>> {
    let value = settings.value(variable)?.trim();
    (!value.is_empty()).then(|| parse_port(variable.name(), value).map(request))
}

fn parse_port(place: &str, text: &str) -> Result<u16, Problem> {
    // `parse` alone would let a leading `+` pass.
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port != 0).ok_or_else(|| {
        Problem::new(
            Reason::InvalidPort,
            format!("{place} is {:?}; a port is a number from 1 to 65535", brief(text)),
        )
    })
}

pub(super) fn scheme(settings: &Settings) -> Result<Scheme, Problem> {
    match settings.value(Variable::Scheme).unwrap_or_default().trim() {
        "" => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("http") => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("https") => Ok(Scheme::Https),
        text => {
            let detail = format!("PROMETHEUS_SCHEME is {:?}; it can be http or https", brief(text));
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
            let parameter = brief(&parameter);
            let detail =
                format!("the query of PROMETHEUS_ENDPOINT has {parameter:?}, which no label can carry");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        if parameters.insert(Box::from(&*name), Box::from(&*value)).is_some() {
            let name = brief(&name);
            let detail = format!("the query of PROMETHEUS_ENDPOINT has the parameter {name:?} twice");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
    }
    Ok(parameters)
}
