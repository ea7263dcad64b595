//! Several conventions on one container.

use ecs_discovery::conventions::list::Entry;
use ecs_discovery::conventions::rule::{Ports, Rule, Subject};
use insta::assert_snapshot;

use super::{listed, literal, of_rules, on, rule, table};
use crate::fixture::{app, container, fargate};

/// All containers, at these ports.
fn everywhere(name: &str, ports: &str) -> Rule {
    Rule { conditions: vec![on(Subject::Container, ".*")], ..rule(name, Ports::Verbatim(literal(ports))) }
}

#[test]
fn all_endpoints_count_and_the_earlier_convention_has_a_common_one() {
    let both = || {
        let app = app().maps("8080").endpoint("15s:/metrics,8080/b");
        app.label("PROMETHEUS_EXPORTER_PORT", "8080,9102").label("PROMETHEUS_EXPORTER_JOB_NAME", "j")
    };
    let of = |names: &[&str]| table(listed(names)).of(fargate(), [both()]);
    assert_snapshot!(of(&["environment", "teralytics"]), @"
    environment app 10.0.0.1:8080 /b 1m job=web
    environment app 10.0.0.1:8080 /metrics 15s job=web
    teralytics app 10.0.0.1:9102 - - job=j
    ");
    // A path that is left open is compared as /metrics.
    assert_snapshot!(of(&["teralytics", "environment"]), @"
    environment app 10.0.0.1:8080 /b 1m job=web
    teralytics app 10.0.0.1:8080 - - job=j
    teralytics app 10.0.0.1:9102 - - job=j
    ");
    // Another scheme is another endpoint.
    let app = both().label("PROMETHEUS_EXPORTER_SCHEME", "https");
    assert_snapshot!(table(listed(&["environment", "teralytics"])).of(fargate(), [app]), @"
    environment app 10.0.0.1:8080 /b 1m job=web
    environment app 10.0.0.1:8080 /metrics 15s job=web
    teralytics app https://10.0.0.1:8080 - - job=j
    teralytics app https://10.0.0.1:9102 - - job=j
    ");
}

#[test]
fn under_one_convention_the_first_container_has_an_endpoint() {
    let containers = || ["one", "two"].map(|name| container(name).label("PROMETHEUS_EXPORTER_PORT", "80"));
    assert_snapshot!(table(listed(&["teralytics"])).of(fargate(), containers()), @r#"
    teralytics one 10.0.0.1:80 - -
    two: duplicate endpoint: http://10.0.0.1:80/metrics is scraped already, for the container "one" of the same task
    "#);
    // The second container's convention is earlier.
    let two = container("two").label("PROMETHEUS_EXPORTER_PORT", "80");
    let one = container("one").label("ECS_PROMETHEUS_EXPORTER_PORT", "80");
    assert_snapshot!(table(listed(&["teralytics", "ecs_observer"])).of(fargate(), [one, two]), @r#"
    teralytics two 10.0.0.1:80 - -
    one: duplicate endpoint: http://10.0.0.1:80/metrics is scraped already, for the container "two" of the same task
    "#);
}

#[test]
fn a_taken_endpoint_is_given_up_silently_where_the_operator_chooses() {
    let containers = || ["one", "two"].map(container);
    assert_eq!(of_rules([everywhere("r", "80")]).of(fargate(), containers()), "r one 10.0.0.1:80 - -");
    let twice = [everywhere("a", "80"), everywhere("b", "80,81")];
    assert_eq!(of_rules(twice).of(fargate(), containers()), "a one 10.0.0.1:80 - -\nb one 10.0.0.1:81 - -");
}

#[test]
fn rules_of_one_name_are_one_convention() {
    let rules = [everywhere("a", "80"), everywhere("b", "81"), everywhere("a", "81")];
    assert_eq!(
        of_rules(rules).of(fargate(), [container("app")]),
        "a app 10.0.0.1:80 - -\na app 10.0.0.1:81 - -"
    );
}

#[test]
fn a_no_of_the_variables_is_the_way_out() {
    let rule = || Entry::rule(everywhere("r", "80"));
    let with = |names: &[&str]| table(std::iter::once(rule()).chain(listed(names)));
    let no = || container("app").env("PROMETHEUS", "off");
    let other = || container("other");
    let told = with(&["environment"]).of(fargate(), [no(), other()]);
    assert_snapshot!(told, @"
    r other 10.0.0.1:80 - -
    app: opted out: PROMETHEUS says no
    ");
    // PromED does not read that variable, but its own.
    assert_eq!(with(&["promed"]).of(fargate(), [no()]), "r app 10.0.0.1:80 - -");
    let told = with(&["promed"]).of(fargate(), [container("app").env("PROMETHEUS_TARGET", "0")]);
    assert_eq!(told, "app: opted out: PROMETHEUS_TARGET says no");
}

#[test]
fn a_container_has_one_problem_and_beside_a_target_warnings() {
    let both = || container("app").label("PROMETHEUS_EXPORTER_PORT", "x").label("PROMETHEUS_SCRAPES", "y");
    let conventions = || listed(&["sepich", "teralytics"]);
    assert_snapshot!(table(conventions()).of(fargate(), [both()]), @r#"app: invalid port: docker label PROMETHEUS_SCRAPES is "y"; a port is a number from 1 to 65535"#);
    let and_a_target = conventions().into_iter().chain([Entry::rule(everywhere("r", "80"))]);
    assert_snapshot!(table(and_a_target).of(fargate(), [both()]), @r#"
    r app 10.0.0.1:80 - -
    app: warning: sepich: invalid port: docker label PROMETHEUS_SCRAPES is "y"; a port is a number from 1 to 65535
    app: warning: teralytics: invalid port: docker label PROMETHEUS_EXPORTER_PORT is "x"; a port is a number from 1 to 65535
    "#);
}
