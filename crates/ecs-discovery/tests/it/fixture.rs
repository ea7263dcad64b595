//! Small worlds: tasks with their definition and host, and what AWS would answer about them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use ecs_discovery::arn::{
    ClusterArn, ContainerArn, ContainerInstanceArn, ServiceArn, TaskArn, TaskDefinitionArn,
};
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::doors::DescribedTask;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{
    Cluster, Container, ContainerDefinition, ContainerInstance, Host, InstanceId, LaunchType, Names,
    NetworkBinding, NetworkInterface, NetworkMode, PortMapping, PortRange, Protocol, Service, ServiceName,
    Settings, Status, Tags, Task, TaskDefinition,
};

pub(crate) const PREFIX: &str = "arn:aws:ecs:eu-west-1:123456789012:";

pub(crate) fn cluster_arn(name: &str) -> ClusterArn {
    ClusterArn::parse(&format!("{PREFIX}cluster/{name}")).unwrap()
}

pub(crate) fn tags(pairs: &[(&str, &str)]) -> Tags {
    let mut tags: Tags = pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
    tags.sort();
    tags
}

pub(crate) fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: format!("{kind:?}") }
}

/// One container, in its definition and in its task.
#[derive(Clone, Debug)]
pub(crate) struct ContainerFixture {
    pub(crate) definition: ContainerDefinition,
    environment: Vec<(String, String)>,
    overrides: Vec<(String, String)>,
    pub(crate) running: Option<Container>,
}

/// A container that asks for nothing.
pub(crate) fn container(name: &str) -> ContainerFixture {
    ContainerFixture {
        definition: ContainerDefinition {
            name: name.into(),
            environment: Settings::default(),
            secrets: Vec::new(),
            docker_labels: Vec::new(),
            port_mappings: Vec::new(),
        },
        environment: Vec::new(),
        overrides: Vec::new(),
        running: Some(Container {
            name: name.into(),
            arn: None,
            image: None,
            runtime_id: None,
            last_status: Status::Running,
            health_status: None,
            private_ipv4: None,
            ipv6: None,
            network_bindings: Vec::new(),
        }),
    }
}

/// The container `app`, which opts in.
pub(crate) fn app() -> ContainerFixture {
    container("app").env("PROMETHEUS", "true")
}

impl ContainerFixture {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn overriding(mut self, name: &str, value: &str) -> Self {
        self.overrides.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn endpoint(self, text: &str) -> Self {
        self.env("PROMETHEUS_ENDPOINT", text)
    }

    pub(crate) fn label(mut self, name: &str, value: &str) -> Self {
        self.definition.docker_labels.push((name.into(), value.into()));
        self.definition.docker_labels.sort();
        self
    }

    /// A port mapping such as `8080`, `53/udp` or `9000-9010`.
    pub(crate) fn maps(mut self, mapping: &str) -> Self {
        let (ports, protocol) = protocol(mapping);
        let container_ports = PortRange::parse(ports).unwrap();
        self.definition.port_mappings.push(PortMapping { container_ports, protocol });
        self
    }

    /// A network binding such as `0.0.0.0 32768 -> 8080`, `:: 53 -> 53/udp` or `0.0.0.0 40000-40010 -> 9000-9010`.
    pub(crate) fn binds(self, binding: &str) -> Self {
        let (binding, protocol) = protocol(binding);
        let (host, container) = binding.split_once(" -> ").unwrap();
        let (ip, host) = host.split_once(' ').unwrap();
        let binding = NetworkBinding {
            bind_ip: Some(ip.parse().unwrap()),
            protocol,
            container_ports: PortRange::parse(container).unwrap(),
            host_ports: PortRange::parse(host).unwrap(),
        };
        self.running(|running| running.network_bindings.push(binding))
    }

    /// The address of its own interface.
    pub(crate) fn at(self, ip: &str) -> Self {
        self.running(|running| match ip.parse().unwrap() {
            IpAddr::V4(ip) => running.private_ipv4 = Some(ip),
            IpAddr::V6(ip) => running.ipv6 = Some(ip),
        })
    }

    pub(crate) fn status(self, status: &str) -> Self {
        self.running(|running| running.last_status = status.into())
    }

    pub(crate) fn running(mut self, change: impl FnOnce(&mut Container)) -> Self {
        change(self.running.as_mut().unwrap());
        self
    }

    /// In the definition, but not in the task.
    pub(crate) fn absent(mut self) -> Self {
        self.running = None;
        self
    }

