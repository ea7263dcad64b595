//! Another configuration while the program runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ecs_discovery::conventions::builtin::builtin;
use ecs_discovery::conventions::list::Conventions;
use ecs_discovery::derive::Rules;
use ecs_discovery::inventory::selection::ClusterSelection;
use ecs_discovery::labels::meta::{MetaLabels, MetaPattern};
use ecs_simulator::{ContainerDefinition, Delivery, Placement, Response, TaskDefinition};
use insta::assert_snapshot;
use prometheus_ecs_sd::config::{Account, Config};
use prometheus_ecs_sd::discovery::Outcome;
use prometheus_ecs_sd::sinks::http::metrics::Format;
use prometheus_ecs_sd::state::StateFile;

use super::{REGION, Stage, fleet, opted_in};

fn stage() -> Stage {
    Stage::new(fleet(&[("prod", 3), ("test", 2)]))
}

#[tokio::test(start_paused = true)]
async fn sources_that_stay_keep_their_facts() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    stage.asked();
    stage.simulator.set_latency(std::time::Duration::from_secs(1));
    running.replace(&Config { interval: stage.config.interval * 2, ..stage.config.clone() }).await.unwrap();
    // The known targets are published immediately, and then read again.
    for _ in 0..2 {
        assert!(running.next().await.complete);
        assert_eq!(stage.file("1m"), before);
    }
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 2
    ");
}

#[tokio::test(start_paused = true)]
async fn other_meta_labels_are_published_immediately_from_known_facts() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let (before, other) = (stage.file("1m"), meta_labels(&stage.config, &["cluster", "task_id"]));
    stage.asked();
    stage.printed();
    stage.simulator.set_latency(Duration::from_secs(1));
    running.replace(&other).await.unwrap();
    let published = running.next().await;
    assert_eq!((published.snapshot.target_count(), stage.asked().as_str()), (5, ""));
    assert_eq!(stage.printed().lines().filter(|line| line.starts_with("~ ")).count(), 5);
    let mut fresh = stage.fresh().await;
    fresh.config.rules = other.rules.clone();
    assert_eq!(fresh.once().await, Outcome::Complete);
    let now = stage.file("1m");
    assert_eq!(now, fresh.file("1m"));
    assert_eq!((before.matches("__meta_ecs_region").count(), now.matches("__meta_ecs_").count()), (5, 10));
    running.replace(&stage.config).await.unwrap();
    running.next().await;
    assert_eq!(stage.file("1m"), before);
}

/// The same configuration with another selection of meta labels.
fn meta_labels(config: &Config, patterns: &[&str]) -> Config {
    let patterns = patterns.iter().map(|text| MetaPattern::parse(text).unwrap());
    let mut config = config.clone();
    config.rules.meta_labels = MetaLabels::new(patterns).into();
    config
}

#[tokio::test(start_paused = true)]
async fn another_list_of_conventions_is_applied_to_the_facts_at_hand() {
    let stage = stage();
    stage.change(|region| {
        let app = ContainerDefinition::new("app", "shop/app:1").label("PROMETHEUS_EXPORTER_PORT", "9102");
        let definition = region.register(TaskDefinition::new("other").network_mode("awsvpc").container(app));
        region.run("test", &definition, Placement::Fargate);
    });
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    assert_eq!(stage.targets("1m").len(), 5);
    stage.asked();
    let with = |names: &[&str]| {
        let entries = names.iter().flat_map(|name| builtin(name).unwrap());
        let conventions = Conventions::new(entries);
        Config { rules: Rules { conventions, ..stage.config.rules.clone() }, ..stage.config.clone() }
    };
    for (names, targets) in
        [(&["teralytics", "environment"][..], 6), (&["teralytics"], 1), (&["environment"], 5)]
    {
        running.replace(&with(names)).await.unwrap();
        running.next().await;
        assert_eq!(stage.targets("1m").len(), targets, "{names:?}");
    }
    assert_eq!(stage.file("1m"), before);
    let asked = stage.asked();
    assert!(!asked.contains("DescribeTaskDefinition") && !asked.contains("DescribeTasks"), "{asked}");
}

