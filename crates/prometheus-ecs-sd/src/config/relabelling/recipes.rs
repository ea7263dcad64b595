//! The tables: the labels of each tool, made from the labels that are published here.
//!
//! Their order matters: a later rule replaces a label of an earlier one, as the tool itself did.

use super::Rule::{Copy, CopyDockerLabels, CopyEach, Drop, Remark, Set, SetJob};
use super::Source::{self, Label, Meta};
use super::{Recipe, Rule};

/// Labels with the names of docker labels.
const SANITISED: &str = "The names of docker labels have _ in place of characters that a label name cannot have. The tool \
left such docker labels out, or wrote a file that Prometheus refused. If that matters, narrow the pattern of the labelmap.";

/// Tools whose own labels won over those of the container.
const CUSTOM_WINS: &str =
    "A custom label or tag named job or instance replaces that label. With the tool, it did not.";

/// Rules that read the tags of services.
const SERVICE_TAGS: &str = "The tags of services are published with service_tags: true only.";

const fn copy(to: &'static str, from: &'static str) -> Rule {
    Copy { to, from: Meta(from) }
}

const fn each(to: &'static str, family: &'static str) -> Rule {
    CopyEach { to, family }
}

const fn set(to: &'static str, from: &'static [Source], pattern: &'static str, value: &'static str) -> Rule {
    Set { to, from, pattern, value }
}

