//! Puts secrets in every place where AWS, a task definition or the environment can have some, and checks all output and
//! files of the program at every log level.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use ecs_simulator::{Aws, ContainerOverride, OWN_SECRET_KEY, Placement, Run};
use serde_json::{Value, json};

use crate::cli::Program;
use crate::simulated::{REGION, fleet, opted_in};
use crate::tools::{Running, free_address, get, wait};

const ROLE: &str = "arn:aws:iam::222222222222:role/reader";

/// The text in every secret here.
const MARK: &str = "hunter2";

/// An own account and a role's, each with a task.
fn aws() -> Aws {
    let mut world = fleet(&[("prod", 0)]);
    world.allow_role(ROLE, Some("hunter2-external-id"));
    for account in ["own", "222222222222"] {
        let region = if account == "own" { world.own(REGION) } else { world.region(account, REGION) };
        let mut definition = opted_in("web");
        let app = &mut definition.container_definitions[0];
        *app = app
            .clone()
            .env("PASSWORD", "hunter2-env")
            .secret("KEY", "hunter2-secret")
            .health_check("hunter2-health");
        let definition = region.register(definition);
        let overriding = ContainerOverride::new("app").env("PASSWORD", "hunter2-override");
        region.run_with(Run::new("prod", &definition, Placement::Fargate).overriding(overriding));
    }
    let aws = Aws::new(world);
    aws.on_answer(|_, response| {
        let Ok(mut answer) = serde_json::from_slice::<Value>(&response.body) else { return };
        if let Some(definition) = answer.get_mut("taskDefinition") {
            definition["volumes"] = json!([{
                "name": "hunter2-volume",
                "host": {"sourcePath": "/hunter2"},
                "efsVolumeConfiguration": {"fileSystemId": "hunter2-fs", "rootDirectory": "/hunter2"},
                "dockerVolumeConfiguration": {"driverOpts": {"password": "hunter2-driver"}},
            }]);
            for container in definition["containerDefinitions"].as_array_mut().into_iter().flatten() {
                container["command"] = json!(["--password", "hunter2-command"]);
                container["entryPoint"] = json!(["hunter2-entry-point"]);
                container["repositoryCredentials"] = json!({"credentialsParameter": "hunter2-repository"});
                container["environmentFiles"] = json!([{"type": "s3", "value": "arn:aws:s3:::hunter2/file"}]);
                container["logConfiguration"] = json!({
                    "logDriver": "splunk",
                    "options": {"splunk-token": "hunter2-log"},
                    "secretOptions": [{"name": "token", "valueFrom": "hunter2-log-secret"}],
                });
                container["firelensConfiguration"] =
                    json!({"type": "fluentbit", "options": {"key": "hunter2-lens"}});
                container["extraHosts"] = json!([{"hostname": "hunter2-host", "ipAddress": "10.0.0.1"}]);
            }
        }
        for task in answer.get_mut("tasks").and_then(Value::as_array_mut).into_iter().flatten() {
            for container in task["overrides"]["containerOverrides"].as_array_mut().into_iter().flatten() {
                container["command"] = json!(["hunter2-override-command"]);
                container["environmentFiles"] =
                    json!([{"type": "s3", "value": "arn:aws:s3:::hunter2/override"}]);
            }
        }
        response.body = serde_json::to_vec(&answer).unwrap();
    });
    aws
}

/// The credentials of the simulated STS, as in its answer.
fn assumed() -> [String; 2] {
    let aws = aws();
    let answers = std::sync::Arc::new(std::sync::Mutex::new(String::new()));
    let heard = answers.clone();
    aws.on_answer(move |call, response| {
        if call.operation == "AssumeRole" {
            *heard.lock().unwrap() = response.text();
        }
    });
    assert_eq!(program(&aws).args(&["--once"]).exit_code(), Some(0));
    let answer = answers.lock().unwrap();
    ["SecretAccessKey", "SessionToken"].map(|name| {
        let (_, rest) = answer.split_once(&format!("<{name}>")).unwrap();
        rest.split_once('<').unwrap().0.to_owned()
    })
}

fn program(aws: &Aws) -> Program {
    Program::on(aws)
        .env("AWS_SESSION_TOKEN", "hunter2-session-token")
        .env("PROMETHEUS_ECS_SD_EXTERNAL_ID", "hunter2-external-id")
        .args(&["--role", ROLE])
}

/// Everything below a directory, one file after the other.
fn contents(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all += &contents(&path),
            false => all += &String::from_utf8_lossy(&fs::read(&path).unwrap()),
        }
    }
    all
}

fn check(said: &str, assumed: &[String; 2], of: &str) {
    for secret in [MARK, OWN_SECRET_KEY, &assumed[0], &assumed[1]] {
        let at = said.find(secret).map(|at| said[..at].chars().rev().take(200).collect::<String>());
        let before = at.map(|before| before.chars().rev().collect::<String>());
        assert_eq!(before, None, "{secret} is in {of}, after this");
    }
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr].map(String::from_utf8_lossy).concat()
}

