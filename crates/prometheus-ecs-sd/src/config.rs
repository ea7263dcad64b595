//! Checks the options and the configuration file, and reports all errors together.

mod accounts;
mod arguments;
pub(crate) mod conventions;
mod display;
mod errors;
mod event_queue;
mod file;
pub(crate) mod generated;
pub mod import;
pub(crate) mod infrastructure;
pub(crate) mod layout;
pub(crate) mod regular_file;
pub(crate) mod relabelling;
mod scalar;
mod share;
pub(crate) mod similar;
pub(crate) mod yaml;

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::arn::RoleArn;
use ecs_discovery::derive::Rules;
use ecs_discovery::interval::{Intervals, InvalidIntervals, parse_duration};
use ecs_discovery::inventory::selection::{ClusterPattern, ClusterSelection};
use ecs_discovery::labels::TagSelection;
use ecs_discovery::labels::meta::{MetaLabels, MetaPattern};

use crate::lock::Locks;
use crate::telemetry::LogFormat;
use accounts::Common;
use file::{Parts, SOURCE_OPTIONS};
use yaml::Value;

pub use accounts::Account;
pub(crate) use accounts::region;
pub use arguments::{RunArgs, TargetArgs};
pub use errors::ConfigErrors;
pub use event_queue::QueueAddress;
pub(crate) use event_queue::labels as queue_labels;
pub(crate) use file::FileLayer;
pub use layout::Layout;
pub use share::{InvalidShare, Share};

/// The settings of the program, checked for contradictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory of the target files, if any; it exists and can be written to.
    pub directory: Option<PathBuf>,
    /// The target files in it.
    pub file_layout: Layout,
    /// The address of the HTTP server, if any.
    pub listen: Option<Listen>,
    /// Additional host names of the HTTP server, in lower case.
    pub allowed_hosts: BTreeSet<String>,
    /// The file that configures TLS and authentication; without one, every client has access.
    pub web_config_file: Option<PathBuf>,
    /// Whether an HTTP request can reload the configuration.
    pub enable_lifecycle: bool,
    /// Whether to exit after one refresh.
    pub once: bool,
    /// Whether a changed selection without targets removes the targets of the previous selection.
    pub allow_empty: bool,
    /// The file that keeps facts across restarts, if any.
    pub state_file: Option<PathBuf>,
    /// The time between refreshes.
    pub interval: Duration,
    /// Queues of events; none twice, and none of a region that is not discovered, as far as regions are named.
    pub event_queues: Vec<QueueAddress>,
    /// From one refresh to the next while events are live; not below `interval`.
    pub reconcile_interval: Duration,
    /// The time within which every settled task, and every other fact that can change, is read again.
    pub recheck_interval: Duration,
    /// The time after which the targets of a scope that cannot be read are removed.
    pub max_staleness: Duration,
    /// The accounts; at least one, and no two with a common source.
    pub accounts: Vec<Account>,
    /// The region of STS; `None` for that of the environment.
    pub sts_region: Option<String>,
    /// The share of AWS's request limits that may be used.
    pub api_share: Share,
    /// The rules for targets.
    pub rules: Rules,
    /// The format in which changes are printed.
    pub log_format: LogFormat,
    /// Whether changes are not printed.
    pub quiet: bool,
    /// Keep other processes from the directory and the state file as long as this configuration exists.
    pub locks: Locks,
}

/// Whether the target directory and the state file are prepared.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Directories {
    /// By this function, which reports problems by option. The flag says whether the user names the state file.
    Prepared(Prepare),
    /// They may be those of another machine.
    LeftAlone,
}

