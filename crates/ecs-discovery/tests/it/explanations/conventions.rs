//! What each convention says of a container, and hints at those that are not turned on.

use ecs_discovery::conventions::builtin::builtin;
use ecs_discovery::conventions::list::{Conventions, Entry};
use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Subject, Value};
use ecs_discovery::derive::Rules;
use insta::assert_snapshot;

use super::{told, whole, whole_by};
use crate::fixture::{TaskFixture, container, ec2, fargate};

fn chosen(name: &str, line: usize, subject: Subject, pattern: &str, port: &str) -> Entry {
    Entry::rule(Rule {
        place: Some(format!("config.yml:{line}").into()),
        conditions: vec![Condition { subject, pattern: Pattern::new(pattern).unwrap() }],
        ..Rule::new(name, Ports::Container(Value::Literal(port.into())))
    })
}

fn rules() -> Rules {
    let mut entries = builtin("teralytics").unwrap();
    entries.push(chosen("nginx", 4, Subject::Service, "nginx-.*", "8080"));
    entries.push(chosen("jmx", 9, Subject::Container, ".*", "9404,9406"));
    entries.extend(builtin("environment").unwrap());
    Rules { conventions: Conventions::new(entries), ..Rules::default() }
}

fn by(fixture: TaskFixture) -> String {
    told(&whole_by(rules(), fixture))
}

#[test]
fn each_convention_has_its_line_in_the_order_of_the_list() {
    let web = container("web").maps("8080").label("PROMETHEUS_EXPORTER_PORT", "8080");
    let web = web.label("PROMETHEUS_EXPORTER_PATH", "actuator");
    let of_service = |task: TaskFixture| task.task(|task| task.group = Some("service:shop".into()));
    assert_snapshot!(by(of_service(fargate()).with(web)), @r#"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    web: 1 target
      teralytics
        PROMETHEUS_EXPORTER_PORT=8080      dockerLabels  asks for container port 8080
        PROMETHEUS_EXPORTER_PATH=actuator  dockerLabels  the path
      nginx (config.yml:4): not meant, the service is shop, which nginx-.* does not match
      jmx (config.yml:9): not meant, it maps none of the container ports 9404, 9406
      environment: not asked, PROMETHEUS is not set

      http://10.0.0.1:8080/actuator
        convention  teralytics
        interval    the scrape job's own, since teralytics names none
        address     the IPv4 address of its task's network interface
        port        the container port that the docker label PROMETHEUS_EXPORTER_PORT names

    1 target
    "#);
}

#[test]
fn an_endpoint_of_an_earlier_convention_and_a_no_are_told() {
    let both = container("app").env("PROMETHEUS", "true").label("PROMETHEUS_EXPORTER_PORT", "80");
    let no = container("no").env("PROMETHEUS", "no").label("PROMETHEUS_EXPORTER_PORT", "81");
    assert_snapshot!(by(fargate().with(both.maps("80")).with(no)), @r#"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      teralytics
        PROMETHEUS_EXPORTER_PORT=80  dockerLabels  asks for container port 80
      nginx (config.yml:4): not meant, its task has no service
      jmx (config.yml:9): not meant, it maps none of the container ports 9404, 9406
      environment: the same endpoint as teralytics's
        PROMETHEUS=true  environment  opts in

      http://10.0.0.1:80/metrics
        convention  teralytics
        interval    the scrape job's own, since teralytics names none
        address     the IPv4 address of its task's network interface
        port        the container port that the docker label PROMETHEUS_EXPORTER_PORT names

    no: not scraped, opted out
      teralytics: not looked at, PROMETHEUS says no
      nginx (config.yml:4): not looked at, PROMETHEUS says no
      jmx (config.yml:9): not looked at, PROMETHEUS says no
      environment: PROMETHEUS says no
        PROMETHEUS=no  environment  opts out
      why         PROMETHEUS says no
      what to do  nothing, or set the variable to true

    1 target, 1 container not scraped
    "#);
}

#[test]
fn a_host_port_that_a_label_names_is_told() {
    let app = container("app")
        .maps("8080")
        .binds("0.0.0.0 18080 -> 8080")
        .label("PROMETHEUS_EXPORTER_PORT", "18080");
    let told = by(ec2("bridge").with(app));
    let port = told.lines().find(|line| line.starts_with("    port")).unwrap();
    assert_snapshot!(port, @r#"    port        18080 is no container port, but the host port of container port 8080"#);
}

#[test]
fn a_convention_that_is_not_turned_on_is_hinted_at() {
    let labelled = |name: &str| container("app").label(name, "8080");
    let hint = |container| {
        let told = whole(fargate().with(container));
        told.lines().find(|line| line.starts_with("  hint:")).unwrap_or_default().to_owned()
    };
    assert_snapshot!(hint(labelled("PROMETHEUS_EXPORTER_PORT")), @r#"  hint: teralytics is not turned on, but the docker label PROMETHEUS_EXPORTER_PORT is set; --convention teralytics turns it on"#);
    assert_snapshot!(hint(labelled("PROMETHEUS_SCRAPES")), @r#"  hint: sepich is not turned on, but the docker label PROMETHEUS_SCRAPES is set; --convention sepich turns it on"#);
    assert_snapshot!(hint(labelled("ECS_PROMETHEUS_EXPORTER_PORT")), @r#"  hint: cloudwatch_agent is not turned on, but the docker label ECS_PROMETHEUS_EXPORTER_PORT is set; --convention cloudwatch_agent turns it on"#);
    assert_snapshot!(hint(labelled("PROMETHEUS_EXPORTER_PATH")), @"");
    assert_snapshot!(hint(labelled("PROMETHEUS_SCRAPES").env("PROMETHEUS", "true")), @"");
    let turned_on = whole_by(rules(), fargate().with(labelled("PROMETHEUS_EXPORTER_PORT")));
    assert!(!turned_on.contains("hint:"), "{turned_on}");
}
