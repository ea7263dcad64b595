//! Answers with fields that are absent, empty, of a value that nobody has heard of or of another type: each field of
//! each answer, one after the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecs_simulator::{ContainerOverride, Damage, HostKind, Injected, Placement, Region, Run, World};

use super::super::{REGION, Stage, opted_in};
use super::trial::{NEXT_REFRESH, Trial, populate};

/// Changes the world before each damage, so that the operation is called; the number tells one change from another.
type Change = fn(&mut Region, usize);

/// Tasks of every kind in one cluster, described again so often.
async fn begin(recheck_interval: Duration) -> Trial {
    let mut world = World::new(3);
    populate(world.own(REGION), "a", "old");
    let mut stage = Stage::new(world);
    stage.config.recheck_interval = recheck_interval;
    Trial::on(stage).await
}

/// Damages every field of an operation's answers in turn, where the answers mention `within`, and looks at the lines of
/// the files after each.
async fn check(
    trial: &mut Trial,
    operation: &'static str,
    within: &str,
    change: Change,
    chosen: impl Fn(&str, Damage) -> bool,
    look: impl Fn(&BTreeSet<String>, &str, Damage),
) {
    let fields = Arc::new(Mutex::new(BTreeSet::new()));
    let seen = fields.clone();
    trial.stage.simulator.on_answer(move |call, answer| {
        if call.operation == operation {
            seen.lock().unwrap().extend(answer.fields());
        }
    });
    trial.stage.change(|region| change(region, 0));
    trial.next().await;
    let fields = fields.lock().unwrap().clone();
    assert!(!fields.is_empty(), "{operation} was not called");
    let cases = fields.into_iter().flat_map(|field| Damage::ALL.map(|damage| (field.clone(), damage)));
    let cases = cases.filter(|(field, damage)| chosen(field, *damage));
    for (number, (field, damage)) in cases.enumerate() {
        let (damaged, within) = (field.clone(), within.to_owned());
        trial.stage.simulator.on_answer(move |call, answer| {
            if call.operation == operation {
                answer.damage(&damaged, damage, &within);
            }
        });
        trial.stage.change(|region| change(region, number + 1));
        trial.next().await;
        look(&trial.lines(), &field, damage);
    }
}

/// The damage is done to what is new, while it comes: it takes nothing from what was there before.
#[tokio::test(start_paused = true)]
async fn damaged_fields_of_what_is_new_cost_nothing_else() {
    const NEVER: Duration = Duration::from_secs(1_000_000);
    let operations: [(&str, Change); 6] = [
        ("DescribeClusters", |region, number| {
            region.clusters.retain(|name, _| name == "a");
            region.cluster(&format!("new-{number}")).tags.insert("stage".to_owned(), "prod".to_owned());
        }),
        ("DescribeTasks", |region, _| {
            replace(region, |region| {
                let run = Run::new("a", &definition(region, "fargate"), Placement::Fargate);
                region.run_with(run.tag("stage", "prod").inject(Injected::GuardDuty));
                let host = region.clusters["a"].container_instances.values().next().unwrap();
                let host = Placement::On(host.container_instance_arn.clone());
                region.run("a", &definition(region, "bridge"), host);
            });
        }),
        ("DescribeTaskDefinition", |region, _| {
            replace(region, |region| {
                let definition = region.register(opted_in("new").tag("team", "shop"));
                region.run("a", &definition, Placement::Fargate);
            });
        }),
        ("DescribeContainerInstances", |region, _| on_a_new_host(region, "bridge", HostKind::Ec2)),
        ("DescribeInstances", |region, _| on_a_new_host(region, "bridge", HostKind::Ec2)),
        ("DescribeInstanceInformation", |region, _| on_a_new_host(region, "anywhere", HostKind::External)),
    ];
    for (operation, change) in operations {
        let mut trial = begin(NEVER).await;
        let before = trial.lines();
        let look = |now: &BTreeSet<String>, field: &str, damage| {
            assert!(now.is_superset(&before), "{operation}: {field} {damage:?}");
        };
        check(&mut trial, operation, "", change, |_, _| true, look).await;
    }
}

