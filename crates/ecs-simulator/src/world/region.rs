//! One region of one account: clusters, definitions and machines, and the ways to add to them and to find them.

use std::collections::BTreeMap;

use super::cluster::{ArnForm, Cluster};
use super::definition::TaskDefinition;
use super::events::{Emission, Rule};
use super::host::{ContainerInstance, Instance, ManagedNode};
use super::ids::Ids;
use super::lifecycle::Unattached;
use super::network::Network;
use super::partition;
use super::queue::Queue;
use super::service::Service;
use super::task::Task;

/// 2026-01-01T00:00:00Z, when every region begins.
pub(crate) const BEGINNING: f64 = 1_767_225_600.0;

/// One region of one account.
#[derive(Clone, Debug, PartialEq)]
pub struct Region {
    /// The account's id.
    pub account_id: String,
    /// Such as `eu-central-1`.
    pub name: String,
    /// By name; deleted ones stay as INACTIVE.
    pub clusters: BTreeMap<String, Cluster>,
    /// By ARN.
    pub task_definitions: BTreeMap<String, TaskDefinition>,
    /// Definitions of managed daemons by ARN, which DescribeTaskDefinition does not serve.
    pub daemon_task_definitions: BTreeMap<String, TaskDefinition>,
    /// EC2 instances by id.
    pub instances: BTreeMap<String, Instance>,
    /// Machines that SSM manages, by id.
    pub managed_nodes: BTreeMap<String, ManagedNode>,
    /// SQS queues by name.
    pub queues: BTreeMap<String, Queue>,
    /// Rules for events, by name.
    pub rules: BTreeMap<String, Rule>,
    /// Epoch seconds; each step in a task's or host's life takes a quarter of a second.
    pub now: f64,
    /// Interfaces of tasks that are still PROVISIONING, by task id.
    pub(super) unattached: BTreeMap<String, Unattached>,
    pub(crate) emissions: Vec<Emission>,
    pub(super) network: Network,
    pub(super) ids: Ids,
}

impl Region {
    pub(crate) fn new(seed: u64, account: &str, name: &str, block: u8) -> Self {
        let mut ids = Ids::new(seed, &format!("{account}/{name}"));
        let network = Network::new(name, block, &mut ids);
        Self {
            account_id: account.to_owned(),
            name: name.to_owned(),
            clusters: BTreeMap::new(),
            task_definitions: BTreeMap::new(),
            daemon_task_definitions: BTreeMap::new(),
            instances: BTreeMap::new(),
            managed_nodes: BTreeMap::new(),
            queues: BTreeMap::new(),
            rules: BTreeMap::new(),
            now: BEGINNING,
            unattached: BTreeMap::new(),
            emissions: Vec::new(),
            network,
            ids,
        }
    }

    /// The ARN of an ECS resource of this region.
    pub fn ecs_arn(&self, resource: &str) -> String {
        format!("arn:{}:ecs:{}:{}:{resource}", partition(&self.name), self.name, self.account_id)
    }

    /// The cluster with this name, made on first use.
    pub fn cluster(&mut self, name: &str) -> &mut Cluster {
        let arn = self.ecs_arn(&format!("cluster/{name}"));
        self.clusters.entry(name.to_owned()).or_insert_with(|| Cluster {
            cluster_arn: arn,
            cluster_name: name.to_owned(),
            status: "ACTIVE".to_owned(),
            capacity_providers: vec!["FARGATE".to_owned(), "FARGATE_SPOT".to_owned()],
            ..Cluster::default()
        })
    }

    /// The service of a cluster with this name, made on first use.
    pub fn service(&mut self, cluster: &str, name: &str) -> &mut Service {
        self.cluster(cluster).services.entry(name.to_owned()).or_default()
    }

    /// Stops all tasks of a cluster and deletes it: it leaves the listing, and describing it says INACTIVE.
    pub fn delete_cluster(&mut self, name: &str) {
        let tasks: Vec<_> = self.cluster(name).tasks.values().map(|task| task.task_arn.clone()).collect();
        tasks.iter().for_each(|task| self.stop(task));
        let cluster = self.cluster(name);
        cluster.status = "INACTIVE".to_owned();
        cluster.tasks.clear();
        cluster.container_instances.clear();
    }

    /// Registers a definition as the next revision of its family and returns its ARN.
    pub fn register(&mut self, definition: TaskDefinition) -> String {
        let definition = self.revision(definition, "task-definition");
        let arn = definition.task_definition_arn.clone();
        self.task_definitions.insert(arn.clone(), definition);
        arn
    }

