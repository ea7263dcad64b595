//! Sends the questions to the simulated AWS, with the real clients, signing, retries and limits.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, RoleArn, TaskArn, TaskDefinitionArn};
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::model::{Host, InstanceId, NetworkMode, PortRange, Status, Task, TaskDefinition};
use ecs_simulator::{
    Aws as SimulatedAws, ContainerDefinition, Delivery, HostKind, OWN_ACCESS_KEY, OWN_ACCOUNT,
    OWN_SECRET_KEY, Placement, Response, Run, TaskDefinition as Definition, World,
};
use tokio::time::{Instant, advance};

use crate::aws::{ATTEMPT_TIMEOUT, ATTEMPTS, Aws, Source, SourceSpec};

/// Longer than the pauses of the SDK between three attempts.
const PAUSES: Duration = Duration::from_secs(3);

const REGION: &str = "eu-west-1";
const ROLE: &str = "arn:aws:iam::222222222222:role/discovery/reader";

/// A cluster `prod` with a Fargate task, a bridge task on an EC2 host, and one on a host of ECS Anywhere.
pub(in crate::aws) fn world() -> World {
    let mut world = World::new(1);
    let region = world.own(REGION);
    let app = || {
        ContainerDefinition::new("app", "app:1").port(8080).env("PROMETHEUS", "true").env("TOKEN", "hunter2")
    };
    let awsvpc = region.register(Definition::new("api").fargate().container(app()));
    let bridge =
        region.register(Definition::new("web").network_mode("bridge").container(app()).tag("team", "shop"));
    let ec2 = region.launch_host("prod", HostKind::Ec2);
    let external = region.launch_host("prod", HostKind::External);
    region.run_with(Run::new("prod", &awsvpc, Placement::Fargate).ipv4("10.9.8.7").tag("stage", "live"));
    region.run("prod", &bridge, Placement::On(ec2));
    region.run("prod", &bridge, Placement::On(external));
    world
}

pub(in crate::aws) fn over(simulated: &SimulatedAws) -> Aws {
    Aws::isolated(simulated.connector(), REGION, OWN_ACCESS_KEY, OWN_SECRET_KEY)
}

pub(in crate::aws) async fn own(simulated: &SimulatedAws) -> Source {
    over(simulated).source(SourceSpec {
        role: None,
        external_id: None,
        session_name: None,
        region: REGION.to_owned(),
    })
}

pub(in crate::aws) async fn assumed(simulated: &SimulatedAws, external_id: Option<&str>) -> Source {
    let role = Some(RoleArn::parse(ROLE).expect("a role"));
    let external_id = external_id.map(str::to_owned);
    over(simulated).source(SourceSpec { role, external_id, session_name: None, region: REGION.to_owned() })
}

fn prod() -> ClusterArn {
    ClusterArn::parse(&format!("arn:aws:ecs:{REGION}:{OWN_ACCOUNT}:cluster/prod")).expect("a cluster")
}

pub(in crate::aws) fn listing() -> Question {
    Question::Tasks { cluster: prod(), page: None }
}

pub(in crate::aws) fn ec2_hosts() -> Question {
    Question::Ec2Instances { instances: vec![InstanceId::new("i-0123456789abcdef0")] }
}

pub(in crate::aws) fn ssm_hosts() -> Question {
    Question::ExternalInstances { instances: vec![InstanceId::new("mi-0123456789abcdef0")] }
}

async fn listed(source: &Source) -> Vec<TaskArn> {
    let Ok(Answer::Tasks { tasks, next: None }) = source.ask(&listing()).await else {
        panic!("no full listing")
    };
    tasks
}

/// The question for all tasks.
async fn details(source: &Source) -> Question {
    Question::TaskDetails { cluster: prod(), tasks: listed(source).await }
}

async fn tasks(source: &Source) -> Vec<Task> {
    let question = details(source).await;
    let Ok(Answer::TaskDetails { tasks, missing, .. }) = source.ask(&question).await else {
        panic!("no tasks")
    };
    assert_eq!(missing, []);
    tasks.into_iter().map(|described| described.task).collect()
}

