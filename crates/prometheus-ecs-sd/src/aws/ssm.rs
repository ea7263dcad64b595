//! Systems Manager's DescribeInstanceInformation: addresses of the hosts of ECS Anywhere (`mi-…`).

use ecs_discovery::failure::Failure;
use ecs_discovery::model::{Host, InstanceId};
use serde::{Deserialize, Serialize};

use super::call::DESCRIBE_INSTANCE_INFORMATION;
use super::convert::said;
use super::hosts::{HostCall, Page};
use super::json::{Fields, Text, batch, text};

/// DescribeInstanceInformation.
pub(super) const CALL: HostCall = HostCall { call: &DESCRIBE_INSTANCE_INFORMATION, request, read: page };

const INSTANCES: Fields = Fields { items: "InstanceInformationList", id: "InstanceId", next: "NextToken" };

fn request(instances: &[InstanceId], token: Option<&str>) -> String {
    let values = instances.iter().map(InstanceId::as_str).collect();
    let request = DescribeInstanceInformation {
        filters: [InstanceInformationStringFilter { key: "InstanceIds", values }],
        max_results: DESCRIBE_INSTANCE_INFORMATION.limit,
        next_token: token,
    };
    serde_json::to_string(&request).expect("text and numbers can be written")
}

fn page(body: &[u8]) -> Result<Page, Failure> {
    let page =
        batch(&DESCRIBE_INSTANCE_INFORMATION, body, INSTANCES, |instance: InstanceInformation<'_>| {
            instance.host()
        })?;
    Ok(Page { hosts: page.items, next: page.next, unreadable: page.unreadable })
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInstanceInformation<'a> {
    filters: [InstanceInformationStringFilter<'a>; 1],
    max_results: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct InstanceInformationStringFilter<'a> {
    key: &'static str,
    values: Vec<&'a str>,
}

#[derive(Deserialize)]
#[serde(bound(deserialize = "'de: 'a"))]
struct InstanceInformation<'a> {
    #[serde(rename = "InstanceId")]
    instance_id: Option<Text<'a>>,
    #[serde(rename = "IPAddress")]
    ip_address: Option<Text<'a>>,
}

impl InstanceInformation<'_> {
    fn host(&self) -> Option<Host> {
        Some(Host {
            id: InstanceId::new(said(text(&self.instance_id))?),
            private_ipv4: text(&self.ip_address).and_then(|address| address.parse().ok()),
            public_ipv4: None,
            private_dns_name: None,
            instance_type: None,
            vpc_id: None,
            subnet_id: None,
            availability_zone: None,
            tags: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_where_they_are_ipv4() {
        let body = r#"{
            "InstanceInformationList": [
                {"InstanceId": "mi-1", "IPAddress": "192.168.4.7", "PingStatus": "Online", "AgentVersion": "3.2",
                 "ResourceType": "ManagedInstance", "LastPingDateTime": 1.7E9, "AssociationOverview": {"x": {"Success": 1}}},
                {"InstanceId": "mi-2", "IPAddress": "fe80::1"},
                {"InstanceId": "mi-3", "IPAddress": null},
                {"IPAddress": "10.0.0.1"}
            ],
            "NextToken": "more"
        }"#;
        let page = page(body.as_bytes()).expect("an answer");
        let found: Vec<_> = page.hosts.iter().map(|host| (host.id.as_str(), host.private_ipv4)).collect();
        assert_eq!(found, [("mi-1", Some([192, 168, 4, 7].into())), ("mi-2", None), ("mi-3", None)]);
        assert_eq!(page.next.as_deref(), Some("more"));
    }

    #[test]
    fn an_answer_may_be_empty_but_not_cut_or_something_else() {
        assert_eq!(page(br#"{"InstanceInformationList": []}"#).expect("an answer").hosts, []);
        assert!(page(b"{}").is_err());
        assert!(page(br#"{"InstanceInformationList": null}"#).is_err());
        assert!(page(b"").is_err());
        assert!(page(br#"{"InstanceInformationList": [{"#).is_err());
    }

    #[test]
    fn an_instance_of_another_type_than_documented_is_left_out() {
        let body = br#"{"InstanceInformationList": [
            {"InstanceId": "mi-1", "IPAddress": {"v4": "192.0.2.1"}}, {"InstanceId": 2}, "mi-3",
            {"InstanceId": "mi-4", "InstanceId": "mi-5"}, {"InstanceId": "mi-6", "IPAddress": "192.0.2.6"}
        ], "NextToken": "more"}"#;
        let page = page(body).expect("an answer");
        assert_eq!(page.hosts.iter().map(|host| host.id.as_str()).collect::<Vec<_>>(), ["mi-6"]);
        assert_eq!(page.unreadable, ["mi-1", "mi-5"].map(Box::<str>::from));
        assert_eq!(page.next.as_deref(), Some("more"));
    }

    #[test]
    fn the_request_names_instances_by_filter() {
        let ids = [InstanceId::new("mi-1"), InstanceId::new("mi-2")];
        assert_eq!(
            request(&ids, Some("t")),
            r#"{"Filters":[{"Key":"InstanceIds","Values":["mi-1","mi-2"]}],"MaxResults":50,"NextToken":"t"}"#
        );
    }
}
