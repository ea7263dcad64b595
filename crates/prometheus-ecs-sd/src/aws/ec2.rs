//! EC2's DescribeInstances: addresses, names, type and tags of the instances behind container instances.
//!
//! Instances are named by a filter, not by `InstanceId`: a named id that EC2 does not know fails the whole
//! call, and the call draws on a smaller bucket. `IncludeManagedResources` shows the hosts of ECS
//! Managed Instances, which EC2 hides otherwise
//! (<https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ManagedResourceVisibilitySettings.html>).

use std::error::Error;

use ecs_discovery::failure::Failure;
use ecs_discovery::model::{Host, InstanceId};
use quick_xml::events::Event;
use quick_xml::{DeError, Reader, de};
use serde::Deserialize;

use super::call::DESCRIBE_INSTANCES;
use super::convert::{present, said, sorted_tags};
use super::failure::{causes, unreadable};
use super::hosts::{HostCall, Page};

/// DescribeInstances.
pub(super) const CALL: HostCall = HostCall { call: &DESCRIBE_INSTANCES, request, read: page };

/// The path of an instance in an answer.
const INSTANCE: [&str; 5] = ["DescribeInstancesResponse", "reservationSet", "item", "instancesSet", "item"];

fn request(instances: &[InstanceId], token: Option<&str>) -> String {
    let mut body = form_urlencoded::Serializer::new(String::new());
    body.append_pair("Action", DESCRIBE_INSTANCES.operation).append_pair("Version", "2016-11-15");
    body.append_pair("IncludeManagedResources", "true");
    body.append_pair("MaxResults", &DESCRIBE_INSTANCES.limit.to_string());
    body.append_pair("Filter.1.Name", "instance-id");
    for (id, number) in instances.iter().zip(1..) {
        body.append_pair(&format!("Filter.1.Value.{number}"), id.as_str());
    }
    if let Some(token) = token {
        body.append_pair("NextToken", token);
    }
    body.finish()
}

