//! What was discovered, and how far it can be trusted.

use std::time::Duration;

use ecs_simulator::{Calls, ContainerDefinition, Fault, Placement, TaskDefinition, World, worlds};

use super::Now;
use crate::simulated::{REGION, Stage, fleet};

fn cluster(name: &str) -> String {
    format!("{{account=\"{}\",region=\"{REGION}\",cluster=\"{name}\"}}", ecs_simulator::OWN_ACCOUNT)
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_held_says_for_how_long() {
    let stage = Stage::new(fleet(&[("a", 2), ("b", 3)]));
    let mut running = stage.run().await;
    running.next().await;
    stage.simulator.inject(Fault::Denied, Calls::of("ListTasks").in_cluster("b"));
    running.next().await;
    tokio::time::advance(Duration::from_secs(20)).await;
    let now = Now::of(&running);
    let held = |now: &Now, name: &str| now.sample(&format!("cluster_held_seconds{}", cluster(name)));
    assert_eq!(held(&now, "a"), Some(0.0));
    // The refresh after the one that heard it begins up to 3 s late.
    assert!((80.0..84.0).contains(&held(&now, "b").unwrap()), "{:?}", held(&now, "b"));
    assert_eq!(now.sample(&format!("targets{}", cluster("b"))), Some(3.0));
    assert_eq!(now.sample("clusters{standing=\"fresh\"}"), Some(1.0));
    assert_eq!(now.sample("clusters{standing=\"stale\"}"), Some(1.0));
    stage.simulator.heal();
    running.next().await;
    assert_eq!(held(&Now::of(&running), "b"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_was_never_heard_is_missed_since_the_start() {
    let stage = Stage::new(fleet(&[("a", 2), ("b", 3)]));
    stage.simulator.inject(Fault::Denied, Calls::of("ListTasks").in_cluster("b"));
    let mut running = stage.run().await;
    running.next().await;
    tokio::time::advance(Duration::from_secs(30)).await;
    let now = Now::of(&running);
    let held = now.sample(&format!("cluster_held_seconds{}", cluster("b"))).unwrap();
    assert!((30.0..31.0).contains(&held), "{held}");
    assert_eq!(now.sample(&format!("targets{}", cluster("b"))), Some(0.0));
    assert_eq!(now.sample("clusters{standing=\"never_read\"}"), Some(1.0));
}

#[tokio::test(start_paused = true)]
async fn a_denied_cluster_is_told_and_keeps_no_refresh_from_being_complete() {
    let stage = Stage::new(fleet(&[("a", 2), ("b", 3)]));
    stage.simulator.inject(Fault::Denied, Calls::all().in_cluster("b"));
    let mut running = stage.run().await;
    let completed = "last_complete_refresh_timestamp_seconds{source=\"own account eu-central-1\"}";
    let denied = |now: &Now, name: &str| now.sample(&format!("cluster_denied{}", cluster(name)));
    running.next().await;
    let first = Now::of(&running);
    assert_eq!([denied(&first, "a"), denied(&first, "b")], [Some(0.0), Some(1.0)]);
    running.next().await;
    assert!(Now::of(&running).sample(completed) > first.sample(completed));
    assert!(first.sample(completed) > Some(0.0));
    stage.simulator.heal();
    running.next().await;
    assert_eq!(denied(&Now::of(&running), "b"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn the_series_of_a_cluster_go_with_it() {
    let stage = Stage::new(fleet(&[("a", 2), ("b", 3)]));
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(Now::of(&running).sample(&format!("targets{}", cluster("b"))), Some(3.0));
    stage.change(|region| region.delete_cluster("b"));
    running.next().await;
    let now = Now::of(&running);
    assert_eq!(now.sum("targets", ""), 2.0);
    assert!(!now.0.keys().any(|name| name.contains("cluster=\"b\"")));
}

#[tokio::test(start_paused = true)]
async fn findings_are_counted_by_reason_and_go_when_they_are_put_right() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let app = |port: &str| {
        let app = ContainerDefinition::new("app", "app:1").env("PROMETHEUS", "true").port(8080);
        TaskDefinition::new("web").network_mode("awsvpc").container(app.env("PROMETHEUS_PORT", port))
    };
    region.cluster("prod");
    let wrong = region.register(app("http"));
    let task = region.run("prod", &wrong, Placement::Fargate);
    let stage = Stage::new(world);
    let mut running = stage.run().await;
    running.next().await;
    let invalid = "skipped_containers{reason=\"invalid port\"}";
    let now = Now::of(&running);
    assert_eq!((now.sample(invalid), now.sum("skipped_containers", "")), (Some(1.0), 1.0));
    stage.change(|region| {
        region.stop(&task);
        let right = region.register(app("8080"));
        region.run("prod", &right, Placement::Fargate);
    });
    running.next().await;
    assert_eq!(Now::of(&running).sample(invalid), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn facts_are_counted_by_kind() {
    let size = worlds::Size { tasks: 200, clusters: 2, definitions: 7, hosts: 20 };
    let stage = Stage::new(worlds::large(size)).regions(&[worlds::REGION]);
    let mut running = stage.run().await;
    assert_eq!(Now::of(&running).sum("facts_cached", ""), 0.0);
    running.next().await;
    let now = Now::of(&running);
    let cached = |kind: &str| now.sum("facts_cached", &format!("kind=\"{kind}\""));
    let counts = ["tasks", "task_definitions", "container_instances", "hosts"].map(cached);
    let facts = &running.published().facts;
    let saved = &facts[0].1;
    let tasks: usize = saved.scopes.iter().map(|scope| scope.tasks.len()).sum();
    let expected = [tasks, saved.definitions.len(), saved.container_instances.len(), saved.hosts.len()];
    assert_eq!(counts, expected.map(|count| count as f64));
    assert_eq!(counts[..2], [200.0, 7.0]);
}

/// By mistake: of one account no two roles have one name. The page must be one that Prometheus accepts all the same.
#[tokio::test(start_paused = true)]
async fn two_sources_of_one_name_do_not_break_the_page() {
    let mut world = worlds::every_case();
    for role in ["a", "b"] {
        world.allow_role(&format!("arn:aws:iam::{}:role/{role}/reader", worlds::PARTNER_ACCOUNT), None);
    }
    let mut stage = Stage::new(world);
    for role in ["a", "b"] {
        stage = stage.role(&format!("arn:aws:iam::{}:role/{role}/reader", worlds::PARTNER_ACCOUNT), None);
    }
    let mut running = stage.run().await;
    running.next().await;
    let now = Now::of(&running);
    let timestamps = now.0.keys().filter(|name| name.contains("last_complete_refresh_timestamp_seconds"));
    assert_eq!(timestamps.count(), 2);
}