/// The definition of the old task of that kind.
fn definition(region: &Region, kind: &str) -> String {
    region.ecs_arn(&format!("task-definition/{kind}-a-old:1"))
}

/// Lets the tasks of the last change vanish, and others come.
fn replace(region: &mut Region, run: impl FnOnce(&mut Region)) {
    let old = |definition: &str| definition.contains("-old:");
    let tasks = &mut region.cluster("a").tasks;
    tasks.retain(|_, task| old(&task.task_definition_arn) && task.started_by.is_none());
    let before: BTreeSet<_> = tasks.keys().cloned().collect();
    run(region);
    let new = region.cluster("a").tasks.iter_mut().filter(|(id, _)| !before.contains(*id));
    new.for_each(|(_, task)| task.started_by = Some("a change".to_owned()));
}

fn on_a_new_host(region: &mut Region, kind: &str, host: HostKind) {
    replace(region, |region| {
        let host = region.launch_host("a", host);
        region.run("a", &definition(region, kind), Placement::On(host));
    });
}

/// Texts from AWS or the user: a damaged text is a different text, and a tag may have no value.
const TEXTS: [&str; 10] = [
    "availabilityZone",
    "capacityProviderName",
    "group",
    "healthStatus",
    "image",
    "platformFamily",
    "platformVersion",
    "runtimeId",
    "startedBy",
    "tags",
];

/// Whether a damaged field still has a value, which is published unchanged.
fn is_news(field: &str, damage: Damage) -> bool {
    // It cannot be read, nor can its task.
    if damage == Damage::Mistyped {
        return false;
    }
    match field.strip_prefix("tasks.").unwrap_or_default() {
        // A task without tags has an empty list of tags.
        "tags" => damage != Damage::Absent,
        "tags.value" => true,
        field => damage == Damage::Unheard && field.split('.').any(|name| TEXTS.contains(&name)),
    }
}

