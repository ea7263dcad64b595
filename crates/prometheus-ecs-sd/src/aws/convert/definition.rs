//! Task definitions, as DescribeTaskDefinition answers them.

use aws_sdk_ecs::types;
use ecs_discovery::arn::TaskDefinitionArn;
use ecs_discovery::conventions::Variable;
use ecs_discovery::model::{ContainerDefinition, NetworkMode, PortMapping, Tags, TaskDefinition};

use super::{exact, ports, present, protocol, settings};

/// Named as it was asked for: a revision never changes, and the caller knows it by that name. `None` where nothing is said of
/// its containers: it is asked for once, and would be kept as one that has none.
pub(super) fn definition(
    definition: types::TaskDefinition,
    tags: Tags,
    asked: &TaskDefinitionArn,
) -> Option<TaskDefinition> {
    let containers = definition.container_definitions?;
    Some(TaskDefinition {
        arn: asked.clone(),
        network_mode: definition
            .network_mode
            .map_or(NetworkMode::Bridge, |mode| NetworkMode::from(mode.as_str())),
        containers: exact(containers.into_iter().filter_map(container)),
        tags,
    })
}

fn container(container: types::ContainerDefinition) -> Option<ContainerDefinition> {
    let secrets = container.secrets.unwrap_or_default();
    let environment = container.environment.unwrap_or_default();
    let mappings = container.port_mappings.unwrap_or_default();
    Some(ContainerDefinition {
        name: present(container.name)?,
        environment: settings(environment.iter().map(|pair| (pair.name(), pair.value()))),
        secrets: exact(secrets.iter().filter_map(|secret| Variable::named(secret.name()))),
        docker_labels: labels(container.docker_labels),
        port_mappings: exact(mappings.into_iter().filter_map(port_mapping)),
    })
}

fn labels(labels: Option<std::collections::HashMap<String, String>>) -> Tags {
    super::sorted_tags(labels.unwrap_or_default().into_iter().map(|(name, value)| (Some(name), Some(value))))
}

fn port_mapping(mapping: types::PortMapping) -> Option<PortMapping> {
    Some(PortMapping {
        container_ports: ports(mapping.container_port_range(), mapping.container_port)?,
        protocol: protocol(mapping.protocol().map(types::TransportProtocol::as_str)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_ecs::types::{KeyValuePair, Secret, TransportProtocol};
    use ecs_discovery::model::{PortRange, Protocol, Settings};

    fn asked() -> TaskDefinitionArn {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";
        TaskDefinitionArn::parse(arn).expect("a definition")
    }

    fn converted(builder: types::builders::TaskDefinitionBuilder) -> TaskDefinition {
        definition(builder.build(), Vec::new(), &asked()).expect("it has containers")
    }

    #[test]
    fn a_definition_may_say_little() {
        let expected = TaskDefinition {
            arn: asked(),
            network_mode: NetworkMode::Bridge,
            containers: Vec::new(),
            tags: Vec::new(),
        };
        assert_eq!(definition(types::TaskDefinition::builder().build(), Vec::new(), &asked()), None);
        let nameless = types::ContainerDefinition::builder().image("nginx").build();
        assert_eq!(converted(types::TaskDefinition::builder().container_definitions(nameless)), expected);
        let bare = types::ContainerDefinition::builder().name("web").build();
        let found = converted(
            types::TaskDefinition::builder().network_mode("mesh".into()).container_definitions(bare),
        );
        assert_eq!(found.network_mode, NetworkMode::Other("mesh".into()));
        assert_eq!(
            found.containers,
            [ContainerDefinition {
                name: "web".into(),
                environment: Settings::default(),
                secrets: Vec::new(),
                docker_labels: Vec::new(),
                port_mappings: Vec::new(),
            }]
        );
    }

    #[test]
    fn of_an_environment_only_the_conventions_variables_are_kept() {
        let pair = |name: &str, value: &str| KeyValuePair::builder().name(name).value(value).build();
        let secret =
            |name: &str| Secret::builder().name(name).value_from("arn:secret").build().expect("complete");
        let container = types::ContainerDefinition::builder()
            .name("web")
            .environment(pair("PROMETHEUS", "true"))
            .environment(pair("DATABASE_URL", "postgres://hunter2"))
            .environment(KeyValuePair::builder().name("PROMETHEUS_PORT").build())
            .environment(KeyValuePair::builder().value("hunter2").build())
            .secrets(secret("PROMETHEUS_TAGS"))
            .secrets(secret("PASSWORD"))
            .docker_labels("b", "2")
            .docker_labels("a", "1")
            .build();
        let found = converted(types::TaskDefinition::builder().container_definitions(container));
        let [web] = &found.containers[..] else { panic!("{found:?}") };
        assert_eq!(web.environment.value(Variable::Prometheus), Some("true"));
        assert_eq!(web.environment.value(Variable::Port), Some(""));
        assert_eq!(web.secrets, [Variable::Tags]);
        assert_eq!(web.docker_labels, [("a".into(), "1".into()), ("b".into(), "2".into())]);
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("arn:secret"), "{shown}");
    }

    #[test]
    fn port_mappings_name_one_port_or_a_range() {
        let mapping = types::PortMapping::builder;
        for (mapping, expected) in [
            (mapping().container_port(8080), Some((PortRange::one(8080), Protocol::Tcp))),
            (
                mapping().container_port_range("80-90").protocol(TransportProtocol::Udp),
                Some((PortRange { first: 80, last: 90 }, Protocol::Udp)),
            ),
            (mapping().container_port(0), None),
            (mapping().host_port(80), None),
            (mapping().container_port_range("a-b"), None),
        ] {
            let found = port_mapping(mapping.build());
            assert_eq!(found.map(|mapping| (mapping.container_ports, mapping.protocol)), expected);
        }
    }
}
