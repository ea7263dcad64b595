//! The bound on answers in memory, over all sources.

use std::sync::Arc;

use ecs_discovery::inventory::question::Question;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Large answers that are read or taken in at the same time, over all sources: a description of a hundred tasks takes
/// about a megabyte.
const AT_A_TIME: usize = 16;

/// Limits the large answers in memory.
#[derive(Clone, Debug)]
pub(super) struct AnswerLimit {
    shared: Arc<Semaphore>,
    /// One answer of the source itself: sources whose requests time out do not stop the others.
    own: Arc<Semaphore>,
}

impl Default for AnswerLimit {
    fn default() -> Self {
        Self { shared: Arc::new(Semaphore::new(AT_A_TIME)), own: Arc::new(Semaphore::new(1)) }
    }
}

impl AnswerLimit {
    /// The limit for another source.
    pub(super) fn of_source(&self) -> Self {
        Self { shared: self.shared.clone(), own: Arc::new(Semaphore::new(1)) }
    }

    /// Waits until the answer to this question may be read. It may be in memory until the permit is dropped.
    pub(super) async fn permit(&self, question: &Question) -> Option<OwnedSemaphorePermit> {
        let is_large = matches!(
            question,
            Question::TaskDetails { .. }
                | Question::ContainerInstances { .. }
                | Question::Services { .. }
                | Question::Ec2Instances { .. }
                | Question::ExternalInstances { .. }
        );
        if !is_large {
            return None;
        }
        let permit = tokio::select! {
            biased;
            permit = self.shared.clone().acquire_owned() => permit,
            permit = self.own.clone().acquire_owned() => permit,
        };
        Some(permit.expect("the semaphores are never closed"))
    }
}

#[cfg(test)]
mod tests {
    use ecs_discovery::model::InstanceId;
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn answers_are_bounded_over_all_sources_and_one_source_does_not_stop_another() {
        let hosts = || Question::Ec2Instances { instances: vec![InstanceId::new("i-1")] };
        let limit = AnswerLimit::default();
        let [first, second] = [limit.of_source(), limit.of_source()];
        let permits = |limit: &AnswerLimit| {
            let permit = || limit.permit(&hosts()).now_or_never().flatten();
            std::iter::from_fn(permit).collect::<Vec<_>>()
        };
        let stalled = permits(&first);
        assert_eq!(stalled.len(), AT_A_TIME + 1);
        assert_eq!(permits(&second).len(), 1);
        // Pages are small.
        assert!(second.permit(&Question::Clusters { page: None }).now_or_never().is_some());
        drop(stalled);
        assert_eq!(permits(&second).len(), AT_A_TIME + 1);
    }
}
