//! The rate limits of requests to AWS.

use ecs_discovery::text::number;
use maud::{Markup, html};

use crate::aws::BucketStatus;

/// Rows of the table; those with the fewest tokens come first.
const SHOWN: usize = 25;

/// There are no bucket_statuses until the AWS configuration has been read.
pub(super) fn section(mut bucket_statuses: Vec<BucketStatus>) -> Markup {
    let rank = |level: &BucketStatus| (-level.slowness, level.tokens.floor() / level.burst);
    bucket_statuses
        .sort_by(|one, other| rank(one).partial_cmp(&rank(other)).unwrap_or(std::cmp::Ordering::Equal));
    html! {
        section #rate-limits aria-labelledby="rate-limits-heading" {
            h2 #rate-limits-heading { "Rate limits of AWS" }
            @if bucket_statuses.is_empty() {
                p.none { "No request has been sent to AWS yet." }
            } @else {
                table {
                    caption { "Requests that can be sent immediately, within this program's share of AWS's limits" }
                    thead { tr {
                        th scope="col" { "requests" } th scope="col" { "account and region" }
                        th scope="col" { "left" } th scope="col" { "a second" }
                    } }
                    tbody { @for level in bucket_statuses.iter().take(SHOWN) { (row(level)) } }
                }
                @if bucket_statuses.len() > SHOWN { p.none { "and " (number(bucket_statuses.len() - SHOWN)) " more with as much or more left" } }
            }
        }
    }
}

/// The values of a row. Tokens return in fractions all the time; only whole ones are shown.
pub(super) fn shown(level: &BucketStatus) -> (&Option<String>, &str, &str, [String; 3], bool) {
    let BucketStatus { account, region, bucket, tokens, burst, rate, slowness, .. } = level;
    let numbers =
        [format!("{:.0}", tokens.floor()), format!("{burst:.0}"), format!("{:.1}", rate / slowness)];
    (account, region, bucket, numbers, *slowness > 1.0)
}

fn row(level: &BucketStatus) -> Markup {
    let (account, region, _, [tokens, burst, rate], is_slowed) = shown(level);
    let left = format!("{tokens} of {burst}");
    html! {
        tr {
            th scope="row" data-label="requests" {
                @for (at, operation) in level.operations.iter().enumerate() { @if at > 0 { ", " wbr; } (operation) }
                @if is_slowed { div { span.badge.warn { "slowed down" } small { " AWS throttled" } } }
            }
            td data-label="account and region" {
                (account.as_deref().unwrap_or("own account")) br; span.region { (region) }
            }
            td data-label="left" {
                div.left {
                    meter min="0" max=(burst) value=(tokens) aria-label="left" { (left) }
                    " " (left)
                }
            }
            td data-label="a second" { (rate) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fraction_of_a_token_changes_nothing() {
        let level = |tokens| BucketStatus {
            account: None,
            region: "eu-west-1".to_owned(),
            bucket: "cluster reads",
            operations: vec!["ListTasks"],
            tokens,
            burst: 20.0,
            rate: 10.0,
            slowness: 1.0,
            drawn: 0,
            throttled: 0,
        };
        let page = |tokens| section(vec![level(tokens)]).into_string();
        assert_eq!(page(18.1), page(18.9));
        assert_eq!(shown(&level(18.1)), shown(&level(18.9)));
        assert_ne!(page(18.9), page(19.0));
        assert_ne!(shown(&level(18.9)), shown(&level(19.0)));
    }
}
