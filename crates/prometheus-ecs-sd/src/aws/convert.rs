//! Converts answers on the wire into those of the core, a page at a time.
//!
//! Every field of an item may be absent, every list empty and every enumeration may have a value that did not
//! exist when this was written. An unusable item is skipped, never the whole answer.
//!
//! Of environments only the values leave this module whose [names](Names) the rules need. Vectors have no spare capacity,
//! since there are many of them, and they live long.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use ecs_discovery::arn::{
    ClusterArn, ContainerInstanceArn, InvalidArn, ServiceArn, TaskArn, TaskDefinitionArn,
};
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::doors::DescribedTask;
use ecs_discovery::inventory::question::Answer;
use ecs_discovery::model::{
    Cluster, ContainerInstance, InstanceId, Names, PortRange, Protocol, Service, ServiceName, Settings, Tags,
};

use super::call::{
    DESCRIBE_CLUSTERS, DESCRIBE_CONTAINER_INSTANCES, DESCRIBE_SERVICES, DESCRIBE_TASK_DEFINITION,
    DESCRIBE_TASKS, LIST_CLUSTERS, LIST_TASKS,
};
use super::json::{Fields, List, Text, Unanswered, batch, items, lacking, one, partial, text};
use super::wire;

mod definition;
pub(super) mod event;
pub(super) mod file;
mod task;

/// The reason of a failure that is permanent. All other reasons may be temporary.
const MISSING: &str = "MISSING";

const CLUSTER_ARNS: Fields = Fields { items: "clusterArns", id: "", next: "nextToken" };
const CLUSTERS: Fields = Fields { items: "clusters", id: "clusterArn", next: "nextToken" };
const TASK_ARNS: Fields = Fields { items: "taskArns", id: "", next: "nextToken" };
const TASKS: Fields = Fields { items: "tasks", id: "taskArn", next: "nextToken" };
const CONTAINER_INSTANCES: Fields =
    Fields { items: "containerInstances", id: "containerInstanceArn", next: "nextToken" };
const SERVICES: Fields = Fields { items: "services", id: "serviceArn", next: "nextToken" };

pub(super) fn clusters(body: &[u8]) -> Result<Answer, Failure> {
    let page =
        batch(&LIST_CLUSTERS, body, CLUSTER_ARNS, |arn: Text<'_>| parsed(ClusterArn::parse(arn.as_ref())))?;
    Ok(Answer::Clusters { clusters: page.items, next: page.next })
}

pub(super) fn cluster_details(body: &[u8], asked: &[Box<str>]) -> Result<Answer, Failure> {
    let described = batch(&DESCRIBE_CLUSTERS, body, CLUSTERS, |cluster: wire::Cluster<'_>| {
        let arn = text(&cluster.cluster_arn).unwrap_or_default();
        if is_inactive(&cluster) {
            return Some(Err(arn.into()));
        }
        Some(Ok(Cluster { arn: parsed(ClusterArn::parse(arn))?, tags: tags(cluster.tags) }))
    })?;
    let (mut active, mut gone) = (Vec::new(), Vec::<Box<str>>::new());
    for cluster in described.items {
        match cluster {
            Ok(cluster) => active.push(cluster),
            Err(arn) => gone.push(arn),
        }
    }
    gone.extend(missing(&described.failures).map(Into::into));
    // By ARN, so that the account of the missing cluster is known.
    gone.retain(|arn| asked.iter().any(|name| is_cluster(arn, name)));
    let answer = Answer::ClusterDetails { active: exact(active), gone: exact(gone) };
    Ok(partial(&DESCRIBE_CLUSTERS, answer, described.unreadable))
}

/// Omits clusters without a list of tags, and clusters that are gone, which another question covers.
pub(super) fn cluster_tags(body: &[u8]) -> Result<Answer, Failure> {
    let described = batch(&DESCRIBE_CLUSTERS, body, CLUSTERS, |cluster: wire::Cluster<'_>| {
        let arn = text(&cluster.cluster_arn).filter(|_| !is_inactive(&cluster))?;
        Some(Cluster { arn: parsed(ClusterArn::parse(arn))?, tags: listed_tags(cluster.tags)? })
    })?;
    Ok(partial(&DESCRIBE_CLUSTERS, Answer::ClusterTags(described.items), described.unreadable))
}

