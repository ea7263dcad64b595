//! How `PROMETHEUS_ENDPOINT` may be spelled.

use super::{Stage, family, scraped};

pub(super) fn play(stage: &mut Stage<'_>) {
    // One target in each of the four intervals.
    offer(stage, "endpoints-every-interval", "15s:/fast,30s:/quick,1m:/slow,5m:/slowest");
    // Two targets, 30s /a and 1m /b: white space and empty endpoints do not count.
    offer(stage, "endpoints-loose", " 30s : /a , , /b ,");
    // Three at the default interval: 60s is 1m, and 90 seconds and two hours are not offered.
    offer(stage, "endpoints-other-intervals", "60s:/one,1m30s:/two,2h:/three");
    // The paths /v1:metrics and /metrics: what is no duration is part of the path, which gets its slash.
    offer(stage, "endpoints-odd-paths", "/v1:metrics,metrics");
    // The path /metrics with the parameters format=prometheus and a=b.
    offer(stage, "endpoints-query", "/metrics?format=prometheus&a=b");
    // Ports 9102 and 9103 for two endpoints, 8080 for the third.
    offer(stage, "endpoints-with-ports", "9102/metrics,30s:9103/metrics,/metrics");
    // One target, in 15s: the last of equal endpoints wins.
    offer(stage, "endpoints-twice", "1m:/metrics,15s:/metrics");
    // An interval without a path, and a port that is none.
    offer(stage, "endpoints-malformed", "30s:,99999/metrics");
}

fn offer(stage: &mut Stage<'_>, name: &str, endpoints: &str) {
    stage.fargate(family(name, scraped("app").env("PROMETHEUS_ENDPOINT", endpoints)));
}
