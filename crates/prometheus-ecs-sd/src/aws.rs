//! Asks AWS the core's [questions](Question): credentials, endpoints, requests, retries, errors.
//!
//! Only this room names types of the AWS SDK. It decides nothing about targets and caches no answer: one question is one
//! operation. `rate_limits` limits the number of requests, retries included.
//!
//! Every call is a row of one table (`call`), with its own types of request and answer, and is sent through the Smithy
//! runtime that the SDK itself uses (`operation`). Of the SDK's service crates only that of STS is used, which
//! `aws-config` needs as well: compiling `aws-sdk-ec2` takes 8 GB of memory, and `aws-sdk-ecs` 1.8 GB.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{AppName, BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_async::rt::sleep::{SharedAsyncSleep, TokioSleep};
use aws_smithy_async::time::{SharedTimeSource, SystemTimeSource};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use aws_types::os_shim_internal::Env;
use ecs_discovery::arn::RoleArn;
#[cfg(doc)]
use ecs_discovery::inventory::question::Question;

use crate::clock::Clock;
use crate::config::{self, ConfigErrors, QueueAddress, Share};
use crate::telemetry::metrics::Metrics;
use chain::{Chain, MissingProfile};
use credentials::{KeptCredentials, Reloads};
use environment::is_url;
use rate_limits::RateLimits;
use session::Session;
use sts::StsRegions;
use trust::Trusting;

mod call;
mod chain;
mod convert;
mod credentials;
mod ec2;
mod ecs;
mod endpoint;
mod environment;
mod error_document;
mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod hosts;
mod http;
mod json;
mod operation;
mod pages;
mod queue;
mod rate_limited;
mod rate_limits;
mod retry_credentials;
mod role;
mod session;
mod signing;
mod source;
mod ssm;
mod sts;
#[cfg(test)]
mod tests;
mod trust;
mod wire;

pub use convert::event::{Notice, TaskNotice};
pub use convert::file::{NotADefinition, task_definition};
pub use environment::Environment;
pub(crate) use environment::is_blank;
pub use queue::{Message, Queue, Receipt};
pub use rate_limits::BucketStatus;
pub use source::Source;

/// The name in AWS's logs of the calls: of the role session and of the user agent's application.
const APPLICATION: &str = "prometheus-ecs-sd";

/// The SDK's own default, which is set again because other settings here replace all timeouts of the SDK. The
/// first retransmission of a lost SYN comes after 1 s, the second after 3 s.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3100);

/// For one attempt, from sending it to the last byte of the answer. A page of a hundred tasks takes well under a second;
/// AWS's own back ends time out after some seconds, so that a later answer is not expected.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

/// For all attempts, the pauses between them, and their waiting for a token. An attempt is signed before it waits, and AWS
/// accepts no signature older than five minutes
/// (<https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_aws-signing.html>). The SDK
/// mistakes the waiting for a slow connection and sets its clock wrong by up to half of it, which AWS accepts too.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(4 * 60);

/// The SDK's standard number. More would only add load while AWS fails: the next refresh is the better retry.
const ATTEMPTS: u32 = 3;

/// The services that the program calls, for credentials too, by their ids in configuration files.
const SERVICES: [&str; 7] = ["ECS", "EC2", "SQS", "SSM", "STS", "SSO", "SSO OIDC"];

/// One account in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceSpec {
    /// The role to assume; `None` for the account of the credentials in the environment.
    pub role: Option<RoleArn>,
    /// The `sts:ExternalId` that the role's trust policy requires.
    pub external_id: Option<String>,
    /// The name of the session in the account's logs; `None` for the program's name.
    pub session_name: Option<String>,
    /// The region of the clusters.
    pub region: String,
}

