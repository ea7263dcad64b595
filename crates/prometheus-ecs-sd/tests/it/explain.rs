//! `explain`: what it asks AWS, what it reads from files, what it says, and its exit codes.

use std::io::Write;
use std::process::{Output, Stdio};

use ecs_discovery::target::Target;
use ecs_simulator::{
    Aws, Calls, ContainerDefinition, Fault, Host, HostKind, Ledger, OWN_ACCESS_KEY, OWN_SECRET_KEY,
    Placement, Response, Run, TaskDefinition, World, worlds,
};
use insta::assert_snapshot;
use prometheus_ecs_sd::aws::SourceSpec;
use prometheus_ecs_sd::explain::{Wanted, explained};
use serde_json::{Value, json};

use crate::cli::Program;
use crate::simulated::{REGION, Stage, fleet, opted_in};
use crate::tools::repository;

/// What one run of `explain` says: its exit code, its output without the labels, and what is on standard error.
fn explain(program: Program, arguments: &[&str]) -> String {
    let mut program = program.args(&["explain"]).args(arguments);
    let Output { status, stdout, stderr } = program.command.output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let lines = stdout.lines().filter(|line| !line.starts_with("      ") && !line.starts_with("    labels"));
    let stderr = String::from_utf8(stderr).unwrap().replace(program.path().to_str().unwrap(), "DIR");
    format!("exit {}\n{}\n{stderr}", status.code().unwrap(), lines.collect::<Vec<_>>().join("\n"))
}

fn json(program: Program, arguments: &[&str]) -> Value {
    let mut program = program.args(&["explain", "--json"]).args(arguments);
    serde_json::from_slice(&program.command.output().unwrap().stdout).unwrap()
}

