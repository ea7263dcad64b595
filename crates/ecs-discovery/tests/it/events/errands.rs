//! What an errand asks, and what a failed one leaves.

use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::events::{EventResult, Wish};
use ecs_discovery::inventory::plan::Errand;
use ecs_discovery::inventory::question::Question;
use insta::assert_snapshot;

use super::{at_version, event, known, read, stopped, web, with_status};
use crate::fixture::{TaskFixture, World, app, ec2, failure};
use crate::show::{calls, file};
use crate::source::{Source, wishes};

/// The calls for one event in a source that knows the tasks of `before`, where AWS has those of `after`.
fn asked(before: impl IntoIterator<Item = TaskFixture>, after: &TaskFixture) -> String {
    let mut source = read(&World::of(before));
    let world = World::of([after.clone()]);
    let (_, wish) = source.event(event(after, 9, source.now));
    let asked = source.errand_with(wishes(wish), at_version(&world, 9));
    let of_others = |question: &&Question| match question {
        Question::TaskDetails { tasks, .. } => *tasks != [after.task.arn.clone()],
        _ => false,
    };
    assert_eq!(asked.iter().find(of_others), None);
    calls(&asked)
}

fn node(id: &str) -> TaskFixture {
    ec2("host").id(id).of("node:1").with(app().maps("9100"))
}

