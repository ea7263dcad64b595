//! Containers that opted in and are not scraped, or are scraped with a warning: the reason, and what to do.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use ecs_discovery::finding::{Finding, Verdict};
use ecs_discovery::text::{clipped, count};
use maud::{Markup, html};

use super::find::Page;
use super::format::task_id;
use super::search::Search;
use super::search_index::{Found, Group, Index, Part};

/// Rows on a page.
const SHOWN: usize = 25;

pub(super) fn section(index: &Index, search: &Search, found: &Found) -> Markup {
    let rows = rows(found.findings.iter().map(|at| index.finding(*at)));
    let page = Page::new(search.skipped, rows.len(), SHOWN);
    let groups = rows[page.shown.clone()].chunk_by(|one, other| one.group == other.group);
    let in_all = |group: Group| {
        let findings = found.findings.iter().map(|at| index.finding(*at).1);
        findings.filter(|finding| Group::of(finding) == group).count()
    };
    html! {
        section #skipped aria-labelledby="skipped-heading" {
            h2 #skipped-heading { "Not scraped, and warnings" }
            @if found.findings.is_empty() {
                p.none { @if search.is_narrow() { "None match." } @else { "There are none." } }
            }
            @for (convention, containers) in &index.hints {
                p.hint {
                    "Hint: " (count(*containers, "container")) " without a target " (if *containers == 1 { "has" } else { "have" })
                    " the labels of the convention " code { (convention) } ", which is not turned on: "
                    code { "--convention " (convention) }
                }
            }
            @for group in groups {
                @let which = group[0].group;
                div.group {
                    (heading(which, in_all(which)))
                    table {
                        caption.unseen { (words(which)) }
                        thead { tr {
                            th scope="col" { "job" } th scope="col" { "container" } th scope="col" { "cluster" }
                            th scope="col" { "task" } th scope="col" { "details" }
                        } }
                        tbody { @for one in group { (row(one)) } }
                    }
                }
            }
            (page.links("Pages of containers and warnings", |skipped| search.link(search.page, skipped, "skipped")))
        }
    }
}

/// A problem of one container of a task definition, in all tasks of a cluster.
struct Row<'a> {
    group: Group,
    part: &'a Part,
    first: &'a Finding,
    detail: &'a str,
    tasks: usize,
}

/// In the order of their first tasks. The same problem in each task of a service is one row.
fn rows<'a>(findings: impl Iterator<Item = (&'a Part, &'a Finding)>) -> Vec<Row<'a>> {
    let (mut rows, mut places) = (Vec::<Row<'_>>::new(), HashMap::<_, usize>::new());
    for (part, first) in findings {
        let (group, detail) = (Group::of(first), detail(first));
        let place = places.entry((group, &part.cluster, first.job(), &*first.container, detail));
        match place {
            Entry::Occupied(place) => rows[*place.get()].tasks += 1,
            Entry::Vacant(place) => {
                place.insert(rows.len());
                rows.push(Row { group, part, first, detail, tasks: 1 });
            }
        }
    }
    rows
}

fn detail(finding: &Finding) -> &str {
    match &finding.verdict {
        Verdict::NotScraped(problem) => &problem.detail,
        Verdict::Warning(detail) => detail,
    }
}

fn words(group: Group) -> &'static str {
    match group {
        Group::Unexpected(reason) | Group::Expected(reason) => reason.as_str(),
        Group::Warning => "scraped, with a warning",
    }
}

fn heading(group: Group, findings: usize) -> Markup {
    let (tone, noun, advice) = match group {
        Group::Unexpected(reason) => ("warn", "container", reason.advice()),
        Group::Expected(reason) => ("calm", "container", reason.advice()),
        Group::Warning => {
            ("warn", "warning", "correct the named setting; the container is scraped without it")
        }
    };
    html! {
        h3 {
            span.badge.(tone) { (words(group)) }
            " " small { (count(findings, noun)) }
        }
        p.advice { span { "What to do: " } (advice) }
    }
}

fn row(row: &Row<'_>) -> Markup {
    let Row { part, first: finding, detail, tasks, .. } = row;
    html! {
        tr {
            th scope="row" data-label="job" { (clipped(finding.job())) }
            td data-label="container" { @if finding.container.is_empty() { "–" } @else { (clipped(&finding.container)) } }
            td data-label="cluster" { (clipped(part.cluster.last_part())) }
            td data-label="task" {
                (task_id(finding.task.last_part()))
                @if *tasks > 1 { small { " and " (count(tasks - 1, "more task")) } }
            }
            td data-label="details" { (clipped(detail)) }
        }
    }
}