#[tokio::test(start_paused = true)]
async fn clusters_that_are_not_selected_any_more_leave_and_others_come() {
    let stage = stage().clusters(&["prod"]);
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 3);
    let other = stage.fresh().await.clusters(&["test"]);
    running
        .replace(&Config { accounts: other.config.accounts.clone(), ..stage.config.clone() })
        .await
        .unwrap();
    // Until the other cluster was heard, what was published stays.
    assert_eq!(stage.targets("1m").len(), 3);
    running.next().await;
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_comes_in_while_aws_is_in_trouble_costs_the_others_nothing() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    let role = "arn:aws:iam::222222222222:role/reader";
    let both = stage.fresh().await.role(role, None);
    stage.simulator.on_call(|call| (call.service != "ecs").then(ecs_simulator::Response::connection_refused));
    running
        .replace(&Config { accounts: both.config.accounts.clone(), ..stage.config.clone() })
        .await
        .unwrap();
    for _ in 0..3 {
        running.next().await;
        assert_eq!(stage.file("1m"), before);
    }
}

#[tokio::test(start_paused = true)]
async fn files_move_with_their_directory_and_intervals() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let other = tempfile::tempdir().unwrap();
    prometheus_ecs_sd::sinks::file_sd::prepare(other.path()).unwrap();
    let directory = Some(other.path().to_owned());
    running.replace(&Config { directory, ..stage.config.clone() }).await.unwrap();
    running.next().await;
    let moved = std::fs::read_to_string(other.path().join("1m-tasks.json")).unwrap();
    assert_eq!(moved, stage.file("1m"));
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_is_going_on_is_given_up_and_its_facts_are_not() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    stage.simulator.set_latency(std::time::Duration::from_secs(5));
    tokio::time::sleep(stage.config.interval + std::time::Duration::from_secs(4)).await;
    stage.asked();
    let other = Config { recheck_interval: stage.config.recheck_interval * 2, ..stage.config.clone() };
    running.replace(&other).await.unwrap();
    running.next().await;
    assert_eq!(stage.file("1m"), before);
    assert!(running.next().await.complete);
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 2
    ");
}

