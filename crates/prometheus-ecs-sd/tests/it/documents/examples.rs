//! The examples: configurations, policies, and definitions with the targets that they lead to.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::Stdio;

use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::finding::Verdict;
use ecs_discovery::inventory::question::Question;
use ecs_simulator::{
    ContainerDefinition, ContainerOverride, Host, HostKind, Placement, PortMapping, Run, TaskDefinition,
    World,
};
use serde_json::{Value, json};

use super::{blocks, code, documents, files, keys, read, rows, section};
use crate::simulated::{REGION, Stage};
use crate::tools::{program, repository, tool};

#[test]
fn the_readme_shows_the_four_jobs_of_the_example() {
    let example = read("examples/prometheus.yml");
    let example = &example[example.find("scrape_configs").unwrap()..];
    assert!(blocks(&read("README.md")).contains(&("yaml", example.to_owned())));
}

#[test]
fn every_other_yaml_block_is_part_of_an_example() {
    let files = [files("examples", ".yml"), files("examples/conventions", ".yml")].concat();
    let examples: String = files.iter().map(|path| read(path)).collect();
    let lines: BTreeSet<&str> = examples.lines().map(str::trim).collect();
    for (path, text) in documents() {
        for (_, block) in blocks(&text).into_iter().filter(|(language, _)| *language == "yaml") {
            let strange = block.lines().map(str::trim).find(|line| {
                let anchored = format!("{line} &ecs");
                !lines.contains(line) && !lines.contains(&*anchored)
            });
            assert_eq!(strange, None, "{path}");
        }
    }
}

