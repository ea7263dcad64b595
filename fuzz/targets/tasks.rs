//! DescribeTasks' answers.
//!
//! An input that begins like JSON is an answer, and an item of an answer between two good ones, which it must not cost;
//! of any other, tasks are made, which must be read as they were written.

#![cfg_attr(feature = "libfuzzer", no_main)]

use std::sync::{Arc, LazyLock};

use ecs_discovery::arn::{ClusterArn, TaskArn};
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Container, NetworkBinding, PortRange, Protocol, Settings, Tags, Task};
use fuzz::facts::Facts;
use fuzz::wire;
use prometheus_ecs_sd::aws::fuzzing;

fuzz::target!(tasks);

fn tasks(input: &[u8]) {
    if matches!(input.first(), Some(b'{' | b'[' | b'"')) {
        return answer(input);
    }
    let mut facts = Facts::new(input);
    let mut tasks = facts.list(2, |facts| facts.task(0, &wire::names()));
    let answered: Vec<_> = tasks.iter().map(|task| with_useless(task.clone(), &mut facts)).collect();
    for (task, answered) in tasks.iter_mut().zip(&answered) {
        task.names = wire::named(answered.clone()).names;
    }
    assert_eq!(read(wire::tasks(&answered).as_bytes()), Some((tasks, Vec::new())));
}

/// The task, and what of an answer is skipped.
fn with_useless(mut task: Task, facts: &mut Facts<'_>) -> Task {
    if let Some(container) = task.containers.first_mut().filter(|_| facts.below(2) == 1) {
        let ports = PortRange { first: 80, last: 80 + facts.below(4) };
        container.network_bindings.push(NetworkBinding {
            bind_ip: None,
            protocol: Protocol::Tcp,
            container_ports: ports,
            host_ports: PortRange { first: 90, last: 90 + facts.below(4) + ports.last - 79 },
        });
        let nameless = Container { name: "".into(), ..container.clone() };
        task.containers.push(nameless);
    }
    task.overrides.extend(facts.maybe(|_| ("app".into(), Settings::default())));
    task.tags.extend(facts.maybe(|_| ("".into(), "keyless".into())));
    task
}

static ASKED: LazyLock<Vec<TaskArn>> = LazyLock::new(|| {
    let arn = |id: &str| TaskArn::parse(&format!("arn:aws:ecs:eu-west-1:123456789012:task/0/{id}"));
    ["0", "1", "f"].map(|id| arn(id).expect("an ARN")).into()
});

/// The tasks that are there, and those that are missing; `None` where the answer says nothing or cannot be read.
fn read(body: &[u8]) -> Option<(Vec<Task>, Vec<TaskArn>)> {
    let cluster = ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/0").expect("an ARN");
    let question = Question::TaskDetails { cluster, tasks: ASKED.clone() };
    let (answer, unreadable) = match fuzzing::ecs(&question, body, &wire::names()) {
        Ok(answer) => answer.readable(),
        Err(failure) => {
            check(&failure);
            return None;
        }
    };
    unreadable.iter().for_each(|unreadable| check(&unreadable.failure));
    let Answer::TaskDetails { tasks, missing } = answer else { panic!("{answer:?}") };
    Some((tasks.into_iter().map(|described| described.task).collect(), missing))
}

/// It quotes nothing: there may be secrets in the answer.
fn check(failure: &Failure) {
    let why = failure.message.strip_prefix("DescribeTasks: the answer cannot be used: ");
    let known = [
        "it ends too early",
        "it is not JSON",
        "it lacks the requested content",
        "a value is of another type than AWS documents",
    ];
    assert!(failure.kind == FailureKind::Unavailable && why.is_some_and(|why| known.contains(&why)));
}

/// Whatever is between two tasks, these are read.
fn between_others(item: &[u8]) {
    let Ok(item) = std::str::from_utf8(item) else { return };
    if serde_json::from_str::<serde_json::Value>(item).is_err() {
        return;
    }
    let task = |input: &[u8]| wire::named(Facts::new(input).task(0, &wire::names()));
    let (first, last) = (task(&[]), task(&[1; 64]));
    let body = wire::tasks_around(&first, item, &last);
    let (tasks, _) = read(body.as_bytes()).expect("an answer");
    assert_eq!((tasks.first(), tasks.last()), (Some(&first), Some(&last)));
}

fn answer(body: &[u8]) {
    between_others(body);
    let Some((tasks, missing)) = read(body) else { return };
    assert!(missing.iter().all(|arn| ASKED.contains(arn)));
    tasks.iter().for_each(sound);
    // What was understood is understood again.
    let again = read(wire::tasks(&tasks).as_bytes());
    assert_eq!(again, Some((tasks.into_iter().map(wire::named).collect(), Vec::new())));
}

fn sound(task: &Task) {
    assert!(says_something(&[
        &task.capacity_provider,
        &task.group,
        &task.started_by,
        &task.availability_zone,
        &task.health_status,
        &task.platform_family,
        &task.platform_version,
    ]));
    assert!(are_sorted(&task.tags));
    assert!(task.overrides.iter().all(|(name, settings)| !name.is_empty() && !settings.is_empty()));
    for container in &task.containers {
        assert!(!container.name.is_empty() && says_something(&[&container.image, &container.health_status]));
        assert!(container.network_bindings.iter().all(leads_somewhere));
    }
}

fn says_something(texts: &[&Option<Arc<str>>]) -> bool {
    texts.iter().all(|text| text.as_deref() != Some(""))
}

fn are_sorted(tags: &Tags) -> bool {
    tags.is_sorted() && tags.iter().all(|(key, _)| !key.is_empty())
}

/// From each port of the container to one of the host.
fn leads_somewhere(binding: &NetworkBinding) -> bool {
    let (from, to) = (binding.container_ports, binding.host_ports);
    let (from, to) = ((from.first..=from.last), (to.first..=to.last));
    from.len() == to.len() && !from.is_empty() && !from.contains(&0) && !to.contains(&0)
}
