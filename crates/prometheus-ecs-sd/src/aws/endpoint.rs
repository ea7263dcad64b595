//! Where the services are that have no SDK crate here.
//!
//! Settings are read as the SDK's generated clients read them: a URL set for the service, then one set
//! for all services, then the region's own address, FIPS and dual-stack variants included. The table
//! holds the rule sets that AWS publishes for EC2 and Systems Manager, which are alike.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

/// A partition's regions begin with `prefix`.
struct Partition {
    prefix: &'static str,
    suffix: &'static str,
    dual_stack_suffix: &'static str,
}

/// The SDKs' `partitions.json`; a region of an unknown partition is taken for one of [`COMMERCIAL`], as they do.
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

/// The URL of a service in the region of `config`; `id` is the service's id in configuration files (`EC2`).
pub(super) fn url(config: &SdkConfig, id: &str, host: &str) -> String {
    configured(config, id).unwrap_or_else(|| {
        let region = config.region().map_or("", AsRef::as_ref);
        regional(host, region, config.use_fips().unwrap_or(false), config.use_dual_stack().unwrap_or(false))
    })
}

/// What the user set: `AWS_ENDPOINT_URL_EC2`, the profile's `[services]` section, `AWS_ENDPOINT_URL`.
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

fn regional(host: &str, region: &str, fips: bool, dual_stack: bool) -> String {
    let partition = partition(region);
    let suffix = if dual_stack { partition.dual_stack_suffix } else { partition.suffix };
    // GovCloud's plain endpoints are its FIPS endpoints, but for the dual-stack ones.
    let fips = if fips && (dual_stack || partition.prefix != "us-gov-") { "-fips" } else { "" };
    format!("https://{host}{fips}.{region}.{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_config::Region;
    use aws_types::origin::Origin;
    use aws_types::service_config::LoadServiceConfig;

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
            assert_eq!(regional("ec2", region, fips, dual_stack), expected);
        }
    }

    #[derive(Debug)]
    struct Only(&'static str);

    impl LoadServiceConfig for Only {
        fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
            assert_eq!((key.env(), key.profile()), ("AWS_ENDPOINT_URL", "endpoint_url"));
            (key.service_id() == self.0).then(|| "http://one".to_owned())
        }
    }

    #[test]
    fn a_url_for_the_service_wins_over_one_for_all_and_that_over_the_region() {
        let region = SdkConfig::builder().region(Region::new("eu-west-1")).use_fips(true).build();
        assert_eq!(url(&region, "SSM", "ssm"), "https://ssm-fips.eu-west-1.amazonaws.com");
        let one = region.to_builder().service_config(Only("EC2")).build();
        assert_eq!(url(&one, "EC2", "ec2"), "http://one");
        assert_eq!(url(&one, "SSM", "ssm"), "https://ssm-fips.eu-west-1.amazonaws.com");
        let all = one.to_builder().endpoint_url("http://all").build();
        assert_eq!(url(&all, "EC2", "ec2"), "http://one");
        assert_eq!(url(&all, "SSM", "ssm"), "http://all");
        let mut in_code = all.to_builder();
        in_code.insert_origin("endpoint_url", Origin::shared_config());
        assert_eq!(url(&in_code.build(), "EC2", "ec2"), "http://all");
    }
}