async fn definition(source: &Source, arn: &TaskDefinitionArn) -> TaskDefinition {
    let question = Question::TaskDefinition { definition: arn.clone() };
    let Ok(Answer::TaskDefinition(definition)) = source.ask(&question).await else { panic!("no definition") };
    definition
}

async fn host(source: &Source, task: &Task) -> Host {
    let instances = task.container_instance.iter().cloned().collect();
    let question = Question::ContainerInstances { cluster: prod(), instances };
    let Ok(Answer::ContainerInstances(found)) = source.ask(&question).await else {
        panic!("no container instance")
    };
    let id = found[0].instance.clone().expect("a registered host");
    let question = match id.is_external() {
        true => Question::ExternalInstances { instances: vec![id.clone()] },
        false => Question::Ec2Instances { instances: vec![id.clone()] },
    };
    let Ok(Answer::Hosts(hosts)) = source.ask(&question).await else { panic!("no host") };
    assert_eq!(hosts[0].id, id);
    hosts[0].clone()
}

#[tokio::test]
async fn a_task_with_an_interface_of_its_own_is_described() {
    let source = own(&SimulatedAws::new(world())).await;
    let tasks = tasks(&source).await;
    let task = tasks.iter().find(|task| task.container_instance.is_none()).expect("the Fargate task");
    assert_eq!(task.last_status, Status::Running);
    assert_eq!(task.containers[0].private_ipv4, Some([10, 9, 8, 7].into()));
    assert_eq!(
        task.network_interface.as_ref().and_then(|found| found.private_ipv4),
        Some([10, 9, 8, 7].into())
    );
    assert_eq!(task.tags, [("stage".into(), "live".into())]);
    let definition = definition(&source, &task.definition).await;
    assert_eq!(definition.network_mode, NetworkMode::Awsvpc);
    assert!(!format!("{definition:?}").contains("hunter2"));
}

#[tokio::test]
async fn every_list_of_tasks_asks_for_those_that_are_to_run() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    simulated.on_call(|call| {
        let body = if call.input["nextToken"].is_null() {
            r#"{"taskArns":[],"nextToken":"more"}"#
        } else {
            r#"{"taskArns":[]}"#
        };
        Some(Response::json(200, body))
    });
    for page in [None, Some("more".to_owned())] {
        source.ask(&Question::Tasks { cluster: prod(), page: page.clone() }).await.expect("a page");
        source.tasks_of_service(&prod(), "web", page).await.expect("a page");
    }
    let calls = simulated.take_calls();
    assert_eq!(calls.len(), 4);
    assert!(calls.iter().all(|call| call.input["desiredStatus"] == "RUNNING"), "{calls:?}");
}

#[tokio::test]
async fn tasks_on_hosts_lead_to_their_ports_and_addresses() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    let mut kinds = BTreeSet::new();
    for task in tasks(&source).await.iter().filter(|task| task.container_instance.is_some()) {
        let definition = definition(&source, &task.definition).await;
        assert_eq!(definition.network_mode, NetworkMode::Bridge);
        assert_eq!(definition.tags, [("team".into(), "shop".into())]);
        let binding = &task.containers[0].network_bindings[0];
        assert_eq!(binding.container_ports, PortRange::one(8080));
        assert!(binding.host_ports.first >= 32768);
        let host = host(&source, task).await;
        assert!(host.private_ipv4.is_some(), "{host:?}");
        assert_eq!(host.instance_type.is_some(), !host.id.is_external());
        kinds.insert(host.id.is_external());
    }
    assert_eq!(kinds.len(), 2);
    let ledger = simulated.take_ledger();
    assert_eq!(
        (ledger.calls("ec2", "DescribeInstances"), ledger.calls("ssm", "DescribeInstanceInformation")),
        (1, 1)
    );
}

#[tokio::test]
async fn hosts_that_nobody_knows_are_not_spoken_of() {
    let source = own(&SimulatedAws::new(world())).await;
    for question in [ec2_hosts(), ssm_hosts()] {
        assert_eq!(source.ask(&question).await, Ok(Answer::Hosts(Vec::new())));
    }
}

