//! ECS over awsJson1.1: the seven read operations of service discovery, with ECS's limits.

mod clusters;
mod container_instances;
mod definitions;
mod services;
pub(super) mod task_json;
mod tasks;

use serde_json::Value;

use super::refusal::Refusal;
use super::{json, text};
use crate::world::cluster::Cluster;
use crate::world::region::Region;

/// ECS takes and gives at most this many of anything at once.
const MAX_ITEMS: usize = 100;

/// The answer's body.
pub(super) fn answer(operation: &str, input: &Value, region: &Region) -> Result<String, Refusal> {
    match operation {
        "ListClusters" => clusters::list(input, region),
        "DescribeClusters" => clusters::describe(input, region),
        "ListTasks" => tasks::list(input, region),
        "DescribeTasks" => tasks::describe(input, region),
        "DescribeTaskDefinition" => definitions::describe(input, region),
        "DescribeContainerInstances" => container_instances::describe(input, region),
        "DescribeServices" => services::describe(input, region),
        _ => Err(Refusal::new(400, "UnknownOperationException", "")),
    }
}

/// The cluster that a request names, by name or ARN, or `default`.
fn cluster_of<'a>(input: &Value, region: &'a Region) -> Result<&'a Cluster, Refusal> {
    let name = text(input, "cluster").unwrap_or("default");
    let cluster = find_cluster(region, name).filter(|cluster| cluster.is_active());
    cluster.ok_or_else(|| Refusal::new(400, "ClusterNotFoundException", "Cluster not found."))
}

fn find_cluster<'a>(region: &'a Region, name_or_arn: &str) -> Option<&'a Cluster> {
    match name_or_arn.split_once(":cluster/") {
        Some((_, name)) => region.clusters.get(name).filter(|cluster| cluster.cluster_arn == name_or_arn),
        None => region.clusters.get(name_or_arn),
    }
}

/// The texts of a list field; an absent one is empty.
fn texts<'a>(input: &'a Value, name: &str) -> Vec<&'a str> {
    input.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
}

/// The ids of a describe request, of which there must be 1 to 100.
fn batch<'a>(input: &'a Value, name: &str, singular: &str) -> Result<Vec<&'a str>, Refusal> {
    match texts(input, name) {
        ids if ids.is_empty() => Err(Refusal::invalid_parameter(&format!("{singular} cannot be empty."))),
        ids if ids.len() > MAX_ITEMS => Err(Refusal::invalid_parameter(&format!(
            "{singular} IDs length must be between 1 and {MAX_ITEMS}."
        ))),
        ids => Ok(ids),
    }
}

/// Whether the request asks for tags, which ECS leaves out otherwise.
fn includes_tags(input: &Value) -> bool {
    texts(input, "include").contains(&"TAGS")
}

/// The page size of a listing.
fn page_size(input: &Value) -> Result<usize, Refusal> {
    match input.get("maxResults") {
        None | Some(Value::Null) => Ok(MAX_ITEMS),
        Some(size) => size
            .as_u64()
            .and_then(|size| usize::try_from(size).ok())
            .filter(|size| (1..=MAX_ITEMS).contains(size))
            .ok_or_else(|| Refusal::invalid_parameter("maxResults must be between 1 and 100.")),
    }
}

fn invalid_token() -> Refusal {
    Refusal::invalid_parameter("Invalid token.")
}

/// The answer of a listing: ARNs and, unless it was the last page, a token.
fn listing(name: &str, arns: impl Iterator<Item = String>, next_token: Option<&String>) -> String {
    let mut body = String::new();
    json::object(&mut body, |answer| {
        answer.texts(name, arns);
        answer.option("nextToken", next_token);
    });
    body
}

/// The `failures` of a describe answer.
fn failures(answer: &mut json::Object<'_>, missing: &[String]) {
    answer.list("failures", missing, |failure, arn| {
        failure.text("arn", arn);
        failure.text("reason", "MISSING");
    });
}

/// An id or ARN that was not found, as the answer's `failures` name it: always an ARN.
fn missing_arn(region: &Region, cluster: &Cluster, kind: &str, id_or_arn: &str) -> String {
    match id_or_arn.starts_with("arn:") {
        true => id_or_arn.to_owned(),
        false => region.ecs_arn(&format!("{kind}/{}/{id_or_arn}", cluster.cluster_name)),
    }
}
