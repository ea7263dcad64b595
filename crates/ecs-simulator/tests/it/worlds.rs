//! The ready-made worlds: their sizes, and that equal ones give equal bytes.

use ecs_simulator::worlds::{Size, churn, every_case, large};
use ecs_simulator::{Aws, World};
use serde_json::{Value, json};

use crate::{ecs, query_request};

const SIZE: Size = Size { tasks: 400, clusters: 3, definitions: 20, hosts: 10 };

/// The bytes of a walk through everything that a world of one region answers.
fn walk(world: World) -> Vec<u8> {
    let aws = Aws::new(world);
    let (_, clusters) = ecs(&aws, "ListClusters", json!({}));
    let mut bytes = Vec::new();
    for cluster in clusters["clusterArns"].as_array().unwrap() {
        let mut token = Value::Null;
        loop {
            let (_, page) = ecs(&aws, "ListTasks", json!({"cluster": cluster, "nextToken": token}));
            let tasks = json!({"cluster": cluster, "tasks": page["taskArns"], "include": ["TAGS"]});
            bytes.extend(ecs(&aws, "DescribeTasks", tasks).1.to_string().into_bytes());
            token = page["nextToken"].clone();
            if token.is_null() {
                break;
            }
        }
    }
    bytes.extend(aws.answer(&query_request("ec2", "Action=DescribeInstances")).body);
    bytes
}

#[test]
fn equal_worlds_give_equal_bytes() {
    assert!(walk(large(SIZE)) == walk(large(SIZE)));
    assert!(walk(every_case()) == walk(every_case()));
    assert!(walk(World::new(1)) == walk(World::new(1)));
}

#[test]
fn a_large_world_is_as_large_as_asked_with_tasks_of_real_size() {
    let mut world = large(SIZE);
    let region = world.own("eu-central-1");
    let tasks: Vec<_> = region.clusters.values().flat_map(|cluster| cluster.tasks.values()).collect();
    let on_fargate = tasks.iter().filter(|task| task.launch_type.as_deref() == Some("FARGATE")).count();
    assert_eq!(
        [tasks.len(), on_fargate, region.instances.len(), region.task_definitions.len()],
        [400, 200, 10, 20]
    );
    let arns: Vec<_> = tasks.iter().map(|task| task.task_arn.clone()).collect();
    let aws = Aws::new(world);
    let mut sizes = Vec::new();
    for cluster in ["shop-production-000", "shop-production-001", "shop-production-002"] {
        let of_cluster: Vec<_> = arns.iter().filter(|arn| arn.contains(cluster)).take(50).collect();
        let (_, body) =
            ecs(&aws, "DescribeTasks", json!({"cluster": cluster, "tasks": of_cluster, "include": ["TAGS"]}));
        sizes.push(body["tasks"].to_string().len() / of_cluster.len());
    }
    assert!(sizes.iter().all(|size| (3000..=4500).contains(size)), "{sizes:?}");
}

#[test]
fn churn_replaces_tasks_and_keeps_their_number() {
    let mut world = large(SIZE);
    let running = |world: &mut World| {
        let clusters = &world.own("eu-central-1").clusters;
        let tasks = clusters.values().flat_map(|cluster| cluster.tasks.values());
        tasks
            .filter(|task| task.desired_status == "RUNNING")
            .map(|task| task.task_arn.clone())
            .collect::<Vec<_>>()
    };
    let before = running(&mut world);
    churn(&mut world, 30);
    let after = running(&mut world);
    assert_eq!(after.len(), before.len());
    assert_eq!(after.iter().filter(|arn| !before.contains(arn)).count(), 30);
}

#[test]
fn the_world_of_every_case_has_two_accounts_two_regions_and_both_arn_forms() {
    let world = every_case();
    let regions: Vec<_> = world
        .accounts
        .values()
        .flat_map(|account| account.regions.values())
        .map(|region| {
            let tasks: usize = region.clusters.values().map(|cluster| cluster.tasks.len()).sum();
            format!("{} {} {tasks}", region.account_id, region.name)
        })
        .collect();
    assert_eq!(
        regions,
        ["111111111111 eu-central-1 67", "111111111111 us-east-1 2", "222222222222 eu-central-1 2"]
    );
    let legacy = &world.accounts["111111111111"].regions["eu-central-1"].clusters["legacy"];
    assert!(legacy.tasks.values().all(|task| task.task_arn.matches('/').count() == 1));
}
