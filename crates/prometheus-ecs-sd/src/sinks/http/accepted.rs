//! The lists of `Accept` and `Accept-Encoding`: names with parameters and a quality (RFC 9110, section 12.4.2).
//!
//! An item whose parameters or quality are malformed is left out, as if the client had not sent it: what is sent
//! instead can be read by every client. Quotes are not read; neither formats nor encodings need them.

use axum::http::{HeaderMap, HeaderName};

/// One format or encoding that a client accepts.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Accepted<'a> {
    pub(super) name: &'a str,
    /// Without the quality.
    pub(super) parameters: Vec<(&'a str, &'a str)>,
    /// From 0, which means that it is not accepted, to 1.
    pub(super) quality: f32,
}

/// All lines of a header as one list.
pub(super) fn header(headers: &HeaderMap, name: HeaderName) -> String {
    let lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
    lines.collect::<Vec<_>>().join(",")
}

/// The well-formed items of a list, in their order.
pub(super) fn list(text: &str) -> impl Iterator<Item = Accepted<'_>> {
    text.split(',').filter_map(item)
}

fn item(text: &str) -> Option<Accepted<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let name = parts.next()?;
    let (mut parameters, mut weight) = (Vec::new(), 1.0);
    // RFC 9110 allows empty parameters.
    for part in parts.filter(|part| !part.is_empty()) {
        match part.split_once('=')? {
            (name, text) if name.eq_ignore_ascii_case("q") => weight = quality(text)?,
            parameter => parameters.push(parameter),
        }
    }
    Some(Accepted { name, parameters, quality: weight })
}

fn quality(text: &str) -> Option<f32> {
    // A number in Rust can also be `-0`, `1e-3` or `inf`.
    let is_decimal = text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let quality = text.parse().ok().filter(|quality| (0.0..=1.0).contains(quality));
    quality.filter(|_| is_decimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_malformed_item_is_left_out() {
        let qualities = |text| list(text).map(|one| (one.name, one.quality)).collect::<Vec<_>>();
        for quality in ["often", "", "-0.5", "-0", "1.5", "NaN", "inf", "1e-1", "0.5.5", " 0.5", "\"0.5\""] {
            let text = format!("a;q={quality};b=c, d ; Q=0.5 ");
            assert_eq!(
                list(&text).map(|one| (one.name, one.quality)).collect::<Vec<_>>(),
                [("d", 0.5)],
                "{text}"
            );
        }
        assert_eq!(
            qualities("a;q=0, b;q=1.000, c;;, d;x, e; q=0.001;"),
            [("a", 0.0), ("b", 1.0), ("c", 1.0), ("e", 0.001),]
        );
        let parameters: Vec<_> = list("a/b; version=1.0.0 ;q=0.1;c=d").map(|one| one.parameters).collect();
        assert_eq!(parameters, [[("version", "1.0.0"), ("c", "d")]]);
    }
}
