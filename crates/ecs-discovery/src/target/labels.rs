//! Which labels a target has, and their values.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::conventions::Style;
use crate::labels::TagSelection;
use crate::labels::{self, Labels, LabelsBuilder};
use crate::model::{Host, NetworkMode};
use crate::target::{Machine, Origin, Target};
use crate::variable::Variable;

/// What Prometheus lets a scrape take unless its configuration says otherwise. It drops a target whose scrapes
/// may take longer than its interval.
const USUAL_TIMEOUT: Duration = Duration::from_secs(10);

impl Target {
    /// Every label that is published but `__address__` and those of the scrape interval.
    pub fn labels(&self) -> Labels<'_> {
        self.own_labels().build()
    }

    /// The same, for documents with targets of several intervals.
    pub fn labels_with_interval(&self) -> Labels<'_> {
        self.all_labels().build()
    }

    /// The parts of `labels_with_interval`.
    pub(crate) fn all_labels(&self) -> LabelsBuilder<'_> {
        let mut labels = self.own_labels();
        if self.asked.interval {
            labels.set(labels::CONTROL_INTERVAL, self.interval.name());
            if self.interval.length() < USUAL_TIMEOUT {
                labels.set(labels::CONTROL_TIMEOUT, self.interval.name());
            }
        }
        labels
    }

    /// They are set in the order of their names, which leaves the sort in the end nearly nothing to do: every
    /// target passes here at every change.
    fn own_labels(&self) -> LabelsBuilder<'_> {
        let Self { endpoint, asked, origin, .. } = self;
        let (task, said) = (&origin.task, &*origin.said);
        let no_labels = matches!(said.style, Style::Variables { no_labels: true, .. });
        let mut labels = LabelsBuilder::new(&origin.meta_labels);
        if no_labels {
            labels.set_each(labels::META_CUSTOM, pairs(&said.custom));
        } else if !origin.meta_labels.is_none() {
            origin.meta(&mut labels, endpoint.address.ip());
        }
        if asked.path {
            labels.set(labels::CONTROL_PATH, &*endpoint.path);
        }
        labels.set_each(labels::PARAM, form_urlencoded::parse(endpoint.query.as_bytes()));
        if asked.scheme {
            labels.set(labels::CONTROL_SCHEME, endpoint.scheme.as_str());
        }
        let Style::Variables { tags, .. } = &said.style else {
            labels.set_if_some(labels::JOB, said.job.as_deref());
            return labels;
        };
        if no_labels {
            labels.set(labels::INSTANCE, self.job());
        } else {
            let container_id = origin.container().arn.as_ref().map(|arn| arn.last_part());
            let is_on_an_instance = task.container_instance.is_some();
            labels.set(labels::ECS_CLUSTER, self.cluster());
            labels.set_if_some(labels::ECS_CONTAINER_ID, container_id.filter(|_| is_on_an_instance));
            labels.set(labels::ECS_TASK_ID, task.arn.last_part());
            labels.set(labels::ECS_TASK_VERSION, task.definition.revision());
            labels.set(labels::INSTANCE, endpoint.address.to_string());
            labels.set_if_some(labels::INSTANCE_ID, origin.machine.id().filter(|_| is_on_an_instance));
        }
        labels.set(labels::JOB, self.job());
        labels.set(labels::METRICS_PATH, &*endpoint.path);
        labels.set_if_some(labels::TAGS, tags.as_deref());
        labels
    }
}

impl Machine {
    fn host(&self) -> Option<&Host> {
        match self {
            Self::None | Self::Named(_) => None,
            Self::Known(host) => Some(host),
        }
    }

    fn id(&self) -> Option<&str> {
        match self {
            Self::None => None,
            Self::Named(id) => Some(id.as_str()),
            Self::Known(host) => Some(host.id.as_str()),
        }
    }
}

