//! Reads the configuration of the OpenTelemetry Collector: `extensions.ecs_observer` and `extensions.ecs_observer/NAME`.
//!
//! An observer discovers a container by the name of its service, by its task definition, and by its docker labels, in
//! this order, and the first to find an endpoint says its path and job.

use ecs_discovery::conventions::rule::Subject;

use super::settings::Settings;
use super::{ConfigErrors, Draft, Labels, Parts, Reader, Value};

const EXTENSION: &str = "ecs_observer";

/// The cluster of an observer that names none.
const CLUSTER: &str = "default";

/// The docker label that is read if there is no list of docker labels.
const PORT_LABEL: &str = "ECS_PROMETHEUS_EXPORTER_PORT";

pub(super) fn read(root: Value, draft: &mut Draft, errors: &mut ConfigErrors) {
    let place = root.place.clone();
    let Some(mut file) = root.mapping(errors) else { return };
    let extensions = file.take("extensions").and_then(|value| value.mapping(errors));
    let entries = extensions.map(|mut extensions| extensions.take_all()).unwrap_or_default();
    let is_observer = |name: &str| name.split('/').next() == Some(EXTENSION);
    let observers: Vec<_> = entries.into_iter().filter(|(name, _)| is_observer(name)).collect();
    if observers.is_empty() {
        errors.add(&place, format!("there is no extensions.{EXTENSION}"));
    }
    let are_several = observers.len() > 1;
    for (_, observer) in observers {
        read_observer(observer, are_several, draft, errors);
    }
}

fn read_observer(observer: Value, are_several: bool, draft: &mut Draft, errors: &mut ConfigErrors) {
    let Some(mapping) = observer.mapping(errors) else { return };
    let mut observer = Reader { mapping, errors, unescape };
    let settings = Settings {
        cluster: observer.text("cluster_name"),
        region: observer.text("cluster_region"),
        interval: observer.text("refresh_interval"),
        result_file: observer.text("result_file"),
        job_label: observer.text("job_label_name"),
    };
    settings.check(observer.errors);
    let cluster = settings.cluster.as_ref().map_or(CLUSTER, |(_, name)| name);
    // An ARN ends in the name.
    let cluster = are_several.then(|| cluster.rsplit('/').next().unwrap_or_default().to_owned());
    draft.settings.push(settings);
    patterns(&mut observer, cluster.as_deref(), draft, "services", "name_pattern", "service");
    patterns(&mut observer, cluster.as_deref(), draft, "task_definitions", "arn_pattern", "definition");
    let place = observer.mapping.place.clone();
    match observer.mapping.take("docker_labels") {
        Some(list) => list
            .sequence(observer.errors)
            .into_iter()
            .for_each(|entry| docker_label(entry, cluster.clone(), draft, observer.errors)),
        None => {
            let labels =
                Labels { cluster, port: Some((place.clone(), PORT_LABEL.to_owned())), ..Labels::default() };
            draft.add_labels(labels, &place, observer.errors);
        }
    }
    observer.finish();
}

/// The entries of a list of patterns.
fn patterns(
    observer: &mut Reader<'_>,
    cluster: Option<&str>,
    draft: &mut Draft,
    list: &str,
    pattern: &str,
    kind: &'static str,
) {
    let Some(list) = observer.mapping.take(list) else { return };
    for entry in list.sequence(observer.errors) {
        let place = entry.place.clone();
        let Some(mapping) = entry.mapping(observer.errors) else { continue };
        let mut entry = Reader { mapping, errors: &mut *observer.errors, unescape };
        let subject = if kind == "service" { Subject::Service } else { Subject::TaskDefinition };
        let name = entry.required(pattern).map(|text| (subject, text));
        let container = entry.text("container_name_pattern").map(|text| (Subject::Container, text));
        let parts = Parts {
            kind,
            patterns: name.into_iter().chain(container).collect(),
            cluster: cluster.map(str::to_owned),
            ports: entry.texts("metrics_ports"),
            path: entry.text("metrics_path"),
            job: entry.text("job_name"),
        };
        entry.finish();
        if !parts.patterns.is_empty() {
            draft.add(parts, &place, "metrics_ports", observer.errors);
        }
    }
}

fn docker_label(entry: Value, cluster: Option<String>, draft: &mut Draft, errors: &mut ConfigErrors) {
    let place = entry.place.clone();
    let Some(mapping) = entry.mapping(errors) else { return };
    let mut entry = Reader { mapping, errors, unescape };
    let labels = Labels {
        cluster,
        port: entry.required("port_label"),
        path_label: entry.text("metrics_path_label"),
        job_label: entry.text("job_name_label"),
        job: entry.text("job_name"),
    };
    if let Some((place, _)) = entry.text("metrics_path") {
        draft.ignore(&place, "the collector ignores it with docker labels");
    }
    entry.finish();
    if labels.port.is_some() {
        draft.add_labels(labels, &place, errors);
    }
}

/// The collector replaces `$$` by `$`, and `${NAME}` by a value that is not in the file.
fn unescape(text: &str) -> Result<String, &'static str> {
    let pieces: Vec<_> = text.split("$$").collect();
    match pieces.iter().any(|piece| piece.contains("${")) {
        true => Err("the collector replaces ${…} here; write the value itself"),
        false => Ok(pieces.join("$")),
    }
}
