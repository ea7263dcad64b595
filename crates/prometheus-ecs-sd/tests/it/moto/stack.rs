//! moto as `stack.py` beside this file runs it, and what is deployed to it.

use std::io::{BufRead, BufReader, Write};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::tools::{Running, program, python_with_moto, repository};

/// moto as `stack.py` runs it.
pub(super) struct Stack {
    _server: Running,
    commands: ChildStdin,
    results: BufReader<ChildStdout>,
    pub(super) endpoint: String,
}

impl Stack {
    pub(super) fn start() -> Self {
        let mut python = python_with_moto();
        python.arg(repository("crates/prometheus-ecs-sd/tests/it/moto/stack.py"));
        let mut server = Running::start(python.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let commands = server.0.stdin.take().unwrap();
        let results = BufReader::new(server.0.stdout.take().unwrap());
        let mut stack = Self { _server: server, commands, results, endpoint: String::new() };
        stack.endpoint = stack.result()["endpoint"].as_str().unwrap().to_owned();
        stack
    }

    fn result(&mut self) -> Value {
        let mut line = String::new();
        self.results.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect("moto says on standard error why it ended")
    }

    /// Calls a function of `stack.py`.
    pub(super) fn call(&mut self, function: &str, arguments: Value) -> Value {
        let mut command = arguments;
        command["call"] = json!(function);
        writeln!(self.commands, "{command}").unwrap();
        self.result()
    }

    /// Runs a task. Returns its ARN and the address of its target.
    pub(super) fn run(&mut self, cluster: &str) -> (String, String) {
        let ran = self.call("run", json!({"cluster": cluster}));
        let text = |name: &str| ran[name].as_str().unwrap().to_owned();
        (text("task"), text("address"))
    }

    pub(super) fn put_event(&mut self, task: &str, status: &str, version: u64, cluster: &str) {
        let event = json!({"task": task, "status": status, "version": version, "cluster": cluster});
        assert_eq!(self.call("put_event", event), json!({"failed": 0}));
    }
}

/// The standard output of a command that succeeds.
pub(super) fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:#?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The output of `generate`.
pub(super) fn generated(arguments: &[&str]) -> String {
    let mut command = program();
    // With it, a configuration needs a directory for its files.
    command.env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS").env("AWS_REGION", "eu-west-1");
    printed(command.arg("generate").args(arguments))
}

/// The template in one of its two forms.
pub(super) fn template(format: &str, arguments: &[&str]) -> String {
    generated(&[&["event-infrastructure", "--format", format], arguments].concat())
}
