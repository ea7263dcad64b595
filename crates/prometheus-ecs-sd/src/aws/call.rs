//! The calls of AWS: one row each.
//!
//! A row is all that tells one call from another, and each request is made from its row. Nothing reads a service or an
//! operation out of a request afterwards.

use super::rate_limits::Class;

/// A service of AWS.
#[derive(Debug)]
pub(super) struct Service {
    /// Its id in configuration files.
    pub(super) id: &'static str,
    /// Its name in host names, signatures and metrics.
    pub(super) name: &'static str,
    /// Whether its plain endpoints in GovCloud are its FIPS endpoints. (ECS has separate ones.)
    pub(super) is_fips_in_gov_cloud: bool,
    /// Whether a custom endpoint is an error beside the settings for FIPS and dual-stack endpoints, as AWS's rules for
    /// endpoints have it. Otherwise the custom endpoint wins.
    pub(super) has_strict_endpoints: bool,
}

const ECS: Service =
    Service { id: "ECS", name: "ecs", is_fips_in_gov_cloud: false, has_strict_endpoints: true };
const EC2: Service =
    Service { id: "EC2", name: "ec2", is_fips_in_gov_cloud: true, has_strict_endpoints: false };
const SSM: Service =
    Service { id: "SSM", name: "ssm", is_fips_in_gov_cloud: true, has_strict_endpoints: false };
/// Its endpoints are its SDK crate's to know.
const STS: Service =
    Service { id: "STS", name: "sts", is_fips_in_gov_cloud: true, has_strict_endpoints: true };

/// One operation of a service.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) service: Service,
    /// AWS's name of the operation.
    pub(super) operation: &'static str,
    /// The header `X-Amz-Target`, for the JSON protocols. Without it, the request is a form.
    pub(super) target: Option<&'static str>,
    /// The bucket whose tokens its requests draw; `None` if they wait for none.
    pub(super) class: Option<Class>,
    /// The most items in one answer.
    pub(super) limit: usize,
}

/// In pages, each as large as ECS makes them.
pub(super) const LIST_CLUSTERS: Call = Call {
    service: ECS,
    operation: "ListClusters",
    target: Some("AmazonEC2ContainerServiceV20141113.ListClusters"),
    class: Some(Class::EcsClusters),
    limit: 100,
};

/// For so many clusters.
pub(super) const DESCRIBE_CLUSTERS: Call = Call {
    service: ECS,
    operation: "DescribeClusters",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeClusters"),
    class: Some(Class::EcsClusters),
    limit: 100,
};

/// In pages, each as large as ECS makes them.
pub(super) const LIST_TASKS: Call = Call {
    service: ECS,
    operation: "ListTasks",
    target: Some("AmazonEC2ContainerServiceV20141113.ListTasks"),
    class: Some(Class::EcsTasks),
    limit: 100,
};

/// For so many tasks of one cluster.
pub(super) const DESCRIBE_TASKS: Call = Call {
    service: ECS,
    operation: "DescribeTasks",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeTasks"),
    class: Some(Class::EcsTasks),
    limit: 100,
};

/// For one definition.
pub(super) const DESCRIBE_TASK_DEFINITION: Call = Call {
    service: ECS,
    operation: "DescribeTaskDefinition",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeTaskDefinition"),
    class: Some(Class::EcsDefinitions),
    limit: 1,
};

/// For so many container instances of one cluster.
pub(super) const DESCRIBE_CONTAINER_INSTANCES: Call = Call {
    service: ECS,
    operation: "DescribeContainerInstances",
    target: Some("AmazonEC2ContainerServiceV20141113.DescribeContainerInstances"),
    class: Some(Class::EcsTasks),
    limit: 100,
};

/// In pages, each as large as EC2 makes them. EC2 may return smaller ones.
pub(super) const DESCRIBE_INSTANCES: Call = Call {
    service: EC2,
    operation: "DescribeInstances",
    target: None,
    class: Some(Class::Ec2Instances),
    limit: 1000,
};

/// In pages, each as large as Systems Manager makes them.
pub(super) const DESCRIBE_INSTANCE_INFORMATION: Call = Call {
    service: SSM,
    operation: "DescribeInstanceInformation",
    target: Some("AmazonSSM.DescribeInstanceInformation"),
    class: Some(Class::SsmInstances),
    limit: 50,
};

/// Sent by `aws-sdk-sts`, which `aws-config` needs as well.
pub(super) const ASSUME_ROLE: Call =
    Call { service: STS, operation: "AssumeRole", target: None, class: None, limit: 1 };

/// Sent by `aws-sdk-sts` as well.
pub(super) const GET_CALLER_IDENTITY: Call =
    Call { service: STS, operation: "GetCallerIdentity", target: None, class: None, limit: 1 };

/// The whole table.
pub(super) const CALLS: [&Call; 10] = [
    &LIST_CLUSTERS,
    &DESCRIBE_CLUSTERS,
    &LIST_TASKS,
    &DESCRIBE_TASKS,
    &DESCRIBE_TASK_DEFINITION,
    &DESCRIBE_CONTAINER_INSTANCES,
    &DESCRIBE_INSTANCES,
    &DESCRIBE_INSTANCE_INFORMATION,
    &ASSUME_ROLE,
    &GET_CALLER_IDENTITY,
];
