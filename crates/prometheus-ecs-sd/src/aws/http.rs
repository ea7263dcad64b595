//! Limits of the HTTP client that all sources share.
//!
//! It reads a whole answer before it passes it on, and aborts an answer that is too long or takes too long. A time limit
//! alone does not suffice: a broken server can send gigabytes within one attempt, and a source has several concurrent
//! questions. The SDK's time limit for an attempt does not suffice either, since it includes the time before a request is
//! sent: waiting for a token, and for credentials.
//!
//! The numbers of active and of idle connections are limited too: each uses a file descriptor, and hundreds of sources
//! with concurrent requests would leave none for files.

use std::sync::Arc;
use std::time::Duration;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{RuntimeComponents, RuntimeComponentsBuilder};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use axum::http::Uri;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};
use tracing::{Level, enabled, trace};

use super::ATTEMPT_TIMEOUT;
use super::call::Call;
use crate::descriptors::Descriptors;

const MB: usize = 1_000_000;

/// Several times the longest there is: a full page of DescribeTasks has 0.4 MB, and DescribeInstances of 200
/// hosts stays below 5 MB, unless they have hundreds of addresses each. Ten messages of SQS have 10 MiB, more if JSON
/// has to escape them.
const ANSWER_LIMIT: usize = 32 * MB;

/// This client, with limits: answers up to [`ANSWER_LIMIT`], within the time limit of the [`Call`] or else
/// [`ATTEMPT_TIMEOUT`], and no more concurrent requests than there are descriptors for.
pub(super) fn bounded(client: SharedHttpClient) -> SharedHttpClient {
    let requests = Arc::new(Semaphore::new(Descriptors::raised().requests));
    SharedHttpClient::new(Bounded { inner: client, requests })
}

#[derive(Debug)]
struct Bounded<T> {
    inner: T,
    /// A permit for each concurrent request.
    requests: Arc<Semaphore>,
}

impl HttpClient for Bounded<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Bounded { inner, requests: self.requests.clone() })
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

impl HttpConnector for Bounded<SharedHttpConnector> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let traced = enabled!(Level::TRACE).then(|| Traced::of(&request));
        let (inner, requests) = (self.inner.clone(), self.requests.clone());
        let call = request.extension::<&'static Call>();
        let limit = call.map_or(ATTEMPT_TIMEOUT, |call| call.attempts.timeout);
        HttpConnectorFuture::new(async move {
            // Each request ends within the time limit, so a waiting one always proceeds.
            let _permit =
                requests.acquire().await.map_err(|error| ConnectorError::other(error.into(), None))?;
            let answer = inner.call(request);
            let answer = timeout(limit, async { whole(answer.await?).await }).await;
            let answer = answer.unwrap_or_else(|_| Err(ConnectorError::timeout(TooLate(limit).into())));
            if let Some(traced) = traced {
                traced.ended(&answer);
            }
            answer
        })
    }
}

/// The log fields of a request and its answer: never a header or a byte of a body, since both contain secrets.
struct Traced {
    /// `None` for requests for the base credentials.
    operation: Option<&'static str>,
    host: String,
    sent: usize,
    began: Instant,
}

impl Traced {
    fn of(request: &HttpRequest) -> Self {
        let host = request.uri().parse::<Uri>().ok();
        Self {
            operation: request.extension::<&'static Call>().map(|call| call.operation),
            host: host.and_then(|url| Some(url.host()?.to_owned())).unwrap_or_default(),
            sent: request.body().bytes().map_or(0, <[u8]>::len),
            began: Instant::now(),
        }
    }

    fn ended(self, answer: &Result<HttpResponse, ConnectorError>) {
        let Self { operation, host, sent, began } = self;
        let seconds = began.elapsed().as_secs_f64();
        let status = answer.as_ref().ok().map(|answer| answer.status().as_u16());
        let received = answer.as_ref().ok().and_then(|answer| answer.body().bytes()).map(<[u8]>::len);
        trace!(operation, host, sent, status, received, seconds, "request to AWS ended");
    }
}

