//! When a container counts: statuses of tasks and containers, definitions that are not to be had, doubles.

use super::{CLUSTER, Stage, family, quiet, scraped};
use crate::world::definition::{ContainerDefinition, TaskDefinition};
use crate::world::run::{Injected, Placement, Run};

pub(super) fn play(stage: &mut Stage<'_>) {
    on_the_way(stage);
    partly_stopped(stage);
    without_definition(stage);
    more_than_defined(stage);
    // One target: both containers offer the same address, port and path, and the first in the definition stays.
    let double = TaskDefinition::new("double").container(scraped("first")).container(scraped("second"));
    stage.fargate(double);
}

fn on_the_way(stage: &mut Stage<'_>) {
    // Not RUNNING: at PROVISIONING, PENDING and ACTIVATING.
    for (steps, name) in ["at-provisioning", "at-pending", "at-activating"].iter().enumerate() {
        let definition = stage.region.register(family(name, scraped("app")).fargate());
        let arn = stage.region.start(Run::new(CLUSTER, &definition, Placement::Fargate));
        for _ in 0..steps {
            stage.region.advance(&arn);
        }
    }
    // Not listed any more, though it still runs; and one that has stopped.
    let arn = stage.fargate(family("stopping", scraped("app")));
    stage.region.begin_stop(&arn);
    let arn = stage.fargate(family("stopped", scraped("app")));
    stage.region.stop(&arn);
}

fn partly_stopped(stage: &mut Stage<'_>) {
    // The container that has done its work is skipped, the other is a target.
    let definition = TaskDefinition::new("container-stopped")
        .container(quiet("migrations").env("PROMETHEUS", "true"))
        .container(ContainerDefinition::new("app", "example/app:1.0").port(9090).env("PROMETHEUS", "true"));
    let arn = stage.fargate(definition);
    let container = &mut stage.region.task_mut(&arn).containers[0];
    container.last_status = Some("STOPPED".to_owned());
    container.exit_code = Some(0);
    // A target in spite of its health, which is a label.
    let arn = stage.fargate(family("unhealthy", scraped("app").health_check("false")));
    let task = stage.region.task_mut(&arn);
    task.health_status = Some("UNHEALTHY".to_owned());
    task.containers[0].health_status = Some("UNHEALTHY".to_owned());
}

fn without_definition(stage: &mut Stage<'_>) {
    // The definition cannot be described.
    let arn = stage.fargate(family("definition-unavailable", scraped("app")));
    let definition = stage.region.task(&arn).task_definition_arn.clone();
    stage.region.task_definitions.remove(&definition);
    // A managed daemon.
    let daemon = ContainerDefinition::new("agent", "example/agent:1.0").env("PROMETHEUS", "true");
    let definition = stage.region.register_daemon(family("daemon", daemon));
    stage.region.run(CLUSTER, &definition, Placement::On(stage.managed.clone()));
}

fn more_than_defined(stage: &mut Stage<'_>) {
    // One target: the containers that AWS adds are not the author's.
    stage.run(family("injected", scraped("app")), |run| {
        run.service("injected").inject(Injected::ServiceConnect).inject(Injected::GuardDuty)
    });
    // An attachment of another kind beside the interface's, and a status that no one has heard of.
    let arn = stage.fargate(family("unknown-values", scraped("app")));
    let task = stage.region.task_mut(&arn);
    task.health_status = Some("CONVALESCENT".to_owned());
    task.launch_type = Some("LUNAR".to_owned());
    task.attachments[0].details.push(("privateIPv6Address".to_owned(), "2001:db8::77".to_owned()));
}
