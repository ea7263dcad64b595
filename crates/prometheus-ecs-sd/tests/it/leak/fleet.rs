//! A fleet of which nothing lasts, and which at each hour's end is as large as an hour before. The simulated AWS
//! forgets what is over a few minutes later.

use std::collections::{BTreeMap, BTreeSet};

use ecs_simulator::{
    Aws, Call, ContainerDefinition, Delivery, HostKind, Placement, Region, Response, Run, TaskDefinition,
};

use crate::simulated::REGION;

/// After so many minutes everything is as at the beginning, but for names and numbers.
pub(super) const CYCLE: u32 = 60;

const STEADY: &str = "steady";
const TASKS: u32 = 100;
/// Besides these there are some each minute whose definition and container instance AWS does not know any more.
const DOOMED: u32 = 20;
/// How long in minutes; so is everything here.
const A_TASK_LIVES: u32 = 5;
const A_TASK_IS_DESCRIBED: u32 = 2;
const A_DEFINITION_IS_DESCRIBED: u32 = 10;
const A_CLUSTER_LIVES: u32 = 10;
const A_HOST_IS_REPLACED: u32 = 15;
const HOSTS: [HostKind; 4] = [HostKind::Ec2, HostKind::External, HostKind::ManagedInstances, HostKind::Ec2];

pub(super) struct Fleet {
    aws: Aws,
    minute: u32,
    /// Container instances, in the order of their kinds.
    hosts: Vec<String>,
    /// By number.
    tasks: BTreeMap<u32, String>,
    stopped: Vec<(u32, String)>,
}

/// What running tasks consist of and depend on, by ARN or id.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) tasks: BTreeSet<String>,
    pub(super) definitions: BTreeSet<String>,
    pub(super) container_instances: BTreeSet<String>,
    pub(super) hosts: BTreeSet<String>,
}

impl Fleet {
    pub(super) fn new(aws: Aws) -> Self {
        let launch = |region: &mut Region| HOSTS.map(|kind| region.launch_host(STEADY, kind)).to_vec();
        let hosts = aws.change(|world| launch(world.own(REGION)));
        Self { aws, minute: 0, hosts, tasks: BTreeMap::new(), stopped: Vec::new() }
    }

    /// Lets a minute pass.
    pub(super) fn change(&mut self) {
        let (aws, minute) = (self.aws.clone(), self.minute);
        aws.change(|world| self.change_region(world.own(REGION)));
        aws.on_call(move |call| fault(minute % CYCLE, call));
        self.minute += 1;
    }

    fn change_region(&mut self, region: &mut Region) {
        let minute = self.minute;
        self.forget(region);
        let replaced = self.replace_a_host(region);
        let [fargate, bridge, doomed] =
            ["fargate", "bridge", "doomed"].map(|family| register(region, family, minute));
        for number in 0..TASKS {
            let host = (number % 2 == 1).then_some(number as usize / 2 % HOSTS.len());
            let has_its_turn = minute == 0 || number % A_TASK_LIVES == minute % A_TASK_LIVES;
            if has_its_turn || host.is_some_and(|host| replaced == Some(host)) {
                let run = match host {
                    None => Run::new(STEADY, &fargate, Placement::Fargate),
                    Some(host) => Run::new(STEADY, &bridge, Placement::On(self.hosts[host].clone())),
                };
                self.replace_task(region, number, run);
            }
        }
        for number in TASKS..TASKS + DOOMED {
            let task = self.replace_task(region, number, Run::new(STEADY, &doomed, Placement::Fargate));
            let unknown = region.ecs_arn(&format!("container-instance/{STEADY}/{minute}-{number}"));
            region.task_mut(&task).container_instance_arn = Some(unknown);
        }
        region.task_definitions.remove(&doomed);
        if minute.is_multiple_of(A_CLUSTER_LIVES) {
            replace_cluster(region, minute / A_CLUSTER_LIVES, &fargate);
        }
    }

    fn replace_task(&mut self, region: &mut Region, number: u32, run: Run) -> String {
        let new = region.run_with(run.service("web").tag("minute", &self.minute.to_string()));
        if let Some(old) = self.tasks.insert(number, new.clone()) {
            region.stop(&old);
            self.stopped.push((self.minute, old));
        }
        new
    }

