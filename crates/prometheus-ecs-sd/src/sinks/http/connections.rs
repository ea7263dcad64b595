//! Connections: accepted, bounded in number, and each given a limited time for everything it does.

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

/// How long a connection may take to say who it is, and to bring a request, counted from when it may: an idle connection
/// ends after that too. Prometheus opens another.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a request's head may take. Browsers and proxies send some kilobytes.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 64;

/// How long to leave the listener alone when the system has nothing to accept a connection with.
const PAUSE: Duration = Duration::from_millis(20);

/// How long after the last failure accepting counts as failing. Some connections may be accepted meanwhile; this is
/// logged once.
const TROUBLE_LASTS: Duration = Duration::from_secs(60);

/// For whoever speaks HTTP where TLS is spoken, in the words of Go's servers.
const PLAIN: &[u8] =
    b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n\
    client sent an HTTP request to an HTTPS server\n";
/// What each connection begins with that speaks TLS.
const TLS_HANDSHAKE: u8 = 22;

/// Accepts connections until the program ends.
pub(super) async fn accept(listener: Arc<TcpListener>, router: Router, access: Auth, metrics: Metrics) {
    let seats = ConnectionLimit::new(Descriptors::raised().clients);
    let mut trouble = None;
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                Trouble::end(&mut trouble);
                let (seat, router, access) =
                    (Arc::new(seats.take()), router.clone(), access.for_connection());
                let client = Client::new(address.ip());
                tokio::spawn(async move {
                    let served = serve(stream, client, seat.clone(), router, access);
                    tokio::select! {
                        () = seat.lost() => debug!("connection gave way to another"),
                        served = served => if let Err(error) = served {
                            debug!(%error, "connection ended");
                        }
                    }
                });
            }
            // It was the connection's end, not ours.
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionAborted | ErrorKind::ConnectionReset) => {}
            Err(error) => {
                metrics.accept_failed();
                Trouble::note(&mut trouble, &error);
                seats.give_up_one();
                sleep(PAUSE).await;
            }
        }
    }
}

/// Consecutive failures to accept a connection.
struct Trouble {
    failures: u64,
    last: Instant,
}

impl Trouble {
    /// Logs the first failure, and counts all.
    fn note(trouble: &mut Option<Self>, error: &io::Error) {
        let failures = trouble.as_ref().map_or(0, |trouble| trouble.failures);
        if failures == 0 {
            warn!(%error, "a connection could not be accepted");
        }
        *trouble = Some(Self { failures: failures + 1, last: Instant::now() });
    }

    /// Logs the end of the failures, if they ended; a connection was accepted.
    fn end(trouble: &mut Option<Self>) {
        if let Some(Self { failures, .. }) =
            trouble.take_if(|trouble| trouble.last.elapsed() >= TROUBLE_LASTS)
        {
            info!(failures, "connections are accepted again");
        }
    }
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn serve(
    mut stream: TcpStream,
    client: Client,
    seat: Arc<Connection>,
    router: Router,
    access: Auth,
) -> Result<(), Failure> {
    stream.set_nodelay(true)?;
    let Some(tls) = access.tls() else { return converse(stream, client, seat, router, access).await };
    let handshake = async {
        let mut first = [0];
        if stream.peek(&mut first).await? == 1 && first[0] != TLS_HANDSHAKE {
            // What is left unread when the connection is closed would take the answer with it.
            let _ = stream.read(&mut [0; HEAD_BYTES]).await?;
            stream.write_all(PLAIN).await?;
            return Err(io::Error::new(ErrorKind::InvalidData, "this is not TLS"));
        }
        TlsAcceptor::from(tls).accept(stream).await
    };
    let stream = timeout(PATIENCE, handshake).await??;
    converse(stream, client, seat, router, access).await
}

/// Answers requests, one after the other. When who may in is decided anew, the connection ends after the current one.
async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    client: Client,
    seat: Arc<Connection>,
    router: Router,
    access: Auth,
) -> Result<(), Failure> {
    let stream = TokioIo::new(WriteTimeout::new(stream, seat.clone()));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_LINES)
        .serve_connection(
            stream,
            Answers { router: TowerToHyperService::new(router), client, seat, access: access.clone() },
        );
    let mut connection = pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return Ok(ended?),
        () = access.changed() => connection.as_mut().graceful_shutdown(),
    }
    Ok(connection.await?)
}

/// What answers, and tells the seat.
struct Answers {
    router: TowerToHyperService<Router>,
    client: Client,
    seat: Arc<Connection>,
    access: Auth,
}

/// The connection was made on other terms than those in force. Perhaps its other end showed no certificate then, or one
/// that is worth nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("who may in was decided anew")]
struct Outdated;

impl Service<Request<Incoming>> for Answers {
    type Response = Response<Body>;
    type Error = Outdated;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn call(&self, mut request: Request<Incoming>) -> Self::Future {
        if self.access.has_changed() {
            return async { Err(Outdated) }.boxed();
        }
        self.seat.answer();
        request.extensions_mut().insert(self.client.clone());
        request.extensions_mut().insert(self.seat.hangup());
        let answer = self.router.call(request);
        async { Ok(answer.await.unwrap_or_else(|never| match never {})) }.boxed()
    }
}
