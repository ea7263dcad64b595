//! The way out of one source: no request for ECS, EC2, Systems Manager or STS leaves but through here.
//!
//! Each attempt of each operation draws a token before it leaves, but for those of STS, and its time limit begins after
//! that. Each is counted with how it ended. Of the answers only refusals are looked at: a throttled one slows
//! the bucket down, and credentials that AWS does not accept are given up before they expire.

use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::config_bag::ConfigBag;
use ecs_discovery::inventory::question::FailureKind;
use tracing::debug;

use super::body;
use super::budget::{Bucket, Buckets};
use super::credentials::KeptCredentials;
use super::failure;
use crate::telemetry::metrics::{Metrics, Outcome};

/// A client whose requests draw from `buckets`, if there are any for them, and are signed with `credentials`.
pub(super) fn metered(
    client: SharedHttpClient,
    buckets: Option<Arc<Buckets>>,
    credentials: Option<KeptCredentials>,
    metrics: Metrics,
) -> SharedHttpClient {
    SharedHttpClient::new(Metered { inner: client, buckets, credentials, metrics })
}

#[derive(Clone, Debug)]
struct Metered<T> {
    inner: T,
    buckets: Option<Arc<Buckets>>,
    credentials: Option<KeptCredentials>,
    metrics: Metrics,
}

impl HttpClient for Metered<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Metered {
            inner: self.inner.http_connector(settings, components),
            buckets: self.buckets.clone(),
            credentials: self.credentials.clone(),
            metrics: self.metrics.clone(),
        })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_base_client_config(&self.inner, components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        HttpClient::validate_final_config(&self.inner, components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl HttpConnector for Metered<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let metered = self.clone();
        HttpConnectorFuture::new(async move { metered.send(request).await })
    }
}

/// Nobody has said how often this may be asked.
#[derive(Debug, thiserror::Error)]
#[error("no budget for the operation {0:?}")]
struct NoBudget(String);

impl Metered<SharedHttpConnector> {
    async fn send(&self, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let operation = operation(&request);
        let (access_key, service) = signed(&request);
        let (access_key, counted) = (access_key.to_owned(), self.metrics.request(service, &operation));
        let bucket = self.bucket(&operation)?;
        if let Some(bucket) = bucket {
            let _waits = counted.waits();
            bucket.draw().await;
        }
        let attempt = counted.leaves();
        let result = self.inner.call(request).await;
        let refusal = refusal(&operation, &result);
        attempt.ends(outcome(&result, refusal));
        if let Some(kind) = refusal {
            self.heed(kind, &operation, bucket, &access_key);
        }
        result
    }

    /// What the operation draws from; `None` is for STS, which asks for no restraint.
    fn bucket(&self, operation: &str) -> Result<Option<&Bucket>, ConnectorError> {
        let Some(buckets) = &self.buckets else { return Ok(None) };
        let bucket = buckets.of(operation);
        bucket.map(Some).ok_or_else(|| ConnectorError::user(NoBudget(operation.to_owned()).into()))
    }

    fn heed(&self, kind: FailureKind, operation: &str, bucket: Option<&Bucket>, access_key: &str) {
        if kind == FailureKind::Throttled && bucket.is_some_and(Bucket::slow_down) {
            debug!(operation, "AWS throttles; requests of this kind slow down");
        }
        if kind == FailureKind::NoCredentials
            && let Some(credentials) = &self.credentials
        {
            credentials.refused(access_key);
        }
    }
}

/// The operation that a request asks for, in the protocol of ECS and Systems Manager or in that of EC2.
pub(super) fn operation(request: &HttpRequest) -> String {
    if let Some((_, operation)) = request.headers().get("x-amz-target").and_then(|name| name.split_once('.'))
    {
        return operation.to_owned();
    }
    let form = form_urlencoded::parse(request.body().bytes().unwrap_or_default());
    let mut actions = form.filter(|(name, _)| name == "Action");
    actions.next().map_or_else(String::new, |(_, action)| action.into_owned())
}

/// Whose signature it bears, and for which service: `AWS4-HMAC-SHA256 Credential=KEY/DATE/REGION/SERVICE/aws4_request, …`.
fn signed(request: &HttpRequest) -> (&str, &str) {
    let authorization = request.headers().get("authorization").unwrap_or_default();
    let (_, scope) = authorization.split_once("Credential=").unwrap_or_default();
    let mut parts = scope.split('/');
    (parts.next().unwrap_or_default(), parts.nth(2).unwrap_or_default())
}

