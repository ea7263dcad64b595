//! The text `key=value,key=value` of a rule's labels.

use std::collections::BTreeMap;

use crate::text::brief;

/// The pairs of such a text.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Pairs<'a> {
    /// Labels of the target, trimmed; of a key given twice, the last.
    pub(crate) labels: BTreeMap<&'a str, &'a str>,
    /// `__scheme__`
    pub(crate) scheme: Option<&'a str>,
    /// `__metrics_path__`
    pub(crate) path: Option<&'a str>,
    /// `__scrape_interval__`
    pub(crate) interval: Option<&'a str>,
    /// What was ignored.
    pub(crate) warnings: Vec<String>,
}

/// Reads the text; `place` names it in a sentence.
pub(crate) fn read<'a>(place: &str, text: &'a str) -> Pairs<'a> {
    let mut pairs = Pairs::default();
    for piece in text.split(',').map(str::trim).filter(|piece| !piece.is_empty()) {
        let (key, value) = match piece.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some((key, value)) if !key.is_empty() => (key, value),
            _ => {
                let piece = brief(piece);
                pairs.warnings.push(format!("{place} has {piece:?}, which is not key=value; it is ignored"));
                continue;
            }
        };
        let said = (!value.is_empty()).then_some(value);
        match key {
            "__scheme__" => pairs.scheme = said,
            "__metrics_path__" => pairs.path = said,
            "__scrape_interval__" => pairs.interval = said,
            _ if key.starts_with("__") => {
                let key = brief(key);
                pairs.warnings.push(format!(
                    "{place} has the key {key:?}; no key but __scheme__, __metrics_path__ and __scrape_interval__ may begin with __; it is ignored"
                ));
            }
            _ => drop(pairs.labels.insert(key, value)),
        }
    }
    pairs
}
