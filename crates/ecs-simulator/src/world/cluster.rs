//! An ECS cluster: its tasks and container instances, sorted by id, which is the order that listings page in.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::host::ContainerInstance;
use super::service::Service;
use super::task::Task;

/// How the ARNs of new tasks and container instances of a cluster are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArnForm {
    /// `task/CLUSTER/ID`, the form since 2018.
    #[default]
    Long,
    /// `task/ID`, the old form that accounts could keep.
    Short,
}

/// An ECS cluster.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cluster {
    /// `arn:…:cluster/NAME`.
    pub cluster_arn: String,
    /// Its name.
    pub cluster_name: String,
    /// `ACTIVE`; `INACTIVE` once deleted.
    pub status: String,
    /// How ARNs of what is started from now on are written.
    pub arn_form: ArnForm,
    /// The tasks by id, the last part of their ARNs; stopped ones stay until they expire.
    pub tasks: BTreeMap<String, Task>,
    /// The container instances by id, the last part of their ARNs.
    pub container_instances: BTreeMap<String, ContainerInstance>,
    /// Services that need not have a task, by name; those of its tasks' groups are there as well, ACTIVE and without tags.
    pub services: BTreeMap<String, Service>,
    /// Such as `FARGATE`.
    pub capacity_providers: Vec<String>,
    /// Answered only when `include` asks for `TAGS`.
    pub tags: BTreeMap<String, String>,
}

impl Cluster {
    /// Its service of this name.
    pub(crate) fn service(&self, name: &str) -> Option<Cow<'_, Service>> {
        let of_tasks = || {
            let mut tasks = self.tasks.values().filter(|task| task.last_status != "STOPPED");
            tasks.any(|task| task.service() == Some(name)).then(|| Cow::Owned(Service::default()))
        };
        self.services.get(name).map(Cow::Borrowed).or_else(of_tasks)
    }

    /// Whether it is there for calls that name it.
    pub(crate) fn is_active(&self) -> bool {
        self.status == "ACTIVE"
    }
}
