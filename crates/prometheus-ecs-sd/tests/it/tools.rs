//! Programs that the tests run: the one under test, and those of others that it is tried with.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// What the other programs are given to do their part, on a busy machine; seconds are usual.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOKED_AT_EVERY: Duration = Duration::from_millis(100);
/// A server that accepts but does not answer must not hold a test for longer than its patience.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The program under test, as if nothing were set up on this machine.
pub(crate) fn program() -> Command {
    let mut command = isolated(Command::new(env!("CARGO_BIN_EXE_prometheus-ecs-sd")));
    command.env("AWS_EC2_METADATA_DISABLED", "true");
    // Tests run side by side.
    command.env("PROMETHEUS_ECS_SD_LISTEN_ADDRESS", "none");
    command
}

/// Without what the environment of whoever runs the tests says of AWS, of the program, of proxies, or of a home.
fn isolated(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy().to_uppercase();
        let is_ours = text.starts_with("AWS_") || text.starts_with("PROMETHEUS_ECS_SD_");
        if is_ours || text.ends_with("_PROXY") || text == "HOME" {
            command.env_remove(&name);
        }
    }
    command
}

/// A file of this repository.
pub(crate) fn repository(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..").join(path)
}

/// A program that `make setup` provides, unless it is on the search path.
pub(crate) fn tool(name: &str) -> Command {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let directories =
        std::iter::once(repository(".tools/debian/usr/bin")).chain(std::env::split_paths(&path));
    installed(name, directories.map(|directory| directory.join(name)))
}

/// Python with the releases of moto and Terraform that `make setup` provides, and no other.
pub(crate) fn python_with_moto() -> Command {
    let mut python = isolated(installed("moto", [repository(".tools/venv/bin/python")]));
    // Scripts of this repository use each other.
    python.env("PYTHONDONTWRITEBYTECODE", "1");
    python
}

/// The linter of CloudFormation that `make setup` provides.
pub(crate) fn cfn_lint() -> Command {
    // The script's first line names the checkout that installed it, which may be another one.
    let mut python = python_with_moto();
    python.arg(repository(".tools/venv/bin/cfn-lint"));
    python
}

fn installed(name: &str, places: impl IntoIterator<Item = PathBuf>) -> Command {
    let found = places.into_iter().find(|file| file.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is not installed; run make setup")))
}

/// Waits until no other test runs the demo, or holds ports that it would look for; the turn ends when this is dropped.
pub(crate) fn demo_turn() -> File {
    let turn = File::create(concat!(env!("CARGO_TARGET_TMPDIR"), "/demo-turn")).unwrap();
    turn.lock().unwrap();
    turn
}

/// A program in the background, killed when this is dropped.
#[derive(Debug)]
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Fails the test if the program has ended, so that nobody waits for it in vain.
    pub(crate) fn check(&mut self) {
        if let Some(status) = self.0.try_wait().unwrap() {
            panic!("the program has ended: {status}");
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until there is something to be had; `Err` says what is still missing.
pub(crate) fn wait<T>(mut attempt: impl FnMut() -> Result<T, String>) -> T {
    let began = Instant::now();
    loop {
        match attempt() {
            Ok(value) => return value,
            Err(missing) if began.elapsed() > PATIENCE => panic!("waited for {PATIENCE:?}: {missing}"),
            Err(_) => std::thread::sleep(LOOKED_AT_EVERY),
        }
    }
}

/// An address of the loopback that nothing listens at.
pub(crate) fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

/// The body of a successful answer. HTTP/1.0, because its bodies come in one piece.
pub(crate) fn get(server: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {server}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.split(' ').nth(1) == Some("200") => Ok(body.to_owned()),
        _ => Err(io::Error::other(answer)),
    }
}
