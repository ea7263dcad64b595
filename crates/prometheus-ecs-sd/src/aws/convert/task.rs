//! Tasks and their containers, as DescribeTasks answers them and as events describe them.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ecs_discovery::arn::{ContainerArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::model::{
    Container, LaunchType, Names, NetworkBinding, NetworkInterface, Settings, Status, Task,
};

use super::{Kept, exact, parsed, ports, present, protocol, said, tags};
use crate::aws::json::{List, Text, items, text};
use crate::aws::wire;

/// The attachment of an `awsvpc` task, in answers and in events; other types are volumes, load balancers, Service Connect.
const NETWORK_INTERFACE: [&str; 2] = ["ElasticNetworkInterface", "eni"];

/// `None` where the task or its definition has no ARN to name it by, and where nothing is said of how the task is: it stays
/// as it was then. A `known` ARN is shared.
pub(super) fn task(task: wire::Task<'_>, known: &HashMap<&str, &TaskArn>, names: &Names) -> Option<Task> {
    let arn = task.task_arn?;
    if task.containers.is_none() || task.desired_status.is_none() || task.last_status.is_none() {
        return None;
    }
    let known = known.get(arn.as_ref()).copied().cloned();
    let overrides = task.overrides.and_then(|overrides| overrides.container_overrides);
    let mut kept = Kept::new(names);
    // Nothing proves that a task without them has none.
    kept.has_dropped = overrides.is_none();
    Some(Task {
        arn: known.or_else(|| parsed(TaskArn::parse(arn.as_ref())))?,
        definition: parsed(TaskDefinitionArn::parse(text(&task.task_definition_arn).unwrap_or_default()))?,
        launch_type: text(&task.launch_type).and_then(LaunchType::parse),
        capacity_provider: present(text(&task.capacity_provider_name)),
        group: present(text(&task.group)),
        started_by: present(text(&task.started_by)),
        availability_zone: present(text(&task.availability_zone)),
        desired_status: status(&task.desired_status),
        last_status: status(&task.last_status),
        health_status: present(text(&task.health_status)),
        platform_family: present(text(&task.platform_family)),
        platform_version: present(text(&task.platform_version)),
        container_instance: said(text(&task.container_instance_arn))
            .and_then(|arn| parsed(ContainerInstanceArn::parse(arn))),
        network_interface: network_interface(task.attachments),
        containers: exact(items(task.containers).filter_map(container)),
        overrides: exact(items(overrides).filter_map(|one| container_override(one, &mut kept))),
        tags: tags(task.tags),
        names: kept.names(),
    })
}

fn container(container: wire::Container<'_>) -> Option<Container> {
    let interfaces = container.network_interfaces.unwrap_or_default();
    let interfaces = || interfaces.iter().flatten();
    Some(Container {
        name: present(text(&container.name))?,
        arn: text(&container.container_arn).and_then(|arn| ContainerArn::parse(arn).ok()),
        image: present(text(&container.image)),
        runtime_id: present(text(&container.runtime_id)),
        last_status: status(&container.last_status),
        health_status: present(text(&container.health_status)),
        private_ipv4: interfaces()
            .find_map(|interface| text(&interface.private_ipv4_address)?.parse::<Ipv4Addr>().ok()),
        ipv6: interfaces().find_map(|interface| text(&interface.ipv6_address)?.parse::<Ipv6Addr>().ok()),
        network_bindings: exact(items(container.network_bindings).filter_map(network_binding)),
    })
}

/// `None` where the binding leads to no host port: it is not bound yet, or of a kind not known.
fn network_binding(binding: wire::NetworkBinding<'_>) -> Option<NetworkBinding> {
    let container_ports = ports(text(&binding.container_port_range), binding.container_port)?;
    let host_ports = ports(text(&binding.host_port_range), binding.host_port)?;
    let same_length = host_ports.last - host_ports.first == container_ports.last - container_ports.first;
    same_length.then(|| NetworkBinding {
        bind_ip: text(&binding.bind_ip).and_then(|address| address.parse().ok()),
        protocol: protocol(text(&binding.protocol)),
        container_ports,
        host_ports,
    })
}

/// A deleted interface keeps its old address in the record, so one that is not deleted is preferred.
fn network_interface(attachments: List<wire::Attachment<'_>>) -> Option<NetworkInterface> {
    let attachments = attachments.unwrap_or_default();
    let interfaces = || {
        let is_interface = |kind: &str| NETWORK_INTERFACE.contains(&kind);
        attachments
            .iter()
            .flatten()
            .filter(move |attachment| text(&attachment.kind).is_some_and(is_interface))
    };
    let interface = interfaces()
        .find(|attachment| text(&attachment.status) != Some("DELETED"))
        .or_else(|| interfaces().next())?;
    let detail = |name: &str| {
        let mut details = interface.details.iter().flatten().flatten();
        said(details.find(|detail| text(&detail.name) == Some(name)).and_then(|detail| text(&detail.value)))
    };
    Some(NetworkInterface {
        subnet_id: detail("subnetId").map(Into::into),
        private_ipv4: detail("privateIPv4Address").and_then(|address| address.parse().ok()),
        private_dns_name: detail("privateDnsName").map(Into::into),
    })
}

