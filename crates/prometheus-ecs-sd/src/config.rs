//! What the user typed → what the program needs, all mistakes at once.

mod directory;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::RoleArn;
use ecs_discovery::derive::{Rules, TagSelection};
use ecs_discovery::interval::{Intervals, InvalidIntervals, parse_duration};
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};

use crate::cli::RunArgs;

pub(crate) use directory::usable as usable_directory;

/// What the program does, free of contradictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where the files go; it exists and can be written to.
    pub directory: PathBuf,
    /// Whether to end after one refresh.
    pub once: bool,
    /// From one refresh to the next.
    pub interval: Duration,
    /// Within which every settled task is described again.
    pub recheck_interval: Duration,
    /// Whose containers.
    pub accounts: Accounts,
    /// Which clusters.
    pub clusters: ClusterSelection,
    /// What becomes a target.
    pub rules: Rules,
}

/// Whose containers are looked for, and in which regions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accounts {
    /// Whether the account of the credentials is one of them.
    pub own: bool,
    /// Roles to assume, each once.
    pub roles: Vec<RoleArn>,
    /// For assuming them.
    pub external_id: Option<String>,
    /// Empty: the region of the AWS configuration.
    pub regions: Vec<String>,
}

/// Everything that is wrong with what the user typed.
#[derive(Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

impl Config {
    /// Checks everything, the directory included.
    pub fn new(arguments: &RunArgs) -> Result<Self, Mistakes> {
        let mut mistakes = Vec::new();
        let mut note = |option: &str, problem: String| mistakes.push(format!("--{option}: {problem}"));
        let directory = arguments.directory.clone().unwrap_or_default();
        if let Err(problem) = usable_directory(&directory) {
            note("directory", problem);
        }
        let mut length = |option: &str, text: &str| {
            duration(text).unwrap_or_else(|problem| {
                note(option, problem);
                Duration::ZERO
            })
        };
        let interval = length("interval", &arguments.interval);
        let recheck_interval = length("recheck-interval", &arguments.recheck_interval);
        let accounts = accounts(arguments, &mut note);
        let clusters = values(&arguments.cluster)
            .filter_map(|text| ClusterPattern::parse(text).map_err(|problem| note("cluster", problem)).ok());
        let clusters = ClusterSelection::new(clusters.collect());
        let intervals =
            Intervals::new(&arguments.scrape_intervals, &arguments.default_scrape_interval_prefix);
        let intervals = intervals.unwrap_or_else(|problem| {
            let option = match problem {
                InvalidIntervals::DefaultNotOffered(_) => "default-scrape-interval-prefix",
                _ => "scrape-intervals",
            };
            note(option, problem.to_string());
            Intervals::default()
        });
        let rules = Rules { intervals, tags_to_labels: Arc::new(tags(&arguments.tags_to_labels)) };
        if !mistakes.is_empty() {
            return Err(Mistakes(mistakes));
        }
        Ok(Self { directory, once: arguments.once, interval, recheck_interval, accounts, clusters, rules })
    }
}

/// What a period may be: less would only ask AWS without end, more is a mistake.
const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// A bare number is seconds; everything else is a Prometheus duration.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let length = text.parse().ok().map(Duration::from_secs).or_else(|| parse_duration(text));
    match length {
        Some(length) if PERIODS.contains(&length) => Ok(length),
        Some(_) => Err(format!("{text:?} is out of range; use 1 second to 1 day")),
        None => Err(format!("{text:?} is not a length of time; use seconds such as 60, or 90s, 2m")),
    }
}

/// The values of an option; what a trailing comma leaves is none.
fn values(given: &[String]) -> impl Iterator<Item = &str> {
    given.iter().map(|value| value.trim()).filter(|value| !value.is_empty())
}

