//! SIGKILL at any moment: no file is ever less than whole, nothing that was published is lost, and the next start
//! leaves nothing else behind.

mod program;
mod writer;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use crate::files::{INTERVALS, groups, others, revision_file, target_file};
use crate::tools::Running;
use writer::{TASKS_OF_AN_INTERVAL, Writer, name, number};

const KILLS: u32 = 1000;
/// A life ends in the middle of one of so many snapshots, the first of which begins with the start.
const SNAPSHOTS_OF_A_LIFE: u32 = 2;
/// Has the directory for the test that is run once more, as the process that is killed.
const VICTIM: &str = "VICTIM_WRITES_TO";

#[test]
fn a_thousand_kills_leave_every_file_whole_and_nothing_else() {
    if let Some(directory) = env::var_os(VICTIM) {
        writer::write_for_ever(Path::new(&directory));
    }
    // In memory, where there is such a place: a disk would spend most of the time on making sure of each file.
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let directory = directory.path();
    Writer::start(directory).write(0);
    let first = Files::read(directory);
    for interval in INTERVALS {
        assert_eq!(groups(directory, interval).unwrap().len(), TASKS_OF_AN_INTERVAL as usize);
    }
    let mut death = Death { random: fastrand::Rng::with_seed(1), step: Duration::from_millis(1) };
    let (mut last, mut interrupted, mut incomplete) = (0, 0, 0);
    for _ in 0..KILLS {
        death.of(&mut victim(directory));
        let (now, revision, is_newest) = writer::state(directory).expect("the state can be used");
        let published = fs::read_to_string(revision_file(directory)).unwrap().trim_end().parse().unwrap();
        assert!(revision.covers(&published), "the state is older than the files");
        Files::read(directory).check(&first, now);
        assert!(now >= last, "snapshot {last} was saved, and then {now}");
        last = now;
        incomplete += u32::from(!is_newest);
        interrupted += u32::from(!others(directory).is_empty());
        // As at the next start.
        drop(Writer::start(directory));
        assert_eq!(others(directory), Vec::<PathBuf>::new());
    }
    // As a rule a third of the lives come to another snapshot, more than half end in the middle of a write, and every
    // tenth in that of the state.
    let ends = format!("{last} {interrupted} {incomplete}");
    assert!(last > u64::from(KILLS) / 10 && interrupted > KILLS / 10 && incomplete > KILLS / 50, "{ends}");
}

fn victim(directory: &Path) -> Running {
    let mut again = Command::new(env::current_exe().unwrap());
    again.args([
        "killed::a_thousand_kills_leave_every_file_whole_and_nothing_else",
        "--exact",
        "--nocapture",
    ]);
    Running::start(again.env(VICTIM, directory).stdout(Stdio::piped()))
}

/// Comes at a random moment, at no matter how busy a machine.
struct Death {
    random: fastrand::Rng,
    /// How long a step of a life took when one was last seen.
    step: Duration,
}

impl Death {
    fn of(&mut self, Running(victim): &mut Running) {
        let mut steps = BufReader::new(victim.stdout.take().unwrap());
        let mut step = || assert!(steps.skip_until(writer::STEP).unwrap() > 0, "the victim ended by itself");
        step();
        for _ in 0..self.random.u32(..SNAPSHOTS_OF_A_LIFE) {
            let began = Instant::now();
            step();
            self.step = began.elapsed();
        }
        thread::sleep(self.step.mul_f64(self.random.f64()));
        victim.kill().unwrap();
        victim.wait().unwrap();
    }
}

/// The bytes of the target files, in the order in which they are written.
struct Files([String; 4]);

impl Files {
    fn read(directory: &Path) -> Self {
        Self(INTERVALS.map(|interval| fs::read_to_string(target_file(directory, interval)).unwrap()))
    }

    /// Checks that each file is of some snapshot, byte for byte: the state is the newest, the target files follow in
    /// their order, and since each start begins with what is known, none is behind by more than one.
    fn check(&self, first: &Self, of_state: u64) {
        let mut newest = of_state;
        for (text, first) in self.0.iter().zip(&first.0) {
            let of_file = number(text);
            assert!(*text == first.replace(&name(0), &name(of_file)), "a file is not snapshot {of_file}");
            assert!(
                (of_state.saturating_sub(1)..=newest).contains(&of_file),
                "{of_file} {newest} {of_state}"
            );
            newest = of_file;
        }
    }
}
