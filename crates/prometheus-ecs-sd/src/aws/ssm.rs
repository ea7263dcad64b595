//! Systems Manager's DescribeInstanceInformation: addresses of the hosts of ECS Anywhere (`mi-…`).

use aws_smithy_runtime_api::box_error::BoxError;
use ecs_discovery::model::{Host, InstanceId};
use serde::Deserialize;
use serde_json::json;

use super::convert::said;
use super::hosts::{HostCall, Page};
use super::operation::Call;

/// DescribeInstanceInformation.
pub(super) const CALL: HostCall = HostCall {
    call: Call {
        service: "SSM",
        host: "ssm",
        operation: "DescribeInstanceInformation",
        content_type: "application/x-amz-json-1.1",
        target: Some("AmazonSSM.DescribeInstanceInformation"),
    },
    request,
    read: page,
};

/// The most that a page can hold.
const MAX_RESULTS: usize = 50;

fn request(instances: &[InstanceId], token: Option<&str>) -> String {
    let ids: Vec<&str> = instances.iter().map(InstanceId::as_str).collect();
    let mut body = json!({
        "Filters": [{ "Key": "InstanceIds", "Values": ids }],
        "MaxResults": MAX_RESULTS,
    });
    if let Some(token) = token {
        body["NextToken"] = token.into();
    }
    body.to_string()
}

fn page(body: &[u8]) -> Result<Page, BoxError> {
    let answer: DescribeInstanceInformationResult = serde_json::from_slice(body)?;
    let instances = answer.instance_information_list;
    Ok(Page {
        hosts: instances.into_iter().filter_map(InstanceInformation::host).collect(),
        next: answer.next_token,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct DescribeInstanceInformationResult {
    /// Present even when empty; a document without it is something else.
    instance_information_list: Vec<InstanceInformation>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
struct InstanceInformation {
    #[serde(rename = "InstanceId")]
    instance_id: Option<String>,
    #[serde(rename = "IPAddress")]
    ip_address: Option<String>,
}

impl InstanceInformation {
    fn host(self) -> Option<Host> {
        Some(Host {
            id: InstanceId::new(&said(self.instance_id)?),
            private_ipv4: self.ip_address.and_then(|address| address.parse().ok()),
            public_ipv4: None,
            instance_type: None,
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
        assert!(page(b"").is_err());
        assert!(page(br#"{"InstanceInformationList": [{"#).is_err());
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
