//! Ports: their grammar, and network mode × port key × origin of the port.

use ecs_discovery::conventions::rule::{Ports, Rule, Subject, Value};
use insta::assert_snapshot;

use super::{label, literal, of_rules, on, rule, tag};
use crate::fixture::{ContainerFixture, TaskFixture, container, ec2, fargate, tags};

/// The result for a port in a docker label.
fn written(text: &str) -> String {
    let table = of_rules([rule("r", Ports::Container(Value::Source(label("PORT"))))]);
    table.of(fargate(), [container("app").label("PORT", text)]).replace("r app 10.0.0.1:", "")
}

#[test]
fn ports_are_written_in_one_grammar() {
    for (text, expected) in [
        ("80", "80 - -"),
        (" 80 ,, 81 , ", "80 - -\n81 - -"),
        ("80/m", "80 /m -"),
        ("80:/m", "80 /m -"),
        (" 80 : /m?a=b ", "80 /m?a=b -"),
        ("30s:80", "80 - 30s"),
        ("60s : 80 /m", "80 /m 1m"),
        ("1m:80:/m", "80 /m 1m"),
        ("80/a,80/b", "80 /a -\n80 /b -"),
        ("80,80", "80 - -"),
        ("80/:x", "80 /:x -"),
        ("", ""),
        (" ", ""),
        ("65535", "65535 - -"),
    ] {
        assert_eq!(written(text), expected, "{text:?}");
    }
}

