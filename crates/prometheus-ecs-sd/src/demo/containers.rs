//! The fleet's containers, as far as Prometheus sees them: something that answers at each address and port
//! where a container runtime would have made it reachable.
//!
//! It looks at the simulated world as Docker would, not at what discovery makes of it: a wrong target is down.

use std::collections::BTreeSet;
use std::collections::btree_map::{BTreeMap, Entry};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use ecs_simulator::{Aws, Container, Region, TaskDefinition};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::fleet::REGION;

/// How soon a container that starts answers.
const LOOKED_AFTER_EVERY: Duration = Duration::from_millis(200);

/// Listens wherever a container of the fleet does, for ever. Fails where an address cannot be listened at.
pub async fn answer(aws: Aws) -> std::io::Result<()> {
    let mut listening: BTreeMap<SocketAddr, oneshot::Sender<()>> = BTreeMap::new();
    loop {
        let wanted = aws.change(|world| sockets(world.own(REGION)));
        // Dropping the sender ends the server.
        listening.retain(|socket, _| wanted.contains(socket));
        for socket in wanted {
            if let Entry::Vacant(vacant) = listening.entry(socket) {
                let listener = TcpListener::bind(socket).await.map_err(|error| explained(socket, &error))?;
                vacant.insert(serve(listener));
            }
        }
        sleep(LOOKED_AFTER_EVERY).await;
    }
}

fn explained(socket: SocketAddr, error: &std::io::Error) -> std::io::Error {
    std::io::Error::other(format!(
        "cannot listen at {socket}: {error}; the demo needs the addresses 127.0.0.0/8 to itself, as Linux has them"
    ))
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
        instances.map(|one| (&*one.container_instance_arn, &one.ec2_instance_id)).collect();
    let address_of = |instance_arn: &str| -> Option<IpAddr> {
        let id = hosts.get(instance_arn)?.as_ref()?;
        let ec2 = region.instances.get(id).and_then(|instance| instance.private_ip_address.as_ref());
        let node = region.managed_nodes.get(id).and_then(|node| node.ip_address.as_ref());
        ec2.or(node)?.parse().ok()
    };
    let tasks = region.clusters.values().flat_map(|cluster| cluster.tasks.values());
    let running = tasks.filter(|task| ["RUNNING", "DEACTIVATING"].contains(&task.last_status.as_str()));
    running
        .filter_map(|task| Some((task, region.task_definitions.get(&task.task_definition_arn)?)))
        .flat_map(|(task, definition)| {
            let host = task.container_instance_arn.as_deref().and_then(address_of);
            task.containers.iter().flat_map(move |container| reachable(definition, container, host))
        })
        .collect()
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
