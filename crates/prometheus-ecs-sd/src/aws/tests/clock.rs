//! Sets the machine's clock wrong while the program runs, and checks requests and target files.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::{SharedTimeSource, TimeSource};
use clap::{Args, Command, FromArgMatches};
use ecs_discovery::failure::FailureKind;
use ecs_simulator::{Aws as SimulatedAws, HostKind, Placement, Region, TaskDefinition, World};
use tokio::time::sleep;

use super::simulated::{ec2_hosts, listing, over, ssm_hosts, world};
use crate::aws::{Aws, Source, SourceSpec};
use crate::config::{Config, Directories, RunArgs};
use crate::directories::prepare;
use crate::discovery::Discovery;
use crate::published::SnapshotStore;

const REGION: &str = "eu-west-1";
const ROLE: &str = "arn:aws:iam::222222222222:role/discovery/reader";
const HOUR: i64 = 3600;

/// The machine's clock, this many seconds ahead; behind if negative.
#[derive(Clone, Debug, Default)]
struct Clock(Arc<AtomicI64>);

impl Clock {
    fn set(&self, ahead: i64) {
        self.0.store(ahead, Ordering::Relaxed);
    }
}

impl TimeSource for Clock {
    fn now(&self) -> SystemTime {
        let (now, ahead) = (SystemTime::now(), self.0.load(Ordering::Relaxed));
        let by = Duration::from_secs(ahead.unsigned_abs());
        if ahead < 0 { now - by } else { now + by }
    }
}

fn aws(simulated: &SimulatedAws, clock: &Clock) -> Aws {
    let clock = SharedTimeSource::new(clock.clone());
    Aws::sharing(over(simulated).config.into_builder().time_source(clock).build())
}

fn own(simulated: &SimulatedAws, clock: &Clock) -> Source {
    aws(simulated, clock).source(SourceSpec {
        role: None,
        external_id: None,
        session_name: None,
        region: REGION.to_owned(),
    })
}

fn both_accounts() -> World {
    let mut world = world();
    world.allow_role(ROLE, None);
    let theirs = world.region("222222222222", REGION);
    let definition = theirs.register(bridge("theirs"));
    run(theirs, &definition);
    world
}

fn bridge(family: &str) -> TaskDefinition {
    let app = ecs_simulator::ContainerDefinition::new("app", "app:1").port(8080).env("PROMETHEUS", "true");
    TaskDefinition::new(family).network_mode("bridge").container(app)
}

fn run(region: &mut Region, definition: &str) {
    let host = region.launch_host("prod", HostKind::Ec2);
    region.run("prod", definition, Placement::On(host));
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_is_corrected_by_awss_own() {
    let simulated = SimulatedAws::new(world());
    let clock = Clock::default();
    let source = own(&simulated, &clock);
    for ahead in [0, HOUR, -HOUR, 0] {
        clock.set(ahead);
        for question in [listing(), ec2_hosts(), ssm_hosts()] {
            let answer = source.ask(&question).await;
            assert!(answer.is_ok(), "{ahead} {}: {answer:?}", question.operation());
        }
    }
}

/// Without the time in AWS's answers, as behind a proxy that takes it out.
#[tokio::test(start_paused = true)]
async fn a_clock_that_cannot_be_corrected_is_told() {
    let simulated = SimulatedAws::new(world());
    simulated.on_answer(|_, answer| drop(answer.headers.remove("date")));
    let clock = Clock::default();
    let source = own(&simulated, &clock);
    for ahead in [HOUR, -HOUR] {
        clock.set(ahead);
        for question in [listing(), ec2_hosts(), ssm_hosts()] {
            let failure = source.ask(&question).await.expect_err("a signature of another time");
            assert_eq!(failure.kind, FailureKind::NoCredentials);
            assert!(failure.message.contains("or a wrong clock"), "{failure}");
        }
    }
    clock.set(0);
    source.ask(&listing()).await.expect("an answer");
}

/// The files of a fresh run whose clock is right.
async fn fresh(simulated: &SimulatedAws) -> String {
    let directory = tempfile::tempdir().expect("a directory");
    let simulated = SimulatedAws::new(simulated.change(|world| world.clone()));
    let discovery = discovery(&aws(&simulated, &Clock::default()), directory.path());
    discovery.once().await;
    file(directory.path())
}

fn discovery(aws: &Aws, directory: &Path) -> Discovery {
    let directory = directory.to_str().expect("a path in UTF-8");
    let arguments = RunArgs::augment_args(Command::new("clock"));
    let arguments = arguments.get_matches_from(["clock", "--directory", directory, "--role", ROLE]);
    let arguments = RunArgs::from_arg_matches(&arguments).expect("arguments");
    let config = Config::layered(&arguments, None, Directories::Prepared(prepare)).expect("a configuration");
    Discovery::new(&config, aws, SnapshotStore::default(), Arc::default(), std::io::sink()).expect("a region")
}

fn file(directory: &Path) -> String {
    fs::read_to_string(directory.join("1m-tasks.json")).expect("a file")
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_costs_no_refresh_and_no_target() {
    let simulated = SimulatedAws::new(both_accounts());
    let directory = tempfile::tempdir().expect("a directory");
    let clock = Clock::default();
    let discovery = discovery(&aws(&simulated, &clock), directory.path());
    let mut published = discovery.subscribe();
    let (_nobody, unchanging) = tokio::sync::mpsc::channel(1);
    let program = tokio::spawn(discovery.run(unchanging));
    let mut number = 0;
    for ahead in [0, HOUR, 0, -HOUR, HOUR, 0] {
        clock.set(ahead);
        simulated.change(|world| {
            let theirs = world.region("222222222222", REGION);
            let definition = theirs.register(bridge("new"));
            run(theirs, &definition);
        });
        // An interval, and what the refresh that begins within it takes.
        sleep(Duration::from_secs(75)).await;
        let now = published.borrow_and_update().clone();
        assert!(now.complete && std::mem::replace(&mut number, now.number) < now.number, "{ahead}");
        assert_eq!(file(directory.path()), fresh(&simulated).await, "{ahead}");
    }
    program.abort();
}
