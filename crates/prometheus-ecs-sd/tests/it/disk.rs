//! The binary on a disk that is full, or that nobody may write to any more.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ecs_simulator::{Aws, OWN_ACCESS_KEY, OWN_SECRET_KEY, Placement};
use tempfile::TempDir;

use crate::cli::Program;
use crate::files::others;
use crate::simulated::{REGION, fleet};
use crate::tools::{Running, free_address, get, program, repository, wait};

/// Who runs the program where root would be let through everywhere: nobody.
const NOBODY: u32 = 65_534;

/// The program, refreshing all the time, and what it logs.
struct Machine {
    aws: Aws,
    directory: PathBuf,
    log: BufReader<std::process::ChildStderr>,
    running: Running,
    /// Holds what is above.
    _place: TempDir,
}

impl Machine {
    /// Runs the program with one target by way of a shell's `prelude`, and waits for its file.
    fn new(prelude: &str) -> Self {
        let place = tempfile::tempdir().unwrap();
        let directory = place.path().join("targets");
        fs::create_dir(&directory).unwrap();
        let aws = Aws::new(fleet(&[("prod", 1)]));
        let inner = program();
        let binary = place.path().join("prometheus-ecs-sd");
        let mut command = Command::new("sh");
        command.args(["-c", &format!("{prelude}; exec \"$0\" \"$@\"")]);
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        if is_root(place.path()) {
            // A place that nobody else may enter would keep the program out, too.
            fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
            fs::copy(inner.get_program(), &binary).unwrap();
            chown(&directory, Some(NOBODY), Some(NOBODY)).unwrap();
            command.uid(NOBODY).gid(NOBODY).arg(&binary);
        } else {
            command.arg(inner.get_program());
        }
        command
            .env("AWS_ENDPOINT_URL", aws.clone().serve_on_loopback().unwrap())
            .env("AWS_ACCESS_KEY_ID", OWN_ACCESS_KEY)
            .env("AWS_SECRET_ACCESS_KEY", OWN_SECRET_KEY)
            .env("AWS_REGION", REGION)
            .args(["--interval", "1s", "--directory"])
            .arg(&directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut running = Running::start(&mut command);
        let log = BufReader::new(running.0.stderr.take().unwrap());
        let mut machine = Self { aws, directory, log, running, _place: place };
        machine.wait_for_targets(1);
        machine
    }

    fn file(&self) -> String {
        fs::read_to_string(self.directory.join("1m-tasks.json")).unwrap_or_default()
    }

    fn wait_for_targets(&mut self, number: usize) {
        wait(|| {
            self.running.check();
            let found = self.file().matches("\"targets\"").count();
            if found == number { Ok(()) } else { Err(format!("{found} targets, not {number}")) }
        });
    }

    /// Waits for a line of the log.
    fn wait_for_message(&mut self, message: &str) {
        let mut line = String::new();
        while !line.contains(message) {
            line.clear();
            assert_ne!(self.log.read_line(&mut line).unwrap(), 0, "the log ended before {message:?}");
        }
    }

    /// So many tasks run instead of those that do.
    fn run(&self, number: usize) {
        self.aws.change(|world| {
            let region = world.own(REGION);
            let definition = region.task_definitions.keys().next().unwrap().clone();
            let old: Vec<_> =
                region.clusters["prod"].tasks.values().map(|task| task.task_arn.clone()).collect();
            old.iter().for_each(|task| region.stop(task));
            for _ in 0..number {
                region.run("prod", &definition, Placement::Fargate);
            }
        });
    }
}

fn is_root(own: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(own).unwrap().uid() == 0
}

/// The limit of a file's size stands for a disk without room: a write goes some way, and fails.
#[test]
fn a_file_that_has_no_room_stays_as_it_is_until_there_is() {
    // Sixteen blocks of 512 or 1,024 bytes; without the trap the limit would be a signal that ends the program.
    let mut machine = Machine::new("trap '' XFSZ; ulimit -f 16");
    let before = machine.file();
    machine.run(20);
    machine.wait_for_message("file could not be written and is tried again");
    assert_eq!(machine.file(), before);
    machine.run(2);
    machine.wait_for_targets(2);
    machine.wait_for_message("file can be written again");
    // Another file may be being written at this moment.
    wait(|| match others(&machine.directory) {
        others if others.is_empty() => Ok(()),
        others => Err(format!("the end of {others:?}")),
    });
}

#[test]
fn a_directory_that_becomes_read_only_keeps_its_files_until_it_is_not() {
    let mut machine = Machine::new(":");
    let before = machine.file();
    let directories = [machine.directory.clone(), machine.directory.join(".prometheus-ecs-sd")];
    let set_mode = |mode| {
        directories.iter().for_each(|path| fs::set_permissions(path, Permissions::from_mode(mode)).unwrap());
    };
    set_mode(0o555);
    machine.run(3);
    machine.wait_for_message("file could not be written and is tried again");
    assert_eq!(machine.file(), before);
    set_mode(0o755);
    machine.wait_for_targets(3);
    machine.wait_for_message("file can be written again");
}

#[test]
fn a_start_on_a_disk_that_hangs_says_that_it_lives_and_begins_once_the_disk_answers() {
    let place = tempfile::tempdir().unwrap();
    let (library, hang) = (place.path().join("hang.so"), place.path().join("hang"));
    let source = repository("crates/prometheus-ecs-sd/tests/it/disk/hang.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).arg("-ldl");
    assert!(compiler.status().unwrap().success());
    fs::write(&hang, "").unwrap();
    let address = free_address();
    let mut program = Program::on(&Aws::new(fleet(&[("prod", 1)])));
    program.command.env("LD_PRELOAD", &library).env("HANG", &hang).stdout(Stdio::null());
    program.command.args(["--listen-address", &address.to_string()]);
    let mut running = Running::start(&mut program.command);
    let mut log = BufReader::new(running.0.stderr.take().unwrap());
    wait(|| get(address, "/-/healthy").map_err(|error| error.to_string()));
    assert!(get(address, "/-/ready").unwrap_err().to_string().contains("503"));
    let mut line = String::new();
    while !line.contains("does not answer; discovery waits for it") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0);
    }
    fs::remove_file(&hang).unwrap();
    let file = program.path().join("1m-tasks.json");
    wait(|| match fs::read_to_string(&file).is_ok_and(|text| text.contains("targets")) {
        true => Ok(()),
        false => Err("no target file".to_owned()),
    });
}

#[test]
fn what_stands_in_the_working_directory_and_cannot_be_removed_prevents_no_start() {
    let mut program = Program::on(&Aws::new(fleet(&[("prod", 1)]))).args(&["--once"]);
    let directory = program.path().join(".prometheus-ecs-sd/tasks-of-someone");
    fs::create_dir_all(&directory).unwrap();
    let output = program.command.output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && log.contains("a leftover file cannot be removed"), "{log}");
    assert!(directory.is_dir());
}
