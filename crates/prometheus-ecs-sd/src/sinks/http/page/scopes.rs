//! The status of the sources and of their clusters.

use ecs_discovery::arn::ClusterArn;
use ecs_discovery::snapshot::Scope;
use ecs_discovery::text::{clipped, count, number};
use maud::{Markup, html};

use super::format::{ago, seconds};
use super::search::Search;
use crate::clock::Reading;
use crate::published::{Published, SourceStatus};

/// Rows of a table; those that need attention come first.
const SHOWN: usize = 50;

pub(super) fn section(published: &Published, sources: &[SourceStatus], now: Reading) -> Markup {
    let mut sorted: Vec<_> = sources.iter().collect();
    sorted.sort_by_key(|source| source.complete);
    let mut scopes: Vec<_> = published.snapshot.scopes.iter().collect();
    scopes.sort_by_key(|(_, scope)| scope.problem().is_none());
    html! {
        section #clusters aria-labelledby="clusters-heading" {
            h2 #clusters-heading { "Sources and clusters" }
            div.scroll tabindex="0" role="region" aria-label="Sources" {
                table {
                    caption { "Sources: an account in a region" }
                    thead { tr {
                        th scope="col" { "source" } th scope="col" { "state" }
                        th scope="col" { "last read" } th scope="col" { "took" }
                    } }
                    tbody { @for status in sorted.iter().take(SHOWN) { (source(status, now)) } }
                }
                (rest(sorted.len(), "more source"))
            }
            div.scroll tabindex="0" role="region" aria-label="Clusters" {
                table {
                    caption { "Clusters" }
                    thead { tr {
                        th scope="col" { "cluster" } th scope="col" { "state" } th scope="col" { "last read" }
                        th.number scope="col" { "targets" } th.number scope="col" { "not scraped" }
                    } }
                    tbody { @for (arn, scope) in scopes.iter().take(SHOWN) { (cluster(arn, scope, now)) } }
                }
                @if scopes.is_empty() { p.none { "No cluster is known." } }
                (rest(scopes.len(), "more cluster"))
            }
        }
    }
}

/// How many rows are not shown.
pub(super) fn rest(all: usize, what: &str) -> Markup {
    html! {
        @if all > SHOWN { p.none { "and " (count(all - SHOWN, what)) } }
    }
}

/// A status with its colour; the text says the same.
pub(super) fn badge(state: &str) -> Markup {
    let tone = match state {
        "fresh" => "good",
        "restored" => "calm",
        "retired" => "bad",
        _ => "warn",
    };
    html! { span.badge.(tone) { (state) } }
}

/// The name of a source, with its region in one line.
pub(super) fn source_name(status: &SourceStatus) -> Markup {
    html! {
        @match status.name.strip_suffix(&*status.region) {
            Some(start) => { (start) span.region { (status.region) } }
            None => (status.name),
        }
    }
}

fn source(status: &SourceStatus, now: Reading) -> Markup {
    let (state, problem) = match (status.refreshed, &status.problem) {
        (None, _) => ("never read", None),
        (Some(_), Some(problem)) => ("not read in full", Some(clipped(problem))),
        (Some(_), None) if status.complete => ("fresh", None),
        (Some(_), None) => ("late", Some("its refresh takes longer than the interval".to_owned())),
    };
    html! {
        tr {
            th scope="row" data-label="source" {
                (source_name(status))
                @match &status.account {
                    Some(account) if !status.name.contains(&**account) => small { " " (account) },
                    _ => {},
                }
            }
            td data-label="state" { (badge(state)) }
            td data-label="last read" {
                @match status.completed {
                    Some(at) => (ago(at, now)),
                    None => "never",
                }
            }
            td data-label="took" { @if status.refreshed.is_some() { (seconds(status.took)) } @else { "–" } }
        }
        @if let Some(problem) = problem { tr.problem { td colspan="4" { (problem) } } }
    }
}

fn cluster(arn: &ClusterArn, scope: &Scope, now: Reading) -> Markup {
    let search = Search { cluster: arn.last_part().to_owned(), ..Search::default() };
    html! {
        tr data-key=(arn) {
            th scope="row" data-label="cluster" {
                a href=(search.link(1, 1, "targets")) { (clipped(arn.last_part())) }
                small { " " (arn.account()) " " span.region { (arn.region()) } }
            }
            td data-label="state" {
                (badge(scope.status.as_str()))
                @if scope.denied { " " (badge("denied")) }
            }
            td data-label="last read" { @if scope.is_known() { (ago(scope.last_read, now)) } @else { "never" } }
            td.number data-label="targets" { (number(scope.derived.targets.len())) }
            td.number data-label="not scraped" { (number(scope.not_scraped())) }
        }
        @if let Some(problem) = scope.problem() { tr.problem { td colspan="5" { (clipped(problem)) } } }
    }
}
