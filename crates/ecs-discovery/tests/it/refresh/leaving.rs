//! When a target leaves: only when AWS says so.

use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::Status;
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, cluster_arn, fargate};
use crate::show::{calls, scope};
use crate::source::Source;

fn two_tasks() -> World {
    World::of(["a", "b"].map(task))
}

fn task(id: &str) -> TaskFixture {
    let ip = if id == "a" { "10.0.0.1" } else { "10.0.0.2" };
    fargate().id(id).interface(ip).with(app())
}

fn heard_once(world: &World) -> Source {
    let mut source = Source::default();
    source.refresh(world);
    assert_eq!(source.snapshot.targets().len(), 2);
    source
}

#[test]
fn a_task_that_the_listing_lacks_is_described_before_it_goes() {
    let mut world = two_tasks();
    let mut source = heard_once(&world);
    world.remove("prod", "b");
    let asked = source.refresh(&world);
    assert_snapshot!(calls(&asked), @"
    1 DescribeTasks
    1 ListClusters
    1 ListTasks
    ");
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn a_task_that_stopped_leaves_the_snapshot() {
    let mut world = two_tasks();
    let mut source = heard_once(&world);
    let stopped = world.tasks_of("prod").values_mut().last().unwrap();
    stopped.desired_status = Status::Stopped;
    stopped.last_status = Status::Stopped;
    source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn a_task_that_aws_still_wants_running_stays() {
    let mut world = two_tasks();
    let mut source = heard_once(&world);
    world.unlisted = world.tasks_of("prod").keys().cloned().collect();
    for _ in 0..5 {
        source.refresh(&world);
        assert_eq!(source.snapshot.targets().len(), 2);
        assert!(source.complete);
    }
}

#[test]
fn an_unlisted_task_that_the_answer_does_not_speak_of_stays() {
    let world = two_tasks();
    let mut source = heard_once(&world);
    source.refresh_with(|question| match question {
        Question::Tasks { .. } => Ok(Answer::Tasks { tasks: Vec::new(), next: None }),
        Question::TaskDetails { .. } => Ok(Answer::TaskDetails { tasks: Vec::new(), missing: Vec::new() }),
        other => world.answer(other),
    });
    assert_eq!(source.snapshot.targets().len(), 2);
}

#[test]
fn a_task_that_is_listed_does_not_go_because_one_answer_calls_it_missing() {
    let world = two_tasks();
    let mut source = heard_once(&world);
    for _ in 0..12 {
        source.refresh_with(|question| match question {
            Question::TaskDetails { tasks, .. } => {
                Ok(Answer::TaskDetails { tasks: Vec::new(), missing: tasks.clone() })
            }
            other => world.answer(other),
        });
        assert_eq!(source.snapshot.targets().len(), 2);
    }
}

#[test]
fn a_cluster_goes_when_it_is_neither_listed_nor_described() {
    let mut world = two_tasks();
    world.add(fargate().in_cluster("old").with(app()));
    let mut source = Source::default();
    source.refresh(&world);
    world.clusters.remove(&cluster_arn("old"));
    let asked = source.refresh(&world);
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    1 ListClusters
    1 ListTasks
    ");
    assert_eq!(source.scopes().keys().collect::<Vec<_>>(), [&cluster_arn("prod")]);
}

#[test]
fn a_cluster_that_is_listed_does_not_go_because_one_answer_calls_it_missing() {
    let world = two_tasks();
    let mut source = Source::default();
    // Its tags could not be read at first, so that it is described again.
    source.refresh_failing(&world, FailureKind::Throttled, |question| {
        question.operation() == "DescribeClusters"
    });
    let mut lies = 0;
    source.refresh_with(|question| match question {
        Question::ClusterDetails { clusters } => {
            lies += 1;
            Ok(Answer::ClusterDetails { active: Vec::new(), gone: clusters.clone() })
        }
        other => world.answer(other),
    });
    assert_eq!((lies, source.snapshot.targets().len()), (1, 2));
}

#[test]
fn a_cluster_that_the_listing_lacks_stays_while_it_is_active() {
    let world = two_tasks();
    let mut source = heard_once(&world);
    for _ in 0..3 {
        source.refresh_with(|question| match question {
            Question::Clusters { .. } => Ok(Answer::Clusters { clusters: Vec::new(), next: None }),
            other => world.answer(other),
        });
        assert_eq!(source.snapshot.targets().len(), 2);
        assert!(source.complete);
    }
}

#[test]
fn a_cluster_that_the_listing_lacks_and_nobody_speaks_of_is_held() {
    let world = two_tasks();
    let mut source = heard_once(&world);
    source.refresh_with(|question| match question {
        Question::Clusters { .. } => Ok(Answer::Clusters { clusters: Vec::new(), next: None }),
        Question::ClusterDetails { .. } => {
            Ok(Answer::ClusterDetails { active: Vec::new(), gone: Vec::new() })
        }
        other => world.answer(other),
    });
    assert_eq!(source.snapshot.targets().len(), 2);
    assert!(!source.complete);
}

#[test]
fn a_named_cluster_that_was_deleted_goes_once_aws_says_so() {
    let mut world = two_tasks();
    let mut source = Source::of_clusters(&["prod"]);
    source.refresh(&world);
    world.clusters.clear();
    let asked = source.refresh(&world);
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    1 ListTasks
    ");
    assert!(source.scopes().is_empty());
}

#[test]
fn a_cluster_deleted_between_listing_and_describing_harms_no_other() {
    let world = two_tasks();
    let mut both = world.clone();
    both.add(fargate().in_cluster("doomed").with(app()));
    let mut source = Source::default();
    source.refresh(&both);
    let listed: Vec<_> = both.clusters.keys().cloned().collect();
    source.refresh_with(|question| match question {
        Question::Clusters { .. } => Ok(Answer::Clusters { clusters: listed.clone(), next: None }),
        other => world.answer(other),
    });
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.0.1:80/metrics 1m
    app 10.0.0.2:80/metrics 1m
    ");
    source.refresh(&world);
    assert_eq!(source.scopes().keys().collect::<Vec<_>>(), [&cluster_arn("prod")]);
}

#[test]
fn a_task_that_moved_to_stopping_goes_although_its_containers_run() {
    let mut world = two_tasks();
    let mut source = heard_once(&world);
    world.tasks_of("prod").values_mut().last().unwrap().desired_status = Status::Stopped;
    source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.1:80/metrics 1m");
}
