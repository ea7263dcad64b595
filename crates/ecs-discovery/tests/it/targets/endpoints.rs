//! The grammar of `PROMETHEUS_ENDPOINT`.

use ecs_discovery::derive::Rules;
use ecs_discovery::interval::Intervals;
use insta::assert_snapshot;

use crate::fixture::{World, app, container, ec2, fargate};
use crate::show::{labels, published, scope};
use crate::source::Source;

fn check(endpoint: &str) -> String {
    published(fargate().with(app().maps("8080").endpoint(endpoint)))
}

#[test]
fn an_endpoint_is_a_path_with_or_without_an_interval() {
    assert_snapshot!(check("/metrics"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check("15s:/metrics"), @"app 10.0.0.1:8080/metrics 15s");
    assert_snapshot!(check("30s:/metrics"), @"app 10.0.0.1:8080/metrics 30s");
    assert_snapshot!(check("5m:/actuator/prometheus"), @"app 10.0.0.1:8080/actuator/prometheus 5m");
    assert_snapshot!(check("/"), @"app 10.0.0.1:8080/ 1m");
}

#[test]
fn a_path_gets_the_leading_slash_that_it_lacks() {
    assert_snapshot!(check("metrics"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check("30s:metrics"), @"app 10.0.0.1:8080/metrics 30s");
    assert_snapshot!(check("v1/metrics"), @"app 10.0.0.1:8080/v1/metrics 1m");
}

#[test]
fn endpoints_are_separated_by_commas() {
    assert_snapshot!(check("30s:/metrics,5m:/slow"), @"
    app 10.0.0.1:8080/metrics 30s
    app 10.0.0.1:8080/slow 5m
    ");
    assert_snapshot!(check("/metrics,"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check(",,/metrics,,"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check(","), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check(" , "), @"app 10.0.0.1:8080/metrics 1m");
}

#[test]
fn white_space_around_an_endpoint_and_its_parts_is_ignored() {
    assert_snapshot!(check(" /metrics "), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check("\t30s : /metrics ,\n 5m:/slow "), @"
    app 10.0.0.1:8080/metrics 30s
    app 10.0.0.1:8080/slow 5m
    ");
    assert_snapshot!(check(" 30s : 9102 /metrics "), @"app 10.0.0.1:9102/metrics 30s");
}

#[test]
fn only_what_parses_as_a_duration_is_an_interval() {
    assert_snapshot!(check("/v1:metrics"), @"app 10.0.0.1:8080/v1:metrics 1m");
    assert_snapshot!(check("v1:/metrics"), @"app 10.0.0.1:8080/v1:/metrics 1m");
    assert_snapshot!(check("30s:/a:b"), @"app 10.0.0.1:8080/a:b 30s");
    assert_snapshot!(check("30s:15s:/metrics"), @"app 10.0.0.1:8080/15s:/metrics 30s");
    assert_snapshot!(check("15:/metrics"), @"app 10.0.0.1:8080/15:/metrics 1m");
    assert_snapshot!(check("1.5m:/metrics"), @"app 10.0.0.1:8080/1.5m:/metrics 1m");
    assert_snapshot!(check("30s1m:/metrics"), @"app 10.0.0.1:8080/30s1m:/metrics 1m");
    assert_snapshot!(check("x30s:/metrics"), @"app 10.0.0.1:8080/x30s:/metrics 1m");
}

#[test]
fn intervals_are_compared_by_their_length() {
    assert_snapshot!(check("60s:/metrics"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check("0m30s:/metrics"), @"app 10.0.0.1:8080/metrics 30s");
    assert_snapshot!(check("30000ms:/metrics"), @"app 10.0.0.1:8080/metrics 30s");
    assert_snapshot!(check("4m60s:/metrics"), @"app 10.0.0.1:8080/metrics 5m");
}

#[test]
fn an_interval_that_is_not_offered_gets_the_default_and_a_warning() {
    assert_snapshot!(check("45s:/metrics"), @"
    app 10.0.0.1:8080/metrics 1m
    app: warning
    ");
    assert_snapshot!(check("1m30s:/metrics,15s:/fast"), @"
    app 10.0.0.1:8080/fast 15s
    app 10.0.0.1:8080/metrics 1m
    app: warning
    ");
}

#[test]
fn the_operator_chooses_intervals_and_default() {
    let check = |endpoint: &str| {
        let intervals = Intervals::new(&["10s", "2m"], "10s").unwrap();
        let mut source = Source::with_rules(Rules { intervals, ..Rules::default() });
        source.refresh(&World::of([fargate().with(app().endpoint(endpoint))]));
        scope(source.scope("prod"))
    };
    assert_snapshot!(check("/metrics"), @"app 10.0.0.1:80/metrics 10s");
    assert_snapshot!(check("120s:/metrics"), @"app 10.0.0.1:80/metrics 2m");
    assert_snapshot!(check("1m:/metrics"), @"
    app 10.0.0.1:80/metrics 10s
    app: warning
    ");
}

#[test]
fn a_query_travels_as_parameters() {
    assert_snapshot!(check("/metrics?format=x&a=b"), @"app 10.0.0.1:8080/metrics?a=b&format=x 1m");
    assert_snapshot!(check("15s:/probe?target=https://example.com:443/x"), @"app 10.0.0.1:8080/probe?target=https://example.com:443/x 15s");
    assert_snapshot!(check("/metrics?"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(check("?a=b"), @"app 10.0.0.1:8080/?a=b 1m");
    let fixture = fargate().with(app().endpoint("/metrics?format=x&a=b"));
    assert_snapshot!(labels(fixture.clone(), "__param_"), @"
    __param_a=b
    __param_format=x
    ");
    assert_snapshot!(labels(fixture, "__metrics_path__"), @"__metrics_path__=/metrics");
}

#[test]
fn a_parameter_is_decoded_since_prometheus_encodes_it_again() {
    assert_snapshot!(check("/probe?module=a%20b&x=1%2B1"), @"app 10.0.0.1:8080/probe?module=a b&x=1+1 1m");
}

#[test]
fn a_parameter_that_no_label_can_carry_is_an_invalid_endpoint() {
    assert_snapshot!(check("/federate?match[]=up"), @"app: invalid endpoint");
    assert_snapshot!(check("/federate?match%5B%5D=up,/metrics"), @"
    app 10.0.0.1:8080/metrics 1m
    app: warning
    ");
}

#[test]
fn a_port_before_the_path_is_a_container_port_for_that_endpoint_alone() {
    assert_snapshot!(check("9102/metrics"), @"app 10.0.0.1:9102/metrics 1m");
    assert_snapshot!(check("30s:9102/metrics"), @"app 10.0.0.1:9102/metrics 30s");
    assert_snapshot!(check("/metrics,9102/metrics,15s:9103/other"), @"
    app 10.0.0.1:8080/metrics 1m
    app 10.0.0.1:9102/metrics 1m
    app 10.0.0.1:9103/other 15s
    ");
    let bridged = app().maps("8080").maps("9102").binds("0.0.0.0 32768 -> 8080");
    let bridged = bridged.binds("0.0.0.0 32769 -> 9102").endpoint("/metrics,9102/metrics");
    assert_snapshot!(published(ec2("bridge").with(bridged)), @"
    app 10.0.9.9:32768/metrics 1m
    app 10.0.9.9:32769/metrics 1m
    ");
}

#[test]
fn a_port_before_the_path_wins_over_the_variables() {
    let ports = app().env("PROMETHEUS_PORT", "1001").env("PROMETHEUS_CONTAINER_PORT", "1002");
    assert_snapshot!(published(fargate().with(ports.endpoint("/metrics,9102/metrics"))), @"
    app 10.0.0.1:1001/metrics 1m
    app 10.0.0.1:9102/metrics 1m
    ");
    let wrong = app().env("PROMETHEUS_PORT", "none").endpoint("9102/metrics");
    assert_snapshot!(published(fargate().with(wrong)), @"app 10.0.0.1:9102/metrics 1m");
}

#[test]
fn the_same_path_and_port_twice_counts_once_as_written_last() {
    assert_snapshot!(check("15s:/metrics,5m:/metrics"), @"
    app 10.0.0.1:8080/metrics 5m
    app: warning
    ");
    assert_snapshot!(check("15s:9102/metrics,9102/metrics,30s:metrics"), @"
    app 10.0.0.1:8080/metrics 30s
    app 10.0.0.1:9102/metrics 1m
    app: warning
    ");
    assert_snapshot!(check("/a,/a,/a"), @"
    app 10.0.0.1:8080/a 1m
    app: warning
    ");
}

#[test]
fn different_queries_of_one_path_are_different_endpoints() {
    assert_snapshot!(check("15s:/metrics?a=1,30s:/metrics?a=2,/metrics"), @"
    app 10.0.0.1:8080/metrics 1m
    app 10.0.0.1:8080/metrics?a=1 15s
    app 10.0.0.1:8080/metrics?a=2 30s
    ");
}

#[test]
fn an_interval_without_a_path_is_an_invalid_endpoint_beside_good_ones() {
    assert_snapshot!(check("30s:"), @"app: invalid endpoint");
    assert_snapshot!(check("30s:,/metrics"), @"
    app 10.0.0.1:8080/metrics 1m
    app: warning
    ");
}

#[test]
fn one_containers_invalid_endpoint_is_not_its_neighbours() {
    let fixture =
        fargate().with(app().endpoint("30s:")).with(container("next").env("PROMETHEUS", "true").maps("9000"));
    assert_snapshot!(published(fixture), @"
    next 10.0.0.1:9000/metrics 1m
    app: invalid endpoint
    ");
}
