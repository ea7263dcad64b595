//! The conventions of other tools, made of rules.

use std::sync::LazyLock;

use super::list::{Dialect, Entry};
use super::rule::{Condition, Pattern, Ports, Rule, Source, Subject, Value};

/// The names of all built-in conventions, in the order of the documentation.
pub const NAMES: [&str; 8] = [
    "environment",
    "promed",
    "teralytics",
    "prometheus_io",
    "sepich",
    "compose_x",
    "cloudwatch_agent",
    "ecs_observer",
];

/// The entries of a built-in convention; `None` if there is none of that name.
pub fn builtin(name: &str) -> Option<Vec<Entry>> {
    match name {
        "environment" => return Some(vec![Entry::Variables(Dialect::Environment)]),
        "promed" => return Some(vec![Entry::Variables(Dialect::Promed)]),
        _ => {}
    }
    let rules = rules(name)?;
    Some(rules.into_iter().map(Entry::rule).collect())
}

/// Every place that the rules of built-in conventions read.
pub(crate) fn sources() -> impl Iterator<Item = &'static Source> {
    static RULES: LazyLock<Vec<Rule>> =
        LazyLock::new(|| NAMES.into_iter().filter_map(rules).flatten().collect());
    RULES.iter().flat_map(Rule::sources)
}

fn label(name: &str) -> Source {
    Source::DockerLabel(name.into())
}

fn value(name: &str) -> Value {
    Value::Source(label(name))
}

fn is(name: &str, pattern: &str) -> Condition {
    let pattern = Pattern::new(pattern).expect("the built-in patterns are valid");
    Condition { subject: Subject::Source(label(name)), pattern }
}

/// The rules of a built-in convention that is made of rules.
fn rules(name: &str) -> Option<Vec<Rule>> {
    let labelled = |port: &str| Rule::new(name, Ports::Container(value(port)));
    Some(match name {
        "teralytics" => {
            let read = |rule| Rule {
                path: Some(value("PROMETHEUS_EXPORTER_PATH")),
                scheme: Some(value("PROMETHEUS_EXPORTER_SCHEME")),
                job: Some(value("PROMETHEUS_EXPORTER_JOB_NAME")),
                ..rule
            };
            let dynamic = vec![is("PROMETHEUS_DYNAMIC_EXPORT", "1"), is("PROMETHEUS_EXPORTER_PORT", "")];
            vec![
                read(labelled("PROMETHEUS_EXPORTER_PORT")),
                read(Rule { conditions: dynamic, ..Rule::new(name, Ports::First) }),
            ]
        }
        "prometheus_io" => {
            let read = |rule| Rule {
                path: Some(value("prometheus.io/path")),
                scheme: Some(value("prometheus.io/scheme")),
                ..rule
            };
            let scrape = || is("prometheus.io/scrape", "true");
            vec![
                read(Rule { conditions: vec![scrape()], ..labelled("prometheus.io/port") }),
                read(Rule {
                    conditions: vec![scrape(), is("prometheus.io/port", "")],
                    ..Rule::new(name, Ports::First)
                }),
            ]
        }
        "sepich" => {
            vec![Rule { labels: Some(label("PROMETHEUS_LABELS")), ..labelled("PROMETHEUS_SCRAPES") }]
        }
        "compose_x" => vec![Rule {
            conditions: vec![is("ecs_sd_prometheus_job_name", ".+")],
            job: Some(value("ecs_sd_prometheus_job_name")),
            ..labelled("ecs_sd_prometheus_container_port")
        }],
        "cloudwatch_agent" => vec![Rule {
            path: Some(value("ECS_PROMETHEUS_METRICS_PATH")),
            job: Some(value("job")),
            ..labelled("ECS_PROMETHEUS_EXPORTER_PORT")
        }],
        "ecs_observer" => vec![Rule {
            path: Some(value("ECS_PROMETHEUS_METRICS_PATH")),
            job: Some(value("ECS_PROMETHEUS_JOB_NAME")),
            ..labelled("ECS_PROMETHEUS_EXPORTER_PORT")
        }],
        _ => return None,
    })
}
