//! Containers that opted in and are not scraped, and those that are, with a warning: why, and what to do.

use ecs_discovery::finding::{Finding, Verdict};
use ecs_discovery::render::clipped;
use maud::{Markup, html};

use super::catalogue::{Found, Group, Index, Part};
use super::find::Page;
use super::search::Search;
use super::words::task_id;
use crate::sinks::numbers::count;

/// Rows on a page.
const SHOWN: usize = 25;

pub(super) fn section(index: &Index, search: &Search, found: &Found) -> Markup {
    let page = Page::new(search.skipped, found.findings.len(), SHOWN);
    let shown: Vec<_> = found.findings[page.shown.clone()].iter().map(|at| index.finding(*at)).collect();
    let groups = shown.chunk_by(|(_, one), (_, other)| Group::of(one) == Group::of(other));
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
            @for group in groups {
                @let which = Group::of(group[0].1);
                div.group {
                    (heading(which, in_all(which)))
                    table {
                        caption.unseen { (words(which)) }
                        thead { tr {
                            th scope="col" { "job" } th scope="col" { "container" } th scope="col" { "cluster" }
                            th scope="col" { "task" } th scope="col" { "details" }
                        } }
                        tbody { @for (part, finding) in group { (row(part, finding)) } }
                    }
                }
            }
            (page.links("Pages of containers and warnings", |skipped| search.link(search.page, skipped, "skipped")))
        }
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
        Group::Warning => (
            "warn",
            "warning",
            "correct the setting that is named; everything else of the container is scraped",
        ),
    };
    html! {
        h3 {
            span.badge.(tone) { (words(group)) }
            " " small { (count(findings, noun)) }
        }
        p.advice { span { "What to do: " } (advice) }
    }
}

fn row(part: &Part, finding: &Finding) -> Markup {
    let detail = match &finding.verdict {
        Verdict::NotScraped(problem) => &problem.detail,
        Verdict::Warning(detail) => detail,
    };
    html! {
        tr {
            th scope="row" data-label="job" { (clipped(finding.job())) }
            td data-label="container" { @if finding.container.is_empty() { "–" } @else { (clipped(&finding.container)) } }
            td data-label="cluster" { (clipped(part.cluster.last_part())) }
            td data-label="task" { (task_id(finding.task.last_part())) }
            td data-label="details" { (clipped(detail)) }
        }
    }
}
