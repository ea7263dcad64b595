//! What is published, in as little text as tells it apart.

use ecs_discovery::derive::Rules;
use ecs_discovery::finding::{Finding, Verdict};
use ecs_discovery::inventory::question::Question;
use ecs_discovery::labels::TagSelection;
use ecs_discovery::render::file_sd;
use ecs_discovery::snapshot::{Scope, ScopeStatus};
use ecs_discovery::target::Target;

use crate::fixture::{TaskFixture, World};
use crate::source::Source;

/// The targets and findings of one task, a line each: `app 10.0.0.1:80/metrics 1m`, `app: invalid port`.
pub(crate) fn published(fixture: TaskFixture) -> String {
    let mut source = Source::default();
    source.refresh(&World::of([fixture]));
    source.scopes().values().map(scope).collect::<Vec<_>>().join("\n")
}

/// The targets and findings of a scope, and its standing unless it was heard.
pub(crate) fn scope(scope: &Scope) -> String {
    let standing = match &scope.status {
        ScopeStatus::Fresh => None,
        ScopeStatus::Stale(why) => Some(format!("stale: {why}")),
        ScopeStatus::Retired(why) => Some(format!("retired: {why}")),
        ScopeStatus::NeverRead(why) => Some(format!("never read: {why}")),
        ScopeStatus::Restored => Some("restored".to_owned()),
    };
    let targets = scope.derived.targets.iter().map(|one| target(one));
    let findings = scope.derived.findings.iter().map(|finding| {
        let verdict = match &finding.verdict {
            Verdict::NotScraped(problem) => problem.reason.as_str(),
            Verdict::Warning(_) => "warning",
        };
        let container = if finding.container.is_empty() { "?" } else { &finding.container };
        format!("{container}: {verdict}")
    });
    standing.into_iter().chain(targets).chain(findings).collect::<Vec<_>>().join("\n")
}

/// Container, where and what Prometheus would ask for, and how often.
fn target(target: &Target) -> String {
    let labels = target.labels();
    let label = |name| labels.value(name).unwrap_or_default();
    let scheme = if label("__scheme__") == "https" { "https://" } else { "" };
    let parameters = labels
        .iter()
        .filter_map(|(name, value)| name.strip_prefix("__param_").map(|name| format!("{name}={value}")));
    let query = parameters.collect::<Vec<_>>().join("&");
    let query = if query.is_empty() { query } else { format!("?{query}") };
    let (container, address, interval) = (target.container(), target.endpoint.address, &target.interval);
    format!("{container} {scheme}{address}{path}{query} {interval}", path = label("__metrics_path__"))
}

/// The one target of a task.
pub(crate) fn only_target(fixture: TaskFixture, rules: Rules) -> Target {
    let mut source = Source::with_rules(rules);
    source.refresh(&World::of([fixture]));
    let targets = source.snapshot.targets();
    assert_eq!(targets.len(), 1, "{targets:?}");
    targets[0].clone()
}

/// The labels of a task's one target that begin with `prefix`, a line each.
pub(crate) fn labels(fixture: TaskFixture, prefix: &str) -> String {
    labels_with(fixture, prefix, TagSelection::None)
}

pub(crate) fn labels_with(fixture: TaskFixture, prefix: &str, tags_to_labels: TagSelection) -> String {
    let target = only_target(fixture, Rules { tags_to_labels: tags_to_labels.into(), ..Rules::default() });
    lines(&target, prefix)
}

/// The labels of a target that begin with `prefix`, a line each.
pub(crate) fn lines(target: &Target, prefix: &str) -> String {
    let labels = target.labels();
    let chosen = labels.iter().filter(|(name, _)| name.starts_with(prefix));
    chosen.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

/// The labels that become part of a series.
pub(crate) fn visible_labels(fixture: TaskFixture) -> String {
    let target = only_target(fixture, Rules::default());
    let labels = target.labels();
    let visible = labels.iter().filter(|(name, _)| !name.starts_with("__"));
    visible.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("\n")
}

/// The findings of a task in words, a line each.
pub(crate) fn findings(fixture: TaskFixture) -> String {
    let mut source = Source::default();
    source.refresh(&World::of([fixture]));
    let finding = |Finding { container, verdict, .. }: &Finding| match verdict {
        Verdict::NotScraped(problem) => format!("{container}: {}: {}", problem.reason, problem.detail),
        Verdict::Warning(warning) => format!("{container}: {warning}"),
    };
    source.snapshot.findings().map(finding).collect::<Vec<_>>().join("\n")
}

/// The whole file of a source's targets.
pub(crate) fn file(source: &Source) -> String {
    let mut bytes = Vec::new();
    file_sd::write(&mut bytes, source.snapshot.targets()).unwrap();
    String::from_utf8(bytes).unwrap()
}

/// How often each operation was called, by name.
pub(crate) fn calls(asked: &[Question]) -> String {
    let mut operations: Vec<_> = asked.iter().map(Question::operation).collect();
    operations.sort_unstable();
    let runs = operations.chunk_by(|one, other| one == other);
    runs.map(|run| format!("{} {}", run.len(), run[0])).collect::<Vec<_>>().join("\n")
}
