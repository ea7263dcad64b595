//! The program itself, killed while AWS's side of things changes with every answer.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use ecs_simulator::worlds::{REGION, Size, churn, large};
use ecs_simulator::{Aws, Cluster, Response};

use crate::cli::Program;
use crate::files::{INTERVALS, facts, groups, state_file, target_file};
use crate::tools::{Running, wait};

const KILLS: u32 = 20;
/// Long enough for a start, and for a refresh or two; a busy machine takes longer for a start.
const LONGEST_LIFE: Duration = Duration::from_millis(1500);
const STARTS_OF_A_LIFE: u32 = 3;

type Tasks = BTreeSet<String>;

#[test]
fn a_program_that_was_killed_publishes_what_it_knew() {
    let aws = Aws::new(large(Size { tasks: 100, clusters: 2, definitions: 8, hosts: 4 }));
    let mut program = Program::on(&aws).args(&["--interval", "1"]);
    program.command.stdout(Stdio::null()).stderr(Stdio::null());
    let directory = program.path().to_owned();
    let mut random = fastrand::Rng::with_seed(1);
    let mut start = publish(&mut program);
    let mut states = BTreeSet::new();
    for _ in 0..KILLS {
        aws.heal();
        change_with_every_answer(&aws);
        let running = Running::start(&mut program.command);
        thread::sleep(LONGEST_LIFE.max(start * STARTS_OF_A_LIFE).mul_f64(random.f64()));
        drop(running);
        let saved = saved(&directory);
        let lost = |task: &&String| !saved.contains(*task) && runs(&aws, task);
        assert_eq!(published(&directory).iter().find(lost), None, "a target was published that is not saved");

        aws.on_call(|call| Some(Response::unavailable(call)));
        start = publish(&mut program);
        assert_eq!(published(&directory), saved);
        states.insert(saved);
    }
    // As a rule four in five lives are long enough for a refresh.
    assert!(states.len() > KILLS as usize / 10, "{}", states.len());
}

/// Starts the program without target files, and ends it once it has written them. Returns how long that took.
fn publish(program: &mut Program) -> Duration {
    let files = INTERVALS.map(|interval| target_file(program.path(), interval));
    files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    let began = Instant::now();
    let mut running = Running::start(&mut program.command);
    wait(|| {
        running.check();
        files.iter().all(|file| file.exists()).then_some(()).ok_or("the files".to_owned())
    });
    began.elapsed()
}

fn change_with_every_answer(aws: &Aws) {
    let world = aws.clone();
    aws.on_answer(move |_, _| world.change(|world| churn(world, 1)));
}

fn runs(aws: &Aws, task: &str) -> bool {
    let id = task.rsplit('/').next().unwrap();
    let is_running = |cluster: &Cluster| cluster.tasks.get(id).is_some_and(|task| task.stopping_at.is_none());
    aws.change(|world| world.own(REGION).clusters.values().any(is_running))
}

/// The tasks of all target files.
fn published(directory: &Path) -> Tasks {
    let groups = INTERVALS.iter().flat_map(|interval| groups(directory, interval).unwrap());
    groups.map(|group| group.labels["__meta_ecs_task_arn"].clone()).collect()
}

/// The tasks of the state file.
fn saved(directory: &Path) -> Tasks {
    let facts = facts(&std::fs::read_to_string(state_file(directory)).unwrap());
    let arns = facts.iter().filter_map(|line| line.strip_prefix(r#"{"Task":{"arn":""#));
    arns.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
}