#[tokio::test(start_paused = true)]
async fn what_changes_nothing_disturbs_nothing() {
    let stage = stage();
    stage.simulator.set_latency(std::time::Duration::from_secs(5));
    let mut running = stage.run().await;
    for _ in 0..20 {
        tokio::time::sleep(std::time::Duration::from_secs(4)).await;
        running.replace(&stage.config.clone()).await.unwrap();
    }
    assert!(running.next().await.complete);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_roles_are_renewed_by_a_reload_but_not_by_one_that_is_refused() {
    let role = "arn:aws:iam::222222222222:role/reader";
    let stage = stage().role(role, None);
    stage.simulator.change(|world| world.allow_role(role, None));
    let mut running = stage.run().await;
    running.round().await;
    let twice = Account { regions: vec![REGION.to_owned()], ..Account::default() };
    let refused = Config { accounts: vec![Account::default(), twice], ..stage.config.clone() };
    running.replace(&refused).await.unwrap_err();
    running.round().await;
    stage.simulator.take_ledger();
    running.round().await;
    assert_eq!(stage.simulator.take_ledger().calls("sts", "AssumeRole"), 0);
    running.replace(&stage.config).await.unwrap();
    running.round().await;
    assert_eq!(stage.simulator.take_ledger().calls("sts", "AssumeRole"), 1);
}

/// A source in its own account and two regions more, with a target each, and two roles of another account.
fn places() -> Stage {
    let mut world = fleet(&[("prod", 1)]);
    for (account, region) in
        [("111111111111", "eu-west-1"), ("111111111111", "us-east-1"), ("222222222222", REGION)]
    {
        let region = world.region(account, region);
        let definition = region.register(opted_in("web"));
        region.cluster("prod");
        region.run("prod", &definition, Placement::Fargate);
    }
    for role in ROLES {
        world.allow_role(role, None);
    }
    Stage::new(world)
}

const ROLES: [&str; 3] = [
    "arn:aws:iam::222222222222:role/reader",
    "arn:aws:iam::222222222222:role/other",
    "arn:aws:iam::111111111111:role/own",
];

/// No call of this account and region is ever answered.
fn stall(stage: &Stage, account: &'static str, region: &'static str) {
    stage.simulator.on_call(move |call| {
        let mut response = Response::unavailable(call);
        response.delivery = Delivery::Stalled;
        (call.account == account && call.region == region).then_some(response)
    });
}

fn with(stage: &Stage, accounts: Vec<Account>) -> Config {
    Config { accounts, ..stage.config.clone() }
}

fn own(regions: &[&str]) -> Account {
    Account { regions: regions.iter().map(|region| (*region).to_owned()).collect(), ..Account::default() }
}

fn role(arn: &str) -> Account {
    Account {
        role: Some(ecs_discovery::arn::RoleArn::parse_strictly(arn).unwrap()),
        clusters: ClusterSelection::All,
        ..own(&[REGION])
    }
}

#[tokio::test(start_paused = true)]
async fn reloads_during_the_first_refresh_do_not_begin_it_again() {
    let stage = places().regions(&[REGION, "us-east-1"]);
    let stalled = Arc::new(AtomicUsize::new(0));
    let count = stalled.clone();
    stage.simulator.on_call(move |call| {
        let response = Response { delivery: Delivery::Stalled, ..Response::unavailable(call) };
        (call.region == "us-east-1").then(|| {
            count.fetch_add(1, Ordering::Relaxed);
            response
        })
    });
    let mut running = stage.run().await;
    for n in 2..5 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        running
            .replace(&Config { recheck_interval: Duration::from_secs(600 * n), ..stage.config.clone() })
            .await
            .unwrap();
        running.next().await;
        assert_eq!(stage.targets("1m").len(), 1);
    }
    assert_eq!(stalled.load(Ordering::Relaxed), 1);
    stage.simulator.heal();
    while stage.targets("1m").len() < 2 {
        running.next().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_leaves_stays_until_what_comes_was_heard() {
    let stage = places().regions(&[REGION, "eu-west-1"]);
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    assert_eq!(stage.targets("1m").len(), 2);
    stall(&stage, "111111111111", "us-east-1");
    let other = with(&stage, vec![own(&[REGION, "us-east-1"])]);
    running.replace(&other).await.unwrap();
    // However often that is configured.
    running.replace(&Config { interval: Duration::from_secs(30), ..other.clone() }).await.unwrap();
    while running.next_within(Duration::from_secs(5)).await.is_some() {
        assert_eq!(stage.file("1m"), before);
    }
    assert_eq!(stage.file("1m"), before);
    stage.simulator.heal();
    let published = running.round().await;
    let regions: Vec<_> = published.snapshot.scopes.keys().map(|cluster| cluster.region()).collect();
    assert_eq!(regions, [REGION, "us-east-1"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_taken_back_in_time_has_lost_nothing() {
    let stage = places().regions(&[REGION, "eu-west-1"]);
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    stage.simulator.on_call(|call| (call.region != REGION).then(|| Response::server_error(call)));
    running.replace(&with(&stage, vec![own(&[REGION, "us-east-1"])])).await.unwrap();
    running.replace(&stage.config.clone()).await.unwrap();
    for _ in 0..3 {
        running.next().await;
        assert_eq!(stage.file("1m"), before);
    }
}

#[tokio::test(start_paused = true)]
async fn another_role_of_an_account_goes_on_with_what_is_known_of_it() {
    let changes = [
        (vec![own(&[REGION]), role(ROLES[0])], vec![own(&[REGION]), role(ROLES[1])]),
        (vec![own(&[REGION]), role(ROLES[0])], vec![own(&[REGION]), role(ROLES[0]), role(ROLES[2])]),
        (vec![own(&[REGION]), role(ROLES[0])], vec![role(ROLES[2]), role(ROLES[0])]),
    ];
    for (accounts, others) in changes {
        let mut stage = places();
        stage.config.accounts = accounts;
        let mut running = stage.run().await;
        running.next().await;
        let before = stage.file("1m");
        assert_eq!(stage.targets("1m").len(), 2);
        stage
            .simulator
            .on_call(|call| (call.operation == "AssumeRole").then(|| Response::server_error(call)));
        running.replace(&with(&stage, others)).await.unwrap();
        for _ in 0..4 {
            running.next().await;
            assert_eq!(stage.file("1m"), before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_makes_nothing_newer_than_it_is() {
    let mut stage = places();
    stage.config.interval = Duration::from_secs(3600);
    stage.config.max_staleness = Duration::from_secs(1800);
    let mut running = stage.run().await;
    let last_read = running.next().await.snapshot.scopes.values().next().unwrap().last_read;
    for minutes in [11, 22] {
        tokio::time::sleep(Duration::from_secs(600)).await;
        stall(&stage, "111111111111", REGION);
        let other = Config { recheck_interval: Duration::from_secs(60 * minutes), ..stage.config.clone() };
        running.replace(&other).await.unwrap();
        let scope = running.next().await.snapshot.scopes.values().next().unwrap().clone();
        assert_eq!((scope.last_read, scope.derived.targets.len()), (last_read, 1));
    }
    // The start of failing refreshes counts across reloads.
    for (minutes, seconds, targets) in [(33, 1000, 1), (44, 900, 0)] {
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let other = Config { recheck_interval: Duration::from_secs(60 * minutes), ..stage.config.clone() };
        running.replace(&other).await.unwrap();
        running.next().await;
        assert_eq!(running.published().snapshot.targets().len(), targets);
    }
}

#[tokio::test(start_paused = true)]
async fn metrics_of_what_stays_go_on_and_those_of_what_leaves_go() {
    let stage = places().regions(&["us-east-1", REGION]);
    let mut running = stage.run().await;
    running.next().await;
    let page = running.metrics(Format::Text);
    let line =
        |page: &str, series: &str| page.lines().find(|line| line.starts_with(series)).map(str::to_owned);
    let completed =
        format!("ecs_sd_last_complete_refresh_timestamp_seconds{{source=\"own account {REGION}\"}}");
    let before = line(&page, &completed).unwrap();
    assert!(page.contains("us-east-1") && page.contains("5m-tasks.json"));
    stall(&stage, "111111111111", REGION);
    let mut other = with(&stage, vec![own(&[REGION])]);
    other.rules.intervals = ecs_discovery::interval::Intervals::new(&["1m".to_owned()], "1m").unwrap();
    other.state_file = None;
    running.replace(&other).await.unwrap();
    running.next().await;
    let page = running.metrics(Format::Text);
    assert_eq!(line(&page, &completed), Some(before));
    // Everything that is selected was read before.
    for gone in ["us-east-1", "5m-tasks.json", "file=\"state\""] {
        assert_eq!(page.lines().find(|line| line.contains(gone)), None);
    }
}

#[tokio::test(start_paused = true)]
async fn one_region_by_its_name_and_as_the_usual_one_is_refused() {
    let stage = places();
    let mut running = stage.run().await;
    running.next().await;
    let refused = running.replace(&with(&stage, vec![own(&[]), own(&[REGION])])).await.unwrap_err();
    assert_snapshot!(refused, @"two sources have the same credentials in region eu-central-1, which is the usual one; put both together");
    assert!(running.next().await.complete);
}

#[tokio::test(start_paused = true)]
async fn files_move_while_what_comes_is_waited_for() {
    let stage = places().regions(&[REGION, "eu-west-1"]);
    let mut running = stage.run().await;
    running.next().await;
    stall(&stage, "111111111111", "us-east-1");
    let moved = tempfile::tempdir().unwrap();
    prometheus_ecs_sd::sinks::file_sd::prepare(moved.path()).unwrap();
    let other = Config {
        directory: Some(moved.path().to_owned()),
        ..with(&stage, vec![own(&[REGION, "us-east-1"])])
    };
    running.replace(&other).await.unwrap();
    running.next_within(Duration::from_secs(5)).await;
    assert_eq!(std::fs::read_to_string(moved.path().join("1m-tasks.json")).unwrap(), stage.file("1m"));
}

#[tokio::test(start_paused = true)]
async fn what_takes_a_restart_is_not_shown_as_if_it_were_in_effect() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let shown = |running: &super::Running| running.store.reader().configuration.borrow().clone();
    let before = shown(&running);
    stage.asked();
    let other = Config { enable_lifecycle: true, ..stage.config.clone() };
    running.replace(&other).await.unwrap();
    assert_eq!((shown(&running), stage.asked().as_str()), (before, ""));
}

#[tokio::test(start_paused = true)]
async fn only_the_targets_of_a_replaced_role_wait_for_the_role_that_replaces_it() {
    let other = "arn:aws:iam::333333333333:role/reader";
    let mut stage = places();
    stage.simulator.change(|world| world.allow_role(other, None));
    stage.config.accounts = vec![own(&[REGION]), role(ROLES[0])];
    let mut running = stage.run().await;
    running.round().await;
    let before = stage.targets("1m");
    assert_eq!(before.len(), 2);
    stall(&stage, "333333333333", REGION);
    running.replace(&with(&stage, vec![own(&[REGION]), role(other)])).await.unwrap();
    let definition = stage.change(|region| region.register(opted_in("new")));
    stage.change(|region| region.run("prod", &definition, Placement::Fargate));
    while stage.targets("1m").len() < 3 {
        assert!(running.next_within(stage.config.interval * 2).await.is_some());
    }
    let now = stage.targets("1m");
    assert!(before.iter().all(|target| now.contains(target)));
    stage.simulator.heal();
    while stage.targets("1m").len() > 2 {
        running.next().await;
    }
    // Those of the own account.
    assert_eq!(
        running.published().snapshot.scopes.keys().map(|cluster| cluster.account()).collect::<Vec<_>>(),
        ["111111111111"]
    );
}

#[tokio::test(start_paused = true)]
async fn reloads_once_a_second_do_not_starve_a_refresh_that_takes_longer() {
    let stage = stage();
    stage.simulator.set_latency(Duration::from_millis(400));
    let running = stage.run().await;
    for second in 1..6 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let recheck_interval = stage.config.recheck_interval + Duration::from_secs(second);
        running.replace(&Config { recheck_interval, ..stage.config.clone() }).await.unwrap();
    }
    assert!(running.published().complete);
    assert_eq!(running.published().snapshot.target_count(), 5);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_selected_again_was_never_lost() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    // Only listings are answered, so that nothing is read again.
    stage.simulator.on_call(|call| (call.operation != "ListClusters").then(|| Response::server_error(call)));
    for clusters in [&["prod"][..], &["test"], &["prod", "test"]] {
        let other = stage.fresh().await.clusters(clusters);
        running.replace(&with(&stage, other.config.accounts.clone())).await.unwrap();
    }
    running.next().await;
    assert_eq!(stage.file("1m"), before);
}

/// Otherwise a start with it would serve the lists of then as those of now.
#[tokio::test(start_paused = true)]
async fn a_state_file_that_a_reload_leaves_does_not_count_as_the_newest() {
    let stage = stage();
    let mut running = stage.run().await;
    running.next().await;
    let is_newest = || StateFile::new(&stage.state_file()).read().unwrap().is_newest;
    assert!(is_newest());
    running.replace(&Config { state_file: None, ..stage.config.clone() }).await.unwrap();
    running.next().await;
    assert!(!is_newest());
}
