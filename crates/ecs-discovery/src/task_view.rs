//! A task joined with everything that its targets depend on, as far as it is known.

use std::sync::Arc;

use crate::arn::ContainerInstanceArn;
use crate::failure::Failure;
use crate::model::{Cluster, Host, InstanceId, Service, Task, TaskDefinition};

/// A task with everything its targets depend on.
#[derive(Clone, Copy, Debug)]
pub struct TaskView<'a> {
    /// Its cluster.
    pub cluster: &'a Arc<Cluster>,
    /// The task.
    pub task: &'a Arc<Task>,
    /// Its definition.
    pub definition: Definition<'a>,
    /// Where it runs.
    pub placement: Placement<'a>,
    /// Its service.
    pub service: TaskService<'a>,
    /// Why AWS's last answer about the task was not accepted, if so.
    pub partial: Option<&'a str>,
}

/// A task's definition, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Definition<'a> {
    /// It was read.
    Known(&'a Arc<TaskDefinition>),
    /// It was not, and why if that was tried.
    Unavailable(Option<&'a Failure>),
}

/// A task's service, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum TaskService<'a> {
    /// It has none, or services are not described.
    None,
    /// It was read.
    Known(&'a Arc<Service>),
    /// AWS says that there is no such service.
    Missing,
    /// It was never read, and why if that was tried.
    Unknown(Option<&'a Failure>),
}

impl<'a> TaskService<'a> {
    /// The service, if it was read.
    pub fn known(self) -> Option<&'a Arc<Service>> {
        match self {
            Self::Known(service) => Some(service),
            Self::None | Self::Missing | Self::Unknown(_) => None,
        }
    }

    /// Whether nothing is known of it, not even why.
    pub(crate) fn is_awaited(self) -> bool {
        matches!(self, Self::Unknown(None))
    }
}

/// Where a task runs, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub enum Placement<'a> {
    /// On Fargate, or not placed yet.
    Nowhere,
    /// On a container instance whose machine is not known.
    ContainerInstance {
        /// The container instance.
        arn: &'a ContainerInstanceArn,
        /// Its machine's id, if that much is known.
        instance: Option<&'a InstanceId>,
        /// Why no more is known.
        problem: Option<&'a Failure>,
    },
    /// On this machine.
    Host(&'a Arc<Host>),
}

impl<'a> Placement<'a> {
    /// The id of the machine.
    pub fn instance(&self) -> Option<&'a InstanceId> {
        match self {
            Self::Nowhere => None,
            Self::ContainerInstance { instance, .. } => *instance,
            Self::Host(host) => Some(&host.id),
        }
    }
}

impl<'a> TaskView<'a> {
    /// Whether a fact that this task's targets depend on is not known.
    pub(crate) fn has_missing_facts(&self) -> bool {
        !self.task.definition.is_managed_daemon()
            && match (self.definition, self.placement) {
                (Definition::Unavailable(_), _) | (_, Placement::ContainerInstance { .. }) => true,
                (Definition::Known(definition), Placement::Host(host)) => {
                    host.private_ipv4.is_none() && definition.network_mode.is_at_the_host()
                }
                (Definition::Known(_), Placement::Nowhere) => false,
            }
    }

    /// Why such a fact is not known.
    pub(crate) fn failure(&self) -> Option<&'a Failure> {
        match (self.definition, self.placement) {
            (Definition::Unavailable(Some(failure)), _) => Some(failure),
            (_, Placement::ContainerInstance { problem, .. }) => problem,
            _ => None,
        }
    }
}
