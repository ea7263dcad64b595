//! Facts that AWS can change are requested again, a slice at each refresh.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ecs_discovery::derive::Rules;
use ecs_discovery::failure::FailureKind;
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::labels::TagSelection;
use ecs_discovery::model::{ContainerInstance, Host, InstanceId};
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, cluster_arn, ec2, external, fargate, tags};
use crate::show::{calls, file, scope};
use crate::source::Source;

fn publishing_tags() -> Source {
    Source::with_rules(Rules { tags_to_labels: Arc::new(TagSelection::All), ..Rules::default() })
}

/// A task in its host's network: its host `i-NUMBER` or `mi-NUMBER` with a distinct address, and its definition.
fn on_a_host(kind: fn(&str) -> TaskFixture, prefix: &str, number: usize) -> TaskFixture {
    let id = format!("{prefix}-{number:04}");
    let ip = format!("10.{}.{}.{}", prefix.len(), number / 250, number % 250 + 1);
    kind("host").on(&id, &ip).id(&id).of(&format!("{id}:1")).with(app())
}

fn hosts(own: usize, anywhere: usize) -> World {
    let own = (0..own).map(|number| on_a_host(ec2, "i", number));
    World::of(own.chain((0..anywhere).map(|number| on_a_host(external, "mi", number))))
}

/// The questions of this many refreshes besides lists and tasks.
fn asked_again(source: &mut Source, world: &World, refreshes: usize) -> Vec<Question> {
    let asked = (0..refreshes).flat_map(|_| source.refresh(world));
    let is_of_facts = |question: &Question| {
        !matches!(question, Question::Clusters { .. } | Question::Tasks { .. } | Question::TaskDetails { .. })
    };
    asked.filter(is_of_facts).collect()
}

