//! `GET /sd`: the targets, for `http_sd_configs` of Prometheus.
//!
//! Prometheus keeps its targets while the status is not 200, and drops targets that are missing from an answer with
//! status 200. So the status is 200 only if all missing targets are known not to exist.

use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use ecs_discovery::filter::Filter;
use ecs_discovery::snapshot::Scope;

use super::Site;
use super::accepted;
use super::connection_limit::Hangup;
use super::render_cache::{Encoding, RenderCache};
use crate::published::{Published, SnapshotReader, SourceStatus};

/// The rendered lists of targets.
#[derive(Clone, Debug)]
pub(super) struct Sd {
    reader: SnapshotReader,
    lists: RenderCache,
}

/// Why there is no list.
type Refusal = (StatusCode, String);

impl Sd {
    /// Of what `reader` will show; nothing is rendered yet.
    pub(super) fn new(reader: SnapshotReader) -> Self {
        Self { reader, lists: RenderCache::default() }
    }

    /// Renders the requested lists again after each publication, until the last one.
    pub(super) async fn follow(self) {
        let mut published = self.reader.published.clone();
        while published.changed().await.is_ok() {
            self.lists.renew(&published.borrow_and_update().clone());
        }
    }

    async fn answer(&self, query: &str, encoding: Encoding, connection: Hangup) -> Result<Response, Refusal> {
        let filter = Filter::parse(query, &self.reader.rules.borrow().intervals);
        let filter = filter.map_err(|problem| (StatusCode::BAD_REQUEST, problem))?;
        let published = self.answerable(&filter)?;
        let Some(list) = self.lists.list(&published, &filter, encoding).await else {
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "too many new lists are requested; try again".to_owned(),
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

    /// The published data, if a list of it would be correct.
    fn answerable(&self, filter: &Filter) -> Result<Published, Refusal> {
        // The sources are read before the snapshot, which is then at least as new as their status, and they are
        // locked meanwhile.
        let sources = self.reader.sources.borrow();
        let published = self.reader.published.borrow().clone();
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
    let accept = accepted::header(&headers, header::ACCEPT_ENCODING);
    let encoding = if accepts_gzip(&accept) { Encoding::Gzip } else { Encoding::Identity };
    match site.sd.answer(query.as_deref().unwrap_or_default(), encoding, connection).await {
        Ok(response) => response,
        Err((status, problem)) => (status, problem + "\n").into_response(),
    }
}

/// Whether the list would be correct. An unknown cluster has no targets if all sources that could contain it are up to
/// date. A region or an account that no source covers is a typo.
fn answerable(filter: &Filter, published: &Published, sources: &[SourceStatus]) -> Result<(), Refusal> {
    if published.number == 0 {
        return Err((StatusCode::SERVICE_UNAVAILABLE, "nothing is published yet".to_owned()));
    }
    if published.reading.withholds(filter) {
        let problem = "an account, region or cluster of this list was not read since the program started, and its targets may be \
                       missing; the log and the status page name it; a state file prevents this";
        return Err((StatusCode::SERVICE_UNAVAILABLE, problem.to_owned()));
    }
    let mut scopes = filter.scopes(&published.snapshot).peekable();
    if scopes.peek().is_some() {
        return match scopes.any(Scope::is_known) {
            true => Ok(()),
            false => Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "none of the requested clusters could be read yet".to_owned(),
            )),
        };
    }
    let covers = |source: &&SourceStatus| filter.covers(source.account.as_deref(), &source.region);
    let mut covered = sources.iter().filter(covers).peekable();
    if covered.peek().is_none() {
        return Err((
            StatusCode::BAD_REQUEST,
            "no source covers the requested account and region; check the query".to_owned(),
        ));
    }
    match covered.all(|source| source.complete && source.published) {
        true => Ok(()),
        false => Err((
            StatusCode::SERVICE_UNAVAILABLE,
            "no requested cluster is known, and some sources could not be read yet".to_owned(),
        )),
    }
}

/// Whether the client accepts gzip, with a quality above zero.
fn accepts_gzip(accept: &str) -> bool {
    accepted::list(accept).any(|coding| coding.name.eq_ignore_ascii_case("gzip") && coding.quality > 0.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use ecs_discovery::arn::ClusterArn;
    use ecs_discovery::failure::{Failure, FailureKind};
    use tokio::sync::watch;

    use super::*;
    use crate::published::{Pending, SnapshotStore, SourceResult};
    use crate::publisher::{Past, PublishRules, Publisher};

    const MINUTE: Duration = Duration::from_secs(60);

    /// Sources in two regions, and the lists of their targets.
    struct Served {
        sd: Sd,
        store: SnapshotStore,
        pending: watch::Sender<Pending>,
        publisher: Publisher,
    }

    impl Served {
        /// `is_known`: whether the process knows the targets of the previous run.
        fn new(is_known: bool, max_staleness: Duration) -> Self {
            let (store, pending) = (SnapshotStore::default(), watch::Sender::default());
            let status = |region: &str| SourceStatus::new(region.into(), None, region.to_owned());
            let sources = ["eu-west-1", "eu-west-2"].map(|region| (status(region), Default::default()));
            let rules = PublishRules { max_staleness, allow_empty: false };
            let past = (Past::of(is_known), rules);
            let publisher = Publisher::new(store.clone(), pending.clone(), sources.into(), past);
            Self { sd: Sd::new(store.reader()), store, pending, publisher }
        }

        fn publish(&mut self) {
            self.publisher.publish();
            self.store.publish(self.pending.borrow().clone());
        }

        async fn status(&self, query: &str) -> u16 {
            match self.sd.answer(query, Encoding::Identity, Hangup::default()).await {
                Ok(response) => response.status().as_u16(),
                Err((status, _)) => status.as_u16(),
            }
        }
    }

    fn read(region: &str) -> SourceResult {
        let cluster = format!("arn:aws:ecs:{region}:123456789012:cluster/prod");
        let scope = Scope::fresh(Arc::default(), Duration::ZERO);
        let scopes = [(ClusterArn::parse(&cluster).unwrap(), scope)].into();
        SourceResult { scopes, complete: true, listed: true, ..SourceResult::default() }
    }

    fn failed() -> SourceResult {
        let failure = Failure { kind: FailureKind::Unavailable, message: "no answer".to_owned() };
        SourceResult { failure: Some(failure), ..SourceResult::default() }
    }

    #[test]
    fn gzip_is_sent_to_clients_that_accept_it() {
        for accept in ["gzip", "deflate, GZIP;q=0.5", "br;q=1.0, gzip ; q=0.001", "gzip;", "gzip;level=9;q=1"]
        {
            assert!(accepts_gzip(accept), "{accept}");
        }
        for accept in
            ["", "identity", "*", "gzip;q=0", "gzip; Q=0.000", "gzip;level=9;q=0", "gzip;q=often", "gzip;q=2"]
        {
            assert!(!accepts_gzip(accept), "{accept}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_that_may_lack_earlier_targets_is_withheld_until_it_does_not() {
        let mut served = Served::new(false, Duration::MAX);
        served.publisher.apply("own account eu-west-1", read("eu-west-1"));
        served.publisher.apply("own account eu-west-2", failed());
        served.publish();
        assert_eq!((served.status("").await, served.status("region=eu-west-1").await), (503, 200));
        served.publisher.apply("own account eu-west-2", read("eu-west-2"));
        served.publish();
        assert_eq!(served.status("").await, 200);
        // A cluster that was read once is kept.
        served.publisher.apply("own account eu-west-2", failed());
        served.publish();
        assert_eq!(served.status("").await, 200);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_served_as_soon_as_its_sources_were_read_while_others_are_read_for_the_first_time() {
        let mut served = Served::new(false, Duration::MAX);
        served.publisher.apply("own account eu-west-1", read("eu-west-1"));
        served.publish();
        let status = async |query| served.status(query).await;
        assert_eq!([status("region=eu-west-1").await, status("cluster=prod").await], [200, 503]);
        assert_eq!([status("").await, status("region=eu-west-2").await], [503, 503]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cluster_that_was_never_read_withholds_the_lists_that_it_belongs_to() {
        let mut served = Served::new(false, Duration::MAX);
        let mut partly = read("eu-west-1");
        let dark = ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/dark").unwrap();
        partly.scopes.insert(dark, Scope::never_read("no answer".to_owned()));
        partly.complete = false;
        served.publisher.apply("own account eu-west-1", partly);
        served.publisher.apply("own account eu-west-2", read("eu-west-2"));
        served.publish();
        let status = async |query| served.status(query).await;
        assert_eq!([status("").await, status("cluster=d*").await], [503, 503]);
        assert_eq!([status("cluster=prod").await, status("region=eu-west-2").await], [200, 200]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_list_is_withheld_for_a_quarter_of_an_hour_or_for_as_long_as_the_operator_says() {
        for (max_staleness, minutes) in [(Duration::MAX, 15), (60 * MINUTE, 60), (MINUTE, 1)] {
            let mut served = Served::new(false, max_staleness);
            served.publisher.apply("own account eu-west-1", read("eu-west-1"));
            for minute in 0..=minutes {
                served.publisher.apply("own account eu-west-2", failed());
                served.publish();
                assert_eq!(served.status("").await, 503, "after {minute} of {minutes} minutes");
                tokio::time::advance(MINUTE).await;
            }
            served.publish();
            assert_eq!(served.status("").await, 200, "after {minutes} minutes");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_knows_the_previous_targets_withholds_nothing() {
        let mut served = Served::new(true, Duration::MAX);
        served.publisher.apply("own account eu-west-1", read("eu-west-1"));
        served.publisher.apply("own account eu-west-2", failed());
        served.publish();
        assert_eq!(served.status("").await, 200);
    }

    #[tokio::test]
    async fn a_list_waits_for_the_publication_of_results() {
        let mut served = Served::new(true, Duration::MAX);
        served.publisher.apply("own account eu-west-1", read("eu-west-1"));
        served.publisher.apply("own account eu-west-2", SourceResult::default());
        served.publish();
        assert_eq!(served.status("region=eu-west-2").await, 503);
        served.publisher.apply("own account eu-west-2", read("eu-west-2"));
        assert_eq!(served.status("region=eu-west-2").await, 503);
        served.publish();
        assert_eq!(
            [served.status("region=eu-west-2").await, served.status("cluster=none").await],
            [200, 200]
        );
    }
}
