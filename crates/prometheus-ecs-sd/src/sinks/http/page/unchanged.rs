//! Status 304 for a client that has the page already. An open page sends a request every few seconds; for most of them
//! nothing is rendered.
//!
//! An age is not a change: the script updates ages.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::sync::LazyLock;

use axum::extract::{Request, State};
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderValue, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::{HEADERS, Site, events, rate_limits};

/// Differs between processes, since their publications have the same numbers.
static PROCESS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

pub(super) async fn answer(State(site): State<Site>, request: Request, next: Next) -> Response {
    let version = version(&site, request.uri());
    let mut known = request.headers().get_all(IF_NONE_MATCH).iter().filter_map(|tags| tags.to_str().ok());
    if known.any(|tags| tags.split(',').any(|tag| tag.trim() == version)) {
        return (StatusCode::NOT_MODIFIED, HEADERS, [(ETAG, version)]).into_response();
    }
    let mut response = next.run(request).await;
    // The page is at least as new as the version: a change meanwhile gives another version.
    if response.status() == StatusCode::OK {
        response.headers_mut().insert(ETAG, version);
    }
    response
}

/// The version of all data that the page shows.
fn version(site: &Site, uri: &Uri) -> HeaderValue {
    let mut hasher = PROCESS.build_hasher();
    (uri.path(), uri.query()).hash(&mut hasher);
    site.reader.published.borrow().number.hash(&mut hasher);
    site.reader.sources.borrow().hash(&mut hasher);
    let queues = site.reader.queues.borrow().clone();
    events::shown(&queues, &site.reader.sources.borrow(), &site.metrics).hash(&mut hasher);
    queues.hash(&mut hasher);
    site.reader.configuration.borrow().hash(&mut hasher);
    site.history.newest_at().hash(&mut hasher);
    site.reader.bucket_statuses().iter().for_each(|level| rate_limits::shown(level).hash(&mut hasher));
    let version = format!("W/\"{:016x}\"", hasher.finish());
    HeaderValue::from_str(&version).expect("letters and digits")
}