impl Origin {
    fn meta<'a>(&'a self, labels: &mut LabelsBuilder<'a>, address: IpAddr) {
        let Self { cluster, task, definition, .. } = self;
        let (container, host) = (self.container(), self.machine.host());
        let instance_arn = task.container_instance.as_ref().map(|arn| arn.as_str());
        let zone = task.availability_zone.as_deref().or_else(|| host?.availability_zone.as_deref());
        labels.set(labels::META_ACCOUNT_ID, cluster.arn.account());
        labels.set_if_some(labels::META_AVAILABILITY_ZONE, zone);
        labels.set_if_some(labels::META_CAPACITY_PROVIDER, task.capacity_provider.as_deref());
        labels.set(labels::META_CLUSTER, cluster.arn.last_part());
        labels.set(labels::META_CLUSTER_ARN, cluster.arn.as_str());
        labels.set_if_some(labels::META_CONTAINER_ARN, container.arn.as_ref().map(|arn| arn.as_str()));
        labels.set_if_some(labels::META_CONTAINER_HEALTH_STATUS, container.health_status.as_deref());
        labels.set_if_some(labels::META_CONTAINER_IMAGE, container.image.as_deref());
        labels.set_if_some(labels::META_CONTAINER_INSTANCE_ARN, instance_arn);
        labels.set_each(labels::META_CONTAINER_LABEL, self.docker_labels());
        labels.set(labels::META_CONTAINER_NAME, &*container.name);
        labels.set_if_some(labels::META_CONTAINER_PORT, self.container_port.map(|port| port.to_string()));
        labels.set_if_some(labels::META_CONTAINER_RUNTIME_ID, container.runtime_id.as_deref());
        labels.set(labels::META_CONVENTION, &*self.said.convention);
        labels.set_each(labels::META_CUSTOM, pairs(&self.said.custom));
        labels.set(labels::META_DESIRED_STATUS, task.desired_status.as_str());
        labels.set_if_some(labels::META_EC2_INSTANCE_ID, self.machine.id());
        if let Some(host) = host {
            let [private, public] =
                [host.private_ipv4, host.public_ipv4].map(|ip| ip.map(|ip| ip.to_string()));
            labels.set_if_some(labels::META_EC2_INSTANCE_PRIVATE_IP, private);
            labels.set_if_some(labels::META_EC2_INSTANCE_PUBLIC_IP, public);
            labels.set_if_some(labels::META_EC2_INSTANCE_TYPE, host.instance_type.as_deref());
            labels.set_if_some(labels::META_EC2_SUBNET_ID, host.subnet_id.as_deref());
            labels.set_if_some(labels::META_EC2_VPC_ID, host.vpc_id.as_deref());
        }
        labels.set_if_some(labels::META_HEALTH_STATUS, task.health_status.as_deref());
        labels.set(labels::META_IP_ADDRESS, address.to_string());
        labels.set_if_some(labels::META_IPV6_ADDRESS, container.ipv6.map(|ip| ip.to_string()));
        labels.set_if_some(labels::META_JOB, self.said.job.as_deref());
        labels.set(labels::META_LAST_STATUS, task.last_status.as_str());
        labels.set_if_some(labels::META_LAUNCH_TYPE, task.launch_type.as_ref().map(|kind| kind.as_str()));
        labels.set(labels::META_NETWORK_MODE, definition.network_mode.as_str());
        labels.set_if_some(labels::META_PLATFORM_FAMILY, task.platform_family.as_deref());
        labels.set_if_some(labels::META_PLATFORM_VERSION, task.platform_version.as_deref());
        self.meta_from_private_dns_name_on(labels, host);
    }

    fn meta_from_private_dns_name_on<'a>(&'a self, labels: &mut LabelsBuilder<'a>, host: Option<&'a Host>) {
        let Self { cluster, task, definition, .. } = self;
        // In awsvpc mode the public address and the name are those of the task's own interface; its public address is not
        // asked for.
        let at_host = host.filter(|_| definition.network_mode != NetworkMode::Awsvpc);
        let public = at_host.and_then(|host| host.public_ipv4).map(|ip| ip.to_string());
        let interface = task.network_interface.as_ref();
        let subnet = interface.and_then(|interface| interface.subnet_id.as_deref());
        let name = interface.and_then(|interface| interface.private_dns_name.as_deref());
        let name = name.or_else(|| at_host?.private_dns_name.as_deref());
        labels.set_if_some(labels::META_PRIVATE_DNS_NAME, name);
        labels.set_if_some(labels::META_PUBLIC_IP, public);
        labels.set(labels::META_REGION, cluster.arn.region());
        labels.set_if_some(labels::META_SERVICE, task.service_text());
        if let Some(service) = &self.service {
            labels.set(labels::META_SERVICE_ARN, service.arn.as_str());
            labels.set_if_some(labels::META_SERVICE_STATUS, service.status.as_deref());
        }
        labels.set_if_some(labels::META_SUBNET_ID, subnet.or_else(|| host?.subnet_id.as_deref()));
        // The families of tags come first, so that none of their labels is replaced by a selected tag.
        labels.set_each(labels::META_TAG_CLUSTER, pairs(&cluster.tags));
        labels.set_each(labels::META_TAG_EC2, host.into_iter().flat_map(|host| pairs(&host.tags)));
        let service_tags = self.service.iter().flat_map(|service| pairs(&service.tags));
        labels.set_each(labels::META_TAG_SERVICE, service_tags);
        labels.set_each(labels::META_TAG_TASK, pairs(&task.tags));
        labels.set_each(labels::META_TAG, self.selected_tags().into_iter().map(borrowed));
        labels.set(labels::META_TASK_ARN, task.arn.as_str());
        labels.set(labels::META_TASK_DEFINITION, task.definition.as_str());
        labels.set(labels::META_TASK_DEFINITION_FAMILY, task.definition.family());
        labels.set(labels::META_TASK_DEFINITION_REVISION, task.definition.revision());
        labels.set_if_some(labels::META_TASK_GROUP, task.group.as_deref());
        labels.set(labels::META_TASK_ID, task.arn.last_part());
        labels.set_if_some(labels::META_TASK_STARTED_BY, task.started_by.as_deref());
    }

    /// Docker labels that are not variables: variables say how to scrape, and the longest would be repeated in every
    /// target.
    fn docker_labels(&self) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
        let labels = pairs(&self.container_definition().docker_labels);
        labels.filter(|(name, _)| Variable::named(name).is_none())
    }

    /// The definition's tags overlaid by the task's, without AWS's own.
    fn selected_tags(&self) -> BTreeMap<&str, &str> {
        let wanted = |key: &str| match &*self.tags_to_labels {
            TagSelection::None => false,
            TagSelection::All => true,
            TagSelection::Keys(keys) => keys.contains(key),
        };
        // AWS reserves the prefix in any case.
        let aws = |key: &str| key.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("aws:"));
        let tags = self.definition.tags.iter().chain(&self.task.tags);
        let tags = tags.map(|(key, value)| (&**key, &**value));
        tags.filter(|(key, _)| wanted(key) && !aws(key)).collect()
    }
}

fn pairs(
    tags: &[(std::sync::Arc<str>, std::sync::Arc<str>)],
) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    tags.iter().map(|(key, value)| borrowed((&**key, &**value)))
}

fn borrowed<'a>((key, value): (&'a str, &'a str)) -> (Cow<'a, str>, Cow<'a, str>) {
    (key.into(), value.into())
}
