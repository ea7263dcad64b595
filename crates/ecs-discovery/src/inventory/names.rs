//! The names of the environment variables whose values the rules need.
//!
//! A fact that was read with fewer names stays as it is, and is requested again. Values of names that are no longer
//! needed are dropped when the rules change.

use std::sync::Arc;

use super::saved::Saved;
use super::{Inventory, ScopeFacts};
use crate::arn::TaskDefinitionArn;
use crate::derive::Rules;
use crate::failure::Failure;
use crate::model::{Names, Task, TaskDefinition};

impl Inventory {
    /// Continues by these rules. If they are other ones, all results are derived again.
    pub fn follow(&mut self, rules: &Rules) {
        if self.rules.as_ref() == Some(rules) {
            return;
        }
        self.rules = Some(rules.clone());
        self.describe_services(rules.service_tags);
        self.scopes.values_mut().for_each(ScopeFacts::forget_results);
        // Equal names are shared with the facts, so that comparing them is quick.
        if self.names.as_ref() != Some(rules.names()) {
            self.names = Some(rules.names().clone());
            self.drop_surplus(rules.names());
        }
    }

    fn drop_surplus(&mut self, names: &Names) {
        self.definitions.alter(|definition| without_surplus(definition, names).map(Arc::new));
        for known in self.scopes.values_mut().flat_map(|scope| scope.tasks.values_mut()) {
            if let Some(task) = task_without_surplus(&known.task, names) {
                known.task = Arc::new(task);
            }
        }
    }

    /// Whether something that was read with these names is to be requested again.
    pub(super) fn are_too_few(&self, names: &Names) -> bool {
        self.names.as_ref().is_some_and(|wanted| !names.include(wanted))
    }

    /// Whether a definition in use is to be requested again, and no such request failed.
    pub fn has_definitions_to_read_again(&self) -> bool {
        let mut used = self.definitions.used_since(self.collected);
        used.any(|(_, arn, known)| self.are_too_few(&known.names) && self.definitions.failure(arn).is_none())
    }

    /// The known definitions that could not be read again, and why.
    pub(super) fn failed_again(&self) -> impl Iterator<Item = (&TaskDefinitionArn, &Failure)> {
        let failures = self.definitions.failures();
        failures.filter(|(arn, _)| {
            self.definitions.value(arn).is_some_and(|known| self.are_too_few(&known.names))
        })
    }

    /// What is stored of a described definition. An answer to a request from before the names changed may lack values
    /// that are known: a revision changes nothing but its tags.
    pub(super) fn needed_of_definition(&self, mut said: TaskDefinition) -> TaskDefinition {
        if let Some(known) = self.definitions.value(&said.arn)
            && self.are_too_few(&said.names)
            && !self.are_too_few(&known.names)
        {
            return TaskDefinition { tags: said.tags, ..TaskDefinition::clone(known) };
        }
        if let Some(names) = &self.names {
            said = without_surplus(&said, names).unwrap_or(said);
            share(&mut said.names, names);
        }
        said
    }

    /// What is stored of a described task, in the same way: its overrides never change.
    pub(super) fn needed_of_task(&self, mut said: Task, known: Option<&Task>) -> Task {
        if let Some(known) = known
            && self.are_too_few(&said.names)
            && !self.are_too_few(&known.names)
        {
            (said.overrides, said.names) = (known.overrides.clone(), known.names.clone());
        } else if let Some(names) = &self.names {
            said = task_without_surplus(&said, names).unwrap_or(said);
            share(&mut said.names, names);
        }
        said
    }
}

impl Saved {
    /// Drops the values of names that are not needed.
    pub fn keep(&mut self, names: &Names) {
        for definition in &mut self.definitions {
            if let Some(needed) = without_surplus(definition, names) {
                *definition = Arc::new(needed);
            }
        }
        for saved in self.scopes.iter_mut().flat_map(|scope| &mut scope.tasks) {
            if let Some(needed) = task_without_surplus(&saved.task, names) {
                saved.task = Arc::new(needed);
            }
        }
    }
}

/// Equal names take the memory of one.
pub(super) fn share(own: &mut Names, names: &Names) {
    if own == names {
        own.clone_from(names);
    }
}

/// The definition without values of other names; `None` if it has none.
fn without_surplus(definition: &TaskDefinition, names: &Names) -> Option<TaskDefinition> {
    let mut containers = definition.containers.iter();
    let has_surplus = containers.any(|container| {
        let secrets = container.secrets.iter().map(|secret| &**secret);
        let mut kept = container.environment.iter().map(|(name, _)| name).chain(secrets);
        kept.any(|name| !names.contain(name))
    });
    has_surplus.then(|| {
        let mut needed = definition.clone();
        for container in &mut needed.containers {
            container.environment.keep(names);
            container.secrets.retain(|secret| names.contain(secret));
        }
        TaskDefinition { names: definition.names.both(names), ..needed }
    })
}

/// The same of a task's overrides.
fn task_without_surplus(task: &Task, names: &Names) -> Option<Task> {
    let mut kept = task.overrides.iter().flat_map(|(_, settings)| settings.iter());
    let has_surplus = kept.any(|(name, _)| !names.contain(name));
    has_surplus.then(|| {
        let mut overrides = task.overrides.clone();
        overrides.iter_mut().for_each(|(_, settings)| settings.keep(names));
        overrides.retain(|(_, settings)| !settings.is_empty());
        Task { overrides, names: task.names.both(names), ..task.clone() }
    })
}
