//! Answers of the JSON protocols as they are on the wire, in borrowed text, item by item.
//!
//! Every field and every item of a list may be absent or `null`, and unknown fields are skipped. An item of a batch that
//! is not of the documented type is a failure of that item. An answer without the requested list is a failure: it must
//! not pass for "there are no tasks".
//!
//! No type here is [`Debug`](std::fmt::Debug), and no error quotes a value: environments contain secrets.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::{Answer, Unreadable};
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::call::Call;
use super::{failure, wire};

/// A text, copied only if JSON escaped it.
///
/// (A separate type, since serde borrows no `Cow` within an `Option`.)
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The text, if there is one.
pub(super) fn text<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(AsRef::as_ref)
}

/// A list as AWS may send it.
pub(super) type List<T> = Option<Vec<Option<T>>>;

/// The items that are not `null`.
pub(super) fn items<T>(list: List<T>) -> impl Iterator<Item = T> {
    list.unwrap_or_default().into_iter().flatten()
}

/// A whole number, which JSON may write as `8080`, `8080.0` or `8.08e3`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Number(i64);

impl TryFrom<Number> for u16 {
    type Error = std::num::TryFromIntError;

    fn try_from(Number(number): Number) -> Result<Self, Self::Error> {
        number.try_into()
    }
}

impl TryFrom<Number> for u64 {
    type Error = std::num::TryFromIntError;

    fn try_from(Number(number): Number) -> Result<Self, Self::Error> {
        number.try_into()
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(i64::try_from(number).unwrap_or(i64::MAX)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
        // A number out of range becomes the closest one in range.
        if number.fract() == 0.0 { Ok(Number(number as i64)) } else { Err(E::custom("not a whole number")) }
    }
}

/// The list of a call's answer, with the fields beside it.
pub(super) struct Batch<T> {
    /// The accepted items.
    pub(super) items: Vec<T>,
    /// AWS's list of failures.
    pub(super) failures: Vec<Unanswered>,
    /// The token of the next page.
    pub(super) next: Option<String>,
    /// The ids of items that are not of the documented type, and have a readable id.
    pub(super) unreadable: Vec<Box<str>>,
}

/// A requested item, and the reason why it is not in the answer.
pub(super) struct Unanswered {
    pub(super) arn: String,
    pub(super) reason: String,
}

/// The names of an answer's fields.
#[derive(Clone, Copy)]
pub(super) struct Fields {
    /// The list.
    pub(super) items: &'static str,
    /// Within an item, its id.
    pub(super) id: &'static str,
    /// The token of the next page.
    pub(super) next: &'static str,
}

/// Reads the body of a successful answer. Each item of its list is passed to `accept` as soon as it is read, so that
/// the answer is in memory only as text and as the result of `accept`. (If an item cannot be read, all items are passed
/// to `accept` again.)
pub(super) fn batch<'a, T: Deserialize<'a>, U>(
    call: &Call,
    body: &'a [u8],
    fields: Fields,
    accept: impl FnMut(T) -> Option<U>,
) -> Result<Batch<U>, Failure> {
    optional_batch(call, body, fields, accept)?.ok_or_else(|| lacking(call))
}

/// The same, where AWS leaves an empty list out of its answer; `None` then.
pub(super) fn optional_batch<'a, T: Deserialize<'a>, U>(
    call: &Call,
    body: &'a [u8],
    fields: Fields,
    mut accept: impl FnMut(T) -> Option<U>,
) -> Result<Option<Batch<U>>, Failure> {
    let body = checked(call, body)?;
    let document = |accept| Document { fields, capacity: call.limit, accept, item: PhantomData };
    let mut unreadable = Vec::new();
    let mut read = whole(body, document(&mut accept));
    if read.as_ref().is_err_and(|error| error.is_data() || error.is_syntax()) {
        // A value has another type, a key occurs twice, or an escape is half of a pair. If that is in an item, the others
        // are not affected.
        let accept = |item: &'a RawValue| match serde_json::from_str(item.get()) {
            Ok(item) => accept(item),
            Err(_) => {
                unreadable.extend(id(fields, item));
                None
            }
        };
        read = whole(body, Document { fields, capacity: call.limit, accept, item: PhantomData });
    }
    let read = read.map_err(|error| unusable(call, &error))?;
    Ok(read.map(|read| Batch { unreadable, ..read }))
}

/// Reads the body of a successful answer about one thing.
pub(super) fn one<'a, T: Deserialize<'a>>(call: &Call, body: &'a [u8]) -> Result<T, Failure> {
    serde_json::from_str(checked(call, body)?).map_err(|error| unusable(call, &error))
}

/// The answer, and the ids of its items that cannot be read.
pub(super) fn partial(call: &Call, readable: Answer, ids: Vec<Box<str>>) -> Answer {
    if ids.is_empty() {
        return readable;
    }
    let failure = failure::unreadable(call.operation, OTHER_TYPE);
    Answer::Partial { readable: Box::new(readable), unreadable: Unreadable { ids, failure } }
}

