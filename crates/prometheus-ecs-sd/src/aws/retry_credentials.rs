//! Refused credentials and signatures, tried again.
//!
//! The SDK tries neither again, although the next attempt is another: it is signed with new credentials, if those that
//! AWS refused were given up, and by what this answer has taught of how far the machine's clock is off. (The SDK tries a
//! refused signature again while it believes that the clock is off, which is just when it has been set right.)

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};

use super::failure::Refusal;

#[derive(Debug)]
pub(super) struct RetryCredentials;

impl ClassifyRetry for RetryCredentials {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refusal = context.response().and_then(|response| response.extension::<Refusal>());
        match refusal {
            Some(refusal) if refusal.is_of_credentials() => RetryAction::server_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "RetryCredentials"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::http_status_code_classifier())
    }
}
