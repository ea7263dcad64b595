//! Discover a simulated fleet: the program as it always runs, on another connector.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::derive::Rules;
use ecs_simulator::{OWN_ACCESS_KEY, OWN_SECRET_KEY};
use tokio::sync::mpsc;

use crate::aws::{Aws, Share};
use crate::board::Outlet;
use crate::cli::{DemoArgs, EXIT_USAGE, serve, tell, until_stopped};
use crate::config::{Account, Config, Mistakes, duration, listen, usable_directory};
use crate::demo::{containers, fleet};
use crate::discovery::Discovery;
use crate::poller::Progress;
use crate::sinks::file_sd::Layout;

/// The configuration that the README shows, and the directory that it names.
const PROMETHEUS_YML: &str = include_str!("../../../../examples/prometheus.yml");
const EXAMPLE_DIRECTORY: &str = "/opt/prometheus-ecs";

/// How long a task that was told to stop still answers: our refresh, and then up to ten seconds until Prometheus
/// stops scraping it.
const GRACE: Duration = Duration::from_secs(15);

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
    directory: PathBuf,
    config: Config,
    churn: Duration,
}

impl Demo {
    fn new(arguments: &DemoArgs) -> Result<Self, Mistakes> {
        let mistake = |option: &str, problem: String| Mistakes(vec![format!("--{option}: {problem}")]);
        let interval = duration(&arguments.interval).map_err(|problem| mistake("interval", problem))?;
        let churn = duration(&arguments.churn).map_err(|problem| mistake("churn", problem))?;
        let directory = match &arguments.directory {
            Some(directory) => {
                std::path::absolute(directory).map_err(|error| mistake("directory", error.to_string()))?
            }
            None => temporary().map_err(|error| mistake("directory", error.to_string()))?,
        };
        usable_directory(&directory).map_err(|problem| mistake("directory", problem))?;
        let listen = listen(arguments.listen_address.as_deref())
            .map_err(|problem| mistake("listen-address", problem))?;
        let config = Config {
            directory: Some(directory.clone()),
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
            recheck_interval: interval * 10,
            max_staleness: Duration::MAX,
            accounts: vec![Account::default()],
            sts_region: None,
            // The simulated fleet has it all to itself.
            api_share: Share::ALL,
            rules: Rules::default(),
        };
        Ok(Self { directory, config, churn })
    }

    async fn run(&self) -> io::Result<()> {
        let Self { directory, config, churn } = self;
        let outlet = Outlet::default();
        let address = serve(config, &outlet, None).await.map_err(io::Error::other)?;
        let fleet = fleet::Fleet::start();
        let aws = Aws::isolated(fleet.aws().connector(), fleet::REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY);
        let aws = aws.with_share(config.api_share);
        introduce(directory, address)?;
        let discovery = Discovery::new(config, &aws, outlet, Arc::new(Progress::default()), io::stdout());
        let discovery = discovery.map_err(io::Error::other)?;
        let (_nobody, unchanging) = mpsc::channel(1);
        let containers = containers::answer(fleet.aws().clone());
        tokio::select! {
            result = containers => result,
            () = fleet.churn(*churn, config.interval * 2 + GRACE) => Ok(()),
            () = discovery.run(unchanging) => Ok(()),
        }
    }
}

/// A directory that Prometheus can read whichever user it runs as.
fn temporary() -> io::Result<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let permissions = std::fs::Permissions::from_mode(0o755);
    let directory =
        tempfile::Builder::new().prefix("prometheus-ecs-sd-demo-").permissions(permissions).tempdir()?;
    Ok(directory.keep())
}

fn introduce(directory: &Path, address: Option<SocketAddr>) -> io::Result<()> {
    let shown = directory.display();
    let configuration = directory.join("prometheus.yml");
    let text = PROMETHEUS_YML.replace(EXAMPLE_DIRECTORY, &shown.to_string());
    match std::fs::read_to_string(&configuration) {
        Ok(existing) if existing == text => {}
        Ok(_) => {
            let configuration = configuration.display();
            return Err(io::Error::other(format!(
                "{configuration} exists and is not the demo's; name another --directory"
            )));
        }
        Err(_) => std::fs::write(&configuration, text)?,
    }
    let page = address
        .map_or_else(String::new, |address| format!("\n  status page     http://{}/", reached(address)));
    // Nobody may be reading.
    let _ = writeln!(
        io::stdout(),
        "A simulated fleet on ECS, with tasks that come and go. Nothing here talks to AWS.\n{page}\
         \n  target files    {shown}/*-tasks.json\
         \n  configuration   {shown}/prometheus.yml\n\
         \nSee every target up in a real Prometheus:\n\
         \n  prometheus --config.file={shown}/prometheus.yml --storage.tsdb.path={shown}/data\n\
         \nand open http://localhost:9090/targets. Ctrl-C ends the demo.\n"
    );
    Ok(())
}

/// The address to go to: one that stands for every interface is none.
fn reached(address: SocketAddr) -> String {
    if address.ip().is_unspecified() { format!("localhost:{}", address.port()) } else { address.to_string() }
}
