//! The requests that events lead to, until an errand has brought what they ask for.
//!
//! A wish waits a little for company, so that one call serves many tasks. One that fails is tried again twice and then
//! left to the next refresh, which is due then: while events are live, it would be minutes away.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ecs_discovery::arn::{ClusterArn, TaskArn};
use ecs_discovery::inventory::events::Wish;
use ecs_discovery::inventory::plan;
use tokio::time::Instant;

/// How long a wish for a task that starts waits for company: a task takes longer to start.
const STARTING_WAITS: Duration = Duration::from_secs(1);
/// The same for a task that runs.
const RUNNING_WAITS: Duration = Duration::from_millis(50);
/// The same for a cluster that is not known.
const CLUSTER_WAITS: Duration = Duration::from_secs(1);

/// The pauses before a failed wish is tried again.
const RETRIED_AFTER: [Duration; 2] = [Duration::from_secs(5), Duration::from_secs(30)];

/// The most wishes that wait: ten storms of a thousand tasks. Further ones are left to the next refresh.
const MAX_WISHES: usize = 10_000;

/// How long a denied subject is not asked for again, but by refreshes: as long as batches of which nothing is allowed are
/// not split again.
const DENIED_FOR: Duration = Duration::from_secs(600);

/// The most denied subjects that are remembered: as many as can wait. Further ones are asked for again.
const MAX_DENIED: usize = MAX_WISHES;

/// What is wished for: the facts of a task, or a cluster.
type Subject = (ClusterArn, Option<TaskArn>);

/// When a wish is due, and how often it was tried.
type Due = (Instant, usize);

/// All wishes of a source that wait.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    waiting: BTreeMap<Subject, Due>,
    /// When a wish was last left to the next refresh.
    left: Option<Instant>,
    /// What AWS denied, and when.
    denied: BTreeMap<Subject, Instant>,
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Fulfilled,
    Failed,
    Denied,
}

/// The wishes that one errand serves.
#[derive(Debug, Default)]
pub(super) struct Taken(BTreeMap<Subject, usize>);

impl Wishes {
    pub(super) fn add(&mut self, wish: Wish) {
        let (subject, waits) = match wish {
            Wish::Starting(cluster, task) => ((cluster, Some(task)), STARTING_WAITS),
            Wish::Running(cluster, task) => ((cluster, Some(task)), RUNNING_WAITS),
            Wish::Cluster(cluster, task) => {
                // If a refresh reads the cluster before, its listing may lack the task.
                self.wait((cluster.clone(), Some(task)), (Instant::now() + CLUSTER_WAITS, 0));
                ((cluster, None), CLUSTER_WAITS)
            }
        };
        self.wait(subject, (Instant::now() + waits, 0));
    }

    fn wait(&mut self, subject: Subject, due: Due) {
        if self.denied.get(&subject).is_some_and(|at| at.elapsed() < DENIED_FOR) {
            return;
        }
        if self.waiting.len() >= MAX_WISHES && !self.waiting.contains_key(&subject) {
            return self.leave();
        }
        let known = self.waiting.entry(subject).or_insert(due);
        if due.0 < known.0 {
            *known = due;
        }
    }

    /// Leaves a wish to the next refresh.
    fn leave(&mut self) {
        self.left = Some(Instant::now());
    }

    /// Whether a wish was left to the next refresh after that moment.
    pub(super) fn are_left_since(&self, moment: Instant) -> bool {
        self.left.is_some_and(|left| left > moment)
    }

    /// When the first one is due. Clusters, and tasks of clusters that are wished for, wait until they `can_be_listed`.
    pub(super) fn due(&self, can_be_listed: bool) -> Option<Instant> {
        let mut unlisted = None;
        let can_be_served = self.waiting.iter().filter(|((cluster, task), _)| {
            // A cluster comes before its tasks.
            unlisted = if task.is_none() { Some(cluster) } else { unlisted };
            can_be_listed || unlisted != Some(cluster)
        });
        can_be_served.map(|(_, (at, _))| *at).min()
    }

    /// Takes all wishes that were not tried yet or are due.
    pub(super) fn take(&mut self, can_be_listed: bool) -> Taken {
        let (now, mut unlisted) = (Instant::now(), None);
        let is_served = |(cluster, task): &Subject, (at, tried): &mut Due| {
            unlisted = if task.is_none() { Some(cluster.clone()) } else { unlisted.take() };
            (can_be_listed || unlisted.as_ref() != Some(cluster)) && (*at <= now || *tried == 0)
        };
        Taken(self.waiting.extract_if(.., is_served).map(|(subject, (_, tried))| (subject, tried)).collect())
    }

    /// Tries again what was not brought, unless it was denied.
    pub(super) fn retry(
        &mut self,
        taken: Taken,
        mut outcome: impl FnMut(&ClusterArn, Option<&TaskArn>) -> Outcome,
    ) {
        for (subject, tried) in taken.0 {
            match (outcome(&subject.0, subject.1.as_ref()), RETRIED_AFTER.get(tried)) {
                (Outcome::Fulfilled, _) => {}
                (Outcome::Failed, Some(pause)) => self.wait(subject, (Instant::now() + *pause, tried + 1)),
                (Outcome::Failed, None) => self.leave(),
                (Outcome::Denied, _) => self.deny(subject),
            }
        }
    }

