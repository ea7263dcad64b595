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
use aws_sdk_ecs::operation::describe_clusters::DescribeClustersOutput;
use aws_sdk_ecs::operation::describe_task_definition::DescribeTaskDefinitionOutput;
use aws_sdk_ecs::types::{ClusterField, DesiredStatus, TaskDefinitionField, TaskField};
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, RoleArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::inventory::question::{Answer, Failure, Question};

use super::credentials::KeptCredentials;
use super::failure::{self, unreadable};
use super::hosts::Hosts;
use super::metered::metered;
use super::refused::RefusedCredentials;
use super::role::AssumedRole;
use super::sts::StsRegions;
use super::withheld::WithheldBody;
use super::{Aws, SourceSpec, convert, ec2, ssm, tasks};

/// ListTasks and ListClusters give no more a page.
const PAGE: i32 = 100;

/// One account in one region, ready to be asked. A clone is the same source.
#[derive(Clone)]
pub struct Source {
    clients: Arc<Clients>,
}

struct Clients {
    role: Option<RoleArn>,
    region: String,
    ecs: aws_sdk_ecs::Client,
    /// Asked with the base credentials.
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
        let client = |buckets, credentials| {
            base.http_client().map(|http| metered(http, buckets, credentials, aws.metrics.clone()))
        };
        let mut sts = aws_sdk_sts::config::Builder::from(&base).retry_partition(quota("sts"));
        sts.set_http_client(client(None, aws.base.clone()));
        let sts = aws_sdk_sts::Client::from_conf(sts.retry_classifier(RefusedCredentials).build());
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
        let buckets = aws.budget.buckets(role.as_ref().map(RoleArn::account), &region);
        let http = client(Some(buckets), credentials.clone());
        let mut config = base.into_builder();
        config.set_http_client(http);
        config.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
        let config = config.build();
        let ecs = aws_sdk_ecs::config::Builder::from(&config).retry_partition(quota("ecs"));
        let ecs = aws_sdk_ecs::Client::from_conf(ecs.retry_classifier(RefusedCredentials).build());
        let ec2 = Hosts::new(&config, quota("ec2"), ec2::CALL);
        let ssm = Hosts::new(&config, quota("ssm"), ssm::CALL);
        Self { clients: Arc::new(Clients { role, region, ecs, sts, sts_regions, ec2, ssm }) }
    }

    /// The region that is asked.
    pub fn region(&self) -> &str {
        &self.clients.region
    }

    /// Asks AWS once, with the SDK's retries; questions about hosts read all pages of the answer.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Failure> {
        let answer = match question {
            Question::Clusters { page } => self.clusters(page.clone()).await?,
            Question::ClusterDetails { clusters } => {
                let names = clusters.iter().map(ToString::to_string).collect();
                convert::cluster_details(self.cluster_details(names).await?, clusters)
            }
            Question::ClusterTags { clusters } => {
                let arns = clusters.iter().map(ClusterArn::to_string).collect();
                convert::cluster_tags(self.cluster_details(arns).await?)
            }
            Question::Tasks { cluster, page } => self.tasks(cluster, None, page.clone()).await?,
            Question::TaskDetails { cluster, tasks } => self.task_details(cluster, tasks).await?,
            Question::TaskDefinition { definition } => {
                convert::definition(self.definition(definition).await?, definition)
            }
            Question::DefinitionTags { definition } => {
                Some(convert::definition_tags(self.definition(definition).await?))
            }
            Question::ContainerInstances { cluster, instances } => {
                self.container_instances(cluster, instances).await?
            }
            Question::Ec2Instances { instances } => {
                Some(Answer::Hosts(self.clients.ec2.known(instances, self.role()).await?))
            }
            Question::ExternalInstances { instances } => {
                Some(Answer::Hosts(self.clients.ssm.known(instances, self.role()).await?))
            }
        };
        answer.ok_or_else(|| unreadable(question.operation(), "it lacks what was asked for"))
    }

    /// The account's id: the role's, or what STS says about the credentials.
    pub async fn account(&self) -> Result<String, Failure> {
        if let Some(role) = self.role() {
            return Ok(role.account().to_owned());
        }
        let operation = "GetCallerIdentity";
        let ask = |region| {
            let config = aws_sdk_sts::Config::builder().region(region);
            self.clients.sts.get_caller_identity().customize().config_override(config).send()
        };
        let identity = self.clients.sts_regions.ask(ask).await;
        let identity = identity.map_err(|error| self.failure(operation, &error))?;
        identity.account.ok_or_else(|| unreadable(operation, "it names no account"))
    }

    async fn clusters(&self, page: Option<String>) -> Result<Option<Answer>, Failure> {
        let call = self.clients.ecs.list_clusters().max_results(PAGE).set_next_token(page);
        let output = call.send().await.map_err(|error| self.failure("ListClusters", &error))?;
        Ok(convert::clusters(output))
    }

    async fn cluster_details(&self, names: Vec<String>) -> Result<DescribeClustersOutput, Failure> {
        let call = self.clients.ecs.describe_clusters().set_clusters(Some(names)).include(ClusterField::Tags);
        call.send().await.map_err(|error| self.failure("DescribeClusters", &error))
    }

    /// One page of the tasks of a service that are to run: a question that discovery does not ask.
    pub async fn tasks_of_service(
        &self,
        cluster: &ClusterArn,
        service: &str,
        page: Option<String>,
    ) -> Result<(Vec<TaskArn>, Option<String>), Failure> {
        match self.tasks(cluster, Some(service), page).await? {
            Some(Answer::Tasks { tasks, next }) => Ok((tasks, next)),
            _ => Err(unreadable("ListTasks", "it lacks what was asked for")),
        }
    }

    async fn tasks(
        &self,
        cluster: &ClusterArn,
        service: Option<&str>,
        page: Option<String>,
    ) -> Result<Option<Answer>, Failure> {
        let call = self.clients.ecs.list_tasks().cluster(cluster.as_str()).max_results(PAGE);
        // It is AWS's default, but not that of everything that imitates AWS.
        let call = call.desired_status(DesiredStatus::Running);
        let call = call.set_service_name(service.map(str::to_owned)).set_next_token(page);
        let output = call.send().await.map_err(|error| self.failure("ListTasks", &error))?;
        Ok(convert::tasks(output))
    }

    async fn task_details(&self, cluster: &ClusterArn, asked: &[TaskArn]) -> Result<Option<Answer>, Failure> {
        let arns = asked.iter().map(TaskArn::to_string).collect();
        let call = self.clients.ecs.describe_tasks().cluster(cluster.as_str()).set_tasks(Some(arns));
        let body = WithheldBody::default();
        let call = call.include(TaskField::Tags).customize().interceptor(body.clone());
        call.send().await.map_err(|error| self.failure(tasks::OPERATION, &error))?;
        body.read(|body| Ok(convert::task_details(tasks::read(body)?, asked)))
    }

    async fn definition(&self, asked: &TaskDefinitionArn) -> Result<DescribeTaskDefinitionOutput, Failure> {
        let call = self.clients.ecs.describe_task_definition().task_definition(asked.as_str());
        let output = call.include(TaskDefinitionField::Tags).send().await;
        output.map_err(|error| self.failure("DescribeTaskDefinition", &error))
    }

    async fn container_instances(
        &self,
        cluster: &ClusterArn,
        asked: &[ContainerInstanceArn],
    ) -> Result<Option<Answer>, Failure> {
        let arns = asked.iter().map(ContainerInstanceArn::to_string).collect();
        let call = self.clients.ecs.describe_container_instances().cluster(cluster.as_str());
        let output = call.set_container_instances(Some(arns)).send().await;
        let output = output.map_err(|error| self.failure("DescribeContainerInstances", &error))?;
        Ok(convert::container_instances(output, asked))
    }

    /// The role that is assumed, if any.
    pub fn role(&self) -> Option<&RoleArn> {
        self.clients.role.as_ref()
    }

    fn failure<E>(&self, operation: &'static str, error: &SdkError<E, HttpResponse>) -> Failure
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        failure::failure(operation, self.role(), error)
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
