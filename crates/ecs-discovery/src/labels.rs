//! Every label that is published: its name, what it means, and how any text becomes a label name.
//!
//! Prometheus 2 refuses a whole document for one malformed label name, and acts on labels such as
//! `__address__`; so a name that comes from a tag, a docker label or a query always begins with one of
//! the prefixes here, and its other characters are those that every Prometheus accepts.

pub mod meta;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use meta::MetaLabels;

/// Which tags of definitions and tasks become labels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TagSelection {
    /// None.
    #[default]
    None,
    /// Every one but AWS's own.
    All,
    /// Those of these keys.
    Keys(BTreeSet<String>),
}

/// The maximum number of bytes of a label's value, and of the key in a label's name. AWS's own limits are 256
/// characters for a tag and none for a docker label; relabelling rules are written for far shorter values.
pub const VALUE_BYTES: usize = 4096;

/// A label, or with a trailing `_` the prefix of a family of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Label {
    /// The name, or the prefix.
    pub name: &'static str,
    /// What its value is; the documentation's table is checked against it.
    pub meaning: &'static str,
    /// Its position in [`ALL`].
    position: usize,
}

macro_rules! labels {
    ($($(#[$doc:meta])* $constant:ident = $name:literal, $meaning:literal;)*) => {
        $(
            #[doc = concat!("`", $name, "`: ", $meaning, ".")]
            pub const $constant: Label =
                Label { name: $name, meaning: $meaning, position: Position::$constant as usize };
        )*
        /// In the order of [`ALL`].
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        enum Position { $($constant),* }
        /// All of them, in the documentation's order.
        pub const ALL: &[Label] = &[$($constant),*];
    };
}

labels! {
    INSTANCE = "instance", "`address:port`; the job name under `PROMETHEUS_NOLABELS`";
    JOB = "job", "the task definition's family";
    METRICS_PATH = "metrics_path", "the path";
    TAGS = "tags", "`PROMETHEUS_TAGS`, verbatim, if set";
    ECS_CLUSTER = "ecs_cluster", "the cluster's name";
    ECS_TASK_ID = "ecs_task_id", "the task's id";
    ECS_TASK_VERSION = "ecs_task_version", "the task definition's revision";
    ECS_CONTAINER_ID = "ecs_container_id", "the container's id in its ARN, on a container instance";
    INSTANCE_ID = "instance_id", "the EC2 (`i-…`) or ECS Anywhere (`mi-…`) instance, on a container instance";
    CONTROL_PATH = "__metrics_path__", "the path that Prometheus asks for";
    CONTROL_SCHEME = "__scheme__", "`https`, if that was asked for";
    CONTROL_INTERVAL = "__scrape_interval__", "the scrape interval, where one document has targets of several";
    CONTROL_TIMEOUT = "__scrape_timeout__", "the same, if that is less than 10 s";
    PARAM = "__param_", "one query parameter of the endpoint each";
    META_CLUSTER = "__meta_ecs_cluster", "the cluster's name";
    META_CLUSTER_ARN = "__meta_ecs_cluster_arn", "the cluster's ARN";
    META_SERVICE = "__meta_ecs_service", "the service's name, from the task's group";
    META_SERVICE_ARN = "__meta_ecs_service_arn", "the service's ARN, with `--service-tags`";
    META_SERVICE_STATUS = "__meta_ecs_service_status", "`ACTIVE`, `DRAINING` or `INACTIVE`, with `--service-tags`";
    META_TASK_GROUP = "__meta_ecs_task_group", "the task's group, such as `service:web`";
    META_TASK_ARN = "__meta_ecs_task_arn", "the task's ARN";
    META_TASK_DEFINITION = "__meta_ecs_task_definition", "the task definition's ARN";
    META_REGION = "__meta_ecs_region", "the region";
    META_AVAILABILITY_ZONE = "__meta_ecs_availability_zone", "the availability zone";
    META_SUBNET_ID = "__meta_ecs_subnet_id", "the subnet of the task's interface, else of its host";
    META_IP_ADDRESS = "__meta_ecs_ip_address", "the address without the port";
    META_IPV6_ADDRESS = "__meta_ecs_ipv6_address", "the IPv6 address of the container's interface, in `awsvpc` mode";
    META_PRIVATE_DNS_NAME = "__meta_ecs_private_dns_name", "the private DNS name of the task's interface in `awsvpc` mode, otherwise of its EC2 host";
    META_PUBLIC_IP = "__meta_ecs_public_ip", "the host's public IPv4 address, in `bridge` and `host` mode";
    META_LAUNCH_TYPE = "__meta_ecs_launch_type", "`EC2`, `FARGATE`, `EXTERNAL` or `MANAGED_INSTANCES`";
    META_DESIRED_STATUS = "__meta_ecs_desired_status", "the status ECS is working towards";
    META_LAST_STATUS = "__meta_ecs_last_status", "the task's last status";
    META_HEALTH_STATUS = "__meta_ecs_health_status", "the task's health: `HEALTHY`, `UNHEALTHY`, `UNKNOWN`";
    META_PLATFORM_FAMILY = "__meta_ecs_platform_family", "the operating system, on Fargate";
    META_PLATFORM_VERSION = "__meta_ecs_platform_version", "the platform version, on Fargate";
    META_NETWORK_MODE = "__meta_ecs_network_mode", "`awsvpc`, `bridge`, `host` or (Windows) `default`";
    META_CONTAINER_INSTANCE_ARN = "__meta_ecs_container_instance_arn", "the container instance's ARN";
    META_EC2_INSTANCE_ID = "__meta_ecs_ec2_instance_id", "the instance's id, as `instance_id`";
    META_EC2_INSTANCE_TYPE = "__meta_ecs_ec2_instance_type", "the instance's type";
    META_EC2_INSTANCE_PRIVATE_IP = "__meta_ecs_ec2_instance_private_ip", "the instance's private IPv4 address";
    META_EC2_INSTANCE_PUBLIC_IP = "__meta_ecs_ec2_instance_public_ip", "the instance's public IPv4 address";
    META_EC2_SUBNET_ID = "__meta_ecs_ec2_subnet_id", "the instance's own subnet";
    META_EC2_VPC_ID = "__meta_ecs_ec2_vpc_id", "the instance's VPC";
    META_TAG_TASK = "__meta_ecs_tag_task_", "one tag of the task each";
    META_TAG_CLUSTER = "__meta_ecs_tag_cluster_", "one tag of the cluster each";
    META_TAG_SERVICE = "__meta_ecs_tag_service_", "one tag of the service each, with `--service-tags`";
    META_TAG_EC2 = "__meta_ecs_tag_ec2_", "one tag of the instance each";
    META_TAG = "__meta_ecs_tag_", "one tag of the definition, overlaid by the task's, each: see `--tags-to-labels`";
    META_ACCOUNT_ID = "__meta_ecs_account_id", "the AWS account";
    META_TASK_ID = "__meta_ecs_task_id", "the task's id";
    META_TASK_DEFINITION_FAMILY = "__meta_ecs_task_definition_family", "the task definition's family";
    META_TASK_DEFINITION_REVISION = "__meta_ecs_task_definition_revision", "the task definition's revision";
    META_TASK_STARTED_BY = "__meta_ecs_task_started_by", "the deployment, or what RunTask was told";
    META_CAPACITY_PROVIDER = "__meta_ecs_capacity_provider", "the capacity provider";
    META_CONTAINER_NAME = "__meta_ecs_container_name", "the container's name";
    META_CONTAINER_ARN = "__meta_ecs_container_arn", "the container's ARN";
    META_CONTAINER_IMAGE = "__meta_ecs_container_image", "the container's image";
    META_CONTAINER_RUNTIME_ID = "__meta_ecs_container_runtime_id", "the container runtime's id";
    META_CONTAINER_HEALTH_STATUS = "__meta_ecs_container_health_status", "the container's health, as the task's";
    META_CONTAINER_PORT = "__meta_ecs_container_port", "the container port, where one was looked up";
    META_CONVENTION = "__meta_ecs_convention", "the convention that the target belongs to";
    META_JOB = "__meta_ecs_job", "the job that a rule names, as `job`";
    META_CUSTOM = "__meta_ecs_custom_", "one label each that the container itself names, in the conventions that allow it";
    META_CONTAINER_LABEL = "__meta_ecs_container_label_", "one docker label each, except the variables";
}

/// Whether every Prometheus accepts the name: `[A-Za-z_][A-Za-z0-9_]*`.
pub fn is_label_name(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(word) && name.chars().next().is_some_and(|first| !first.is_ascii_digit())
}

/// Turns each character outside `[A-Za-z0-9_]` into `_`; the result is for use behind a prefix.
pub fn sanitized(key: &str) -> Cow<'_, str> {
    let foreign = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
    if key.contains(foreign) { key.replace(foreign, "_").into() } else { key.into() }
}

/// The labels of one target: sorted by name, each name once, no empty value.
#[derive(Clone, PartialEq, Eq)]
pub struct Labels<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl Labels<'_> {
    /// In ascending order of names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// The value of a label.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }
}

