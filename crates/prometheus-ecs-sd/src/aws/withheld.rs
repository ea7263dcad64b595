//! The body of a successful answer, withheld from the SDK to be read by this program.
//!
//! The SDK's generic deserializer makes an object of every field of an answer. Where answers are many and large,
//! reading them so costs more than all the rest of a refresh. Everything else of a call stays the SDK's:
//! credentials, signature, endpoint, retries, and the reading of refusals, whose bodies are left alone.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextMut;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;

/// What the SDK reads instead: an answer of any operation that says nothing.
const NOTHING: &str = "{}";

/// An interceptor of one call; a clone is the same one, with which the caller gets at the body.
#[derive(Clone, Default)]
pub(super) struct WithheldBody(Arc<Mutex<Option<SdkBody>>>);

impl WithheldBody {
    /// Calls `read`, once, with the body of the last successful attempt; it is empty where there was none.
    pub(super) fn read<T>(&self, read: impl FnOnce(&[u8]) -> T) -> T {
        let body = self.lock().take();
        // The HTTP client hands no body on that is not in memory.
        read(body.as_ref().and_then(SdkBody::bytes).unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Option<SdkBody>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for WithheldBody {
    fn name(&self) -> &'static str {
        "WithheldBody"
    }

    fn modify_before_deserialization(
        &self,
        context: &mut BeforeDeserializationInterceptorContextMut<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let response = context.response_mut();
        if response.status().is_success() {
            let body = std::mem::replace(response.body_mut(), SdkBody::from(NOTHING));
            *self.lock() = Some(body);
        }
        Ok(())
    }
}

/// Without the body, which may hold secrets.
impl fmt::Debug for WithheldBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithheldBody").finish_non_exhaustive()
    }
}
