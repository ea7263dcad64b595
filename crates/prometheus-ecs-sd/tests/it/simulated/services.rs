//! `--service-tags`: what it costs, what it shows, and that no target depends on it.

use ecs_discovery::derive::Rules;
use ecs_simulator::{Calls, Damage, Fault, Placement, Region, Run, World};
use insta::assert_snapshot;
use prometheus_ecs_sd::config::Config;
use prometheus_ecs_sd::discovery::Outcome;

use super::events::{asked, live, targets, told};
use super::{REGION, Stage, every_case, opted_in};

/// So many services in one cluster, each with a task and a tag.
fn world(services: usize) -> World {
    let mut world = World::new(1);
    let region = world.own(REGION);
    (0..services).for_each(|number| drop(start(region, &format!("web-{number}"))));
    world
}

/// Starts a task of a service with a tag, and returns its ARN.
fn start(region: &mut Region, service: &str) -> String {
    let known = region.task_definitions.keys().next().cloned();
    let definition = known.unwrap_or_else(|| region.register(opted_in("web")));
    tag(region, service, "shop");
    region.run_with(Run::new("prod", &definition, Placement::Fargate).service(service))
}

fn tag(region: &mut Region, service: &str, team: &str) {
    region.service("prod", service).tags.insert("team".to_owned(), team.to_owned());
}

fn publishing(mut stage: Stage) -> Stage {
    stage.config.rules = with_services(&stage.config, true);
    stage
}

fn with_services(config: &Config, service_tags: bool) -> Rules {
    Rules { service_tags, ..config.rules.clone() }
}

