//! Two processes at one directory or state file.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{ChildStderr, Command, Output, Stdio};

use ecs_simulator::Aws;

use crate::cli::Program;
use crate::simulated::fleet;
use crate::tools::{Running, wait};

fn world() -> Aws {
    Aws::new(fleet(&[("prod", 1)]))
}

/// The program, once it has written its files, and its log.
fn running(program: &mut Program, directory: &Path) -> (Running, BufReader<ChildStderr>) {
    let mut running = Running::start(program.command.stdout(Stdio::null()));
    let log = BufReader::new(running.0.stderr.take().unwrap());
    has_target(&mut running, directory);
    (running, log)
}

fn has_target(running: &mut Running, directory: &Path) {
    wait(|| {
        running.check();
        let text = fs::read_to_string(directory.join("1m-tasks.json")).unwrap_or_default();
        if text.contains("targets") { Ok(()) } else { Err("no target file".to_owned()) }
    });
}

fn hang_up(running: &Running) {
    let id = running.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

/// Runs it once with these options; the exit code and what it said.
fn once(aws: &Aws, options: &[(&str, &Path)]) -> (Option<i32>, String) {
    let mut program = Program::asking(aws).args(&["--once"]);
    for (option, path) in options {
        program.command.arg(option).arg(path);
    }
    let Output { status, stderr, .. } = program.command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_second_process_at_the_same_directory_or_state_file_says_so_and_ends() {
    let aws = world();
    let mut program = Program::on(&aws);
    let directory = program.path().to_owned();
    let state = directory.join(".prometheus-ecs-sd/state");
    let (first, _log) = running(&mut program, &directory);
    let shown = directory.display();
    let (code, said) = once(&aws, &[("--directory", &directory)]);
    let expected = format!(
        "--directory: {shown} is used by another process, which has locked {shown}/.prometheus-ecs-sd/lock; \
         end it, or name another directory"
    );
    assert!(code == Some(2) && said.contains(&expected), "{code:?} {said}");

    let other = tempfile::tempdir().unwrap();
    let (code, said) = once(&aws, &[("--directory", other.path()), ("--state-file", &state)]);
    let expected = format!(
        "--state-file: {shown}/.prometheus-ecs-sd/state is used by another process, which has locked \
         {shown}/.prometheus-ecs-sd/state.lock; end it, set another, or none"
    );
    assert!(code == Some(2) && said.contains(&expected), "{code:?} {said}");

    // What writes nothing does not mind.
    let mut check = Program::asking(&aws).args(&["check-config"]);
    assert!(check.command.arg("--directory").arg(&directory).output().unwrap().status.success());

    // The lock ends with the process, although that is killed.
    drop(first);
    assert_eq!(once(&aws, &[("--directory", &directory)]).0, Some(0));
}

#[test]
fn a_second_demo_in_the_same_directory_says_so_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let work = directory.path().join(".prometheus-ecs-sd");
    fs::create_dir(&work).unwrap();
    let lock = fs::File::create(work.join("lock")).unwrap();
    lock.lock().unwrap();
    let mut demo = Program::new().args(&["demo", "--directory"]);
    let output = demo.command.arg(directory.path()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(2) && said.contains("is used by another process"), "{said}");
}

#[test]
fn a_reload_to_a_directory_that_another_process_uses_is_refused_and_changes_nothing() {
    let aws = world();
    let places = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [own, others, free] = places.each_ref().map(|place| place.path());
    let mut program = Program::asking(&aws).args(&["--interval", "1", "--config-file"]);
    let config = program.path().join("config.yml");
    let directory = |directory: &Path| fs::write(&config, format!("directory: {}\n", directory.display()));
    directory(own).unwrap();
    program.command.arg(&config);
    let (mut first, mut log) = running(&mut program, own);
    let mut program = Program::asking(&aws).args(&["--directory"]);
    program.command.arg(others);
    let (second, _log) = running(&mut program, others);

    directory(others).unwrap();
    let before = fs::read(others.join(".prometheus-ecs-sd/published")).unwrap();
    hang_up(&first);
    let mut line = String::new();
    while !line.contains("configuration could not be read again") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "the log ended");
    }
    assert!(
        line.contains("config.yml:1: directory: ") && line.contains("is used by another process"),
        "{line}"
    );
    // The first process goes on as it was, and keeps its lock.
    fs::remove_file(own.join("1m-tasks.json")).unwrap();
    has_target(&mut first, own);
    assert_eq!(once(&aws, &[("--directory", own)]).0, Some(2));
    assert_eq!(fs::read(others.join(".prometheus-ecs-sd/published")).unwrap(), before);
    drop(second);
    assert_eq!(once(&aws, &[("--directory", others)]).0, Some(0));

    // A reload to a directory that nobody uses takes it, and leaves the one before to others.
    directory(free).unwrap();
    hang_up(&first);
    has_target(&mut first, free);
    assert_eq!(once(&aws, &[("--directory", free)]).0, Some(2));
    assert_eq!(once(&aws, &[("--directory", own)]).0, Some(0));
}
