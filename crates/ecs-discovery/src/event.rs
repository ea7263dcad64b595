//! A task event as plain data: what ECS tells of one task when it changes.
//!
//! An event has no tags, no health, no capacity provider and no platform family, so a [`Task`] made of one lacks them.
//! The inventory merges it with what is known.

use std::time::Duration;

use crate::arn::ClusterArn;
use crate::model::Task;

/// An `ECS Task State Change` event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// The cluster of the task.
    pub cluster: ClusterArn,
    /// The task as the event describes it. Fields that the event lacks are empty.
    pub task: Task,
    /// The version of the task, which each event of a task increments. Equals that of DescribeTasks.
    pub version: u64,
    /// When ECS changed the task (`updatedAt`, or else the event's `time`), on the clock of the inventory; not later than
    /// the moment when the event was received.
    pub updated: Duration,
}