#[test]
fn a_starting_fargate_task_is_described_with_its_definition() {
    assert_snapshot!(asked([node("n")], &with_status(&web("a"), "PROVISIONING")), @"
    1 DescribeTaskDefinition
    1 DescribeTasks
    ");
}

#[test]
fn a_task_of_a_known_definition_is_only_described() {
    assert_snapshot!(asked([web("other")], &with_status(&web("a"), "PENDING")), @"1 DescribeTasks");
}

#[test]
fn a_task_on_a_known_host_is_only_described() {
    assert_snapshot!(asked([node("n")], &with_status(&node("a"), "PENDING")), @"1 DescribeTasks");
}

#[test]
fn a_task_on_an_unknown_host_leads_to_its_container_instance_and_host() {
    assert_snapshot!(asked([node("n")], &with_status(&node("a").on("i-2", "10.0.9.8"), "PENDING")), @"
    1 DescribeContainerInstances
    1 DescribeInstances
    1 DescribeTasks
    ");
}

#[test]
fn a_known_task_whose_event_tells_nothing_new_leads_to_no_call() {
    assert_eq!(asked([web("a")], &web("a")), "");
}

#[test]
fn a_known_task_with_another_definition_is_described_with_it() {
    assert_snapshot!(asked([web("a")], &web("a").of("web:8")), @"
    1 DescribeTaskDefinition
    1 DescribeTasks
    ");
}

#[test]
fn a_cluster_that_is_not_known_is_read_alone() {
    let mut source = read(&World::of([web("a")]));
    let new = web("bb").in_cluster("new");
    let world = World::of([web("a"), new.clone()]);
    let (result, wish) = source.event(event(&new, 3, source.now));
    let expected = Wish::Cluster(new.cluster.arn.clone(), new.task.arn.clone());
    assert_eq!((result, &wish), (EventResult::Stale, &Some(expected)));
    let asked = source.errand_with(wishes(wish), at_version(&world, 3));
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    1 DescribeTasks
    1 ListTasks
    ");
    let named = |question: &Question| match question {
        Question::Tasks { cluster, .. } | Question::TaskDetails { cluster, .. } => {
            *cluster == new.cluster.arn
        }
        Question::ClusterDetails { clusters } => **clusters == [new.cluster.arn.as_str().into()],
        _ => false,
    };
    assert!(asked.iter().all(named), "{asked:?}");
    assert_eq!(source.scope("new").derived.targets.len(), 1);
    assert_eq!(source.snapshot.targets().len(), 2);
}

#[test]
fn a_new_cluster_is_whole_if_everything_of_it_was_read() {
    let new = node("a").in_cluster("new");
    for failing in [None, Some("DescribeContainerInstances"), Some("DescribeInstances")] {
        let mut source = read(&World::of([web("a")]));
        let world = World::of([web("a"), web("bb").in_cluster("new"), new.clone()]);
        let (_, wish) = source.event(event(&new, 3, source.now));
        let mut errand =
            Errand::begin(&mut source.inventory, source.selection.clone(), wishes(wish), source.now);
        loop {
            let questions = errand.questions(&mut source.inventory);
            if questions.is_empty() {
                break;
            }
            for question in questions {
                match world.answer(&question) {
                    Ok(answer) if failing != Some(question.operation()) => {
                        errand.answered(&mut source.inventory, question, answer);
                    }
                    _ => errand.failed(&mut source.inventory, question, failure(FailureKind::Throttled)),
                }
            }
        }
        let found = errand.finish(&mut source.inventory, &source.rules);
        assert_eq!(found[&new.cluster.arn].is_whole, failing.is_none(), "{failing:?}");
    }
}

/// Its listing may lack the task, whose event may have been faster.
#[test]
fn of_a_cluster_that_a_refresh_read_before_the_errand_only_an_unknown_task_is_described() {
    let mut source = read(&World::of([web("a")]));
    let new = [web("bb"), web("ccc")].map(|task| task.in_cluster("new"));
    let wished: Vec<_> = new.iter().filter_map(|task| source.event(event(task, 3, source.now)).1).collect();
    source.refresh_with(at_version(&World::of([web("a"), new[0].clone()]), 3));
    let world = World::of([web("a"), new[0].clone(), new[1].clone()]);
    let asked = source.errand_with(wishes(wished), at_version(&world, 3));
    let (cluster, tasks) = (new[1].cluster.arn.clone(), vec![new[1].task.arn.clone()]);
    assert_eq!(asked, [Question::TaskDetails { cluster, tasks }]);
    assert_eq!(source.snapshot.targets().len(), 3);
}

#[test]
fn a_failed_errand_does_not_make_a_cluster_unread_that_a_refresh_read_meanwhile() {
    let mut source = read(&World::of([web("a")]));
    let new = [web("bb"), web("ccc")].map(|task| task.in_cluster("new"));
    let world = World::of([web("a"), new[0].clone()]);
    let (_, wish) = source.event(event(&new[0], 3, source.now));
    let mut errand = Errand::begin(&mut source.inventory, source.selection.clone(), wishes(wish), source.now);
    source.refresh_with(at_version(&world, 3));
    for question in errand.questions(&mut source.inventory) {
        errand.failed(&mut source.inventory, question, failure(FailureKind::Throttled));
    }
    assert_eq!(errand.finish(&mut source.inventory, &source.rules).len(), 0);
    assert_eq!(source.event(event(&new[1], 2, source.now)).0, EventResult::Applied);
}

/// The same after the errand has listed the cluster, too.
#[test]
fn an_errand_that_fails_half_way_does_not_make_a_cluster_unread_that_a_refresh_read_meanwhile() {
    let mut source = read(&World::of([web("a")]));
    let new = [web("bb"), web("ccc")].map(|task| task.in_cluster("new"));
    let world = World::of([web("a"), new[0].clone()]);
    let (_, wish) = source.event(event(&new[0], 3, source.now));
    let mut errand = Errand::begin(&mut source.inventory, source.selection.clone(), wishes(wish), source.now);
    for question in errand.questions(&mut source.inventory) {
        let answer = world.answer(&question).unwrap();
        errand.answered(&mut source.inventory, question, answer);
    }
    source.refresh_with(at_version(&world, 3));
    for question in errand.questions(&mut source.inventory) {
        errand.failed(&mut source.inventory, question, failure(FailureKind::Throttled));
    }
    errand.finish(&mut source.inventory, &source.rules);
    assert_eq!(source.event(event(&new[1], 2, source.now)).0, EventResult::Applied);
}

#[test]
fn the_end_of_a_task_in_a_cluster_that_is_not_known_leads_to_nothing() {
    let mut source = read(&World::of([web("a")]));
    let over = stopped(&web("bb").in_cluster("new"));
    assert_eq!(source.event(event(&over, 3, source.now)), (EventResult::Stale, None));
}

#[test]
fn a_task_that_ended_before_its_errand_is_not_described() {
    let mut source = read(&World::of([web("a")]));
    let (_, wish) = source.event(event(&with_status(&web("bb"), "PENDING"), 2, source.now));
    source.event(event(&stopped(&web("bb")), 3, source.now));
    assert_eq!(source.errand_with(wishes(wish), |_| unreachable!()), []);
}

#[test]
fn a_storm_of_new_tasks_costs_a_call_for_each_hundred() {
    let mut source = read(&World::of([web("a")]));
    let tasks: Vec<_> = (0..1000).map(|number| web("x").id(&format!("new{number}")).of("new:1")).collect();
    let world = World::of(tasks.clone());
    let wished: Vec<_> = tasks
        .iter()
        .filter_map(|task| source.inventory.apply_event(event(task, 3, source.now), source.now).1)
        .collect();
    let asked = source.errand_with(wishes(wished), at_version(&world, 3));
    assert_snapshot!(calls(&asked), @"
    1 DescribeTaskDefinition
    10 DescribeTasks
    ");
    assert_eq!(source.snapshot.targets().len(), 1001);
}

#[test]
fn a_failed_errand_leaves_everything_as_it_was() {
    for kind in
        [FailureKind::Denied, FailureKind::Throttled, FailureKind::Unavailable, FailureKind::NoCredentials]
    {
        let mut source = read(&World::of([web("a"), node("n")]));
        let before = (file(&source), source.scope("prod").clone());
        let new = web("bb").in_cluster("new");
        let told = [
            event(&web("a").task(|task| task.network_interface = None), 6, source.now),
            event(&with_status(&node("new").on("i-2", "10.0.9.8"), "PENDING"), 2, source.now),
            event(&new, 3, source.now),
        ];
        let wished: Vec<_> = told.into_iter().filter_map(|event| source.event(event).1).collect();
        assert_eq!(wished.len(), 3);
        source.errand_with(wishes(wished), |_| Err(failure(kind)));
        assert_eq!((file(&source), source.scope("prod").clone()), before);
        assert_eq!(source.scopes().len(), 1);
    }
}

#[test]
fn a_cluster_whose_errand_failed_half_way_is_read_after_its_next_event() {
    let mut source = read(&World::of([web("a")]));
    let new = web("bb").in_cluster("new");
    let world = World::of([web("a"), new.clone()]);
    for failing in ["DescribeClusters", "ListTasks", "DescribeTasks"] {
        let (_, wish) = source.event(event(&new, 3, source.now));
        assert!(matches!(wish, Some(Wish::Cluster(..))), "{failing}");
        source.errand_with(wishes(wish), |question| match question.operation() == failing {
            true => Err(failure(FailureKind::Throttled)),
            false => at_version(&world, 3)(question),
        });
        assert_eq!(source.scopes().len(), 1, "{failing}");
    }
    let (_, wish) = source.event(event(&new, 3, source.now));
    source.errand_with(wishes(wish), at_version(&world, 3));
    assert_eq!(source.snapshot.targets().len(), 2);
    assert_eq!(source.event(event(&new, 3, source.now)).0, EventResult::Duplicate);
}

#[test]
fn events_of_a_task_whose_host_cannot_be_read_do_not_each_lead_to_calls() {
    let task = |status: &str| {
        node("a").on("i-2", "10.0.9.8").task(|task| task.availability_zone = Some(status.into()))
    };
    let mut source = read(&World::of([node("n")]));
    let (_, wish) = source.event(event(&task("a"), 2, source.now));
    source.errand_with(wishes(wish), |question| match question {
        Question::Ec2Instances { .. } => Err(failure(FailureKind::Denied)),
        other => at_version(&World::of([task("a")]), 2)(other),
    });
    assert_eq!(source.event(event(&task("b"), 3, source.now)), (EventResult::Applied, None));
    source.now += Source::INTERVAL;
    assert!(source.event(event(&task("c"), 4, source.now)).1.is_some());
    assert!(known(&source, &node("a")).is_some());
}
