//! `/-/healthy` and `/-/ready`, as Prometheus spells them.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::Site;

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/-/healthy", get(healthy)).route("/-/ready", get(ready))
}

/// The process lives and answers.
async fn healthy() -> &'static str {
    "prometheus-ecs-sd is Healthy.\n"
}

/// Something is published, however many targets that is: an empty fleet is no reason to restart the program.
async fn ready(State(site): State<Site>) -> (StatusCode, &'static str) {
    if site.board.published.borrow().number > 0 {
        (StatusCode::OK, "prometheus-ecs-sd is Ready.\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "nothing is published yet\n")
    }
}
