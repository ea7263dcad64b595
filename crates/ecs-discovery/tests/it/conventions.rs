//! Fixture tables: which targets the conventions make of a container.

mod builtins;
mod ports;
mod promed;
mod rules;
mod services;
mod union;

use ecs_discovery::conventions::builtin::builtin;
use ecs_discovery::conventions::list::{Conventions, Entry};
use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Source, Subject, Value};
use ecs_discovery::derive::Rules;
use ecs_discovery::finding::{Finding, Verdict};
use ecs_discovery::target::Target;

use crate::fixture::{ContainerFixture, TaskFixture, World};
use crate::source;

/// These built-in conventions, in this order.
fn listed(names: &[&str]) -> Vec<Entry> {
    names.iter().flat_map(|name| builtin(name).unwrap()).collect()
}

fn rule(name: &str, ports: Ports) -> Rule {
    Rule::new(name, ports)
}

fn literal(text: &str) -> Value {
    Value::Literal(text.into())
}

fn label(name: &str) -> Source {
    Source::DockerLabel(name.into())
}

fn variable(name: &str) -> Source {
    Source::Environment(name.into())
}

fn tag(name: &str) -> Source {
    Source::Tag(name.into())
}

fn on(subject: Subject, pattern: &str) -> Condition {
    Condition { subject, pattern: Pattern::new(pattern).unwrap() }
}

/// The conventions, with a task that keeps the variables that they read.
struct Table {
    rules: Rules,
}

fn table(entries: impl IntoIterator<Item = Entry>) -> Table {
    Table { rules: Rules { conventions: Conventions::new(entries), ..Rules::default() } }
}

fn of_rules(rules: impl IntoIterator<Item = Rule>) -> Table {
    table(rules.into_iter().map(Entry::rule))
}

impl Table {
    /// The targets and findings of a task with these containers, a line each: `convention container address path
    /// interval job labels`. A `-` is left to the scrape job.
    fn of(&self, task: TaskFixture, containers: impl IntoIterator<Item = ContainerFixture>) -> String {
        let task = task.names(self.rules.conventions.names());
        self.published(containers.into_iter().fold(task, TaskFixture::with))
    }

    fn published(&self, task: TaskFixture) -> String {
        let mut source = source::Source::with_rules(self.rules.clone());
        source.refresh(&World::of([task]));
        let targets = source.snapshot.targets().into_iter().map(target);
        let findings = source.snapshot.findings().map(finding);
        targets.chain(findings).collect::<Vec<_>>().join("\n")
    }
}

fn target(target: &Target) -> String {
    let labels = target.labels();
    let value = |name| labels.value(name);
    let scheme = value("__scheme__").map(|scheme| format!("{scheme}://")).unwrap_or_default();
    let named = |prefix: &str, cut: &str| -> Vec<String> {
        let of_prefix = labels.iter().filter(|(name, _)| name.starts_with(prefix));
        of_prefix.map(|(name, value)| format!("{}={value}", &name[cut.len()..])).collect()
    };
    let query = named("__param_", "__param_").join("&");
    let query = if query.is_empty() { query } else { format!("?{query}") };
    let path = value("__metrics_path__").unwrap_or("-");
    let (convention, container) = (target.convention(), target.container());
    let interval = if target.asked.interval { target.interval.name() } else { "-" };
    let address = target.endpoint.address;
    let job = value("job").map(|job| format!("job={job}"));
    let rest =
        job.into_iter().chain(named("__meta_ecs_custom_", "__meta_ecs_")).map(|text| format!(" {text}"));
    let rest: String = rest.collect();
    format!("{convention} {container} {scheme}{address} {path}{query} {interval}{rest}")
}

fn finding(Finding { container, verdict, .. }: &Finding) -> String {
    match verdict {
        Verdict::NotScraped(problem) => format!("{container}: {}: {}", problem.reason, problem.detail),
        Verdict::Warning(warning) => format!("{container}: warning: {warning}"),
    }
}
