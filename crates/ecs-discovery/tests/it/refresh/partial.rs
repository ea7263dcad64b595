//! Answers that lack known facts without saying that the task ended.

use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::question::{Answer, Question, Unreadable};
use ecs_discovery::model::{LaunchType, NetworkInterface, PortRange, Protocol, Settings, Status, Task};
use insta::assert_snapshot;

use crate::fixture::{TaskFixture, World, app, container, container_arn, ec2, fargate, tags};
use crate::show::{file, scope};
use crate::source::Source;

/// A task with all possible facts.
fn full(fixture: TaskFixture) -> TaskFixture {
    fixture
        .task(|task| {
            task.capacity_provider = Some("spot".into());
            task.group = Some("service:web".into());
            task.started_by = Some("ecs-svc/1".into());
            task.availability_zone = Some("eu-west-1a".into());
            task.health_status = Some("HEALTHY".into());
            task.platform_family = Some("Linux".into());
            task.platform_version = Some("1.4.0".into());
            task.tags = tags(&[("team", "shop")]);
        })
        .with(container("init").status("STOPPED"))
}

fn known_app() -> crate::fixture::ContainerFixture {
    app().overriding("PROMETHEUS_ENDPOINT", "8080/metrics").maps("8080").running(|running| {
        running.arn = Some(container_arn("prod/0f1e/c1"));
        running.image = Some("shop/app:1".into());
        running.runtime_id = Some("abc".into());
        running.health_status = Some("HEALTHY".into());
    })
}

fn on_fargate() -> TaskFixture {
    let interface = |task: &mut Task| {
        let interface = task.network_interface.as_mut().unwrap();
        interface.subnet_id = Some("subnet-1".into());
        interface.private_dns_name = Some("ip-10-0-0-1.ec2.internal".into());
    };
    full(fargate().task(interface).with(known_app().at("10.0.0.1").at("2001:db8::7")))
}

fn on_a_host() -> TaskFixture {
    full(ec2("bridge").with(known_app().binds("0.0.0.0 32768 -> 8080").binds(":: 32768 -> 8080")))
}

type Change = fn(&mut Task);

fn described(asked: &[Question]) -> bool {
    asked.iter().any(|question| matches!(question, Question::TaskDetails { .. }))
}

/// A known task that is then described with the change keeps its targets, and is described at each refresh until the
/// answer is complete again.
fn check_kept(what: &str, fixture: &TaskFixture, change: Change) {
    for settled in [true, false] {
        // A starting container keeps the task from being settled.
        let sidecar = container("sidecar").status(if settled { "RUNNING" } else { "PENDING" });
        let known = fixture.clone().with(sidecar);
        let (whole, partial) = (World::of([known.clone()]), World::of([known.task(change)]));
        let mut source = Source::default();
        source.refresh(&whole);
        let before = file(&source);
        assert_eq!(source.snapshot.targets().len(), 1, "{what}");
        source.now += Source::RECHECK;
        for _ in 0..3 {
            assert!(described(&source.refresh(&partial)), "{what}, settled: {settled}");
            assert_eq!(file(&source), before, "{what}, settled: {settled}");
            assert!(scope(source.scope("prod")).contains("?: warning"), "{what}, settled: {settled}");
            assert!(source.complete, "{what}");
        }
        source.refresh(&whole);
        assert_eq!(source.snapshot.findings().filter(|finding| finding.container.is_empty()).count(), 0);
        assert_eq!(described(&source.refresh(&whole)), !settled, "{what}: is settled again");
        assert_eq!(file(&source), before, "{what}");
    }
}

