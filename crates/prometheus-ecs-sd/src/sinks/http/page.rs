//! The status page: the targets, the containers that are not scraped and why, and recent changes. It is rendered for each
//! request, from published data only.
//!
//! It works without JavaScript; the script only saves reloading. The templates escape all text from outside, and the
//! content security policy allows only the page's own files.

mod assets;
mod changes;
mod configuration;
mod events;
mod find;
mod format;
mod rate_limits;
mod scopes;
mod search;
mod search_index;
mod skipped;
mod summary;
mod targets;
mod unchanged;

use std::sync::Arc;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use maud::{DOCTYPE, Markup, html};
use tokio::sync::Semaphore;

use super::Site;
use search::Search;
pub(super) use search_index::SearchIndex;

/// Only this page's own files, no framing by other pages, and forms only to this page.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (CACHE_CONTROL, "no-store"),
];

/// Pages that may wait to be rendered. People, and the tabs they forget, are fewer.
const WAITING: usize = 64;

/// Limits rendering to one page at a time, and the number of pages that wait.
#[derive(Debug)]
pub(super) struct RenderLimit {
    waiting: Semaphore,
    permit: Arc<Semaphore>,
}

impl Default for RenderLimit {
    fn default() -> Self {
        Self { waiting: Semaphore::new(WAITING), permit: Arc::new(Semaphore::new(1)) }
    }
}

pub(super) fn routes(site: &Site) -> Router<Site> {
    Router::new()
        .route("/", get(overview))
        .route("/target", get(target))
        .route("/changes", get(all_changes))
        .route_layer(from_fn_with_state(site.clone(), unchanged::answer))
        .merge(assets::routes())
}

async fn overview(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    respond(site, move |site| {
        let search = Search::parse(&query.unwrap_or_default());
        let published = site.reader.published.borrow().clone();
        let sources = site.reader.sources.borrow().clone();
        let now = site.reader.clock.read();
        let index = site.search_index.of(&published);
        let overall = summary::Overall::new(&published, &sources);
        let found = index.find(&search);
        let status = html! {
            div.columns {
                (scopes::section(&published, &sources, now))
                (changes::section(&site.history, now))
            }
        };
        let (skipped, targets) =
            (skipped::section(&index, &search, &found), targets::section(&index, &search, &found));
        // A search shows targets first, unless none match: a long list of findings would hide them.
        let targets_first = search.is_narrow() && !found.targets.is_empty();
        // The form stays in one place, so that it keeps the focus; the results move.
        let body = html! {
            (summary::section(&overall, &published, &sources, now))
            (find::section(&index, &search, &found))
            @if !search.is_narrow() { (status) }
            @if targets_first { (targets) (skipped) } @else { (skipped) (targets) }
            @if search.is_narrow() { (status) }
            (events::section(&site.reader.queues.borrow(), &sources, &site.metrics, now))
            div.columns {
                (rate_limits::section(site.reader.bucket_statuses()))
                (configuration::section(&site.reader.configuration.borrow()))
            }
        };
        (StatusCode::OK, frame(overall.title(), "", body))
    })
    .await
}

async fn target(State(site): State<Site>, RawQuery(query): RawQuery) -> Response {
    respond(site, move |site| {
        let published = site.reader.published.borrow().clone();
        match targets::detail(&published.snapshot, &query.unwrap_or_default()) {
            Some(detail) => (StatusCode::OK, frame("target", "./", detail)),
            None => (StatusCode::NOT_FOUND, frame("no such target", "./", targets::unknown())),
        }
    })
    .await
}

async fn all_changes(State(site): State<Site>) -> Response {
    respond(site, |site| {
        let body = changes::whole(&site.history, site.reader.clock.read());
        (StatusCode::OK, frame("changes", "./", body))
    })
    .await
}

