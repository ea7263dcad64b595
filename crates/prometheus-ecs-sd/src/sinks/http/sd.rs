//! `GET /sd`: the targets, for Prometheus' `http_sd_configs`.
//!
//! Prometheus keeps the targets it has as long as the answer is not 200, and drops those that an answer of 200 lacks.
//! So an answer is 200 only if what it lacks is known not to be there.

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use ecs_discovery::filter::Filter;
use ecs_discovery::snapshot::Scope;

use super::Site;
use super::bodies::{Bodies, Encoding};
use crate::publisher::{Board, Published, SourceStanding};

/// The targets, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Sd {
    board: Board,
    bodies: Arc<Bodies>,
}

/// Why there is no list.
type Refusal = (StatusCode, String);

impl Sd {
    /// Of what will be on the board; nothing is made yet.
    pub(super) fn new(board: Board) -> Self {
        Self { board, bodies: Arc::default() }
    }

    /// Makes the lists that are asked for anew whenever there is a new snapshot, until there will be no more.
    pub(super) async fn follow(self) {
        let mut published = self.board.published.clone();
        while published.changed().await.is_ok() {
            self.bodies.renew(&published.borrow_and_update().clone());
        }
    }

    async fn answer(&self, query: &str, encoding: Encoding) -> Result<Response, Refusal> {
        let filter = Filter::parse(query, &self.board.intervals.borrow());
        let filter = filter.map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
        let published = self.board.published.borrow().clone();
        answerable(&filter, &published, &self.board.sources.borrow())?;
        let Some(making) = self.bodies.of(&published, filter, encoding) else {
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "too many different lists are asked for".to_owned(),
            ));
        };
        let mut response = making.await.into_response();
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
        if encoding == Encoding::Gzip {
            response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/sd", get(sd))
}

async fn sd(State(site): State<Site>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let encoding = if accepts_gzip(&headers) { Encoding::Gzip } else { Encoding::Identity };
    match site.sd.answer(query.as_deref().unwrap_or_default(), encoding).await {
        Ok(response) => response,
        Err((status, problem)) => (status, problem + "\n").into_response(),
    }
}

/// Whether the list would be true. A cluster that is not there has no targets, if everything that could have it was
/// heard; a region or an account that nobody looks at is a typo.
fn answerable(filter: &Filter, published: &Published, sources: &[SourceStanding]) -> Result<(), Refusal> {
    if published.number == 0 {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "nothing is published yet".to_owned()));
    }
    let mut scopes = filter.scopes(&published.snapshot).peekable();
    if scopes.peek().is_some() {
        return match scopes.any(Scope::is_known) {
            true => Ok(()),
            false => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "none of the clusters that are asked for could be read yet".to_owned(),
            )),
        };
    }
    let covers = |source: &&SourceStanding| filter.covers(source.account.as_deref(), &source.region);
    let mut covered = sources.iter().filter(covers).peekable();
    if covered.peek().is_none() {
        return Err((
            StatusCode::BAD_REQUEST,
            "no account and region that is looked at is asked for".to_owned(),
        ));
    }
    match covered.all(|source| source.complete) {
        true => Ok(()),
        false => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "no cluster that is asked for is known, and not everything could be read yet".to_owned(),
        )),
    }
}

/// Whether gzip is among what is accepted, and not with a quality of zero.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(',')).map(|coding| {
        let (name, parameters) = coding.split_once(';').unwrap_or((coding, ""));
        let quality = parameters.trim().strip_prefix("q=").and_then(|text| text.trim().parse::<f32>().ok());
        (name.trim(), quality.unwrap_or(1.0))
    });
    codings.any(|(name, quality)| name.eq_ignore_ascii_case("gzip") && quality > 0.0)
}