fn page(body: &[u8]) -> Result<Page, Failure> {
    fn unusable(error: &(dyn Error + 'static)) -> Failure {
        unreadable(DESCRIBE_INSTANCES.operation, &causes(error))
    }
    let body = std::str::from_utf8(body).map_err(|error| unusable(&error))?;
    let mut unreadable = Vec::new();
    let answer = de::from_str(body).or_else(|error| match error {
        // It is not XML, or it ends too early.
        DeError::InvalidXml(_) | DeError::UnexpectedEof => Err(error),
        // An instance that is not of the documented form is skipped.
        _ => de::from_str(&readable(body, &mut unreadable)?),
    });
    let answer: DescribeInstancesResponse = answer.map_err(|error| unusable(&error))?;
    let instances =
        answer.reservation_set.item.into_iter().flat_map(|reservation| reservation.instances_set.item);
    let hosts = instances.filter_map(Instance::host).collect();
    Ok(Page { hosts, next: answer.next_token, unreadable })
}

/// The answer without the instances that cannot be read, whose ids are added to `unreadable`.
fn readable(body: &str, unreadable: &mut Vec<Box<str>>) -> Result<String, DeError> {
    let mut reader = Reader::from_str(body);
    let (mut path, mut kept, mut copied) = (Vec::new(), String::new(), 0);
    loop {
        let begin = position(&reader);
        match reader.read_event()? {
            Event::Start(element) => {
                path.push(element.local_name().as_ref().to_owned());
                if path == INSTANCE {
                    reader.read_to_end(element.name())?;
                    path.pop();
                    let end = position(&reader);
                    let instance = &body[begin..end];
                    if de::from_str::<Instance>(instance).is_err() {
                        let named = de::from_str::<Named>(instance).ok();
                        unreadable.extend(named.and_then(|named| named.instance_id.into_iter().next()));
                        kept.push_str(&body[copied..begin]);
                        copied = end;
                    }
                }
            }
            Event::End(_) => drop(path.pop()),
            Event::Eof => return Ok(kept + &body[copied..]),
            _ => {}
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).expect("the answer is in memory")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DescribeInstancesResponse {
    /// Present even when empty; a document without it is something else.
    reservation_set: Set<Reservation>,
    next_token: Option<String>,
}

/// `<xSet><item>…</item>…</xSet>`
#[derive(Deserialize)]
struct Set<T> {
    #[serde(default = "Vec::new")]
    item: Vec<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Self { item: Vec::new() }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Reservation {
    #[serde(default)]
    instances_set: Set<Instance>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Instance {
    instance_id: Option<String>,
    private_ip_address: Option<String>,
    /// The public one.
    ip_address: Option<String>,
    private_dns_name: Option<String>,
    instance_type: Option<String>,
    vpc_id: Option<String>,
    subnet_id: Option<String>,
    #[serde(default)]
    placement: Placement,
    #[serde(default)]
    tag_set: Set<Tag>,
}

/// The id of an instance that cannot be read as a whole.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Named {
    #[serde(default)]
    instance_id: Vec<Box<str>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Placement {
    availability_zone: Option<String>,
}

#[derive(Deserialize)]
struct Tag {
    key: Option<String>,
    value: Option<String>,
}

impl Instance {
    fn host(self) -> Option<Host> {
        Some(Host {
            id: InstanceId::new(&said(self.instance_id)?),
            private_ipv4: self.private_ip_address.and_then(|address| address.parse().ok()),
            public_ipv4: self.ip_address.and_then(|address| address.parse().ok()),
            private_dns_name: present(self.private_dns_name),
            instance_type: present(self.instance_type),
            vpc_id: present(self.vpc_id),
            subnet_id: present(self.subnet_id),
            availability_zone: present(self.placement.availability_zone),
            tags: sorted_tags(self.tag_set.item.into_iter().map(|tag| (tag.key, tag.value))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// After the sample answer of
    /// <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeInstances.html>.
    const SAMPLE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
    <requestId>8f7724cf-496f-496e-8fe3-example</requestId>
    <reservationSet>
        <item>
            <reservationId>r-1234567890abcdef0</reservationId>
            <ownerId>123456789012</ownerId>
            <groupSet/>
            <instancesSet>
                <item>
                    <instanceId>i-1234567890abcdef0</instanceId>
                    <imageId>ami-bff32ccc</imageId>
                    <instanceState><code>16</code><name>running</name></instanceState>
                    <privateDnsName>ip-192-168-1-88.eu-west-1.compute.internal</privateDnsName>
                    <dnsName>ec2-54-194-252-215.eu-west-1.compute.amazonaws.com</dnsName>
                    <reason/>
                    <productCodes/>
                    <instanceType>t2.micro</instanceType>
                    <launchTime>2018-05-08T16:46:19.000Z</launchTime>
                    <placement>
                        <availabilityZone>eu-west-1c</availabilityZone>
                        <groupName/>
                        <tenancy>default</tenancy>
                    </placement>
                    <monitoring><state>disabled</state></monitoring>
                    <subnetId>subnet-56f5f633</subnetId>
                    <vpcId>vpc-11112222</vpcId>
                    <privateIpAddress>192.168.1.88</privateIpAddress>
                    <ipAddress>54.194.252.215</ipAddress>
                    <blockDeviceMapping>
                        <item><deviceName>/dev/xvda</deviceName><ebs><volumeId>vol-1</volumeId></ebs></item>
                    </blockDeviceMapping>
                    <tagSet>
                        <item><key>Name</key><value>R&amp;D</value></item>
                        <item><key>Empty</key><value/></item>
                        <item><value>keyless</value></item>
                    </tagSet>
                    <networkInterfaceSet>
                        <item>
                            <networkInterfaceId>eni-551ba033</networkInterfaceId>
                            <subnetId>subnet-other</subnetId>
                            <privateIpAddress>192.168.1.99</privateIpAddress>
                            <tagSet><item><key>not</key><value>this</value></item></tagSet>
                        </item>
                    </networkInterfaceSet>
                    <somethingNew><item><deep>er</deep></item></somethingNew>
                </item>
                <item>
                    <instanceId>i-bare</instanceId>
                    <privateIpAddress>not an address</privateIpAddress>
                </item>
            </instancesSet>
        </item>
        <item>
            <reservationId>r-2</reservationId>
            <instancesSet>
                <item><privateIpAddress>10.0.0.1</privateIpAddress></item>
                <item><instanceId>i-second</instanceId><privateIpAddress>10.0.0.2</privateIpAddress></item>
            </instancesSet>
        </item>
        <item/>
    </reservationSet>
    <nextToken>more+/=</nextToken>
</DescribeInstancesResponse>"#;

    fn bare(id: &str) -> Host {
        Host {
            id: InstanceId::new(id),
            private_ipv4: None,
            public_ipv4: None,
            private_dns_name: None,
            instance_type: None,
            vpc_id: None,
            subnet_id: None,
            availability_zone: None,
            tags: Vec::new(),
        }
    }

    #[test]
    fn the_needed_fields_of_every_reservation_are_read_and_the_rest_is_skipped() {
        let page = page(SAMPLE.as_bytes()).expect("the sample is an answer");
        let first = Host {
            private_ipv4: Some([192, 168, 1, 88].into()),
            public_ipv4: Some([54, 194, 252, 215].into()),
            private_dns_name: Some("ip-192-168-1-88.eu-west-1.compute.internal".into()),
            instance_type: Some("t2.micro".into()),
            vpc_id: Some("vpc-11112222".into()),
            subnet_id: Some("subnet-56f5f633".into()),
            availability_zone: Some("eu-west-1c".into()),
            tags: vec![("Empty".into(), "".into()), ("Name".into(), "R&D".into())],
            ..bare("i-1234567890abcdef0")
        };
        let second = Host { private_ipv4: Some([10, 0, 0, 2].into()), ..bare("i-second") };
        assert_eq!(page.hosts, [first, bare("i-bare"), second]);
        assert_eq!(page.next.as_deref(), Some("more+/="));
    }

    #[test]
    fn an_answer_may_be_empty_but_not_cut_or_something_else() {
        let empty = page(b"<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>");
        assert_eq!(empty.expect("an answer").hosts, []);
        assert!(page(&SAMPLE.as_bytes()[..SAMPLE.len() / 2]).is_err());
        assert!(page(b"").is_err());
        assert!(page(b"{}").is_err());
        assert!(page(b"<html><body>Sign in to this network</body></html>").is_err());
    }

    #[test]
    fn an_instance_of_another_shape_than_documented_is_left_out() {
        let odd = "<instanceId>i-odd</instanceId><instanceId>i-twice</instanceId>";
        let nested = "<instanceId>i-odd</instanceId><privateIpAddress><v4>10.0.0.9</v4></privateIpAddress>";
        for odd in [odd, nested] {
            let instance = format!("<instancesSet><item>{odd}</item>");
            let body = SAMPLE.replace("<instancesSet>", &instance);
            let page = page(body.as_bytes()).expect("an answer");
            let ids: Vec<_> = page.hosts.iter().map(|host| host.id.as_str()).collect();
            assert_eq!(ids, ["i-1234567890abcdef0", "i-bare", "i-second"], "{odd}");
            assert_eq!(
                (page.next.as_deref(), &page.unreadable),
                (Some("more+/="), &vec![Box::from("i-odd"); 2])
            );
        }
    }

    #[test]
    fn the_request_names_instances_by_filter_and_escapes_what_it_is_given() {
        let ids = [InstanceId::new("i-1"), InstanceId::new("i 2&x=")];
        assert_eq!(
            request(&ids, Some("a+/=")),
            "Action=DescribeInstances&Version=2016-11-15&IncludeManagedResources=true&MaxResults=1000\
             &Filter.1.Name=instance-id&Filter.1.Value.1=i-1&Filter.1.Value.2=i+2%26x%3D&NextToken=a%2B%2F%3D"
        );
    }
}
