//! The fleet: services in every network mode and on every launch type. Some tasks are replaced periodically. Hosts and
//! network interfaces have addresses of 127.0.0.0/8, so that the demo can listen at them.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use ecs_simulator::{
    Aws, ContainerDefinition, Host, HostKind, OWN_ACCOUNT, Placement, PortMapping, Region, Run,
    TaskDefinition, World,
};
use tokio::time::sleep;

use super::containers::address_of;
use super::ports::{Ports, Reserved};

/// The region of the fleet.
pub const REGION: &str = "eu-central-1";

/// The name of the queue of events.
const EVENTS: &str = "events";

/// The ARN of the queue that the fleet's events are delivered to.
pub fn event_queue() -> String {
    format!("arn:aws:sqs:{REGION}:{OWN_ACCOUNT}:{EVENTS}")
}

const PRODUCTION: &str = "production";
const EDGE: &str = "edge";

/// The ports of the fleet's containers, unless another program on this machine uses them.
pub const PORTS: [u16; 5] = [6379, 8080, 9100, 9102, 9115];

/// The number of dynamic ports of a host that are reserved before a task starts there: more than any task uses.
const RESERVED_PORTS: usize = 8;

/// The time that a task stays in each status of its start.
const STEP: Duration = Duration::from_secs(1);

/// A service whose tasks are replaced.
#[derive(Clone, Debug)]
struct Service {
    name: &'static str,
    definition: String,
    placements: Vec<Placement>,
    tasks: Vec<String>,
}

/// The fleet, with the parts that change it.
#[derive(Debug)]
pub struct Fleet {
    aws: Aws,
    services: Vec<Service>,
    addresses: Addresses,
    reserved: Reserved,
    turn: usize,
}

/// Assigns addresses of network interfaces, each once.
#[derive(Debug)]
struct Addresses(u16);

impl Addresses {
    fn next(&mut self) -> String {
        self.0 = self.0.checked_add(1).unwrap_or(1);
        let [high, low] = self.0.to_be_bytes();
        Ipv4Addr::new(127, 20, high, low).to_string()
    }
}

impl Fleet {
    /// Starts the fleet: every task is RUNNING, with these ports for [the default ones](PORTS).
    pub fn start(ports: &Ports) -> Self {
        let mut world = World::new(1);
        let (mut addresses, reserved) = (Addresses(0), Reserved::default());
        let services = populate(world.own(REGION), &mut addresses, ports, &reserved);
        let queue = world.own(REGION).create_queue(EVENTS);
        world.own(REGION).route_events(&queue);
        Self { aws: Aws::new(world), services, addresses, reserved, turn: 0 }
    }

    /// The simulated AWS of the fleet.
    pub fn aws(&self) -> &Aws {
        &self.aws
    }

    /// The sockets of its next tasks.
    pub fn reserved(&self) -> &Reserved {
        &self.reserved
    }

    /// Replaces one task every `period`, until the program ends. An old task still answers for `grace` after its stop
    /// was requested.
    pub async fn churn(mut self, period: Duration, grace: Duration) {
        loop {
            sleep(period).await;
            self.replace_one(grace).await;
        }
    }

    async fn replace_one(&mut self, grace: Duration) {
        let count = self.services.len();
        let service = &mut self.services[self.turn % count];
        let position = self.turn / count % service.tasks.len();
        self.turn += 1;
        let placement = service.placements[position % service.placements.len()].clone();
        let run = task_of(service.name, &service.definition, placement, &mut self.addresses);
        let new = self.aws.change(|world| {
            reserve_ports(world.own(REGION), &self.reserved);
            world.own(REGION).start(run)
        });
        while self.aws.change(|world| world.own(REGION).task(&new).last_status != "RUNNING") {
            sleep(STEP).await;
            self.aws.change(|world| world.own(REGION).advance(&new));
        }
        let old = std::mem::replace(&mut service.tasks[position], new);
        self.aws.change(|world| world.own(REGION).begin_stop(&old));
        sleep(grace).await;
        self.aws.change(|world| {
            world.own(REGION).stop(&old);
            world.own(REGION).expire(&old);
        });
    }
}

fn task_of(service: &str, definition: &str, placement: Placement, addresses: &mut Addresses) -> Run {
    Run::new(PRODUCTION, definition, placement).service(service).ipv4(&addresses.next()).tag("team", service)
}

/// Sets the next dynamic ports of the hosts to ports that are free on this machine, and reserves them.
fn reserve_ports(region: &mut Region, reserved: &Reserved) {
    let instances = region.clusters.values().flat_map(|cluster| cluster.container_instances.values());
    let addresses: BTreeMap<_, _> = instances
        .filter_map(|instance| Some((instance.container_instance_arn.clone(), address_of(region, instance)?)))
        .collect();
    let instances = region.clusters.values_mut().flat_map(|cluster| cluster.container_instances.values_mut());
    for instance in instances {
        let Some(address) = addresses.get(&instance.container_instance_arn) else { continue };
        let (mut free, mut port) = (0, instance.next_port);
        while free < RESERVED_PORTS {
            let is_used = instance.ports.contains(&port);
            if !is_used && reserved.bind(SocketAddr::new(*address, port)) {
                free += 1;
            } else {
                instance.ports.insert(port);
            }
            let Some(next) = port.checked_add(1) else { break };
            port = next;
        }
    }
}

