//! ListClusters and DescribeClusters.

use serde_json::Value;

use super::{MAX_ITEMS, failures, find_cluster, includes_tags, invalid_token, listing, page_size, texts};
use crate::wire::page::page;
use crate::wire::refusal::Refusal;
use crate::wire::{json, text};
use crate::world::cluster::Cluster;
use crate::world::region::Region;

pub(super) fn list(input: &Value, region: &Region) -> Result<String, Refusal> {
    let token = text(input, "nextToken");
    let page = page(&region.clusters, "clusters", token, page_size(input)?, Cluster::is_active);
    let page = page.ok_or_else(invalid_token)?;
    let arns = page.items.iter().map(|cluster| cluster.cluster_arn.clone());
    Ok(listing("clusterArns", arns, page.next_token.as_ref()))
}

pub(super) fn describe(input: &Value, region: &Region) -> Result<String, Refusal> {
    let names = match texts(input, "clusters") {
        names if names.is_empty() => vec!["default"],
        names if names.len() > MAX_ITEMS => {
            return Err(Refusal::invalid_parameter("Clusters cannot have more than 100 elements."));
        }
        names => names,
    };
    let with_tags = includes_tags(input);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for name in names {
        match find_cluster(region, name) {
            Some(cluster) => found.push(cluster),
            None if name.starts_with("arn:") => missing.push(name.to_owned()),
            None => missing.push(region.ecs_arn(&format!("cluster/{name}"))),
        }
    }
    let mut body = String::new();
    json::object(&mut body, |answer| {
        answer.list("clusters", found, |object, cluster| write(object, cluster, with_tags));
        failures(answer, &missing);
    });
    Ok(body)
}

fn write(object: &mut json::Object<'_>, cluster: &Cluster, with_tags: bool) {
    let running = cluster.tasks.values().filter(|task| task.last_status == "RUNNING").count();
    object.text("clusterArn", &cluster.cluster_arn);
    object.text("clusterName", &cluster.cluster_name);
    object.text("status", &cluster.status);
    object.plain("registeredContainerInstancesCount", cluster.container_instances.len());
    object.plain("runningTasksCount", running);
    object.plain("pendingTasksCount", 0);
    object.plain("activeServicesCount", 0);
    object.texts("capacityProviders", &cluster.capacity_providers);
    object.texts("statistics", [""; 0]);
    object.texts("settings", [""; 0]);
    match with_tags {
        true => object.tags(&cluster.tags),
        false => object.texts("tags", [""; 0]),
    }
}
