//! EC2's DescribeInstances over the Query protocol: by ids, by filters, or all, in reservations, in the XML of the EC2
//! API reference. Instances that a service runs are hidden unless the request includes managed resources.

use std::collections::BTreeMap;

use serde_json::Value;

use super::page::page;
use super::query::list;
use super::refusal::Refusal;
use super::xml::{self, element, option};
use super::{request_id, text};
use crate::call::Call;
use crate::world::host::Instance;
use crate::world::region::Region;

/// EC2 takes at most this many filters in a call, and values in a filter.
const MAX_FILTERS: usize = 50;
const MAX_VALUES: usize = 200;
/// The sizes a page may have.
const PAGE_SIZES: std::ops::RangeInclusive<usize> = 5..=1000;

/// How many instance ids a request asks for.
pub(super) fn asked(input: &Value) -> usize {
    let by_filter = filters(input).into_iter().filter(|filter| filter.name == "instance-id");
    list(input, "InstanceId").len() + by_filter.map(|filter| filter.values.len()).sum::<usize>()
}

pub(super) fn describe_instances(call: &Call, region: &Region) -> Result<String, Refusal> {
    let input = &call.input;
    let ids = list(input, "InstanceId");
    let filters = checked_filters(input)?;
    let size = page_size(input)?;
    if !ids.is_empty() && size.is_some() {
        let message = "The parameter InstancesSet cannot be used with the parameter MaxResults";
        return Err(Refusal::new(400, "InvalidParameterCombination", message));
    }
    let with_managed = text(input, "IncludeManagedResources") == Some("true");
    let visible = |instance: &Instance| with_managed || instance.operator_principal.is_none();
    if let Some(unknown) = ids.iter().find(|id| !region.instances.get(**id).is_some_and(visible)) {
        return Err(unknown_id(unknown));
    }
    let wanted = |instance: &Instance| {
        visible(instance)
            && (ids.is_empty() || ids.contains(&instance.instance_id.as_str()))
            && filters.iter().all(|filter| filter.passes(instance))
    };
    let page = page(&region.instances, "instances", text(input, "NextToken"), size.unwrap_or(1000), wanted)
        .ok_or_else(|| Refusal::new(400, "InvalidNextToken", "The token is invalid."))?;
    let mut reservations: BTreeMap<&str, Vec<&Instance>> = BTreeMap::new();
    for instance in page.items {
        reservations.entry(&instance.reservation_id).or_default().push(instance);
    }
    let set = xml::list("reservationSet", reservations, |(id, instances)| {
        xml::text("reservationId", id)
            + &xml::text("ownerId", &region.account_id)
            + &element("groupSet", "")
            + &xml::list("instancesSet", instances, write)
    });
    let content =
        xml::text("requestId", &request_id(call)) + &set + &option("nextToken", page.next_token.as_ref());
    Ok(format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DescribeInstancesResponse xmlns=\"{}\">{content}</DescribeInstancesResponse>",
        xml::EC2
    ))
}

struct Filter<'a> {
    name: &'a str,
    values: Vec<&'a str>,
}

impl Filter<'_> {
    fn passes(&self, instance: &Instance) -> bool {
        let value = match self.name {
            "instance-id" => Some(instance.instance_id.as_str()),
            "instance-state-name" => Some(instance.state.as_str()),
            "private-ip-address" => instance.private_ip_address.as_deref(),
            _ => instance.vpc_id.as_deref(),
        };
        value.is_some_and(|value| self.values.contains(&value))
    }
}

fn filters(input: &Value) -> Vec<Filter<'_>> {
    let numbered = (1..).map_while(|number| Some((number, text(input, &format!("Filter.{number}.Name"))?)));
    numbered
        .map(|(number, name)| Filter { name, values: list(input, &format!("Filter.{number}.Value")) })
        .collect()
}

fn checked_filters(input: &Value) -> Result<Vec<Filter<'_>>, Refusal> {
    let filters = filters(input);
    if filters.len() > MAX_FILTERS || filters.iter().any(|filter| filter.values.len() > MAX_VALUES) {
        let message = "The maximum number of filter values specified on a single call is 200";
        return Err(Refusal::new(400, "FilterLimitExceeded", message));
    }
    let known = ["instance-id", "instance-state-name", "private-ip-address", "vpc-id"];
    if let Some(filter) = filters.iter().find(|filter| !known.contains(&filter.name)) {
        let message = format!("The filter '{}' is invalid", filter.name);
        return Err(Refusal::new(400, "InvalidParameterValue", &message));
    }
    Ok(filters)
}