/// An answer without the requested content.
pub(super) fn lacking(call: &Call) -> Failure {
    failure::unreadable(call.operation, "it lacks the requested content")
}

const NOT_JSON: &str = "it is not JSON";
const OTHER_TYPE: &str = "a value is of another type than AWS documents";

/// Checked as a whole, for a fraction of the cost of checking text by text.
fn checked<'a>(call: &Call, body: &'a [u8]) -> Result<&'a str, Failure> {
    std::str::from_utf8(body).map_err(|_| failure::unreadable(call.operation, NOT_JSON))
}

fn unusable(call: &Call, error: &serde_json::Error) -> Failure {
    let why = match error.classify() {
        Category::Eof | Category::Io => "it ends too early",
        Category::Syntax => NOT_JSON,
        Category::Data => OTHER_TYPE,
    };
    failure::unreadable(call.operation, why)
}

/// The id of an item that is not of the documented type.
fn id(fields: Fields, item: &RawValue) -> Option<Box<str>> {
    whole(item.get(), Id(fields.id)).ok().flatten()
}

fn whole<'a, S: DeserializeSeed<'a>>(body: &'a str, seed: S) -> serde_json::Result<S::Value> {
    let mut json = serde_json::Deserializer::from_str(body);
    let read = seed.deserialize(&mut json)?;
    json.end()?;
    Ok(read)
}

/// Reads an answer with a list of `T`. If a field occurs twice, the last one is used.
struct Document<F, T> {
    fields: Fields,
    capacity: usize,
    accept: F,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, U, F: FnMut(T) -> Option<U>> DeserializeSeed<'de> for Document<F, T> {
    type Value = Option<Batch<U>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>, U, F: FnMut(T) -> Option<U>> Visitor<'de> for Document<F, T> {
    type Value = Option<Batch<U>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an answer")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut items, mut failures, mut next) = (None, Vec::new(), None);
        while let Some(key) = map.next_key::<Text<'_>>()? {
            match key.as_ref() {
                name if name == self.fields.items => {
                    let (capacity, accept) = (self.capacity, &mut self.accept);
                    items = map.next_value_seed(Items { capacity, accept, item: PhantomData })?;
                }
                name if name == self.fields.next => next = map.next_value::<Option<String>>()?,
                "failures" => failures = unanswered(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        // An empty token is none.
        let next = next.filter(|token| !token.is_empty());
        Ok(items.map(|items| Batch { items, failures, next, unreadable: Vec::new() }))
    }
}

/// Reads the readable failures of a list.
fn unanswered(failures: &RawValue) -> Vec<Unanswered> {
    let mut accept = |failure: &RawValue| {
        let failure: wire::Failure<'_> = serde_json::from_str(failure.get()).ok()?;
        let reason = text(&failure.reason).unwrap_or_default().to_owned();
        Some(Unanswered { arn: text(&failure.arn)?.to_owned(), reason })
    };
    let list = Items { capacity: 0, accept: &mut accept, item: PhantomData };
    whole(failures.get(), list).ok().flatten().unwrap_or_default()
}

/// Reads the text of one field of an object, the last one if there are several.
struct Id(&'static str);

impl<'de> DeserializeSeed<'de> for Id {
    type Value = Option<Box<str>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Id {
    type Value = Option<Box<str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut id = None;
        while let Some(key) = map.next_key::<Text<'_>>()? {
            if key.as_ref() == self.0 {
                id = serde_json::from_str(map.next_value::<&RawValue>()?.get()).ok();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(id)
    }
}

/// A list without spare capacity, of the accepted items; `None` if it is `null`.
struct Items<'f, F, T> {
    capacity: usize,
    accept: &'f mut F,
    item: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, U, F: FnMut(T) -> Option<U>> DeserializeSeed<'de> for Items<'_, F, T> {
    type Value = Option<Vec<U>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_option(self)
    }
}

impl<'de, T: Deserialize<'de>, U, F: FnMut(T) -> Option<U>> Visitor<'de> for Items<'_, F, T> {
    type Value = Option<Vec<U>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::with_capacity(self.capacity);
        while let Some(item) = list.next_element::<Option<T>>()? {
            items.extend(item.and_then(&mut *self.accept));
        }
        items.shrink_to_fit();
        Ok(Some(items))
    }
}

#[cfg(test)]
mod tests {
    use super::super::call::LIST_TASKS;
    use super::*;

    const TEXTS: Fields = Fields { items: "texts", id: "", next: "next" };

    #[test]
    fn text_is_borrowed_unless_it_was_escaped() {
        let body = br#"{"texts": ["plain", null, "a\"b"], "next": "t"}"#;
        let found = batch(&LIST_TASKS, body, TEXTS, |text: Text<'_>| {
            Some((matches!(text.0, Cow::Borrowed(_)), text.as_ref().to_owned()))
        });
        let Ok(found) = found else { panic!("no answer") };
        assert_eq!(found.items, [(true, "plain".to_owned()), (false, "a\"b".to_owned())]);
        assert_eq!(found.next.as_deref(), Some("t"));
    }
}
