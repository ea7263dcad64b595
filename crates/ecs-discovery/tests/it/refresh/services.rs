//! Services are described if their tags are published, and no target depends on them.

use ecs_discovery::arn::TaskArn;
use ecs_discovery::derive::Rules;
use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::task_view::TaskService;
use insta::assert_snapshot;

use crate::events::event;
use crate::fixture::{TaskFixture, World, app, cluster_arn, failure, fargate};
use crate::show::{calls, file};
use crate::source::{Source, wishes};

fn publishing() -> Source {
    Source::with_rules(Rules { service_tags: true, ..Rules::default() })
}

/// A task with this id and this group.
fn grouped(id: &str, group: &str) -> TaskFixture {
    let address = format!("10.0.1.{}", id.len());
    fargate().id(id).interface(&address).with(app()).task(|task| task.group = Some(group.into()))
}

fn of_service(id: &str, service: &str) -> TaskFixture {
    grouped(id, &format!("service:{service}"))
}

/// A task of each of so many services.
fn services(count: usize) -> World {
    let name = |number| format!("web-{number:02}");
    let mut world = World::of((0..count).map(|number| of_service(&format!("{number:02}"), &name(number))));
    (0..count).for_each(|number| drop(world.service(&name(number), "shop").clone()));
    world
}

/// The services that were asked for, a call each line.
fn asked(questions: &[Question]) -> String {
    let of_services = questions.iter().filter_map(|question| match question {
        Question::Services { services, .. } => Some(services),
        _ => None,
    });
    let names = of_services.map(|names| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" "));
    names.collect::<Vec<_>>().join("\n")
}

fn is_of_services(question: &Question) -> bool {
    matches!(question, Question::Services { .. })
}

