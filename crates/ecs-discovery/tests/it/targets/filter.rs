//! Which targets a reader gets, and in which form.

use ecs_discovery::conventions::builtin::builtin;
use ecs_discovery::conventions::list::Conventions;
use ecs_discovery::derive::Rules;
use ecs_discovery::filter::{Filter, Selection};
use ecs_discovery::interval::Intervals;
use ecs_discovery::render::http_sd;
use insta::assert_snapshot;

use crate::fixture::{World, app, fargate};
use crate::source::Source;

fn world() -> World {
    World::of([
        fargate().in_cluster("prod").of("prod:1").interface("10.0.0.1").with(app().endpoint("15s:/a,/b")),
        fargate().in_cluster("prod-2").of("prod-2:1").interface("10.0.0.2").with(app().endpoint("/a")),
        fargate().in_cluster("stage").of("stage:1").interface("10.0.0.3").with(app().endpoint("15s:/a")),
    ])
}

fn source() -> Source {
    let mut source = Source::default();
    source.refresh(&world());
    source
}

/// The targets, or what is wrong with the query.
fn check(query: &str) -> String {
    let filter = match Filter::parse(query, &Intervals::default()) {
        Ok(filter) => filter,
        Err(problem) => return problem,
    };
    let source = source();
    let selection = filter.select(&source.snapshot);
    let targets = selection
        .targets()
        .into_iter()
        .map(|target| format!("{}{}", target.endpoint.address, target.endpoint.path));
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
    there is no parameter "intervall"; there are interval, convention, account, region and cluster
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
fn filters_that_select_the_same_make_equal_selections() {
    let source = source();
    let select = |query: &str| Filter::parse(query, &Intervals::default()).unwrap().select(&source.snapshot);
    for (one, other) in [
        ("", "cluster=*"),
        ("", "cluster=prod*&cluster=st?ge&cluster=none&region=eu-*"),
        ("", "interval=15s&interval=1m&interval=5m&account=1*"),
        ("cluster=prod*", "cluster=prod-2&cluster=*prod&cluster=prod"),
        // All targets there have that interval, or none has.
        ("cluster=stage", "cluster=stage&interval=15s"),
        ("interval=15s", "interval=15s&cluster=prod&cluster=stage"),
        ("cluster=none", "interval=5m"),
    ] {
        assert_eq!(select(one), select(other), "{one} and {other}");
    }
    for (one, other) in
        [("", "cluster=prod*"), ("", "interval=15s"), ("cluster=prod", "cluster=prod&interval=1m")]
    {
        assert_ne!(select(one), select(other), "{one} and {other}");
    }
}

#[test]
fn a_selection_lasts_until_something_of_it_is_derived_again() {
    let mut source = source();
    let select = |source: &Source, query: &str| {
        Filter::parse(query, &Intervals::default()).unwrap().select(&source.snapshot)
    };
    let [prod, stage] = ["cluster=prod", "cluster=stage"].map(|query| select(&source, query));
    let mut world = world();
    world.add(fargate().in_cluster("stage").of("stage:1").id("other").interface("10.0.0.4").with(app()));
    source.refresh(&world);
    assert_eq!(
        (select(&source, "cluster=prod") == prod, select(&source, "cluster=stage") == stage),
        (true, false)
    );
    let is_current = Selection::of(&source.snapshot);
    assert!(is_current(&prod) && !is_current(&stage));
}

#[test]
fn a_pattern_longer_than_a_name_does_not_match_it() {
    // The names of a cluster, of which each is the beginning of the pattern.
    for (query, expected) in [
        ("cluster=prod*-2", "10.0.0.2:80/a"),
        ("cluster=prod*?-2*", ""),
        ("cluster=prod*-22", ""),
        ("cluster=*p*r*o*d*-*2*", "10.0.0.2:80/a"),
        ("cluster=******", "10.0.0.1:80/a 10.0.0.1:80/b 10.0.0.2:80/a 10.0.0.3:80/a"),
        ("cluster=????", "10.0.0.1:80/a 10.0.0.1:80/b"),
    ] {
        assert_eq!(check(query), expected, "{query}");
    }
}

#[test]
fn the_size_of_a_document_is_estimated() {
    let mut source = source();
    let of_world = |source: &Source| {
        let selection = Filter::default().select(&source.snapshot);
        let mut bytes = Vec::new();
        http_sd::write(&mut bytes, selection.targets()).unwrap();
        (http_sd::estimated_size(&selection), bytes.len())
    };
    // A few targets are all sampled.
    assert_eq!(of_world(&source), (of_world(&source).1, of_world(&source).1));
    let tasks = (0..1000).map(|number| {
        let address = format!("10.0.{}.{}", number / 250, number % 250);
        let task = fargate().in_cluster("prod").of("prod:1").id(&format!("task-{number}"));
        task.interface(&address).with(app().endpoint("15s:/a"))
    });
    source.refresh(&World::of(tasks.collect::<Vec<_>>()));
    let (estimated, size) = of_world(&source);
    assert!(estimated.abs_diff(size) < size / 50, "{estimated} for {size}");
    source.refresh(&World::of([]));
    assert_eq!(of_world(&source), (3, 3));
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

#[test]
fn conventions_narrow_like_intervals() {
    let conventions = ["environment", "teralytics", "sepich"].map(|name| builtin(name).unwrap());
    let rules = Rules { conventions: Conventions::new(conventions.concat()), ..Rules::default() };
    let mut source = Source::with_rules(rules);
    let labelled = app().endpoint("15s:/a").label("PROMETHEUS_EXPORTER_PORT", "81");
    source.refresh(&World::of([
        fargate().in_cluster("both").of("both:1").interface("10.0.0.1").with(labelled),
        fargate().in_cluster("one").of("one:1").interface("10.0.0.2").with(app().endpoint("/b")),
    ]));
    let select = |query: &str| {
        Filter::parse(query, &Intervals::default()).map(|filter| filter.select(&source.snapshot))
    };
    let check = |query: &str| {
        let selection = select(query).unwrap();
        let targets = selection.targets().into_iter().map(|target| target.endpoint.address.to_string());
        targets.collect::<Vec<_>>().join(" ")
    };
    for (query, expected) in [
        ("convention=environment", "10.0.0.1:80 10.0.0.2:80"),
        ("convention=tera*", "10.0.0.1:81"),
        ("convention=tera*&convention=sepich", "10.0.0.1:81"),
        ("convention=sepich", ""),
        ("convention=other", ""),
        // A target without an interval has the default's.
        ("interval=1m", "10.0.0.1:81 10.0.0.2:80"),
        ("interval=1m&convention=environment", "10.0.0.2:80"),
        ("convention=*&cluster=both", "10.0.0.1:80 10.0.0.1:81"),
    ] {
        assert_eq!(check(query), expected, "{query}");
    }
    assert!(select("convention=*") == select("") && select("convention=*") != select("convention=sepich"));
    for wrong in ["convention=", "convention=Upper", "convention=a%20b"] {
        assert!(select(wrong).unwrap_err().starts_with("convention: "), "{wrong}");
    }
}
