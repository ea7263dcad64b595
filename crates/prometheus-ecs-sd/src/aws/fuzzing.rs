//! What reads AWS's answers, past the network: for the fuzz targets, and in no other build.

use ecs_discovery::arn::TaskArn;
use ecs_discovery::inventory::question::{Answer, Failure};
use ecs_discovery::model::Host;

use super::{body, convert, ec2, ssm, tasks};

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

fn hosts<E: ToString>(page: Result<super::hosts::Page, E>) -> Hosts {
    page.map(|page| (page.hosts, page.next)).map_err(|error| error.to_string())
}

/// A body of DescribeTasks; `None` where it says nothing of what was asked.
pub fn tasks(body: &[u8], asked: &[TaskArn]) -> Result<Option<Answer>, Failure> {
    Ok(convert::task_details(tasks::read(body)?, asked))
}

/// A body of a refusal: its code and its message.
pub fn error(body: &[u8]) -> [Option<String>; 2] {
    let error = body::error(body);
    [error.code(), error.message()].map(|text| text.map(str::to_owned))
}
