//! The three doors through which facts enter and leave the inventory.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::inventory::doors::{DescribedTask, Fact, Gone, Missing};
use ecs_discovery::model::{Cluster, ContainerInstance, Host, InstanceId, Status, Task};
use ecs_discovery::target::Target;

use crate::fixture::{TaskFixture, World, app, cluster_arn, ec2, fargate, tags};
use crate::source::Source;

fn web(number: u8) -> TaskFixture {
    let fixture = fargate().id(&format!("web{number}")).of("web:1");
    fixture.interface(&format!("10.0.0.{number}")).with(app())
}

fn on_host(id: &str, host: &str, ip: &str) -> TaskFixture {
    ec2("host").id(id).of("node:1").on(host, ip).with(app().maps("9100"))
}

/// A source that knows these tasks, and the tasks by their ids.
fn source(fixtures: impl IntoIterator<Item = TaskFixture>) -> (Source, World) {
    let (mut source, world) = (Source::default(), World::of(fixtures));
    source.refresh(&world);
    (source, world)
}

fn prod() -> ClusterArn {
    cluster_arn("prod")
}

impl Source {
    fn known(&self, id: &str) -> Option<Task> {
        let prod = prod();
        let mut tasks = self.inventory.tasks(&prod);
        tasks.find(|view| view.task.arn.last_part() == id).map(|view| Task::clone(view.task))
    }

    fn describe(&mut self, task: Task, version: Option<u64>, observed: Duration) -> Vec<Missing> {
        let described = DescribedTask { task, version, untagged: false };
        self.inventory.apply(Fact::Task(prod(), described), observed)
    }

    /// The ids of the tasks that are derived again.
    fn touched(&mut self) -> Vec<String> {
        let touched = self.inventory.touched(&prod());
        touched.iter().map(|task| task.last_part().to_owned()).collect()
    }

    fn derived(&mut self) -> Vec<Arc<Target>> {
        self.inventory.derive(&prod(), &self.rules).targets.iter().cloned().collect()
    }
}

fn tagged(mut task: Task, team: &str) -> Task {
    task.tags = tags(&[("team", team)]);
    task
}

fn team(source: &Source) -> String {
    source.known("web1").unwrap().tags[0].1.to_string()
}

#[test]
fn of_two_answers_the_one_with_the_higher_version_wins_and_then_the_later_one() {
    let (mut source, _) = source([web(1)]);
    let (task, now) = (source.known("web1").unwrap(), source.now);
    source.describe(tagged(task.clone(), "a"), Some(4), now);
    source.describe(tagged(task.clone(), "b"), Some(3), now);
    assert_eq!(team(&source), "a");
    source.describe(tagged(task.clone(), "c"), Some(4), now);
    assert_eq!(team(&source), "c");
    source.describe(tagged(task.clone(), "d"), Some(5), now);
    assert_eq!(team(&source), "d");
    let before = now - Duration::from_secs(1);
    source.describe(tagged(task.clone(), "e"), Some(5), before);
    assert_eq!(team(&source), "d");
    source.describe(tagged(task, "f"), Some(6), before);
    assert_eq!(team(&source), "f");
}

#[test]
fn a_version_that_no_other_answer_has_is_not_believed_for_ever() {
    let (mut source, _) = source([web(1)]);
    let (task, now) = (source.known("web1").unwrap(), source.now);
    source.describe(tagged(task.clone(), "a"), Some(u64::MAX), now);
    source.describe(tagged(task.clone(), "b"), Some(3), now);
    assert_eq!(team(&source), "a");
    source.describe(tagged(task.clone(), "b"), Some(3), now);
    assert_eq!(team(&source), "b");
    source.describe(tagged(task, "c"), Some(4), now);
    assert_eq!(team(&source), "c");
}

#[test]
fn a_stopped_task_does_not_come_back() {
    let (mut source, _) = source([web(1), web(2)]);
    let (task, now) = (source.known("web1").unwrap(), source.now);
    let stopped = Task { last_status: Status::Stopped, ..task.clone() };
    source.describe(stopped, Some(8), now);
    assert_eq!((source.known("web1"), source.touched()), (None, vec!["web1".to_owned()]));
    for version in [None, Some(7), Some(8)] {
        source.describe(task.clone(), version, now);
        assert_eq!(source.known("web1"), None, "{version:?}");
    }
    assert_eq!(source.derived().len(), 1);
    // No answer that is newer than the last one says that the task runs.
    source.describe(task, Some(9), now);
    assert_eq!(source.derived().len(), 2);
}

#[test]
fn a_task_that_is_only_called_missing_may_come_back() {
    let (mut source, mut world) = source([web(1), web(2)]);
    let task = source.known("web1").unwrap();
    world.remove("prod", "web1");
    source.refresh(&world);
    assert_eq!(source.known("web1"), None);
    source.describe(task, None, source.now);
    assert!(source.known("web1").is_some());
}

