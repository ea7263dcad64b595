//! Assumes a role with STS on each load; `credentials` caches the result.
//!
//! The SDK's provider does not accept a retry quota of the caller: all roles of a region would share one, and a role that
//! cannot be assumed would use up the retries of the others.

use std::fmt;
use std::time::SystemTime;

use aws_credential_types::Credentials;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{self, ProvideCredentials, future};
use aws_sdk_sts::operation::assume_role::builders::AssumeRoleFluentBuilder;
use ecs_discovery::arn::RoleArn;

use super::APPLICATION;
use super::sts::StsRegions;

/// A role, the client that may assume it, and the region of STS.
pub(super) struct AssumedRole {
    call: AssumeRoleFluentBuilder,
    regions: StsRegions,
}

impl AssumedRole {
    pub(super) fn new(
        sts: &aws_sdk_sts::Client,
        regions: StsRegions,
        role: &RoleArn,
        external_id: Option<String>,
        session_name: Option<String>,
    ) -> Self {
        let session_name = session_name.unwrap_or_else(|| APPLICATION.to_owned());
        let call = sts.assume_role().role_arn(role.as_str()).role_session_name(session_name);
        Self { call: call.set_external_id(external_id), regions }
    }

    /// For an hour, which every role allows.
    async fn credentials(&self) -> provider::Result {
        let ask = |region| {
            let config = aws_sdk_sts::Config::builder().region(region);
            self.call.clone().customize().config_override(config).send()
        };
        let answer = self.regions.ask(ask).await.map_err(CredentialsError::provider_error)?;
        let given = answer
            .credentials
            .ok_or_else(|| CredentialsError::unhandled("the answer of sts:AssumeRole holds none"))?;
        let expiry = SystemTime::try_from(given.expiration).map_err(CredentialsError::unhandled)?;
        Ok(Credentials::new(
            given.access_key_id,
            given.secret_access_key,
            Some(given.session_token),
            Some(expiry),
            "AssumedRole",
        ))
    }
}

impl ProvideCredentials for AssumedRole {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(self.credentials())
    }
}

impl fmt::Debug for AssumedRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssumedRole").field("role", self.call.get_role_arn()).finish_non_exhaustive()
    }
}
