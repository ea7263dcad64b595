//! Why an opted-in container is not scraped, and what else its owner should know.
//!
//! Texts of a task definition are quoted in part only, and the warnings of a container are limited, so that its
//! findings fit in a log however long its texts are.

use std::fmt;

use crate::arn::{TaskArn, TaskDefinitionArn};

/// Why a container that opted in yields no target. The list is closed: logs, metrics and explanations use these words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// `PROMETHEUS` says no.
    OptedOut,
    /// The task is not RUNNING, or not meant to be.
    TaskNotRunning,
    /// The container is not RUNNING.
    ContainerNotRunning,
    /// AWS names no address for it.
    NoAddress,
    /// Its network mode gives it no network.
    NetworkModeNone,
    /// The instance behind its container instance could not be read.
    HostUnknown,
    /// A rule needs a tag that its service may have, and the service could not be read.
    ServiceUnknown,
    /// AWS knows no such instance, or no such container instance.
    HostGone,
    /// Its task definition could not be read.
    DefinitionUnavailable,
    /// It belongs to an ECS managed daemon, which cannot be reached by address.
    ManagedDaemon,
    /// The port it asks for is not published on the host.
    PortNotPublished,
    /// The port it asks for is no port.
    InvalidPort,
    /// Its endpoint cannot be scraped as written.
    InvalidEndpoint,
    /// Another container of its task is scraped at the same address, port and path.
    DuplicateEndpoint,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 14] = [
        Self::OptedOut,
        Self::TaskNotRunning,
        Self::ContainerNotRunning,
        Self::NoAddress,
        Self::NetworkModeNone,
        Self::HostUnknown,
        Self::ServiceUnknown,
        Self::HostGone,
        Self::DefinitionUnavailable,
        Self::ManagedDaemon,
        Self::PortNotPublished,
        Self::InvalidPort,
        Self::InvalidEndpoint,
        Self::DuplicateEndpoint,
    ];

    /// The words that name it everywhere.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OptedOut => "opted out",
            Self::TaskNotRunning => "task not running",
            Self::ContainerNotRunning => "container not running",
            Self::NoAddress => "no address",
            Self::NetworkModeNone => "network mode none",
            Self::HostUnknown => "host unknown",
            Self::ServiceUnknown => "service unknown",
            Self::HostGone => "host gone",
            Self::DefinitionUnavailable => "definition unavailable",
            Self::ManagedDaemon => "managed daemon",
            Self::PortNotPublished => "port not published",
            Self::InvalidPort => "invalid port",
            Self::InvalidEndpoint => "invalid endpoint",
            Self::DuplicateEndpoint => "duplicate endpoint",
        }
    }

    /// What the container's owner, or the operator, is to do about it; one sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::OptedOut => "nothing, or set the variable to true",
            Self::TaskNotRunning => "wait, or find out from ECS why the task does not start",
            Self::ContainerNotRunning => "wait, or find out from ECS why the container does not start",
            Self::NoAddress => {
                "see that the task has an interface with an address, or its host a private IPv4 address; \
                 of ECS Anywhere, that the SSM agent reports one"
            }
            Self::NetworkModeNone => "use the network mode awsvpc, bridge or host",
            Self::HostUnknown => {
                "allow ecs:DescribeContainerInstances, ec2:DescribeInstances and, for ECS Anywhere, \
                 ssm:DescribeInstanceInformation"
            }
            Self::ServiceUnknown => "allow ecs:DescribeServices",
            Self::HostGone => {
                "wait: ECS ends the tasks of a terminated instance; if they stay, deregister its container instance"
            }
            Self::DefinitionUnavailable => "allow ecs:DescribeTaskDefinition, if AWS denied it",
            Self::ManagedDaemon => "nothing: it cannot be scraped from outside",
            Self::PortNotPublished => {
                "add a port mapping for the container port, or correct the port that the container asks for"
            }
            Self::InvalidPort => "write a number from 1 to 65535",
            Self::InvalidEndpoint => "correct the path, the query or the scheme",
            Self::DuplicateEndpoint => {
                "give it another port or path: another container of the task is scraped there already"
            }
        }
    }

    /// Whether the reason is the normal course of things, and no one need act.
    pub fn is_expected(self) -> bool {
        matches!(
            self,
            Self::OptedOut | Self::TaskNotRunning | Self::ContainerNotRunning | Self::ManagedDaemon
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A reason with what it was in this case: which value, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The reason.
    pub reason: Reason,
    /// One sentence for the container's owner.
    pub detail: String,
}

impl Problem {
    pub(crate) fn new(reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// What was found about one container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// The task.
    pub task: TaskArn,
    /// The container's name; empty where the definition that would name it is unknown.
    pub container: Box<str>,
    /// What it comes to.
    pub verdict: Verdict,
    /// The task's definition.
    pub definition: TaskDefinitionArn,
}

impl Finding {
    /// Why the container is not scraped, if someone should act on that.
    pub fn unexpected(&self) -> Option<&Problem> {
        match &self.verdict {
            Verdict::NotScraped(problem) if !problem.reason.is_expected() => Some(problem),
            Verdict::NotScraped(_) | Verdict::Warning(_) => None,
        }
    }

    /// The task definition's family, which a target of it has as its `job`.
    pub fn job(&self) -> &str {
        self.definition.family()
    }

    /// What makes it the same finding as one before: an error's wording may change from answer to answer.
    pub(crate) fn subject(&self) -> (&TaskArn, &str, Result<&str, Reason>) {
        let what = match &self.verdict {
            Verdict::NotScraped(problem) => Err(problem.reason),
            Verdict::Warning(text) => Ok(text.as_str()),
        };
        (&self.task, &self.container, what)
    }
}

/// What a finding comes to.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// No target at all. A container has at most one such finding.
    NotScraped(Problem),
    /// It is scraped, but not quite as its owner wrote.
    Warning(String),
}
