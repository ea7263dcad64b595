//! The questions of a refresh that wait to be asked, by operation.
//!
//! A cluster that fails does not delay or end the refresh of another one: failures are counted per cluster and
//! operation, and clusters that failed at the last refresh are asked about last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::Question;
use ecs_discovery::snapshot::Scope;
use tokio::time::Instant;

/// Questions of one operation that are open at the same time. Those that wait for their turn with AWS hold up no other
/// operation; and an answer of a hundred tasks takes about a megabyte while it is read.
const AT_A_TIME: usize = 8;

/// The part of them that may be about clusters that failed at the last refresh: they may fail by a time-out again.
const FAILING_AT_A_TIME: usize = 4;

/// After so many failures in a row, retries included, an operation is not requested again in this refresh: for the same
/// cluster; for all clusters that failed at the last refresh; or, if it names no cluster, at all. With a time-out each,
/// hundreds of definitions would delay everything else by half an hour.
const GIVE_UP_AFTER: u32 = 16;

/// Once a refresh has taken this long, one failure is enough to leave out all clusters that failed at the last refresh:
/// a new task of another cluster is published at the end of the refresh. A third of the default interval.
const FAILING_WITHIN: Duration = Duration::from_secs(20);

/// Once a refresh has taken this long, an operation that fails for so many clusters in a row is left out for those, too,
/// that did not fail at the last refresh: AWS cannot be reached, and the refresh must end to say so.
const HEALTHY_WITHIN: Duration = Duration::from_secs(60);

/// All waiting questions.
pub(super) struct Waiting {
    begun: Instant,
    /// Why the clusters that failed at the last refresh did so.
    failing: BTreeMap<ClusterArn, String>,
    /// Listings come first (`false` before `true`), since their next pages cannot be requested before.
    operations: BTreeMap<(bool, &'static str), Operation>,
}

/// The waiting questions of one operation, and how such questions fare.
#[derive(Default)]
struct Operation {
    waiting: VecDeque<Question>,
    open: usize,
    /// The same for the clusters that failed at the last refresh.
    failing: Vec<Question>,
    failing_open: Vec<Question>,
    /// Those of them whose last question was answered in this refresh: they are not treated as failing any more.
    recovered: BTreeSet<ClusterArn>,
    failures: BTreeMap<Whose, InARow>,
}

/// Whose failures in a row are counted together.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Cluster(ClusterArn),
    /// All clusters that failed at the last refresh.
    Failing,
    /// All clusters that did not.
    Healthy,
    /// Questions that name no cluster.
    Others,
}

#[derive(Default)]
struct InARow {
    count: u32,
    last: Option<Failure>,
}

impl Waiting {
    /// Nothing waits yet; `scopes` are the results of the last refresh.
    pub(super) fn new(scopes: &BTreeMap<ClusterArn, Scope>) -> Self {
        // A denied cluster is answered at once.
        let failing = scopes.iter().filter(|(_, scope)| !scope.denied);
        let failing = failing.filter_map(|(arn, scope)| Some((arn.clone(), scope.problem()?.to_owned())));
        Self { begun: Instant::now(), failing: failing.collect(), operations: BTreeMap::new() }
    }

    pub(super) fn add(&mut self, question: Question) {
        let is_failing = self.is_failing(&question);
        let operation = self.operation(&question);
        match is_failing {
            true => operation.failing.push(question),
            false => operation.waiting.push_back(question),
        }
    }

    /// What to ask now; or, with a failure, what is not asked.
    pub(super) fn next(&mut self) -> Option<(Question, Option<Failure>)> {
        let question = self.operations.values_mut().find_map(Operation::next)?;
        let given_up = self.given_up(&question);
        Some((question, given_up))
    }