/// The items of a question, one by one.
fn subjects(question: &Question) -> Vec<String> {
    match question {
        Question::Ec2Instances { instances } | Question::ExternalInstances { instances } => {
            instances.iter().map(ToString::to_string).collect()
        }
        Question::ContainerInstances { instances, .. } => instances.iter().map(ToString::to_string).collect(),
        Question::DefinitionTags { definition } | Question::TaskDefinition { definition } => {
            vec![definition.to_string()]
        }
        Question::ClusterTags { clusters } => clusters.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

#[test]
fn each_kind_of_fact_is_asked_for_once_in_the_recheck_interval_in_full_batches() {
    let world = hosts(450, 150);
    let mut source = publishing_tags();
    source.refresh(&world);
    // 600 definitions would be 60 a refresh; 20 are requested.
    assert_snapshot!(calls(&asked_again(&mut source, &world, 10)), @"
    1 DescribeClusters
    6 DescribeContainerInstances
    2 DescribeInstanceInformation
    3 DescribeInstances
    200 DescribeTaskDefinition
    ");
    let mut source = Source::default();
    source.refresh(&world);
    // If no tags of definitions are published, none are requested.
    assert_snapshot!(calls(&asked_again(&mut source, &world, 10)), @"
    1 DescribeClusters
    6 DescribeContainerInstances
    2 DescribeInstanceInformation
    3 DescribeInstances
    ");
}

#[test]
fn no_fact_waits_longer_than_the_recheck_interval() {
    for (own, anywhere) in [(1, 1), (60, 60), (100, 0), (199, 101), (401, 0)] {
        let world = hosts(own, anywhere);
        let mut source = publishing_tags();
        let mut last: BTreeMap<String, Duration> = BTreeMap::new();
        for _ in 0..40 {
            let now = source.now;
            for subject in source.refresh(&world).iter().flat_map(subjects) {
                let waited = now - last.insert(subject.clone(), now).unwrap_or(now);
                let is_definition = subject.contains("task-definition");
                // More than 200 definitions are not all requested in time.
                let patience = if is_definition && own + anywhere > 200 { 3 } else { 1 } * Source::RECHECK;
                assert!(waited <= patience + Source::INTERVAL, "{own}, {anywhere}: {subject} {waited:?}");
            }
        }
        assert_eq!(last.len(), 3 * (own + anywhere) + 1);
        let longest = last.values().map(|asked| source.now - *asked).max().unwrap();
        assert!(longest <= 3 * Source::RECHECK, "{own}, {anywhere}: {longest:?}");
    }
}

#[test]
fn what_is_asked_for_again_and_is_the_same_derives_nothing() {
    let world = hosts(5, 5);
    let mut source = publishing_tags();
    source.refresh(&world);
    let before = source.scope("prod").derived.clone();
    for _ in 0..25 {
        source.refresh(&world);
        assert!(Arc::ptr_eq(&before, &source.scope("prod").derived));
        assert!(source.complete);
    }
}

/// A change of the world shows within the recheck interval, in this process and in one after it.
fn check_shows(world: World, change: impl Fn(&mut World)) -> String {
    let mut changed = world.clone();
    change(&mut changed);
    let mut fresh = publishing_tags();
    fresh.refresh(&changed);
    for restarts in [false, true] {
        let mut source = publishing_tags();
        source.refresh(&world);
        assert_ne!(file(&source), file(&fresh));
        if restarts {
            source.restart();
        }
        for _ in 0..11 {
            source.refresh(&changed);
            assert!(source.complete);
        }
        assert_eq!(file(&source), file(&fresh), "after a restart: {restarts}");
    }
    let targets: Vec<_> = fresh.scopes().values().map(scope).collect();
    targets.join("\n")
}

#[test]
fn a_host_that_moves_takes_its_targets_with_it() {
    let moved = check_shows(hosts(0, 2), |world| {
        let host = world.hosts.get_mut(&InstanceId::new("mi-0000")).unwrap();
        host.private_ipv4 = Some([192, 168, 77, 7].into());
    });
    assert_snapshot!(moved, @"
    app 10.2.0.2:80/metrics 1m
    app 192.168.77.7:80/metrics 1m
    ");
    // A new task there is at the new address, and not only once the others are.
    let world = hosts(0, 1);
    let mut source = publishing_tags();
    source.refresh(&world);
    let mut moved = world;
    let host = moved.hosts.values_mut().next().unwrap();
    host.private_ipv4 = Some([192, 168, 77, 7].into());
    let another =
        external("host").on("mi-0000", "192.168.77.7").id("new").of("new:1").with(app().maps("9100"));
    moved.add(another);
    for _ in 0..11 {
        source.refresh(&moved);
    }
    assert_snapshot!(scope(source.scope("prod")), @"
    app 192.168.77.7:80/metrics 1m
    app 192.168.77.7:9100/metrics 1m
    ");
}

#[test]
fn other_properties_and_tags_show_too() {
    let label = |world: World, name: &str, change: fn(&mut World)| {
        check_shows(world.clone(), change);
        let mut changed = world;
        change(&mut changed);
        let mut source = publishing_tags();
        source.refresh(&changed);
        source.snapshot.targets()[0].labels().value(name).unwrap_or_default().to_owned()
    };
    let public = |world: &mut World| {
        world.hosts.values_mut().next().unwrap().public_ipv4 = Some([192, 0, 2, 9].into());
    };
    assert_eq!(label(hosts(1, 0), "__meta_ecs_public_ip", public), "192.0.2.9");
    let of_host = |world: &mut World| world.hosts.values_mut().next().unwrap().tags = tags(&[("rack", "7")]);
    assert_eq!(label(hosts(1, 0), "__meta_ecs_tag_ec2_rack", of_host), "7");
    let of_cluster =
        |world: &mut World| world.clusters.values_mut().next().unwrap().tags = tags(&[("stage", "prod")]);
    assert_eq!(label(hosts(1, 0), "__meta_ecs_tag_cluster_stage", of_cluster), "prod");
    let of_definition =
        |world: &mut World| world.definitions.values_mut().next().unwrap().tags = tags(&[("team", "shop")]);
    assert_eq!(label(hosts(1, 0), "__meta_ecs_tag_team", of_definition), "shop");
    let machine = |world: &mut World| {
        world.instances.values_mut().next().unwrap().instance = Some(InstanceId::new("i-0001"));
    };
    let mut two = hosts(1, 0);
    let second = Host { id: InstanceId::new("i-0001"), ..two.hosts.values().next().unwrap().clone() };
    two.hosts.insert(second.id.clone(), second);
    assert_eq!(label(two, "__meta_ecs_ec2_instance_id", machine), "i-0001");
}

#[test]
fn a_container_instance_on_a_machine_that_is_not_known_stays_where_it_was() {
    let world = hosts(1, 0);
    let mut source = publishing_tags();
    source.refresh(&world);
    let before = file(&source);
    let mut moved = world;
    moved.instances.values_mut().next().unwrap().instance = Some(InstanceId::new("i-0001"));
    for _ in 0..12 {
        source.refresh(&moved);
        assert_eq!(file(&source), before);
    }
    let host = Host { id: InstanceId::new("i-0001"), ..moved.hosts.values().next().unwrap().clone() };
    moved.hosts.insert(host.id.clone(), host);
    for _ in 0..11 {
        source.refresh(&moved);
    }
    assert!(file(&source).contains("i-0001"));
}

#[test]
fn of_a_definition_only_the_tags_are_taken() {
    let world = hosts(1, 0);
    let mut source = publishing_tags();
    source.refresh(&world);
    let mut changed = world;
    let definition = changed.definitions.values_mut().next().unwrap();
    definition.containers.clear();
    definition.tags = tags(&[("team", "shop")]);
    for _ in 0..11 {
        source.refresh(&changed);
    }
    assert_eq!(source.snapshot.targets()[0].labels().value("__meta_ecs_tag_team"), Some("shop"));
}

#[test]
fn new_definitions_are_read_before_known_ones_are_read_again() {
    let mut world = hosts(150, 0);
    let mut source = publishing_tags();
    source.refresh(&world);
    (150..170).for_each(|number| world.add(on_a_host(ec2, "i", number)));
    let asked = source.refresh(&world);
    let position = |wanted: fn(&Question) -> bool| asked.iter().rposition(wanted).unwrap();
    let new = position(|question| matches!(question, Question::TaskDefinition { .. }));
    let again =
        asked.iter().position(|question| matches!(question, Question::DefinitionTags { .. })).unwrap();
    assert!(new < again, "{new} {again}");
}

#[test]
fn a_recheck_that_fails_changes_nothing_and_is_made_again_at_the_next_refresh() {
    let world = hosts(3, 3);
    let mut moved = world.clone();
    moved.hosts.values_mut().for_each(|host| host.private_ipv4 = Some([10, 9, 9, 9].into()));
    let is_of_facts = |question: &Question| !subjects(question).is_empty();
    let mut source = publishing_tags();
    source.refresh(&world);
    let before = file(&source);
    source.now += Source::RECHECK;
    for kind in [FailureKind::Throttled, FailureKind::Unavailable, FailureKind::NoCredentials] {
        let asked = source.refresh_failing(&moved, kind, is_of_facts);
        let again: Vec<_> = asked.into_iter().filter(is_of_facts).collect();
        assert_eq!(again.iter().flat_map(subjects).count(), 1 + 3 * 6, "{kind:?}");
        assert_eq!(file(&source), before, "{kind:?}");
        assert!(source.complete, "{kind:?}: nothing is missing");
    }
    source.refresh(&moved);
    assert_ne!(file(&source), before);
}

#[test]
fn what_is_refused_for_good_or_not_spoken_of_has_its_next_turn_later() {
    let world = hosts(450, 0);
    let is_first = |question: &Question| matches!(question, Question::Ec2Instances { instances } if instances[0].as_str() == "i-0000");
    for answers in [false, true] {
        let mut source = Source::default();
        source.refresh(&world);
        let before = file(&source);
        let mut asked = Vec::new();
        for _ in 0..21 {
            asked.extend(source.refresh_with(|question| match question {
                question if !is_first(question) => world.answer(question),
                _ if answers => Ok(Answer::Hosts(Vec::new())),
                // A denied batch is requested in halves here too.
                _ => Err(crate::fixture::failure(FailureKind::NotFound)),
            }));
            assert_eq!(file(&source), before);
            assert!(source.complete);
        }
        // Two rounds of three batches, none of which had to wait for the first.
        let batches: Vec<_> =
            asked.iter().filter(|question| matches!(question, Question::Ec2Instances { .. })).collect();
        assert_eq!(batches.len(), 6, "{batches:?}");
        let mut all: Vec<_> = batches.into_iter().flat_map(subjects).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 450);
    }
}

#[test]
fn nothing_is_missing_while_what_is_known_may_not_be_asked_for_again() {
    let world = hosts(450, 0);
    let mut source = Source::default();
    source.refresh(&world);
    let before = file(&source);
    for _ in 0..21 {
        source.refresh_with(|question| match question {
            Question::Ec2Instances { instances } if instances[0].as_str() == "i-0000" => {
                Err(crate::fixture::failure(FailureKind::Denied))
            }
            question => world.answer(question),
        });
        assert_eq!(file(&source), before);
        assert!(source.complete);
    }
}

#[test]
fn what_no_task_uses_is_not_asked_for_again() {
    let mut world = hosts(2, 0);
    let mut source = publishing_tags();
    source.refresh(&world);
    world.remove("prod", "i-0001");
    // Unused facts are collected every ten minutes.
    asked_again(&mut source, &world, 12);
    let asked = asked_again(&mut source, &world, 11);
    let asked: Vec<_> = asked.iter().flat_map(subjects).collect();
    assert!(asked.iter().all(|subject| !subject.contains("i-0001")), "{asked:?}");
    assert!(asked.iter().any(|subject| subject == "i-0000"), "{asked:?}");
}

#[test]
fn nothing_is_asked_for_again_while_no_cluster_can_be_listed() {
    let world = hosts(2, 2);
    let mut source = publishing_tags();
    source.refresh(&world);
    source.now += Source::RECHECK;
    let asked = source.refresh_failing(&world, FailureKind::Throttled, |question| question.is_page());
    assert_snapshot!(calls(&asked), @"
    1 ListClusters
    1 ListTasks
    ");
}

#[test]
fn named_clusters_have_their_tags_looked_at_again_and_a_failure_is_none_of_the_source() {
    let world = World::of(["a", "b"].map(|name| fargate().in_cluster(name).with(app())));
    let mut source = Source::of_clusters(&["a", "b"]);
    source.refresh(&world);
    source.now += Source::RECHECK;
    let is_of_tags = |question: &Question| matches!(question, Question::ClusterTags { .. });
    let asked = source.refresh_failing(&world, FailureKind::Unavailable, is_of_tags);
    let both = Question::ClusterTags { clusters: vec![cluster_arn("a"), cluster_arn("b")] };
    assert!(asked.contains(&both));
    assert!(source.complete && source.failure.is_none());
    assert!(source.refresh(&world).contains(&both));
    assert!(!source.refresh(&world).contains(&both));
}

#[test]
fn a_host_that_lost_something_stays_as_it_was() {
    let details = |host: &mut Host| {
        host.public_ipv4 = Some([192, 0, 2, 7].into());
        host.private_dns_name = Some("ip-10-0-9-9.ec2.internal".into());
        host.instance_type = Some("m7g.large".into());
        host.vpc_id = Some("vpc-9".into());
        host.subnet_id = Some("subnet-9".into());
        host.availability_zone = Some("eu-west-1b".into());
    };
    let bends: [fn(&mut Host, &mut ContainerInstance); 8] = [
        |host, _| host.private_ipv4 = None,
        |host, _| (host.private_ipv4, host.public_ipv4) = (None, None),
        |host, _| host.private_dns_name = None,
        |host, _| host.vpc_id = None,
        |host, _| (host.instance_type, host.tags) = (None, Vec::new()),
        |host, _| (host.subnet_id, host.public_ipv4) = (None, None),
        |host, _| host.availability_zone = None,
        |_, instance| instance.instance = None,
    ];
    for bend in bends {
        let whole = World::of([on_a_host(ec2, "i", 0).host(details)]);
        let mut partial = whole.clone();
        bend(partial.hosts.values_mut().next().unwrap(), partial.instances.values_mut().next().unwrap());
        let mut source = publishing_tags();
        source.refresh(&whole);
        let before = file(&source);
        for _ in 0..12 {
            source.refresh(&partial);
            assert_eq!(file(&source), before);
        }
    }
}
