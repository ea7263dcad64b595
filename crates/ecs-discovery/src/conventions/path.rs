//! The path of an endpoint, and the query behind it, which is published as `__param_…` labels.

use std::collections::BTreeMap;

use crate::conventions::environment::endpoints::quoted;
use crate::finding::{Problem, Reason};
use crate::labels::{VALUE_BYTES, is_label_name};
use crate::text::brief;

/// A path and its query.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// With a leading `/`, without the query.
    pub path: Box<str>,
    /// The query's parameters, decoded.
    pub parameters: BTreeMap<Box<str>, Box<str>>,
}

impl Path {
    /// Reads a path with or without a leading `/`; `place` names the text in a sentence.
    pub(crate) fn read(place: &str, text: &str) -> Result<Self, Problem> {
        if text.len() > VALUE_BYTES {
            let (bytes, text) = (text.len(), quoted(text));
            let detail =
                format!("{place} has {text:?}, which is {bytes} bytes long; it can have {VALUE_BYTES}");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        if text.contains("://") && !text.starts_with('/') {
            let text = quoted(text);
            let detail =
                format!("{place} has {text:?}, which looks like a URL; write a path, such as /metrics");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = if path.starts_with('/') { path.into() } else { format!("/{path}").into() };
        Ok(Self { path, parameters: parameters(place, query)? })
    }
}

/// Prometheus escapes a `?` in a path, so a query travels as `__param_NAME` labels, which name each parameter once
/// and only with the characters of a label name.
pub(crate) fn parameters(place: &str, query: &str) -> Result<BTreeMap<Box<str>, Box<str>>, Problem> {
    let mut parameters = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        // An empty value is the same to Prometheus as no label at all.
        if name.is_empty() || value.is_empty() || !is_label_name(&format!("__param_{name}")) {
            // The value may be a secret.
            let value = if value.is_empty() { "" } else { "…" };
            let parameter = format!("{}={value}", brief(&name));
            let detail = format!("the query of {place} has {parameter:?}, which no label can carry");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
        if parameters.insert(Box::from(&*name), Box::from(&*value)).is_some() {
            let name = brief(&name);
            let detail = format!("the query of {place} has the parameter {name:?} twice");
            return Err(Problem::new(Reason::InvalidEndpoint, detail));
        }
    }
    Ok(parameters)
}
