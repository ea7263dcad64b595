//! The grammar of `PROMETHEUS_ENDPOINT` and `PROMETHEUS_SD_ENDPOINT`.

use ecs_discovery::derive::Rules;
use ecs_discovery::interval::Intervals;
use insta::assert_snapshot;

use crate::fixture::{ContainerFixture, World, app, container, ec2, fargate};
use crate::show::{findings, labels, published, scope};
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

/// Targets, and findings in words.
fn told(endpoint: &str) -> String {
    let fixture = fargate().with(app().maps("8080").endpoint(endpoint));
    let targets = published(fixture.clone());
    let targets: Vec<_> = targets.lines().filter(|line| line.starts_with("app 1")).collect();
    [targets.join("\n"), findings(fixture)].join("\n").trim().to_owned()
}

#[test]
fn what_begins_with_a_slash_is_a_path() {
    assert_snapshot!(check("/v1:metrics"), @"app 10.0.0.1:8080/v1:metrics 1m");
    assert_snapshot!(check("/60:/metrics"), @"app 10.0.0.1:8080/60:/metrics 1m");
    assert_snapshot!(check("/30s:/metrics"), @"app 10.0.0.1:8080/30s:/metrics 1m");
    assert_snapshot!(check("/localhost:9090"), @"app 10.0.0.1:8080/localhost:9090 1m");
    assert_snapshot!(check("/probe?target=https://x/"), @"app 10.0.0.1:8080/probe?target=https://x/ 1m");
    assert_snapshot!(check("/probe/https://x/"), @"app 10.0.0.1:8080/probe/https://x/ 1m");
    assert_snapshot!(check("30s:/a:b"), @"app 10.0.0.1:8080/a:b 30s");
    assert_snapshot!(check("30s:/probe/http://x"), @"app 10.0.0.1:8080/probe/http://x 30s");
    assert_snapshot!(check("30s://metrics"), @"app 10.0.0.1:8080//metrics 30s");
    assert_snapshot!(check("9102/probe/http://x:80"), @"app 10.0.0.1:9102/probe/http://x:80 1m");
    assert_snapshot!(check("8080:/probe/http://x:80"), @"app 10.0.0.1:8080/probe/http://x:80 1m");
    assert_snapshot!(check("/user:hunter2@x"), @"app 10.0.0.1:8080/user:hunter2@x 1m");
    assert_snapshot!(check("30s:9102/a@b"), @"app 10.0.0.1:9102/a@b 30s");
    assert_snapshot!(check("15s:9102/v1:metrics"), @"app 10.0.0.1:9102/v1:metrics 15s");
}

#[test]
fn a_query_may_hold_anything() {
    assert_snapshot!(check("30s:/probe?target=http://x:80"), @"app 10.0.0.1:8080/probe?target=http://x:80 30s");
    assert_snapshot!(check("probe?target=http://x:80"), @"app 10.0.0.1:8080/probe?target=http://x:80 1m");
    assert_snapshot!(check("30s:9102/probe?target=localhost:9090"), @"app 10.0.0.1:9102/probe?target=localhost:9090 30s");
    assert_snapshot!(check("30s:probe?mail=a@b"), @"app 10.0.0.1:8080/probe?mail=a@b 30s");
    assert_snapshot!(check("?target=localhost:9090"), @"app 10.0.0.1:8080/?target=localhost:9090 1m");
}

