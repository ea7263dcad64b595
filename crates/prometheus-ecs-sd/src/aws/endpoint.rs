//! The endpoints of the services without an SDK crate here.
//!
//! Settings are read as the SDK's generated clients read them: a URL set for the service, then one set
//! for all services, then the region's own address, FIPS and dual-stack variants included. The table
//! holds the rule sets that AWS publishes for ECS, EC2, Systems Manager and SQS, which are alike but for FIPS in GovCloud.

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::endpoint::{EndpointFuture, EndpointResolverParams, ResolveEndpoint};
use aws_smithy_types::endpoint::Endpoint;
use aws_types::service_config::ServiceConfigKey;

use super::call::Service;

/// A partition's regions begin with `prefix`.
struct Partition {
    prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// The `partitions.json` of the SDKs; as there, a region of an unknown partition counts as one of [`COMMERCIAL`].
const PARTITIONS: [Partition; 7] = [
    Partition {
        prefix: "cn-",
        suffix: "amazonaws.com.cn",
        dual_stack_suffix: "api.amazonwebservices.com.cn",
    },
    Partition { prefix: "us-gov-", suffix: "amazonaws.com", dual_stack_suffix: "api.aws" },
    Partition { prefix: "eusc-", suffix: "amazonaws.eu", dual_stack_suffix: "api.amazonwebservices.eu" },
    Partition { prefix: "us-iso-", suffix: "c2s.ic.gov", dual_stack_suffix: "api.aws.ic.gov" },
    Partition { prefix: "us-isob-", suffix: "sc2s.sgov.gov", dual_stack_suffix: "api.aws.scloud" },
    Partition { prefix: "eu-isoe-", suffix: "cloud.adc-e.uk", dual_stack_suffix: "api.cloud-aws.adc-e.uk" },
    Partition { prefix: "us-isof-", suffix: "csp.hci.ic.gov", dual_stack_suffix: "api.aws.hci.ic.gov" },
];

const COMMERCIAL: Partition = Partition { prefix: "", suffix: "amazonaws.com", dual_stack_suffix: "api.aws" };

/// The endpoint of a service, or why it is unknown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ServiceEndpoint(Result<String, &'static str>);

impl ServiceEndpoint {
    /// The endpoint of a service in the region of `config`.
    pub(super) fn new(config: &SdkConfig, service: &Service) -> Self {
        let (fips, dual_stack) =
            (config.use_fips().unwrap_or(false), config.use_dual_stack().unwrap_or(false));
        Self(match configured(config, service.id) {
            // The texts are AWS's.
            Some(_) if fips && service.has_strict_endpoints => {
                Err("Invalid Configuration: FIPS and custom endpoint are not supported")
            }
            Some(_) if dual_stack && service.has_strict_endpoints => {
                Err("Invalid Configuration: Dualstack and custom endpoint are not supported")
            }
            Some(url) => Ok(url),
            None => {
                let region = config.region().map_or("", AsRef::as_ref);
                Ok(regional(service, region, fips, dual_stack))
            }
        })
    }

    /// Its URL, if it is known.
    pub(super) fn url(&self) -> Option<&str> {
        self.0.as_deref().ok()
    }
}

impl ResolveEndpoint for ServiceEndpoint {
    fn resolve_endpoint<'a>(&'a self, _: &'a EndpointResolverParams) -> EndpointFuture<'a> {
        let endpoint = self.0.clone().map(|url| Endpoint::builder().url(url).build());
        EndpointFuture::ready(endpoint.map_err(Into::into))
    }
}

/// The user's setting: `AWS_ENDPOINT_URL_EC2`, the profile's `[services]` section, `AWS_ENDPOINT_URL`.
pub(super) fn configured(config: &SdkConfig, id: &str) -> Option<String> {
    let for_all = config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return for_all;
    }
    let key = ServiceConfigKey::builder().service_id(id).env("AWS_ENDPOINT_URL").profile("endpoint_url");
    let key = key.build().expect("all three fields are set");
    config.service_config().and_then(|settings| settings.load_config(key)).or(for_all)
}

/// Whether two regions are of the same partition.
pub(super) fn are_of_one_partition(one: &str, other: &str) -> bool {
    partition(one).prefix == partition(other).prefix
}

fn partition(region: &str) -> &'static Partition {
    PARTITIONS.iter().find(|partition| region.starts_with(partition.prefix)).unwrap_or(&COMMERCIAL)
}

fn regional(service: &Service, region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = partition(region);
    let suffix = if dual_stack { partition.dual_stack_suffix } else { partition.suffix };
    let is_plain_fips = service.is_fips_in_gov_cloud && partition.prefix == "us-gov-" && !dual_stack;
    let fips = if fips && !is_plain_fips { "-fips" } else { "" };
    format!("https://{}{fips}.{region}.{suffix}", service.name)
}

#[cfg(test)]
mod tests {
    use super::super::call::{
        DESCRIBE_INSTANCE_INFORMATION, DESCRIBE_INSTANCES, LIST_CLUSTERS, RECEIVE_MESSAGE,
    };
    use super::*;
    use aws_config::Region;
    use aws_types::origin::Origin;
    use aws_types::service_config::LoadServiceConfig;

    const ECS: &Service = &LIST_CLUSTERS.service;
    const EC2: &Service = &DESCRIBE_INSTANCES.service;
    const SSM: &Service = &DESCRIBE_INSTANCE_INFORMATION.service;

