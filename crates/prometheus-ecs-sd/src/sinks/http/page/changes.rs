//! The timeline of changes.

use ecs_discovery::text::number;
use maud::{Markup, html};

use super::format::{ago, path};
use crate::clock::Reading;
use crate::sinks::history::{Event, History, Kind};

/// Events on the overview; few, so that the sections below stay near.
const NEWEST: usize = 10;

pub(super) fn section(history: &History, now: Reading) -> Markup {
    let all = history.count();
    html! {
        section #changes aria-labelledby="changes-heading" {
            h2 #changes-heading { "Recent changes" }
            (line(&history.newest(NEWEST), now))
            @if all > NEWEST { p { a href="changes" { "All " (number(all)) " recent changes" } } }
        }
    }
}

/// All remembered changes, as a separate page.
pub(super) fn whole(history: &History, now: Reading) -> Markup {
    html! {
        section #changes aria-labelledby="changes-heading" {
            p { a href="./#changes" { "Overview" } }
            h1 #changes-heading { "Recent changes" }
            (line(&history.newest(usize::MAX), now))
        }
    }
}

fn line(events: &[Event], now: Reading) -> Markup {
    html! {
        @if events.is_empty() { p.none { "Nothing so far." } }
        ol {
            @for of_one_time in events.chunk_by(|one, other| one.at == other.at) {
                // The script finds new entries by this key.
                li data-key=(of_one_time[0].at.as_micros()) {
                    p.when { (ago(of_one_time[0].at, now)) }
                    ul { @for event in of_one_time { (entry(event)) } }
                }
            }
        }
    }
}

fn entry(event: &Event) -> Markup {
    let (sign, words, tone) = match event.kind {
        Kind::Begun => ("•", "first publication", "calm"),
        Kind::Appeared => ("+", "target appeared", "good"),
        Kind::Changed => ("~", "target changed", "calm"),
        Kind::Gone => ("−", "target gone", "muted"),
        Kind::NotScraped => ("!", "container not scraped", "warn"),
        Kind::ScopeRead => ("•", "cluster", "good"),
        Kind::ScopeStale => ("!", "cluster", "warn"),
        Kind::ScopeRestored => ("•", "cluster", "calm"),
        Kind::ScopeGone => ("−", "cluster", "muted"),
    };
    html! {
        li {
            span.sign.(tone) aria-hidden="true" { (sign) }
            div {
                span.kind { (words) } " " span.subject { (path(&event.subject)) }
                @if !event.detail.is_empty() { small { " " (event.detail) } }
            }
        }
    }
}
