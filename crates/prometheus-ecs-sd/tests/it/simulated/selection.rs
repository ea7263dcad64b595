//! Which clusters, accounts and regions are looked at.

use std::sync::{Arc, Mutex};

use ecs_discovery::arn::RoleArn;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use insta::assert_snapshot;
use prometheus_ecs_sd::config::Account;
use prometheus_ecs_sd::discovery::Outcome;
use prometheus_ecs_sd::sinks::history::{History, Kind};

use super::{REGION, Stage, SystemClock, fleet, opted_in};

fn stage(patterns: &[&str]) -> Stage {
    Stage::new(fleet(&[("prod-a", 1), ("prod-b", 1), ("test", 1)])).clusters(patterns)
}

#[tokio::test(start_paused = true)]
async fn globs_select_among_the_listed() {
    let stage = stage(&["prod-*"]);
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_no_longer_selected_is_not_called_gone() {
    let stage = stage(&["prod-*", "test"]);
    let (store, history) = (SystemClock::default().store(), History::default());
    tokio::spawn(history.clone().follow(store.reader()));
    let mut running = stage.run_into(store).await;
    running.next().await;
    let mut config = stage.config.clone();
    config.accounts[0].clusters = ClusterSelection::new(vec![ClusterPattern::parse("prod-*").unwrap()]);
    running.replace(&config).await.unwrap();
    let told = |history: &History| {
        let gone = history.newest(20).into_iter().filter(|event| event.kind == Kind::ScopeGone);
        gone.map(|event| format!("{} {}", event.subject, event.detail)).collect::<Vec<_>>()
    };
    while told(&history).is_empty() {
        running.next().await;
    }
    assert_eq!(told(&history), ["test 111111111111 eu-central-1 no longer selected"]);
    stage.change(|region| region.delete_cluster("prod-b"));
    while told(&history).len() < 2 {
        running.next().await;
    }
    assert_eq!(told(&history)[0], "prod-b 111111111111 eu-central-1 gone");
}

#[tokio::test(start_paused = true)]
async fn named_clusters_are_not_listed() {
    let stage = stage(&["prod-a", "arn:aws:ecs:eu-central-1:111111111111:cluster/test"]);
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);
    assert_snapshot!(stage.asked(), @r"
    ecs DescribeClusters 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 2
    ecs ListTasks 2
    sts GetCallerIdentity 1
    ");
    running.next().await;
    assert_snapshot!(stage.asked(), @"ecs ListTasks 2");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_exists_nowhere_is_no_failure_and_may_come_to_be() {
    let stage = stage(&["prod-a", "later"]);
    let mut running = stage.run().await;
    assert!(running.next().await.complete);
    assert_eq!(stage.targets("1m").len(), 1);
    stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run("later", &definition, ecs_simulator::Placement::Fargate);
    });
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn arns_of_another_account_or_region_select_nothing_here() {
    let stage = stage(&[
        "arn:aws:ecs:us-east-1:111111111111:cluster/test",
        "arn:aws:ecs:eu-central-1:999999999999:cluster/test",
    ]);
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.file("1m"), "[]\n");
}

#[tokio::test(start_paused = true)]
async fn each_source_has_clusters_regions_and_a_session_of_its_own() {
    let role = "arn:aws:iam::222222222222:role/reader";
    let mut world = fleet(&[("prod", 1), ("test", 2)]);
    world.allow_role(role, Some("secret"));
    for region in ["eu-west-1", "us-east-1"] {
        let region = world.region("222222222222", region);
        let definition = region.register(opted_in("there"));
        for cluster in ["prod", "other"] {
            region.cluster(cluster);
            region.run(cluster, &definition, ecs_simulator::Placement::Fargate);
        }
    }
    let mut stage = Stage::new(world);
    let clusters = |name: &str| ClusterSelection::new(vec![ClusterPattern::parse(name).unwrap()]);
    stage.config.accounts = vec![
        Account { regions: vec![REGION.to_owned()], clusters: clusters("t*"), ..Account::default() },
        Account {
            role: Some(RoleArn::parse_strictly(role).unwrap()),
            external_id: Some("secret".to_owned()),
            session_name: Some("scraper".to_owned()),
            regions: vec!["us-east-1".to_owned()],
            clusters: clusters("prod"),
        },
    ];
    let sessions = Arc::new(Mutex::new(Vec::new()));
    let seen = sessions.clone();
    stage.simulator.on_call(move |call| {
        seen.lock().unwrap().extend(call.input["RoleSessionName"].as_str().map(str::to_owned));
        None
    });
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 3);
    assert_eq!(*sessions.lock().unwrap(), ["scraper"]);
}