    #[test]
    fn ecs_has_fips_endpoints_of_its_own_in_govcloud() {
        for (region, fips, dual_stack, expected) in [
            ("us-gov-west-1", true, false, "https://ecs-fips.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", false, false, "https://ecs.us-gov-west-1.amazonaws.com"),
            ("us-gov-east-1", true, true, "https://ecs-fips.us-gov-east-1.api.aws"),
            ("us-east-1", true, false, "https://ecs-fips.us-east-1.amazonaws.com"),
            ("cn-north-1", true, true, "https://ecs-fips.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-iso-east-1", true, false, "https://ecs-fips.us-iso-east-1.c2s.ic.gov"),
        ] {
            assert_eq!(regional(ECS, region, fips, dual_stack), expected);
        }
    }

    #[test]
    fn every_partition_has_its_suffixes_and_variants() {
        for (region, fips, dual_stack, expected) in [
            ("eu-west-1", false, false, "https://ec2.eu-west-1.amazonaws.com"),
            ("eu-west-1", true, false, "https://ec2-fips.eu-west-1.amazonaws.com"),
            ("eu-west-1", false, true, "https://ec2.eu-west-1.api.aws"),
            ("us-east-1", true, true, "https://ec2-fips.us-east-1.api.aws"),
            ("cn-north-1", false, false, "https://ec2.cn-north-1.amazonaws.com.cn"),
            ("cn-north-1", false, true, "https://ec2.cn-north-1.api.amazonwebservices.com.cn"),
            ("us-gov-west-1", false, false, "https://ec2.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, false, "https://ec2.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "https://ec2-fips.us-gov-west-1.api.aws"),
            ("eusc-de-east-1", false, false, "https://ec2.eusc-de-east-1.amazonaws.eu"),
            ("us-iso-east-1", false, false, "https://ec2.us-iso-east-1.c2s.ic.gov"),
            ("us-isob-east-1", false, false, "https://ec2.us-isob-east-1.sc2s.sgov.gov"),
            ("eu-isoe-west-1", false, false, "https://ec2.eu-isoe-west-1.cloud.adc-e.uk"),
            ("us-isof-south-1", false, true, "https://ec2.us-isof-south-1.api.aws.hci.ic.gov"),
            ("mars-north-1", false, false, "https://ec2.mars-north-1.amazonaws.com"),
        ] {
            assert_eq!(regional(EC2, region, fips, dual_stack), expected);
        }
    }

    #[test]
    fn sqs_has_no_fips_endpoints_of_its_own_in_govcloud_and_its_custom_endpoint_excludes_others() {
        const SQS: &Service = &RECEIVE_MESSAGE.service;
        for (region, fips, dual_stack, expected) in [
            ("eu-west-1", false, false, "https://sqs.eu-west-1.amazonaws.com"),
            ("us-east-1", true, false, "https://sqs-fips.us-east-1.amazonaws.com"),
            ("us-gov-west-1", true, false, "https://sqs.us-gov-west-1.amazonaws.com"),
            ("us-gov-west-1", true, true, "https://sqs-fips.us-gov-west-1.api.aws"),
        ] {
            assert_eq!(regional(SQS, region, fips, dual_stack), expected);
        }
        let config = SdkConfig::builder().region(Region::new("eu-west-1")).service_config(Only("SQS"));
        assert_eq!(url(&config.build(), SQS), Ok("http://one".to_owned()));
        let config = SdkConfig::builder().endpoint_url("http://all").use_fips(true);
        assert!(url(&config.build(), SQS).is_err());
    }

    #[derive(Debug)]
    struct Only(&'static str);

    impl LoadServiceConfig for Only {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
            (key.service_id() == self.0).then(|| "http://one".to_owned())
        }
    }

    fn url(config: &SdkConfig, service: &Service) -> Result<String, &'static str> {
        ServiceEndpoint::new(config, service).0
    }

    #[test]
    fn a_url_for_the_service_wins_over_one_for_all_and_that_over_the_region() {
        let region = SdkConfig::builder().region(Region::new("eu-west-1")).use_fips(true).build();
        let fips = || Ok("https://ssm-fips.eu-west-1.amazonaws.com".to_owned());
        assert_eq!(url(&region, SSM), fips());
        let one = region.to_builder().service_config(Only("EC2")).build();
        assert_eq!(url(&one, EC2), Ok("http://one".to_owned()));
        assert_eq!(url(&one, SSM), fips());
        let all = one.to_builder().endpoint_url("http://all").build();
        assert_eq!(url(&all, EC2), Ok("http://one".to_owned()));
        assert_eq!(url(&all, SSM), Ok("http://all".to_owned()));
        let mut in_code = all.to_builder();
        in_code.insert_origin("endpoint_url", Origin::shared_config());
        assert_eq!(url(&in_code.build(), EC2), Ok("http://all".to_owned()));
    }

    #[test]
    fn a_custom_endpoint_of_ecs_excludes_fips_and_dual_stack() {
        let plain = SdkConfig::builder().region(Region::new("eu-west-1")).service_config(Only("ECS")).build();
        assert_eq!(url(&plain, ECS), Ok("http://one".to_owned()));
        for (fips, dual_stack, name) in
            [(true, true, "FIPS"), (true, false, "FIPS"), (false, true, "Dualstack")]
        {
            let variant = plain.to_builder().use_fips(fips).use_dual_stack(dual_stack).build();
            let error = url(&variant, ECS).expect_err("an error");
            assert_eq!(error, format!("Invalid Configuration: {name} and custom endpoint are not supported"));
        }
    }
}
