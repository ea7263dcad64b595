//! What is served over HTTP. Every answer is made of what was published; none waits for AWS.
//!
//! Whoever asks passes three fences: `connections` bound what a connection may take, `access` says who may in, and
//! the router knows a few fixed paths and no file.

mod access;
mod bodies;
mod connections;
mod health;
mod lifecycle;
mod metrics;
mod pace;
mod page;
mod sd;
mod seats;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::board::Board;
use crate::config::Listen;
use crate::reload::Reloads;
use crate::sinks::history::History;
use crate::telemetry::metrics::Metrics;
use page::Catalogue;

pub use access::Access;
use sd::Sd;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Site {
    /// The current snapshot, and how the sources stand.
    pub board: Board,
    sd: Sd,
    /// What was counted, and whose budget is shown.
    pub metrics: Metrics,
    /// Where a reload can be asked for, if that is enabled.
    pub reloads: Option<Reloads>,
    /// What changed lately.
    pub history: History,
    catalogue: Catalogue,
    pages: Arc<page::Turns>,
}

impl Site {
    /// Answers from `board`; the rest comes by and by.
    pub fn new(board: Board, metrics: Metrics, reloads: Option<Reloads>) -> Self {
        let (history, catalogue) = (History::default(), Catalogue::default());
        let sd = Sd::new(board.clone());
        Self { board, sd, metrics, reloads, history, catalogue, pages: Arc::default() }
    }

    /// Keeps up with what is published.
    async fn follow(self) {
        let Self { board, sd, history, catalogue, .. } = self;
        tokio::join!(sd.follow(), history.follow(board.clone()), catalogue.follow(board));
    }
}

/// A server that has its address and answers nobody yet; in whichever runtime it will.
#[derive(Debug)]
pub struct Server {
    listener: std::net::TcpListener,
    /// As it was named: `HOST:PORT`.
    named: String,
}

/// The address cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("--listen-address: cannot listen at {address}: {error}; name another, or none")]
pub struct Unavailable {
    address: String,
    error: io::Error,
}

impl Server {
    /// Takes the address. If it is the usual one, which nobody asked for, the program can do without it as long as
    /// there is something else to do.
    pub async fn bind(listen: &Listen, is_dispensable: bool) -> Result<Option<Self>, Unavailable> {
        let address = listen.address();
        match bind(address).await.and_then(TcpListener::into_std) {
            Ok(listener) => Ok(Some(Self { listener, named: address.to_owned() })),
            Err(error) if *listen == Listen::Usual && is_dispensable => {
                warn!(address, %error, "nothing is served over HTTP, its address is taken; name another with --listen-address");
                Ok(None)
            }
            Err(error) => Err(Unavailable { address: address.to_owned(), error }),
        }
    }

    /// Where it is reached.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers those who have access, until the program ends.
    pub async fn serve(self, site: Site, access: Access) {
        let access = match self.address() {
            Ok(address) => {
                info!(%address, "HTTP is served");
                access.at(&self.named, address.ip())
            }
            Err(_) => access,
        };
        tokio::spawn(site.clone().follow());
        tokio::spawn(access.clone().follow());
        match TcpListener::from_std(self.listener) {
            Ok(listener) => connections::accept(listener, router(site, &access), access).await,
            Err(error) => error!(%error, "HTTP is not served"),
        }
    }
}

async fn bind(address: &str) -> io::Result<TcpListener> {
    let Some(port) = address.strip_prefix(':') else { return TcpListener::bind(address).await };
    // Where there is no IPv6, an IPv4 socket hears everyone.
    match TcpListener::bind(format!("[::]:{port}")).await {
        Err(error) if error.kind() != io::ErrorKind::AddrInUse => {
            TcpListener::bind(format!("0.0.0.0:{port}")).await
        }
        result => result,
    }
}

fn router(site: Site, access: &Access) -> Router {
    let count = from_fn_with_state(site.clone(), metrics::count);
    let admit = from_fn_with_state(access.clone(), access::admit);
    let routes = [health::routes(), lifecycle::routes(), metrics::routes(), page::routes(), sd::routes()];
    let router = routes.into_iter().fold(Router::new(), Router::merge).route_layer(count).with_state(site);
    router
        .fallback(async || (StatusCode::NOT_FOUND, "not found\n"))
        .method_not_allowed_fallback(async || (StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n"))
        .layer(admit)
}