#[test]
fn the_jobs_with_relabelling_are_the_four_jobs() {
    let jobs = |path: &str| -> Vec<String> {
        let text = read(path);
        let of_job = ["- job_name:", "scrape_interval:", "- files:"];
        let lines = text.lines().map(str::trim).filter(|line| of_job.iter().any(|key| line.starts_with(key)));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(jobs("examples/prometheus-relabel.yml"), jobs("examples/prometheus.yml"));
}

#[test]
fn prometheus_accepts_the_example_configurations() {
    let of_prometheus = |path: &String| path.contains("/prometheus") || path.ends_with("/alerts.yml");
    for path in files("examples", ".yml").into_iter().filter(of_prometheus) {
        let what = if path.ends_with("/alerts.yml") { "rules" } else { "config" };
        let check = tool("promtool").args(["check", what]).arg(repository(&path)).output().unwrap();
        assert!(check.status.success(), "{path}: {}", String::from_utf8_lossy(&check.stderr));
    }
}

/// Every JSON block of a document, a fragment of an object made whole, with the block after it if that is text.
fn json_blocks(text: &str) -> Vec<(Value, Option<String>)> {
    let blocks = blocks(text);
    let parsed = |body: &str| {
        let body = body.trim();
        let whole = if body.starts_with('{') { body.to_owned() } else { format!("{{{body}}}") };
        serde_json::from_str(&whole).unwrap_or_else(|error| panic!("{error}\n{whole}"))
    };
    let after = |index: usize| {
        blocks.get(index + 1).filter(|(language, _)| *language == "text").map(|(_, body)| body.clone())
    };
    let json = blocks.iter().enumerate().filter(|(_, (language, _))| *language == "json");
    json.map(|(index, (_, body))| (parsed(body), after(index))).collect()
}

#[test]
fn every_example_is_loaded_and_linked() {
    for (path, text) in documents() {
        json_blocks(&text).iter().for_each(|(value, _)| assert!(value.is_object(), "{path}"));
    }
    let text: String = documents().into_values().collect();
    for path in [files("examples", ""), files("examples/conventions", "")].concat() {
        assert!(text.contains(&format!("{path})")), "no document links to {path}");
        match path.rsplit('.').next() {
            Some("json") => drop(serde_json::from_str::<Value>(&read(&path)).unwrap()),
            // Loaded by Prometheus's own tool, above, or by the program's.
            Some("yml") => {}
            Some("service") => {}
            _ => panic!("{path} is loaded by no test"),
        }
    }
}

/// What the policy allows, sorted.
fn actions(policy: &Value) -> Vec<String> {
    let list = |value: &Value| match value {
        Value::Array(actions) => actions.clone(),
        one => vec![one.clone()],
    };
    let statements = policy["Statement"].as_array().unwrap();
    assert!(statements.iter().all(|statement| statement["Effect"] == "Allow"));
    let actions = statements.iter().flat_map(|statement| list(&statement["Action"]));
    let mut actions: Vec<_> = actions.map(|action| action.as_str().unwrap().to_owned()).collect();
    actions.sort();
    actions
}

/// The action of every question that the core can ask.
fn needed() -> Vec<String> {
    let arn = |resource: &str| format!("arn:aws:ecs:eu-west-1:111111111111:{resource}");
    let cluster = ClusterArn::parse(&arn("cluster/c")).unwrap();
    let task = TaskArn::parse(&arn("task/c/1")).unwrap();
    let definition = TaskDefinitionArn::parse(&arn("task-definition/d:1")).unwrap();
    let instance = ContainerInstanceArn::parse(&arn("container-instance/c/1")).unwrap();
    let questions = [
        Question::Clusters { page: None },
        Question::ClusterDetails { clusters: vec!["c".into()] },
        Question::Tasks { cluster: cluster.clone(), page: None },
        Question::TaskDetails { cluster: cluster.clone(), tasks: vec![task] },
        Question::TaskDefinition { definition: definition.clone() },
        Question::DefinitionTags { definition },
        Question::ClusterTags { clusters: vec![cluster.clone()] },
        Question::ContainerInstances { cluster: cluster.clone(), instances: vec![instance] },
        Question::Services { cluster, services: Vec::new() },
        Question::Ec2Instances { instances: Vec::new() },
        Question::ExternalInstances { instances: Vec::new() },
    ];
    // Without a wildcard: a new question does not compile before its service is named here, and listed above.
    let service = |question: &Question| match question {
        Question::Clusters { .. }
        | Question::ClusterDetails { .. }
        | Question::ClusterTags { .. }
        | Question::Tasks { .. }
        | Question::TaskDetails { .. }
        | Question::TaskDefinition { .. }
        | Question::DefinitionTags { .. }
        | Question::ContainerInstances { .. }
        | Question::Services { .. } => "ecs",
        Question::Ec2Instances { .. } => "ec2",
        Question::ExternalInstances { .. } => "ssm",
    };
    let mut actions: Vec<_> =
        questions.iter().map(|question| format!("{}:{}", service(question), question.operation())).collect();
    actions.sort();
    // Some operations answer more than one question.
    actions.dedup();
    actions
}

#[test]
fn the_policies_allow_what_is_called_and_no_more() {
    let example = |path: &str| -> Value { serde_json::from_str(&read(path)).unwrap() };
    let needed = needed();
    // With --service-tags.
    let mut usual = needed.clone();
    usual.retain(|action| action != "ecs:DescribeServices");
    assert_eq!(usual.len() + 1, needed.len());
    assert_eq!(actions(&example("examples/iam-policy.json")), usual);
    assert_eq!(actions(&example("examples/iam-assume-role.json")), ["sts:AssumeRole"]);
    let trust = example("examples/iam-trust-policy.json");
    assert_eq!(actions(&trust), ["sts:AssumeRole"]);
    assert!(trust["Statement"][0]["Condition"]["StringEquals"]["sts:ExternalId"].is_string());

    let text = read("docs/iam.md");
    let mut listed = keys(&text);
    listed.sort_unstable();
    assert_eq!(listed, needed);
    let [(narrow, None)] = &json_blocks(&text)[..] else { panic!("one policy") };
    let unlisted: Vec<_> = usual.into_iter().filter(|action| action != "ecs:ListClusters").collect();
    assert_eq!(actions(narrow), unlisted);
}

fn pairs(list: &Value) -> impl Iterator<Item = (&str, &str)> {
    let list = list.as_array().into_iter().flatten();
    list.map(|pair| (pair["name"].as_str().unwrap(), pair["value"].as_str().unwrap()))
}

fn container(definition: &Value) -> ContainerDefinition {
    let mut container = ContainerDefinition::new(definition["name"].as_str().unwrap(), "example");
    for (name, value) in pairs(&definition["environment"]) {
        container = container.env(name, value);
    }
    for (name, value) in definition["dockerLabels"].as_object().into_iter().flatten() {
        container = container.label(name, value.as_str().unwrap());
    }
    for mapping in definition["portMappings"].as_array().into_iter().flatten() {
        let port = mapping["containerPort"].as_u64().unwrap();
        container = container.mapping(PortMapping::tcp(port.try_into().unwrap()));
    }
    container
}

/// What the program makes of one task of a definition: its targets in the order of publication, and the warnings.
async fn discovered(definition: &Value, overrides: &Value) -> (Vec<String>, usize) {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let mode = definition["networkMode"].as_str().unwrap();
    let containers = definition["containerDefinitions"].as_array().unwrap();
    let definition = containers
        .iter()
        .fold(TaskDefinition::new("example").network_mode(mode), |task, one| task.container(container(one)));
    let definition = region.register(definition);
    let host = region.launch(Host::new("production", HostKind::Ec2).private_ip("10.0.0.5"));
    let placement = if mode == "awsvpc" { Placement::Fargate } else { Placement::On(host) };
    let mut run = Run::new("production", &definition, placement).ipv4("10.0.1.23");
    for over in overrides["containerOverrides"].as_array().into_iter().flatten() {
        let name = over["name"].as_str().unwrap();
        let over = pairs(&over["environment"])
            .fold(ContainerOverride::new(name), |over, (name, value)| over.env(name, value));
        run = run.overriding(over);
    }
    region.run_with(run);
    let published = Stage::new(world).run().await.next().await;
    let targets = published.snapshot.targets().into_iter();
    let targets = targets.map(|target| format!("{} {}", target.endpoint, target.interval)).collect();
    let warnings =
        published.snapshot.findings().filter(|finding| matches!(finding.verdict, Verdict::Warning(_)));
    (targets, warnings.count())
}

#[tokio::test(start_paused = true)]
async fn the_examples_have_the_targets_that_follow_them() {
    let examples = read("docs/examples.md");
    let mut definition = Value::Null;
    let mut discoveries = 0;
    for (value, targets) in json_blocks(&examples) {
        let overrides = if value["containerDefinitions"].is_array() {
            definition = value;
            Value::Null
        } else {
            value
        };
        let expected = targets.expect("each example is followed by its targets");
        let (targets, warnings) = discovered(&definition, &overrides).await;
        assert_eq!((targets, warnings), (expected.lines().map(str::to_owned).collect(), 0), "{definition:#}");
        discoveries += 1;
    }
    assert_eq!(discoveries, 6);
}

#[tokio::test(start_paused = true)]
async fn the_complete_definition_is_discovered() {
    let definition: Value = serde_json::from_str(&read("examples/task-definition.json")).unwrap();
    let expected = ["http://10.0.1.23:8080/metrics 15s", "http://10.0.1.23:9102/admin/metrics 1m"];
    assert_eq!(discovered(&definition, &Value::Null).await, (expected.map(str::to_owned).into(), 0));
}

#[test]
fn the_explanations_that_are_shown_are_what_is_printed() {
    let printed = |arguments: &[&str], input: &str| {
        let mut command = program();
        command.arg("explain").args(arguments).current_dir(repository(""));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    };
    let text = read("docs/explain.md");
    let shown: Vec<_> = blocks(&text).into_iter().filter(|(language, _)| *language != "sh").collect();
    let [("text", example), ("json", definition), ("text", told), ("json", json)] = &shown[..] else {
        panic!("{shown:?}")
    };
    assert_eq!(*example, printed(&["--task-definition", "examples/task-definition.json"], ""));
    assert_eq!(*told, printed(&["--task-definition", "-"], definition));
    assert_eq!(*json, printed(&["--json", "--task-definition", "-"], definition));
}

/// Every name of a field below a value.
fn fields<'a>(value: &'a Value, all: &mut BTreeSet<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| fields(item, all)),
        // What labels there are is told elsewhere.
        Value::Object(object) => {
            object.iter().filter(|(name, _)| *name != "labels").for_each(|(name, value)| {
                all.insert(name);
                fields(value, all);
            })
        }
        _ => {}
    }
}

