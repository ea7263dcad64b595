//! The rule language: conditions, sources, and what a rule leaves to the scrape job.

use ecs_discovery::conventions::rule::{Pattern, Ports, Rule, Subject, Value};
use ecs_discovery::interval::Intervals;
use ecs_discovery::model::Names;
use insta::assert_snapshot;

use super::{label, literal, of_rules, on, rule, tag, variable};
use crate::fixture::{ContainerFixture, TaskFixture, app, container, fargate, tags};

/// Whether a task of the service `shop` and the family `web` in the cluster `prod` meets a condition.
fn meets(subject: Subject, pattern: &str) -> bool {
    let rule = Rule { conditions: vec![on(subject, pattern)], ..rule("r", Ports::Verbatim(literal("80"))) };
    let task = fargate().task(|task| {
        task.group = Some("service:shop".into());
        task.tags = tags(&[("team", "a"), ("empty", " ")]);
    });
    let task = task.definition(|definition| definition.tags = tags(&[("team", "b"), ("empty", "full")]));
    let app = container("app").label("l", " yes ").env("E", "set").env("O", "x").overriding("O", "");
    of_rules([rule]).of(task, [app]) == "r app 10.0.0.1:80 - -"
}

#[test]
fn a_pattern_matches_the_whole_text() {
    for (subject, text) in [
        (Subject::Cluster, "prod"),
        (Subject::Container, "app"),
        (Subject::Family, "web"),
        (Subject::Service, "shop"),
        (Subject::Source(label("l")), "yes"),
        (Subject::Source(variable("E")), "set"),
        (Subject::Source(tag("team")), "a"),
        (Subject::Source(tag("empty")), "full"),
    ] {
        let part = format!("{}.", &text[..text.len() - 1]);
        for pattern in
            [text, ".+", ".*", &part, &format!("{text}|x"), &format!("x|{text}"), &format!("^{text}$")]
        {
            assert!(meets(subject.clone(), pattern), "{subject} {pattern}");
        }
        for pattern in ["", &text[..text.len() - 1], &text[1..], &text.to_uppercase(), &format!("{text}.")] {
            assert!(!meets(subject.clone(), pattern), "{subject} {pattern}");
        }
    }
    assert!(meets(Subject::TaskDefinition, "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7"));
    assert!(meets(Subject::TaskDefinition, ".*/web:[0-9]+") && !meets(Subject::TaskDefinition, ".*/web"));
}

#[test]
fn an_absent_text_is_empty() {
    for subject in [label("x"), variable("x"), variable("O"), tag("x")].map(Subject::Source) {
        assert!(meets(subject.clone(), "") && meets(subject.clone(), ".*"), "{subject}");
        assert!(!meets(subject.clone(), ".+"), "{subject}");
    }
    let everywhere = |pattern| Rule {
        conditions: vec![on(Subject::Service, pattern)],
        ..rule("r", Ports::Verbatim(literal("80")))
    };
    // A task without a service.
    assert_eq!(of_rules([everywhere(".+")]).of(fargate(), [container("app")]), "");
    assert_eq!(of_rules([everywhere("")]).of(fargate(), [container("app")]), "r app 10.0.0.1:80 - -");
}

#[test]
fn all_conditions_must_hold() {
    let both = |service| Rule {
        conditions: vec![on(Subject::Container, "app"), on(Subject::Service, service)],
        ..rule("r", Ports::Verbatim(literal("80")))
    };
    let task = || fargate().task(|task| task.group = Some("service:shop".into()));
    assert_eq!(
        of_rules([both("shop")]).of(task(), [container("app"), container("x")]),
        "r app 10.0.0.1:80 - -"
    );
    assert_eq!(of_rules([both("x")]).of(task(), [container("app")]), "");
}

/// A rule that reads everything from sources.
fn reading() -> Rule {
    Rule {
        path: Some(Value::Source(variable("P"))),
        scheme: Some(Value::Source(label("scheme"))),
        interval: Some(Value::Source(tag("interval"))),
        job: Some(Value::Source(tag("job"))),
        labels: Some(tag("labels")),
        ..rule("r", Ports::Verbatim(Value::Source(label("port"))))
    }
}

fn tagged(pairs: &[(&str, &str)]) -> TaskFixture {
    fargate().task(|task| task.tags = tags(pairs))
}

