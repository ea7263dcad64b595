//! XML written by hand, with escaping. No attributes but a namespace, no empty-element tags: as the Query services write it.

/// The namespace of STS answers.
pub(crate) const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";
/// The namespace of EC2 answers.
pub(crate) const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";

/// An element around content that is XML already.
pub(crate) fn element(name: &str, content: &str) -> String {
    format!("<{name}>{content}</{name}>")
}

/// An element around a text.
pub(crate) fn text(name: &str, value: &str) -> String {
    element(name, &escape(value))
}

/// An element around a text, or nothing.
pub(crate) fn option(name: &str, value: Option<&String>) -> String {
    value.map(|value| text(name, value)).unwrap_or_default()
}

/// A list: an element around an `item` for each member.
pub(crate) fn list<T>(name: &str, items: impl IntoIterator<Item = T>, item: impl Fn(T) -> String) -> String {
    let items: String = items.into_iter().map(|member| element("item", &item(member))).collect();
    element(name, &items)
}

fn escape(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\r' => escaped.push_str("&#xD;"),
            c => escaped.push(c),
        }
    }
    escaped
}