fn is_inactive(cluster: &wire::Cluster<'_>) -> bool {
    text(&cluster.status) == Some("INACTIVE")
}

/// Whether `arn` is the ARN of the cluster that was requested as `name`, which may be an ARN too.
fn is_cluster(arn: &str, name: &str) -> bool {
    arn == name || (!name.starts_with("arn:") && arn.rsplit('/').next() == Some(name))
}

pub(super) fn tasks(body: &[u8]) -> Result<Answer, Failure> {
    let page = batch(&LIST_TASKS, body, TASK_ARNS, |arn: Text<'_>| parsed(TaskArn::parse(arn.as_ref())))?;
    Ok(Answer::Tasks { tasks: page.items, next: page.next })
}

pub(super) fn task_details(body: &[u8], asked: &[TaskArn], names: &Names) -> Result<Answer, Failure> {
    let known = asked.iter().map(|arn| (arn.as_str(), arn)).collect::<HashMap<_, _>>();
    let described = batch(&DESCRIBE_TASKS, body, TASKS, |task: wire::Task<'_>| {
        let (version, untagged) = (task.version, !are_tags(&task.tags));
        Some(DescribedTask { task: task::task(task, &known, names)?, version, untagged })
    })?;
    // By id, since AWS may repeat the ARN in another form.
    let missing: HashSet<_> = missing(&described.failures).filter_map(|arn| arn.rsplit('/').next()).collect();
    let missing = exact(asked.iter().filter(|arn| missing.contains(arn.last_part())).cloned());
    let answer = Answer::TaskDetails { tasks: described.items, missing };
    Ok(partial(&DESCRIBE_TASKS, answer, described.unreadable))
}

pub(super) fn definition(body: &[u8], asked: &TaskDefinitionArn, names: &Names) -> Result<Answer, Failure> {
    let answer: wire::DescribedDefinition<'_> = one(&DESCRIBE_TASK_DEFINITION, body)?;
    let tags = tags(answer.tags);
    let definition =
        answer.task_definition.and_then(|found| definition::definition(found, tags, asked, names));
    definition.map(Answer::TaskDefinition).ok_or_else(|| lacking(&DESCRIBE_TASK_DEFINITION))
}

pub(super) fn definition_tags(body: &[u8]) -> Result<Answer, Failure> {
    let answer: wire::DefinitionTags<'_> = one(&DESCRIBE_TASK_DEFINITION, body)?;
    Ok(Answer::DefinitionTags(listed_tags(answer.tags)))
}

pub(super) fn container_instances(body: &[u8], asked: &[ContainerInstanceArn]) -> Result<Answer, Failure> {
    let described = batch(
        &DESCRIBE_CONTAINER_INSTANCES,
        body,
        CONTAINER_INSTANCES,
        |instance: wire::ContainerInstance<'_>| {
            let arn = instance.container_instance_arn?;
            let known = asked.iter().find(|known| known.as_str() == arn.as_ref()).cloned();
            Some(ContainerInstance {
                arn: known.or_else(|| parsed(ContainerInstanceArn::parse(arn.as_ref())))?,
                instance: said(text(&instance.ec2_instance_id)).map(InstanceId::new),
            })
        },
    )?;
    let answer = Answer::ContainerInstances(described.items);
    Ok(partial(&DESCRIBE_CONTAINER_INSTANCES, answer, described.unreadable))
}

/// A service without a list of tags is left out.
pub(super) fn services(body: &[u8], asked: &[ServiceName]) -> Result<Answer, Failure> {
    let described = batch(&DESCRIBE_SERVICES, body, SERVICES, |service: wire::Service<'_>| {
        Some(Service {
            arn: parsed(ServiceArn::parse(text(&service.service_arn).unwrap_or_default()))?,
            status: present(text(&service.status)),
            tags: listed_tags(service.tags)?,
        })
    })?;
    // By name, since AWS names them by ARN.
    let missing: HashSet<_> = missing(&described.failures).filter_map(|arn| arn.rsplit('/').next()).collect();
    let missing = exact(asked.iter().filter(|name| missing.contains(name.as_str())).cloned());
    let answer = Answer::Services { services: described.items, missing };
    Ok(partial(&DESCRIBE_SERVICES, answer, described.unreadable))
}

