//! The whole page.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use insta::assert_snapshot;
use prometheus_ecs_sd::config::QueueAddress;
use prometheus_ecs_sd::sinks::http::metrics::Format;

use crate::simulated::{Running, Stage, every_case};
use crate::tools::tool;

/// The page after a first refresh of every case there is, with an AWS that takes 40 ms.
async fn refreshed() -> (Stage, Running) {
    let mut stage = every_case();
    let queue = stage.change(|region| region.create_queue("events"));
    stage.config.event_queues = vec![QueueAddress::parse(&queue).unwrap()];
    stage.simulator.set_latency(Duration::from_millis(40));
    let mut running = stage.run().await;
    running.round().await;
    (stage, running)
}

/// The page without what is of this machine and of this moment.
fn settled(page: &str) -> String {
    let lines = page.lines().map(|line| {
        let varies = line.contains("_timestamp_seconds") || line.starts_with("process_");
        match line.rsplit_once(' ') {
            Some((name, value)) if varies && !line.starts_with('#') && value != "0.0" => {
                format!("{name} …\n")
            }
            _ => format!("{line}\n").replace(env!("CARGO_PKG_VERSION"), "VERSION"),
        }
    });
    lines.collect()
}

#[tokio::test(start_paused = true)]
async fn the_page_shows_every_metric_in_both_formats() {
    let (_stage, running) = refreshed().await;
    assert_snapshot!("open_metrics", settled(&running.metrics(Format::OpenMetrics)));
    assert_snapshot!("text", settled(&running.metrics(Format::Text)));
}

#[tokio::test(start_paused = true)]
async fn two_runs_over_one_world_give_equal_pages() {
    let page = async || settled(&refreshed().await.1.metrics(Format::OpenMetrics));
    let (one, other) = (page().await, page().await);
    let differing = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert_eq!((differing, one.len()), (None, other.len()));
}

#[tokio::test(start_paused = true)]
async fn promtool_finds_nothing_to_say_about_the_page() {
    let (_stage, running) = refreshed().await;
    let mut check = tool("promtool");
    check.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = check.spawn().unwrap();
    check.stdin.take().unwrap().write_all(running.metrics(Format::Text).as_bytes()).unwrap();
    let output = check.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
}
