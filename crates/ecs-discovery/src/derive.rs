//! From what is known to what is scraped: every container becomes targets, or a finding, or did not opt in.
//!
//! Never fails, and looks at one task at a time: no task affects the targets of another, and one task publishes no more
//! than a fixed number of bytes.

pub(crate) mod examine;
pub(crate) mod prepared;
pub(crate) mod taken;

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::arn::TaskArn;
use crate::conventions::hint::Hint;
use crate::conventions::list::Conventions;
use crate::finding::{Finding, Problem, Verdict};
use crate::interval::Intervals;
use crate::labels::META_TAG;
use crate::labels::TagSelection;
use crate::labels::meta::MetaLabels;
use crate::model::{Names, Task};
use crate::sorted::{Sorted, unequal};
use crate::target::Target;
use crate::task_view::TaskView;
use crate::text::few;
use examine::{Examined, Outcome, examine};
use prepared::Prepared;
use taken::Made;

/// What the operator decides about targets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// The offered intervals.
    pub intervals: Intervals,
    /// Which tags become `__meta_ecs_tag_…`.
    pub tags_to_labels: Arc<TagSelection>,
    /// Which `__meta_ecs_…` labels are published.
    pub meta_labels: Arc<MetaLabels>,
    /// The conventions that are turned on.
    pub conventions: Conventions,
    /// Whether services are described.
    pub service_tags: bool,
}

impl Rules {
    /// The environment variables whose values are kept.
    pub fn names(&self) -> &Names {
        self.conventions.names()
    }

    /// Whether tags of definitions are published or read at all.
    pub fn need_definition_tags(&self) -> bool {
        let are_published = *self.tags_to_labels != TagSelection::None && self.meta_labels.includes(META_TAG);
        are_published || self.conventions.read_tags()
    }
}

/// The targets and findings of a cluster. Results that are derived again share those that did not change.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Derived {
    /// In order of publication.
    pub targets: Sorted<Target>,
    /// By task and container.
    pub findings: Sorted<Finding>,
    /// Containers without a target that a built-in convention would scrape which is not turned on; by task.
    pub hints: Sorted<Hint>,
    /// How many targets each convention has.
    pub by_convention: BTreeMap<Arc<str>, usize>,
    /// The targets by task.
    pub(crate) by_task: Sorted<Target>,
}

/// The targets and findings of some tasks, each in the order of [`Derived`].
#[derive(Debug, Default)]
pub(crate) struct Results {
    pub(crate) targets: Vec<Arc<Target>>,
    pub(crate) findings: Vec<Arc<Finding>>,
    pub(crate) hints: Vec<Arc<Hint>>,
}

/// Works out the targets and findings of tasks.
pub fn derive<'a>(tasks: impl IntoIterator<Item = TaskView<'a>>, rules: &Rules) -> Derived {
    Derived::new(results(tasks, rules))
}

/// Works out the targets and findings of tasks whose cluster has others.
pub(crate) fn results<'a>(tasks: impl IntoIterator<Item = TaskView<'a>>, rules: &Rules) -> Results {
    let (mut results, mut prepared) = (Results::default(), Prepared::new(rules));
    for task in tasks {
        results.task(&task, &mut prepared);
    }
    results.sort();
    results
}

impl Derived {
    pub(crate) fn new(results: Results) -> Self {
        let Results { mut targets, findings, hints } = results;
        let in_order = Sorted::new(&targets);
        targets.sort_by(|one, other| by_task(one, other));
        let mut by_convention = BTreeMap::new();
        targets.iter().for_each(|target| *by_convention.entry(target.shared_convention()).or_default() += 1);
        Self {
            targets: in_order,
            findings: Sorted::new(&findings),
            hints: Sorted::new(&hints),
            by_convention,
            by_task: Sorted::new(&targets),
        }
    }