/// The ids of the failures with reason MISSING.
fn missing(failures: &[Unanswered]) -> impl Iterator<Item = &str> {
    failures.iter().filter(|failure| failure.reason == MISSING).map(|failure| &*failure.arn)
}

/// An ARN of the expected kind; logs another one.
fn parsed<T>(arn: Result<T, InvalidArn>) -> Option<T> {
    arn.inspect_err(|error| tracing::debug!(%error, "skipped an item of an answer")).ok()
}

/// A text that is not empty.
pub(super) fn said<T: AsRef<str>>(text: Option<T>) -> Option<T> {
    text.filter(|text| !text.as_ref().is_empty())
}

/// A text that is not empty, copied.
pub(super) fn present<T: AsRef<str>, U: From<T>>(text: Option<T>) -> Option<U> {
    said(text).map(U::from)
}

/// A vector without spare capacity, allocated once if no item is omitted. (Collecting from a vector of large items would
/// keep its memory.)
pub(super) fn exact<T>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let items = items.into_iter();
    let mut all = Vec::with_capacity(items.size_hint().1.unwrap_or_default());
    all.extend(items);
    all.shrink_to_fit();
    all
}

/// Tags in the byte order of their keys; a tag without a key is omitted, a missing value is empty.
pub(super) fn sorted_tags<T: AsRef<str>>(tags: impl IntoIterator<Item = (Option<T>, Option<T>)>) -> Tags {
    let mut tags = exact(tags.into_iter().filter_map(|(key, value)| {
        let value = value.as_ref().map_or("", AsRef::as_ref);
        Some((said(key)?.as_ref().into(), value.into()))
    }));
    tags.sort();
    tags
}

fn tags(tags: List<wire::Tag<'_>>) -> Tags {
    sorted_tags(items(tags).map(|tag| (tag.key, tag.value)))
}

/// The same; `None` if there is no list, or if it has a tag without a key.
fn listed_tags(listed: List<wire::Tag<'_>>) -> Option<Tags> {
    are_tags(&listed).then(|| tags(listed))
}

/// Whether there is a readable list of tags, even an empty one.
fn are_tags(listed: &List<wire::Tag<'_>>) -> bool {
    let has_key = |tag: &wire::Tag<'_>| said(text(&tag.key)).is_some();
    listed.as_ref().is_some_and(|tags| tags.iter().flatten().all(has_key))
}

/// Keeps the variables of environments that the rules need, and drops all others.
struct Kept<'a> {
    names: &'a Names,
    has_dropped: bool,
}

impl<'a> Kept<'a> {
    fn new(names: &'a Names) -> Self {
        Self { names, has_dropped: false }
    }

    fn settings<'b>(
        &mut self,
        environment: impl Iterator<Item = (Option<&'b str>, Option<&'b str>)>,
    ) -> Settings {
        let named = environment.filter_map(|(name, value)| Some((name?, value.unwrap_or_default())));
        let named = named.inspect(|(name, _)| self.has_dropped |= !self.names.contain(name));
        Settings::from_pairs(named, self.names)
    }

    /// The names that secrets have.
    fn secrets<T: AsRef<str>>(&mut self, names: impl Iterator<Item = T>) -> Vec<Arc<str>> {
        exact(names.filter_map(|name| {
            let kept = self.names.kept(name.as_ref());
            self.has_dropped |= kept.is_none();
            kept
        }))
    }

    /// With which names all of them were read.
    fn names(self) -> Names {
        if self.has_dropped { self.names.clone() } else { Names::all() }
    }
}

/// The range, if there is one, else the single port.
fn ports(range: Option<&str>, port: Option<impl TryInto<u16>>) -> Option<PortRange> {
    match range.filter(|range| !range.is_empty()) {
        Some(range) => PortRange::parse(range),
        None => port.and_then(|port| port.try_into().ok()).filter(|port| *port > 0).map(PortRange::one),
    }
}

