//! The events of a region, as far as its rules want them: each change of a task, and heartbeats.
//!
//! An event is a copy of its task at the moment of the change, under the task's version. Without an enabled rule that
//! matches, nobody gets it. Events are delivered when the change of the world ends; see [`crate::Aws::change`]. Until then
//! they are in memory, at about 4 KB each: a large world is made before its rules.

use super::World;
use super::region::Region;
use super::task::Task;

/// The name of the rule that [`Region::route_events`] makes.
const RULE: &str = "prometheus-ecs-sd";
/// EventBridge's limit.
const MAX_TARGETS: usize = 5;

/// A rule on the default bus for `ECS Task State Change` events, with a schedule of a minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// The ARNs of up to five queues in its region, of any account.
    pub targets: Vec<String>,
    /// The ARNs of the clusters whose events match; without any, all clusters.
    pub clusters: Vec<String>,
    /// A disabled rule matches nothing and sends no heartbeats.
    pub enabled: bool,
}

/// An event that was not delivered yet.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Emission {
    /// Its position among the events of its region, from 0 up.
    pub(crate) number: u64,
    /// A UUID.
    pub(crate) id: String,
    /// The region's time.
    pub(crate) at: f64,
    /// ARNs of queues.
    pub(crate) targets: Vec<String>,
    pub(crate) subject: Subject,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Subject {
    Task(Box<Task>),
    /// The schedule of the rule with this name.
    Schedule(String),
}

impl Rule {
    /// Adds a queue.
    ///
    /// # Panics
    /// When there are five already, which is EventBridge's limit.
    pub fn to(&mut self, queue_arn: &str) -> &mut Self {
        assert!(self.targets.len() < MAX_TARGETS, "a rule has at most {MAX_TARGETS} targets");
        self.targets.push(queue_arn.to_owned());
        self
    }

    /// Lets the events of this cluster match, and no longer those of all.
    pub fn of_cluster(&mut self, cluster_arn: &str) -> &mut Self {
        self.clusters.push(cluster_arn.to_owned());
        self
    }

    fn matches(&self, task: &Task) -> bool {
        self.enabled && (self.clusters.is_empty() || self.clusters.contains(&task.cluster_arn))
    }
}

impl Region {
    /// Adds a queue, of this region and any account, to the targets of the rule `prometheus-ecs-sd`.
    pub fn route_events(&mut self, queue_arn: &str) -> &mut Rule {
        self.rule(RULE).to(queue_arn)
    }

    /// The rule with this name; on first use an enabled one without targets is made.
    pub fn rule(&mut self, name: &str) -> &mut Rule {
        let rule = || Rule { name: name.to_owned(), enabled: true, ..Rule::default() };
        self.rules.entry(name.to_owned()).or_insert_with(rule)
    }

    /// Lets a minute's schedule of each enabled rule send its `Scheduled Event`.
    pub fn heartbeat(&mut self) {
        let rules = self.rules.values().filter(|rule| rule.enabled);
        let rules: Vec<_> = rules.map(|rule| (rule.name.clone(), rule.targets.clone())).collect();
        for (name, targets) in rules {
            self.send(targets, Subject::Schedule(name));
        }
    }

    /// Ends a change of a task: its version grows, and an event tells of it.
    pub(super) fn changed(&mut self, task_arn: &str) {
        self.task_mut(task_arn).version += 1;
        self.emit(task_arn);
    }

    /// Sends an event with the current state of a task.
    pub(super) fn emit(&mut self, task_arn: &str) {
        if self.rules.is_empty() {
            return;
        }
        let task = self.task(task_arn);
        let rules = self.rules.values().filter(|rule| rule.matches(task));
        let targets: Vec<_> = rules.flat_map(|rule| rule.targets.clone()).collect();
        if !targets.is_empty() {
            let task = Box::new(task.clone());
            self.send(targets, Subject::Task(task));
        }
    }

    fn send(&mut self, targets: Vec<String>, subject: Subject) {
        let (number, id) = (self.ids.count("event"), self.ids.uuid("event-id"));
        self.emissions.push(Emission { number, id, at: self.now, targets, subject });
    }
}

impl World {
    /// Lets the schedules of all regions send their heartbeats.
    pub fn heartbeat(&mut self) {
        self.regions_mut().for_each(Region::heartbeat);
    }

    pub(crate) fn regions_mut(&mut self) -> impl Iterator<Item = &mut Region> {
        self.accounts.values_mut().flat_map(|account| account.regions.values_mut())
    }
}
