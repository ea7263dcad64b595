//! A driver of refreshes: it asks a world, or a test, every question and notes what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, TaskArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::event::TaskEvent;
use ecs_discovery::explain::{Explanation, explain};
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::Inventory;
use ecs_discovery::inventory::events::{EventResult, Wish};
use ecs_discovery::inventory::plan::{Errand, Recheck, Refresh, Wishes};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::inventory::saved::Saved;
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::snapshot::{Scope, Snapshot};

use crate::fixture::{World, cluster_arn, failure};

/// More questions than any world here could lead to.
const TOO_MANY: usize = 5_000;

/// One source, refresh after refresh.
#[derive(Default)]
pub(crate) struct Source {
    pub(crate) inventory: Inventory,
    pub(crate) selection: ClusterSelection,
    pub(crate) rules: Rules,
    pub(crate) snapshot: Snapshot,
    /// Why the clusters could not be listed, at the last refresh.
    pub(crate) failure: Option<Failure>,
    pub(crate) complete: bool,
    /// Whether no refresh follows.
    pub(crate) is_last: bool,
    pub(crate) now: Duration,
    /// The facts at the end of the last refresh.
    pub(crate) saved: Saved,
}

impl Source {
    pub(crate) const INTERVAL: Duration = Duration::from_secs(60);
    pub(crate) const RECHECK: Duration = Duration::from_secs(600);

    pub(crate) fn of_clusters(patterns: &[&str]) -> Self {
        let patterns = patterns.iter().map(|text| ClusterPattern::parse(text).unwrap()).collect();
        Self { selection: ClusterSelection::new(patterns), ..Self::default() }
    }

    pub(crate) fn with_rules(rules: Rules) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Begins a refresh for a test that answers by itself.
    pub(crate) fn begin(&mut self) -> Refresh {
        let definition_tags = self.rules.need_definition_tags();
        let services = self.rules.service_tags;
        let recheck = Recheck { interval: Self::RECHECK, definition_tags, services, is_last: self.is_last };
        Refresh::begin(&mut self.inventory, self.selection.clone(), self.now, recheck)
    }

    pub(crate) fn finish(&mut self, refresh: Refresh) {
        let conclusion = refresh.finish(&mut self.inventory, &self.rules, &self.snapshot.scopes);
        self.complete = conclusion.is_complete();
        self.snapshot = Snapshot { scopes: conclusion.scopes };
        self.failure = conclusion.failure;
        self.save();
        self.now += Self::INTERVAL;
    }

    /// Whether there is anything to save is found out without a copy.
    fn save(&mut self) {
        let (inventory, scopes) = (&self.inventory, &self.snapshot.scopes);
        let (before, saved) = (&self.saved, inventory.saved(scopes));
        let held = |saved: &Saved| {
            let mut saved = saved.clone();
            saved.hold(self.now);
            saved
        };
        assert!(inventory.is_saved_in(&saved, scopes, None));
        assert_eq!(inventory.is_saved_in(before, scopes, None), *before == saved);
        let is_held = inventory.is_saved_in(before, scopes, Some(self.now));
        assert_eq!(is_held, held(before) == held(&saved));
        self.saved = saved;
    }

    /// One refresh that a world answers in full; the questions in the order they were answered.
    pub(crate) fn refresh(&mut self, world: &World) -> Vec<Question> {
        self.refresh_with(|question| world.answer(question))
    }

    /// One refresh in which AWS answers but for the questions that `is_hit`.
    pub(crate) fn refresh_failing(
        &mut self,
        world: &World,
        kind: FailureKind,
        is_hit: impl Fn(&Question) -> bool,
    ) -> Vec<Question> {
        self.refresh_with(
            |question| if is_hit(question) { Err(failure(kind)) } else { world.answer(question) },
        )
    }

    pub(crate) fn refresh_with(
        &mut self,
        answer: impl FnMut(&Question) -> Result<Answer, Failure>,
    ) -> Vec<Question> {
        self.refresh_in_order(answer, |_| 0)
    }

    /// `pick` says which of so many open questions is answered next.
    pub(crate) fn refresh_in_order(
        &mut self,
        mut answer: impl FnMut(&Question) -> Result<Answer, Failure>,
        mut pick: impl FnMut(usize) -> usize,
    ) -> Vec<Question> {
        let mut refresh = self.begin();
        let mut asked = Vec::new();
        let mut open = refresh.questions(&mut self.inventory);
        while !open.is_empty() {
            assert!(asked.len() < TOO_MANY, "the refresh does not end");
            let question = open.remove(pick(open.len()));
            assert_accepted(&question);
            match answer(&question) {
                Ok(answer) => refresh.answered(&mut self.inventory, question.clone(), answer),
                Err(failure) => refresh.failed(&mut self.inventory, question.clone(), failure),
            }
            asked.push(question);
            open.extend(refresh.questions(&mut self.inventory));
        }
        self.finish(refresh);
        asked
    }