#[test]
fn a_bad_item_is_a_problem_for_itself_alone() {
    for text in ["0", "65536", "-1", "+80", "http", "80m", "30:80", "/metrics", ":80", ",", "8 0", "0:80"] {
        let told = written(text);
        assert!(told.starts_with("app: invalid port: docker label PORT is "), "{text:?}: {told}");
    }
    for text in ["80:", "30s:80:", "80/m?=x", "80/m?a=1&a=2"] {
        let told = written(text);
        assert!(told.starts_with("app: invalid endpoint: "), "{text:?}: {told}");
    }
    assert_snapshot!(written("http, 80"), @r#"
    80 - -
    app: warning: r: invalid port: docker label PORT is "http"; a port is a number from 1 to 65535
    "#);
    assert_snapshot!(written("7s:80"), @"
    80 - -
    app: warning: r: docker label PORT asks for the interval 7s, which is not offered (15s, 30s, 1m, 5m); none counts
    ");
}

#[test]
fn sixty_four_items_count() {
    let ports: Vec<_> = (1..=70).map(|port: u16| port.to_string()).collect();
    let told = written(&ports.join(","));
    assert_eq!(told.lines().count(), 65);
    assert_snapshot!(told.lines().last().unwrap(), @"app: warning: r: docker label PORT names more than 64 ports; the last 6 are ignored");
}

/// A container that maps 8080 and 9000-9001, and where ports are published, binds them.
fn mapped(task: TaskFixture, rule: Rule, change: impl Fn(ContainerFixture) -> ContainerFixture) -> String {
    let mode = task.definition.as_ref().unwrap().network_mode.as_str().to_owned();
    let mut app = change(container("app").maps("53/udp").maps("8080").maps("9000-9001"));
    if mode == "bridge" || mode == "default" {
        app = app.binds("0.0.0.0 32768 -> 8080").binds("0.0.0.0 40000-40001 -> 9000-9001");
    }
    let told = of_rules([rule]).of(task, [app]);
    format!("{mode}: {}", told.replace("r app ", ""))
}

fn in_each_mode(rule: impl Fn() -> Rule, change: impl Fn(ContainerFixture) -> ContainerFixture) -> String {
    let tagged = |task: TaskFixture| task.task(|task| task.tags = tags(&[("PORT", "9001,53,1234")]));
    let tasks = [fargate(), ec2("host"), ec2("bridge"), ec2("default")];
    tasks.map(|task| mapped(tagged(task), rule(), &change)).join("\n")
}

#[test]
fn a_container_port_of_a_docker_label_needs_a_binding_only_where_ports_are_published() {
    let rule = || rule("r", Ports::Container(Value::Source(label("PORT"))));
    let port = |text: &'static str| move |app: ContainerFixture| app.label("PORT", text);
    assert_snapshot!(in_each_mode(rule, port("9001")), @"
    awsvpc: 10.0.0.1:9001 - -
    host: 10.0.9.9:9001 - -
    bridge: 10.0.9.9:40001 - -
    default: 10.0.9.9:40001 - -
    ");
    // The host port of a binding counts too; else there is a reason.
    assert_snapshot!(in_each_mode(rule, port("32768")), @"
    awsvpc: 10.0.0.1:32768 - -
    host: 10.0.9.9:32768 - -
    bridge: 10.0.9.9:32768 - -
    default: 10.0.9.9:32768 - -
    ");
    assert_snapshot!(in_each_mode(rule, port("1234")), @"
    awsvpc: 10.0.0.1:1234 - -
    host: 10.0.9.9:1234 - -
    bridge: app: port not published: its container port 1234 is not published on the host; map it
    default: app: port not published: its container port 1234 is not published on the host; map it
    ");
}

#[test]
fn a_container_port_of_the_operator_is_looked_up_in_the_definition() {
    let literals = || Rule {
        conditions: vec![on(Subject::Container, "app")],
        ..rule("r", Ports::Container(literal("9001, 53, 1234")))
    };
    let expected = "\
awsvpc: 10.0.0.1:9001 - -
host: 10.0.9.9:9001 - -
bridge: 10.0.9.9:40001 - -
default: 10.0.9.9:40001 - -";
    assert_eq!(in_each_mode(literals, |app| app), expected);
    let tagged = || rule("r", Ports::Container(Value::Source(tag("PORT"))));
    assert_eq!(in_each_mode(tagged, |app| app), expected);
    // The container asks, by a condition: then a missing mapping has a reason.
    let asked = || Rule {
        conditions: vec![on(Subject::Source(label("scrape")), "yes")],
        ..rule("r", Ports::Container(literal("1234")))
    };
    let yes = |app: ContainerFixture| app.label("scrape", "yes");
    assert_snapshot!(in_each_mode(asked, yes), @"
    awsvpc: app: port not published: its definition maps no TCP port 1234; map it
    host: app: port not published: its definition maps no TCP port 1234; map it
    bridge: app: port not published: its definition maps no TCP port 1234; map it
    default: app: port not published: its definition maps no TCP port 1234; map it
    ");
    // Not by one that the empty text meets.
    let open = || Rule {
        conditions: vec![on(Subject::Source(label("scrape")), "yes|")],
        ..rule("r", Ports::Container(literal("1234")))
    };
    assert_eq!(in_each_mode(open, yes), "awsvpc: \nhost: \nbridge: \ndefault: ");
}

#[test]
fn a_port_is_used_as_it_is() {
    let all = || Rule {
        conditions: vec![on(Subject::Container, ".*")],
        ..rule("r", Ports::Verbatim(literal("1234/m")))
    };
    assert_snapshot!(in_each_mode(all, |app| app), @"
    awsvpc: 10.0.0.1:1234 /m -
    host: 10.0.9.9:1234 /m -
    bridge: 10.0.9.9:1234 /m -
    default: 10.0.9.9:1234 /m -
    ");
}

#[test]
fn without_a_port_key_it_is_the_first_tcp_mapping() {
    let first = || Rule { conditions: vec![on(Subject::Container, ".*")], ..rule("r", Ports::First) };
    assert_snapshot!(in_each_mode(first, |app| app), @"
    awsvpc: 10.0.0.1:8080 - -
    host: 10.0.9.9:8080 - -
    bridge: 10.0.9.9:32768 - -
    default: 10.0.9.9:32768 - -
    ");
    // A container that maps none is not meant.
    assert_eq!(of_rules([first()]).of(ec2("bridge"), [container("app").maps("53/udp")]), "");
}
