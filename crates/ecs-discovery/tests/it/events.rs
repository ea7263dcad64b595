//! Task events: which are believed, what they change, and what they lead to.

mod errands;
mod merging;
mod missed;
mod versions;
mod waiting;

use std::time::Duration;

use ecs_discovery::event::TaskEvent;
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Status, Task};

use crate::fixture::{TaskFixture, World, app, fargate, tags};
use crate::source::Source;

/// An event about a task: as ECS sends it, without what events never tell.
pub(crate) fn event(fixture: &TaskFixture, version: u64, updated: Duration) -> TaskEvent {
    event_of(&fixture.task, fixture, version, updated)
}

fn event_of(task: &Task, fixture: &TaskFixture, version: u64, updated: Duration) -> TaskEvent {
    TaskEvent { cluster: fixture.cluster.arn.clone(), task: as_told(task), version, updated }
}

/// A task without what events never tell.
pub(crate) fn as_told(task: &Task) -> Task {
    let mut task = Task {
        tags: Vec::new(),
        health_status: None,
        capacity_provider: None,
        platform_family: None,
        ..task.clone()
    };
    task.containers.iter_mut().for_each(|container| container.health_status = None);
    task
}

/// The answers of a world that says this version of every task.
fn at_version(world: &World, version: u64) -> impl Fn(&Question) -> Result<Answer, Failure> {
    move |question| {
        let mut answer = world.answer(question)?;
        if let Answer::TaskDetails { tasks, .. } = &mut answer {
            tasks.iter_mut().for_each(|one| one.version = Some(version));
        }
        Ok(answer)
    }
}

/// A running task with all that events do not tell.
fn web(id: &str) -> TaskFixture {
    let ip = format!("10.0.0.{}", id.len());
    fargate()
        .id(id)
        .interface(&ip)
        .with(app().running(|app| app.health_status = Some("HEALTHY".into())))
        .task(|task| {
            task.tags = tags(&[("team", "shop")]);
            task.health_status = Some("HEALTHY".into());
            task.capacity_provider = Some("FARGATE_SPOT".into());
            task.platform_family = Some("Linux".into());
        })
}

fn with_status(fixture: &TaskFixture, status: &str) -> TaskFixture {
    fixture.clone().task(|task| {
        task.last_status = status.into();
        task.containers.iter_mut().for_each(|container| container.last_status = status.into());
    })
}

fn stopped(fixture: &TaskFixture) -> TaskFixture {
    fixture.clone().task(|task| task.desired_status = Status::Stopped)
}

/// A source that has read these tasks, in version 5.
fn read(world: &World) -> Source {
    let mut source = Source::default();
    source.refresh_with(at_version(world, 5));
    source
}

/// A task as it is known.
fn known(source: &Source, fixture: &TaskFixture) -> Option<Task> {
    let mut tasks = source.inventory.tasks(&fixture.cluster.arn);
    tasks.find(|view| view.task.arn == fixture.task.arn).map(|view| Task::clone(view.task))
}
