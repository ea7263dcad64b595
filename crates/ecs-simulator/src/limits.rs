//! How AWS meters requests: a token bucket for each account, region and class of operations, from
//! <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html> and
//! <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>. That of Systems Manager is a guess, since
//! AWS publishes none; STS has none here.
//!
//! The table is not the program's, so that a slip in one shows against the other.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::call::{Call, Ledger};

/// A class of operations that are metered together.
#[derive(Debug, PartialEq)]
pub struct Limit {
    /// The service, as in [`Call::service`].
    pub service: &'static str,
    /// Its operations.
    pub operations: &'static [&'static str],
    /// How many requests a full bucket is good for.
    pub burst: f64,
    /// How many requests a second fill it again.
    pub rate: f64,
}

const fn limit(service: &'static str, operations: &'static [&'static str], burst: f64, rate: f64) -> Limit {
    Limit { service, operations, burst, rate }
}

/// All that are enforced.
pub static LIMITS: [Limit; 6] = [
    limit("ecs", &["DescribeClusters", "ListClusters"], 50.0, 20.0),
    limit("ecs", &["DescribeContainerInstances", "DescribeTasks", "ListTasks"], 100.0, 20.0),
    limit("ecs", &["DescribeServices"], 100.0, 20.0),
    limit("ecs", &["DescribeTaskDefinition"], 50.0, 20.0),
    limit("ec2", &["DescribeInstances"], 100.0, 20.0),
    limit("ssm", &["DescribeInstanceInformation"], 5.0, 1.0),
];

/// The least time, in seconds, that these calls of one account and region take, if no more than a share of each limit
/// is used: that of the slowest class.
pub fn least_seconds(calls: &Ledger, share: f64) -> f64 {
    let of_class = |limit: &Limit| {
        let calls: u64 = limit.operations.iter().map(|operation| calls.calls(limit.service, operation)).sum();
        (calls as f64 - share * limit.burst) / (share * limit.rate)
    };
    LIMITS.iter().map(of_class).fold(0.0, f64::max)
}

impl Limit {
    fn of(call: &Call) -> Option<(usize, &'static Self)> {
        LIMITS.iter().enumerate().find(|(_, limit)| {
            limit.service == call.service && limit.operations.contains(&call.operation.as_str())
        })
    }
}

/// The buckets that were drawn from; all others are full.
#[derive(Debug, Default)]
pub(crate) struct Buckets(BTreeMap<(String, String, usize), Bucket>);

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    /// Takes a token for a call that arrives now, unless there is none. A call that is not understood is not metered.
    pub(crate) fn admit(&mut self, call: &Call) -> bool {
        let Some((class, limit)) = Limit::of(call).filter(|_| !call.account.is_empty()) else { return true };
        let now = Instant::now();
        let key = (call.account.clone(), call.region.clone(), class);
        let bucket = self.0.entry(key).or_insert(Bucket { tokens: limit.burst, at: now });
        let filled = now.duration_since(bucket.at).as_secs_f64() * limit.rate;
        *bucket = Bucket { tokens: (bucket.tokens + filled).min(limit.burst), at: now };
        let admitted = bucket.tokens >= 1.0;
        if admitted {
            bucket.tokens -= 1.0;
        }
        admitted
    }
}
