//! Another configuration while the program runs.

use insta::assert_snapshot;
use prometheus_ecs_sd::config::Config;

use super::{Stage, fleet};

fn stage() -> Stage {
    Stage::new(fleet(&[("prod", 3), ("test", 2)]))
}

#[tokio::test(start_paused = true)]
async fn sources_that_stay_keep_their_facts() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    stage.asked();
    stage.simulator.set_latency(std::time::Duration::from_secs(1));
    running.replace(&Config { interval: stage.config.interval * 2, ..stage.config.clone() }).await.unwrap();
    // What is known is published at once, and then heard again.
    for complete in [false, true] {
        assert_eq!(running.next().await.complete, complete);
        assert_eq!(stage.file("1m"), before);
    }
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 2
    ");
}

#[tokio::test(start_paused = true)]
async fn clusters_that_are_not_selected_any_more_leave_and_others_come() {
    let stage = stage().clusters(&["prod"]);
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 3);
    let other = stage.fresh().await.clusters(&["test"]);
    running
        .replace(&Config { accounts: other.config.accounts.clone(), ..stage.config.clone() })
        .await
        .unwrap();
    // Until the other cluster was heard, what was published stays.
    assert_eq!(stage.targets("1m").len(), 3);
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_in_while_aws_is_in_trouble_costs_the_others_nothing() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    let role = "arn:aws:iam::222222222222:role/reader";
    let both = stage.fresh().await.role(role, None);
    stage.simulator.on_call(|call| (call.service != "ecs").then(ecs_simulator::Response::connection_refused));
    running
        .replace(&Config { accounts: both.config.accounts.clone(), ..stage.config.clone() })
        .await
        .unwrap();
    for _ in 0..3 {
        running.next().await;
        assert_eq!(stage.file("1m"), before);
    }
}

#[tokio::test(start_paused = true)]
async fn files_move_with_their_directory_and_intervals() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let other = tempfile::tempdir().unwrap();
    prometheus_ecs_sd::sinks::file_sd::prepare(other.path()).unwrap();
    let directory = Some(other.path().to_owned());
    running.replace(&Config { directory, ..stage.config.clone() }).await.unwrap();
    running.next().await;
    let moved = std::fs::read_to_string(other.path().join("1m-tasks.json")).unwrap();
    assert_eq!(moved, stage.file("1m"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_going_on_is_given_up_and_its_facts_are_not() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    stage.simulator.set_latency(std::time::Duration::from_secs(5));
    tokio::time::sleep(stage.config.interval + std::time::Duration::from_secs(4)).await;
    stage.asked();
    let other = Config { recheck_interval: stage.config.recheck_interval * 2, ..stage.config.clone() };
    running.replace(&other).await.unwrap();
    running.next().await;
    assert_eq!(stage.file("1m"), before);
    assert!(running.next().await.complete);
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 2
    ");
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_disturbs_nothing() {
    let stage = stage();
    stage.simulator.set_latency(std::time::Duration::from_secs(5));
    let mut running = stage.run().await;
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        running.replace(&stage.config.clone()).await.unwrap();
    }
    assert!(running.next().await.complete);
}
