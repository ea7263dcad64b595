//! What a failed, missing or false answer changes: nothing but what it was about.

use std::sync::Arc;

use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::snapshot::ScopeStatus;
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, cluster_arn, ec2, failure, fargate};
use crate::show::{file, scope};
use crate::source::Source;

const KINDS: [FailureKind; 5] = [
    FailureKind::NotFound,
    FailureKind::Denied,
    FailureKind::NoCredentials,
    FailureKind::Throttled,
    FailureKind::Unavailable,
];

fn task(cluster: &str, id: &str) -> TaskFixture {
    let host = format!("i-{cluster}-{id}");
    let ip = format!("10.0.{}.{id}", cluster.len());
    ec2("host").in_cluster(cluster).on(&host, &ip).id(id).of(&format!("web-{cluster}-{id}:1")).with(app())
}

fn world() -> World {
    World::of([task("a", "1"), task("a", "2"), task("bb", "1")])
}

/// Another task on another host in each cluster, and a third cluster.
fn grown() -> World {
    let mut world = world();
    [task("a", "3"), task("bb", "3"), task("ccc", "3")].into_iter().for_each(|task| world.add(task));
    world
}

#[test]
fn a_failure_of_any_question_takes_no_target_away() {
    let operations = [
        "ListClusters",
        "DescribeClusters",
        "ListTasks",
        "DescribeTasks",
        "DescribeTaskDefinition",
        "DescribeContainerInstances",
        "DescribeInstances",
    ];
    for operation in operations {
        for kind in KINDS {
            let mut source = Source::default();
            source.refresh(&world());
            let before: Vec<_> = source.snapshot.targets().into_iter().cloned().collect();
            let grown = grown();
            for _ in 0..12 {
                source.refresh_failing(&grown, kind, |question| question.operation() == operation);
                let after = source.snapshot.targets();
                assert!(
                    before.iter().all(|target| after.contains(&target)),
                    "{operation} {kind:?} loses a target: {after:?}"
                );
            }
            // What was missed meanwhile is there as soon as AWS answers again.
            source.now += Source::RECHECK;
            source.refresh(&grown);
            let mut fresh = Source::default();
            fresh.refresh(&grown);
            assert_eq!(file(&source), file(&fresh), "{operation} {kind:?}");
            assert!(source.complete);
        }
    }
}

#[test]
fn nothing_answering_holds_everything() {
    let mut source = Source::default();
    source.refresh(&world());
    let (before, scopes) = (file(&source), source.scopes().clone());
    for kind in KINDS {
        source.refresh_failing(&grown(), kind, |_| true);
        assert_eq!(file(&source), before);
        for (cluster, scope) in source.scopes() {
            assert!(matches!(scope.status, ScopeStatus::Stale(_)), "{kind:?} {cluster} {:?}", scope.status);
            assert!(Arc::ptr_eq(&scope.derived, &scopes[cluster].derived));
        }
        assert!(!source.complete);
    }
}

