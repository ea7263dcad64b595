//! Looks up hosts in EC2 or Systems Manager: one call each, page after page.

use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ecs_discovery::arn::RoleArn;
use ecs_discovery::failure::Failure;
use ecs_discovery::inventory::question::Answer;
use ecs_discovery::model::{Host, InstanceId};

use super::call::Call;
use super::convert::exact;
use super::failure::failure;
use super::json::partial;
use super::operation::{Client, Operation};
use super::pages::Pages;

/// The number of times that batches are halved: enough to find two bad ids in the largest one. Systems Manager allows few
/// calls.
const MAX_SPLITS: usize = 16;

/// The call of a service for hosts.
pub(super) struct HostCall {
    pub(super) call: &'static Call,
    /// The body of the request for these instances, from the page of the token.
    pub(super) request: fn(&[InstanceId], Option<&str>) -> String,
    /// Parses the body of an answer.
    pub(super) read: fn(&[u8]) -> Result<Page, Failure>,
}

/// One page of an answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) hosts: Vec<Host>,
    pub(super) next: Option<String>,
    /// The ids of hosts that cannot be read.
    pub(super) unreadable: Vec<Box<str>>,
}

/// A service that knows hosts, in one source.
pub(super) struct Hosts {
    call: HostCall,
    operation: Operation,
}

impl Hosts {
    pub(super) fn new(client: &Client<'_>, call: HostCall) -> Self {
        Self { operation: client.operation(call.call), call }
    }

    /// The hosts among `instances` that the service knows.
    ///
    /// A bad id fails the whole call: its batch is then requested in halves until the id is alone and counts as unknown.
    /// If there are more bad ids than can be separated, the hosts beside them may be found only by the next question.
    pub(super) async fn known(
        &self,
        instances: &[InstanceId],
        role: Option<&RoleArn>,
    ) -> Result<Answer, Failure> {
        let (mut hosts, mut unreadable) = (Vec::new(), Vec::new());
        let mut batches = vec![instances];
        let (mut splits, mut refusal) = (0, None);
        while let Some(batch) = batches.pop() {
            match self.pages(batch, role).await {
                Ok(found) => {
                    hosts.extend(found.hosts);
                    unreadable.extend(found.unreadable);
                }
                Err(HostsFailure { is_of_an_id: false, failure }) => return Err(failure),
                Err(_) if batch.len() == 1 => {}
                Err(_) if splits < MAX_SPLITS => {
                    splits += 1;
                    let (first, second) = batch.split_at(batch.len() / 2);
                    batches.extend([first, second]);
                }
                Err(HostsFailure { failure, .. }) => refusal = Some(failure),
            }
        }
        match refusal {
            Some(failure) if hosts.is_empty() => Err(failure),
            _ => Ok(partial(self.call.call, Answer::Hosts(exact(hosts)), unreadable)),
        }
    }

    /// All pages of one answer.
    async fn pages(&self, instances: &[InstanceId], role: Option<&RoleArn>) -> Result<Page, HostsFailure> {
        let name = self.call.call.operation;
        let mut all = Page { hosts: Vec::new(), next: None, unreadable: Vec::new() };
        let mut pages = Pages::new(name);
        loop {
            let body = (self.call.request)(instances, pages.token());
            let body = self.operation.send(body).await.map_err(|error| HostsFailure {
                is_of_an_id: error.code().is_some_and(is_of_an_id),
                failure: failure(name, role, &error),
            })?;
            let page = (self.call.read)(body.bytes()).map_err(HostsFailure::other)?;
            all.hosts.extend(page.hosts);
            all.unreadable.extend(page.unreadable);
            if pages.next(page.next).map_err(HostsFailure::other)?.is_none() {
                return Ok(all);
            }
        }
    }
}

struct HostsFailure {
    failure: Failure,
    /// Whether the call may succeed without one of the ids.
    is_of_an_id: bool,
}

impl HostsFailure {
    fn other(failure: Failure) -> Self {
        Self { failure, is_of_an_id: false }
    }
}

/// The error codes of EC2 and Systems Manager for malformed or unknown ids.
fn is_of_an_id(code: &str) -> bool {
    code.starts_with("InvalidInstance")
        || matches!(code, "InvalidFilterValue" | "InvalidParameterValue" | "ValidationException")
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulated::{own, world};
    use super::*;
    use ecs_discovery::inventory::question::Question;
    use ecs_simulator::{Aws, HostKind};

    /// Requests hosts of ECS Anywhere, some with a malformed id, until no more are found; returns the number of found
    /// hosts, and of calls each time.
    async fn found(good: usize, bad: usize) -> (usize, Vec<u64>) {
        let mut world = world();
        let region = world.own("eu-west-1");
        let mut ids: Vec<_> = (0..bad).map(|number| InstanceId::new(&format!("mi-{number}"))).collect();
        for _ in 0..good {
            let host = region.launch_host("prod", HostKind::External);
            let id = region.container_instance(&host).ec2_instance_id.as_deref();
            ids.push(InstanceId::new(id.expect("a registered host")));
        }
        ids.sort();
        let simulated = Aws::new(world);
        let source = own(&simulated).await;
        let (all, mut calls) = (ids.len(), Vec::new());
        while !ids.is_empty() {
            let answer = source.ask(&Question::ExternalInstances { instances: ids.clone() }).await;
            calls.push(simulated.take_ledger().total());
            match answer {
                Ok(Answer::Hosts(hosts)) if !hosts.is_empty() => {
                    ids.retain(|id| hosts.iter().all(|host| host.id != *id));
                }
                _ => break,
            }
        }
        (all - ids.len(), calls)
    }

    #[tokio::test(start_paused = true)]
    async fn ids_that_fail_their_batch_are_separated_from_the_others() {
        assert_eq!(found(60, 0).await, (60, vec![2]));
        for (good, bad) in [(99, 1), (98, 2), (90, 10), (0, 100)] {
            let (known, calls) = found(good, bad).await;
            assert_eq!(known, good, "{bad} bad ones: {calls:?}");
            assert!(calls.iter().all(|calls| *calls <= 2 * MAX_SPLITS as u64 + 2), "{calls:?}");
        }
    }
}
