//! How a change is made to the simulated world. One that nothing is there for changes nothing.

use std::collections::BTreeSet;

use ecs_simulator::{ArnForm, Host, OWN_ACCOUNT, Placement, Region, Run, Task, World};

use super::recipes::Recipe;
use super::steps::{Change, Cluster, Pick};
use crate::simulated::REGION;

pub(super) const PARTNER: &str = "222222222222";

impl Cluster {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Alpha => "alpha",
            Self::Beta => "beta",
            Self::Partner => "gamma",
        }
    }

    fn region(self, world: &mut World) -> &mut Region {
        let account = match self {
            Self::Alpha | Self::Beta => OWN_ACCOUNT,
            Self::Partner => PARTNER,
        };
        world.region(account, REGION)
    }
}

impl Change {
    pub(super) fn make(&self, world: &mut World) {
        match self {
            Self::Start { cluster, recipe, tasks, running } => {
                start(world, *cluster, recipe, *tasks, *running);
            }
            Self::Scale(pick) => with_task(world, *pick, is_wanted, |region, task| {
                region.start(like(task, &task.task_definition_arn));
            }),
            Self::Advance(pick) => with_task(world, *pick, is_on_its_way, |region, task| {
                region.advance(&task.task_arn);
            }),
            Self::AdvanceAll => {
                for cluster in Cluster::ALL {
                    let region = cluster.region(world);
                    for task in tasks(region, cluster, is_on_its_way) {
                        region.advance(&task.task_arn);
                    }
                }
            }
            Self::BeginStop(pick) => {
                with_task(world, *pick, is_wanted, |region, task| region.begin_stop(&task.task_arn));
            }
            Self::Stop(pick) => {
                with_task(world, *pick, is_not_over, |region, task| region.stop(&task.task_arn));
            }
            Self::Redeploy(pick) => with_task(world, *pick, is_wanted, redeploy),
            Self::Expire => {
                for cluster in Cluster::ALL {
                    let region = cluster.region(world);
                    for task in tasks(region, cluster, |task| !is_not_over(task)) {
                        region.expire(&task.task_arn);
                    }
                }
            }
            Self::LoseHost(pick) => lose_host(world, *pick),
            Self::Delete(cluster) => cluster.region(world).delete_cluster(cluster.name()),
            Self::Sicken(pick) => with_task(world, *pick, runs, |region, task| {
                let task = region.task_mut(&task.task_arn);
                task.health_status = Some("UNHEALTHY".to_owned());
                task.containers[0].health_status = Some("UNHEALTHY".to_owned());
            }),
            Self::Retag(pick) => with_task(world, *pick, runs, |region, task| {
                region.task_mut(&task.task_arn).tags.insert("team".to_owned(), "other".to_owned());
            }),
            Self::MoveHost(pick) => with_host(world, *pick, |region, machine| {
                // An address that no machine begins with, and that no two machines have at the same time.
                let taken = |region: &Region, address: &str| {
                    let own = region.instances.values().map(|machine| &machine.private_ip_address);
                    let nodes = region.managed_nodes.values().map(|machine| &machine.ip_address);
                    own.chain(nodes).any(|other| other.as_deref() == Some(address))
                };
                let mut free = (1..=254).map(|last| format!("172.31.7.{last}"));
                let Some(address) = free.find(|address| !taken(region, address)) else { return };
                if let Some(instance) = region.instances.get_mut(machine) {
                    instance.private_ip_address = Some(address);
                } else if let Some(node) = region.managed_nodes.get_mut(machine) {
                    node.ip_address = Some(address);
                }
            }),
            Self::RetagHost(pick) => with_host(world, *pick, |region, machine| {
                if let Some(instance) = region.instances.get_mut(machine) {
                    instance.public_ip_address = Some("192.0.2.8".to_owned());
                    instance.tags.insert("rack".to_owned(), "2".to_owned());
                }
            }),
            Self::RetagCluster(cluster) => {
                let region = cluster.region(world);
                if let Some(cluster) = region.clusters.get_mut(cluster.name()) {
                    cluster.tags.insert("stage".to_owned(), "other".to_owned());
                }
            }
            Self::RetagDefinition(pick) => with_task(world, *pick, runs, |region, task| {
                if let Some(definition) = region.task_definitions.get_mut(&task.task_definition_arn) {
                    definition.tags.insert("team".to_owned(), "definition".to_owned());
                }
            }),
            Self::StopContainer(pick) => with_task(world, *pick, runs, |region, task| {
                if let [_, .., last] = &task.containers[..] {
                    region.stop_container(&task.task_arn, &last.name);
                }
            }),
            Self::RestartContainer(pick) => with_task(world, *pick, runs, |region, task| {
                if let Some(last) = task.containers.last() {
                    region.restart_container(&task.task_arn, &last.name);
                }
            }),
        }
    }

