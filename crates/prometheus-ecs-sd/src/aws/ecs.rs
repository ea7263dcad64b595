//! The seven read operations of ECS: their requests and answers.

use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, RoleArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::Answer;
use ecs_discovery::model::{Names, ServiceName};
use serde::Serialize;

use super::call::{
    DESCRIBE_CLUSTERS, DESCRIBE_CONTAINER_INSTANCES, DESCRIBE_SERVICES, DESCRIBE_TASK_DEFINITION,
    DESCRIBE_TASKS, LIST_CLUSTERS, LIST_TASKS,
};
use super::convert;
use super::failure::failure;
use super::operation::{Body, Client, Operation};

/// The service in one source.
pub(super) struct Ecs {
    role: Option<RoleArn>,
    list_clusters: Operation,
    describe_clusters: Operation,
    list_tasks: Operation,
    describe_tasks: Operation,
    describe_task_definition: Operation,
    describe_container_instances: Operation,
    describe_services: Operation,
}

impl Ecs {
    pub(super) fn new(client: &Client<'_>, role: Option<RoleArn>) -> Self {
        Self {
            role,
            list_clusters: client.operation(&LIST_CLUSTERS),
            describe_clusters: client.operation(&DESCRIBE_CLUSTERS),
            list_tasks: client.operation(&LIST_TASKS),
            describe_tasks: client.operation(&DESCRIBE_TASKS),
            describe_task_definition: client.operation(&DESCRIBE_TASK_DEFINITION),
            describe_container_instances: client.operation(&DESCRIBE_CONTAINER_INSTANCES),
            describe_services: client.operation(&DESCRIBE_SERVICES),
        }
    }

    /// One page.
    pub(super) async fn clusters(&self, page: Option<&str>) -> Result<Answer, Failure> {
        let request = ListClusters { max_results: LIST_CLUSTERS.limit, next_token: page };
        convert::clusters(self.send(&self.list_clusters, &request).await?.bytes())
    }

    /// Clusters by names or ARNs.
    pub(super) async fn cluster_details(&self, asked: &[Box<str>]) -> Result<Answer, Failure> {
        let body = self.describe_clusters(asked.iter().map(|name| &**name).collect()).await?;
        convert::cluster_details(body.bytes(), asked)
    }

    /// The tags of clusters.
    pub(super) async fn cluster_tags(&self, asked: &[ClusterArn]) -> Result<Answer, Failure> {
        let body = self.describe_clusters(asked.iter().map(ClusterArn::as_str).collect()).await?;
        convert::cluster_tags(body.bytes())
    }

    async fn describe_clusters(&self, clusters: Vec<&str>) -> Result<Body, Failure> {
        self.send(&self.describe_clusters, &DescribeClusters { clusters, include: TAGS }).await
    }

    /// One page of a cluster's tasks with desired status RUNNING; of all services, or of one.
    pub(super) async fn tasks(
        &self,
        cluster: &ClusterArn,
        service: Option<&str>,
        page: Option<&str>,
    ) -> Result<Answer, Failure> {
        let request = ListTasks {
            cluster: cluster.as_str(),
            service_name: service,
            // This is AWS's default, but not that of all emulators of AWS.
            desired_status: "RUNNING",
            max_results: LIST_TASKS.limit,
            next_token: page,
        };
        convert::tasks(self.send(&self.list_tasks, &request).await?.bytes())
    }

    /// Tasks of one cluster. Of environments the variables of these names are kept.
    pub(super) async fn task_details(
        &self,
        cluster: &ClusterArn,
        asked: &[TaskArn],
        names: &Names,
    ) -> Result<Answer, Failure> {
        let tasks = asked.iter().map(TaskArn::as_str).collect();
        let request = DescribeTasks { cluster: cluster.as_str(), tasks, include: TAGS };
        convert::task_details(self.send(&self.describe_tasks, &request).await?.bytes(), asked, names)
    }

    pub(super) async fn definition(
        &self,
        asked: &TaskDefinitionArn,
        names: &Names,
    ) -> Result<Answer, Failure> {
        convert::definition(self.describe_task_definition(asked).await?.bytes(), asked, names)
    }

    /// The tags of a definition.
    pub(super) async fn definition_tags(&self, asked: &TaskDefinitionArn) -> Result<Answer, Failure> {
        convert::definition_tags(self.describe_task_definition(asked).await?.bytes())
    }

    async fn describe_task_definition(&self, asked: &TaskDefinitionArn) -> Result<Body, Failure> {
        let request = DescribeTaskDefinition { task_definition: asked.as_str(), include: TAGS };
        self.send(&self.describe_task_definition, &request).await
    }

    /// Container instances of one cluster.
    pub(super) async fn container_instances(
        &self,
        cluster: &ClusterArn,
        asked: &[ContainerInstanceArn],
    ) -> Result<Answer, Failure> {
        let container_instances = asked.iter().map(ContainerInstanceArn::as_str).collect();
        let request = DescribeContainerInstances { cluster: cluster.as_str(), container_instances };
        let body = self.send(&self.describe_container_instances, &request).await?;
        convert::container_instances(body.bytes(), asked)
    }

    /// Services of one cluster.
    pub(super) async fn services(
        &self,
        cluster: &ClusterArn,
        asked: &[ServiceName],
    ) -> Result<Answer, Failure> {
        let services = asked.iter().map(ServiceName::as_str).collect();
        let request = DescribeServices { cluster: cluster.as_str(), services, include: TAGS };
        convert::services(self.send(&self.describe_services, &request).await?.bytes(), asked)
    }

    async fn send(&self, operation: &Operation, request: &impl Serialize) -> Result<Body, Failure> {
        let body = serde_json::to_string(request).expect("text and numbers can be written");
        let answer = operation.send(body).await;
        answer.map_err(|error| failure(operation.call.operation, self.role.as_ref(), &error))
    }
}

/// Without it, answers have no tags.
const TAGS: [&str; 1] = ["TAGS"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListClusters<'a> {
    max_results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Serialize)]
struct DescribeClusters<'a> {
    clusters: Vec<&'a str>,
    include: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ListTasks<'a> {
    cluster: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_name: Option<&'a str>,
    desired_status: &'static str,
    max_results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Serialize)]
struct DescribeTasks<'a> {
    cluster: &'a str,
    tasks: Vec<&'a str>,
    include: [&'static str; 1],
}

#[derive(Serialize)]
struct DescribeServices<'a> {
    cluster: &'a str,
    services: Vec<&'a str>,
    include: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeTaskDefinition<'a> {
    task_definition: &'a str,
    include: [&'static str; 1],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DescribeContainerInstances<'a> {
    cluster: &'a str,
    container_instances: Vec<&'a str>,
}
