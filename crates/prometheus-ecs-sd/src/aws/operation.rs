//! A signed call of a service that has no SDK crate here, through the runtime that the SDK itself uses.
//!
//! Everything but the request's and the answer's shape is the SDK's: the source's credentials and their
//! cache, a signature for each attempt, standard retries with the same classifiers, timeouts, the clock
//! skew correction, the shared HTTP client, the user agent. The parts are those which `aws-sdk-ecs`
//! wires in its `config.rs` and `operation/*.rs`.

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use aws_types::SigningName;
use aws_types::region::SigningRegion;

use super::refused::RefusedCredentials;
use super::{body, endpoint};

/// What tells one call from another.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The service's id in configuration files.
    pub(super) service: &'static str,
    /// The service's name in host names and signatures.
    pub(super) host: &'static str,
    /// AWS's name of the operation.
    pub(super) operation: &'static str,
    /// The protocol's.
    pub(super) content_type: &'static str,
    /// `X-Amz-Target`, of the JSON protocols.
    pub(super) target: Option<&'static str>,
}

/// AWS's no, with its code and message where the body holds them.
#[derive(Debug)]
pub(super) struct Refusal(ErrorMetadata);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Refusal {}

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.0
    }
}

/// The call with the settings of `config`: a request's body goes in, what `read` makes of the answer's comes out.
pub(super) fn operation<A>(
    config: &SdkConfig,
    quota: RetryPartition,
    call: Call,
    read: fn(&[u8]) -> Result<A, BoxError>,
) -> Operation<String, A, Refusal>
where
    A: fmt::Debug + Send + Sync + 'static,
{
    let mut builder = Operation::builder()
        .service_name(call.service)
        .operation_name(call.operation)
        .endpoint_url(&endpoint::url(config, call.service, call.host))
        .with_connection_poisoning()
        .interceptor(StalledStreamProtectionInterceptor::default())
        .interceptor(ServiceClockSkewInterceptor::new())
        .interceptor(RequestInfoInterceptor::new())
        .interceptor(UserAgentInterceptor::new())
        .interceptor(InvocationIdInterceptor::new())
        .retry_classifier(HttpStatusCodeClassifier::default())
        .retry_classifier(TransientErrorClassifier::<Refusal>::new())
        .retry_classifier(AwsErrorCodeClassifier::<Refusal>::new())
        .retry_classifier(ServiceClockSkewClassifier::<Refusal>::new())
        .retry_classifier(RefusedCredentials)
        .runtime_plugin(
            StaticRuntimePlugin::new()
                .with_config(settings(config, quota, call))
                .with_runtime_components(signing(config)),
        );
    if let Some(version) = config.behavior_version() {
        builder = builder.behavior_version(version);
    }
    if let Some(http) = config.http_client() {
        builder = builder.http_client(http);
    }
    if let Some(retries) = config.retry_config() {
        builder = builder.standard_retry(retries);
    }
    if let Some(timeouts) = config.timeout_config() {
        builder = builder.timeout_config(timeouts.clone());
    }
    if let Some(sleep) = config.sleep_impl() {
        builder = builder.sleep_impl(sleep);
    }
    if let Some(time) = config.time_source() {
        builder = builder.time_source(time);
    }
    builder
        .serializer(move |body| request(call, body))
        .deserializer(move |response| answer(response, read))
        .build()
}

fn settings(config: &SdkConfig, quota: RetryPartition, call: Call) -> FrozenLayer {
    let mut layer = Layer::new(call.operation);
    layer.store_put(quota);
    layer.store_put(ApiMetadata::new(call.host, env!("CARGO_PKG_VERSION")));
    layer.store_or_unset(config.app_name().cloned());
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(SigningRegion::from),
        name: Some(SigningName::from_static(call.host)),
        ..SigV4OperationSigningConfig::default()
    });
    layer.freeze()
}

fn signing(config: &SdkConfig) -> RuntimeComponentsBuilder {
    let mut components = RuntimeComponentsBuilder::new("signing")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_identity_cache(config.identity_cache());
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    components
}

fn request(call: Call, body: String) -> Result<HttpRequest, BoxError> {
    let length = body.len().to_string();
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-type", call.content_type)?;
    headers.try_insert("content-length", length)?;
    if let Some(target) = call.target {
        headers.try_insert("x-amz-target", target)?;
    }
    Ok(request)
}

fn answer<A>(
    response: &HttpResponse,
    read: fn(&[u8]) -> Result<A, BoxError>,
) -> Result<A, OrchestratorError<Refusal>> {
    let bytes = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        read(bytes).map_err(OrchestratorError::other)
    } else {
        Err(OrchestratorError::operation(Refusal(body::error(bytes))))
    }
}
