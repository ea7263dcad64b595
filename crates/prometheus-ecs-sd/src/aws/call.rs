//! The calls of AWS: one row each.
//!
//! A row is all that tells one call from another, and each request is made from its row. Nothing reads a service or an
//! operation out of a request afterwards.

use std::time::Duration;

use super::rate_limits::Class;
use super::{ATTEMPT_TIMEOUT, ATTEMPTS};

/// A service of AWS.
#[derive(Debug)]
pub(super) struct Service {
    /// Its id in configuration files.
    pub(super) id: &'static str,
    /// Its name in host names, signatures and metrics.
    pub(super) name: &'static str,
    /// The media type of the bodies of its requests.
    pub(super) content_type: &'static str,
    /// Whether its plain endpoints in GovCloud are its FIPS endpoints. (ECS has separate ones.)
    pub(super) is_fips_in_gov_cloud: bool,
    /// Whether a custom endpoint is an error beside the settings for FIPS and dual-stack endpoints, as AWS's rules for
    /// endpoints have it. Otherwise the custom endpoint wins.
    pub(super) has_strict_endpoints: bool,
    /// Whether an answer may begin late because there is nothing to answer yet. Otherwise one that brings no byte for five
    /// seconds counts as cut off.
    pub(super) has_long_polls: bool,
}

const FORM: &str = "application/x-www-form-urlencoded";
const JSON_1_0: &str = "application/x-amz-json-1.0";
const JSON_1_1: &str = "application/x-amz-json-1.1";

const ECS: Service = Service {
    id: "ECS",
    name: "ecs",
    content_type: JSON_1_1,
    is_fips_in_gov_cloud: false,
    has_strict_endpoints: true,
    has_long_polls: false,
};
const EC2: Service = Service {
    id: "EC2",
    name: "ec2",
    content_type: FORM,
    is_fips_in_gov_cloud: true,
    has_strict_endpoints: false,
    has_long_polls: false,
};
const SSM: Service = Service {
    id: "SSM",
    name: "ssm",
    content_type: JSON_1_1,
    is_fips_in_gov_cloud: true,
    has_strict_endpoints: false,
    has_long_polls: false,
};
/// Its endpoints are its SDK crate's to know.
const STS: Service = Service {
    id: "STS",
    name: "sts",
    content_type: FORM,
    is_fips_in_gov_cloud: true,
    has_strict_endpoints: true,
    has_long_polls: false,
};
const SQS: Service = Service {
    id: "SQS",
    name: "sqs",
    content_type: JSON_1_0,
    is_fips_in_gov_cloud: true,
    has_strict_endpoints: true,
    has_long_polls: true,
};

/// How often a request is sent, and the time limit of each attempt.
#[derive(Debug)]
pub(super) struct Attempts {
    /// The first one included.
    pub(super) most: u32,
    /// From the moment a request leaves to the last byte of the answer.
    pub(super) timeout: Duration,
}

const USUAL: Attempts = Attempts { most: ATTEMPTS, timeout: ATTEMPT_TIMEOUT };

/// SQS waits up to 20 s for a message, and the answer is up to 10 MiB long. A failed request is not retried here: the
/// reader of a queue sends the next one anyway, and each retry would wait for another 20 s.
const LONG_POLL: Attempts = Attempts { most: 1, timeout: Duration::from_secs(35) };

/// One operation of a service.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) service: Service,
    /// AWS's name of the operation.
    pub(super) operation: &'static str,
    /// The header `X-Amz-Target`, for the JSON protocols.
    pub(super) target: Option<&'static str>,
    /// The bucket whose tokens its requests draw; `None` if they wait for none.
    pub(super) class: Option<Class>,
    /// The most items in one answer.
    pub(super) limit: usize,
    /// How often it is sent, and for how long an answer is awaited.
    pub(super) attempts: Attempts,
}

/// In pages, each as large as ECS makes them.
pub(super) const LIST_CLUSTERS: Call = Call {
    service: ECS,
    operation: "ListClusters",
    target: Some("AmazonEC2ContainerServiceV20141113.ListClusters"),
    class: Some(Class::EcsClusters),
    limit: 100,
    attempts: USUAL,
};

/// For so many clusters.
pub(super) const DESCRIBE_CLUSTERS: Call = Call {
    service: ECS,
    operation: "DescribeClusters",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeClusters"),
    class: Some(Class::EcsClusters),
    limit: 100,
    attempts: USUAL,
};

