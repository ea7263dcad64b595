//! The body of a message of a queue → what it tells.
//!
//! A body is any text that somebody sent: every one has a [`Notice`], and nothing of it is logged or quoted in an error.
//! Fields that are not named here are skipped. Of environments only the values leave this module whose names the rules need.

use std::collections::HashMap;
use std::time::Duration;

use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;
use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::model::{Names, Task};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{present, task};
use crate::aws::json::{Text, text};
use crate::aws::wire;

/// The longest message that SQS accepts.
/// <https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html>
const MAX_BODY: usize = 1 << 20;

/// What a message tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// Nothing that this program knows.
    Foreign,
    /// That events of this account and region arrive.
    Heartbeat {
        /// The account, if the message names one.
        account: Option<String>,
        /// The region, if the message names one.
        region: Option<String>,
        /// When it was sent, since the Unix epoch; `None` if the message does not say so.
        sent: Option<Duration>,
    },
    /// An event of ECS about something else than a task.
    Ignored {
        /// The account, if the event names one.
        account: Option<String>,
        /// The region, if the event names one.
        region: Option<String>,
    },
    /// An event about a task that does not describe the task in full.
    Malformed {
        /// The account, if the event names one.
        account: Option<String>,
        /// The region, if the event names one.
        region: Option<String>,
        /// The cluster of the task, if the event names one.
        cluster: Option<ClusterArn>,
        /// The task, if the event names one of that cluster.
        task: Option<TaskArn>,
    },
    /// A task has changed.
    Task(Box<TaskNotice>),
}

/// A changed task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskNotice {
    /// The cluster of the task, with its account and region.
    pub cluster: ClusterArn,
    /// The task. Fields that the event lacks are empty.
    pub task: Task,
    /// Its version, which each change that starts an event increments.
    pub version: u64,
    /// When ECS changed it, since the Unix epoch; `None` if the event does not say so.
    pub updated: Option<Duration>,
}

impl Notice {
    /// Reads the body of a message. Of overrides the values of these variables are kept.
    pub fn parse(body: &[u8], names: &Names) -> Self {
        let body = std::str::from_utf8(body).ok().filter(|body| body.len() <= MAX_BODY);
        let Some(envelope) = body.and_then(object::<Envelope<'_>>) else { return Self::Foreign };
        let Some(inner) = envelope.sns() else { return envelope.notice(names) };
        object::<Envelope<'_>>(inner.as_ref()).map_or(Self::Foreign, |envelope| envelope.notice(names))
    }
}

/// The outermost object of a message: an event of EventBridge, a notification of SNS, or a heartbeat.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow)]
    source: Option<&'a RawValue>,
    #[serde(borrow, rename = "detail-type")]
    detail_type: Option<&'a RawValue>,
    #[serde(borrow)]
    account: Option<&'a RawValue>,
    #[serde(borrow)]
    region: Option<&'a RawValue>,
    #[serde(borrow)]
    time: Option<&'a RawValue>,
    #[serde(borrow)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, rename = "Type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "Message")]
    message: Option<&'a RawValue>,
    #[serde(borrow, rename = "prometheus-ecs-sd")]
    own: Option<&'a RawValue>,
}

impl Envelope<'_> {
    /// The message that SNS passes on.
    fn sns(&self) -> Option<Text<'_>> {
        is(self.kind, "Notification").then(|| string(self.message))?
    }

    fn notice(&self, names: &Names) -> Notice {
        let (account, region) = (name(self.account), name(self.region));
        let heartbeat = |account, region| Notice::Heartbeat { account, region, sent: time(self.time) };
        let (source, detail_type) = (string(self.source), string(self.detail_type));
        match (text(&source), text(&detail_type)) {
            (Some("aws.events"), Some("Scheduled Event")) => heartbeat(account, region),
            (Some("aws.ecs"), Some("ECS Task State Change")) => self.task(account, region, names),
            (Some("aws.ecs"), Some(_)) => {
                let cluster = self.detail().and_then(|detail| detail.cluster());
                let (account, region) = place(cluster.as_ref(), account, region);
                Notice::Ignored { account, region }
            }
            _ if is(self.own, "heartbeat") => heartbeat(account, region),
            _ => Notice::Foreign,
        }
    }

    fn task(&self, account: Option<String>, region: Option<String>, names: &Names) -> Notice {
        let detail = self.detail();
        let cluster = detail.as_ref().and_then(Detail::cluster);
        let task = detail.as_ref().zip(cluster.as_ref()).and_then(|(detail, cluster)| detail.task(cluster));
        if let (Some(raw), Some(detail), Some(cluster), Some(arn)) = (self.detail, &detail, &cluster, &task)
            && let Some((task, version)) = described(raw, arn, names)
        {
            let updated = time(detail.updated_at).or_else(|| time(self.time));
            return Notice::Task(Box::new(TaskNotice { cluster: cluster.clone(), task, version, updated }));
        }
        let (account, region) = place(cluster.as_ref(), account, region);
        Notice::Malformed { account, region, cluster, task }
    }

    fn detail(&self) -> Option<Detail<'_>> {
        object(self.detail?.get())
    }
}

