//! Worlds of 1,000 to 100,000 tasks for benchmarks: one account and region, every second task on Fargate and every
//! second in bridge mode on a host, two containers each, one of which asks to be scraped. The size of a task's
//! JSON is that of real ones, 3 to 4 KB.

use std::collections::BTreeMap;

use crate::world::World;
use crate::world::definition::{ContainerDefinition, PortMapping, TaskDefinition};
use crate::world::host::{Host, HostKind};
use crate::world::ids::mix;
use crate::world::region::Region;
use crate::world::run::{Placement, Run};
use crate::world::task::Task;

/// The one region of a large world; the account is [`crate::OWN_ACCOUNT`].
pub const REGION: &str = "eu-central-1";
/// Of Fargate, and of the hosts.
const CAPACITY_PROVIDERS: [&str; 2] = ["FARGATE_SPOT", "shop-production-arm64"];
const INTERVALS: [&str; 4] = ["15s", "30s", "1m", "5m"];
/// Stopped tasks stay describable for an hour.
const STOPPED_TASKS_STAY: f64 = 3600.0;

/// How large a world is. There is always at least one of each, and at least one host a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// All of them RUNNING.
    pub tasks: usize,
    /// Tasks are spread evenly, but not in turn.
    pub clusters: usize,
    /// Families with one revision each; those with even numbers run on Fargate.
    pub definitions: usize,
    /// EC2 container instances, spread over the clusters in turn.
    pub hosts: usize,
}

/// A world of that size. Equal sizes give equal worlds.
pub fn large(size: Size) -> World {
    let mut world = World::new(0x1a49e);
    let region = world.own(REGION);
    let clusters: Vec<String> =
        (0..size.clusters.max(1)).map(|number| format!("shop-production-{number:03}")).collect();
    let definitions: Vec<String> =
        (0..size.definitions.max(1)).map(|number| region.register(definition(number))).collect();
    let hosts = launch_hosts(region, &clusters, size.hosts);
    for number in 0..size.tasks {
        let spread = mix(number as u64) as usize;
        let cluster = spread % clusters.len();
        let kind = number % definitions.len();
        let in_cluster = &hosts[cluster];
        let placement = match kind % 2 {
            0 => Placement::Fargate,
            _ => Placement::On(in_cluster[spread / clusters.len() % in_cluster.len()].clone()),
        };
        let tags = tags(number);
        region.run_with(Run {
            tags,
            capacity_provider: Some(CAPACITY_PROVIDERS[kind % 2].to_owned()),
            ..Run::new(&clusters[cluster], &definitions[kind], placement)
                .service(&format!("shop-production-service-{kind:05}"))
        });
    }
    world
}

/// Replaces `count` running tasks, taken evenly from all clusters: they stop, and as many of the same definitions
/// start on the same hosts. Tasks stopped over an hour ago, by the region's time, are forgotten.
pub fn churn(world: &mut World, count: usize) {
    let region = world.own(REGION);
    let now = region.now;
    for cluster in region.clusters.values_mut() {
        cluster.tasks.retain(|_, task| task.stopped_at.is_none_or(|at| now - at < STOPPED_TASKS_STAY));
    }
    for task in running(region, count) {
        region.stop(&task.task_arn);
        region.run_with(successor(region, &task));
    }
}

/// The first running tasks of each cluster; the order of ids is as good as random.
fn running(region: &Region, count: usize) -> Vec<Task> {
    let share = count.div_ceil(region.clusters.len().max(1));
    let of_each = region.clusters.values().flat_map(|cluster| {
        cluster.tasks.values().filter(|task| task.desired_status == "RUNNING").take(share)
    });
    of_each.take(count).cloned().collect()
}

fn successor(region: &Region, task: &Task) -> Run {
    let cluster = task.cluster_arn.rsplit('/').next().unwrap_or_default();
    let placement = match &task.container_instance_arn {
        None => Placement::Fargate,
        Some(host) => Placement::On(region.container_instance(host).container_instance_arn.clone()),
    };
    let run = Run::new(cluster, &task.task_definition_arn, placement);
    let service = task.group.as_deref().and_then(|group| group.strip_prefix("service:")).unwrap_or_default();
    Run {
        tags: task.tags.clone(),
        capacity_provider: task.capacity_provider_name.clone(),
        ..run.service(service)
    }
}

fn launch_hosts(region: &mut Region, clusters: &[String], hosts: usize) -> Vec<Vec<String>> {
    let mut by_cluster = vec![Vec::new(); clusters.len()];
    for number in 0..hosts.max(clusters.len()) {
        let cluster = number % clusters.len();
        let host =
            Host::new(&clusters[cluster], HostKind::Ec2).tag("Name", &format!("{}-host", clusters[cluster]));
        by_cluster[cluster].push(region.launch(host));
    }
    by_cluster
}

fn definition(number: usize) -> TaskDefinition {
    let interval = INTERVALS[number / 2 % INTERVALS.len()];
    let image = "111111111111.dkr.ecr.eu-central-1.amazonaws.com/shop-platform/production/service";
    let app =
        environment(ContainerDefinition::new("app", &format!("{image}-{number:05}:1.{number}.0")), number)
            .env("PROMETHEUS", "true")
            .env("PROMETHEUS_ENDPOINT", &format!("{interval}:/metrics"))
            .label("com.example.team", &format!("team-{}", number % 12))
            .health_check("curl -sf localhost:8080/health")
            .mapping(PortMapping::tcp(8080).named("http"));
    let router =
        environment(ContainerDefinition::new("log-router", &format!("{image}-log-router:3.2.1")), number)
            .port(24_224);
    let definition = TaskDefinition::new(&format!("shop-production-service-{number:05}"));
    let definition = match number % 2 {
        0 => definition.fargate(),
        _ => definition.network_mode("bridge"),
    };
    definition.container(app).container(router).tag("team", &format!("team-{}", number % 12))
}

/// Eight variables as services have them; some of their values would be secrets.
fn environment(container: ContainerDefinition, number: usize) -> ContainerDefinition {
    let host = format!("db-{number}.cluster-c1a2b3c4d5e6.eu-central-1.rds.amazonaws.com");
    [
        ("LOG_LEVEL", "info"),
        ("LOG_FORMAT", "json"),
        ("AWS_REGION", REGION),
        ("DATABASE_HOST", &host),
        ("DATABASE_PASSWORD", "not-for-your-eyes"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317"),
        ("FEATURES", "checkout-v2,search-ranking,gift-cards"),
        ("STAGE", "production"),
    ]
    .into_iter()
    .fold(container, |container, (name, value)| container.env(name, value))
}

fn tags(number: usize) -> BTreeMap<String, String> {
    [
        ("aws:ecs:serviceName".to_owned(), format!("shop-production-service-{number:05}")),
        ("com.example:cost-centre".to_owned(), "4711-platform-engineering".to_owned()),
        ("team".to_owned(), format!("team-{}", number % 12)),
    ]
    .into()
}
