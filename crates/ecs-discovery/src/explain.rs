//! Why a task's containers become the targets they become, or none: every step of [`derive`](mod@crate::derive), in words.
//!
//! No rule is here: what is explained is what the same code decided that derives the targets.

pub mod conventions;
pub mod report;
pub mod undeployed_task;

use std::borrow::Cow;
use std::sync::Arc;

use crate::address::{AddressSource, PortSource, Reached};
use crate::conventions::environment::endpoints::{Parts, interval_length};
use crate::conventions::environment::readings::{VariableReading, readings};
use crate::conventions::rule::{Rule, Value};
use crate::derive::Rules;
use crate::derive::examine::{Examined, Outcome, examine};
use crate::derive::prepared::Prepared;
use crate::derive::taken::Made;
use crate::finding::{Problem, Reason};
use crate::labels;
use crate::model::{Cluster, InstanceId, NetworkMode, Task};
use crate::target::Target;
use crate::task_view::{Definition, Placement, TaskView};
use crate::text::{brief, few};
use crate::variable::Variable;
use conventions::ExplainedConvention;
use undeployed_task::Placeholders;

/// What one task comes to, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Its cluster.
    pub cluster: Arc<Cluster>,
    /// The task.
    pub task: Arc<Task>,
    /// Of its definition, where that is known.
    pub network_mode: Option<NetworkMode>,
    /// Whether nobody has named it: an array of containers has none.
    pub network_mode_is_assumed: bool,
    /// The machine it runs on, where that is known.
    pub instance: Option<InstanceId>,
    /// Each container of its definition, in that order; or why none of them could be looked at.
    pub containers: Result<Vec<ExplainedContainer>, Problem>,
    /// For what only a running task has, if there is none.
    stand_ins: Option<Placeholders>,
}

/// What one container comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedContainer {
    /// Its name.
    pub name: Box<str>,
    /// What each convention says of it; empty if only the variables are read.
    pub conventions: Vec<ExplainedConvention>,
    /// Every variable that was read.
    pub variables: Vec<VariableReading>,
    /// What was not followed to the letter.
    pub warnings: Vec<String>,
    /// What is not read, and is probably meant to be. Only of a definition in a file.
    pub hints: Vec<String>,
    /// What came of it.
    pub verdict: ContainerVerdict,
}

/// What comes of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerVerdict {
    /// It did not opt in, and why that is so.
    NotAsked(&'static str),
    /// It is not scraped, whatever its endpoints.
    NotScraped(Problem),
    /// What comes of each endpoint; never empty.
    Endpoints(Vec<ExplainedEndpoint>),
}

/// What one endpoint comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedEndpoint {
    /// The convention that asks for it.
    pub convention: Box<str>,
    /// As `PROMETHEUS_ENDPOINT` writes it, or the path that counts where it writes none.
    pub written: Box<str>,
    /// The target, or why there is none.
    pub outcome: Result<ExplainedTarget, Problem>,
}

/// A target, and why it is this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedTarget {
    /// The target.
    pub target: Target,
    /// Why it has its interval.
    pub interval: String,
    /// Whose address it has.
    pub address: String,
    /// Why it has its port.
    pub port: String,
}

/// Explains a task.
pub fn explain(view: &TaskView<'_>, rules: &Rules) -> Explanation {
    explain_as(view, rules, false)
}

/// The same; conditions on the task of a draft count as met.
fn explain_as(view: &TaskView<'_>, rules: &Rules, is_draft: bool) -> Explanation {
    let network_mode = match view.definition {
        Definition::Known(definition) => Some(definition.network_mode.clone()),
        Definition::Unavailable(_) => None,
    };
    let mut containers = Vec::new();
    let mut prepared = Prepared::new(rules);
    prepared.assumes = is_draft;
    let examined = examine(view, &mut prepared, |examined| {
        containers.push(container(view, network_mode.as_ref(), examined, rules, is_draft));
    });
    Explanation {
        cluster: view.cluster.clone(),
        task: view.task.clone(),
        network_mode: network_mode.clone(),
        network_mode_is_assumed: false,
        instance: view.placement.instance().cloned(),
        containers: examined.map(|()| containers),
        stand_ins: None,
    }
}

