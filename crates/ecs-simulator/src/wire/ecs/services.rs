//! DescribeServices, for at most ten services.

use serde_json::Value;

use super::{cluster_of, failures, includes_tags, missing_arn, texts};
use crate::wire::json;
use crate::wire::json::Object;
use crate::wire::refusal::Refusal;
use crate::world::cluster::Cluster;
use crate::world::region::{Region, last_part};
use crate::world::service::Service;

/// DescribeServices takes at most this many.
const MAX_SERVICES: usize = 10;

pub(super) fn describe(input: &Value, region: &Region) -> Result<String, Refusal> {
    let cluster = cluster_of(input, region)?;
    let names = match texts(input, "services") {
        names if names.is_empty() => return Err(Refusal::invalid_parameter("Services cannot be empty.")),
        names if names.len() > MAX_SERVICES => {
            return Err(Refusal::invalid_parameter("Services cannot have more than 10 elements."));
        }
        names => names,
    };
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    let is_odd = |name: &&&str| {
        let name = last_part(name);
        name.is_empty() || name.len() > 255 || !name.bytes().all(is_allowed)
    };
    if let Some(odd) = names.iter().find(is_odd) {
        return Err(Refusal::invalid_parameter(&format!("Invalid identifier: {odd}")));
    }
    let with_tags = includes_tags(input);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match cluster.service(last_part(name)) {
            Some(service) => found.push((last_part(name), service)),
            None => missing.push(missing_arn(region, cluster, "service", name)),
        }
    }
    let mut body = String::new();
    json::object(&mut body, |answer| {
        answer.list("services", &found, |object, (name, service)| {
            write(object, (region, cluster), (name, service), with_tags);
        });
        failures(answer, &missing);
    });
    Ok(body)
}

fn write(
    object: &mut Object<'_>,
    (region, cluster): (&Region, &Cluster),
    (name, service): (&str, &Service),
    with_tags: bool,
) {
    let is_its = |status: &str| {
        let of_service = cluster.tasks.values().filter(|task| task.service() == Some(name));
        of_service.filter(|task| task.last_status == status).count()
    };
    object.text("serviceArn", &region.arn_in(&cluster.cluster_name, "service", name));
    object.text("serviceName", name);
    object.text("clusterArn", &cluster.cluster_arn);
    object.texts("loadBalancers", [""; 0]);
    object.texts("serviceRegistries", [""; 0]);
    object.text("status", &service.status);
    object.plain("desiredCount", is_its("RUNNING"));
    object.plain("runningCount", is_its("RUNNING"));
    object.plain("pendingCount", is_its("PENDING"));
    object.list("events", ["is starting 1 tasks", "has reached a steady state"], |event, what| {
        event.text("id", "e5a1b1a5-4a1c-4f63-8bd9-8b8e2d5c1d43");
        event.plain("createdAt", 1_767_225_600);
        event.text("message", &format!("(service {name}) {what}."));
    });
    object.plain("createdAt", 1_767_225_600);
    object.text("schedulingStrategy", "REPLICA");
    object.text("propagateTags", "NONE");
    match with_tags {
        true => object.tags(&service.tags),
        false => object.texts("tags", [""; 0]),
    }
}
