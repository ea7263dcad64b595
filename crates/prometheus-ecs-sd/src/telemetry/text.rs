//! The fields of a log message as text: `name=value`, with quotes around ambiguous values, as in logfmt.

use std::borrow::Cow;
use std::fmt::{self, Debug};

use ecs_discovery::text::printable;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::Writer;

/// A value may come from another program: it stays on its line and cannot control a terminal.
pub(super) struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut line = Line { writer, is_empty: true, result: Ok(()) };
        fields.record(&mut line);
        line.result
    }
}

struct Line<'writer> {
    writer: Writer<'writer>,
    is_empty: bool,
    result: fmt::Result,
}

impl Line<'_> {
    fn write(&mut self, name: &str, text: &str) -> fmt::Result {
        if !std::mem::take(&mut self.is_empty) {
            self.writer.write_char(' ')?;
        }
        match name {
            "message" => self.writer.write_str(&printable(text)),
            _ if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\x1b[3m{name}\x1b[0m\x1b[2m=\x1b[0m{}", value(text))
            }
            _ => write!(self.writer, "{name}={}", value(text)),
        }
    }
}

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.result = self.result.and_then(|()| self.write(field.name(), value));
    }
}

/// The value unchanged if it is one word, else in quotes, with quotes and backslashes escaped.
fn value(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| !c.is_whitespace() && !matches!(c, '"' | '=');
    if !text.is_empty() && text.chars().all(is_plain) && matches!(printable(text), Cow::Borrowed(_)) {
        return text.into();
    }
    let escaped = text.replace('\\', r"\\").replace('"', r#"\""#);
    format!("\"{}\"", printable(&escaped)).into()
}

#[cfg(test)]
mod tests {
    use super::value;

    #[test]
    fn a_value_is_quoted_unless_it_is_one_word() {
        for plain in ["eu-west-1", "60s", "arn:aws:iam::1:role/x", r"C:\x", "Größe", "(a)"] {
            assert_eq!(value(plain), plain);
        }
        for (text, quoted) in [
            ("", r#""""#),
            ("two words", r#""two words""#),
            ("a=b", r#""a=b""#),
            (r#"say "no" \ yes"#, r#""say \"no\" \\ yes""#),
            ("a\nlevel=ERROR", r#""a\nlevel=ERROR""#),
            ("\u{1b}[2J\u{202e}", r#""\u{1b}[2J\u{202e}""#),
        ] {
            assert_eq!(value(text), quoted);
        }
    }
}
