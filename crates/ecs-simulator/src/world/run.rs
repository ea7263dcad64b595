//! How tasks come to be: what a caller says in [`Run`], and the task that ECS makes of it, at PROVISIONING.

use std::collections::BTreeMap;

use super::cluster::ArnForm;
use super::definition::{ContainerDefinition, TaskDefinition};
use super::region::Region;
use super::task::{Container, ContainerOverride, Task, TaskOverride};

/// Where a task runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// On Fargate.
    Fargate,
    /// On the container instance with this ARN.
    On(String),
}

/// Which addresses an awsvpc task's interface gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// The subnet's next IPv4.
    #[default]
    Ipv4,
    /// The subnet's next IPv4 and IPv6.
    DualStack,
    /// The subnet's next IPv6, and no IPv4.
    Ipv6,
    /// These: IPv4 and IPv6.
    Given(Option<String>, Option<String>),
}

/// A container that ECS or another service adds to a task, and that no definition names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Injected {
    /// The proxy of Service Connect, with an attachment of its own type.
    ServiceConnect,
    /// The agent of GuardDuty, whose environment shows up in the overrides.
    GuardDuty,
}

/// A task to be run; see `Region::start`.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The cluster's name.
    pub cluster: String,
    /// The definition's ARN, as `Region::register` or `Region::register_daemon` gave it.
    pub definition: String,
    /// Where it runs.
    pub placement: Placement,
    /// The service it belongs to: sets `group` and `startedBy`.
    pub service: Option<String>,
    /// `group`, when it is neither `service:…` nor `family:…`.
    pub group: Option<String>,
    /// `startedBy`, when no service starts it.
    pub started_by: Option<String>,
    /// The capacity provider that places it.
    pub capacity_provider: Option<String>,
    /// Of awsvpc tasks.
    pub addresses: Addresses,
    /// What changes for this task alone.
    pub overrides: Vec<ContainerOverride>,
    /// Containers that no definition names.
    pub injected: Vec<Injected>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

impl Run {
    /// A task of that definition (its ARN) in that cluster, with everything else as RunTask's defaults have it.
    pub fn new(cluster: &str, definition: &str, placement: Placement) -> Self {
        Self {
            cluster: cluster.to_owned(),
            definition: definition.to_owned(),
            placement,
            service: None,
            group: None,
            started_by: None,
            capacity_provider: None,
            addresses: Addresses::Ipv4,
            overrides: Vec::new(),
            injected: Vec::new(),
            tags: BTreeMap::new(),
        }
    }

    /// Makes it a service's task.
    pub fn service(mut self, name: &str) -> Self {
        self.service = Some(name.to_owned());
        self
    }

    /// Chooses the addresses of its interface.
    pub fn addresses(mut self, addresses: Addresses) -> Self {
        self.addresses = addresses;
        self
    }

    /// Gives its interface this IPv4 and no IPv6.
    pub fn ipv4(self, address: &str) -> Self {
        self.addresses(Addresses::Given(Some(address.to_owned()), None))
    }

    /// Overrides a container.
    pub fn overriding(mut self, container: ContainerOverride) -> Self {
        self.overrides.push(container);
        self
    }

    /// Adds a container that no definition names.
    pub fn inject(mut self, injected: Injected) -> Self {
        self.injected.push(injected);
        self
    }

    /// Adds a tag.
    pub fn tag(mut self, key: &str, value: &str) -> Self {
        self.tags.insert(key.to_owned(), value.to_owned());
        self
    }
}

impl Region {
    /// Runs a task with the usual settings until it is RUNNING, and returns its ARN.
    pub fn run(&mut self, cluster: &str, definition: &str, placement: Placement) -> String {
        self.run_with(Run::new(cluster, definition, placement))
    }

    /// Runs a task as described until it is RUNNING, and returns its ARN.
    pub fn run_with(&mut self, run: Run) -> String {
        let arn = self.start(run);
        while self.task(&arn).last_status != "RUNNING" {
            self.advance(&arn);
        }
        arn
    }

