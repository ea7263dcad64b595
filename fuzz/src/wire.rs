//! Facts as AWS would answer them: the way back of what the program reads.

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::model::{
    Cluster, Container, ContainerDefinition, ContainerInstance, Host, Names, NetworkBinding,
    NetworkInterface, PortRange, Protocol, Service, Settings, Tags, Task, TaskDefinition,
};
use serde_json::{Value, json};

/// The names with which answers are read.
pub fn names() -> Names {
    Names::new(Names::default().iter().chain(["SHOP_*"]))
}

/// A task as it is read: each override below has a value that is dropped.
pub fn named(task: Task) -> Task {
    let names = if task.overrides.is_empty() { Names::all() } else { names() };
    Task { names, ..task }
}

/// DescribeTasks' answer.
pub fn tasks(tasks: &[Task]) -> String {
    let mut all = vec![Value::Null];
    all.extend(tasks.iter().map(task));
    json!({ "tasks": all, "failures": null }).to_string()
}

/// An event about a task.
pub fn event(cluster: &ClusterArn, task: &Task, version: u64) -> String {
    let mut detail = self::task(task);
    detail["clusterArn"] = cluster.as_str().into();
    detail["version"] = version.into();
    for attachment in detail["attachments"].as_array_mut().into_iter().flatten() {
        attachment["type"] = "eni".into();
    }
    let (source, kind) = ("aws.ecs", "ECS Task State Change");
    json!({ "version": "0", "source": source, "detail-type": kind, "resources": [], "detail": detail })
        .to_string()
}

/// A message that SNS passes on.
pub fn sns(message: &str) -> String {
    json!({ "Type": "Notification", "MessageId": "1", "Message": message }).to_string()
}

