//! The search form, and the links from page to page.

use ecs_discovery::text::{clipped, count, number};
use maud::{Markup, html};

use super::search::Search;
use super::search_index::{Found, Index};

pub(super) fn section(index: &Index, search: &Search, found: &Found) -> Markup {
    let not_scraped = index.not_scraped_in(found);
    let (warnings, all_warnings) = (found.findings.len() - not_scraped, index.findings() - index.not_scraped);
    html! {
        form #find role="search" autocomplete="off" action="./" method="get" aria-label="Search targets and containers" {
            div.field.wide {
                label for="q" { "Search: address, job, container, task, cluster, account, region" }
                input #q type="search" name="q" value=(search.text) maxlength="200" autocomplete="off" spellcheck="false";
            }
            (choice("interval", "any", &search.interval, &index.intervals, 0))
            @if index.shows_conventions() {
                (choice("convention", "any", &search.convention, &index.conventions, 0))
            }
            (choice("cluster", "all", &search.cluster, &index.clusters.names, index.clusters.more))
            (choice("job", "all", &search.job, &index.jobs.names, index.jobs.more))
            (choice("state", "any", &search.state, &index.states().into_iter().collect::<Vec<_>>(), 0))
            div.field.act {
                button type="submit" { "Search" }
                a #clear href="./#find" hidden[!search.is_narrow()] { "Clear" }
            }
            p #count role="status" {
                a href="#targets" { (of(found.targets.len(), index.targets(), "target")) } ", "
                a href="#skipped" {
                    (of(not_scraped, index.not_scraped, "container")) " not scraped"
                    @if all_warnings > 0 { ", " (of(warnings, all_warnings, "warning")) }
                }
            }
        }
    }
}

fn of(found: usize, all: usize, noun: &str) -> String {
    if found == all { count(all, noun) } else { format!("{} of {}", number(found), count(all, noun)) }
}

/// The chosen value stays in the list, even if nothing has it any more.
fn choice(name: &str, none: &str, chosen: &str, names: &[impl AsRef<str>], more: usize) -> Markup {
    let is_listed = chosen.is_empty() || names.iter().any(|name| name.as_ref() == chosen);
    html! {
        div.field {
            label for=(name) { (name) }
            select id=(name) name=(name) {
                option value="" { (none) }
                @if !is_listed { option value=(chosen) selected { (clipped(chosen)) } }
                @for one in names {
                    option value=(one.as_ref()) selected[one.as_ref() == chosen] { (clipped(one.as_ref())) }
                }
                @if more > 0 { option disabled { "and " (number(more)) " more: search for the name" } }
            }
        }
    }
}

/// The part of a list that is shown.
pub(super) struct Page {
    pub(super) shown: std::ops::Range<usize>,
    page: usize,
    pages: usize,
    all: usize,
}

impl Page {
    /// The requested page, or the last one.
    pub(super) fn new(asked: usize, all: usize, size: usize) -> Self {
        let pages = all.div_ceil(size).max(1);
        let page = asked.clamp(1, pages);
        let start = (page - 1) * size;
        Self { shown: start..(start + size).min(all), page, pages, all }
    }

    /// Links to the previous and the next page.
    pub(super) fn links(&self, label: &str, link: impl Fn(usize) -> String) -> Markup {
        let Self { shown, page, pages, all } = self;
        html! {
            @if *pages > 1 {
                nav.pages aria-label=(label) {
                    @if *page > 1 { a rel="prev" href=(link(page - 1)) { "Previous" } } @else { span { "Previous" } }
                    p { (number(shown.start + 1)) " to " (number(shown.end)) " of " (number(*all)) }
                    @if page < pages { a rel="next" href=(link(page + 1)) { "Next" } } @else { span { "Next" } }
                }
            }
        }
    }
}
