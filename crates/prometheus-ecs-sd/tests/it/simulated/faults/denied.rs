//! AWS denies single clusters and tasks, which does not affect others, and the look-up of the account.

use std::fs::File;
use std::time::{Duration, SystemTime};

use ecs_discovery::snapshot::ScopeStatus;
use ecs_simulator::{Calls, Fault, OWN_ACCOUNT, Placement};
use insta::assert_snapshot;
use prometheus_ecs_sd::discovery::Outcome;

use super::super::{REGION, Stage, fleet, opted_in};
use super::{BEFORE, PARTNER, ROLE, two_accounts};

/// Three clusters with a task each and a tag of their own, of which the last is denied.
fn one_of_three() -> Stage {
    let stage = Stage::new(fleet(&[("a", 1), ("b", 1), ("secret", 1)]));
    stage.change(|region| {
        for cluster in region.clusters.values_mut() {
            cluster.tags.insert("team".to_owned(), cluster.cluster_name.clone());
        }
    });
    deny(&stage);
    stage
}

fn deny(stage: &Stage) {
    stage.simulator.inject(Fault::Denied, Calls::all().in_cluster("secret"));
}

#[tokio::test(start_paused = true)]
async fn a_denied_cluster_costs_the_others_nothing() {
    let stage = one_of_three();
    let mut running = stage.run().await;
    let published = running.next().await;
    assert!(published.complete);
    let file = stage.file("1m");
    assert!(
        ["a", "b"].iter().all(|team| file.contains(&format!("\"__meta_ecs_tag_cluster_team\":\"{team}\"")))
    );
    assert_eq!(stage.targets("1m").len(), 2);
    // All three, the first, the last two, and each of these.
    assert_snapshot!(stage.asked(), @"
    ecs DescribeClusters 5, 3 refused
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 2
    ecs ListClusters 1
    ecs ListTasks 3, 1 refused
    ");

    // The modification time of the files shows that discovery works.
    let path = stage.path("1m-tasks.json");
    File::open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    assert!(running.next().await.complete);
    assert_ne!(path.metadata().unwrap().modified().unwrap(), SystemTime::UNIX_EPOCH);
    assert_snapshot!(stage.asked(), @"
    ecs ListClusters 1
    ecs ListTasks 3, 1 refused
    ");

    // Once it is allowed, the next refresh adds its targets, and a later one its tags.
    stage.simulator.heal();
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 3);
    running.next().await;
    running.next().await;
    assert!(stage.file("1m").contains("\"__meta_ecs_tag_cluster_team\":\"secret\""));
    // From now on it is known, and kept while it is denied.
    deny(&stage);
    stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        for cluster in ["a", "secret"] {
            region.run(cluster, &definition, Placement::Fargate);
        }
    });
    let published = running.next().await;
    assert!(published.complete);
    assert_eq!(stage.targets("1m").len(), 4);
    let held = |standing: &ScopeStatus| matches!(standing, ScopeStatus::Stale(_));
    assert!(published.snapshot.scopes.values().any(|scope| held(&scope.status) && scope.denied));
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_denied_from_a_start_on_keeps_its_targets() {
    let stage = one_of_three();
    stage.simulator.heal();
    stage.once().await;
    deny(&stage);
    let mut running = stage.run().await;
    for _ in 0..6 {
        running.next().await;
        assert_eq!(stage.targets("1m").len(), 3);
    }
    assert!(running.published().complete);
}

