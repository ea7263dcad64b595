//! DescribeTasks' answers as they are on the wire, in borrowed text: only what the core's model wants of them.
//!
//! Most of what a refresh reads is these. Every field and every item of a list may be absent or `null`, and
//! what is not named here is skipped; a value of another type than AWS documents spoils the whole answer.
//!
//! No type here is [`Debug`](std::fmt::Debug), and no error quotes what it met: environments of overrides hold
//! secrets.

use std::borrow::Cow;

use ecs_discovery::inventory::question::Failure;
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer};
use serde_json::error::Category;

use super::failure::unreadable;

/// AWS's name of it.
pub(super) const OPERATION: &str = "DescribeTasks";

/// Reads the body of a successful answer.
pub(super) fn read(body: &[u8]) -> Result<DescribeTasksResponse<'_>, Failure> {
    // All at once, which is a fraction of the cost of checking text by text.
    let body = std::str::from_utf8(body).map_err(|_| unreadable(OPERATION, "it is not JSON"))?;
    serde_json::from_str(body).map_err(|error| {
        let why = match error.classify() {
            Category::Eof | Category::Io => "it ends too early",
            Category::Syntax => "it is not JSON",
            Category::Data => "a value is of another type than AWS documents",
        };
        unreadable(OPERATION, why)
    })
}

/// A text, copied only where JSON had to escape it.
///
/// (A type of its own, since serde borrows no `Cow` within an `Option`.)
#[derive(Deserialize)]
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

/// Several, as AWS may give them.
pub(super) type List<T> = Option<Vec<Option<T>>>;

/// The items that there are.
pub(super) fn items<T>(list: List<T>) -> impl Iterator<Item = T> {
    list.unwrap_or_default().into_iter().flatten()
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct DescribeTasksResponse<'a> {
    pub(super) tasks: List<Task<'a>>,
    pub(super) failures: List<Unanswered<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Task<'a> {
    pub(super) task_arn: Option<Text<'a>>,
    pub(super) task_definition_arn: Option<Text<'a>>,
    pub(super) launch_type: Option<Text<'a>>,
    pub(super) capacity_provider_name: Option<Text<'a>>,
    pub(super) group: Option<Text<'a>>,
    pub(super) started_by: Option<Text<'a>>,
    pub(super) availability_zone: Option<Text<'a>>,
    pub(super) desired_status: Option<Text<'a>>,
    pub(super) last_status: Option<Text<'a>>,
    pub(super) health_status: Option<Text<'a>>,
    pub(super) platform_family: Option<Text<'a>>,
    pub(super) platform_version: Option<Text<'a>>,
    pub(super) container_instance_arn: Option<Text<'a>>,
    pub(super) attachments: List<Attachment<'a>>,
    pub(super) containers: List<Container<'a>>,
    pub(super) overrides: Option<TaskOverride<'a>>,
    pub(super) tags: List<Tag<'a>>,
    #[serde(default, deserialize_with = "version")]
    pub(super) version: Option<u64>,
}

/// A version that is no number counts as none: it only orders answers.
fn version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Version {
        Number(u64),
        Other(IgnoredAny),
    }
    Ok(match Version::deserialize(deserializer)? {
        Version::Number(number) => Some(number),
        Version::Other(_) => None,
    })
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Attachment<'a> {
    #[serde(rename = "type")]
    pub(super) kind: Option<Text<'a>>,
    pub(super) status: Option<Text<'a>>,
    pub(super) details: List<KeyValuePair<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct Container<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) container_arn: Option<Text<'a>>,
    pub(super) image: Option<Text<'a>>,
    pub(super) runtime_id: Option<Text<'a>>,
    pub(super) last_status: Option<Text<'a>>,
    pub(super) health_status: Option<Text<'a>>,
    pub(super) network_interfaces: List<NetworkInterface<'a>>,
    pub(super) network_bindings: List<NetworkBinding<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct NetworkInterface<'a> {
    pub(super) private_ipv4_address: Option<Text<'a>>,
    pub(super) ipv6_address: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct NetworkBinding<'a> {
    #[serde(rename = "bindIP")]
    pub(super) bind_ip: Option<Text<'a>>,
    pub(super) protocol: Option<Text<'a>>,
    pub(super) container_port: Option<i32>,
    pub(super) container_port_range: Option<Text<'a>>,
    pub(super) host_port: Option<i32>,
    pub(super) host_port_range: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", bound(deserialize = "'de: 'a"))]
pub(super) struct TaskOverride<'a> {
    pub(super) container_overrides: List<ContainerOverride<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct ContainerOverride<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) environment: List<KeyValuePair<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct KeyValuePair<'a> {
    pub(super) name: Option<Text<'a>>,
    pub(super) value: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Tag<'a> {
    pub(super) key: Option<Text<'a>>,
    pub(super) value: Option<Text<'a>>,
}

/// What AWS calls a failure: a task that was asked for, and why it is not among the answered.
#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
pub(super) struct Unanswered<'a> {
    pub(super) arn: Option<Text<'a>>,
    pub(super) reason: Option<Text<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecs_discovery::inventory::question::FailureKind;

    #[test]
    fn text_is_borrowed_unless_it_was_escaped() {
        let body =
            br#"{"tasks":[null,{"group":"service:web","startedBy":"a\"b"},{"group":null}],"failures":null}"#;
        let Ok(answer) = read(body) else { panic!("no answer") };
        let tasks: Vec<_> = items(answer.tasks).collect();
        let [first, second] = &tasks[..] else { panic!("{} tasks", tasks.len()) };
        assert!(matches!(&first.group, Some(Text(Cow::Borrowed("service:web")))));
        assert_eq!((text(&first.started_by), text(&second.group)), (Some("a\"b"), None));
        assert_eq!(items(answer.failures).count(), 0);
    }

    #[test]
    fn an_answer_that_cannot_be_read_says_why_and_quotes_nothing() {
        for (body, why) in [
            ("", "it ends too early"),
            (r#"{"tasks":[{"group":"hunter2"#, "it ends too early"),
            ("hunter2", "it is not JSON"),
            ("<html>", "it is not JSON"),
            (r#"{"tasks":[]} hunter2"#, "it is not JSON"),
            (r#""hunter2""#, "a value is of another type than AWS documents"),
            (
                r#"{"tasks":[{"overrides":{"containerOverrides":[{"environment":"hunter2"}]}}]}"#,
                "a value is of another type than AWS documents",
            ),
        ] {
            let Err(failure) = read(body.as_bytes()) else { panic!("{body} was read") };
            assert_eq!(failure.kind, FailureKind::Unavailable);
            assert_eq!(failure.message, format!("DescribeTasks: the answer cannot be used: {why}"));
        }
    }
}
