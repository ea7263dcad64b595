//! A signed call, sent through the runtime that AWS's SDK itself uses.
//!
//! Everything but the request's and the answer's shape is the SDK's: the source's credentials and their
//! cache, a signature for each attempt, standard retries with the same classifiers, timeouts, the clock
//! skew correction, the shared HTTP client, the user agent. The parts are those which an SDK crate of a service
//! wires in its `config.rs` and `operation/*.rs`.

use std::fmt;

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::SCHEME_ID;
use aws_runtime::invocation_id::InvocationIdInterceptor;
use aws_runtime::request_info::RequestInfoInterceptor;
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_runtime::service_clock_skew::{ServiceClockSkewClassifier, ServiceClockSkewInterceptor};
use aws_runtime::user_agent::{ApiMetadata, UserAgentInterceptor};
use aws_smithy_runtime::client::http::connection_poisoning::ConnectionPoisoningInterceptor;
use aws_smithy_runtime::client::orchestrator::operation::Operation as Invocation;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_smithy_runtime::client::retries::classifiers::{HttpStatusCodeClassifier, TransientErrorClassifier};
use aws_smithy_runtime::client::stalled_stream_protection::StalledStreamProtectionInterceptor;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::endpoint::{EndpointResolverParams, SharedEndpointResolver};
use aws_smithy_runtime_api::client::interceptors::{Intercept, SharedInterceptor};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::{SharedRuntimePlugin, StaticRuntimePlugin};
use aws_smithy_runtime_api::client::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::{FrozenLayer, Layer};
use aws_types::SigningName;
use aws_types::region::SigningRegion;

use super::call::{Call, Service};
use super::endpoint::ServiceEndpoint;
use super::failure::Refusal;
use super::rate_limited::Metering;
use super::retry_credentials::RetryCredentials;
use super::signing::NotingAuthScheme;

/// One service of a source. Its operations share the retry quota and what is known of the machine's clock.
pub(super) struct Client<'a> {
    config: &'a SdkConfig,
    metering: &'a Metering,
    service: &'static Service,
    plugin: SharedRuntimePlugin,
}

impl<'a> Client<'a> {
    pub(super) fn new(
        config: &'a SdkConfig,
        metering: &'a Metering,
        service: &'static Service,
        quota: RetryPartition,
    ) -> Self {
        let plugin = StaticRuntimePlugin::new()
            .with_config(settings(config, service, quota))
            .with_runtime_components(components(config, ServiceEndpoint::new(config, service)));
        Self { config, metering, service, plugin: SharedRuntimePlugin::new(plugin) }
    }

    /// Prepares one of the service's calls.
    pub(super) fn operation(&self, call: &'static Call) -> Operation {
        let Self { config, .. } = self;
        let mut builder = Invocation::builder()
            .service_name(self.service.id)
            .operation_name(call.operation)
            .runtime_plugin(self.plugin.clone());
        if let Some(version) = config.behavior_version() {
            builder = builder.behavior_version(version);
        }
        if let Some(http) = config.http_client() {
            builder = builder.http_client(self.metering.client(http, call));
        }
        if let Some(retries) = config.retry_config() {
            builder = builder.standard_retry(&retries.clone().with_max_attempts(call.attempts.most));
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
        let invocation = builder
            .serializer(move |body: Body| request(call, body))
            .deserializer(|response: &HttpResponse| answer(response))
            .build();
        Operation { call, invocation }
    }
}

/// A call that is ready to be sent. A clone is the same one.
#[derive(Clone)]
pub(super) struct Operation {
    pub(super) call: &'static Call,
    invocation: Invocation<Body, Body, Refusal>,
}

impl Operation {
    /// Sends a request with this body, with the SDK's retries. Returns the body of the answer.
    pub(super) async fn send(&self, body: String) -> Result<Body, SdkError<Refusal, HttpResponse>> {
        self.invocation.invoke(Body(SdkBody::from(body))).await
    }
}

/// A body in memory.
pub(super) struct Body(SdkBody);

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        self.0.bytes().unwrap_or_default()
    }
}

/// Without its content, which may be secret.
impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").finish_non_exhaustive()
    }
}

fn settings(config: &SdkConfig, service: &Service, quota: RetryPartition) -> FrozenLayer {
    let mut layer = Layer::new(service.id);
    layer.store_put(quota);
    layer.store_put(ApiMetadata::new(service.name, env!("CARGO_PKG_VERSION")));
    layer.store_or_unset(config.app_name().cloned());
    if service.has_long_polls {
        layer.store_put(StalledStreamProtectionConfig::disabled());
    }
    layer.store_put(AuthSchemeOptionResolverParams::new(()));
    layer.store_put(EndpointResolverParams::new(()));
    layer.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(SigningRegion::from),
        name: Some(SigningName::from_static(service.name)),
        ..SigV4OperationSigningConfig::default()
    });
    layer.freeze()
}

fn components(config: &SdkConfig, endpoint: ServiceEndpoint) -> RuntimeComponentsBuilder {
    fn shared(interceptor: impl Intercept + 'static) -> SharedInterceptor {
        SharedInterceptor::permanent(interceptor)
    }
    let mut components = RuntimeComponentsBuilder::new("client")
        .with_interceptor(shared(ConnectionPoisoningInterceptor::new()))
        .with_interceptor(shared(StalledStreamProtectionInterceptor::default()))
        .with_interceptor(shared(ServiceClockSkewInterceptor::new()))
        .with_interceptor(shared(RequestInfoInterceptor::new()))
        .with_interceptor(shared(UserAgentInterceptor::new()))
        .with_interceptor(shared(InvocationIdInterceptor::new()))
        .with_retry_classifier(HttpStatusCodeClassifier::default())
        .with_retry_classifier(TransientErrorClassifier::<Refusal>::new())
        .with_retry_classifier(AwsErrorCodeClassifier::<Refusal>::new())
        .with_retry_classifier(ServiceClockSkewClassifier::<Refusal>::new())
        .with_retry_classifier(RetryCredentials)
        .with_auth_scheme(NotingAuthScheme::default())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_identity_cache(config.identity_cache())
        .with_endpoint_resolver(Some(SharedEndpointResolver::new(endpoint)));
    if let Some(credentials) = config.credentials_provider() {
        components.set_identity_resolver(SCHEME_ID, credentials);
    }
    components
}

fn request(call: &Call, Body(body): Body) -> Result<HttpRequest, BoxError> {
    let length = body.bytes().map_or(0, <[u8]>::len).to_string();
    let mut request = HttpRequest::new(body);
    request.set_method("POST")?;
    request.set_uri("/")?;
    let headers = request.headers_mut();
    headers.try_insert("content-length", length)?;
    headers.try_insert("content-type", call.service.content_type)?;
    if let Some(target) = call.target {
        headers.try_insert("x-amz-target", target)?;
    }
    Ok(request)
}

/// The body as it is, which is shared and not copied: only who asked knows what to make of it.
fn answer(response: &HttpResponse) -> Result<Body, OrchestratorError<Refusal>> {
    match response.extension::<Refusal>() {
        Some(refusal) => Err(OrchestratorError::operation(refusal.clone())),
        None => Ok(Body(response.body().try_clone().unwrap_or_else(SdkBody::empty))),
    }
}
