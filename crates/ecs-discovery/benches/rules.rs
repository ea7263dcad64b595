//! How long the targets of 100,000 tasks take to derive with the variables alone, and with twenty rules beside them.
//!
//! It prints the medians of nine runs, and their ratio. The rules are of all kinds: some take no container, some depend on
//! the service, and some take each container beside the variables.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ecs_discovery::arn::{ClusterArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::conventions::list::{Conventions, Dialect, Entry};
use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Source, Subject, Value};
use ecs_discovery::derive::{Rules, derive};
use ecs_discovery::model::{
    Cluster, Container, ContainerDefinition, Names, NetworkInterface, NetworkMode, PortMapping, PortRange,
    Protocol, Settings, Status, Task, TaskDefinition,
};
use ecs_discovery::task_view::{Definition, Placement, TaskService, TaskView};

const TASKS: usize = 100_000;
const DEFINITIONS: usize = 600;
const RULES: usize = 20;
const RUNS: usize = 9;
const PREFIX: &str = "arn:aws:ecs:eu-west-1:123456789012:";

fn main() {
    let cluster = ClusterArn::parse(&format!("{PREFIX}cluster/prod")).expect("a cluster");
    let cluster = Arc::new(Cluster { arn: cluster, tags: Vec::new() });
    let definitions: Vec<_> = (0..DEFINITIONS).map(definition).map(Arc::new).collect();
    let tasks: Vec<_> = (0..TASKS).map(|number| task(number, &definitions[number % DEFINITIONS])).collect();
    let views = || {
        tasks.iter().enumerate().map(|(number, task)| TaskView {
            cluster: &cluster,
            task,
            definition: Definition::Known(&definitions[number % DEFINITIONS]),
            placement: Placement::Nowhere,
            service: TaskService::None,
            partial: None,
        })
    };
    let measured = |rules: &Rules| {
        let mut runs = [Duration::ZERO; RUNS];
        let mut targets = 0;
        for run in &mut runs {
            let begun = Instant::now();
            targets = black_box(derive(views(), rules)).targets.len();
            *run = begun.elapsed();
        }
        runs.sort();
        (runs[RUNS / 2], targets)
    };
    let environment = || Entry::Variables(Dialect::Environment);
    let rules = |more: usize| {
        let entries = std::iter::once(environment()).chain((0..more).map(rule).map(Entry::rule));
        Rules { conventions: Conventions::new(entries), ..Rules::default() }
    };
    let (alone, targets) = measured(&rules(0));
    let (with_rules, more) = measured(&rules(RULES));
    println!("{TASKS} tasks, the variables alone: {alone:.0?}, {targets} targets");
    println!("{TASKS} tasks, {RULES} rules beside them: {with_rules:.0?}, {more} targets");
    println!("ratio {:.2}", with_rules.as_secs_f64() / alone.as_secs_f64());
}

fn definition(number: usize) -> TaskDefinition {
    let environment =
        [("PROMETHEUS", "true"), ("PROMETHEUS_ENDPOINT", "30s:/metrics"), ("PROMETHEUS_TAGS", "team=shop")];
    let label = |key: &str, value: &str| (key.into(), value.into());
    TaskDefinition {
        arn: TaskDefinitionArn::parse(&format!("{PREFIX}task-definition/app-{number}:7"))
            .expect("a definition"),
        network_mode: NetworkMode::Awsvpc,
        containers: vec![ContainerDefinition {
            name: "app".into(),
            environment: Settings::from_pairs(environment, &Names::default()),
            secrets: Vec::new(),
            docker_labels: vec![
                label("com.example.team", "shop"),
                label("com.example.version", "1.4.2"),
                label("traefik.enable", "true"),
            ],
            port_mappings: vec![PortMapping {
                container_ports: PortRange::one(8080),
                protocol: Protocol::Tcp,
            }],
        }],
        tags: Vec::new(),
        names: Names::default(),
    }
}

fn task(number: usize, definition: &TaskDefinition) -> Arc<Task> {
    let address = Ipv4Addr::from(0x0a00_0001 + u32::try_from(number).expect("fewer than addresses"));
    Arc::new(Task {
        arn: TaskArn::parse(&format!("{PREFIX}task/prod/{number:032x}")).expect("a task"),
        definition: definition.arn.clone(),
        launch_type: None,
        capacity_provider: None,
        group: Some(format!("service:app-{}", number % DEFINITIONS).into()),
        started_by: None,
        availability_zone: Some("eu-west-1a".into()),
        desired_status: Status::Running,
        last_status: Status::Running,
        health_status: None,
        platform_family: None,
        platform_version: None,
        container_instance: None,
        network_interface: Some(NetworkInterface {
            private_ipv4: Some(address),
            ..NetworkInterface::default()
        }),
        containers: vec![Container {
            name: "app".into(),
            arn: None,
            image: Some("shop/app:1".into()),
            runtime_id: None,
            last_status: Status::Running,
            health_status: None,
            private_ipv4: Some(address),
            ipv6: None,
            network_bindings: Vec::new(),
        }],
        overrides: Vec::new(),
        tags: Vec::new(),
        names: Names::default(),
    })
}

fn rule(number: usize) -> Rule {
    let condition =
        |subject, text: &str| Condition { subject, pattern: Pattern::new(text).expect("a pattern") };
    let literal = |text: &str| Value::Literal(text.into());
    let (conditions, ports) = match number % 4 {
        0 => {
            let label = Source::DockerLabel(format!("com.example.port{number}").into());
            (Vec::new(), Ports::Container(Value::Source(label)))
        }
        1 => {
            let services = condition(Subject::Service, &format!("app-{number}[0-9]?"));
            (vec![services], Ports::Container(literal("8080")))
        }
        2 => (vec![condition(Subject::Family, "api-.*|web")], Ports::First),
        _ => (vec![condition(Subject::Cluster, "prod-.*|test")], Ports::Container(literal("8080,9090"))),
    };
    let path = Some(literal("/metrics"));
    Rule { conditions, path, ..Rule::new(&format!("rule-{number}"), ports) }
}
