//! Changes of hosts, clusters and definitions show within the recheck interval, with a known number of calls.

use ecs_simulator::{HostKind, Placement, Region, World};
use insta::assert_snapshot;

use super::{REGION, Running, Stage, fleet, opted_in};

/// A task in the network of each of so many hosts of either kind.
fn on_hosts(own: usize, anywhere: usize) -> World {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = region.register(opted_in("web").network_mode("host"));
    let own = (0..own).map(|_| HostKind::Ec2);
    for kind in own.chain((0..anywhere).map(|_| HostKind::External)) {
        let host = region.launch_host("prod", kind);
        region.run("prod", &definition, Placement::On(host));
    }
    world
}

/// As many refreshes as fit in the recheck interval, and one more, since each begins a little late.
async fn recheck(running: &mut Running) {
    for _ in 0..11 {
        running.next().await;
    }
}

/// A change of the world shows in the file, which is then that of a fresh run.
async fn check(world: World, change: impl Fn(&mut Region), shows: &str) {
    for restarts in [false, true] {
        let stage = Stage::new(world.clone());
        let mut running = stage.run().await;
        running.next().await;
        assert!(!stage.file("1m").contains(shows), "{shows} is there before");
        stage.change(&change);
        if restarts {
            drop(running);
            tokio::task::yield_now().await;
            running = stage.run().await;
            // What was saved.
            running.next().await;
        }
        recheck(&mut running).await;
        assert!(stage.file("1m").contains(shows), "{shows}, restarts: {restarts}");
        assert_eq!(stage.file("1m"), stage.fresh().await.file("1m"), "{shows}, restarts: {restarts}");
    }
}

fn move_node(region: &mut Region) {
    let node = region.managed_nodes.values_mut().next().unwrap();
    node.ip_address = Some("192.168.77.7".to_owned());
}

#[tokio::test(start_paused = true)]
async fn a_host_of_ecs_anywhere_with_another_address_takes_its_targets_there() {
    check(on_hosts(0, 2), move_node, r#""192.168.77.7:8080""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_new_task_on_a_host_that_moved_is_where_the_host_is() {
    let stage = Stage::new(on_hosts(0, 1));
    let mut running = stage.run().await;
    running.next().await;
    stage.change(|region| {
        move_node(region);
        let definition = opted_in("new").network_mode("host");
        let definition = region.register(definition);
        let host = region.clusters["prod"].container_instances.values().next().unwrap();
        let host = Placement::On(host.container_instance_arn.clone());
        region.run("prod", &definition, host);
    });
    recheck(&mut running).await;
    assert_eq!(stage.targets("1m"), ["192.168.77.7:8080"; 2]);
}

#[tokio::test(start_paused = true)]
async fn an_elastic_ip_shows_and_other_facts_too() {
    let elastic_ip = |region: &mut Region| {
        let instance = region.instances.values_mut().next().unwrap();
        instance.public_ip_address = Some("192.0.2.99".to_owned());
    };
    check(on_hosts(2, 0), elastic_ip, r#""__meta_ecs_public_ip":"192.0.2.99""#).await;
    let of_host = |region: &mut Region| {
        let instance = region.instances.values_mut().next().unwrap();
        instance.tags.insert("rack".to_owned(), "7".to_owned());
    };
    check(on_hosts(2, 0), of_host, r#""__meta_ecs_tag_ec2_rack":"7""#).await;
    let of_cluster = |region: &mut Region| {
        region.cluster("prod").tags.insert("stage".to_owned(), "prod".to_owned());
    };
    check(on_hosts(0, 1), of_cluster, r#""__meta_ecs_tag_cluster_stage":"prod""#).await;
    let of_definition = |region: &mut Region| {
        let definition = region.task_definitions.values_mut().next().unwrap();
        definition.tags.insert("team".to_owned(), "shop".to_owned());
    };
    check(on_hosts(0, 1), of_definition, r#""__meta_ecs_tag_team":"shop""#).await;
    // A container instance that names another machine. AWS does not do this, but discovery does not depend on it.
    let of_instance = |region: &mut Region| {
        let other = region.launch_host("other", HostKind::Ec2);
        let id = region.container_instance(&other).ec2_instance_id.clone();
        let mine = region.clusters["prod"].container_instances.values().next().unwrap();
        let mine = mine.container_instance_arn.clone();
        region.instance_of(&other).private_ip_address = Some("10.77.7.7".to_owned());
        region.container_instance_mut(&mine).ec2_instance_id = id;
    };
    check(on_hosts(1, 0), of_instance, r#""10.77.7.7:8080""#).await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_its_service_does_not_know_any_more_keeps_its_targets() {
    let stage = Stage::new(on_hosts(2, 2));
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    stage.change(|region| {
        region.instances.clear();
        region.managed_nodes.clear();
    });
    stage.asked();
    for _ in 0..2 {
        recheck(&mut running).await;
        assert!(running.published().complete);
        assert_eq!(stage.file("1m"), before);
    }
    let ledger = stage.simulator.take_ledger();
    let calls = ["DescribeInstances", "DescribeInstanceInformation"].map(|operation| {
        ledger.calls(if operation == "DescribeInstances" { "ec2" } else { "ssm" }, operation)
    });
    assert!(calls.iter().all(|calls| (2..=3).contains(calls)), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn every_fact_is_asked_for_again_once_in_the_recheck_interval() {
    let stage = Stage::new(on_hosts(250, 60));
    let mut running = stage.run().await;
    running.next().await;
    assert_snapshot!(stage.asked(), @r"
    ec2 DescribeInstances 2
    ecs DescribeClusters 1
    ecs DescribeContainerInstances 4
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 4
    ecs ListClusters 1
    ecs ListTasks 4
    ssm DescribeInstanceInformation 2
    ");
    for _ in 0..10 {
        running.next().await;
    }
    // In ten minutes 10 × (1 + 4) listings, and then each of these once: 310 tasks, 310 container instances, 250 hosts of
    // EC2, 60 of Systems Manager (which has pages of 50), one cluster and one definition.
    assert_snapshot!(stage.asked(), @r"
    ec2 DescribeInstances 2
    ecs DescribeClusters 1
    ecs DescribeContainerInstances 4
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 4
    ecs ListClusters 10
    ecs ListTasks 40
    ssm DescribeInstanceInformation 2
    ");
}

#[tokio::test(start_paused = true)]
async fn tags_of_definitions_are_read_again_where_they_are_published_and_twenty_at_a_time() {
    let many = || {
        let mut world = fleet(&[("prod", 0)]);
        for number in 0..45 {
            let definition = world.own(REGION).register(opted_in(&format!("web-{number}")));
            world.own(REGION).run("prod", &definition, Placement::Fargate);
        }
        Stage::new(world)
    };
    let mut stage = many();
    stage.config.rules = Default::default();
    let mut running = stage.run().await;
    running.next().await;
    stage.asked();
    recheck(&mut running).await;
    assert_eq!(stage.simulator.take_ledger().calls("ecs", "DescribeTaskDefinition"), 0);

    let mut stage = many();
    stage.config.recheck_interval = stage.config.interval / 2;
    let mut running = stage.run().await;
    running.next().await;
    stage.asked();
    for _ in 0..3 {
        running.next().await;
        assert_eq!(stage.simulator.take_ledger().calls("ecs", "DescribeTaskDefinition"), 20);
    }
}
