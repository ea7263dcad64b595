//! Whatever text definitions, tags and labels hold.

use std::collections::BTreeMap;

use ecs_discovery::derive::Rules;
use ecs_discovery::labels::TagSelection;
use ecs_discovery::model::Tags;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{collection, prop_assert, prop_assert_eq, sample};

use crate::fixture::{World, app, ec2, fargate};
use crate::show::{file, only_target};
use crate::source::Source;

/// Any text, and text of the pieces that mean something somewhere.
fn text(pieces: &'static [&'static str]) -> impl Strategy<Value = String> {
    let anything = any::<String>();
    let meaningful = collection::vec(sample::select(pieces), 0..10).prop_map(|pieces| pieces.concat());
    prop_oneof![1 => anything, 3 => meaningful]
}

const ENDPOINT_PIECES: &[&str] = &[
    "/",
    "metrics",
    ":",
    ",",
    " ",
    "15s",
    "30s",
    "1m",
    "60s",
    "45s",
    "0s",
    "99999999999999999999y",
    "ms",
    "9102",
    "60",
    "0",
    "30S",
    "default",
    "localhost",
    "://",
    "@",
    "65536",
    "?",
    "&",
    "=",
    "a=b",
    "match[]=up",
    "%",
    "%5B",
    "+",
    "#",
    "é",
    "\n",
    "\0",
    "\"",
    "}",
    "../",
    "__address__",
];

const PASSWORD_PIECES: &[&str] =
    &[",", "s", ":", "?", "/", "=", "&", "9102", "30s:", "60:", "é", "%", " ", "//", "@", "\""];

const TAG_PIECES: &[&str] = &[
    "a",
    "b",
    "_",
    "-",
    ".",
    ":",
    "/",
    " ",
    "aws:",
    "__address__",
    "job",
    "9",
    "é",
    "\"",
    "\\",
    "{",
    "}",
    "\n",
    "\0",
    "\u{2028}",
    "task_",
];

