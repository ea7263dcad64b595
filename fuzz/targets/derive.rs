//! From any facts to target files: each container is a target, did not opt in, or has a finding.

#![cfg_attr(feature = "libfuzzer", no_main)]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ecs_discovery::conventions::builtin;
use ecs_discovery::conventions::environment::{Request, read};
use ecs_discovery::conventions::list::{Conventions, Dialect, Entry};
use ecs_discovery::conventions::rule::{Condition, Pattern, Ports, Rule, Source, Subject, Value};
use ecs_discovery::derive::{Derived, Rules, derive};
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::finding::Verdict;
use ecs_discovery::interval::Intervals;
use ecs_discovery::inventory::saved::{Saved, SavedScope};
use ecs_discovery::labels::TagSelection;
use ecs_discovery::labels::meta::{MetaLabels, MetaPattern};
use ecs_discovery::model::Task;
use ecs_discovery::task_view::{Definition, Placement, TaskService, TaskView};
use fuzz::facts::Facts;
use fuzz::published;

fuzz::target!(targets);

fn targets(input: &[u8]) {
    let mut facts = Facts::new(input);
    let rules = rules(&mut facts);
    let denied = Failure { kind: FailureKind::Denied, message: "AccessDenied: no".to_owned() };
    let failure = facts.maybe(|_| &denied);
    let saved = facts.saved();
    let views = views(&saved, failure);
    let derived = derive(views.values().copied(), &rules);
    published::check(derived.targets.iter());
    published::check_places(derived.targets.iter());
    // Nothing about one task changes what another becomes.
    let (mut targets, mut findings) = (Vec::new(), Vec::new());
    for view in views.values().rev() {
        let one = derive([*view], &rules);
        accounted(view, &one, &rules);
        let containers = match view.definition {
            Definition::Known(definition) => definition.containers.len(),
            Definition::Unavailable(_) => 0,
        };
        let of_one = (
            one.targets.iter().map(|target| &**target).collect::<Vec<_>>(),
            one.findings.iter().map(|finding| &**finding).collect::<Vec<_>>(),
        );
        published::check_bounds(&of_one.0, &of_one.1, containers);
        targets.extend(one.targets.iter().cloned());
        findings.extend(one.findings.iter().cloned());
    }
    targets.sort_by(|one, other| one.in_order(other));
    findings.sort();
    assert!(derived.targets.iter().eq(&targets) && derived.findings.iter().eq(&findings));
}

fn rules(facts: &mut Facts<'_>) -> Rules {
    let tags = match facts.below(3) {
        0 => TagSelection::All,
        1 => TagSelection::None,
        _ => TagSelection::Keys(facts.list(3, Facts::text).into_iter().collect()),
    };
    let meta_labels = facts.maybe(|facts| {
        let pattern = |facts: &mut Facts<'_>| MetaPattern::parse(facts.one_of(&PATTERNS)).expect("a pattern");
        MetaLabels::new(facts.list(3, pattern))
    });
    let intervals = facts.maybe(|_| Intervals::new(&["45s", "1h"], "1h").expect("distinct intervals"));
    let service_tags = facts.below(2) == 1;
    Rules {
        intervals: intervals.unwrap_or_default(),
        tags_to_labels: tags.into(),
        meta_labels: meta_labels.unwrap_or_default().into(),
        service_tags,
        conventions: conventions(facts),
    }
}

/// The variables alone, or any conventions.
fn conventions(facts: &mut Facts<'_>) -> Conventions {
    if facts.below(2) == 0 {
        return Conventions::default();
    }
    let mut names = BTreeSet::new();
    let entries = facts.list(5, |facts| match facts.below(2) {
        0 => {
            let name = facts.one_of(&builtin::NAMES);
            // A convention is listed once.
            if names.insert(name) {
                builtin::builtin(name).expect("a built-in convention")
            } else {
                Vec::new()
            }
        }
        _ => vec![Entry::rule(rule(facts))],
    });
    Conventions::new(entries.into_iter().flatten())
}

fn rule(facts: &mut Facts<'_>) -> Rule {
    let conditions = facts.list(3, |facts| {
        let subject = match facts.below(6) {
            0 => Subject::Cluster,
            1 => Subject::Container,
            2 => Subject::Family,
            3 => Subject::Service,
            4 => Subject::TaskDefinition,
            _ => Subject::Source(source(facts)),
        };
        let pattern = facts.one_of(&["", ".*", ".+", "a.*|b", "web", "[^:]+"]);
        Condition { subject, pattern: Pattern::new(pattern).expect("a pattern") }
    });
    let ports = match facts.below(3) {
        0 => Ports::First,
        1 => Ports::Container(value(facts, &["80", "8080/a,8081", "30s:9102"])),
        _ => Ports::Verbatim(value(facts, &["80", "8080/a,8081", "30s:9102"])),
    };
    Rule {
        name: facts.one_of(&["a", "b"]).into(),
        place: None,
        conditions,
        ports,
        path: facts.maybe(|facts| value(facts, &["/metrics", "a?b=c"])),
        scheme: facts.maybe(|facts| value(facts, &["http", "https"])),
        interval: facts.maybe(|facts| value(facts, &["15s", "5m"])),
        job: facts.maybe(|facts| value(facts, &["job"])),
        labels: facts.maybe(source),
    }
}

