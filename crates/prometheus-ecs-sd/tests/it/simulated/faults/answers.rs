//! Answers with fields that are absent, empty or of a value that nobody has heard of: each field of each answer, one
//! after the other.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ecs_simulator::{Damage, HostKind, Injected, Placement, Region, Run, World};

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
    look: impl Fn(&BTreeSet<String>, &str),
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
    for (number, (field, damage)) in cases.enumerate() {
        let what = format!("{operation}: {field} {damage:?}");
        let within = within.to_owned();
        trial.stage.simulator.on_answer(move |call, answer| {
            if call.operation == operation {
                answer.damage(&field, damage, &within);
            }
        });
        trial.stage.change(|region| change(region, number + 1));
        trial.next().await;
        look(&trial.lines(), &what);
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
        let look = |now: &BTreeSet<String>, what: &str| assert!(now.is_superset(&before), "{what}");
        check(&mut trial, operation, "", change, look).await;
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

/// The damage is done to a task that is known and described again: it takes nothing from any other.
#[tokio::test(start_paused = true)]
async fn damaged_fields_of_one_task_cost_no_other() {
    for kind in ["fargate", "bridge"] {
        let mut trial = begin(Stage::new(World::new(1)).config.interval).await;
        let victim = trial.stage.change(|region| {
            let definition = definition(region, kind);
            let mut tasks = region.clusters["a"].tasks.values();
            tasks.find(|task| task.task_definition_arn == definition).unwrap().task_arn.clone()
        });
        let others = |lines: &BTreeSet<String>| {
            lines.iter().filter(|line| !line.contains(&victim)).cloned().collect::<BTreeSet<_>>()
        };
        let before = others(&trial.lines());
        assert_eq!(before.len(), 3);
        let look = |now: &BTreeSet<String>, what: &str| assert!(others(now) == before, "{what}");
        check(&mut trial, "DescribeTasks", &victim, |_, _| {}, look).await;
        trial.heal(NEXT_REFRESH, kind).await;
    }
}

/// What a listing leaves out, or makes up, costs nothing at all.
#[tokio::test(start_paused = true)]
async fn damaged_fields_of_listings_cost_nothing() {
    for operation in ["ListClusters", "ListTasks"] {
        let mut trial = begin(Stage::new(World::new(1)).config.interval).await;
        let before = trial.lines();
        let look = |now: &BTreeSet<String>, what: &str| assert!(*now == before, "{what}");
        check(&mut trial, operation, "", |_, _| {}, look).await;
        trial.heal(NEXT_REFRESH, operation).await;
    }
}
