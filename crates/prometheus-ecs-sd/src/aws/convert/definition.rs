//! Task definitions in answers of DescribeTaskDefinition.

use ecs_discovery::arn::TaskDefinitionArn;
use ecs_discovery::model::{ContainerDefinition, Names, NetworkMode, PortMapping, Tags, TaskDefinition};

use super::{Kept, exact, ports, present, protocol, sorted_tags};
use crate::aws::json::{items, text};
use crate::aws::wire;

/// Under the requested name: a revision never changes, and the caller knows it by that name. `None` if the answer lacks
/// its containers: a definition is requested once, and would be cached without containers.
pub(super) fn definition(
    definition: wire::TaskDefinition<'_>,
    tags: Tags,
    asked: &TaskDefinitionArn,
    names: &Names,
) -> Option<TaskDefinition> {
    let containers = definition.container_definitions?.into_iter().flatten();
    let mut kept = Kept::new(names);
    Some(TaskDefinition {
        arn: asked.clone(),
        network_mode: text(&definition.network_mode).map_or(NetworkMode::Bridge, NetworkMode::from),
        containers: exact(containers.filter_map(|one| container(one, &mut kept))),
        tags,
        names: kept.names(),
    })
}

fn container(container: wire::ContainerDefinition<'_>, kept: &mut Kept<'_>) -> Option<ContainerDefinition> {
    let environment = container.environment.unwrap_or_default();
    let environment = environment.iter().flatten().map(|pair| (text(&pair.name), text(&pair.value)));
    let secrets = items(container.secrets);
    let labels = container.docker_labels.unwrap_or_default();
    let labels = labels.into_iter().filter(|(_, value)| value.is_some());
    Some(ContainerDefinition {
        name: present(text(&container.name))?,
        environment: kept.settings(environment),
        secrets: kept.secrets(secrets.filter_map(|secret| secret.name)),
        docker_labels: sorted_tags(labels.map(|(name, value)| (Some(name), value))),
        port_mappings: exact(items(container.port_mappings).filter_map(port_mapping)),
    })
}

fn port_mapping(mapping: wire::PortMapping<'_>) -> Option<PortMapping> {
    Some(PortMapping {
        container_ports: ports(text(&mapping.container_port_range), mapping.container_port)?,
        protocol: protocol(text(&mapping.protocol)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ecs_discovery::model::{PortRange, Protocol, Settings};
    use serde_json::{Value, json};

    fn asked() -> TaskDefinitionArn {
        let arn = "arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7";
        TaskDefinitionArn::parse(arn).expect("a definition")
    }

    fn read(said: &Value) -> Option<TaskDefinition> {
        let said = said.to_string();
        let said = serde_json::from_str(&said).expect("a definition of DescribeTaskDefinition");
        definition(said, Vec::new(), &asked(), &Names::default())
    }

    fn converted(said: Value) -> TaskDefinition {
        read(&said).expect("it has containers")
    }

    #[test]
    fn fields_of_a_definition_may_be_missing() {
        let expected = TaskDefinition {
            arn: asked(),
            network_mode: NetworkMode::Bridge,
            containers: Vec::new(),
            tags: Vec::new(),
            names: Names::all(),
        };
        assert_eq!(read(&json!({})), None);
        assert_eq!(read(&json!({"containerDefinitions": null})), None);
        let nameless = json!({"containerDefinitions": [{"image": "nginx"}, null], "networkMode": null});
        assert_eq!(converted(nameless), expected);
        let nothing = json!({
            "name": "web", "environment": null, "secrets": [null], "dockerLabels": {"a": null},
            "portMappings": [{}], "notYetInvented": {"a": [1.5]},
        });
        for bare in [json!({"name": "web"}), nothing] {
            let found = converted(json!({"networkMode": "mesh", "containerDefinitions": [bare]}));
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
    }

    #[test]
    fn only_the_conventions_variables_of_an_environment_are_kept() {
        let found = converted(json!({"containerDefinitions": [{
            "name": "web",
            "environment": [
                {"name": "PROMETHEUS", "value": "true"},
                {"name": "DATABASE_URL", "value": "postgres://hunter2"},
                {"name": "PROMETHEUS_PORT"},
                {"value": "hunter2"},
            ],
            "secrets": [
                {"name": "PROMETHEUS_TAGS", "valueFrom": "arn:secret"},
                {"name": "PASSWORD", "valueFrom": "arn:secret"},
                {"valueFrom": "arn:secret"},
            ],
            "dockerLabels": {"b": "2", "a": "1"},
        }]}));
        let [web] = &found.containers[..] else { panic!("{found:?}") };
        assert_eq!(web.environment.value("PROMETHEUS"), Some("true"));
        assert_eq!(web.environment.value("PROMETHEUS_PORT"), Some(""));
        assert!(web.has_secret("PROMETHEUS_TAGS") && web.secrets.len() == 1);
        assert_eq!(web.docker_labels, [("a".into(), "1".into()), ("b".into(), "2".into())]);
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("arn:secret"), "{shown}");
    }

    #[test]
    fn names_say_whether_a_value_was_dropped() {
        let environment = |name: &str| {
            let environment =
                json!([{"name": "PROMETHEUS", "value": "on"}, {"name": name, "value": "hunter2"}]);
            json!({"containerDefinitions": [{"name": "web", "environment": environment}]}).to_string()
        };
        let names = Names::new(["PROMETHEUS", "SHOP_*"]);
        for (name, kept) in
            [("SHOP_PORT", Some("hunter2")), ("SHOP_", None), ("SHOP", None), ("PASSWORD", None)]
        {
            let said = environment(name);
            let said = serde_json::from_str(&said).expect("a definition of DescribeTaskDefinition");
            let found = definition(said, Vec::new(), &asked(), &names).expect("it has containers");
            assert_eq!(found.containers[0].environment.value(name), kept);
            assert_eq!(found.names, if kept.is_some() { Names::all() } else { names.clone() });
            assert_eq!(format!("{found:?}").contains("hunter2"), kept.is_some());
        }
        let secret = json!({"containerDefinitions": [{"name": "web", "secrets": [{"name": "KEY"}]}]});
        assert_eq!(converted(secret).names, Names::default());
    }

    #[test]
    fn port_mappings_name_one_port_or_a_range() {
        for (mapping, expected) in [
            (json!({"containerPort": 8080}), Some((PortRange::one(8080), Protocol::Tcp))),
            (json!({"containerPort": 8.08e3, "protocol": null}), Some((PortRange::one(8080), Protocol::Tcp))),
            (
                json!({"containerPortRange": "80-90", "protocol": "udp"}),
                Some((PortRange { first: 80, last: 90 }, Protocol::Udp)),
            ),
            (json!({"containerPort": 0}), None),
            (json!({"containerPort": 1e300}), None),
            (json!({"hostPort": 80}), None),
            (json!({"containerPortRange": "a-b"}), None),
        ] {
            let found =
                converted(json!({"containerDefinitions": [{"name": "a", "portMappings": [mapping]}]}));
            let found = found.containers[0].port_mappings.first();
            assert_eq!(found.map(|mapping| (mapping.container_ports, mapping.protocol)), expected);
        }
    }
}