type Prepare = fn(Option<&Path>, Option<(&Path, bool)>, &mut dyn FnMut(&'static str, String)) -> Locks;

/// The address of the HTTP server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// The default address, unless it is in use.
    Default,
    /// This address: `HOST:PORT`, or `:PORT` for every interface.
    At(String),
}

impl Listen {
    /// The default address; its port is not that of another known program.
    pub const DEFAULT: &str = "127.0.0.1:9779";

    /// `HOST:PORT`, or `:PORT` for every interface.
    pub fn address(&self) -> &str {
        match self {
            Self::Default => Self::DEFAULT,
            Self::At(address) => address,
        }
    }
}

impl Config {
    /// Checks everything. The arguments already include the values of the file.
    pub(crate) fn layered(
        arguments: &RunArgs,
        file: Option<FileLayer>,
        directories: Directories,
    ) -> Result<Self, ConfigErrors> {
        let Parts { mut errors, sources, conventions } = file.map(FileLayer::into_parts).unwrap_or_default();
        let listen = listen(arguments.listen_address.as_deref()).unwrap_or_else(|problem| {
            errors.option("listen-address", problem);
            Some(Listen::Default)
        });
        // A server that ends after one refresh is of no use.
        let listen = listen.filter(|_| !arguments.once);
        let directory = arguments.directory.clone();
        let state_file = state_file(arguments.state_file.as_deref(), directory.as_deref());
        if directory.is_none() && arguments.once {
            errors.option("directory", "--once writes target files; set their directory");
        } else if directory.is_none() && listen.is_none() {
            let problem = "with --listen-address none, target files are the only output; set their directory";
            errors.option("directory", problem);
        }
        let locks = match directories {
            Directories::LeftAlone => Locks::default(),
            Directories::Prepared(prepare) => {
                let state_file = state_file.as_deref().map(|path| (path, arguments.state_file.is_some()));
                prepare(directory.as_deref(), state_file, &mut |option, problem| {
                    errors.option(option, problem)
                })
            }
        };
        let max_staleness = max_staleness(&arguments.max_staleness).unwrap_or_else(|problem| {
            errors.option("max-staleness", problem);
            Duration::MAX
        });
        let interval = errors.checked("interval", duration(&arguments.interval));
        let recheck_interval = errors.checked("recheck-interval", duration(&arguments.recheck_interval));
        let accounts = accounts(arguments, sources, &mut errors);
        let reconcile_interval = reconcile_interval(arguments, interval, &mut errors);
        let event_queues = event_queues(arguments, &accounts, &mut errors);
        let allowed_hosts = each("allowed-host", &arguments.allowed_host, allowed_host, &mut errors);
        let sts_region = sts_region(arguments, &mut errors);
        let api_share = arguments.api_share.parse().map_err(|problem: InvalidShare| problem.to_string());
        let api_share = errors.checked("api-share", api_share);
        let rules = rules(arguments, conventions, &mut errors);
        errors.into_result()?;
        Ok(Self {
            directory,
            file_layout: arguments.file_layout,
            listen,
            allowed_hosts: allowed_hosts.into_iter().collect(),
            web_config_file: arguments.web_config_file.clone(),
            enable_lifecycle: arguments.enable_lifecycle,
            once: arguments.once,
            allow_empty: arguments.allow_empty,
            state_file,
            interval,
            event_queues,
            reconcile_interval,
            recheck_interval,
            max_staleness,
            accounts,
            sts_region,
            api_share,
            rules,
            log_format: arguments.log.log_format,
            quiet: arguments.quiet,
            locks,
        })
    }
}

impl Config {
    /// Whether events are expected: a single refresh does not wait for any.
    pub fn reads_queues(&self) -> bool {
        !self.once && !self.event_queues.is_empty()
    }

    /// The role whose credentials a queue is read with: that of its account, discovered in its region. `None` for the
    /// program's own credentials.
    pub(crate) fn queue_role(&self, queue: &QueueAddress) -> Option<&RoleArn> {
        let (account, region) = (queue.account.as_deref()?, queue.region.as_ref()?);
        // Without regions it is that of the AWS configuration, which may be the queue's.
        let is_discovered = |one: &&Account| one.regions.is_empty() || one.regions.contains(region);
        let mut roles = self.accounts.iter().filter(is_discovered).filter_map(|one| one.role.as_ref());
        roles.find(|role| role.account() == account)
    }

    /// The ARNs of the queues that are read with a role, or of the others, as far as they are known.
    pub(crate) fn queue_arns(&self, with_role: bool) -> Vec<String> {
        let is_read = |queue: &&QueueAddress| self.queue_role(queue).is_some() == with_role;
        self.event_queues.iter().filter(is_read).filter_map(QueueAddress::arn).collect()
    }
}

fn reconcile_interval(arguments: &RunArgs, interval: Duration, errors: &mut ConfigErrors) -> Duration {
    let given = errors.checked("reconcile-interval", duration(&arguments.reconcile_interval));
    if given < interval && given > Duration::ZERO {
        // The default is no mistake of the user.
        if arguments.reconcile_interval != RECONCILE_INTERVAL {
            let problem = format!("{:?} is shorter than --interval", arguments.reconcile_interval);
            errors.option("reconcile-interval", problem);
        }
        return interval;
    }
    given
}

/// A queue whose region is not discovered has no events for this program.
fn event_queues(arguments: &RunArgs, accounts: &[Account], errors: &mut ConfigErrors) -> Vec<QueueAddress> {
    let option = "event-queue";
    let mut queues: Vec<QueueAddress> = Vec::new();
    let is_discovered =
        |region: &String| accounts.iter().any(|one| one.regions.is_empty() || one.regions.contains(region));
    for text in values(&arguments.event_queue) {
        match QueueAddress::parse(text) {
            Ok(queue) if queue.region.as_ref().is_some_and(|region| !is_discovered(region)) => {
                let problem = format!("{} is in a region that is not discovered", queue.label());
                errors.value(option, text, problem);
            }
            Ok(queue) if queues.iter().any(|other| other.is_same(&queue)) => {
                errors.value(option, text, format!("{} is given twice", queue.label()));
            }
            Ok(queue) => queues.push(queue),
            Err(problem) => errors.value(option, text, problem),
        }
    }
    queues
}

/// The default of `--reconcile-interval`.
pub(crate) const RECONCILE_INTERVAL: &str = "10m";

/// What a period may be: less would only ask AWS without end, more is a mistake.
const PERIODS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// A bare number is seconds, with a fraction as in `discoverecs.py`; everything else is a Prometheus duration.
fn length(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.or_else(|| parse_duration(text))
}

/// The length of a period.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    match length(text.trim()) {
        Some(length) if PERIODS.contains(&length) => Ok(length),
        Some(_) => Err(format!("{text:?} is out of range; use 1 second to 1 day")),
        None => Err(format!("{text:?} is not a duration; use seconds such as 60, or 90s, 2m")),
    }
}

