//! Tasks and their containers, as DescribeTasks answers them.

use std::net::{Ipv4Addr, Ipv6Addr};

use aws_sdk_ecs::types;
use ecs_discovery::arn::{ContainerArn, ContainerInstanceArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::model::{Container, LaunchType, NetworkBinding, NetworkInterface, Settings, Status, Task};

use super::{exact, parsed, ports, present, protocol, settings, tags};

/// The attachment of an `awsvpc` task; other types are volumes, load balancers, Service Connect.
const NETWORK_INTERFACE: &str = "ElasticNetworkInterface";

/// `None` where the task or its definition has no ARN to name it by.
pub(super) fn task(task: types::Task, asked: &[TaskArn]) -> Option<Task> {
    let arn = task.task_arn?;
    let known = asked.iter().find(|known| known.as_str() == arn).cloned();
    let overrides = task.overrides.and_then(|overrides| overrides.container_overrides).unwrap_or_default();
    Some(Task {
        arn: known.or_else(|| parsed(TaskArn::parse(&arn)))?,
        definition: parsed(TaskDefinitionArn::parse(&task.task_definition_arn.unwrap_or_default()))?,
        launch_type: task.launch_type.and_then(|launch_type| LaunchType::parse(launch_type.as_str())),
        capacity_provider: present(task.capacity_provider_name),
        group: present(task.group),
        started_by: present(task.started_by),
        availability_zone: present(task.availability_zone),
        desired_status: status(task.desired_status),
        last_status: status(task.last_status),
        health_status: health(task.health_status),
        platform_family: present(task.platform_family),
        platform_version: present(task.platform_version),
        container_instance: present(task.container_instance_arn)
            .and_then(|arn| parsed(ContainerInstanceArn::parse(&arn))),
        network_interface: network_interface(task.attachments.unwrap_or_default()),
        containers: exact(task.containers.unwrap_or_default().into_iter().filter_map(container)),
        overrides: exact(overrides.into_iter().filter_map(container_override)),
        tags: tags(task.tags),
    })
}

fn container(container: types::Container) -> Option<Container> {
    let interfaces = container.network_interfaces.unwrap_or_default();
    let bindings = container.network_bindings.unwrap_or_default();
    Some(Container {
        name: present(container.name)?,
        arn: container.container_arn.and_then(|arn| ContainerArn::parse(&arn).ok()),
        image: present(container.image),
        runtime_id: present(container.runtime_id),
        last_status: status(container.last_status),
        health_status: health(container.health_status),
        private_ipv4: interfaces
            .iter()
            .find_map(|interface| interface.private_ipv4_address()?.parse::<Ipv4Addr>().ok()),
        ipv6: interfaces.iter().find_map(|interface| interface.ipv6_address()?.parse::<Ipv6Addr>().ok()),
        network_bindings: exact(bindings.into_iter().filter_map(network_binding)),
    })
}

/// `None` where the binding leads to no host port: it is not bound yet, or of a kind not known.
fn network_binding(binding: types::NetworkBinding) -> Option<NetworkBinding> {
    let container_ports = ports(binding.container_port_range(), binding.container_port)?;
    let host_ports = ports(binding.host_port_range(), binding.host_port)?;
    let same_length = host_ports.last - host_ports.first == container_ports.last - container_ports.first;
    same_length.then(|| NetworkBinding {
        bind_ip: binding.bind_ip().and_then(|address| address.parse().ok()),
        protocol: protocol(binding.protocol()),
        container_ports,
        host_ports,
    })
}

/// A deleted interface keeps its old address in the record, so one that is not deleted is preferred.
fn network_interface(attachments: Vec<types::Attachment>) -> Option<NetworkInterface> {
    let interfaces =
        || attachments.iter().filter(|attachment| attachment.r#type() == Some(NETWORK_INTERFACE));
    let interface = interfaces()
        .find(|attachment| attachment.status() != Some("DELETED"))
        .or_else(|| interfaces().next())?;
    let detail = |name: &str| {
        let detail = interface.details().iter().find(|detail| detail.name() == Some(name));
        detail.and_then(|detail| detail.value()).filter(|value| !value.is_empty())
    };
    Some(NetworkInterface {
        subnet_id: detail("subnetId").map(Into::into),
        private_ipv4: detail("privateIPv4Address").and_then(|address| address.parse().ok()),
    })
}

fn container_override(over: types::ContainerOverride) -> Option<(Box<str>, Settings)> {
    let settings = settings(over.environment);
    if settings.is_empty() { None } else { Some((present(over.name)?, settings)) }
}

fn status(status: Option<String>) -> Status {
    Status::from(status.as_deref().unwrap_or_default())
}

fn health(status: Option<types::HealthStatus>) -> Option<Box<str>> {
    present(status.map(|status| status.as_str().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::{Attachment, ContainerOverride, KeyValuePair, TaskOverride, TransportProtocol};
    use ecs_discovery::conventions::Variable;
    use ecs_discovery::model::{PortRange, Protocol};

    const ARN: &str = "arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e";
    const DEFINITION: &str = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";

    fn pair(name: &str, value: &str) -> KeyValuePair {
        KeyValuePair::builder().name(name).value(value).build()
    }

    fn bare() -> types::builders::TaskBuilder {
        types::Task::builder().task_arn(ARN).task_definition_arn(DEFINITION)
    }

    fn converted(builder: types::builders::TaskBuilder) -> Task {
        task(builder.build(), &[]).expect("a task")
    }

    #[test]
    fn a_task_may_say_nothing_but_its_arns() {
        let expected = Task {
            arn: TaskArn::parse(ARN).expect("a task"),
            definition: TaskDefinitionArn::parse(DEFINITION).expect("a definition"),
            launch_type: None,
            capacity_provider: None,
            group: None,
            started_by: None,
            availability_zone: None,
            desired_status: Status::Other("".into()),
            last_status: Status::Other("".into()),
            health_status: None,
            platform_family: None,
            platform_version: None,
            container_instance: None,
            network_interface: None,
            containers: Vec::new(),
            overrides: Vec::new(),
            tags: Vec::new(),
        };
        assert_eq!(converted(bare()), expected);
        let empty = bare().launch_type("".into()).group("").set_containers(Some(Vec::new()));
        assert_eq!(
            converted(empty.container_instance_arn("").overrides(TaskOverride::builder().build())),
            expected
        );
        assert_eq!(task(types::Task::builder().build(), &[]), None);
        assert_eq!(task(types::Task::builder().task_arn(ARN).build(), &[]), None);
        assert_eq!(task(types::Task::builder().task_definition_arn(DEFINITION).build(), &[]), None);
        assert_eq!(task(bare().task_arn("nonsense").build(), &[]), None);
    }

    #[test]
    fn values_unknown_to_the_sdk_are_kept() {
        let task = converted(
            bare()
                .launch_type("LUNAR".into())
                .last_status("WAITING")
                .desired_status("RUNNING")
                .health_status("TIRED".into()),
        );
        assert_eq!(task.launch_type, Some(LaunchType::Other("LUNAR".into())));
        assert_eq!(
            (task.last_status, task.desired_status),
            (Status::Other("WAITING".into()), Status::Running)
        );
        assert_eq!(task.health_status.as_deref(), Some("TIRED"));
    }

    #[test]
    fn containers_are_read_with_their_addresses() {
        let interface = |v4: &str, v6: &str| {
            types::NetworkInterface::builder().private_ipv4_address(v4).ipv6_address(v6).build()
        };
        let task = converted(
            bare()
                .containers(
                    types::Container::builder()
                        .name("web")
                        .container_arn("arn:aws:ecs:eu-west-1:123456789012:container/prod/0f1e/c1")
                        .network_interfaces(interface("", "2001:db8::7"))
                        .network_interfaces(interface("10.0.0.7", ""))
                        .build(),
                )
                .containers(types::Container::builder().name("odd").container_arn(DEFINITION).build())
                .containers(types::Container::builder().image("nameless").build()),
        );
        let [web, odd] = &task.containers[..] else { panic!("{:?}", task.containers) };
        assert_eq!(web.arn.as_ref().map(ContainerArn::last_part), Some("c1"));
        assert_eq!(web.private_ipv4, Some([10, 0, 0, 7].into()));
        assert_eq!(web.ipv6, "2001:db8::7".parse().ok());
        assert_eq!((odd.arn.as_ref(), odd.private_ipv4, odd.ipv6), (None, None, None));
    }

    #[test]
    fn bindings_lead_from_container_ports_to_host_ports_or_are_left_out() {
        let binding = types::NetworkBinding::builder;
        let one = PortRange::one;
        let range = |first, last| PortRange { first, last };
        for (binding, expected) in [
            (binding().container_port(80).host_port(32768), Some((one(80), one(32768)))),
            (
                binding().container_port_range("80-90").host_port_range("100-110"),
                Some((range(80, 90), range(100, 110))),
            ),
            (binding().container_port_range("80").host_port(100), Some((one(80), one(100)))),
            (binding().container_port_range("80-90").host_port_range("100-109"), None),
            (binding().container_port_range("90-80").host_port_range("100-110"), None),
            (binding().container_port(80), None),
            (binding().container_port(80).host_port(0), None),
            (binding().container_port(80).host_port(70000), None),
            (binding().container_port(-1).host_port(80), None),
            (binding().host_port(80), None),
            (binding(), None),
        ] {
            let found = network_binding(binding.build());
            assert_eq!(found.map(|binding| (binding.container_ports, binding.host_ports)), expected);
        }
        let full = binding().container_port(80).host_port(81).protocol(TransportProtocol::Udp).bind_ip("::");
        let full = network_binding(full.build()).expect("a binding");
        assert_eq!((full.protocol, full.bind_ip), (Protocol::Udp, "::".parse().ok()));
        let odd = binding().container_port(80).host_port(81).protocol("sctp".into()).bind_ip("everywhere");
        let odd = network_binding(odd.build()).expect("a binding");
        assert_eq!((odd.protocol, odd.bind_ip), (Protocol::Udp, None));
    }

    #[test]
    fn the_interface_that_is_not_deleted_is_taken() {
        let attachment = |kind: &str, status: &str, address: &str| {
            Attachment::builder()
                .r#type(kind)
                .status(status)
                .details(pair("subnetId", "subnet-1"))
                .details(pair("privateIPv4Address", address))
                .details(KeyValuePair::builder().build())
                .build()
        };
        let old = || attachment(NETWORK_INTERFACE, "DELETED", "10.0.0.1");
        let new = || attachment(NETWORK_INTERFACE, "ATTACHED", "10.0.0.2");
        let volume = || attachment("AmazonElasticBlockStorage", "ATTACHED", "10.0.0.3");
        for (attachments, expected) in [
            (vec![volume(), old(), new()], Some([10, 0, 0, 2].into())),
            (vec![old(), volume()], Some([10, 0, 0, 1].into())),
            (vec![attachment(NETWORK_INTERFACE, "PRECREATED", "")], None),
        ] {
            let interface = network_interface(attachments).expect("an interface");
            assert_eq!(
                (interface.private_ipv4, interface.subnet_id.as_deref()),
                (expected, Some("subnet-1"))
            );
        }
        assert_eq!(network_interface(vec![volume()]), None);
        let bare = Attachment::builder().r#type(NETWORK_INTERFACE).build();
        assert_eq!(network_interface(vec![bare]), Some(NetworkInterface::default()));
    }

    #[test]
    fn overrides_keep_the_conventions_variables_and_nothing_else() {
        let over = |name: &str| ContainerOverride::builder().name(name);
        let overrides = TaskOverride::builder()
            .container_overrides(
                over("web")
                    .environment(pair("PASSWORD", "hunter2"))
                    .environment(pair("PROMETHEUS", "true"))
                    .build(),
            )
            .container_overrides(over("db").environment(pair("PASSWORD", "hunter2")).build())
            .container_overrides(over("idle").build())
            .container_overrides(ContainerOverride::builder().environment(pair("PROMETHEUS", "true")).build())
            .build();
        let task = converted(bare().overrides(overrides));
        let [(name, settings)] = &task.overrides[..] else { panic!("{:?}", task.overrides) };
        assert_eq!((&**name, settings.value(Variable::Prometheus)), ("web", Some("true")));
        assert!(!format!("{task:?}").contains("hunter2"));
    }
}