    pub(super) fn done(&mut self, question: &Question, failure: Option<&Failure>) {
        let operation = self.operation(question);
        let failing = operation.failing_open.iter().position(|open| open == question);
        match failing {
            Some(position) => drop(operation.failing_open.swap_remove(position)),
            None => operation.open -= 1,
        }
        let (whose, others) = match cluster(question) {
            Some(cluster) => {
                operation.record(cluster, failure.is_none());
                let all = if failing.is_some() { Whose::Failing } else { Whose::Healthy };
                (Whose::Cluster(cluster.clone()), Some(all))
            }
            None => (Whose::Others, None),
        };
        for whose in [Some(whose), others].into_iter().flatten() {
            match failure.filter(|failure| failure.may_pass()) {
                Some(failure) => {
                    let row = operation.failures.entry(whose).or_default();
                    row.count += 1;
                    row.last = Some(failure.clone());
                }
                None => drop(operation.failures.remove(&whose)),
            }
        }
    }

    /// Why the question is not asked, if so.
    fn given_up(&self, question: &Question) -> Option<Failure> {
        let operation = self.operations.get(&key(question))?;
        let given_up = |whose: &Whose, after: u32| {
            let row = operation.failures.get(whose).filter(|row| row.count >= after)?;
            row.last.clone()
        };
        let Some(cluster) = cluster(question) else { return given_up(&Whose::Others, GIVE_UP_AFTER) };
        let elapsed = self.begun.elapsed();
        given_up(&Whose::Cluster(cluster.clone()), GIVE_UP_AFTER).or_else(|| match self.is_failing(question) {
            true => {
                let message = self.failing.get(cluster)?.clone();
                let after = if elapsed > FAILING_WITHIN { 1 } else { GIVE_UP_AFTER };
                // Its status shows its own problem, not that of another cluster.
                given_up(&Whose::Failing, after).map(|failure| Failure { message, ..failure })
            }
            false if elapsed > HEALTHY_WITHIN => given_up(&Whose::Healthy, GIVE_UP_AFTER).map(|failure| {
                let message = format!(
                    "not requested, since {GIVE_UP_AFTER} requests in a row failed, for other clusters too: {failure}"
                );
                Failure { message, ..failure }
            }),
            false => None,
        })
    }

    fn is_failing(&self, question: &Question) -> bool {
        let has_recovered = |cluster: &ClusterArn| {
            self.operations.get(&key(question)).is_some_and(|operation| operation.recovered.contains(cluster))
        };
        cluster(question).is_some_and(|cluster| self.failing.contains_key(cluster) && !has_recovered(cluster))
    }

    fn operation(&mut self, question: &Question) -> &mut Operation {
        self.operations.entry(key(question)).or_default()
    }
}

impl Operation {
    fn next(&mut self) -> Option<Question> {
        if self.open + self.failing_open.len() >= AT_A_TIME {
            return None;
        }
        if let Some(question) = self.waiting.pop_front() {
            self.open += 1;
            return Some(question);
        }
        if self.failing.is_empty() || self.failing_open.len() >= FAILING_AT_A_TIME {
            return None;
        }
        // In random order: if it is given up, another refresh gets to others.
        let question = self.failing.swap_remove(fastrand::usize(..self.failing.len()));
        self.failing_open.push(question.clone());
        Some(question)
    }

    /// A cluster was answered or not.
    fn record(&mut self, whose: &ClusterArn, is_answered: bool) {
        if !is_answered {
            self.recovered.remove(whose);
        } else if self.recovered.insert(whose.clone()) {
            let is_its = |question: &mut Question| cluster(question) == Some(whose);
            self.waiting.extend(self.failing.extract_if(.., is_its));
        }
    }
}

fn key(question: &Question) -> (bool, &'static str) {
    (!question.is_page(), question.operation())
}

fn cluster(question: &Question) -> Option<&ClusterArn> {
    match question {
        Question::Tasks { cluster, .. }
        | Question::TaskDetails { cluster, .. }
        | Question::ContainerInstances { cluster, .. }
        | Question::Services { cluster, .. } => Some(cluster),
        _ => None,
    }
}