    /// Registers the definition of a managed daemon, which runs on managed instances only, and returns its ARN.
    pub fn register_daemon(&mut self, definition: TaskDefinition) -> String {
        let definition = self.revision(definition, "daemon-task-definition");
        let arn = definition.task_definition_arn.clone();
        self.daemon_task_definitions.insert(arn.clone(), definition);
        arn
    }

    fn revision(&self, mut definition: TaskDefinition, resource: &str) -> TaskDefinition {
        let registered = match resource {
            "task-definition" => &self.task_definitions,
            _ => &self.daemon_task_definitions,
        };
        // Revisions are found by probing upward: ARNs sort `:10` before `:9`, so the last entry is not the newest.
        let arn = |revision: u32| self.ecs_arn(&format!("{resource}/{}:{revision}", definition.family));
        let revision = (1..).find(|revision| !registered.contains_key(&arn(*revision))).unwrap_or(u32::MAX);
        definition.task_definition_arn = arn(revision);
        definition.revision = revision;
        definition
    }

    /// The task with this ARN, in either form.
    ///
    /// # Panics
    /// When there is none.
    pub fn task(&self, task_arn: &str) -> &Task {
        let id = last_part(task_arn);
        let found = candidates(&self.clusters, task_arn).find_map(|cluster| cluster.tasks.get(id));
        found.unwrap_or_else(|| panic!("no task {task_arn} in {}", self.name))
    }

    /// The task with this ARN, to bend it.
    ///
    /// # Panics
    /// When there is none.
    pub fn task_mut(&mut self, task_arn: &str) -> &mut Task {
        let found = holder(&mut self.clusters, task_arn)
            .and_then(|cluster| cluster.tasks.get_mut(last_part(task_arn)));
        found.unwrap_or_else(|| panic!("no task {task_arn} in {}", self.name))
    }

    /// The container instance with this ARN.
    ///
    /// # Panics
    /// When there is none.
    pub fn container_instance(&self, arn: &str) -> &ContainerInstance {
        let id = last_part(arn);
        let found = candidates(&self.clusters, arn).find_map(|cluster| cluster.container_instances.get(id));
        found.unwrap_or_else(|| panic!("no container instance {arn} in {}", self.name))
    }

    /// The container instance with this ARN, to bend it.
    ///
    /// # Panics
    /// When there is none.
    pub fn container_instance_mut(&mut self, arn: &str) -> &mut ContainerInstance {
        let id = last_part(arn);
        let found = self.clusters.values_mut().find_map(|cluster| cluster.container_instances.get_mut(id));
        found.unwrap_or_else(|| panic!("no container instance {arn} in {}", self.name))
    }

    /// The EC2 instance behind a container instance, to bend it.
    ///
    /// # Panics
    /// When there is none, as for external ones.
    pub fn instance_of(&mut self, container_instance_arn: &str) -> &mut Instance {
        let id = self.container_instance(container_instance_arn).ec2_instance_id.clone().unwrap_or_default();
        self.instances.get_mut(&id).unwrap_or_else(|| panic!("no EC2 instance {id:?}"))
    }

    /// A quarter of a second passes; the time it is then.
    pub(super) fn tick(&mut self) -> f64 {
        self.now += 0.25;
        self.now
    }

    /// The ARN of a new resource of a cluster in the cluster's form: `KIND/CLUSTER/ID` or `KIND/ID`.
    pub(crate) fn arn_in(&self, cluster: &str, kind: &str, id: &str) -> String {
        match self.clusters.get(cluster).map(|cluster| cluster.arn_form) {
            Some(ArnForm::Short) => self.ecs_arn(&format!("{kind}/{id}")),
            _ => self.ecs_arn(&format!("{kind}/{cluster}/{id}")),
        }
    }
}

/// The clusters to look in for what an ARN names: the one it names first, if it is of the long form.
fn candidates<'a>(clusters: &'a BTreeMap<String, Cluster>, arn: &str) -> impl Iterator<Item = &'a Cluster> {
    let named = arn.rsplit('/').nth(1).and_then(|name| clusters.get(name));
    named.into_iter().chain(clusters.values())
}

/// The cluster that has the task with this ARN.
pub(super) fn holder<'a>(
    clusters: &'a mut BTreeMap<String, Cluster>,
    task_arn: &str,
) -> Option<&'a mut Cluster> {
    let id = last_part(task_arn);
    let name =
        candidates(clusters, task_arn).find(|cluster| cluster.tasks.contains_key(id))?.cluster_name.clone();
    clusters.get_mut(&name)
}

/// The id at an ARN's end, whatever its form.
pub(crate) fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
