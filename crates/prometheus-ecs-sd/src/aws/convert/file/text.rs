//! Text of a file, or a function of CloudFormation in its place.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Unexpected, Visitor};

/// A value that is text once it is deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Text {
    /// Text.
    Known(String),
    /// A function that the deployment resolves: `{"Ref": …}`, `{"Fn::Sub": …}`.
    Later,
}

impl Text {
    pub(super) fn known(self) -> Option<String> {
        match self {
            Self::Known(text) => Some(text),
            Self::Later => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Known(text) => Some(text),
            Self::Later => None,
        }
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Text;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E>(self, text: &str) -> Result<Text, E> {
        Ok(Text::Known(text.to_owned()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Text, A::Error> {
        let function = map.next_entry::<String, IgnoredAny>()?;
        let is_function = function.is_some_and(|(name, _)| name == "Ref" || name.starts_with("Fn::"));
        match map.next_key::<IgnoredAny>()? {
            None if is_function => Ok(Text::Later),
            _ => Err(serde::de::Error::invalid_type(Unexpected::Map, &self)),
        }
    }
}
