//! The SDK's types turned into the core's, a page at a time.
//!
//! Every field of an item may be absent, every list empty and every enumeration may have a value that did not
//! exist when this was written. An item that cannot be used is skipped, never the whole answer. But an answer
//! without the very list that was asked for is none (`None`): the SDK reads an empty body as an answer that
//! says nothing, and nothing must not pass for "there are no tasks".
//!
//! No environment value outside the convention's variables leaves this module. Vectors hold no spare room:
//! there are many of them, and they live long.

use aws_sdk_ecs::operation::describe_clusters::DescribeClustersOutput;
use aws_sdk_ecs::operation::describe_container_instances::DescribeContainerInstancesOutput;
use aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionOutput;
use aws_sdk_ecs::operation::describe_tasks::DescribeTasksOutput;
use aws_sdk_ecs::operation::list_clusters::ListClustersOutput;
use aws_sdk_ecs::operation::list_tasks::ListTasksOutput;
use aws_sdk_ecs::types::{Failure, KeyValuePair, Tag, TransportProtocol};
use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, InvalidArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::inventory::question::Answer;
use ecs_discovery::model::{Cluster, ContainerInstance, InstanceId, PortRange, Protocol, Settings, Tags};

mod definition;
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
            gone.extend(asked.iter().filter(|name| is_cluster(&arn, name)).cloned());
        } else if let Some(arn) = parsed(ClusterArn::parse(&arn)) {
            active.push(Cluster { arn, tags: tags(cluster.tags) });
        }
    }
    for arn in missing(output.failures) {
        gone.extend(asked.iter().filter(|name| is_cluster(&arn, name)).cloned());
    }
    Some(Answer::ClusterDetails { active: exact(active), gone: exact(gone) })
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

pub(super) fn task_details(output: DescribeTasksOutput, asked: &[TaskArn]) -> Option<Answer> {
    let tasks = output.tasks?.into_iter();
    let missing = missing(output.failures);
    Some(Answer::TaskDetails {
        tasks: exact(tasks.filter_map(|task| task::task(task, asked))),
        missing: exact(asked.iter().filter(|arn| missing.iter().any(|id| is_task(id, arn))).cloned()),
    })
}

/// Whether AWS, which repeats an id in the form it likes, speaks of `task`.
fn is_task(id: &str, task: &TaskArn) -> bool {
    id == task.as_str() || id.rsplit('/').next() == Some(task.last_part())
}

pub(super) fn definition(output: DescribeTaskDefinitionOutput, asked: &TaskDefinitionArn) -> Option<Answer> {
    let tags = tags(output.tags);
    output
        .task_definition
        .map(|definition| Answer::TaskDefinition(definition::definition(definition, tags, asked)))
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
            instance: present(instance.ec2_instance_id).map(|id| InstanceId::new(&id)),
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
pub(super) fn present(text: Option<String>) -> Option<Box<str>> {
    text.filter(|text| !text.is_empty()).map(String::into_boxed_str)
}

/// A vector without spare room. (Collecting from a vector of large items would keep that one's memory.)
pub(super) fn exact<T>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.into_iter().collect();
    items.shrink_to_fit();
    items
}

/// Tags in the byte order of their keys; a tag without a key is none, one without a value has an empty one.
pub(super) fn sorted_tags(tags: impl IntoIterator<Item = (Option<String>, Option<String>)>) -> Tags {
    let mut tags = exact(tags.into_iter().filter_map(|(key, value)| Some((present(key)?, boxed(value)))));
    tags.sort();
    tags
}

fn tags(tags: Option<Vec<Tag>>) -> Tags {
    sorted_tags(tags.unwrap_or_default().into_iter().map(|tag| (tag.key, tag.value)))
}

fn boxed(text: Option<String>) -> Box<str> {
    text.unwrap_or_default().into_boxed_str()
}

/// The convention's variables of an environment. Here all others end.
fn settings(environment: Option<Vec<KeyValuePair>>) -> Settings {
    let environment = environment.unwrap_or_default();
    Settings::from_pairs(
        environment
            .iter()
            .filter_map(|pair| Some((pair.name.as_deref()?, pair.value.as_deref().unwrap_or_default()))),
    )
}

/// A range where there is one, else the single port.
fn ports(range: Option<&str>, port: Option<i32>) -> Option<PortRange> {
    match range.filter(|range| !range.is_empty()) {
        Some(range) => PortRange::parse(range),
        None => port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0).map(PortRange::one),
    }
}

/// What is not TCP is not scraped, so that one name for the rest is enough.
fn protocol(protocol: Option<&TransportProtocol>) -> Protocol {
    match protocol {
        None | Some(TransportProtocol::Tcp) => Protocol::Tcp,
        Some(_) => Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types;

    const PROD: &str = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod";

    fn cluster(arn: &str, status: &str) -> types::Cluster {
        types::Cluster::builder().cluster_arn(arn).status(status).build()
    }

    fn failure(arn: &str, reason: &str) -> Failure {
        Failure::builder().arn(arn).reason(reason).build()
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
            task_details(DescribeTasksOutput::builder().build(), &[]),
            definition(DescribeTaskDefinitionOutput::builder().build(), &asked),
            container_instances(DescribeContainerInstancesOutput::builder().build(), &[]),
        ] {
            assert_eq!(answer, None);
        }
    }

    #[test]
    fn clusters_are_gone_by_the_name_they_were_asked_for() {
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
                gone: vec![asked[1].clone(), asked[2].clone()],
            })
        );
    }

    #[test]
    fn only_missing_tasks_are_missing() {
        let asked = ["a", "b", "c"].map(|id| {
            TaskArn::parse(&format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}")).expect("a task")
        });
        let output = DescribeTasksOutput::builder()
            .set_tasks(Some(Vec::new()))
            .failures(failure(asked[0].as_str(), "MISSING"))
            .failures(failure("arn:aws:ecs:eu-west-1:123456789012:task/b", "MISSING"))
            .failures(failure(asked[2].as_str(), "SOMETHING"))
            .build();
        let missing = asked[..2].to_vec();
        assert_eq!(task_details(output, &asked), Some(Answer::TaskDetails { tasks: Vec::new(), missing }));
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