#[test]
fn no_log_no_file_and_no_explanation_has_a_secret() {
    let (aws, assumed) = (aws(), assumed());
    let tasks =
        aws.change(|world| world.own(REGION).clusters["prod"].tasks.keys().cloned().collect::<Vec<_>>());
    for level in ["error", "warn", "info", "debug", "trace"] {
        for format in ["text", "json"] {
            let log = ["--log-level", level, "--log-format", format];
            let mut program = program(&aws).args(&["--once"]).args(&log);
            let output = program.command.output().unwrap();
            assert_eq!(output.status.code(), Some(0), "{}", said(&output));
            check(&said(&output), &assumed, level);
            check(&contents(program.path()), &assumed, "the files");
            let is_traced = said(&output).contains("request to AWS ended");
            assert_eq!(is_traced, level == "trace", "{level}: {}", said(&output));
            for form in [&[][..], &["--json"]] {
                let mut program = Program::asking(&aws)
                    .args(&["explain", "--task", &tasks[0], "--cluster", "prod"])
                    .args(form)
                    .args(&log);
                let output = program.command.output().unwrap();
                assert_eq!(output.status.code(), Some(0), "{}", said(&output));
                check(&said(&output), &assumed, level);
            }
        }
    }
}

#[test]
fn nothing_that_is_served_has_a_secret() {
    let (aws, assumed) = (aws(), assumed());
    let address = free_address();
    let mut program = program(&aws).args(&["--log-level", "trace", "--listen-address", &address.to_string()]);
    program.command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = Running::start(&mut program.command);
    let list = wait(|| {
        running.check();
        get(address, "/sd").map_err(|error| error.to_string())
    });
    assert!(list.contains("ecs_task_id"), "{list}");
    check(&list, &assumed, "/sd");
    for path in ["/", "/metrics", "/changes", "/-/ready"] {
        check(&get(address, path).unwrap(), &assumed, path);
    }
}

#[test]
fn what_a_credential_process_writes_when_it_fails_is_neither_logged_nor_served() {
    let address = free_address();
    let aws = aws();
    for serves in [false, true] {
        let mut program = Program::on(&aws).args(&["--log-level", "trace"]);
        program.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        fs::create_dir(program.path().join(".aws")).unwrap();
        let config = "[default]\ncredential_process = sh -c 'echo key hunter2 >&2; exit 3'\n";
        fs::write(program.path().join(".aws/config"), config).unwrap();
        let all = if serves {
            let mut program = program.args(&["--listen-address", &address.to_string()]);
            program.command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut running = Running::start(&mut program.command);
            wait(|| {
                running.check();
                let page = get(address, "/").map_err(|error| error.to_string())?;
                if page.contains("exit status: 3") { Ok(page) } else { Err(page) }
            })
        } else {
            said(&program.args(&["--once"]).command.output().unwrap())
        };
        assert!(all.contains("exit status: 3; run it manually"), "{all}");
        check(&all, &["none".repeat(20), "none".repeat(20)], "what is told of it");
    }
}

#[test]
fn an_explained_file_shows_no_secret() {
    let program = Program::new();
    let app = json!({
        "name": "app",
        "command": ["hunter2-command"],
        "environment": [{"name": "PROMETHEUS", "value": "true"}, {"name": "PASSWORD", "value": "hunter2"}],
        "secrets": [{"name": "KEY", "valueFrom": "hunter2-secret"}],
        "portMappings": [{"containerPort": 8080}],
        "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": "hunter2-log"}},
    });
    let path = program.path().join("definition.json");
    fs::write(&path, json!({"family": "web", "containerDefinitions": [app]}).to_string()).unwrap();
    for form in [&[][..], &["--json"]] {
        let mut program = Program::new().args(&["explain", "--log-level", "trace", "--task-definition"]);
        let output = program.command.arg(&path).args(form).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        check(&said(&output), &["none".repeat(20), "none".repeat(20)], "explain");
    }
}

/// Whatever text comes from AWS or a task definition, it stays on one line and does not control the terminal.
#[test]
fn nothing_that_is_said_does_anything_to_a_terminal() {
    const ODD: &str = "a\u{1b}[2Jb\r\nc\u{9b}31md\u{202e}e\u{7}";
    let aws = Aws::new({
        let mut world = fleet(&[("bad", 1), ("good", 1)]);
        let region = world.own(REGION);
        let mut definition = opted_in("odd");
        definition.container_definitions[0] =
            definition.container_definitions[0].clone().env("PROMETHEUS_PORT", ODD);
        let definition = region.register(definition);
        region.run("good", &definition, Placement::Fargate);
        world
    });
    let task = aws.change(|world| {
        let tasks = &world.own(REGION).clusters["good"].tasks;
        tasks.iter().find(|(_, task)| task.task_definition_arn.contains("odd")).unwrap().0.clone()
    });
    aws.on_call(|call| {
        let is_bad = call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("bad"));
        is_bad.then(|| ecs_simulator::Response::refused(call, 400, "ClientException", ODD))
    });
    let check = |output: &Output| {
        let said = said(output);
        let odd = said.chars().find(|c| (c.is_control() && *c != '\n') || *c == '\u{202e}');
        assert_eq!(odd, None, "{said:?}");
        assert!(said.contains("[2J"), "{said}");
    };
    for format in ["text", "json"] {
        let log = ["--log-level", "trace", "--log-format", format];
        check(&Program::on(&aws).args(&["--once"]).args(&log).command.output().unwrap());
        for form in [&[][..], &["--json"]] {
            let mut program = Program::asking(&aws)
                .args(&["explain", "--task", &task, "--cluster", "good"])
                .args(form)
                .args(&log);
            check(&program.command.output().unwrap());
        }
        let mut program =
            Program::asking(&aws).args(&["explain", "--service", "web", "--cluster", "bad"]).args(&log);
        check(&program.command.output().unwrap());
    }
}
