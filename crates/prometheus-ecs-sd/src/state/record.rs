//! The records of the state file, one fact each, and their conversion from and to facts.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::{
    ClusterArn, ContainerArn, ContainerInstanceArn, ServiceArn, TaskArn, TaskDefinitionArn,
};
use ecs_discovery::inventory::saved::{SavedScope, SavedService, SavedTask};
use ecs_discovery::model::{self, Names};
use ecs_discovery::variable::Variable;
use serde::{Deserialize, Serialize};

use super::Revision;
use crate::clock::Reading;

type Text<'a> = Cow<'a, str>;
type Texts<'a> = Vec<(Text<'a>, Text<'a>)>;

/// One line. Records belong to the source before them, and services and tasks to the cluster before them. A fact replaces an earlier
/// one with the same id.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Record<'a> {
    /// The first record of a publication. Version 1 has none.
    Revision(Publication),
    Source(Text<'a>),
    Definition(Definition<'a>),
    ContainerInstance {
        arn: Text<'a>,
        instance: Option<Text<'a>>,
    },
    Host(Host<'a>),
    Cluster(Cluster<'a>),
    /// The unchanged cluster of the services and tasks that follow.
    In(Text<'a>),
    /// Only written with `--service-tags`: earlier programs do not read a file that has one.
    Service(Service<'a>),
    Task(Box<Task<'a>>),
    /// The fact is gone, with all facts that belong to it.
    Gone(Kind, Text<'a>),
}

/// The publication whose facts follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Publication {
    #[serde(flatten)]
    pub(super) revision: Revision,
    /// When it was saved, since the Unix epoch.
    pub(super) at: Duration,
    /// Whether lists were served from it: it contains everything that was published before. Versions 1 and 2 have a time
    /// of the file instead.
    #[serde(default = "yes")]
    pub(super) is_all: bool,
    /// Whether tasks have [names](ReadWith). Those of earlier files were read with the variables of `discoverecs.py`.
    #[serde(default)]
    pub(super) has_names: bool,
}

/// The environment variables that were kept when a fact was read. The first fact of a publication with some of them lists
/// them, and later ones have the position of the list among these lists.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum ReadWith<'a> {
    List(Vec<Text<'a>>),
    Position(usize),
}

fn yes() -> bool {
    true
}

/// The facts that can be gone.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Kind {
    Source,
    Definition,
    ContainerInstance,
    Host,
    Cluster,
    Service,
    Task,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Cluster<'a> {
    pub(super) arn: Text<'a>,
    tags: Texts<'a>,
    described: bool,
    #[serde(rename = "held_since")]
    stale_since: Option<Duration>,
    /// Version 1 has none.
    #[serde(default)]
    failing_since: Option<Duration>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Definition<'a> {
    arn: Text<'a>,
    network_mode: Text<'a>,
    /// If it has no `names`, the number of variables of `discoverecs.py` that were known when it was read, and kept.
    #[serde(default)]
    variables: usize,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<ReadWith<'a>>,
    containers: Vec<ContainerDefinition<'a>>,
    tags: Texts<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ContainerDefinition<'a> {
    name: Text<'a>,
    environment: Texts<'a>,
    secrets: Vec<Text<'a>>,
    docker_labels: Texts<'a>,
    ports: Vec<(Ports, bool)>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Host<'a> {
    id: Text<'a>,
    private_ipv4: Option<Ipv4Addr>,
    public_ipv4: Option<Ipv4Addr>,
    /// Earlier files have neither name nor VPC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns_name: Option<Text<'a>>,
    instance_type: Option<Text<'a>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    vpc: Option<Text<'a>>,
    subnet: Option<Text<'a>>,
    zone: Option<Text<'a>>,
    tags: Texts<'a>,
}

/// One that AWS does not know has only a name.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Service<'a> {
    name: Text<'a>,
    arn: Option<Text<'a>>,
    status: Option<Text<'a>>,
    tags: Texts<'a>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task<'a> {
    arn: Text<'a>,
    definition: Text<'a>,
    launch_type: Option<Text<'a>>,
    capacity_provider: Option<Text<'a>>,
    group: Option<Text<'a>>,
    started_by: Option<Text<'a>>,
    zone: Option<Text<'a>>,
    desired: Text<'a>,
    last: Text<'a>,
    health: Option<Text<'a>>,
    platform: [Option<Text<'a>>; 2],
    container_instance: Option<Text<'a>>,
    /// Its subnet and its address.
    interface: Option<(Option<Text<'a>>, Option<Ipv4Addr>)>,
    /// The private DNS name of its interface; earlier files have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dns_name: Option<Text<'a>>,
    containers: Vec<Container<'a>>,
    overrides: Vec<(Text<'a>, Texts<'a>)>,
    /// `None` if no value was dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) names: Option<ReadWith<'a>>,
    tags: Texts<'a>,
    /// Earlier files have no version.
    #[serde(default)]
    version: Option<u64>,
    /// Whether DescribeTasks described it; tasks of earlier files all were.
    #[serde(default = "yes")]
    described: bool,
    /// In seconds since the Unix epoch; earlier files have none.
    #[serde(default)]
    observed: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Container<'a> {
    name: Text<'a>,
    arn: Option<Text<'a>>,
    image: Option<Text<'a>>,
    runtime_id: Option<Text<'a>>,
    last: Text<'a>,
    health: Option<Text<'a>>,
    ipv4: Option<Ipv4Addr>,
    ipv6: Option<Ipv6Addr>,
    bindings: Vec<(Option<IpAddr>, bool, Ports, Ports)>,
}

/// The first and the last of a range. Beside it, whether its protocol is UDP.
type Ports = (u16, u16);

/// The lists of names in a publication, in order.
#[derive(Debug, Default)]
pub(super) struct Lists(Vec<Names>);

impl Lists {
    fn read_with(&mut self, names: &Names) -> ReadWith<'static> {
        if let Some(position) = self.0.iter().position(|list| list == names) {
            return ReadWith::Position(position);
        }
        self.0.push(names.clone());
        ReadWith::List(names.iter().map(|name| name.to_owned().into()).collect())
    }

    fn names(&mut self, names: ReadWith<'_>) -> Result<Names, String> {
        let position = match names {
            ReadWith::Position(position) => position,
            ReadWith::List(names) => {
                self.0.push(Names::new(names));
                self.0.len() - 1
            }
        };
        self.0.get(position).cloned().ok_or_else(|| format!("there is no list of names {position}"))
    }
}

/// The first programs did not know `PROMETHEUS_SD_ENDPOINT`.
fn first_names() -> Names {
    Names::new(Variable::ALL.into_iter().filter(|variable| *variable != Variable::SdEndpoint))
}

impl<'a> Cluster<'a> {
    /// Without its services and tasks.
    pub(super) fn of(scope: &'a SavedScope, clock: Reading) -> Self {
        let SavedScope { cluster, described, stale_since, failing_since, .. } = scope;
        // Moments are this process's; the next one has others.
        let since = |moment: &Option<Duration>| moment.map(|moment| clock.time_of_day(moment));
        Self {
            arn: cluster.arn.as_str().into(),
            tags: texts(&cluster.tags),
            described: *described,
            stale_since: since(stale_since),
            failing_since: since(failing_since),
        }
    }

    pub(super) fn fact(self) -> Result<SavedScope, String> {
        let Self { arn, tags, described, stale_since, failing_since } = self;
        let cluster = model::Cluster { arn: parsed(ClusterArn::parse(&arn))?, tags: shared(tags) };
        let (services, tasks) = (Vec::new(), Vec::new());
        Ok(SavedScope { cluster: cluster.into(), described, stale_since, failing_since, services, tasks })
    }
}

impl<'a> Definition<'a> {
    pub(super) fn of(definition: &'a model::TaskDefinition, lists: &mut Lists) -> Self {
        let is_usual = definition.names == Names::default();
        Self {
            arn: definition.arn.as_str().into(),
            network_mode: definition.network_mode.as_str().into(),
            variables: if is_usual { Variable::ALL.len() } else { 0 },
            names: (!is_usual).then(|| lists.read_with(&definition.names)),
            containers: definition.containers.iter().map(ContainerDefinition::of).collect(),
            tags: texts(&definition.tags),
        }
    }

    pub(super) fn fact(self, lists: &mut Lists) -> Result<model::TaskDefinition, String> {
        let names = match self.names {
            Some(names) => lists.names(names)?,
            None if self.variables < Variable::ALL.len() => first_names(),
            None => Names::default(),
        };
        Ok(model::TaskDefinition {
            arn: parsed(TaskDefinitionArn::parse(&self.arn))?,
            network_mode: (&*self.network_mode).into(),
            containers: self
                .containers
                .into_iter()
                .map(|container| container.fact(&names))
                .collect::<Result<_, _>>()?,
            tags: shared(self.tags),
            names,
        })
    }
}

impl<'a> ContainerDefinition<'a> {
    fn of(container: &'a model::ContainerDefinition) -> Self {
        let ports = container.port_mappings.iter();
        Self {
            name: (&*container.name).into(),
            environment: settings(&container.environment),
            secrets: container.secrets.iter().map(|name| (&**name).into()).collect(),
            docker_labels: texts(&container.docker_labels),
            ports: ports.map(|mapping| (ends(mapping.container_ports), is_udp(mapping.protocol))).collect(),
        }
    }

    fn fact(self, names: &Names) -> Result<model::ContainerDefinition, String> {
        let mapping = |(ports, udp)| {
            Ok::<_, String>(model::PortMapping { container_ports: range(ports)?, protocol: protocol(udp) })
        };
        Ok(model::ContainerDefinition {
            name: self.name.into(),
            environment: from_settings(&self.environment, names),
            secrets: self.secrets.iter().filter_map(|name| names.kept(name)).collect(),
            docker_labels: shared(self.docker_labels),
            port_mappings: self.ports.into_iter().map(mapping).collect::<Result<_, _>>()?,
        })
    }
}

impl<'a> Host<'a> {
    pub(super) fn of(host: &'a model::Host) -> Self {
        Self {
            id: host.id.as_str().into(),
            private_ipv4: host.private_ipv4,
            public_ipv4: host.public_ipv4,
            dns_name: text(host.private_dns_name.as_ref()),
            instance_type: text(host.instance_type.as_ref()),
            vpc: text(host.vpc_id.as_ref()),
            subnet: text(host.subnet_id.as_ref()),
            zone: text(host.availability_zone.as_ref()),
            tags: texts(&host.tags),
        }
    }

    pub(super) fn fact(self) -> model::Host {
        model::Host {
            id: model::InstanceId::new(&self.id),
            private_ipv4: self.private_ipv4,
            public_ipv4: self.public_ipv4,
            private_dns_name: self.dns_name.map(Into::into),
            instance_type: self.instance_type.map(Into::into),
            vpc_id: self.vpc.map(Into::into),
            subnet_id: self.subnet.map(Into::into),
            availability_zone: self.zone.map(Into::into),
            tags: shared(self.tags),
        }
    }
}

impl<'a> Service<'a> {
    pub(super) fn of(SavedService { name, service }: &'a SavedService) -> Self {
        Self {
            name: name.as_str().into(),
            arn: service.as_ref().map(|service| service.arn.as_str().into()),
            status: service.as_ref().and_then(|service| text(service.status.as_ref())),
            tags: service.as_ref().map_or_else(Vec::new, |service| texts(&service.tags)),
        }
    }

    pub(super) fn fact(self) -> Result<SavedService, String> {
        let Self { name, arn, status, tags } = self;
        let name = service_name(&name)?;
        let Some(arn) = arn else { return Ok(SavedService { name, service: None }) };
        let arn = parsed(ServiceArn::parse(&arn))?;
        let service = model::Service { arn, status: status.map(Into::into), tags: shared(tags) };
        Ok(SavedService { name, service: Some(service.into()) })
    }
}

impl<'a> Task<'a> {
    pub(super) fn of(
        SavedTask { task, version, described, observed }: &'a SavedTask,
        clock: Reading,
        lists: &mut Lists,
    ) -> Self {
        let interface = task.network_interface.as_ref();
        let overrides = task.overrides.iter();
        Self {
            arn: task.arn.as_str().into(),
            definition: task.definition.as_str().into(),
            launch_type: task.launch_type.as_ref().map(|launch_type| launch_type.as_str().into()),
            capacity_provider: text(task.capacity_provider.as_ref()),
            group: text(task.group.as_ref()),
            started_by: text(task.started_by.as_ref()),
            zone: text(task.availability_zone.as_ref()),
            desired: task.desired_status.as_str().into(),
            last: task.last_status.as_str().into(),
            health: text(task.health_status.as_ref()),
            platform: [text(task.platform_family.as_ref()), text(task.platform_version.as_ref())],
            container_instance: task.container_instance.as_ref().map(|arn| arn.as_str().into()),
            interface: interface
                .map(|interface| (text(interface.subnet_id.as_ref()), interface.private_ipv4)),
            dns_name: interface.and_then(|interface| text(interface.private_dns_name.as_ref())),
            containers: task.containers.iter().map(Container::of).collect(),
            overrides: overrides.map(|(name, over)| ((&**name).into(), settings(over))).collect(),
            names: (!task.names.are_all()).then(|| lists.read_with(&task.names)),
            tags: texts(&task.tags),
            version: *version,
            described: *described,
            observed: clock.time_of_day(*observed).as_secs(),
        }
    }

    /// `unnamed` are the names of tasks without.
    pub(super) fn fact(mut self, lists: &mut Lists, unnamed: Names) -> Result<SavedTask, String> {
        let (version, described, observed) =
            (self.version, self.described, Duration::from_secs(self.observed));
        let names = self.names.take().map_or(Ok(unnamed), |names| lists.names(names))?;
        let task = Arc::new(self.task(names)?);
        Ok(SavedTask { task, version, described, observed })
    }

    fn task(self, names: Names) -> Result<model::Task, String> {
        let [platform_family, platform_version] = self.platform;
        let container_instance = self.container_instance.map(|arn| ContainerInstanceArn::parse(&arn));
        let overrides = self.overrides.into_iter();
        let dns_name = self.dns_name.map(Into::into);
        Ok(model::Task {
            arn: parsed(TaskArn::parse(&self.arn))?,
            definition: parsed(TaskDefinitionArn::parse(&self.definition))?,
            launch_type: self.launch_type.and_then(|name| model::LaunchType::parse(&name)),
            capacity_provider: self.capacity_provider.map(Into::into),
            group: self.group.map(Into::into),
            started_by: self.started_by.map(Into::into),
            availability_zone: self.zone.map(Into::into),
            desired_status: (&*self.desired).into(),
            last_status: (&*self.last).into(),
            health_status: self.health.map(Into::into),
            platform_family: platform_family.map(Into::into),
            platform_version: platform_version.map(Into::into),
            container_instance: container_instance.map(parsed).transpose()?,
            network_interface: self.interface.map(|(subnet, private_ipv4)| model::NetworkInterface {
                subnet_id: subnet.map(Into::into),
                private_ipv4,
                private_dns_name: dns_name,
            }),
            containers: exact(self.containers.into_iter().map(Container::fact).collect::<Result<_, _>>()?),
            overrides: exact(
                overrides.map(|(name, over)| (name.into(), from_settings(&over, &names))).collect(),
            ),
            tags: shared(self.tags),
            names,
        })
    }
}

impl<'a> Container<'a> {
    fn of(container: &'a model::Container) -> Self {
        let binding = |binding: &model::NetworkBinding| {
            let (container, host) = (ends(binding.container_ports), ends(binding.host_ports));
            (binding.bind_ip, is_udp(binding.protocol), container, host)
        };
        Self {
            name: (&*container.name).into(),
            arn: container.arn.as_ref().map(|arn| arn.as_str().into()),
            image: text(container.image.as_ref()),
            runtime_id: text(container.runtime_id.as_ref()),
            last: container.last_status.as_str().into(),
            health: text(container.health_status.as_ref()),
            ipv4: container.private_ipv4,
            ipv6: container.ipv6,
            bindings: container.network_bindings.iter().map(binding).collect(),
        }
    }

    fn fact(self) -> Result<model::Container, String> {
        let binding = |(bind_ip, udp, container, host)| {
            let (container_ports, host_ports) = (range(container)?, range(host)?);
            Ok::<_, String>(model::NetworkBinding {
                bind_ip,
                protocol: protocol(udp),
                container_ports,
                host_ports,
            })
        };
        Ok(model::Container {
            name: self.name.into(),
            arn: self.arn.map(|arn| parsed(ContainerArn::parse(&arn))).transpose()?,
            image: self.image.map(Into::into),
            runtime_id: self.runtime_id.map(Into::into),
            last_status: (&*self.last).into(),
            health_status: self.health.map(Into::into),
            private_ipv4: self.ipv4,
            ipv6: self.ipv6,
            network_bindings: exact(self.bindings.into_iter().map(binding).collect::<Result<_, _>>()?),
        })
    }
}

pub(super) fn service_name(name: &str) -> Result<model::ServiceName, String> {
    model::ServiceName::parse(name).ok_or_else(|| format!("{name:?} is not the name of a service"))
}

pub(super) fn parsed<T, E: ToString>(arn: Result<T, E>) -> Result<T, String> {
    arn.map_err(|error| error.to_string())
}

fn text<'a>(text: Option<&'a impl AsRef<str>>) -> Option<Text<'a>> {
    text.map(|text| text.as_ref().into())
}

fn texts(tags: &model::Tags) -> Texts<'_> {
    tags.iter().map(|(key, value)| ((&**key).into(), (&**value).into())).collect()
}

fn shared(texts: Texts<'_>) -> model::Tags {
    exact(texts.into_iter().map(|(key, value)| (key.into(), value.into())).collect())
}

/// Without spare capacity: reading a list of unknown length reserves four items, which would take a kilobyte for each
/// task.
fn exact<T>(mut list: Vec<T>) -> Vec<T> {
    list.shrink_to_fit();
    list
}

fn settings(settings: &model::Settings) -> Texts<'_> {
    settings.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn from_settings(texts: &Texts<'_>, names: &Names) -> model::Settings {
    model::Settings::from_pairs(texts.iter().map(|(name, value)| (&**name, &**value)), names)
}

fn ends(range: model::PortRange) -> Ports {
    (range.first, range.last)
}

fn range((first, last): Ports) -> Result<model::PortRange, String> {
    let valid = 1 <= first && first <= last;
    valid
        .then_some(model::PortRange { first, last })
        .ok_or_else(|| format!("{first} to {last} are not ports"))
}

fn is_udp(protocol: model::Protocol) -> bool {
    protocol == model::Protocol::Udp
}

fn protocol(udp: bool) -> model::Protocol {
    if udp { model::Protocol::Udp } else { model::Protocol::Tcp }
}
