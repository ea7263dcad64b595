//! Discover a simulated fleet: the program as it always runs, on another connector.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ecs_discovery::derive::Rules;
use ecs_simulator::{OWN_ACCESS_KEY, OWN_SECRET_KEY};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::atomic_file::AtomicWriter;
use crate::aws::Aws;
use crate::cli::arguments::DemoArgs;
use crate::cli::{EXIT_USAGE, serve, tell, until_stopped};
use crate::config::{Account, Config, ConfigErrors, Layout, Listen, QueueAddress, Share, duration, listen};
use crate::demo::containers::Containers;
use crate::demo::fleet;
use crate::demo::ports::Ports;
use crate::directories;
use crate::discovery::Discovery;
use crate::lock::Locks;
use crate::published::Progress;
use crate::published::SnapshotStore;
use crate::telemetry::LogFormat;

/// The configuration that the README shows, and the directory that it names.
const PROMETHEUS_YML: &str = include_str!("../../../../examples/prometheus.yml");
const EXAMPLE_DIRECTORY: &str = "/opt/prometheus-ecs";

/// How long a task that was told to stop still answers: our refresh, and then up to ten seconds until Prometheus
/// stops scraping it.
const GRACE: Duration = Duration::from_secs(15);

/// Where Prometheus listens unless it is told otherwise.
const PROMETHEUS_PORT: u16 = 9090;

/// How often removing the directory for temporary files is tried: a target file may still be being written, and
/// Prometheus may keep its data there.
const REMOVALS: usize = 10;

/// How long it waits between two of them.
const BETWEEN_REMOVALS: Duration = Duration::from_millis(50);

