//! What becomes of each part of a configuration of another tool.

use std::path::Path;

use insta::assert_snapshot;

use super::{ConfigErrors, Tool, import};

/// The configuration and the warnings; or the errors.
fn check(tool: Tool, text: &str) -> String {
    match import(tool, text, ConfigErrors::of(Path::new("file"))) {
        Ok(made) => {
            let warnings = made.warnings.iter().map(|warning| format!("warning: {warning}\n"));
            made.config + &warnings.collect::<String>()
        }
        Err(errors) => errors.to_string(),
    }
}

/// The configuration of an agent with these keys in its section.
fn agent(keys: &str) -> String {
    check(Tool::CloudwatchAgent, &format!("{{{keys}}}"))
}

fn collector(text: &str) -> String {
    check(Tool::EcsObserver, text)
}

/// The agent's own example, with another section.
const AGENT: &str = r#"{
	"agent": { "debug": true },
	"logs": {
		"metrics_collected": {
			"prometheus": {
				"prometheus_config_path": "env:PROMETHEUS_CONFIG_CONTENT",
				"ecs_service_discovery": {
					"sd_frequency": "1m",
					"sd_target_cluster": "shop",
					"sd_cluster_region": "us-west-2",
					"sd_result_file": "\/tmp\/cwagent_ecs_auto_sd.yaml",
					"docker_label": {},
					"task_definition_list": [
						{
							"sd_job_name": "java-prometheus",
							"sd_metrics_path": "/metrics",
							"sd_metrics_ports": "9404; 9406",
							"sd_task_definition_arn_pattern": ".*:task-definition/.*javajmx.*:[0-9]+"
						},
						{
							"sd_job_name": "envoy-prometheus",
							"sd_metrics_path": "/stats/prometheus",
							"sd_container_name_pattern": "^envoy$",
							"sd_metrics_ports": "9901",
							"sd_task_definition_arn_pattern": ".*:task-definition/.*appmesh.*:23"
						}
					],
					"service_name_list_for_tasks": [
						{
							"sd_job_name": "nginx-prometheus",
							"sd_metrics_path": "/metrics",
							"sd_metrics_ports": "9113",
							"sd_service_name_pattern": "^nginx-.*"
						},
						{
							"sd_metrics_ports": "9113",
							"sd_service_name_pattern": "run-application-stack"
						}
					]
				},
				"emf_processor": { "metric_declaration": [] }
			}
		}
	}
}
"#;

