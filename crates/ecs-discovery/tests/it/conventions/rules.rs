//! The rule language: conditions, sources, and what a rule leaves to the scrape job.

use ecs_discovery::conventions::rule::{Ports, Rule, Subject, Value};
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
