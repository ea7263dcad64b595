//! The JSON that Prometheus reads.

use ecs_discovery::model::Status;
use insta::assert_snapshot;

use crate::fixture::{World, app, container, ec2, fargate};
use crate::show::file;
use crate::source::Source;

fn rendered(world: &World) -> String {
    let mut source = Source::default();
    source.refresh(world);
    file(&source)
}

#[test]
fn a_target_is_one_group_of_one_address_and_string_labels() {
    let fixture = fargate().with(app().env("PROMETHEUS_NOLABELS", "true").maps("8080"));
    assert_snapshot!(rendered(&World::of([fixture])), @r#"
    [
    {"targets":["10.0.0.1:8080"],"labels":{"__metrics_path__":"/metrics","instance":"web","job":"web","metrics_path":"/metrics"}}
    ]
    "#);
}

#[test]
fn a_file_without_targets_is_an_empty_array() {
    assert_eq!(rendered(&World::of([])), "[]\n");
    assert_eq!(rendered(&World::of([fargate().with(container("app"))])), "[]\n");
}

#[test]
fn every_group_has_exactly_a_target_and_labels() {
    let world = World::of([
        fargate().id("a").with(app().endpoint("/a,/b,15s:9000/c")),
        ec2("host").id("b").of("other:1").with(app()),
        fargate().id("c").of("six:1").task(|task| task.network_interface = None).with(app().at("::1")),
    ]);
    let document: serde_json::Value = serde_json::from_str(&rendered(&world)).unwrap();
    let groups = document.as_array().unwrap();
    let addresses: Vec<_> = groups.iter().map(|group| group["targets"].clone()).collect();
    let expected = ["10.0.0.1:80", "10.0.0.1:80", "10.0.0.1:9000", "10.0.9.9:80", "[::1]:80"];
    assert_eq!(addresses, expected.map(|address| serde_json::json!([address])));
    for group in groups {
        assert_eq!(group.as_object().unwrap().keys().collect::<Vec<_>>(), ["labels", "targets"]);
        let labels = group["labels"].as_object().unwrap();
        assert!(labels.values().all(serde_json::Value::is_string));
        assert!(!labels.contains_key("__address__"));
    }
}

#[test]
fn groups_are_in_order_of_address_port_path_and_task() {
    let at = |ip: &str, id: &str, endpoint: &str| {
        let of = format!("of-{}:1", id);
        fargate().of(&of).interface(ip).id(id).with(app().endpoint(endpoint))
    };
    let world = World::of([
        at("10.0.0.10", "a", "/metrics"),
        at("10.0.0.2", "b", "/b,/a,9000/a,100/z"),
        at("10.0.0.2", "a2", "/c,/a"),
        at("9.255.0.1", "z", "/metrics"),
    ]);
    let mut source = Source::default();
    source.refresh(&world);
    let order = source.snapshot.targets().into_iter().map(|target| {
        format!("{}{} {}", target.endpoint.address, target.endpoint.path, target.task().last_part())
    });
    assert_snapshot!(order.collect::<Vec<_>>().join("\n"), @"
    9.255.0.1:80/metrics z
    10.0.0.2:80/a a2
    10.0.0.2:80/a b
    10.0.0.2:80/b b
    10.0.0.2:80/c a2
    10.0.0.2:100/z b
    10.0.0.2:9000/a b
    10.0.0.10:80/metrics a
    ");
}

#[test]
fn targets_of_all_clusters_are_ordered_together() {
    let world = World::of([
        fargate().in_cluster("a").interface("10.0.0.9").with(app()),
        fargate().in_cluster("b").interface("10.0.0.1").with(app()),
        fargate().in_cluster("a").id("2").interface("10.0.0.3").with(app()),
    ]);
    let mut source = Source::default();
    source.refresh(&world);
    let order: Vec<_> =
        source.snapshot.targets().iter().map(|target| target.endpoint.address.to_string()).collect();
    assert_eq!(order, ["10.0.0.1:80", "10.0.0.3:80", "10.0.0.9:80"]);
}

#[test]
fn one_world_gives_equal_bytes_twice() {
    let world = World::of((0..30).map(|id| {
        let container = app().endpoint("/metrics,15s:9000/x?b=1&a=2").label("a-b", "1").label("a.b", "2");
        ec2("host")
            .on(&format!("i-{}", id % 7), &format!("10.0.0.{}", id % 7))
            .id(&id.to_string())
            .with(container)
    }));
    assert_eq!(rendered(&world), rendered(&world));
}

#[test]
fn what_a_definition_says_is_never_more_than_a_label_value() {
    let nasty = "/x\",\"labels\":{}}]\n\u{7f}../../15s-tasks.json";
    let fixture = fargate().with(app().endpoint(nasty).env("PROMETHEUS_TAGS", "\"}]\\\u{0}"));
    let document: serde_json::Value = serde_json::from_str(&rendered(&World::of([fixture]))).unwrap();
    // The comma ends the endpoint; nothing else of it means anything.
    let paths: Vec<_> = document
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["labels"]["__metrics_path__"].clone())
        .collect();
    assert_eq!(paths, ["/\"labels\":{}}]\n\u{7f}../../15s-tasks.json", "/x\""]);
    assert_eq!(document[0]["labels"]["tags"], "\"}]\\\u{0}");
}

#[test]
fn a_stopped_task_leaves_the_file() {
    let mut world = World::of([fargate().with(app())]);
    let mut source = Source::default();
    source.refresh(&world);
    assert!(file(&source).contains("10.0.0.1:80"));
    world.tasks_of("prod").values_mut().for_each(|task| {
        task.desired_status = Status::Stopped;
        task.last_status = Status::Stopped;
    });
    source.refresh(&world);
    assert_eq!(file(&source), "[]\n");
}
