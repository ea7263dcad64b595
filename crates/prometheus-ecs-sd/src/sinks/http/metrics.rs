//! `/metrics`, in the format that the scraper prefers.

mod current;
mod page;
mod process;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::Site;
use super::accepted::{self, Accepted};
use crate::telemetry::metrics::Metrics;

pub use page::{Format, page};

pub(super) fn routes() -> Router<Site> {
    Router::new().route("/metrics", get(metrics))
}

async fn metrics(State(site): State<Site>, headers: HeaderMap) -> impl IntoResponse {
    let format = preferred(&accepted::header(&headers, ACCEPT));
    let kind = match format {
        Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        Format::Text => "text/plain; version=0.0.4; charset=utf-8",
    };
    ([(CONTENT_TYPE, kind)], page(&site.metrics, &site.reader, format))
}

/// OpenMetrics if the scraper accepts version 1.0.0 and does not prefer text.
fn preferred(accept: &str) -> Format {
    let weight = |kind: &str| {
        let ranges = accepted::list(accept).filter(|range| range.name.eq_ignore_ascii_case(kind));
        ranges.filter(is_supported).map(|range| range.quality).fold(0.0, f32::max)
    };
    let open = weight("application/openmetrics-text");
    if open > 0.0 && open >= weight("text/plain") { Format::OpenMetrics } else { Format::Text }
}

/// Whether a media range has no version, or one that is served.
fn is_supported(range: &Accepted<'_>) -> bool {
    let mut parameters = range.parameters.iter();
    parameters.all(|(name, version)| *name != "version" || ["1.0.0", "0.0.4"].contains(version))
}

/// The handler of paths that are not served.
const OTHER: &str = "other";

/// Counts every answer by its declared path.
pub(super) async fn count(State(metrics): State<Metrics>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    metrics.answered(path.as_ref().map_or(OTHER, MatchedPath::as_str), response.status().as_u16());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_metrics_is_sent_to_scrapers_that_prefer_it() {
        // The headers of Prometheus 2.42, 3.0 and 3.5, and of others.
        for accept in [
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
            "application/openmetrics-text",
            "Application/OpenMetrics-Text; version=1.0.0; charset=utf-8",
            "text/plain, application/openmetrics-text",
        ] {
            assert_eq!(preferred(accept), Format::OpenMetrics, "{accept}");
        }
        for accept in [
            "",
            "*/*",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
            "text/plain;version=0.0.4",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;version=0.0.1,text/plain;q=0.5",
            "application/openmetrics-text;version=1.0.0;q=0.1,text/plain;version=0.0.4;q=0.9",
            "application/openmetrics-text;q=often",
            "application/openmetrics-text;q=2",
            ";;,=,",
        ] {
            assert_eq!(preferred(accept), Format::Text, "{accept}");
        }
    }
}