#[tokio::test(start_paused = true)]
async fn a_denied_cluster_that_was_never_read_takes_nothing_from_the_files() {
    let stage = one_of_three();
    std::fs::write(stage.path("1m-tasks.json"), BEFORE).unwrap();
    std::fs::write(stage.path("5m-tasks.json"), BEFORE).unwrap();
    let mut running = stage.run().await;
    for _ in 0..5 {
        assert!(running.next().await.complete);
        let found = stage.targets("1m");
        assert!(found.len() == 3 && found.contains(&"10.9.9.9:80".to_owned()), "{found:?}");
        assert_eq!(stage.file("5m"), BEFORE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_refresh_is_incomplete_without_a_cluster_that_is_asked_for_by_name() {
    for (clusters, outcome) in [
        (&[][..], Outcome::Complete),
        (&["*"], Outcome::Complete),
        (&["a"], Outcome::Complete),
        (&["a", "secret"], Outcome::Incomplete),
        (&["*", "arn:aws:ecs:eu-central-1:111111111111:cluster/secret"], Outcome::Incomplete),
        (&["secret"], Outcome::Nothing),
    ] {
        assert_eq!(one_of_three().clusters(clusters).once().await, outcome, "{clusters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_of_which_every_cluster_is_denied_is_not_complete() {
    let stage = two_accounts();
    let calls = Calls::of("ListTasks").in_account(PARTNER);
    stage.simulator.inject(Fault::Denied, calls);
    assert_eq!(stage.once().await, Outcome::Incomplete);
    assert_eq!(stage.targets("1m").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_denied_task_costs_its_cluster_nothing_else() {
    let stage = Stage::new(fleet(&[("prod", 20)]));
    let task = stage.change(|region| region.clusters["prod"].tasks.keys().nth(7).unwrap().clone());
    let id = task.rsplit('/').next().unwrap();
    stage.simulator.inject(Fault::Denied, Calls::of("DescribeTasks").asking_for(id));
    let mut running = stage.run().await;
    assert!(running.next().await.complete);
    assert_eq!(stage.targets("1m").len(), 19);
    stage.asked();
    running.next().await;
    assert_eq!(stage.simulator.take_ledger().refused(), 0);
    stage.simulator.heal();
    running.next().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 20);
}

/// Ways in which STS can fail to name the account: the call is denied, STS does not exist, cannot be reached, or does
/// not answer.
const STS_FAULTS: [Fault; 5] =
    [Fault::Denied, Fault::Unavailable, Fault::ConnectionRefused, Fault::NotJsonOrXml, Fault::NeverEnds];

#[tokio::test(start_paused = true)]
async fn the_own_account_is_discovered_without_sts() {
    for fault in STS_FAULTS {
        for restarts in [false, true] {
            let stage = two_accounts();
            if restarts {
                stage.once().await;
            }
            stage.simulator.inject(fault, Calls::of("GetCallerIdentity"));
            stage.asked();
            let mut running = stage.run().await;
            // Restored targets are published first, and a call without an answer times out.
            let mut publications = 0;
            while !running.next().await.complete {
                publications += 1;
                assert!(publications < 5, "{fault:?}");
            }
            assert_eq!(stage.targets("1m").len(), 2, "{fault:?}");
            assert!(stage.asked().contains("sts GetCallerIdentity"), "{fault:?}");
            stage.change(|region| {
                let definition = region.task_definitions.keys().next().unwrap().clone();
                region.run("prod", &definition, Placement::Fargate);
            });
            running.next().await;
            assert_eq!(stage.targets("1m").len(), 3, "{fault:?}");
            // The account is known from the clusters.
            assert!(!stage.asked().contains("sts GetCallerIdentity"), "{fault:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn sts_is_asked_again_now_and_then_while_nothing_tells_the_account() {
    let mut world = fleet(&[]);
    world.allow_role(ROLE, None);
    let stage = Stage::new(world).role(ROLE, None);
    stage.simulator.inject(Fault::Denied, Calls::of("GetCallerIdentity"));
    let mut running = stage.run().await;
    for _ in 0..30 {
        assert!(running.round().await.complete);
    }
    let asked = stage.simulator.take_ledger().calls("sts", "GetCallerIdentity");
    assert!((3..=4).contains(&asked), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn clusters_named_by_arn_are_found_without_sts() {
    let foreign = format!("arn:aws:ecs:{REGION}:{PARTNER}:cluster/prod");
    let own = format!("arn:aws:ecs:{REGION}:{OWN_ACCOUNT}:cluster/prod");
    for fault in STS_FAULTS {
        for (clusters, targets) in [(&[&*own, &*foreign][..], 2), (&[&*foreign], 1), (&[&*own], 1)] {
            let stage = two_accounts().clusters(clusters);
            stage.simulator.inject(fault, Calls::of("GetCallerIdentity"));
            assert_eq!(stage.once().await, Outcome::Complete, "{fault:?} {clusters:?}");
            assert_eq!(stage.targets("1m").len(), targets, "{fault:?} {clusters:?}");
        }
        let without_role = Stage::new(fleet(&[("prod", 1), ("other", 1)])).clusters(&[&own, &foreign]);
        without_role.simulator.inject(fault, Calls::of("GetCallerIdentity"));
        assert_eq!(without_role.once().await, Outcome::Complete, "{fault:?}");
        assert_eq!(without_role.targets("1m").len(), 1, "{fault:?}");
    }
}

/// A role of the own account replaces the own credentials once the account was read through the role, not before.
#[tokio::test(start_paused = true)]
async fn an_own_account_that_is_found_without_sts_stays_until_its_role_can_be_assumed() {
    let role = format!("arn:aws:iam::{OWN_ACCOUNT}:role/reader");
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(&role, None);
    let definition = world.own(REGION).register(opted_in("other"));
    let stage = Stage::new(world).role(&role, None);
    for operation in ["GetCallerIdentity", "AssumeRole"] {
        stage.simulator.inject(Fault::Denied, Calls::of(operation));
    }
    let mut running = stage.run().await;
    for _ in 0..6 {
        running.next().await;
        assert_eq!(stage.targets("1m").len(), 1);
    }
    stage.simulator.heal();
    for _ in 0..4 {
        running.next().await;
        assert_eq!(stage.targets("1m").len(), 1);
    }
    stage.change(|region| region.run("prod", &definition, Placement::Fargate));
    stage.asked();
    tokio::time::sleep(Duration::from_secs(1)).await;
    running.round().await;
    assert_eq!(stage.targets("1m").len(), 2);
    // Now it is read once, not twice.
    assert_eq!(stage.simulator.take_ledger().calls("ecs", "ListTasks"), 1);
}
