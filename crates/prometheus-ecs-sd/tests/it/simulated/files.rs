//! What stands in the files, and when they are written.

use std::os::unix::fs::MetadataExt;

use ecs_discovery::render::{file_sd, http_sd};
use ecs_discovery::snapshot::Snapshot;
use ecs_simulator::{ContainerDefinition, Placement, Region, TaskDefinition};
use insta::assert_snapshot;
use prometheus_ecs_sd::config::Layout;
use prometheus_ecs_sd::discovery::Outcome;
use prometheus_ecs_sd::telemetry::LogFormat;

use super::{REGION, Stage, every_case, fleet, opted_in};

#[tokio::test(start_paused = true)]
async fn the_four_files_of_a_fixed_world_stay_as_they_are() {
    let stage = every_case();
    assert_eq!(stage.once().await, Outcome::Complete);
    for interval in ["15s", "30s", "1m", "5m"] {
        assert_snapshot!(format!("{interval}-tasks.json"), stage.file(interval));
    }
}

#[tokio::test(start_paused = true)]
async fn two_runs_over_one_world_give_equal_bytes() {
    let (one, other) = (every_case(), every_case());
    assert_eq!((one.once().await, other.once().await), (Outcome::Complete, Outcome::Complete));
    for interval in ["15s", "30s", "1m", "5m"] {
        assert!(!one.targets(interval).is_empty());
        assert_eq!(one.file(interval), other.file(interval));
    }
    assert_eq!(one.printed(), other.printed());
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_told() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    let mut running = stage.run().await;
    running.next().await;
    assert_snapshot!(stage.printed(), @r"
    + http://10.0.0.4:8080/metrics 1m prod web app 656a2dd6fc794c1546ca31247755d136
    1 target (+1 ~0 -0) in 1 cluster, 0 containers not scraped, 0 clusters not up to date; 0.0 s
    ");
    running.next().await;
    assert_eq!(stage.printed(), "");
    stage.change(|region| {
        let task = region.clusters["prod"].tasks.values().next().unwrap().task_arn.clone();
        region.stop(&task);
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run("prod", &definition, Placement::Fargate);
    });
    running.next().await;
    assert_snapshot!(stage.printed(), @r"
    + http://10.0.0.5:8080/metrics 1m prod web app 6d541ff6826e5e35df3182bf060d17e2
    - http://10.0.0.4:8080/metrics 1m prod web app 656a2dd6fc794c1546ca31247755d136
    1 target (+1 ~0 -1) in 1 cluster, 0 containers not scraped, 0 clusters not up to date; 0.0 s
    ");
}

#[tokio::test(start_paused = true)]
async fn what_changes_is_told_as_json() {
    let mut stage = Stage::new(fleet(&[("prod", 1)]));
    stage.config.log_format = LogFormat::Json;
    let mut running = stage.run().await;
    running.next().await;
    stage.printed();
    stage.change(|region| {
        let task = region.clusters.get_mut("prod").unwrap().tasks.values_mut().next().unwrap();
        task.tags.insert("stage".to_owned(), "a \u{1b}[2J".to_owned());
    });
    for _ in 0..12 {
        running.next().await;
    }
    let printed = stage.printed();
    let line = printed.lines().next().unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["event"], "changed");
    assert_snapshot!(line["labels"], @r#"{"__meta_ecs_tag_stage":{"after":"a \u001b[2J","before":null},"__meta_ecs_tag_task_stage":{"after":"a \u001b[2J","before":null}}"#);
    assert!(!printed.contains('\u{1b}'), "{printed}");
}

#[tokio::test(start_paused = true)]
async fn a_file_that_stays_as_it_is_is_not_written_but_its_time_is_set() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    let mut running = stage.run().await;
    let mut look = async |path: &str| {
        running.next().await;
        let metadata = std::fs::metadata(stage.path(path)).unwrap();
        (metadata.ino(), metadata.modified().unwrap())
    };
    let (first, second) = (look("1m-tasks.json").await, look("1m-tasks.json").await);
    assert_eq!(first.0, second.0);
    assert!(first.1 < second.1);
    stage.change(|region| {
        let definition = region.register(opted_in("other"));
        region.run("prod", &definition, Placement::Fargate);
    });
    let third = look("1m-tasks.json").await;
    assert_ne!(second.0, third.0);
}

#[tokio::test(start_paused = true)]
async fn the_files_are_readable_and_nothing_else_is_left() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    std::fs::write(stage.path(".prometheus-ecs-sd/tasks-left-by-a-killed-run"), "x").unwrap();
    prometheus_ecs_sd::sinks::file_sd::prepare(stage.config.directory.as_deref().unwrap()).unwrap();
    assert_eq!(stage.once().await, Outcome::Complete);
    let mut names: Vec<_> =
        std::fs::read_dir(stage.path(".")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(
        names,
        [".prometheus-ecs-sd", "15s-tasks.json", "1m-tasks.json", "30s-tasks.json", "5m-tasks.json"]
    );
    let work = std::fs::read_dir(stage.path(".prometheus-ecs-sd")).unwrap();
    let mut names: Vec<_> = work.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["published", "state"]);
    assert_eq!(std::fs::metadata(stage.path("1m-tasks.json")).unwrap().mode() & 0o777, 0o644);
}

