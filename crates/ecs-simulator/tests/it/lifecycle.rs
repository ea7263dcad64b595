//! What a task shows at each step of its life, by network mode.

use ecs_simulator::{
    Addresses, Aws, ContainerDefinition, HostKind, Injected, Placement, PortMapping, Run, TaskDefinition,
    World,
};
use serde_json::{Value, json};

use crate::{REGION, ecs, register};

fn listed(aws: &Aws, desired_status: &str) -> usize {
    let (_, body) = ecs(aws, "ListTasks", json!({"cluster": "c", "desiredStatus": desired_status}));
    body["taskArns"].as_array().map_or(0, Vec::len)
}

fn described(aws: &Aws, arn: &str) -> Value {
    ecs(aws, "DescribeTasks", json!({"cluster": "c", "tasks": [arn]})).1["tasks"][0].clone()
}

#[test]
fn facts_of_a_starting_task_appear_step_by_step() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = register(region);
    let arn = region.start(Run::new("c", &definition, Placement::Fargate));
    let aws = Aws::new(world);
    let mut seen = Vec::new();
    for _ in 0..5 {
        let task = described(&aws, &arn);
        let container = &task["containers"][0];
        seen.push(format!(
            "{} v{} {} details, address {}, container {}, runtime id {}",
            task["lastStatus"].as_str().unwrap(),
            task["version"],
            task["attachments"][0]["details"].as_array().unwrap().len(),
            container["networkInterfaces"][0]["privateIpv4Address"],
            container["lastStatus"].as_str().unwrap(),
            container["runtimeId"].is_string(),
        ));
        aws.change(|world| world.own(REGION).advance(&arn));
    }
    assert_eq!(
        seen,
        [
            "PROVISIONING v1 1 details, address null, container PENDING, runtime id false",
            "PENDING v2 5 details, address \"10.0.0.4\", container PENDING, runtime id false",
            "ACTIVATING v3 5 details, address \"10.0.0.4\", container RUNNING, runtime id true",
            "RUNNING v4 5 details, address \"10.0.0.4\", container RUNNING, runtime id true",
            "RUNNING v4 5 details, address \"10.0.0.4\", container RUNNING, runtime id true",
        ]
    );
    assert_eq!([listed(&aws, "RUNNING"), listed(&aws, "PENDING"), listed(&aws, "STOPPED")], [1, 0, 0]);
}

#[test]
fn a_stopped_task_leaves_the_listing_stays_describable_and_expires() {
    let (aws, arns) = crate::fargate(1);
    aws.change(|world| world.own(REGION).begin_stop(&arns[0]));
    assert_eq!([listed(&aws, "RUNNING"), listed(&aws, "STOPPED")], [0, 1]);
    // AWS lists tasks that are to run, if nothing is said.
    assert_eq!(ecs(&aws, "ListTasks", json!({"cluster": "c"})).1["taskArns"], json!([]));
    assert_eq!(described(&aws, &arns[0])["containers"][0]["lastStatus"], "RUNNING");
    aws.change(|world| world.own(REGION).stop(&arns[0]));
    let task = described(&aws, &arns[0]);
    assert_eq!([&task["desiredStatus"], &task["lastStatus"]], ["STOPPED", "STOPPED"]);
    assert_eq!(task["attachments"][0]["status"], "DELETED");
    aws.change(|world| world.own(REGION).expire(&arns[0]));
    assert_eq!(described(&aws, &arns[0]), Value::Null);
    assert_eq!(listed(&aws, "STOPPED"), 0);
}

#[test]
fn bridge_ports_are_bound_on_both_families_and_unique_on_a_host() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let app = ContainerDefinition::new("app", "app:1")
        .port(8080)
        .mapping(PortMapping::udp(53).on_host(5353))
        .mapping(PortMapping::range(7000, 7002));
    let definition = region.register(TaskDefinition::new("app").network_mode("bridge").container(app));
    let host = region.launch_host("c", HostKind::Ec2);
    let [first, second] = [0, 1].map(|_| region.run("c", &definition, Placement::On(host.clone())));
    let aws = Aws::new(world);
    let both = |binding: Value| {
        ["0.0.0.0", "::"].map(|ip| {
            let mut binding = binding.clone();
            binding["bindIP"] = json!(ip);
            binding
        })
    };
    let expected = [
        both(json!({"containerPort": 8080, "hostPort": 32768, "protocol": "tcp"})),
        both(json!({"containerPort": 53, "hostPort": 5353, "protocol": "udp"})),
        both(json!({"containerPortRange": "7000-7002", "hostPortRange": "32769-32771", "protocol": "tcp"})),
    ];
    assert_eq!(described(&aws, &first)["containers"][0]["networkBindings"], json!(expected.concat()));
    assert_eq!(described(&aws, &second)["containers"][0]["networkBindings"][0]["hostPort"], 32772);
    aws.change(|world| world.own(REGION).stop(&first));
    let ports = aws.change(|world| world.own(REGION).container_instance(&host).ports.clone());
    assert!(!ports.contains(&32768) && ports.contains(&32772));
}

#[test]
fn host_and_awsvpc_tasks_have_no_bindings() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let host = region.launch_host("c", HostKind::Ec2);
    for mode in ["host", "awsvpc", "none"] {
        let app = ContainerDefinition::new("app", "app:1").port(8080);
        let definition = region.register(TaskDefinition::new(mode).network_mode(mode).container(app));
        let task = region.run("c", &definition, Placement::On(host.clone()));
        let container = &region.task(&task).containers[0];
        assert!(container.network_bindings.is_empty());
        assert_eq!(container.network_interfaces.len(), usize::from(mode == "awsvpc"));
    }
}

#[test]
fn an_ipv6_only_task_has_no_ipv4_anywhere() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = register(region);
    let task = region.run_with(Run::new("c", &definition, Placement::Fargate).addresses(Addresses::Ipv6));
    let aws = Aws::new(world);
    let task = described(&aws, &task);
    let interface = &task["containers"][0]["networkInterfaces"][0];
    assert_eq!(
        [&interface["privateIpv4Address"], &interface["ipv6Address"]],
        [&Value::Null, &json!("2600:1f18:0:8a00::1")]
    );
    assert!(!task.to_string().contains("IPv4"));
}

#[test]
fn injected_containers_are_named_by_no_definition() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let definition = register(region);
    let run = Run::new("c", &definition, Placement::Fargate);
    let arn = region.run_with(run.inject(Injected::ServiceConnect).inject(Injected::GuardDuty));
    let task = region.task(&arn);
    let running =
        task.containers.iter().filter(|container| container.last_status.as_deref() == Some("RUNNING"));
    assert_eq!(running.count(), 3);
    let kinds: Vec<_> = task.attachments.iter().map(|attachment| attachment.kind.as_str()).collect();
    assert_eq!(kinds, ["ElasticNetworkInterface", "Service Connect"]);
}
