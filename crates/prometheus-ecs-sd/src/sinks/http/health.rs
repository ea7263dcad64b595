//! `/-/healthy` and `/-/ready`, as Prometheus spells them.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::Site;

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/-/healthy", get(healthy)).route("/-/ready", get(ready))
}

/// The process runs and answers.
async fn healthy() -> &'static str {
    "prometheus-ecs-sd is Healthy.\n"
}

/// Ready when every source was refreshed, successfully or not, or when the targets of the previous run are published.
/// The number of targets does not matter: an empty fleet is no reason to restart the program.
async fn ready(State(site): State<Site>) -> (StatusCode, &'static str) {
    let sources = site.reader.sources.borrow();
    let published = site.reader.published.borrow();
    let is_first_over = sources.iter().all(|source| source.refreshed.is_some());
    if published.number == 0 {
        (StatusCode::SERVICE_UNAVAILABLE, "nothing is published yet\n")
    } else if is_first_over || !published.reading.lists_wait() {
        (StatusCode::OK, "prometheus-ecs-sd is Ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "some accounts and regions have not been read yet\n")
    }
}
