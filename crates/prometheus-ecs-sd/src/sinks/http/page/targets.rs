//! The matching targets, and the page of one target with all its labels.

use ecs_discovery::snapshot::{Scope, Snapshot};
use ecs_discovery::target::Target;
use ecs_discovery::text::{clipped, number, printable};
use form_urlencoded::Serializer;
use maud::{Markup, html};

use super::find::Page;
use super::format::{path, task_id};
use super::scopes::badge;
use super::search::Search;
use super::search_index::{Found, Index, Part};

/// Rows on a page.
const SHOWN: usize = 100;

pub(super) fn section(index: &Index, search: &Search, found: &Found) -> Markup {
    let page = Page::new(search.page, found.targets.len(), SHOWN);
    let shown = found.targets[page.shown.clone()].iter().map(|at| index.target(*at));
    html! {
        section #targets aria-labelledby="targets-heading" {
            h2 #targets-heading { "Targets" }
            @if found.targets.is_empty() {
                p.none { @if search.is_narrow() { "None match." } @else { "There are none." } }
            } @else {
                (intervals(index, search, found))
                table {
                    caption.unseen { "Targets" }
                    thead { tr {
                        th scope="col" { "endpoint" } th scope="col" { "interval" } th scope="col" { "job" }
                        th scope="col" { "container" } th scope="col" { "cluster" } th scope="col" { "task" }
                        @if index.shows_conventions() { th scope="col" { "convention" } }
                        th scope="col" { "state" }
                    } }
                    tbody { @for (part, target) in shown { (row(part, target, index.shows_conventions())) } }
                }
            }
            (page.links("Pages of targets", |page| search.link(page, search.skipped, "targets")))
        }
    }
}

/// The number of targets of each interval, with links.
fn intervals(index: &Index, search: &Search, found: &Found) -> Markup {
    let link = |interval: &str| {
        Search { interval: interval.to_owned(), ..search.clone() }.link(1, search.skipped, "targets")
    };
    html! {
        p.intervals {
            "By interval: "
            @for (interval, targets) in index.by_interval(found) {
                span { a href=(link(interval)) { (interval) } " " (number(targets)) } " "
            }
        }
    }
}

fn row(part: &Part, target: &Target, shows_convention: bool) -> Markup {
    let link = link(target);
    let endpoint = clipped(&target.endpoint.to_string());
    html! {
        tr data-key=(link) {
            th scope="row" data-label="endpoint" {
                (path(&endpoint)) " " a href=(link) aria-label=(format!("labels of {endpoint}")) { "labels" }
            }
            td data-label="interval" { (target.shown_interval()) }
            td data-label="job" { (clipped(target.job())) }
            td data-label="container" { (clipped(target.container())) }
            td data-label="cluster" { (clipped(part.cluster.last_part())) }
            td data-label="task" { (task_id(target.task().last_part())) }
            @if shows_convention { td data-label="convention" { (clipped(target.convention())) } }
            td data-label="state" { (badge(part.state)) }
        }
    }
}

/// The address of a target's page, made of its task, container and endpoint.
fn link(target: &Target) -> String {
    let mut query = Serializer::for_suffix("target?".to_owned(), "target?".len());
    query.append_pair("task", target.task().as_str());
    query.append_pair("container", target.container());
    query.append_pair("endpoint", &target.endpoint.to_string());
    query.finish()
}

/// The target of such an address, if it still exists.
pub(super) fn detail(snapshot: &Snapshot, query: &str) -> Option<Markup> {
    let value = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value)
    };
    let (task, container, endpoint) = (value("task")?, value("container")?, value("endpoint")?);
    let is_it = |target: &&Target| {
        target.task().as_str() == task
            && target.container() == container
            && target.endpoint.to_string() == endpoint
    };
    let mut scopes = snapshot.scopes.values();
    scopes.find_map(|scope| {
        Some(labels(scope, scope.derived.targets.iter().map(|target| &**target).find(is_it)?))
    })
}

fn labels(scope: &Scope, target: &Target) -> Markup {
    let endpoint = target.endpoint.to_string();
    let address = target.endpoint.address.to_string();
    let labels = target.labels_with_interval();
    html! {
        section #target aria-labelledby="target-heading" {
            p { a href="./#targets" { "All targets" } }
            h1 #target-heading { (path(&clipped(&endpoint))) }
            p {
                (badge(scope.status.as_str())) " " (clipped(target.job())) " · " (clipped(target.container()))
                " · " a href=(endpoint) rel="noopener noreferrer external" { "open the endpoint" }
            }
            table.labels {
                caption { "Published labels" }
                thead { tr { th scope="col" { "label" } th scope="col" { "value" } } }
                tbody {
                    @for (name, value) in [("__address__", &*address)].into_iter().chain(labels.iter()) {
                        tr { th scope="row" { code { (name) } } td { (printable(value)) } }
                    }
                }
            }
        }
    }
}

pub(super) fn unknown() -> Markup {
    html! {
        section #target aria-labelledby="target-heading" {
            h1 #target-heading { "There is no such target" }
            p { "Its task may have ended. " a href="./#targets" { "All targets" } }
        }
    }
}
