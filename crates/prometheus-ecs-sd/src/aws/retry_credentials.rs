//! Retries refused credentials and signatures.
//!
//! The SDK does not retry them, although the next attempt differs: it is signed with new credentials, if the refused ones
//! were dropped, and with the clock offset that the SDK computed from this answer. (The SDK retries a refused signature
//! only while it believes that the clock is off, which ends when it has corrected the offset.)

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
