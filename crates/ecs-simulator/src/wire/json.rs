//! JSON written straight into a text, without a tree in between: a page of a hundred tasks is 400 KB.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// An object being written.
pub(crate) struct Object<'a> {
    out: &'a mut String,
    empty: bool,
}

/// Writes one object.
pub(crate) fn object(out: &mut String, fields: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fields(&mut Object { out, empty: true });
    out.push('}');
}

impl Object<'_> {
    fn key(&mut self, name: &str) -> &mut String {
        if !self.empty {
            self.out.push(',');
        }
        self.empty = false;
        string(self.out, name);
        self.out.push(':');
        self.out
    }

    /// A text.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        string(self.key(name), value);
    }

    /// A text, if there is one.
    pub(crate) fn option(&mut self, name: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.text(name, value);
        }
    }

    /// A number, a truth value, or anything else whose display is JSON.
    pub(crate) fn plain(&mut self, name: &str, value: impl Display) {
        let out = self.key(name);
        let _ = write!(out, "{value}"); // writing to a String cannot fail
    }

    /// A number, if there is one.
    pub(crate) fn plain_option(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.plain(name, value);
        }
    }

    /// An object.
    pub(crate) fn object(&mut self, name: &str, fields: impl FnOnce(&mut Object<'_>)) {
        object(self.key(name), fields);
    }

    /// A list of objects.
    pub(crate) fn list<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut fields: impl FnMut(&mut Object<'_>, T),
    ) {
        let out = self.key(name);
        out.push('[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            object(out, |object| fields(object, item));
        }
        out.push(']');
    }

    /// A list of texts.
    pub(crate) fn texts<T: AsRef<str>>(&mut self, name: &str, items: impl IntoIterator<Item = T>) {
        let out = self.key(name);
        out.push('[');
        for (i, item) in items.into_iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            string(out, item.as_ref());
        }
        out.push(']');
    }

    /// Pairs as a list of objects of two texts: tags, environment and the like.
    pub(crate) fn pairs<'p>(
        &mut self,
        name: &str,
        [first, second]: [&str; 2],
        pairs: impl IntoIterator<Item = (&'p String, &'p String)>,
    ) {
        self.list(name, pairs, |object, (key, value)| {
            object.text(first, key);
            object.text(second, value);
        });
    }

    /// Tags.
    pub(crate) fn tags(&mut self, tags: &BTreeMap<String, String>) {
        self.pairs("tags", ["key", "value"], tags);
    }
}

fn string(out: &mut String, value: &str) {
    out.push('"');
    let mut rest = value;
    // All that must be escaped is ASCII, so bytes are looked at and the text is still cut between characters.
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        out.push_str(&rest[..at]);
        match rest.as_bytes()[at] {
            special @ (b'"' | b'\\') => out.extend(['\\', char::from(special)]),
            control => {
                let _ = write!(out, "\\u{control:04x}"); // writing to a String cannot fail
            }
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
    out.push('"');
}