#[derive(Debug, thiserror::Error)]
#[error("no whole answer within {} s", .0.as_secs())]
struct TooLate(Duration);

#[derive(Debug, thiserror::Error)]
#[error("the answer is longer than {} MB", ANSWER_LIMIT / MB)]
struct TooLong;

/// The response with its body in memory.
///
/// A body that breaks off is retried like a broken connection. One that is too long is not, since it would be too long
/// again: the SDK retries every error of a body that it reads itself, so the body is read here.
async fn whole(mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    let mut chunks = ByteStream::new(std::mem::replace(response.body_mut(), SdkBody::taken()));
    let length = response.headers().get("content-length").and_then(|length| length.parse().ok());
    let mut body = Vec::with_capacity(length.unwrap_or(0).min(ANSWER_LIMIT));
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| ConnectorError::io(error.into()))?;
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(ConnectorError::other(TooLong.into(), None));
        }
        body.extend_from_slice(&chunk);
    }
    *response.body_mut() = SdkBody::from(body);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulated::{self, assumed, ec2_hosts, listing, own, ssm_hosts};
    use super::super::trust::Trusting;
    use super::super::{Aws, SourceSpec};
    use super::*;
    use ecs_discovery::failure::FailureKind;
    use ecs_simulator::{Aws as SimulatedAws, OWN_ACCESS_KEY, OWN_SECRET_KEY};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    /// An AWS whose answers end in white space, up to this length.
    fn padded(length: usize) -> SimulatedAws {
        let simulated = SimulatedAws::new(simulated::world());
        simulated.on_answer(move |_, response| response.body.resize(length, b' '));
        simulated
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_is_a_failure_and_not_retried() {
        let simulated = padded(ANSWER_LIMIT + 1);
        let (own, assumed) = (own(&simulated).await, assumed(&simulated, None).await);
        for (source, question) in
            [(&own, listing()), (&own, ec2_hosts()), (&own, ssm_hosts()), (&assumed, listing())]
        {
            let failure = source.ask(&question).await.expect_err("too long");
            assert_eq!(failure.kind, FailureKind::Unavailable);
            assert!(failure.message.starts_with(question.operation()), "{failure}");
            assert!(failure.message.ends_with(": the answer is longer than 32 MB"), "{failure}");
            assert_eq!(simulated.take_ledger().total(), 1);
        }
    }

    #[tokio::test]
    async fn an_answer_of_the_greatest_length_is_read() {
        own(&padded(ANSWER_LIMIT)).await.ask(&listing()).await.expect("an answer");
    }

    /// Answers with a body that has no end, and says how much of it was taken.
    async fn answer_for_ever(mut connection: TcpStream) -> usize {
        const CHUNK: usize = 0x10_0000;
        assert_ne!(connection.read(&mut [0; 4096]).await.expect("a request"), 0);
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        connection.write_all(head.as_bytes()).await.expect("the head is taken");
        let chunk = [format!("{CHUNK:x}\r\n").as_bytes(), &[b' '; CHUNK], b"\r\n"].concat();
        let mut taken = 0;
        while connection.write_all(&chunk).await.is_ok() {
            taken += CHUNK;
        }
        taken
    }

    #[tokio::test]
    async fn a_real_connection_whose_answer_does_not_end_is_closed() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = tokio::spawn(async move {
            let (connection, _) = listener.accept().await.expect("a connection");
            answer_for_ever(connection).await
        });
        let aws = Aws::isolated(
            SharedHttpClient::new(Trusting::system()),
            "eu-west-1",
            OWN_ACCESS_KEY,
            OWN_SECRET_KEY,
        );
        let config = aws.config.to_builder().endpoint_url(format!("http://{address}")).build();
        let spec =
            SourceSpec { role: None, external_id: None, session_name: None, region: "eu-west-1".to_owned() };
        let failure = Aws { config, ..aws }.source(spec).ask(&listing()).await.expect_err("too long");
        assert_eq!(failure.message, "ListTasks: the answer is longer than 32 MB");
        let taken = server.await.expect("the server ends with the connection");
        assert!(taken < 2 * ANSWER_LIMIT, "{taken}");
    }
}
