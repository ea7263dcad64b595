//! What a process knows of the one before it, from the state file.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use ecs_discovery::snapshot::ScopeStatus;
use ecs_simulator::{
    ContainerDefinition, Delivery, HostKind, Placement, Response, TaskDefinition, World, worlds,
};
use insta::assert_snapshot;
use prometheus_ecs_sd::discovery::Outcome;
use prometheus_ecs_sd::state::StateFile;

use super::{REGION, Stage, every_case, fleet, opted_in};
use crate::files::INTERVALS;

fn files(stage: &Stage) -> [String; 4] {
    INTERVALS.map(|interval| stage.file(interval))
}

fn remove_files(stage: &Stage) {
    for interval in INTERVALS {
        fs::remove_file(stage.path(&format!("{interval}-tasks.json"))).unwrap();
    }
}

fn state(stage: &Stage) -> Vec<u8> {
    fs::read(stage.state_file()).unwrap()
}

/// The facts in the state file, without their revision and the checksum.
fn facts(stage: &Stage) -> Vec<String> {
    crate::files::facts(&String::from_utf8(state(stage)).unwrap())
}

/// No call is ever answered.
fn stall(stage: &Stage) {
    stage.simulator.on_call(|call| {
        let mut response = Response::unavailable(call);
        response.delivery = Delivery::Stalled;
        Some(response)
    });
}

#[tokio::test(start_paused = true)]
async fn a_restart_publishes_everything_before_aws_answers() {
    let stage = every_case();
    assert_eq!(stage.once().await, Outcome::Complete);
    let before = files(&stage);
    remove_files(&stage);
    stall(&stage);
    stage.asked();
    let mut running = stage.run().await;
    let published = running.next().await;
    assert_eq!(files(&stage), before);
    let answered =
        |ledger: ecs_simulator::Ledger| ledger.counts.values().any(|count| count.calls > count.refused);
    assert!(!answered(stage.simulator.take_ledger()));
    assert!(!published.complete);
    let restored = |standing: &ScopeStatus| *standing == ScopeStatus::Restored;
    assert!(published.snapshot.scopes.values().all(|scope| restored(&scope.status)));
}

