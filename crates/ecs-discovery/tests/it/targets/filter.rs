//! Which targets a reader gets, and in which form.

use ecs_discovery::derive::Rules;
use ecs_discovery::filter::Filter;
use ecs_discovery::interval::Intervals;
use ecs_discovery::render::http_sd;
use insta::assert_snapshot;

use crate::fixture::{World, app, fargate};
use crate::source::Source;

fn source() -> Source {
    let world = World::of([
        fargate().in_cluster("prod").of("prod:1").interface("10.0.0.1").with(app().endpoint("15s:/a,/b")),
        fargate().in_cluster("prod-2").of("prod-2:1").interface("10.0.0.2").with(app().endpoint("/a")),
        fargate().in_cluster("stage").of("stage:1").interface("10.0.0.3").with(app().endpoint("15s:/a")),
    ]);
    let mut source = Source::default();
    source.refresh(&world);
    source
}

/// The targets, or what is wrong with the query.
fn check(query: &str) -> String {
    let filter = match Filter::parse(query, &Intervals::default()) {
        Ok(filter) => filter,
        Err(problem) => return problem,
    };
    let source = source();
    let targets = filter.targets(&source.snapshot).into_iter();
    let targets = targets.map(|target| format!("{}{}", target.endpoint.address, target.endpoint.path));
    targets.collect::<Vec<_>>().join(" ")
}

#[test]
fn a_filter_narrows() {
    let all = "10.0.0.1:80/a 10.0.0.1:80/b 10.0.0.2:80/a 10.0.0.3:80/a";
    for (query, expected) in [
        ("", all),
        ("interval=15s", "10.0.0.1:80/a 10.0.0.3:80/a"),
        ("interval=60s", "10.0.0.1:80/b 10.0.0.2:80/a"),
        ("interval=15s&interval=1m", all),
        ("cluster=prod", "10.0.0.1:80/a 10.0.0.1:80/b"),
        ("cluster=prod*", "10.0.0.1:80/a 10.0.0.1:80/b 10.0.0.2:80/a"),
        ("cluster=stage&cluster=prod-%3F", "10.0.0.2:80/a 10.0.0.3:80/a"),
        ("cluster=prod*&interval=15s", "10.0.0.1:80/a"),
        ("account=123456789012", all),
        ("account=1234*&region=eu-*", all),
        ("account=210987654321", ""),
        ("region=us-east-1&region=ap-*", ""),
    ] {
        assert_eq!(check(query), expected, "{query}");
    }
}

#[test]
fn a_typo_is_told_in_words() {
    let queries = [
        "intervall=15s",
        "interval=15",
        "interval=10s",
        "account=1234",
        "account=prod",
        "region=Frankfurt",
        "region=",
        "cluster=",
        "cluster=arn:aws:ecs:eu-west-1:123456789012:service/web",
    ];
    assert_snapshot!(queries.map(check).join("\n"), @r#"
    there is no parameter "intervall"; there are interval, account, region and cluster
    interval: "15" is not one of those that are offered: 15s, 30s, 1m, 5m
    interval: "10s" is not one of those that are offered: 15s, 30s, 1m, 5m
    account: "1234" is not an account; it looks like 123456789012, or 12345678*
    account: "prod" is not an account; it looks like 123456789012, or 12345678*
    region: "Frankfurt" is not a region; it looks like eu-west-1, or eu-*
    region: "" is not a region; it looks like eu-west-1, or eu-*
    cluster: a cluster's name is empty
    cluster: "arn:aws:ecs:eu-west-1:123456789012:service/web" is not the ARN of a cluster
    "#);
}

#[test]
fn equal_wishes_are_equal_filters() {
    let filter = |query: &str| Filter::parse(query, &Intervals::default()).unwrap();
    assert_eq!(
        filter("cluster=a&cluster=b&interval=1m"),
        filter("interval=60s&cluster=b&cluster=a&cluster=b")
    );
    assert_ne!(filter("cluster=a"), filter(""));
}

#[test]
fn a_filter_covers_the_places_that_it_could_be_about() {
    let covers = |query: &str, account: Option<&str>, region: &str| {
        Filter::parse(query, &Intervals::default()).unwrap().covers(account, region)
    };
    let own = Some("123456789012");
    assert!(covers("", own, "eu-west-1") && covers("cluster=any", own, "eu-west-1"));
    assert!(covers("account=1*&region=eu-*", own, "eu-west-1"));
    assert!(covers("account=210987654321", None, "eu-west-1"));
    assert!(!covers("account=210987654321", own, "eu-west-1") && !covers("region=us-*", own, "eu-west-1"));
    let arn = "cluster=arn:aws:ecs:eu-west-1:123456789012:cluster/prod";
    assert!(covers(arn, own, "eu-west-1") && covers(arn, None, "eu-west-1"));
    assert!(!covers(arn, own, "us-east-1") && !covers(arn, Some("210987654321"), "eu-west-1"));
}

#[test]
fn each_target_brings_its_interval_and_a_timeout_if_that_is_short() {
    let intervals = Intervals::new(&["5s", "10s", "1m"], "1m").unwrap();
    let mut source = Source::with_rules(Rules { intervals, ..Rules::default() });
    let container = app().endpoint("5s:/a,10s:/b,/c").env("PROMETHEUS_NOLABELS", "true");
    source.refresh(&World::of([fargate().with(container)]));
    let mut bytes = Vec::new();
    http_sd::write(&mut bytes, source.snapshot.targets()).unwrap();
    assert_snapshot!(String::from_utf8(bytes).unwrap(), @r#"
    [
    {"targets":["10.0.0.1:80"],"labels":{"__metrics_path__":"/a","__scrape_interval__":"5s","__scrape_timeout__":"5s","instance":"web","job":"web","metrics_path":"/a"}},
    {"targets":["10.0.0.1:80"],"labels":{"__metrics_path__":"/b","__scrape_interval__":"10s","instance":"web","job":"web","metrics_path":"/b"}},
    {"targets":["10.0.0.1:80"],"labels":{"__metrics_path__":"/c","__scrape_interval__":"1m","instance":"web","job":"web","metrics_path":"/c"}}
    ]
    "#);
}