#[test]
fn a_described_task_that_lost_something_without_ending_stays_as_it_was() {
    let of_all: [(&str, Change); 20] = [
        ("no containers", |task| task.containers.clear()),
        ("a container less", |task| drop(task.containers.remove(0))),
        ("no status of a container", |task| task.containers[0].last_status = "".into()),
        ("an unknown status of a container", |task| task.containers[0].last_status = "NAPPING".into()),
        ("no container ARN", |task| task.containers[0].arn = None),
        ("no image", |task| task.containers[0].image = None),
        ("no runtime id", |task| task.containers[0].runtime_id = None),
        ("no health status of a container", |task| task.containers[0].health_status = None),
        ("no status", |task| task.last_status = "".into()),
        ("an unknown status", |task| task.last_status = "NAPPING".into()),
        ("an unknown desired status", |task| task.desired_status = "NAPPING".into()),
        ("an earlier status", |task| task.last_status = Status::Pending),
        ("no launch type", |task| task.launch_type = None),
        ("an unknown launch type", |task| task.launch_type = LaunchType::parse("LUNAR")),
        ("no capacity provider", |task| task.capacity_provider = None),
        ("no group", |task| task.group = None),
        ("no starter", |task| task.started_by = None),
        ("no zone", |task| task.availability_zone = None),
        ("no health status", |task| task.health_status = None),
        ("no platform", |task| (task.platform_family, task.platform_version) = (None, None)),
    ];
    for (what, change) in of_all {
        check_kept(what, &on_fargate(), change);
        check_kept(what, &on_a_host(), change);
    }
    let of_overrides: [(&str, Change); 3] = [
        ("no overrides", |task| task.overrides.clear()),
        ("no variables", |task| task.overrides[0].1 = Settings::default()),
        ("an empty value", |task| {
            task.overrides[0].1 =
                Settings::from_pairs([("PROMETHEUS_ENDPOINT", "")], &ecs_discovery::model::Names::default());
        }),
    ];
    of_overrides.iter().for_each(|(what, change)| check_kept(what, &on_a_host(), *change));
    let of_fargate: [(&str, Change); 6] = [
        ("no interface", |task| task.network_interface = None),
        ("an empty interface", |task| task.network_interface = Some(NetworkInterface::default())),
        ("no subnet", |task| task.network_interface.as_mut().unwrap().subnet_id = None),
        ("no DNS name", |task| task.network_interface.as_mut().unwrap().private_dns_name = None),
        ("no address", |task| task.containers[0].private_ipv4 = None),
        ("no IPv6 address", |task| task.containers[0].ipv6 = None),
    ];
    of_fargate.iter().for_each(|(what, change)| check_kept(what, &on_fargate(), *change));
    let of_a_host: [(&str, Change); 4] = [
        ("no container instance", |task| task.container_instance = None),
        ("no bindings", |task| task.containers[0].network_bindings.clear()),
        ("another protocol", |task| {
            let bindings = task.containers[0].network_bindings.iter_mut();
            bindings.for_each(|binding| binding.protocol = Protocol::Udp);
        }),
        ("another container port", |task| {
            let bindings = task.containers[0].network_bindings.iter_mut();
            bindings.for_each(|binding| binding.container_ports = PortRange::one(9090));
        }),
    ];
    of_a_host.iter().for_each(|(what, change)| check_kept(what, &on_a_host(), *change));
}

#[test]
fn a_finding_says_what_was_left_out_and_that_the_task_is_asked_for_again() {
    let mut source = Source::default();
    source.refresh(&World::of([on_a_host()]));
    source.now += Source::RECHECK;
    source.refresh(&World::of([on_a_host().task(|task| task.containers[0].network_bindings.clear())]));
    let details: Vec<_> =
        source.snapshot.findings().map(|finding| format!("{:?}", finding.verdict)).collect();
    assert_snapshot!(
        details.join("\n"),
        @r#"Warning("DescribeTasks leaves out a host port of its container \"app\" and does not say that the task ends; its targets are kept, and it is described again at each refresh")"#
    );
}

/// An answer about tasks, modified by the test.
fn bent(world: &World, question: &Question, bend: impl Fn(&mut Answer)) -> Result<Answer, Failure> {
    let mut answer = world.answer(question)?;
    if matches!(question, Question::TaskDetails { .. }) {
        bend(&mut answer);
    }
    Ok(answer)
}

