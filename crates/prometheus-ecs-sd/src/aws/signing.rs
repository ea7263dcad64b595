//! AWS signatures, version 4, and the access key of each.

use aws_credential_types::Credentials;
use aws_runtime::auth::sigv4::SigV4AuthScheme;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::auth::{AuthScheme, AuthSchemeEndpointConfig, AuthSchemeId, Sign};
use aws_smithy_runtime_api::client::identity::{Identity, SharedIdentityResolver};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{GetIdentityResolver, RuntimeComponents};
use aws_smithy_types::config_bag::ConfigBag;

/// The access key of a signed request, as an extension of the request. It identifies the credentials to drop when AWS
/// refuses the request.
#[derive(Clone, Debug)]
pub(super) struct SignedWith(pub(super) String);

/// The SDK's own scheme, with a signer that records the access key on the request.
#[derive(Debug, Default)]
pub(super) struct NotingAuthScheme(NotingSigner);

#[derive(Debug, Default)]
struct NotingSigner(SigV4AuthScheme);

impl AuthScheme for NotingAuthScheme {
    fn scheme_id(&self) -> AuthSchemeId {
        self.0.0.scheme_id()
    }

    fn identity_resolver(&self, resolvers: &dyn GetIdentityResolver) -> Option<SharedIdentityResolver> {
        self.0.0.identity_resolver(resolvers)
    }

    fn signer(&self) -> &dyn Sign {
        &self.0
    }
}

impl Sign for NotingSigner {
    fn sign_http_request(
        &self,
        request: &mut HttpRequest,
        identity: &Identity,
        endpoint: AuthSchemeEndpointConfig<'_>,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.signer().sign_http_request(request, identity, endpoint, components, config)?;
        if let Some(credentials) = identity.data::<Credentials>() {
            request.add_extension(SignedWith(credentials.access_key_id().to_owned()));
        }
        Ok(())
    }
}