/// A cluster that cannot be read still exists: hence never, unless the operator sets a time.
fn max_staleness(text: &str) -> Result<Duration, String> {
    match length(text.trim()) {
        _ if text.trim() == "never" => Ok(Duration::MAX),
        Some(length) if length >= *PERIODS.start() => Ok(length),
        Some(_) => Err(format!("{text:?} is too short; use 1 second or more, or never")),
        None => Err(format!("{text:?} is not a duration; use such as 2h or 1d, or never")),
    }
}

/// `none` disables the server.
pub(crate) fn listen(given: Option<&str>) -> Result<Option<Listen>, String> {
    match given.map(str::trim) {
        Some("none") => Ok(None),
        None => Ok(Some(Listen::Default)),
        Some(address) => {
            let port = address.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
            match port {
                Some(_) => Ok(Some(Listen::At(address.to_owned()))),
                None => Err(format!("{address:?} is not HOST:PORT, such as {}; or none", Listen::DEFAULT)),
            }
        }
    }
}

/// The longest name in DNS, as text.
const HOST_NAME_BYTES: usize = 253;

/// A name as a browser sends it; names in other scripts are in their ASCII form.
fn allowed_host(text: &str) -> Result<String, String> {
    let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if name.len() <= HOST_NAME_BYTES && name.split('.').all(is_label) {
        return Ok(name);
    }
    Err(format!(
        "{text:?} is not a host name; write one such as discovery.example.org, without scheme and port"
    ))
}