#[tokio::test]
async fn clusters_are_described_by_name() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    let clusters = source.ask(&Question::Clusters { page: None }).await;
    assert_eq!(clusters, Ok(Answer::Clusters { clusters: vec![prod()], next: None }));
    let question = Question::ClusterDetails { clusters: vec!["prod".into(), "none".into()] };
    let Ok(Answer::ClusterDetails { active, gone }) = source.ask(&question).await else {
        panic!("no answer")
    };
    let none = format!("arn:aws:ecs:{REGION}:{OWN_ACCOUNT}:cluster/none");
    assert_eq!((&active[0].arn, gone), (&prod(), vec![none.into()]));
}

#[tokio::test]
async fn a_missing_cluster_and_a_missing_definition_are_not_found() {
    let source = own(&SimulatedAws::new(World::new(1))).await;
    let arn = format!("arn:aws:ecs:{REGION}:{OWN_ACCOUNT}:task-definition/none:1");
    let definition = TaskDefinitionArn::parse(&arn).expect("a definition");
    for (question, code) in [
        (listing(), "ClusterNotFoundException"),
        (Question::TaskDefinition { definition }, "ClientException"),
    ] {
        let failure = source.ask(&question).await.expect_err("nothing there");
        assert_eq!(failure.kind, FailureKind::NotFound, "{failure}");
        assert!(failure.message.contains(code), "{failure}");
    }
}

#[tokio::test]
async fn the_account_is_the_credentials_or_the_roles() {
    let simulated = SimulatedAws::new(world());
    assert_eq!(own(&simulated).await.account().await, Ok(OWN_ACCOUNT.to_owned()));
    assert_eq!(simulated.take_ledger().total(), 1);
    assert_eq!(assumed(&simulated, None).await.account().await, Ok("222222222222".to_owned()));
    assert_eq!(simulated.take_ledger().total(), 0);
}

#[tokio::test]
async fn a_role_in_another_account_is_assumed_once_for_all_services() {
    let mut world = world();
    world.allow_role(ROLE, Some("secret handshake"));
    world.region("222222222222", REGION).cluster("theirs");
    let simulated = SimulatedAws::new(world);
    let source = assumed(&simulated, Some("secret handshake")).await;
    let Ok(Answer::Clusters { clusters, .. }) = source.ask(&Question::Clusters { page: None }).await else {
        panic!("no clusters")
    };
    assert_eq!(clusters[0].account(), "222222222222");
    for question in [ec2_hosts(), ssm_hosts()] {
        source.ask(&question).await.expect("an answer");
    }
    let calls = simulated.take_calls();
    let accounts: Vec<_> = calls.iter().map(|call| (call.service, call.account.as_str())).collect();
    assert_eq!(
        accounts,
        [("sts", OWN_ACCOUNT), ("ecs", "222222222222"), ("ec2", "222222222222"), ("ssm", "222222222222")]
    );
    assert_eq!(calls[0].input["RoleSessionName"], "prometheus-ecs-sd");
}

#[tokio::test]
async fn a_role_that_may_not_be_assumed_is_named() {
    let mut world = world();
    world.allow_role(ROLE, Some("secret handshake"));
    let simulated = SimulatedAws::new(world);
    for question in [listing(), ec2_hosts()] {
        let failure = assumed(&simulated, None).await.ask(&question).await.expect_err("a denial");
        assert_eq!(failure.kind, FailureKind::Denied);
        assert!(failure.message.contains(ROLE) && failure.message.contains("sts:AssumeRole"), "{failure}");
    }
}

/// The result of each question, and its number of requests, if every call is answered like this.
async fn failures(answer: fn(&ecs_simulator::Call) -> Response) -> Vec<(Failure, u64)> {
    let simulated = SimulatedAws::new(world());
    simulated.on_call(move |call| Some(answer(call)));
    let source = own(&simulated).await;
    let mut failures = Vec::new();
    for question in [listing(), ec2_hosts(), ssm_hosts()] {
        let failure = source.ask(&question).await.expect_err("a failure");
        assert!(failure.message.starts_with(question.operation()), "{failure}");
        assert!(!failure.message.contains('\n') && !failure.message.contains(OWN_SECRET_KEY), "{failure}");
        failures.push((failure, simulated.take_ledger().total()));
    }
    failures
}