/// In pages, each as large as ECS makes them.
pub(super) const LIST_TASKS: Call = Call {
    service: ECS,
    operation: "ListTasks",
    target: Some("AmazonEC2ContainerServiceV20141113.ListTasks"),
    class: Some(Class::EcsTasks),
    limit: 100,
    attempts: USUAL,
};

/// For so many tasks of one cluster.
pub(super) const DESCRIBE_TASKS: Call = Call {
    service: ECS,
    operation: "DescribeTasks",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeTasks"),
    class: Some(Class::EcsTasks),
    limit: 100,
    attempts: USUAL,
};

/// For one definition.
pub(super) const DESCRIBE_TASK_DEFINITION: Call = Call {
    service: ECS,
    operation: "DescribeTaskDefinition",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition"),
    class: Some(Class::EcsDefinitions),
    limit: 1,
    attempts: USUAL,
};

/// For so many services of one cluster.
pub(super) const DESCRIBE_SERVICES: Call = Call {
    service: ECS,
    operation: "DescribeServices",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeServices"),
    class: Some(Class::EcsServices),
    limit: 10,
    attempts: USUAL,
};

/// For so many container instances of one cluster.
pub(super) const DESCRIBE_CONTAINER_INSTANCES: Call = Call {
    service: ECS,
    operation: "DescribeContainerInstances",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeContainerInstances"),
    class: Some(Class::EcsTasks),
    limit: 100,
    attempts: USUAL,
};

/// In pages, each as large as EC2 makes them. EC2 may return smaller ones.
pub(super) const DESCRIBE_INSTANCES: Call = Call {
    service: EC2,
    operation: "DescribeInstances",
    target: None,
    class: Some(Class::Ec2Instances),
    limit: 1000,
    attempts: USUAL,
};

/// In pages, each as large as Systems Manager makes them.
pub(super) const DESCRIBE_INSTANCE_INFORMATION: Call = Call {
    service: SSM,
    operation: "DescribeInstanceInformation",
    target: Some("AmazonSSM.DescribeInstanceInformation"),
    class: Some(Class::SsmInstances),
    limit: 50,
    attempts: USUAL,
};

/// Sent by `aws-sdk-sts`, which `aws-config` needs as well.
pub(super) const ASSUME_ROLE: Call =
    Call { service: STS, operation: "AssumeRole", target: None, class: None, limit: 1, attempts: USUAL };

/// Sent by `aws-sdk-sts` as well.
pub(super) const GET_CALLER_IDENTITY: Call = Call {
    service: STS,
    operation: "GetCallerIdentity",
    target: None,
    class: None,
    limit: 1,
    attempts: USUAL,
};

/// The URL of a queue.
pub(super) const GET_QUEUE_URL: Call = Call {
    service: SQS,
    operation: "GetQueueUrl",
    target: Some("AmazonSQS.GetQueueUrl"),
    class: None,
    limit: 1,
    attempts: USUAL,
};

/// So many messages of one queue.
pub(super) const RECEIVE_MESSAGE: Call = Call {
    service: SQS,
    operation: "ReceiveMessage",
    target: Some("AmazonSQS.ReceiveMessage"),
    class: None,
    limit: 10,
    attempts: LONG_POLL,
};

/// For so many messages of one queue.
pub(super) const DELETE_MESSAGE_BATCH: Call = Call {
    service: SQS,
    operation: "DeleteMessageBatch",
    target: Some("AmazonSQS.DeleteMessageBatch"),
    class: None,
    limit: 10,
    attempts: USUAL,
};

/// The whole table.
pub(super) const CALLS: [&Call; 14] = [
    &LIST_CLUSTERS,
    &DESCRIBE_CLUSTERS,
    &LIST_TASKS,
    &DESCRIBE_TASKS,
    &DESCRIBE_TASK_DEFINITION,
    &DESCRIBE_SERVICES,
    &DESCRIBE_CONTAINER_INSTANCES,
    &DESCRIBE_INSTANCES,
    &DESCRIBE_INSTANCE_INFORMATION,
    &ASSUME_ROLE,
    &GET_CALLER_IDENTITY,
    &GET_QUEUE_URL,
    &RECEIVE_MESSAGE,
    &DELETE_MESSAGE_BATCH,
];