/// By the container's name.
fn container_override<N>(over: wire::ContainerOverride<'_>, kept: &mut Kept<'_>) -> Option<(N, Settings)>
where
    N: for<'a> From<&'a str>,
{
    let environment = over.environment.unwrap_or_default();
    let settings =
        kept.settings(environment.iter().flatten().map(|pair| (text(&pair.name), text(&pair.value))));
    if settings.is_empty() { None } else { Some((present(text(&over.name))?, settings)) }
}

fn status(status: &Option<Text<'_>>) -> Status {
    Status::from(text(status).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecs_discovery::model::{PortRange, Protocol};
    use ecs_discovery::variable::Variable;
    use serde_json::{Value, json};

    const ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e";
    const DEFINITION: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";

    /// What becomes of a task of which DescribeTasks says this.
    fn read(said: &Value) -> Option<Task> {
        let said = said.to_string();
        let said = serde_json::from_str(&said).expect("a task of DescribeTasks");
        task(said, &HashMap::new(), &Names::default())
    }

    /// The least that a task is known by.
    fn least() -> Value {
        json!({
            "taskArn": ARN, "taskDefinitionArn": DEFINITION,
            "desiredStatus": "RUNNING", "lastStatus": "PENDING", "containers": [],
        })
    }

    /// The same, where it says that and `more`.
    fn converted(more: Value) -> Task {
        let mut said = least();
        let more = more.as_object().expect("fields").clone();
        said.as_object_mut().expect("fields").extend(more);
        read(&said).expect("a task")
    }

    fn pair(name: &str, value: &str) -> Value {
        json!({"name": name, "value": value})
    }

    #[test]
    fn a_task_may_say_nothing_but_what_it_is_and_how() {
        let expected = Task {
            arn: TaskArn::parse(ARN).expect("a task"),
            definition: TaskDefinitionArn::parse(DEFINITION).expect("a definition"),
            launch_type: None,
            capacity_provider: None,
            group: None,
            started_by: None,
            availability_zone: None,
            desired_status: Status::Running,
            last_status: Status::Pending,
            health_status: None,
            platform_family: None,
            platform_version: None,
            container_instance: None,
            network_interface: None,
            containers: Vec::new(),
            overrides: Vec::new(),
            tags: Vec::new(),
            names: Names::default(),
        };
        assert_eq!(converted(json!({})), expected);
        // With a list of overrides, it is known that there are no others.
        let none = converted(json!({"overrides": {"containerOverrides": [{"name": "web"}]}}));
        assert_eq!(none, Task { names: Names::all(), ..expected.clone() });
        let empty = json!({
            "launchType": "", "group": "", "containers": [], "containerInstanceArn": "", "overrides": {},
        });
        assert_eq!(converted(empty), expected);
        let null = json!({
            "launchType": null, "group": null, "healthStatus": null,
            "attachments": [null], "containerInstanceArn": null, "overrides": {"containerOverrides": null},
            "tags": [null, {"key": null, "value": null}], "notYetInvented": [{}],
        });
        assert_eq!(converted(null), expected);
        for field in ["taskArn", "taskDefinitionArn", "desiredStatus", "lastStatus", "containers"] {
            let mut said = least();
            said[field] = Value::Null;
            assert_eq!(read(&said), None, "{field}");
        }
        assert_eq!(read(&json!({})), None);
    }

    #[test]
    fn a_task_is_named_as_it_was_asked_for() {
        let arns = ["0f1e", "2a3b"].map(|id| TaskArn::parse(&ARN.replace("0f1e", id)).expect("a task"));
        let asked = arns.iter().map(|arn| (arn.as_str(), arn)).collect();
        for arn in &arns {
            let mut said = least();
            said["taskArn"] = arn.as_str().into();
            let said = said.to_string();
            let said = serde_json::from_str(&said).expect("a task of DescribeTasks");
            let task = task(said, &asked, &Names::default());
            assert!(std::ptr::eq(task.expect("a task").arn.as_str(), arn.as_str()), "{arn} is kept twice");
        }
    }

    #[test]
    fn values_unknown_to_the_sdk_are_kept() {
        let task = converted(json!({
            "launchType": "LUNAR", "lastStatus": "WAITING", "desiredStatus": "RUNNING", "healthStatus": "TIRED",
        }));
        assert_eq!(task.launch_type, Some(LaunchType::Other("LUNAR".into())));
        assert_eq!(
            (task.last_status, task.desired_status),
            (Status::Other("WAITING".into()), Status::Running)
        );
        assert_eq!(task.health_status.as_deref(), Some("TIRED"));
    }

    #[test]
    fn containers_are_read_with_their_addresses() {
        let task = converted(json!({"containers": [
            {
                "name": "web",
                "containerArn": "arn:aws:ecs:eu-west-1:123456789012:container/prod/0f1e/c1",
                "networkInterfaces": [
                    null,
                    {"privateIpv4Address": "", "ipv6Address": "2001:db8::7"},
                    {"privateIpv4Address": "10.0.0.7", "ipv6Address": ""},
                ],
            },
            {"name": "odd", "containerArn": DEFINITION},
            {"image": "nameless"},
        ]}));
        let [web, odd] = &task.containers[..] else { panic!("{:?}", task.containers) };
        assert_eq!(web.arn.as_ref().map(ContainerArn::last_part), Some("c1"));
        assert_eq!(web.private_ipv4, Some([10, 0, 0, 7].into()));
        assert_eq!(web.ipv6, "2001:db8::7".parse().ok());
        assert_eq!((odd.arn.as_ref(), odd.private_ipv4, odd.ipv6), (None, None, None));
    }

    #[test]
    fn bindings_lead_from_container_ports_to_host_ports_or_are_left_out() {
        let read = |said: Value| {
            let said = said.to_string();
            network_binding(serde_json::from_str(&said).expect("a binding of DescribeTasks"))
        };
        let one = PortRange::one;
        let range = |first, last| PortRange { first, last };
        for (binding, expected) in [
            (json!({"containerPort": 80, "hostPort": 32768}), Some((one(80), one(32768)))),
            (
                json!({"containerPortRange": "80-90", "hostPortRange": "100-110"}),
                Some((range(80, 90), range(100, 110))),
            ),
            (json!({"containerPortRange": "80", "hostPort": 100}), Some((one(80), one(100)))),
            (json!({"containerPortRange": "80-90", "hostPortRange": "100-109"}), None),
            (json!({"containerPortRange": "90-80", "hostPortRange": "100-110"}), None),
            (json!({"containerPort": 80}), None),
            (json!({"containerPort": 80, "hostPort": 0}), None),
            (json!({"containerPort": 80, "hostPort": 70000}), None),
            (json!({"containerPort": -1, "hostPort": 80}), None),
            (json!({"hostPort": 80}), None),
            (json!({}), None),
        ] {
            let found = read(binding);
            assert_eq!(found.map(|binding| (binding.container_ports, binding.host_ports)), expected);
        }
        let full = read(json!({"containerPort": 80, "hostPort": 81, "protocol": "udp", "bindIP": "::"}));
        let full = full.expect("a binding");
        assert_eq!((full.protocol, full.bind_ip), (Protocol::Udp, "::".parse().ok()));
        let odd =
            read(json!({"containerPort": 80, "hostPort": 81, "protocol": "sctp", "bindIP": "everywhere"}));
        let odd = odd.expect("a binding");
        assert_eq!((odd.protocol, odd.bind_ip), (Protocol::Udp, None));
    }

    #[test]
    fn the_interface_that_is_not_deleted_is_taken() {
        let attachment = |kind: &str, status: &str, address: &str| {
            let name = pair("privateDnsName", &format!("ip-{address}.ec2.internal"));
            let details =
                [pair("subnetId", "subnet-1"), pair("privateIPv4Address", address), name, json!({})];
            json!({"type": kind, "status": status, "details": details})
        };
        let read = |attachments: Vec<Value>| {
            let said = json!(attachments).to_string();
            network_interface(serde_json::from_str(&said).expect("attachments of DescribeTasks"))
        };
        let old = || attachment(NETWORK_INTERFACE[0], "DELETED", "10.0.0.1");
        let new = || attachment(NETWORK_INTERFACE[0], "ATTACHED", "10.0.0.2");
        let volume = || attachment("AmazonElasticBlockStorage", "ATTACHED", "10.0.0.3");
        for (attachments, expected) in [
            (vec![volume(), old(), new()], Some(Ipv4Addr::from([10, 0, 0, 2]))),
            (vec![old(), volume()], Some(Ipv4Addr::from([10, 0, 0, 1]))),
            (vec![attachment(NETWORK_INTERFACE[0], "PRECREATED", "")], None),
        ] {
            let interface = read(attachments).expect("an interface");
            assert_eq!(
                (interface.private_ipv4, interface.subnet_id.as_deref()),
                (expected, Some("subnet-1"))
            );
            let address = expected.map_or_else(String::new, |address| address.to_string());
            let name = format!("ip-{address}.ec2.internal");
            assert_eq!(interface.private_dns_name.as_deref(), Some(&*name));
        }
        assert_eq!(read(vec![volume()]), None);
        assert_eq!(read(vec![json!({"type": NETWORK_INTERFACE[0]})]), Some(NetworkInterface::default()));
    }

    #[test]
    fn overrides_keep_the_conventions_variables_and_nothing_else() {
        let task = converted(json!({"overrides": {"containerOverrides": [
            {"name": "web", "environment": [pair("PASSWORD", "hunter2"), pair("PROMETHEUS", "true")]},
            {"name": "db", "environment": [pair("PASSWORD", "hunter2")]},
            {"name": "idle"},
            {"environment": [pair("PROMETHEUS", "true")]},
        ]}}));
        let [(name, settings)] = &task.overrides[..] else { panic!("{:?}", task.overrides) };
        assert_eq!((&**name, settings.value(Variable::Prometheus)), ("web", Some("true")));
        assert!(!format!("{task:?}").contains("hunter2"));
    }
}
