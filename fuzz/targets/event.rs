//! The bodies of messages of a queue.
//!
//! An input that begins like JSON is a body; of any other, an event is made, which must be read as it was written.

#![cfg_attr(feature = "libfuzzer", no_main)]

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::model::{Status, Task};
use fuzz::facts::Facts;
use fuzz::wire;
use prometheus_ecs_sd::aws::{Notice, TaskNotice};

fuzz::target!(event);

fn event(input: &[u8]) {
    if matches!(input.first(), Some(b'{' | b'[' | b'"')) {
        return body(input);
    }
    let cluster = ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/0").expect("an ARN");
    let mut facts = Facts::new(input);
    let version = facts.below(u16::MAX).into();
    let task = facts.task(0, &wire::names());
    is_read(cluster, task, version);
}

fn body(body: &[u8]) {
    let notice = Notice::parse(body, &wire::names());
    if let Ok(text) = std::str::from_utf8(body) {
        // A notification of SNS is unwrapped once only.
        let wrapped = Notice::parse(wire::sns(text).as_bytes(), &wire::names());
        assert!(wrapped == notice || wrapped == Notice::Foreign);
    }
    match notice {
        Notice::Task(notice) => {
            let TaskNotice { cluster, task, version, .. } = *notice;
            is_near(&cluster, task.arn.account(), task.arn.region());
            // What was understood is understood again.
            is_read(cluster, task, version);
        }
        Notice::Malformed { account, region, cluster, task } => {
            if let Some(cluster) = &cluster {
                is_near(cluster, &account.unwrap_or_default(), &region.unwrap_or_default());
            }
            if let Some(task) = task {
                is_near(&cluster.expect("a task has a cluster"), task.account(), task.region());
            }
        }
        Notice::Heartbeat { account, region, .. } | Notice::Ignored { account, region } => {
            assert!([account, region].iter().flatten().all(|name| !name.is_empty()));
        }
        Notice::Foreign => {}
    }
}

fn is_near(cluster: &ClusterArn, account: &str, region: &str) {
    assert_eq!((cluster.account(), cluster.region()), (account, region));
}

/// An event is read as it was written, through SNS too, unless it lacks a status or the revision of the definition.
fn is_read(cluster: ClusterArn, task: Task, version: u64) {
    let task = wire::named(task);
    let body = wire::event(&cluster, &task, version);
    let has_status = |status: &Status| !status.as_str().is_empty();
    let is_complete = has_status(&task.desired_status)
        && has_status(&task.last_status)
        && !task.definition.revision().is_empty();
    let expected = match is_complete {
        true => Notice::Task(Box::new(TaskNotice { cluster, task, version, updated: None })),
        false => Notice::Malformed {
            account: Some(cluster.account().to_owned()).filter(|account| !account.is_empty()),
            region: Some(cluster.region().to_owned()).filter(|region| !region.is_empty()),
            task: Some(task.arn),
            cluster: Some(cluster),
        },
    };
    if body.len() <= 1 << 20 {
        assert_eq!(Notice::parse(body.as_bytes(), &wire::names()), expected);
    }
    let wrapped = wire::sns(&body);
    if wrapped.len() <= 1 << 20 {
        assert_eq!(Notice::parse(wrapped.as_bytes(), &wire::names()), expected);
    }
}
