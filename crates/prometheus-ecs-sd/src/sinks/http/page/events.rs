//! Whether events are received, and which sources rely on them. There is no such section without queues.

use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use ecs_discovery::text::{clipped, number};
use maud::{Markup, html};

use super::format::{ago, period, seconds, until};
use super::scopes::{badge, rest, source_name};
use crate::clock::Reading;
use crate::published::{EventStatus, QueueStatus, SourceStatus};
use crate::telemetry::metrics::{MessageResult, Metrics};

/// Rows of a table.
const SHOWN: usize = 50;

/// The results with a column: the usual ones, and those that ask for a look at the queue.
const COUNTED: [MessageResult; 5] = [
    MessageResult::Applied,
    MessageResult::Heartbeat,
    MessageResult::Foreign,
    MessageResult::Malformed,
    MessageResult::Unrelated,
];

pub(super) fn section(
    queues: &[QueueStatus],
    sources: &[SourceStatus],
    metrics: &Metrics,
    now: Reading,
) -> Markup {
    if queues.is_empty() {
        return html! {};
    }
    html! {
        section #events aria-labelledby="events-heading" {
            h2 #events-heading { "Events" }
            div.scroll tabindex="0" role="region" aria-label="Queues" {
                table {
                    caption { "Queues, and their messages since the start" }
                    thead { tr {
                        th scope="col" { "queue" } th scope="col" { "state" } th scope="col" { "since" }
                        th.number scope="col" { "a minute" }
                        @for result in COUNTED { th.number scope="col" { (name(result)) } }
                    } }
                    tbody { @for one in queues.iter().take(SHOWN) { (queue(one, metrics, now)) } }
                }
                (rest(queues.len(), "more queue"))
            }
            div.scroll tabindex="0" role="region" aria-label="Events of sources" {
                table {
                    caption { "Sources, and whether they rely on events" }
                    thead { tr {
                        th scope="col" { "source" } th scope="col" { "events" }
                        th scope="col" { "last event" } th scope="col" { "delay" }
                        th scope="col" { "refreshed every" } th scope="col" { "next refresh" }
                    } }
                    tbody { @for one in sources.iter().take(SHOWN) { (source(one, metrics, now)) } }
                }
                (rest(sources.len(), "more source"))
            }
        }
    }
}

/// What is shown beside the status of the queues and sources, except ages.
pub(super) fn shown(
    queues: &[QueueStatus],
    sources: &[SourceStatus],
    metrics: &Metrics,
) -> impl Hash + PartialEq + Debug {
    let of_queues = queues.iter().map(|queue| (a_minute(queue, metrics), counts(queue, metrics)));
    let of_sources = sources.iter().take(SHOWN).filter(|_| !queues.is_empty());
    let of_sources = of_sources.map(|source| metrics.last_event(&source.name));
    (of_queues.collect::<Vec<_>>(), of_sources.collect::<Vec<_>>())
}

/// The heading of a column.
fn name(result: MessageResult) -> &'static str {
    match result {
        MessageResult::Heartbeat => "heartbeats",
        other => other.as_str(),
    }
}

fn counts(queue: &QueueStatus, metrics: &Metrics) -> [u64; 5] {
    COUNTED.map(|result| metrics.messages(&queue.name, result))
}

/// The label of a queue, with its region in one line; that of a stand-in may begin with a host.
fn queue_name(label: &str) -> Markup {
    let is_region = |start: &str| start.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let parts = label.split_once('/').filter(|(start, _)| is_region(start));
    html! {
        @match parts {
            Some((region, rest)) => { span.region { (region) } "/" wbr; (clipped(rest)) }
            None => (clipped(label)),
        }
    }
}

/// The messages a minute, of all results.
fn a_minute(queue: &QueueStatus, metrics: &Metrics) -> String {
    match metrics.messages_a_minute(&queue.name) {
        None => "–".to_owned(),
        Some(few) if few < 10.0 => format!("{few:.1}"),
        Some(many) => number(many.round() as usize),
    }
}

fn queue(queue: &QueueStatus, metrics: &Metrics, now: Reading) -> Markup {
    let state = match queue.is_readable {
        None => badge("not read yet"),
        Some(true) => html! { span.badge.good { "readable" } },
        Some(false) => html! { span.badge.bad { "not readable" } },
    };
    let counts = counts(queue, metrics).map(|count| number(count as usize));
    html! {
        tr data-key={ "queue " (queue.name) } {
            th scope="row" data-label="queue" { (queue_name(&queue.name)) }
            td data-label="state" { (state) }
            td data-label="since" { (ago(queue.since, now)) }
            td.number data-label="a minute" { (a_minute(queue, metrics)) }
            @for (result, count) in COUNTED.into_iter().zip(counts) {
                td.number data-label=(name(result)) { (count) }
            }
        }
        @if let Some(problem) = &queue.problem { tr.problem { td colspan="9" { (clipped(problem)) } } }
        @if let Some(problem) = &queue.undeleted {
            tr.problem { td colspan="9" { "messages cannot be deleted: " (clipped(problem)) } }
        }
    }
}

