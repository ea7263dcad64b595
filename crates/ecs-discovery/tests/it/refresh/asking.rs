//! What a refresh asks, how often, and in which batches.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::TaskArn;
use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::Question;
use ecs_discovery::model::Status;
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, cluster_arn, ec2, external, fargate};
use crate::show::{calls, file, scope};
use crate::source::Source;

fn fleet(cluster: &str, size: usize) -> impl Iterator<Item = TaskFixture> {
    (0..size).map(move |number| {
        let ip = format!("10.1.{}.{}", number / 250, number % 250 + 1);
        let task = fargate().in_cluster(cluster).id(&format!("{number:05}"));
        task.of(&format!("family-{}:1", number % 5)).interface(&ip).with(app())
    })
}

/// The tasks that were described, in order.
fn described(asked: &[Question]) -> Vec<TaskArn> {
    let batches = asked.iter().filter_map(|question| match question {
        Question::TaskDetails { tasks, .. } => Some(tasks),
        _ => None,
    });
    batches.flatten().cloned().collect()
}

fn described_ids(asked: &[Question]) -> Vec<String> {
    described(asked).iter().map(|task| task.last_part().to_owned()).collect()
}

#[test]
fn a_first_refresh_asks_for_each_thing_once_in_full_batches() {
    let world = World::of(fleet("prod", 250).chain(fleet("tiny", 3)));
    let asked = Source::default().refresh(&world);
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    5 DescribeTaskDefinition
    4 DescribeTasks
    1 ListClusters
    4 ListTasks
    ");
    assert!(matches!(asked[0], Question::Clusters { page: None }));
}

