//! What events cost: from an event in the queue to the last renamed file, a storm of events, an hour of quiet, and a
//! deployment; with 10,000 tasks in one cluster.
#![allow(clippy::unwrap_used, missing_docs)]

mod program;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use ecs_simulator::worlds::{REGION, Size, churn, large};
use ecs_simulator::{Aws, World};

use program::{OWN, Program};

const TASKS: usize = 10_000;
const FILES: [&str; 4] = ["15s-tasks.json", "30s-tasks.json", "1m-tasks.json", "5m-tasks.json"];
/// Short beside what is measured.
const LOOKS_EVERY: Duration = Duration::from_millis(1);
/// Longer than the pause after a publication of so many targets.
const BETWEEN_EVENTS: Duration = Duration::from_secs(6);
const EVENTS: usize = 20;
const STORM: Duration = Duration::from_secs(30);
const A_SECOND: usize = 2_000;
const QUIET: Duration = Duration::from_secs(120);
const DEPLOYED: usize = 1_000;

fn main() {
    let mut world = large(Size { tasks: TASKS, clusters: 1, definitions: 200, hosts: 500 });
    let region = world.own(REGION);
    let queue = region.create_queue("events");
    region.route_events(&queue);
    let aws = Aws::new(world);
    let url = aws.clone().serve_on_loopback().unwrap();
    let directory = tempfile::tempdir().unwrap();
    // Tasks that run are described again after an hour only.
    let arguments = ["--interval", "10", "--recheck-interval", "3600", "--api-share", "1", "--event-queue"];
    let arguments = [&arguments[..], &[&queue]].concat();
    let mut program = Program::start(Path::new(OWN), &url, directory.path(), &arguments);
    program.published();
    aws.change(World::heartbeat);
    // The refresh after the first sign of life makes events live.
    (0..3).for_each(|_| program.written_since(&FILES, SystemTime::now()));
    one_by_one(&aws, directory.path());
    quiet(&aws, &program);
    storm(&aws, &program);
    deployment(&aws, directory.path());
}

fn inodes(directory: &Path) -> Vec<u64> {
    FILES.map(|name| fs::metadata(directory.join(name)).map_or(0, |file| file.ino())).to_vec()
}

/// The tasks that run, in a fixed order.
fn tasks(aws: &Aws, count: usize) -> Vec<String> {
    aws.change(|world| {
        let tasks = world.own(REGION).clusters.values().flat_map(|cluster| cluster.tasks.values());
        let running = tasks.filter(|task| task.desired_status == "RUNNING");
        running.take(count).map(|task| task.task_arn.clone()).collect()
    })
}

fn one_by_one(aws: &Aws, directory: &Path) {
    let mut delays = Vec::new();
    for task in tasks(aws, EVENTS) {
        std::thread::sleep(BETWEEN_EVENTS);
        aws.change(World::heartbeat);
        let before = inodes(directory);
        let began = Instant::now();
        aws.change(|world| world.own(REGION).begin_stop(&task));
        while inodes(directory) == before {
            std::thread::sleep(LOOKS_EVERY);
        }
        delays.push(began.elapsed().as_secs_f64() * 1e3);
    }
    delays.sort_by(f64::total_cmp);
    let (median, worst) = (delays[EVENTS / 2], delays[EVENTS - 1]);
    println!("| event to last renamed file, {EVENTS} events | median {median:.0} ms | worst {worst:.0} ms |");
}

fn quiet(aws: &Aws, program: &Program) {
    let begin = program.cost(aws);
    let began = Instant::now();
    while began.elapsed() < QUIET {
        std::thread::sleep(Duration::from_secs(30));
        aws.change(World::heartbeat);
    }
    let end = program.cost(aws);
    let share = (end.cpu - begin.cpu) / (end.wall - begin.wall) * 100.0;
    let calls = end.calls - begin.calls;
    println!(
        "| quiet for {} s | {share:.2} % of a core | {calls} calls, those of SQS included |",
        QUIET.as_secs()
    );
}

fn storm(aws: &Aws, program: &Program) {
    let tasks = tasks(aws, A_SECOND);
    let begin = program.cost(aws);
    let began = Instant::now();
    let mut sent = 0;
    while began.elapsed() < STORM {
        let due = (began.elapsed().as_secs_f64() * A_SECOND as f64) as usize;
        aws.change(|world| {
            for number in sent..due {
                // A health change has no event: a container's status has.
                world.own(REGION).change_task(&tasks[number % tasks.len()], |task| {
                    task.containers[0].runtime_id = Some(format!("runtime-{number}"));
                });
            }
        });
        sent = due;
        std::thread::sleep(Duration::from_millis(10));
    }
    let ended = Instant::now();
    let depth = |world: &mut World| world.own(REGION).queue("events").depth();
    while aws.change(depth) > 0 {
        std::thread::sleep(LOOKS_EVERY);
    }
    let (emptied, end) = (ended.elapsed().as_secs_f64(), program.cost(aws));
    let cores = (end.cpu - begin.cpu) / (end.wall - begin.wall);
    let (more, peak) = (end.peak - begin.peak, end.peak);
    println!(
        "| {sent} events in {} s | {cores:.2} cores, queue empty after {emptied:.1} s | peak {peak:.0} MiB, {more:.0} more |",
        STORM.as_secs()
    );
}

fn deployment(aws: &Aws, directory: &Path) {
    std::thread::sleep(BETWEEN_EVENTS);
    let before = inodes(directory);
    aws.take_ledger();
    aws.change(|world| churn(world, DEPLOYED));
    while inodes(directory) == before {
        std::thread::sleep(LOOKS_EVERY);
    }
    std::thread::sleep(BETWEEN_EVENTS);
    println!("\nCalls of a deployment of {DEPLOYED} tasks:\n\n{}", aws.take_ledger());
}