/// DescribeTasks' answer with an item of any kind between two tasks.
pub fn tasks_around(first: &Task, item: &str, last: &Task) -> String {
    let [first, last] = [first, last].map(task);
    format!(r#"{{"failures":[],"tasks":[{first},{item},{last}]}}"#)
}

/// DescribeClusters' answer.
pub fn clusters(clusters: &[Cluster]) -> String {
    let cluster = |cluster: &Cluster| {
        let tags = json_tags(&cluster.tags);
        json!({ "clusterArn": cluster.arn.as_str(), "status": "ACTIVE", "runningTasksCount": 1, "tags": tags })
    };
    json!({ "clusters": clusters.iter().map(cluster).collect::<Vec<_>>() }).to_string()
}

/// A page of a listing.
pub fn listing(list: &str, arns: &[&str], next: Option<&str>) -> String {
    json!({ list: arns, "nextToken": next }).to_string()
}

/// DescribeContainerInstances' answer.
pub fn container_instances(instances: &[ContainerInstance]) -> String {
    let instance = |instance: &ContainerInstance| {
        let id = instance.instance.as_ref().map(|id| id.as_str());
        json!({
            "containerInstanceArn": instance.arn.as_str(), "ec2InstanceId": id, "registeredAt": 1.8e9,
            "attributes": [{ "name": "ecs.os-type" }],
        })
    };
    let instances: Vec<_> = instances.iter().map(instance).collect();
    json!({ "containerInstances": instances, "failures": [] }).to_string()
}

/// DescribeServices' answer.
pub fn services(services: &[Service]) -> String {
    let service = |service: &Service| {
        json!({
            "serviceArn": service.arn.as_str(), "serviceName": service.arn.last_part(), "status": service.status.as_deref(),
            "events": [{ "message": "has reached a steady state", "createdAt": 1.8e9 }], "tags": json_tags(&service.tags),
        })
    };
    json!({ "services": services.iter().map(service).collect::<Vec<_>>(), "failures": [] }).to_string()
}

/// DescribeTaskDefinition's answer.
pub fn definition(definition: &TaskDefinition) -> String {
    let containers: Vec<_> = definition.containers.iter().map(container_definition).collect();
    json!({
        "taskDefinition": {
            "taskDefinitionArn": definition.arn.as_str(),
            "networkMode": definition.network_mode.as_str(),
            "containerDefinitions": containers,
            "registeredAt": 1.8e9,
        },
        "tags": json_tags(&definition.tags),
    })
    .to_string()
}

fn container_definition(container: &ContainerDefinition) -> Value {
    let environment = container.environment.iter().map(|(variable, value)| pair(variable, value));
    let environment: Vec<_> = environment.chain([pair("PASSWORD", "hunter2")]).collect();
    let secrets = container.secrets.iter().map(|secret| json!({ "name": **secret, "valueFrom": "hunter2" }));
    let labels =
        container.docker_labels.iter().map(|(name, value)| (name.to_string(), Value::from(&**value)));
    let port_mapping = |mapping: &ecs_discovery::model::PortMapping| {
        json!({
            "containerPort": single(mapping.container_ports).map(f64::from),
            "containerPortRange": range(mapping.container_ports),
            "hostPort": 0,
            "protocol": if mapping.protocol == Protocol::Tcp { "tcp" } else { "udp" },
        })
    };
    json!({
        "name": &*container.name,
        "environment": environment,
        "secrets": secrets.collect::<Vec<_>>(),
        "dockerLabels": labels.collect::<serde_json::Map<_, _>>(),
        "portMappings": container.port_mappings.iter().map(port_mapping).collect::<Vec<_>>(),
    })
}

fn json_tags(tags: &Tags) -> Vec<Value> {
    tags.iter().map(|(key, value)| json!({ "key": **key, "value": **value })).collect()
}

fn task(task: &Task) -> Value {
    let overrides = task.overrides.iter().map(|(name, settings)| container_override(name, settings));
    json!({
        "taskArn": task.arn.as_str(),
        "taskDefinitionArn": task.definition.as_str(),
        "launchType": task.launch_type.as_ref().map(|kind| kind.as_str()),
        "capacityProviderName": task.capacity_provider.as_deref(),
        "group": task.group.as_deref(),
        "startedBy": task.started_by.as_deref(),
        "availabilityZone": task.availability_zone.as_deref(),
        "desiredStatus": task.desired_status.as_str(),
        "lastStatus": task.last_status.as_str(),
        "healthStatus": task.health_status.as_deref(),
        "platformFamily": task.platform_family.as_deref(),
        "platformVersion": task.platform_version.as_deref(),
        "containerInstanceArn": task.container_instance.as_ref().map(|arn| arn.as_str()),
        "attachments": task.network_interface.as_ref().map(attachments),
        "containers": task.containers.iter().map(container).collect::<Vec<_>>(),
        "overrides": { "containerOverrides": overrides.collect::<Vec<_>>(), "cpu": "256" },
        "tags": json_tags(&task.tags),
        "createdAt": 1.8e9,
    })
}

fn pair(name: &str, value: &str) -> Value {
    json!({ "name": name, "value": value })
}

fn container_override(name: &str, settings: &Settings) -> Value {
    let settings = settings.iter().map(|(variable, value)| pair(variable, value));
    let environment: Vec<_> = settings.chain([pair("PASSWORD", "hunter2")]).collect();
    json!({ "name": name, "environment": environment })
}

fn attachments(interface: &NetworkInterface) -> Value {
    let subnet = interface.subnet_id.as_deref().map(|subnet| pair("subnetId", subnet));
    let address = interface.private_ipv4.map(|address| pair("privateIPv4Address", &address.to_string()));
    let name = interface.private_dns_name.as_deref().map(|name| pair("privateDnsName", name));
    let kind = "ElasticNetworkInterface";
    json!([
        { "type": kind, "status": "DELETED", "details": [pair("privateIPv4Address", "10.9.9.9")] },
        { "type": kind, "status": "ATTACHED", "details": [subnet, address, name] },
    ])
}

fn container(container: &Container) -> Value {
    json!({
        "name": &*container.name,
        "containerArn": container.arn.as_ref().map(|arn| arn.as_str()),
        "image": container.image.as_deref(),
        "runtimeId": container.runtime_id.as_deref(),
        "lastStatus": container.last_status.as_str(),
        "healthStatus": container.health_status.as_deref(),
        "networkInterfaces": [{
            "privateIpv4Address": container.private_ipv4.map(|address| address.to_string()),
            "ipv6Address": container.ipv6.map(|address| address.to_string()),
        }],
        "networkBindings": container.network_bindings.iter().map(network_binding).collect::<Vec<_>>(),
    })
}

fn single(ports: PortRange) -> Option<u16> {
    (ports.first == ports.last).then_some(ports.first)
}

fn range(ports: PortRange) -> Option<String> {
    match single(ports) {
        None => Some(format!("{}-{}", ports.first, ports.last)),
        Some(_) => None,
    }
}

fn network_binding(binding: &NetworkBinding) -> Value {
    json!({
        "bindIP": binding.bind_ip.map(|address| address.to_string()),
        "protocol": if binding.protocol == Protocol::Tcp { "tcp" } else { "udp" },
        "containerPort": single(binding.container_ports),
        "containerPortRange": range(binding.container_ports),
        "hostPort": single(binding.host_ports),
        "hostPortRange": range(binding.host_ports),
    })
}

/// EC2's DescribeInstances: each host in a reservation of its own.
pub fn ec2(hosts: &[Host], next: Option<&str>) -> String {
    let hosts: String = hosts.iter().map(reservation).collect();
    let next = element("nextToken", next);
    format!(
        "<?xml version=\"1.0\"?><DescribeInstancesResponse><reservationSet>{hosts}</reservationSet>{next}\
         </DescribeInstancesResponse>"
    )
}

fn reservation(host: &Host) -> String {
    let address = |name: &str, address: Option<std::net::Ipv4Addr>| {
        element(name, address.map(|address| address.to_string()).as_deref())
    };
    [
        "<item><groupSet/><instancesSet><item>",
        &element("instanceId", Some(host.id.as_str())),
        &address("privateIpAddress", host.private_ipv4),
        &address("ipAddress", host.public_ipv4),
        &element("privateDnsName", host.private_dns_name.as_deref()),
        &element("instanceType", host.instance_type.as_deref()),
        &element("vpcId", host.vpc_id.as_deref()),
        &element("subnetId", host.subnet_id.as_deref()),
        "<placement>",
        &element("availabilityZone", host.availability_zone.as_deref()),
        "</placement><tagSet>",
        &tags(&host.tags),
        "</tagSet><unknown><item><key>a</key></item></unknown></item></instancesSet></item>",
    ]
    .concat()
}

fn tags(tags: &Tags) -> String {
    let pairs = tags.iter().map(|(key, value)| element("key", Some(key)) + &element("value", Some(value)));
    pairs.map(|pair| format!("<item>{pair}</item>")).collect()
}

/// An element with a text in it.
pub fn element(name: &str, text: Option<&str>) -> String {
    text.map(|text| format!("<{name}>{}</{name}>", quick_xml::escape::escape(text))).unwrap_or_default()
}

/// The text without the characters that no XML document can have.
pub fn for_xml(text: &str) -> String {
    let allowed = |c: char| matches!(c, '\t' | '\n' | ' '..='\u{fffd}' | '\u{10000}'..);
    text.chars().filter(|c| allowed(*c)).collect()
}

/// Systems Manager's DescribeInstanceInformation.
pub fn ssm(hosts: &[Host], next: Option<&str>) -> String {
    let host = |host: &Host| {
        json!({
            "InstanceId": host.id.as_str(),
            "IPAddress": host.private_ipv4.map(|address| address.to_string()),
            "LastPingDateTime": 1.8e9,
            "AssociationOverview": { "InstanceAssociationStatusAggregatedCount": { "Success": 1 } },
        })
    };
    json!({ "InstanceInformationList": hosts.iter().map(host).collect::<Vec<_>>(), "NextToken": next })
        .to_string()
}