impl fmt::Debug for Labels<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

/// Collects the labels that are published; of two with the same name, the first is kept. Values are cut at
/// [`VALUE_BYTES`], and a label with a longer key is left out.
pub(crate) struct LabelsBuilder<'a> {
    published: &'a MetaLabels,
    pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    too_long: Vec<Cow<'a, str>>,
}

impl<'a> LabelsBuilder<'a> {
    /// With room for what a target usually has.
    pub(crate) fn new(published: &'a MetaLabels) -> Self {
        Self { published, pairs: Vec::with_capacity(64), too_long: Vec::new() }
    }

    pub(crate) fn set(&mut self, label: Label, value: impl Into<Cow<'a, str>>) {
        if self.published.includes(label) {
            self.push(label.name.into(), value.into());
        }
    }

    pub(crate) fn set_if_some(&mut self, label: Label, value: Option<impl Into<Cow<'a, str>>>) {
        if let Some(value) = value {
            self.set(label, value);
        }
    }

    /// One label a key, named by the prefix and the sanitised key; keys must come in byte order.
    pub(crate) fn set_each(
        &mut self,
        prefix: Label,
        pairs: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) {
        if !self.published.includes(prefix) {
            return;
        }
        for (key, value) in pairs {
            let Some(name) = self.published.named(prefix, &key) else { continue };
            if key.len() > VALUE_BYTES {
                self.too_long.push(key);
            } else {
                self.push(name.into(), value);
            }
        }
    }