fn page_size(input: &Value) -> Result<Option<usize>, Refusal> {
    let Some(given) = text(input, "MaxResults") else { return Ok(None) };
    let size = given.parse().ok().filter(|size| PAGE_SIZES.contains(size));
    let message = format!(
        "Value ( {given} ) for parameter maxResults is invalid. Expecting a value between 5 and 1000."
    );
    size.map(Some).ok_or_else(|| Refusal::new(400, "InvalidParameterValue", &message))
}

fn unknown_id(id: &str) -> Refusal {
    let digits = id.strip_prefix("i-").unwrap_or_default();
    match matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => {
            Refusal::new(400, "InvalidInstanceID.NotFound", &format!("The instance ID '{id}' does not exist"))
        }
        false => Refusal::new(400, "InvalidInstanceID.Malformed", &format!("Invalid id: \"{id}\"")),
    }
}

fn write(instance: &Instance) -> String {
    let code = match instance.state.as_str() {
        "pending" => "0",
        "shutting-down" => "32",
        "terminated" => "48",
        "stopping" => "64",
        "stopped" => "80",
        _ => "16",
    };
    let managed = instance.operator_principal.is_some().to_string();
    let operator =
        xml::text("managed", &managed) + &option("principal", instance.operator_principal.as_ref());
    let placement = option("availabilityZone", instance.availability_zone.as_ref())
        + &element("groupName", "")
        + &xml::text("tenancy", "default");
    xml::text("instanceId", &instance.instance_id)
        + &xml::text("imageId", "ami-0abcdef1234567890")
        + &element("instanceState", &(xml::text("code", code) + &xml::text("name", &instance.state)))
        + &option("privateDnsName", instance.private_dns_name.as_ref())
        + &element("dnsName", "")
        + &element("reason", "")
        + &xml::text("amiLaunchIndex", "0")
        + &element("productCodes", "")
        + &option("instanceType", instance.instance_type.as_ref())
        + &xml::text("launchTime", "2026-01-01T00:00:00.000Z")
        + &element("placement", &placement)
        + &element("monitoring", &xml::text("state", "disabled"))
        + &option("subnetId", instance.subnet_id.as_ref())
        + &option("vpcId", instance.vpc_id.as_ref())
        + &option("privateIpAddress", instance.private_ip_address.as_ref())
        + &option("ipAddress", instance.public_ip_address.as_ref())
        + &xml::text("architecture", "arm64")
        + &xml::list("blockDeviceMapping", ["/dev/xvda"], |device| {
            xml::text("deviceName", device)
                + &element(
                    "ebs",
                    &(xml::text("volumeId", "vol-1234567890abcdef0") + &xml::text("status", "attached")),
                )
        })
        + &tag_set(instance)
        + &network_interfaces(instance)
        + &option("ipv6Address", instance.ipv6_address.as_ref())
        + &element("operator", &operator)
}

fn tag_set(instance: &Instance) -> String {
    match instance.tags.is_empty() {
        true => String::new(),
        false => xml::list("tagSet", &instance.tags, |(key, value)| {
            xml::text("key", key) + &xml::text("value", value)
        }),
    }
}

/// The primary interface repeats the names of the instance's own fields one level down.
fn network_interfaces(instance: &Instance) -> String {
    let Some(address) = &instance.private_ip_address else { return element("networkInterfaceSet", "") };
    xml::list("networkInterfaceSet", [address], |address| {
        option("subnetId", instance.subnet_id.as_ref())
            + &option("vpcId", instance.vpc_id.as_ref())
            + &xml::text("privateIpAddress", address)
            + &xml::list("ipv6AddressesSet", &instance.ipv6_address, |address| {
                xml::text("ipv6Address", address)
            })
            + &xml::list("privateIpAddressesSet", [address], |address| {
                xml::text("privateIpAddress", address) + &xml::text("primary", "true")
            })
    })
}
