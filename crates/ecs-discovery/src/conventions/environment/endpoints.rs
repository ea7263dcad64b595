//! The grammar of `PROMETHEUS_ENDPOINT` and `PROMETHEUS_SD_ENDPOINT`, and the variables that say what an endpoint
//! leaves open.
//!
//! `endpoint = [ interval ":" ] [ port ] path`. A text that begins with `/` is a path. Other text that can hardly be one,
//! such as a listen address or a URL, is a problem that says what is probably meant, or has a warning.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

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
    /// The variable that lists the endpoints.
    variable: Variable,
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
    let variable = endpoint_variable(settings);
    let defaults = Defaults { variable, intervals, port: port(settings), scheme: scheme(settings) };
    let texts: Vec<&str> = endpoint_texts(settings, variable).collect();
    let texts = match &texts[..] {
        [] => vec![DEFAULT_PATH],
        [_] => texts,
        _ => defaults.different(&texts, warnings),
    };
    let read = texts.iter().map(|text| defaults.endpoint(text, warnings)).collect();
    (read, texts.into_iter().map(Into::into).collect())
}

/// The variable that lists the endpoints: an image may read the other one itself.
pub(super) fn endpoint_variable(settings: &Settings) -> Variable {
    let is_set = endpoint_texts(settings, Variable::SdEndpoint).next().is_some();
    if is_set { Variable::SdEndpoint } else { Variable::Endpoint }
}

/// The endpoints that this variable lists.
pub(super) fn endpoint_texts(settings: &Settings, variable: Variable) -> impl Iterator<Item = &str> {
    let text = settings.value(variable).unwrap_or_default();
    text.split(',').map(str::trim).filter(|endpoint| !endpoint.is_empty())
}

/// The parts of an endpoint as they are written.
pub(crate) struct Parts<'a> {
    /// Text before the path, whether it is an interval or not: see [`interval_length`].
    pub(crate) interval: Option<&'a str>,
    pub(crate) port: Option<&'a str>,
    path: &'a str,
}