/// The shared parts of all sources: settings, base credentials, the HTTP client with its connections, and rate limits.
#[derive(Clone)]
pub struct Aws {
    config: SdkConfig,
    base: Option<KeptCredentials>,
    reloads: Reloads,
    /// The client over TLS; `None` with another HTTP client.
    trusting: Option<Trusting>,
    /// One for each partition.
    sts: Vec<StsRegions>,
    limits: Arc<RateLimits>,
    metrics: Metrics,
    /// The selected profile, if no file contains it.
    missing_profile: Option<Arc<MissingProfile>>,
}

impl Aws {
    /// Reads the environment and the configuration files as every AWS program does: profiles, SSO,
    /// `credential_process`, web identity, the task's role, the instance's role.
    ///
    /// Without `http` the SDK's own client is used, which honours the proxy variables. An invalid value in the files is
    /// a mistake. A profile that cannot be found is a warning: its credentials may not be needed here.
    pub async fn load(
        http: Option<SharedHttpClient>,
        environment: &Environment,
    ) -> Result<Self, ConfigErrors> {
        let (http, trusting) = match http {
            Some(http) => (http, None),
            None => {
                let trusting = Trusting::system();
                (SharedHttpClient::new(trusting.clone()), Some(trusting))
            }
        };
        let http = http::bounded(http);
        let config = loader(http.clone(), environment.for_aws()).load().await;
        check(&config)?;
        let environment = environment.for_aws();
        let missing_profile = MissingProfile::of(&environment).await.map(Arc::new);
        missing_profile.as_ref().inspect(|missing| missing.warn(&environment));
        chain::warn_of_default_profile(&environment);
        let chain = Chain::new(http, environment, config.region().cloned());
        let mut builder = config.to_builder().credentials_provider(SharedCredentialsProvider::new(chain));
        if config.app_name().is_none() {
            builder.set_app_name(Some(AppName::new(APPLICATION).expect("the name is valid")));
        }
        Ok(Self { trusting, missing_profile, ..Self::sharing(builder.build()) })
    }

    /// Reads no settings of the machine: `http` answers all requests, which this access key signs.
    pub fn isolated(http: SharedHttpClient, region: &str, access_key: &str, secret_key: &str) -> Self {
        let credentials = Credentials::new(access_key, secret_key, None, None, "isolated");
        let config = SdkConfig::builder()
            .behavior_version(behavior())
            .http_client(http::bounded(http))
            .region(Region::new(region.to_owned()))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .retry_config(retries())
            .timeout_config(timeouts())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .time_source(SharedTimeSource::new(SystemTimeSource::new()))
            .build();
        Self::sharing(config)
    }

    /// Caches the base credentials for all sources.
    fn sharing(config: SdkConfig) -> Self {
        let clock = config.time_source().unwrap_or_default();
        let reloads = Reloads::default();
        let base = config.credentials_provider();
        let base = base.map(|base| KeptCredentials::new(base, clock, "own account", reloads.clone()));
        let mut builder = config.into_builder();
        builder.set_credentials_provider(base.clone().map(SharedCredentialsProvider::new));
        let limits = Arc::new(RateLimits::new(Share::default()));
        let metrics = Metrics::new(Clock::new());
        let config = builder.build();
        let (trusting, sts, missing_profile) = (None, Vec::new(), None);
        let aws = Self { config, base, reloads, trusting, sts, limits, metrics, missing_profile };
        aws.with_sts(None, [])
    }