pub(super) const RECIPES: &[Recipe] = &[
    Recipe {
        name: "discoverecs",
        aliases: &[],
        tool: "discoverecs.py",
        remarks: &["Targets of the convention environment have them already."],
        rules: &[
            copy("job", "task_definition_family"),
            copy("ecs_task_version", "task_definition_revision"),
            Copy { to: "metrics_path", from: Label("__metrics_path__") },
            copy("ecs_cluster", "cluster"),
            copy("ecs_task_id", "task_id"),
            copy("instance_id", "ec2_instance_id"),
            set(
                "ecs_container_id",
                &[Meta("container_instance_arn"), Meta("container_arn")],
                ".+;.*/(.+)",
                "$1",
            ),
        ],
    },
    Recipe {
        name: "teralytics",
        aliases: &["cozero", "supabase"],
        tool: "prometheus-ecs-discovery of Teralytics, Cozero and Supabase",
        remarks: &[],
        rules: &[
            copy("task_arn", "task_arn"),
            copy("task_group", "task_group"),
            copy("cluster_arn", "cluster_arn"),
            copy("container_name", "container_name"),
            copy("container_arn", "container_arn"),
            copy("task_name", "task_definition_family"),
            copy("task_revision", "task_definition_revision"),
            copy("docker_image", "container_image"),
            Remark("The IPv6 address, where the container asks for it. Only Supabase's tool has this rule."),
            set(
                "__address__",
                &[
                    Meta("container_label_PROMETHEUS_EXPORTER_PREFER_IPV6"),
                    Meta("ipv6_address"),
                    Label("__address__"),
                ],
                r"true;(.+);.+:(\d+)",
                "[$1]:$2",
            ),
            Remark(
                "The host name that the container asks for. With this rule, the author of a task definition decides to \
                 which host Prometheus sends requests. Remove the rule if you do not want that.",
            ),
            set(
                "__address__",
                &[Meta("container_label_PROMETHEUS_EXPORTER_SERVER_NAME"), Label("__address__")],
                r"(.+?)/*;.+:(\d+)",
                "$1:$2",
            ),
        ],
    },
    Recipe {
        name: "sepich",
        aliases: &[],
        tool: "sepich/prometheus-ecs-sd",
        remarks: &[],
        rules: &[
            each("", "custom"),
            copy("container_name", "container_name"),
            copy("container_arn", "container_arn"),
            copy("task_name", "task_definition_family"),
            copy("task_revision", "task_definition_revision"),
            copy("instance_id", "ec2_instance_id"),
            copy("__container_image", "container_image"),
            copy("__task_group", "task_group"),
            copy("__container_runtime_id", "container_runtime_id"),
        ],
    },
    Recipe {
        name: "compose_x",
        aliases: &[],
        tool: "ecs-service-discovery of compose-x",
        remarks: &[SANITISED],
        rules: &[
            each("", "container_label"),
            Drop("ecs_.*"),
            copy("__meta_ecs_task_definition_arn", "task_definition"),
            copy("__meta_ecs_task_family", "task_definition_family"),
            copy("__meta_ecs_task_launch_type", "launch_type"),
            copy("__meta_ecs_task_instance", "container_instance_arn"),
            copy("__meta_ecs_instance_ec2_instance_id", "ec2_instance_id"),
        ],
    },
    Recipe {
        name: "cloudwatch_agent",
        aliases: &[],
        tool: "the CloudWatch agent",
        remarks: &[SANITISED],
        rules: &[
            copy("container_name", "container_name"),
            copy("TaskDefinitionFamily", "task_definition_family"),
            copy("TaskRevision", "task_definition_revision"),
            copy("TaskGroup", "task_group"),
            copy("StartedBy", "task_started_by"),
            copy("LaunchType", "launch_type"),
            copy("TaskClusterName", "cluster"),
            copy("TaskId", "task_id"),
            copy("InstanceType", "ec2_instance_type"),
            copy("VpcId", "ec2_vpc_id"),
            copy("SubnetId", "ec2_subnet_id"),
            each("", "container_label"),
            copy("job", "job"),
            Remark("Only targets that were found by the name of their service have its name."),
            set("ServiceName", &[Meta("convention"), Meta("service")], "cloudwatch_agent-service;(.+)", "$1"),
        ],
    },
    Recipe {
        name: "ecs_observer",
        aliases: &[],
        tool: "the extension ecs_observer of the OpenTelemetry Collector",
        remarks: &["If job_label_name was set there, write its value instead of prometheus_job."],
        rules: &[
            copy("__meta_ecs_source", "task_arn"),
            copy("__meta_ecs_cluster_name", "cluster"),
            copy("__meta_ecs_service_name", "service"),
            copy("__meta_ecs_task_launch_type", "launch_type"),
            copy("__meta_ecs_ec2_private_ip", "ec2_instance_private_ip"),
            copy("__meta_ecs_ec2_public_ip", "ec2_instance_public_ip"),
            each("__meta_ecs_container_labels_", "container_label"),
            each("__meta_ecs_task_tags_", "tag_task"),
            each("__meta_ecs_ec2_tags_", "tag_ec2"),
            copy("prometheus_job", "job"),
            Remark("The label job is the name of the scrape job."),
            SetJob,
        ],
    },
    Recipe {
        name: "promed",
        aliases: &[],
        tool: "PromED (prometheus-ecs-discoverer)",
        remarks: &[CUSTOM_WINS],
        rules: &[
            Remark("The default of with_docker_labels. If it was set there, write its names here."),
            CopyDockerLabels("Environment|ApplicationName|ApplicationRole"),
            each("", "custom"),
            copy("cluster", "cluster"),
            copy("task_version", "task_definition_revision"),
            copy("task_id", "task_id"),
            Copy { to: "container_id", from: Label("ecs_container_id") },
            Drop("ecs_(cluster|task_id|task_version|container_id)"),
        ],
    },
    Recipe {
        name: "hypoport",
        aliases: &[],
        tool: "discoverecs.py of Hypoport",
        remarks: &["The rules need tags_to_labels: [\"*\"].", CUSTOM_WINS],
        rules: &[
            each("", "tag"),
            Remark("The tags of tasks, clusters, hosts and services, which the rule above copies too."),
            Drop("(task|cluster|ec2|service)_.*"),
            set("application", &[Label("application"), Label("application_id")], ";(.+)", "$1"),
            set("tags", &[Label("tags"), Meta("container_image")], "(.*);(.+)", "${1}container_image=${2},"),
        ],
    },
    Recipe {
        name: "wasilak",
        aliases: &[],
        tool: "wasilak/ecs-sd",
        remarks: &["The keys of tags are in lower case there. Here they are as they are."],
        rules: &[
            copy("__meta_ecs_cluster_name", "cluster"),
            copy("__meta_ecs_service_name", "service"),
            copy("__meta_ecs_task_family", "task_definition_family"),
            copy("__meta_ecs_task_version", "task_definition_revision"),
            copy("__meta_ecs_metrics_port", "container_port"),
        ],
    },
    Recipe {
        name: "connectedservices",
        aliases: &[],
        tool: "connectedservices/prometheus-ecs-sd",
        remarks: &["Its label task_version, a counter of the changes of a task, has no counterpart."],
        rules: &[
            copy("__meta_ecs_service_name", "service"),
            copy("__meta_ecs_cluster_name", "cluster"),
            copy("__meta_ecs_instance_id", "ec2_instance_id"),
            each("__meta_ecs_label_", "container_label"),
        ],
    },
    Recipe {
        name: "litsea",
        aliases: &["winglot"],
        tool: "prometheus-ecs-sd of litsea and winglot",
        remarks: &[SERVICE_TAGS, "The keys of tags are in snake case there. Here they are as they are."],
        rules: &[
            copy("__meta_ecs_cluster_name", "cluster"),
            copy("__meta_ecs_service_name", "service"),
            each("__meta_ecs_service_tag_", "tag_service"),
        ],
    },
    Recipe {
        name: "delegator",
        aliases: &[],
        tool: "delegator-au/prometheus-ecs-sd",
        remarks: &[],
        rules: &[
            copy("ContainerName", "container_name"),
            copy("ContainerId", "container_runtime_id"),
            copy("ContainerImage", "container_image"),
            copy("TaskDefinitionFamily", "task_definition_family"),
            copy("TaskRevision", "task_definition_revision"),
            copy("InstanceType", "ec2_instance_type"),
            copy("SubnetId", "ec2_subnet_id"),
            copy("VpcId", "ec2_vpc_id"),
            copy("ClusterArn", "cluster_arn"),
        ],
    },
    Recipe {
        name: "apptality",
        aliases: &[],
        tool: "aws-ecs-cloudmap-prometheus-sd of apptality",
        remarks: &[SERVICE_TAGS],
        rules: &[
            copy("instance", "ip_address"),
            copy("scrape_target_name", "job"),
            copy("_sys_ecs_cluster", "cluster"),
            copy("_sys_ecs_service", "service"),
            copy("_sys_ecs_task", "task_arn"),
            copy("_sys_ecs_task_definition", "task_definition"),
            each("", "tag_service"),
            each("", "tag_task"),
            Drop("METRICS_(PORT|PATH|NAME).*"),
            Remark("The label job is the name of the scrape job."),
            SetJob,
        ],
    },
    Recipe {
        name: "prometheus",
        aliases: &[],
        tool: "Prometheus's own discovery of ECS",
        remarks: &["Its labels have the same names here."],
        rules: &[],
    },
];
