//! The target files, as Prometheus reads them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Value, json};

/// The offered intervals, each with a file and, in the example configuration, a job.
pub(crate) const INTERVALS: [&str; 4] = ["15s", "30s", "1m", "5m"];

/// One target group.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Group {
    pub(crate) targets: Vec<String>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// The groups of one file; `None` if it is not there.
pub(crate) fn groups(directory: &Path, interval: &str) -> Option<Vec<Group>> {
    let text = fs::read_to_string(target_file(directory, interval)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

pub(crate) fn target_file(directory: &Path, interval: &str) -> PathBuf {
    directory.join(format!("{interval}-tasks.json"))
}

/// Where the state file is by default.
pub(crate) fn state_file(directory: &Path) -> PathBuf {
    work_directory(directory).join("state")
}

/// The file with the revision of the target files.
pub(crate) fn revision_file(directory: &Path) -> PathBuf {
    work_directory(directory).join("published")
}

/// The locks of the directory and of the state file.
fn lock_files(directory: &Path) -> [PathBuf; 2] {
    ["lock", "state.lock"].map(|name| work_directory(directory).join(name))
}

fn work_directory(directory: &Path) -> PathBuf {
    directory.join(".prometheus-ecs-sd")
}

/// What there is in the directory and in the work directory besides these files.
pub(crate) fn others(directory: &Path) -> Vec<PathBuf> {
    let files = INTERVALS.map(|interval| target_file(directory, interval));
    let is_known = |path: &PathBuf| {
        let others = [state_file(directory), revision_file(directory), work_directory(directory)];
        let others = [&others[..], &lock_files(directory)].concat();
        files.contains(path) || others.contains(path)
    };
    let entries = [directory.to_owned(), work_directory(directory)].map(|path| fs::read_dir(path).unwrap());
    entries.into_iter().flatten().map(|entry| entry.unwrap().path()).filter(|path| !is_known(path)).collect()
}

/// The facts of the last whole publication in a state file, without the times at which the process observed them.
pub(crate) fn facts(text: &str) -> Vec<String> {
    let is_end = |line: &&str| line.starts_with("end ") && line.ends_with('\n');
    let publications = text.split_inclusive('\n').filter(is_end).count();
    let mut facts = BTreeMap::new();
    let (mut source, mut cluster) = (String::new(), String::new());
    let (mut ended, mut lists) = (0, Vec::<Value>::new());
    for line in text.lines().skip(1) {
        if line.starts_with("end ") {
            ended += 1;
            lists.clear();
            continue;
        } else if ended == publications {
            break;
        }
        let record: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        let (kind, value) = record.into_iter().next().unwrap();
        let id =
            |value: &Value| ["arn", "id"].iter().find_map(|name| value[name].as_str()).map(str::to_owned);
        let key = |kind: &str, id: &str, cluster: &str| match kind {
            "Task" => format!("{source} Cluster {cluster} Task {id}"),
            kind => format!("{source} {kind} {id}"),
        };
        match (kind.as_str(), &value) {
            ("Revision", _) => continue,
            ("Source", name) => source = format!("{} ", name.as_str().unwrap()),
            ("In", arn) => cluster = arn.as_str().unwrap().to_owned(),
            ("Gone", gone) => {
                let (kind, id) = (gone[0].as_str().unwrap(), gone[1].as_str().unwrap());
                let gone = if kind == "Source" { format!("{id} ") } else { key(kind, id, &cluster) };
                facts.retain(|key: &String, _| *key != gone && !key.starts_with(&format!("{gone} ")));
            }
            (kind, value) => {
                let id = id(value).unwrap();
                if kind == "Cluster" {
                    cluster.clone_from(&id);
                }
                let mut value = value.clone();
                let fields = value.as_object_mut().unwrap();
                fields.remove("observed");
                // A list of names is written once in a publication, and then its position.
                if let Some(names) = fields.get_mut("names") {
                    match names.as_u64() {
                        Some(position) => *names = lists[position as usize].clone(),
                        None => lists.push(names.clone()),
                    }
                }
                let fact = json!({ kind: value }).to_string();
                facts.insert(key(kind, &id, &cluster), fact);
            }
        }
    }
    facts.into_values().collect()
}