fn accounts(arguments: &RunArgs, note: &mut impl FnMut(&str, String)) -> Accounts {
    let mut roles = Vec::new();
    for text in values(&arguments.role) {
        match RoleArn::parse_strictly(text) {
            Ok(role) if roles.contains(&role) => {}
            Ok(role) => roles.push(role),
            Err(problem) => {
                note("role", format!("{problem}; it looks like arn:aws:iam::123456789012:role/NAME"))
            }
        }
    }
    if arguments.no_own_account && values(&arguments.role).next().is_none() {
        note("no-own-account", "there is no role to discover instead; add --role".to_owned());
    }
    let mut regions: Vec<String> = Vec::new();
    for region in values(&arguments.region) {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !region.bytes().all(plain) {
            note("region", format!("{region:?} is not a region; it looks like eu-west-1"));
        } else if !regions.iter().any(|one| one == region) {
            regions.push(region.to_owned());
        }
    }
    Accounts { own: !arguments.no_own_account, roles, external_id: arguments.external_id.clone(), regions }
}

fn tags(keys: &[String]) -> TagSelection {
    match keys {
        [] => TagSelection::None,
        keys if keys.iter().any(|key| key == "*") => TagSelection::All,
        keys => TagSelection::Keys(keys.iter().cloned().collect::<BTreeSet<_>>()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;

    fn arguments() -> RunArgs {
        RunArgs {
            directory: Some(std::env::temp_dir()),
            interval: "60".to_owned(),
            recheck_interval: "10m".to_owned(),
            scrape_intervals: Intervals::OFFERED.map(str::to_owned).to_vec(),
            default_scrape_interval_prefix: Intervals::DEFAULT.to_owned(),
            ..RunArgs::default()
        }
    }

    #[test]
    fn a_bare_number_is_seconds() {
        let check = |text: &str| duration(text).map(|length| length.as_secs());
        assert_eq!((check("60"), check("90s"), check("2m")), (Ok(60), Ok(90), Ok(120)));
        for text in ["0", "", "-1", "1.5", "fast", "60 s", "500ms", "2d", "18446744073709551615"] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_or_region_given_twice_counts_once() {
        let role = "arn:aws:iam::123456789012:role/reader".to_owned();
        let config = Config::new(&RunArgs {
            role: vec![role.clone(), role],
            region: vec!["eu-west-1".to_owned(), "eu-west-1".to_owned()],
            ..arguments()
        });
        let accounts = config.unwrap().accounts;
        assert_eq!((accounts.roles.len(), accounts.regions.len(), accounts.own), (1, 1, true));
    }

    #[test]
    fn all_mistakes_are_told_at_once() {
        let mistakes = Config::new(&RunArgs {
            directory: Some("/nonexistent".into()),
            interval: "often".to_owned(),
            role: vec!["arn:aws:iam::1234:role/reader".to_owned()],
            region: vec!["Frankfurt".to_owned()],
            cluster: vec!["arn:aws:ecs:eu-west-1:123456789012:service/web".to_owned()],
            default_scrape_interval_prefix: "2m".to_owned(),
            ..arguments()
        });
        assert_snapshot!(mistakes.unwrap_err(), @r#"
        --directory: /nonexistent does not exist; create it, for example with mkdir -p /nonexistent
        --interval: "often" is not a length of time; use seconds such as 60, or 90s, 2m
        --role: "arn:aws:iam::1234:role/reader" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME
        --region: "Frankfurt" is not a region; it looks like eu-west-1
        --cluster: "arn:aws:ecs:eu-west-1:123456789012:service/web" is not the ARN of a cluster
        --default-scrape-interval-prefix: "2m" is not one of the scrape intervals that are offered; name one of these, or offer it too
        "#);
    }

    #[test]
    fn a_trailing_comma_is_no_value() {
        let clusters = vec!["prod".to_owned(), String::new()];
        let config =
            Config::new(&RunArgs { cluster: clusters, region: vec![" ".to_owned()], ..arguments() }).unwrap();
        assert_eq!((config.clusters.patterns().len(), config.accounts.regions.len()), (1, 0));
    }

    #[test]
    fn leaving_out_the_own_account_needs_a_role() {
        let mistakes = Config::new(&RunArgs { no_own_account: true, ..arguments() }).unwrap_err();
        assert_eq!(mistakes.0, ["--no-own-account: there is no role to discover instead; add --role"]);
    }
}
