//! The built-in conventions that are made of rules.

use insta::assert_snapshot;

use super::{listed, table};
use crate::fixture::{ContainerFixture, container, ec2, fargate};

/// In `awsvpc` mode, the port mapped as 8080; and in `bridge` mode, published at 32768.
fn check(name: &str, labels: &[(&str, &str)]) -> String {
    let labelled = |container: ContainerFixture| {
        labels.iter().fold(container, |container, (name, value)| container.label(name, value))
    };
    let app = || labelled(container("app").maps("8080"));
    let table = table(listed(&[name]));
    let own = table.of(fargate(), [app()]);
    let bridged = table.of(ec2("bridge"), [app().binds("0.0.0.0 32768 -> 8080")]);
    format!("{own}\n{bridged}").trim().to_owned()
}

#[test]
fn teralytics() {
    let check = |labels: &[(&str, &str)]| check("teralytics", labels);
    let port = ("PROMETHEUS_EXPORTER_PORT", "8080");
    assert_eq!(check(&[]), "");
    assert_eq!(check(&[port]), "teralytics app 10.0.0.1:8080 - -\nteralytics app 10.0.9.9:32768 - -");
    let all = [
        port,
        ("PROMETHEUS_EXPORTER_PATH", "actuator/metrics?a=b"),
        ("PROMETHEUS_EXPORTER_SCHEME", " HTTPS "),
        ("PROMETHEUS_EXPORTER_JOB_NAME", "web"),
    ];
    assert_snapshot!(check(&all), @"
    teralytics app https://10.0.0.1:8080 /actuator/metrics?a=b - job=web
    teralytics app https://10.0.9.9:32768 /actuator/metrics?a=b - job=web
    ");
    // A label that holds the host port.
    assert_snapshot!(check(&[("PROMETHEUS_EXPORTER_PORT", "32768")]), @"
    teralytics app 10.0.0.1:32768 - -
    teralytics app 10.0.9.9:32768 - -
    ");
    // Dynamic detection, only without a port.
    let dynamic = ("PROMETHEUS_DYNAMIC_EXPORT", "1");
    assert_eq!(check(&[dynamic]), check(&[port]));
    assert_eq!(
        check(&[dynamic, ("PROMETHEUS_EXPORTER_PORT", "9102")]).lines().next(),
        Some("teralytics app 10.0.0.1:9102 - -")
    );
    assert_eq!(check(&[("PROMETHEUS_DYNAMIC_EXPORT", "true")]), "");
    assert_snapshot!(check(&[("PROMETHEUS_EXPORTER_PORT", "http")]), @r#"
    app: invalid port: docker label PROMETHEUS_EXPORTER_PORT is "http"; a port is a number from 1 to 65535
    app: invalid port: docker label PROMETHEUS_EXPORTER_PORT is "http"; a port is a number from 1 to 65535
    "#);
    assert_snapshot!(check(&[port, ("PROMETHEUS_EXPORTER_SCHEME", "ftp")]), @r#"
    app: invalid endpoint: docker label PROMETHEUS_EXPORTER_SCHEME is "ftp"; it can be http or https
    app: invalid endpoint: docker label PROMETHEUS_EXPORTER_SCHEME is "ftp"; it can be http or https
    "#);
}

#[test]
fn prometheus_io() {
    let check = |labels: &[(&str, &str)]| check("prometheus_io", labels);
    let scrape = ("prometheus.io/scrape", "true");
    assert_eq!(check(&[("prometheus.io/port", "8080")]), "");
    assert_eq!(check(&[("prometheus.io/scrape", "TRUE")]), "");
    let expected = "prometheus_io app 10.0.0.1:8080 - -\nprometheus_io app 10.0.9.9:32768 - -";
    assert_eq!(check(&[scrape]), expected);
    assert_eq!(check(&[scrape, ("prometheus.io/port", "8080")]), expected);
    let all = [
        scrape,
        ("prometheus.io/port", "8080"),
        ("prometheus.io/path", "/m"),
        ("prometheus.io/scheme", "http"),
    ];
    assert_snapshot!(check(&all), @"
    prometheus_io app http://10.0.0.1:8080 /m -
    prometheus_io app http://10.0.9.9:32768 /m -
    ");
    // It asks, and there is nothing to scrape.
    let without = table(listed(&["prometheus_io"]));
    let app = container("app").label("prometheus.io/scrape", "true").maps("53/udp");
    assert_snapshot!(without.of(fargate(), [app]), @"app: port not published: its definition maps no TCP port; add a port mapping");
}

#[test]
fn sepich() {
    let check = |labels: &[(&str, &str)]| check("sepich", labels);
    assert_snapshot!(check(&[("PROMETHEUS_SCRAPES", "8080/a, 8080")]), @"
    sepich app 10.0.0.1:8080 /a -
    sepich app 10.0.0.1:8080 - -
    sepich app 10.0.9.9:32768 /a -
    sepich app 10.0.9.9:32768 - -
    ");
    let labels =
        "team=foo, __scheme__=https,__metrics_path__=m,__scrape_interval__=15s, a b = c=d,team=bar,empty=";
    assert_snapshot!(check(&[("PROMETHEUS_SCRAPES", "8080,30s:8080/own"), ("PROMETHEUS_LABELS", labels)]), @"
    sepich app https://10.0.0.1:8080 /m 15s custom_a_b=c=d custom_team=bar
    sepich app https://10.0.0.1:8080 /own 30s custom_a_b=c=d custom_team=bar
    sepich app https://10.0.9.9:32768 /m 15s custom_a_b=c=d custom_team=bar
    sepich app https://10.0.9.9:32768 /own 30s custom_a_b=c=d custom_team=bar
    ");
    assert_snapshot!(check(&[("PROMETHEUS_SCRAPES", "8080"), ("PROMETHEUS_LABELS", "x,=y,__address__=evil,job=mine")]), @r#"
    sepich app 10.0.0.1:8080 - - custom_job=mine
    app: warning: sepich: docker label PROMETHEUS_LABELS has "=y", which is not key=value; it is ignored
    app: warning: sepich: docker label PROMETHEUS_LABELS has "x", which is not key=value; it is ignored
    app: warning: sepich: docker label PROMETHEUS_LABELS has the key "__address__"; no key but __scheme__, __metrics_path__ and __scrape_interval__ may begin with __; it is ignored
    sepich app 10.0.9.9:32768 - - custom_job=mine
    app: warning: sepich: docker label PROMETHEUS_LABELS has "=y", which is not key=value; it is ignored
    app: warning: sepich: docker label PROMETHEUS_LABELS has "x", which is not key=value; it is ignored
    app: warning: sepich: docker label PROMETHEUS_LABELS has the key "__address__"; no key but __scheme__, __metrics_path__ and __scrape_interval__ may begin with __; it is ignored
    "#);
    assert_eq!(check(&[("PROMETHEUS_LABELS", "a=b")]), "");
}

#[test]
fn compose_x() {
    let check = |labels: &[(&str, &str)]| check("compose_x", labels);
    let (port, job) = (("ecs_sd_prometheus_container_port", "8080"), ("ecs_sd_prometheus_job_name", "web"));
    assert_eq!(check(&[port]), "");
    assert_eq!(check(&[job]), "");
    assert_snapshot!(check(&[port, job]), @"
    compose_x app 10.0.0.1:8080 - - job=web
    compose_x app 10.0.9.9:32768 - - job=web
    ");
}

#[test]
fn cloudwatch_agent_and_ecs_observer() {
    let labels = [
        ("ECS_PROMETHEUS_EXPORTER_PORT", "8080"),
        ("ECS_PROMETHEUS_METRICS_PATH", "/m"),
        ("job", "agent"),
        ("ECS_PROMETHEUS_JOB_NAME", "observer"),
    ];
    assert_snapshot!(check("cloudwatch_agent", &labels), @"
    cloudwatch_agent app 10.0.0.1:8080 /m - job=agent
    cloudwatch_agent app 10.0.9.9:32768 /m - job=agent
    ");
    assert_snapshot!(check("ecs_observer", &labels), @"
    ecs_observer app 10.0.0.1:8080 /m - job=observer
    ecs_observer app 10.0.9.9:32768 /m - job=observer
    ");
    for name in ["cloudwatch_agent", "ecs_observer"] {
        assert_eq!(
            check(name, &labels[..1]),
            format!("{name} app 10.0.0.1:8080 - -\n{name} app 10.0.9.9:32768 - -")
        );
        assert_eq!(check(name, &labels[1..]), "");
    }
}
