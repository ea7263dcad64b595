//! Facts made of bytes: whatever AWS could say, and often such that belong together.
//!
//! They are as the program keeps them: no text is empty that may be absent, tags are sorted, ports are ports.

mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use arbitrary::Unstructured;
use ecs_discovery::arn::{ClusterArn, ContainerInstanceArn, ServiceArn, TaskDefinitionArn};
use ecs_discovery::inventory::saved::{Saved, SavedScope, SavedService, SavedTask};
use ecs_discovery::model::{
    Cluster, ContainerDefinition, ContainerInstance, Host, InstanceId, Names, NetworkMode, PortMapping,
    PortRange, Protocol, Service, ServiceName, Settings, Tags, TaskDefinition,
};
use ecs_discovery::variable::Variable;

const ACCOUNT: &str = "arn:aws:ecs:eu-west-1:123456789012";

/// They mean something to JSON, XML, URLs, labels, or the convention.
const PIECES: [&str; 34] = [
    "a",
    "b-c",
    "_",
    ".",
    ":",
    " ",
    "\n",
    "\0",
    "\"",
    "\\",
    "<&>",
    "é",
    "\u{2028}",
    "__address__",
    "aws:",
    "task_",
    "true",
    "off",
    "https",
    "/metrics",
    ",",
    "15s:",
    "1m:",
    "45s:",
    "8080",
    "0",
    "65536",
    "?",
    "a=b",
    "&",
    "%5B",
    "service:",
    "+",
    "١",
];

const NAMES: [&str; 4] = ["app", "db", "envoy", "log"];
const MODES: [&str; 6] = ["awsvpc", "bridge", "host", "none", "default", "mesh"];

/// Where the facts come from; when its bytes are used up, everything is the first of its kind.
pub struct Facts<'a>(Unstructured<'a>);

/// Sorts a list, and leaves nothing in it twice.
fn by<T, K: Ord>(list: Vec<T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let all: BTreeMap<K, T> = list.into_iter().map(|one| (key(&one), one)).collect();
    all.into_values().collect()
}

impl<'a> Facts<'a> {
    /// Begins at the front of the input.
    pub fn new(input: &'a [u8]) -> Self {
        Self(Unstructured::new(input))
    }

    /// A number below the bound.
    pub fn below(&mut self, bound: u16) -> u16 {
        self.0.int_in_range(0..=bound - 1).unwrap_or_default()
    }