    fn settings(pairs: &[(String, String)], names: &Names) -> Settings {
        Settings::from_pairs(pairs.iter().map(|(name, value)| (&**name, &**value)), names)
    }
}

fn protocol(text: &str) -> (&str, Protocol) {
    text.strip_suffix("/udp").map_or((text, Protocol::Tcp), |text| (text, Protocol::Udp))
}

/// One task with its definition, container instance and host.
#[derive(Clone, Debug)]
pub(crate) struct TaskFixture {
    pub(crate) cluster: Cluster,
    pub(crate) task: Task,
    pub(crate) definition: Option<TaskDefinition>,
    pub(crate) instance: Option<ContainerInstance>,
    pub(crate) host: Option<Host>,
}

fn task(mode: &str, launch_type: LaunchType) -> TaskFixture {
    let definition = TaskDefinitionArn::parse(&format!("{PREFIX}task-definition/web:7")).unwrap();
    TaskFixture {
        cluster: Cluster { arn: cluster_arn("prod"), tags: Vec::new() },
        task: Task {
            arn: TaskArn::parse(&format!("{PREFIX}task/prod/0f1e")).unwrap(),
            definition: definition.clone(),
            launch_type: Some(launch_type),
            capacity_provider: None,
            group: None,
            started_by: None,
            availability_zone: None,
            desired_status: Status::Running,
            last_status: Status::Running,
            health_status: None,
            platform_family: None,
            platform_version: None,
            container_instance: None,
            network_interface: None,
            containers: Vec::new(),
            overrides: Vec::new(),
            tags: Vec::new(),
            names: Names::default(),
        },
        definition: Some(TaskDefinition {
            arn: definition,
            network_mode: NetworkMode::from(mode),
            containers: Vec::new(),
            tags: Vec::new(),
            names: Names::default(),
        }),
        instance: None,
        host: None,
    }
}

/// An `awsvpc` task on Fargate, its interface at 10.0.0.1.
pub(crate) fn fargate() -> TaskFixture {
    task("awsvpc", LaunchType::Fargate).interface("10.0.0.1")
}

/// A task on the EC2 instance `i-1`, which is at 10.0.9.9.
pub(crate) fn ec2(mode: &str) -> TaskFixture {
    task(mode, LaunchType::Ec2).on("i-1", "10.0.9.9")
}

/// A task of ECS Anywhere on `mi-1`, which is at 192.168.1.5.
pub(crate) fn external(mode: &str) -> TaskFixture {
    task(mode, LaunchType::External).on("mi-1", "192.168.1.5")
}

/// A task on an EC2 instance that ECS manages.
pub(crate) fn managed_instance(mode: &str) -> TaskFixture {
    task(mode, LaunchType::ManagedInstances).on("i-9", "10.0.9.10")
}

impl TaskFixture {
    /// Containers that are added later keep these variables.
    pub(crate) fn names(mut self, names: &Names) -> Self {
        self.task.names = names.clone();
        self.definition(|definition| definition.names = names.clone())
    }

    pub(crate) fn with(mut self, fixture: ContainerFixture) -> Self {
        let name = fixture.definition.name.clone();
        if !fixture.overrides.is_empty() {
            let settings = ContainerFixture::settings(&fixture.overrides, &self.task.names);
            self.task.overrides.push((name, settings));
        }
        self.task.containers.extend(fixture.running);
        let names = &self.definition.as_ref().unwrap().names;
        let environment = ContainerFixture::settings(&fixture.environment, names);
        let definition = ContainerDefinition { environment, ..fixture.definition };
        self.definition.as_mut().unwrap().containers.push(definition);
        self
    }

    /// A container that ECS added: in the task, but not in the definition.
    pub(crate) fn with_injected(mut self, fixture: ContainerFixture) -> Self {
        self.task.containers.extend(fixture.running);
        self
    }

    pub(crate) fn interface(self, ip: &str) -> Self {
        let private_ipv4 = Some(ip.parse().unwrap());
        let interface = NetworkInterface { private_ipv4, ..NetworkInterface::default() };
        self.task(|task| task.network_interface = Some(interface))
    }

    pub(crate) fn on(mut self, id: &str, ip: &str) -> Self {
        let cluster = self.cluster.arn.last_part();
        let arn = ContainerInstanceArn::parse(&format!("{PREFIX}container-instance/{cluster}/of-{id}"));
        let arn = arn.unwrap();
        self.task.container_instance = Some(arn.clone());
        self.instance = Some(ContainerInstance { arn, instance: Some(InstanceId::new(id)) });
        self.host = Some(Host {
            id: InstanceId::new(id),
            private_ipv4: Some(ip.parse().unwrap()),
            public_ipv4: None,
            private_dns_name: None,
            instance_type: None,
            vpc_id: None,
            subnet_id: None,
            availability_zone: None,
            tags: Vec::new(),
        });
        self
    }