    /// Calls STS in `chosen`, else in the region that the environment names, else in the first of `configured` that is
    /// usable. Sources in another partition than that region use the first usable of `configured` too.
    pub fn with_sts<'a>(self, chosen: Option<&str>, configured: impl IntoIterator<Item = &'a str>) -> Self {
        let sts = StsRegions::by_partition(chosen.into_iter().chain(self.default_region()), configured);
        Self { sts, ..self }
    }

    /// The regions in which STS is called for a source in this region.
    fn sts_regions(&self, region: &str) -> StsRegions {
        let regions = self.sts.iter().find(|regions| regions.are_of_partition(region));
        regions.cloned().unwrap_or_else(|| StsRegions::one(region))
    }

    /// Uses this share of AWS's request limits instead of the default.
    pub fn with_share(self, share: Share) -> Self {
        Self { limits: Arc::new(RateLimits::new(share)), ..self }
    }

    /// Counts the requests of sources in `metrics`.
    pub fn with_metrics(self, metrics: Metrics) -> Self {
        if let Some(base) = &self.base {
            base.count_failures(metrics.credential_failures(None));
        }
        Self { metrics, ..self }
    }

    /// Uses this share for sources that are created from now on.
    pub fn draw(&self, share: Share) {
        self.limits.draw(share);
    }

    /// Reads credentials again before their next use, and the certificate authorities: other processes may renew both.
    /// The region of the environment is read only at the start.
    pub fn read_again(&self) {
        self.reloads.add();
        self.trusting.as_ref().map(Trusting::read_again);
    }

    /// The status of the rate limits of each account and region with a source.
    pub fn bucket_statuses(&self) -> Vec<BucketStatus> {
        self.limits.bucket_statuses()
    }

    /// The region that the environment names.
    pub fn default_region(&self) -> Option<&str> {
        self.config.region().map(AsRef::as_ref).filter(|region: &&str| !region.is_empty())
    }

    /// The advice for setting a region, if there is none.
    pub fn no_region(&self) -> String {
        let advice = "set AWS_REGION or the profile's region";
        self.missing_profile
            .as_ref()
            .map_or_else(|| advice.to_owned(), |missing| format!("set AWS_REGION; {missing}"))
    }

    /// A source for one account in one region; sends no request yet.
    pub fn source(&self, spec: SourceSpec) -> Source {
        Source::new(self, spec)
    }

    /// Prepares to read a queue with the base credentials, in the region of the queue, or else in the environment's;
    /// nothing is sent yet. [`Source::queue`] reads one with the credentials of a source. `None` if there is no region.
    pub fn queue(&self, address: &QueueAddress) -> Option<Queue> {
        let region = address.region.as_deref().or(self.default_region())?.to_owned();
        let spec = SourceSpec { role: None, external_id: None, session_name: None, region };
        Some(Queue::new(&Session::new(self, spec, self.limits.unlisted_buckets()), address))
    }
}

/// The loader of the settings, which are read only at the start.
fn loader(http: SharedHttpClient, environment: Env) -> ConfigLoader {
    let loader = aws_config::defaults(behavior()).env(environment).http_client(http);
    loader.retry_config(retries()).timeout_config(timeouts())
}

impl fmt::Debug for Aws {
    /// The configuration's own output would include the environment with its keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").field("region", &self.default_region()).finish_non_exhaustive()
    }
}

/// The SDK panics on an endpoint that is not a URL, or ignores it, and an invalid region fails every request. The
/// environment's values are checked already, so an error found here is a profile's.
fn check(config: &SdkConfig) -> Result<(), ConfigErrors> {
    let region = config.region().map(|region| config::region(region.as_ref()));
    let region = region.and_then(Result::err).map(|problem| format!("region of the AWS profile: {problem}"));
    let urls = SERVICES.iter().filter_map(|service| Some((service, endpoint::configured(config, service)?)));
    let endpoint = urls.into_iter().find(|(_, url)| !is_url(url)).map(|(service, _)| {
        // Not quoted: it may contain a password.
        format!(
            "endpoint_url of the AWS profile: for {service} it is not a URL such as https://HOST; correct it, \
             or remove it"
        )
    });
    let errors: Vec<_> = region.into_iter().chain(endpoint).collect();
    if errors.is_empty() { Ok(()) } else { Err(ConfigErrors::from(errors)) }
}

/// Pinned, because a later version may change retries, timeouts or the order of credentials.
fn behavior() -> BehaviorVersion {
    BehaviorVersion::v2026_01_12()
}

fn retries() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(ATTEMPTS)
}

/// The HTTP client enforces [`ATTEMPT_TIMEOUT`].
fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}
