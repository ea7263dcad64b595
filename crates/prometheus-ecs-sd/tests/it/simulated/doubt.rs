//! A start with target files that contain targets that are missing in the state file.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use ecs_simulator::{Placement, Response};
use prometheus_ecs_sd::discovery::Outcome;

use super::{Stage, fleet};

/// Given the stage and the bytes of the state file before.
type Loss = fn(&Stage, &[u8]);

/// Ways in which a state file can be older, given its content before the last publication.
const LOSSES: [(&str, Loss); 7] = [
    ("it could not be written before the process was killed", |stage, old| {
        fs::write(stage.state_file(), old).unwrap();
    }),
    ("it was deleted", |stage, _| fs::remove_file(stage.state_file()).unwrap()),
    ("it was damaged", |stage, old| fs::write(stage.state_file(), &old[..old.len() / 2]).unwrap()),
    ("it is another file's", |stage, _| fs::write(stage.state_file(), "{}\n").unwrap()),
    ("it is of version 1, and nothing says of which facts the files are", |stage, old| {
        fs::write(stage.state_file(), old).unwrap();
        stage.edit_state(|text| {
            let lines = text.split_inclusive('\n').skip(2);
            format!("prometheus-ecs-sd state 1\n{}", lines.collect::<String>())
        });
        fs::remove_file(stage.path(PUBLISHED)).unwrap();
    }),
    ("what says of which facts the files are was deleted", |stage, old| {
        fs::write(stage.state_file(), old).unwrap();
        fs::remove_file(stage.path(PUBLISHED)).unwrap();
    }),
    ("what says of which facts the files are was damaged", |stage, old| {
        fs::write(stage.state_file(), old).unwrap();
        fs::write(stage.path(PUBLISHED), "?").unwrap();
    }),
];

const PUBLISHED: &str = ".prometheus-ecs-sd/published";
const MINUTES: Duration = Duration::from_secs(300);

fn start_a_task(stage: &Stage, cluster: &str) {
    stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run(cluster, &definition, Placement::Fargate);
    });
}

fn fail_bad(stage: &Stage) {
    stage.simulator.on_call(|call| {
        let bad = call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("bad"));
        bad.then(|| Response::server_error(call))
    });
}

#[tokio::test(start_paused = true)]
async fn what_the_state_file_does_not_know_stays_until_it_was_read() {
    for (how, lose) in LOSSES {
        let stage = Stage::new(fleet(&[("bad", 3), ("good", 2)]));
        assert_eq!(stage.once().await, Outcome::Complete);
        let old = fs::read(stage.state_file()).unwrap();
        ["bad", "good"].into_iter().for_each(|cluster| start_a_task(&stage, cluster));
        assert_eq!(stage.once().await, Outcome::Complete);
        let before = stage.targets("1m");
        lose(&stage, &old);
        stage.simulator.on_call(|call| Some(Response::server_error(call)));
        // However often refreshes fail.
        for _ in 0..2 {
            let _running = stage.run().await;
            tokio::time::sleep(MINUTES).await;
            let now = stage.targets("1m");
            assert!(before.iter().all(|target| now.contains(target)), "{how}: {now:?}");
        }
        // New targets elsewhere do not wait for it.
        fail_bad(&stage);
        start_a_task(&stage, "good");
        let running = stage.run().await;
        tokio::time::sleep(MINUTES).await;
        let now = stage.targets("1m");
        assert!(before.iter().all(|target| now.contains(target)), "{how}: {now:?}");
        assert_eq!(now.len(), before.len() + 1, "{how}");
        stage.simulator.heal();
        let ended =
            stage.change(|region| region.clusters["bad"].tasks.values().next().unwrap().task_arn.clone());
        stage.change(|region| region.stop(&ended));
        tokio::time::sleep(MINUTES).await;
        assert_eq!(stage.file("1m"), stage.fresh().await.file("1m"), "{how}");
        drop(running);
        // From now on the state file is used again.
        stage.simulator.on_call(|call| Some(Response::server_error(call)));
        let mut running = stage.run().await;
        running.next().await;
        assert_eq!(running.published().snapshot.targets().len(), before.len(), "{how}");
    }
}

#[tokio::test(start_paused = true)]
async fn once_keeps_what_it_could_not_read() {
    let stage = Stage::new(fleet(&[("bad", 3), ("good", 2)]));
    stage.once().await;
    fs::remove_file(stage.state_file()).unwrap();
    fail_bad(&stage);
    start_a_task(&stage, "good");
    assert_eq!(stage.once().await, Outcome::Incomplete);
    assert_eq!(stage.targets("1m").len(), 6);
}

#[tokio::test(start_paused = true)]
async fn files_that_were_deleted_are_written_from_the_state() {
    let stage = Stage::new(fleet(&[("good", 2)]));
    stage.once().await;
    let before = stage.file("1m");
    fs::remove_file(stage.path("1m-tasks.json")).unwrap();
    stage.simulator.on_call(|call| Some(Response::server_error(call)));
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.file("1m"), before);
}

