//! The body of an answer as a tree, and back: JSON as it is, and XML as this crate writes it, whose elements are
//! objects, and lists where they consist of `item`s. Elements lose their order, which no reader may depend on.

use std::fmt::{self, Display, Formatter};

use serde_json::{Map, Value};

/// A body that was read.
pub(super) enum Tree {
    Json(Value),
    Xml {
        /// The declaration, and the root's tag with its attributes.
        head: String,
        root: String,
        content: Value,
    },
}

/// `None` where the body is neither.
pub(super) fn read(body: &str) -> Option<Tree> {
    if let Ok(json) = serde_json::from_str(body) {
        return Some(Tree::Json(json));
    }
    let root = body.find("?>").map_or(0, |end| end + "?>".len());
    let mut rest = body[root..].trim_start();
    let head = body.len() - rest.len() + rest.find('>')? + 1;
    let (root, content) = element(&mut rest)?;
    Some(Tree::Xml { head: body[..head].to_owned(), root, content })
}

impl Tree {
    pub(super) fn content(&self) -> &Value {
        match self {
            Self::Json(content) | Self::Xml { content, .. } => content,
        }
    }

    pub(super) fn content_mut(&mut self) -> &mut Value {
        match self {
            Self::Json(content) | Self::Xml { content, .. } => content,
        }
    }
}

impl Display for Tree {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(json) => json.fmt(f),
            Self::Xml { head, root, content } => {
                f.write_str(head)?;
                write(f, content)?;
                write!(f, "</{root}>")
            }
        }
    }
}

/// The name and content of the element that `rest` begins with; texts stay escaped. `rest` is what follows it then.
fn element(rest: &mut &str) -> Option<(String, Value)> {
    let (tag, mut inner) = rest.strip_prefix('<')?.split_once('>')?;
    let name = tag.split(' ').next()?.to_owned();
    let (mut items, mut fields) = (Vec::new(), Map::new());
    while inner.starts_with('<') && !inner.starts_with("</") {
        let (name, value) = element(&mut inner)?;
        if name == "item" {
            items.push(value);
        } else {
            fields.insert(name, value);
        }
    }
    let (text, after) = inner.split_once("</")?;
    *rest = after.split_once('>')?.1;
    let value = match (items.is_empty(), fields.is_empty()) {
        (false, _) => Value::Array(items),
        (_, false) => Value::Object(fields),
        _ => Value::String(text.to_owned()),
    };
    Some((name, value))
}

fn write(f: &mut Formatter<'_>, value: &Value) -> fmt::Result {
    let mut child = |name: &str, value: &Value| {
        write!(f, "<{name}>")?;
        write(f, value)?;
        write!(f, "</{name}>")
    };
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| child("item", item)),
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| child(name, value)),
        Value::String(text) => f.write_str(text),
        other => other.fmt(f),
    }
}