/// The fields of an event's `detail` that are read even if others cannot be.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail<'a> {
    #[serde(borrow)]
    cluster_arn: Option<&'a RawValue>,
    #[serde(borrow)]
    task_arn: Option<&'a RawValue>,
    #[serde(borrow)]
    updated_at: Option<&'a RawValue>,
}

impl Detail<'_> {
    fn cluster(&self) -> Option<ClusterArn> {
        ClusterArn::parse(string(self.cluster_arn)?.as_ref()).ok()
    }

    /// The task, if it is one of that cluster: a request that names tasks of another one would fail as a whole.
    fn task(&self, cluster: &ClusterArn) -> Option<TaskArn> {
        let task = TaskArn::parse(string(self.task_arn)?.as_ref()).ok()?;
        let is_near = task.account() == cluster.account() && task.region() == cluster.region();
        let is_of_cluster = task.cluster().is_none_or(|of_task| of_task == *cluster);
        (is_near && is_of_cluster).then_some(task)
    }
}

/// The task and its version. ARNs are checked first, so that converting the task logs none.
fn described(detail: &RawValue, arn: &TaskArn, names: &Names) -> Option<(Task, u64)> {
    let wire: wire::Task<'_> = serde_json::from_str(detail.get()).ok()?;
    let definition = TaskDefinitionArn::parse(text(&wire.task_definition_arn)?).ok()?;
    let instance = text(&wire.container_instance_arn).filter(|arn| !arn.is_empty());
    // An event may name the family alone.
    if definition.revision().is_empty()
        || instance.is_some_and(|arn| ContainerInstanceArn::parse(arn).is_err())
    {
        return None;
    }
    let has_status = |status: &Option<Text<'_>>| text(status).is_some_and(|status| !status.is_empty());
    if !has_status(&wire.desired_status) || !has_status(&wire.last_status) {
        return None;
    }
    let version = wire.version?;
    Some((task::task(wire, &HashMap::from([(arn.as_str(), arn)]), names)?, version))
}

/// The account and the region: those of the cluster, or else of the envelope, which may lack them.
fn place(
    cluster: Option<&ClusterArn>,
    account: Option<String>,
    region: Option<String>,
) -> (Option<String>, Option<String>) {
    match cluster {
        Some(cluster) => (present(Some(cluster.account())), present(Some(cluster.region()))),
        None => (account, region),
    }
}

/// The value of an object's text. (Serde would take a list for an object, too.)
fn object<'a, T: Deserialize<'a>>(text: &'a str) -> Option<T> {
    text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok())?
}

fn string(value: Option<&RawValue>) -> Option<Text<'_>> {
    serde_json::from_str(value?.get()).ok()
}

fn is(value: Option<&RawValue>, expected: &str) -> bool {
    string(value).is_some_and(|text| text.as_ref() == expected)
}

/// A text that is not empty.
fn name(value: Option<&RawValue>) -> Option<String> {
    present(text(&string(value)))
}

/// A time of ISO 8601.
fn time(value: Option<&RawValue>) -> Option<Duration> {
    let time = DateTime::from_str(string(value)?.as_ref(), Format::DateTimeWithOffset).ok()?;
    Some(Duration::new(time.secs().try_into().ok()?, time.subsec_nanos()))
}

#[cfg(test)]
mod tests;
