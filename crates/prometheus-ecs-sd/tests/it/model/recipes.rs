//! The task definitions of the model's worlds: where tasks run, which ports they map, and how they ask to be scraped.

use ecs_simulator::{
    Addresses, ContainerDefinition, ContainerOverride, HostKind, Injected, PortMapping, Run, TaskDefinition,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::sample;

/// One definition, and how its tasks are run.
#[derive(Clone, Debug)]
pub(super) struct Recipe {
    pub(super) place: Place,
    pub(super) ports: Ports,
    pub(super) endpoint: &'static str,
    /// Further variables, as `NAME=VALUE`.
    pub(super) variables: Vec<&'static str>,
    pub(super) said: Said,
    pub(super) beside: Beside,
    pub(super) service: bool,
    /// Whether a host is launched for it, though there may be one.
    pub(super) new_host: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Fargate,
    FargateIpv6,
    Ec2Awsvpc,
    Ec2Bridge,
    Ec2Host,
    Ec2None,
    ExternalBridge,
    ExternalHost,
    ManagedHost,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Ports {
    One,
    Unmapped,
    Two,
    UdpFirst,
    Range,
    Fixed,
}

/// Where a container says its variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Environment,
    Labels,
    Override,
}

/// What else is in the task.
#[derive(Clone, Copy, Debug)]
pub(super) enum Beside {
    Alone,
    /// The same again.
    Twin,
    /// A container that says nothing.
    Quiet,
    OptedOut,
    /// A container that asks for a port that is none.
    Wrong,
}

const PLACES: &[Place] = &[
    Place::Fargate,
    Place::FargateIpv6,
    Place::Ec2Awsvpc,
    Place::Ec2Bridge,
    Place::Ec2Host,
    Place::Ec2None,
    Place::ExternalBridge,
    Place::ExternalHost,
    Place::ManagedHost,
];
const PORTS: &[Ports] =
    &[Ports::One, Ports::Unmapped, Ports::Two, Ports::UdpFirst, Ports::Range, Ports::Fixed];
const ENDPOINTS: &[&str] = &[
    "",
    "/metrics",
    "15s:/fast,/slow",
    "30s:9102/metrics,5m:/other?format=text&a=b",
    "8080/a,15s:9102/b,7002/c",
    "60s:/minute,2h:/rare",
    "/twice,5m:/once,15s:/twice",
    "60:/seconds,9102:/port,default:/mistaken,/with:colon",
    "0.0.0.0:9090",
];
/// Seven more than the limit; one repeats the first.
const TOO_MANY: &str = "/0,/1,/2,/3,/4,/5,/6,/7,/8,/9,/10,/11,/12,/13,/14,/15,/16,/17,/18,/19,/20,/21,/22,/23,/24,/25,/26,\
    /27,/28,/29,/30,/31,/32,/33,/34,/35,/36,/37,/38,/39,/40,/41,/42,/43,/44,/45,/46,/47,/48,/49,/50,/51,/52,/53,/54,/55,/56,\
    /57,/58,/59,/60,/61,/62,30s:/0,/63,/64,/65,/66,/67,/68,15s:/1,/70";
const VARIABLES: &[&str] = &[
    "PROMETHEUS_SD_ENDPOINT=15s:/own",
    "PROMETHEUS_PORT=9999",
    "PROMETHEUS_CONTAINER_PORT=9102",
    "PROMETHEUS_SCHEME=https",
    "PROMETHEUS_NOLABELS=true",
    "PROMETHEUS_TAGS=,team=shop,",
];

impl Recipe {
    /// A container of a Fargate task, and no more said than is needed.
    pub(super) fn plain() -> Self {
        Self {
            place: Place::Fargate,
            ports: Ports::One,
            endpoint: "",
            variables: Vec::new(),
            said: Said::Environment,
            beside: Beside::Alone,
            service: false,
            new_host: false,
        }
    }

    pub(super) fn any() -> impl Strategy<Value = Self> {
        let said = sample::select(&[Said::Environment, Said::Environment, Said::Labels, Said::Override][..]);
        let beside = sample::select(
            &[Beside::Alone, Beside::Twin, Beside::Quiet, Beside::OptedOut, Beside::Wrong][..],
        );
        let variables = sample::subsequence(VARIABLES, 0..3);
        let (place, ports) = (sample::select(PLACES), sample::select(PORTS));
        // So many targets take long to compare.
        let endpoint = prop_oneof![40 => sample::select(ENDPOINTS), 1 => Just(TOO_MANY)];
        let asked = (place, ports, endpoint, variables);
        (asked, said, beside, any::<bool>(), any::<bool>()).prop_map(
            |((place, ports, endpoint, variables), said, beside, service, new_host)| Self {
                place,
                ports,
                endpoint,
                variables,
                said,
                beside,
                service,
                new_host,
            },
        )
    }

    pub(super) fn definition(&self) -> TaskDefinition {
        let family = format!("{:?}", self.place).to_lowercase();
        let definition = TaskDefinition::new(&family).tag("tier", "web").tag("team", "none");
        let definition = match self.place {
            Place::Fargate | Place::FargateIpv6 => definition.fargate(),
            Place::Ec2Awsvpc => definition.network_mode("awsvpc"),
            Place::Ec2Bridge => definition,
            Place::ExternalBridge => definition.network_mode("bridge"),
            Place::Ec2Host | Place::ExternalHost | Place::ManagedHost => definition.network_mode("host"),
            Place::Ec2None => definition.network_mode("none"),
        };
        let app = || {
            let app = ContainerDefinition::new("app", "shop/app:1").health_check("true");
            self.mappings().into_iter().fold(app, ContainerDefinition::mapping)
        };
        let asking = |container: ContainerDefinition| {
            self.all_variables().into_iter().fold(container, |container, (name, value)| match self.said {
                Said::Environment => container.env(name, value),
                Said::Labels => container.label(name, value),
                Said::Override => container,
            })
        };
        let beside = ContainerDefinition { name: "beside".to_owned(), essential: false, ..app() };
        let definition = definition.container(asking(app().env("PASSWORD", "secret").label("owner", "shop")));
        match self.beside {
            Beside::Alone => definition,
            Beside::Twin => definition.container(asking(beside)),
            Beside::Quiet => definition.container(beside),
            Beside::OptedOut => definition.container(beside.env("PROMETHEUS", "No")),
            Beside::Wrong => {
                let wrong = beside.env("PROMETHEUS", "true").env("PROMETHEUS_CONTAINER_PORT", "http");
                definition.container(wrong)
            }
        }
    }

    /// Adds what is said for each task alone.
    pub(super) fn settled(&self, mut run: Run) -> Run {
        run.capacity_provider = (!self.service).then(|| "FARGATE_SPOT".to_owned());
        run.started_by = Some("nightly".to_owned());
        run = run.tag("team", "shop").tag("cost-center", "7");
        if self.place == Place::FargateIpv6 {
            run = run.addresses(Addresses::Ipv6);
        }
        if self.service {
            run = run.service("web").inject(Injected::ServiceConnect);
        }
        match self.said {
            Said::Override => {
                let changed = self.all_variables().into_iter();
                let changed = changed
                    .fold(ContainerOverride::new("app"), |changed, (name, value)| changed.env(name, value));
                run.overriding(changed)
            }
            Said::Environment | Said::Labels => run,
        }
    }

    fn all_variables(&self) -> Vec<(&'static str, &'static str)> {
        let more = self.variables.iter().filter_map(|variable| variable.split_once('='));
        [("PROMETHEUS", "true"), ("PROMETHEUS_ENDPOINT", self.endpoint)].into_iter().chain(more).collect()
    }

    fn mappings(&self) -> Vec<PortMapping> {
        match self.ports {
            Ports::One => vec![PortMapping::tcp(8080)],
            Ports::Unmapped => Vec::new(),
            Ports::Two => vec![PortMapping::tcp(8080).on_host(0), PortMapping::tcp(9102)],
            Ports::UdpFirst => vec![PortMapping::udp(8125), PortMapping::tcp(9102)],
            Ports::Range => vec![PortMapping::range(7000, 7009)],
            Ports::Fixed => vec![PortMapping::tcp(8080).on_host(18_080)],
        }
    }
}

impl Place {
    /// What its tasks need to run on.
    pub(super) fn host(self) -> Option<HostKind> {
        match self {
            Self::Fargate | Self::FargateIpv6 => None,
            Self::Ec2Awsvpc | Self::Ec2Bridge | Self::Ec2Host | Self::Ec2None => Some(HostKind::Ec2),
            Self::ExternalBridge | Self::ExternalHost => Some(HostKind::External),
            Self::ManagedHost => Some(HostKind::ManagedInstances),
        }
    }
}
