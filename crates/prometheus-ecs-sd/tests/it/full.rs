//! No room for a file: it stays as it was, the program lives and tries again, and nothing else is left.
//!
//! A limit on the size of files takes the place of a full disk. Here as there a write first takes less than it was
//! given, and the next one fails; but it takes neither root nor a file system of its own.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::UNIX_EPOCH;
use std::{fs, thread};

use ecs_simulator::{Aws, ContainerDefinition, Placement, TaskDefinition, World};

use crate::cli::Program;
use crate::files::{facts, others};
use crate::simulated::REGION;
use crate::tools::{Running, wait};

const FILES: [&str; 5] =
    [".prometheus-ecs-sd/state", "15s-tasks.json", "1m-tasks.json", "30s-tasks.json", "5m-tasks.json"];
const TASKS: usize = 20;
const FAILED: &str = "file could not be written and is tried again";
const RECOVERED: &str = "file can be written again";

#[test]
fn without_room_for_the_state_targets_are_still_published() {
    // Each service's targets are in a file of their own, all tasks in the state.
    check(&["15s:/a", "30s:/a", "1m:/a", "5m:/a"], 50_000, &[".prometheus-ecs-sd/state"]);
}

#[test]
fn without_room_for_a_target_file_the_others_and_the_state_are_still_written() {
    check(&["15s:/a", "1m:/a,1m:/b,1m:/c,1m:/d"], 50_000, &["1m-tasks.json"]);
}

#[test]
fn without_room_for_anything_everything_stays() {
    check(&["15s:/a", "30s:/a", "1m:/a", "5m:/a"], 6_000, &FILES);
}

/// Lets services with these endpoints grow until some files have no room, and then makes room.
fn check(services: &[&str], room: usize, full: &[&str]) {
    let aws = Aws::new(World::new(1));
    grow(&aws, services, 1);
    let mut program = Program::on(&aws).args(&["--interval", "1"]);
    let directory = program.path().to_owned();
    let mut running = Running::start(&mut program.command);
    let log = log(&mut running);
    wait_for_refreshes(&aws, &mut running, 1);
    let before = contents(&directory);

    limit(&running, &room.to_string());
    grow(&aws, services, TASKS);
    wait_for_refreshes(&aws, &mut running, 2);
    let mut undisturbed = Program::on(&aws).args(&["--once"]);
    assert!(undisturbed.command.output().unwrap().status.success());
    let after = contents(undisturbed.path());
    for (number, name) in FILES.into_iter().enumerate() {
        let is_full = full.contains(&name);
        assert_eq!(after[number].len() > room, is_full, "{name} has {} bytes", after[number].len());
        // Files and log may lag behind the requests on a busy machine.
        wait(|| {
            let is_right = contents(&directory)[number] == if is_full { &before } else { &after }[number];
            let failures = logged(&log, FAILED, &directory.join(name));
            let is_logged = failures == usize::from(is_full);
            if is_right && is_logged { Ok(()) } else { Err(format!("{name}, which failed {failures} times")) }
        });
    }
    // A state file that lacks targets that were published over HTTP is marked as outdated.
    let saved_at = fs::metadata(directory.join(FILES[0])).unwrap().modified().unwrap();
    assert_eq!(saved_at == UNIX_EPOCH, full.contains(&FILES[0]));
    check_nothing_else_is_left(&directory);

    limit(&running, "unlimited");
    wait_for_refreshes(&aws, &mut running, 1);
    wait(|| if contents(&directory) == after { Ok(()) } else { Err("the new files".to_owned()) });
    for name in FILES {
        wait(|| {
            let times = [FAILED, RECOVERED].map(|message| logged(&log, message, &directory.join(name)));
            let is_logged = times == [usize::from(full.contains(&name)); 2];
            if is_logged {
                Ok(())
            } else {
                Err(format!("{name}, which failed and recovered {times:?} times"))
            }
        });
    }
    check_nothing_else_is_left(&directory);
}

fn grow(aws: &Aws, services: &[&str], tasks: usize) {
    aws.change(|world| {
        let region = world.own(REGION);
        for endpoints in services {
            let app = ContainerDefinition::new("app", "shop/app:1")
                .env("PROMETHEUS", "true")
                .env("PROMETHEUS_ENDPOINT", endpoints)
                .port(8080);
            let definition = TaskDefinition::new("app").network_mode("awsvpc").container(app);
            let definition = region.register(definition);
            (0..tasks).for_each(|_| drop(region.run("prod", &definition, Placement::Fargate)));
        }
    });
}

/// Waits until so many refreshes have begun and ended, and what they came to is written.
fn wait_for_refreshes(aws: &Aws, running: &mut Running, count: u64) {
    let listings = || aws.calls().calls("ecs", "ListClusters");
    let begun = listings();
    wait(|| {
        running.check();
        // One that is on may have seen the world before, and of the last one it is not known whether it has ended.
        (listings() > begun + count + 1).then_some(()).ok_or("refreshes".to_owned())
    });
}

/// Sets the size that no file of the program may exceed.
fn limit(running: &Running, size: &str) {
    let process = running.0.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &process, &format!("--fsize={size}:")]).status();
    assert!(status.expect("prlimit of util-linux can be run").success());
}

/// Without the parts that differ between two state files of the same facts.
fn contents(directory: &Path) -> [String; 5] {
    FILES.map(|name| {
        let text = fs::read_to_string(directory.join(name)).unwrap();
        if name == FILES[0] { facts(&text).concat() } else { text }
    })
}

/// A new file is there for a moment whenever one is tried to be written.
fn check_nothing_else_is_left(directory: &Path) {
    wait(|| match others(directory) {
        others if others.is_empty() => Ok(()),
        others => Err(format!("the end of {others:?}")),
    });
}

/// The lines of the log, as they come.
fn log(running: &mut Running) -> Arc<Mutex<Vec<String>>> {
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    let log = Arc::new(Mutex::new(Vec::new()));
    let written = log.clone();
    thread::spawn(move || lines.for_each(|line| written.lock().unwrap().push(line.unwrap())));
    log
}

fn logged(log: &Mutex<Vec<String>>, message: &str, file: &Path) -> usize {
    let file = format!("file={}", file.display());
    log.lock().unwrap().iter().filter(|line| line.contains(message) && line.contains(&file)).count()
}
