//! Selects the region whose STS endpoint is called.
//!
//! STS accepts an account's credentials only in regions that are enabled for the account, and the discovered regions
//! need not be enabled for the account that assumes the roles. So all sources use one region: the chosen one, else the
//! default region. Without either they use the first of the configured regions in which STS is usable, and remember it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use aws_config::Region;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use tracing::debug;

use super::endpoint::are_of_one_partition;

/// STS's error codes in a region that is not enabled for the account. The first one also means wrong credentials.
/// <https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_temp_enable-regions.html>
const NOT_ENABLED: [&str; 2] = ["InvalidClientTokenId", "RegionDisabledException"];

/// The regions of one partition in which STS may be called; at least one. Clones share what they remember.
#[derive(Clone, Debug)]
pub(super) struct StsRegions {
    regions: Vec<String>,
    /// The index of the region that is tried first.
    first: Arc<AtomicUsize>,
}

impl StsRegions {
    /// By partition: the first of `preferred`, else all of `configured`. STS of one partition does not know accounts of
    /// another.
    pub(super) fn by_partition<'a, 'b>(
        preferred: impl IntoIterator<Item = &'a str>,
        configured: impl IntoIterator<Item = &'b str>,
    ) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for region in preferred {
            if !all.iter().any(|regions| regions.are_of_partition(region)) {
                all.push(Self::one(region));
            }
        }
        let mut others: Vec<Self> = Vec::new();
        for region in configured {
            if all.iter().any(|regions| regions.are_of_partition(region)) {
                continue;
            }
            match others.iter_mut().find(|regions| regions.are_of_partition(region)) {
                Some(others) if others.regions.iter().any(|other| other == region) => {}
                Some(others) => others.regions.push(region.to_owned()),
                None => others.push(Self::one(region)),
            }
        }
        all.append(&mut others);
        all
    }

    /// Only this region.
    pub(super) fn one(region: &str) -> Self {
        Self { regions: vec![region.to_owned()], first: Arc::default() }
    }

    /// Whether they are in the partition of `region`.
    pub(super) fn are_of_partition(&self, region: &str) -> bool {
        are_of_one_partition(&self.regions[0], region)
    }

    /// Calls STS in the region that was usable last, then in the others until one is usable.
    pub(super) async fn ask<T, E, F>(&self, ask: impl Fn(Region) -> F) -> Result<T, SdkError<E, HttpResponse>>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata,
    {
        let mut left = self.regions.len();
        loop {
            let number = self.first.load(Ordering::SeqCst);
            let region = &self.regions[number];
            let answer = ask(Region::new(region.clone())).await;
            left = left.saturating_sub(1);
            match answer {
                Err(error) if left > 0 && is_not_usable(&error) => {
                    debug!(region, "STS cannot be used in this region, the next one is tried");
                    let next = (number + 1) % self.regions.len();
                    // Another source may have selected it already.
                    let _ = self.first.compare_exchange(number, next, Ordering::SeqCst, Ordering::SeqCst);
                }
                answer => return answer,
            }
        }
    }
}