    pub(crate) fn in_cluster(mut self, name: &str) -> Self {
        self.cluster.arn = cluster_arn(name);
        if let Some(instance) = &mut self.instance {
            let id = instance.arn.last_part();
            let arn = format!("{PREFIX}container-instance/{name}/{id}");
            instance.arn = ContainerInstanceArn::parse(&arn).unwrap();
            self.task.container_instance = Some(instance.arn.clone());
        }
        let id = self.task.arn.last_part().to_owned();
        self.id(&id)
    }

    pub(crate) fn id(self, id: &str) -> Self {
        let arn = format!("{PREFIX}task/{}/{id}", self.cluster.arn.last_part());
        self.task(|task| task.arn = TaskArn::parse(&arn).unwrap())
    }

    /// `FAMILY:REVISION`
    pub(crate) fn of(self, definition: &str) -> Self {
        self.of_definition(&format!("{PREFIX}task-definition/{definition}"))
    }

    pub(crate) fn of_definition(mut self, arn: &str) -> Self {
        let arn = TaskDefinitionArn::parse(arn).unwrap();
        self.task.definition = arn.clone();
        if let Some(definition) = &mut self.definition {
            definition.arn = arn;
        }
        self
    }

    pub(crate) fn task(mut self, change: impl FnOnce(&mut Task)) -> Self {
        change(&mut self.task);
        self
    }

    pub(crate) fn definition(mut self, change: impl FnOnce(&mut TaskDefinition)) -> Self {
        change(self.definition.as_mut().unwrap());
        self
    }

    pub(crate) fn host(mut self, change: impl FnOnce(&mut Host)) -> Self {
        change(self.host.as_mut().unwrap());
        self
    }

    /// Turns every ARN to that of another partition and region.
    pub(crate) fn in_partition(self, partition: &str, region: &str) -> Self {
        self.moved("arn:aws:ecs:eu-west-1", &format!("arn:{partition}:ecs:{region}"))
    }

    pub(crate) fn in_account(self, account: &str) -> Self {
        self.moved("123456789012", account)
    }

    fn moved(mut self, from: &str, to: &str) -> Self {
        let moved = |arn: &str| arn.replace(from, to);
        self.cluster.arn = ClusterArn::parse(&moved(self.cluster.arn.as_str())).unwrap();
        self.task.arn = TaskArn::parse(&moved(self.task.arn.as_str())).unwrap();
        let definition = moved(self.task.definition.as_str());
        self.of_definition(&definition)
    }

    /// Without what EC2 or Systems Manager would say.
    pub(crate) fn without_host(mut self) -> Self {
        self.host = None;
        self
    }

    /// Without what DescribeTaskDefinition would say.
    pub(crate) fn without_definition(mut self) -> Self {
        self.definition = None;
        self
    }
}

pub(crate) fn container_arn(id: &str) -> ContainerArn {
    ContainerArn::parse(&format!("{PREFIX}container/{id}")).unwrap()
}

/// What AWS knows.
#[derive(Clone, Debug)]
pub(crate) struct World {
    pub(crate) clusters: BTreeMap<ClusterArn, Cluster>,
    pub(crate) tasks: BTreeMap<ClusterArn, BTreeMap<TaskArn, Task>>,
    pub(crate) definitions: BTreeMap<TaskDefinitionArn, TaskDefinition>,
    pub(crate) instances: BTreeMap<ContainerInstanceArn, ContainerInstance>,
    pub(crate) hosts: BTreeMap<InstanceId, Host>,
    pub(crate) services: BTreeMap<(ClusterArn, ServiceName), Service>,
    /// Tasks that DescribeTasks knows and ListTasks leaves out.
    pub(crate) unlisted: Vec<TaskArn>,
    pub(crate) page: usize,
}

impl World {
    pub(crate) fn of(fixtures: impl IntoIterator<Item = TaskFixture>) -> Self {
        let mut world = Self {
            clusters: BTreeMap::new(),
            tasks: BTreeMap::new(),
            definitions: BTreeMap::new(),
            instances: BTreeMap::new(),
            hosts: BTreeMap::new(),
            services: BTreeMap::new(),
            unlisted: Vec::new(),
            page: 100,
        };
        fixtures.into_iter().for_each(|fixture| world.add(fixture));
        world
    }

    pub(crate) fn add(&mut self, fixture: TaskFixture) {
        let TaskFixture { cluster, task, definition, instance, host } = fixture;
        self.tasks.entry(cluster.arn.clone()).or_default().insert(task.arn.clone(), task);
        self.clusters.insert(cluster.arn.clone(), cluster);
        self.definitions.extend(definition.map(|definition| (definition.arn.clone(), definition)));
        self.instances.extend(instance.map(|instance| (instance.arn.clone(), instance)));
        self.hosts.extend(host.map(|host| (host.id.clone(), host)));
    }

