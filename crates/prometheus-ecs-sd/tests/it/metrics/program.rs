//! What the program does: refreshes, files, reloads.

use std::fs;
use std::time::Duration;

use ecs_simulator::{Calls, Fault};

use super::Now;
use crate::simulated::{REGION, Stage, SystemClock, fleet};

const OWN: &str = "source=\"own account eu-central-1\"";

fn turns(now: &Now, result: &str) -> Option<f64> {
    now.sample(&format!("refreshes_total{{{OWN},result=\"{result}\"}}"))
}

fn completed(now: &Now) -> f64 {
    now.sample(&format!("last_complete_refresh_timestamp_seconds{{{OWN}}}")).unwrap()
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_counted_by_how_they_ended_and_timed() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    stage.simulator.inject(Fault::Denied, Calls::of("ListTasks"));
    let mut running = stage.run().await;
    let now = Now::of(&running);
    let ends = |now: &Now| ["complete", "incomplete", "skipped"].map(|result| turns(now, result).unwrap());
    assert_eq!((ends(&now), completed(&now)), ([0.0; 3], 0.0));
    tokio::time::sleep(Duration::from_secs(10)).await;
    let now = Now::of(&running);
    assert_eq!((ends(&now), completed(&now)), ([0.0, 1.0, 0.0], 0.0));
    stage.simulator.heal();
    // ListClusters, ListTasks, DescribeTasks, DescribeTaskDefinition.
    stage.simulator.set_latency(Duration::from_secs(7));
    running.next().await;
    let now = Now::of(&running);
    assert_eq!(ends(&now), [1.0, 1.0, 0.0]);
    let first = completed(&now);
    assert!(first > 0.0);
    let took = now.sample(&format!("last_refresh_duration_seconds{{{OWN}}}")).unwrap();
    assert!(took >= 28.0, "{took}");
    assert_eq!(now.sample(&format!("refresh_duration_seconds_sum{{{OWN}}}")), Some(took));
    assert_eq!(now.sample(&format!("refresh_duration_seconds_count{{{OWN}}}")), Some(2.0));
    stage.simulator.set_latency(Duration::ZERO);
    stage.simulator.inject(Fault::NeverEnds, Calls::of("ListClusters"));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(completed(&Now::of(&running)), first);
}

/// The machine booted with its clock at 1970, or was suspended: the system's clock is set while the program runs.
#[tokio::test(start_paused = true)]
async fn timestamps_follow_the_system_clock_when_it_is_set() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    let system = SystemClock::default();
    let mut running = stage.run_into(system.store()).await;
    running.next().await;
    let timestamps = |now: &Now| {
        let reloaded = now.sample("config_last_reload_success_timestamp_seconds").unwrap();
        [completed(now), reloaded]
    };
    let before = timestamps(&Now::of(&running));
    for ahead in [1_800_000_000, 3600, -3600, 0] {
        system.set(ahead);
        let shown = timestamps(&Now::of(&running));
        let is_moved = |(shown, before): (f64, f64)| (shown - before - ahead as f64).abs() < 0.001;
        assert!(shown.into_iter().zip(before).all(is_moved), "{ahead}: {shown:?}");
    }
    // A failing cluster's age is counted by the monotonic clock.
    stage.simulator.inject(Fault::Denied, Calls::of("ListTasks"));
    running.next().await;
    let held = |now: &Now| now.sum("cluster_held_seconds", "");
    let age = held(&Now::of(&running));
    assert!(age > 0.0);
    system.set(3600);
    assert_eq!(held(&Now::of(&running)), age);
}

#[tokio::test(start_paused = true)]
async fn a_turn_that_comes_too_early_is_counted_as_skipped() {
    let mut stage = Stage::new(fleet(&[("prod", 1)]));
    stage.config.interval = Duration::from_secs(10);
    stage.simulator.set_latency(Duration::from_secs(9));
    let mut running = stage.run().await;
    running.next().await;
    // ListClusters, DescribeClusters, ListTasks, DescribeTasks, DescribeTaskDefinition.
    let skipped = turns(&Now::of(&running), "skipped").unwrap();
    assert!((3.0..=4.0).contains(&skipped), "{skipped}");
}

