//! Runs an errand: the requests for what events told of, beside a refresh or without one.

use std::collections::BTreeSet;

use ecs_discovery::arn::TaskArn;
use ecs_discovery::failure::{Failure, FailureKind};
use ecs_discovery::inventory::plan::{Errand, Found};
use ecs_discovery::inventory::question::{Answer, Question};
use ecs_discovery::snapshot::Scope;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tracing::debug;

use super::actor::{Actor, Known};
use super::waiting::Waiting;
use super::wishes::{Outcome, Taken};

/// A request, its answer, and the permit for the memory that the answer takes.
pub(super) type Answered = (Question, Result<Answer, Failure>, Option<OwnedSemaphorePermit>);

/// The requests of a plan that are open.
pub(super) type Open = FuturesUnordered<BoxFuture<'static, Answered>>;

/// An errand in progress.
pub(super) struct ErrandRun {
    errand: Errand,
    waiting: Waiting,
    open: Open,
    taken: Taken,
    /// Whether a request failed, so that a task may be unknown for that reason.
    failed: bool,
    /// The ids of clusters and tasks that are denied.
    denied: BTreeSet<Box<str>>,
}

impl ErrandRun {
    /// What it was to bring, if it is interrupted.
    pub(super) fn into_taken(self) -> Taken {
        self.taken
    }
}

/// Waits for the next answer. Cancellation-safe.
pub(super) async fn next(run: &mut Option<ErrandRun>) -> Answered {
    match run {
        Some(run) => match run.open.next().await {
            Some(answered) => answered,
            None => std::future::pending().await,
        },
        None => std::future::pending().await,
    }
}

impl Actor {
    /// When the next errand is due. There is one at a time.
    pub(super) fn errand_due(&self) -> Option<Instant> {
        self.errand.is_none().then(|| self.wishes.due(self.run.is_none())).flatten()
    }

    pub(super) fn begin_errand(&mut self) {
        let taken = self.wishes.take(self.run.is_none());
        let selection = self.spec.clusters.within(self.known.account.as_deref(), self.spec.region());
        let now = self.settings.clock.now();
        let errand = Errand::begin(&mut self.known.inventory, selection, taken.wishes(), now);
        let (waiting, open) = (Waiting::new(&self.known.scopes), Open::new());
        self.errand =
            Some(ErrandRun { errand, waiting, open, taken, failed: false, denied: BTreeSet::new() });
        self.proceed_with_errand();
    }

    pub(super) fn take_errand_answer(&mut self, (question, answer, permit): Answered) {
        let Some(run) = &mut self.errand else { return };
        run.waiting.done(&question, answer.as_ref().err());
        let inventory = &mut self.known.inventory;
        match answer {
            Ok(answer) => run.errand.answered(inventory, question, answer),
            Err(error) => {
                debug!(source = %self.spec.name, operation = question.operation(), %error, "request failed");
                run.failed = true;
                if error.kind == FailureKind::Denied {
                    run.denied.extend(only_id(&question).map(Box::from));
                }
                run.errand.failed(inventory, question, error);
            }
        }
        drop(permit);
        self.proceed_with_errand();
    }

    /// Sends the requests that can be sent now. If none is left, the errand ends.
    fn proceed_with_errand(&mut self) {
        let Some(run) = &mut self.errand else { return };
        run.errand.questions(&mut self.known.inventory).into_iter().for_each(|one| run.waiting.add(one));
        while let Some((question, given_up)) = run.waiting.next() {
            run.open.push(super::run::ask(&self.spec, &self.answers, question, given_up));
        }
        // Each answer may complete a task.
        self.dirty.extend(run.taken.clusters());
        if !run.open.is_empty() {
            return;
        }
        let Some(ErrandRun { errand, taken, failed, denied, .. }) = self.errand.take() else { return };
        let found = errand.finish(&mut self.known.inventory, &self.settings.rules);
        for (cluster, Found { scope, is_whole }) in found {
            let is_published = self.known.scopes.get(&cluster).is_some_and(Scope::is_known);
            if !is_published && scope.is_known() {
                self.unpublished.found(&cluster, is_whole);
                self.dirty.insert(cluster.clone());
                self.known.scopes.insert(cluster, scope);
            }
        }
        let now = self.settings.clock.now();
        let Known { inventory, scopes, .. } = &mut self.known;
        self.wishes.retry(taken, |cluster, task| {
            let is_missing = match task {
                Some(task) => inventory.lacks(cluster, task, now).unwrap_or(failed),
                None => !scopes.get(cluster).is_some_and(Scope::is_known),
            };
            match is_missing {
                false => Outcome::Fulfilled,
                true if denied.contains(task.map_or(cluster.as_str(), TaskArn::as_str)) => Outcome::Denied,
                true => Outcome::Failed,
            }
        });
    }
}

/// The cluster or the task, if a request is for a single one. Of a denied batch it is not known which ones are denied.
fn only_id(question: &Question) -> Option<&str> {
    match (question, &question.ids()[..]) {
        (Question::Tasks { cluster, .. }, _) => Some(cluster.as_str()),
        (_, [id]) => Some(id),
        _ => None,
    }
}
