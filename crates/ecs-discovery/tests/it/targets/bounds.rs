//! How much one container, and one task, can make: of targets, of labels, of findings.

use ecs_discovery::render::http_sd;
use insta::assert_snapshot;

use crate::fixture::{ContainerFixture, TaskFixture, World, app, container, fargate};
use crate::show::{findings, labels, only_target, published};
use crate::source::Source;

/// In one document, of which there are two.
const ROOM: usize = 512 * 1024;

fn discovered(fixture: TaskFixture) -> Source {
    let mut source = Source::default();
    source.refresh(&World::of([fixture]));
    source
}

/// How many targets each container has.
fn counts(fixture: TaskFixture) -> String {
    let source = discovered(fixture);
    let targets = source.snapshot.targets();
    let mut names: Vec<_> = targets.iter().map(|target| target.container()).collect();
    names.sort_unstable();
    let runs = names.chunk_by(|one, other| one == other);
    runs.map(|run| format!("{} {}", run[0], run.len())).collect::<Vec<_>>().join(", ")
}

fn paths(count: usize) -> String {
    (0..count).map(|number| format!("/{number}")).collect::<Vec<_>>().join(",")
}

/// A container with so many docker labels of 4 KiB.
fn labelled(name: &str, labels: usize) -> ContainerFixture {
    let opted_in = container(name).env("PROMETHEUS", "true");
    (0..labels).fold(opted_in, |one, number| one.label(&format!("label-{number:03}"), &"x".repeat(4096)))
}

#[test]
fn at_most_64_endpoints_of_a_container_count() {
    let count = |endpoints: &str| counts(fargate().with(app().endpoint(endpoints)));
    assert_eq!(count(&paths(64)), "app 64");
    assert_eq!(count(&paths(8000)), "app 64");
    assert_eq!(findings(fargate().with(app().endpoint(&paths(64)))), "");
    assert_snapshot!(
        findings(fargate().with(app().endpoint(&paths(8000)))),
        @"app: PROMETHEUS_ENDPOINT names more than 64 endpoints; the last 7936 are ignored"
    );
}

#[test]
fn those_that_are_written_first_count() {
    let source = discovered(fargate().with(app().endpoint(&paths(65))));
    let targets = source.snapshot.targets();
    let expected = |path: &str| path.trim_start_matches('/').parse::<usize>().is_ok_and(|number| number < 64);
    assert!(targets.len() == 64 && targets.iter().all(|target| expected(&target.endpoint.path)));
}

#[test]
fn repeats_are_told_once_and_count_once() {
    let repeated = [paths(64), "15s:/7,".repeat(5000)].join(",");
    assert_eq!(counts(fargate().with(app().endpoint(&repeated))), "app 64");
    assert_snapshot!(
        findings(fargate().with(app().endpoint(&repeated))),
        @r#"app: PROMETHEUS_ENDPOINT names "15s:/7" and 4999 more again; the last one counts"#
    );
    let target =
        only_target(fargate().with(app().endpoint(&"/a,60s:a,30s:/a?,".repeat(3000))), <_>::default());
    assert_eq!((&*target.endpoint.path, target.interval.name()), ("/a", "30s"));
}