#[tokio::test(start_paused = true)]
async fn what_may_be_let_go_does_not_stay_for_ever() {
    let mut stage = Stage::new(fleet(&[("bad", 3), ("good", 2)]));
    stage.once().await;
    fs::remove_file(stage.state_file()).unwrap();
    stage.config.max_staleness = Duration::from_secs(600);
    fail_bad(&stage);
    let _running = stage.run().await;
    tokio::time::sleep(MINUTES).await;
    assert_eq!(stage.targets("1m").len(), 5);
    tokio::time::sleep(2 * MINUTES).await;
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn time_without_a_process_lets_nothing_go() {
    let mut stage = Stage::new(fleet(&[("prod", 2)]));
    stage.once().await;
    File::open(stage.state_file()).unwrap().set_modified(SystemTime::now() - 12 * MINUTES).unwrap();
    stage.config.max_staleness = Duration::from_secs(3);
    stage.simulator.on_call(|call| Some(Response::server_error(call)));
    let mut running = stage.run().await;
    assert_eq!(running.next().await.snapshot.targets().len(), 2);
    // The first refresh fails, and the next one comes more than three seconds later.
    assert_eq!(running.next().await.snapshot.targets().len(), 2);
    assert_eq!(running.next().await.snapshot.targets().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_saved_is_published_and_stays_after_a_restart() {
    let mut stage = Stage::new(fleet(&[("prod", 2)]));
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("state");
    stage.config.state_file = Some(path.clone());
    let mut running = stage.run().await;
    running.next().await;
    // A directory is in the place of the file.
    let held = place.path().join("held");
    fs::rename(&path, &held).unwrap();
    fs::create_dir(&path).unwrap();
    start_a_task(&stage, "prod");
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 3);
    drop(running);
    fs::remove_dir(&path).unwrap();
    fs::rename(&held, &path).unwrap();
    stage.simulator.on_call(|call| Some(Response::server_error(call)));
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 3);
}

/// A denied task or definition does not count as read: what the files hold of its cluster stays for a while.
#[tokio::test(start_paused = true)]
async fn what_is_denied_after_the_state_was_lost_does_not_leave_at_once() {
    for operation in ["DescribeTasks", "DescribeTaskDefinition"] {
        let stage = Stage::new(fleet(&[("prod", 19)]));
        stage.change(|region| {
            let definition = region.register(super::opted_in("other"));
            region.run("prod", &definition, Placement::Fargate);
        });
        assert_eq!(stage.once().await, Outcome::Complete);
        let before: BTreeSet<_> = stage.targets("1m").into_iter().collect();
        fs::remove_file(stage.state_file()).unwrap();
        let task = stage.change(|region| region.clusters["prod"].tasks.keys().nth(7).unwrap().clone());
        let id = task.rsplit('/').next().unwrap().to_owned();
        let denied = if operation == "DescribeTasks" { id } else { "/other:".to_owned() };
        stage.simulator.on_call(move |call| {
            let is_denied = call.operation == operation && call.input.to_string().contains(&denied);
            is_denied.then(|| Response::denied(call))
        });
        let mut running = stage.run().await;
        running.next().await;
        assert_eq!(stage.targets("1m").into_iter().collect::<BTreeSet<_>>(), before, "{operation}");
        tokio::time::sleep(MINUTES).await;
        assert_eq!(stage.targets("1m").len(), before.len() - 1, "{operation}");
    }
}

/// The system's clock was set forward while a cluster could not be read, before or after that was saved.
#[tokio::test(start_paused = true)]
async fn staleness_does_not_depend_on_the_system_clock() {
    for failed_before in [0, 2] {
        let mut stage = Stage::new(fleet(&[("bad", 3), ("good", 2)]));
        stage.config.max_staleness = Duration::from_secs(3600);
        let clock = super::SystemClock::default();
        let mut running = stage.run_into(clock.store()).await;
        running.next().await;
        fail_bad(&stage);
        for _ in 0..failed_before {
            running.next().await;
        }
        clock.set(7200);
        for _ in 0..3 {
            running.next().await;
        }
        drop(running);
        let mut running = stage.run().await;
        running.next().await;
        assert_eq!(stage.targets("1m").len(), 5, "{failed_before}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_ends_no_doubt() {
    let stage = Stage::new(fleet(&[("bad", 3), ("good", 2)]));
    stage.once().await;
    fs::remove_file(stage.state_file()).unwrap();
    fail_bad(&stage);
    let mut running = stage.run().await;
    running.next().await;
    stage.simulator.on_call(|call| {
        assert_ne!(call.operation, "ListTasks", "an assertion of a library");
        None
    });
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 5);
}
