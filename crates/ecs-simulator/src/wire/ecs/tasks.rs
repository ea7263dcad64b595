//! ListTasks and DescribeTasks.

use serde_json::Value;

use super::{
    batch, cluster_of, failures, includes_tags, invalid_token, listing, missing_arn, page_size, task_json,
};
use crate::wire::page::page;
use crate::wire::refusal::Refusal;
use crate::wire::{json, text};
use crate::world::region::{Region, last_part};
use crate::world::task::Task;

pub(super) fn list(input: &Value, region: &Region) -> Result<String, Refusal> {
    let cluster = cluster_of(input, region)?;
    let size = page_size(input)?;
    let filter = Filter::read(input)?;
    if filter.service.is_some_and(|name| cluster.service(name).is_none()) {
        return Err(Refusal::new(400, "ServiceNotFoundException", "Service not found."));
    }
    let of = format!("tasks of {}", cluster.cluster_name);
    let page = page(&cluster.tasks, &of, text(input, "nextToken"), size, |task| filter.passes(task));
    let page = page.ok_or_else(invalid_token)?;
    let arns = page.items.iter().map(|task| task.task_arn.clone());
    Ok(listing("taskArns", arns, page.next_token.as_ref()))
}

/// What a ListTasks request limits its answer to.
struct Filter<'a> {
    desired_status: &'a str,
    family: Option<&'a str>,
    service: Option<&'a str>,
    launch_type: Option<&'a str>,
    started_by: Option<&'a str>,
    container_instance: Option<&'a str>,
}

impl<'a> Filter<'a> {
    fn read(input: &'a Value) -> Result<Self, Refusal> {
        let desired_status = text(input, "desiredStatus").unwrap_or("RUNNING");
        if !matches!(desired_status, "RUNNING" | "PENDING" | "STOPPED") {
            return Err(Refusal::invalid_parameter(
                "desiredStatus must be one of: [RUNNING, PENDING, STOPPED]",
            ));
        }
        // <https://github.com/boto/boto3/issues/874>
        if text(input, "serviceName").is_some() && text(input, "containerInstance").is_some() {
            return Err(Refusal::invalid_parameter("cannot specify serviceName with other arguments"));
        }
        Ok(Self {
            desired_status,
            family: text(input, "family"),
            service: text(input, "serviceName").map(last_part),
            launch_type: text(input, "launchType"),
            started_by: text(input, "startedBy"),
            container_instance: text(input, "containerInstance").map(last_part),
        })
    }

    /// The desired status decides, not the last one; no task is ever desired to be PENDING.
    fn passes(&self, task: &Task) -> bool {
        let family = || last_part(&task.task_definition_arn).split(':').next();
        task.desired_status == self.desired_status
            && self.family.is_none_or(|wanted| family() == Some(wanted))
            && self.service.is_none_or(|wanted| task.service() == Some(wanted))
            && self.launch_type.is_none_or(|wanted| task.launch_type.as_deref() == Some(wanted))
            && self.started_by.is_none_or(|wanted| task.started_by.as_deref() == Some(wanted))
            && self
                .container_instance
                .is_none_or(|wanted| task.container_instance_arn.as_deref().map(last_part) == Some(wanted))
    }
}

pub(super) fn describe(input: &Value, region: &Region) -> Result<String, Refusal> {
    let cluster = cluster_of(input, region)?;
    let ids = batch(input, "tasks", "Tasks")?;
    let with_tags = includes_tags(input);
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for id in ids {
        match cluster.tasks.get(last_part(id)) {
            Some(task) => found.push(task),
            None => missing.push(missing_arn(region, cluster, "task", id)),
        }
    }
    // A task is about 4 KB of JSON.
    let mut body = String::with_capacity(found.len() * 4096 + 64);
    json::object(&mut body, |answer| {
        answer.list("tasks", found, |object, task| task_json::write(object, task, with_tags));
        failures(answer, &missing);
    });
    Ok(body)
}