fn container(
    view: &TaskView<'_>,
    mode: Option<&NetworkMode>,
    examined: Examined<'_, '_>,
    rules: &Rules,
    is_draft: bool,
) -> ExplainedContainer {
    let definition = examined.defined.container;
    let variables = readings(definition, examined.defined.overrides.map(|(settings, _)| settings));
    let not_asked = why_not_asked(&variables);
    let conventions = conventions::explained(&examined, rules, is_draft, not_asked);
    let words = Words { view, mode, rules };
    let (mut warnings, mut endpoints, mut problem, mut is_given_up) = (Vec::new(), Vec::new(), None, false);
    let would_take = examined.would_take;
    for part in examined.parts {
        let name = part.convention.name();
        let prefix =
            if rules.conventions.is_environment_alone() { String::new() } else { format!("{name}: ") };
        warnings.extend(part.warnings.into_iter().map(|warning| format!("{prefix}{warning}")));
        match part.outcome {
            Outcome::NotAsked => {}
            Outcome::NotScraped(first) => drop(problem.get_or_insert(first)),
            Outcome::Endpoints(made) => {
                for (written, made) in part.written.into_iter().zip(made) {
                    let outcome = match made {
                        Made::Target(target, reached) => Ok(match part.rule {
                            Some(rule) => words.of_a_rule(*target, reached, rule),
                            None => words.target(*target, reached, &written),
                        }),
                        Made::Problem(problem) => Err(problem),
                        Made::GivenUp(_) => {
                            is_given_up = true;
                            continue;
                        }
                    };
                    endpoints.push(ExplainedEndpoint { convention: name.into(), written, outcome });
                }
            }
        }
    }
    let verdict = match (endpoints.is_empty(), problem) {
        (false, _) => ContainerVerdict::Endpoints(endpoints),
        (true, Some(problem)) => ContainerVerdict::NotScraped(problem),
        (true, None) if is_given_up => ContainerVerdict::NotAsked("its endpoints belong to other containers"),
        (true, None) if rules.conventions.is_environment_alone() => ContainerVerdict::NotAsked(not_asked),
        (true, None) => ContainerVerdict::NotAsked("no convention asks for it"),
    };
    let (name, warnings) = (definition.name.clone(), few(warnings, "warning"));
    let mut container =
        ExplainedContainer { name, conventions, variables, warnings, hints: Vec::new(), verdict };
    if container.targets().next().is_none() {
        container.hints.extend(would_take.map(|hint| hint.words()));
    }
    container
}

fn why_not_asked(variables: &[VariableReading]) -> &'static str {
    match variables.iter().find(|reading| reading.variable == Variable::Prometheus) {
        Some(reading) if reading.value.is_none() => "PROMETHEUS is a secret, which cannot be read",
        Some(_) => "PROMETHEUS is empty",
        None => "PROMETHEUS is not set",
    }
}

/// What the words about a container's targets depend on.
struct Words<'a> {
    view: &'a TaskView<'a>,
    mode: Option<&'a NetworkMode>,
    rules: &'a Rules,
}

impl Words<'_> {
    fn target(&self, target: Target, reached: Reached, written: &str) -> ExplainedTarget {
        let (interval, port) = match Parts::of(written, &self.rules.intervals) {
            Ok(Parts { interval, port, .. }) => (interval, port),
            Err(_) => (None, None),
        };
        ExplainedTarget {
            interval: self.interval(&target, interval),
            address: self.address(reached.source),
            port: {
                let place = if port.is_some() { "the endpoint" } else { "PROMETHEUS_CONTAINER_PORT" };
                self.port(reached, place, "PROMETHEUS_PORT")
            },
            target,
        }
    }

    fn of_a_rule(&self, target: Target, reached: Reached, rule: &Rule) -> ExplainedTarget {
        let convention = target.convention();
        let interval = match target.asked.interval {
            true => format!("as {convention} asks"),
            false => format!("the scrape job's own, since {convention} names none"),
        };
        let address = self.address(reached.source);
        let named_by = match rule.ports.value().and_then(Value::source) {
            Some(source) => format!("the {source}"),
            None => convention.to_owned(),
        };
        let port = self.port(reached, &named_by, &format!("the port that {named_by} names"));
        ExplainedTarget { interval, address, port, target }
    }

    fn interval(&self, target: &Target, asked: Option<&str>) -> String {
        match asked {
            None => "the default, since the endpoint names none".to_owned(),
            Some(text) if interval_length(text) == Some(target.interval.length()) => {
                "as the endpoint asks".to_owned()
            }
            Some(text) if interval_length(text).is_none() => {
                format!("the default, since {:?} is not an interval", brief(text))
            }
            Some(text) => {
                let offered = self.rules.intervals.offered().iter().map(|interval| interval.name());
                let offered = offered.collect::<Vec<_>>().join(", ");
                format!("the default, since {} is not offered ({offered})", brief(text))
            }
        }
    }

    fn address(&self, source: AddressSource) -> String {
        match source {
            AddressSource::Container => "the IPv4 address of its network interface".to_owned(),
            AddressSource::Task => "the IPv4 address of its task's network interface".to_owned(),
            AddressSource::Ipv6 => {
                "the IPv6 address of its network interface, which has no IPv4 address".to_owned()
            }
            AddressSource::Host => {
                let mode = self.mode.map_or("", NetworkMode::as_str);
                let host = match self.view.placement {
                    Placement::Host(host) => host.id.as_str(),
                    Placement::Nowhere | Placement::ContainerInstance { .. } => "",
                };
                format!("the private IPv4 address of its host {host}, as in {mode} mode")
            }
        }
    }

    /// `asked` names a container port, and `verbatim` a port.
    fn port(&self, reached: Reached, asked: &str, verbatim: &str) -> String {
        let Some(port) = reached.container_port else {
            return format!("{verbatim}, as it is in every network mode");
        };
        let named_by = match reached.port_source {
            PortSource::Verbatim | PortSource::Default => {
                return "the default, since neither a variable nor a TCP port mapping names one".to_owned();
            }
            PortSource::AskedAsHostPort => {
                let host_port = reached.address.port();
                return format!(
                    "{host_port} is no container port, but the host port of container port {port}"
                );
            }
            PortSource::Asked => asked,
            PortSource::FirstMapping => "the first TCP port mapping",
        };
        if self.mode.is_some_and(NetworkMode::publishes_ports) {
            format!("the host port of container port {port}, which {named_by} names")
        } else {
            format!("the container port that {named_by} names")
        }
    }
}