/// What AWS's refusal means, if it is one.
fn refusal(operation: &str, result: &Result<HttpResponse, ConnectorError>) -> Option<FailureKind> {
    let response = result.as_ref().ok().filter(|response| !response.status().is_success())?;
    let error = body::error(response.body().bytes().unwrap_or_default());
    Some(failure::kind(operation, &error, response.status().as_u16()))
}

/// How a request ended, for counting.
fn outcome(result: &Result<HttpResponse, ConnectorError>, refusal: Option<FailureKind>) -> Outcome {
    match (result, refusal) {
        (Ok(_), None) => Outcome::Ok,
        (Ok(_), Some(FailureKind::Throttled)) => Outcome::Throttled,
        (Ok(_), Some(FailureKind::Denied)) => Outcome::Denied,
        (Ok(_), Some(FailureKind::NoCredentials)) => Outcome::Credentials,
        (Ok(response), Some(_)) if response.status().is_client_error() => Outcome::ClientError,
        (Ok(_), Some(_)) => Outcome::ServerError,
        (Err(error), _) if error.is_timeout() => Outcome::Timeout,
        (Err(error), _) if error.is_io() => Outcome::Connection,
        (Err(_), _) => Outcome::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::super::simulated::{assumed, ec2_hosts, listing, over, own, ssm_hosts, world};
    use super::super::{ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, Source, SourceSpec};
    use super::*;
    use crate::board::Outlet;
    use crate::telemetry::metrics::Format;
    use aws_credential_types::Credentials;
    use aws_credential_types::credential_fn::provide_credentials_fn;
    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
    use ecs_discovery::inventory::question::Question;
    use ecs_simulator::{Aws as SimulatedAws, Response};
    use futures_util::future::join_all;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::time::Duration;
    use tokio::time::{Instant, advance};

    const SECOND: Duration = Duration::from_secs(1);

    /// The kinds of failure that so many questions at once end in, and how long that takes.
    async fn ask(source: &Source, question: &Question, count: usize) -> (Vec<Option<FailureKind>>, f64) {
        let began = Instant::now();
        let answers = join_all((0..count).map(|_| source.ask(question))).await;
        let kinds = answers.into_iter().map(|answer| answer.err().map(|failure| failure.kind));
        (kinds.collect(), began.elapsed().as_secs_f64())
    }

    /// What so many requests of one class that AWS gives 100 at once and 20 a second, half of which may be used, take.
    fn least(requests: u64) -> f64 {
        (requests as f64 - 45.0) / 10.0
    }

    #[tokio::test(start_paused = true)]
    async fn retries_draw_tokens() {
        let simulated = SimulatedAws::new(world());
        simulated.on_call(|call| Some(Response::server_error(call)));
        let (failed, took) = ask(&own(&simulated).await, &listing(), 40).await;
        assert_eq!(failed, [Some(FailureKind::Unavailable); 40]);
        let requests = simulated.take_ledger().total();
        assert!(requests > 60 && took > least(requests) - 0.1, "{requests} requests in {took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn pages_draw_tokens() {
        const PAGES: usize = 15;
        let simulated = SimulatedAws::new(world());
        let pages = AtomicUsize::new(0);
        simulated.on_call(move |_| {
            let page = pages.fetch_add(1, Ordering::SeqCst) % PAGES + 1;
            let next = if page < PAGES { page.to_string() } else { String::new() };
            let body = format!("<reservationSet/><nextToken>{next}</nextToken>");
            Some(Response::xml(200, format!("<DescribeInstancesResponse>{body}</DescribeInstancesResponse>")))
        });
        let source = own(&simulated).await;
        let began = Instant::now();
        for _ in 0..10 {
            assert_eq!(ask(&source, &ec2_hosts(), 1).await.0, [None]);
        }
        let (requests, took) = (simulated.take_ledger().total(), began.elapsed().as_secs_f64());
        assert!(requests == 150 && took > least(requests) - 0.1, "{requests} requests in {took} s");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_a_turn_is_not_part_of_an_attempt() {
        let simulated = SimulatedAws::new(world());
        simulated.set_latency(ATTEMPT_TIMEOUT - SECOND);
        let (failed, took) = ask(&own(&simulated).await, &ssm_hosts(), 12).await;
        assert_eq!(failed, [None; 12]);
        assert!(took > 2.0 * ATTEMPT_TIMEOUT.as_secs_f64(), "{took}");
        assert_eq!(simulated.take_ledger().total(), 12);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_whose_turn_does_not_come_ends_all_the_same() {
        let simulated = SimulatedAws::new(world());
        let spec =
            SourceSpec { role: None, external_id: None, session_name: None, region: "eu-west-1".to_owned() };
        let share = "0.01".parse().expect("a share");
        let source = over(&simulated).with_share(share).source(spec);
        let (failed, took) = ask(&source, &ssm_hosts(), 5).await;
        let late = Some(FailureKind::Unavailable);
        assert_eq!(failed, [None, None, None, late, late]);
        assert!((took - OPERATION_TIMEOUT.as_secs_f64()).abs() < 1.0, "{took}");
        // Those that gave up have left the line.
        assert_eq!(ask(&source, &ssm_hosts(), 1).await.0, [None]);
    }

    /// At one request in 78.5 s: the fourth leaves 4.5 s before the time limit of its operation, and takes 9 s; the fifth
    /// never leaves.
    #[tokio::test(start_paused = true)]
    async fn requests_that_are_given_up_are_counted_and_so_is_waiting_in_vain() {
        let simulated = SimulatedAws::new(world());
        simulated.set_latency(9 * SECOND);
        let outlet = Outlet::default();
        let spec =
            SourceSpec { role: None, external_id: None, session_name: None, region: "eu-west-1".to_owned() };
        let share = "0.01274".parse().expect("a share");
        let source = over(&simulated).with_share(share).with_metrics(outlet.metrics()).source(spec);
        ask(&source, &ssm_hosts(), 5).await;
        let page = outlet.metrics().page(&outlet.board(), Format::Text);
        let operation = "service=\"ssm\",operation=\"DescribeInstanceInformation\"";
        for sample in [
            format!("ecs_sd_aws_requests_total{{{operation},outcome=\"ok\"}} 3\n"),
            format!("ecs_sd_aws_requests_total{{{operation},outcome=\"abandoned\"}} 1\n"),
            format!("ecs_sd_aws_token_wait_seconds_count{{{operation}}} 5\n"),
        ] {
            assert!(page.contains(&sample), "{sample}{page}");
        }
    }

    /// Expires what a role's session was given, until the role is assumed again.
    fn expire(simulated: &SimulatedAws) {
        let expired = AtomicBool::new(true);
        simulated.on_call(move |call| {
            let renewed = call.operation == "AssumeRole";
            let expired =
                if renewed { expired.swap(false, Ordering::SeqCst) } else { expired.load(Ordering::SeqCst) };
            (expired && !renewed).then(|| Response::expired(call))
        });
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_that_ends_early_is_renewed_for_the_question_that_found_out() {
        let mut world = world();
        world.allow_role("arn:aws:iam::222222222222:role/discovery/reader", None);
        let simulated = SimulatedAws::new(world);
        let source = assumed(&simulated, None).await;
        for question in [listing(), ec2_hosts(), ssm_hosts()] {
            source.ask(&question).await.ok();
            advance(SECOND).await;
            simulated.take_ledger();
            expire(&simulated);
            assert_ne!(ask(&source, &question, 1).await.0, [Some(FailureKind::NoCredentials)]);
            assert_eq!(simulated.take_ledger().calls("sts", "AssumeRole"), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_role_whose_sessions_are_all_refused_is_assumed_once_a_second() {
        let mut world = world();
        world.allow_role("arn:aws:iam::222222222222:role/discovery/reader", None);
        let simulated = SimulatedAws::new(world);
        simulated.on_call(|call| (call.service != "sts").then(|| Response::expired(call)));
        let source = assumed(&simulated, None).await;
        let began = Instant::now();
        for _ in 0..20 {
            ask(&source, &listing(), 4).await;
        }
        let (assumed, seconds) =
            (simulated.take_ledger().calls("sts", "AssumeRole"), began.elapsed().as_secs());
        assert!((2..=seconds + 1).contains(&assumed), "{assumed} in {seconds} s");
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_credentials_that_a_request_was_signed_with_are_given_up() {
        let loads = AtomicUsize::new(0);
        let provider = provide_credentials_fn(move || {
            let load = loads.fetch_add(1, Ordering::SeqCst);
            async move { Ok(Credentials::new(format!("key{load}"), "secret", None, None, "test")) }
        });
        let provider = SharedCredentialsProvider::new(provider);
        let kept = KeptCredentials::new(provider, Default::default(), "test", Default::default());
        let key = async || kept.provide_credentials().await.expect("credentials").access_key_id().to_owned();
        assert_eq!(key().await, "key0");
        kept.refused("key0");
        assert_eq!(key().await, "key0", "a load is not repeated at once");
        advance(SECOND).await;
        kept.refused("key0");
        assert_eq!(key().await, "key1");
        advance(SECOND).await;
        kept.refused("key0");
        assert_eq!(key().await, "key1");
    }
}
