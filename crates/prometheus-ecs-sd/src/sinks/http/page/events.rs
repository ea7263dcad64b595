//! Whether events are received, and which sources rely on them. There is no such section without queues.

use ecs_discovery::text::clipped;
use maud::{Markup, html};

use super::format::{ago, seconds};
use super::scopes::badge;
use crate::clock::Reading;
use crate::published::{EventStatus, QueueStatus, SourceStatus};
use crate::telemetry::metrics::{MessageResult, Metrics};
use ecs_discovery::text::number;

/// Rows of a table.
const SHOWN: usize = 50;

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
                    caption { "Queues" }
                    thead { tr {
                        th scope="col" { "queue" } th scope="col" { "state" } th scope="col" { "since" }
                        th.number scope="col" { "applied" } th.number scope="col" { "heartbeats" }
                        th.number scope="col" { "not usable" }
                    } }
                    tbody { @for one in queues.iter().take(SHOWN) { (queue(one, metrics, now)) } }
                }
            }
            div.scroll tabindex="0" role="region" aria-label="Events of sources" {
                table {
                    caption { "Sources" }
                    thead { tr {
                        th scope="col" { "source" } th scope="col" { "events" }
                        th scope="col" { "last event" } th scope="col" { "refreshed every" }
                    } }
                    tbody { @for one in sources.iter().take(SHOWN) { (source(one, metrics)) } }
                }
            }
        }
    }
}

/// The numbers that are shown.
pub(super) fn counts(queues: &[QueueStatus], metrics: &Metrics) -> Vec<[u64; 3]> {
    queues.iter().map(|queue| counted(queue, metrics)).collect()
}

fn counted(queue: &QueueStatus, metrics: &Metrics) -> [u64; 3] {
    let of = |results: &[MessageResult]| {
        results.iter().map(|result| metrics.messages(&queue.name, *result)).sum::<u64>()
    };
    let unusable = [MessageResult::Foreign, MessageResult::Malformed, MessageResult::Unrelated];
    [of(&[MessageResult::Applied]), of(&[MessageResult::Heartbeat]), of(&unusable)]
}

fn queue(queue: &QueueStatus, metrics: &Metrics, now: Reading) -> Markup {
    let state = match queue.is_readable {
        None => badge("not read yet"),
        Some(true) => html! { span.badge.good { "readable" } },
        Some(false) => html! { span.badge.bad { "not readable" } },
    };
    let [applied, heartbeats, unusable] = counted(queue, metrics).map(|count| number(count as usize));
    html! {
        tr {
            th scope="row" data-label="queue" { (clipped(&queue.name)) }
            td data-label="state" { (state) }
            td data-label="since" { (ago(queue.since, now)) }
            td.number data-label="applied" { (applied) }
            td.number data-label="heartbeats" { (heartbeats) }
            td.number data-label="not usable" { (unusable) }
        }
        @if let Some(problem) = &queue.problem { tr.problem { td colspan="6" { (clipped(problem)) } } }
        @if let Some(problem) = &queue.undeleted {
            tr.problem { td colspan="6" { "messages cannot be deleted: " (clipped(problem)) } }
        }
    }
}

fn source(source: &SourceStatus, metrics: &Metrics) -> Markup {
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
    html! {
        tr {
            th scope="row" data-label="source" { (source.name) }
            td data-label="events" { (state) }
            td data-label="last event" {
                @match last { Some(age) => { (seconds(age)) " ago" } None => "never" }
            }
            td data-label="refreshed every" { (seconds(source.interval)) }
        }
        @if let Some(why) = why { tr.problem { td colspan="4" { (why) } } }
    }
}
