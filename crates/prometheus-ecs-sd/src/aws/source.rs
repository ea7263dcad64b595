//! One set of credentials in one region, and the questions put to it.
//!
//! A source has a session, and shares the budget with the other sources of its account and region.

use std::fmt;
use std::sync::Arc;

use ecs_discovery::arn::{ClusterArn, RoleArn, TaskArn};
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::Names;

use super::call::{
    DESCRIBE_INSTANCE_INFORMATION, DESCRIBE_INSTANCES, GET_CALLER_IDENTITY, LIST_CLUSTERS, LIST_TASKS,
};
use super::ecs::Ecs;
use super::failure::{failure, unreadable};
use super::hosts::Hosts;
use super::json::lacking;
use super::queue::Queue;
use super::session::Session;
use super::{Aws, SourceSpec, ec2, ssm};
use crate::config::QueueAddress;

/// One account in one region, ready to be asked. A clone is the same source.
#[derive(Clone)]
pub struct Source {
    clients: Arc<Clients>,
    /// The environment variables whose values are kept of answers.
    names: Names,
}

struct Clients {
    session: Session,
    ecs: Ecs,
    ec2: Hosts,
    ssm: Hosts,
}

impl Source {
    pub(super) fn new(aws: &Aws, spec: SourceSpec) -> Self {
        let buckets = aws.limits.buckets(spec.role.as_ref().map(RoleArn::account), &spec.region);
        let session = Session::new(aws, spec, buckets);
        let ecs = Ecs::new(&session.client(&LIST_CLUSTERS.service), session.role.clone());
        let ec2 = Hosts::new(&session.client(&DESCRIBE_INSTANCES.service), ec2::CALL);
        let ssm = Hosts::new(&session.client(&DESCRIBE_INSTANCE_INFORMATION.service), ssm::CALL);
        Self { clients: Arc::new(Clients { session, ecs, ec2, ssm }), names: Names::default() }
    }

    /// Keeps the values of these environment variables, and drops all others.
    pub fn keeping(self, names: &Names) -> Self {
        Self { names: names.clone(), ..self }
    }

    /// The region that is asked.
    pub fn region(&self) -> &str {
        &self.clients.session.region
    }

    /// Asks AWS once, with the SDK's retries; questions about hosts read all pages of the answer.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let Clients { ecs, ec2, ssm, .. } = &*self.clients;
        match question {
            Question::Clusters { page } => ecs.clusters(page.as_deref()).await,
            Question::ClusterDetails { clusters } => ecs.cluster_details(clusters).await,
            Question::ClusterTags { clusters } => ecs.cluster_tags(clusters).await,
            Question::Tasks { cluster, page } => ecs.tasks(cluster, None, page.as_deref()).await,
            Question::TaskDetails { cluster, tasks } => ecs.task_details(cluster, tasks, &self.names).await,
            Question::TaskDefinition { definition } => ecs.definition(definition, &self.names).await,
            Question::DefinitionTags { definition } => ecs.definition_tags(definition).await,
            Question::ContainerInstances { cluster, instances } => {
                ecs.container_instances(cluster, instances).await
            }
            Question::Services { cluster, services } => ecs.services(cluster, services).await,
            Question::Ec2Instances { instances } => ec2.known(instances, self.role()).await,
            Question::ExternalInstances { instances } => ssm.known(instances, self.role()).await,
        }
    }

    /// The account's id: the role's, or what STS says about the credentials.
    pub async fn account(&self) -> Result<String, Failure> {
        if let Some(role) = self.role() {
            return Ok(role.account().to_owned());
        }
        let operation = GET_CALLER_IDENTITY.operation;
        let ask = |region| {
            let config = aws_sdk_sts::Config::builder().region(region);
            self.clients.session.sts.get_caller_identity().customize().config_override(config).send()
        };
        let identity = self.clients.session.sts_regions.ask(ask).await;
        let identity = identity.map_err(|error| failure(operation, None, &error))?;
        identity.account.ok_or_else(|| unreadable(operation, "it names no account"))
    }

    /// One page of the tasks of a service that are to run: a question that discovery does not ask.
    pub async fn tasks_of_service(
        &self,
        cluster: &ClusterArn,
        service: &str,
        page: Option<String>,
    ) -> Result<(Vec<TaskArn>, Option<String>), Failure> {
        match self.clients.ecs.tasks(cluster, Some(service), page.as_deref()).await? {
            Answer::Tasks { tasks, next } => Ok((tasks, next)),
            _ => Err(lacking(&LIST_TASKS)),
        }
    }

    /// Prepares to read a queue with the source's credentials, in its region.
    pub fn queue(&self, address: &QueueAddress) -> Queue {
        Queue::new(&self.clients.session, address)
    }

    /// The role that is assumed, if any.
    pub fn role(&self) -> Option<&RoleArn> {
        self.clients.session.role.as_ref()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("role", &self.role())
            .field("region", &self.region())
            .finish_non_exhaustive()
    }
}
