//! AWS's request limits, and the share of them that this program uses.
//!
//! AWS limits each account in each region with token buckets, one for each class of operations, which deployments,
//! consoles and all other programs of that account share. So requests take tokens from buckets of this program, which
//! are a share of AWS's. A request that finds a bucket empty waits in order of arrival; none is refused.

mod bucket;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::call::CALLS;
use crate::config::Share;
pub(super) use bucket::Bucket;

/// The operations that share a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    EcsClusters,
    EcsTasks,
    EcsDefinitions,
    EcsServices,
    Ec2Instances,
    SsmInstances,
}

/// The size of AWS's bucket for a class.
struct Limit {
    class: Class,
    /// The name of the bucket.
    name: &'static str,
    /// The burst, in requests.
    burst: f64,
    /// Requests a second.
    rate: f64,
}

/// AWS's limits, for the operations that are called here. Of ECS:
/// <https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html>; of EC2, for filtered or paged
/// requests: <https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html>. Systems Manager publishes none:
/// these are low, and still allow a hundred hosts at a time to be looked up once per recheck interval.
///
/// In the order of [`Class`].
const LIMITS: [Limit; 6] = [
    Limit { class: Class::EcsClusters, name: "ecs-clusters", burst: 50.0, rate: 20.0 },
    Limit { class: Class::EcsTasks, name: "ecs-tasks", burst: 100.0, rate: 20.0 },
    Limit { class: Class::EcsDefinitions, name: "ecs-definitions", burst: 50.0, rate: 20.0 },
    Limit { class: Class::EcsServices, name: "ecs-services", burst: 100.0, rate: 20.0 },
    Limit { class: Class::Ec2Instances, name: "ec2-instances", burst: 100.0, rate: 20.0 },
    Limit { class: Class::SsmInstances, name: "ssm-instances", burst: 5.0, rate: 1.0 },
];

impl Class {
    /// AWS's names of its operations.
    fn operations(self) -> Vec<&'static str> {
        CALLS.iter().filter(|call| call.class == Some(self)).map(|call| call.operation).collect()
    }
}

/// The used part of the share of a burst. AWS's bucket begins to fill again when the first request arrives, this one when
/// it is sent, which for a new connection is a few tenths of a second earlier than for the following requests.
const BURST: f64 = 0.9;

/// An account, `None` for that of the base credentials, and a region.
type Place = (Option<String>, String);

/// The buckets of all accounts and regions.
#[derive(Debug)]
pub(super) struct RateLimits {
    drawn: Mutex<Drawn>,
}

/// The share in use, and the buckets.
#[derive(Debug)]
struct Drawn {
    share: Share,
    buckets: BTreeMap<Place, Arc<Buckets>>,
}

impl RateLimits {
    pub(super) fn new(share: Share) -> Self {
        Self { drawn: Mutex::new(Drawn { share, buckets: BTreeMap::new() }) }
    }

    /// Uses another share for buckets that are requested from now on.
    pub(super) fn draw(&self, share: Share) {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        if drawn.share != share {
            *drawn = Drawn { share, buckets: BTreeMap::new() };
        }
    }

    /// The buckets of one account in one region, the same for all callers.
    pub(super) fn buckets(&self, account: Option<&str>, region: &str) -> Arc<Buckets> {
        let mut drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let Drawn { share, buckets } = &mut *drawn;
        let key = (account.map(str::to_owned), region.to_owned());
        buckets.entry(key).or_insert_with(|| Arc::new(Buckets::new(*share))).clone()
    }

    /// For an account and region of which only calls without a class are sent, so that no status lists them.
    pub(super) fn unlisted_buckets(&self) -> Arc<Buckets> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::new(Buckets::new(drawn.share))
    }

    /// How full those are that someone draws from, by account and region. The others stay as they are until someone comes
    /// back to them.
    pub(super) fn bucket_statuses(&self) -> Vec<BucketStatus> {
        let drawn = self.drawn.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket_statuses = drawn.buckets.iter().filter(|(_, buckets)| Arc::strong_count(buckets) > 1);
        let bucket_statuses = bucket_statuses.flat_map(|((account, region), buckets)| {
            LIMITS.iter().zip(&buckets.0).map(|(limit, bucket)| {
                let (account, region) = (account.clone(), region.clone());
                let operations = limit.class.operations();
                BucketStatus { account, region, bucket: limit.name, operations, ..bucket.status() }
            })
        });
        bucket_statuses.collect()
    }
}

/// The status of one bucket.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BucketStatus {
    /// The account's id; `None` for that of the credentials.
    pub account: Option<String>,
    /// The region.
    pub region: String,
    /// The name of the bucket.
    pub bucket: &'static str,
    /// The operations that use it.
    pub operations: Vec<&'static str>,
    /// Requests that could be sent immediately.
    pub tokens: f64,
    /// Requests that could be sent immediately if it were full.
    pub burst: f64,
    /// Requests a second.
    pub rate: f64,
    /// The current divisor of burst and rate: normally 1, up to 16 after AWS has throttled.
    pub slowness: f64,
    /// All tokens that were taken.
    pub drawn: u64,
    /// All throttled answers.
    pub throttled: u64,
}

/// The buckets of one account in one region.
#[derive(Debug)]
pub(super) struct Buckets([Bucket; LIMITS.len()]);

impl Buckets {
    fn new(share: Share) -> Self {
        let share = share.get();
        Self(LIMITS.map(|limit| Bucket::new((BURST * share * limit.burst).max(1.0), share * limit.rate)))
    }

    /// The bucket of this class.
    pub(super) fn of(&self, class: Class) -> &Bucket {
        &self.0[class as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_class_has_its_limit_and_the_operations_of_the_table() {
        for (number, limit) in LIMITS.iter().enumerate() {
            assert_eq!(limit.class as usize, number, "{}", limit.name);
        }
        assert_eq!(
            Class::EcsTasks.operations(),
            ["ListTasks", "DescribeTasks", "DescribeContainerInstances"]
        );
    }

    #[tokio::test]
    async fn another_share_counts_from_then_on_and_the_same_one_refills_nothing() {
        let burst = |limits: &RateLimits| {
            let _drawn_from = limits.buckets(None, "eu-west-1");
            limits.bucket_statuses()[0].burst
        };
        let limits = RateLimits::new(Share::ALL);
        assert_eq!(burst(&limits), 45.0);
        let before = limits.buckets(None, "eu-west-1");
        limits.draw(Share::ALL);
        assert!(Arc::ptr_eq(&before, &limits.buckets(None, "eu-west-1")));
        limits.draw(Share::default());
        assert_eq!(burst(&limits), 22.5);
    }
}
