//! Why a container is scraped as it is, in words.

use ecs_discovery::arn::TaskDefinitionArn;
use ecs_discovery::derive::Rules;
use ecs_discovery::explain::Explanation;
use ecs_discovery::explain::report::{Report, Subject};
use ecs_discovery::explain::undeployed_task::{NetworkModeSource, UndeployedTask};
use ecs_discovery::render::explanation::{Colours, Text, json};
use insta::assert_snapshot;

use crate::fixture::{PREFIX, TaskFixture, World, app, container, ec2, external, fargate};
use crate::source::Source;

mod conventions;

fn explained(fixtures: impl IntoIterator<Item = TaskFixture>) -> Report {
    explained_by(Rules::default(), fixtures)
}

fn explained_by(rules: Rules, fixtures: impl IntoIterator<Item = TaskFixture>) -> Report {
    let mut source = Source::with_rules(rules);
    source.refresh(&World::of(fixtures));
    let explanations = source.explanations();
    let subject = Subject::Service { name: "web".to_owned(), cluster: "prod".to_owned() };
    Report::new(subject, explanations.len(), explanations)
}

/// All there is to read about one task.
fn whole(fixture: TaskFixture) -> String {
    whole_by(Rules::default(), fixture)
}

fn whole_by(rules: Rules, fixture: TaskFixture) -> String {
    let report = explained_by(rules, [fixture]);
    let report = Report { subject: Subject::Task(report.groups[0].explanation.task.arn.clone()), ..report };
    Text(&report, Colours::Off).to_string()
}

/// Without the labels, which have tests of their own, and without what is the same for every task.
fn told(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("      ") && !line.starts_with("    labels"));
    lines.collect::<Vec<_>>().join("\n")
}

fn task(fixture: TaskFixture) -> String {
    told(&whole(fixture))
}

