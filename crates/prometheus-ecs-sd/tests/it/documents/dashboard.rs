//! The dashboard: what it asks for exists and can be evaluated, and no panel covers another.

use std::collections::BTreeSet;

use serde_json::Value;

use super::metrics::{listed, named, names};
use super::read;
use crate::tools::tool;

fn dashboard() -> Value {
    serde_json::from_str(&read("examples/dashboard.json")).unwrap()
}

fn panels(dashboard: &Value) -> &[Value] {
    dashboard["panels"].as_array().unwrap()
}

/// Grafana's variables in an expression, replaced by what they could stand for.
fn expressions(dashboard: &Value) -> Vec<String> {
    let targets =
        panels(dashboard).iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let text = targets.map(|target| target["expr"].as_str().unwrap());
    text.map(|text| text.replace("$__rate_interval", "5m").replace("$job", "a").replace("$instance", "b"))
        .collect()
}

#[test]
fn every_expression_of_the_dashboard_can_be_evaluated() {
    let directory = tempfile::tempdir().unwrap();
    let rules = directory.path().join("rules.yml");
    let expressions = expressions(&dashboard());
    assert!(expressions.len() > 20 && expressions.iter().all(|text| !text.contains('$')), "{expressions:?}");
    let rule = |(number, text): (usize, &String)| serde_json::json!({ "record": format!("panel:{number}"), "expr": text });
    let rules_text: Vec<_> = expressions.iter().enumerate().map(rule).collect();
    let groups = serde_json::json!({ "groups": [{ "name": "dashboard", "rules": rules_text }] });
    std::fs::write(&rules, groups.to_string()).unwrap();
    let output = tool("promtool").args(["check", "rules"]).arg(&rules).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_dashboards_panels_have_a_place_a_number_and_a_source_each() {
    let dashboard = dashboard();
    let mut numbers = BTreeSet::new();
    let mut taken = BTreeSet::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap();
        assert!(numbers.insert(panel["id"].as_u64().unwrap()), "{title}");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap());
        assert!(x + w <= 24, "{title}");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            assert!(taken.insert(cell), "{title} is above another panel");
        }
        if panel["type"] == "row" {
            continue;
        }
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        assert!(!panel["fieldConfig"]["defaults"]["unit"].as_str().unwrap().is_empty(), "{title}");
        let targets = panel["targets"].as_array().unwrap();
        for queried in std::iter::once(panel).chain(targets) {
            assert_eq!(queried["datasource"]["uid"], "${DS_PROMETHEUS}", "{title}");
        }
    }
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: BTreeSet<_> =
        variables.iter().map(|variable| variable["name"].as_str().unwrap()).collect();
    assert_eq!(variables, BTreeSet::from(["DS_PROMETHEUS", "instance", "job"]));
}

/// Whoever looks for a metric should find it there: nothing is shown nowhere but what is plain from others.
#[test]
fn the_dashboard_shows_every_metric() {
    let plain = [
        "ecs_sd_config_last_reload_success_timestamp_seconds",
        "ecs_sd_refresh_duration_seconds",
        "process_threads",
        "process_virtual_memory_bytes",
    ];
    let shown = named(&expressions(&dashboard()).join(" "));
    for name in listed() {
        let is_shown = names(std::slice::from_ref(&name)).iter().any(|name| shown.contains(name));
        assert_ne!(is_shown, plain.contains(&&*name), "{name}");
    }
}