fn value(facts: &mut Facts<'_>, literals: &[&'static str]) -> Value {
    match facts.below(2) {
        0 => Value::Literal(facts.one_of(literals).into()),
        _ => Value::Source(source(facts)),
    }
}

fn source(facts: &mut Facts<'_>) -> Source {
    let name = facts.one_of(&["PROMETHEUS_PORT", "PROMETHEUS_EXPORTER_PORT", "PROMETHEUS_SCRAPES", "team"]);
    match facts.below(3) {
        0 => Source::DockerLabel(name.into()),
        1 => Source::Environment(name.into()),
        _ => Source::Tag(name.into()),
    }
}

/// Globs of single labels, of whole families and of a part of one.
const PATTERNS: [&str; 5] = ["cluster", "task_*", "container_label_*", "container_label_?", "tag_*a*"];

/// Each task with its definition and host, so far as they are known.
fn views<'a>(saved: &'a Saved, failure: Option<&'a Failure>) -> BTreeMap<&'a str, TaskView<'a>> {
    let definition = |task: &Task| {
        let known = saved.definitions.iter().find(|known| known.arn == task.definition);
        known.map_or(Definition::Unavailable(failure), Definition::Known)
    };
    let placement = |task: &'a Task| {
        let Some(arn) = &task.container_instance else { return Placement::Nowhere };
        let instance = saved.container_instances.iter().find(|known| known.arn == *arn);
        let instance = instance.and_then(|known| known.instance.as_ref());
        let host = saved.hosts.iter().find(|host| Some(&host.id) == instance);
        host.map_or(Placement::ContainerInstance { arn, instance, problem: failure }, Placement::Host)
    };
    let service = |scope: &'a SavedScope, task: &Task| {
        let Some(name) = task.service() else { return TaskService::None };
        match scope.services.iter().find(|saved| saved.name == name).map(|saved| &saved.service) {
            Some(Some(service)) => TaskService::Known(service),
            Some(None) => TaskService::Missing,
            None => TaskService::Unknown(failure),
        }
    };
    let scopes = saved.scopes.iter();
    let tasks = scopes.flat_map(|scope| scope.tasks.iter().map(move |saved| (scope, &saved.task)));
    let view = |(scope, task): (&'a SavedScope, &'a Arc<Task>)| {
        let view = TaskView {
            cluster: &scope.cluster,
            task,
            definition: definition(task),
            placement: placement(task),
            service: service(scope, task),
            partial: None,
        };
        (task.arn.as_str(), view)
    };
    tasks.map(view).collect()
}

fn accounted(view: &TaskView<'_>, derived: &Derived, rules: &Rules) {
    let not_scraped = |name: &str| {
        let of_it = derived.findings.iter().filter(|finding| *finding.container == *name);
        of_it.filter(|finding| matches!(finding.verdict, Verdict::NotScraped(_))).count()
    };
    let definition = match view.definition {
        Definition::Known(definition) if !view.task.definition.is_managed_daemon() => definition,
        _ => {
            assert_eq!((derived.targets.len(), derived.findings.len(), not_scraped("")), (0, 1, 1));
            return;
        }
    };
    let mut targets = 0;
    for container in &definition.containers {
        let overrides = view.task.overrides.iter().find(|(name, _)| *name == container.name);
        let of_it = derived.targets.iter().filter(|target| target.container() == &*container.name).count();
        let found = (of_it, not_scraped(&container.name));
        targets += of_it;
        if !rules.conventions.is_environment_alone() {
            assert!(found.1 == 0 || found == (0, 1));
            continue;
        }
        match read(Dialect::Environment, container, overrides.map(|(_, settings)| settings), &rules.intervals)
        {
            Request::None => assert_eq!(found, (0, 0)),
            Request::OptedOut => assert_eq!(found, (0, 1)),
            Request::Scrape(scrape) => {
                assert!(found == (0, 1) || (1..=scrape.endpoints.len()).contains(&found.0) && found.1 == 0);
            }
        }
    }
    assert_eq!(targets, derived.targets.len());
}
