//! The conventions of the configuration: built-ins, rules, their mistakes, and their form as YAML.

use insta::assert_snapshot;

use super::configured;

/// The mistakes in a list of conventions.
fn mistakes(list: &str) -> String {
    let told = configured(&format!("conventions:\n{list}")).runs(&["check-config"]);
    told.replace("error: config.yml:", "")
}

/// The conventions in effect.
fn in_effect(told: &str) -> &str {
    let line = told.lines().find(|line| line.trim().starts_with("conventions ")).expect(told);
    line.trim().strip_prefix("conventions").expect("the key").trim()
}

#[test]
fn the_option_replaces_the_whole_list_of_the_file() {
    let text = "conventions:\n  - teralytics\n  - {name: nginx, match: {service: nginx-.*}, container_port: 9113}\n  - name: nginx\n    port: 80\n    match: {container: x}\n";
    let shown = |arguments: &[&str]| in_effect(&configured(text).runs(arguments)).to_owned();
    assert_eq!(shown(&["check-config"]), "teralytics, nginx (config.yml:3, config.yml:4)");
    assert_eq!(shown(&["check-config", "--convention", "sepich,environment"]), "sepich, environment");
    assert_eq!(shown(&["check-config", "--conventions", "promed", "sepich"]), "promed, sepich");
    let variable = configured(text).env("PROMETHEUS_ECS_SD_CONVENTION", "compose_x, sepich");
    assert_eq!(in_effect(&variable.runs(&["check-config"])), "compose_x, sepich");
    let blank = configured(text).env("PROMETHEUS_ECS_SD_CONVENTION", " ");
    assert!(in_effect(&blank.runs(&["check-config"])).starts_with("teralytics"));
    assert_eq!(in_effect(&configured("{}").runs(&["check-config"])), "environment");
    assert_eq!(in_effect(&configured("convention: sepich\n").runs(&["check-config"])), "sepich");
}