#[tokio::test(start_paused = true)]
async fn a_single_file_holds_all_targets_with_their_intervals() {
    let mut stage = every_case();
    stage.config.file_layout = Layout::Single;
    assert_eq!(stage.once().await, Outcome::Complete);
    let single = std::fs::read_to_string(stage.path("tasks.json")).unwrap();
    let mut single: Vec<serde_json::Value> = serde_json::from_str(&single).unwrap();

    let four = every_case();
    assert_eq!(four.once().await, Outcome::Complete);
    let mut expected = Vec::new();
    for interval in ["15s", "30s", "1m", "5m"] {
        assert!(!stage.path(&format!("{interval}-tasks.json")).exists());
        let groups: Vec<serde_json::Value> = serde_json::from_str(&four.file(interval)).unwrap();
        expected.extend(groups.into_iter().map(|mut group| {
            group["labels"]["__scrape_interval__"] = interval.into();
            group
        }));
    }
    let by_text =
        |one: &serde_json::Value, other: &serde_json::Value| one.to_string().cmp(&other.to_string());
    single.sort_by(by_text);
    expected.sort_by(by_text);
    assert_eq!(single, expected);
}

/// Stops tasks and starts others, or changes the labels of some.
fn change(region: &mut Region, step: usize) {
    let definitions: Vec<_> = region.task_definitions.keys().cloned().collect();
    let running = region.clusters.values().flat_map(|cluster| cluster.tasks.values());
    let running: Vec<_> = running.filter(|task| task.desired_status == "RUNNING").cloned().collect();
    match step % 4 {
        0 => region.stop(&running[step * 7 % running.len()].task_arn),
        1 => drop(region.run("stage", &definitions[step % 2], Placement::Fargate)),
        2 => {
            let every_third = running.iter().skip(step % 3).step_by(3);
            every_third.for_each(|task| region.stop(&task.task_arn));
            for number in 0..running.len() / 4 {
                region.run("prod", &definitions[number % 2], Placement::Fargate);
            }
        }
        _ => {
            for task in region.clusters.get_mut("prod").unwrap().tasks.values_mut().step_by(step) {
                task.tags.insert("step".to_owned(), format!("{step}"));
            }
        }
    }
}

fn documents(snapshot: &Snapshot, layout: Layout) -> Vec<(String, String)> {
    let mut targets = snapshot.targets();
    let document = |targets: &[_]| {
        let mut document = Vec::new();
        match layout {
            Layout::Single => http_sd::write(&mut document, targets).unwrap(),
            Layout::PerInterval => file_sd::write(&mut document, targets).unwrap(),
        }
        String::from_utf8(document).unwrap()
    };
    if layout == Layout::Single {
        return vec![("tasks.json".to_owned(), document(&targets))];
    }
    targets.retain(|target| ["15s", "1m"].contains(&target.interval.name()));
    let (fast, slow): (Vec<_>, Vec<_>) =
        targets.into_iter().partition(|target| target.interval.name() == "15s");
    vec![("15s-tasks.json".to_owned(), document(&fast)), ("1m-tasks.json".to_owned(), document(&slow))]
}

#[tokio::test(start_paused = true)]
async fn a_file_that_changes_in_parts_is_what_it_would_be_if_it_were_written_as_a_whole() {
    for layout in [Layout::PerInterval, Layout::Single] {
        let mut world = fleet(&[("prod", 60), ("stage", 9)]);
        let app = ContainerDefinition::new("app", "shop/app:1").env("PROMETHEUS", "true").port(8080);
        let app = app.env("PROMETHEUS_ENDPOINT", "15s:/metrics,1m:/slow");
        let region = world.own(REGION);
        let fast = region.register(TaskDefinition::new("fast").network_mode("awsvpc").container(app));
        (0..30).for_each(|_| drop(region.run("prod", &fast, Placement::Fargate)));
        let mut stage = Stage::new(world);
        stage.config.file_layout = layout;
        stage.config.recheck_interval = stage.config.interval;
        let mut running = stage.run().await;
        running.next().await;
        for step in 0..16 {
            stage.change(|region| change(region, step));
            if step % 5 == 4 {
                // Someone else writes as many other bytes to a file.
                let (name, document) = documents(&running.published().snapshot, layout).remove(0);
                std::fs::write(stage.path(&name), "x".repeat(document.len())).unwrap();
                let file = std::fs::File::open(stage.path(&name)).unwrap();
                file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            }
            let published = running.next().await;
            for (name, document) in documents(&published.snapshot, layout) {
                let found = std::fs::read_to_string(stage.path(&name)).unwrap();
                assert!(found == document, "{name} at step {step}");
                assert!(found.matches("\"targets\"").count() > 2, "{name} at step {step}");
            }
        }
    }
}
