//! One set of credentials in one region, and the questions put to it.
//!
//! A source shares connections and the base credentials with the others, and the budget with those of its account and
//! region, and nothing else: its role's credentials and its retry quotas, that of STS included, are its own, so that
//! one account's trouble is not another's. (The SDK's default quota is one per service and region for the whole
//! process.)

use std::fmt;
use std::sync::Arc;

use aws_config::Region;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::retries::RetryPartition;
use ecs_discovery::arn::{ClusterArn, RoleArn, TaskArn};
use ecs_discovery::inventory::question::{Answer, Failure, Question};

use super::call::{
    ASSUME_ROLE, DESCRIBE_INSTANCE_INFORMATION, DESCRIBE_INSTANCES, GET_CALLER_IDENTITY, LIST_CLUSTERS,
    LIST_TASKS,
};
use super::credentials::KeptCredentials;
use super::ecs::Ecs;
use super::failure::{failure, unreadable};
use super::hosts::Hosts;
use super::json::lacking;
use super::operation::Client;
use super::rate_limited::Metering;
use super::retry_credentials::RetryCredentials;
use super::role::AssumedRole;
use super::signing::NotingAuthScheme;
use super::sts::StsRegions;
use super::{Aws, SourceSpec, ec2, ssm};

/// One account in one region, ready to be asked. A clone is the same source.
#[derive(Clone)]
pub struct Source {
    clients: Arc<Clients>,
}

struct Clients {
    role: Option<RoleArn>,
    region: String,
    ecs: Ecs,
    /// Called with the base credentials: to assume the role, or, without one, for the account's id.
    sts: aws_sdk_sts::Client,
    sts_regions: StsRegions,
    ec2: Hosts,
    ssm: Hosts,
}

impl Source {
    pub(super) fn new(aws: &Aws, spec: SourceSpec) -> Self {
        let SourceSpec { role, external_id, session_name, region } = spec;
        let quota = |service: &str| {
            let role = role.as_ref().map_or("", RoleArn::as_str);
            RetryPartition::custom(format!("{service} {region} {role}")).build()
        };
        // Credentials are kept by themselves, and a second cache would make them stale for longer.
        let base = aws.config.to_builder().region(Region::new(region.clone()));
        let base = base.identity_cache(IdentityCache::no_cache()).build();
        let buckets = aws.budget.buckets(role.as_ref().map(RoleArn::account), &region);
        let metering = |credentials| {
            let (buckets, metrics) = (buckets.clone(), aws.metrics.clone());
            Metering { buckets, credentials, metrics }
        };
        let call = if role.is_some() { &ASSUME_ROLE } else { &GET_CALLER_IDENTITY };
        let http = base.http_client().map(|http| metering(aws.base.clone()).client(http, call));
        let mut sts = aws_sdk_sts::config::Builder::from(&base).retry_partition(quota(call.service.name));
        sts.set_http_client(http);
        let sts = sts.push_auth_scheme(NotingAuthScheme::default()).retry_classifier(RetryCredentials);
        let sts = aws_sdk_sts::Client::from_conf(sts.build());
        let sts_regions = aws.sts_regions(&region);
        let credentials = role.as_ref().map_or_else(
            || aws.base.clone(),
            |role| {
                let assumed = AssumedRole::new(&sts, sts_regions.clone(), role, external_id, session_name);
                let assumed = SharedCredentialsProvider::new(assumed);
                let clock = base.time_source().unwrap_or_default();
                let kept = KeptCredentials::new(assumed, clock, role.as_str(), aws.reloads.clone());
                kept.count_failures(aws.metrics.credential_failures(Some(role.account())));
                Some(kept)
            },
        );
        let metering = metering(credentials.clone());
        let mut config = base.into_builder();
        config.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
        let config = config.build();
        let client = |service| Client::new(&config, &metering, service, quota(service.name));
        let ecs = Ecs::new(&client(&LIST_CLUSTERS.service), role.clone());
        let ec2 = Hosts::new(&client(&DESCRIBE_INSTANCES.service), ec2::CALL);
        let ssm = Hosts::new(&client(&DESCRIBE_INSTANCE_INFORMATION.service), ssm::CALL);
        Self { clients: Arc::new(Clients { role, region, ecs, sts, sts_regions, ec2, ssm }) }
    }

    /// The region that is asked.
    pub fn region(&self) -> &str {
        &self.clients.region
    }

    /// Asks AWS once, with the SDK's retries; questions about hosts read all pages of the answer.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let Clients { ecs, ec2, ssm, .. } = &*self.clients;
        match question {
            Question::Clusters { page } => ecs.clusters(page.as_deref()).await,
            Question::ClusterDetails { clusters } => ecs.cluster_details(clusters).await,
            Question::ClusterTags { clusters } => ecs.cluster_tags(clusters).await,
            Question::Tasks { cluster, page } => ecs.tasks(cluster, None, page.as_deref()).await,
            Question::TaskDetails { cluster, tasks } => ecs.task_details(cluster, tasks).await,
            Question::TaskDefinition { definition } => ecs.definition(definition).await,
            Question::DefinitionTags { definition } => ecs.definition_tags(definition).await,
            Question::ContainerInstances { cluster, instances } => {
                ecs.container_instances(cluster, instances).await
            }
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
            self.clients.sts.get_caller_identity().customize().config_override(config).send()
        };
        let identity = self.clients.sts_regions.ask(ask).await;
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

    /// The role that is assumed, if any.
    pub fn role(&self) -> Option<&RoleArn> {
        self.clients.role.as_ref()
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