/// Renders outside of the threads that serve, one page at a time. So discovery and other answers have a processor while a
/// large fleet is searched, even if many clients request pages or disconnect early.
async fn respond(
    site: Site,
    render: impl FnOnce(&Site) -> (StatusCode, Markup) + Send + 'static,
) -> Response {
    let Ok(_place) = site.pages.waiting.try_acquire() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are requested; try again\n")
            .into_response();
    };
    let permit = site.pages.permit.clone().acquire_owned().await;
    let render = {
        let site = site.clone();
        move || {
            let _until_rendered = permit;
            render(&site)
        }
    };
    match tokio::task::spawn_blocking(render).await {
        Ok((status, page)) => (status, HEADERS, Html(page.into_string())).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The sections of the overview.
const SECTIONS: [(&str, &str); 6] = [
    ("clusters", "Clusters"),
    ("skipped", "Not scraped"),
    ("targets", "Targets"),
    ("changes", "Changes"),
    ("rate-limits", "Rate limits"),
    ("configuration", "Configuration"),
];

/// Links are relative, so that a proxy can serve the page below any path. `overview` is the address of the overview, empty
/// on the overview itself, so that links to its sections keep the search.
fn frame(title: &str, overview: &str, body: Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · prometheus-ecs-sd" }
                link rel="icon" type="image/svg+xml" href=(assets::ICON.path());
                link rel="stylesheet" href=(assets::STYLE.path());
                script defer src=(assets::SCRIPT.path()) {}
            }
            body {
                a.skip href="#main" { "Skip to the content" }
                header {
                    a.name href="./" {
                        img src=(assets::ICON.path()) alt="" width="24" height="24";
                        "prometheus-ecs-sd"
                    }
                    nav aria-label="Sections" {
                        @for (section, words) in SECTIONS { a href={ (overview) "#" (section) } { (words) } }
                    }
                    a #news href={ (overview) "#changes" } hidden { "New changes" }
                    p #live role="status" {}
                }
                main #main tabindex="-1" { (body) }
                footer { "prometheus-ecs-sd " (env!("CARGO_PKG_VERSION")) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use axum::body::Body;
    use axum::http::Request;
    use ecs_discovery::arn::ClusterArn;
    use ecs_discovery::snapshot::{Scope, Snapshot};
    use futures_util::FutureExt;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::super::connection_limit::Hangup;
    use super::super::{Auth, router};
    use super::*;
    use crate::published::{Published, SnapshotStore};

    #[tokio::test]
    async fn a_page_waits_for_a_permit_and_is_not_rendered_for_a_disconnected_client() {
        let store = SnapshotStore::default();
        let site = Site::new(store.reader(), store.metrics(), None);
        let made = Arc::new(AtomicUsize::new(0));
        let page = || {
            let made = made.clone();
            respond(site.clone(), move |_| {
                made.fetch_add(1, Ordering::Relaxed);
                (StatusCode::OK, html! {})
            })
        };
        let permit = site.pages.permit.clone().acquire_owned().await;
        assert!((0..1000).all(|_| page().now_or_never().is_none()));
        let mut waiting: Vec<_> = (0..=WAITING).map(|_| Box::pin(page())).collect();
        let answers: Vec<_> = waiting.iter_mut().filter_map(|page| page.now_or_never()).collect();
        assert!(matches!(&answers[..], [answer] if answer.status() == StatusCode::SERVICE_UNAVAILABLE));
        drop((permit, waiting));
        assert_eq!(page().await.status(), StatusCode::OK);
        assert_eq!(made.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn requests_of_prometheus_do_not_wait_for_pages() {
        let store = SnapshotStore::default();
        let cluster = ClusterArn::parse("arn:aws:ecs:eu-west-1:123456789012:cluster/prod").unwrap();
        let scope = Scope::fresh(Arc::default(), Duration::ZERO);
        let snapshot = Arc::new(Snapshot { scopes: [(cluster, scope)].into() });
        store.published.send_replace(Published { snapshot, number: 1, ..Published::default() });
        let site = Site::new(store.reader(), store.metrics(), None);
        let _permit = site.pages.permit.clone().acquire_owned().await.unwrap();
        let page = || Box::pin(respond(site.clone(), |_| (StatusCode::OK, html! {})));
        let mut waiting: Vec<_> = (0..WAITING).map(|_| page()).collect();
        assert!(waiting.iter_mut().all(|page| page.now_or_never().is_none()));
        let router = TowerToHyperService::new(router(site.clone(), &Auth::default()));
        for (path, status) in
            [("/sd", 200), ("/metrics", 200), ("/-/healthy", 200), ("/-/ready", 200), ("/", 503)]
        {
            let mut request = Request::get(path).header("host", "localhost").body(Body::empty()).unwrap();
            request.extensions_mut().insert(Hangup::default());
            assert_eq!(router.call(request).await.unwrap().status(), status, "{path}");
        }
    }
}
