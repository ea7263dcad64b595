//! How much of AWS's request limits is left to this program.

use maud::{Markup, html};

use crate::aws::Level;
use crate::sinks::numbers::number;

/// Rows; those with the least left come first.
const SHOWN: usize = 25;

/// There are no levels until the AWS configuration has been read.
pub(super) fn section(mut levels: Vec<Level>) -> Markup {
    let rank = |level: &Level| (-level.slowness, level.tokens / level.burst);
    levels.sort_by(|one, other| rank(one).partial_cmp(&rank(other)).unwrap_or(std::cmp::Ordering::Equal));
    html! {
        section #budget aria-labelledby="budget-heading" {
            h2 #budget-heading { "API budget" }
            @if levels.is_empty() {
                p.none { "No request was sent to AWS yet." }
            } @else {
                table {
                    caption { "Requests that can be sent immediately, within this program's share of AWS's limits" }
                    thead { tr {
                        th scope="col" { "requests" } th scope="col" { "account and region" }
                        th scope="col" { "left" } th scope="col" { "a second" }
                    } }
                    tbody { @for level in levels.iter().take(SHOWN) { (row(level)) } }
                }
                @if levels.len() > SHOWN { p.none { "and " (number(levels.len() - SHOWN)) " more with as much or more left" } }
            }
        }
    }
}

fn row(level: &Level) -> Markup {
    let Level { tokens, burst, rate, slowness, .. } = level;
    let left = format!("{:.0} of {burst:.0}", tokens.floor());
    html! {
        tr {
            th scope="row" data-label="requests" {
                @for (at, operation) in level.operations.iter().enumerate() { @if at > 0 { ", " wbr; } (operation) }
                @if *slowness > 1.0 { div { span.badge.warn { "slowed down" } small { " AWS throttled" } } }
            }
            td data-label="account and region" {
                (level.account.as_deref().unwrap_or("own account")) br; span.region { (level.region) }
            }
            td data-label="left" {
                div.left {
                    meter min="0" max=(format!("{burst:.1}")) value=(format!("{tokens:.1}")) aria-label="left" { (left) }
                    " " (left)
                }
            }
            td data-label="a second" { (format!("{:.1}", rate / slowness)) }
        }
    }
}
