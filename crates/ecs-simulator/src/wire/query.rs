//! The Query protocol's input: a form whose names spell lists as `Filter.1.Value.2`.

use serde_json::{Map, Value};

/// The fields of a form as an object of texts; of a name that comes twice, the last.
pub(crate) fn decode(body: &[u8]) -> Value {
    let body = String::from_utf8_lossy(body);
    let fields = body.split('&').filter(|field| !field.is_empty()).map(|field| {
        let (name, value) = field.split_once('=').unwrap_or((field, ""));
        (unescape(name), Value::String(unescape(value)))
    });
    Value::Object(fields.collect::<Map<_, _>>())
}

/// The members of a list, `PREFIX.1`, `PREFIX.2` …, in the order of their numbers.
pub(crate) fn list<'a>(input: &'a Value, prefix: &str) -> Vec<&'a str> {
    let mut members: Vec<(u32, &str)> = Vec::new();
    for (name, value) in input.as_object().into_iter().flatten() {
        let number = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')?.parse().ok());
        members.extend(number.zip(value.as_str()));
    }
    members.sort_unstable();
    members.into_iter().map(|(_, value)| value).collect()
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped =
            || std::str::from_utf8(tail.get(..2)?).ok().and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (first, escaped()) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &tail[2..];
                continue;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
        rest = tail;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
