//! The fleet's containers for Prometheus: a server at each address and port where a container runtime would make a
//! container reachable.
//!
//! It reads the simulated world as Docker would, not the discovered targets: a wrong target is down.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use ecs_simulator::{Aws, Container, ContainerInstance, Region, TaskDefinition};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::warn;

use super::fleet::{Fleet, REGION};
use super::ports::Reserved;

/// The time until a starting container answers.
const LOOKED_AFTER_EVERY: Duration = Duration::from_millis(200);

/// The containers of a fleet that currently listen.
#[derive(Debug)]
pub struct Containers {
    aws: Aws,
    reserved: Reserved,
    listening: BTreeMap<SocketAddr, oneshot::Sender<()>>,
    /// Sockets at which a container should listen and cannot.
    failed: BTreeSet<SocketAddr>,
}

impl Containers {
    /// Listens at the sockets of the fleet's containers. Fails if one cannot be used.
    pub fn listen(fleet: &Fleet) -> io::Result<Self> {
        let (aws, reserved) = (fleet.aws().clone(), fleet.reserved().clone());
        let mut containers = Self { aws, reserved, listening: BTreeMap::new(), failed: BTreeSet::new() };
        match containers.follow().pop() {
            None => Ok(containers),
            Some((socket, error)) => {
                let advice = match error.kind() {
                    io::ErrorKind::AddrInUse => "another program now listens there; start the demo again",
                    _ => "the demo requires the addresses 127.0.0.0/8, which Linux provides",
                };
                Err(io::Error::other(format!("cannot listen at {socket}: {error}; {advice}")))
            }
        }
    }

    /// Follows the starts and stops of containers until the program ends. If another program listens at a socket, the
    /// target is that program's, and the demo continues.
    pub async fn run(mut self) {
        loop {
            sleep(LOOKED_AFTER_EVERY).await;
            for (socket, error) in self.follow() {
                warn!(%socket, %error, "a container cannot listen; end the other program that listens there");
            }
        }
    }

    /// Returns the sockets at which it cannot listen, once for each container.
    fn follow(&mut self) -> Vec<(SocketAddr, io::Error)> {
        let wanted = self.aws.change(|world| sockets(world.own(REGION)));
        // Dropping the sender ends the server.
        self.listening.retain(|socket, _| wanted.contains(socket));
        self.failed.retain(|socket| wanted.contains(socket));
        let mut failures = Vec::new();
        for socket in wanted {
            if let Entry::Vacant(vacant) = self.listening.entry(socket) {
                match self.reserved.take(socket).and_then(TcpListener::from_std) {
                    Ok(listener) => drop(vacant.insert(serve(listener))),
                    Err(error) if self.failed.insert(socket) => failures.push((socket, error)),
                    Err(_) => {}
                }
            }
        }
        failures
    }
}

fn serve(listener: TcpListener) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let requests = Arc::new(AtomicU64::new(0));
    let router = Router::new().fallback(move || metrics(requests.clone()));
    let server = axum::serve(listener, router).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    tokio::spawn(async { server.await });
    stop
}

async fn metrics(requests: Arc<AtomicU64>) -> impl IntoResponse {
    let count = requests.fetch_add(1, Ordering::Relaxed) + 1;
    let body = format!(
        "# HELP demo_scrapes_total Scrapes that this simulated container has answered.\n\
         # TYPE demo_scrapes_total counter\n\
         demo_scrapes_total {count}\n"
    );
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body)
}

/// Every address and TCP port at which a container of the region can be reached.
fn sockets(region: &Region) -> BTreeSet<SocketAddr> {
    let instances = region.clusters.values().flat_map(|cluster| cluster.container_instances.values());
    let hosts: BTreeMap<_, _> =
        instances.map(|one| (&*one.container_instance_arn, address_of(region, one))).collect();
    let tasks = region.clusters.values().flat_map(|cluster| cluster.tasks.values());
    let running = tasks.filter(|task| ["RUNNING", "DEACTIVATING"].contains(&task.last_status.as_str()));
    running
        .filter_map(|task| Some((task, region.task_definitions.get(&task.task_definition_arn)?)))
        .flat_map(|(task, definition)| {
            let host = task.container_instance_arn.as_deref().and_then(|arn| *hosts.get(arn)?);
            task.containers.iter().flat_map(move |container| reachable(definition, container, host))
        })
        .collect()
}

/// The address of a container instance's host.
pub(super) fn address_of(region: &Region, instance: &ContainerInstance) -> Option<IpAddr> {
    let id = instance.ec2_instance_id.as_ref()?;
    let ec2 = region.instances.get(id).and_then(|instance| instance.private_ip_address.as_ref());
    let node = region.managed_nodes.get(id).and_then(|node| node.ip_address.as_ref());
    ec2.or(node)?.parse().ok()
}

fn reachable(definition: &TaskDefinition, container: &Container, host: Option<IpAddr>) -> Vec<SocketAddr> {
    let own =
        container.network_interfaces.iter().find_map(|one| one.private_ipv4_address.as_ref()?.parse().ok());
    let mapped = || {
        let definition = definition.container_definitions.iter().find(|one| one.name == container.name);
        definition.into_iter().flat_map(|one| &one.port_mappings).filter_map(|mapping| mapping.container_port)
    };
    match (definition.network_mode.as_deref(), own, host) {
        (Some("awsvpc"), Some(address), _) | (Some("host"), _, Some(address)) => {
            mapped().map(|port| SocketAddr::new(address, port)).collect()
        }
        (Some("bridge"), _, Some(address)) => container
            .network_bindings
            .iter()
            .filter_map(|binding| Some(SocketAddr::new(address, binding.host_port?)))
            .collect(),
        _ => Vec::new(),
    }
}