#[test]
fn tasks_that_an_answer_leaves_out_or_calls_missing_while_they_are_listed_stay() {
    let bends: [fn(&mut Answer); 3] = [
        |answer| {
            let Answer::TaskDetails { tasks, .. } = answer else { return };
            tasks.clear();
        },
        |answer| {
            let Answer::TaskDetails { tasks, missing, .. } = answer else { return };
            missing.extend(tasks.drain(..).map(|described| described.task.arn));
        },
        |answer| {
            let Answer::TaskDetails { tasks, .. } = answer else { return };
            tasks[0].task.tags.clear();
            tasks[0].untagged = true;
        },
    ];
    let world = World::of([on_fargate()]);
    for bend in bends {
        let mut source = Source::default();
        source.refresh(&world);
        let before = file(&source);
        source.now += Source::RECHECK;
        for _ in 0..3 {
            assert!(described(&source.refresh_with(|question| bent(&world, question, bend))));
            assert_eq!(file(&source), before);
            assert!(scope(source.scope("prod")).ends_with("?: warning"));
        }
        source.refresh(&world);
        assert!(!described(&source.refresh(&world)));
        assert!(!scope(source.scope("prod")).contains("warning"));
    }
}

/// Without the items of the answers to `operation`, which cannot be read.
fn unreadable(world: &World, question: &Question, operation: &str) -> Result<Answer, Failure> {
    let mut answer = world.answer(question)?;
    if question.operation() != operation {
        return Ok(answer);
    }
    let ids = match &mut answer {
        Answer::TaskDetails { tasks, .. } => {
            tasks.drain(..).map(|described| described.task.arn.as_str().into()).collect()
        }
        Answer::ContainerInstances(all) => all.drain(..).map(|one| one.arn.as_str().into()).collect(),
        Answer::Hosts(hosts) => hosts.drain(..).map(|host| host.id.as_str().into()).collect(),
        other => panic!("{other:?}"),
    };
    let failure = Failure { kind: FailureKind::Unavailable, message: format!("{operation}: odd") };
    Ok(Answer::Partial { readable: Box::new(answer), unreadable: Unreadable { ids, failure } })
}

#[test]
fn items_that_cannot_be_read_leave_what_is_known_of_them_as_it_was() {
    let world = World::of([on_a_host()]);
    for operation in ["DescribeTasks", "DescribeContainerInstances", "DescribeInstances"] {
        let mut source = Source::default();
        source.refresh(&world);
        let before = file(&source);
        for _ in 0..3 {
            source.now += Source::RECHECK;
            source.refresh_with(|question| unreadable(&world, question, operation));
            assert_eq!(file(&source), before, "{operation}");
            assert!(source.complete, "{operation}");
        }
        source.refresh(&world);
        assert!(!scope(source.scope("prod")).contains("warning"), "{operation}");
    }
}

#[test]
fn a_new_item_that_cannot_be_read_is_a_finding_and_holds_back_nothing_else() {
    let known = || fargate().with(app().at("10.0.0.1"));
    let check = |operation: &str, fixture: TaskFixture| {
        let world = World::of([fixture]);
        let mut source = Source::default();
        source.refresh_with(|question| unreadable(&world, question, operation));
        assert!(source.complete, "{operation}");
        let findings = source.snapshot.findings().map(|finding| format!("{:?}", finding.verdict));
        let found = findings.collect::<Vec<_>>().join("\n");
        source.now += Source::RECHECK;
        source.refresh(&world);
        assert_eq!(source.snapshot.targets().len(), 1, "{operation} is asked for again");
        found
    };
    assert_snapshot!(check("DescribeTasks", known()), @"");
    let on_host = || ec2("bridge").with(known_app().binds("0.0.0.0 32768 -> 8080"));
    assert_snapshot!(
        check("DescribeContainerInstances", on_host()),
        @r#"NotScraped(Problem { reason: HostGone, detail: "its host arn:aws:ecs:eu-west-1:123456789012:container-instance/prod/of-i-1 is unknown: DescribeContainerInstances: odd" })"#
    );
    assert_snapshot!(
        check("DescribeInstances", on_host()),
        @r#"NotScraped(Problem { reason: HostGone, detail: "its host i-1 is unknown: DescribeInstances: odd" })"#
    );
}

/// An answer about a known task is accepted with this change, whatever else it lacks.
fn check_taken(what: &str, change: Change) -> String {
    let mut source = Source::default();
    source.refresh(&World::of([on_a_host()]));
    source.now += Source::RECHECK;
    source.refresh(&World::of([on_a_host().task(change)]));
    let now = scope(source.scope("prod"));
    assert!(!now.contains("warning"), "{what}: {now}");
    now
}

