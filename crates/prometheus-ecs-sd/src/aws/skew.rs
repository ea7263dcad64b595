//! Refused signatures, tried again.
//!
//! The SDK learns from each answer how far the machine's clock is off, signs by that, and tries a refused signature again
//! as long as it is off. When the clock has just been set right, what was learned is wrong: the request is refused, and
//! not tried again, although another attempt would be signed by what this answer has taught.

use aws_smithy_runtime_api::client::interceptors::context::InterceptorContext;
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority,
};

use super::body;

/// What AWS says of a signature of another time, and of a wrong one. (`AuthFailure` is EC2's.)
const REFUSALS: [&str; 3] = ["AuthFailure", "InvalidSignatureException", "SignatureDoesNotMatch"];

#[derive(Debug)]
pub(super) struct RefusedSignature;

impl ClassifyRetry for RefusedSignature {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refused = context.response().filter(|response| response.status().is_client_error());
        let error = refused.and_then(|response| response.body().bytes()).map(body::error);
        match error.as_ref().and_then(|error| error.code()) {
            Some(code) if REFUSALS.contains(&code) => RetryAction::server_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "RefusedSignature"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::http_status_code_classifier())
    }
}