#[test]
fn a_cluster_whose_listing_fails_is_held_and_no_other() {
    let mut source = Source::default();
    source.refresh(&world());
    let before = source.scope("a").derived.clone();
    source.refresh_failing(
        &grown(),
        FailureKind::Throttled,
        |question| matches!(question, Question::Tasks { cluster, .. } if *cluster == cluster_arn("a")),
    );
    assert_eq!(source.scope("a").status, ScopeStatus::Stale("Throttled".to_owned()));
    assert!(Arc::ptr_eq(&source.scope("a").derived, &before));
    assert_snapshot!(scope(source.scope("bb")), @"
    app 10.0.2.1:80/metrics 1m
    app 10.0.2.3:80/metrics 1m
    ");
    assert_eq!(source.scope("ccc").status, ScopeStatus::Fresh);
}

#[test]
fn a_failed_batch_of_tasks_holds_its_cluster_alone() {
    let mut source = Source::default();
    source.refresh(&world());
    source.refresh_failing(
        &grown(),
        FailureKind::Unavailable,
        |question| matches!(question, Question::TaskDetails { cluster, .. } if *cluster == cluster_arn("a")),
    );
    assert_eq!(source.scope("a").status, ScopeStatus::Stale("Unavailable".to_owned()));
    assert_eq!(source.scope("a").derived.targets.len(), 2);
    assert_eq!(source.scope("bb").derived.targets.len(), 2);
}

#[test]
fn a_cluster_that_was_never_heard_says_so_and_has_no_targets() {
    let mut source = Source::default();
    source.refresh_failing(
        &world(),
        FailureKind::Throttled,
        |question| matches!(question, Question::Tasks { cluster, .. } if *cluster == cluster_arn("a")),
    );
    assert_eq!(source.scope("a").status, ScopeStatus::NeverRead("Throttled".to_owned()));
    assert!(source.scope("a").derived.targets.is_empty());
    assert_eq!(source.scope("bb").status, ScopeStatus::Fresh);
    assert!(!source.complete);
    source.refresh(&world());
    assert_eq!(source.scope("a").derived.targets.len(), 2);
    assert!(source.complete);
}

#[test]
fn a_failed_listing_of_clusters_does_not_stop_the_known_ones_from_being_followed() {
    let mut source = Source::default();
    source.refresh(&world());
    source.refresh_failing(&grown(), FailureKind::Denied, |question| question.operation() == "ListClusters");
    assert_eq!(source.failure, Some(failure(FailureKind::Denied)));
    assert_eq!(source.scope("a").derived.targets.len(), 3);
    assert_eq!(source.scopes().len(), 2);
    assert!(!source.complete);
}

#[test]
fn without_a_first_listing_of_clusters_there_is_a_failure_and_no_scope() {
    let mut source = Source::default();
    source.refresh_failing(&world(), FailureKind::Throttled, |_| true);
    assert!(source.scopes().is_empty());
    assert_eq!(source.failure, Some(failure(FailureKind::Throttled)));
    assert!(!source.complete);
}

#[test]
fn a_cluster_that_was_to_be_confirmed_and_could_not_be_is_held() {
    let mut source = Source::default();
    source.refresh(&world());
    let mut shrunk = world();
    shrunk.clusters.remove(&cluster_arn("bb"));
    source.refresh_failing(&shrunk, FailureKind::Throttled, |question| {
        question.operation() == "DescribeClusters"
    });
    assert_eq!(source.scope("bb").status, ScopeStatus::Stale("Throttled".to_owned()));
    assert_eq!(source.scope("bb").derived.targets.len(), 1);
    assert_eq!(source.scope("a").status, ScopeStatus::Fresh);
}

#[test]
fn a_task_that_the_listing_lacks_stays_when_it_could_not_be_described() {
    let mut source = Source::default();
    source.refresh(&world());
    let mut shrunk = world();
    shrunk.remove("a", "2");
    source
        .refresh_failing(&shrunk, FailureKind::Throttled, |question| question.operation() == "DescribeTasks");
    assert_eq!(source.scope("a").derived.targets.len(), 2);
    source.refresh(&shrunk);
    assert_eq!(source.scope("a").derived.targets.len(), 1);
}

#[test]
fn page_two_failing_after_page_one_changes_nothing_until_both_are_heard() {
    let fleet = |size: u8| {
        let fixtures = (0..size).map(|number| {
            let ip = format!("10.0.0.{}", number + 1);
            fargate().id(&format!("{number:03}")).interface(&ip).with(app())
        });
        World { page: 120, ..World::of(fixtures) }
    };
    let mut source = Source::default();
    source.refresh(&fleet(30));
    let before = source.scope("prod").derived.clone();
    // The first page alone fills a batch of new tasks, which is described.
    for _ in 0..3 {
        let asked = source.refresh_failing(&fleet(200), FailureKind::Unavailable, |question| {
            matches!(question, Question::Tasks { page: Some(_), .. })
        });
        assert!(asked.iter().any(|question| matches!(question, Question::Tasks { page: Some(_), .. })));
        assert_eq!(source.scope("prod").status, ScopeStatus::Stale("Unavailable".to_owned()));
        assert!(Arc::ptr_eq(&source.scope("prod").derived, &before));
    }
    source.refresh(&fleet(200));
    assert_eq!(source.scope("prod").derived.targets.len(), 200);
}

fn fargate_tasks(ids: impl IntoIterator<Item = String>) -> World {
    let at = |number: usize| format!("10.0.0.{}", number + 1);
    let ids = ids.into_iter().enumerate();
    World::of(ids.map(|(number, id)| fargate().id(&id).interface(&at(number)).with(app())))
}

fn ids(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{prefix}{number:03}"))
}

#[test]
fn tasks_that_came_while_their_cluster_was_held_count_at_the_next_refresh() {
    let mut source = Source::default();
    source.refresh(&fargate_tasks(ids("old", 30)));
    // The new tasks fill the first page and are described; the second page fails.
    let grown = fargate_tasks(ids("new", 100).chain(ids("old", 30)));
    source.refresh_failing(&grown, FailureKind::Unavailable, |question| {
        matches!(question, Question::Tasks { page: Some(_), .. })
    });
    assert_eq!(source.snapshot.targets().len(), 30);
    source.refresh(&grown);
    assert_eq!(source.snapshot.targets().len(), 130);
}

#[test]
fn tasks_that_went_while_their_cluster_was_held_are_gone_at_the_next_refresh() {
    let mut source = Source::default();
    source.refresh(&fargate_tasks(ids("a", 100).chain(ids("b", 50))));
    // The first batch of the unlisted is described as missing; the second, which still runs, is not answered.
    let mut shrunk = fargate_tasks(ids("b", 50));
    shrunk.unlisted = shrunk.tasks_of("prod").keys().cloned().collect();
    source.refresh_failing(&shrunk, FailureKind::Throttled, |question| {
        matches!(question, Question::TaskDetails { tasks, .. } if tasks[0].last_part().starts_with('b'))
    });
    assert_eq!(source.snapshot.targets().len(), 150);
    shrunk.unlisted.clear();
    source.refresh(&shrunk);
    assert_eq!(source.snapshot.targets().len(), 50);
}

#[test]
fn facts_that_were_missed_while_a_cluster_was_held_are_asked_for_at_the_next_refresh() {
    let mut source = Source::default();
    source.refresh(&fargate_tasks(ids("old", 30)));
    let mut grown = fargate_tasks(ids("new", 100).chain(ids("old", 30)));
    let definition = fargate().of("other:1").with(app());
    for (id, task) in grown.tasks_of("prod") {
        if id.last_part().starts_with("new") {
            task.definition = definition.task.definition.clone();
        }
    }
    let definition = definition.definition.unwrap();
    grown.definitions.insert(definition.arn.clone(), definition);
    source.refresh_failing(&grown, FailureKind::Throttled, |question| {
        matches!(question, Question::Tasks { page: Some(_), .. } | Question::TaskDefinition { .. })
    });
    assert_eq!(source.snapshot.targets().len(), 30);
    source.refresh(&grown);
    assert_eq!(source.snapshot.targets().len(), 130);
}

#[test]
fn a_second_page_of_clusters_failing_takes_no_cluster_away() {
    let mut source = Source::default();
    source.refresh(&world());
    let paged = World { page: 1, ..world() };
    source.refresh_failing(&paged, FailureKind::Unavailable, |question| {
        matches!(question, Question::Clusters { page: Some(_) })
    });
    assert_eq!(source.snapshot.targets().len(), 3);
    assert!(!source.complete);
}

#[test]
fn a_page_token_that_repeats_ends_the_listing_and_holds() {
    let repeating = |is_hit: fn(&Question) -> bool| {
        let world = world();
        let mut source = Source::default();
        source.refresh(&world);
        let before = file(&source);
        source.refresh_with(|question| {
            let answer = world.answer(question)?;
            let again = Some("again".to_owned());
            Ok(match answer {
                Answer::Tasks { tasks, .. } if is_hit(question) => Answer::Tasks { tasks, next: again },
                Answer::Clusters { clusters, .. } if is_hit(question) => {
                    Answer::Clusters { clusters, next: again }
                }
                other => other,
            })
        });
        assert_eq!(file(&source), before);
        assert!(!source.complete);
        source
    };
    fn of_clusters(question: &Question) -> bool {
        matches!(question, Question::Clusters { .. })
    }
    fn of_a(question: &Question) -> bool {
        matches!(question, Question::Tasks { cluster, .. } if *cluster == cluster_arn("a"))
    }
    let source = repeating(of_a);
    assert!(matches!(source.scope("a").status, ScopeStatus::Stale(_)));
    assert_eq!(source.scope("bb").status, ScopeStatus::Fresh);
    assert!(repeating(of_clusters).failure.is_some());
}

#[test]
fn an_answer_to_another_question_is_a_failure() {
    let mut source = Source::default();
    source.refresh(&world());
    let before = file(&source);
    source.refresh_with(|_| Ok(Answer::Hosts(Vec::new())));
    assert_eq!(file(&source), before);
    assert!(!source.complete);
}

#[test]
fn a_new_tasks_trouble_is_its_own_finding() {
    let check = |operation: &str| {
        let mut source = Source::default();
        source.refresh(&world());
        let mut grown = world();
        grown.add(task("a", "3"));
        source.refresh_failing(&grown, FailureKind::Throttled, |question| question.operation() == operation);
        scope(source.scope("a"))
    };
    assert_snapshot!(check("DescribeTaskDefinition"), @"
    app 10.0.1.1:80/metrics 1m
    app 10.0.1.2:80/metrics 1m
    ?: definition unavailable
    ");
    assert_snapshot!(check("DescribeContainerInstances"), @"
    app 10.0.1.1:80/metrics 1m
    app 10.0.1.2:80/metrics 1m
    app: host unknown
    ");
    assert_snapshot!(check("DescribeInstances"), @"
    app 10.0.1.1:80/metrics 1m
    app 10.0.1.2:80/metrics 1m
    app: host unknown
    ");
}

#[test]
fn a_first_look_at_which_the_calls_behind_the_tasks_fail_has_seen_nothing() {
    for operation in ["DescribeTaskDefinition", "DescribeContainerInstances", "DescribeInstances"] {
        let mut source = Source::default();
        source
            .refresh_failing(&world(), FailureKind::Throttled, |question| question.operation() == operation);
        assert!(!source.complete, "{operation}");
        assert!(matches!(source.scope("a").status, ScopeStatus::NeverRead(_)), "{operation}");
    }
}

#[test]
fn a_listing_that_is_empty_while_tasks_run_costs_nothing() {
    let world = world();
    let mut source = Source::default();
    source.refresh(&world);
    let before = file(&source);
    source.refresh_with(|question| match question {
        Question::Tasks { .. } => Ok(Answer::Tasks { tasks: Vec::new(), next: None }),
        other => world.answer(other),
    });
    assert_eq!(file(&source), before);
    assert!(source.complete);
}
