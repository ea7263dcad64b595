//! The SDK's types, and those of [`tasks`](mod@tasks), turned into the core's, a page at a time.
//!
//! Every field of an item may be absent, every list empty and every enumeration may have a value that did not
//! exist when this was written. An item that cannot be used is skipped, never the whole answer. But an answer
//! without the very list that was asked for is none (`None`): the SDK reads an empty body as an answer that
//! says nothing, and nothing must not pass for "there are no tasks".
//!
//! No environment value outside the convention's variables leaves this module. Vectors hold no spare room:
//! there are many of them, and they live long.

use std::collections::{HashMap, HashSet};

use aws_sdk_ecs::operation::describe_clusters::DescribeClustersOutput;
use aws_sdk_ecs::operation::describe_container_instances::DescribeContainerInstancesOutput;
use aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionOutput;
use aws_sdk_ecs::operation::list_clusters::ListClustersOutput;
use aws_sdk_ecs::operation::list_tasks::ListTasksOutput;
use aws_sdk_ecs::types::{Failure, Tag};
use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, InvalidArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::inventory::doors::DescribedTask;
use ecs_discovery::inventory::question::Answer;
use ecs_discovery::model::{Cluster, ContainerInstance, InstanceId, PortRange, Protocol, Settings, Tags};

use super::tasks::{self, DescribeTasksResponse, items, text};

mod definition;
pub(super) mod file;
mod task;

/// Why a batch answer lacks an item for good. Every other reason may pass.
const MISSING: &str = "MISSING";

pub(super) fn clusters(output: ListClustersOutput) -> Option<Answer> {
    let arns = output.cluster_arns?;
    Some(Answer::Clusters {
        clusters: exact(arns.iter().filter_map(|arn| parsed(ClusterArn::parse(arn)))),
        next: output.next_token.filter(|token| !token.is_empty()),
    })
}

pub(super) fn cluster_details(output: DescribeClustersOutput, asked: &[Box<str>]) -> Option<Answer> {
    let (mut active, mut gone) = (Vec::new(), Vec::new());
    for cluster in output.clusters? {
        let arn = cluster.cluster_arn.unwrap_or_default();
        if cluster.status.as_deref() == Some("INACTIVE") {
            gone.push(arn);
        } else if let Some(arn) = parsed(ClusterArn::parse(&arn)) {
            active.push(Cluster { arn, tags: tags(cluster.tags) });
        }
    }
    gone.extend(missing(output.failures));
    // By ARN, so that the account of the missing cluster is known.
    gone.retain(|arn| asked.iter().any(|name| is_cluster(arn, name)));
    let gone = gone.into_iter().map(Into::into);
    Some(Answer::ClusterDetails { active: exact(active), gone: exact(gone) })
}

/// Clusters without a list of tags are left out, and so are clusters that are gone: another question covers these.
pub(super) fn cluster_tags(output: DescribeClustersOutput) -> Option<Answer> {
    let clusters =
        output.clusters?.into_iter().filter(|cluster| cluster.status.as_deref() != Some("INACTIVE"));
    Some(Answer::ClusterTags(exact(clusters.filter_map(|cluster| {
        let arn = parsed(ClusterArn::parse(&cluster.cluster_arn.unwrap_or_default()))?;
        Some(Cluster { arn, tags: listed_tags(cluster.tags)? })
    }))))
}

/// Whether `arn` is the ARN of the cluster that was asked for as `name`, which may be its ARN too.
fn is_cluster(arn: &str, name: &str) -> bool {
    arn == name || (!name.starts_with("arn:") && arn.rsplit('/').next() == Some(name))
}

pub(super) fn tasks(output: ListTasksOutput) -> Option<Answer> {
    let arns = output.task_arns?;
    Some(Answer::Tasks {
        tasks: exact(arns.iter().filter_map(|arn| parsed(TaskArn::parse(arn)))),
        next: output.next_token.filter(|token| !token.is_empty()),
    })
}

pub(super) fn task_details(answer: DescribeTasksResponse<'_>, asked: &[TaskArn]) -> Option<Answer> {
    answer.tasks.as_ref()?;
    let known = asked.iter().map(|arn| (arn.as_str(), arn)).collect::<HashMap<_, _>>();
    let failures: Vec<_> = items(answer.failures).collect();
    let missing: HashSet<&str> = failures.iter().filter_map(missing_task).collect();
    let tasks = items(answer.tasks).filter_map(|task| {
        let (version, untagged) = (task.version, !task::is_tagged(&task));
        Some(DescribedTask { task: task::task(task, &known)?, version, untagged })
    });
    Some(Answer::TaskDetails {
        tasks: exact(tasks),
        missing: exact(asked.iter().filter(|arn| missing.contains(arn.last_part())).cloned()),
    })
}

/// The id of a task that AWS calls missing, without the rest of the ARN: AWS repeats it in the form it likes.
fn missing_task<'a>(failure: &'a tasks::Unanswered<'_>) -> Option<&'a str> {
    if text(&failure.reason) == Some(MISSING) { text(&failure.arn)?.rsplit('/').next() } else { None }
}