fn is_label_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn sanitized(key: &str) -> String {
    key.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn tags() -> impl Strategy<Value = Tags> {
    let pair = (text(TAG_PIECES), text(TAG_PIECES));
    // As AWS has them: each key once.
    collection::btree_map(pair.0, pair.1, 0..8)
        .prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

fn groups(source: &Source) -> Vec<(String, BTreeMap<String, String>)> {
    let document: Vec<serde_json::Value> = serde_json::from_str(&file(source)).unwrap();
    let group = |group: serde_json::Value| {
        let targets: Vec<String> = serde_json::from_value(group["targets"].clone()).unwrap();
        let labels = serde_json::from_value(group["labels"].clone()).unwrap();
        assert_eq!((targets.len(), group.as_object().unwrap().len()), (1, 2));
        (targets[0].clone(), labels)
    };
    document.into_iter().map(group).collect()
}

fn endpoint_is_read(endpoint: &str, port: &str) -> Result<(), TestCaseError> {
    let container = app().maps("8080").endpoint(endpoint).env("PROMETHEUS_PORT", port);
    let mut source = Source::default();
    source.refresh(&World::of([fargate().with(container)]));
    let derived = &source.scope("prod").derived;
    prop_assert!(!(derived.targets.is_empty() && derived.findings.is_empty()));
    for target in derived.targets.iter() {
        prop_assert!(target.endpoint.path.starts_with('/'));
        prop_assert!(["15s", "30s", "1m", "5m"].contains(&target.interval.name()));
        prop_assert!(target.endpoint.address.port() != 0);
        let labels = target.labels();
        prop_assert_eq!(labels.value("metrics_path"), Some(&*target.endpoint.path));
        for (name, _) in labels.iter() {
            prop_assert!(is_label_name(name), "{:?}", name);
            let controls = ["__metrics_path__", "__scheme__"].contains(&name) || name.starts_with("__param_");
            prop_assert!(!name.starts_with("__") || name.starts_with("__meta_ecs_") || controls);
        }
    }
    prop_assert_eq!(groups(&source).len(), derived.targets.len());
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_endpoint_text_gives_sound_targets_or_a_finding(
        endpoint in text(ENDPOINT_PIECES),
        port in prop_oneof![Just(String::new()), Just("9000".to_owned()), any::<String>()],
    ) {
        endpoint_is_read(&endpoint, &port)?;
    }

    #[test]
    fn what_begins_with_a_slash_is_always_a_path(
        before in sample::select(&["", "30s:", "9102", "30s:9102", "9102:", "60:"][..]),
        rest in text(ENDPOINT_PIECES),
    ) {
        // With a second slash it would be a URL.
        let path = format!("/{}", rest.replace([',', '?'], "").trim_start_matches('/'));
        let mut source = Source::default();
        let container = app().maps("80").maps("9102").endpoint(&format!("{before}{path}"));
        source.refresh(&World::of([fargate().with(container)]));
        let derived = &source.scope("prod").derived;
        prop_assert!(derived.findings.is_empty());
        let target = derived.targets.iter().next().expect("it is scraped");
        prop_assert_eq!((&*target.endpoint.path, &*target.endpoint.query), (path.trim_end(), ""));
        let port = if before.contains("9102") { 9102 } else { 80 };
        let interval = if before.contains("30s") { "30s" } else { "1m" };
        prop_assert_eq!((target.endpoint.address.port(), target.interval.name()), (port, interval));
    }

    #[test]
    fn a_password_is_neither_published_nor_told(
        before in sample::select(&["", "/metrics,", "metrics,", "30s:", "9102/a, "][..]),
        scheme in sample::select(&["", "https://", "30s:http://", "tcp://"][..]),
        user in sample::select(&["user:", "us,er:", "30S:", ":"][..]),
        password in collection::vec(sample::select(PASSWORD_PIECES), 0..6),
        position in 0..6_usize,
        after in sample::select(&["", "/p", ":9091/metrics", ":9091", "/p?a=b,c", ",/metrics", ",http://x"][..]),
        variable in sample::select(&["PROMETHEUS_ENDPOINT", "PROMETHEUS_SD_ENDPOINT", "PROMETHEUS_PORT", "PROMETHEUS_SCHEME"][..]),
    ) {
        let (start, end) = password.split_at(position.min(password.len()));
        let url = format!("{scheme}{user}{}hunter2{}@host{after}", start.concat(), end.concat());
        let container = app().maps("8080").env(variable, &format!("{before}{url}"));
        let mut source = Source::default();
        source.refresh(&World::of([fargate().with(container)]));
        let derived = &source.scope("prod").derived;
        let told = format!("{:?}", derived.findings);
        prop_assert!(!told.contains("hunter2"), "{}", told);
        prop_assert!(told.contains(variable), "{}", told);
        let published = file(&source);
        prop_assert!(!published.contains("hunter2"), "{}", published);
    }

    #[test]
    fn any_tags_give_their_labels_and_no_other(
        task in tags(), cluster in tags(), host in tags(), definition in tags(), docker in tags(),
    ) {
        let plain = || ec2("host").with(app());
        let rules = || Rules { tags_to_labels: TagSelection::All.into(), ..Rules::default() };
        let mut fixture = plain().task(|one| one.tags = task.clone()).host(|one| one.tags = host.clone());
        fixture.cluster.tags = cluster.clone();
        let described = fixture.definition.as_mut().unwrap();
        described.tags = definition.clone();
        described.containers[0].docker_labels = docker.clone();

        let base = only_target(plain(), rules());
        let base = base.labels();
        let base = base.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let mut expected: BTreeMap<String, String> = base.collect();
        let overlaid: BTreeMap<_, _> = definition.into_iter().chain(task.clone()).collect();
        let selected = overlaid.into_iter().filter(|(key, _)| !key.starts_with("aws:")).collect();
        for (family, tags) in [
            ("tag_task_", task), ("tag_cluster_", cluster), ("tag_ec2_", host), ("container_label_", docker),
            ("tag_", selected),
        ] {
            for (key, value) in tags {
                let name = format!("__meta_ecs_{family}{}", sanitized(&key));
                expected.entry(name).or_insert(value.to_string());
            }
        }
        expected.retain(|_, value| !value.is_empty());

        let mut source = Source::with_rules(rules());
        source.refresh(&World::of([fixture]));
        prop_assert!(expected.keys().all(|name| is_label_name(name)));
        prop_assert_eq!(groups(&source), [("10.0.9.9:80".to_owned(), expected)]);
    }

    #[test]
    fn the_tags_variable_is_published_as_it_is(value in any::<String>()) {
        let mut source = Source::default();
        source.refresh(&World::of([fargate().with(app().env("PROMETHEUS_TAGS", &value))]));
        let labels = &groups(&source)[0].1;
        prop_assert_eq!(labels.get("tags").map_or("", |tags| tags), value);
    }
}
