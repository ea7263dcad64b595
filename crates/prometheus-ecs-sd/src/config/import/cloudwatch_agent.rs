//! Reads the configuration of the CloudWatch agent: `ecs_service_discovery` in its JSON file, or that section alone.
//!
//! The agent discovers a container by the name of its service, by its docker labels, and by its task definition, in this
//! order, and the first to find an endpoint says its path and job.

use ecs_discovery::conventions::rule::Subject;

use super::settings::Settings;
use super::{ConfigErrors, Draft, Labels, Mapping, Parts, Reader, Text, Value};

/// The way to the section in a whole file.
const SECTION: [&str; 4] = ["logs", "metrics_collected", "prometheus", "ecs_service_discovery"];

/// Other sections of a whole file.
const OTHERS: [&str; 3] = ["agent", "metrics", "traces"];

/// Ports are written in one text.
const SEPARATOR: char = ';';

/// The names of docker labels, if the file has others.
const PORT_LABEL: &str = "ECS_PROMETHEUS_EXPORTER_PORT";
const PATH_LABEL: &str = "ECS_PROMETHEUS_METRICS_PATH";
const JOB_LABEL: &str = "job";

pub(super) fn read(root: Value, draft: &mut Draft, errors: &mut ConfigErrors) {
    let Some(section) = section(root, errors) else { return };
    let mut section = Reader { mapping: section, errors, unescape: |text| Ok(text.to_owned()) };
    let settings = Settings {
        cluster: section.text("sd_target_cluster"),
        region: section.text("sd_cluster_region"),
        interval: section.text("sd_frequency"),
        result_file: section.text("sd_result_file"),
        job_label: None,
    };
    settings.check(section.errors);
    draft.settings.push(settings);
    patterns(&mut section, draft, "service_name_list_for_tasks", "sd_service_name_pattern", "service");
    if let Some(value) = section.mapping.take_present("docker_label") {
        docker_labels(value, draft, section.errors);
    }
    patterns(&mut section, draft, "task_definition_list", "sd_task_definition_arn_pattern", "definition");
    section.finish();
}

/// The section of a whole file; a file without the other sections is the section itself.
fn section(root: Value, errors: &mut ConfigErrors) -> Option<Mapping> {
    let place = root.place.clone();
    let mut mapping = root.mapping(errors)?;
    let Some(mut value) = mapping.take(SECTION[0]) else {
        if OTHERS.iter().any(|other| mapping.take(other).is_some()) {
            errors.add(&place, format!("there is no {}", SECTION.join(".")));
            return None;
        }
        return Some(mapping);
    };
    for key in &SECTION[1..] {
        let Some(inner) = value.mapping(errors)?.take_present(key) else {
            errors.add(&place, format!("there is no {}", SECTION.join(".")));
            return None;
        };
        value = inner;
    }
    value.mapping(errors)
}

/// The entries of a list of patterns.
fn patterns(section: &mut Reader<'_>, draft: &mut Draft, list: &str, pattern: &str, kind: &'static str) {
    let Some(list) = section.mapping.take(list) else { return };
    for entry in list.sequence(section.errors) {
        let place = entry.place.clone();
        let Some(mapping) = entry.mapping(section.errors) else { continue };
        let mut entry = Reader { mapping, errors: &mut *section.errors, unescape: section.unescape };
        let subject = if kind == "service" { Subject::Service } else { Subject::TaskDefinition };
        let name = entry.required(pattern).map(|text| (subject, text));
        let container = entry.text("sd_container_name_pattern").map(|text| (Subject::Container, text));
        let parts = Parts {
            kind,
            patterns: name.into_iter().chain(container).collect(),
            ports: entry.text("sd_metrics_ports").map(ports).unwrap_or_default(),
            path: entry.text("sd_metrics_path"),
            job: entry.text("sd_job_name"),
            cluster: None,
        };
        entry.finish();
        if !parts.patterns.is_empty() {
            draft.add(parts, &place, "sd_metrics_ports", section.errors);
        }
    }
}

fn ports((place, text): Text) -> Vec<Text> {
    let ports = text.split(SEPARATOR).map(str::trim).filter(|port| !port.is_empty());
    ports.map(|port| (place.clone(), port.to_owned())).collect()
}

/// An empty mapping means the default names; an empty name means that there is no such label.
fn docker_labels(value: Value, draft: &mut Draft, errors: &mut ConfigErrors) {
    let place = value.place.clone();
    let Some(mapping) = value.mapping(errors) else { return };
    let mut labels = Reader { mapping, errors, unescape: |text| Ok(text.to_owned()) };
    let mut name = |key: &str, default: &str| {
        let name = labels.present(key).unwrap_or_else(|| (place.clone(), default.to_owned()));
        Some(name).filter(|(_, name)| !name.trim().is_empty())
    };
    let read = Labels {
        port: name("sd_port_label", PORT_LABEL),
        path_label: name("sd_metrics_path_label", PATH_LABEL),
        job_label: name("sd_job_name_label", JOB_LABEL),
        ..Labels::default()
    };
    labels.finish();
    draft.add_labels(read, &place, errors);
}