/// As it is shown: with stand-ins for what only a running task has.
impl Explanation {
    /// Whether the task is only a definition so far, and stand-ins are in `<…>`.
    pub fn is_draft(&self) -> bool {
        self.stand_ins.is_some()
    }

    /// The targets of all containers.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.containers().iter().flat_map(ExplainedContainer::targets)
    }

    /// The containers, if they could be looked at.
    pub fn containers(&self) -> &[ExplainedContainer] {
        self.containers.as_deref().unwrap_or_default()
    }

    /// Address and port.
    pub fn address(&self, target: &Target) -> String {
        match &self.stand_ins {
            None => target.endpoint.address.to_string(),
            Some(stand_ins) => stand_ins.address(target.endpoint.address),
        }
    }

    /// All of it that Prometheus asks for.
    pub fn url(&self, target: &Target) -> String {
        let url = target.endpoint.to_string();
        url.replacen(&target.endpoint.address.to_string(), &self.address(target), 1)
    }

    /// The labels as they are published.
    pub fn labels(&self, target: &Target) -> Vec<(String, String)> {
        let address = target.endpoint.address;
        let labels = target.labels();
        let labels = labels.iter().map(|(name, value)| {
            let shown = match (&self.stand_ins, name) {
                (Some(stand_ins), name) if name == labels::INSTANCE.name && value == address.to_string() => {
                    stand_ins.address(address)
                }
                (Some(_), name)
                    if [labels::META_IP_ADDRESS.name, labels::META_EC2_INSTANCE_PRIVATE_IP.name]
                        .contains(&name) =>
                {
                    Placeholders::host(address.ip()).to_owned()
                }
                _ => value.to_owned(),
            };
            (name.to_owned(), shown)
        });
        labels.collect()
    }

    /// What a problem was in this case.
    pub fn detail<'a>(&self, problem: &'a Problem) -> Cow<'a, str> {
        match &self.stand_ins {
            Some(stand_ins) if problem.reason == Reason::DuplicateEndpoint => {
                stand_ins.url_before(&problem.detail)
            }
            _ => Cow::Borrowed(&problem.detail),
        }
    }
}

impl ExplainedContainer {
    /// Its targets, in the order of its endpoints.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        let endpoints = match &self.verdict {
            ContainerVerdict::Endpoints(endpoints) => endpoints.as_slice(),
            ContainerVerdict::NotAsked(_) | ContainerVerdict::NotScraped(_) => &[],
        };
        endpoints.iter().filter_map(|endpoint| Some(&endpoint.outcome.as_ref().ok()?.target))
    }

    /// Whether it says that it is to be scraped, or not to be.
    pub fn opted_in(&self) -> bool {
        !matches!(self.verdict, ContainerVerdict::NotAsked(_))
    }

    /// Why it is not scraped at all, if it opted in, or out.
    pub fn problem(&self) -> Option<&Problem> {
        match &self.verdict {
            ContainerVerdict::NotAsked(_) => None,
            ContainerVerdict::NotScraped(problem) => Some(problem),
            ContainerVerdict::Endpoints(endpoints) => {
                let mut outcomes = endpoints.iter().map(|endpoint| endpoint.outcome.as_ref());
                let scraped = outcomes.clone().any(|outcome| outcome.is_ok());
                if scraped { None } else { outcomes.find_map(Result::err) }
            }
        }
    }
}
