//! `GET /sd`: the targets, for Prometheus' `http_sd_configs`.
//!
//! Prometheus keeps the targets it has as long as the answer is not 200, and drops those that an answer of 200 lacks.
//! So an answer is 200 only if what it lacks is known not to be there.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use ecs_discovery::filter::Filter;
use ecs_discovery::snapshot::Scope;

use super::Site;
use super::render_cache::{Encoding, RenderCache};
use super::seats::Hangup;
use crate::board::{Board, Published, SourceStanding};
use crate::sinks::file_sd::PUT_OFF;

/// The targets, ready to be sent.
#[derive(Clone, Debug)]
pub(super) struct Sd {
    board: Board,
    lists: RenderCache,
}

/// Why there is no list.
type Refusal = (StatusCode, String);

impl Sd {
    /// Of what will be on the board; nothing is made yet.
    pub(super) fn new(board: Board) -> Self {
        Self { board, lists: RenderCache::default() }
    }

    /// Makes the lists that are asked for anew whenever there is a new snapshot, until there will be no more.
    pub(super) async fn follow(self) {
        let mut published = self.board.published.clone();
        while published.changed().await.is_ok() {
            self.lists.renew(&published.borrow_and_update().clone());
        }
    }

    async fn answer(&self, query: &str, encoding: Encoding, connection: Hangup) -> Result<Response, Refusal> {
        let filter = Filter::parse(query, &self.board.intervals.borrow());
        let filter = filter.map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
        let published = self.answerable(&filter)?;
        let Some(list) = self.lists.list(&published, &filter, encoding).await else {
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "too many new lists are asked for; ask again".to_owned(),
            ));
        };
        let mut response = Response::new(Body::new(list.read(connection)));
        let json = header::HeaderValue::from_static("application/json");
        response.headers_mut().insert(header::CONTENT_TYPE, json);
        response.headers_mut().insert(header::VARY, header::HeaderValue::from_static("accept-encoding"));
        if encoding == Encoding::Gzip {
            response.headers_mut().insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }

    /// What the list is made of, if the list would be true.
    fn answerable(&self, filter: &Filter) -> Result<Published, Refusal> {
        // The sources before the snapshot, which is then at least as new as what they say of it; and they cannot
        // become others meanwhile.
        let sources = self.board.sources.borrow();
        let published = self.board.published.borrow().clone();
        answerable(filter, &published, &sources)?;
        Ok(published)
    }
}

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/sd", get(sd))
}

async fn sd(
    State(site): State<Site>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    Extension(connection): Extension<Hangup>,
) -> Response {
    let encoding = if accepts_gzip(&headers) { Encoding::Gzip } else { Encoding::Identity };
    match site.sd.answer(query.as_deref().unwrap_or_default(), encoding, connection).await {
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
    if published.number <= u64::from(PUT_OFF) && is_partial(filter, published, sources) {
        let problem = format!(
            "something was not read since the program started; after {PUT_OFF} publications the list goes without it"
        );
        return Err((StatusCode::SERVICE_UNAVAILABLE, problem));
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
    match covered.all(|source| source.complete && source.published) {
        true => Ok(()),
        false => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "no cluster that is asked for is known, and not everything could be read yet".to_owned(),
        )),
    }
}

/// Whether the list lacks what Prometheus may have from the process before: what could not be read just now was probably
/// in it.
fn is_partial(filter: &Filter, published: &Published, sources: &[SourceStanding]) -> bool {
    let covers = |source: &SourceStanding| filter.covers(source.account.as_deref(), &source.region);
    sources.iter().any(|source| !source.is_known && covers(source))
        || !filter.scopes(&published.snapshot).all(Scope::is_known)
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ecs_discovery::arn::ClusterArn;
    use ecs_discovery::interval::Intervals;
    use ecs_discovery::snapshot::Snapshot;

    use super::*;
    use crate::board::Outlet;
    use crate::poller::Heard;
    use crate::publisher::Publisher;

    const CLUSTER: &str = "arn:aws:ecs:eu-west-1:123456789012:cluster/";

    /// The status of a list, with one cluster that was heard and one that was not, if `unheard` says so; and with a source
    /// of which nothing is known, if there is a `dark` region.
    fn check(number: u64, query: &str, unheard: bool, dark: Option<&str>) -> u16 {
        let mut snapshot = Snapshot::default();
        let mut add = |name: &str, scope| {
            snapshot.scopes.insert(ClusterArn::parse(&format!("{CLUSTER}{name}")).unwrap(), scope)
        };
        add("heard", Scope::heard(Arc::default(), Duration::ZERO));
        if unheard {
            add("unheard", Scope::unheard("denied".to_owned()));
        }
        let published = Published { snapshot: Arc::new(snapshot), number, ..Published::default() };
        let source = |region: &str, is_known| SourceStanding {
            is_known,
            complete: is_known && !unheard,
            ..SourceStanding::new("own".into(), None, region.to_owned())
        };
        let dark = dark.map(|region| source(region, false));
        let sources: Vec<_> = [source("eu-west-1", true)].into_iter().chain(dark).collect();
        let filter = Filter::parse(query, &Intervals::default()).unwrap();
        answerable(&filter, &published, &sources).map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn a_list_that_may_lack_what_was_there_before_is_put_off_for_a_while() {
        assert_eq!([0, 1, 2].map(|number| check(number, "", false, None)), [503, 200, 200]);
        assert_eq!([1, 3, 4].map(|number| check(number, "", true, None)), [503, 503, 200]);
        assert_eq!([1, 3, 4].map(|number| check(number, "", false, Some("us-east-1"))), [503, 503, 200]);
    }

    #[test]
    fn what_is_not_asked_for_puts_nothing_off() {
        assert_eq!(check(1, "cluster=heard", true, None), 200);
        assert_eq!(check(1, "region=eu-west-1", false, Some("us-east-1")), 200);
        assert_eq!(check(1, "cluster=un*", true, None), 503);
        assert_eq!(check(4, "cluster=un*", true, None), 503);
    }

    fn standing(region: &str) -> SourceStanding {
        SourceStanding::new(region.into(), None, region.to_owned())
    }

    fn heard(region: &str) -> Heard {
        let cluster = format!("arn:aws:ecs:{region}:123456789012:cluster/prod");
        let scope = Scope::heard(Arc::default(), Duration::ZERO);
        let scopes = [(ClusterArn::parse(&cluster).unwrap(), scope)].into();
        Heard { scopes, complete: true, ..Heard::default() }
    }

    #[tokio::test]
    async fn what_was_heard_and_is_not_published_yet_is_not_known_to_be_missing() {
        let outlet = Outlet::default();
        let sd = Sd::new(outlet.board());
        let sources = ["eu-west-1", "eu-west-2"].map(|region| (standing(region), Default::default()));
        let mut publisher = Publisher::new(outlet, sources.into());
        let status = async |query| match sd.answer(query, Encoding::Identity, Hangup::default()).await {
            Ok(response) => response.status().as_u16(),
            Err((status, _)) => status.as_u16(),
        };
        publisher.hear(0, heard("eu-west-1"));
        publisher.hear(1, Heard::default());
        publisher.publish();
        assert_eq!((status("").await, status("region=eu-west-2").await), (503, 503));
        publisher.hear(1, heard("eu-west-2"));
        assert_eq!((status("").await, status("region=eu-west-2").await), (503, 503));
        publisher.publish();
        assert_eq!((status("region=eu-west-2").await, status("cluster=none").await), (200, 200));
    }
}