#[tokio::test(start_paused = true)]
async fn a_role_of_the_own_account_stands_for_it_only_where_it_looks() {
    let role = "arn:aws:iam::111111111111:role/reader";
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(role, None);
    let elsewhere = world.own("us-east-1");
    let definition = elsewhere.register(opted_in("there"));
    elsewhere.cluster("prod");
    elsewhere.run("prod", &definition, ecs_simulator::Placement::Fargate);
    let mut stage = Stage::new(world).regions(&[REGION]).role(role, None);
    stage.config.accounts[1].regions = vec!["us-east-1".to_owned()];
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn sts_is_asked_in_one_region_whichever_are_discovered() {
    let role = "arn:aws:iam::222222222222:role/reader";
    let mut world = fleet(&[("prod", 1)]);
    world.allow_role(role, None);
    let mut stage = Stage::new(world).regions(&["me-south-1", "af-south-1"]).role(role, None);
    for (chosen, asked) in [(None, REGION), (Some("eu-west-1"), "eu-west-1")] {
        stage.config.sts_region = chosen.map(str::to_owned);
        assert_eq!(stage.once().await, Outcome::Complete);
        let calls = stage.simulator.take_calls().into_iter().filter(|call| call.service == "sts");
        let mut regions: Vec<_> = calls.map(|call| (call.operation, call.region)).collect();
        regions.sort();
        regions.dedup();
        let both = ["AssumeRole", "GetCallerIdentity"];
        assert_eq!(regions, both.map(|operation| (operation.to_owned(), asked.to_owned())));
    }
}

#[tokio::test(start_paused = true)]
async fn another_selection_that_finds_nothing_leaves_the_files_unless_that_is_meant() {
    let selections: [(&str, &[&str]); 2] = [("us-east-1", &[]), (REGION, &["prodution"])];
    for (region, clusters) in selections {
        for has_state in [true, false] {
            let mut stage = Stage::new(fleet(&[("production", 2)])).regions(&[REGION]);
            if !has_state {
                stage.config.state_file = None;
            }
            assert_eq!(stage.once().await, Outcome::Complete);
            let before = stage.targets("1m");
            let mut stage = stage.regions(&[region]).clusters(clusters);
            for _ in 0..2 {
                assert_eq!(stage.once().await, Outcome::Incomplete);
                assert_eq!(stage.targets("1m"), before);
            }
            let mut running = stage.run().await;
            for _ in 0..3 {
                running.next().await;
                assert_eq!(stage.targets("1m"), before);
            }
            drop(running);
            stage.config.allow_empty = true;
            assert_eq!(stage.once().await, Outcome::Complete);
            assert_eq!(stage.file("1m"), "[]\n");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_no_longer_selected_leaves_once_what_is_was_read() {
    let stage = stage(&[]);
    stage.once().await;
    let stage = stage.clusters(&["prod-*"]);
    // At a start, and again by a process that was killed meanwhile.
    for _ in 0..2 {
        stage.simulator.on_call(|call| {
            (call.operation == "ListTasks").then(|| ecs_simulator::Response::server_error(call))
        });
        let mut running = stage.run().await;
        for _ in 0..3 {
            running.next().await;
            assert_eq!(stage.targets("1m").len(), 3);
        }
    }
    let mut running = stage.run().await;
    stage.simulator.heal();
    while !running.next().await.complete {}
    assert_eq!(stage.targets("1m").len(), 2);
    drop(running);
    assert_eq!(stage.clusters(&[]).once().await, Outcome::Complete);
}

#[tokio::test(start_paused = true)]
async fn a_selection_that_was_mistaken_and_is_corrected_has_lost_nothing() {
    let stage = stage(&["test"]);
    stage.once().await;
    let before = stage.file("1m");
    let stage = stage.clusters(&["tset"]);
    assert_eq!(stage.once().await, Outcome::Incomplete);
    let stage = stage.clusters(&["test"]);
    stage.simulator.on_call(|call| Some(ecs_simulator::Response::server_error(call)));
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!((stage.file("1m"), running.published().snapshot.targets().len()), (before, 1));
}

/// Changes the account of everything that was saved and published.
fn make_foreign(stage: &Stage) {
    let foreign = |text: &str| text.replace(ecs_simulator::OWN_ACCOUNT, FOREIGN);
    stage.edit_state(foreign);
    let path = stage.path("1m-tasks.json");
    std::fs::write(&path, foreign(&stage.file("1m"))).unwrap();
}

const FOREIGN: &str = "999999999999";

#[tokio::test(start_paused = true)]
async fn clusters_of_another_account_leave_for_those_of_the_same_name() {
    for patterns in [&["prod-a", "test"][..], &["prod-*"], &[]] {
        let stage = stage(patterns);
        assert_eq!(stage.once().await, Outcome::Complete);
        let before = stage.file("1m");
        make_foreign(&stage);
        let mut running = stage.run().await;
        while !running.next().await.complete {}
        assert_eq!(stage.file("1m"), before);
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_of_an_account_without_clusters_take_nothing_away() {
    for patterns in [&["prod-a", "test"][..], &["prod-*"], &[]] {
        let stage = stage(patterns);
        stage.once().await;
        make_foreign(&stage);
        stage.change(|region| region.clusters.clear());
        let before = stage.targets("1m");
        assert_eq!(stage.once().await, Outcome::Incomplete);
        assert_eq!(stage.targets("1m"), before);
        // The same if the state may not match the files.
        std::fs::remove_file(stage.path(".prometheus-ecs-sd/published")).unwrap();
        assert_eq!(stage.once().await, Outcome::Incomplete);
        assert_eq!(stage.targets("1m"), before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_named_cluster_is_looked_up_once_after_a_restart() {
    let stage = stage(&["prod-a"]);
    stage.once().await;
    let mut running = stage.run().await;
    stage.asked();
    while !running.next().await.complete {}
    assert_snapshot!(stage.asked(), @r"
    ecs DescribeClusters 1
    ecs ListTasks 1
    ");
    running.next().await;
    assert_snapshot!(stage.asked(), @"ecs ListTasks 1");
}
