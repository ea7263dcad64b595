//! Who is scraped at all: three places to opt in, and the words that say no.

use insta::assert_snapshot;

use crate::fixture::{app, container, fargate};
use crate::show::{published, visible_labels};

#[test]
fn a_container_opts_in_with_any_value_that_does_not_say_no() {
    let check = |value: &str| published(fargate().with(container("app").env("PROMETHEUS", value)));
    assert_snapshot!(check("true"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("1"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("yes"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("anything"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("false"), @"app: opted out");
    assert_snapshot!(check("False"), @"app: opted out");
    assert_snapshot!(check("0"), @"app: opted out");
    assert_snapshot!(check("no"), @"app: opted out");
    assert_snapshot!(check("NO"), @"app: opted out");
    assert_snapshot!(check("oFF"), @"app: opted out");
    assert_snapshot!(check(""), @"");
}

#[test]
fn a_container_that_sets_nothing_is_neither_scraped_nor_found_fault_with() {
    assert_snapshot!(published(fargate().with(container("app").maps("8080"))), @"");
    assert_snapshot!(published(fargate().with(container("app").env("PROMETHEUS_PORT", "99999"))), @"");
    assert_snapshot!(published(fargate().with(container("app").env("prometheus", "true"))), @"");
}

#[test]
fn of_label_environment_and_override_the_later_wins() {
    let check = |label: &str, environment: &str, overriding: &str| {
        let mut fixture = container("app");
        if label != "-" {
            fixture = fixture.label("PROMETHEUS", label);
        }
        if environment != "-" {
            fixture = fixture.env("PROMETHEUS", environment);
        }
        if overriding != "-" {
            fixture = fixture.overriding("PROMETHEUS", overriding);
        }
        published(fargate().with(fixture))
    };
    assert_snapshot!(check("true", "-", "-"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("-", "-", "true"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("true", "false", "-"), @"app: opted out");
    assert_snapshot!(check("false", "true", "-"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("-", "true", "false"), @"app: opted out");
    assert_snapshot!(check("false", "off", "true"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("true", "", "-"), @"");
    assert_snapshot!(check("true", "true", ""), @"");
}

#[test]
fn each_name_is_overridden_for_itself() {
    let fixture = container("app")
        .label("PROMETHEUS", "true")
        .label("PROMETHEUS_PORT", "1001")
        .label("PROMETHEUS_ENDPOINT", "/label")
        .env("PROMETHEUS_ENDPOINT", "/environment")
        .env("PROMETHEUS_TAGS", ",from=environment,")
        .overriding("PROMETHEUS_TAGS", ",from=override,");
    assert_snapshot!(published(fargate().with(fixture.clone())), @"app 10.0.0.1:1001/environment 1m");
    assert_snapshot!(visible_labels(fargate().with(fixture)), @"
    ecs_cluster=prod
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.1:1001
    job=web
    metrics_path=/environment
    tags=,from=override,
    ");
}

#[test]
fn an_override_of_one_container_is_no_other_containers() {
    let fixture = fargate()
        .with(app().overriding("PROMETHEUS_PORT", "1001"))
        .with(container("sidecar").env("PROMETHEUS", "true"));
    assert_snapshot!(published(fixture), @"
    sidecar 10.0.0.1:80/metrics 1m
    app 10.0.0.1:1001/metrics 1m
    ");
}

#[test]
fn several_containers_of_a_task_opt_in_each_for_itself() {
    let fixture = fargate()
        .with(container("web").env("PROMETHEUS", "true").maps("8080"))
        .with(container("quiet").maps("9000"))
        .with(container("refused").env("PROMETHEUS", "false"))
        .with(container("exporter").env("PROMETHEUS", "true").maps("9102"));
    assert_snapshot!(published(fixture), @"
    web 10.0.0.1:8080/metrics 1m
    exporter 10.0.0.1:9102/metrics 1m
    refused: opted out
    ");
}

#[test]
fn an_empty_variable_is_as_good_as_none() {
    let fixture = app()
        .env("PROMETHEUS_ENDPOINT", "")
        .env("PROMETHEUS_PORT", "")
        .env("PROMETHEUS_CONTAINER_PORT", "9102")
        .env("PROMETHEUS_SCHEME", "")
        .env("PROMETHEUS_NOLABELS", "");
    assert_snapshot!(published(fargate().with(fixture)), @"app 10.0.0.1:9102/metrics 1m");
}

#[test]
fn the_scheme_is_http_or_https() {
    let check = |scheme: &str| published(fargate().with(app().env("PROMETHEUS_SCHEME", scheme)));
    assert_snapshot!(check("http"), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("https"), @"app https://10.0.0.1:80/metrics 1m");
    assert_snapshot!(check("gopher"), @"app: invalid endpoint");
}