    /// A service of the cluster `prod`, with this tag `team`.
    pub(crate) fn service(&mut self, name: &str, team: &str) -> &mut Service {
        let arn = ServiceArn::parse(&format!("{PREFIX}service/prod/{name}")).unwrap();
        let service = Service { arn, status: Some("ACTIVE".into()), tags: tags(&[("team", team)]) };
        let key = (cluster_arn("prod"), ServiceName::parse(name).unwrap());
        self.services.insert(key.clone(), service);
        self.services.get_mut(&key).unwrap()
    }

    /// The cluster's tasks, to be changed.
    pub(crate) fn tasks_of(&mut self, cluster: &str) -> &mut BTreeMap<TaskArn, Task> {
        self.tasks.get_mut(&cluster_arn(cluster)).unwrap()
    }

    /// Removes a task as if it had stopped more than an hour ago.
    pub(crate) fn remove(&mut self, cluster: &str, id: &str) {
        self.tasks_of(cluster).retain(|arn, _| arn.last_part() != id);
    }

    pub(crate) fn answer(&self, question: &Question) -> Result<Answer, Failure> {
        Ok(match question {
            Question::Clusters { page } => {
                let (clusters, next) = self.page_of(self.clusters.keys(), page.as_deref());
                Answer::Clusters { clusters, next }
            }
            Question::ClusterDetails { clusters } => {
                let known = |name: &str| {
                    self.clusters.values().find(|one| one.arn.as_str() == name || one.arn.last_part() == name)
                };
                let active = clusters.iter().filter_map(|name| known(name)).cloned().collect();
                let gone = clusters.iter().filter(|name| known(name).is_none()).cloned().collect();
                Answer::ClusterDetails { active, gone }
            }
            Question::Tasks { cluster, page } => {
                if !self.clusters.contains_key(cluster) {
                    return Err(failure(FailureKind::NotFound));
                }
                let tasks = self.tasks.get(cluster).into_iter().flatten();
                let listed = tasks
                    .filter(|(arn, task)| {
                        task.desired_status == Status::Running && !self.unlisted.contains(arn)
                    })
                    .map(|(arn, _)| arn);
                let (tasks, next) = self.page_of(listed, page.as_deref());
                Answer::Tasks { tasks, next }
            }
            Question::TaskDetails { cluster, tasks } => {
                let of_cluster = self.tasks.get(cluster);
                let known = |arn: &TaskArn| of_cluster.and_then(|of_cluster| of_cluster.get(arn));
                let missing = tasks.iter().filter(|arn| known(arn).is_none()).cloned().collect();
                let tasks = tasks.iter().filter_map(known).cloned().map(described).collect();
                Answer::TaskDetails { tasks, missing }
            }
            Question::TaskDefinition { definition } => {
                let known = self.definitions.get(definition).cloned();
                Answer::TaskDefinition(known.ok_or_else(|| failure(FailureKind::NotFound))?)
            }
            Question::DefinitionTags { definition } => {
                let known = self.definitions.get(definition).ok_or_else(|| failure(FailureKind::NotFound))?;
                Answer::DefinitionTags(Some(known.tags.clone()))
            }
            Question::ClusterTags { clusters } => Answer::ClusterTags(
                clusters.iter().filter_map(|arn| self.clusters.get(arn)).cloned().collect(),
            ),
            Question::ContainerInstances { instances, .. } => Answer::ContainerInstances(
                instances.iter().filter_map(|arn| self.instances.get(arn)).cloned().collect(),
            ),
            Question::Services { cluster, services } => {
                let known = |name: &ServiceName| self.services.get(&(cluster.clone(), name.clone()));
                let missing = services.iter().filter(|name| known(name).is_none()).cloned().collect();
                Answer::Services { services: services.iter().filter_map(known).cloned().collect(), missing }
            }
            Question::Ec2Instances { instances } | Question::ExternalInstances { instances } => {
                Answer::Hosts(instances.iter().filter_map(|id| self.hosts.get(id)).cloned().collect())
            }
        })
    }

    fn page_of<'a, T: Clone + 'a>(
        &self,
        all: impl Iterator<Item = &'a T>,
        page: Option<&str>,
    ) -> (Vec<T>, Option<String>) {
        let start = page.and_then(|page| page.parse().ok()).unwrap_or(0);
        let mut rest = all.skip(start).cloned().peekable();
        let entries = rest.by_ref().take(self.page).collect();
        (entries, rest.peek().map(|_| (start + self.page).to_string()))
    }
}

/// An answer about a task without a version, as some stand-ins for AWS give.
pub(crate) fn described(task: Task) -> DescribedTask {
    DescribedTask { task, version: None, untagged: false }
}