pub(super) fn definition(output: DescribeTaskDefinitionOutput, asked: &TaskDefinitionArn) -> Option<Answer> {
    let tags = tags(output.tags);
    output
        .task_definition
        .and_then(|definition| definition::definition(definition, tags, asked))
        .map(Answer::TaskDefinition)
}

pub(super) fn definition_tags(output: DescribeTaskDefinitionOutput) -> Answer {
    Answer::DefinitionTags(listed_tags(output.tags))
}

pub(super) fn container_instances(
    output: DescribeContainerInstancesOutput,
    asked: &[ContainerInstanceArn],
) -> Option<Answer> {
    let instances = output.container_instances?.into_iter();
    Some(Answer::ContainerInstances(exact(instances.filter_map(|instance| {
        let arn = instance.container_instance_arn?;
        let known = asked.iter().find(|known| known.as_str() == arn).cloned();
        Some(ContainerInstance {
            arn: known.or_else(|| parsed(ContainerInstanceArn::parse(&arn)))?,
            instance: said(instance.ec2_instance_id).map(|id| InstanceId::new(&id)),
        })
    }))))
}

/// What the failures call MISSING, by the ids that they give.
fn missing(failures: Option<Vec<Failure>>) -> Vec<String> {
    let failures = failures.unwrap_or_default().into_iter();
    failures
        .filter(|failure| failure.reason.as_deref() == Some(MISSING))
        .filter_map(|failure| failure.arn)
        .collect()
}

/// An ARN of the expected kind, or a note that there was another.
fn parsed<T>(arn: Result<T, InvalidArn>) -> Option<T> {
    arn.inspect_err(|error| tracing::debug!(%error, "skipped an item of an answer")).ok()
}

/// A text that says something.
pub(super) fn said<T: AsRef<str>>(text: Option<T>) -> Option<T> {
    text.filter(|text| !text.as_ref().is_empty())
}

/// A text that says something, to be kept.
pub(super) fn present<T: AsRef<str>, U: From<T>>(text: Option<T>) -> Option<U> {
    said(text).map(U::from)
}

/// A vector without spare room, made in one piece where no item is left out. (Collecting from a vector of large
/// items would keep that one's memory.)
pub(super) fn exact<T>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let items = items.into_iter();
    let mut all = Vec::with_capacity(items.size_hint().1.unwrap_or_default());
    all.extend(items);
    all.shrink_to_fit();
    all
}

/// Tags in the byte order of their keys; a tag without a key is none, one without a value has an empty one.
pub(super) fn sorted_tags<T: AsRef<str>>(tags: impl IntoIterator<Item = (Option<T>, Option<T>)>) -> Tags {
    let mut tags = exact(tags.into_iter().filter_map(|(key, value)| {
        let value = value.as_ref().map_or("", AsRef::as_ref);
        Some((said(key)?.as_ref().into(), value.into()))
    }));
    tags.sort();
    tags
}

fn tags(tags: Option<Vec<Tag>>) -> Tags {
    sorted_tags(tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)))
}

/// The same; `None` if there is no list, or if it has a tag without a key.
fn listed_tags(listed: Option<Vec<Tag>>) -> Option<Tags> {
    let is_tag = |tag: &Tag| said(tag.key()).is_some();
    listed.filter(|listed| listed.iter().all(is_tag)).map(|listed| tags(Some(listed)))
}

/// The convention's variables of an environment. Here all others end.
fn settings<'a>(environment: impl Iterator<Item = (Option<&'a str>, Option<&'a str>)>) -> Settings {
    Settings::from_pairs(environment.filter_map(|(name, value)| Some((name?, value.unwrap_or_default()))))
}

/// A range where there is one, else the single port.
fn ports(range: Option<&str>, port: Option<i32>) -> Option<PortRange> {
    match range.filter(|range| !range.is_empty()) {
        Some(range) => PortRange::parse(range),
        None => port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).map(PortRange::one),
    }
}