#[test]
fn a_task_that_is_listed_stays_if_it_is_called_missing() {
    let (mut source, _) = source([web(1)]);
    let (arn, now) = (source.known("web1").unwrap().arn, source.now);
    assert!(!source.inventory.forget(&prod(), &arn, Gone::Missing, now));
    assert!(source.known("web1").is_some());
    let unknown = TaskArn::parse(&arn.as_str().replace("web1", "web2")).unwrap();
    assert!(
        source.inventory.forget(&prod(), &unknown, Gone::Missing, now),
        "the answers contradict each other"
    );
}

#[test]
fn a_listing_does_not_doubt_a_task_that_was_described_after_it_began() {
    let (mut source, _) = source([web(1)]);
    let begun = source.now;
    // Ends the listing that had the task, and begins another.
    source.begin();
    let unlisted = |source: &Source| source.inventory.reset(&prod(), begun).len();
    assert_eq!(unlisted(&source), 1);
    let task = source.known("web1").unwrap();
    source.describe(task, None, begun + Duration::from_secs(1));
    assert_eq!(unlisted(&source), 0);
}

#[test]
fn a_fact_touches_the_tasks_that_use_it_and_no_others() {
    let other = fargate().id("api").of("api:1").interface("10.0.0.9").with(app());
    let hosts = [on_host("n1", "i-1", "10.1.0.1"), on_host("n2", "i-2", "10.1.0.2")];
    let (mut source, world) = source([web(1), web(2), other].into_iter().chain(hosts));
    let now = source.now;
    assert_eq!(source.touched(), Vec::<String>::new());

    let definition = source.known("web1").unwrap().definition;
    let tagged = tags(&[("team", "shop")]);
    source.inventory.apply(Fact::DefinitionTags(definition, tagged.clone()), now);
    assert_eq!(source.touched(), ["web1", "web2"]);
    let before = source.derived();
    assert_eq!(source.touched(), Vec::<String>::new());

    let host = Host { tags: tagged, ..world.hosts[&InstanceId::new("i-2")].clone() };
    source.inventory.apply(Fact::Host(host.clone()), now);
    assert_eq!(source.touched(), ["n2"]);
    let after = source.derived();
    let is_same = |target: &&Arc<Target>| before.iter().any(|other| Arc::ptr_eq(other, target));
    let new: Vec<_> = after.iter().filter(|target| !is_same(target)).map(|target| target.task()).collect();
    assert_eq!(new.iter().map(|task| task.last_part()).collect::<Vec<_>>(), ["n2"]);
    // Nothing new was said.
    source.inventory.apply(Fact::Host(host), now);
    assert_eq!(source.touched(), Vec::<String>::new());

    source.inventory.apply(Fact::Cluster(Cluster { arn: prod(), tags: tags(&[("stage", "prod")]) }), now);
    let all: BTreeSet<_> = ["api", "n1", "n2", "web1", "web2"].map(str::to_owned).into();
    assert_eq!(source.touched().into_iter().collect::<BTreeSet<_>>(), all);
}

#[test]
fn a_task_that_ended_leaves_though_its_cluster_changes_too() {
    let (mut source, _) = source([web(1), web(2)]);
    let (task, now) = (source.known("web1").unwrap(), source.now);
    source.describe(Task { desired_status: Status::Stopped, ..task }, None, now);
    source.inventory.apply(Fact::Cluster(Cluster { arn: prod(), tags: tags(&[("stage", "prod")]) }), now);
    assert_eq!(source.derived().iter().map(|target| target.task().last_part()).collect::<Vec<_>>(), ["web2"]);
}

#[test]
fn a_door_returns_the_missing_facts() {
    let (mut source, _) = source([on_host("n1", "i-1", "10.1.0.1")]);
    let task = source.known("n1").unwrap();
    let arn = |arn: &str| TaskArn::parse(&task.arn.as_str().replace("n1", arn)).unwrap();
    let definition =
        |name: &str| TaskDefinitionArn::parse(&task.definition.as_str().replace("node", name)).unwrap();
    let now = source.now;
    assert_eq!(source.describe(Task { arn: arn("n2"), ..task.clone() }, None, now), []);
    let other = Task { arn: arn("n3"), definition: definition("other"), ..task.clone() };
    assert_eq!(source.describe(other, None, now), [Missing::Definition(definition("other"))]);
    let instance = task.container_instance.clone().unwrap();
    let instance = ContainerInstanceArn::parse(&format!("{}0", instance.as_str())).unwrap();
    let other = Task { arn: arn("n4"), container_instance: Some(instance.clone()), ..task.clone() };
    assert_eq!(source.describe(other, None, now), [Missing::ContainerInstance(instance.clone())]);
    let id = InstanceId::new("i-9");
    let fact = ContainerInstance { arn: instance, instance: Some(id.clone()) };
    assert_eq!(source.inventory.apply(Fact::ContainerInstance(fact), now), [Missing::Host(id)]);
}
