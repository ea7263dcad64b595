//! What surrounds a task: tags, groups, clusters in either ARN form, other regions and accounts.

use super::{PARTNER_ACCOUNT, Stage, family, scraped};
use crate::world::World;
use crate::world::cluster::ArnForm;
use crate::world::host::HostKind;
use crate::world::run::{Placement, Run};

pub(super) fn play(stage: &mut Stage<'_>) {
    tags_and_names(stage);
    clusters(stage);
}

fn tags_and_names(stage: &mut Stage<'_>) {
    let cluster = stage.region.cluster(super::CLUSTER);
    cluster.tags.insert("stage".to_owned(), "prod".to_owned());
    // The task's tags overlay the definition's; `team-a` and `team_a` meet in one label name, and the first stays.
    let tagged =
        family("tagged", scraped("app")).tag("team", "from-definition").tag("owner", "from-definition");
    stage.run(tagged, |run| {
        run.tag("team", "from-task")
            .tag("team-a", "first")
            .tag("team_a", "second")
            .tag("__address__", "evil:1")
            .tag("grüße", "\"quoted\" \\ and\nbroken 🦀")
            .tag("aws:ecs:clusterName", "production")
    });
    // A service's task, placed by a capacity provider.
    let provided = family("capacity-provider", scraped("app"));
    stage.run(provided, |run| {
        Run { capacity_provider: Some("FARGATE_SPOT".to_owned()), ..run }.service("capacity-provider")
    });
    let service = stage.region.service(super::CLUSTER, "capacity-provider");
    service.tags.insert("owner".to_owned(), "from-service".to_owned());
    // A group and a startedBy that follow no form, and one with nothing that AWS may leave out.
    let named = family("odd-group", scraped("app"));
    stage.run(named, |run| Run {
        group: Some("just: a group".to_owned()),
        started_by: Some("cron/nightly".to_owned()),
        ..run
    });
    let arn = stage.fargate(family("bare", scraped("app")));
    let task = stage.region.task_mut(&arn);
    (task.group, task.started_by, task.launch_type, task.health_status) = (None, None, None, None);
    (task.platform_family, task.platform_version, task.availability_zone) = (None, None, None);
    (task.containers[0].image, task.containers[0].runtime_id) = (None, None);
}

fn clusters(stage: &mut Stage<'_>) {
    // Short ARNs on both sides: the cluster's name is in no ARN of the task.
    stage.region.cluster("legacy").arn_form = ArnForm::Short;
    let host = stage.region.launch_host("legacy", HostKind::Ec2);
    let definition = stage.region.register(family("short-arn", scraped("app")).network_mode("bridge"));
    stage.region.run("legacy", &definition, Placement::On(host));
    stage.region.cluster("empty");
    stage.region.delete_cluster("deleted");
}

/// Another region of the own account, and another account.
pub(super) fn play_elsewhere(world: &mut World) {
    for (account, region, cluster) in
        [(crate::OWN_ACCOUNT, "us-east-1", "default"), (PARTNER_ACCOUNT, "eu-central-1", "partner")]
    {
        let region = world.region(account, region);
        let fargate = region.register(family("elsewhere-fargate", scraped("app")).fargate());
        region.run(cluster, &fargate, Placement::Fargate);
        let host = region.launch_host(cluster, HostKind::Ec2);
        let bridge = region.register(family("elsewhere-bridge", scraped("app")).network_mode("bridge"));
        region.run(cluster, &bridge, Placement::On(host));
    }
}