    /// Starts a task as described, leaves it at PROVISIONING, and returns its ARN; `Region::advance` moves it on.
    ///
    /// # Panics
    /// When the definition or the container instance is not there.
    pub fn start(&mut self, run: Run) -> String {
        let now = self.tick();
        self.cluster(&run.cluster);
        let definition = self.definition(&run.definition).clone();
        let id = self.ids.hex("task", 32);
        let arn = self.arn_in(&run.cluster, "task", &id);
        let on_fargate = run.placement == Placement::Fargate;
        let mut task = Task {
            task_arn: arn.clone(),
            cluster_arn: self.cluster(&run.cluster).cluster_arn.clone(),
            task_definition_arn: run.definition.clone(),
            container_instance_arn: match &run.placement {
                Placement::Fargate => None,
                Placement::On(host) => Some(host.clone()),
            },
            launch_type: Some(self.launch_type(&run.placement).to_owned()),
            capacity_provider_name: run.capacity_provider.clone(),
            platform_version: on_fargate.then(|| "1.4.0".to_owned()),
            platform_family: on_fargate.then(|| "Linux".to_owned()),
            availability_zone: self.availability_zone(&run.placement),
            group: Some(group(&run, &definition)),
            started_by: self.started_by(&run),
            desired_status: "RUNNING".to_owned(),
            last_status: "PROVISIONING".to_owned(),
            health_status: Some("UNKNOWN".to_owned()),
            connectivity: Some("CONNECTED".to_owned()),
            connectivity_at: Some(now),
            cpu: Some(definition.cpu.clone().unwrap_or_else(|| "256".to_owned())),
            memory: Some(definition.memory.clone().unwrap_or_else(|| "512".to_owned())),
            created_at: Some(now),
            attributes: [("ecs.cpu-architecture".to_owned(), "arm64".to_owned())].into(),
            containers: definition.container_definitions.iter().map(container).collect(),
            overrides: TaskOverride {
                container_overrides: overrides(&run, &definition),
                ..TaskOverride::default()
            },
            tags: run.tags.clone(),
            version: 1,
            ..Task::default()
        };
        for injected in &run.injected {
            self.inject(&mut task, *injected);
        }
        self.name_containers(&mut task, &run.cluster, &id);
        if on_fargate || definition.network_mode.as_deref() == Some("awsvpc") {
            self.attach_interface(&mut task, &id, &run.addresses);
        }
        self.cluster(&run.cluster).tasks.insert(id, task);
        self.emit(&arn);
        arn
    }

    fn name_containers(&mut self, task: &mut Task, cluster: &str, task_id: &str) {
        let form = self.cluster(cluster).arn_form;
        for container in &mut task.containers {
            let id = self.ids.uuid("container");
            container.task_arn.clone_from(&task.task_arn);
            container.container_arn = match form {
                ArnForm::Long => self.ecs_arn(&format!("container/{cluster}/{task_id}/{id}")),
                ArnForm::Short => self.ecs_arn(&format!("container/{id}")),
            };
        }
    }

    /// The definition with this ARN, a daemon's or another's.
    pub(super) fn definition(&self, arn: &str) -> &TaskDefinition {
        let found = self.task_definitions.get(arn).or_else(|| self.daemon_task_definitions.get(arn));
        found.unwrap_or_else(|| panic!("no task definition {arn} in {}: register it first", self.name))
    }

    fn launch_type(&self, placement: &Placement) -> &'static str {
        match placement {
            Placement::Fargate => "FARGATE",
            Placement::On(host) => self.container_instance(host).kind.launch_type(),
        }
    }

    fn availability_zone(&self, placement: &Placement) -> Option<String> {
        let Placement::On(host) = placement else { return None };
        let id = self.container_instance(host).ec2_instance_id.as_ref()?;
        self.instances.get(id)?.availability_zone.clone()
    }

    fn started_by(&mut self, run: &Run) -> Option<String> {
        match run.service {
            Some(_) => {
                Some(format!("ecs-svc/{}", u64::from_str_radix(&self.ids.hex("deployment", 15), 16).ok()?))
            }
            None => run.started_by.clone(),
        }
    }
}

fn container(definition: &ContainerDefinition) -> Container {
    Container {
        name: definition.name.clone(),
        image: Some(definition.image.clone()),
        last_status: Some("PENDING".to_owned()),
        health_status: Some("UNKNOWN".to_owned()),
        cpu: Some(definition.cpu.to_string()),
        memory: definition.memory.map(|memory| memory.to_string()),
        ..Container::default()
    }
}

fn group(run: &Run, definition: &TaskDefinition) -> String {
    match (&run.group, &run.service) {
        (Some(group), _) => group.clone(),
        (None, Some(service)) => format!("service:{service}"),
        (None, None) => format!("family:{}", definition.family),
    }
}

/// One entry for each container of the definition, as ECS lists them, then what else the caller named.
fn overrides(run: &Run, definition: &TaskDefinition) -> Vec<ContainerOverride> {
    let unchanged = definition
        .container_definitions
        .iter()
        .filter(|container| !run.overrides.iter().any(|override_| override_.name == container.name));
    let unchanged = unchanged.map(|container| ContainerOverride::new(&container.name));
    run.overrides.iter().cloned().chain(unchanged).collect()
}
