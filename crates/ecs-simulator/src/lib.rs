//! A small seeded AWS in memory, for tests, benchmarks and the demo. It speaks the wire formats of ECS, EC2, SSM, STS and
//! SQS as far as service discovery reads them, enforces AWS's batch and page limits, and writes every call down.
//!
//! It checks no signature but for its time, meters requests only if it is told to ([`Aws::enforce_limits`]) and knows
//! nothing of how a container asks to be scraped, but for the worlds in [`worlds`]. Two equal worlds give equal bytes.
//!
//! # A world with one bridge and one Fargate task
//!
//! ```
//! use ecs_simulator::{Aws, ContainerDefinition, HostKind, Placement, TaskDefinition, World};
//!
//! let mut world = World::new(1);
//! let region = world.own("eu-central-1");
//! let app = ContainerDefinition::new("app", "shop/app:1").port(8080).env("PROMETHEUS", "true");
//! let bridge = region.register(TaskDefinition::new("shop").network_mode("bridge").container(app.clone()));
//! let fargate = region.register(TaskDefinition::new("api").fargate().container(app));
//! let host = region.launch_host("production", HostKind::Ec2);
//! let on_host = region.run("production", &bridge, Placement::On(host));
//! let on_fargate = region.run("production", &fargate, Placement::Fargate);
//! assert_eq!(region.task(&on_host).containers[0].network_bindings[0].host_port, Some(32768));
//! assert!(region.task(&on_fargate).containers[0].network_interfaces[0].private_ipv4_address.is_some());
//!
//! let aws = Aws::new(world);
//! let http_client = aws.connector();
//! aws.change(|world| world.own("eu-central-1").stop(&on_host));
//! assert_eq!(aws.calls().to_string(), "");
//! ```
//!
//! # What there is
//!
//! - [`Aws`], the handle: `new(World)`, `change(|world| …)`, `answer(&Request) -> Response`, `answer_in_time(&Request)`, which lets a receive wait for a message, `connector()` for an SDK's
//!   `http_client`, `serve(listener)` and `serve_on_loopback()` for `AWS_ENDPOINT_URL`, `set_latency(Duration)`, `enforce_limits()`, `on_call(|call| Option<Response>)` and
//!   `on_answer(|call, &mut response|)` to break things, `on_event(|event| EventFate)` and `release_events()` to lose, double and delay events, `inject(Fault, Calls)` to break them the usual ways, `heal()`, and the ledger: `calls()`, `take_ledger()` (sums, with a
//!   `Display` of `ecs ListTasks 100` lines) and `take_calls()` (one by one).
//! - [`Fault`] and [`Calls`]: `aws.inject(Fault::CutShort, Calls::of("ListTasks").in_cluster("a").share(0.5, seed).after(3))`.
//! - [`Response`]: `throttled(&call)`, `denied`, `expired`, `server_error`, `unavailable`, `refused(&call, status, code, message)`,
//!   `connection_refused()`, and [`Delivery`] in its `delivery` field for answers that break or stall;
//!   `fields()`, `damage(field, Damage, within)` and `fail(reason, which)` for answers that say less, or otherwise.
//! - [`World`]: `new(seed)`, `own(region)`, `region(account, region)`, `allow_role(arn, external_id)`, `end_sessions()`; requests are of the account whose
//!   access key signed them, [`OWN_ACCESS_KEY`] or a role's.
//! - [`Region`]: `cluster(name)`, `delete_cluster(name)`, `service(cluster, name)`, `register(TaskDefinition) -> arn`, `register_daemon`,
//!   `launch_host(cluster, HostKind) -> arn`, `launch(Host) -> arn`, `run(cluster, definition, Placement) -> arn`, `run_with(Run) -> arn`,
//!   `start(Run) -> arn` (at PROVISIONING), `advance(task)`, `begin_stop(task)`, `stop(task)`, `expire(task)`, and `task(arn)`, `task_mut(arn)`,
//!   `begin_spot_stop(task)`, `stop_container(task, name)`, `restart_container(task, name)`, `change_task(task, |task| …)`,
//!   `terminate_host(arn)`, `route_events(queue_arn) -> &mut Rule`, `heartbeat()`, `create_queue(name) -> arn`, `queue(name)`, `delete_queue(name)`, `container_instance(arn)`, `container_instance_mut(arn)`, `instance_of(container_instance)` to look and to bend.

mod aws;
mod call;
mod connector;
mod event_delivery;
mod faults;
mod http;
mod limits;
mod long_poll;
mod server;
mod wire;
mod world;
pub mod worlds;

pub use aws::Aws;
pub use call::{Call, Count, Ledger, Outcome};
pub use event_delivery::{Event, EventFate};
pub use faults::answers::Damage;
pub use faults::{Calls, Fault};
pub use http::{Delivery, Request, Response};
pub use limits::{LIMITS, Limit, least_seconds};
pub use world::cluster::{ArnForm, Cluster};
pub use world::definition::{ContainerDefinition, PortMapping, TaskDefinition};
pub use world::events::Rule;
pub use world::host::{ContainerInstance, Host, HostKind, Instance, ManagedNode};
pub use world::queue::Queue;
pub use world::region::Region;
pub use world::run::{Addresses, Injected, Placement, Run};
pub use world::service::Service;
pub use world::task::{
    Attachment, Container, ContainerOverride, NetworkBinding, NetworkInterface, Task, TaskOverride,
};
pub use world::{Account, Clock, OWN_ACCESS_KEY, OWN_ACCOUNT, OWN_SECRET_KEY, Role, World};
