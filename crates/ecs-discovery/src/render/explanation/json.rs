//! A report as JSON, for tools: the same names in the same places whatever comes out, sorted.

use serde_json::{Map, Value, json};

use crate::conventions::environment::readings::VariableReading;
use crate::explain::conventions::{ExplainedConvention, SourceReading};
use crate::explain::report::{Report, Subject};
use crate::explain::{ContainerVerdict, ExplainedContainer, ExplainedEndpoint, Explanation};
use crate::finding::Problem;
use crate::model::{LaunchType, NetworkMode};

/// So many tasks are told in full, and no more.
const TASKS: usize = 100;

/// One object, on several lines.
pub fn write(report: &Report) -> String {
    let (kind, name) = match &report.subject {
        Subject::Definition(file) => ("task_definition", file.as_str()),
        Subject::Task(arn) => ("task", arn.as_str()),
        Subject::Service { name, .. } => ("service", name.as_str()),
    };
    let explained = report.explanations().take(TASKS).map(explanation);
    let report = json!({
        "kind": kind,
        "name": name,
        "scraped": report.targets() > 0,
        "targets": report.targets(),
        "hint": report.hint(),
        "task_count": report.tasks,
        "tasks": explained.collect::<Vec<_>>(),
    });
    format!("{report:#}\n")
}

fn explanation(explanation: &Explanation) -> Value {
    let Explanation { task, cluster, network_mode, instance, containers, .. } = explanation;
    let whole = containers.as_ref().err();
    let containers = explanation.containers().iter().map(|one| container(explanation, one));
    let mut object = json!({
        "task": task.arn.as_str(),
        "task_definition": task.definition.as_str(),
        "cluster": cluster.arn.as_str(),
        "network_mode": network_mode.as_ref().map(NetworkMode::as_str),
        "network_mode_assumed": explanation.network_mode_is_assumed,
        "launch_type": task.launch_type.as_ref().map(LaunchType::as_str),
        "instance": instance.as_ref().map(|id| id.as_str()),
        "stand_ins": explanation.is_draft(),
        "containers": containers.collect::<Vec<_>>(),
    });
    insert_problem(&mut object, explanation, whole);
    object
}

fn container(explanation: &Explanation, container: &ExplainedContainer) -> Value {
    let endpoints = match &container.verdict {
        ContainerVerdict::Endpoints(endpoints) => endpoints.as_slice(),
        ContainerVerdict::NotAsked(_) | ContainerVerdict::NotScraped(_) => &[],
    };
    let mut object = json!({
        "name": container.name,
        "opted_in": container.opted_in(),
        "scraped": container.targets().next().is_some(),
        "conventions": container.conventions.iter().map(convention).collect::<Vec<_>>(),
        "variables": container.variables.iter().map(variable).collect::<Vec<_>>(),
        "warnings": container.warnings,
        "hints": container.hints,
        "endpoints": endpoints.iter().map(|one| endpoint(explanation, one)).collect::<Vec<_>>(),
    });
    insert_problem(&mut object, explanation, container.problem());
    if let ContainerVerdict::NotAsked(why) = container.verdict {
        object["detail"] = json!(why);
    }
    object
}

fn convention(convention: &ExplainedConvention) -> Value {
    let seen = convention.seen.iter().map(|seen| {
        let SourceReading { name, place, value, meaning } = seen;
        json!({ "name": &**name, "place": place, "value": value, "counts": true, "meaning": meaning })
    });
    json!({
        "name": convention.name,
        "place": convention.place.as_deref(),
        "asked": convention.asked,
        "why": convention.why,
        "seen": seen.collect::<Vec<_>>(),
    })
}

fn variable(seen: &VariableReading) -> Value {
    json!({
        "name": seen.variable.name(),
        "place": seen.place.as_str(),
        "value": seen.value,
        "counts": seen.counts,
        "meaning": seen.meaning,
    })
}

fn endpoint(explanation: &Explanation, endpoint: &ExplainedEndpoint) -> Value {
    let target = endpoint.outcome.as_ref().ok().map(|explained| {
        let target = &explained.target;
        let labels = explanation.labels(target).into_iter().map(|(name, value)| (name, Value::String(value)));
        json!({
            "url": explanation.url(target),
            "address": explanation.address(target),
            "interval": target.asked.interval.then(|| target.interval.name()),
            "labels": labels.collect::<Map<_, _>>(),
            "why_address": explained.address,
            "why_interval": explained.interval,
            "why_port": explained.port,
        })
    });
    let mut object =
        json!({ "convention": endpoint.convention, "written": endpoint.written, "target": target });
    insert_problem(&mut object, explanation, endpoint.outcome.as_ref().err());
    object
}

/// `reason`, `detail` and `advice`, each null where there is no problem.
fn insert_problem(object: &mut Value, explanation: &Explanation, problem: Option<&Problem>) {
    object["reason"] = json!(problem.map(|problem| problem.reason.as_str()));
    object["detail"] = json!(problem.map(|problem| explanation.detail(problem)));
    object["advice"] = json!(problem.map(|problem| problem.reason.advice()));
}
