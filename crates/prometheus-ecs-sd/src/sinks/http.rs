//! The HTTP server. It answers from published data; no request waits for AWS.
//!
//! A request passes three checks: `connections` limits each connection, `auth` authenticates the client, and the router
//! serves a fixed set of paths and no files from disk.

mod accepted;
mod auth;
mod connection_limit;
mod connections;
mod health;
mod lifecycle;
pub mod metrics;
mod page;
mod render_cache;
mod sd;
mod write_timeout;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tracing::{debug, error, info, warn};

use crate::config::Listen;
use crate::published::SnapshotReader;
use crate::reload::Reloads;
use crate::sinks::history::History;
use crate::telemetry::metrics::{Metrics, Part};
use crate::telemetry::panics::{again, caught_in};
use page::SearchIndex;

pub use auth::Auth;
use sd::Sd;

/// The data that the handlers use.
#[derive(Clone, Debug)]
pub struct Site {
    /// The current snapshot and the status of the sources.
    pub reader: SnapshotReader,
    sd: Sd,
    /// The counters of the program.
    pub metrics: Metrics,
    /// Accepts reload requests, if that is enabled.
    pub reloads: Option<Reloads>,
    /// The recent changes.
    pub history: History,
    search_index: SearchIndex,
    pages: Arc<page::RenderLimit>,
}

impl Site {
    /// Answers from `reader`; history and search index are empty at first.
    pub fn new(reader: SnapshotReader, metrics: Metrics, reloads: Option<Reloads>) -> Self {
        let (history, search_index) = (History::default(), SearchIndex::default());
        let sd = Sd::new(reader.clone());
        Self { reader, sd, metrics, reloads, history, search_index, pages: Arc::default() }
    }

    /// Follows the publications.
    async fn follow(self) {
        let Self { reader, sd, history, search_index, .. } = self;
        tokio::join!(sd.follow(), history.follow(reader.clone()), search_index.follow(reader));
    }
}

/// The pause before an address in use is tried again: at first the time that its owner takes to restart, then twice as
/// long each time, up to half of the default refresh interval.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// A server that does not answer yet; it can be moved to another runtime.
#[derive(Debug)]
pub struct Server {
    /// As configured: `HOST:PORT`.
    named: String,
    /// `None` while the address is in use.
    listener: Option<std::net::TcpListener>,
}

/// The server cannot listen at the address.
#[derive(Debug, thiserror::Error)]
#[error("--listen-address: cannot listen at {address}: {error}; set another, or none")]
pub struct Unavailable {
    address: String,
    error: io::Error,
}

impl Server {
    /// Listens at the address. If the default address is in use and the program has other work to do, this is no
    /// error: `serve` tries the address again.
    pub async fn bind(listen: &Listen, is_dispensable: bool) -> Result<Self, Unavailable> {
        let named = listen.address().to_owned();
        match bind(&named).await.and_then(TcpListener::into_std) {
            Ok(listener) => Ok(Self { named, listener: Some(listener) }),
            Err(error) if *listen == Listen::Default && is_dispensable => {
                warn!(address = named, %error, "HTTP is not served yet: the address is in use and is tried again; --listen-address sets another");
                Ok(Self { named, listener: None })
            }
            Err(error) => Err(Unavailable { address: named, error }),
        }
    }

    /// Its address; `None` while that is in use.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listener.as_ref()?.local_addr().ok()
    }

    /// Answers requests that pass `auth`, until the program ends.
    pub async fn serve(self, site: Site, auth: Auth) {
        let (metrics, part) = (site.metrics.clone(), Part::Http);
        let (follower, auth_follower) = (site.clone(), auth.clone());
        tokio::spawn(again(metrics.clone(), part, move || follower.clone().follow()));
        tokio::spawn(again(metrics.clone(), part, move || auth_follower.clone().follow()));
        let listener = match self.listener {
            Some(listener) => TcpListener::from_std(listener),
            None => Ok(bind_when_free(&self.named).await),
        };
        let served = listener.and_then(|listener| Ok((listener.local_addr()?, Arc::new(listener))));
        match served {
            Ok((address, listener)) => {
                info!(%address, "HTTP is served");
                let auth = auth.at(&self.named, address.ip());
                let router = router(site, &auth);
                let accept =
                    || connections::accept(listener.clone(), router.clone(), auth.clone(), metrics.clone());
                again(metrics.clone(), part, accept).await;
            }
            Err(error) => error!(%error, "HTTP is not served"),
        }
    }
}

/// Tries an address until it is free.
async fn bind_when_free(address: &str) -> TcpListener {
    let mut pause = FIRST_PAUSE;
    loop {
        sleep(pause).await;
        match bind(address).await {
            Ok(listener) => return listener,
            Err(error) => debug!(address, %error, "HTTP is not served yet"),
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

async fn bind(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else { return TcpListener::bind(address).await };
    // Without IPv6, an IPv4 socket accepts all clients.
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        result => result,
    }
}

fn router(site: Site, auth: &Auth) -> Router {
    let outlive = from_fn_with_state(site.metrics.clone(), outlive);
    let count = from_fn_with_state(site.metrics.clone(), metrics::count);
    let admit = from_fn_with_state(auth.clone(), auth::admit);
    let routes =
        [health::routes(), lifecycle::routes(), metrics::routes(), page::routes(&site), sd::routes()];
    let router = routes.into_iter().fold(Router::new(), Router::merge).with_state(site);
    router
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"))
        .layer(admit)
        .layer(outlive)
        .layer(count)
}

/// Answers with status 500 when a handler panics.
async fn outlive(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    caught_in(next.run(request)).await.unwrap_or_else(|panicked| {
        metrics.panicked(Part::Http, &panicked);
        (StatusCode::INTERNAL_SERVER_ERROR, "internal error; see the log\n").into_response()
    })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;
    use crate::published::SnapshotStore;

    #[tokio::test]
    async fn an_answer_that_panics_is_an_internal_error() {
        let odd: fn() -> &'static str = || panic!("an assertion of a library");
        let outlive = from_fn_with_state(SnapshotStore::default().metrics(), outlive);
        let router = Router::new().route("/", get(async move || odd())).layer(outlive);
        let request = Request::new(Body::empty());
        let response = TowerToHyperService::new(router).call(request).await.expect("an answer");
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_taken_is_served_once_it_is_free() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let (store, server) =
            (SnapshotStore::default(), Server { named: address.to_string(), listener: None });
        let site = Site::new(store.reader(), store.metrics(), None);
        tokio::spawn(server.serve(site, Auth::default()));
        sleep(Duration::from_secs(3600)).await;
        drop(taken);
        // It is tried at least once before that.
        sleep(LONGEST_PAUSE + Duration::from_secs(1)).await;
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /-/healthy HTTP/1.0\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.0 200"), "{answer}");
    }
}