#[test]
fn the_three_modes_of_an_agent_are_rules_in_its_order() {
    assert_snapshot!(check(Tool::CloudwatchAgent, AGENT), @r"
    # Made from a configuration of the CloudWatch agent.
    # The targets were written to /tmp/cwagent_ecs_auto_sd.yaml. To write a single file here too, set
    # directory, and file_layout: single.
    region: us-west-2
    cluster: shop
    interval: 1m
    conventions:
      - name: cloudwatch_agent-service
        match:
          service: '.*(?:^nginx-.*).*'
        container_port: 9113
        path: /metrics
        job: nginx-prometheus
      - name: cloudwatch_agent-service
        match:
          service: '.*(?:run-application-stack).*'
        container_port: 9113
      - name: cloudwatch_agent-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
        path: { docker_label: ECS_PROMETHEUS_METRICS_PATH }
        job: { docker_label: job }
      - name: cloudwatch_agent-definition
        match:
          task_definition: '.*(?:.*:task-definition/.*javajmx.*:[0-9]+).*'
        container_port: [9404, 9406]
        path: /metrics
        job: java-prometheus
      - name: cloudwatch_agent-definition
        match:
          task_definition: '.*(?:.*:task-definition/.*appmesh.*:23).*'
          container: envoy
        container_port: 9901
        path: /stats/prometheus
        job: envoy-prometheus
    ");
}

#[test]
fn the_section_of_an_agent_is_read_alone_too() {
    let section = AGENT.split("\"ecs_service_discovery\": ").nth(1).unwrap();
    let section = section.split(",\n\t\t\t\t\"emf_processor\"").next().unwrap();
    assert_eq!(check(Tool::CloudwatchAgent, section), check(Tool::CloudwatchAgent, AGENT));
}

#[test]
fn the_docker_labels_of_an_agent_have_defaults() {
    let names = |text: &str| {
        let made = agent(&format!(r#""docker_label": {{{text}}}"#));
        made.split("name: cloudwatch_agent-label\n").nth(1).map_or(made.clone(), str::to_owned)
    };
    assert_snapshot!(names(""), @r"
    container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
    path: { docker_label: ECS_PROMETHEUS_METRICS_PATH }
    job: { docker_label: job }
    ");
    assert_snapshot!(names(r#""sd_port_label": "PORT_A", "sd_job_name_label": "my.job", "sd_metrics_path_label": """#), @r"
    container_port: { docker_label: PORT_A }
    job: { docker_label: my.job }
    ");
    assert_snapshot!(names(r#""sd_port_label": """#), @r"
    file:1: nothing here selects a container with a port, so there is no rule to write
    ");
}

#[test]
fn a_setting_that_an_agent_took_from_its_surroundings_is_a_comment() {
    assert_snapshot!(agent(r#""docker_label": {}"#), @r"
    # Made from a configuration of the CloudWatch agent.
    # There was no sd_target_cluster: the agent discovered the cluster that it ran in.
    # There was no sd_cluster_region: the agent discovered the region that it ran in.
    # There was no sd_frequency: the agent used its own interval.
    conventions:
      - name: cloudwatch_agent-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
        path: { docker_label: ECS_PROMETHEUS_METRICS_PATH }
        job: { docker_label: job }
    ");
}

#[test]
fn ports_of_an_agent_are_split() {
    let ports = |ports: &str| {
        let list = format!(
            r#""task_definition_list": [{{"sd_task_definition_arn_pattern": "/x:", "sd_metrics_ports": "{ports}"}}]"#
        );
        let made = agent(&format!(r#""docker_label": {{}}, {list}"#));
        let port = made.lines().filter(|line| line.contains("container_port: ") && !line.contains("label"));
        port.chain(made.lines().filter(|line| line.contains("file:"))).collect::<Vec<_>>().join("\n")
    };
    for (written, made) in [
        ("9404", "    container_port: 9404"),
        ("9404; 9406;", "    container_port: [9404, 9406]"),
        ("9404;9404", "    container_port: 9404"),
        (" ; ", ""),
        ("", ""),
        (
            "9404,9406",
            r#"file:1: task_definition_list[0].sd_metrics_ports: "9404,9406" is not a port, a number from 1 to 65535"#,
        ),
        (
            "0",
            r#"file:1: task_definition_list[0].sd_metrics_ports: "0" is not a port, a number from 1 to 65535"#,
        ),
        (
            "+1",
            r#"file:1: task_definition_list[0].sd_metrics_ports: "+1" is not a port, a number from 1 to 65535"#,
        ),
    ] {
        assert_eq!(ports(written), made, "{written:?}");
    }
}

#[test]
fn an_entry_without_a_port_is_left_out() {
    assert_snapshot!(agent(r#""docker_label": {}, "service_name_list_for_tasks": [{"sd_service_name_pattern": "a"}]"#), @r"
    # Made from a configuration of the CloudWatch agent.
    # There was no sd_target_cluster: the agent discovered the cluster that it ran in.
    # There was no sd_cluster_region: the agent discovered the region that it ran in.
    # There was no sd_frequency: the agent used its own interval.
    conventions:
      # service_name_list_for_tasks[0] is left out, because it discovered nothing: there is no
      # sd_metrics_ports.
      - name: cloudwatch_agent-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
        path: { docker_label: ECS_PROMETHEUS_METRICS_PATH }
        job: { docker_label: job }
    warning: service_name_list_for_tasks[0] is left out, because it discovered nothing: there is no sd_metrics_ports.
    ");
    assert_snapshot!(agent(r#""service_name_list_for_tasks": [{"sd_service_name_pattern": "a"}]"#), @r"
    file:1: nothing here selects a container with a port, so there is no rule to write
    ");
}

#[test]
fn patterns_match_anywhere_as_they_did() {
    let pattern = |pattern: &str| {
        let pattern = format!("{pattern:?}");
        let made = agent(&format!(
            r#""service_name_list_for_tasks": [{{"sd_service_name_pattern": {pattern}, "sd_metrics_ports": "1"}}]"#
        ));
        let line = made.lines().find_map(|line| line.strip_prefix("      service: "));
        line.map_or(made.clone(), str::to_owned)
    };
    for (written, made) in [
        ("web", "'.*(?:web).*'"),
        ("a|b", "'.*(?:a|b).*'"),
        ("^web", "'.*(?:^web).*'"),
        ("web$", "'.*(?:web$).*'"),
        ("^web$", "web"),
        ("^web-.*$", "web-.*"),
        ("^a|b$", "'.*(?:^a|b$).*'"),
        (r"^web\$", r"'.*(?:^web\$).*'"),
        (r"^web\\$", r"'web\\'"),
        ("it's", "'.*(?:it''s).*'"),
    ] {
        assert_eq!(pattern(written), made, "{written:?}");
    }
    assert_snapshot!(pattern("*memcached.*"), @r#"
    file:1: service_name_list_for_tasks[0].sd_service_name_pattern: "*memcached.*" is not a regular expression: uncounted repetition operator must be applied to a sub-expression, at column 1; write .*memcached.*
    "#);
    assert_snapshot!(pattern("(web"), @r#"
    file:1: service_name_list_for_tasks[0].sd_service_name_pattern: "(web" is not a regular expression: found open group without closing ')', at column 1
    "#);
    assert_snapshot!(pattern(&"x".repeat(1020)), @r"
    file:1: service_name_list_for_tasks[0].sd_service_name_pattern: the pattern has 1028 bytes; it can have 1024
    ");
}

#[test]
fn errors_of_an_agents_file_have_their_place() {
    let text = "{\n \"sd_target_cluster\": \"a b\",\n \"sd_cluster_region\": \"Oregon\",\n \"sd_frequency\": \"1.5m\",\n \
        \"docker_labels\": {},\n \"docker_label\": {\"sd_port\": \"x\"},\n \"task_definition_list\": [\n  \
        {\"sd_metrics_ports\": \"1\"},\n  {\"sd_task_definition_arn_pattern\": \"^web$\", \"sd_metrics_ports\": \"1\",\n   \
        \"sd_metrics_path\": \"a b\", \"sd_job_name\": \"a\\nb\"}\n ]\n}";
    assert_snapshot!(check(Tool::CloudwatchAgent, text), @r#"
    file:3: sd_cluster_region: "Oregon" is not a region; it looks like eu-west-1
    file:4: sd_frequency: "1.5m" is not a duration; use seconds such as 60, or 90s, 2m
    file:5: docker_labels: there is no such key; did you mean docker_label?
    file:6: docker_label.sd_port: there is no such key; did you mean sd_port_label?
    file:8: task_definition_list[0]: there is no sd_task_definition_arn_pattern
    file:9: task_definition_list[1].sd_task_definition_arn_pattern: "web" matches no ARN; use family, or a pattern such as .*/web:.*
    file:10: task_definition_list[1].sd_job_name: this has a control character
    "#);
    for (text, error) in [
        ("", "file:1: nothing here selects a container with a port, so there is no rule to write"),
        ("{\"agent\": {}}", "file:1: there is no logs.metrics_collected.prometheus.ecs_service_discovery"),
        (
            "{\"logs\": {\"x\": 1}}",
            "file:1: there is no logs.metrics_collected.prometheus.ecs_service_discovery",
        ),
        ("[1]", "file:1: this must be a mapping, such as key: value"),
    ] {
        assert_eq!(check(Tool::CloudwatchAgent, text), error, "{text}");
    }
}

#[test]
fn more_rules_than_a_configuration_can_have_are_an_error() {
    let rules = |number: usize| {
        let entry = r#"{"sd_service_name_pattern": "a", "sd_metrics_ports": "1"}"#;
        agent(&format!(r#""service_name_list_for_tasks": [{}]"#, vec![entry; number].join(",")))
    };
    assert!(rules(100).contains("conventions:\n"));
    assert_eq!(rules(101), "file:1: this makes 101 rules; a configuration can have 100");
}

/// The collector's own example, with an alias elsewhere.
const COLLECTOR: &str = r"
extensions:
  health_check: &shared { endpoint: 'a' }
  other: *shared
  ecs_observer:
    refresh_interval: 60s
    cluster_name: 'Cluster-1'
    cluster_region: 'us-west-2'
    result_file: '/etc/ecs_sd_targets.yaml'
    services:
      - name_pattern: '^retail-.*$$'
        container_name_pattern: '^java-api-v[12]$$'
        metrics_ports: [8080]
      - name_pattern: game
        metrics_ports: [9113, 9090]
        metrics_path: /v3/343
        job_name: guilty-spark
    docker_labels:
      - port_label: 'ECS_PROMETHEUS_EXPORTER_PORT'
      - port_label: ECS_PROMETHEUS_EXPORTER_PORT_V2
        metrics_path_label: ECS_PROMETHEUS_EXPORTER_METRICS_PATH
        job_name_label: MY_JOB
      - port_label: PORT
        job_name_label: MY_JOB
        job_name: of-config
        metrics_path: /unused
    task_definitions:
      - job_name: 'task_def_1'
        metrics_path: '/metrics'
        metrics_ports:
          - 9113
          - 9090
        arn_pattern: '.*:task-definition/nginx:[0-9]+'
      - arn_pattern: '/memcached:'
receivers:
  prometheus: ${file:receiver.yaml}
";

#[test]
fn the_three_filters_of_an_observer_are_rules_in_its_order() {
    assert_snapshot!(collector(COLLECTOR), @r"
    # Made from a configuration of the OpenTelemetry Collector.
    # The targets were written to /etc/ecs_sd_targets.yaml. To write a single file here too, set
    # directory, and file_layout: single.
    region: us-west-2
    cluster: Cluster-1
    interval: 60s
    conventions:
      - name: ecs_observer-service
        match:
          service: retail-.*
          container: 'java-api-v[12]'
        container_port: 8080
      - name: ecs_observer-service
        match:
          service: '.*(?:game).*'
        container_port: [9113, 9090]
        path: /v3/343
        job: guilty-spark
      - name: ecs_observer-definition
        match:
          task_definition: '.*(?:.*:task-definition/nginx:[0-9]+).*'
        container_port: [9113, 9090]
        path: /metrics
        job: task_def_1
      # extensions.ecs_observer.task_definitions[1] is left out, because it discovered nothing: there is
      # no metrics_ports.
      - name: ecs_observer-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
      - name: ecs_observer-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT_V2 }
        path: { docker_label: ECS_PROMETHEUS_EXPORTER_METRICS_PATH }
        job: { docker_label: MY_JOB }
      # extensions.ecs_observer.docker_labels[2].metrics_path is left out: the collector ignores it with
      # docker labels.
      - name: ecs_observer-label
        container_port: { docker_label: PORT }
        job: of-config
    warning: extensions.ecs_observer.task_definitions[1] is left out, because it discovered nothing: there is no metrics_ports.
    ");
}

#[test]
fn an_observer_without_docker_labels_reads_one() {
    assert_snapshot!(collector("extensions: {ecs_observer: {job_label_name: the_job}}"), @r"
    # Made from a configuration of the OpenTelemetry Collector.
    # There was no cluster_name: the collector discovered the cluster default.
    # There was no cluster_region: the collector discovered the region of its variable AWS_REGION.
    # There was no refresh_interval: the collector used its own interval.
    # The label with the job was the_job: see generate relabel-config --like ecs_observer.
    cluster: default
    conventions:
      - name: ecs_observer-label
        container_port: { docker_label: ECS_PROMETHEUS_EXPORTER_PORT }
    ");
    let without = "extensions: {ecs_observer: {docker_labels: []}}";
    assert_snapshot!(collector(without), @r"
    file:1: nothing here selects a container with a port, so there is no rule to write
    ");
}

#[test]
fn several_observers_have_rules_for_their_cluster() {
    let of = |first: &str, second: &str| {
        let observer = |name: &str, keys: &str| {
            format!(
                "  {name}:\n    services: [{{name_pattern: x, metrics_ports: [1]}}]\n    docker_labels: []\n{keys}"
            )
        };
        collector(&format!(
            "extensions:\n{}{}",
            observer("ecs_observer", first),
            observer("ecs_observer/b", second)
        ))
    };
    let one_region = of(
        "    cluster_name: a\n    cluster_region: eu-west-1\n    refresh_interval: 2m\n",
        "    cluster_name: b\n    cluster_region: eu-west-1\n    refresh_interval: 90s\n",
    );
    assert_snapshot!(one_region, @r"
    # Made from a configuration of the OpenTelemetry Collector.
    # There is one interval for all of them: the shortest.
    region: eu-west-1
    cluster: [a, b]
    interval: 90s
    conventions:
      - name: ecs_observer-service
        match:
          cluster: a
          service: '.*(?:x).*'
        container_port: 1
      - name: ecs_observer-service
        match:
          cluster: b
          service: '.*(?:x).*'
        container_port: 1
    ");
    let two_regions = of(
        "    cluster_name: a\n    cluster_region: eu-west-1\n    refresh_interval: 60s\n",
        "    refresh_interval: 1m\n",
    );
    assert_snapshot!(two_regions, @r"
    # Made from a configuration of the OpenTelemetry Collector.
    # There was no cluster_name: the collector discovered the cluster default.
    # There was no cluster_region: the collector discovered the region of its variable AWS_REGION.
    sources:
      - own_account: true
        regions: [eu-west-1]
        clusters: [a]
      - own_account: true
        clusters: [default]
    interval: 60s
    conventions:
      - name: ecs_observer-service
        match:
          cluster: a
          service: '.*(?:x).*'
        container_port: 1
      - name: ecs_observer-service
        match:
          cluster: default
          service: '.*(?:x).*'
        container_port: 1
    ");
}

#[test]
fn errors_of_a_collectors_file_have_their_place() {
    let text = "extensions:\n  ecs_observer/x:\n    cluster_name: ${env:CLUSTER}\n    cluster: a\n    services:\n      \
        - name_pattern: '*memcached.*'\n        metrics_ports: [a]\n      - metrics_ports: [1]\n    task_definitions:\n      \
        - arn_pattern: nginx$$\n        metrics_ports: [1, 70000]\n    docker_labels:\n      - port_label: ''\n      \
        - port_label: A\n        metrics_ports: [1]\n";
    assert_snapshot!(collector(text), @r#"
    file:3: extensions.ecs_observer/x.cluster_name: the collector replaces ${…} here; write the value itself
    file:4: extensions.ecs_observer/x.cluster: there is no such key; did you mean cluster_name?
    file:6: extensions.ecs_observer/x.services[0].name_pattern: "*memcached.*" is not a regular expression: uncounted repetition operator must be applied to a sub-expression, at column 1; write .*memcached.*
    file:7: extensions.ecs_observer/x.services[0].metrics_ports[0]: "a" is not a port, a number from 1 to 65535
    file:8: extensions.ecs_observer/x.services[1]: there is no name_pattern
    file:11: extensions.ecs_observer/x.task_definitions[0].metrics_ports[1]: "70000" is not a port, a number from 1 to 65535
    file:13: extensions.ecs_observer/x.docker_labels[0]: there is no port_label
    file:15: extensions.ecs_observer/x.docker_labels[1].metrics_ports: there is no such key; did you mean metrics_path?
    "#);
    for (text, error) in [
        ("", "file:1: there is no extensions.ecs_observer"),
        ("extensions: {ecs_observers: {}}", "file:1: there is no extensions.ecs_observer"),
        (
            "a: &a {}\nextensions: {ecs_observer: *a}",
            "file:2: extensions.ecs_observer: anchors and aliases are not supported; write the value in full",
        ),
        ("a: [", "file:2: this is not YAML: while parsing a node, did not find expected node content"),
    ] {
        assert_eq!(collector(text), error, "{text}");
    }
}

#[test]
fn a_file_that_ends_early_is_a_configuration_or_errors() {
    for (tool, text) in [(Tool::CloudwatchAgent, AGENT), (Tool::EcsObserver, COLLECTOR)] {
        let prefixes = text.char_indices().map(|(end, _)| &text[..end]);
        let told: Vec<_> = prefixes.map(|prefix| check(tool, prefix)).collect();
        let is_either = |told: &&String| told.starts_with("# Made from") || told.starts_with("file:");
        assert_eq!(told.iter().find(|told| !is_either(told)), None);
    }
}
