//! Events as EventBridge writes them into a queue: the body of a message is the event itself.
//!
//! A task event says less than DescribeTasks, and some of it otherwise: no tags, no health, no capacity provider, no
//! platform family, no ranges of ports; `eni` for `ElasticNetworkInterface`; times as text.

use std::time::Duration;

use super::clock;
use super::ecs::task_json::{container_override, network_interface};
use super::json::{Object, object};
use crate::world::events::{Emission, Subject};
use crate::world::region::{BEGINNING, Region};
use crate::world::task::{Attachment, Container, Task};
use crate::world::{Clock, partition};

/// The detail type of a task event.
pub(crate) const TASK: &str = "ECS Task State Change";
/// The detail type of a heartbeat.
pub(crate) const SCHEDULED: &str = "Scheduled Event";

/// When an event happens: now, for the clock that clients see; a fixed one goes on by the region's time.
pub(crate) fn time(emission: &Emission, clock: Clock, moment: Duration) -> Duration {
    match clock {
        Clock::System => moment,
        Clock::Fixed(_) => moment + Duration::from_secs_f64((emission.at - BEGINNING).max(0.0)),
    }
}

/// The body of the message.
pub(crate) fn body(emission: &Emission, region: &Region, time: Duration) -> String {
    let (source, detail_type, resource) = match &emission.subject {
        Subject::Task(task) => ("aws.ecs", TASK, task.task_arn.clone()),
        Subject::Schedule(rule) => {
            let arn = format!(
                "arn:{}:events:{}:{}:rule/{rule}",
                partition(&region.name),
                region.name,
                region.account_id
            );
            ("aws.events", SCHEDULED, arn)
        }
    };
    // A task event is about 2 KB.
    let mut body = String::with_capacity(2048);
    object(&mut body, |event| {
        event.text("version", "0");
        event.text("id", &emission.id);
        event.text("detail-type", detail_type);
        event.text("source", source);
        event.text("account", &region.account_id);
        event.text("time", &clock::iso(Duration::from_secs(time.as_secs())));
        event.text("region", &region.name);
        event.texts("resources", [resource]);
        event.object("detail", |detail| {
            if let Subject::Task(task) = &emission.subject {
                write(detail, task, time);
            }
        });
    });
    body
}

fn write(detail: &mut Object<'_>, task: &Task, updated: Duration) {
    detail.list("attachments", &task.attachments, attachment);
    detail.pairs("attributes", ["name", "value"], &task.attributes);
    detail.option("availabilityZone", task.availability_zone.as_ref());
    detail.text("clusterArn", &task.cluster_arn);
    detail.option("connectivity", task.connectivity.as_ref());
    moment(detail, "connectivityAt", task.connectivity_at);
    detail.option("containerInstanceArn", task.container_instance_arn.as_ref());
    detail.list("containers", &task.containers, container);
    detail.option("cpu", task.cpu.as_ref());
    moment(detail, "createdAt", task.created_at);
    detail.text("desiredStatus", &task.desired_status);
    detail.plain("enableExecuteCommand", false);
    if task.launch_type.as_deref() == Some("FARGATE") {
        detail.object("ephemeralStorage", |storage| storage.plain("sizeInGiB", 20));
    }
    moment(detail, "executionStoppedAt", task.stopped_at);
    detail.option("group", task.group.as_ref());
    detail.text("lastStatus", &task.last_status);
    detail.option("launchType", task.launch_type.as_ref());
    detail.option("memory", task.memory.as_ref());
    detail.object("overrides", |overrides| {
        overrides.list("containerOverrides", &task.overrides.container_overrides, container_override);
        overrides.option("cpu", task.overrides.cpu.as_ref());
        overrides.option("memory", task.overrides.memory.as_ref());
        overrides.option("taskRoleArn", task.overrides.task_role_arn.as_ref());
    });
    detail.option("platformVersion", task.platform_version.as_ref());
    moment(detail, "pullStartedAt", task.pull_started_at);
    moment(detail, "pullStoppedAt", task.pull_stopped_at);
    moment(detail, "startedAt", task.started_at);
    detail.option("startedBy", task.started_by.as_ref());
    detail.option("stopCode", task.stop_code.as_ref());
    moment(detail, "stoppedAt", task.stopped_at);
    detail.option("stoppedReason", task.stopped_reason.as_ref());
    moment(detail, "stoppingAt", task.stopping_at);
    detail.text("taskArn", &task.task_arn);
    detail.text("taskDefinitionArn", &task.task_definition_arn);
    detail.text("updatedAt", &clock::iso(updated));
    detail.plain("version", task.version);
}

fn moment(object: &mut Object<'_>, name: &str, epoch_seconds: Option<f64>) {
    if let Some(seconds) = epoch_seconds {
        object.text(name, &clock::iso(Duration::from_secs_f64(seconds.max(0.0))));
    }
}

fn attachment(object: &mut Object<'_>, attachment: &Attachment) {
    object.text("id", &attachment.id);
    object.text(
        "type",
        match attachment.kind.as_str() {
            "ElasticNetworkInterface" => "eni",
            kind => kind,
        },
    );
    object.text("status", &attachment.status);
    let details = attachment.details.iter().map(|(name, value)| (name, value));
    object.pairs("details", ["name", "value"], details);
}

fn container(object: &mut Object<'_>, container: &Container) {
    object.text("containerArn", &container.container_arn);
    object.plain_option("exitCode", container.exit_code);
    object.option("lastStatus", container.last_status.as_ref());
    object.text("name", &container.name);
    object.option("image", container.image.as_ref());
    object.option("imageDigest", container.image_digest.as_ref());
    object.option("reason", container.reason.as_ref());
    object.option("runtimeId", container.runtime_id.as_ref());
    object.text("taskArn", &container.task_arn);
    let single = container.network_bindings.iter().filter(|binding| binding.container_port.is_some());
    let single: Vec<_> = single.collect();
    if !single.is_empty() {
        object.list("networkBindings", single, |object, binding| {
            object.option("bindIP", binding.bind_ip.as_ref());
            object.plain_option("containerPort", binding.container_port);
            object.plain_option("hostPort", binding.host_port);
            object.option("protocol", binding.protocol.as_ref());
        });
    }
    object.list("networkInterfaces", &container.network_interfaces, network_interface);
    object.option("cpu", container.cpu.as_ref());
    object.option("memory", container.memory.as_ref());
    object.option("memoryReservation", container.memory_reservation.as_ref());
}