#[test]
fn a_steady_refresh_lists_and_asks_nothing_else() {
    let world = World::of(fleet("a", 250).chain(fleet("b", 100)).chain(fleet("c", 1)));
    let mut source = Source::default();
    source.refresh(&world);
    let asked = source.refresh(&world);
    // One call for the clusters, and 3, 1 and 1 pages of tasks.
    let listings =
        |asked: &[Question]| asked.iter().filter(|question| question.operation().starts_with("List")).count();
    assert_eq!(listings(&asked), 1 + 3 + 1 + 1);
    let mut all = asked;
    for _ in 0..9 {
        let asked = source.refresh(&world);
        assert_eq!(listings(&asked), 1 + 3 + 1 + 1);
        all.extend(asked);
    }
    // All tasks once within the recheck interval, 3 + 1 + 1 batches, and the tags of all clusters.
    assert_snapshot!(calls(&all), @"
    1 DescribeClusters
    5 DescribeTasks
    10 ListClusters
    50 ListTasks
    ");
}

#[test]
fn definitions_and_hosts_are_asked_for_once() {
    let on_host = |number: usize| {
        let host = number % 3;
        let fixture = if host == 0 { external("host") } else { ec2("host") };
        let id = if host == 0 { "mi-0".to_owned() } else { format!("i-{host}") };
        fixture.on(&id, &format!("10.0.0.{}", host + 1)).id(&number.to_string()).with(app())
    };
    let mut world = World::of((0..12).map(on_host));
    let mut source = Source::default();
    let asked = source.refresh(&world);
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    1 DescribeContainerInstances
    1 DescribeInstanceInformation
    1 DescribeInstances
    1 DescribeTaskDefinition
    1 DescribeTasks
    1 ListClusters
    1 ListTasks
    ");
    world.add(on_host(12));
    assert_snapshot!(calls(&source.refresh(&world)), @"
    1 DescribeTasks
    1 ListClusters
    1 ListTasks
    ");
    assert_eq!(source.snapshot.targets().len(), 13);
}

#[test]
fn hosts_and_container_instances_are_asked_for_in_batches_that_aws_accepts() {
    let task = |kind: fn(&str) -> TaskFixture, id: String, number: usize| {
        kind("host").on(&id, &format!("10.3.{}.{}", number / 250, number % 250 + 1)).id(&id).with(app())
    };
    let own = (0..450).map(|number| task(ec2, format!("i-{number}"), number));
    let anywhere = (0..150).map(|number| task(external, format!("mi-{number}"), number + 500));
    let mut source = Source::default();
    let asked = source.refresh(&World::of(own.chain(anywhere)));
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    6 DescribeContainerInstances
    2 DescribeInstanceInformation
    3 DescribeInstances
    1 DescribeTaskDefinition
    6 DescribeTasks
    1 ListClusters
    6 ListTasks
    ");
    assert_eq!(source.snapshot.targets().len(), 600);
}

#[test]
fn clusters_are_described_in_batches_that_aws_accepts() {
    let world =
        World::of((0..250).map(|number| fargate().in_cluster(&format!("cluster-{number}")).with(app())));
    let mut source = Source::default();
    assert_snapshot!(calls(&source.refresh(&world)), @"
    3 DescribeClusters
    1 DescribeTaskDefinition
    250 DescribeTasks
    3 ListClusters
    250 ListTasks
    ");
    assert_snapshot!(calls(&source.refresh(&world)), @"
    3 ListClusters
    250 ListTasks
    ");
}

#[test]
fn a_describe_batch_begins_before_the_last_page() {
    let world = World::of(fleet("prod", 250));
    let mut source = Source::default();
    let mut refresh = source.begin();
    let mut operations = Vec::new();
    loop {
        let open = refresh.questions(&mut source.inventory);
        operations.push(open.iter().map(Question::operation).collect::<Vec<_>>().join(" + "));
        // Only listings are answered: what else is asked by then waits for none of them.
        let listings = open.into_iter().filter(|question| question.operation().starts_with("List"));
        let listings: Vec<_> = listings.collect();
        if listings.is_empty() {
            break;
        }
        for question in listings {
            let answer = world.answer(&question).unwrap();
            refresh.answered(&mut source.inventory, question, answer);
        }
    }
    assert_snapshot!(operations.join("\n"), @"
    ListClusters
    ListTasks + DescribeClusters
    DescribeTasks + ListTasks
    DescribeTasks + ListTasks
    DescribeTasks
    ");
}

#[test]
fn tasks_are_listed_only_after_the_clusters_are() {
    let mut world = World::of(["a", "b", "c"].map(|name| fargate().in_cluster(name).with(app())));
    world.page = 1;
    let asked = Source::default().refresh(&world);
    let operations: Vec<_> = asked.iter().map(Question::operation).collect();
    let first = operations.iter().position(|operation| *operation == "ListTasks").unwrap();
    let last = operations.iter().rposition(|operation| *operation == "ListClusters").unwrap();
    assert!(last < first, "{operations:?}");
}

#[test]
fn named_clusters_are_not_listed() {
    let world = World::of(["a", "b", "c"].map(|name| fargate().in_cluster(name).with(app())));
    let mut source = Source::of_clusters(&["a", cluster_arn("c").as_str()]);
    let asked = source.refresh(&world);
    assert_snapshot!(calls(&asked), @"
    1 DescribeClusters
    1 DescribeTaskDefinition
    2 DescribeTasks
    2 ListTasks
    ");
    assert_eq!(source.scopes().keys().map(|arn| arn.last_part()).collect::<Vec<_>>(), ["a", "c"]);
    assert_snapshot!(calls(&source.refresh(&world)), @"2 ListTasks");
}

#[test]
fn a_glob_needs_the_listing_and_follows_only_what_it_selects() {
    let world = World::of(["web-1", "web-2", "db"].map(|name| fargate().in_cluster(name).with(app())));
    let mut source = Source::of_clusters(&["web-*"]);
    let asked = source.refresh(&world);
    assert!(asked.iter().any(|question| question.operation() == "ListClusters"));
    assert_eq!(source.scopes().keys().map(|arn| arn.last_part()).collect::<Vec<_>>(), ["web-1", "web-2"]);
}

#[test]
fn a_named_cluster_that_does_not_exist_is_no_scope_and_harms_none() {
    let world = World::of([fargate().with(app())]);
    let mut source = Source::of_clusters(&["prod", "typo"]);
    source.refresh(&world);
    assert_eq!(source.scopes().len(), 1);
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn unsettled_tasks_are_asked_for_again_until_they_run() {
    let starting =
        |status: &str| fargate().id("new").with(app()).task(|task| task.last_status = status.into());
    let mut world = World::of([fargate().id("old").with(app()), starting("PROVISIONING")]);
    let mut source = Source::default();
    source.refresh(&world);
    assert_eq!(described_ids(&source.refresh(&world)), ["new"]);
    world.add(starting("PENDING"));
    assert_eq!(described_ids(&source.refresh(&world)), ["new"]);
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.0.1:80/metrics 1m
    app: task not running
    ");
    world.add(starting("RUNNING"));
    assert_eq!(described_ids(&source.refresh(&world)), ["new"]);
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.0.1:80/metrics 1m
    app 10.0.0.1:80/metrics 1m
    ");
    assert!(described_ids(&source.refresh(&world)).is_empty());
}

#[test]
fn a_running_task_is_not_settled_before_its_address_is_known() {
    let unplaced = || {
        fargate().with(app()).task(|task| {
            task.network_interface = Some(ecs_discovery::model::NetworkInterface::default());
        })
    };
    let on_instance = || {
        ec2("awsvpc").with(app()).task(|task| {
            task.network_interface = Some(ecs_discovery::model::NetworkInterface::default());
        })
    };
    for (unaddressed, addressed) in [
        (unplaced(), fargate().with(app())),
        (on_instance(), ec2("awsvpc").interface("10.0.0.1").with(app())),
        (fargate().with(app().status("PENDING")), fargate().with(app())),
    ] {
        let mut source = Source::default();
        source.refresh(&World::of([unaddressed.clone()]));
        assert!(source.snapshot.targets().is_empty());
        assert_eq!(described_ids(&source.refresh(&World::of([unaddressed]))), ["0f1e"]);
        source.refresh(&World::of([addressed]));
        assert_eq!(scope(source.scope("prod")), "app 10.0.0.1:80/metrics 1m");
    }
}

#[test]
fn a_container_instance_without_a_machine_is_asked_for_again() {
    let mut unregistered = ec2("host").with(app());
    unregistered.instance.as_mut().unwrap().instance = None;
    let mut source = Source::default();
    source.refresh(&World::of([unregistered]));
    assert_snapshot!(scope(source.scope("prod")), @"app: host unknown");
    source.refresh(&World::of([ec2("host").with(app())]));
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.9.9:80/metrics 1m");
}

#[test]
fn a_host_without_an_address_is_asked_for_again() {
    let unaddressed = ec2("host").with(app()).host(|host| host.private_ipv4 = None);
    let mut source = Source::default();
    source.refresh(&World::of([unaddressed]));
    assert_snapshot!(scope(source.scope("prod")), @"app: no address");
    source.refresh(&World::of([ec2("host").with(app())]));
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.9.9:80/metrics 1m");
}

#[test]
fn a_host_that_was_unknown_is_asked_for_again() {
    let mut source = Source::default();
    source.refresh(&World::of([ec2("host").with(app()).without_host()]));
    let world = World::of([ec2("host").with(app())]);
    assert_snapshot!(calls(&source.refresh(&world)), @"
    1 DescribeInstances
    1 ListClusters
    1 ListTasks
    ");
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.9.9:80/metrics 1m");
}

/// The longest that a settled task of such a fleet waits to be described again, and the sizes of the batches.
fn longest_wait(size: usize) -> (Duration, Vec<usize>) {
    let world = World::of(fleet("prod", size));
    let mut source = Source::default();
    let mut last: BTreeMap<TaskArn, Duration> = BTreeMap::new();
    let (mut longest, mut batches) = (Duration::ZERO, Vec::new());
    for _ in 0..60 {
        let now = source.now;
        let first = last.is_empty();
        for question in source.refresh(&world) {
            let Question::TaskDetails { tasks, .. } = question else { continue };
            if !first {
                batches.push(tasks.len());
            }
            for task in tasks {
                longest = longest.max(now - last.insert(task, now).unwrap_or(now));
            }
        }
    }
    let still_waiting =
        last.values().map(|described| source.now - Source::INTERVAL - *described).max().unwrap();
    (longest.max(still_waiting), batches)
}

#[test]
fn all_settled_tasks_are_described_again_within_the_recheck_interval() {
    for size in [1, 7, 99, 100, 101, 150, 199, 250, 399, 730] {
        let (longest, batches) = longest_wait(size);
        // A slice can only be asked for when there is a refresh.
        assert!(longest <= Source::RECHECK + Source::INTERVAL, "{size} tasks: {longest:?}");
        let full = size.min(100);
        assert!(batches.iter().all(|batch| *batch == full), "{size} tasks: {batches:?}");
    }
}

#[test]
fn rechecking_costs_no_more_calls_than_the_tasks_fill() {
    for (size, calls_an_interval) in [(1, 1), (100, 1), (101, 2), (250, 3), (730, 8)] {
        let (_, batches) = longest_wait(size);
        // 59 refreshes after the first are 5.9 intervals.
        assert!(batches.len() <= 6 * calls_an_interval, "{size} tasks: {} calls", batches.len());
    }
}

#[test]
fn a_recheck_brings_news_of_settled_tasks() {
    let tagged =
        |team: &str| fargate().with(app()).task(|task| task.tags = crate::fixture::tags(&[("team", team)]));
    let mut source = Source::default();
    source.refresh(&World::of([tagged("old")]));
    assert!(file(&source).contains(r#""__meta_ecs_tag_task_team":"old""#));
    for _ in 0..10 {
        source.refresh(&World::of([tagged("new")]));
    }
    assert!(file(&source).contains(r#""__meta_ecs_tag_task_team":"new""#));
}

#[test]
fn a_refresh_without_news_returns_the_same_targets_themselves() {
    let world = World::of(fleet("prod", 120).chain([ec2("bridge").id("broken").with(app())]));
    let mut source = Source::default();
    source.refresh(&world);
    let before = source.scope("prod").derived.clone();
    for _ in 0..12 {
        source.refresh(&world);
        assert!(Arc::ptr_eq(&before, &source.scope("prod").derived));
        assert!(source.complete);
    }
}

#[test]
fn news_of_one_cluster_leaves_another_as_it_is() {
    let mut world = World::of(fleet("a", 2).chain(fleet("b", 2)));
    let mut source = Source::default();
    source.refresh(&world);
    let before = source.scope("b").derived.clone();
    world.add(fargate().in_cluster("a").id("new").of("new:1").with(app()));
    source.refresh(&world);
    assert_eq!(source.scope("a").derived.targets.len(), 3);
    assert!(Arc::ptr_eq(&before, &source.scope("b").derived));
}

#[test]
fn a_refused_definition_is_not_asked_for_at_each_refresh() {
    let world = World::of([fargate().with(app()).without_definition()]);
    let mut source = Source::default();
    source.refresh(&world);
    let mut asked = 0;
    for _ in 0..10 {
        let questions = source.refresh(&world);
        asked += questions.iter().filter(|question| question.operation() == "DescribeTaskDefinition").count();
        assert!(source.complete);
    }
    assert!((1..=5).contains(&asked), "asked {asked} times in ten refreshes");
    assert_snapshot!(scope(source.scope("prod")), @"?: definition unavailable");
}

#[test]
fn a_definition_whose_call_failed_is_asked_for_at_the_next_refresh() {
    let world = World::of([fargate().with(app())]);
    let mut source = Source::default();
    source.refresh_failing(&world, FailureKind::Throttled, |question| {
        question.operation() == "DescribeTaskDefinition"
    });
    assert!(!source.complete);
    source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"app 10.0.0.1:80/metrics 1m");
}

#[test]
fn stopped_containers_do_not_keep_a_task_from_being_settled() {
    let world = World::of([fargate().with(app()).with(crate::fixture::container("init").status("STOPPED"))]);
    let mut source = Source::default();
    source.refresh(&world);
    assert!(described(&source.refresh(&world)).is_empty());
}

#[test]
fn a_new_clusters_tasks_are_asked_for_in_the_refresh_that_lists_it() {
    let mut world = World::of(fleet("a", 1));
    let mut source = Source::default();
    source.refresh(&world);
    fleet("b", 1).for_each(|task| world.add(task));
    source.refresh(&world);
    assert_eq!(source.scope("b").derived.targets.len(), 1);
    assert_eq!(world.tasks_of("b").values().next().unwrap().last_status, Status::Running);
}

#[test]
fn tasks_of_a_listing_that_failed_have_their_turn_in_time_too() {
    let mut world = World::of(fleet("prod", 150));
    let mut source = Source::default();
    source.refresh_failing(&world, FailureKind::Throttled, |question| {
        matches!(question, Question::Tasks { page: Some(_), .. })
    });
    let first = world.tasks_of("prod").values_mut().next().unwrap();
    first.health_status = Some("UNHEALTHY".into());
    source.now += Source::RECHECK;
    source.refresh(&world);
    let mut fresh = Source::default();
    fresh.refresh(&world);
    assert_eq!(file(&source), file(&fresh));
}