    /// One of these.
    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[usize::from(self.below(all.len() as u16))]
    }

    /// The thing, half of the time.
    pub fn maybe<T>(&mut self, thing: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(2) == 1).then(|| thing(self))
    }

    /// Several, but not many.
    pub fn list<T>(&mut self, most: u16, mut item: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| item(self)).collect()
    }

    /// Any text, usually of meaningful pieces, and sometimes as long as a definition.
    pub fn text(&mut self) -> String {
        if self.below(32) == 31 {
            return self.one_of(&PIECES).repeat(self.below(8192).into());
        }
        if self.below(4) > 0 {
            return self.list(6, |facts| facts.one_of(&PIECES)).concat();
        }
        let length = usize::from(self.below(16)).min(self.0.len());
        String::from_utf8_lossy(self.0.bytes(length).unwrap_or_default()).into_owned()
    }

    /// A text that is there and says something, or none.
    fn said<T: for<'b> From<&'b str>>(&mut self) -> Option<T> {
        self.maybe(Self::text).filter(|text| !text.is_empty()).map(|text| T::from(&text))
    }

    fn tags(&mut self) -> Tags {
        let mut tags = self.list(4, |facts| (facts.text().into(), facts.text().into()));
        tags.retain(|(key, _): &(Arc<str>, _)| !key.is_empty());
        tags.sort();
        // AWS has each key once.
        tags.dedup_by(|(later, _), (first, _)| later == first);
        tags
    }

    /// Names with which facts may have been read: all of them include the convention's variables.
    pub fn names(&mut self) -> Names {
        let more = Names::new(Names::default().iter().chain(["SHOP_*"]));
        [Names::default(), Names::all(), more][usize::from(self.below(3))].clone()
    }

    fn settings(&mut self, names: &Names) -> Settings {
        let opt_in = self.maybe(|_| (Variable::Prometheus.name(), "true".to_owned()));
        let others = self.list(2, |facts| (facts.one_of(&["SHOP_PORT", "SHOP_PATH"]), facts.text()));
        let pairs = [opt_in.into_iter().collect(), others, self.list(4, Self::setting)].concat();
        Settings::from_pairs(pairs.iter().map(|(name, value)| (*name, &**value)), names)
    }

    /// One of the convention's variables and its value, often a usual one.
    pub fn setting(&mut self) -> (&'static str, String) {
        let variable = self.one_of(&Variable::ALL);
        let usual = match variable {
            Variable::Prometheus => "off",
            Variable::Endpoint | Variable::SdEndpoint => "15s:8080/a?b=c, 1m:/b,/b",
            Variable::Port | Variable::ContainerPort => "8080",
            Variable::NoLabels | Variable::Tags => "true",
            Variable::Scheme => "https",
        };
        (variable.name(), if self.below(2) == 0 { usual.to_owned() } else { self.text() })
    }

    fn ipv4(&mut self) -> Ipv4Addr {
        [10, 0, 0, self.below(256) as u8].into()
    }

    fn ipv6(&mut self) -> Ipv6Addr {
        [0x2001, 0xdb8, 0, 0, 0, 0, 0, self.below(256)].into()
    }

    fn port(&mut self, below: u16) -> u16 {
        let usual = self.one_of(&[80, 8080]);
        if self.below(4) > 0 && usual < below { usual } else { self.below(below).max(1) }
    }

    fn ports(&mut self) -> PortRange {
        let first = self.port(u16::MAX);
        PortRange { first, last: first.saturating_add(self.below(4)) }
    }

    fn protocol(&mut self) -> Protocol {
        self.one_of(&[Protocol::Tcp, Protocol::Udp])
    }

    fn instance_id(&mut self) -> InstanceId {
        InstanceId::new(&format!("{}-{}", self.one_of(&["i", "mi"]), self.below(3)))
    }

    fn definition_arn(&mut self) -> TaskDefinitionArn {
        let definitions = ["task-definition/web:1", "task-definition/db:2", "daemon-task-definition/agent:3"];
        let name = definitions[usize::from(self.below(8)).saturating_sub(5)];
        TaskDefinitionArn::parse(&format!("{ACCOUNT}:{name}")).expect("an ARN")
    }

    fn container_instance_arn(&mut self, cluster: u16) -> ContainerInstanceArn {
        let arn = format!("{ACCOUNT}:container-instance/{cluster}/{}", self.below(2));
        ContainerInstanceArn::parse(&arn).expect("an ARN")
    }

    /// All facts of a source.
    pub fn saved(&mut self) -> Saved {
        let container_instance = |facts: &mut Self| {
            let cluster = facts.below(2);
            let arn = facts.container_instance_arn(cluster);
            ContainerInstance { arn, instance: facts.maybe(Self::instance_id) }
        };
        let definition = |facts: &mut Self| {
            let names = facts.names();
            facts.definition(&names).into()
        };
        let definitions: Vec<Arc<TaskDefinition>> = self.list(3, definition);
        Saved {
            scopes: by(self.list(2, Self::scope), |scope| scope.cluster.arn.clone()),
            definitions: by(definitions, |definition| definition.arn.clone()),
            container_instances: by(self.list(3, container_instance), |instance| instance.arn.clone()),
            hosts: by(self.list(3, |facts| facts.host().into()), |host: &Arc<Host>| host.id.clone()),
        }
    }

    fn scope(&mut self) -> SavedScope {
        let number = self.below(2);
        let arn = ClusterArn::parse(&format!("{ACCOUNT}:cluster/{number}")).expect("an ARN");
        let task = |facts: &mut Self| {
            let names = facts.names();
            let task = facts.task(number, &names).into();
            let described = facts.below(2) == 1;
            SavedTask { task, version: None, described, observed: Duration::ZERO }
        };
        SavedScope {
            cluster: Cluster { arn, tags: self.tags() }.into(),
            described: self.below(2) == 1,
            stale_since: self.maybe(|facts| Duration::from_secs(facts.below(600).into())),
            services: by(self.list(2, |facts| facts.saved_service(number)), |saved| saved.name.clone()),
            tasks: by(self.list(4, task), |saved| saved.task.arn.clone()),
            failing_since: self.maybe(|facts| Duration::from_secs(facts.below(600).into())),
        }
    }

    fn saved_service(&mut self, cluster: u16) -> SavedService {
        let name = self.one_of(&NAMES);
        let service = self.maybe(|facts| facts.service(cluster, name).into());
        SavedService { name: ServiceName::parse(name).expect("a name"), service }
    }

    fn service(&mut self, cluster: u16, name: &str) -> Service {
        let arn = format!("{ACCOUNT}:service/{cluster}/{name}");
        Service { arn: ServiceArn::parse(&arn).expect("an ARN"), status: self.said(), tags: self.tags() }
    }

    fn definition(&mut self, read_with: &Names) -> TaskDefinition {
        let mut containers = self.list(3, |facts| facts.container_definition(read_with));
        // Two that ask for the same are scraped once.
        let twin = self.maybe(|facts| facts.one_of(&NAMES));
        let twin = containers
            .first()
            .zip(twin)
            .map(|(one, name)| ContainerDefinition { name: name.into(), ..one.clone() });
        containers.extend(twin);
        let mut names = BTreeSet::new();
        containers.retain(|container| names.insert(container.name.clone()));
        TaskDefinition {
            arn: self.definition_arn(),
            network_mode: NetworkMode::from(self.one_of(&MODES)),
            containers,
            tags: self.tags(),
            names: read_with.clone(),
        }
    }

    fn container_definition(&mut self, names: &Names) -> ContainerDefinition {
        ContainerDefinition {
            name: self.one_of(&NAMES).into(),
            environment: self.settings(names),
            secrets: self.list(1, |facts| facts.one_of(&Variable::ALL).name().into()),
            docker_labels: self.docker_labels(),
            port_mappings: self
                .list(3, |facts| PortMapping { container_ports: facts.ports(), protocol: facts.protocol() }),
        }
    }

    /// Some of which are variables.
    fn docker_labels(&mut self) -> Tags {
        let mut labels = self.tags();
        labels.extend(
            self.settings(&Names::default()).iter().map(|(variable, value)| (variable.into(), value.into())),
        );
        labels.sort();
        labels.dedup_by(|(later, _), (first, _)| later == first);
        labels
    }

    /// A host as EC2 knows it, or one without an id.
    pub fn host_or_nameless(&mut self) -> Host {
        let host = self.host();
        if self.below(4) == 0 { Host { id: InstanceId::new(""), ..host } } else { host }
    }

    fn host(&mut self) -> Host {
        Host {
            id: self.instance_id(),
            private_ipv4: self.maybe(Self::ipv4),
            public_ipv4: self.maybe(Self::ipv4),
            private_dns_name: self.said(),
            instance_type: self.said(),
            vpc_id: self.said(),
            subnet_id: self.said(),
            availability_zone: self.said(),
            tags: self.tags(),
        }
    }
}
