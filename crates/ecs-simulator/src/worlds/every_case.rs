//! A fixed small world with every case of the contract between a task definition's author and a scraper: each way to opt in,
//! each endpoint's spelling, each network mode and launch type, each reason why a container yields no target. Families
//! are named after what they show, and each builder says what should come of it.
//!
//! Account 111111111111 has the cluster `production` with long ARNs, `legacy` with short ones, `empty`, and a deleted one in
//! `eu-central-1`, and `default` in `us-east-1`. [`PARTNER_ACCOUNT`] has the cluster `partner`, reached through [`PARTNER_ROLE`].

mod addresses;
mod endpoints;
mod opting_in;
mod ports;
mod states;
mod surroundings;

use crate::world::World;
use crate::world::definition::{ContainerDefinition, TaskDefinition};
use crate::world::host::{Host, HostKind};
use crate::world::region::Region;
use crate::world::run::{Placement, Run};

/// The second account.
pub const PARTNER_ACCOUNT: &str = "222222222222";
/// The role that reaches it.
pub const PARTNER_ROLE: &str = "arn:aws:iam::222222222222:role/prometheus";
/// What AssumeRole must give with it.
pub const PARTNER_EXTERNAL_ID: &str = "every-case";

/// The cluster of all cases that are not about clusters.
const CLUSTER: &str = "production";

/// The world of every case.
pub fn every_case() -> World {
    let mut world = World::new(7);
    world.allow_role(PARTNER_ROLE, Some(PARTNER_EXTERNAL_ID));
    let mut stage = Stage::new(world.own("eu-central-1"));
    opting_in::play(&mut stage);
    endpoints::play(&mut stage);
    addresses::play(&mut stage);
    ports::play(&mut stage);
    states::play(&mut stage);
    surroundings::play(&mut stage);
    surroundings::play_elsewhere(&mut world);
    world
}

/// The region where the cases play, with a host of each kind.
struct Stage<'a> {
    region: &'a mut Region,
    /// With a public and an IPv6 address and tags.
    ec2: String,
    external: String,
    managed: String,
}

impl<'a> Stage<'a> {
    fn new(region: &'a mut Region) -> Self {
        let ec2 = Host::new(CLUSTER, HostKind::Ec2)
            .private_ip("10.0.9.1")
            .public_ip("198.51.100.7")
            .ipv6("2001:db8::9:1")
            .tag("Name", "production-host")
            .tag("cost-centre", "R&D <42>");
        let ec2 = region.launch(ec2);
        let external = region.launch(Host::new(CLUSTER, HostKind::External).private_ip("192.168.7.20"));
        let managed = region.launch(Host::new(CLUSTER, HostKind::ManagedInstances).private_ip("10.0.9.3"));
        Self { region, ec2, external, managed }
    }

    /// Runs a definition on Fargate and returns the task's ARN.
    fn fargate(&mut self, definition: TaskDefinition) -> String {
        let definition = self.region.register(definition.fargate());
        self.region.run(CLUSTER, &definition, Placement::Fargate)
    }

    /// Runs a definition on a host and returns the task's ARN.
    fn on(&mut self, host: &str, definition: TaskDefinition) -> String {
        let definition = self.region.register(definition);
        self.region.run(CLUSTER, &definition, Placement::On(host.to_owned()))
    }

    /// Runs a definition on Fargate with more to say, and returns the task's ARN.
    fn run(&mut self, definition: TaskDefinition, more: impl FnOnce(Run) -> Run) -> String {
        let definition = self.region.register(definition.fargate());
        self.region.run_with(more(Run::new(CLUSTER, &definition, Placement::Fargate)))
    }
}

/// A definition with that one container.
fn family(name: &str, container: ContainerDefinition) -> TaskDefinition {
    TaskDefinition::new(name).container(container)
}

/// A container that has not opted in, with a port and with a variable that no one may see.
fn quiet(name: &str) -> ContainerDefinition {
    ContainerDefinition::new(name, &format!("example/{name}:1.0"))
        .env("DATABASE_PASSWORD", "not-for-your-eyes")
        .port(8080)
}

/// A container that has opted in, otherwise as [`quiet`].
fn scraped(name: &str) -> ContainerDefinition {
    quiet(name).env("PROMETHEUS", "true")
}

/// A container that has opted in and has no port.
fn portless(name: &str) -> ContainerDefinition {
    ContainerDefinition::new(name, &format!("example/{name}:1.0")).env("PROMETHEUS", "true")
}
