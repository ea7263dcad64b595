//! One set of credentials in one region, and the clients that are made with it.
//!
//! A session shares connections and the base credentials with the others, and nothing else: its role's credentials and
//! its retry quotas, that of STS included, are its own, so that one account's trouble is not another's. (The SDK's
//! default quota is one per service and region for the whole process.)

use std::sync::Arc;

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime::client::identity::IdentityCache;
use aws_smithy_runtime::client::retries::RetryPartition;
use aws_types::origin::Origin;
use ecs_discovery::arn::RoleArn;

use super::call::{ASSUME_ROLE, GET_CALLER_IDENTITY, Service};
use super::credentials::KeptCredentials;
use super::endpoint::ServiceEndpoint;
use super::operation::Client;
use super::rate_limited::Metering;
use super::rate_limits::Buckets;
use super::retry_credentials::RetryCredentials;
use super::role::AssumedRole;
use super::signing::NotingAuthScheme;
use super::sts::StsRegions;
use super::{Aws, SourceSpec};

/// One account in one region. A clone has the same credentials.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) role: Option<RoleArn>,
    pub(super) region: String,
    /// Called with the base credentials: to assume the role, or, without one, for the account's id.
    pub(super) sts: aws_sdk_sts::Client,
    pub(super) sts_regions: StsRegions,
    config: SdkConfig,
    metering: Metering,
}

impl Session {
    pub(super) fn new(aws: &Aws, spec: SourceSpec, buckets: Arc<Buckets>) -> Self {
        let SourceSpec { role, external_id, session_name, region } = spec;
        // Credentials are kept separately, and a second cache would make them stale for longer.
        let base = aws.config.to_builder().region(Region::new(region.clone()));
        let base = base.identity_cache(IdentityCache::no_cache()).build();
        let metering = |credentials| {
            let (buckets, metrics) = (buckets.clone(), aws.metrics.clone());
            Metering { buckets, credentials, metrics }
        };
        let call = if role.is_some() { &ASSUME_ROLE } else { &GET_CALLER_IDENTITY };
        let http = base.http_client().map(|http| metering(aws.base.clone()).client(http, call));
        let quota = quota(&call.service, &region, role.as_ref());
        let mut sts = aws_sdk_sts::config::Builder::from(&base).retry_partition(quota);
        sts.set_http_client(http);
        let sts = sts.push_auth_scheme(NotingAuthScheme::default()).retry_classifier(RetryCredentials);
        let sts = aws_sdk_sts::Client::from_conf(sts.build());
        let sts_regions = aws.sts_regions(&region);
        let credentials = role.as_ref().map_or_else(
            || aws.base.clone(),
            |role| {
                let assumed = AssumedRole::new(&sts, sts_regions.clone(), role, external_id, session_name);
                let assumed = SharedCredentialsProvider::new(assumed);
                let clock = base.time_source().unwrap_or_default();
                let kept = KeptCredentials::new(assumed, clock, role.as_str(), aws.reloads.clone());
                kept.count_failures(aws.metrics.credential_failures(Some(role.account())));
                Some(kept)
            },
        );
        let metering = metering(credentials.clone());
        let mut config = base.into_builder();
        config.set_credentials_provider(credentials.map(SharedCredentialsProvider::new));
        Self { role, region, sts, sts_regions, config: config.build(), metering }
    }

    /// The same with this endpoint for every service but STS, whatever the settings for FIPS and dual-stack endpoints:
    /// these choose among the endpoints of AWS.
    pub(super) fn at(&self, endpoint: &str) -> Self {
        let config = self.config.to_builder().endpoint_url(endpoint);
        let mut config = config.use_fips(false).use_dual_stack(false);
        // Otherwise an endpoint in the environment or in the profile wins.
        config.insert_origin("endpoint_url", Origin::shared_config());
        Self { config: config.build(), ..self.clone() }
    }

    /// A client of a service.
    pub(super) fn client(&self, service: &'static Service) -> Client<'_> {
        let quota = quota(service, &self.region, self.role.as_ref());
        Client::new(&self.config, &self.metering, service, quota)
    }

    /// Where a service is.
    pub(super) fn endpoint(&self, service: &Service) -> ServiceEndpoint {
        ServiceEndpoint::new(&self.config, service)
    }
}

/// The retry quota of a service.
fn quota(service: &Service, region: &str, role: Option<&RoleArn>) -> RetryPartition {
    let role = role.map_or("", RoleArn::as_str);
    RetryPartition::custom(format!("{} {region} {role}", service.name)).build()
}