#[tokio::test(start_paused = true)]
async fn each_fault_has_its_kind_and_the_passing_ones_are_retried() {
    use FailureKind::{Denied, NoCredentials, Throttled, Unavailable};
    type Fault = fn(&ecs_simulator::Call) -> Response;
    let moto: Fault = |_| {
        let error = "<Error><Code>AccessDenied</Code><Message>User is not authorized</Message></Error>";
        Response::xml(403, format!("<Response><Errors>{error}</Errors></Response>"))
    };
    let proxy: Fault = |_| Response::xml(403, "<html><body>Blocked by policy</body></html>");
    let stalled: Fault = |call| Response { delivery: Delivery::Stalled, ..Response::server_error(call) };
    let broken: Fault = |_| Response { delivery: Delivery::Reset, ..Response::json(200, "{}") };
    for (name, fault, kind, calls) in [
        ("throttled", Response::throttled as Fault, Throttled, 3),
        ("denied", Response::denied, Denied, 1),
        ("expired", Response::expired, NoCredentials, 3),
        ("server error", Response::server_error, Unavailable, 3),
        ("unavailable", Response::unavailable, Unavailable, 3),
        ("bad gateway", |_| Response::xml(502, "<html><body>Bad gateway</body></html>"), Unavailable, 3),
        ("refused", |_| Response::connection_refused(), Unavailable, 3),
        ("denied by moto", moto, Denied, 1),
        ("denied by a proxy", proxy, Unavailable, 1),
        ("empty", |_| Response::json(200, ""), Unavailable, 1),
        ("garbage", |_| Response::json(200, "<html>"), Unavailable, 1),
        ("stalled", stalled, Unavailable, 3),
        ("broken", broken, Unavailable, 3),
    ] {
        for (failure, asked) in failures(fault).await {
            assert_eq!((failure.kind, asked), (kind, calls), "{name}: {failure}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn throttling_that_passes_is_not_noticed() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    for question in [listing(), ec2_hosts(), ssm_hosts()] {
        let left = AtomicUsize::new(2);
        let throttled =
            move |_: &_| left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        simulated.on_call(move |call| throttled(call).ok().map(|_| Response::throttled(call)));
        source.ask(&question).await.expect("the third attempt succeeds");
        assert_eq!(simulated.take_ledger().total(), 3);
    }
}

#[tokio::test]
async fn task_details_that_are_cut_or_say_nothing_are_a_failure() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    let question = details(&source).await;
    for (body, why) in [
        ("", "it ends too early"),
        (r#"{"tasks":[{"taskArn":"arn:aws:ecs"#, "it ends too early"),
        (r#"{"tasks":[],"failures":[]"#, "it ends too early"),
        ("<html><body>Please log in</body></html>", "it is not JSON"),
        ("{}", "it lacks the requested content"),
        (r#"{"tasks":null,"failures":[]}"#, "it lacks the requested content"),
    ] {
        simulated.take_ledger();
        simulated.on_call(move |_| Some(Response::json(200, body)));
        let failure = source.ask(&question).await.expect_err("no tasks");
        assert_eq!(failure.kind, FailureKind::Unavailable);
        assert_eq!(failure.message, format!("DescribeTasks: the answer cannot be used: {why}"), "{body}");
        assert_eq!(simulated.take_ledger().total(), 1, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn task_details_are_those_of_the_attempt_that_succeeds() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    let question = details(&source).await;
    let expected = source.ask(&question).await.expect("an answer");
    assert!(matches!(&expected, Answer::TaskDetails { tasks, .. } if tasks.len() == 3), "{expected:?}");
    for fault in [Response::throttled, Response::server_error] {
        simulated.take_ledger();
        let first = AtomicUsize::new(0);
        simulated.on_call(move |call| (first.fetch_add(1, Ordering::SeqCst) == 0).then(|| fault(call)));
        assert_eq!(source.ask(&question).await.as_ref(), Ok(&expected));
        assert_eq!(simulated.take_ledger().total(), 2);
    }
    simulated.on_call(|call| Some(Response::denied(call)));
    let failure = source.ask(&question).await.expect_err("a denial");
    assert_eq!(failure.kind, FailureKind::Denied, "{failure}");
    assert!(failure.message.starts_with("DescribeTasks: AccessDeniedException: "), "{failure}");
}

#[tokio::test(start_paused = true)]
async fn a_question_that_is_not_answered_ends_after_its_attempts() {
    let simulated = SimulatedAws::new(world());
    simulated.set_latency(Duration::from_secs(3600));
    let (own, assumed) = (own(&simulated).await, assumed(&simulated, None).await);
    let assuming = format!("cannot assume the role {ROLE}: sts:AssumeRole: ");
    for (source, whose) in [(own, ""), (assumed, assuming.as_str())] {
        for question in [listing(), ec2_hosts(), ssm_hosts()] {
            let begun = Instant::now();
            let failure = source.ask(&question).await.expect_err("a time-out");
            assert_eq!(failure.kind, FailureKind::Unavailable);
            let expected = format!("{}: {whose}timeout: no whole answer within 10 s", question.operation());
            assert_eq!(failure.message, expected);
            assert!(begun.elapsed() <= ATTEMPT_TIMEOUT * ATTEMPTS + PAUSES, "{:?}", begun.elapsed());
            // A role that could not be assumed is tried again.
            advance(PAUSES).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_account_in_trouble_takes_no_retries_from_another() {
    /// More failing questions than the quota of one source has retries for.
    const FAILING: usize = 80;
    let simulated = SimulatedAws::new(world());
    simulated.on_call(|call| Some(Response::server_error(call)));
    let exhausted = own(&simulated).await;
    for _ in 0..FAILING {
        exhausted.ask(&listing()).await.expect_err("a failure");
    }
    simulated.take_ledger();
    exhausted.ask(&listing()).await.expect_err("a failure");
    assert_eq!(simulated.take_ledger().total(), 1);
    own(&simulated).await.ask(&listing()).await.expect_err("a failure");
    assert_eq!(simulated.take_ledger().total(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_role_in_trouble_takes_no_retries_from_another() {
    /// More failing questions than the quota of one source has retries for.
    const FAILING: usize = 80;
    let simulated = SimulatedAws::new(world());
    simulated.on_call(|call| (call.operation == "AssumeRole").then(|| Response::server_error(call)));
    let exhausted = assumed(&simulated, None).await;
    for _ in 0..FAILING {
        exhausted.ask(&listing()).await.expect_err("a failure");
        // A role that could not be assumed is not tried again immediately.
        advance(PAUSES).await;
    }
    simulated.take_ledger();
    exhausted.ask(&listing()).await.expect_err("a failure");
    assert_eq!(simulated.take_ledger().total(), 1);
    assumed(&simulated, None).await.ask(&listing()).await.expect_err("a failure");
    assert_eq!(simulated.take_ledger().total(), 3);
}

/// A page of DescribeInstances with one instance, and the token of the next page, if any.
fn page(id: &str, next: &str) -> Response {
    let instance =
        format!("<item><instancesSet><item><instanceId>{id}</instanceId></item></instancesSet></item>");
    let body = format!("<reservationSet>{instance}</reservationSet><nextToken>{next}</nextToken>");
    Response::xml(200, format!("<DescribeInstancesResponse>{body}</DescribeInstancesResponse>"))
}

#[tokio::test]
async fn hosts_are_read_page_by_page_and_all_or_none() {
    let simulated = SimulatedAws::new(world());
    let source = own(&simulated).await;
    simulated.on_call(|call| match call.input["NextToken"].as_str() {
        None => Some(page("i-1", "more")),
        Some(_) => Some(page("i-2", "")),
    });
    let Ok(Answer::Hosts(hosts)) = source.ask(&ec2_hosts()).await else { panic!("no hosts") };
    assert_eq!(hosts.iter().map(|host| host.id.as_str()).collect::<Vec<_>>(), ["i-1", "i-2"]);
    simulated.on_call(|call| match call.input["NextToken"].as_str() {
        None => Some(page("i-1", "more")),
        Some(_) => Some(Response::denied(call)),
    });
    assert_eq!(source.ask(&ec2_hosts()).await.expect_err("half an answer").kind, FailureKind::Denied);
    simulated.on_call(|_| Some(page("i-1", "again")));
    let failure = source.ask(&ec2_hosts()).await.expect_err("a circle");
    assert_eq!(failure.message, "DescribeInstances: the answer cannot be used: it repeats a page token");
}