    /// The same with other results of these tasks; `None` if they are equal. Costs what these tasks have, not what the
    /// cluster has.
    pub(crate) fn with(&self, tasks: &BTreeSet<TaskArn>, results: Results) -> Option<Self> {
        let before = tasks.iter().flat_map(|task| self.by_task.range(|target| target.task().cmp(task)));
        let mut before: Vec<_> = before.cloned().collect();
        before.sort_by(|one, other| one.in_order(other));
        let (mut gone, mut new) = unequal(before, results.targets, Target::in_order);
        let found = tasks.iter().flat_map(|task| self.findings_of(task)).cloned().collect();
        let (not_found, found) = unequal(found, results.findings, Finding::cmp);
        let hinted = tasks.iter().flat_map(|task| self.hints.range(|hint| hint.task.cmp(task)));
        let (not_hinted, hinted) = unequal(hinted.cloned().collect(), results.hints, Hint::cmp);
        let lengths = [gone.len(), new.len(), not_found.len(), found.len(), not_hinted.len(), hinted.len()];
        if lengths == [0; 6] {
            return None;
        }
        let mut by_convention = self.by_convention.clone();
        new.iter().for_each(|target| *by_convention.entry(target.shared_convention()).or_default() += 1);
        for target in &gone {
            let count = by_convention.get_mut(target.convention());
            *count.expect("each target was counted when it appeared") -= 1;
        }
        by_convention.retain(|_, count| *count > 0);
        let targets = self.targets.with(&gone, &new, Target::in_order);
        gone.sort_by(|one, other| by_task(one, other));
        new.sort_by(|one, other| by_task(one, other));
        Some(Self {
            targets,
            findings: self.findings.with(&not_found, &found, Finding::cmp),
            hints: self.hints.with(&not_hinted, &hinted, Hint::cmp),
            by_convention,
            by_task: self.by_task.with(&gone, &new, by_task),
        })
    }

    /// Whether the targets are those of another result, of which only findings differ.
    pub fn shares_targets(&self, other: &Self) -> bool {
        self.targets.shares_all(&other.targets)
    }

    /// The findings of a task.
    pub(crate) fn findings_of(&self, task: &TaskArn) -> impl Iterator<Item = &Arc<Finding>> {
        self.findings.range(|finding| finding.task.cmp(task))
    }
}

fn by_task(one: &Target, other: &Target) -> Ordering {
    one.task().cmp(other.task()).then_with(|| one.in_order(other))
}

impl Results {
    /// Adds what an earlier result has of these tasks, which have no other.
    pub(crate) fn keep(&mut self, earlier: &Derived, tasks: &BTreeSet<TaskArn>) {
        for task in tasks {
            self.targets.extend(earlier.by_task.range(|target| target.task().cmp(task)).cloned());
            self.findings.extend(earlier.findings_of(task).cloned());
            self.hints.extend(earlier.hints.range(|hint| hint.task.cmp(task)).cloned());
        }
        self.sort();
    }

    fn sort(&mut self) {
        self.targets.sort_by(|one, other| one.in_order(other));
        self.findings.sort();
        self.hints.sort();
    }

    fn task(&mut self, view: &TaskView<'_>, prepared: &mut Prepared<'_>) {
        let is_one_convention = prepared.rules.conventions.is_environment_alone();
        let examined = examine(view, prepared, |one| self.container(view.task, one, is_one_convention));
        if let Err(problem) = examined {
            self.not_scraped(view.task, "", problem);
        }
        if let Some(why) = view.partial {
            self.find(view.task, "", Verdict::Warning(why.to_owned()));
        }
    }

    /// A container without a target has the first problem; beside a target, problems are warnings.
    fn container(&mut self, task: &Task, examined: Examined<'_, '_>, is_one_convention: bool) {
        let name = &examined.defined.container.name;
        let (mut warnings, mut problems) = (Vec::new(), Vec::new());
        let before = self.targets.len();
        for part in examined.parts {
            let prefix = if is_one_convention { "" } else { part.convention.name() };
            let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}: ") };
            warnings.extend(part.warnings.into_iter().map(|warning| format!("{prefix}{warning}")));
            match part.outcome {
                Outcome::NotAsked => {}
                Outcome::NotScraped(problem) => problems.push((prefix, problem)),
                Outcome::Endpoints(endpoints) => {
                    for made in endpoints {
                        match made {
                            Made::Target(target, _) => self.targets.push(Arc::new(*target)),
                            Made::Problem(problem) => problems.push((prefix.clone(), problem)),
                            Made::GivenUp(_) => {}
                        }
                    }
                }
            }
        }
        if let (true, Some(hint)) = (self.targets.len() == before, examined.would_take) {
            let (task, container) = (task.arn.clone(), name.clone());
            self.hints.push(Arc::new(Hint { task, container, convention: hint.convention }));
        }
        if self.targets.len() == before && !problems.is_empty() {
            let (_, problem) = problems.swap_remove(0);
            return self.not_scraped(task, name, problem);
        }
        let beside = problems.into_iter();
        warnings.extend(
            beside.map(|(prefix, Problem { reason, detail, .. })| format!("{prefix}{reason}: {detail}")),
        );
        for warning in few(warnings, "warning") {
            self.find(task, name, Verdict::Warning(warning));
        }
    }

    fn not_scraped(&mut self, task: &Task, container: &str, problem: Problem) {
        self.find(task, container, Verdict::NotScraped(problem));
    }

    fn find(&mut self, task: &Task, container: &str, verdict: Verdict) {
        let (definition, task) = (task.definition.clone(), task.arn.clone());
        self.findings.push(Arc::new(Finding { task, container: container.into(), verdict, definition }));
    }
}
