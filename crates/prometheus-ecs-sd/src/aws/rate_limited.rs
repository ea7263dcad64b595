//! The HTTP client of one call of one source: all requests to ECS, EC2, Systems Manager, STS and SQS pass through it.
//!
//! Each attempt, except those of STS and SQS, takes a token before it is sent, and its time limit begins after that. Each is
//! counted with its result. An error response is parsed here and carries the result as an extension ([`Refusal`]): a
//! throttled request slows the bucket down, and credentials that AWS does not accept are dropped before they expire.

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
use ecs_discovery::failure::FailureKind;
use tracing::debug;

use super::call::Call;
use super::credentials::KeptCredentials;
use super::failure::Refusal;
use super::rate_limits::{Bucket, Buckets};
use super::signing::SignedWith;
use crate::telemetry::metrics::{Metrics, Outcome};

/// The shared parts of the calls of one source.
#[derive(Clone, Debug)]
pub(super) struct Metering {
    /// The buckets of the calls with a class.
    pub(super) buckets: Arc<Buckets>,
    /// The credentials of the requests.
    pub(super) credentials: Option<KeptCredentials>,
    pub(super) metrics: Metrics,
}

impl Metering {
    /// The client for the requests of one call.
    pub(super) fn client(&self, inner: SharedHttpClient, call: &'static Call) -> SharedHttpClient {
        SharedHttpClient::new(RateLimited { inner, call, metering: self.clone() })
    }
}

#[derive(Clone, Debug)]
struct RateLimited<T> {
    inner: T,
    call: &'static Call,
    metering: Metering,
}

impl HttpClient for RateLimited<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(RateLimited {
            inner: self.inner.http_connector(settings, components),
            call: self.call,
            metering: self.metering.clone(),
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

impl HttpConnector for RateLimited<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let metered = self.clone();
        HttpConnectorFuture::new(async move { metered.send(request).await })
    }
}

impl RateLimited<SharedHttpConnector> {
    async fn send(&self, mut request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
        let counted = self.metering.metrics.request(self.call.service.name, self.call.operation);
        let bucket = self.call.class.map(|class| self.metering.buckets.of(class));
        if let Some(bucket) = bucket {
            let _waits = counted.waits();
            bucket.draw().await;
        }
        let signed = request.extension::<SignedWith>().cloned();
        request.add_extension(self.call);
        let attempt = counted.leaves();
        let mut result = self.inner.call(request).await;
        let refusal = result.as_ref().ok().and_then(|response| Refusal::parse(self.call.operation, response));
        attempt.ends(outcome(&result, refusal.as_ref()));
        if let (Ok(response), Some(refusal)) = (&mut result, refusal) {
            self.heed(&refusal, bucket, signed);
            response.add_extension(refusal);
        }
        result
    }

    fn heed(&self, refusal: &Refusal, bucket: Option<&Bucket>, signed: Option<SignedWith>) {
        if refusal.kind == FailureKind::Throttled && bucket.is_some_and(Bucket::slow_down) {
            let operation = self.call.operation;
            debug!(operation, "AWS throttles; requests of this kind slow down");
        }
        if refusal.kind == FailureKind::NoCredentials
            && let (Some(credentials), Some(SignedWith(access_key))) = (&self.metering.credentials, signed)
        {
            credentials.refused(&access_key);
        }
    }
}

/// The result of a request, for counting.
fn outcome(result: &Result<HttpResponse, ConnectorError>, refusal: Option<&Refusal>) -> Outcome {
    match (result, refusal) {
        (Ok(_), None) => Outcome::Ok,
        (Ok(_), Some(refusal)) => match refusal.kind {
            FailureKind::Throttled => Outcome::Throttled,
            FailureKind::Denied => Outcome::Denied,
            FailureKind::NoCredentials => Outcome::Credentials,
            _ if refusal.is_of_client() => Outcome::ClientError,
            _ => Outcome::ServerError,
        },
        (Err(error), _) if error.is_timeout() => Outcome::Timeout,
        (Err(error), _) if error.is_io() => Outcome::Connection,
        (Err(_), _) => Outcome::Unusable,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulated::{assumed, ec2_hosts, listing, over, own, ssm_hosts, world};
    use super::super::{ATTEMPT_TIMEOUT, OPERATION_TIMEOUT, Source, SourceSpec};
    use super::*;
    use crate::config::QueueAddress;
    use crate::published::SnapshotStore;
    use crate::sinks::http::metrics::{Format, page};
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

    /// The kinds of failure of this many concurrent questions, and the time that they take.
    async fn ask(source: &Source, question: &Question, count: usize) -> (Vec<Option<FailureKind>>, f64) {
        let began = Instant::now();
        let answers = join_all((0..count).map(|_| source.ask(question))).await;
        let kinds = answers.into_iter().map(|answer| answer.err().map(|failure| failure.kind));
        (kinds.collect(), began.elapsed().as_secs_f64())
    }

    /// The time of this many requests of a class with a burst of 100 and 20 a second, half of which may be used.
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
        let store = SnapshotStore::default();
        let spec =
            SourceSpec { role: None, external_id: None, session_name: None, region: "eu-west-1".to_owned() };
        let share = "0.01274".parse().expect("a share");
        let source = over(&simulated).with_share(share).with_metrics(store.metrics()).source(spec);
        ask(&source, &ssm_hosts(), 5).await;
        let page = page(&store.metrics(), &store.reader(), Format::Text);
        let operation = "service=\"ssm\",operation=\"DescribeInstanceInformation\"";
        for sample in [
            format!("ecs_sd_aws_requests_total{{{operation},outcome=\"ok\"}} 3\n"),
            format!("ecs_sd_aws_requests_total{{{operation},outcome=\"abandoned\"}} 1\n"),
            format!("ecs_sd_aws_token_wait_seconds_count{{{operation}}} 5\n"),
        ] {
            assert!(page.contains(&sample), "{sample}{page}");
        }
    }

    #[tokio::test]
    async fn requests_for_a_queue_are_counted_and_draw_from_no_bucket() {
        let simulated = SimulatedAws::new(world());
        simulated.on_call(|call| {
            assert_eq!(call.region, "eu-west-1");
            Some(Response::json(200, r#"{"QueueUrl": "https://sqs.example.com/events"}"#))
        });
        let store = SnapshotStore::default();
        let aws = over(&simulated).with_metrics(store.metrics());
        let address = QueueAddress::parse("arn:aws:sqs:eu-west-1:123456789012:events").expect("an address");
        let queue = aws.queue(&address).expect("a region");
        for _ in 0..200 {
            queue.receive(SECOND).await.expect("an answer");
        }
        queue.delete(Vec::new()).await.expect("nothing to do");
        let page = page(&store.metrics(), &store.reader(), Format::Text);
        for (operation, sample) in
            [("GetQueueUrl", "outcome=\"ok\"} 1\n"), ("ReceiveMessage", "outcome=\"ok\"} 200\n")]
        {
            let labels = format!("service=\"sqs\",operation=\"{operation}\"");
            let sample = format!("ecs_sd_aws_requests_total{{{labels},{sample}");
            assert!(page.contains(&sample), "{sample}{page}");
        }
        assert_eq!(aws.bucket_statuses(), []);
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
        assert_eq!(key().await, "key0", "a load is not repeated immediately");
        advance(SECOND).await;
        kept.refused("key0");
        assert_eq!(key().await, "key1");
        advance(SECOND).await;
        kept.refused("key0");
        assert_eq!(key().await, "key1");
    }
}
