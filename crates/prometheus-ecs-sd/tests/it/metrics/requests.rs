//! Requests to AWS.

use std::time::Duration;

use ecs_simulator::{Calls, Fault, worlds};

use super::Now;
use crate::simulated::{REGION, Running, Stage, every_case, fleet};

fn stage() -> Stage {
    Stage::new(fleet(&[("prod", 250)]))
}

#[tokio::test(start_paused = true)]
async fn each_end_of_a_request_is_counted_as_what_it_was() {
    for (fault, outcome) in [
        (Fault::Throttled, "throttled"),
        (Fault::Denied, "denied"),
        (Fault::Expired, "credentials"),
        (Fault::ServerError, "server_error"),
        (Fault::Unavailable, "server_error"),
        (Fault::ConnectionRefused, "connection"),
        (Fault::ResetMidBody, "connection"),
        (Fault::NeverEnds, "timeout"),
        (Fault::CutShort, "ok"),
    ] {
        let stage = stage();
        let mut running = stage.run().await;
        running.next().await;
        let counted = |now: &Now| now.sum("aws_requests_total", "operation=\"ListTasks\"");
        let before = counted(&Now::of(&running));
        stage.simulator.inject(fault, Calls::of("ListTasks"));
        running.next().await;
        let now = Now::of(&running);
        let label = format!("{{service=\"ecs\",operation=\"ListTasks\",outcome=\"{outcome}\"}}");
        let ended = now.sample(&format!("aws_requests_total{label}")).unwrap();
        let already = if outcome == "ok" { before } else { 0.0 };
        assert!(ended > already, "{fault:?}");
        assert_eq!(counted(&now) - before, ended - already, "{fault:?} is counted as something else, too");
    }
}

#[tokio::test(start_paused = true)]
async fn credentials_that_cannot_be_loaded_are_counted() {
    let role = "arn:aws:iam::222222222222:role/reader";
    let stage = stage().role(role, None);
    let mut running = stage.run().await;
    running.round().await;
    let counted = |running: &Running, account: &str| {
        Now::of(running).sample(&format!("aws_credential_failures_total{{account=\"{account}\"}}")).unwrap()
    };
    assert_eq!((counted(&running, "own"), counted(&running, "222222222222")), (0.0, 1.0));
    running.round().await;
    assert_eq!((counted(&running, "own"), counted(&running, "222222222222")), (0.0, 2.0));
}

/// In two accounts and two regions, with a fifth of all calls throttled: so is every retry, and what STS is asked.
#[tokio::test(start_paused = true)]
async fn every_request_that_aws_sees_is_counted_once() {
    let stage = every_case();
    stage.simulator.inject(Fault::Throttled, Calls::all().share(0.2, 1));
    let mut running = stage.run().await;
    for _ in 0..3 {
        running.next().await;
    }
    let (now, ledger) = (Now::of(&running), stage.simulator.calls());
    assert_eq!(now.sum("aws_requests_total", ""), ledger.total() as f64);
    assert_eq!(now.sum("aws_request_duration_seconds_count", ""), ledger.total() as f64);
    assert!(now.sum("aws_requests_total", "service=\"sts\"") > 0.0);
    let unmetered = now.sum("aws_requests_total", "service=\"sts\"");
    assert_eq!(now.sum("aws_tokens_drawn_total", ""), ledger.total() as f64 - unmetered);
    let throttled = |labels: &str| now.sum("aws_requests_total", labels);
    let of_sts = "service=\"sts\",operation=\"AssumeRole\",outcome=\"throttled\"";
    let of_identity = "service=\"sts\",operation=\"GetCallerIdentity\",outcome=\"throttled\"";
    let metered = throttled("outcome=\"throttled\"") - throttled(of_sts) - throttled(of_identity);
    assert!(metered > 0.0);
    assert_eq!(now.sum("aws_throttles_total", ""), metered);
}

#[tokio::test(start_paused = true)]
async fn throttled_requests_are_counted_where_they_were_throttled_and_lower_the_rate() {
    let stage = every_case();
    let mut running = stage.run().await;
    running.round().await;
    stage.simulator.inject(Fault::Throttled, Calls::of("ListTasks").in_account(worlds::PARTNER_ACCOUNT));
    running.round().await;
    // Retries may take longer than a publication waits for a slow source, and end long before the next refresh.
    tokio::time::sleep(Duration::from_secs(10)).await;
    let now = Now::of(&running);
    let partner =
        format!("{{account=\"{}\",region=\"{REGION}\",bucket=\"ecs-tasks\"}}", worlds::PARTNER_ACCOUNT);
    assert_eq!(now.sample(&format!("aws_throttles_total{partner}")), Some(3.0));
    assert_eq!(now.sum("aws_throttles_total", ""), 3.0);
    assert!(now.sample(&format!("aws_token_rate{partner}")).unwrap() < 10.0);
    let own = format!("{{account=\"own\",region=\"{REGION}\",bucket=\"ecs-tasks\"}}");
    assert_eq!(now.sample(&format!("aws_token_rate{own}")), Some(10.0));
}

/// 250 definitions at 10 a second.
#[tokio::test(start_paused = true)]
async fn the_time_of_a_request_is_without_its_waiting() {
    const LATENCY: Duration = Duration::from_millis(40);
    let size = worlds::Size { tasks: 250, clusters: 1, definitions: 250, hosts: 0 };
    let stage = Stage::new(worlds::large(size)).regions(&[worlds::REGION]);
    stage.simulator.set_latency(LATENCY);
    let mut running = stage.run().await;
    running.next().await;
    let now = Now::of(&running);
    let definitions = "{service=\"ecs\",operation=\"DescribeTaskDefinition\"}";
    let sample = |name: &str| now.sample(&format!("{name}{definitions}")).unwrap();
    assert_eq!(sample("aws_request_duration_seconds_count"), 250.0);
    assert!((sample("aws_request_duration_seconds_sum") - 250.0 * LATENCY.as_secs_f64()).abs() < 0.1);
    assert_eq!(sample("aws_token_wait_seconds_count"), 250.0);
    // Eight wait at a time, and all but the first 22 do.
    assert!((sample("aws_token_wait_seconds_sum") - 228.0 * 0.8).abs() < 20.0, "{:?}", now.0);
}