    /// Whether it changes a known fact, and so shows only when that is requested again.
    pub(super) fn is_of_known_facts(&self) -> bool {
        let of_tasks = matches!(
            self,
            Self::Sicken(_) | Self::Retag(_) | Self::StopContainer(_) | Self::RestartContainer(_)
        );
        let of_hosts = matches!(self, Self::MoveHost(_) | Self::RetagHost(_));
        of_tasks || of_hosts || matches!(self, Self::RetagCluster(_) | Self::RetagDefinition(_))
    }
}

fn is_wanted(task: &Task) -> bool {
    task.desired_status == "RUNNING"
}

fn runs(task: &Task) -> bool {
    is_wanted(task) && task.last_status == "RUNNING"
}

fn is_not_over(task: &Task) -> bool {
    task.last_status != "STOPPED"
}

fn is_on_its_way(task: &Task) -> bool {
    is_not_over(task) && task.last_status != "RUNNING"
}

fn tasks(region: &Region, cluster: Cluster, wanted: impl Fn(&Task) -> bool) -> Vec<Task> {
    let found = region.clusters.get(cluster.name()).into_iter().flat_map(|cluster| cluster.tasks.values());
    found.filter(|task| wanted(task)).cloned().collect()
}

fn with_task(
    world: &mut World,
    pick: Pick,
    wanted: impl Fn(&Task) -> bool,
    change: impl FnOnce(&mut Region, &Task),
) {
    let all: Vec<(Cluster, Task)> = Cluster::ALL
        .into_iter()
        .flat_map(|cluster| {
            let found = tasks(cluster.region(world), cluster, &wanted);
            found.into_iter().map(move |task| (cluster, task))
        })
        .collect();
    if let Some((cluster, task)) = picked(&all, pick) {
        change(cluster.region(world), task);
    }
}

fn picked<T>(all: &[T], pick: Pick) -> Option<&T> {
    all.get(usize::from(pick).checked_rem(all.len())?)
}

fn start(world: &mut World, cluster: Cluster, recipe: &Recipe, tasks: u8, running: bool) {
    let region = cluster.region(world);
    let made = region.cluster(cluster.name());
    // Deleted ones may be made anew, under the same ARN. A cluster that is known keeps its tags: they change by
    // `RetagCluster` alone, which says how late that may be noticed.
    made.status = "ACTIVE".to_owned();
    made.tags.entry("stage".to_owned()).or_insert_with(|| cluster.name().to_owned());
    made.arn_form = if cluster == Cluster::Partner { ArnForm::Short } else { ArnForm::Long };
    let definition = region.register(recipe.definition());
    let placement = match recipe.place.host() {
        None => Placement::Fargate,
        Some(kind) => {
            let mut hosts = region.clusters[cluster.name()].container_instances.values();
            let found = hosts.find(|host| host.kind == kind && !recipe.new_host);
            let found = found.map(|host| host.container_instance_arn.clone());
            let host = Host::new(cluster.name(), kind).public_ip("192.0.2.7").tag("rack", "1");
            Placement::On(found.unwrap_or_else(|| region.launch(host)))
        }
    };
    for _ in 0..tasks {
        let run = recipe.settled(Run::new(cluster.name(), &definition, placement.clone()));
        if running {
            region.run_with(run)
        } else {
            region.start(run)
        };
    }
}