#[test]
fn every_field_of_an_explanation_is_listed() {
    let example = program()
        .args(["explain", "--json", "--task-definition"])
        .arg(repository("examples/task-definition.json"))
        .output()
        .unwrap();
    let example: Value = serde_json::from_slice(&example.stdout).unwrap();
    let mut all = BTreeSet::new();
    fields(&example, &mut all);
    all.insert("labels");
    let text = read("docs/explain.md");
    let table = rows(section(&text, "## JSON"));
    let listed =
        table.iter().flat_map(|row| [row[0], row[2]]).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let listed: BTreeSet<_> = listed.filter(|name| !name.contains(['<', 'P'])).collect();
    // Of other kinds of reports, and of conventions that are turned on.
    let others = ["task", "service", "task_definition", "null", "asked", "why", "seen", "environment"];
    let known = |name: &&str| all.contains(name) || others.contains(name);
    assert_eq!(listed.iter().find(|name| !known(name)), None);
    assert_eq!(all.iter().find(|name| !listed.contains(*name)), None);
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_that_are_explained_are_read_as_explained() {
    let text = read("docs/variables.md");
    let table = rows(section(&text, "## Endpoints"));
    assert!(table.len() > 10);
    for row in table {
        let definition = json!({
            "networkMode": "awsvpc",
            "containerDefinitions": [{
                "name": "app",
                "portMappings": [{ "containerPort": 8080 }],
                "environment": [
                    { "name": "PROMETHEUS", "value": "true" },
                    { "name": "PROMETHEUS_ENDPOINT", "value": code(row[0]) },
                ],
            }],
        });
        let (targets, warnings) = discovered(&definition, &Value::Null).await;
        let (expected, warning) = match row[1].strip_suffix(", with a warning") {
            Some(expected) => (expected, 1),
            None => (row[1], 0),
        };
        let expected = if expected == "nothing: `invalid endpoint`" { "" } else { expected };
        let expected: Vec<_> = expected
            .split(" and ")
            .filter(|target| !target.is_empty())
            .map(|target| target.replace('`', "").replacen(':', "http://10.0.1.23:", 1).replace(" every", ""))
            .collect();
        assert_eq!((targets, warnings), (expected, warning), "{}", row[0]);
    }
}

#[test]
fn the_unit_for_systemd_is_tight_and_its_options_exist() {
    let unit = repository("examples/prometheus-ecs-sd.service");
    let rated = tool("systemd-analyze")
        .args(["security", "--no-pager", "--offline=true"])
        .arg(&unit)
        .output()
        .unwrap();
    let rated = String::from_utf8(rated.stdout).unwrap();
    let exposure = rated.split("prometheus-ecs-sd.service: ").nth(1).unwrap_or_else(|| panic!("{rated}"));
    let exposure: f64 = exposure.split(' ').next().unwrap().parse().unwrap();
    assert!(exposure < 2.0, "{rated}");

    let text = read("examples/prometheus-ecs-sd.service");
    let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/local/bin/")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let command = command.replace("%S", directory.path().to_str().unwrap());
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("prometheus-ecs-sd"));
    let checked = program().arg("check-config").args(words).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}
