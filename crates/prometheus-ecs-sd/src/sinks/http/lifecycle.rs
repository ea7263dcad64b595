//! `POST /-/reload`, as Prometheus spells it.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;

use super::Site;

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/-/reload", post(reload).put(reload))
}

/// Answers once the new configuration is in effect.
async fn reload(State(site): State<Site>) -> (StatusCode, String) {
    let Some(reloads) = &site.reloads else {
        let how = "reloading over HTTP is not enabled; see --enable-lifecycle\n";
        return (StatusCode::FORBIDDEN, how.to_owned());
    };
    match reloads.request().await {
        Ok(()) => (StatusCode::OK, String::new()),
        Err(errors) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{errors}\n")),
    }
}