#[test]
fn every_mistake_in_the_list_is_told() {
    let list = "  - teralitics\n  - teralytics\n  - ~\n  - teralytics\n  - [sepich]\n  - x\n  - {name: teralytics, match: {container: x}}\n";
    assert_snapshot!(mistakes(list), @r#"
    exit 2
    2: conventions[0]: there is no convention "teralitics"; is teralytics meant?
    4: conventions[2]: this is empty; remove it
    5: conventions[3]: teralytics is listed twice; remove one
    6: conventions[4]: this is a list; write one value
    7: conventions[5]: there is no convention "x"; there are environment, promed, teralytics, prometheus_io, sepich, compose_x, cloudwatch_agent, ecs_observer
    8: conventions[6].name: teralytics is a built-in convention of this list; name the rule otherwise, or remove the built-in
    "#);
    assert_snapshot!(configured("conventions: []\n").runs(&["check-config"]), @"
    exit 2
    error: config.yml:1: conventions: this list is empty; remove the key for the default
    ");
    assert_snapshot!(configured("conventions:\n").runs(&["check-config"]), @"
    exit 2
    error: config.yml:1: conventions: this is empty; remove it
    ");
    let both = "conventions: [sepich]\nconvention: promed\n";
    assert_snapshot!(configured(both).runs(&["check-config"]), @"
    exit 2
    error: config.yml:1: conventions: convention is the same key; merge both
    ");
    let options = ["check-config", "--convention", "teralitics", "sepich", "sepich"];
    assert_snapshot!(configured("{}").runs(&options), @r#"
    exit 2
    error: --convention: there is no convention "teralitics"; is teralytics meant?
    error: --convention: sepich is listed twice; remove one

    For more information, try '--help'.
    "#);
    assert_snapshot!(configured("{}").runs(&["check-config", "--convention", ""]), @"
    exit 2
    error: --convention: this is empty; name a convention, or remove the option for the default

    For more information, try '--help'.
    ");
}

#[test]
fn every_mistake_in_a_rule_is_told_with_its_place() {
    let list = "  \
  - name: Bad Name
    container_port: 80
    port: 80
    portt: 1
    match: {contaner: x}
  - container_port: [80, x, 10s:80, 70000, '80:']
    path: http://x
    scheme: ftp
    interval: 7s
    job: ''
    match: {container: x}
  - name: sources
    container_port: {docker_label: a, tag: b}
    path: {docker_lable: x}
    scheme: {environment: }
    job: {}
    labels: a=b
    match:
      task_definition: web
      family:
      service: (a
      docker_label: {x: \"a{9\", y: }
      environment: {\"A*\": b}
      tag: {}
  - name: none
    container_port:
    match:
";
    assert_snapshot!(mistakes(list), @r#"
    exit 2
    2: conventions[0].name: "Bad Name" is not a name; use lower-case letters, digits, _ and -, beginning with a letter or digit, at most 63
    4: conventions[0].port: a rule has either container_port or port; remove one
    5: conventions[0].portt: there is no such key; did you mean port?
    6: conventions[0].match.contaner: there is no such key; did you mean container?
    7: conventions[1]: the rule has no name; add one, such as name: nginx
    7: conventions[1].container_port: the port is "x"; a port is a number from 1 to 65535
    7: conventions[1].container_port: the port asks for the interval 10s, which is not offered (15s, 30s, 1m, 5m)
    7: conventions[1].container_port: the port is "70000"; a port is a number from 1 to 65535
    7: conventions[1].container_port: the port has "80:", without a path; write 80, or 80:/metrics
    8: conventions[1].path: the path has "http://…", which looks like a URL; write a path, such as /metrics
    9: conventions[1].scheme: the scheme is "ftp"; it can be http or https
    10: conventions[1].interval: the interval asks for the interval 7s, which is not offered (15s, 30s, 1m, 5m)
    11: conventions[1].job: this is empty; remove it
    14: conventions[2].container_port: a source is one of docker_label, environment, tag
    15: conventions[2].path.docker_lable: there is no such key; did you mean docker_label?
    16: conventions[2].scheme.environment: this is empty; remove it
    17: conventions[2].job: a source is one of docker_label, environment, tag
    18: conventions[2].labels: this must be a source: docker_label, environment, tag with a name
    20: conventions[2].match.task_definition: "web" matches no ARN; use family, or a pattern such as .*/web:.*
    21: conventions[2].match.family: this is empty; write "" for a text that is absent or empty
    22: conventions[2].match.service: "(a": found open group without closing ')', at column 1
    23: conventions[2].match.docker_label.x: "a{9": found incomplete and unclosed counted repetition operator, at column 3
    23: conventions[2].match.docker_label.y: this is empty; write "" for a text that is absent or empty
    24: conventions[2].match.environment.A*: "A*" is not the name of an environment variable
    25: conventions[2].match.tag: this is empty; remove it
    27: conventions[3].container_port: this is empty; remove it
    28: conventions[3].match: this is empty; remove it
    "#);
}

#[test]
fn a_rule_for_every_container_must_say_so() {
    assert_snapshot!(mistakes("  - {name: a, port: 80}\n  - {name: b, match: {}, container_port: 80}\n"), @"
    exit 2
    2: conventions[0]: the rule would scrape every container; write match: {container: .*} if that is meant
    3: conventions[1].match: the rule would scrape every container; write match: {container: .*} if that is meant
    ");
    let fine = [
        "{name: a, match: {container: .*}, port: 80}",
        "{name: a, port: {tag: METRICS_PORT}}",
        "{name: a, container_port: {docker_label: x}}",
    ];
    for rule in fine {
        assert_eq!(mistakes(&format!("  - {rule}\n")).lines().next(), Some("exit 0"), "{rule}");
    }
}

#[test]
fn there_are_at_most_a_hundred_rules() {
    let rules = |number| "  - {name: a, match: {container: x}}\n".repeat(number);
    assert!(mistakes(&rules(100)).starts_with("exit 0"));
    assert_snapshot!(mistakes(&rules(101)), @"
    exit 2
    1: conventions: there are 101 rules; use up to 100
    ");
}

#[test]
fn printed_rules_are_read_as_the_same_rules() {
    let own = "  \
  - name: everything
    match:
      cluster: prod-.*
      docker_label: {\"a b\": \"\\\"quoted\\\": x\", prometheus.io/scrape: \"true\"}
      service: \"null\"
      environment: {PORT: \"\"}
      tag: {team: \"a|b\"}
    container_port: [80, \"30s:81/metrics?a=b\"]
    path: /x
    scheme: https
    interval: 1m
    job: \"yes\"
    labels: {tag: labels}
  - environment
";
    let printed = |text: &str| {
        let told = configured(text).runs(&["generate", "conventions"]);
        told.strip_prefix("exit 0\n").expect("rules").to_owned()
    };
    let once = printed(&format!("conventions:\n{own}"));
    assert_snapshot!(once, @r#"
    conventions:
      - name: everything
        match:
          cluster: "prod-.*"
          docker_label: {"a b": "\"quoted\": x", prometheus.io/scrape: "true"}
          service: "null"
          environment: {PORT: ""}
          tag: {team: "a|b"}
        container_port: "80, 30s:81/metrics?a=b"
        path: /x
        scheme: https
        interval: "1m"
        job: "yes"
        labels: {tag: labels}
      - environment # reads environment variables, and is no rule
    "#);
    assert_eq!(printed(&once), once);
    for name in ["teralytics", "prometheus_io", "sepich", "compose_x", "cloudwatch_agent", "ecs_observer"] {
        let options = ["generate", "conventions", "--convention", name];
        let told = configured("{}").runs(&options);
        let rules = told.strip_prefix("exit 0\n").expect("rules");
        assert_eq!(printed(rules), rules, "{name}");
    }
}

#[test]
fn a_dialect_of_the_variables_has_no_rules_to_print() {
    assert_snapshot!(configured("{}").runs(&["generate", "conventions"]), @"
    exit 2
    error: --convention: environment is no rule, and cannot be printed; name another built-in convention, such as teralytics

    For more information, try '--help'.
    ");
    let options = ["generate", "conventions", "--convention", "promed", "environment"];
    assert_snapshot!(configured("{}").runs(&options), @"
    exit 2
    error: --convention: promed and environment are no rules, and cannot be printed; name another built-in convention, such as teralytics

    For more information, try '--help'.
    ");
}

#[test]
fn explain_takes_the_conventions_of_the_option_and_of_the_file() {
    let definition =
        r#"[{"name": "web", "dockerLabels": {"MY_PORT": "9102", "PROMETHEUS_SCRAPES": "8080"}}]"#;
    let explained = |text: &str, options: &[&str]| {
        let configured = configured(text);
        std::fs::write(configured.directory.path().join("web.json"), definition).unwrap();
        let arguments = [&["explain", "--task-definition", "web.json"], options].concat();
        configured.runs(&arguments).lines().next().unwrap().to_owned()
    };
    let own = "conventions: [{name: own, container_port: {docker_label: MY_PORT}}]\n";
    assert_eq!(explained("{}", &[]), "exit 4");
    assert_eq!(explained("{}", &["--convention", "sepich"]), "exit 0");
    assert_eq!(explained(own, &[]), "exit 0");
    assert_eq!(explained(own, &["--convention", "environment"]), "exit 4");
}