fn state_file(given: Option<&Path>, directory: Option<&Path>) -> Option<PathBuf> {
    match given {
        Some(path) if path == "none" => None,
        Some(path) => Some(path.to_owned()),
        None => Some(directory?.join(layout::WORK_DIRECTORY).join("state")),
    }
}

/// The values of an option, without the empty one after a trailing comma.
fn values(given: &[String]) -> impl Iterator<Item = &str> {
    given.iter().map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// The options that select accounts and determine targets, and the region of STS.
pub(crate) fn targets(
    arguments: &RunArgs,
    file: Option<FileLayer>,
) -> Result<(Vec<Account>, Option<String>, Rules), ConfigErrors> {
    let Parts { mut errors, sources, conventions } = file.map(FileLayer::into_parts).unwrap_or_default();
    let accounts = accounts(arguments, sources, &mut errors);
    let sts_region = sts_region(arguments, &mut errors);
    let rules = rules(arguments, conventions, &mut errors);
    errors.into_result()?;
    Ok((accounts, sts_region, rules))
}

fn sts_region(arguments: &RunArgs, errors: &mut ConfigErrors) -> Option<String> {
    let given = arguments.sts_region.as_deref().map(str::trim).filter(|region| !region.is_empty());
    errors.checked("sts-region", given.map(accounts::region).transpose())
}

fn rules(arguments: &RunArgs, listed: Option<(Value, PathBuf)>, errors: &mut ConfigErrors) -> Rules {
    let intervals = intervals(&arguments.targets, errors);
    let TargetArgs { tags_to_labels, service_tags, .. } = &arguments.targets;
    let tags_to_labels = Arc::new(tags(values(tags_to_labels)));
    let meta_labels = Arc::new(meta_labels(&arguments.targets.meta_labels, errors));
    let conventions = conventions::from_option(&arguments.targets.convention, errors);
    let conventions = conventions.or_else(|| {
        let (list, file) = listed?;
        Some(conventions::from_file(list, &file, &intervals, errors))
    });
    let conventions = conventions.unwrap_or_default();
    Rules { intervals, tags_to_labels, meta_labels, service_tags: *service_tags, conventions }
}

/// The value of `--meta-labels` that publishes none.
const NO_META_LABELS: &str = "none";

fn meta_labels(given: &[String], errors: &mut ConfigErrors) -> MetaLabels {
    let option = "meta-labels";
    match values(given).collect::<Vec<_>>()[..] {
        [] => errors.option(option, "this is empty; write none to publish no meta labels"),
        [NO_META_LABELS] => return MetaLabels::new([]),
        ref values if values.contains(&NO_META_LABELS) => {
            errors.value(option, NO_META_LABELS, "none cannot be combined with names of labels");
        }
        ref values if values.len() > MetaLabels::PATTERNS => {
            let most = MetaLabels::PATTERNS;
            errors.option(option, format!("there are more than {most} patterns; combine some to globs"));
        }
        _ => return MetaLabels::new(each(option, given, MetaPattern::parse, errors)),
    }
    MetaLabels::default()
}

fn intervals(arguments: &TargetArgs, errors: &mut ConfigErrors) -> Intervals {
    let offered: Vec<_> = values(&arguments.scrape_intervals).collect();
    let intervals = Intervals::new(&offered, &arguments.default_scrape_interval_prefix);
    let option = match intervals {
        Err(InvalidIntervals::DefaultNotOffered(_)) => "default-scrape-interval-prefix",
        _ => "scrape-intervals",
    };
    errors.checked(option, intervals.map_err(|problem| problem.to_string()))
}

fn accounts(arguments: &RunArgs, sources: Option<Value>, errors: &mut ConfigErrors) -> Vec<Account> {
    let regions = each("region", &arguments.region, accounts::region, errors);
    let clusters = each("cluster", &arguments.cluster, ClusterPattern::parse, errors);
    let common = Common {
        regions_are_given: !regions.is_empty() && !errors.is_of_file("region"),
        clusters_are_given: !clusters.is_empty() && !errors.is_of_file("cluster"),
        regions,
        clusters: ClusterSelection::new(clusters),
    };
    // An empty option counts as unset, as an empty variable does; but an empty key in the file is an error.
    let is_given = |id: &&str| !id.trim().is_empty() || errors.is_of_file("external-id");
    let external_id = arguments.external_id.as_deref().filter(is_given);
    if let Some(sources) = sources {
        for option in
            SOURCE_OPTIONS.into_iter().filter(|option| errors.is_of_file(option)).collect::<Vec<_>>()
        {
            errors.option(option, "the file has sources; put this at the source");
        }
        let accounts = accounts::from_file(sources, &common, errors);
        if external_id.is_some() && !errors.is_of_file("external-id") {
            errors.option(
                "external-id",
                "the configuration file has sources; put external_id at the source that needs it",
            );
        }
        if arguments.no_own_account && !errors.is_of_file("no-own-account") {
            errors.option(
                "no-own-account",
                "the configuration file has sources; remove the one with own_account there",
            );
        }
        return accounts;
    }
    let roles = each("role", &arguments.role, accounts::role, errors);
    let has_role = values(&arguments.role).next().is_some();
    if arguments.no_own_account && !has_role {
        errors.option("no-own-account", "without a role there is no account to discover; add --role");
    }
    if external_id.is_some() && !has_role {
        errors.option("external-id", "this is for assuming a role, and there is no role; add --role");
    }
    let external_id = external_id.filter(|_| has_role).map(accounts::external_id).transpose();
    let external_id = errors.checked("external-id", external_id);
    let own = (!arguments.no_own_account).then_some(None);
    let account = |role: Option<RoleArn>| Account {
        external_id: role.as_ref().and(external_id.clone()),
        role,
        session_name: None,
        regions: common.regions.clone(),
        clusters: common.clusters.clone(),
    };
    own.into_iter().chain(roles.into_iter().map(Some)).map(account).collect()
}

/// The values of an option that takes a list.
fn each<T: Ord + Clone>(
    option: &str,
    given: &[String],
    check: impl Fn(&str) -> Result<T, String>,
    errors: &mut ConfigErrors,
) -> Vec<T> {
    let texts = values(given).map(|text| (text, text));
    accounts::each_once(texts, check, |text, problem| errors.value(option, text, problem))
}

fn tags<'a>(keys: impl Iterator<Item = &'a str>) -> TagSelection {
    match keys.map(str::to_owned).collect::<BTreeSet<_>>() {
        none if none.is_empty() => TagSelection::None,
        keys if keys.contains("*") => TagSelection::All,
        keys => TagSelection::Keys(keys),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use super::*;
    use crate::directories::prepare;

    fn config(arguments: &RunArgs) -> Result<Config, ConfigErrors> {
        Config::layered(arguments, None, Directories::Prepared(prepare))
    }

    fn targets(default_interval: &str) -> TargetArgs {
        TargetArgs {
            scrape_intervals: Intervals::OFFERED.map(str::to_owned).to_vec(),
            default_scrape_interval_prefix: default_interval.to_owned(),
            meta_labels: vec!["*".to_owned()],
            ..TargetArgs::default()
        }
    }

    fn arguments() -> RunArgs {
        RunArgs {
            interval: "60".to_owned(),
            recheck_interval: "10m".to_owned(),
            reconcile_interval: RECONCILE_INTERVAL.to_owned(),
            max_staleness: "never".to_owned(),
            state_file: Some("none".into()),
            api_share: Share::DEFAULT.to_owned(),
            targets: targets(Intervals::DEFAULT),
            ..RunArgs::default()
        }
    }

    /// A configuration of these accounts.
    pub(super) fn with_accounts(accounts: Vec<Account>) -> Config {
        Config { accounts, ..config(&arguments()).expect("a configuration") }
    }

    #[test]
    fn a_bare_number_is_seconds() {
        let check = |text: &str| duration(text).map(|length| length.as_secs_f64());
        assert_eq!((check("60"), check("90s"), check("2m")), (Ok(60.0), Ok(90.0), Ok(120.0)));
        assert_eq!((check("1.5"), check("60.0"), check(" 90 ")), (Ok(1.5), Ok(60.0), Ok(90.0)));
        for text in [
            "0",
            "",
            "-1",
            "0.5",
            "1.5s",
            "1,5",
            "NaN",
            "inf",
            "fast",
            "60 s",
            "500ms",
            "2d",
            "18446744073709551615",
        ] {
            assert!(check(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_or_region_given_twice_counts_once() {
        let role = "arn:aws:iam::123456789012:role/reader".to_owned();
        let config = config(&RunArgs {
            role: vec![role.clone(), role],
            region: vec!["eu-west-1".to_owned(), "eu-west-1".to_owned()],
            ..arguments()
        });
        let accounts = config.unwrap().accounts;
        let shape = |account: &Account| (account.role.is_some(), account.regions.len());
        assert_eq!(accounts.iter().map(shape).collect::<Vec<_>>(), [(false, 1), (true, 1)]);
    }

    #[test]
    fn all_errors_are_reported_together() {
        let errors = config(&RunArgs {
            directory: Some("/nonexistent".into()),
            interval: "often".to_owned(),
            max_staleness: "always".to_owned(),
            state_file: Some("/nonexistent/directory/state".into()),
            role: vec!["arn:aws:iam::1234:role/reader".to_owned()],
            region: vec!["Frankfurt".to_owned()],
            sts_region: Some("Ireland".to_owned()),
            cluster: vec!["arn:aws:ecs:eu-west-1:123456789012:service/web".to_owned()],
            api_share: "50%".to_owned(),
            targets: targets("2m"),
            ..arguments()
        });
        assert_snapshot!(errors.unwrap_err(), @r#"
        --directory: /nonexistent does not exist; create it, for example with mkdir -p /nonexistent
        --state-file: /nonexistent/directory/state cannot be written: No such file or directory (os error 2); set another, or none
        --max-staleness: "always" is not a duration; use such as 2h or 1d, or never
        --interval: "often" is not a duration; use seconds such as 60, or 90s, 2m
        --region: "Frankfurt" is not a region; it looks like eu-west-1
        --cluster: "arn:aws:ecs:eu-west-1:123456789012:service/web" is not the ARN of a cluster
        --role: "arn:aws:iam::1234:role/reader" is not the ARN of a role; it looks like arn:aws:iam::123456789012:role/NAME
        --sts-region: "Ireland" is not a region; it looks like eu-west-1
        --api-share: "50%" is not a share of AWS's request limits; use a number from 0.01 to 1
        --default-scrape-interval-prefix: "2m" is not one of the scrape intervals that are offered; name one of these, or offer it too
        "#);
    }

    #[test]
    fn a_share_is_more_than_nothing_and_at_most_all() {
        let check = |text: &str| text.parse::<Share>().is_ok();
        assert!(["0.01", "0.5", " .25", "1", "1.0"].into_iter().all(check));
        assert!(!["", "0", "0.001", "-0.5", "1.01", "NaN", "inf", "half"].into_iter().any(check));
    }

    #[test]
    fn an_allowed_host_is_a_name_without_scheme_and_port() {
        let check = |text: &str| allowed_host(text).ok();
        assert_eq!(check("SD.Example.org."), Some("sd.example.org".to_owned()));
        assert_eq!(check("build_7-x"), Some("build_7-x".to_owned()));
        let long = format!("{}.org", "a".repeat(250));
        for wrong in
            ["https://sd.example.org", "sd.example.org:9779", "*.example.org", "a..b", ".", "ö.de", &long]
        {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_trailing_comma_adds_no_value() {
        let clusters = vec!["prod".to_owned(), String::new()];
        let config =
            config(&RunArgs { cluster: clusters, region: vec![" ".to_owned()], ..arguments() }).unwrap();
        let account = &config.accounts[0];
        assert_eq!((account.clusters.patterns().len(), account.regions.len()), (1, 0));
    }

    #[test]
    fn white_space_around_a_value_of_a_list_does_not_count() {
        let list = |values: &str| values.split(',').map(str::to_owned).collect::<Vec<_>>();
        let role = "arn:aws:iam::123456789012:role/reader";
        let spaced = RunArgs {
            role: list(&format!(" {role} ,")),
            region: list(" eu-west-1 , us-east-1"),
            cluster: list("\tprod, test-* "),
            allowed_host: list("a.example.org, b.example.org"),
            targets: TargetArgs {
                scrape_intervals: list("15s, 1m,"),
                default_scrape_interval_prefix: " 1m ".to_owned(),
                tags_to_labels: list("team, stage ,"),
                meta_labels: list(" cluster, task_* ,"),
                service_tags: true,
                convention: list(" sepich, environment ,"),
            },
            ..arguments()
        };
        let plain = RunArgs {
            role: list(role),
            region: list("eu-west-1,us-east-1"),
            cluster: list("prod,test-*"),
            allowed_host: list("a.example.org,b.example.org"),
            targets: TargetArgs {
                scrape_intervals: list("15s,1m"),
                default_scrape_interval_prefix: "1m".to_owned(),
                tags_to_labels: list("team,stage"),
                meta_labels: list("task_*,cluster"),
                service_tags: true,
                convention: list("sepich,environment"),
            },
            ..arguments()
        };
        assert_eq!(config(&spaced).unwrap(), config(&plain).unwrap());
        assert_eq!(tags([" *"].map(str::trim).into_iter()), TagSelection::All);
    }

    #[test]
    fn targets_are_kept_unless_a_max_staleness_is_set() {
        let check = |text: &str| max_staleness(text).ok();
        assert_eq!((check("never"), check("2d")), (Some(Duration::MAX), Some(Duration::from_secs(172_800))));
        assert_eq!((check("90"), check("0"), check("1h ago")), (Some(Duration::from_secs(90)), None, None));
    }

    #[test]
    fn the_state_file_is_in_the_directory_by_default() {
        let directory = tempfile::tempdir().unwrap();
        let config = |state_file: Option<&str>| {
            let state_file = state_file.map(PathBuf::from);
            let directory = Some(directory.path().to_owned());
            config(&RunArgs { directory, state_file, ..arguments() }).unwrap().state_file
        };
        assert_eq!(config(None), Some(directory.path().join(".prometheus-ecs-sd/state")));
        assert_eq!(config(Some("none")), None);
        let other = directory.path().join("made/state");
        assert_eq!(config(other.to_str()), Some(other.clone()));
        assert!(other.parent().is_some_and(Path::is_dir));
    }

    #[test]
    fn an_external_id_is_checked_and_an_empty_one_counts_as_none() {
        let check = |id: &str| {
            let role = vec!["arn:aws:iam::123456789012:role/reader".to_owned()];
            let config = config(&RunArgs { role, external_id: Some(id.to_owned()), ..arguments() });
            config
                .map(|mut config| config.accounts.swap_remove(1).external_id)
                .map_err(|errors| errors.lines())
        };
        for empty in ["", " ", "\n"] {
            assert_eq!(check(empty), Ok(None));
        }
        assert_eq!(check(" tenant:7/a-b@c.d\n"), Ok(Some("tenant:7/a-b@c.d".to_owned())));
        let long = "x".repeat(1225);
        for wrong in ["x", "hunter2 hunter2", "hünter2", &long] {
            let told = "--external-id: it is not an external id: 2 to 1,224 letters, digits or _+=,.@:/-";
            assert_eq!(check(wrong), Err(vec![told.to_owned()]));
        }
    }

    #[test]
    fn leaving_out_the_own_account_needs_a_role() {
        let errors = config(&RunArgs { no_own_account: true, ..arguments() }).unwrap_err();
        assert_eq!(
            errors.lines(),
            ["--no-own-account: without a role there is no account to discover; add --role"]
        );
    }

    #[test]
    fn an_external_id_needs_a_role() {
        let external_id = Some("choose-your-own".to_owned());
        let errors = config(&RunArgs { external_id, ..arguments() }).unwrap_err();
        let told = "--external-id: this is for assuming a role, and there is no role; add --role";
        assert_eq!(errors.lines(), [told]);
    }
}