/// Only TCP is scraped, so that one name for all other protocols suffices.
fn protocol(protocol: Option<&str>) -> Protocol {
    match protocol {
        None | Some("tcp") => Protocol::Tcp,
        Some(_) => Protocol::Udp,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecs_discovery::failure::FailureKind;
    use serde_json::{Value, json};

    fn task_details(body: &[u8], asked: &[TaskArn]) -> Result<Answer, Failure> {
        super::task_details(body, asked, &Names::default())
    }

    fn definition(body: &[u8], asked: &TaskDefinitionArn) -> Result<Answer, Failure> {
        super::definition(body, asked, &Names::default())
    }

    const PROD: &str = "arn:aws:ecs:eu-west-1:123456789012:cluster/prod";

    /// An answer with these items of a list, and `more`.
    fn body(list: &str, items: &[Value], more: &Value) -> Vec<u8> {
        let mut body = more.clone();
        body[list] = json!(items);
        body.to_string().into_bytes()
    }

    fn task_arn(id: &str) -> TaskArn {
        TaskArn::parse(&format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}")).expect("a task")
    }

    fn described(id: &str) -> Value {
        json!({
            "taskArn": task_arn(id).as_str(), "desiredStatus": "RUNNING", "lastStatus": "RUNNING", "containers": [],
            "taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7", "tags": [],
        })
    }

    fn asked_definition() -> TaskDefinitionArn {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";
        TaskDefinitionArn::parse(arn).expect("a definition")
    }

    /// The ids of the tasks that an answer describes.
    fn ids(answer: Result<Answer, Failure>) -> Vec<String> {
        let Answer::TaskDetails { tasks, .. } = answer.expect("tasks").readable().0 else {
            panic!("no tasks")
        };
        tasks.iter().map(|described| described.task.arn.last_part().to_owned()).collect()
    }

    #[test]
    fn listings_keep_what_is_an_arn_and_the_token() {
        for odd in [json!("prod"), json!(null), json!(5), json!({"arn": PROD}), json!([PROD])] {
            let listed = body("clusterArns", &[odd, PROD.into()], &json!({"nextToken": "t"}));
            let expected = vec![ClusterArn::parse(PROD).expect("a cluster")];
            let expected = Answer::Clusters { clusters: expected, next: Some("t".into()) };
            assert_eq!(clusters(&listed), Ok(expected));
        }
        let arn = task_arn("1");
        let listed =
            body("taskArns", &[PROD.into(), json!(true), arn.as_str().into()], &json!({"nextToken": ""}));
        assert_eq!(tasks(&listed), Ok(Answer::Tasks { tasks: vec![arn], next: None }));
        let empty = body("taskArns", &[], &json!({"nextToken": null}));
        assert_eq!(tasks(&empty), Ok(Answer::Tasks { tasks: Vec::new(), next: None }));
    }

    /// Without its token, a listing would pass for a complete one.
    #[test]
    fn a_listing_whose_token_cannot_be_read_is_a_failure() {
        let listed = body("taskArns", &[], &json!({"nextToken": 5}));
        let failure = tasks(&listed).expect_err("no token");
        let expected = "ListTasks: the answer cannot be used: a value is of another type than AWS documents";
        assert_eq!((failure.kind, &*failure.message), (FailureKind::Unavailable, expected));
    }

    #[test]
    fn an_answer_that_lacks_what_was_asked_for_is_a_failure() {
        let asked = asked_definition();
        for body in
            ["{}", r#"{"failures": []}"#, r#"{"tasks": null, "clusters": null, "taskDefinition": null}"#]
        {
            let body = body.as_bytes();
            for answer in [
                clusters(body),
                cluster_details(body, &[]),
                cluster_tags(body),
                tasks(body),
                task_details(body, &[]),
                definition(body, &asked),
                container_instances(body, &[]),
                services(body, &[]),
            ] {
                let failure = answer.expect_err("nothing");
                assert!(failure.message.ends_with(": it lacks the requested content"), "{failure}");
            }
        }
        let untold = json!({"taskDefinition": {"family": "web"}}).to_string();
        assert!(definition(untold.as_bytes(), &asked).is_err());
    }

    #[test]
    fn an_answer_that_cannot_be_read_says_why_and_quotes_nothing() {
        let other_type = "a value is of another type than AWS documents";
        for (body, why) in [
            ("", "it ends too early"),
            (r#"{"tasks":[{"group":"hunter2"#, "it ends too early"),
            ("hunter2", "it is not JSON"),
            ("<html>", "it is not JSON"),
            ("\u{feff}{}", "it is not JSON"),
            (r#"{"tasks":[]} hunter2"#, "it is not JSON"),
            (r#""hunter2""#, other_type),
            (r#"["hunter2"]"#, other_type),
            (r#"{"tasks":{"hunter2":1}}"#, other_type),
            (r#"{"tasks":"hunter2"}"#, other_type),
        ] {
            let failure = task_details(body.as_bytes(), &[]).expect_err(body);
            assert_eq!(failure.kind, FailureKind::Unavailable);
            assert_eq!(failure.message, format!("DescribeTasks: the answer cannot be used: {why}"), "{body}");
        }
        assert!(task_details(b"{\"tasks\":[\xff]}", &[]).is_err());
    }

    #[test]
    fn clusters_that_were_asked_for_are_gone_by_their_arn() {
        let asked: Vec<Box<str>> =
            ["prod", "old", "arn:aws:ecs:eu-west-1:123456789012:cluster/none", "denied"]
                .map(Into::into)
                .into();
        let items = [
            json!({"clusterArn": PROD, "tags": [{"key": "b"}, {"key": "B", "value": null}, null]}),
            json!({"clusterArn": "arn:aws:ecs:eu-west-1:123456789012:cluster/old", "status": "INACTIVE"}),
            json!({"clusterArn": "nonsense", "status": "ACTIVE"}),
            json!({"clusterArn": null}),
        ];
        let failures = json!({"failures": [
            {"arn": "arn:aws:ecs:eu-west-1:123456789012:cluster/none", "reason": "MISSING"},
            {"arn": "arn:aws:ecs:eu-west-1:123456789012:cluster/denied", "reason": "ACCESS_DENIED"},
            {}, null, 7, {"arn": 7, "reason": "MISSING"},
        ]});
        let arn = ClusterArn::parse(PROD).expect("a cluster");
        assert_eq!(
            cluster_details(&body("clusters", &items, &failures), &asked),
            Ok(Answer::ClusterDetails {
                active: vec![Cluster { arn, tags: vec![("B".into(), "".into()), ("b".into(), "".into())] }],
                gone: vec!["arn:aws:ecs:eu-west-1:123456789012:cluster/old".into(), asked[2].clone()],
            })
        );
    }

    #[test]
    fn services_are_read_with_their_tags_and_only_missing_ones_are_missing() {
        let asked = ["web", "gone", "denied"].map(|name| ServiceName::parse(name).expect("a name"));
        let arn = |name: &str| format!("arn:aws:ecs:eu-west-1:123456789012:service/prod/{name}");
        let items = [
            json!({"serviceArn": arn("web"), "status": "ACTIVE", "events": [{"message": "hunter2"}],
                "tags": [{"key": "team", "value": "shop"}]}),
            json!({"serviceArn": arn("untagged"), "status": "ACTIVE"}),
            json!({"serviceArn": PROD, "tags": []}),
            json!({"tags": []}),
        ];
        let failures = json!({"failures": [
            {"arn": arn("gone"), "reason": "MISSING"},
            {"arn": arn("denied"), "reason": "ACCESS_DENIED"},
            {"arn": arn("another"), "reason": "MISSING"},
        ]});
        let web = Service {
            arn: ServiceArn::parse(&arn("web")).expect("a service"),
            status: Some("ACTIVE".into()),
            tags: vec![("team".into(), "shop".into())],
        };
        let expected = Answer::Services { services: vec![web], missing: vec![asked[1].clone()] };
        assert_eq!(services(&body("services", &items, &failures), &asked), Ok(expected));
    }

    #[test]
    fn only_missing_tasks_are_missing() {
        let asked = ["a", "b", "c"].map(task_arn);
        let failures = json!({"failures": [
            {"arn": asked[0].as_str(), "reason": "MISSING"},
            {"arn": "arn:aws:ecs:eu-west-1:123456789012:task/b", "reason": "MISSING"},
            {"arn": asked[2].as_str(), "reason": "SOMETHING"},
            {"arn": asked[2].as_str()},
            {"reason": "MISSING"},
        ]});
        let missing = asked[..2].to_vec();
        assert_eq!(
            task_details(&body("tasks", &[], &failures), &asked),
            Ok(Answer::TaskDetails { tasks: Vec::new(), missing })
        );
    }

    #[test]
    fn a_task_whose_tags_cannot_be_read_is_not_one_without_tags() {
        let task = |id: &str, tags: Value| {
            let mut task = described(id);
            task["tags"] = tags;
            task
        };
        let items = [
            task("0", json!([])),
            task("1", json!(null)),
            task("2", json!([{"value": "shop"}])),
            task("3", json!([{"key": "team"}])),
        ];
        let Ok(Answer::TaskDetails { tasks, .. }) = task_details(&body("tasks", &items, &json!({})), &[])
        else {
            panic!("no tasks")
        };
        let untagged = tasks.iter().filter(|described| described.untagged);
        let untagged: Vec<_> = untagged.map(|described| described.task.arn.last_part()).collect();
        assert_eq!(untagged, ["1", "2"]);
    }

    /// In place of each field of an item in turn: the item may be left out, and no other.
    #[test]
    fn one_item_of_another_type_costs_no_other_item() {
        let odd = [
            json!(5),
            json!(-1.5),
            json!(true),
            json!("text"),
            json!(["text"]),
            json!({"a": {}}),
            json!(null),
        ];
        let task = json!({
            "taskArn": task_arn("2").as_str(), "taskDefinitionArn": "d", "launchType": "EC2", "group": "g",
            "capacityProviderName": "c", "startedBy": "s", "availabilityZone": "a", "desiredStatus": "RUNNING",
            "lastStatus": "RUNNING", "healthStatus": "HEALTHY", "platformFamily": "Linux", "platformVersion": "1",
            "containerInstanceArn": "i", "attachments": [{"type": "a", "status": "b", "details": [{"name": "n"}]}],
            "containers": [{"name": "app", "networkBindings": [{"containerPort": 80}]}], "version": 3,
            "overrides": {"containerOverrides": [{"name": "app"}]}, "tags": [{"key": "a"}],
        });
        let cluster =
            json!({"clusterArn": PROD.replace("prod", "odd"), "status": "ACTIVE", "tags": [{"key": "a"}]});
        let instance_arn = "arn:aws:ecs:eu-west-1:123456789012:container-instance/prod/";
        let instance = json!({"containerInstanceArn": format!("{instance_arn}2"), "ec2InstanceId": "i-2"});
        let good_instance =
            json!({"containerInstanceArn": format!("{instance_arn}1"), "ec2InstanceId": "i-1"});
        for odd in &odd {
            for damaged in damaged(&task, odd) {
                let answer = [described("1"), damaged, described("3")];
                let found = ids(task_details(&body("tasks", &answer, &json!({})), &[]));
                assert!(found.starts_with(&["1".into()]) && found.ends_with(&["3".into()]), "{answer:?}");
            }
            for damaged in damaged(&cluster, odd) {
                let answer = [damaged, json!({"clusterArn": PROD})];
                let answer = body("clusters", &answer, &json!({}));
                let details = cluster_details(&answer, &[]).expect("an answer").readable().0;
                let Answer::ClusterDetails { active, .. } = details else { panic!("no clusters") };
                assert!(active.last().is_some_and(|cluster| cluster.arn.as_str() == PROD));
                let tags = cluster_tags(&answer).expect("an answer").readable().0;
                assert!(matches!(tags, Answer::ClusterTags(_)));
            }
            for damaged in damaged(&instance, odd) {
                let answer = body("containerInstances", &[damaged, good_instance.clone()], &json!({}));
                let found = container_instances(&answer, &[]).expect("an answer").readable().0;
                let Answer::ContainerInstances(found) = found else { panic!("no container instances") };
                assert_eq!(
                    found.last().and_then(|found| found.instance.clone()),
                    Some(InstanceId::new("i-1"))
                );
            }
        }
    }

    /// The item with this in place of itself, and of each of its values.
    fn damaged(item: &Value, odd: &Value) -> Vec<Value> {
        let mut all = vec![odd.clone()];
        match item {
            Value::Object(fields) => {
                for (name, value) in fields {
                    for value in damaged(value, odd) {
                        let mut item = item.clone();
                        item[name] = value;
                        all.push(item);
                    }
                }
            }
            Value::Array(items) => all.extend(damaged(&items[0], odd).into_iter().map(|item| json!([item]))),
            _ => {}
        }
        all
    }

    #[test]
    fn an_item_of_another_type_is_told_by_its_id() {
        let other_type = |operation: &str| {
            format!("{operation}: the answer cannot be used: a value is of another type than AWS documents")
        };
        let (instance, cluster) = (PROD.replace("cluster/prod", "container-instance/prod/1"), PROD);
        let task = task_arn("1");
        let tasks = [json!({"taskArn": task.as_str(), "group": 5}), json!({"taskArn": 5})];
        let clusters = body("clusters", &[json!({"clusterArn": cluster, "tags": 5})], &json!({}));
        let instances = [json!({"containerInstanceArn": instance, "ec2InstanceId": []})];
        let service = PROD.replace("cluster/prod", "service/prod/web");
        let services_answer =
            body("services", &[json!({"serviceArn": service, "status": 5, "tags": []})], &json!({}));
        for (answer, id, operation) in [
            (task_details(&body("tasks", &tasks, &json!({})), &[]), task.as_str(), "DescribeTasks"),
            (cluster_details(&clusters, &[]), cluster, "DescribeClusters"),
            (cluster_tags(&clusters), cluster, "DescribeClusters"),
            (services(&services_answer, &[]), &service, "DescribeServices"),
            (
                container_instances(&body("containerInstances", &instances, &json!({})), &[]),
                &instance,
                "DescribeContainerInstances",
            ),
        ] {
            let (_, unreadable) = answer.expect("an answer").readable();
            let unreadable = unreadable.expect("an item that cannot be read");
            assert_eq!(
                (unreadable.ids, unreadable.failure.message),
                (vec![id.into()], other_type(operation))
            );
        }
    }

    #[test]
    fn a_key_that_is_there_twice_costs_no_other_item() {
        let (first, last) = (described("1"), described("3"));
        let twice = r#"{"taskArn": "a", "taskArn": "b"}"#;
        let answer = format!(r#"{{"tasks": [{first}, {twice}, {last}], "failures": []}}"#);
        assert_eq!(ids(task_details(answer.as_bytes(), &[])), ["1", "3"]);
        // Of a list that is there twice, the last one counts, as for AWS's SDKs.
        let answer = format!(r#"{{"tasks": [{first}], "tasks": [{last}], "failures": 5, "failures": []}}"#);
        assert_eq!(ids(task_details(answer.as_bytes(), &[])), ["3"]);
    }

    #[test]
    fn numbers_may_have_a_point_or_an_exponent() {
        let mut task = described("1");
        task["version"] = json!(4.0);
        task["createdAt"] = json!(1.7e9);
        task["containers"] =
            json!([{"name": "app", "networkBindings": [{"containerPort": 8.08e3, "hostPort": 32768.0}]}]);
        let Ok(Answer::TaskDetails { tasks, .. }) = task_details(&body("tasks", &[task], &json!({})), &[])
        else {
            panic!("no task")
        };
        let binding = &tasks[0].task.containers[0].network_bindings[0];
        assert_eq!((tasks[0].version, binding.host_ports.first), (Some(4), 32768));
        assert_eq!(binding.container_ports, PortRange::one(8080));
    }

    #[test]
    fn a_definition_with_a_container_of_another_type_is_a_failure_but_its_tags_are_read() {
        let tags = json!([{"key": "team", "value": "shop"}]);
        let containers = json!([{"name": "app"}, {"name": 5}]);
        let answer =
            json!({"taskDefinition": {"containerDefinitions": containers}, "tags": tags}).to_string();
        let failure = definition(answer.as_bytes(), &asked_definition()).expect_err("half a definition");
        assert!(
            failure.message.starts_with("DescribeTaskDefinition: the answer cannot be used"),
            "{failure}"
        );
        let tags = Some(vec![("team".into(), "shop".into())]);
        assert_eq!(definition_tags(answer.as_bytes()), Ok(Answer::DefinitionTags(tags)));
    }

    #[test]
    fn a_container_instance_may_not_have_registered_its_host() {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:container-instance/prod/1";
        let asked = [ContainerInstanceArn::parse(arn).expect("a container instance")];
        let items = [
            json!({"containerInstanceArn": arn}),
            json!({"containerInstanceArn": "nonsense"}),
            json!({"containerInstanceArn": arn.replace("prod/1", "2"), "ec2InstanceId": "mi-1"}),
            json!({}),
        ];
        let answer = body("containerInstances", &items, &json!({}));
        let Ok(Answer::ContainerInstances(found)) = container_instances(&answer, &asked) else {
            panic!("another answer")
        };
        let found: Vec<_> =
            found.iter().map(|found| (found.arn.last_part(), found.instance.clone())).collect();
        assert_eq!(found, [("1", None), ("2", Some(InstanceId::new("mi-1")))]);
    }
}