    fn push(&mut self, name: Cow<'a, str>, mut value: Cow<'a, str>) {
        if value.len() > VALUE_BYTES {
            self.too_long.push(name.clone());
            let end = value.floor_char_boundary(VALUE_BYTES);
            value = match value {
                Cow::Borrowed(value) => value[..end].into(),
                Cow::Owned(value) => value[..end].to_owned().into(),
            };
        }
        self.pairs.push((name, value));
    }

    /// The names of labels that are cut, and the keys of those that are left out.
    pub(crate) fn too_long(&self) -> &[Cow<'a, str>] {
        &self.too_long
    }

    /// The names and values, including duplicate names.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (&**name, &**value))
    }

    pub(crate) fn build(mut self) -> Labels<'a> {
        // The sort is stable: equal names keep the order they were set in.
        self.pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
        self.pairs.dedup_by(|(later, _), (first, _)| later == first);
        self.pairs.retain(|(_, value)| !value.is_empty());
        Labels(self.pairs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built(pairs: &[(&'static str, &'static str)]) -> Vec<(String, String)> {
        let all = MetaLabels::default();
        let mut builder = LabelsBuilder::new(&all);
        builder.set_each(META_TAG_TASK, pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())));
        builder.build().iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn any_key_becomes_a_label_name_behind_its_prefix() {
        for (key, name) in [
            ("team", "team"),
            ("cost-center", "cost_center"),
            ("aws:ecs:serviceName", "aws_ecs_serviceName"),
            ("9lives", "9lives"),
            ("Größe", "Gr__e"),
            ("", ""),
            ("a b\n\"", "a_b__"),
        ] {
            assert_eq!(sanitized(key), name);
            assert!(is_label_name(&format!("{}{name}", META_TAG_TASK.name)));
        }
    }

    #[test]
    fn of_two_keys_that_meet_the_first_in_byte_order_stays() {
        let labels = built(&[("a-b", "dash"), ("a.b", "dot"), ("a_b", "underscore")]);
        assert_eq!(labels, [("__meta_ecs_tag_task_a_b".to_owned(), "dash".to_owned())]);
    }

    #[test]
    fn a_label_without_a_value_is_left_out() {
        assert_eq!(
            built(&[("empty", ""), ("set", "x")]),
            [("__meta_ecs_tag_task_set".to_owned(), "x".to_owned())]
        );
    }

    #[test]
    fn all_names_are_label_names() {
        for label in ALL {
            assert!(is_label_name(label.name), "{}", label.name);
        }
    }
}
