//! Hosts, from whichever service knows them: one hand-made call each, page after page.

use aws_config::SdkConfig;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime_api::box_error::BoxError;
use ecs_discovery::arn::RoleArn;
use ecs_discovery::inventory::question::Failure;
use ecs_discovery::model::{Host, InstanceId};

use super::convert::exact;
use super::failure::failure;
use super::operation::{Call, Refusal, operation};
use super::pages::Pages;

/// How a service is asked for hosts.
pub(super) struct HostCall {
    pub(super) call: Call,
    /// The body that asks for these instances, from the page that the token names.
    pub(super) request: fn(&[InstanceId], Option<&str>) -> String,
    /// What a body says.
    pub(super) read: fn(&[u8]) -> Result<Page, BoxError>,
}

/// One page of an answer.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) hosts: Vec<Host>,
    pub(super) next: Option<String>,
}

/// A service that knows hosts, in one source.
pub(super) struct Hosts {
    call: HostCall,
    operation: Operation<String, Page, Refusal>,
}

impl Hosts {
    pub(super) fn new(config: &SdkConfig, quota: RetryPartition, call: HostCall) -> Self {
        Self { operation: operation(config, quota, call.call, call.read), call }
    }

    /// Those of the `instances` that the service knows.
    pub(super) async fn known(
        &self,
        instances: &[InstanceId],
        role: Option<&RoleArn>,
    ) -> Result<Vec<Host>, Failure> {
        let name = self.call.call.operation;
        let mut hosts = Vec::new();
        let mut pages = Pages::new(name);
        loop {
            let body = (self.call.request)(instances, pages.token());
            let page = self.operation.invoke(body).await;
            let page = page.map_err(|error| failure(name, role, &error))?;
            hosts.extend(page.hosts);
            if pages.turn(page.next)?.is_none() {
                return Ok(exact(hosts));
            }
        }
    }
}
