//! What is served over HTTP. Every answer is made of what was published; none waits for AWS.

mod health;
mod lifecycle;
mod metrics;
mod page;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::middleware::from_fn_with_state;
use tokio::net::TcpListener;
use tracing::{error, info, warn};

use crate::aws::Aws;
use crate::config::Listen;
use crate::publisher::Board;
use crate::reload::Reloads;
use crate::sinks::history::History;
use crate::telemetry::metrics::Metrics;
use page::Catalogue;

/// What the answers are made of.
#[derive(Clone, Debug)]
pub struct Site {
    /// The current snapshot, and how the sources stand.
    pub board: Board,
    /// What was counted.
    pub metrics: Metrics,
    /// Where a reload can be asked for, if that is enabled.
    pub reloads: Option<Reloads>,
    /// Whose budget is shown, once it is there.
    pub aws: Arc<OnceLock<Aws>>,
    /// What changed lately.
    pub history: History,
    catalogue: Catalogue,
}

impl Site {
    /// Answers from `board`; the rest comes by and by.
    pub fn new(board: Board, metrics: Metrics, reloads: Option<Reloads>) -> Self {
        let (aws, history, catalogue) = (Arc::default(), History::default(), Catalogue::default());
        Self { board, metrics, reloads, aws, history, catalogue }
    }

    /// Keeps up with what is published.
    async fn follow(self) {
        let Self { board, history, catalogue, .. } = self;
        tokio::join!(history.follow(board.clone()), catalogue.follow(board));
    }
}

/// A server that has its address and answers nobody yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
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
        match bind(address).await {
            Ok(listener) => Ok(Some(Self { listener })),
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

    /// Answers until the program ends.
    pub async fn serve(self, site: Site) {
        if let Ok(address) = self.address() {
            info!(%address, "HTTP is served");
        }
        tokio::spawn(site.clone().follow());
        if let Err(error) = axum::serve(self.listener, router(site)).await {
            error!(%error, "HTTP is not served any more");
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

fn router(site: Site) -> Router {
    let count = from_fn_with_state(site.clone(), metrics::count);
    let routes = [health::routes(), lifecycle::routes(), metrics::routes(), page::routes()];
    routes.into_iter().fold(Router::new(), Router::merge).route_layer(count).with_state(site)
}
