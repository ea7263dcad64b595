//! Hosts that nobody knows, in the company of others that somebody does.

use ecs_simulator::{HostKind, ManagedNode, Placement, Region, Response};

use super::super::Stage;
use super::trial::{NEXT_REFRESH, PARTNER, ROLE, Trial, populate, targets, world};

const UNKNOWN: &str = "i-0badbadbadbadbad0";
const UNKNOWN_EXTERNAL: &str = "mi-0badbadbadbadbad0";

/// What a container instance may say of its machine; `None` is one that has not registered it yet.
const STRANGE: [Option<&str>; 8] = [
    Some(UNKNOWN),
    Some(UNKNOWN_EXTERNAL),
    None,
    Some("i-1"),
    Some("banana"),
    Some("mi-1"),
    Some("mi-"),
    Some(""),
];

/// Tasks on strange hosts, and after them tasks on others.
fn strangers(region: &mut Region) {
    let definition = region.ecs_arn("task-definition/bridge-a-old:1");
    for id in STRANGE {
        let host = region.launch_host("a", HostKind::Ec2);
        region.run("a", &definition, Placement::On(host.clone()));
        region.container_instance_mut(&host).ec2_instance_id = id.map(str::to_owned);
    }
    populate(region, "a", "new");
}

/// The hosts that may be known one day are.
fn introduce(region: &mut Region) {
    let address = |last: u8| Some(format!("10.99.0.{last}"));
    let mut host = region.instances.values().next().unwrap().clone();
    for id in [UNKNOWN, "i-00000000000000001"] {
        (host.instance_id, host.private_ip_address) = (id.to_owned(), address(id.len() as u8));
        region.instances.insert(id.to_owned(), host.clone());
    }
    let id = UNKNOWN_EXTERNAL.to_owned();
    let node = ManagedNode { instance_id: id.clone(), ip_address: address(200), ..ManagedNode::default() };
    region.managed_nodes.insert(id, node);
    let instances = region.cluster("a").container_instances.values_mut();
    for instance in instances.filter(|instance| instance.ec2_instance_id.is_none()) {
        instance.ec2_instance_id = Some("i-00000000000000001".to_owned());
    }
}

#[tokio::test(start_paused = true)]
async fn hosts_that_nobody_knows_cost_no_other() {
    let mut trial = Trial::begin(world()).await;
    let before = trial.targets();
    trial.change(PARTNER, strangers);
    let (fresh, expected) = trial.fresh().await;
    assert_eq!(expected.of(PARTNER).len(), before.of(PARTNER).len() + 4);
    trial.watch(2 * NEXT_REFRESH, |now| now.lie_between(&before, &expected, "strangers")).await;
    trial.becomes(&fresh, NEXT_REFRESH, "strangers").await;
    trial.change(PARTNER, introduce);
    trial.heal(NEXT_REFRESH, "strangers are known").await;
    assert_eq!(trial.targets().of(PARTNER).len(), before.of(PARTNER).len() + 4 + 3);
}

/// Systems Manager says no to a whole batch for one id that it does not know.
#[tokio::test(start_paused = true)]
async fn an_id_that_fails_its_whole_batch_costs_no_other() {
    let mut world = world();
    let definition = world.region(PARTNER, super::super::REGION).ecs_arn("task-definition/anywhere-a-old:1");
    for _ in 0..60 {
        let region = world.region(PARTNER, super::super::REGION);
        let host = region.launch_host("a", HostKind::External);
        region.run("a", &definition, Placement::On(host));
    }
    strangers(world.region(PARTNER, super::super::REGION));
    let stage = Stage::new(world).role(ROLE, None);
    let fresh = stage.fresh().await;
    stage.simulator.on_call(|call| {
        let unknown = call.service == "ssm" && call.input.to_string().contains(UNKNOWN_EXTERNAL);
        unknown.then(|| Response::refused(call, 400, "InvalidInstanceId", ""))
    });
    let mut trial = Trial::on(stage).await;
    trial.targets().are(&targets(&fresh), "at once");
    assert_eq!(trial.targets().of(PARTNER).len(), 5 + 60 + 4);
    // Later only the bad ones are asked for.
    trial.stage.asked();
    trial.watch(NEXT_REFRESH, |_| {}).await;
    let calls = trial.stage.simulator.take_ledger().calls("ssm", "DescribeInstanceInformation");
    // There are one or two refreshes in that time, since the periods at the start are shorter.
    assert!([5, 7].contains(&calls), "{calls}");
}
