//! The grammar of `PROMETHEUS_ENDPOINT` and `PROMETHEUS_SD_ENDPOINT`, and the variables that say what an endpoint
//! leaves open.
//!
//! `endpoint = [ interval ":" ] [ port ] path`. A text that begins with `/` is a path. Other text that can hardly be one,
//! such as a listen address or a URL, is a problem that says what is probably meant, or has a warning. A URL may contain
//! a password: it is never published, and quoted only up to its first `:`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::conventions::list::Dialect;
use crate::conventions::path::{Path, parameters};
use crate::conventions::{Endpoint, PortRequest, Scheme};
use crate::finding::{Problem, Reason};
use crate::interval::{Interval, Intervals, parse_duration};
use crate::labels::VALUE_BYTES;
use crate::model::{PortMapping, Settings};
use crate::text::brief;
use crate::variable::Variable;

/// What is scraped of a container that names no endpoint.
pub(crate) const DEFAULT_PATH: &str = "/metrics";

/// What the variables say for every endpoint that does not say otherwise.
struct Defaults<'a> {
    /// The variable that lists the endpoints.
    variable: Variable,
    intervals: &'a Intervals,
    /// The interval of an endpoint that asks for none that is offered.
    default: Option<Interval>,
    port_mappings: &'a [PortMapping],
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
    dialect: Dialect,
    settings: &Settings,
    intervals: &Intervals,
    port_mappings: &[PortMapping],
    warnings: &mut Vec<String>,
) -> (Vec<Result<Endpoint, Problem>>, Vec<Box<str>>) {
    let variable = endpoint_variable(settings);
    let (port, scheme) = (port(settings), scheme(settings));
    let default = (dialect == Dialect::Environment).then(|| intervals.default_interval().clone());
    let defaults = Defaults { variable, default, intervals, port_mappings, port, scheme };
    let texts = endpoint_texts(settings, variable);
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
    let is_unset = endpoint_texts(settings, Variable::SdEndpoint).is_empty();
    if is_unset { Variable::Endpoint } else { Variable::SdEndpoint }
}

/// The endpoints that this variable lists.
///
/// The password of a URL may contain commas. If there is a URL, all text from the first to the last that may be a part
/// of it stays together, and is the only endpoint with a comma.
pub(super) fn endpoint_texts(settings: &Settings, variable: Variable) -> Vec<&str> {
    let text = settings.value(variable).unwrap_or_default();
    let pieces: Vec<&str> = text.split(',').collect();
    let may_be_part = |piece: &&str| !piece.trim().is_empty() && !begins_a_path(piece);
    let mut texts = pieces.clone();
    if is_url(text) {
        let first = pieces.iter().position(may_be_part).unwrap_or_default();
        let last = pieces.iter().rposition(|piece| may_be_part(piece) || piece.contains('@'));
        let last = last.unwrap_or_default();
        let start: usize = pieces[..first].iter().map(|piece| piece.len() + 1).sum();
        let end = start + pieces[first..=last].iter().map(|piece| piece.len() + 1).sum::<usize>() - 1;
        texts.splice(first..=last, [&text[start..end]]);
    }
    texts.into_iter().map(str::trim).filter(|endpoint| !endpoint.is_empty()).collect()
}

/// The interval before the first `:`, if it is one, and the rest.
fn split_interval(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':').map(|(before, after)| (before.trim(), after.trim())) {
        Some((before, after)) if parse_duration(before).is_some() => (Some(before), after),
        _ => (None, text.trim()),
    }
}

/// Whether a path with a leading `/` follows, after an interval or a port at most.
fn begins_a_path(text: &str) -> bool {
    let Some((head, tail)) = split_interval(text).1.split_once('/') else { return false };
    match head.trim().strip_suffix(':') {
        // In `9102:/probe/http://x` a path follows the colon.
        Some(number) => is_digits(number.trim()) && !tail.starts_with('/'),
        None => head.trim().is_empty() || is_digits(head.trim()),
    }
}

/// Whether it contains a URL, or an `@` that may end a password. A query may contain both.
fn is_url(text: &str) -> bool {
    let mut has_user = false;
    text.split(',').any(|piece| {
        let is_path = begins_a_path(piece);
        let before_query = split_interval(piece).1.split('?').next().unwrap_or_default();
        has_user |= !is_path && before_query.contains([':', '@']);
        (has_user && piece.contains('@')) || (!is_path && before_query.contains("://"))
    })
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
    /// `https://example.com/api`, or `user:password@example.com`.
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
        if is_url(text) {
            return Err(Misfit::Url);
        }
        let (interval, rest) = split_interval(text);
        let (head, tail) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let has_path = tail.starts_with('/');
        let is_port = |digits: &str| {
            let seconds = interval_length(digits).and_then(|length| intervals.find(length));
            interval.is_some() || (seconds.is_none() && is_port(digits))
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

    /// The advice about a path that may be meant as something else: it lacks the leading `/`, and is a number or an
    /// interval, or has a colon.
    fn doubt(&self) -> Option<String> {
        let (head, rest) = self.path.split_at(self.path.find(['/', '?']).unwrap_or(self.path.len()));
        let (head, path) = (head.trim(), if rest.starts_with('/') { rest } else { DEFAULT_PATH });
        if is_digits(head) {
            let is_number = is_port(head) && rest.is_empty();
            Some(if is_number { format!("; write {head}{path} if it is a port") } else { String::new() })
        } else if parse_duration(head).is_some() {
            Some(format!("; write {head}:{} if it is an interval", brief(path)))
        } else {
            head.contains(':').then(String::new)
        }
    }
}

/// How long an interval is; a number counts seconds. `None` if the text is not an interval.
pub(crate) fn interval_length(text: &str) -> Option<Duration> {
    let seconds = || text.parse().ok().filter(|_| is_digits(text)).map(Duration::from_secs);
    parse_duration(text).or_else(seconds)
}

/// The part of an endpoint that a sentence quotes: a URL may contain a password after its first `:`.
pub(crate) fn quoted(text: &str) -> Cow<'_, str> {
    if !is_url(text) {
        return brief(text);
    }
    match text.split_once(':') {
        Some((before, after)) if !before.contains('@') => {
            let slashes = if after.starts_with("//") { "//" } else { "" };
            format!("{}:{slashes}…", brief(before)).into()
        }
        _ => "…".into(),
    }
}

