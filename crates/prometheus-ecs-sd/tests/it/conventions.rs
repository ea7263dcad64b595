//! The example conventions: each file is read, and makes the targets that its tool made.

use std::collections::BTreeSet;

use ecs_simulator::{Aws, ContainerDefinition, Placement, Run, TaskDefinition, World};
use serde_json::Value;

use crate::cli::Program;
use crate::simulated::REGION;
use crate::tools::repository;

/// The files for which there is a table below.
const FILES: [&str; 8] = [
    "apptality.yml",
    "connectedservices.yml",
    "delegator.yml",
    "last9.yml",
    "litsea.yml",
    "prometheus.yml",
    "rules.yml",
    "winglot.yml",
];

fn container(name: &str) -> ContainerDefinition {
    ContainerDefinition::new(name, "shop/app:1")
}

/// A task, with the service and tags that it has.
struct Fixture {
    containers: Vec<ContainerDefinition>,
    change: fn(Run) -> Run,
}

fn task(containers: impl IntoIterator<Item = ContainerDefinition>, change: fn(Run) -> Run) -> Fixture {
    Fixture { containers: containers.into_iter().collect(), change }
}

/// The targets of Fargate tasks, the first at 10.0.0.1, the second at 10.0.0.2: `address scheme path job container`. A `-`
/// is left to the scrape job.
fn targets(file: &str, tasks: impl IntoIterator<Item = Fixture>) -> Vec<String> {
    let mut world = World::new(1);
    let region = world.own(REGION);
    region.cluster("prod");
    for (index, Fixture { containers, change }) in tasks.into_iter().enumerate() {
        let definition = TaskDefinition::new(&format!("task-{index}")).network_mode("awsvpc");
        let definition = region.register(containers.into_iter().fold(definition, TaskDefinition::container));
        let run = Run::new("prod", &definition, Placement::Fargate).ipv4(&format!("10.0.0.{}", index + 1));
        region.run_with(change(run));
    }
    let aws = Aws::new(world);
    let path = repository(&format!("examples/conventions/{file}"));
    let mut program = Program::on(&aws).args(&["--once", "--file-layout", "single"]);
    let output = program.command.arg("--config-file").arg(&path).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(program.path().join("tasks.json")).unwrap();
    let groups: Vec<Value> = serde_json::from_str(&text).unwrap();
    let target = |group: &Value| {
        let label = |name: &str| group["labels"][name].as_str().unwrap_or("-").to_owned();
        let names = ["__scheme__", "__metrics_path__", "job", "__meta_ecs_container_name"];
        format!("{} {}", group["targets"][0].as_str().unwrap(), names.map(label).join(" "))
    };
    groups.iter().map(target).collect()
}

#[test]
fn every_example_has_a_table() {
    let entries = std::fs::read_dir(repository("examples/conventions")).unwrap();
    let names: BTreeSet<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, FILES.map(str::to_owned).into());
}

#[test]
fn apptality() {
    let plain = || container("app").port(8080);
    let tasks = [
        task([plain(), container("sidecar")], |run| {
            run.tag("METRICS_PORT", "9102").tag("METRICS_PATH", "/m").tag("METRICS_NAME", "shop")
        }),
        task([plain()], |run| {
            run.tag("METRICS_PORT_1", "9103").tag("METRICS_NAME_1", "one").tag("METRICS_PORT_2", "9104")
        }),
        task([plain()], |run| run.tag("METRICS_PATH", "/m")),
    ];
    assert_eq!(
        targets("apptality.yml", tasks),
        ["10.0.0.1:9102 - /m shop app", "10.0.0.2:9103 - - one app", "10.0.0.2:9104 - - - app"]
    );
}

#[test]
fn connectedservices() {
    let labelled = || container("app").port(8080).label("io.prometheus.port", "9102");
    let tasks = [
        task([labelled()], |run| run.service("shop")),
        task([container("app").port(8080), container("other")], |run| run.service("shop")),
        task([labelled()], |run| run),
    ];
    assert_eq!(
        targets("connectedservices.yml", tasks),
        ["10.0.0.1:9102 - - - app", "10.0.0.2:8080 - - - app"]
    );
}

#[test]
fn delegator() {
    let labelled = container("app")
        .label("PROMETHEUS_SCRAPE_PORT", "9102")
        .label("PROMETHEUS_METRICS_PATH", "/m")
        .label("PROMETHEUS_METRICS_SCHEME", "https");
    let tasks = [task([labelled, container("other").port(80)], |run| run)];
    assert_eq!(targets("delegator.yml", tasks), ["10.0.0.1:9102 https /m - app"]);
}

#[test]
fn litsea() {
    let plain = || container("app").port(8080);
    let tasks = [
        task([plain(), container("sidecar")], |run| run.service("shop").tag("metrics_port", "9102")),
        task([plain()], |run| run.service("shop")),
        task([plain()], |run| run.tag("metrics_port", "9102")),
    ];
    assert_eq!(targets("litsea.yml", tasks), ["10.0.0.1:9102 - - - app"]);
}

#[test]
fn one_port_for_every_task() {
    let tasks = || {
        [
            task([container("app").port(8080), container("sidecar")], |run| run.service("shop")),
            task([container("job")], |run| run),
        ]
    };
    assert_eq!(targets("prometheus.yml", tasks()), ["10.0.0.1:80 - - - app", "10.0.0.2:80 - - - job"]);
    assert_eq!(targets("winglot.yml", tasks()), ["10.0.0.1:9090 - - - app"]);
    assert_eq!(targets("last9.yml", tasks()), ["10.0.0.1:8080 - - - app"]);
}

#[test]
fn the_rules_of_the_documentation() {
    let nginx = || container("nginx").port(9113).port(9114);
    let own =
        container("own").label("MY_PORT", "8080").label("MY_SCHEME", "HTTPS").label("MY_LABELS", "team=shop");
    let tasks = [
        task([nginx(), container("php").port(9000)], |run| run.service("nginx-shop")),
        task([nginx().label("monitoring", "false")], |run| run.service("nginx-shop")),
        task([nginx()], |run| run.service("shop")),
        task([own], |run| run.tag("job", "mine")),
        task([container("app").port(80).env("PROMETHEUS", "true")], |run| run),
        task([container("app").label("PROMETHEUS_EXPORTER_PORT", "9102")], |run| run),
    ];
    assert_eq!(
        targets("rules.yml", tasks),
        [
            "10.0.0.1:9113 http /metrics nginx-prometheus nginx",
            "10.0.0.1:9114 http /status nginx-prometheus nginx",
            "10.0.0.4:8080 https - mine own",
            "10.0.0.5:80 - /metrics task-4 app",
            "10.0.0.6:9102 - - - app",
        ]
    );
}