fn source(source: &SourceStatus, metrics: &Metrics, now: Reading) -> Markup {
    let why = match source.events {
        EventStatus::Off => Some("no queue serves it, and no event came from another account's queue"),
        EventStatus::Live => None,
        EventStatus::Waiting => Some("no event or heartbeat, or no complete refresh since"),
        EventStatus::Doubted => Some("a refresh found a change that no event told"),
    };
    let state = match source.events {
        EventStatus::Live => html! { span.badge.good { "live" } },
        other => badge(other.as_str()),
    };
    let last = metrics.last_event(&source.name);
    let delay = last.and_then(|last| last.delay);
    html! {
        tr data-key={ "events of " (source.id()) } {
            th scope="row" data-label="source" { (source_name(source)) }
            td data-label="events" { (state) }
            td data-label="last event" { @match last { Some(last) => (ago(last.at, now)), None => "never" } }
            td data-label="delay" { @match delay { Some(delay) => (seconds(delay)), None => "–" } }
            td data-label="refreshed every" { (period(source.interval)) }
            td data-label="next refresh" { @match next_refresh(source) { Some(at) => (until(at, now)), None => "–" } }
        }
        @if let Some(why) = why { tr.problem { td colspan="6" { (why) } } }
    }
}

/// An interval after the last refresh began; it may take place half an interval of `--interval` earlier or later.
fn next_refresh(source: &SourceStatus) -> Option<Duration> {
    let began = source.refreshed?.saturating_sub(source.took);
    (!source.interval.is_zero()).then(|| began + source.interval)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    const QUEUE: &str = "eu-west-1/events";
    const SOURCE: &str = "own account eu-west-1";

    /// The cells of a row, each with its label.
    fn cells(page: &Markup, row: usize) -> Vec<String> {
        let page = page.clone().into_string();
        let row =
            page.split("<tr data-key").nth(row + 1).expect("a row").split("</tr>").next().expect("an end");
        let cells = row.split("data-label=\"").skip(1).map(|cell| {
            let (label, rest) = cell.split_once("\">").expect("a label");
            let mut text = String::new();
            let mut is_tag = false;
            for c in rest.chars() {
                match c {
                    '<' => is_tag = true,
                    '>' => is_tag = false,
                    c if !is_tag => text.push(c),
                    _ => {}
                }
            }
            format!("{label}: {text}")
        });
        cells.collect()
    }

    fn queue_status() -> QueueStatus {
        QueueStatus {
            name: QUEUE.to_owned(),
            is_readable: Some(true),
            since: Duration::ZERO,
            problem: None,
            undeleted: None,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn queues_show_their_messages_and_sources_their_delay_and_next_refresh() {
        let clock = Clock::new();
        let metrics = Metrics::new(clock.clone());
        metrics.queues(&[QUEUE.to_owned()], &[SOURCE]);
        let began = clock.now();
        let queues = [QueueStatus { since: began, ..queue_status() }];
        let mut source = SourceStatus::new(SOURCE.into(), None, "eu-west-1".to_owned());
        (source.events, source.interval) = (EventStatus::Live, Duration::from_secs(600));
        (source.refreshed, source.took) = (Some(began + Duration::from_secs(2)), Duration::from_secs(2));
        let sources = [source];
        let page = || section(&queues, &sources, &metrics, clock.read());
        let version = || shown(&queues, &sources, &metrics);
        assert_eq!(cells(&page(), 0)[3], "a minute: –");
        assert_eq!(cells(&page(), 1)[2..4], ["last event: never", "delay: –"]);
        let before = version();
        let foreign = [MessageResult::Foreign; 2];
        for result in [MessageResult::Malformed, MessageResult::Unrelated, MessageResult::Duplicate]
            .iter()
            .chain(&foreign)
        {
            metrics.message(QUEUE, *result);
        }
        metrics.event_heard(SOURCE);
        metrics.event_delayed(SOURCE, Duration::from_millis(400));
        assert_ne!(before, version());
        tokio::time::advance(Duration::from_secs(125)).await;
        assert_eq!(
            cells(&page(), 0),
            [
                "queue: eu-west-1/events",
                "state: readable",
                "since: 2 min ago",
                "a minute: 2.5",
                "applied: 0",
                "heartbeats: 0",
                "foreign: 2",
                "malformed: 1",
                "unrelated: 1",
            ]
        );
        assert_eq!(
            cells(&page(), 1),
            [
                "source: own account eu-west-1",
                "events: live",
                "last event: 2 min ago",
                "delay: 0.4 s",
                "refreshed every: 10 min",
                "next refresh: in 7 min",
            ]
        );
    }

    #[test]
    fn messages_that_cannot_be_deleted_are_shown_with_the_cause() {
        let (clock, metrics) = (Clock::new(), Metrics::new(Clock::new()));
        let undeleted = Some("DeleteMessageBatch: AccessDeniedException".to_owned());
        let page = section(&[QueueStatus { undeleted, ..queue_status() }], &[], &metrics, clock.read());
        let page = page.into_string();
        let expected = "messages cannot be deleted: DeleteMessageBatch: AccessDeniedException";
        assert!(page.contains(expected) && page.contains(">readable<"), "{page}");
    }
}
