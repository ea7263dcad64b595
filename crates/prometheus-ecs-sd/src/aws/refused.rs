//! Refused credentials and signatures, tried again.
//!
//! The SDK tries neither again, although the next attempt is another: it is signed with new credentials, if those that
//! AWS refused were given up, and by what this answer has taught of how far the machine's clock is off. (The SDK tries a
//! refused signature again while it believes that the clock is off, which is just when it has been set right.)

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};
use ecs_discovery::inventory::question::FailureKind;

use super::{body, failure};

#[derive(Debug)]
pub(super) struct RefusedCredentials;

impl ClassifyRetry for RefusedCredentials {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| response.status().is_client_error());
        let kind = refused.map(|response| {
            let error = body::error(response.body().bytes().unwrap_or_default());
            // No operation has a name of its own for this.
            failure::kind("", &error, response.status().as_u16())
        });
        match kind {
            Some(FailureKind::NoCredentials) => RetryAction::server_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "RefusedCredentials"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::http_status_code_classifier())
    }
}