    /// Takes in an event and publishes its effect.
    pub(crate) fn event(&mut self, event: TaskEvent) -> (EventResult, Option<Wish>) {
        let taken = self.inventory.apply_event(event, self.now);
        self.publish();
        taken
    }

    /// An event that fulfils its wish with the answers of a world. Returns its effect and what was asked.
    pub(crate) fn event_and_errand(
        &mut self,
        world: &World,
        event: TaskEvent,
    ) -> (EventResult, Vec<Question>) {
        let (result, wish) = self.event(event);
        let asked = self.errand_with(wishes(wish), |question| world.answer(question));
        (result, asked)
    }

    /// One errand that a world, or a test, answers; the questions in the order they were answered.
    pub(crate) fn errand_with(
        &mut self,
        wishes: Wishes,
        mut answer: impl FnMut(&Question) -> Result<Answer, Failure>,
    ) -> Vec<Question> {
        let mut errand = Errand::begin(&mut self.inventory, self.selection.clone(), wishes, self.now);
        let mut asked = Vec::new();
        let mut open = errand.questions(&mut self.inventory);
        while !open.is_empty() {
            assert!(asked.len() < TOO_MANY, "the errand does not end");
            let question = open.remove(0);
            assert_accepted(&question);
            match answer(&question) {
                Ok(answer) => errand.answered(&mut self.inventory, question.clone(), answer),
                Err(failure) => errand.failed(&mut self.inventory, question.clone(), failure),
            }
            asked.push(question);
            self.publish();
            open.extend(errand.questions(&mut self.inventory));
        }
        for (cluster, found) in errand.finish(&mut self.inventory, &self.rules) {
            self.snapshot.scopes.entry(cluster).or_insert(found.scope);
        }
        self.publish();
        asked
    }

    /// Time passes, and results that have waited long enough are published.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
        self.inventory.release(self.now);
        self.publish();
    }

    /// Publishes the clusters that were read before, as they are known now.
    pub(crate) fn publish(&mut self) {
        for (cluster, scope) in &mut self.snapshot.scopes {
            if scope.is_known() {
                let derived = self.inventory.derive(cluster, &self.rules);
                let is_shared = Arc::ptr_eq(&derived, &scope.derived);
                assert!(is_shared || derived != scope.derived, "an equal result keeps its allocation");
                scope.derived = derived;
            }
        }
    }

    /// Another process goes on where this one was.
    pub(crate) fn restart(&mut self) {
        let saved = self.inventory.saved(&self.snapshot.scopes);
        let (selection, now) = (&self.selection, self.now);
        let (inventory, scopes) =
            saved.restore(selection, &self.rules, now.saturating_sub(Self::INTERVAL), now);
        (self.inventory, self.snapshot) = (inventory, Snapshot { scopes });
    }

    /// What is known of every task, explained.
    pub(crate) fn explanations(&self) -> Vec<Explanation> {
        let tasks = self.inventory.clusters().flat_map(|cluster| self.inventory.tasks(cluster));
        tasks.map(|task| explain(&task, &self.rules)).collect()
    }

    pub(crate) fn scope(&self, cluster: &str) -> &Scope {
        &self.snapshot.scopes[&cluster_arn(cluster)]
    }

    pub(crate) fn scopes(&self) -> &BTreeMap<ClusterArn, Scope> {
        &self.snapshot.scopes
    }
}

/// One event's wish, as an errand takes it.
pub(crate) fn wishes(wish: impl IntoIterator<Item = Wish>) -> Wishes {
    let mut wishes = Wishes::default();
    for wish in wish {
        match wish {
            Wish::Starting(cluster, task) | Wish::Running(cluster, task) => {
                let tasks: &mut BTreeSet<TaskArn> = wishes.tasks.entry(cluster).or_default();
                tasks.insert(task);
            }
            Wish::Cluster(cluster, task) => {
                wishes.clusters.insert(cluster.clone());
                wishes.tasks.entry(cluster).or_default().insert(task);
            }
        }
    }
    wishes
}

/// AWS refuses an empty batch, one that is too large, and ids of a kind the operation does not know.
fn assert_accepted(question: &Question) {
    let (size, limit) = match question {
        Question::Clusters { .. }
        | Question::Tasks { .. }
        | Question::TaskDefinition { .. }
        | Question::DefinitionTags { .. } => return,
        Question::ClusterTags { clusters } => (clusters.len(), 100),
        Question::ClusterDetails { clusters } => (clusters.len(), 100),
        Question::TaskDetails { tasks, .. } => (tasks.len(), 100),
        Question::ContainerInstances { instances, .. } => (instances.len(), 100),
        Question::Services { services, .. } => (services.len(), 10),
        Question::Ec2Instances { instances } => {
            assert!(instances.iter().all(|id| !id.as_str().starts_with("mi-")), "{instances:?}");
            (instances.len(), 200)
        }
        Question::ExternalInstances { instances } => {
            assert!(instances.iter().all(|id| id.as_str().starts_with("mi-")), "{instances:?}");
            (instances.len(), 100)
        }
    };
    assert!((1..=limit).contains(&size), "{} of {size}", question.operation());
}
