//! What is killed: the real sinks, which write one numbered snapshot after the other as fast as they can.

use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::derive::Rules;
use ecs_discovery::interval::Intervals;
use ecs_discovery::inventory::saved::{Saved, SavedScope, SavedTask};
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::model::{
    Cluster, Container, ContainerDefinition, LaunchType, NetworkInterface, NetworkMode, PortMapping,
    PortRange, Protocol, Settings, Status, Task, TaskDefinition,
};
use ecs_discovery::snapshot::Snapshot;
use prometheus_ecs_sd::clock::Reading;
use prometheus_ecs_sd::config::Layout;
use prometheus_ecs_sd::published::Published;
use prometheus_ecs_sd::sinks::file_sd::{self, FileSd, Outcome};
use prometheus_ecs_sd::state::{Revision, State, StateFile};

use crate::files::{INTERVALS, state_file};

pub(super) const TASKS_OF_AN_INTERVAL: u32 = 25;
/// What the writer says before it does anything else, and after each snapshot.
pub(super) const STEP: u8 = 0;

const SOURCE: &str = "own account";
const NOW: Duration = Duration::from_secs(1_800_000_000);
const ACCOUNT: &str = "arn:aws:ecs:eu-central-1:111111111111";

/// The group of every task of a snapshot. All names are of one length.
pub(super) fn name(number: u64) -> String {
    format!("snapshot-{number:012}")
}

/// The number of the first name in a file.
pub(super) fn number(text: &str) -> u64 {
    let (_, rest) = text.split_once("snapshot-").expect("a file is empty or cut off");
    rest[..12].parse().unwrap()
}

/// What the state file holds: the number of its snapshot, whose facts they are exactly, its revision, and whether it is
/// known to be the newest.
pub(super) fn state(directory: &Path) -> Option<(u64, Revision, bool)> {
    let State { sources, revision, is_newest, .. } = StateFile::new(&state_file(directory)).read()?;
    let number = number(sources[SOURCE].scopes[0].tasks[0].task.group.as_deref().unwrap());
    assert!(sources[SOURCE] == saved(&name(number)), "the state is not snapshot {number}");
    Some((number, revision.unwrap(), is_newest))
}

/// The sinks, as the program starts them.
pub(super) struct Writer {
    state: StateFile,
    files: FileSd,
    revision: Revision,
}

impl Writer {
    pub(super) fn start(directory: &Path) -> Self {
        file_sd::prepare(directory).unwrap();
        let path = state_file(directory);
        let state = StateFile::new(&path);
        state.prepare().unwrap();
        let known = self::state(directory).map(|(_, revision, _)| revision);
        let files = FileSd::new(directory, Layout::PerInterval, &Intervals::default(), known);
        Self { state, files, revision: known.unwrap_or_else(Revision::begin) }
    }

    /// In the order of the program: the state goes first.
    pub(super) fn write(&mut self, number: u64) {
        let saved = saved(&name(number));
        let (_, scopes) =
            saved.clone().restore(&ClusterSelection::All, &Rules::default(), Duration::ZERO, Duration::ZERO);
        self.revision = self.revision.next();
        let facts = vec![(SOURCE.into(), Arc::new(saved))];
        assert!(self.state.write(&facts, self.revision, Reading::at(NOW), true));
        let (snapshot, revision) = (Arc::new(Snapshot { scopes }), Some(self.revision));
        let published = Published { snapshot, complete: true, revision, ..Published::default() };
        // The state is always at least as new as the target files, so that no target counts as unknown.
        assert_eq!(self.files.write(&published), Outcome { succeeded: true, keeps: false });
    }
}

/// Publishes what is known, as a start does, and then what is new.
pub(super) fn write_for_ever(directory: &Path) -> ! {
    let step = || io::stdout().write_all(&[STEP]).and_then(|()| io::stdout().flush()).unwrap();
    step();
    let mut writer = Writer::start(directory);
    let (mut next, _, _) = state(directory).unwrap();
    loop {
        writer.write(next);
        step();
        next += 1;
    }
}

fn saved(group: &str) -> Saved {
    let mut definitions: Vec<_> = INTERVALS.iter().map(|interval| Arc::new(definition(interval))).collect();
    definitions.sort_by(|one, other| one.arn.cmp(&other.arn));
    let group: Arc<str> = group.into();
    let tasks = (0..TASKS_OF_AN_INTERVAL * INTERVALS.len() as u32)
        .map(|number| task(number, &definitions[number as usize % definitions.len()], group.clone()));
    let cluster =
        Cluster { arn: ClusterArn::parse(&format!("{ACCOUNT}:cluster/prod")).unwrap(), tags: vec![] };
    let scope = SavedScope {
        cluster: Arc::new(cluster),
        described: true,
        stale_since: None,
        failing_since: None,
        services: vec![],
        tasks: tasks
            .map(|task| SavedTask {
                described: true,
                task: Arc::new(task),
                version: None,
                observed: Duration::ZERO,
            })
            .collect(),
    };
    Saved { scopes: vec![scope], definitions, ..Saved::default() }
}

fn definition(interval: &str) -> TaskDefinition {
    let endpoint = format!("{interval}:/metrics");
    let environment = [("PROMETHEUS", "true"), ("PROMETHEUS_ENDPOINT", &endpoint)];
    let port = PortMapping { container_ports: PortRange::one(8080), protocol: Protocol::Tcp };
    let app = ContainerDefinition {
        name: "app".into(),
        environment: Settings::from_pairs(environment, &ecs_discovery::model::Names::default()),
        secrets: vec![],
        docker_labels: vec![],
        port_mappings: vec![port],
    };
    TaskDefinition {
        arn: TaskDefinitionArn::parse(&format!("{ACCOUNT}:task-definition/web-{interval}:1")).unwrap(),
        network_mode: NetworkMode::Awsvpc,
        containers: vec![app],
        tags: vec![],
        names: ecs_discovery::model::Names::default(),
    }
}

fn task(number: u32, definition: &TaskDefinition, group: Arc<str>) -> Task {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(10, 0, 0, 0)) + number);
    let app = Container {
        name: "app".into(),
        arn: None,
        image: Some("shop/web:1".into()),
        runtime_id: None,
        last_status: Status::Running,
        health_status: None,
        private_ipv4: Some(address),
        ipv6: None,
        network_bindings: vec![],
    };
    Task {
        arn: TaskArn::parse(&format!("{ACCOUNT}:task/prod/{number:032x}")).unwrap(),
        definition: definition.arn.clone(),
        launch_type: Some(LaunchType::Fargate),
        capacity_provider: None,
        group: Some(group),
        started_by: None,
        availability_zone: None,
        desired_status: Status::Running,
        last_status: Status::Running,
        health_status: None,
        platform_family: None,
        platform_version: None,
        container_instance: None,
        network_interface: Some(NetworkInterface {
            private_ipv4: Some(address),
            ..NetworkInterface::default()
        }),
        containers: vec![app],
        overrides: vec![],
        tags: vec![],
        names: ecs_discovery::model::Names::default(),
    }
}