#[tokio::test(start_paused = true)]
async fn writes_are_counted_by_file_and_result() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    let mut running = stage.run().await;
    let writes = |now: &Now, file: &str| {
        let result = |result: &str| format!("file_writes_total{{file=\"{file}\",result=\"{result}\"}}");
        ["written", "unchanged", "failed"].map(|name| now.sample(&result(name)).unwrap())
    };
    assert_eq!(writes(&Now::of(&running), "1m-tasks.json"), [0.0; 3]);
    running.next().await;
    running.next().await;
    let now = Now::of(&running);
    assert_eq!(writes(&now, "1m-tasks.json"), [1.0, 1.0, 0.0]);
    assert_eq!(writes(&now, "state"), [1.0, 1.0, 0.0]);
    let blocked = stage.path("5m-tasks.json");
    fs::remove_file(&blocked).unwrap();
    fs::create_dir_all(blocked.join("something")).unwrap();
    running.next().await;
    running.next().await;
    let now = Now::of(&running);
    assert_eq!(writes(&now, "5m-tasks.json"), [1.0, 1.0, 2.0]);
    assert_eq!(writes(&now, "1m-tasks.json"), [1.0, 3.0, 0.0]);
    fs::remove_dir_all(&blocked).unwrap();
    running.next().await;
    assert_eq!(writes(&Now::of(&running), "5m-tasks.json"), [2.0, 1.0, 2.0]);
}

#[tokio::test(start_paused = true)]
async fn reloads_are_counted_and_a_failed_one_shows_until_the_next() {
    let running = Stage::new(fleet(&[])).run().await;
    let reload = |now: &Now| {
        let counts = ["success", "failure"].map(|name| format!("config_reloads_total{{result=\"{name}\"}}"));
        (counts.map(|name| now.sample(&name).unwrap()), now.sample("config_last_reload_successful").unwrap())
    };
    let at = |now: &Now| now.sample("config_last_reload_success_timestamp_seconds").unwrap();
    let start = Now::of(&running);
    assert_eq!(reload(&start), ([0.0, 0.0], 1.0));
    tokio::time::advance(Duration::from_secs(60)).await;
    running.reloaded(&Err::<(), _>("no such file"));
    let failed = Now::of(&running);
    assert_eq!((reload(&failed), at(&failed)), (([0.0, 1.0], 0.0), at(&start)));
    running.reloaded(&Ok::<_, &str>(()));
    let succeeded = Now::of(&running);
    assert_eq!(reload(&succeeded), ([1.0, 1.0], 1.0));
    assert!((at(&succeeded) - at(&start) - 60.0).abs() < 0.01);
}

#[tokio::test(start_paused = true)]
async fn counting_goes_on_after_a_reload_but_for_sources_that_are_gone() {
    let stage = Stage::new(fleet(&[("prod", 1)])).regions(&[REGION, "us-east-1"]);
    let mut running = stage.run().await;
    running.next().await;
    let other = stage.regions(&[REGION]);
    running.replace(&other.config).await.unwrap();
    running.next().await;
    running.next().await;
    let now = Now::of(&running);
    assert!(turns(&now, "complete").unwrap() >= 2.0);
    assert_eq!(now.sum("refreshes_total", "result=\"complete\""), turns(&now, "complete").unwrap());
    assert!(!now.0.keys().any(|name| name.contains("source=\"own account us-east-1\"")));
    assert_eq!(now.sum("aws_requests_total", ""), other.simulator.calls().total() as f64);
    assert!(now.sum("file_writes_total", "file=\"1m-tasks.json\"") >= 2.0);
}