/// What is not TCP is not scraped, so that one name for the rest is enough.
fn protocol(protocol: Option<&str>) -> Protocol {
    match protocol {
        None | Some("tcp") => Protocol::Tcp,
        Some(_) => Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types;
    use serde_json::json;

    const PROD: &str = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod";

    fn cluster(arn: &str, status: &str) -> types::Cluster {
        types::Cluster::builder().cluster_arn(arn).status(status).build()
    }

    fn failure(arn: &str, reason: &str) -> Failure {
        Failure::builder().arn(arn).reason(reason).build()
    }

    fn read(body: &str, asked: &[TaskArn]) -> Option<Answer> {
        task_details(tasks::read(body.as_bytes()).unwrap_or_else(|failure| panic!("{failure}")), asked)
    }

    #[test]
    fn listings_keep_what_is_an_arn_and_the_token() {
        let output =
            ListClustersOutput::builder().cluster_arns(PROD).cluster_arns("prod").next_token("t").build();
        let expected = vec![ClusterArn::parse(PROD).expect("a cluster")];
        assert_eq!(clusters(output), Some(Answer::Clusters { clusters: expected, next: Some("t".into()) }));
        let output = ListTasksOutput::builder().task_arns(PROD).next_token("").build();
        assert_eq!(tasks(output), Some(Answer::Tasks { tasks: Vec::new(), next: None }));
        let empty = ListTasksOutput::builder().set_task_arns(Some(Vec::new())).build();
        assert_eq!(tasks(empty), Some(Answer::Tasks { tasks: Vec::new(), next: None }));
    }

    #[test]
    fn an_answer_that_says_nothing_is_none() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";
        let asked = TaskDefinitionArn::parse(arn).expect("a definition");
        for answer in [
            clusters(ListClustersOutput::builder().build()),
            cluster_details(DescribeClustersOutput::builder().build(), &[]),
            tasks(ListTasksOutput::builder().build()),
            read("{}", &[]),
            read(r#"{"tasks":null,"failures":[]}"#, &[]),
            definition(DescribeTaskDefinitionOutput::builder().build(), &asked),
            container_instances(DescribeContainerInstancesOutput::builder().build(), &[]),
        ] {
            assert_eq!(answer, None);
        }
    }

    #[test]
    fn clusters_that_were_asked_for_are_gone_by_their_arn() {
        let asked: Vec<Box<str>> =
            ["prod", "old", "arn:aws:ecs:eu-west-1:123456789012:cluster/none", "denied"]
                .map(Into::into)
                .into();
        let tag = |key: &str| Tag::builder().key(key).build();
        let output = DescribeClustersOutput::builder()
            .clusters(types::Cluster::builder().cluster_arn(PROD).tags(tag("b")).tags(tag("B")).build())
            .clusters(cluster("arn:aws:ecs:eu-west-1:123456789012:cluster/old", "INACTIVE"))
            .clusters(cluster("nonsense", "ACTIVE"))
            .failures(failure("arn:aws:ecs:eu-west-1:123456789012:cluster/none", "MISSING"))
            .failures(failure("arn:aws:ecs:eu-west-1:123456789012:cluster/denied", "ACCESS_DENIED"))
            .failures(Failure::builder().build())
            .build();
        let arn = ClusterArn::parse(PROD).expect("a cluster");
        assert_eq!(
            cluster_details(output, &asked),
            Some(Answer::ClusterDetails {
                active: vec![Cluster { arn, tags: vec![("B".into(), "".into()), ("b".into(), "".into())] }],
                gone: vec!["arn:aws:ecs:eu-west-1:123456789012:cluster/old".into(), asked[2].clone()],
            })
        );
    }

    #[test]
    fn only_missing_tasks_are_missing() {
        let asked = ["a", "b", "c"].map(|id| {
            TaskArn::parse(&format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}")).expect("a task")
        });
        let output = json!({"tasks": [], "failures": [
            {"arn": asked[0].as_str(), "reason": "MISSING"},
            {"arn": "arn:aws:ecs:eu-west-1:123456789012:task/b", "reason": "MISSING"},
            {"arn": asked[2].as_str(), "reason": "SOMETHING"},
            {"arn": asked[2].as_str()},
            {"reason": "MISSING"},
        ]});
        let missing = asked[..2].to_vec();
        assert_eq!(
            read(&output.to_string(), &asked),
            Some(Answer::TaskDetails { tasks: Vec::new(), missing })
        );
    }

    #[test]
    fn a_task_whose_tags_cannot_be_read_is_not_one_without_tags() {
        let asked: Vec<_> =
            (0..4).map(|id| format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}")).collect();
        let task = |id: usize, tags: serde_json::Value| {
            json!({
                "taskArn": asked[id], "desiredStatus": "RUNNING", "lastStatus": "RUNNING", "containers": [], "tags": tags,
                "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7",
            })
        };
        let output = json!({"tasks": [
            task(0, json!([])),
            task(1, json!(null)),
            task(2, json!([{"value": "shop"}])),
            task(3, json!([{"key": "team"}])),
        ]});
        let Some(Answer::TaskDetails { tasks, .. }) = read(&output.to_string(), &[]) else {
            panic!("no tasks")
        };
        let untagged = tasks.iter().filter(|described| described.untagged);
        let untagged: Vec<_> = untagged.map(|described| described.task.arn.last_part()).collect();
        assert_eq!(untagged, ["1", "2"]);
    }

    #[test]
    fn a_container_instance_may_not_have_registered_its_host() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:container-instance/prod/1";
        let asked = [ContainerInstanceArn::parse(arn).expect("a container instance")];
        let instance = |arn: &str| types::ContainerInstance::builder().container_instance_arn(arn);
        let output = DescribeContainerInstancesOutput::builder()
            .container_instances(instance(arn).build())
            .container_instances(instance("nonsense").build())
            .container_instances(instance(&arn.replace("prod/1", "2")).ec2_instance_id("mi-1").build())
            .container_instances(types::ContainerInstance::builder().build())
            .build();
        let Some(Answer::ContainerInstances(found)) = container_instances(output, &asked) else {
            panic!("another answer")
        };
        let found: Vec<_> =
            found.iter().map(|found| (found.arn.last_part(), found.instance.clone())).collect();
        assert_eq!(found, [("1", None), ("2", Some(InstanceId::new("mi-1")))]);
    }
}
