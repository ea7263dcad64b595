//! SSM's DescribeInstanceInformation over awsJson1.1.

use serde_json::Value;

use super::page::page;
use super::refusal::Refusal;
use super::{json, text};
use crate::world::region::Region;

/// Values in a filter.
const MAX_VALUES: usize = 100;
/// The page size of a request that names none.
const DEFAULT_PAGE_SIZE: u64 = 10;

/// How many instance ids a request asks for.
pub(super) fn asked(input: &Value) -> usize {
    filters(input).into_iter().filter(|filter| filter.0 == "InstanceIds").map(|filter| filter.1.len()).sum()
}

pub(super) fn describe_instance_information(input: &Value, region: &Region) -> Result<String, Refusal> {
    let size = match input.get("MaxResults").map_or(Some(DEFAULT_PAGE_SIZE), Value::as_u64) {
        Some(size @ 5..=50) => size as usize,
        _ => return Err(validation("maxResults must be between 5 and 50")),
    };
    let filters = filters(input);
    for (key, values) in &filters {
        check(key, values)?;
    }
    let wanted = |id: &str| {
        filters.iter().all(|(key, values)| match *key {
            "InstanceIds" => values.contains(&id),
            _ => values.contains(&"ManagedInstance") == id.starts_with("mi-"),
        })
    };
    let page = page(&region.managed_nodes, "nodes", text(input, "NextToken"), size, |node| {
        wanted(&node.instance_id)
    });
    let page =
        page.ok_or_else(|| Refusal::new(400, "InvalidNextToken", "The specified token isn't valid."))?;
    let mut body = String::new();
    json::object(&mut body, |answer| {
        answer.list("InstanceInformationList", page.items, |object, node| {
            object.text("InstanceId", &node.instance_id);
            object.option("PingStatus", node.ping_status.as_ref());
            object.plain("LastPingDateTime", 1_767_225_600.5);
            object.text("AgentVersion", "3.3.2299.0");
            object.plain("IsLatestVersion", false);
            object.option("PlatformType", node.platform_type.as_ref());
            object.text("PlatformName", "Ubuntu");
            object.text("PlatformVersion", "24.04");
            object.text(
                "ResourceType",
                if node.instance_id.starts_with("mi-") { "ManagedInstance" } else { "EC2Instance" },
            );
            object.option("IPAddress", node.ip_address.as_ref());
            object.option("ComputerName", node.computer_name.as_ref());
        });
        answer.option("NextToken", page.next_token.as_ref());
    });
    Ok(body)
}

/// Keys and values of both ways to write a filter.
fn filters(input: &Value) -> Vec<(&str, Vec<&str>)> {
    let list = |name: &str| input.get(name).and_then(Value::as_array).into_iter().flatten();
    let spelled = [("Filters", "Key", "Values"), ("InstanceInformationFilterList", "key", "valueSet")];
    let read = spelled.map(|(name, key, values)| {
        list(name).map(move |filter| {
            let values = filter.get(values).and_then(Value::as_array).into_iter().flatten();
            (text(filter, key).unwrap_or_default(), values.filter_map(Value::as_str).collect())
        })
    });
    read.into_iter().flatten().collect()
}

fn check(key: &str, values: &[&str]) -> Result<(), Refusal> {
    match key {
        "InstanceIds" | "ResourceType" => {}
        _ => {
            return Err(Refusal::new(
                400,
                "InvalidInstanceInformationFilterValue",
                &format!("unknown key {key}"),
            ));
        }
    }
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(validation("Member must have length between 1 and 100"));
    }
    match values.iter().find(|id| !is_id(id)) {
        Some(id) if key == "InstanceIds" => {
            Err(Refusal::new(400, "InvalidInstanceId", &format!("The ID {id} isn't valid.")))
        }
        _ => Ok(()),
    }
}

/// `i-` with 8 or 17 characters, or `mi-` with 17.
fn is_id(id: &str) -> bool {
    let is_word = |rest: &str| rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let is = |prefix, lengths: &[usize]| {
        id.strip_prefix(prefix).is_some_and(|rest| lengths.contains(&rest.len()) && is_word(rest))
    };
    is("i-", &[8, 17]) || is("mi-", &[17])
}

fn validation(message: &str) -> Refusal {
    Refusal::new(400, "ValidationException", &format!("1 validation error detected: {message}"))
}