#[test]
fn a_target_is_told_with_all_its_labels() {
    let fixture = fargate().with(app().maps("8080").env("PROMETHEUS_TAGS", "a\"b\u{1b}[31m"));
    assert_snapshot!(whole(fixture), @r#"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true                environment  opts in
      PROMETHEUS_TAGS=a"b\u{1b}[31m  environment  the label tags, as it is

      http://10.0.0.1:8080/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the container port that the first TCP port mapping names
        labels
          ecs_cluster="prod"
          ecs_task_id="0f1e"
          ecs_task_version="7"
          instance="10.0.0.1:8080"
          job="web"
          metrics_path="/metrics"
          tags="a\"b\u{1b}[31m"
        labels until relabelling
          __meta_ecs_account_id="123456789012"
          __meta_ecs_cluster="prod"
          __meta_ecs_cluster_arn="arn:aws:ecs:eu-west-1:123456789012:cluster/prod"
          __meta_ecs_container_name="app"
          __meta_ecs_container_port="8080"
          __meta_ecs_convention="environment"
          __meta_ecs_desired_status="RUNNING"
          __meta_ecs_ip_address="10.0.0.1"
          __meta_ecs_last_status="RUNNING"
          __meta_ecs_launch_type="FARGATE"
          __meta_ecs_network_mode="awsvpc"
          __meta_ecs_region="eu-west-1"
          __meta_ecs_task_arn="arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e"
          __meta_ecs_task_definition="arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7"
          __meta_ecs_task_definition_family="web"
          __meta_ecs_task_definition_revision="7"
          __meta_ecs_task_id="0f1e"
          __metrics_path__="/metrics"

    1 target
    "#);
}

#[test]
fn every_place_that_sets_a_variable_is_told_and_which_wins() {
    let fixture = app()
        .label("PROMETHEUS", "false")
        .label("PROMETHEUS_SCHEME", "https")
        .env("PROMETHEUS_PORT", "9102")
        .env("PROMETHEUS_CONTAINER_PORT", "8080")
        .env("PROMETHEUS_NOLABELS", "TRUE")
        .overriding("PROMETHEUS_PORT", "9103")
        .overriding("PROMETHEUS_TAGS", "");
    assert_snapshot!(task(fargate().with(fixture)), @r"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true                 environment   opts in
      PROMETHEUS=false                dockerLabels  does not count: environment wins
      PROMETHEUS_PORT=9103            overrides     the port of endpoints that name none, in every network mode
      PROMETHEUS_PORT=9102            environment   does not count: overrides wins
      PROMETHEUS_CONTAINER_PORT=8080  environment   not looked at: PROMETHEUS_PORT wins
      PROMETHEUS_NOLABELS=TRUE        environment   no labels of ECS and EC2, and instance is the job's name
      PROMETHEUS_TAGS=                overrides     empty: no label tags
      PROMETHEUS_SCHEME=https         dockerLabels  speaks https

      https://10.0.0.1:9103/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      PROMETHEUS_PORT, as it is in every network mode

    1 target
    ");
}

#[test]
fn secrets_are_seen_and_not_read() {
    let mut fixture = app();
    fixture.definition.secrets = ["PROMETHEUS", "PROMETHEUS_PORT"].map(Into::into).into();
    let mut only_secret = container("only");
    only_secret.definition.secrets = vec!["PROMETHEUS".into()];
    assert_snapshot!(task(fargate().with(fixture).with(only_secret)), @r"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true           environment  opts in
      PROMETHEUS=<secret>       secrets      cannot be read: environment counts
      PROMETHEUS_PORT=<secret>  secrets      cannot be read, and counts as unset; set it in environment
      warning: PROMETHEUS_PORT comes from secrets, which cannot be read; set it in environment

      http://10.0.0.1:80/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

    only: not opted in, PROMETHEUS is a secret, which cannot be read
      PROMETHEUS=<secret>  secrets  cannot be read, and counts as unset; set it in environment
      warning: PROMETHEUS comes from secrets, which cannot be read; set it in environment

    1 target, 1 container not opted in
    ");
}

#[test]
fn an_interval_has_a_reason() {
    assert_snapshot!(task(fargate().with(app().endpoint("/a,15s:/b,60s:/c,45s:/d,15s:/b"))), @r#"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 4 targets
      PROMETHEUS=true                                     environment  opts in
      PROMETHEUS_ENDPOINT=/a,15s:/b,60s:/c,45s:/d,15s:/b  environment  5 endpoints
      warning: PROMETHEUS_ENDPOINT names "15s:/b" again; the last one counts
      warning: PROMETHEUS_ENDPOINT asks for the interval 45s, which is not offered (15s, 30s, 1m, 5m); it gets 1m

      http://10.0.0.1:80/a every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

      http://10.0.0.1:80/c every 1m
        interval  as the endpoint asks
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

      http://10.0.0.1:80/d every 1m
        interval  the default, since 45s is not offered (15s, 30s, 1m, 5m)
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

      http://10.0.0.1:80/b every 15s
        interval  as the endpoint asks
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

    4 targets
    "#);
}

#[test]
fn an_endpoint_that_is_written_oddly_is_told_as_it_is_taken() {
    let mut container =
        app().label("PROMETHEUS_SD_ENDPOINT", "30S:/a,60:/b,9102:/c,:80").env("PROMETHEUS_PORT", "1");
    container.definition.secrets = vec!["PROMETHEUS_ENDPOINT".into()];
    let said = task(fargate().with(container));
    for words in [
        "PROMETHEUS_SD_ENDPOINT=30S:/a,60:/b,9102:/c,:80  dockerLabels  4 endpoints",
        "PROMETHEUS_ENDPOINT=<secret>                     secrets       not looked at: PROMETHEUS_SD_ENDPOINT wins",
        "http://10.0.0.1:1/a every 1m\n    interval  the default, since \"30S\" is not an interval",
        "http://10.0.0.1:1/b every 1m\n    interval  as the endpoint asks",
        "http://10.0.0.1:9102/c every 1m\n    interval  the default, since the endpoint names none",
        "endpoint :80: not scraped, invalid endpoint",
    ] {
        assert!(said.contains(words), "{words}\n{said}");
    }
    assert!(said.contains("port      the container port that the endpoint names"), "{said}");
}

#[test]
fn an_address_and_a_port_have_a_reason_in_every_network_mode() {
    let endpoints = "/first,9102/own";
    let bound = || app().maps("8080").binds("0.0.0.0 32768 -> 8080").binds("0.0.0.0 32769 -> 9102");
    assert_snapshot!(task(ec2("bridge").with(bound().endpoint(endpoints))), @r"
    Task 0f1e of web:7 in cluster prod, network mode bridge, EC2 on i-1

    app: 2 targets
      PROMETHEUS=true                      environment  opts in
      PROMETHEUS_ENDPOINT=/first,9102/own  environment  2 endpoints

      http://10.0.9.9:32768/first every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host i-1, as in bridge mode
        port      the host port of container port 8080, which the first TCP port mapping names

      http://10.0.9.9:32769/own every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host i-1, as in bridge mode
        port      the host port of container port 9102, which the endpoint names

    2 targets
    ");
    assert_snapshot!(task(external("bridge").with(bound().env("PROMETHEUS_CONTAINER_PORT", "9102"))), @r"
    Task 0f1e of web:7 in cluster prod, network mode bridge, EXTERNAL on mi-1

    app: 1 target
      PROMETHEUS=true                 environment  opts in
      PROMETHEUS_CONTAINER_PORT=9102  environment  the container port of endpoints that name none

      http://192.168.1.5:32769/metrics every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host mi-1, as in bridge mode
        port      the host port of container port 9102, which PROMETHEUS_CONTAINER_PORT names

    1 target
    ");
    assert_snapshot!(task(ec2("host").with(app().env("PROMETHEUS_CONTAINER_PORT", "9102"))), @r"
    Task 0f1e of web:7 in cluster prod, network mode host, EC2 on i-1

    app: 1 target
      PROMETHEUS=true                 environment  opts in
      PROMETHEUS_CONTAINER_PORT=9102  environment  the container port of endpoints that name none

      http://10.0.9.9:9102/metrics every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host i-1, as in host mode
        port      the container port that PROMETHEUS_CONTAINER_PORT names

    1 target
    ");
    assert_snapshot!(task(fargate().with(app().at("2001:db8::7"))), @r"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://10.0.0.1:80/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

    1 target
    ");
    let ipv6 = fargate().task(|task| task.network_interface = None).with(app().at("2001:db8::7"));
    assert_snapshot!(task(ipv6), @r"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://[2001:db8::7]:80/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv6 address of its network interface, which has no IPv4 address
        port      the default, since neither a variable nor a TCP port mapping names one

    1 target
    ");
    let own = fargate().with(app().at("10.0.0.9").env("PROMETHEUS_PORT", "9102"));
    assert_snapshot!(task(own), @r"
    Task 0f1e of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true       environment  opts in
      PROMETHEUS_PORT=9102  environment  the port of endpoints that name none, in every network mode

      http://10.0.0.9:9102/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its network interface
        port      PROMETHEUS_PORT, as it is in every network mode

    1 target
    ");
}

#[test]
fn what_is_not_scraped_has_a_reason_and_an_advice() {
    let fixture = ec2("bridge")
        .with(app().endpoint("/a,9102/b").maps("8080").binds("0.0.0.0 32768 -> 8080"))
        .with(container("plain"))
        .with(container("empty").env("PROMETHEUS", " "))
        .with(container("out").env("PROMETHEUS", "off").env("PROMETHEUS_PORT", "80"))
        .with(container("udp").env("PROMETHEUS", "true").maps("53/udp"))
        .with(container("late").env("PROMETHEUS", "true").status("PENDING"))
        .with(container("twice").env("PROMETHEUS", "true").env("PROMETHEUS_PORT", "32768").endpoint("/a"))
        .with(container("wrong").env("PROMETHEUS", "true").env("PROMETHEUS_SCHEME", "gopher"));
    assert_snapshot!(task(fixture), @r#"
    Task 0f1e of web:7 in cluster prod, network mode bridge, EC2 on i-1

    app: 1 target
      PROMETHEUS=true                environment  opts in
      PROMETHEUS_ENDPOINT=/a,9102/b  environment  2 endpoints

      http://10.0.9.9:32768/a every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host i-1, as in bridge mode
        port      the host port of container port 8080, which the first TCP port mapping names

      endpoint 9102/b: not scraped, port not published
        why         its container port 9102 is not published on the host; map it
        what to do  add a port mapping for the container port, or correct the port that the container asks for

    plain: not opted in, PROMETHEUS is not set

    empty: not opted in, PROMETHEUS is empty
      PROMETHEUS=   environment  empty, which does not opt in

    out: not scraped, opted out
      PROMETHEUS=off      environment  opts out
      PROMETHEUS_PORT=80  environment  not looked at: PROMETHEUS does not opt in
      why         PROMETHEUS says no
      what to do  nothing, or set the variable to true

    udp: not scraped, port not published
      PROMETHEUS=true  environment  opts in
      why         its definition maps no TCP port; add a port mapping, or set PROMETHEUS_PORT
      what to do  add a port mapping for the container port, or correct the port that the container asks for

    late: not scraped, container not running
      PROMETHEUS=true  environment  opts in
      why         the container is PENDING
      what to do  wait, or find out from ECS why the container does not start

    twice: not scraped, duplicate endpoint
      PROMETHEUS=true         environment  opts in
      PROMETHEUS_ENDPOINT=/a  environment  one endpoint
      PROMETHEUS_PORT=32768   environment  the port of endpoints that name none, in every network mode
      why         http://10.0.9.9:32768/a is scraped already, for the container "app" of the same task
      what to do  give it another port or path: another container of the task is scraped there already

    wrong: not scraped, invalid endpoint
      PROMETHEUS=true           environment  opts in
      PROMETHEUS_SCHEME=gopher  environment  neither http nor https
      why         PROMETHEUS_SCHEME is "gopher"; it can be http or https
      what to do  correct the path, the query or the scheme

    1 target, 5 containers not scraped, 2 containers not opted in
    "#);
}

#[test]
fn a_task_of_which_nothing_can_be_looked_at_says_so() {
    assert_snapshot!(task(fargate().with(app()).without_definition()), @r"
    Task 0f1e of web:7 in cluster prod, FARGATE

    not scraped: definition unavailable
      why         its definition arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7 could not be read: NotFound
      what to do  allow ecs:DescribeTaskDefinition, if AWS denied it

    Nothing would be scraped
    ");
    let daemon = fargate().of_definition(&format!("{PREFIX}daemon-task-definition/agent:2"));
    assert_snapshot!(task(daemon), @r"
    Task 0f1e of agent:2 in cluster prod, FARGATE

    not scraped: managed daemon
      why         ECS managed daemons have no address that can be reached from outside their instance
      what to do  nothing: it cannot be scraped from outside

    Nothing would be scraped
    ");
}

#[test]
fn tasks_that_come_to_the_same_are_told_once() {
    let fine = |id: &str| fargate().id(id).with(app().env("PROMETHEUS_NOLABELS", "true"));
    let tasks = [fine("1"), fine("2").interface("10.0.0.2"), fine("3").interface("10.0.0.3")];
    let odd = fargate().id("4").interface("10.0.0.4").with(app().status("STOPPED"));
    let report = explained(tasks.into_iter().chain([odd]));
    assert_snapshot!(told(&Text(&report, Colours::Off).to_string()), @r"
    Service web in cluster prod: 4 tasks

    Task 1 of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://10.0.0.1:80/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

    The same holds for 2 more tasks: 2, 3

    Task 4 of web:7 in cluster prod, network mode awsvpc, FARGATE

    app: not scraped, container not running
      PROMETHEUS=true  environment  opts in
      why         the container is STOPPED
      what to do  wait, or find out from ECS why the container does not start

    3 targets, 1 container not scraped
    ");
    let more = Report { tasks: 230, ..report };
    assert!(Text(&more, Colours::Off).to_string().contains("\nThe first 4 of them were looked at.\n"));
}

#[test]
fn a_service_without_tasks_says_so() {
    assert_snapshot!(Text(&explained([]), Colours::Off).to_string(), @r"
    Service web in cluster prod: no task is to run

    Nothing would be scraped
    ");
}

#[test]
fn text_of_a_task_writes_nothing_to_the_terminal() {
    let fixture = app().env("PROMETHEUS_TAGS", "\u{1b}[2J\u{202e}").endpoint("/a\u{7}").label("\u{1b}", "\r");
    let report = explained([fargate().with(fixture)]);
    let plain = Text(&report, Colours::Off).to_string();
    assert!(plain.chars().all(|c| c == '\n' || !c.is_control()) && !plain.contains('\u{202e}'), "{plain}");
    let coloured = Text(&report, Colours::On).to_string();
    let mut bare = coloured;
    for code in [0, 1, 2, 31, 32, 33] {
        bare = bare.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(bare, plain);
}

#[test]
fn tools_get_the_same_as_json() {
    let fixture = fargate().with(app().env("PROMETHEUS_NOLABELS", "true").endpoint("15s:/metrics,0/b"));
    let report = explained([fixture.with(container("side"))]);
    assert_snapshot!(json::write(&report), @r#"
    {
      "hint": null,
      "kind": "service",
      "name": "web",
      "scraped": true,
      "targets": 1,
      "task_count": 1,
      "tasks": [
        {
          "advice": null,
          "cluster": "arn:aws:ecs:eu-west-1:123456789012:cluster/prod",
          "containers": [
            {
              "advice": null,
              "conventions": [],
              "detail": null,
              "endpoints": [
                {
                  "advice": null,
                  "convention": "environment",
                  "detail": null,
                  "reason": null,
                  "target": {
                    "address": "10.0.0.1:80",
                    "interval": "15s",
                    "labels": {
                      "__metrics_path__": "/metrics",
                      "instance": "web",
                      "job": "web",
                      "metrics_path": "/metrics"
                    },
                    "url": "http://10.0.0.1:80/metrics",
                    "why_address": "the IPv4 address of its task's network interface",
                    "why_interval": "as the endpoint asks",
                    "why_port": "the default, since neither a variable nor a TCP port mapping names one"
                  },
                  "written": "15s:/metrics"
                },
                {
                  "advice": "write a number from 1 to 65535",
                  "convention": "environment",
                  "detail": "the port in PROMETHEUS_ENDPOINT is \"0\"; a port is a number from 1 to 65535",
                  "reason": "invalid port",
                  "target": null,
                  "written": "0/b"
                }
              ],
              "hints": [],
              "name": "app",
              "opted_in": true,
              "reason": null,
              "scraped": true,
              "variables": [
                {
                  "counts": true,
                  "meaning": "opts in",
                  "name": "PROMETHEUS",
                  "place": "environment",
                  "value": "true"
                },
                {
                  "counts": true,
                  "meaning": "2 endpoints",
                  "name": "PROMETHEUS_ENDPOINT",
                  "place": "environment",
                  "value": "15s:/metrics,0/b"
                },
                {
                  "counts": true,
                  "meaning": "no labels of ECS and EC2, and instance is the job's name",
                  "name": "PROMETHEUS_NOLABELS",
                  "place": "environment",
                  "value": "true"
                }
              ],
              "warnings": []
            },
            {
              "advice": null,
              "conventions": [],
              "detail": "PROMETHEUS is not set",
              "endpoints": [],
              "hints": [],
              "name": "side",
              "opted_in": false,
              "reason": null,
              "scraped": false,
              "variables": [],
              "warnings": []
            }
          ],
          "detail": null,
          "instance": null,
          "launch_type": "FARGATE",
          "network_mode": "awsvpc",
          "network_mode_assumed": false,
          "reason": null,
          "stand_ins": false,
          "task": "arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e",
          "task_definition": "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7"
        }
      ]
    }
    "#);
}

/// The definition of a task, its first container's port mappings at these host ports.
fn draft(fixture: TaskFixture, host_ports: &[Option<u16>]) -> Explanation {
    let definition = fixture.definition.unwrap();
    UndeployedTask {
        definition,
        network_mode_source: NetworkModeSource::Definition,
        hints: Vec::new(),
        images: Vec::new(),
        host_ports: vec![host_ports.to_vec()],
    }
    .explain(&Rules::default())
    .unwrap()
}

/// The URLs of a definition's targets.
fn urls(fixture: TaskFixture, host_ports: &[Option<u16>]) -> String {
    let explanation = draft(fixture, host_ports);
    let found = explanation.targets().map(|target| {
        let labels = explanation.labels(target);
        let assumed = labels.iter().any(|(_, value)| value.contains("192.0.2."));
        assert!(!assumed, "{labels:?}");
        explanation.url(target)
    });
    found.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_definition_has_stand_ins_for_what_only_a_task_has() {
    let endpoints = || app().maps("8080").maps("9102").maps("7000-7009").endpoint("/a,9102/b,7003/c");
    assert_snapshot!(urls(fargate().with(endpoints()), &[]), @r"
    http://<task address>:8080/a
    http://<task address>:9102/b
    http://<task address>:7003/c
    ");
    assert_snapshot!(urls(ec2("host").with(endpoints()), &[]), @r"
    http://<host address>:8080/a
    http://<host address>:9102/b
    http://<host address>:7003/c
    ");
    assert_snapshot!(urls(ec2("bridge").with(endpoints()), &[None, Some(31000), None]), @r"
    http://<host address>:<host port of 8080>/a
    http://<host address>:31000/b
    http://<host address>:<host port of 7003>/c
    ");
    assert_snapshot!(urls(ec2("bridge").with(endpoints()), &[Some(65535), Some(65525), Some(7000)]), @r"
    http://<host address>:65535/a
    http://<host address>:65525/b
    http://<host address>:7003/c
    ");
}

#[test]
fn a_stand_in_is_no_port_that_a_definition_names() {
    let named = app().maps("8080").env("PROMETHEUS_PORT", "65535");
    let other =
        container("other").env("PROMETHEUS", "true").maps("8080").label("PROMETHEUS_CONTAINER_PORT", "8080");
    assert_snapshot!(urls(ec2("bridge").with(named).with(other), &[None]), @r"
    http://<host address>:65535/metrics
    http://<host address>:<host port of 8080>/metrics
    ");
}

#[test]
fn a_duplicate_is_told_with_stand_ins_too() {
    let explanation = draft(ec2("bridge").with(app().maps("8080").endpoint("/a,8080/a")), &[None]);
    let report = Report::new(Subject::Definition("file".to_owned()), 1, [explanation]);
    assert_snapshot!(told(&Text(&report, Colours::Off).to_string()), @r#"
    Task definition web, network mode bridge

    app: 1 target
      PROMETHEUS=true                environment  opts in
      PROMETHEUS_ENDPOINT=/a,8080/a  environment  2 endpoints

      http://<host address>:<host port of 8080>/a every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host <instance id>, as in bridge mode
        port      the host port of container port 8080, which the first TCP port mapping names

      endpoint 8080/a: not scraped, duplicate endpoint
        why         http://<host address>:<host port of 8080>/a is scraped already, for the container "app" of the same task
        what to do  give it another port or path: another container of the task is scraped there already

    1 target
    What only a running task has stands in <…>; one on a container instance has labels of its host too.
    "#);
}

#[test]
fn a_definition_cannot_map_more_ports_than_there_are() {
    let mut fixture = ec2("bridge").with(app().maps("1-65535").maps("8080"));
    let definition = fixture.definition.take().unwrap();
    let arn = TaskDefinitionArn::parse("arn:aws:ecs:<region>:<account>:task-definition/web:<revision>");
    let definition = ecs_discovery::model::TaskDefinition { arn: arn.unwrap(), ..definition };
    let draft = UndeployedTask {
        definition,
        network_mode_source: NetworkModeSource::Definition,
        hints: Vec::new(),
        images: Vec::new(),
        host_ports: Vec::new(),
    };
    let error = draft.explain(&Rules::default()).unwrap_err();
    assert_eq!(error.to_string(), "its port mappings take more ports than a host has");
}

#[test]
fn as_many_ports_as_a_host_has_are_given_out() {
    let port = |port| format!("{port}");
    let app = (1..=u16::MAX).fold(app(), |app, number| app.maps(&port(number)));
    let last = app.clone().endpoint("65535/metrics");
    assert_snapshot!(urls(ec2("bridge").with(last), &[]), @"http://<host address>:<host port of 65535>/metrics");
    let definition = ec2("bridge").with(app.maps("1")).definition.unwrap();
    let draft = UndeployedTask {
        definition,
        network_mode_source: NetworkModeSource::Definition,
        hints: Vec::new(),
        images: Vec::new(),
        host_ports: Vec::new(),
    };
    draft.explain(&Rules::default()).unwrap_err();
}