/// Builds the fleet; returns the services whose tasks are replaced.
fn populate(
    region: &mut Region,
    addresses: &mut Addresses,
    ports: &Ports,
    reserved: &Reserved,
) -> Vec<Service> {
    let host = |region: &mut Region, cluster: &str, kind, address: &str| {
        region.launch(Host::new(cluster, kind).private_ip(address).tag("Name", address))
    };
    let hosts: Vec<_> = ["127.10.0.1", "127.10.0.2"]
        .map(|address| Placement::On(host(region, PRODUCTION, HostKind::Ec2, address)))
        .into();
    let external = Placement::On(host(region, EDGE, HostKind::External, "127.30.0.1"));
    let managed = Placement::On(host(region, EDGE, HostKind::ManagedInstances, "127.40.0.1"));
    reserve_ports(region, reserved);

    let mut replaced = Vec::new();
    for (name, definition, placements) in [
        ("web", web(ports), vec![Placement::Fargate; 3]),
        ("checkout", checkout(), hosts.clone()),
        ("billing", billing(ports), vec![hosts[0].clone()]),
    ] {
        let definition = region.register(definition);
        let tasks = placements
            .iter()
            .map(|placement| region.run_with(task_of(name, &definition, placement.clone(), addresses)))
            .collect();
        replaced.push(Service { name, definition, placements, tasks });
    }
    for (cluster, definition, placements) in [
        (PRODUCTION, node_exporter(ports), hosts.clone()),
        (PRODUCTION, blackbox_exporter(ports), vec![hosts[1].clone()]),
        (PRODUCTION, report(), vec![hosts[1].clone()]),
        (PRODUCTION, legacy(), vec![hosts[0].clone()]),
        (EDGE, sensor(), vec![external]),
        (EDGE, cache(ports), vec![managed]),
    ] {
        let service = definition.family.clone();
        let definition = region.register(definition);
        for placement in placements {
            region.run_with(Run::new(cluster, &definition, placement).service(&service));
        }
    }
    replaced
}

fn app(name: &str, endpoint: &str) -> ContainerDefinition {
    ContainerDefinition::new("app", &format!("demo/{name}:1"))
        .env("PROMETHEUS", "true")
        .env("PROMETHEUS_ENDPOINT", endpoint)
}

/// `awsvpc` on Fargate, two endpoints in one container.
fn web(ports: &Ports) -> TaskDefinition {
    let (port, admin) = (ports.of(8080), ports.of(9102));
    let app = app("web", &format!("15s:/metrics,1m:{admin}/admin/metrics"));
    TaskDefinition::new("web").fargate().container(app.port(port).port(admin)).tag("stage", "demo")
}

/// `bridge` with ports that Docker chooses.
fn checkout() -> TaskDefinition {
    let app = app("checkout", "30s:/metrics").env("PROMETHEUS_CONTAINER_PORT", "9090").port(8080).port(9090);
    let sidecar =
        ContainerDefinition::new("sidecar", "demo/sidecar:1").label("PROMETHEUS", "true").port(9200);
    TaskDefinition::new("checkout").network_mode("bridge").container(app).container(sidecar)
}

/// `awsvpc` on an EC2 host, default endpoint.
fn billing(ports: &Ports) -> TaskDefinition {
    let app = ContainerDefinition::new("app", "demo/billing:1").env("PROMETHEUS", "true");
    TaskDefinition::new("billing")
        .network_mode("awsvpc")
        .container(app.env("PROMETHEUS_TAGS", ",team=billing,").port(ports.of(8080)))
}

/// `host`, the same port on each host.
fn node_exporter(ports: &Ports) -> TaskDefinition {
    TaskDefinition::new("node-exporter")
        .network_mode("host")
        .container(app("node-exporter", "30s:/metrics").port(ports.of(9100)))
}

/// A target without labels of ECS.
fn blackbox_exporter(ports: &Ports) -> TaskDefinition {
    let app = app("blackbox-exporter", "5m:/probe?module=http_2xx&target=example.test")
        .env("PROMETHEUS_NOLABELS", "true");
    TaskDefinition::new("blackbox-exporter")
        .network_mode("bridge")
        .container(app.mapping(PortMapping::tcp(9115).on_host(ports.of(9115))))
}

/// Opted in, but unreachable.
fn report() -> TaskDefinition {
    TaskDefinition::new("report").network_mode("none").container(app("report", "5m:/metrics"))
}

/// Opted in, with a port that it does not map.
fn legacy() -> TaskDefinition {
    let app = app("legacy", "/metrics").env("PROMETHEUS_CONTAINER_PORT", "9999").port(8080);
    TaskDefinition::new("legacy").network_mode("bridge").container(app)
}

/// `bridge` on an external machine, by ECS Anywhere.
fn sensor() -> TaskDefinition {
    TaskDefinition::new("sensor").network_mode("bridge").container(app("sensor", "5m:/metrics").port(8080))
}

/// `host` on an ECS managed instance.
fn cache(ports: &Ports) -> TaskDefinition {
    TaskDefinition::new("cache")
        .network_mode("host")
        .container(app("cache", "15s:/metrics").port(ports.of(6379)))
}
