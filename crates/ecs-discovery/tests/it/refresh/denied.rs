//! Batches that AWS denies as a whole because of some of their ids.

use std::collections::BTreeSet;
use std::time::Duration;

use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::snapshot::{ScopeChange, ScopeStatus};
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, cluster_arn, ec2, external, failure, fargate, tags};
use crate::show::scope;
use crate::source::Source;

/// The last parts of a batch's ids.
fn ids(question: &Question) -> Vec<&str> {
    match question {
        Question::ClusterDetails { clusters } => {
            clusters.iter().map(|name| name.rsplit('/').next().unwrap()).collect()
        }
        Question::ClusterTags { clusters } => clusters.iter().map(|cluster| cluster.last_part()).collect(),
        Question::TaskDetails { tasks, .. } => tasks.iter().map(|task| task.last_part()).collect(),
        Question::ContainerInstances { instances, .. } => {
            instances.iter().map(|instance| instance.last_part().trim_start_matches("of-")).collect()
        }
        Question::Ec2Instances { instances } | Question::ExternalInstances { instances } => {
            instances.iter().map(|id| id.as_str()).collect()
        }
        Question::Services { services, .. } => services.iter().map(|name| name.as_str()).collect(),
        Question::Tasks { cluster, .. } => vec![cluster.last_part()],
        Question::Clusters { .. } | Question::TaskDefinition { .. } | Question::DefinitionTags { .. } => {
            Vec::new()
        }
    }
}

/// The answer if an operation is denied for some ids, and for all ids in the same request.
fn answer(
    world: &World,
    question: &Question,
    operations: &[&str],
    denied: impl Fn(&str) -> bool,
) -> Result<Answer, Failure> {
    match operations.contains(&question.operation()) && ids(question).into_iter().any(denied) {
        true => Err(failure(FailureKind::Denied)),
        false => world.answer(question),
    }
}

/// A refresh with such a policy; returns the batches of the operation, in order.
fn refresh(source: &mut Source, world: &World, operation: &str, denied: impl Fn(&str) -> bool) -> String {
    let asked = source.refresh_with(|question| answer(world, question, &[operation], &denied));
    let asked = asked.iter().filter(|question| question.operation() == operation);
    asked.map(|question| ids(question).join(" ")).collect::<Vec<_>>().join("\n")
}

fn clusters(names: &[&str]) -> World {
    let mut world = World::of(names.iter().map(|name| fargate().in_cluster(name).id(name).with(app())));
    for cluster in world.clusters.values_mut() {
        cluster.tags = tags(&[("team", "shop")]);
    }
    world
}