/// The labels of services of all targets.
fn labels(source: &Source) -> String {
    let is_of_service =
        |name: &str| name.starts_with("__meta_ecs_service_") || name.starts_with("__meta_ecs_tag_service_");
    let lines = source.snapshot.targets().into_iter().map(|target| {
        let labels = target.labels();
        let of_service = labels.iter().filter(|(name, _)| is_of_service(name));
        let pairs: Vec<_> = of_service.map(|(name, value)| format!("{name}={value}")).collect();
        [target.task().last_part().to_owned(), pairs.join(" ")].join(": ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn kind(source: &Source, id: &str) -> &'static str {
    let cluster = cluster_arn("prod");
    let mut tasks = source.inventory.tasks(&cluster);
    let view = tasks.find(|view| view.task.arn.last_part() == id).unwrap();
    match view.service {
        TaskService::None => "none",
        TaskService::Known(_) => "known",
        TaskService::Missing => "missing",
        TaskService::Unknown(None) => "unknown",
        TaskService::Unknown(Some(_)) => "failed",
    }
}

#[test]
fn without_the_option_no_service_is_asked_for_and_no_label_tells_of_one() {
    let world = services(3);
    let mut source = Source::default();
    for _ in 0..12 {
        assert_eq!(asked(&source.refresh(&world)), "");
    }
    assert_eq!(labels(&source), "00: \n01: \n02: ");
    assert_eq!(kind(&source, "00"), "none");
}

#[test]
fn each_service_is_asked_for_once_ten_at_a_time() {
    let mut world = services(11);
    world.add(of_service("again", "web-00"));
    world.add(of_service("elsewhere", "web-00").in_cluster("other"));
    let mut source = publishing();
    assert_snapshot!(asked(&source.refresh(&world)), @"
    web-00
    web-00 web-01 web-02 web-03 web-04 web-05 web-06 web-07 web-08 web-09
    web-10
    ");
    assert_eq!(asked(&source.refresh(&world)), "");
    let labels = labels(&source);
    let expected = "00: __meta_ecs_service_arn=arn:aws:ecs:eu-west-1:123456789012:service/prod/web-00 \
        __meta_ecs_service_status=ACTIVE __meta_ecs_tag_service_team=shop";
    assert!(labels.lines().any(|line| line == expected), "{labels}");
    assert_eq!(labels.matches("__meta_ecs_tag_service_team=shop").count(), 12);
    // There is none of that name in the other cluster.
    assert_eq!(kind(&source, "again"), "known");
    assert!(labels.lines().any(|line| line == "elsewhere: "), "{labels}");
}

#[test]
fn a_group_that_is_no_service_or_can_be_none_is_not_asked_for() {
    let long = format!("service:{}", "a".repeat(256));
    let groups = ["family:web", "service:", "service:a/b", "service:a b", "service:größe", "nightly", &long];
    let tasks = groups.iter().enumerate().map(|(number, group)| grouped(&number.to_string(), group));
    let mut world = World::of(tasks);
    world.add(fargate().id("bare").with(app()));
    let mut source = publishing();
    assert_eq!(asked(&source.refresh(&world)), "");
    assert_eq!((kind(&source, "1"), kind(&source, "bare")), ("none", "none"));
}

#[test]
fn services_are_asked_for_again_within_the_recheck_interval_and_changes_show() {
    let mut world = services(20);
    let mut source = publishing();
    source.refresh(&world);
    world.service("web-07", "other").status = Some("DRAINING".into());
    let all: Vec<_> = (0..10).map(|_| asked(&source.refresh(&world))).collect();
    let calls = all.iter().filter(|asked| !asked.is_empty());
    assert_eq!(calls.map(|asked| asked.split(' ').count()).collect::<Vec<_>>(), [10, 10]);
    let labels = labels(&source);
    assert!(labels.contains("__meta_ecs_service_status=DRAINING __meta_ecs_tag_service_team=other"));
    assert_eq!(labels.matches("__meta_ecs_tag_service_team=shop").count(), 19);
}

#[test]
fn a_service_that_aws_does_not_know_is_remembered_until_the_recheck() {
    let mut world = World::of([of_service("a", "web")]);
    let mut source = publishing();
    assert_eq!(asked(&source.refresh(&world)), "web");
    assert_eq!((kind(&source, "a"), source.complete), ("missing", true));
    world.service("web", "shop");
    let refreshes: Vec<_> = (0..10).map(|_| asked(&source.refresh(&world))).collect();
    assert_eq!(refreshes.iter().filter(|asked| !asked.is_empty()).count(), 1);
    assert_eq!(kind(&source, "a"), "known");
}

/// A rule of the operator may depend on the tags, and its targets must not leave before their tasks.
#[test]
fn a_known_service_that_is_deleted_keeps_its_tags_until_its_last_task_ends() {
    let mut world = World::of([of_service("a", "web")]);
    world.service("web", "shop");
    let mut source = source_of(&world);
    let inactive = labels(&source).replace("ACTIVE", "INACTIVE");
    let mut deleted = world.clone();
    deleted.service("web", "shop").status = Some("INACTIVE".into());
    deleted.services.values_mut().for_each(|service| service.tags.clear());
    let mut gone = world.clone();
    gone.services.clear();
    // An answer that lacks the status.
    world.service("web", "shop").status = None;
    for world in [deleted, gone, world] {
        (0..11).for_each(|_| drop(source.refresh(&world)));
        assert_eq!(labels(&source), inactive);
    }
}

fn source_of(world: &World) -> Source {
    let mut source = publishing();
    source.refresh(world);
    source
}

#[test]
fn a_service_is_forgotten_after_its_last_task() {
    let mut world = services(2);
    let mut source = source_of(&world);
    world.remove("prod", "01");
    source.refresh(&world);
    source.refresh(&world);
    let saved = source.inventory.saved(source.scopes());
    let names: Vec<_> = saved.scopes[0].services.iter().map(|saved| saved.name.as_str()).collect();
    assert_eq!(names, ["web-00"]);
    world.add(of_service("new", "web-01"));
    assert_eq!(asked(&source.refresh(&world)), "web-01");
}

#[test]
fn what_fails_costs_no_target_and_is_asked_for_at_the_next_refresh() {
    for kind_of_failure in [FailureKind::Unavailable, FailureKind::Throttled, FailureKind::NoCredentials] {
        let world = services(2);
        let mut source = publishing();
        for _ in 0..3 {
            let failing = source.refresh_failing(&world, kind_of_failure, is_of_services);
            assert_eq!(asked(&failing), "web-00 web-01");
            assert_eq!((labels(&source).as_str(), source.complete), ("00: \n01: ", true));
            assert_eq!(kind(&source, "00"), "failed");
        }
        assert_eq!(asked(&source.refresh(&world)), "web-00 web-01");
        assert_eq!(labels(&source), labels(&source_of(&world)));
        // What is known stays.
        source.now += Source::RECHECK;
        source.refresh_failing(&world, kind_of_failure, is_of_services);
        assert_eq!(labels(&source), labels(&source_of(&world)));
        assert_eq!(asked(&source.refresh(&world)), "web-00 web-01");
    }
}

#[test]
fn denied_services_cost_no_target_and_few_calls() {
    let world = services(100);
    let mut source = publishing();
    let mut counts = Vec::new();
    for _ in 0..10 {
        let asked = source.refresh_failing(&world, FailureKind::Denied, is_of_services);
        counts.push(asked.iter().filter(|question| is_of_services(question)).count());
        assert!(source.complete);
        assert_eq!(source.snapshot.targets().len(), 100);
    }
    // Eight batches in halves, and then whole batches every two minutes.
    assert_eq!(counts, [26, 0, 10, 0, 10, 0, 10, 0, 10, 0]);
    assert_eq!(source.snapshot.findings().count(), 0);
}

#[test]
fn a_denied_service_costs_no_other_its_tags() {
    let world = services(25);
    let mut source = publishing();
    let is_denied = |question: &Question| match question {
        Question::Services { services, .. } => services.iter().any(|name| name.as_str() == "web-13"),
        _ => false,
    };
    for _ in 0..12 {
        source.refresh_failing(&world, FailureKind::Denied, is_denied);
        assert_eq!(labels(&source).matches("__meta_ecs_tag_service_team=shop").count(), 24);
    }
    assert_eq!(kind(&source, "13"), "failed");
    (0..3).for_each(|_| drop(source.refresh(&world)));
    assert_eq!(kind(&source, "13"), "known");
}

#[test]
fn an_answer_without_a_service_is_no_reason_to_ask_for_it_at_each_refresh() {
    let world = services(2);
    let mut source = publishing();
    let refresh = |source: &mut Source| {
        let asked = source.refresh_with(|question| match world.answer(question)? {
            Answer::Services { mut services, missing } => {
                services.retain(|service| service.arn.last_part() != "web-00");
                Ok(Answer::Services { services, missing })
            }
            answer => Ok(answer),
        });
        asked.iter().filter(|question| is_of_services(question)).count()
    };
    let counts: Vec<_> = (0..6).map(|_| refresh(&mut source)).collect();
    assert_eq!(counts, [1, 0, 1, 0, 1, 0]);
    assert_eq!((kind(&source, "00"), kind(&source, "01")), ("failed", "known"));
}

#[test]
fn a_restart_keeps_services_and_asks_for_none() {
    let mut world = services(2);
    world.add(of_service("c", "none"));
    let mut source = source_of(&world);
    let before = (labels(&source), file(&source));
    source.restart();
    assert_eq!((labels(&source), file(&source)), before);
    assert_eq!(kind(&source, "c"), "missing");
    assert_eq!(asked(&source.refresh(&world)), "");
    assert_eq!(file(&source), before.1);
}

#[test]
fn the_option_takes_effect_at_the_next_refresh_and_without_it_all_is_forgotten() {
    let world = services(2);
    let mut source = Source::default();
    source.refresh(&world);
    let without = file(&source);
    source.rules.service_tags = true;
    assert_snapshot!(calls(&source.refresh(&world)), @"
    1 DescribeServices
    1 ListClusters
    1 ListTasks
    ");
    assert_eq!(file(&source), file(&source_of(&world)));
    source.rules.service_tags = false;
    source.publish();
    assert_eq!(file(&source), without);
    assert_eq!(asked(&source.refresh(&world)), "");
    assert!(source.inventory.saved(source.scopes()).scopes[0].services.is_empty());
    source.rules.service_tags = true;
    assert_eq!(asked(&source.refresh(&world)), "web-00 web-01");
}

#[test]
fn a_new_task_that_an_event_tells_of_waits_for_its_service_as_for_its_other_facts() {
    let mut world = World::of([of_service("a", "web")]);
    world.service("web", "shop");
    let mut source = source_of(&world);
    let new = of_service("new", "api");
    world.add(new.clone());
    world.service("api", "pay");
    let (_, wish) = source.event(event(&new, 3, source.now));
    let asked = source.errand_with(wishes(wish), |question| world.answer(question));
    assert_snapshot!(calls(&asked), @"
    1 DescribeServices
    1 DescribeTasks
    ");
    assert_eq!(labels(&source), labels(&source_of(&world)));
    // One of a known service needs no call for it.
    let another = of_service("another", "api");
    world.add(another.clone());
    let (_, wish) = source.event(event(&another, 3, source.now));
    let asked = source.errand_with(wishes(wish), |question| world.answer(question));
    assert_snapshot!(calls(&asked), @"1 DescribeTasks");
    assert_eq!(labels(&source), labels(&source_of(&world)));
}

#[test]
fn a_new_task_whose_service_cannot_be_read_is_published_without_it() {
    let mut world = World::of([of_service("a", "web")]);
    let mut source = source_of(&world);
    let new = of_service("new", "api");
    world.add(new.clone());
    for kind_of_failure in [FailureKind::Denied, FailureKind::Unavailable] {
        let (_, wish) = source.event(event(&new, 3, source.now));
        source.errand_with(wishes(wish), |question| match question {
            Question::Services { .. } => Err(failure(kind_of_failure)),
            question => world.answer(question),
        });
        let is_new = |task: &TaskArn| task.last_part() == "new";
        assert!(source.snapshot.targets().into_iter().any(|target| is_new(target.task())));
        source = source_of(&World::of([of_service("a", "web")]));
    }
}
