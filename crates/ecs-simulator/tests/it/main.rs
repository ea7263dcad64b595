//! The simulated AWS as its callers see it: bytes in, bytes out.

#![allow(clippy::unwrap_used, reason = "a test may panic, and says where")]

mod delivery;
mod ec2;
mod ecs;
mod events;
mod faults;
mod identity;
mod lifecycle;
mod limits;
mod paging;
mod sqs;
mod ssm;
mod worlds;

use ecs_simulator::{
    Aws, ContainerDefinition, OWN_ACCESS_KEY, Placement, Region, Request, Response, TaskDefinition, World,
};
use serde_json::Value;

const REGION: &str = "eu-central-1";

/// A signed request of a JSON service.
fn json_request(target: &str, body: &Value) -> Request {
    let service = match target.split('.').next() {
        Some("AmazonSSM") => "ssm",
        Some("AmazonSQS") => "sqs",
        _ => "ecs",
    };
    Request::post(body.to_string()).header("X-Amz-Target", target).signed(OWN_ACCESS_KEY, REGION, service)
}

/// A signed request of a Query service.
fn query_request(service: &str, body: &str) -> Request {
    let version = if service == "ec2" { "2016-11-15" } else { "2011-06-15" };
    Request::post(format!("Version={version}&{body}")).signed(OWN_ACCESS_KEY, REGION, service)
}

/// What ECS answers: the status, and the body as JSON.
fn ecs(aws: &Aws, operation: &str, input: Value) -> (u16, Value) {
    let target = format!("AmazonEC2ContainerServiceV20141113.{operation}");
    read(&aws.answer(&json_request(&target, &input)))
}

fn read(response: &Response) -> (u16, Value) {
    (response.status, serde_json::from_slice(&response.body).expect("JSON services answer in JSON"))
}

/// What follows the first `<NAME>` up to its end.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    xml.split_once(&format!("<{name}>"))?.1.split(&format!("</{name}>")).next()
}

/// A world with `tasks` Fargate tasks in the cluster `c`.
fn fargate(tasks: usize) -> (Aws, Vec<String>) {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = register(region);
    let arns = (0..tasks).map(|_| region.run("c", &definition, Placement::Fargate)).collect();
    (Aws::new(world), arns)
}

fn register(region: &mut Region) -> String {
    region.register(
        TaskDefinition::new("app").fargate().container(ContainerDefinition::new("app", "app:1").port(8080)),
    )
}