    /// Returns which one.
    fn replace_a_host(&mut self, region: &mut Region) -> Option<usize> {
        if !self.minute.is_multiple_of(A_HOST_IS_REPLACED) {
            return None;
        }
        let host = (self.minute / A_HOST_IS_REPLACED) as usize % HOSTS.len();
        let old = std::mem::replace(&mut self.hosts[host], region.launch_host(STEADY, HOSTS[host]));
        let instances = &mut region.cluster(STEADY).container_instances;
        let old = instances.remove(last_part(&old)).and_then(|old| old.ec2_instance_id).unwrap();
        assert!(region.instances.remove(&old).is_some() || region.managed_nodes.remove(&old).is_some());
        Some(host)
    }

    fn forget(&mut self, region: &mut Region) {
        let minute = self.minute;
        self.stopped.retain(|(since, task)| {
            let stays = minute - since < A_TASK_IS_DESCRIBED;
            if !stays {
                region.expire(task);
            }
            stays
        });
        if let Some(old) = minute.checked_sub(A_DEFINITION_IS_DESCRIBED) {
            for family in ["fargate", "bridge"] {
                region.task_definitions.remove(&definition_arn(region, family, old));
            }
        }
    }

    /// From now on nothing changes, and every call is answered.
    pub(super) fn rest(&self) {
        self.aws.heal();
    }

    pub(super) fn used(&self) -> Used {
        self.aws.change(|world| {
            let region = world.own(REGION);
            let mut used = Used::default();
            for cluster in region.clusters.values() {
                for task in cluster.tasks.values().filter(|task| task.stopping_at.is_none()) {
                    used.tasks.insert(task.task_arn.clone());
                    let definition = region.task_definitions.get(&task.task_definition_arn);
                    used.definitions.extend(definition.map(|known| known.task_definition_arn.clone()));
                    let instance = task.container_instance_arn.as_deref().map(last_part);
                    if let Some(instance) = instance.and_then(|id| cluster.container_instances.get(id)) {
                        used.container_instances.insert(instance.container_instance_arn.clone());
                        used.hosts.extend(instance.ec2_instance_id.clone());
                    }
                }
            }
            used
        })
    }
}

fn last_part(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap()
}

fn definition_arn(region: &Region, family: &str, revision: u32) -> String {
    region.ecs_arn(&format!("task-definition/{family}:{revision}"))
}

/// As a revision that there never was, unlike `Region::register`, which takes the first that is free.
fn register(region: &mut Region, family: &str, revision: u32) -> String {
    let text = format!("revision-{revision}");
    let app = ContainerDefinition::new("app", &format!("shop/{family}:{text}"))
        .env("PROMETHEUS", "true")
        .label("revision", &text)
        .port(8080);
    let definition = TaskDefinition::new(family).tag("revision", &text).container(app);
    let definition =
        if family == "bridge" { definition.network_mode("bridge") } else { definition.fargate() };
    let arn = definition_arn(region, family, revision);
    region
        .task_definitions
        .insert(arn.clone(), TaskDefinition { task_definition_arn: arn.clone(), revision, ..definition });
    arn
}

/// The one before is deleted, and the one before that forgotten.
fn replace_cluster(region: &mut Region, number: u32, definition: &str) {
    let name = |number: u32| format!("batch-{number}");
    (0..3).for_each(|_| drop(region.run(&name(number), definition, Placement::Fargate)));
    if let Some(before) = number.checked_sub(1) {
        region.delete_cluster(&name(before));
    }
    if let Some(old) = number.checked_sub(2) {
        region.clusters.remove(&name(old));
    }
}

/// What goes wrong in a minute.
fn fault(minute: u32, call: &Call) -> Option<Response> {
    match (minute, &*call.operation) {
        (5, _) => Some(Response::throttled(call)),
        (15, "DescribeTaskDefinition") => Some(Response::server_error(call)),
        (25, "ListTasks") => Some(Response::denied(call)),
        (35, _) => Some(Response { delivery: Delivery::Stalled, ..Response::unavailable(call) }),
        (45, "DescribeInstances" | "DescribeInstanceInformation") => Some(Response::connection_refused()),
        (55, "DescribeTasks") => Some(Response::server_error(call)),
        _ => None,
    }
}