#[test]
fn what_a_rule_leaves_open_is_left_to_the_scrape_job() {
    let check = |task: TaskFixture, app: ContainerFixture| of_rules([reading()]).of(task, [app]);
    let port = || container("app").label("port", "80");
    assert_eq!(check(fargate(), port()), "r app 10.0.0.1:80 - -");
    let task = tagged(&[("interval", " 15s "), ("job", " shop "), ("labels", "a=b, é=c")]);
    assert_eq!(
        check(task, port().label("scheme", "Http").env("P", "m").overriding("P", "n?x=y")),
        "r app http://10.0.0.1:80 /n?x=y 15s job=shop custom__=c custom_a=b"
    );
    // Absent and empty are the same.
    let empty = tagged(&[("interval", " "), ("job", ""), ("labels", " ")]);
    assert_eq!(check(empty, port().label("scheme", "").env("P", " ")), "r app 10.0.0.1:80 - -");
    assert_eq!(check(fargate(), container("app").label("port", " ")), "");
    assert_snapshot!(check(tagged(&[("interval", "often")]), port()), @r#"
    r app 10.0.0.1:80 - -
    app: warning: r: tag interval is "often", which is not an interval (15s, 30s, 1m, 5m); none counts
    "#);
}

#[test]
fn the_list_of_labels_goes_before_the_keys_and_after_an_item() {
    let rule = || Rule {
        path: Some(literal("/key")),
        scheme: Some(literal("http")),
        interval: Some(literal("5m")),
        labels: Some(label("labels")),
        ..rule("r", Ports::Verbatim(Value::Source(label("port"))))
    };
    let app = |labels| container("app").label("port", "80, 30s:81/item").label("labels", labels);
    assert_snapshot!(of_rules([rule()]).of(fargate(), [app("")]), @"
    r app http://10.0.0.1:80 /key 5m
    r app http://10.0.0.1:81 /item 30s
    ");
    let labels = "__metrics_path__=/label,__scheme__=https,__scrape_interval__=15s";
    assert_snapshot!(of_rules([rule()]).of(fargate(), [app(labels)]), @"
    r app https://10.0.0.1:80 /label 15s
    r app https://10.0.0.1:81 /item 30s
    ");
}

#[test]
fn a_secret_that_a_rule_needs_is_a_warning() {
    let secret = || {
        let mut app = container("app");
        app.definition.secrets = vec!["PORT".into()];
        app
    };
    let needing = rule("r", Ports::Verbatim(Value::Source(variable("PORT"))));
    assert_snapshot!(of_rules([needing]).of(fargate(), [secret()]), @"app: warning: r: PORT comes from secrets, which cannot be read; set it in environment");
}

#[test]
fn a_rule_does_not_apply_to_what_was_read_without_its_variables() {
    let rule = || rule("r", Ports::Verbatim(Value::Source(variable("PORT"))));
    let app = || container("app").env("PORT", "80");
    let table = of_rules([rule()]);
    assert_eq!(table.of(fargate(), [app()]), "r app 10.0.0.1:80 - -");
    assert_eq!(table.published(fargate().names(&Names::default()).with(app())), "");
}

#[test]
fn the_variables_are_not_looked_at_unless_they_are_turned_on() {
    let all =
        Rule { conditions: vec![on(Subject::Container, ".*")], ..rule("r", Ports::Verbatim(literal("80"))) };
    let no = container("app").env("PROMETHEUS", "false");
    assert_eq!(of_rules([all.clone()]).of(fargate(), [no]), "r app 10.0.0.1:80 - -");
    assert_eq!(of_rules([all]).of(fargate(), [app().endpoint("9000/x")]), "r app 10.0.0.1:80 - -");
}

#[test]
fn what_could_never_be_used_is_a_mistake() {
    let ports: Vec<_> = (1..=65).map(|port: u16| port.to_string()).collect();
    let wrong = Rule {
        conditions: vec![on(Subject::TaskDefinition, "web")],
        path: Some(literal("http://x")),
        scheme: Some(literal("ftp")),
        interval: Some(literal("7s")),
        ..rule("Name", Ports::Container(literal(&ports.join(","))))
    };
    let told = |rule: &Rule| {
        let mistakes = rule.mistakes(&Intervals::default());
        mistakes.into_iter().map(|(key, text)| format!("{key}: {text}")).collect::<Vec<_>>().join("\n")
    };
    assert_snapshot!(told(&wrong), @r#"
    name: "Name" is not a name; use lower-case letters, digits, _ and -, beginning with a letter or digit, at most 63
    container_port: there are 65 ports; use up to 64
    path: the path has "http://…", which looks like a URL; write a path, such as /metrics
    scheme: the scheme is "ftp"; it can be http or https
    interval: the interval asks for the interval 7s, which is not offered (15s, 30s, 1m, 5m)
    match.task_definition: "web" matches no ARN; use family, or a pattern such as .*/web:.*
    "#);
    for pattern in [".*web", "arn:x", "[^x]+", "\\S+"] {
        let rule = Rule { conditions: vec![on(Subject::TaskDefinition, pattern)], ..rule("a", Ports::First) };
        assert_eq!(told(&rule), "", "{pattern}");
    }
    assert_snapshot!(told(&rule("a", Ports::Verbatim(literal("7s:80, x, 81:")))), @r#"
    port: the port asks for the interval 7s, which is not offered (15s, 30s, 1m, 5m)
    port: the port is "x"; a port is a number from 1 to 65535
    port: the port has "81:", without a path; write 81, or 81:/metrics
    match: the rule would scrape every container; write match: {container: .*} if that is meant
    "#);
    for name in ["a", "0-_", &"a".repeat(63)] {
        assert_eq!(told(&rule(name, Ports::Verbatim(Value::Source(tag("PORT"))))), "", "{name}");
    }
    for name in ["", "_a", "-a", "A", "a b", "ä", &"a".repeat(64)] {
        assert!(
            told(&rule(name, Ports::Verbatim(Value::Source(tag("PORT"))))).starts_with("name: "),
            "{name}"
        );
    }
}

#[test]
fn a_pattern_is_short_and_says_where_it_is_wrong() {
    let refused = |text: &str| Pattern::new(text).unwrap_err();
    assert_eq!(
        refused("*a"),
        "uncounted repetition operator must be applied to a sub-expression, at column 1"
    );
    assert_eq!(refused("(a"), "found open group without closing ')', at column 1");
    assert_eq!(refused(&"a".repeat(1025)), "the pattern has 1025 bytes; it can have 1024");
    assert!(refused("((a{100}){100}){100}").contains("size"));
    assert!(Pattern::new(&"a".repeat(1024)).is_ok());
    // Prometheus's patterns match line ends too.
    assert!(Pattern::new("a.b").unwrap().matches("a\nb"));
}