/// The host does not exist or cannot be reached, or the region is not enabled.
fn is_not_usable<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::DispatchFailure(failure) => failure.is_io(),
        SdkError::ServiceError(error) => error.err().code().is_some_and(|code| NOT_ENABLED.contains(&code)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulated::{self, listing};
    use super::super::{Aws, Source, SourceSpec};
    use super::*;
    use ecs_discovery::arn::RoleArn;
    use ecs_simulator::{Aws as SimulatedAws, OWN_ACCESS_KEY, OWN_SECRET_KEY, Response};

    const ROLE: &str = "arn:aws:iam::222222222222:role/discovery/reader";

    fn simulated() -> SimulatedAws {
        let mut world = simulated::world();
        world.allow_role(ROLE, None);
        SimulatedAws::new(world)
    }

    /// With a default region, or without one.
    fn aws(simulated: &SimulatedAws, region: Option<&str>) -> Aws {
        let aws = Aws::isolated(simulated.connector(), "", OWN_ACCESS_KEY, OWN_SECRET_KEY);
        let region = region.map(|region| Region::new(region.to_owned()));
        Aws::sharing(aws.config.into_builder().region(region).build())
    }

    fn source(aws: &Aws, role: bool, region: &str) -> Source {
        let role = role.then(|| RoleArn::parse(ROLE).expect("a role"));
        let region = region.to_owned();
        aws.source(SourceSpec { role, external_id: None, session_name: None, region })
    }

    /// The regions in which STS was called since the last check.
    fn asked(simulated: &SimulatedAws) -> Vec<String> {
        let calls = simulated.take_calls().into_iter();
        calls.filter(|call| call.service == "sts").map(|call| call.region).collect()
    }

    async fn ask(source: &Source) {
        match source.role() {
            Some(_) => drop(source.ask(&listing()).await),
            None => drop(source.account().await),
        }
    }

    #[tokio::test]
    async fn sts_is_called_in_the_default_region_for_sources_of_all_regions() {
        let simulated = simulated();
        let aws = aws(&simulated, Some("eu-west-1")).with_sts(None, ["me-south-1", "af-south-1"]);
        for role in [true, false] {
            ask(&source(&aws, role, "me-south-1")).await;
            assert_eq!(asked(&simulated), ["eu-west-1"]);
        }
        let aws = aws.with_sts(Some("us-west-2"), ["me-south-1"]);
        for role in [true, false] {
            ask(&source(&aws, role, "me-south-1")).await;
            assert_eq!(asked(&simulated), ["us-west-2"]);
        }
    }

    #[tokio::test]
    async fn a_source_of_another_partition_calls_sts_there() {
        let simulated = simulated();
        let aws =
            aws(&simulated, Some("eu-west-1")).with_sts(Some("us-east-1"), ["us-gov-west-1", "eu-west-1"]);
        for (region, sts) in
            [("us-gov-west-1", "us-gov-west-1"), ("cn-north-1", "cn-north-1"), ("eu-west-1", "us-east-1")]
        {
            ask(&source(&aws, true, region)).await;
            assert_eq!(asked(&simulated), [sts]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_default_region_sts_is_called_in_the_first_usable_one() {
        let not_enabled = |call: &ecs_simulator::Call| Response::not_enabled(call);
        let no_such_host = |_: &ecs_simulator::Call| Response::connection_refused();
        let disabled =
            |call: &ecs_simulator::Call| Response::refused(call, 403, "RegionDisabledException", "");
        for fault in [not_enabled as fn(&_) -> _, no_such_host, disabled] {
            let simulated = simulated();
            simulated.on_call(move |call| {
                (call.service == "sts" && call.region == "me-south-1").then(|| fault(call))
            });
            let configured = ["me-south-1", "eu-west-1", "us-east-1"];
            let aws = aws(&simulated, None).with_sts(None, configured);
            let failure =
                source(&aws, true, "me-south-1").ask(&listing()).await.expect_err("no such cluster");
            assert!(failure.message.contains("ClusterNotFound"), "{failure}");
            let regions = asked(&simulated);
            assert_eq!((&*regions[0], &*regions[regions.len() - 1]), ("me-south-1", "eu-west-1"));
            assert!(regions.iter().all(|region| region != "us-east-1"), "{regions:?}");
            // All sources remember it.
            for role in [true, false] {
                ask(&source(&aws, role, "me-south-1")).await;
                assert_eq!(asked(&simulated), ["eu-west-1"]);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refused_credentials_are_tried_in_each_region_and_reported() {
        let simulated = simulated();
        simulated.on_call(|call| (call.service == "sts").then(|| Response::not_enabled(call)));
        let aws = aws(&simulated, None).with_sts(None, ["eu-west-1", "us-east-1", "eu-west-1"]);
        let failure = source(&aws, false, "eu-west-1").account().await.expect_err("a refusal");
        assert!(failure.message.contains("InvalidClientTokenId"), "{failure}");
        let regions = asked(&simulated);
        assert!(regions.len() <= 6 && regions.iter().any(|region| region == "us-east-1"), "{regions:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_denial_is_not_tried_in_other_regions() {
        let simulated = simulated();
        for fault in [Response::denied as fn(&_) -> _, Response::throttled, Response::unavailable] {
            simulated.on_call(move |call| (call.service == "sts").then(|| fault(call)));
            let aws = aws(&simulated, None).with_sts(None, ["eu-west-1", "us-east-1"]);
            ask(&source(&aws, true, "us-east-1")).await;
            assert!(asked(&simulated).iter().all(|region| region == "eu-west-1"));
        }
    }
}