pub(super) fn run(arguments: &DemoArgs) -> ExitCode {
    let demo = match Demo::new(arguments) {
        Ok(demo) => demo,
        Err(mistakes) => {
            tell(&mistakes);
            eprintln!("\nFor more information, try 'demo --help'.");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    until_stopped(async { demo.run().await.map(|()| ExitCode::SUCCESS) })
}

struct Demo {
    directory: Directory,
    config: Config,
    churn: Duration,
}

impl Demo {
    fn new(arguments: &DemoArgs) -> Result<Self, ConfigErrors> {
        let mistake = |option: &str, problem: String| ConfigErrors::one(format!("--{option}: {problem}"));
        let interval = duration(&arguments.interval).map_err(|problem| mistake("interval", problem))?;
        let churn = duration(&arguments.churn).map_err(|problem| mistake("churn", problem))?;
        let directory = Directory::new(arguments.directory.as_deref())
            .map_err(|error| mistake("directory", error.to_string()))?;
        let mut locks = Locks::default();
        directories::usable(&directory.path, &mut locks).map_err(|problem| mistake("directory", problem))?;
        let listen = match &arguments.listen_address {
            None => free_usual().map(Some).map_err(|error| error.to_string()),
            given => listen(given.as_deref()),
        };
        let listen = listen.map_err(|problem| mistake("listen-address", problem))?;
        let config = Config {
            directory: Some(directory.path.clone()),
            file_layout: Layout::default(),
            listen,
            allowed_hosts: BTreeSet::new(),
            web_config_file: None,
            enable_lifecycle: false,
            allow_empty: false,
            once: false,
            // Each demo has another fleet.
            state_file: None,
            interval,
            event_queues: vec![event_queue()],
            reconcile_interval: interval * 10,
            recheck_interval: interval * 10,
            max_staleness: Duration::MAX,
            accounts: vec![Account::default()],
            sts_region: None,
            // The simulated fleet has it all to itself.
            api_share: Share::ALL,
            rules: Rules::default(),
            log_format: arguments.log.log_format,
            quiet: arguments.quiet,
            locks,
        };
        Ok(Self { directory, config, churn })
    }

    async fn run(&self) -> io::Result<()> {
        let Self { config, churn, .. } = self;
        // The terminal's window is closed.
        let mut hangup = signal(SignalKind::hangup())?;
        let store = SnapshotStore::default();
        let address = serve(config, &store, None).await.map_err(io::Error::other)?;
        // After that address was taken: it may be of one of these ports.
        let ports = Ports::choose(&[&fleet::PORTS[..], &[PROMETHEUS_PORT]].concat())?;
        let fleet = fleet::Fleet::start(&ports);
        let aws = Aws::isolated(fleet.aws().connector(), fleet::REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY);
        let aws = aws.with_share(config.api_share);
        let simulated = fleet.aws().clone();
        let containers = Containers::listen(&fleet)?;
        self.introduce(address, ports.of(PROMETHEUS_PORT))?;
        let discovery = Discovery::new(config, &aws, store, Arc::new(Progress::default()), io::stdout());
        let discovery = discovery.map_err(io::Error::other)?;
        let (_nobody, unchanging) = mpsc::channel(1);
        tokio::select! {
            () = containers.run() => Ok(()),
            () = fleet.churn(*churn, config.interval * 2 + GRACE) => Ok(()),
            () = simulated.send_heartbeats() => Ok(()),
            () = discovery.run(unchanging) => Ok(()),
            _ = hangup.recv() => Ok(()),
        }
    }

    fn introduce(&self, address: Option<SocketAddr>, port: u16) -> io::Result<()> {
        let directory = &self.directory.path;
        let shown = directory.display();
        write_configuration(directory)?;
        let page = address
            .map_or_else(String::new, |address| format!("\n  status page     http://{}/", reached(address)));
        let listen = match port {
            PROMETHEUS_PORT => String::new(),
            port => format!(" --web.listen-address=localhost:{port}"),
        };
        let end = if self.directory.is_temporary { format!(" and removes {shown}") } else { String::new() };
        // What reads the lines of changes as JSON cannot read this.
        let mut out: Box<dyn Write> = match self.config.log_format {
            LogFormat::Text => Box::new(io::stdout()),
            LogFormat::Json => Box::new(io::stderr()),
        };
        // Nobody may be reading.
        let _ = writeln!(
            out,
            "A simulated fleet on ECS, with tasks that come and go. Nothing here talks to AWS.\n{page}\
             \n  target files    {shown}/*-tasks.json\
             \n  configuration   {shown}/prometheus.yml\n\
             \nSee every target up in a real Prometheus:\n\
             \n  prometheus --config.file={shown}/prometheus.yml --storage.tsdb.path={shown}/data{listen}\n\
             \nand open http://localhost:{port}/targets. Ctrl-C ends the demo{end}.\n"
        );
        Ok(())
    }
}

/// The queue that the fleet's events are delivered to.
fn event_queue() -> QueueAddress {
    QueueAddress::parse(&fleet::event_queue()).expect("it is the ARN of a queue")
}

/// The usual address of the status page, with another port if that one is in use.
fn free_usual() -> io::Result<Listen> {
    let mut address: SocketAddr = Listen::DEFAULT.parse().expect("it is an address");
    address.set_port(Ports::choose(&[address.port()])?.of(address.port()));
    Ok(Listen::At(address.to_string()))
}

/// Where the target files are.
struct Directory {
    path: PathBuf,
    /// Whether it is removed when this is dropped.
    is_temporary: bool,
}

impl Directory {
    /// The given directory, or a temporary one that Prometheus can read whichever user it runs as.
    fn new(given: Option<&Path>) -> io::Result<Self> {
        if let Some(given) = given {
            return Ok(Self { path: std::path::absolute(given)?, is_temporary: false });
        }
        let path = tempfile::Builder::new().prefix("prometheus-ecs-sd-demo-").tempdir()?.keep();
        let directory = Self { path, is_temporary: true };
        // Whatever the umask.
        fs::set_permissions(&directory.path, Permissions::from_mode(0o755))?;
        Ok(directory)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let is_gone = |removals: usize| {
            if removals > 0 {
                thread::sleep(BETWEEN_REMOVALS);
            }
            fs::remove_dir_all(&self.path).is_ok() || !self.path.exists()
        };
        if self.is_temporary && !(0..REMOVALS).any(is_gone) {
            tell(&format!("{} cannot be removed; remove it", self.path.display()));
        }
    }
}

/// Writes the configuration for Prometheus, unless it is there already.
fn write_configuration(directory: &Path) -> io::Result<()> {
    let configuration = directory.join("prometheus.yml");
    let text = PROMETHEUS_YML.replace(EXAMPLE_DIRECTORY, &directory.display().to_string());
    match fs::read_to_string(&configuration) {
        Ok(existing) if existing == text => Ok(()),
        Ok(_) => {
            let configuration = configuration.display();
            Err(io::Error::other(format!(
                "{configuration} exists and is not the demo's; name another --directory"
            )))
        }
        Err(_) => {
            let writer = AtomicWriter { directory, prefix: "prometheus.yml.new-", mode: 0o644 };
            writer.replace(&configuration, |out| out.write_all(text.as_bytes())).map(drop)
        }
    }
}

/// The address to go to: one that stands for every interface is none.
fn reached(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}