/// The clusters whose tags are known.
fn tagged(source: &Source) -> String {
    let is_tagged = |name: &&str| {
        let targets = &source.scope(name).derived.targets;
        targets.iter().any(|target| target.labels().value("__meta_ecs_tag_cluster_team").is_some())
    };
    ["a", "b", "c", "d"].into_iter().filter(is_tagged).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_denied_cluster_costs_no_other_its_tags() {
    let world = clusters(&["a", "b", "c", "d"]);
    let mut source = Source::default();
    assert_snapshot!(refresh(&mut source, &world, "DescribeClusters", |id| id == "c"), @"
    a b c d
    a b
    c d
    c
    d
    ");
    assert_eq!(tagged(&source), "a b d");
    assert!(source.complete);
    // It is remembered, and requested again alone after a while.
    assert_eq!(refresh(&mut source, &world, "DescribeClusters", |id| id == "c"), "");
    assert_eq!(refresh(&mut source, &world, "DescribeClusters", |id| id == "c"), "c");
    assert_eq!(refresh(&mut source, &world, "DescribeClusters", |_| false), "");
    assert_eq!(refresh(&mut source, &world, "DescribeClusters", |_| false), "c");
    assert_eq!(tagged(&source), "a b c d");
    assert_eq!(refresh(&mut source, &world, "DescribeClusters", |_| false), "");
}

#[test]
fn a_denied_task_costs_no_other_task() {
    let fleet = |count: usize| {
        let at = |number: usize| format!("10.0.0.{}", number + 1);
        World::of(
            (0..count).map(|number| fargate().id(&number.to_string()).interface(&at(number)).with(app())),
        )
    };
    let mut source = Source::default();
    assert_snapshot!(refresh(&mut source, &fleet(4), "DescribeTasks", |id| id == "0"), @"
    0 1 2 3
    0 1
    0
    1
    2 3
    ");
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.0.2:80/metrics 1m
    app 10.0.0.3:80/metrics 1m
    app 10.0.0.4:80/metrics 1m
    ");
    assert!(source.complete && !source.scope("prod").denied);
    assert_eq!(refresh(&mut source, &fleet(5), "DescribeTasks", |id| id == "0"), "4");
    assert_eq!(refresh(&mut source, &fleet(5), "DescribeTasks", |_| false), "0");
    assert_eq!(source.snapshot.targets().len(), 5);
}

#[test]
fn a_task_that_was_known_and_is_denied_stays_as_it_was_and_keeps_no_other_from_its_turn() {
    let at = |number: usize| format!("10.0.{}.{}", number / 200, number % 200 + 1);
    let fleet = World::of(
        (0..300).map(|number| fargate().id(&format!("{number:03}")).interface(&at(number)).with(app())),
    );
    let mut source = Source::default();
    source.refresh(&fleet);
    // A hundred of them are denied from now on; all others are described in turn.
    let mut described = BTreeSet::new();
    for _ in 0..20 {
        let asked = refresh(&mut source, &fleet, "DescribeTasks", |id| id.starts_with('1'));
        let answered = asked.lines().filter(|line| !line.split(' ').any(|id| id.starts_with('1')));
        described.extend(answered.flat_map(|line| line.split(' ')).map(str::to_owned));
    }
    assert_eq!((source.snapshot.targets().len(), described.len()), (300, 200));
    // A task that is missing in the listing and denied is not known to have ended.
    let mut shrunk = fleet.clone();
    shrunk.remove("prod", "150");
    refresh(&mut source, &shrunk, "DescribeTasks", |id| id.starts_with('1'));
    assert_eq!(source.snapshot.targets().len(), 300);
}

#[test]
fn denied_container_instances_and_hosts_cost_no_other() {
    let task = |kind: fn(&str) -> TaskFixture, id: &str, ip: &str| kind("host").on(id, ip).id(id).with(app());
    let world = World::of([
        task(ec2, "i-1", "10.0.0.1"),
        task(ec2, "i-2", "10.0.0.2"),
        task(ec2, "i-3", "10.0.0.3"),
        task(external, "mi-1", "10.0.0.4"),
        task(external, "mi-2", "10.0.0.5"),
    ]);
    // Hosts are halved once a refresh.
    for (operation, denied) in [
        ("DescribeContainerInstances", "i-2"),
        ("DescribeInstances", "i-1"),
        ("DescribeInstanceInformation", "mi-1"),
    ] {
        let mut source = Source::default();
        refresh(&mut source, &world, operation, |id| id == denied);
        assert_eq!(source.snapshot.targets().len(), 4, "{operation}");
        source.now += Duration::from_secs(120);
        source.refresh(&world);
        assert_eq!(source.snapshot.targets().len(), 5, "{operation}");
    }
}

#[test]
fn what_is_denied_as_a_whole_is_asked_for_as_a_whole_and_noticed_at_once_when_it_is_allowed() {
    let mut world = World::of((0..100).map(|number| {
        let ip = format!("10.0.0.{}", number + 1);
        ec2("host").on(&format!("i-{number}"), &ip).id(&number.to_string()).with(app())
    }));
    for operation in ["DescribeTasks", "DescribeContainerInstances", "DescribeInstances"] {
        let mut source = Source::default();
        let first = refresh(&mut source, &world, operation, |_| true).lines().count();
        assert_eq!(first, if operation == "DescribeInstances" { 3 } else { 65 }, "{operation}");
        for _ in 0..9 {
            let asked = refresh(&mut source, &world, operation, |_| true);
            assert_eq!(asked.lines().count(), 1, "{operation}");
            assert!(!source.complete);
        }
        // After ten minutes it is tried again.
        let again = refresh(&mut source, &world, operation, |_| true).lines().count();
        assert_eq!(again, first, "{operation}");
        source.refresh(&world);
        assert_eq!(source.snapshot.targets().len(), 100, "{operation}");
        assert!(source.complete);
    }
    // Among many denied clusters, the one that is allowed is found eventually.
    world = World::of((0..100).map(|number| fargate().in_cluster(&format!("c{number:02}")).with(app())));
    let mut source = Source::default();
    let is_found = |source: &mut Source| {
        let asked = refresh(source, &world, "DescribeClusters", |id| id != "c61");
        asked.lines().any(|line| line == "c61")
    };
    assert!((0..200).any(|_| is_found(&mut source)));
}

#[test]
fn denied_tasks_that_come_later_keep_no_other_task_from_being_found() {
    let tasks =
        |ids: &[&str]| {
            World::of(ids.iter().enumerate().map(|(number, id)| {
                fargate().id(id).interface(&format!("10.0.0.{}", number + 1)).with(app())
            }))
        };
    let mut source = Source::default();
    source.refresh(&tasks(&["a"]));
    let is_denied = |id: &str| id.starts_with('x');
    // No requested item is allowed, so the denial may apply to the whole cluster.
    refresh(&mut source, &tasks(&["a", "x1", "x2"]), "DescribeTasks", is_denied);
    assert!(source.scope("prod").denied && !source.complete);
    let world = tasks(&["a", "x1", "x2", "b"]);
    assert_snapshot!(refresh(&mut source, &world, "DescribeTasks", is_denied), @"
    x1 x2
    b
    ");
    refresh(&mut source, &world, "DescribeTasks", is_denied);
    assert_eq!((source.snapshot.targets().len(), source.complete), (2, true));
    assert_eq!(refresh(&mut source, &world, "DescribeTasks", is_denied), "");
}

/// While AWS propagates a policy, it denies some calls and allows others.
#[test]
fn a_cluster_of_which_some_tasks_and_then_all_are_denied_is_told_in_the_end() {
    let tasks = |ids: &[&str]| World::of(ids.iter().map(|id| fargate().id(id).with(app())));
    let mut source = Source::default();
    refresh(&mut source, &tasks(&["a", "x"]), "DescribeTasks", |id| id == "x");
    assert!(source.complete);
    let world = tasks(&["a", "x", "b"]);
    for _ in 0..21 {
        refresh(&mut source, &world, "DescribeTasks", |_| true);
    }
    assert!(source.scope("prod").denied && !source.complete);
    source.refresh(&world);
    assert!(!source.scope("prod").denied && source.complete);
    assert_eq!(source.snapshot.targets().len(), 3);
}

/// More than one refresh can separate, and more than can be requested again before they are due once more.
#[test]
fn however_many_tasks_are_denied_the_others_are_found_in_the_end_and_stay_so() {
    let fleet = World::of((0..800).map(|number| {
        let ip = format!("10.0.{}.{}", number / 200, number % 200 + 1);
        fargate().id(&format!("{number:03}")).interface(&ip).with(app())
    }));
    let mut source = Source::default();
    let is_denied = |id: &str| id.ends_with('7');
    let mut until_found = 0;
    while source.snapshot.targets().len() < 720 {
        refresh(&mut source, &fleet, "DescribeTasks", is_denied);
        until_found += 1;
        assert!(until_found < 40);
    }
    for _ in 0..30 {
        let asked = refresh(&mut source, &fleet, "DescribeTasks", is_denied);
        assert!(source.complete && asked.lines().count() < 40, "{asked}");
    }
    assert_eq!(source.snapshot.targets().len(), 720);
    // Once one of them is allowed, the others are requested in batches.
    for _ in 0..2 {
        source.refresh(&fleet);
    }
    assert_eq!(source.snapshot.targets().len(), 800);
}

const READS: [&str; 3] = ["DescribeClusters", "ListTasks", "DescribeTasks"];

#[test]
fn a_denied_cluster_keeps_no_refresh_from_being_complete() {
    let world = clusters(&["a", "b", "c"]);
    for operations in [&READS[..], &READS[1..2], &READS[2..]] {
        let mut source = Source::default();
        let denied = |source: &mut Source, denied: &[&str]| {
            let before = source.snapshot.clone();
            source.refresh_with(|question| {
                let is_denied = |id: &str| denied.contains(&id);
                answer(&world, question, operations, is_denied)
            });
            let changes = source.snapshot.since(&before).scopes;
            changes
                .iter()
                .map(|(cluster, change)| format!("{} {change:?}", cluster.last_part()))
                .collect::<Vec<_>>()
        };
        let changes = denied(&mut source, &["c"]);
        assert!(changes.contains(&"c Denied { why: \"Denied\", known: false }".to_owned()), "{changes:?}");
        assert!(source.complete && source.scope("c").denied);
        assert_eq!(source.scope("c").status, ScopeStatus::NeverRead("Denied".to_owned()));
        assert_eq!((denied(&mut source, &["c"]).len(), source.complete), (0, true));
        // The denial ends, and begins again.
        assert_eq!(denied(&mut source, &[]), ["c ReadAgain"]);
        assert!(source.complete && !source.scope("c").denied);
        if operations.contains(&"ListTasks") {
            assert_eq!(denied(&mut source, &["c"]), ["c Denied { why: \"Denied\", known: true }"]);
            assert_eq!(source.scope("c").status, ScopeStatus::Stale("Denied".to_owned()));
            assert_eq!((source.snapshot.targets().len(), source.complete), (3, true));
            denied(&mut source, &["a", "b", "c"]);
            assert_eq!((source.snapshot.targets().len(), source.complete), (3, false));
        }
    }
}

#[test]
fn a_denied_cluster_that_fails_for_another_reason_is_held_as_any_other() {
    let world = clusters(&["a", "b"]);
    let mut source = Source::default();
    source.refresh_with(|question| answer(&world, question, &READS, |id| id == "b"));
    let before = source.snapshot.clone();
    source.refresh_failing(
        &world,
        FailureKind::Throttled,
        |question| matches!(question, Question::Tasks { cluster, .. } if *cluster == cluster_arn("b")),
    );
    assert!(!source.complete && !source.scope("b").denied);
    let changes = source.snapshot.since(&before).scopes;
    assert_eq!(changes, [(cluster_arn("b"), ScopeChange::NeverRead("Throttled".to_owned()))]);
}

#[test]
fn a_named_cluster_that_is_denied_costs_no_other_named_one() {
    let mut world = clusters(&["a", "b", "c"]);
    let mut source = Source::of_clusters(&["a", "b", "c", "none"]);
    let asked = refresh(&mut source, &world, "DescribeClusters", |id| id == "b");
    assert_snapshot!(asked, @"
    a b c none
    a b
    a
    b
    c none
    ");
    // Reading its tasks is allowed, reading its tags is not.
    assert_eq!((source.snapshot.targets().len(), source.complete), (3, true));
    assert_eq!(source.scope("b").status, ScopeStatus::Fresh);

    let mut source = Source::of_clusters(&["a", "b"]);
    source.refresh_with(|question| answer(&world, question, &READS, |id| id == "b"));
    assert_eq!((source.snapshot.targets().len(), source.complete), (1, true));
    assert!(source.scope("b").denied);
    // One that does not exist may be denied, too.
    world = clusters(&["a"]);
    let mut source = Source::of_clusters(&["a", "b"]);
    for _ in 0..4 {
        refresh(&mut source, &world, "DescribeClusters", |id| id == "b");
        assert_eq!((source.scopes().len(), source.complete), (1, true));
    }
    // Without any readable cluster, its account is unknown.
    let mut source = Source::of_clusters(&["b"]);
    refresh(&mut source, &world, "DescribeClusters", |_| true);
    assert_eq!((source.failure.clone(), source.complete), (Some(failure(FailureKind::Denied)), false));
}

#[test]
fn named_clusters_are_looked_up_where_listing_is_denied() {
    let mut source = Source::of_clusters(&["a", "b*"]);
    let world = clusters(&["a", "b1"]);
    source.refresh_failing(&world, FailureKind::Denied, |question| question.operation() == "ListClusters");
    assert_eq!((source.snapshot.targets().len(), source.complete), (1, false));
}

#[test]
fn a_cluster_that_the_listing_lacks_and_that_is_denied_is_held() {
    let mut source = Source::default();
    source.refresh(&clusters(&["a", "b"]));
    let world = clusters(&["a"]);
    for _ in 0..4 {
        refresh(&mut source, &world, "DescribeClusters", |id| id == "b");
        assert_eq!(source.scope("b").status, ScopeStatus::Stale("Denied".to_owned()));
        assert!(source.complete && source.scope("b").denied);
    }
    source.now += Duration::from_secs(120);
    source.refresh(&world);
    assert_eq!(source.scopes().len(), 1);
}