#[test]
fn what_aws_says_is_taken_though_other_things_are_missing() {
    let stopped = check_taken("a container stopped", |task| {
        task.containers[0].last_status = Status::Stopped;
        task.containers[0].network_bindings.clear();
        task.containers[0].runtime_id = None;
    });
    assert_snapshot!(stopped, @"app: container not running");
    let restarting = check_taken("a container starts again", |task| {
        task.containers[0].last_status = Status::Pending;
        task.containers[0].network_bindings.clear();
    });
    assert_snapshot!(restarting, @"app: container not running");
    let restarted = check_taken("a container restarted", |task| {
        task.containers[0].runtime_id = Some("def".into());
        let bindings = task.containers[0].network_bindings.iter_mut();
        bindings.for_each(|binding| binding.host_ports = PortRange::one(40_000));
    });
    assert_snapshot!(restarted, @"app 10.0.9.9:40000/metrics 1m");
    let one_family = check_taken("a binding of IPv6 less", |task| {
        task.containers[0].network_bindings.retain(|binding| binding.bind_ip.unwrap().is_ipv4());
    });
    assert_snapshot!(one_family, @"app 10.0.9.9:32768/metrics 1m");
    let stopping = check_taken("a task is to stop", |task| {
        task.desired_status = Status::Stopped;
        task.containers.clear();
    });
    assert_snapshot!(stopping, @"");
    let ending = check_taken("a task ends", |task| {
        task.last_status = Status::Deprovisioning;
        task.containers[0].network_bindings.clear();
        task.container_instance = None;
    });
    assert_snapshot!(ending, @"app: task not running");
    let untagged = check_taken("no tags any more", |task| task.tags.clear());
    assert_snapshot!(untagged, @"app 10.0.9.9:32768/metrics 1m");
}

#[test]
fn a_task_that_was_never_known_in_full_is_asked_for_until_it_is() {
    let changes: [(&str, TaskFixture, Change); 6] = [
        ("no containers", on_a_host(), |task| task.containers.clear()),
        ("a container less", on_a_host(), |task| drop(task.containers.remove(0))),
        ("no status of a container", on_a_host(), |task| task.containers[0].last_status = "".into()),
        ("no bindings", on_a_host(), |task| task.containers[0].network_bindings.clear()),
        ("no interface", on_fargate(), |task| {
            task.network_interface = None;
            task.containers[0].private_ipv4 = None;
            task.containers[0].ipv6 = None;
        }),
        ("no container instance", on_a_host(), |task| task.container_instance = None),
    ];
    for (what, fixture, change) in changes {
        let partial = World::of([fixture.clone().task(change)]);
        let mut source = Source::default();
        for refresh in 0..4 {
            assert!(described(&source.refresh(&partial)), "{what}, refresh {refresh}");
            assert!(source.snapshot.targets().is_empty(), "{what}");
            if refresh == 1 {
                source.restart();
            }
        }
        let whole = World::of([fixture]);
        source.refresh(&whole);
        assert_eq!(source.snapshot.targets().len(), 1, "{what}");
        assert!(!described(&source.refresh(&whole)), "{what}");
    }
}

#[test]
fn a_task_of_which_only_some_endpoints_are_reached_is_asked_for_until_all_are() {
    let two = || app().env("PROMETHEUS_PORT", "9100").endpoint("/a,1m:8080/b").maps("8080");
    let mut source = Source::default();
    for _ in 0..2 {
        assert!(described(&source.refresh(&World::of([ec2("bridge").with(two())]))));
    }
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.9.9:9100/a 1m
    app: warning
    ");
    let whole = World::of([ec2("bridge").with(two().binds("0.0.0.0 32768 -> 8080"))]);
    source.refresh(&whole);
    assert_snapshot!(scope(source.scope("prod")), @"
    app 10.0.9.9:9100/a 1m
    app 10.0.9.9:32768/b 1m
    ");
    assert!(!described(&source.refresh(&whole)));
}

#[test]
fn a_task_that_maps_no_port_is_settled_though_it_is_not_scraped() {
    let world = World::of([ec2("bridge").with(app())]);
    let mut source = Source::default();
    source.refresh(&world);
    assert_snapshot!(scope(source.scope("prod")), @"app: port not published");
    assert!(!described(&source.refresh(&world)));
}
