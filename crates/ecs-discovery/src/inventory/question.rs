//! The questions that AWS can be asked, one call each and never larger than AWS accepts, and their answers.

use super::doors::DescribedTask;
use crate::arn::{ClusterArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use crate::failure::{Failure, FailureKind};
use crate::model::{
    Cluster, ContainerInstance, Host, InstanceId, Service, ServiceName, Tags, TaskDefinition,
};

/// One call. A batch is never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Question {
    /// ListClusters, one page.
    Clusters {
        /// The token the page before ended with.
        page: Option<String>,
    },
    /// DescribeClusters with tags, for at most [`Question::CLUSTERS`] names or ARNs.
    ClusterDetails {
        /// Names or ARNs.
        clusters: Vec<Box<str>>,
    },
    /// DescribeClusters with tags, for at most [`Question::CLUSTERS`] known clusters, only for their tags.
    ClusterTags {
        /// The clusters.
        clusters: Vec<ClusterArn>,
    },
    /// ListTasks of one cluster, one page, whatever the launch type.
    Tasks {
        /// The cluster.
        cluster: ClusterArn,
        /// The token the page before ended with.
        page: Option<String>,
    },
    /// DescribeTasks with tags, for at most [`Question::TASKS`] tasks.
    TaskDetails {
        /// The cluster of all the tasks.
        cluster: ClusterArn,
        /// The tasks.
        tasks: Vec<TaskArn>,
    },
    /// DescribeTaskDefinition with tags.
    TaskDefinition {
        /// The definition.
        definition: TaskDefinitionArn,
    },
    /// DescribeTaskDefinition with tags, for a known definition, only for its tags.
    DefinitionTags {
        /// The definition.
        definition: TaskDefinitionArn,
    },
    /// DescribeContainerInstances, for at most [`Question::CONTAINER_INSTANCES`] of them.
    ContainerInstances {
        /// The cluster of all the container instances.
        cluster: ClusterArn,
        /// The container instances.
        instances: Vec<ContainerInstanceArn>,
    },
    /// DescribeServices with tags, for at most [`Question::SERVICES`] of them.
    Services {
        /// The cluster of all the services.
        cluster: ClusterArn,
        /// The services.
        services: Vec<ServiceName>,
    },
    /// EC2 DescribeInstances by filter, for at most [`Question::EC2_INSTANCES`] ids, all pages.
    Ec2Instances {
        /// `i-…` ids.
        instances: Vec<InstanceId>,
    },
    /// SSM DescribeInstanceInformation, for at most [`Question::EXTERNAL_INSTANCES`] ids, all pages.
    ExternalInstances {
        /// `mi-…` ids.
        instances: Vec<InstanceId>,
    },
}

impl Question {
    /// DescribeClusters accepts as many.
    pub const CLUSTERS: usize = 100;
    /// DescribeTasks accepts as many.
    pub const TASKS: usize = 100;
    /// DescribeContainerInstances accepts as many.
    pub const CONTAINER_INSTANCES: usize = 100;
    /// DescribeServices accepts as many.
    pub const SERVICES: usize = 10;
    /// A filter of EC2 accepts as many values.
    pub const EC2_INSTANCES: usize = 200;
    /// A filter of SSM's DescribeInstanceInformation accepts as many values.
    pub const EXTERNAL_INSTANCES: usize = 100;

    /// Whether this is a page of a listing, of which the next can be asked for only then.
    pub fn is_page(&self) -> bool {
        matches!(self, Self::Clusters { .. } | Self::Tasks { .. })
    }

    /// AWS's name of the operation that answers.
    pub fn operation(&self) -> &'static str {
        match self {
            Self::Clusters { .. } => "ListClusters",
            Self::ClusterDetails { .. } | Self::ClusterTags { .. } => "DescribeClusters",
            Self::Tasks { .. } => "ListTasks",
            Self::TaskDetails { .. } => "DescribeTasks",
            Self::TaskDefinition { .. } | Self::DefinitionTags { .. } => "DescribeTaskDefinition",
            Self::ContainerInstances { .. } => "DescribeContainerInstances",
            Self::Services { .. } => "DescribeServices",
            Self::Ec2Instances { .. } => "DescribeInstances",
            Self::ExternalInstances { .. } => "DescribeInstanceInformation",
        }
    }
}

/// What AWS said. An id that was asked for and is in neither list of an answer was not spoken of: it stays as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Clusters`].
    Clusters {
        /// Clusters of this page.
        clusters: Vec<ClusterArn>,
        /// Where the next page begins; `None` ends the listing.
        next: Option<String>,
    },
    /// To [`Question::ClusterDetails`].
    ClusterDetails {
        /// Those that are ACTIVE (or on their way there).
        active: Vec<Cluster>,
        /// Clusters that are INACTIVE or MISSING: their ARNs, or the names in the request.
        gone: Vec<Box<str>>,
    },
    /// The answer to [`Question::ClusterTags`]: the clusters with a list of tags in the answer.
    ClusterTags(Vec<Cluster>),
    /// To [`Question::Tasks`].
    Tasks {
        /// Tasks of this page.
        tasks: Vec<TaskArn>,
        /// Where the next page begins; `None` ends the listing.
        next: Option<String>,
    },
    /// To [`Question::TaskDetails`].
    TaskDetails {
        /// The tasks as they are.
        tasks: Vec<DescribedTask>,
        /// Those that AWS calls MISSING.
        missing: Vec<TaskArn>,
    },
    /// To [`Question::TaskDefinition`].
    TaskDefinition(TaskDefinition),
    /// The answer to [`Question::DefinitionTags`]; `None` if it has no list of tags, not even an empty one.
    DefinitionTags(Option<Tags>),
    /// To [`Question::ContainerInstances`].
    ContainerInstances(Vec<ContainerInstance>),
    /// To [`Question::Services`].
    Services {
        /// The services as they are; those whose tags the answer lacks are left out.
        services: Vec<Service>,
        /// Those that AWS calls MISSING.
        missing: Vec<ServiceName>,
    },
    /// To [`Question::Ec2Instances`] and [`Question::ExternalInstances`]: the hosts that are known there.
    Hosts(Vec<Host>),
    /// To a batch of whose answer some items cannot be read.
    Partial {
        /// The answer without these items.
        readable: Box<Answer>,
        /// These items.
        unreadable: Unreadable,
    },
}

impl Answer {
    /// The answer without the items that cannot be read, and these.
    pub fn readable(self) -> (Self, Option<Unreadable>) {
        match self {
            Self::Partial { readable, unreadable } => (*readable, Some(unreadable)),
            whole => (whole, None),
        }
    }
}

/// Items of an answer that cannot be read. Facts that are known of them stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// The ids that they have in the answer.
    pub ids: Vec<Box<str>>,
    /// Why they cannot be read.
    pub failure: Failure,
}

impl Unreadable {
    /// Why the item with this id cannot be read, if it is one of them. As for an item that AWS does not know, no other
    /// waits for it: nothing says that it can be read at the next refresh.
    pub(super) fn failure(&self, id: &str) -> Option<Failure> {
        let is_one = self.ids.iter().any(|unreadable| **unreadable == *id);
        is_one.then(|| Failure { kind: FailureKind::NotFound, ..self.failure.clone() })
    }
}