#[test]
fn a_word_in_place_of_an_interval_is_said() {
    assert_snapshot!(told("30S:/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "30S" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told("default:/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "default" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told(" 1.5m : /metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "1.5m" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told(":/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told("v1:/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "v1" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told("30s1m:/metrics?a=b"), @r#"
    app 10.0.0.1:8080/metrics?a=b 1m
    app: PROMETHEUS_ENDPOINT has "30s1m" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told("-30:/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "-30" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told("/metrics,30S:/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "30S" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    app: PROMETHEUS_ENDPOINT names "30S:/metrics" again; the last one counts
    "#);
}

#[test]
fn a_number_before_a_path_is_seconds_that_are_offered_or_else_a_port() {
    assert_snapshot!(told("60:/metrics"), @"app 10.0.0.1:8080/metrics 1m");
    assert_snapshot!(told("015:/metrics"), @"app 10.0.0.1:8080/metrics 15s");
    assert_snapshot!(told("9102:/metrics"), @r#"
    app 10.0.0.1:9102/metrics 1m
    app: PROMETHEUS_ENDPOINT has "9102:/metrics", taken for the container port 9102, which is not mapped; write 9102s:/metrics if it is an interval
    "#);
    assert_snapshot!(told(" 9102 : /metrics "), @r#"
    app 10.0.0.1:9102/metrics 1m
    app: PROMETHEUS_ENDPOINT has "9102 : /metrics", taken for the container port 9102, which is not mapped; write 9102s:/metrics if it is an interval
    "#);
    assert_snapshot!(told("61:/metrics"), @r#"
    app 10.0.0.1:61/metrics 1m
    app: PROMETHEUS_ENDPOINT has "61:/metrics", taken for the container port 61, which is not mapped; write 61s:/metrics if it is an interval
    "#);
    assert_snapshot!(told("1m:9102:/metrics"), @"app 10.0.0.1:9102/metrics 1m");
    assert_snapshot!(told("1m:60:/metrics"), @"app 10.0.0.1:60/metrics 1m");
    assert_snapshot!(told("0:/metrics"), @"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT asks for the interval 0, which is not offered (15s, 30s, 1m, 5m); it gets 1m
    ");
    assert_snapshot!(told("65536:/metrics"), @"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT asks for the interval 65536, which is not offered (15s, 30s, 1m, 5m); it gets 1m
    ");
    assert_snapshot!(told("99999999999999999999:/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT has "99999999999999999999" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    "#);
    assert_snapshot!(told("1m:65536:/metrics"), @r#"app: invalid port: the port in PROMETHEUS_ENDPOINT is "65536"; a port is a number from 1 to 65535"#);
    assert_snapshot!(told("60:/metrics,/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: PROMETHEUS_ENDPOINT names "/metrics" again; the last one counts
    "#);
}

#[test]
fn a_listen_address_is_an_invalid_endpoint() {
    assert_snapshot!(told("0.0.0.0:9090"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "0.0.0.0:9090", which looks like a listen address; write a path, such as 9090/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told(":9090"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has ":9090", which looks like a listen address; write a path, such as 9090/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("[::]:9090"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "[::]:9090", which looks like a listen address; write a path, such as 9090/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("localhost : 9090?a=b"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "localhost : 9090?a=b", which looks like a listen address; write a path, such as 9090/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("2001:db8::7"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "2001:db8::7", which looks like a listen address; write a path, such as 7/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("30s:localhost:9090"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "30s:localhost:9090", which looks like a listen address; write a path, such as 9090/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("localhost:9090/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "localhost:9090/metrics", and "localhost" is not an interval, such as 30s; write 9090/metrics"#);
    assert_snapshot!(told("localhost:99999/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "localhost:99999/metrics", and "localhost" is not an interval, such as 30s; write /metrics"#);
    assert_snapshot!(told(":8080/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has ":8080/metrics", which looks like a listen address with a path; write 8080/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("0.0.0.0:8080/metrics?a=b"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "0.0.0.0:8080/metrics?a=b", which looks like a listen address with a path; write 8080/metrics?a=b; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("[::1]:0/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "[::1]:0/metrics", which looks like a listen address with a path; write /metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("0.0.0.0:99999"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "0.0.0.0:99999", which looks like a listen address; write a path, such as /metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told(":0"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has ":0", which looks like a listen address; write a path, such as /metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("30S:9102/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "30S:9102/metrics", and "30S" is not an interval, such as 30s; write 9102/metrics"#);
    assert_snapshot!(told("/metrics,0.0.0.0:9090"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: invalid endpoint: PROMETHEUS_ENDPOINT has "0.0.0.0:9090", which looks like a listen address; write a path, such as 9090/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT
    "#);
}

#[test]
fn a_number_that_is_no_mapped_port_may_be_an_interval() {
    let check = |endpoint: &str| {
        let ports = app().maps("8080").maps("53/udp").maps("9000-9010");
        findings(fargate().with(ports.endpoint(endpoint)))
    };
    assert_snapshot!(check("10:/metrics"), @r#"app: PROMETHEUS_ENDPOINT has "10:/metrics", taken for the container port 10, which is not mapped; write 10s:/metrics if it is an interval"#);
    assert_snapshot!(check("010:/a?b=c"), @r#"app: PROMETHEUS_ENDPOINT has "010:/a?b=c", taken for the container port 10, which is not mapped; write 10s:/a?b=c if it is an interval"#);
    assert_snapshot!(check("8080:/a,53:/b,9000:/c,9010 : /d,9011/e,30s:9011:/f"), @"");
    assert_snapshot!(findings(fargate().with(app().endpoint("10:/metrics"))), @r#"app: PROMETHEUS_ENDPOINT has "10:/metrics", taken for the container port 10, which is not mapped; write 10s:/metrics if it is an interval"#);
}

#[test]
fn a_url_is_an_invalid_endpoint_and_is_not_quoted() {
    assert_snapshot!(told("https://user:hunter2@x/api/v1/write"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "https://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("30s:http://localhost:9090/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "30s:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("9102://x"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "9102://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("http://hunter2@x,http://hunter2@x"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "http://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("user:hunter2@pushgw:9091/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "user:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("svc:hunter2@host"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "svc:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("user:/hunter2@host"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "user:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("user:hunt?er2@host"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "user:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("hunter2@host:9091"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("hunter2@host"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("probe/http://x"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "probe/http://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
}

#[test]
fn a_url_may_contain_commas() {
    assert_snapshot!(told("https://u:hunter,2@host/p"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "https://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("https://x/p?token=a,hunter2,/metrics"), @r#"
    app 10.0.0.1:8080/metrics 1m
    app: invalid endpoint: PROMETHEUS_ENDPOINT has "https://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT
    "#);
    assert_snapshot!(told("/a, u:hunter ,, 2,/metrics,30s:9102/2@host/p , 30s:9102/b"), @r#"
    app 10.0.0.1:8080/a 1m
    app 10.0.0.1:9102/b 30s
    app: invalid endpoint: PROMETHEUS_ENDPOINT has "u:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT
    "#);
    assert_snapshot!(told("metrics,http://x"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "metrics,http://…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("u:hunter2,/metrics,?@host"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "u:…", which looks like a URL; write a path, such as /metrics or 9102/metrics; if the image reads this variable itself, use PROMETHEUS_SD_ENDPOINT"#);
    assert_snapshot!(told("/probe?mail=a@b,v1/metrics"), @"
    app 10.0.0.1:8080/probe?mail=a@b 1m
    app 10.0.0.1:8080/v1/metrics 1m
    ");
}

#[test]
fn a_url_in_another_variable_is_not_quoted() {
    let told = |name, value| findings(fargate().with(app().env(name, value)));
    assert_snapshot!(told("PROMETHEUS_PORT", "tcp://user:hunter2@x:80"), @r#"app: invalid port: PROMETHEUS_PORT is "tcp://…"; a port is a number from 1 to 65535"#);
    assert_snapshot!(told("PROMETHEUS_CONTAINER_PORT", "user:hunter2@x:80"), @r#"app: invalid port: PROMETHEUS_CONTAINER_PORT is "user:…"; a port is a number from 1 to 65535"#);
    assert_snapshot!(told("PROMETHEUS_SCHEME", "https://user:hunter2@x"), @r#"app: invalid endpoint: PROMETHEUS_SCHEME is "https://…"; it can be http or https"#);
    assert_snapshot!(told("PROMETHEUS_PORT", "80,81"), @r#"app: invalid port: PROMETHEUS_PORT is "80,81"; a port is a number from 1 to 65535"#);
}

#[test]
fn other_colons_before_a_path_are_an_invalid_endpoint() {
    assert_snapshot!(told("30s:15s:/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "30s:15s:/metrics", and "15s" is not a port; write one interval and one port at most before the path"#);
    assert_snapshot!(told("a:b:/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "a:b:/metrics", and "a:b" is not a port; write one interval and one port at most before the path"#);
    assert_snapshot!(told("[::]:/metrics"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "[::]:/metrics", and "[::]" is not a port; write one interval and one port at most before the path"#);
    assert_snapshot!(told("metrics:"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "metrics:", without a path; write one, such as /metrics"#);
    assert_snapshot!(told("default:?a=b"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "default:?a=b", without a path; write one, such as /metrics"#);
    assert_snapshot!(told("60:"), @r#"app: invalid endpoint: PROMETHEUS_ENDPOINT has "60:", without a path; write one, such as /metrics"#);
}

#[test]
fn a_doubtful_path_without_a_slash_is_said() {
    assert_snapshot!(told("9102"), @r#"
    app 10.0.0.1:8080/9102 1m
    app: PROMETHEUS_ENDPOINT has "9102", which is taken for a path; begin it with / if it is one; write 9102/metrics if it is a port
    "#);
    assert_snapshot!(told("30s:9102?a=b"), @r#"
    app 10.0.0.1:8080/9102?a=b 30s
    app: PROMETHEUS_ENDPOINT has "9102?a=b", which is taken for a path; begin it with / if it is one
    "#);
    assert_snapshot!(told("v1:metrics"), @r#"
    app 10.0.0.1:8080/v1:metrics 1m
    app: PROMETHEUS_ENDPOINT has "v1:metrics", which is taken for a path; begin it with / if it is one
    "#);
    assert_snapshot!(told("60:metrics/b:c"), @r#"
    app 10.0.0.1:8080/60:metrics/b:c 1m
    app: PROMETHEUS_ENDPOINT has "60:metrics/b:c", which is taken for a path; begin it with / if it is one
    "#);
    assert_snapshot!(told("99999"), @r#"
    app 10.0.0.1:8080/99999 1m
    app: PROMETHEUS_ENDPOINT has "99999", which is taken for a path; begin it with / if it is one
    "#);
    assert_snapshot!(told("30s"), @r#"
    app 10.0.0.1:8080/30s 1m
    app: PROMETHEUS_ENDPOINT has "30s", which is taken for a path; begin it with / if it is one; write 30s:/metrics if it is an interval
    "#);
    assert_snapshot!(told("1d"), @r#"
    app 10.0.0.1:8080/1d 1m
    app: PROMETHEUS_ENDPOINT has "1d", which is taken for a path; begin it with / if it is one; write 1d:/metrics if it is an interval
    "#);
    assert_snapshot!(told("30s/slow?a=b"), @r#"
    app 10.0.0.1:8080/30s/slow?a=b 1m
    app: PROMETHEUS_ENDPOINT has "30s/slow?a=b", which is taken for a path; begin it with / if it is one; write 30s:/slow?a=b if it is an interval
    "#);
    assert_snapshot!(told("/30s"), @"app 10.0.0.1:8080/30s 1m");
    assert_snapshot!(told("v1/a:b"), @"app 10.0.0.1:8080/v1/a:b 1m");
}

#[test]
fn where_the_image_owns_the_name_another_one_goes_before_it() {
    let check = |container: ContainerFixture| {
        let fixture = fargate().with(container.maps("8080"));
        [published(fixture.clone()), findings(fixture)].join("\n").trim().to_owned()
    };
    let owned = || app().endpoint("0.0.0.0:9090");
    assert_snapshot!(check(owned().label("PROMETHEUS_SD_ENDPOINT", "30s:/a,9102/b")), @"
    app 10.0.0.1:8080/a 30s
    app 10.0.0.1:9102/b 1m
    ");
    assert_snapshot!(check(owned().env("PROMETHEUS_SD_ENDPOINT", "/env").label("PROMETHEUS_SD_ENDPOINT", "/label")), @"app 10.0.0.1:8080/env 1m");
    assert_snapshot!(check(owned().overriding("PROMETHEUS_SD_ENDPOINT", "/override")), @"app 10.0.0.1:8080/override 1m");
    assert_snapshot!(check(app().endpoint("/a").env("PROMETHEUS_SD_ENDPOINT", " ,")), @"app 10.0.0.1:8080/a 1m");
    assert_snapshot!(check(app().env("PROMETHEUS_SD_ENDPOINT", "localhost:9090")), @r#"
    app: invalid endpoint
    app: invalid endpoint: PROMETHEUS_SD_ENDPOINT has "localhost:9090", which looks like a listen address; write a path, such as 9090/metrics
    "#);
    assert_snapshot!(check(app().env("PROMETHEUS_SD_ENDPOINT", "30S:/a,/b,/b,45s:/c,70000/d,/e?f[]=g")), @r#"
    app 10.0.0.1:8080/a 1m
    app 10.0.0.1:8080/b 1m
    app 10.0.0.1:8080/c 1m
    app: warning
    app: warning
    app: warning
    app: warning
    app: warning
    app: PROMETHEUS_SD_ENDPOINT asks for the interval 45s, which is not offered (15s, 30s, 1m, 5m); it gets 1m
    app: PROMETHEUS_SD_ENDPOINT has "30S" before a path, which is not an interval (15s, 30s, 1m, 5m); it gets 1m
    app: PROMETHEUS_SD_ENDPOINT names "/b" again; the last one counts
    app: invalid endpoint: the query of PROMETHEUS_SD_ENDPOINT has "f[]=…", which no label can carry
    app: invalid port: the port in PROMETHEUS_SD_ENDPOINT is "70000"; a port is a number from 1 to 65535
    "#);
    let mut secret = app().env("PROMETHEUS_SD_ENDPOINT", "/a");
    secret.definition.secrets = vec!["PROMETHEUS_ENDPOINT".into()];
    assert_snapshot!(check(secret), @"app 10.0.0.1:8080/a 1m");
    let mut secret = app();
    secret.definition.secrets = vec!["PROMETHEUS_ENDPOINT".into()];
    assert_snapshot!(check(secret), @"
    app 10.0.0.1:8080/metrics 1m
    app: warning
    app: PROMETHEUS_ENDPOINT comes from secrets, which cannot be read; set it, or PROMETHEUS_SD_ENDPOINT, in environment
    ");
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
