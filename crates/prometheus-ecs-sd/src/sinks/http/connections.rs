//! Accepts connections, limits their number, and limits the time of each step.

use std::io::{self, ErrorKind};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tracing::{debug, info, warn};

use super::auth::{Auth, Client};
use super::connection_limit::{Connection, ConnectionLimit};
use super::write_timeout::WriteTimeout;
use crate::descriptors::Descriptors;
use crate::telemetry::metrics::Metrics;

/// The time limit of the TLS handshake and of a request's head; an idle connection ends after it too. Prometheus opens
/// another.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The limits of a request's head. Browsers and proxies send some kilobytes.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;

/// The pause after the system could not accept a connection.
const PAUSE: Duration = Duration::from_millis(20);

/// Failures to accept end with this much time without one. Some connections may be accepted meanwhile; this is logged
/// once.
const FAILURES_END_AFTER: Duration = Duration::from_secs(60);

/// The answer to a plain HTTP request when TLS is required; the text is that of Go's servers.
const PLAIN: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    client sent an HTTP request to an HTTPS server\n";
/// The first byte of a TLS connection.
const TLS_HANDSHAKE: u8 = 22;

/// Accepts connections until the program ends.
pub(super) async fn accept(listener: Arc<TcpListener>, router: Router, auth: Auth, metrics: Metrics) {
    let connections = ConnectionLimit::new(Descriptors::raised().clients);
    let mut failing = None;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                AcceptFailures::end(&mut failing);
                let (connection, router, auth) =
                    (Arc::new(connections.open()), router.clone(), auth.for_connection());
                let client = Client::new(address.ip());
                tokio::spawn(async move {
                    let served = serve(stream, client, connection.clone(), router, auth);
                    tokio::select! {
                        () = connection.closed() => debug!("connection closed to make room for another"),
                        served = served => if let Err(error) = served {
                            debug!(%error, "connection ended");
                        }
                    }
                });
            }
            // The client closed the connection before it was accepted.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                metrics.accept_failed();
                AcceptFailures::note(&mut failing, &error);
                connections.close_one();
                sleep(PAUSE).await;
            }
        }
    }
}

/// Consecutive failures to accept a connection.
struct AcceptFailures {
    failures: u64,
    last: Instant,
}

impl AcceptFailures {
    /// Logs the first failure, and counts all.
    fn note(failing: &mut Option<Self>, error: &io::Error) {
        let failures = failing.as_ref().map_or(0, |failing| failing.failures);
        if failures == 0 {
            warn!(%error, "a connection could not be accepted");
        }
        *failing = Some(Self { failures: failures + 1, last: Instant::now() });
    }

    /// Called when a connection was accepted. Logs the end of the failures, if they ended.
    fn end(failing: &mut Option<Self>) {
        if let Some(Self { failures, .. }) =
            failing.take_if(|failing| failing.last.elapsed() >= FAILURES_END_AFTER)
        {
            info!(failures, "connections are accepted again");
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn serve(
    mut stream: TcpStream,
    client: Client,
    connection: Arc<Connection>,
    router: Router,
    auth: Auth,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let Some(tls) = auth.tls() else { return converse(stream, client, connection, router, auth).await };
    let handshake = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
            // Unread bytes at the close of the connection would discard the answer.
            let _ = stream.read(&mut [0; HEAD_BYTES]).await?;
            stream.write_all(PLAIN).await?;
            return Err(io::Error::new(ErrorKind::InvalidData, "this is not TLS"));
        }
        TlsAcceptor::from(tls).accept(stream).await
    };
    let stream = timeout(READ_TIMEOUT, handshake).await??;
    converse(stream, client, connection, router, auth).await
}

/// Answers requests, one after the other. When the authentication policy changes, the connection ends after the current
/// request.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    connection: Arc<Connection>,
    router: Router,
    auth: Auth,
) -> Result<(), Failure> {
    let stream = TokioIo::new(WriteTimeout::new(stream, connection.clone()));
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(READ_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(
            stream,
            Answers { router: TowerToHyperService::new(router), client, connection, auth: auth.clone() },
        );
    let mut serving = pin!(serving);
    tokio::select! {
        ended = serving.as_mut() => return Ok(ended?),
        () = auth.changed() => serving.as_mut().graceful_shutdown(),
    }
    Ok(serving.await?)
}

/// Answers requests, and marks the connection as busy.
struct Answers {
    router: TowerToHyperService<Router>,
    client: Client,
    connection: Arc<Connection>,
    auth: Auth,
}

/// The connection was opened under an earlier policy. Perhaps the client sent no certificate, or one that is no longer
/// trusted.
#[derive(Debug, thiserror::Error)]
#[error("the authentication policy changed")]
struct Outdated;

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Body>;
    type Error = Outdated;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if self.auth.has_changed() {
            return async { Err(Outdated) }.boxed();
        }
        self.connection.begin_answer();
        request.extensions_mut().insert(self.client.clone());
        request.extensions_mut().insert(self.connection.hangup());
        let answer = self.router.call(request);
        async { Ok(answer.await.unwrap_or_else(|never| match never {})) }.boxed()
    }
}
