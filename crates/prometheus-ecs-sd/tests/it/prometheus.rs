//! Prometheus itself, on the demo's files: what it makes of them, and that each target answers.

mod relabelling;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ecs_simulator::Aws;
use serde::Deserialize;
use tempfile::TempDir;

use crate::files::{Group, INTERVALS, groups};
use crate::http::serving;
use crate::simulated::fleet;
use crate::tools::{Running, demo_turn, free_address, get, program, repository, tool, wait};

/// Longer than any test.
const NEVER: &str = "1h";

/// A running demo that has written its files.
struct Demo {
    process: Running,
    directory: TempDir,
    // Dropped last.
    _turn: File,
}

impl Demo {
    fn start(churn: &str) -> Self {
        Self::served_at("none", churn)
    }

    fn served_at(listen: &str, churn: &str) -> Self {
        let (turn, directory) = (demo_turn(), tempfile::tempdir().unwrap());
        let mut command = program();
        command.args([
            "demo",
            "--interval",
            "1",
            "--churn",
            churn,
            "--listen-address",
            listen,
            "--directory",
        ]);
        command.arg(directory.path());
        let mut demo =
            Self { process: Running::start(command.stdout(Stdio::null())), directory, _turn: turn };
        wait(|| {
            demo.process.check();
            match demo.targets() {
                Some(targets) if !targets.is_empty() => Ok(()),
                _ => Err("the target files".to_owned()),
            }
        });
        demo
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn configuration(&self) -> PathBuf {
        self.path().join("prometheus.yml")
    }

    /// What the files say, by interval and URL; `None` while one is missing.
    fn targets(&self) -> Option<BTreeMap<Key, Group>> {
        let mut targets = BTreeMap::new();
        for interval in INTERVALS {
            for group in groups(self.path(), interval)? {
                targets.insert(Key { pool: format!("ecs-{interval}"), url: scrape_url(&group) }, group);
            }
        }
        Some(targets)
    }
}

/// The job that scrapes a target, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    pool: String,
    url: String,
}

/// What Prometheus has to ask for, after its documentation. The demo's values need no escaping.
pub(crate) fn scrape_url(group: &Group) -> String {
    let [address] = &group.targets[..] else { panic!("{group:?} has not one target") };
    let label = |name: &str| group.labels.get(name).map(String::as_str);
    let scheme = label("__scheme__").unwrap_or("http");
    let path = label("__metrics_path__").unwrap_or("/metrics");
    let parameters = group.labels.iter().filter_map(|(name, value)| {
        let name = name.strip_prefix("__param_")?;
        Some(format!("{name}={value}"))
    });
    let query = parameters.collect::<Vec<_>>().join("&");
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{scheme}://{address}{path}{mark}{query}")
}

/// A running Prometheus.
struct Prometheus {
    process: Running,
    address: SocketAddr,
    _storage: TempDir,
}

