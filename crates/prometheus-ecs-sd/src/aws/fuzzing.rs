//! The parsers of AWS's answers without the network, for the fuzz targets only.

use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Host, Names};

use super::{convert, ec2, error_document, ssm};

/// The hosts of one page, and the token of the next; or why there are none.
pub type Hosts = Result<(Vec<Host>, Option<String>), String>;

/// A body of EC2's DescribeInstances.
pub fn ec2(body: &[u8]) -> Hosts {
    hosts((ec2::CALL.read)(body))
}

/// A body of Systems Manager's DescribeInstanceInformation.
pub fn ssm(body: &[u8]) -> Hosts {
    hosts((ssm::CALL.read)(body))
}

fn hosts(page: Result<super::hosts::Page, Failure>) -> Hosts {
    page.map(|page| (page.hosts, page.next)).map_err(|error| error.to_string())
}

/// A body of ECS's answer to this question, of which the environment variables of these names are kept.
pub fn ecs(question: &Question, body: &[u8], names: &Names) -> Result<Answer, Failure> {
    match question {
        Question::Clusters { .. } => convert::clusters(body),
        Question::ClusterDetails { clusters } => convert::cluster_details(body, clusters),
        Question::ClusterTags { .. } => convert::cluster_tags(body),
        Question::Tasks { .. } => convert::tasks(body),
        Question::TaskDetails { tasks, .. } => convert::task_details(body, tasks, names),
        Question::TaskDefinition { definition } => convert::definition(body, definition, names),
        Question::DefinitionTags { .. } => convert::definition_tags(body),
        Question::ContainerInstances { instances, .. } => convert::container_instances(body, instances),
        Question::Services { services, .. } => convert::services(body, services),
        Question::Ec2Instances { .. } | Question::ExternalInstances { .. } => {
            panic!("this is not a question to ECS")
        }
    }
}

/// A body of a refusal: its code and its message.
pub fn error(body: &[u8]) -> [Option<String>; 2] {
    let error = error_document::error(body, None);
    [error.code(), error.message()].map(|text| text.map(str::to_owned))
}
