//! What must hold of everything that is published, whatever it was made of.

use std::collections::BTreeSet;
use std::sync::Arc;

use ecs_discovery::finding::{Finding, Problem, Verdict};
use ecs_discovery::labels::{self, Label};
use ecs_discovery::render::{file_sd, http_sd};
use ecs_discovery::target::Target;
use serde_json::Value;

/// Bytes that one task may publish, in a target file and in the list over HTTP.
const TASK: usize = 1024 * 1024;
/// Bytes of brackets and line ends in both of them.
const FRAMES: usize = 10;
/// Findings of one container.
const FINDINGS: usize = 8;
/// Bytes of one finding: it quotes 256 characters once or twice, of which each may be written out in ten.
pub const FINDING: usize = 6000;

/// Families of labels, which take their names from tags, docker labels and queries.
const FAMILIES: [Label; 7] = [
    labels::PARAM,
    labels::META_CONTAINER_LABEL,
    labels::META_CUSTOM,
    labels::META_TAG,
    labels::META_TAG_CLUSTER,
    labels::META_TAG_EC2,
    labels::META_TAG_TASK,
];

/// The file of these targets is JSON and says of each just what its labels say, in their order.
pub fn check<'a>(targets: impl IntoIterator<Item = &'a Arc<Target>>) {
    let targets: Vec<&Target> = targets.into_iter().map(|target| &**target).collect();
    let mut file = Vec::new();
    file_sd::write(&mut file, targets.iter().copied()).expect("memory takes everything");
    let groups: Vec<Value> = serde_json::from_slice(&file).expect("the file is JSON");
    assert_eq!(groups.len(), targets.len());
    for (group, target) in groups.iter().zip(&targets) {
        let group = group.as_object().expect("a group is an object");
        assert_eq!(group.keys().collect::<Vec<_>>(), ["labels", "targets"]);
        assert_eq!(group["targets"], Value::from(vec![target.endpoint.address.to_string()]));
        check_labels(&group["labels"], target);
    }
    assert!(targets.is_sorted_by(|one, other| one.in_order(other).is_le()));
}

fn check_labels(published: &Value, target: &Target) {
    let labels = target.labels();
    let published = published.as_object().expect("labels are an object");
    // A name that was there twice would be one less here.
    assert_eq!(published.len(), labels.iter().count());
    let mut before = "";
    for (name, value) in labels.iter() {
        assert_eq!(published.get(name).and_then(Value::as_str), Some(value));
        assert!(before < name && !value.is_empty() && value.len() <= labels::VALUE_BYTES);
        assert!(is_accepted(name) && is_ours(name), "{name:?}");
        before = name;
    }
    let is_of_variables = ["environment", "promed"].contains(&target.convention());
    for always in [labels::INSTANCE, labels::JOB, labels::METRICS_PATH, labels::CONTROL_PATH] {
        assert!(!is_of_variables || published.contains_key(always.name), "{}", always.name);
    }
    assert!(target.endpoint.path.starts_with('/'));
}

/// By every version of Prometheus.
fn is_accepted(name: &str) -> bool {
    let word = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    !name.starts_with(|c: char| c.is_ascii_digit()) && !name.is_empty() && name.bytes().all(word)
}

fn is_ours(name: &str) -> bool {
    let single = || labels::ALL.iter().filter(|label| !FAMILIES.contains(label));
    single().any(|label| label.name == name) || FAMILIES.iter().any(|family| name.starts_with(family.name))
}

/// That no two targets are scraped for one container at one place.
pub fn check_places<'a>(targets: impl IntoIterator<Item = &'a Arc<Target>>) {
    let mut places = BTreeSet::new();
    assert!(targets.into_iter().all(|target| places.insert((target.task(), &target.endpoint))));
}

/// Checks the limits of one task with this many containers: published bytes and findings.
pub fn check_bounds(targets: &[&Target], findings: &[&Finding], containers: usize) {
    let mut list = Vec::new();
    http_sd::write(&mut list, targets.iter().copied()).expect("memory takes everything");
    assert!(2 * list.len() <= TASK + FRAMES, "{} bytes", list.len());
    assert!(findings.len() <= FINDINGS * containers.max(1));
    for finding in findings {
        let (Verdict::NotScraped(Problem { detail: text, .. }) | Verdict::Warning(text)) = &finding.verdict;
        assert!(text.len() < FINDING, "{text}");
    }
}