#[tokio::test(start_paused = true)]
async fn a_run_after_another_says_in_the_end_that_all_was_read() {
    let stage = Stage::new(fleet(&[("prod", 1)]));
    assert_eq!(stage.once().await, Outcome::Complete);
    stage.printed();
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_snapshot!(stage.printed(), @r"
    + http://10.0.0.4:8080/metrics 1m prod web app 656a2dd6fc794c1546ca31247755d136
    1 target (+1 ~0 -0) in 1 cluster, 0 containers not scraped, 0 clusters not up to date, 1 not read yet; 0.0 s
    1 target (+0 ~0 -0) in 1 cluster, 0 containers not scraped, 0 clusters not up to date; 0.0 s
    ");
}

/// The state file is written again and again meanwhile.
#[tokio::test(start_paused = true)]
async fn a_source_that_hangs_gets_no_newer_by_the_results_of_others() {
    let mut world = fleet(&[("prod", 1)]);
    let other = world.own("us-east-1");
    let definition = other.register(opted_in("web"));
    other.run("prod", &definition, Placement::Fargate);
    let mut stage = Stage::new(world).regions(&[REGION, "us-east-1"]);
    // Three attempts of ten seconds take longer than two refreshes.
    stage.config.interval = Duration::from_secs(10);
    let mut running = stage.run().await;
    running.next().await;
    stage.simulator.on_call(|call| {
        (call.region == "us-east-1")
            .then(|| Response { delivery: Delivery::Stalled, ..Response::unavailable(call) })
    });
    let is_fresh = |region: &str| {
        let clusters = facts(&stage).into_iter().filter(|line| line.starts_with("{\"Cluster\""));
        clusters.filter(|line| line.contains(region)).all(|line| line.contains("\"held_since\":null"))
    };
    assert!(is_fresh(REGION) && is_fresh("us-east-1"));
    for _ in 0..3 {
        running.next().await;
    }
    let standing = |region: &str| {
        let published = running.published();
        let mut scopes = published.snapshot.scopes.iter().filter(|(cluster, _)| cluster.region() == region);
        scopes.next().unwrap().1.status.clone()
    };
    assert_eq!((standing(REGION), standing("us-east-1")), (ScopeStatus::Fresh, ScopeStatus::Fresh));
    assert!(is_fresh(REGION) && !is_fresh("us-east-1"));
}

#[tokio::test(start_paused = true)]
async fn a_restart_costs_listings_and_what_is_new() {
    let stage = every_case();
    stage.once().await;
    let before = (files(&stage), facts(&stage));
    stage.asked();
    assert_eq!(stage.once().await, Outcome::Complete);
    // What is not settled is described again, and what AWS did not know is asked for again.
    assert_snapshot!(stage.asked(), @r"
    ec2 DescribeInstances 1
    ecs DescribeContainerInstances 1
    ecs DescribeTaskDefinition 1, 1 refused
    ecs DescribeTasks 1
    ecs ListClusters 4
    ecs ListTasks 5
    ssm DescribeInstanceInformation 1
    sts AssumeRole 2
    sts GetCallerIdentity 2
    ");
    assert_eq!((files(&stage), facts(&stage)), before);
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_ten_thousand_tasks_costs_listings_only() {
    let size = worlds::Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 };
    let stage = Stage::new(worlds::large(size)).regions(&[worlds::REGION]);
    stage.once().await;
    stage.asked();
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_snapshot!(stage.asked(), @r"
    ecs ListClusters 1
    ecs ListTasks 108
    ");
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_no_process_ran_is_seen() {
    let stage = Stage::new(fleet(&[("prod", 3), ("deleted", 1)]));
    stage.once().await;
    stage.change(|region| {
        let definition = region.register(opted_in("new"));
        region.run("prod", &definition, Placement::Fargate);
        let task = region.clusters["prod"].tasks.values().next().unwrap().task_arn.clone();
        region.stop(&task);
        region.delete_cluster("deleted");
    });
    assert_eq!(stage.once().await, Outcome::Complete);
    let restarted = files(&stage);
    fs::remove_file(stage.state_file()).unwrap();
    stage.once().await;
    assert_eq!(restarted, files(&stage));
    assert_eq!(stage.targets("1m").len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_restart_amid_trouble_loses_nothing() {
    let stage = every_case();
    stage.once().await;
    let before = files(&stage);
    for _ in 0..2 {
        stall(&stage);
        let mut running = stage.run().await;
        for _ in 0..5 {
            running.next().await;
            assert_eq!(files(&stage), before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_state_file_that_cannot_be_used_is_ignored_and_replaced() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    stage.once().await;
    let (good, held, path) = (state(&stage), facts(&stage), stage.state_file());
    let newer = [b"prometheus-ecs-sd state 4\n".as_slice(), &good[26..]].concat();
    let (half, garbage) = (&good[..good.len() / 2], b"\x7fELF\0\0\0".as_slice());
    for bad in [&newer, half, garbage, b"", b"{}\n", b"prometheus-ecs-sd state 1\n"] {
        fs::write(&path, bad).unwrap();
        stage.asked();
        assert_eq!(stage.once().await, Outcome::Complete);
        assert!(stage.asked().contains("ecs DescribeTaskDefinition 1"));
        assert_eq!((facts(&stage), stage.targets("1m").len()), (held.clone(), 2));
    }
}

/// A record without what earlier files do not have: the names of variables.
fn unnamed(record: &str) -> String {
    let mut record: serde_json::Value = serde_json::from_str(record).unwrap();
    for kind in ["Definition", "Task"] {
        if let Some(fact) = record.get_mut(kind).and_then(|fact| fact.as_object_mut()) {
            fact.remove("names");
            if kind == "Definition" {
                fact.insert("variables".to_owned(), 8.into());
            }
        }
    }
    record.to_string()
}

#[tokio::test(start_paused = true)]
async fn a_state_file_of_an_earlier_version_is_read_and_becomes_one_of_this_version() {
    for version in [1, 2] {
        let stage = every_case();
        stage.once().await;
        let facts = || facts(&stage).iter().map(|record| unnamed(record)).collect::<Vec<_>>();
        let before = (files(&stage), facts());
        stage.edit_state(|text| {
            let (title, records) = text.split_once('\n').unwrap();
            let (revision, facts) = records.split_once('\n').unwrap();
            assert_eq!(title, "prometheus-ecs-sd state 3");
            let revision = revision.replace(r#","is_all":true,"has_names":true"#, "");
            assert!(revision.ends_with("}}") && !revision.contains("is_all"), "{revision}");
            let records = facts.lines().map(|record| unnamed(record) + "\n");
            let facts: String = records.collect();
            match version {
                1 => format!("prometheus-ecs-sd state 1\n{facts}"),
                _ => format!("prometheus-ecs-sd state 2\n{revision}\n{facts}"),
            }
        });
        let saved = StateFile::new(&stage.state_file()).read().unwrap();
        assert_eq!((saved.revision.is_some(), saved.is_newest), (version == 2, true));
        stage.asked();
        stage.once().await;
        assert!(stage.asked().contains("ecs DescribeTaskDefinition 1, 1 refused"));
        assert_eq!((files(&stage), facts()), before, "{version}");
        assert!(state(&stage).starts_with(b"prometheus-ecs-sd state 3\n"));
    }
}

/// An earlier program read neither the names nor the VPCs of interfaces and hosts.
#[tokio::test(start_paused = true)]
async fn a_state_file_without_names_of_interfaces_and_hosts_is_read() {
    let without_names = |text: &str| {
        let mut lines = Vec::new();
        for line in text.split_inclusive('\n') {
            let mut line = line.to_owned();
            for name in ["dns_name", "vpc", "__meta_ecs_private_dns_name", "__meta_ecs_ec2_vpc_id"] {
                while let Some((before, after)) = line.split_once(&format!(r#","{name}":""#)) {
                    line = [before, after.split_once('"').unwrap().1].concat();
                }
            }
            lines.push(line);
        }
        lines.concat()
    };
    let mut world = fleet(&[("prod", 1)]);
    let region = world.own(REGION);
    let host = region.launch_host("prod", HostKind::Ec2);
    let definition = region.register(opted_in("node").network_mode("host"));
    region.run("prod", &definition, Placement::On(host));
    let stage = Stage::new(world);
    stage.once().await;
    let before = files(&stage);
    stage.edit_state(|text| {
        let earlier = without_names(text);
        assert!(text.contains(r#""dns_name":"ip-"#) && text.contains(r#""vpc":"vpc-"#));
        assert!(!earlier.contains("dns_name") && !earlier.contains(r#""vpc""#));
        earlier
    });
    assert!(StateFile::new(&stage.state_file()).read().is_some());
    stage.asked();
    stage.once().await;
    assert!(!stage.asked().contains("Describe"));
    let without_labels = before.iter().map(|text| without_names(text)).collect::<Vec<_>>();
    assert_eq!(files(&stage).to_vec(), without_labels);
    assert_ne!(without_labels, before.to_vec());
}

/// An earlier program dropped the values of variables that it did not know.
#[tokio::test(start_paused = true)]
async fn a_definition_that_was_read_when_there_were_fewer_variables_is_read_again() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let app = ContainerDefinition::new("app", "shop/app:1").port(8080).env("PROMETHEUS", "true");
    let app = app.env("PROMETHEUS_ENDPOINT", "/old").env("PROMETHEUS_SD_ENDPOINT", "/new");
    let definition = region.register(TaskDefinition::new("web").network_mode("awsvpc").container(app));
    region.run("prod", &definition, Placement::Fargate);
    let stage = Stage::new(world);
    stage.once().await;
    let (files_before, facts_before) = (files(&stage), facts(&stage));
    assert!(files_before[2].contains("/new"), "{files_before:?}");
    stage.edit_state(|text| {
        let earlier = text
            .replace(r#","variables":0,"names":["*"]"#, "")
            .replace(r#",["PROMETHEUS_SD_ENDPOINT","/new"]"#, "");
        assert!(!earlier.contains("variables") && !earlier.contains("SD_ENDPOINT"), "{text}");
        earlier
    });

    // While AWS does not say more, the target is derived from what is known, and the next process knows that it is not all.
    for fail in [Response::server_error, Response::denied] {
        stage.simulator.on_call(move |call| (call.operation == "DescribeTaskDefinition").then(|| fail(call)));
        stage.once().await;
        assert!(stage.file("1m").contains("/old"));
        stage.simulator.heal();
    }
    stage.asked();
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!((files(&stage), facts(&stage)), (files_before, facts_before));
    assert!(stage.asked().contains("ecs DescribeTaskDefinition 1"));
    stage.once().await;
    assert!(!stage.asked().contains("DescribeTaskDefinition"));
}

#[tokio::test(start_paused = true)]
async fn something_else_in_the_place_of_the_state_file_harms_nothing() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    let path = stage.state_file();
    fs::create_dir(&path).unwrap();
    assert_eq!(stage.once().await, Outcome::Complete);
    assert!(path.is_dir());
    fs::remove_dir(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(stage.once().await, Outcome::Complete);
    assert!(path.is_file());
}

/// What is read is a publication that was saved, and the newest only if it is. The publications are of one process, so
/// that all but the first are appended.
#[tokio::test(start_paused = true)]
async fn every_prefix_and_a_thousand_corruptions_of_a_state_file_are_refused_or_an_earlier_publication() {
    let mut world = fleet(&[("prod", 2)]);
    let region = world.own(REGION);
    let definition = region.register(opted_in("web").network_mode("bridge"));
    let instance = region.launch_host("prod", HostKind::Ec2);
    region.run("prod", &definition, Placement::On(instance));
    let stage = Stage::new(world);
    let path = stage.path("damaged");
    let file = StateFile::new(&path);
    let read = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        file.read().map(|state| (state.sources, state.revision, state.is_newest))
    };
    let mut publications = Vec::new();
    let mut running = stage.run().await;
    for number in 0..3 {
        running.next().await;
        let bytes = state(&stage);
        let (sources, revision, is_newest) = read(&bytes).unwrap();
        assert!(is_newest);
        assert_eq!(sources.values().map(|saved| saved.scopes[0].tasks.len()).sum::<usize>(), 3 + number % 2);
        publications.push((bytes.len(), (sources, revision)));
        stage.change(|region| {
            let tasks = &region.clusters["prod"].tasks;
            let task = tasks.values().last().unwrap().task_arn.clone();
            let definition = region.task_definitions.keys().next().unwrap().clone();
            match number % 2 {
                0 => drop(region.run("prod", &definition, Placement::Fargate)),
                _ => region.stop(&task),
            }
        });
    }
    drop(running);
    let good = state(&stage);
    for end in 0..=good.len() {
        let whole = publications.iter().rev().find(|(length, _)| *length <= end);
        let expected =
            whole.map(|(length, (sources, revision))| (sources.clone(), *revision, *length == end));
        assert!(read(&good[..end]) == expected, "the first {end} bytes");
    }
    let mut random = fastrand::Rng::with_seed(7);
    let (mut refused, mut earlier) = (0, 0);
    for number in 0..1000 {
        let mut bad = good.clone();
        let at = random.usize(..bad.len());
        match number % 4 {
            0 => bad[at] ^= 1 << random.u8(..8),
            1 => drop(bad.remove(at)),
            2 => bad.insert(at, random.u8(..)),
            _ => {
                let other = random.usize(..bad.len());
                let piece = bad[other..bad.len().min(other + 64)].to_vec();
                bad.splice(at..at, piece);
            }
        }
        match read(&bad) {
            _ if bad == good => {}
            None => refused += 1,
            Some((sources, revision, is_newest)) => {
                assert!(publications.iter().any(|(_, saved)| *saved == (sources.clone(), revision)));
                // All that is lost may be after the last publication.
                assert!(!is_newest, "corruption {number} at {at}");
                earlier += 1;
            }
        }
    }
    assert!(refused > 100 && earlier > 100, "{refused} {earlier}");
}

#[tokio::test(start_paused = true)]
async fn the_state_file_is_the_owners_and_holds_no_other_environment_value() {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let app = ContainerDefinition::new("app", "app:1").env("PROMETHEUS", "true").env("PASSWORD", "hunter2");
    let definition =
        region.register(TaskDefinition::new("app").network_mode("awsvpc").container(app.port(80)));
    region.run("prod", &definition, Placement::Fargate);
    let stage = Stage::new(world);
    stage.once().await;
    assert_eq!(fs::metadata(stage.state_file()).unwrap().permissions().mode() & 0o777, 0o600);
    let text = String::from_utf8(state(&stage)).unwrap();
    assert!(text.contains("PROMETHEUS") && !text.contains("PASSWORD") && !text.contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn a_state_file_that_stays_as_it_is_is_not_written_but_its_time_is_set() {
    let stage = Stage::new(fleet(&[("prod", 2)]));
    let mut running = stage.run().await;
    let mut look = async || {
        running.next().await;
        let metadata = fs::metadata(stage.state_file()).unwrap();
        ((metadata.ino(), metadata.len()), metadata.modified().unwrap())
    };
    let (first, second) = (look().await, look().await);
    assert_eq!(first.0, second.0);
    assert!(first.1 < second.1);
    stage.change(|region| {
        let definition = region.register(opted_in("other"));
        region.run("prod", &definition, Placement::Fargate);
    });
    let (inode, length) = look().await.0;
    assert!(inode == second.0.0 && length > second.0.1);
}

#[tokio::test(start_paused = true)]
async fn without_a_state_file_a_restart_begins_anew() {
    let mut stage = Stage::new(fleet(&[("prod", 2)]));
    stage.config.state_file = None;
    stage.once().await;
    assert!(!stage.state_file().exists());
    stage.asked();
    stage.once().await;
    assert!(stage.asked().contains("ecs DescribeTaskDefinition 1"));
}

#[tokio::test(start_paused = true)]
async fn targets_are_held_for_ever_unless_the_operator_says_otherwise() {
    let stage = Stage::new(fleet(&[("bad", 1), ("good", 1)]));
    let mut running = stage.run().await;
    running.next().await;
    fail_bad(&stage);
    for _ in 0..1000 {
        assert!(!running.next().await.complete);
    }
    assert_eq!(stage.targets("1m").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn targets_that_were_held_for_too_long_are_let_go_until_their_cluster_is_heard() {
    let mut stage = Stage::new(fleet(&[("bad", 1), ("good", 1)]));
    stage.config.max_staleness = Duration::from_secs(600);
    let mut running = stage.run().await;
    running.next().await;
    fail_bad(&stage);
    let mut held = 0;
    while stage.targets("1m").len() == 2 {
        running.next().await;
        held += 1;
    }
    // Ten minutes after it was last heard, at the next refresh.
    assert!((10..=12).contains(&held), "{held}");
    assert_eq!(stage.targets("1m").len(), 1);
    // Nor does a restart bring them back.
    let mut restarted = stage.run().await;
    drop(running);
    restarted.next().await;
    assert_eq!(stage.targets("1m").len(), 1);
    stage.simulator.heal();
    while !restarted.next().await.complete {}
    assert_eq!(stage.targets("1m").len(), 2);
}

fn fail_bad(stage: &Stage) {
    stage.simulator.on_call(|call| {
        let bad = call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("bad"));
        bad.then(|| Response::server_error(call))
    });
}

/// The first refresh takes half a minute at the rate of requests that AWS's limits allow.
#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_in_its_first_refresh_has_saved_what_it_learned() {
    const DEFINITIONS: u64 = 300;
    let mut world = World::new(1);
    let region = world.own(REGION);
    for number in 0..DEFINITIONS {
        let definition = region.register(opted_in(&format!("family-{number}")));
        region.run("prod", &definition, Placement::Fargate);
    }
    let stage = Stage::new(world);
    let running = stage.run().await;
    tokio::time::sleep(Duration::from_secs(15)).await;
    assert_eq!(running.published().number, 0);
    drop(running);
    let learned = stage.simulator.take_ledger().calls("ecs", "DescribeTaskDefinition");
    assert_eq!(stage.once().await, Outcome::Complete);
    assert_eq!(stage.targets("1m").len() as u64, DEFINITIONS);
    let again = stage.simulator.take_ledger().calls("ecs", "DescribeTaskDefinition");
    // It was saved five seconds before at the latest.
    assert!(learned > 100 && again < DEFINITIONS - learned + 80, "{learned}, {again}");
}
