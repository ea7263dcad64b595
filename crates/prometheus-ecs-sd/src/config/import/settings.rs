//! The settings of another tool besides its rules: what is discovered, how often, and where the result goes.

use std::collections::{BTreeMap, BTreeSet};

use ecs_discovery::inventory::selection::ClusterPattern;

use super::super::accounts::region;
use super::super::duration;
use super::super::scalar::{comment, scalar};
use super::{ConfigErrors, Text, Tool};

/// The settings of the agent, or of one observer.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) cluster: Option<Text>,
    pub(super) region: Option<Text>,
    pub(super) interval: Option<Text>,
    pub(super) result_file: Option<Text>,
    /// The name of the label with the job.
    pub(super) job_label: Option<Text>,
}

impl Settings {
    /// Records an error for each setting that this program would refuse.
    pub(super) fn check(&self, errors: &mut ConfigErrors) {
        let mut check = |setting: &Option<Text>, problem: &dyn Fn(&str) -> Option<String>| {
            if let Some((place, text)) = setting
                && let Some(problem) = problem(text)
            {
                errors.add(place, problem);
            }
        };
        check(&self.cluster, &|text| ClusterPattern::parse(text).err());
        check(&self.region, &|text| region(text).err());
        check(&self.interval, &|text| duration(text).err());
    }

    fn cluster(&self) -> Option<&str> {
        Some(&self.cluster.as_ref()?.1)
    }

    fn region(&self) -> Option<&str> {
        Some(&self.region.as_ref()?.1)
    }
}

/// How a tool names its settings, and what it did without them.
struct Words {
    tool: &'static str,
    cluster: (&'static str, &'static str),
    region: (&'static str, &'static str),
    interval: (&'static str, &'static str),
}

const AGENT: Words = Words {
    tool: "the CloudWatch agent",
    cluster: ("sd_target_cluster", "the agent discovered the cluster that it ran in"),
    region: ("sd_cluster_region", "the agent discovered the region that it ran in"),
    interval: ("sd_frequency", "the agent used its own interval"),
};

const COLLECTOR: Words = Words {
    tool: "the OpenTelemetry Collector",
    cluster: ("cluster_name", "the collector discovered the cluster default"),
    region: ("cluster_region", "the collector discovered the region of its variable AWS_REGION"),
    interval: ("refresh_interval", "the collector used its own interval"),
};

/// The keys of the configuration file before the conventions.
pub(super) fn printed(tool: Tool, settings: &[Settings]) -> String {
    let words = match tool {
        Tool::CloudwatchAgent => AGENT,
        Tool::EcsObserver => COLLECTOR,
    };
    let mut text = comment("", &format!("Made from a configuration of {}.", words.tool));
    let mut note = |line: &str| text += &comment("", line);
    for (is_missing, (key, meaning)) in [
        (settings.iter().any(|one| one.cluster.is_none()), words.cluster),
        (settings.iter().any(|one| one.region.is_none()), words.region),
        (settings.iter().any(|one| one.interval.is_none()), words.interval),
    ] {
        if is_missing {
            note(&format!("There was no {key}: {meaning}."));
        }
    }
    for file in settings.iter().filter_map(|one| one.result_file.as_ref()) {
        note(&format!(
            "The targets were written to {}. To write a single file here too, set directory, and file_layout: single.",
            file.1
        ));
    }
    for label in settings.iter().filter_map(|one| one.job_label.as_ref()) {
        note(&format!(
            "The label with the job was {}: see generate relabel-config --like ecs_observer.",
            label.1
        ));
    }
    let intervals = settings.iter().filter_map(|one| Some((duration(&one.interval.as_ref()?.1).ok()?, one)));
    let lengths: BTreeSet<_> = intervals.clone().map(|(length, _)| length).collect();
    if lengths.len() > 1 {
        note("There is one interval for all of them: the shortest.");
    }
    let mut regions: BTreeMap<&str, BTreeSet<Option<&str>>> = BTreeMap::new();
    for one in settings {
        regions.entry(one.cluster().unwrap_or_default()).or_default().insert(one.region());
    }
    if regions.values().any(|regions| regions.len() > 1) {
        note("Clusters of two regions have the same name, by which rules cannot tell them apart.");
    }
    text += &places(tool, settings);
    let shortest = intervals.min_by_key(|(length, _)| *length).and_then(|(_, one)| one.interval.as_ref());
    if let Some((_, interval)) = shortest {
        text += &format!("interval: {}\n", interval.trim());
    }
    text
}

/// The clusters and regions.
fn places(tool: Tool, settings: &[Settings]) -> String {
    let default = match tool {
        Tool::CloudwatchAgent => None,
        Tool::EcsObserver => Some("default"),
    };
    let mut regions: Vec<(Option<&str>, Vec<&str>)> = Vec::new();
    for one in settings {
        let position = regions.iter().position(|(region, _)| *region == one.region()).unwrap_or_else(|| {
            regions.push((one.region(), Vec::new()));
            regions.len() - 1
        });
        let clusters = &mut regions[position].1;
        if let Some(cluster) = one.cluster().or(default)
            && !clusters.contains(&cluster)
        {
            clusters.push(cluster);
        }
    }
    let list = |names: &[&str]| names.iter().map(|name| scalar(name)).collect::<Vec<_>>().join(", ");
    let line = |indent: &str, key: &str, value: String| format!("{indent}{key}: {value}\n");
    if let [(region, clusters)] = &regions[..] {
        let region = region.map(|region| line("", "region", scalar(region))).unwrap_or_default();
        let clusters = match &clusters[..] {
            [] => String::new(),
            [cluster] => line("", "cluster", scalar(cluster)),
            clusters => line("", "cluster", format!("[{}]", list(clusters))),
        };
        return region + &clusters;
    }
    let mut text = "sources:\n".to_owned();
    for (region, clusters) in regions {
        text += "  - own_account: true\n";
        if let Some(region) = region {
            text += &line("    ", "regions", format!("[{}]", scalar(region)));
        }
        text += &line("    ", "clusters", format!("[{}]", list(&clusters)));
    }
    text
}