/// Writes a file into the program's directory, and returns its path.
fn file(program: &Program, text: &str) -> String {
    let path = program.path().join("definition.json");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What is said of a file with this text.
fn of_file(text: &str) -> String {
    let program = Program::new();
    let path = file(&program, text);
    explain(program, &["--task-definition", &path])
}

#[test]
fn the_configuration_file_of_the_discovery_counts_here_too() {
    let program = Program::new();
    let app = json!([{"name": "app", "portMappings": [{"containerPort": 8080}], "environment": [
        {"name": "PROMETHEUS", "value": "true"},
        {"name": "PROMETHEUS_ENDPOINT", "value": "10s:/metrics"},
    ]}]);
    let definition = file(&program, &containers(app));
    let config = program.path().join("config.yml");
    let text =
        "scrape_intervals: [10s, 1m]\nsources:\n  - own_account: true\nregion: [eu-west-1, us-east-1]\n";
    std::fs::write(&config, text).unwrap();
    let arguments = ["--task-definition", &definition, "--config-file", config.to_str().unwrap()];
    let said = explain(program, &arguments);
    assert!(said.starts_with("exit 0") && said.contains("every 10s"), "{said}");
}

#[test]
fn only_selected_meta_labels_are_explained() {
    let meta = |options: &[&str]| {
        let program = Program::new().env("PROMETHEUS_ECS_SD_META_LABELS", "task_*family");
        let config = program.path().join("config.yml");
        std::fs::write(&config, "meta_labels: none\n").unwrap();
        let example = repository("examples/task-definition.json");
        let options = options.iter().map(|option| option.replace("CONFIG", config.to_str().unwrap()));
        let options: Vec<_> = options.collect();
        let mut arguments = vec!["--task-definition", example.to_str().unwrap()];
        arguments.extend(options.iter().map(String::as_str));
        let said = json(program, &arguments);
        let labels = &said["tasks"][0]["containers"][0]["endpoints"][0]["target"]["labels"];
        let names = labels.as_object().unwrap().keys().filter_map(|name| name.strip_prefix("__meta_ecs_"));
        names.collect::<Vec<_>>().join(" ")
    };
    assert_eq!(meta(&[]), "task_definition_family");
    assert_eq!(meta(&["--config-file", "CONFIG"]), "task_definition_family");
    assert_eq!(meta(&["--meta-labels", "cluster", "region"]), "cluster region");
    assert_eq!(meta(&["--meta-labels", "none"]), "");
}

fn containers(containers: Value) -> String {
    json!({"family": "web", "containerDefinitions": containers}).to_string()
}

/// A service of two tasks on EC2, and a third of another revision.
fn service() -> (World, Vec<String>) {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let host = region.launch(Host::new("prod", HostKind::Ec2).private_ip("10.0.0.5"));
    let app = || ContainerDefinition::new("app", "shop/app:1").env("PROMETHEUS", "true").port(8080);
    let bridge = TaskDefinition::new("web").network_mode("bridge");
    let first = region.register(bridge.clone().container(app().env("PASSWORD", "hunter2")));
    let second = region.register(bridge.container(app().env("PROMETHEUS_CONTAINER_PORT", "9102")));
    let mut run = |definition: &str| {
        region.run_with(Run::new("prod", definition, Placement::On(host.clone())).service("web"))
    };
    let tasks = vec![run(&first), run(&first), run(&second)];
    region.run("prod", &first, Placement::On(host.clone()));
    (world, tasks)
}

#[test]
fn a_task_is_explained_with_a_call_for_each_thing_it_depends_on() {
    let (world, tasks) = service();
    let aws = Aws::new(world);
    assert_snapshot!(explain(Program::asking(&aws), &["--task", &tasks[0]]), @r"
    exit 0
    Task 656a2dd6fc794c1546ca31247755d136 of web:1 in cluster prod, network mode bridge, EC2 on i-098c0a74ee104f0ea

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://10.0.0.5:32768/metrics every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host i-098c0a74ee104f0ea, as in bridge mode
        port      the host port of container port 8080, which the first TCP port mapping names

    1 target
    ");
    assert_snapshot!(aws.take_ledger(), @r"
    ec2 DescribeInstances 1
    ecs DescribeClusters 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ");
}

#[test]
fn a_host_that_is_gone_is_said_to_be_gone() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = region.register(opted_in("web").network_mode("bridge"));
    let host = region.launch(Host::new("prod", HostKind::Ec2));
    region.run("prod", &definition, Placement::On(host));
    region.instances.clear();
    let arn = region.clusters["prod"].tasks.values().next().unwrap().task_arn.clone();
    let program = Program::asking(&Aws::new(world));
    assert_snapshot!(explain(program, &["--task", &arn, "--cluster", "prod"]), @"
    exit 4
    Task 656a2dd6fc794c1546ca31247755d136 of web:1 in cluster prod, network mode bridge, EC2 on i-098c0a74ee104f0ea

    app: not scraped, host gone
      PROMETHEUS=true  environment  opts in
      why         its host i-098c0a74ee104f0ea is unknown: EC2 knows no such instance
      what to do  wait: ECS ends the tasks of a terminated instance; if they stay, deregister its container instance

    Nothing would be scraped, 1 container not scraped
    ");
}

#[test]
fn a_tasks_id_is_enough_with_its_cluster() {
    let aws = Aws::new(fleet(&[("prod", 1)]));
    let arn = aws.change(|world| world.own(REGION).clusters["prod"].tasks.keys().next().unwrap().clone());
    assert_eq!(
        Program::asking(&aws).args(&["explain", "--task", &arn, "--cluster", "prod"]).exit_code(),
        Some(0)
    );
    assert_snapshot!(explain(Program::asking(&aws), &["--task", &arn]), @r"
    exit 2

    error: --task: this does not name the task's cluster; add --cluster

    For more information, try '--help'.
    ");
}

#[test]
fn a_services_tasks_are_explained_each_revision_once() {
    let (world, _) = service();
    let aws = Aws::new(world);
    assert_snapshot!(explain(Program::asking(&aws), &["--cluster", "prod", "--service", "web"]), @r"
    exit 0
    Service web in cluster prod: 3 tasks

    Task 040e680aa800f065cec126a80ba291e1 of web:2 in cluster prod, network mode bridge, EC2 on i-098c0a74ee104f0ea

    app: not scraped, port not published
      PROMETHEUS=true                 environment  opts in
      PROMETHEUS_CONTAINER_PORT=9102  environment  the container port of endpoints that name none
      why         its container port 9102 is not published on the host; map it
      what to do  add a port mapping for the container port, or correct the port that the container asks for

    Task 656a2dd6fc794c1546ca31247755d136 of web:1 in cluster prod, network mode bridge, EC2 on i-098c0a74ee104f0ea

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://10.0.0.5:32768/metrics every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host i-098c0a74ee104f0ea, as in bridge mode
        port      the host port of container port 8080, which the first TCP port mapping names

    The same holds for 1 more task: 6d541ff6826e5e35df3182bf060d17e2

    2 targets, 1 container not scraped
    ");
    assert_snapshot!(aws.take_ledger(), @r"
    ec2 DescribeInstances 1
    ecs DescribeClusters 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 2
    ecs DescribeTasks 1
    ecs ListTasks 1
    ");
}

#[test]
fn the_service_is_read_only_if_its_tags_are_published() {
    let (world, _) = service();
    let aws = Aws::new(world);
    let wanted = ["--cluster", "prod", "--service", "web"];
    let without = explain(Program::asking(&aws), &wanted);
    let calls = |ledger: &Ledger| ledger.calls("ecs", "DescribeServices");
    assert_eq!(calls(&aws.take_ledger()), 0);
    let with = [&wanted[..], &["--service-tags"]].concat();
    assert_eq!(explain(Program::asking(&aws), &with), without);
    assert_eq!(calls(&aws.take_ledger()), 1);
    // The explanation does not depend on it.
    aws.inject(Fault::Denied, Calls::of("DescribeServices"));
    assert!(explain(Program::asking(&aws), &with).starts_with(without.lines().next().unwrap()));
}

#[test]
fn a_service_without_tasks_is_no_failure_and_not_scraped() {
    let mut world = fleet(&[("prod", 0)]);
    world.own(REGION).service("prod", "idle");
    let aws = Aws::new(world);
    assert_snapshot!(explain(Program::asking(&aws), &["--cluster", "prod", "--service", "idle"]), @r"
    exit 4
    Service idle in cluster prod: no task is to run

    Nothing would be scraped
    ");
}

#[test]
fn a_large_service_is_counted_and_a_hundred_tasks_are_looked_at() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = region.register(opted_in("web"));
    for _ in 0..230 {
        region.run_with(Run::new("prod", &definition, Placement::Fargate).service("web"));
    }
    let aws = Aws::new(world);
    let said = json(Program::asking(&aws), &["--cluster", "prod", "--service", "web"]);
    assert_eq!((&said["task_count"], &said["targets"]), (&json!(230), &json!(100)));
    assert_eq!(said["tasks"].as_array().map(Vec::len), Some(100));
    let ledger = aws.take_ledger();
    assert_eq!((ledger.calls("ecs", "ListTasks"), ledger.calls("ecs", "DescribeTasks")), (3, 1));
}

#[test]
fn what_aws_does_not_know_or_allow_is_a_failure_in_words() {
    let (world, tasks) = service();
    let aws = Aws::new(world);
    let failed = |arguments: &[&str]| explain(Program::asking(&aws), arguments);
    assert_snapshot!(failed(&["--cluster", "prod", "--task", "0123"]), @r"
    exit 1

    error: there is no task 0123 in the cluster prod; ECS forgets a task an hour after it stopped
    ");
    assert_snapshot!(failed(&["--cluster", "nowhere", "--task", "0123"]), @r"
    exit 1

    error: there is no cluster nowhere in eu-central-1; check --cluster, --region and the credentials
    ");
    assert_snapshot!(failed(&["--cluster", "prod", "--service", "nothing"]), @r"
    exit 1

    error: there is no service nothing in the cluster prod; check --service and --cluster
    ");
    aws.on_call(|call| (call.operation == "DescribeTasks").then(|| Response::denied(call)));
    assert_snapshot!(failed(&["--task", &tasks[0]]), @r"
    exit 1

    error: DescribeTasks: AccessDeniedException: User: arn:aws:iam::111111111111:user/prometheus is not authorized to perform: ecs:DescribeTasks
    ");
}

#[test]
fn a_permission_that_is_missing_is_the_reason_of_what_depends_on_it() {
    let (world, tasks) = service();
    let aws = Aws::new(world);
    aws.on_call(|call| (call.operation == "DescribeInstances").then(|| Response::denied(call)));
    assert_snapshot!(explain(Program::asking(&aws), &["--task", &tasks[0]]), @r"
    exit 1
    Task 656a2dd6fc794c1546ca31247755d136 of web:1 in cluster prod, network mode bridge, EC2 on i-098c0a74ee104f0ea

    app: not scraped, host unknown
      PROMETHEUS=true  environment  opts in
      why         its host i-098c0a74ee104f0ea is unknown: DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation.
      what to do  allow ecs:DescribeContainerInstances, ec2:DescribeInstances and, for ECS Anywhere, ssm:DescribeInstanceInformation

    Nothing would be scraped, 1 container not scraped
    error: DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation.
    ");
    aws.on_call(|call| (call.operation == "DescribeTaskDefinition").then(|| Response::denied(call)));
    assert_snapshot!(explain(Program::asking(&aws), &["--task", &tasks[0]]), @r"
    exit 1
    Task 656a2dd6fc794c1546ca31247755d136 of web:1 in cluster prod, EC2 on i-098c0a74ee104f0ea

    not scraped: definition unavailable
      why         its definition arn:aws:ecs:eu-central-1:111111111111:task-definition/web:1 could not be read: DescribeTaskDefinition: AccessDeniedException: User: arn:aws:iam::111111111111:user/prometheus is not authorized to perform: ecs:DescribeTaskDefinition
      what to do  allow ecs:DescribeTaskDefinition, if AWS denied it

    Nothing would be scraped
    error: DescribeTaskDefinition: AccessDeniedException: User: arn:aws:iam::111111111111:user/prometheus is not authorized to perform: ecs:DescribeTaskDefinition
    ");
}

#[test]
fn a_stopped_task_is_told_as_long_as_ecs_remembers_it() {
    let mut world = fleet(&[("prod", 1)]);
    let region = world.own(REGION);
    let arn = region.clusters["prod"].tasks.values().next().unwrap().task_arn.clone();
    region.stop(&arn);
    assert_snapshot!(explain(Program::asking(&Aws::new(world)), &["--task", &arn]), @r"
    exit 4
    Task 656a2dd6fc794c1546ca31247755d136 of web:1 in cluster prod, network mode awsvpc, FARGATE

    app: not scraped, task not running
      PROMETHEUS=true  environment  opts in
      why         its task is STOPPED, to be STOPPED
      what to do  wait, or find out from ECS why the task does not start

    Nothing would be scraped, 1 container not scraped
    ");
}

#[test]
fn another_account_is_asked_by_its_role() {
    let role = "arn:aws:iam::222222222222:role/reader";
    let mut world = World::new(1);
    world.allow_role(role, Some("secret"));
    let region = world.region("222222222222", REGION);
    let definition = region.register(opted_in("web"));
    let task = region.run("prod", &definition, Placement::Fargate);
    let aws = Aws::new(world);
    let ask = |id: &str| {
        let program = Program::asking(&aws).args(&["explain", "--task", &task, "--role", role]);
        program.args(&["--external-id", id]).exit_code()
    };
    assert_eq!((ask("secret"), ask("other")), (Some(0), Some(1)));
    aws.take_calls();
    for (arguments, asked) in [(&[][..], REGION), (&["--sts-region", "eu-west-1"], "eu-west-1")] {
        let program = Program::asking(&aws).args(&["explain", "--task", &task, "--role", role]);
        program.args(&["--external-id", "secret"]).args(arguments).exit_code();
        let first = &aws.take_calls()[0];
        assert_eq!((first.service, &*first.region), ("sts", asked));
    }
}

#[test]
fn bad_usage_is_told_before_aws_is_asked() {
    let said = |arguments: &[&str]| explain(Program::new(), arguments);
    let task = "arn:aws:ecs:eu-central-1:111111111111:task/prod/0123";
    assert_snapshot!(said(&["--task", task, "--region", "eu-west-1"]), @r"
    exit 2

    error: --region: eu-west-1 is not the region of the ARN, which is eu-central-1

    For more information, try '--help'.
    ");
    assert_snapshot!(said(&["--task", "arn:aws:ecs:eu-central-1:111111111111:task/0123"]), @r"
    exit 2

    error: --task: this does not name the task's cluster; add --cluster

    For more information, try '--help'.
    ");
    assert_snapshot!(said(&["--task", "arn:aws:ecs:eu-central-1:111111111111:service/prod/web"]), @r#"
    exit 2

    error: --task: "arn:aws:ecs:eu-central-1:111111111111:service/prod/web" is not the ARN of a task

    For more information, try '--help'.
    "#);
    assert_snapshot!(said(&["--task", "0123", "--cluster", "prod"]), @r"
    exit 2

    error: --region: no region is named; add --region, or set AWS_REGION or the profile's region

    For more information, try '--help'.
    ");
    assert_snapshot!(said(&["--task", task, "--role", "me", "--default-scrape-interval-prefix", "2m"]), @r#"
    exit 2

    error: --role: "me" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME
    error: --default-scrape-interval-prefix: "2m" is not one of the scrape intervals that are offered; name one of these, or offer it too

    For more information, try '--help'.
    "#);
    assert_snapshot!(said(&["--task", task, "--cluster", "dev"]), @r"
    exit 2

    error: --cluster: dev is not the cluster of the ARN, which is prod

    For more information, try '--help'.
    ");
    assert_snapshot!(said(&["--service", "web"]), @r"
    exit 2

    error: the following required arguments were not provided:
      --cluster <C>

    Usage: prometheus-ecs-sd explain --cluster <C> <--task <ARN>|--service <NAME>|--task-definition <FILE>>

    For more information, try '--help'.
    ");
    assert_snapshot!(said(&[]), @r"
    exit 2

    error: the following required arguments were not provided:
      <--task <ARN>|--service <NAME>|--task-definition <FILE>>

    Usage: prometheus-ecs-sd explain <--task <ARN>|--service <NAME>|--task-definition <FILE>>

    For more information, try '--help'.
    ");
}

#[test]
fn every_example_definition_is_scraped() {
    let examples = std::fs::read_dir(repository("examples")).unwrap().map(|entry| entry.unwrap().path());
    let definitions = examples.filter(|path| path.to_str().unwrap().ends_with("task-definition.json"));
    let mut checked = 0;
    for path in definitions {
        let program = Program::new().args(&["explain", "--task-definition", path.to_str().unwrap()]);
        assert_eq!(program.exit_code(), Some(0), "{path:?}");
        checked += 1;
    }
    assert!(checked > 0);
}

#[test]
fn a_definition_is_read_as_the_aws_cli_prints_it_too() {
    let registered: Value =
        serde_json::from_slice(&std::fs::read(repository("examples/task-definition.json")).unwrap()).unwrap();
    let mut described = registered.clone();
    let tags = described.as_object_mut().unwrap().remove("tags").unwrap();
    let arn = "arn:aws:ecs:eu-west-1:111111111111:task-definition/checkout:7";
    described["taskDefinitionArn"] = json!(arn);
    described["revision"] = json!(7);
    let described = json!({"taskDefinition": described, "tags": tags, "ResponseMetadata": {}});
    let said = |definition: &Value| {
        let program = Program::new();
        let path = file(&program, &definition.to_string());
        json(program, &["--task-definition", &path, "--tags-to-labels", "team"])
    };
    let labels = |said: &Value| said["tasks"][0]["containers"][0]["endpoints"][0]["target"]["labels"].clone();
    let (registered, described) = (labels(&said(&registered)), labels(&said(&described)));
    assert_eq!(registered["ecs_task_version"], "<revision>");
    assert_eq!(described["ecs_task_version"], "7");
    assert_eq!(described["__meta_ecs_task_definition"], arn);
    assert_eq!(described["__meta_ecs_cluster_arn"], "arn:aws:ecs:eu-west-1:111111111111:cluster/<cluster>");
    assert_eq!([&registered["__meta_ecs_tag_team"], &described["__meta_ecs_tag_team"]], ["shop", "shop"]);
}

#[test]
fn standard_input_is_a_file_too() {
    let mut program = Program::new().args(&["explain", "--task-definition", "-"]);
    program.command.stdin(Stdio::piped());
    let mut child = program.command.spawn().unwrap();
    let text = std::fs::read(repository("examples/task-definition.json")).unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(0));
}

#[test]
fn a_definition_that_is_not_scraped_ends_with_a_code_of_its_own() {
    let text = containers(json!([
        {"name": "app", "environment": [{"name": "PROMETHEUS", "value": "true"}, {"name": "KEY", "value": "hunter2"}]},
        {"name": "side"},
    ]));
    assert_snapshot!(of_file(&text), @r"
    exit 4
    Task definition web, network mode bridge

    app: not scraped, port not published
      PROMETHEUS=true  environment  opts in
      why         its definition maps no TCP port; add a port mapping, or set PROMETHEUS_PORT
      what to do  add a port mapping for the container port, or correct the port that the container asks for

    side: not opted in, PROMETHEUS is not set

    Nothing would be scraped, 1 container not scraped, 1 container not opted in
    ");
}

#[test]
fn a_definition_with_thousands_of_endpoints_is_explained_in_few_words() {
    let endpoints: Vec<_> = (0..8000).map(|number| format!("/{number}")).collect();
    let endpoints = endpoints.join(",");
    let labels = json!({"PROMETHEUS": "true", "PROMETHEUS_ENDPOINT": endpoints});
    let text =
        containers(json!([{"name": "app", "dockerLabels": labels, "portMappings": [{"containerPort": 80}]}]));
    let program = Program::new();
    let path = file(&program, &text);
    let mut program = program.args(&["explain", "--json", "--task-definition", &path]);
    let stdout = program.command.output().unwrap().stdout;
    // The variable itself, and 4 KiB for each endpoint.
    assert!(stdout.len() < endpoints.len() + 64 * 4096, "{} bytes", stdout.len());
    let said: Value = serde_json::from_slice(&stdout).unwrap();
    assert_eq!(said["targets"], 64);
    assert_eq!(said["tasks"][0]["containers"][0]["warnings"].as_array().unwrap().len(), 1);
}

#[test]
fn a_file_that_is_no_definition_is_told_where_it_is_not() {
    assert_snapshot!(explain(Program::new(), &["--task-definition", "/nonexistent.json"]), @r"
    exit 2

    error: /nonexistent.json cannot be read: No such file or directory (os error 2)
    ");
    assert_snapshot!(of_file("family: web"), @"
    exit 2

    error: DIR/definition.json is not a task definition: it is not JSON of an object or an array; give what aws ecs describe-task-definition prints or register-task-definition takes, or an array of containers
    ");
    assert_snapshot!(of_file("{\n  \"family\": \"web\",\n}"), @r"
    exit 2

    error: DIR/definition.json is not a task definition: line 3, column 1: it is not JSON from here on
    ");
    assert_snapshot!(of_file(r#"{"taskArns": []}"#), @"
    exit 2

    error: DIR/definition.json is not a task definition: containerDefinitions is missing; give what aws ecs describe-task-definition prints or register-task-definition takes, or an array of containers
    ");
    assert_snapshot!(of_file(r#"{"containerDefinitions": []}"#), @"
    exit 2

    error: DIR/definition.json is not a task definition: family is missing; give what aws ecs describe-task-definition prints or register-task-definition takes, or an array of containers
    ");
    assert_snapshot!(of_file(&containers(json!([{"name": "app"}, {"image": "x"}]))), @"
    exit 2

    error: DIR/definition.json is not a task definition: containerDefinitions[1].name is missing; give what aws ecs describe-task-definition prints or register-task-definition takes, or an array of containers
    ");
    assert_snapshot!(of_file(&containers(json!([{"name": "app"}, {"name": "app"}]))), @r"
    exit 2

    error: DIR/definition.json is not a task definition: containerDefinitions[1].name is another container's name; give each its own
    ");
    let secret = containers(json!([{"name": "app", "environment": [{"name": "PASSWORD", "value": 12345}]}]));
    assert_snapshot!(of_file(&secret), @r#"
    exit 2

    error: DIR/definition.json is not a task definition: line 1, column 73: environment[0].value of the container "app" must be a string
    "#);
    assert_snapshot!(of_file(&format!("{{{}}}", " ".repeat(1024 * 1024))), @r"
    exit 2

    error: DIR/definition.json is larger than 1024 KiB, the limit for a task definition
    ");
}

/// What is said of a file with this text and these options.
fn of_file_with(text: &str, options: &[&str]) -> String {
    let program = Program::new();
    let path = file(&program, text);
    explain(program, &[&["--task-definition", &path], options].concat())
}

#[test]
fn an_array_of_containers_has_the_network_mode_of_an_option() {
    let array = json!([{"name": "app", "image": "shop/app:1", "portMappings": [{"containerPort": 8080}], "environment": [
        {"name": "PROMETHEUS", "value": "true"},
    ]}]);
    assert_snapshot!(of_file(&array.to_string()), @"
    exit 0
    Task definition <family>, network mode awsvpc, which is assumed: --network-mode names another

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://<task address>:8080/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the container port that the first TCP port mapping names

    1 target
    What only a running task has stands in <…>; one on a container instance has labels of its host too.
    ");
    assert_snapshot!(of_file_with(&array.to_string(), &["--network-mode", "bridge"]), @"
    exit 0
    Task definition <family>, network mode bridge

    app: 1 target
      PROMETHEUS=true  environment  opts in

      http://<host address>:<host port of 8080>/metrics every 1m
        interval  the default, since the endpoint names none
        address   the private IPv4 address of its host <instance id>, as in bridge mode
        port      the host port of container port 8080, which the first TCP port mapping names

    1 target
    What only a running task has stands in <…>; one on a container instance has labels of its host too.
    ");
    assert_snapshot!(of_file_with(&array.to_string(), &["--network-mode", "mesh"]), @"
    exit 2

    error: invalid value 'mesh' for '--network-mode <MODE>'
      [possible values: awsvpc, bridge, host, none, default]

    For more information, try '--help'.
    ");
    assert_snapshot!(of_file_with(&containers(array), &["--network-mode", "host"]), @"
    exit 2

    error: --network-mode: DIR/definition.json is a task definition, whose network mode is bridge; it is for an array of containers

    For more information, try '--help'.
    ");
    assert_snapshot!(of_file("[]"), @"
    exit 4
    Task definition <family>, network mode awsvpc, which is assumed: --network-mode names another

    It has no containers.

    Nothing would be scraped
    ");
    let said = explain(Program::new(), &["--task", "arn", "--network-mode", "host"]);
    assert!(said.contains("'--task <ARN>' cannot be used with '--network-mode <MODE>'"), "{said}");
}

/// A template of CloudFormation has functions where the deployment decides.
#[test]
fn a_template_of_cloudformation_is_read_as_far_as_it_is_text() {
    let container = |value: Value| {
        json!({
            "Name": "app",
            "Image": {"Fn::Sub": "${AWS::AccountId}.dkr.ecr.${AWS::Region}.amazonaws.com/app"},
            "Environment": [{"Name": "PASSWORD", "Value": {"Ref": "Password"}}, {"Name": "PROMETHEUS_ENDPOINT", "Value": value}],
            "DockerLabels": {"PROMETHEUS": "true"},
            "PortMappings": [{"ContainerPort": 8080, "Protocol": "tcp"}],
        })
    };
    let array = json!([container(json!("15s:/metrics"))]);
    assert_snapshot!(of_file(&array.to_string()), @"
    exit 0
    Task definition <family>, network mode awsvpc, which is assumed: --network-mode names another

    app: 1 target
      PROMETHEUS=true                   dockerLabels  opts in
      PROMETHEUS_ENDPOINT=15s:/metrics  environment   one endpoint

      http://<task address>:8080/metrics every 15s
        interval  as the endpoint asks
        address   the IPv4 address of its task's network interface
        port      the container port that the first TCP port mapping names

    1 target
    What only a running task has stands in <…>; one on a container instance has labels of its host too.
    ");
    let properties = json!({"Family": "web", "NetworkMode": "awsvpc", "ContainerDefinitions": array});
    assert_snapshot!(of_file(&properties.to_string()), @"
    exit 0
    Task definition web, network mode awsvpc

    app: 1 target
      PROMETHEUS=true                   dockerLabels  opts in
      PROMETHEUS_ENDPOINT=15s:/metrics  environment   one endpoint

      http://<task address>:8080/metrics every 15s
        interval  as the endpoint asks
        address   the IPv4 address of its task's network interface
        port      the container port that the first TCP port mapping names

    1 target
    What only a running task has stands in <…>; one on a container instance has labels of its host too.
    ");
    assert_snapshot!(of_file(&json!([container(json!({"Ref": "Endpoint"}))]).to_string()), @r#"
    exit 2

    error: DIR/definition.json is not a task definition: PROMETHEUS_ENDPOINT of the container "app" has a value that only the deployment knows; write it as text
    "#);
    assert_snapshot!(of_file(&json!([container(json!({"Reference": "hunter2"}))]).to_string()), @r#"
    exit 2

    error: DIR/definition.json is not a task definition: line 1, column 162: Environment[1].Value of the container "app" must be a string
    "#);
}

#[test]
fn a_function_in_place_of_a_list_or_an_item_is_told_with_its_place() {
    let told = |text: Value| {
        let said = of_file(&text.to_string());
        assert!(said.starts_with("exit 2\n") && !said.contains("hunter2"), "{said}");
        said.lines().find_map(|line| line.split_once("not a task definition: ")).unwrap().1.to_owned()
    };
    let function =
        json!({"Fn::If": ["IsScraped", {"Name": "PROMETHEUS", "Value": "hunter2"}, {"Ref": "AWS::NoValue"}]});
    assert_snapshot!(told(json!([{"Name": "app", "Environment": [{"Name": "A", "Value": "b"}, function]}])), @r#"Environment[1] of the container "app" is a function that only the deployment resolves; write its result in its place"#);
    assert_snapshot!(told(json!([{"Name": "app", "Environment": function}])), @r#"Environment of the container "app" is a function that only the deployment resolves; write its result in its place"#);
    assert_snapshot!(told(json!([{"Name": "app", "DockerLabels": function}])), @r#"DockerLabels of the container "app" is a function that only the deployment resolves; write its result in its place"#);
    assert_snapshot!(told(json!({"Family": "web", "ContainerDefinitions": [{"Name": "app"}, function]})), @"ContainerDefinitions[1] is a function that only the deployment resolves; write its result in its place");
    // A label may have such a name.
    let labelled = of_file(&containers(json!([{"name": "app", "dockerLabels": {"Ref": "main"}}])));
    assert!(labelled.starts_with("exit 4\n"), "{labelled}");
}

#[test]
fn a_value_of_another_type_is_told_with_its_key_and_its_container() {
    let of_app = |key: &str, value: Value| {
        let said = of_file(&containers(json!([{"name": "side"}, {"name": "app", key: value}])));
        let said =
            said.lines().find_map(|line| line.split_once("not a task definition: ")).unwrap().1.to_owned();
        assert!(!said.contains("hunter2"), "{said}");
        said
    };
    assert_snapshot!(of_app("environment", json!([{"name": "A", "value": "hunter2"}, {"name": "B", "value": 8080}])), @r#"line 1, column 112: environment[1].value of the container "app" must be a string"#);
    assert_snapshot!(of_app("environment", json!({"A": "hunter2"})), @r#"line 1, column 56: environment of the container "app" must be an array"#);
    assert_snapshot!(of_app("environment", json!(["hunter2"])), @r#"line 1, column 66: environment[0] of the container "app" must be an object"#);
    assert_snapshot!(of_app("dockerLabels", json!({"PROMETHEUS": true})), @r#"line 1, column 75: dockerLabels.PROMETHEUS of the container "app" must be a string"#);
    assert_snapshot!(of_app("dockerLabels", json!(["hunter2, expected i"])), @r#"line 1, column 57: dockerLabels of the container "app" must be an object"#);
    assert_snapshot!(of_app("portMappings", json!([{"containerPort": 80}, {"containerPort": "hunter2"}])), @r#"line 1, column 118: portMappings[1].containerPort of the container "app" must be a number"#);
    assert_snapshot!(of_app("portMappings", json!([{"containerPort": 99999999999u64}])), @r#"line 1, column 99: portMappings[0].containerPort of the container "app" must be a number"#);
    assert_snapshot!(of_app("secrets", json!([{"name": 5}])), @r#"line 1, column 75: secrets[0].name of the container "app" must be a string"#);
    assert_snapshot!(of_app("image", json!({"a": 1, "b": 2})), @r#"line 1, column 60: image of the container "app" must be a string"#);
    let told = |text: &str| {
        let said = of_file(text);
        said.lines().find_map(|line| line.split_once("not a task definition: ")).unwrap().1.to_owned()
    };
    assert_snapshot!(told(r#"{"family": 5}"#), @"line 1, column 12: family must be a string");
    assert_snapshot!(told(r#"{"taskDefinition": {"containerDefinitions": [{"name": "app", "image": 5}]}}"#), @r#"line 1, column 71: image of the container "app" must be a string"#);
    assert_snapshot!(told(r#"{"containerDefinitions": {"name": "app"}}"#), @"line 1, column 25: containerDefinitions must be an array");
    assert_snapshot!(told(r#"{"containerDefinitions": ["app"]}"#), @"line 1, column 31: containerDefinitions[0] must be an object");
    assert_snapshot!(told(r#"[{"name": "app"}, {"name": 5}]"#), @"line 1, column 28: [1].name must be a string");
    assert_snapshot!(told(r#"[{"name": "app", "environment": [{"value": 5}]}]"#), @r#"line 1, column 44: environment[0].value of the container "app" must be a string"#);
    assert_snapshot!(told(r#"[{"image": "app"}]"#), @"[0].name is missing; give what aws ecs describe-task-definition prints or register-task-definition takes, or an array of containers");
    assert_snapshot!(told(r#"[{"name": "app"}] []"#), @"line 1, column 19: another document begins here; give one");
    assert_snapshot!(told(r#"[{"name": "app"}] x"#), @"line 1, column 19: it is not JSON from here on");
    assert_snapshot!(told(r#"[{"name": "app", "Name": "other"}]"#), @r#"line 1, column 23: the container "app" has a key twice"#);
    assert_snapshot!(told("[[]]"), @"line 1, column 3: [0] must be an object");
}

#[test]
fn what_may_be_meant_to_opt_in_is_a_hint_that_quotes_no_value() {
    let hunter2 = |name: &str| json!({"name": name, "value": "hunter2"});
    let said = of_file(&containers(json!([
        {"name": "near", "environment": [hunter2("Prometheus"), hunter2("PROMETHEUS_PATH"), hunter2("PASSWORD")]},
        {"name": "files", "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::hunter2"}]},
        {"name": "labels", "dockerLabels": {"prometheus.io/scrape": "hunter2"}, "secrets": [{"name": "PROMETHUES", "valueFrom": "hunter2"}]},
        {"name": "plain", "environmentFiles": []},
    ])));
    assert!(!said.contains("hunter2"), "{said}");
    assert_snapshot!(said, @r#"
    exit 4
    Task definition web, network mode bridge

    near: not opted in, PROMETHEUS is not set
      hint: "Prometheus" in environment is not read; is PROMETHEUS meant?
      hint: "PROMETHEUS_PATH" in environment is not read; is PROMETHEUS_ENDPOINT meant?

    files: not opted in, PROMETHEUS is not set
      hint: environmentFiles are not read; set PROMETHEUS in environment or as a docker label

    labels: not opted in, PROMETHEUS is not set
      hint: "PROMETHUES" in secrets is not read; is PROMETHEUS meant?
      hint: "prometheus.io/scrape" in dockerLabels is not read; is PROMETHEUS meant?

    plain: not opted in, PROMETHEUS is not set

    Nothing would be scraped, 4 containers not opted in
    hint: PROMETHEUS counts in environment and dockerLabels of the task definition; the image's own variables and labels (ENV, LABEL) cannot be seen from outside
    "#);
    let equal = vec![hunter2("Prometheus"); 20];
    let said = of_file(&json!([{"name": "app", "environment": equal}]).to_string());
    assert_eq!(said.matches("\"Prometheus\" in environment is not read").count(), 1, "{said}");
    let different: Vec<_> = ('A'..='T').map(|letter| hunter2(&format!("PROMETHEUS_POR{letter}"))).collect();
    let said = of_file(&json!([{"name": "app", "environment": different}]).to_string());
    assert_eq!(said.matches("is PROMETHEUS_PORT meant?").count(), 7, "{said}");
    assert!(said.contains("hint: and 12 more hints like these"), "{said}");
    let opted_in = json!([{"name": "app", "environmentFiles": [{"type": "s3", "value": "arn:aws:s3:::a"}], "environment": [
        {"name": "PROMETHEUS", "value": "true"}, hunter2("PROMETHEUS_ENDPOINTS"),
    ]}, {"name": "side"}]);
    assert_snapshot!(of_file(&opted_in.to_string()), @r#"
    exit 0
    Task definition <family>, network mode awsvpc, which is assumed: --network-mode names another

    app: 1 target
      PROMETHEUS=true  environment  opts in
      hint: "PROMETHEUS_ENDPOINTS" in environment is not read; is PROMETHEUS_ENDPOINT meant?

      http://<task address>:80/metrics every 1m
        interval  the default, since the endpoint names none
        address   the IPv4 address of its task's network interface
        port      the default, since neither a variable nor a TCP port mapping names one

    side: not opted in, PROMETHEUS is not set

    1 target, 1 container not opted in
    What only a running task has stands in <…>; one on a container instance has labels of its host too.
    "#);
}

#[test]
fn what_a_user_set_for_targets_counts_here_too() {
    let program = Program::new().env("PROMETHEUS_ECS_SD_SCRAPE_INTERVALS", "2m,10m");
    let program = program.env("PROMETHEUS_ECS_SD_DEFAULT_SCRAPE_INTERVAL_PREFIX", "2m");
    // Two roles are none of an explanation's business.
    let program = program.env("PROMETHEUS_ECS_SD_ROLE", "one,two");
    let example = repository("examples/task-definition.json");
    let said = json(program, &["--task-definition", example.to_str().unwrap()]);
    assert_eq!(said["tasks"][0]["containers"][0]["endpoints"][1]["target"]["interval"], "2m");
}

/// Every task of a world of all cases there are, in this process.
#[tokio::test(start_paused = true)]
async fn every_task_is_explained_as_it_is_discovered() {
    let stage = Stage::new(worlds::every_case());
    let published = stage.run().await.next().await;
    let aws = stage.simulator.connector();
    let aws = prometheus_ecs_sd::aws::Aws::isolated(aws, REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY);
    let source = aws.source(SourceSpec {
        role: None,
        external_id: None,
        session_name: None,
        region: REGION.to_owned(),
    });
    let rules = stage.config.rules.clone();
    let running = stage.change(|region| {
        let tasks = region.clusters.values().filter(|cluster| cluster.status == "ACTIVE");
        let tasks =
            tasks.flat_map(|cluster| cluster.tasks.values().map(|task| (cluster.cluster_name.clone(), task)));
        let running = tasks.filter(|(_, task)| task.desired_status == "RUNNING");
        running.map(|(cluster, task)| (cluster, task.task_arn.clone())).collect::<Vec<_>>()
    });
    assert!(running.len() > 50);
    for (cluster, task) in running {
        let said = explained(&source, &cluster, &Wanted::Task(task.clone()), &rules).await.unwrap().report;
        let mut targets: Vec<&Target> = said.explanations().flat_map(|one| one.targets()).collect();
        targets.sort_by(|one, other| one.in_order(other));
        let discovered = published.snapshot.targets().into_iter();
        let discovered: Vec<_> = discovered.filter(|target| target.task().as_str() == task).collect();
        assert_eq!(targets, discovered, "{task}");
    }
}