fn is_port(digits: &str) -> bool {
    is_digits(digits) && digits.parse().is_ok_and(|port: u16| port > 0)
}

/// The endpoint that is probably meant; without the port if that cannot be one.
fn advised(port: &str, path: &str) -> String {
    let port = if is_port(port) { port } else { "" };
    brief(&format!("{port}{path}")).into_owned()
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
        if let Some(text) = repeated.map(quoted) {
            let others = if repeats > 1 { format!(" and {} more", repeats - 1) } else { String::new() };
            warnings.push(format!("{name} names {text:?}{others} again; the last one counts"));
        }
        let mut positions: Vec<_> = latest.into_values().collect();
        positions.sort_unstable();
        positions.into_iter().map(|position| texts[position]).collect()
    }

    fn endpoint(&self, text: &str, warnings: &mut Vec<String>) -> Result<Endpoint, Problem> {
        let (parts, (scheme, path, parameters, port)) = self.parsed(text)?;
        let name = self.variable.name();
        if let Some(advice) = parts.doubt() {
            let path = brief(parts.path);
            warnings.push(format!(
                "{name} has {path:?}, which is taken for a path; begin it with / if it is one{advice}"
            ));
        }
        if let (None, Some(number), PortRequest::Container(port)) = (parts.interval, parts.port, port) {
            let has_colon = text[number.len()..].trim_start().starts_with(':');
            let is_mapped = self.port_mappings.iter().any(|mapping| mapping.container_ports.contains(port));
            if has_colon && !is_mapped {
                let (text, meant) = (brief(text), format!("{port}s:{}", parts.path));
                warnings.push(format!(
                    "{name} has {text:?}, taken for the container port {port}, which is not mapped; \
                     write {} if it is an interval",
                    brief(&meant)
                ));
            }
        }
        Ok(Endpoint {
            interval: self.interval(parts.interval, warnings),
            port,
            scheme: Some(scheme),
            path: Some(Path { path, parameters }),
        })
    }

    /// The parts as they are written, and what they say.
    fn parsed<'a>(&self, text: &'a str) -> Result<(Parts<'a>, Identity), Problem> {
        let name = self.variable.name();
        if text.len() > ENDPOINT_BYTES {
            let (bytes, text) = (text.len(), quoted(text));
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
        let (name, text) = (self.variable.name(), quoted(text));
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
                "{name} has {text:?}, which looks like a URL; write a path, such as /metrics or 9102/metrics{other_variable}"
            ),
            Misfit::Address(port) => format!(
                "{name} has {text:?}, which looks like a listen address; write a path, such as {}{other_variable}",
                advised(port, DEFAULT_PATH)
            ),
            Misfit::AddressAndPath(host, port, path) if is_listened_at(host) => format!(
                "{name} has {text:?}, which looks like a listen address with a path; write {}{other_variable}",
                advised(port, path)
            ),
            Misfit::AddressAndPath(word, port, path) => format!(
                "{name} has {text:?}, and {:?} is not an interval, such as 30s; write {}",
                brief(word),
                advised(port, path)
            ),
            Misfit::TwoIntervals(word) => format!(
                "{name} has {text:?}, and {:?} is not a port; write one interval and one port at most before the path",
                brief(word)
            ),
        };
        Problem::new(Reason::InvalidEndpoint, detail)
    }

    fn interval(&self, text: Option<&str>, warnings: &mut Vec<String>) -> Option<Interval> {
        let Some(text) = text else { return self.default.clone() };
        let length = interval_length(text);
        let offered = length.and_then(|length| self.intervals.find(length));
        offered.cloned().or_else(|| {
            let default = self.default.as_ref().map_or("none", Interval::name);
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
            self.default.clone()
        })
    }
}

/// Whether it is what stands before the port of a listen address, and no interval in other words.
fn is_listened_at(host: &str) -> bool {
    host.is_empty() || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
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
            format!("{place} is {:?}; a port is a number from 1 to 65535", quoted(text)),
        )
    })
}

pub(super) fn scheme(settings: &Settings) -> Result<Scheme, Problem> {
    match settings.value(Variable::Scheme).unwrap_or_default().trim() {
        "" => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("http") => Ok(Scheme::Http),
        text if text.eq_ignore_ascii_case("https") => Ok(Scheme::Https),
        text => {
            let detail = format!("PROMETHEUS_SCHEME is {:?}; it can be http or https", quoted(text));
            Err(Problem::new(Reason::InvalidEndpoint, detail))
        }
    }
}
