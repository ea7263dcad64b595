//! Answers bent in their contents, whichever their format: fields that are absent, empty, of an unheard value or of
//! another type, items that AWS calls failures, tokens of further pages. What is not an answer's body stays as it is.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::call::Call;
use crate::http::Response;

mod tree;

/// What becomes of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// It is not there.
    Absent,
    /// It is an empty list, object or text.
    Empty,
    /// Its texts are such as nobody has heard of.
    Unheard,
    /// It is of another type.
    Mistyped,
}

impl Damage {
    /// All there are.
    pub const ALL: [Self; 4] = [Self::Absent, Self::Empty, Self::Unheard, Self::Mistyped];
}

impl Response {
    /// The fields of an answer's body: names from the outside in, joined by dots; lists are passed through.
    pub fn fields(&self) -> BTreeSet<String> {
        let mut fields = BTreeSet::new();
        if let Some(body) = tree::read(&self.text()) {
            collect(body.content(), "", &mut fields);
        }
        fields
    }

    /// Damages a field wherever it is; of a list of items, in those only that mention `within`.
    pub fn damage(&mut self, field: &str, damage: Damage, within: &str) {
        let path: Vec<_> = field.split('.').collect();
        self.edit(|body| apply(body, &path, damage, within));
    }

    /// Moves the items of an ECS answer whose ARN is chosen to its `failures`, with this reason.
    pub fn fail(&mut self, reason: &str, chosen: impl Fn(&str) -> bool) {
        self.edit(|body| {
            let mut failures = Vec::new();
            for (list, arn) in [
                ("tasks", "taskArn"),
                ("clusters", "clusterArn"),
                ("containerInstances", "containerInstanceArn"),
                ("services", "serviceArn"),
            ] {
                let Some(items) = body.get_mut(list).and_then(Value::as_array_mut) else { continue };
                items.retain(|item| {
                    let Some(arn) = item[arn].as_str().filter(|arn| chosen(arn)) else { return true };
                    failures.push(json!({"arn": arn, "reason": reason}));
                    false
                });
            }
            if let Some(all) = body.get_mut("failures").and_then(Value::as_array_mut) {
                all.extend(failures);
            }
        });
    }

    /// Lets a listing go on at this token.
    pub(super) fn end_in_token(&mut self, call: &Call, token: &str) {
        let name = if call.service == "ssm" { "NextToken" } else { "nextToken" };
        self.edit(|body| {
            if let Value::Object(body) = body {
                body.insert(name.to_owned(), token.into());
            }
        });
    }

    /// Changes the body of an answer; a refusal stays as it is.
    fn edit(&mut self, change: impl FnOnce(&mut Value)) {
        if self.status < 300
            && let Some(mut body) = tree::read(&self.text())
        {
            change(body.content_mut());
            self.body = body.to_string().into_bytes();
        }
    }
}

fn collect(value: &Value, path: &str, fields: &mut BTreeSet<String>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, fields)),
        Value::Object(object) => {
            for (name, value) in object {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &path, fields);
                fields.insert(path);
            }
        }
        _ => {}
    }
}

fn apply(value: &mut Value, path: &[&str], damage: Damage, within: &str) {
    match (value, path) {
        (Value::Array(items), _) => {
            let chosen = items.iter_mut().filter(|item| item.to_string().contains(within));
            chosen.for_each(|item| apply(item, path, damage, ""));
        }
        (Value::Object(object), [name]) => match (damage, object.get_mut(*name)) {
            (_, None) => {}
            (Damage::Absent, Some(_)) => drop(object.remove(*name)),
            (Damage::Empty, Some(value)) => empty(value),
            (Damage::Unheard, Some(value)) => unheard(value),
            (Damage::Mistyped, Some(value)) => mistype(value),
        },
        (Value::Object(object), [name, rest @ ..]) => {
            if let Some(value) = object.get_mut(*name) {
                apply(value, rest, damage, within);
            }
        }
        _ => {}
    }
}

fn empty(value: &mut Value) {
    match value {
        Value::Array(items) => items.clear(),
        Value::Object(object) => object.clear(),
        Value::String(text) => text.clear(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn mistype(value: &mut Value) {
    *value = match value {
        Value::Array(_) | Value::Object(_) => "a text".into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => json!({"odd": {"odd": "text"}}),
    };
}

fn unheard(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(unheard),
        Value::Object(object) => object.values_mut().for_each(unheard),
        Value::String(text) => *text = "UNHEARD_OF".to_owned(),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