#[test]
fn endpoints_that_cannot_be_read_are_told_once_too() {
    assert_snapshot!(findings(fargate().with(app().endpoint(&"/a,15s:,".repeat(5000)))), @r#"
    app: PROMETHEUS_ENDPOINT names "/a" and 9997 more again; the last one counts
    app: invalid endpoint: PROMETHEUS_ENDPOINT has "15s:", an interval without a path; write 15s:/metrics
    "#);
}

#[test]
fn an_endpoint_of_more_than_4_kib_is_invalid() {
    let path = |bytes: usize| format!("/{}", "p".repeat(bytes - 1));
    assert_eq!(counts(fargate().with(app().endpoint(&path(4096)))), "app 1");
    let found = findings(fargate().with(app().endpoint(&path(4097))));
    assert!(found.starts_with("app: invalid endpoint: PROMETHEUS_ENDPOINT has \"/ppp"), "{found}");
    assert!(found.ends_with("p…\", which is 4097 bytes long; it can have 4096"), "{found}");
    let query = format!("/metrics?{}=1", "n".repeat(5000));
    assert_snapshot!(published(fargate().with(app().endpoint(&query))), @"app: invalid endpoint");
}

#[test]
fn a_docker_label_that_is_a_variable_is_not_published_again() {
    let labelled = container("app").label("PROMETHEUS", "true").label("PROMETHEUS_ENDPOINT", "/a,/b,/c");
    let labelled = labelled.label("PROMETHEUS_NOLABELS", "false").label("team", "shop");
    let source = discovered(fargate().with(labelled));
    for target in source.snapshot.targets() {
        let labels = target.labels();
        let docker = labels.iter().filter(|(name, _)| name.starts_with("__meta_ecs_container_label_"));
        assert_eq!(docker.collect::<Vec<_>>(), [("__meta_ecs_container_label_team", "shop")]);
    }
}

#[test]
fn a_label_is_cut_at_4_kib_with_a_warning() {
    // A character of two bytes stands across the limit.
    let long = format!("{}é{}", "x".repeat(4095), "y".repeat(5000));
    let fixture = || {
        let app = app().env("PROMETHEUS_TAGS", &long).label("motd", &long).label("short", &long[..4095]);
        fargate().with(app)
    };
    let target = only_target(fixture(), <_>::default());
    let labels = target.labels();
    for name in ["tags", "__meta_ecs_container_label_motd", "__meta_ecs_container_label_short"] {
        assert_eq!(labels.value(name), Some(&long[..4095]), "{name}");
    }
    assert_snapshot!(
        findings(fixture()),
        @r#"app: labels longer than 4096 bytes are cut or left out: "__meta_ecs_container_label_motd" and 1 more"#
    );
}

#[test]
fn a_key_of_more_than_4_kib_names_no_label() {
    let fixture = || fargate().with(app().label(&"k".repeat(4096), "a").label(&"l".repeat(4097), "b"));
    let found = labels(fixture(), "__meta_ecs_container_label_");
    assert_eq!(found, format!("__meta_ecs_container_label_{}=a", "k".repeat(4096)));
    let found = findings(fixture());
    assert!(found.starts_with("app: labels longer than 4096 bytes are cut or left out: \"lll"), "{found}");
    assert!(found.len() < 400, "{found}");
}

#[test]
fn a_task_publishes_a_mebibyte_at_most_in_the_order_of_its_definition() {
    let fixture = || {
        let first = labelled("first", 20).endpoint(&paths(64));
        let second = labelled("second", 20).endpoint("/a,/b");
        let last = container("last").env("PROMETHEUS", "true").endpoint("/x,/y");
        fargate().with(first).with(second).with(last)
    };
    assert_eq!(counts(fixture()), "first 6, last 2");
    assert_snapshot!(findings(fixture()), @"
    first: invalid endpoint: its task would publish more than 1048576 bytes; use fewer endpoints, or shorter labels and tags
    second: invalid endpoint: its task would publish more than 1048576 bytes; use fewer endpoints, or shorter labels and tags
    ");
}

#[test]
fn what_a_target_takes_is_what_is_written_of_it() {
    let fixture = |pad: usize| {
        let pad: String = "\"\\\n\r\t\u{8}\u{c}\u{1}\u{7f}é"
            .chars()
            .cycle()
            .take(400)
            .chain("z".repeat(pad).chars())
            .collect();
        fargate().with(labelled("app", 126).label("pad", &pad))
    };
    let document = |pad: usize| {
        let mut bytes = Vec::new();
        http_sd::write(&mut bytes, discovered(fixture(pad)).snapshot.targets()).unwrap();
        bytes.len()
    };
    // Except for the brackets, and the beginning and end of the list.
    let room = ROOM + 3 - document(0);
    assert_eq!(document(room), ROOM + 3);
    assert_eq!(document(room + 1), 3);
}

#[test]
fn one_tasks_labels_are_not_anothers() {
    let hungry = || fargate().with(labelled("app", 20).endpoint(&paths(64)));
    let plain = || fargate().of("plain:1").id("2").interface("10.0.0.2").with(app());
    let mut source = Source::default();
    source.refresh(&World::of([hungry(), plain(), hungry().id("3").interface("10.0.0.3")]));
    let of = |id: &str| {
        let targets = source.snapshot.targets();
        targets.iter().filter(|target| target.task().last_part() == id).count()
    };
    assert_eq!(["0f1e", "2", "3"].map(of), [6, 1, 6]);
}

#[test]
fn warnings_of_a_container_are_few() {
    let intervals: Vec<_> = (100..164).map(|seconds| format!("{seconds}s:/{seconds}")).collect();
    let found = findings(fargate().with(app().endpoint(&intervals.join(","))));
    assert_eq!(found.lines().count(), 8);
    assert!(found.contains("app: and 57 more warnings like these"), "{found}");
}

#[test]
fn a_secret_that_is_named_often_is_warned_of_once() {
    let mut app = app();
    app.definition.secrets = vec!["PROMETHEUS_TAGS".into(); 1000];
    assert_snapshot!(
        findings(fargate().with(app)),
        @"app: PROMETHEUS_TAGS comes from secrets, which cannot be read; set it in environment"
    );
}

#[test]
fn a_finding_quotes_the_beginning_of_a_long_text() {
    let long = "9".repeat(60_000);
    for (name, value) in [
        ("PROMETHEUS_PORT", long.clone()),
        ("PROMETHEUS_SCHEME", long.clone()),
        ("PROMETHEUS_ENDPOINT", format!("{long}/metrics")),
        ("PROMETHEUS_ENDPOINT", format!("{long}s:/metrics")),
        ("PROMETHEUS_ENDPOINT", format!("/metrics?{long}=")),
        ("PROMETHEUS_ENDPOINT", format!("{}/metrics", &long[..4000])),
        ("PROMETHEUS_ENDPOINT", format!("{}1s:/metrics", "0".repeat(4000))),
        ("PROMETHEUS_ENDPOINT", format!("/metrics?a-{}=1", &long[..4000])),
    ] {
        let found = findings(fargate().with(app().env(name, &value)));
        assert!((50..600).contains(&found.len()), "{name}: {found}");
    }
    let found = findings(fargate().with(app().endpoint("/a").status(&long)));
    assert!(found.contains("container not running") && found.len() < 400, "{found}");
}