/// Why a text is not an endpoint.
#[derive(Clone, Copy)]
pub(crate) enum Misfit<'a> {
    /// `30s:`
    OnlyAnInterval,
    /// `metrics:`
    NoPath,
    /// `https://example.com/api`
    Url,
    /// `0.0.0.0:9090`, and its port.
    Address(&'a str),
    /// `localhost:9090/metrics` or `30S:9090/metrics`, the text before the port, the port and the path.
    AddressAndPath(&'a str, &'a str, &'a str),
    /// `30s:15s:/metrics`, and the text that is one interval too many.
    TwoIntervals(&'a str),
}

impl<'a> Parts<'a> {
    pub(crate) fn of(text: &'a str, intervals: &Intervals) -> Result<Self, Misfit<'a>> {
        let (interval, rest) = match text.split_once(':') {
            Some((before, after)) if parse_duration(before.trim()).is_some() => {
                (Some(before.trim()), after.trim())
            }
            _ => (None, text),
        };
        let (head, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let has_path = tail.starts_with('/');
        let is_port = |digits: &str| {
            let seconds = interval_length(digits).and_then(|length| intervals.find(length));
            interval.is_some() || (seconds.is_none() && digits.parse().is_ok_and(|port: u16| port > 0))
        };
        if rest.is_empty() {
            return Err(Misfit::OnlyAnInterval);
        }
        if head.is_empty() {
            return Ok(Self { interval, port: None, path: rest });
        }
        if has_path && is_digits(head.trim()) {
            return Ok(Self { interval, port: Some(head.trim()), path: tail });
        }
        // In `9102:/probe/http://x` a path follows the colon.
        let is_path_next = head.ends_with(':') && !tail.starts_with("//");
        if !is_path_next && rest.split('?').next().is_some_and(|path| path.contains("://")) {
            return Err(Misfit::Url);
        }
        match head.rsplit_once(':').map(|(before, after)| (before.trim(), after.trim())) {
            Some((_, "")) if !has_path => Err(Misfit::NoPath),
            Some((digits, "")) if is_digits(digits) && is_port(digits) => {
                Ok(Self { interval, port: Some(digits), path: tail })
            }
            Some((word, "")) if interval.is_none() && !word.contains(':') => {
                Ok(Self { interval: Some(word), port: None, path: tail })
            }
            Some((words, "")) => Err(Misfit::TwoIntervals(words)),
            Some((host, port)) if is_digits(port) && has_path => {
                Err(Misfit::AddressAndPath(host, port, tail))
            }
            Some((_, port)) if is_digits(port) => Err(Misfit::Address(port)),
            _ => Ok(Self { interval, port: None, path: rest }),
        }
    }

    /// Whether the path may be meant as something else: it lacks the leading `/`, and is a number or has a colon.
    fn is_doubtful(&self) -> bool {
        let head = self.path.split(['/', '?']).next().unwrap_or_default().trim();
        head.contains(':') || is_digits(head)
    }
}

/// How long an interval is; a number counts seconds. `None` if the text is not an interval.
pub(crate) fn interval_length(text: &str) -> Option<Duration> {
    let seconds = || text.parse().ok().filter(|_| is_digits(text)).map(Duration::from_secs);
    parse_duration(text).or_else(seconds)
}

/// The part of an endpoint that a sentence quotes: a URL may hold a password.
fn without_url(text: &str) -> Cow<'_, str> {
    match text.split_once("://") {
        Some((before, _)) if !text.starts_with('/') => format!("{}://…", brief(before)).into(),
        _ => brief(text),
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Endpoints of a container with the same identity are duplicates.
type Identity = (Scheme, Box<str>, BTreeMap<Box<str>, Box<str>>, PortRequest);

impl Defaults<'_> {
    /// Each distinct endpoint, in the form that is written last, in order, up to the first one beyond the limit.
    fn different<'a>(&self, texts: &[&'a str], warnings: &mut Vec<String>) -> Vec<&'a str> {
        let name = self.variable.name();
        let mut latest = BTreeMap::new();
        let (mut repeats, mut repeated) = (0, None);
        for (position, text) in texts.iter().enumerate() {
            // Invalid endpoints are duplicates if their texts are equal.
            let identity = self.parsed(text).map(|(_, identity)| identity).map_err(|_| *text);
            if latest.len() == ENDPOINTS && !latest.contains_key(&identity) {
                let rest = texts.len() - position;
                warnings.push(format!(
                    "{name} names more than {ENDPOINTS} endpoints; the last {rest} are ignored"
                ));
                break;
            }
            if latest.insert(identity, position).is_some() {
                repeats += 1;
                repeated.get_or_insert(*text);
            }
        }
        if let Some(text) = repeated.map(without_url) {
            let others = if repeats > 1 { format!(" and {} more", repeats - 1) } else { String::new() };
            warnings.push(format!("{name} names {text:?}{others} again; the last one counts"));
        }
        let mut positions: Vec<_> = latest.into_values().collect();
        positions.sort_unstable();
        positions.into_iter().map(|position| texts[position]).collect()
    }

    fn endpoint(&self, text: &str, warnings: &mut Vec<String>) -> Result<Endpoint, Problem> {
        let (parts, (scheme, path, parameters, port)) = self.parsed(text)?;
        if parts.is_doubtful() {
            let (name, path) = (self.variable.name(), brief(parts.path));
            let port = if is_digits(&path) {
                format!("; write {path}/metrics if it is a port")
            } else {
                String::new()
            };
            warnings.push(format!(
                "{name} has {path:?}, which is taken for a path; begin it with / if it is one{port}"
            ));
        }
        Ok(Endpoint { interval: self.interval(parts.interval, warnings), port, scheme, path, parameters })
    }

    /// The parts as they are written, and what they say.
    fn parsed<'a>(&self, text: &'a str) -> Result<(Parts<'a>, Identity), Problem> {
        let name = self.variable.name();
        if text.len() > ENDPOINT_BYTES {
            let (bytes, text) = (text.len(), without_url(text));
            let detail =
                format!("{name} has {text:?}, which is {bytes} bytes long; it can have {ENDPOINT_BYTES}");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        let parts = Parts::of(text, self.intervals).map_err(|misfit| self.misfit(text, misfit))?;
        let port = match parts.port {
            Some(port) => PortRequest::Container(parse_port(&format!("the port in {name}"), port)?),
            None => self.port.clone()?,
        };
        let scheme = self.scheme.clone()?;
        let (path, query) = parts.path.split_once('?').unwrap_or((parts.path, ""));
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok((parts, (scheme, path, parameters(name, query)?, port)))
    }

    fn misfit(&self, text: &str, misfit: Misfit<'_>) -> Problem {
        let (name, text) = (self.variable.name(), brief(text));
        let other_variable = match self.variable {
            Variable::Endpoint => "; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT",
            _ => "",
        };
        let detail = match misfit {
            Misfit::OnlyAnInterval => {
                format!("{name} has {text:?}, an interval without a path; write {text}/metrics")
            }
            Misfit::NoPath => format!("{name} has {text:?}, without a path; write one, such as /metrics"),
            Misfit::Url => format!(
                "{name} has {:?}, which is a URL; write a path, such as /metrics or 9102/metrics{other_variable}",
                without_url(&text)
            ),
            Misfit::Address(port) => format!(
                "{name} has {text:?}, which looks like a listen address; write a path, such as {}/metrics{other_variable}",
                brief(port)
            ),
            Misfit::AddressAndPath(word, port, path) => format!(
                "{name} has {text:?}, and {:?} is not an interval, such as 30s; write {}",
                brief(word),
                brief(&format!("{port}{path}"))
            ),
            Misfit::TwoIntervals(word) => format!(
                "{name} has {text:?}, and {:?} is not a port; write one interval and one port at most before the path",
                brief(word)
            ),
        };
        Problem::new(Reason::InvalidEndpoint, detail)
    }

    fn interval(&self, text: Option<&str>, warnings: &mut Vec<String>) -> Interval {
        let default = self.intervals.default_interval();
        let Some(text) = text else { return default.clone() };
        let length = interval_length(text);
        let offered = length.and_then(|length| self.intervals.find(length));
        offered.cloned().unwrap_or_else(|| {
            let names: Vec<_> = self.intervals.offered().iter().map(Interval::name).collect();
            let (variable, text, names) = (self.variable.name(), brief(text), names.join(", "));
            warnings.push(match length {
                Some(_) => format!(
                    "{variable} asks for the interval {text}, which is not offered ({names}); it gets {default}"
                ),
                None => format!(
                    "{variable} has {text:?} before a path, which is not an interval ({names}); it gets {default}"
                ),
            });
            default.clone()
        })
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
    text.parse().ok().filter(|port| is_digits(text) && *port != 0).ok_or_else(|| {
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
fn parameters(variable: &str, query: &str) -> Result<BTreeMap<Box<str>, Box<str>>, Problem> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // An empty value is the same to Prometheus as no label at all.
        if name.is_empty() || value.is_empty() || !is_label_name(&format!("__param_{name}")) {
            let parameter = format!("{name}={value}");
            let parameter = brief(&parameter);
            let detail = format!("the query of {variable} has {parameter:?}, which no label can carry");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        if parameters.insert(Box::from(&*name), Box::from(&*value)).is_some() {
            let name = brief(&name);
            let detail = format!("the query of {variable} has the parameter {name:?} twice");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
    }
    Ok(parameters)
}
