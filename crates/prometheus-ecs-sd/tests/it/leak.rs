//! Hours of change in one process: what is not used any more is given back.

mod fleet;

use std::process::Command;
use std::{env, fs};

use ecs_simulator::World;
use prometheus_ecs_sd::published::Published;

use crate::simulated::{Running, Stage};
use fleet::{CYCLE, Fleet, Used};

/// What nothing uses is kept for an hour, and looked for every ten minutes: after two hours there is no more of it.
const CYCLES_BEFORE: u32 = 2;
const CYCLES_BETWEEN: u32 = 3;
const REST: u32 = 75;

/// In KiB. From one hour to the next, memory differs by up to 100, of 22,000. The tasks that came and went in the three
/// hours between take 4,000.
const TOLERATED: u64 = 500;

const NAME: &str = "leak::hours_of_change_cost_neither_memory_nor_files_and_leave_no_fact_behind";
/// Set for the test that is run once more: alone in its process whatever runs the tests, and with one heap, so that it
/// makes no difference which thread needs memory first.
const ALONE: &str = "MEASURED_ALONE";

#[test]
fn hours_of_change_cost_neither_memory_nor_files_and_leave_no_fact_behind() {
    if env::var_os(ALONE).is_none() {
        let mut again = Command::new(env::current_exe().unwrap());
        again.args([NAME, "--exact", "--nocapture"]).env(ALONE, "").env("MALLOC_ARENA_MAX", "1");
        return assert!(again.status().unwrap().success());
    }
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(check());
}

async fn check() {
    let stage = Stage::new(World::new(1));
    let mut fleet = Fleet::new(stage.simulator.clone());
    let mut running = stage.run().await;
    let mut before = Footprint::default();
    for _ in 0..CYCLES_BEFORE {
        before = pass_a_cycle(&stage, &mut running, &mut fleet).await;
    }
    let mut after = Footprint::default();
    for _ in 0..CYCLES_BETWEEN {
        after = pass_a_cycle(&stage, &mut running, &mut fleet).await;
    }
    assert_eq!(before.open_files, after.open_files);
    assert!(after.memory < before.memory + TOLERATED, "{before:?}, later {after:?}");

    fleet.rest();
    let mut published = Published::default();
    for _ in 0..REST {
        published = next(&stage, &mut running).await;
    }
    assert_eq!(known(&published), fleet.used());
}

/// Lets the fleet change once a refresh, and measures.
async fn pass_a_cycle(stage: &Stage, running: &mut Running, fleet: &mut Fleet) -> Footprint {
    let mut footprint = Footprint::default();
    for _ in 0..CYCLE {
        fleet.change();
        next(stage, running).await;
        let now = Footprint::now();
        footprint = Footprint { memory: footprint.memory.max(now.memory), ..now };
    }
    println!("{footprint:?}");
    footprint
}

async fn next(stage: &Stage, running: &mut Running) -> Published {
    let published = running.next().await;
    // They would remember everything.
    stage.asked();
    stage.printed();
    published
}

#[derive(Debug, Default)]
struct Footprint {
    /// In KiB; the most there was, since the heap's end is given back now and then.
    memory: u64,
    open_files: usize,
}

impl Footprint {
    fn now() -> Self {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        let memory = memory.trim().trim_end_matches(" kB").parse().unwrap();
        Self { memory, open_files: fs::read_dir("/proc/self/fd").unwrap().count() }
    }
}

fn known(published: &Published) -> Used {
    let [(_, saved)] = &published.facts[..] else { panic!("there is one source") };
    let tasks = saved.scopes.iter().flat_map(|scope| &scope.tasks);
    let instances = saved.container_instances.iter();
    Used {
        tasks: tasks.map(|saved| saved.task.arn.to_string()).collect(),
        definitions: saved.definitions.iter().map(|definition| definition.arn.to_string()).collect(),
        container_instances: instances.map(|instance| instance.arn.to_string()).collect(),
        hosts: saved.hosts.iter().map(|host| host.id.to_string()).collect(),
    }
}
