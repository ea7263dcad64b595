//! What was asked about, with every explanation of it; tasks that come to the same are told once.

use super::{ContainerVerdict, ExplainedContainer, Explanation};
use crate::arn::TaskArn;
use crate::finding::Reason;

/// All there is to say about one definition, task or service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// What was asked about.
    pub subject: Subject,
    /// How many tasks it has, those included that were not looked at.
    pub tasks: usize,
    /// What the tasks come to that were looked at, each once.
    pub groups: Vec<Group>,
}

/// What was asked about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The task definition in a file of this name.
    Definition(String),
    /// One task.
    Task(TaskArn),
    /// The service of this name.
    Service {
        /// Its name.
        name: String,
        /// Its cluster's name.
        cluster: String,
    },
}

/// Tasks of one definition whose containers come to the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the first of them comes to.
    pub explanation: Explanation,
    /// The others.
    pub alike: Vec<Explanation>,
}

impl Report {
    /// Puts tasks together that come to the same, in the order of their first.
    pub fn new(subject: Subject, tasks: usize, explanations: impl IntoIterator<Item = Explanation>) -> Self {
        let mut groups: Vec<Group> = Vec::new();
        for explanation in explanations {
            let shape = shape(&explanation);
            match groups.iter_mut().find(|group| self::shape(&group.explanation) == shape) {
                Some(group) => group.alike.push(explanation),
                None => groups.push(Group { explanation, alike: Vec::new() }),
            }
        }
        Self { subject, tasks, groups }
    }

    /// Every task that was looked at.
    pub fn explanations(&self) -> impl Iterator<Item = &Explanation> {
        self.groups.iter().flat_map(|group| std::iter::once(&group.explanation).chain(&group.alike))
    }

    /// What may be missing where no container opted in.
    pub fn hint(&self) -> Option<&'static str> {
        let mut containers = self.explanations().flat_map(Explanation::containers).peekable();
        let is_silent = containers.peek().is_some() && !containers.any(ExplainedContainer::opted_in);
        is_silent.then_some(
            "PROMETHEUS counts in environment and dockerLabels of the task definition; \
             the image's own variables and labels (ENV, LABEL) cannot be seen from outside",
        )
    }

    /// How many targets they have.
    pub fn targets(&self) -> usize {
        self.explanations().map(|explanation| explanation.targets().count()).sum()
    }
}

/// What makes two tasks alike: the definition, and why each endpoint of each container is scraped or not.
fn shape(explanation: &Explanation) -> impl PartialEq + use<> {
    let containers = explanation.containers.as_ref().map_err(|problem| problem.reason);
    let containers = containers.map(|containers| {
        let outcomes = containers.iter().map(|container| match &container.verdict {
            ContainerVerdict::NotAsked(_) => Err(None),
            ContainerVerdict::NotScraped(problem) => Err(Some(problem.reason)),
            ContainerVerdict::Endpoints(endpoints) => {
                let outcomes = endpoints
                    .iter()
                    .map(|endpoint| endpoint.outcome.as_ref().map(|_| ()).map_err(|problem| problem.reason));
                Ok(outcomes.collect::<Vec<Result<(), Reason>>>())
            }
        });
        outcomes.collect::<Vec<_>>()
    });
    (explanation.task.definition.clone(), containers)
}
