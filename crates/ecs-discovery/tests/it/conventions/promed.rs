//! The variables as PromED reads them.

use insta::assert_snapshot;

use super::{listed, table};
use crate::fixture::{ContainerFixture, container, fargate};

fn check(app: ContainerFixture) -> String {
    table(listed(&["promed"])).of(fargate(), [app.maps("8080")])
}

fn app() -> ContainerFixture {
    container("app").env("PROMETHEUS_TARGET", "true")
}

#[test]
fn another_variable_opts_in() {
    assert_snapshot!(check(app()), @"promed app 10.0.0.1:8080 /metrics - job=web");
    assert_eq!(check(container("app").env("PROMETHEUS", "true")), "");
    assert_eq!(check(app().overriding("PROMETHEUS_TARGET", "")), "");
    assert_snapshot!(check(app().overriding("PROMETHEUS_TARGET", "No")), @"app: opted out: PROMETHEUS_TARGET says no");
    assert_snapshot!(check(container("app").label("PROMETHEUS_TARGET", "x")), @"promed app 10.0.0.1:8080 /metrics - job=web");
}

#[test]
fn an_interval_that_is_not_offered_is_none() {
    assert_snapshot!(check(app().endpoint("15s:/a,20s:/b,/c")), @"
    promed app 10.0.0.1:8080 /a 15s job=web
    promed app 10.0.0.1:8080 /b - job=web
    promed app 10.0.0.1:8080 /c - job=web
    app: warning: promed: PROMETHEUS_ENDPOINT asks for the interval 20s, which is not offered (15s, 30s, 1m, 5m); it gets none
    ");
}

#[test]
fn custom_labels_are_those_of_variables_and_before_them_of_a_docker_label() {
    let app = app()
        .env("PROMETHEUS_LABEL_TEAM", "variable")
        .env("PROMETHEUS_LABEL_Stage", "prod")
        .env("PROMETHEUS_LABEL_", "nameless")
        .label("promed.custom_labels", "team=label,x=y");
    assert_snapshot!(check(app.clone()), @"promed app 10.0.0.1:8080 /metrics - job=web custom_stage=prod custom_team=label custom_x=y");
    // They stay under NOLABELS.
    for yes in ["true", "1", "anything"] {
        let told = check(app.clone().env("PROMETHEUS_NOLABELS", yes));
        assert!(told.ends_with("custom_stage=prod custom_team=label custom_x=y"), "{told}");
    }
}

#[test]
fn no_labels_counts_with_any_value_that_is_not_a_no() {
    let has_labels = |value: &str| {
        let mut source = crate::source::Source::with_rules(table(listed(&["promed"])).rules);
        let names = source.rules.conventions.names().clone();
        let task = fargate().names(&names).with(app().maps("8080").env("PROMETHEUS_NOLABELS", value));
        source.refresh(&crate::fixture::World::of([task]));
        let targets = source.snapshot.targets();
        targets[0].labels().value("ecs_cluster").is_some()
    };
    for no in ["", "false", "0", "No", "off"] {
        assert!(has_labels(no), "{no}");
    }
    for yes in ["true", "1", "yes", "x"] {
        assert!(!has_labels(yes), "{yes}");
    }
}