/// How many targets have this tag of their service.
fn tagged(stage: &Stage, team: &str) -> usize {
    stage.file("1m").matches(&format!(r#""__meta_ecs_tag_service_team":"{team}""#)).count()
}

/// The calls of DescribeServices since this was last asked.
fn calls(stage: &Stage) -> u64 {
    stage.simulator.take_ledger().calls("ecs", "DescribeServices")
}

#[tokio::test(start_paused = true)]
async fn without_the_option_there_is_not_one_call_more_and_with_it_only_those_for_services() {
    let without = every_case();
    let with = publishing(every_case());
    for stage in [&without, &with] {
        stage.once().await;
        stage.once().await;
    }
    let (without, with) = (without.asked(), with.asked());
    let is_other = |line: &&str| !line.contains("DescribeServices");
    assert_eq!(without.lines().collect::<Vec<_>>(), with.lines().filter(is_other).collect::<Vec<_>>());
    assert_snapshot!(with.lines().filter(|line| !is_other(line)).collect::<String>(), @"ecs DescribeServices 1");
}

#[tokio::test(start_paused = true)]
async fn services_are_read_ten_at_a_time_and_again_once_in_the_recheck_interval() {
    let stage = publishing(Stage::new(world(25)));
    let mut running = stage.run().await;
    running.next().await;
    assert_eq!((tagged(&stage, "shop"), stage.targets("1m").len()), (25, 25));
    let arn = format!(r#""__meta_ecs_service_arn":"arn:aws:ecs:{REGION}:111111111111:service/prod/web-7""#);
    assert!(
        stage.file("1m").contains(&arn)
            && stage.file("1m").contains(r#""__meta_ecs_service_status":"ACTIVE""#)
    );
    assert_snapshot!(stage.asked(), @"
    ecs DescribeClusters 1
    ecs DescribeServices 3
    ecs DescribeTaskDefinition 1
    ecs DescribeTasks 1
    ecs ListClusters 1
    ecs ListTasks 1
    ");
    stage.change(|region| tag(region, "web-7", "other"));
    for _ in 0..10 {
        running.next().await;
    }
    assert_eq!(calls(&stage), 3);
    running.next().await;
    assert_eq!((tagged(&stage, "shop"), tagged(&stage, "other")), (24, 1));
    // A new service is read with its task, and a further task of it needs no call.
    stage.change(|region| drop(start(region, "new")));
    stage.asked();
    running.next().await;
    assert_eq!((calls(&stage), tagged(&stage, "shop")), (1, 25));
    stage.change(|region| drop(start(region, "new")));
    running.next().await;
    assert_eq!(tagged(&stage, "shop"), 26);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_services_are_read_as_fast_as_the_limits_allow() {
    let stage = publishing(Stage::new(world(1000)));
    stage.simulator.enforce_limits();
    assert_eq!(stage.once().await, Outcome::Complete);
    let ledger = stage.simulator.take_ledger();
    assert_eq!((ledger.calls("ecs", "DescribeServices"), ledger.refused()), (100, 0));
    assert_eq!(tagged(&stage, "shop"), 1000);
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_what_is_known_of_services_and_asks_for_none() {
    let mut stage = publishing(Stage::new(world(3)));
    stage.change(|region| {
        region.service("prod", "web-1").status = "DRAINING".to_owned();
    });
    stage.once().await;
    let file = stage.file("1m");
    assert!(file.contains(r#""__meta_ecs_service_status":"DRAINING""#));
    stage.asked();
    stage.once().await;
    assert_eq!((calls(&stage), stage.file("1m")), (0, file.clone()));
    // Without AWS.
    stage.simulator.inject(Fault::ConnectionRefused, Calls::all());
    std::fs::remove_file(stage.path("1m-tasks.json")).unwrap();
    stage.once().await;
    assert_eq!(stage.file("1m"), file);
    stage.simulator.heal();
    // A process without the option.
    assert!(std::fs::read_to_string(stage.state_file()).unwrap().contains(r#"{"Service""#));
    stage.config.rules = with_services(&stage.config, false);
    stage.once().await;
    assert_eq!((calls(&stage), stage.file("1m").matches("__meta_ecs_service_").count()), (0, 0));
    let state = std::fs::read_to_string(stage.state_file()).unwrap();
    assert!(!state.contains(r#"{"Service""#), "{state}");
}

#[tokio::test(start_paused = true)]
async fn services_that_may_not_be_described_cost_no_target_and_few_calls() {
    let stage = publishing(Stage::new(world(30)));
    stage.simulator.inject(Fault::Denied, Calls::of("DescribeServices"));
    let mut running = stage.run().await;
    assert!(running.next().await.complete);
    assert_eq!((stage.targets("1m").len(), tagged(&stage, "shop")), (30, 0));
    // Three batches, and eight of them in halves; then the whole batches every two minutes.
    let mut counts = vec![calls(&stage)];
    for _ in 0..7 {
        assert!(running.next().await.complete);
        counts.push(calls(&stage));
    }
    assert_eq!(counts[0], 3 + 2 * 8);
    assert!(counts[1..].iter().sum::<u64>() <= 3 * 4, "{counts:?}");
    stage.simulator.heal();
    for _ in 0..3 {
        running.next().await;
    }
    assert_eq!(tagged(&stage, "shop"), 30);
    // Known ones are kept.
    stage.simulator.inject(Fault::Denied, Calls::of("DescribeServices"));
    for _ in 0..12 {
        assert!(running.next().await.complete);
        assert_eq!(tagged(&stage, "shop"), 30);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_to_an_answer_costs_no_target_and_no_known_tag() {
    let stage = publishing(Stage::new(world(2)));
    let mut running = stage.run().await;
    running.next().await;
    let before = stage.file("1m");
    let fields: Vec<String> = {
        let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let collected = seen.clone();
        stage.simulator.on_answer(move |call, answer| {
            if call.operation == "DescribeServices" {
                collected.lock().unwrap().extend(answer.fields());
            }
        });
        for _ in 0..11 {
            running.next().await;
        }
        stage.simulator.heal();
        let fields = std::mem::take(&mut *seen.lock().unwrap());
        fields.into_iter().filter(|field| field.starts_with("services") || field == "failures").collect()
    };
    assert!(fields.iter().any(|field| field == "services.tags.key"), "{fields:?}");
    for field in fields {
        // AWS can take tags away and change a status; a tag's value may be any.
        let is_change = |damage| {
            matches!(
                (field.as_str(), damage),
                ("services.tags", Damage::Empty | Damage::Unheard)
                    | ("services.tags.value", Damage::Absent | Damage::Empty | Damage::Unheard)
                    | ("services.status" | "services.tags.key", Damage::Unheard)
            )
        };
        for damage in Damage::ALL {
            if is_change(damage) {
                continue;
            }
            let damaged = field.clone();
            stage.simulator.on_answer(move |call, answer| {
                if call.operation == "DescribeServices" {
                    answer.damage(&damaged, damage, "");
                }
            });
            for _ in 0..11 {
                running.next().await;
                assert_eq!(stage.file("1m"), before, "{field}: {damage:?}");
            }
            stage.simulator.heal();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_reload_begins_and_ends_to_describe_services() {
    let stage = Stage::new(world(3));
    let mut running = stage.run().await;
    running.next().await;
    let without = stage.file("1m");
    stage.asked();
    let with = Config { rules: with_services(&stage.config, true), ..stage.config.clone() };
    running.replace(&with).await.unwrap();
    running.round().await;
    assert_eq!((tagged(&stage, "shop"), calls(&stage)), (3, 1));
    running.replace(&stage.config.clone()).await.unwrap();
    running.round().await;
    assert_eq!((stage.file("1m"), calls(&stage)), (without, 0));
}

#[tokio::test(start_paused = true)]
async fn an_event_of_a_new_service_leads_to_one_call_for_it() {
    let stage = publishing(told(world(1)));
    let mut running = live(&stage).await;
    stage.change(|region| drop(start(region, "new")));
    targets(&mut running, 2).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(tagged(&stage, "shop"), 2);
    assert_snapshot!(asked(&stage), @"
    ecs DescribeServices 1
    ecs DescribeTasks 1
    ");
    let again = stage.change(|region| start(region, "new"));
    targets(&mut running, 3).await;
    assert_eq!(tagged(&stage, "shop"), 3);
    assert!(!asked(&stage).contains("DescribeServices"));
    stage.change(|region| region.stop(&again));
    targets(&mut running, 2).await;
    assert_eq!(asked(&stage), "");
}