/// To run another task like this one, of that definition.
fn like(task: &Task, definition: &str) -> Run {
    let cluster = task.cluster_arn.rsplit('/').next().unwrap();
    let placement = task.container_instance_arn.clone().map_or(Placement::Fargate, Placement::On);
    let mut run = Run::new(cluster, definition, placement);
    run.group.clone_from(&task.group);
    run.started_by.clone_from(&task.started_by);
    run.tags.clone_from(&task.tags);
    run.overrides.clone_from(&task.overrides.container_overrides);
    run
}

fn redeploy(region: &mut Region, task: &Task) {
    let definition = region.task_definitions[&task.task_definition_arn].clone();
    let next = region.register(definition);
    let cluster = region.clusters.values().find(|cluster| cluster.cluster_arn == task.cluster_arn).unwrap();
    let is_old = |other: &&Task| other.task_definition_arn == task.task_definition_arn && is_wanted(other);
    let old: Vec<Task> = cluster.tasks.values().filter(is_old).cloned().collect();
    for task in &old {
        region.run_with(like(task, &next));
    }
    for task in &old {
        region.stop(&task.task_arn);
    }
}

/// The region and the id of the machine behind a container instance.
fn with_host(world: &mut World, pick: Pick, change: impl FnOnce(&mut Region, &str)) {
    let Some((cluster, id)) = picked_host(world, pick) else { return };
    let region = cluster.region(world);
    let instance = &region.clusters[cluster.name()].container_instances[&id];
    let machine = instance.ec2_instance_id.clone().unwrap();
    change(region, &machine);
}

/// The address that a machine has. It may move, and until it is requested again its new tasks are found there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Address {
    account: &'static str,
    machine: String,
    ip: Option<String>,
}

impl Address {
    /// The addresses of all machines.
    pub(super) fn all(world: &mut World) -> BTreeSet<Self> {
        let mut all = BTreeSet::new();
        for account in [OWN_ACCOUNT, PARTNER] {
            let region = world.region(account, REGION);
            let instances = region.instances.iter().map(|(id, machine)| (id, &machine.private_ip_address));
            let nodes = region.managed_nodes.iter().map(|(id, machine)| (id, &machine.ip_address));
            let addresses = instances.chain(nodes);
            all.extend(addresses.map(|(id, ip)| Self { account, machine: id.clone(), ip: ip.clone() }));
        }
        all
    }

    /// Moves the machine there.
    pub(super) fn restore(&self, world: &mut World) {
        let region = world.region(self.account, REGION);
        if let Some(instance) = region.instances.get_mut(&self.machine) {
            instance.private_ip_address.clone_from(&self.ip);
        } else if let Some(node) = region.managed_nodes.get_mut(&self.machine) {
            node.ip_address.clone_from(&self.ip);
        }
    }
}

/// The cluster and the id of a container instance.
fn picked_host(world: &mut World, pick: Pick) -> Option<(Cluster, String)> {
    let all: Vec<(Cluster, String)> = Cluster::ALL
        .into_iter()
        .flat_map(|cluster| {
            let found = cluster.region(world).clusters.get(cluster.name());
            let found = found.into_iter().flat_map(|found| found.container_instances.keys().cloned());
            found.map(|id| (cluster, id)).collect::<Vec<_>>()
        })
        .collect();
    picked(&all, pick).cloned()
}

fn lose_host(world: &mut World, pick: Pick) {
    let Some((cluster, id)) = picked_host(world, pick) else { return };
    let region = cluster.region(world);
    let host = region.clusters[cluster.name()].container_instances[&id].clone();
    let is_on_it = |task: &Task| task.container_instance_arn.as_ref() == Some(&host.container_instance_arn);
    for task in tasks(region, cluster, |task| is_on_it(task) && is_not_over(task)) {
        region.stop(&task.task_arn);
    }
    region.cluster(cluster.name()).container_instances.remove(&id);
    let machine = host.ec2_instance_id.unwrap();
    region.instances.remove(&machine);
    region.managed_nodes.remove(&machine);
}
