//! The metrics: the tables against the page, and the alerts against both.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use ecs_simulator::Aws;

use super::{code, keys, read, rows, section};
use crate::cli::Program;
use crate::simulated::fleet;
use crate::tools::{Running, free_address, get, repository, tool, wait};

/// It need not exist.
const QUEUE: &str = "arn:aws:sqs:eu-central-1:111111111111:events";

/// The page of a program at work, which has been looked at before.
fn page() -> String {
    let address = free_address().to_string();
    let mut program = Program::on(&Aws::new(fleet(&[("production", 1)]))).args(&[
        "--listen-address",
        &address,
        "--event-queue",
        QUEUE,
    ]);
    let _running = Running::start(program.command.stdout(Stdio::null()).stderr(Stdio::null()));
    let get = |path: &str| get(address.parse().unwrap(), path).map_err(|error| error.to_string());
    wait(|| get("/-/ready"));
    // The files are written after the publication, which is when the program is ready.
    wait(|| {
        let page = get("/metrics")?;
        let is_written = page.contains("file=\"1m-tasks.json\",result=\"written\"} 1");
        if is_written { Ok(page) } else { Err("the target files".to_owned()) }
    });
    get("/metrics").unwrap()
}

/// What a table's row says: type, labels, meaning.
type Row = (String, BTreeSet<String>, String);

/// What the page says, by name.
fn shown(page: &str) -> BTreeMap<String, Row> {
    let mut shown = BTreeMap::<String, Row>::new();
    for family in page.split("# HELP ").skip(1) {
        let mut lines = family.lines();
        let (name, help) = lines.next().unwrap().split_once(' ').unwrap();
        let kind = lines.next().unwrap().rsplit(' ').next().unwrap();
        let samples: Vec<_> = lines.collect();
        assert!(!samples.is_empty(), "{name} has no sample");
        let labels = samples.iter().flat_map(|sample| sample.split(['{', ',']).skip(1));
        let labels = labels.map(|label| label.split('=').next().unwrap().to_owned());
        let labels = labels.filter(|label| label != "le").collect();
        shown.insert(name.to_owned(), (kind.to_owned(), labels, help.trim_end_matches('.').to_owned()));
    }
    shown
}

#[test]
fn every_metric_is_listed_with_its_type_labels_and_meaning() {
    let text = read("docs/metrics.md");
    let row = |row: Vec<&str>| {
        let labels = row[2].split(", ").map(code).filter(|label| !label.is_empty()).map(str::to_owned);
        (code(row[0]).to_owned(), (row[1].to_owned(), labels.collect(), row[3].to_owned()))
    };
    let listed: BTreeMap<String, Row> = rows(tables(&text)).into_iter().map(row).collect();
    let shown = shown(&page());
    for (name, row) in &shown {
        assert_eq!(listed.get(name), Some(row), "{name}");
    }
    let strange: Vec<_> = listed.keys().filter(|name| !shown.contains_key(*name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

/// The names of our metrics in an expression or a text.
pub(super) fn named(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words
        .filter(|word| word.starts_with("ecs_sd_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// The part of the document that lists the metrics.
fn tables(document: &str) -> &str {
    document.split("\n## Alerts").next().unwrap()
}

/// Every metric that is listed.
pub(super) fn listed() -> Vec<String> {
    keys(tables(&read("docs/metrics.md"))).into_iter().map(str::to_owned).collect()
}

/// The names that metrics' samples can have.
pub(super) fn names(listed: &[String]) -> BTreeSet<String> {
    let names = |name: &String| ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}"));
    listed.iter().flat_map(names).collect()
}

#[test]
fn no_metric_is_named_that_does_not_exist() {
    let exist = names(&listed());
    for path in [
        "examples/alerts.yml",
        "examples/dashboard.json",
        "docs/metrics.md",
        "docs/operations.md",
        "README.md",
    ] {
        let strange: Vec<_> = named(&read(path)).into_iter().filter(|name| !exist.contains(name)).collect();
        assert!(strange.is_empty(), "{path}: {strange:?}");
    }
}

/// Each fires when it should, and does not when it should not.
#[test]
fn the_alerts_do_what_their_tests_say() {
    let tests = "crates/prometheus-ecs-sd/tests/it/metrics/alerts.yml";
    let output = tool("promtool").args(["test", "rules"]).arg(repository(tests)).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (alerts, tests, document) = (read("examples/alerts.yml"), read(tests), read("docs/metrics.md"));
    let alerts: BTreeSet<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(alerts, keys(section(&document, "## Alerts")).into_iter().collect());
    for alert in alerts {
        let (firing, silent) = (format!("alertname: {alert}\n"), format!("alertname: {alert}, eval_time"));
        assert!(tests.contains(&firing) && tests.contains(&silent), "{alert} is tested in one way only");
    }
}