#[derive(Debug, Deserialize)]
struct Answer {
    data: Targets,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Targets {
    active_targets: Vec<ActiveTarget>,
    dropped_targets: Vec<serde_json::Value>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ActiveTarget {
    discovered_labels: BTreeMap<String, String>,
    labels: BTreeMap<String, String>,
    scrape_pool: String,
    scrape_url: String,
    scrape_interval: String,
    last_error: String,
    health: String,
}

impl Prometheus {
    fn start(configuration: &Path) -> Self {
        let (address, storage) = (free_address(), tempfile::tempdir().unwrap());
        let mut command = tool("prometheus");
        command
            .arg(format!("--config.file={}", configuration.display()))
            .arg(format!("--storage.tsdb.path={}", storage.path().display()))
            .arg(format!("--web.listen-address={address}"));
        Self { process: Running::start(&mut command), address, _storage: storage }
    }

    /// What it knows to scrape; an error while it starts.
    fn targets(&mut self) -> Result<BTreeMap<Key, ActiveTarget>, String> {
        self.process.check();
        let answer = get(self.address, "/api/v1/targets").map_err(|error| error.to_string())?;
        let Answer { data } = serde_json::from_str(&answer).unwrap();
        assert!(data.dropped_targets.is_empty(), "{:?}", data.dropped_targets);
        let targets = data
            .active_targets
            .into_iter()
            .map(|target| (Key { pool: target.scrape_pool.clone(), url: target.scrape_url.clone() }, target));
        Ok(targets.collect())
    }
}

/// The first value of an instant query for the metric of this name.
fn value(prometheus: SocketAddr, name: &str) -> Result<f64, String> {
    let answer =
        get(prometheus, &format!("/api/v1/query?query={name}")).map_err(|error| error.to_string())?;
    let answer: serde_json::Value = serde_json::from_str(&answer).unwrap();
    let value = answer["data"]["result"][0]["value"][1].as_str();
    value.map(|value| value.parse().unwrap()).ok_or_else(|| name.to_owned())
}

/// It asks for OpenMetrics, and drops a page that has a mistake. The text format is promtool's to check.
#[test]
fn prometheus_reads_the_metrics_of_the_program() {
    let sd = free_address();
    let (_program, _running) = serving(&Aws::new(fleet(&[("production", 3)])), sd);
    let directory = tempfile::tempdir().unwrap();
    let configuration = directory.path().join("prometheus.yml");
    let jobs = fs::read_to_string(repository("examples/prometheus-metrics.yml")).unwrap();
    let jobs = jobs.replace("localhost:9779", &sd.to_string());
    fs::write(&configuration, format!("global:\n  scrape_interval: 1s\n  scrape_timeout: 1s\n{jobs}"))
        .unwrap();
    fs::copy(repository("examples/alerts.yml"), directory.path().join("alerts.yml")).unwrap();
    let mut prometheus = Prometheus::start(&configuration);
    wait(|| {
        prometheus.process.check();
        match value(prometheus.address, "ecs_sd_targets")? {
            3.0 => Ok(()),
            other => Err(format!("{other} targets")),
        }
    });
    assert_eq!(value(prometheus.address, "up"), Ok(1.0));
    for name in ["ecs_sd_aws_requests_total", "ecs_sd_build_info", "process_start_time_seconds"] {
        assert!(value(prometheus.address, name).is_ok_and(|value| value > 0.0), "{name}");
    }
    // Only of OpenMetrics it knows units, and counters by the name of their family.
    let known = |name: &str| get(prometheus.address, &format!("/api/v1/metadata?metric={name}")).unwrap();
    wait(|| match known("ecs_sd_cluster_held_seconds").contains("\"unit\":\"seconds\"") {
        true => Ok(()),
        false => Err("the metadata".to_owned()),
    });
    assert!(known("ecs_sd_aws_requests").contains("\"type\":\"counter\""));
}

fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:#?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn promtool_accepts_what_the_demo_writes() {
    #[derive(Debug, Deserialize)]
    struct Discovered {
        error: Option<String>,
    }

    let demo = Demo::start(NEVER);
    let configuration = demo.configuration();
    succeeds(tool("promtool").args(["check", "config"]).arg(&configuration));
    let targets = demo.targets().unwrap();
    for interval in INTERVALS {
        let pool = format!("ecs-{interval}");
        // It listens for the whole of that time, although the files are there from the beginning.
        let mut check = tool("promtool");
        check.args(["check", "service-discovery", "--timeout=1s"]).arg(&configuration).arg(&pool);
        let found: Vec<Discovered> = serde_json::from_str(&succeeds(&mut check)).unwrap();
        assert_eq!(found.len(), targets.keys().filter(|target| target.pool == pool).count(), "{pool}");
        assert!(found.iter().all(|target| target.error.is_none()), "{found:?}");
    }
}

#[test]
fn prometheus_finds_each_target_with_its_labels() {
    let demo = Demo::start(NEVER);
    let mut prometheus = Prometheus::start(&demo.configuration());
    let written = demo.targets().unwrap();
    let found = wait(|| {
        let found = prometheus.targets()?;
        let missing: Vec<_> = written.keys().filter(|target| !found.contains_key(target)).collect();
        if missing.is_empty() { Ok(found) } else { Err(format!("{missing:?}")) }
    });

    assert_eq!(found.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
    for (key, group) in &written {
        let target = &found[key];
        let visible = group.labels.iter().filter(|(name, _)| !name.starts_with("__"));
        let visible: BTreeMap<_, _> = visible.map(|(name, value)| (name.clone(), value.clone())).collect();
        assert_eq!(target.labels, visible);
        for (name, value) in &group.labels {
            assert_eq!(target.discovered_labels.get(name), Some(value), "{name} of {key:?}");
        }
        assert_eq!(format!("ecs-{}", target.scrape_interval), key.pool);
    }
    let has = |pool: &str, url: &str| found.contains_key(&Key { pool: pool.to_owned(), url: url.to_owned() });
    assert!(has("ecs-15s", "http://127.20.0.1:8080/metrics"));
    assert!(has("ecs-1m", "http://127.20.0.1:9102/admin/metrics"));
    assert!(has("ecs-5m", "http://127.10.0.2:9115/probe?module=http_2xx&target=example.test"));
}

#[test]
fn prometheus_scrapes_every_target_and_forgets_those_that_stop() {
    let demo = Demo::start("15");
    let configuration = fs::read_to_string(demo.configuration()).unwrap();
    let in_haste = demo.path().join("in-haste.yml");
    fs::write(&in_haste, hurried(&configuration)).unwrap();
    let mut prometheus = Prometheus::start(&in_haste);

    // A target that comes or goes meanwhile is waited for.
    let at_first = wait(|| {
        let (written, found) = (demo.targets().unwrap(), prometheus.targets()?);
        let not_up = written.into_keys().filter(|key| found.get(key).is_none_or(|one| one.health != "up"));
        let not_up: Vec<_> = not_up.map(|key| (found.get(&key).map(|one| &one.last_error), key)).collect();
        if not_up.is_empty() && !found.is_empty() { Ok(()) } else { Err(format!("not up: {not_up:?}")) }?;
        Ok(found)
    });
    wait(|| {
        // A task that is in the files still answers for some seconds.
        let (written, found) = (demo.targets().unwrap(), prometheus.targets()?);
        for key in at_first.keys().filter(|key| written.contains_key(key)) {
            assert_eq!(found.get(key).map(|one| &*one.health), Some("up"), "{key:?}");
        }
        let stopped: Vec<_> = at_first.keys().filter(|key| !written.contains_key(key)).collect();
        match stopped.iter().find(|key| !found.contains_key(key)) {
            Some(_) => Ok(()),
            None => Err(format!("stopped, but not forgotten: {stopped:?}")),
        }
    });
}

#[test]
fn one_job_over_http_does_what_four_do_with_files() {
    let address = free_address().to_string();
    let demo = Demo::served_at(&address, NEVER);
    let example = fs::read_to_string(repository("examples/prometheus-http.yml")).unwrap();
    let example = example.replace("127.0.0.1:9779", &address);
    assert!(example.contains(&address) && !example.contains("relabel"));
    let configuration = demo.path().join("over-http.yml");
    fs::write(&configuration, example).unwrap();
    let mut prometheus = Prometheus::start(&configuration);

    let written = demo.targets().unwrap();
    let found = wait(|| {
        let found = prometheus.targets()?;
        let is_up = |url: &str| found.values().any(|one| one.scrape_url == url && one.health == "up");
        // Those of the longest interval are waited for only until they are found.
        let missing = written.keys().filter(|key| match &*key.pool {
            "ecs-5m" => !found.values().any(|one| one.scrape_url == key.url),
            _ => !is_up(&key.url),
        });
        let missing: Vec<_> = missing.collect();
        if missing.is_empty() { Ok(found) } else { Err(format!("{missing:?}")) }
    });
    let job_and_interval = |url: &str| {
        let target = found.values().find(|one| one.scrape_url == url).unwrap();
        (&*target.scrape_pool, format!("ecs-{}", target.scrape_interval))
    };
    for (key, group) in &written {
        assert_eq!(job_and_interval(&key.url), ("ecs", key.pool.clone()), "{key:?}");
        let target = found.values().find(|one| one.scrape_url == key.url).unwrap();
        let visible = group.labels.iter().filter(|(name, _)| !name.starts_with("__"));
        let visible: BTreeMap<_, _> = visible.map(|(name, value)| (name.clone(), value.clone())).collect();
        assert_eq!(target.labels, visible);
    }
    assert_eq!(found.len(), written.len());
}

/// The same configuration, but with every scrape within a second.
fn hurried(configuration: &str) -> String {
    let lines = configuration.lines().map(|line| match line.split_once("scrape_interval: ") {
        Some((indent, _)) => format!("{indent}scrape_interval: 1s\n{indent}scrape_timeout: 1s\n"),
        None => format!("{line}\n"),
    });
    lines.collect()
}