/// Damages the description of a known task, settled or not: other tasks are not affected, and that task only in its
/// texts.
#[tokio::test(start_paused = true)]
async fn damaged_fields_of_a_known_task_cost_nothing() {
    for (kind, settled) in [("fargate", true), ("bridge", true), ("bridge", false)] {
        // Refreshes begin a little early or late: everything is due in each of them.
        let mut trial = begin(Stage::new(World::new(1)).config.interval / 2).await;
        let victim = trial.stage.change(|region| {
            let definition = definition(region, kind);
            let mut tasks = region.cluster("a").tasks.values_mut();
            let victim = tasks.find(|task| task.task_definition_arn == definition).unwrap();
            victim.capacity_provider_name = Some("spot".to_owned());
            victim.started_by = Some("someone".to_owned());
            victim.health_status = Some("HEALTHY".to_owned());
            victim.tags.insert("team".to_owned(), "shop".to_owned());
            let environment = vec![("PROMETHEUS_ENDPOINT".to_owned(), "/overridden".to_owned())];
            victim.overrides.container_overrides =
                vec![ContainerOverride { name: "app".to_owned(), environment, ..Default::default() }];
            if !settled {
                let mut sidecar = victim.containers[0].clone();
                (sidecar.name, sidecar.last_status) = ("sidecar".to_owned(), Some("PENDING".to_owned()));
                victim.containers.push(sidecar);
            }
            victim.task_arn.clone()
        });
        trial.next().await;
        let before = trial.lines();
        assert_eq!(before.len(), 4);
        let others = |lines: &BTreeSet<String>| {
            lines.iter().filter(|line| !line.contains(&victim)).cloned().collect::<BTreeSet<_>>()
        };
        let address = |lines: &BTreeSet<String>| {
            let line = lines.iter().find(|line| line.contains(&victim)).unwrap();
            line.split(r#","labels""#).next().unwrap().to_owned()
        };
        let all_stays = |now: &BTreeSet<String>, field: &str, damage: Damage| {
            assert!(*now == before, "{kind}, settled: {settled}: {field} {damage:?}: {now:#?}");
        };
        let is_no_news = |field: &str, damage: Damage| !is_news(field, damage);
        check(&mut trial, "DescribeTasks", &victim, |_, _| {}, is_no_news, all_stays).await;
        let address_stays = |now: &BTreeSet<String>, field: &str, damage: Damage| {
            let what = format!("{kind}, settled: {settled}: {field} {damage:?}");
            assert_eq!(others(now), others(&before), "{what}");
            assert_eq!(address(now), address(&before), "{what}");
        };
        check(&mut trial, "DescribeTasks", &victim, |_, _| {}, is_news, address_stays).await;
        trial.heal(NEXT_REFRESH, kind).await;
    }
}

/// Damages known clusters, definitions, container instances and hosts when they are read again: no target moves or
/// leaves, and if a field is missing or empty, no label does except those of removable facts.
#[tokio::test(start_paused = true)]
async fn damaged_fields_of_known_facts_cost_nothing() {
    let operations = [
        "DescribeClusters",
        "DescribeTaskDefinition",
        "DescribeContainerInstances",
        "DescribeInstances",
        "DescribeInstanceInformation",
    ];
    // EC2 omits the tags of an instance without tags, and the public address of one without.
    let is_news = |field: &str, damage: Damage| {
        let name = field.rsplit('.').next().unwrap();
        let is_of_tags = field.contains("tags") && (damage == Damage::Empty || name == "value");
        // XML has no types: a text in place of a set is an empty set.
        damage == Damage::Unheard
            || field.contains("tagSet")
            || damage != Damage::Mistyped && (name == "ipAddress" || is_of_tags)
    };
    for operation in operations {
        let mut trial = begin(Stage::new(World::new(1)).config.interval / 2).await;
        trial.stage.change(|region| {
            region.cluster("a").tags.insert("stage".to_owned(), "prod".to_owned());
            for definition in region.task_definitions.values_mut() {
                definition.tags.insert("team".to_owned(), "shop".to_owned());
            }
            for instance in region.instances.values_mut() {
                instance.public_ip_address = Some("192.0.2.7".to_owned());
                instance.tags.insert("rack".to_owned(), "7".to_owned());
            }
        });
        trial.next().await;
        let before = trial.lines();
        let is_no_news = |field: &str, damage| !is_news(field, damage);
        let all_stays = |now: &BTreeSet<String>, field: &str, damage: Damage| {
            assert!(*now == before, "{operation}: {field} {damage:?}: {now:#?}");
        };
        check(&mut trial, operation, "", |_, _| {}, is_no_news, all_stays).await;
        let targets = |lines: &BTreeSet<String>| {
            let target = |line: &String| line.split(r#","labels""#).next().unwrap().to_owned();
            lines.iter().map(target).collect::<BTreeSet<_>>()
        };
        let targets_stay = |now: &BTreeSet<String>, field: &str, damage: Damage| {
            assert_eq!(targets(now), targets(&before), "{operation}: {field} {damage:?}");
        };
        check(&mut trial, operation, "", |_, _| {}, is_news, targets_stay).await;
        trial.heal(NEXT_REFRESH, operation).await;
    }
}

/// What a listing leaves out, or makes up, costs nothing at all.
#[tokio::test(start_paused = true)]
async fn damaged_fields_of_listings_cost_nothing() {
    for operation in ["ListClusters", "ListTasks"] {
        let mut trial = begin(Stage::new(World::new(1)).config.interval).await;
        let before = trial.lines();
        let look = |now: &BTreeSet<String>, field: &str, damage| {
            assert!(*now == before, "{operation}: {field} {damage:?}");
        };
        check(&mut trial, operation, "", |_, _| {}, |_, _| true, look).await;
        trial.heal(NEXT_REFRESH, operation).await;
    }
}
