//! Rules that read the tags of services.

use ecs_discovery::conventions::list::{Conventions, Entry};
use ecs_discovery::conventions::rule::{Ports, Rule, Value};
use ecs_discovery::derive::Rules;
use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::Question;
use insta::assert_snapshot;

use super::{finding, rule, tag, target};
use crate::fixture::{TaskFixture, World, container, fargate};
use crate::source::Source;

/// A rule whose port is a tag's, with services described.
fn source() -> Source {
    let ports = Ports::Verbatim(Value::Source(tag("metrics_port")));
    let entry = Entry::rule(Rule { path: Some(Value::Source(tag("team"))), ..rule("litsea", ports) });
    Source::with_rules(Rules {
        service_tags: true,
        conventions: Conventions::new([entry]),
        ..Rules::default()
    })
}

fn of_service(id: &str, service: &str) -> TaskFixture {
    let task = fargate().id(id).with(container("app"));
    task.task(|task| task.group = Some(format!("service:{service}").into()))
}

fn tagged(task: TaskFixture, port: &str) -> TaskFixture {
    task.task(|task| task.tags = vec![("metrics_port".into(), port.into())])
}

fn shown(source: &Source) -> String {
    let targets = source.snapshot.targets().into_iter().map(target);
    targets.chain(source.snapshot.findings().map(finding)).collect::<Vec<_>>().join("\n")
}

fn is_of_services(question: &Question) -> bool {
    matches!(question, Question::Services { .. })
}

#[test]
fn a_tag_is_the_tasks_else_the_services() {
    let mut world = World::of([tagged(of_service("a", "web"), "9102").interface("10.0.0.2")]);
    world.add(tagged(of_service("b", "none"), "9103").interface("10.0.0.3"));
    world.service("web", "shop");
    let mut source = source();
    source.refresh(&world);
    assert_snapshot!(shown(&source), @"
    litsea app 10.0.0.2:9102 /shop -
    litsea app 10.0.0.3:9103 - -
    ");
}

#[test]
fn a_service_that_could_not_be_read_is_a_reason_until_it_is_read() {
    let mut world = World::of([of_service("a", "web")]);
    let service = world.service("web", "shop");
    service.tags.push(("metrics_port".into(), "9102".into()));
    service.tags.sort();
    let mut source = source();
    source.refresh_failing(&world, FailureKind::Unavailable, is_of_services);
    assert_snapshot!(shown(&source), @"app: service unknown: litsea needs a tag that its service web may have: Unavailable");
    source.refresh(&world);
    let read = shown(&source);
    assert_snapshot!(read, @"litsea app 10.0.0.1:9102 /shop -");
    // What is known stays.
    source.refresh_failing(&world, FailureKind::Unavailable, is_of_services);
    assert_eq!(shown(&source), read);
}