    /// Leaves a denied subject to refreshes. The next one may read it in another way.
    fn deny(&mut self, subject: Subject) {
        self.leave();
        if self.denied.len() >= MAX_DENIED {
            self.denied.retain(|_, at| at.elapsed() < DENIED_FOR);
        }
        if self.denied.len() < MAX_DENIED {
            self.denied.insert(subject, Instant::now());
        }
    }

    /// Waits again for all that an interrupted errand was to bring.
    pub(super) fn put_back(&mut self, taken: Taken) {
        for (subject, tried) in taken.0 {
            self.wait(subject, (Instant::now(), tried));
        }
    }

    /// Forgets wishes for other clusters, and what was denied: the credentials may be others now.
    pub(super) fn retain(&mut self, is_selected: impl Fn(&ClusterArn) -> bool) {
        self.waiting.retain(|(cluster, _), _| is_selected(cluster));
        self.denied.clear();
    }
}

impl Taken {
    /// For the errand.
    pub(super) fn wishes(&self) -> plan::Wishes {
        let mut wishes = plan::Wishes::default();
        for (cluster, task) in self.0.keys() {
            match task {
                Some(task) => drop(wishes.tasks.entry(cluster.clone()).or_default().insert(task.clone())),
                None => drop(wishes.clusters.insert(cluster.clone())),
            }
        }
        wishes
    }

    /// The clusters of the tasks.
    pub(super) fn clusters(&self) -> BTreeSet<ClusterArn> {
        self.0.keys().map(|(cluster, _)| cluster.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn cluster() -> ClusterArn {
        ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/prod").unwrap()
    }

    fn task(id: u32) -> TaskArn {
        TaskArn::parse(&format!("arn:aws:ecs:eu-west-1:123456789012:task/prod/{id}")).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_runs_waits_shorter_and_takes_the_others_along() {
        let mut wishes = Wishes::default();
        let now = Instant::now();
        wishes.add(Wish::Starting(cluster(), task(1)));
        wishes.add(Wish::Starting(cluster(), task(2)));
        assert_eq!(wishes.due(true), Some(now + STARTING_WAITS));
        wishes.add(Wish::Running(cluster(), task(1)));
        assert_eq!(wishes.due(true), Some(now + RUNNING_WAITS));
        let taken = wishes.take(true).wishes();
        assert_eq!(taken.tasks[&cluster()], BTreeSet::from([task(1), task(2)]));
        assert_eq!(wishes.due(true), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_wish_is_tried_again_after_5_and_30_seconds_and_then_left_to_the_refresh() {
        let mut wishes = Wishes::default();
        wishes.add(Wish::Running(cluster(), task(1)));
        let (mut pauses, began) = (Vec::new(), Instant::now());
        while let Some(due) = wishes.due(true) {
            pauses.push(due - Instant::now());
            advance(due - Instant::now()).await;
            assert!(!wishes.are_left_since(began));
            let taken = wishes.take(true);
            wishes.retry(taken, |_, _| Outcome::Failed);
        }
        assert!(wishes.are_left_since(began) && !wishes.are_left_since(Instant::now()));
        assert_eq!(pauses, [RUNNING_WAITS, RETRIED_AFTER[0], RETRIED_AFTER[1]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_denied_cluster_is_not_asked_for_with_each_event() {
        let mut wishes = Wishes::default();
        let wish = || Wish::Cluster(cluster(), task(1));
        let began = Instant::now();
        advance(Duration::from_secs(1)).await;
        wishes.add(wish());
        let taken = wishes.take(true);
        wishes.retry(taken, |_, task| match task {
            Some(_) => Outcome::Fulfilled,
            None => Outcome::Denied,
        });
        assert!(wishes.are_left_since(began));
        wishes.add(wish());
        assert_eq!(wishes.take(true).wishes().clusters, BTreeSet::new());
        advance(DENIED_FOR).await;
        wishes.add(wish());
        assert_eq!(wishes.take(true).wishes().clusters, BTreeSet::from([cluster()]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_and_its_tasks_wait_until_it_can_be_listed() {
        let mut wishes = Wishes::default();
        let other = ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/test").unwrap();
        wishes.add(Wish::Cluster(cluster(), task(1)));
        assert_eq!((wishes.due(false), wishes.take(false).clusters().len()), (None, 0));
        wishes.add(Wish::Starting(other.clone(), task(2)));
        assert!(wishes.due(false).is_some());
        assert_eq!(wishes.take(false).clusters(), BTreeSet::from([other]));
        let taken = wishes.take(true).wishes();
        assert_eq!(taken.clusters, BTreeSet::from([cluster()]));
        assert_eq!(taken.tasks[&cluster()], BTreeSet::from([task(1)]));
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_limit_and_what_is_beyond_it_is_left_to_the_refresh() {
        let mut wishes = Wishes::default();
        let began = Instant::now();
        advance(Duration::from_secs(1)).await;
        (0..10_000).for_each(|id| wishes.add(Wish::Running(cluster(), task(id))));
        assert!(!wishes.are_left_since(began));
        (0..20_000).for_each(|id| wishes.add(Wish::Running(cluster(), task(id))));
        assert_eq!((wishes.waiting.len(), wishes.are_left_since(began)), (MAX_WISHES, true));
    }
}
