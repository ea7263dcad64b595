//! Each label's value, when it is absent, and what no text can do to it.

use std::collections::BTreeSet;

use ecs_discovery::labels::TagSelection;
use ecs_discovery::model::{LaunchType, NetworkInterface};
use ecs_discovery::variable::Variable;
use insta::assert_snapshot;

use crate::fixture::{
    PREFIX, TaskFixture, app, container_arn, ec2, external, fargate, managed_instance, tags,
};
use crate::show::{labels, labels_with, visible_labels};

/// A task of which AWS says everything it can say.
pub(super) fn complete() -> TaskFixture {
    let container = app().maps("8080").label("com.example/team", "payments").running(|container| {
        container.arn = Some(container_arn("prod/0f1e/c0ff"));
        container.image = Some("example/web:1.2".into());
        container.runtime_id = Some("0f1e-265927825".into());
        container.health_status = Some("HEALTHY".into());
        container.ipv6 = "2001:db8::2".parse().ok();
    });
    let mut fixture = ec2("awsvpc").with(container).task(|task| {
        task.group = Some("service:web".into());
        task.started_by = Some("ecs-svc/1234567890".into());
        task.capacity_provider = Some("spot".into());
        task.availability_zone = Some("eu-west-1a".into());
        task.health_status = Some("UNHEALTHY".into());
        task.platform_family = Some("Linux".into());
        task.platform_version = Some("1.4.0".into());
        task.tags = tags(&[("owner", "ann"), ("aws:ecs:serviceName", "web")]);
        task.network_interface = Some(NetworkInterface {
            subnet_id: Some("subnet-a".into()),
            private_ipv4: Some([10, 0, 0, 2].into()),
            private_dns_name: Some("ip-10-0-0-2.eu-west-1.compute.internal".into()),
        });
    });
    fixture.cluster.tags = tags(&[("stage", "prod")]);
    fixture.host(|host| {
        host.instance_type = Some("m5.large".into());
        host.public_ipv4 = Some([203, 0, 113, 9].into());
        host.private_dns_name = Some("ip-10-0-9-9.eu-west-1.compute.internal".into());
        host.vpc_id = Some("vpc-host".into());
        host.subnet_id = Some("subnet-host".into());
        host.availability_zone = Some("eu-west-1b".into());
        host.tags = tags(&[("Name", "node")]);
    })
}

pub(super) fn no_labels(fixture: TaskFixture) -> TaskFixture {
    fixture.definition(|definition| {
        let settings =
            [("PROMETHEUS", "true"), ("PROMETHEUS_NOLABELS", "true"), ("PROMETHEUS_TAGS", ",a=b,")];
        let settings =
            ecs_discovery::model::Settings::from_pairs(settings, &ecs_discovery::model::Names::default());
        definition.containers[0].environment = settings;
    })
}

#[test]
fn visible_labels_are_those_of_discoverecs() {
    assert_snapshot!(visible_labels(complete()), @"
    ecs_cluster=prod
    ecs_container_id=c0ff
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.2:8080
    instance_id=i-1
    job=web
    metrics_path=/metrics
    ");
}

#[test]
fn what_is_on_no_container_instance_has_no_container_and_instance_id() {
    let fixture = fargate().with(app().running(|one| one.arn = Some(container_arn("prod/0f1e/c0ff"))));
    assert_snapshot!(visible_labels(fixture), @"
    ecs_cluster=prod
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.1:80
    job=web
    metrics_path=/metrics
    ");
}

#[test]
fn the_instance_id_of_ecs_anywhere_and_of_managed_instances_is_their_own() {
    assert_snapshot!(labels(external("host").with(app()), "instance_id"), @"instance_id=mi-1");
    assert_snapshot!(labels(managed_instance("host").with(app()), "instance_id"), @"instance_id=i-9");
}

#[test]
fn the_tags_label_is_verbatim_and_only_there_if_set() {
    let check = |value: &str| labels(fargate().with(app().env("PROMETHEUS_TAGS", value)), "tags");
    assert_snapshot!(check(",team=foo,stage=prod,"), @"tags=,team=foo,stage=prod,");
    assert_snapshot!(check(" spaced  out "), @"tags= spaced  out ");
    assert_snapshot!(check(""), @"");
    assert_snapshot!(labels(fargate().with(app()), "tags"), @"");
}

#[test]
fn the_instance_of_an_ipv6_address_has_brackets_and_its_ip_address_has_none() {
    let fixture = fargate().task(|task| task.network_interface = None).with(app().at("2001:db8::7"));
    assert_snapshot!(labels(fixture.clone(), "instance"), @"instance=[2001:db8::7]:80");
    assert_snapshot!(labels(fixture, "__meta_ecs_ip_address"), @"__meta_ecs_ip_address=2001:db8::7");
}

#[test]
fn without_labels_only_what_scraping_needs_remains() {
    assert_snapshot!(labels(no_labels(complete()), ""), @"
    __metrics_path__=/metrics
    instance=web
    job=web
    metrics_path=/metrics
    tags=,a=b,
    ");
    let selected = labels_with(no_labels(complete()), "__meta_", TagSelection::All);
    assert_snapshot!(selected, @"");
    let probe = app()
        .env("PROMETHEUS_NOLABELS", "true")
        .env("PROMETHEUS_SCHEME", "https")
        .endpoint("/probe?module=http");
    assert_snapshot!(labels(fargate().with(probe), ""), @"
    __metrics_path__=/probe
    __param_module=http
    __scheme__=https
    instance=web
    job=web
    metrics_path=/probe
    ");
}

#[test]
fn nolabels_counts_when_it_is_true() {
    for value in ["", "false", "0"] {
        let fixture = fargate().with(app().env("PROMETHEUS_NOLABELS", value));
        assert_eq!(labels(fixture, "ecs_cluster"), "ecs_cluster=prod", "{value:?}");
    }
}

#[test]
fn the_scheme_is_a_label_when_it_is_https() {
    let check = |scheme: &str| labels(fargate().with(app().env("PROMETHEUS_SCHEME", scheme)), "__scheme__");
    assert_snapshot!(check("https"), @"__scheme__=https");
    assert_snapshot!(check("http"), @"");
}

#[test]
fn docker_labels_that_are_variables_are_not_published() {
    let value = |variable| if variable == Variable::Scheme { "http" } else { "8080" };
    let app = Variable::ALL
        .into_iter()
        .fold(app().label("team", "web"), |app, variable| app.label(variable.name(), value(variable)));
    assert_snapshot!(labels(fargate().with(app), "__meta_ecs_container_label_"), @"__meta_ecs_container_label_team=web");
}

#[test]
fn meta_labels_say_what_aws_said() {
    assert_snapshot!(labels(complete(), "__meta_"), @"
    __meta_ecs_account_id=123456789012
    __meta_ecs_availability_zone=eu-west-1a
    __meta_ecs_capacity_provider=spot
    __meta_ecs_cluster=prod
    __meta_ecs_cluster_arn=arn:aws:ecs:eu-west-1:123456789012:cluster/prod
    __meta_ecs_container_arn=arn:aws:ecs:eu-west-1:123456789012:container/prod/0f1e/c0ff
    __meta_ecs_container_health_status=HEALTHY
    __meta_ecs_container_image=example/web:1.2
    __meta_ecs_container_instance_arn=arn:aws:ecs:eu-west-1:123456789012:container-instance/prod/of-i-1
    __meta_ecs_container_label_com_example_team=payments
    __meta_ecs_container_name=app
    __meta_ecs_container_port=8080
    __meta_ecs_container_runtime_id=0f1e-265927825
    __meta_ecs_convention=environment
    __meta_ecs_desired_status=RUNNING
    __meta_ecs_ec2_instance_id=i-1
    __meta_ecs_ec2_instance_private_ip=10.0.9.9
    __meta_ecs_ec2_instance_public_ip=203.0.113.9
    __meta_ecs_ec2_instance_type=m5.large
    __meta_ecs_ec2_subnet_id=subnet-host
    __meta_ecs_ec2_vpc_id=vpc-host
    __meta_ecs_health_status=UNHEALTHY
    __meta_ecs_ip_address=10.0.0.2
    __meta_ecs_ipv6_address=2001:db8::2
    __meta_ecs_last_status=RUNNING
    __meta_ecs_launch_type=EC2
    __meta_ecs_network_mode=awsvpc
    __meta_ecs_platform_family=Linux
    __meta_ecs_platform_version=1.4.0
    __meta_ecs_private_dns_name=ip-10-0-0-2.eu-west-1.compute.internal
    __meta_ecs_region=eu-west-1
    __meta_ecs_service=web
    __meta_ecs_subnet_id=subnet-a
    __meta_ecs_tag_cluster_stage=prod
    __meta_ecs_tag_ec2_Name=node
    __meta_ecs_tag_task_aws_ecs_serviceName=web
    __meta_ecs_tag_task_owner=ann
    __meta_ecs_task_arn=arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e
    __meta_ecs_task_definition=arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7
    __meta_ecs_task_definition_family=web
    __meta_ecs_task_definition_revision=7
    __meta_ecs_task_group=service:web
    __meta_ecs_task_id=0f1e
    __meta_ecs_task_started_by=ecs-svc/1234567890
    ");
}

#[test]
fn a_label_without_a_value_is_left_out() {
    let bare = fargate().with(app()).task(|task| task.launch_type = None);
    assert_snapshot!(labels(bare, "__meta_"), @"
    __meta_ecs_account_id=123456789012
    __meta_ecs_cluster=prod
    __meta_ecs_cluster_arn=arn:aws:ecs:eu-west-1:123456789012:cluster/prod
    __meta_ecs_container_name=app
    __meta_ecs_container_port=80
    __meta_ecs_convention=environment
    __meta_ecs_desired_status=RUNNING
    __meta_ecs_ip_address=10.0.0.1
    __meta_ecs_last_status=RUNNING
    __meta_ecs_network_mode=awsvpc
    __meta_ecs_region=eu-west-1
    __meta_ecs_task_arn=arn:aws:ecs:eu-west-1:123456789012:task/prod/0f1e
    __meta_ecs_task_definition=arn:aws:ecs:eu-west-1:123456789012:task-definition/web:7
    __meta_ecs_task_definition_family=web
    __meta_ecs_task_definition_revision=7
    __meta_ecs_task_id=0f1e
    ");
    let empty = fargate().with(app().label("empty", "")).task(|task| task.tags = tags(&[("empty", "")]));
    assert_snapshot!(labels(empty.clone(), "__meta_ecs_container_label_"), @"");
    assert_snapshot!(labels(empty, "__meta_ecs_tag_task_"), @"");
}

#[test]
fn no_label_has_a_name_that_the_documentation_lacks() {
    let documented: BTreeSet<&str> = "cluster cluster_arn service task_group task_arn task_definition region \
        availability_zone subnet_id ip_address public_ip launch_type desired_status last_status health_status \
        platform_family platform_version network_mode container_instance_arn ec2_instance_id \
        ec2_instance_type ec2_instance_private_ip ec2_instance_public_ip account_id task_id \
        ipv6_address private_dns_name ec2_subnet_id ec2_vpc_id service_arn service_status tag_service_ \
        task_definition_family task_definition_revision task_started_by capacity_provider container_name \
        container_arn container_image container_runtime_id container_health_status container_port \
        convention job custom_ tag_task_ tag_cluster_ tag_ec2_ tag_ container_label_"
        .split_whitespace()
        .collect();
    let known = ecs_discovery::labels::ALL.iter().filter_map(|one| one.name.strip_prefix("__meta_ecs_"));
    assert_eq!(known.collect::<BTreeSet<_>>(), documented);
}

#[test]
fn the_service_is_that_of_the_group() {
    let check = |group: &str| {
        labels(fargate().with(app()).task(|task| task.group = Some(group.into())), "__meta_ecs_service")
    };
    assert_snapshot!(check("service:web"), @"__meta_ecs_service=web");
    assert_snapshot!(check("family:web"), @"");
    assert_snapshot!(check("nightly"), @"");
}

#[test]
fn the_network_mode_tells_host_from_bridge() {
    let app = || app().maps("8080").binds("0.0.0.0 1000 -> 8080");
    for (given, shown) in [("host", "host"), ("bridge", "bridge"), ("", "bridge"), ("default", "default")] {
        let label = labels(ec2(given).with(app()), "__meta_ecs_network_mode");
        assert_eq!(label, format!("__meta_ecs_network_mode={shown}"));
    }
}

#[test]
fn the_launch_type_is_the_tasks_own() {
    let check = |fixture: TaskFixture| labels(fixture.with(app()), "__meta_ecs_launch_type");
    assert_snapshot!(check(fargate()), @"__meta_ecs_launch_type=FARGATE");
    assert_snapshot!(check(external("host")), @"__meta_ecs_launch_type=EXTERNAL");
    assert_snapshot!(check(managed_instance("host")), @"__meta_ecs_launch_type=MANAGED_INSTANCES");
    let new = ec2("host").task(|task| task.launch_type = Some(LaunchType::Other("MOON".into())));
    assert_snapshot!(check(new), @"__meta_ecs_launch_type=MOON");
}

#[test]
fn on_a_host_its_zone_and_subnet_and_public_address_count() {
    let fixture = ec2("host").with(app()).host(|host| {
        host.public_ipv4 = Some([203, 0, 113, 9].into());
        host.subnet_id = Some("subnet-host".into());
        host.availability_zone = Some("eu-west-1b".into());
    });
    assert_snapshot!(labels(fixture.clone(), "__meta_ecs_public_ip"), @"__meta_ecs_public_ip=203.0.113.9");
    assert_snapshot!(labels(fixture.clone(), "__meta_ecs_subnet_id"), @"__meta_ecs_subnet_id=subnet-host");
    assert_snapshot!(labels(fixture, "__meta_ecs_availability_zone"), @"__meta_ecs_availability_zone=eu-west-1b");
}

#[test]
fn the_private_dns_name_is_that_of_the_address() {
    let host_name = |fixture: TaskFixture| fixture.host(|host| host.private_dns_name = Some("host".into()));
    let check = |fixture: TaskFixture| labels(fixture.with(app()), "__meta_ecs_private_dns_name");
    assert_snapshot!(check(host_name(ec2("host"))), @"__meta_ecs_private_dns_name=host");
    let own = ec2("awsvpc").interface("10.0.0.1");
    // The host's name would lead to the host.
    assert_snapshot!(check(host_name(own.clone())), @"");
    let own =
        own.task(|task| task.network_interface.as_mut().unwrap().private_dns_name = Some("task".into()));
    assert_snapshot!(check(host_name(own)), @"__meta_ecs_private_dns_name=task");
}

#[test]
fn the_container_port_is_the_containers_side() {
    let app = || app().maps("8080").binds("0.0.0.0 32768 -> 8080");
    let check = |fixture: TaskFixture| labels(fixture, "__meta_ecs_container_port");
    assert_snapshot!(check(ec2("bridge").with(app())), @"__meta_ecs_container_port=8080");
    assert_snapshot!(check(ec2("bridge").with(app().endpoint("8080/x"))), @"__meta_ecs_container_port=8080");
    assert_snapshot!(check(ec2("bridge").with(app().env("PROMETHEUS_PORT", "32768"))), @"");
}

#[test]
fn both_forms_of_a_task_arn_are_read() {
    let check = |task: &str, container: &str| {
        let app = app().running(|one| one.arn = Some(container_arn(container)));
        let arn = ecs_discovery::arn::TaskArn::parse(&format!("{PREFIX}{task}")).unwrap();
        visible_labels(ec2("host").with(app).task(|task| task.arn = arn))
    };
    let long = check("task/prod/0f1e", "prod/0f1e/c0ff");
    assert_snapshot!(long, @"
    ecs_cluster=prod
    ecs_container_id=c0ff
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.9.9:80
    instance_id=i-1
    job=web
    metrics_path=/metrics
    ");
    assert_eq!(check("task/0f1e", "c0ff"), long);
}

#[test]
fn every_partition_is_read() {
    let check = |partition: &str, region: &str| {
        let fixture = fargate().with(app()).in_partition(partition, region);
        let lines = [visible_labels(fixture.clone()), labels(fixture, "__meta_ecs_region")];
        lines.join("\n")
    };
    assert_snapshot!(check("aws-cn", "cn-north-1"), @"
    ecs_cluster=prod
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.0.1:80
    job=web
    metrics_path=/metrics
    __meta_ecs_region=cn-north-1
    ");
    let gov = check("aws-us-gov", "us-gov-west-1").replace("us-gov-west-1", "cn-north-1");
    assert_eq!(gov, check("aws-cn", "cn-north-1"));
}

#[test]
fn keys_become_label_names() {
    let check = |pairs: &[(&str, &str)]| {
        let fixture = fargate().with(app()).task(|task| task.tags = tags(pairs));
        labels(fixture, "__meta_ecs_tag_task_")
    };
    assert_snapshot!(check(&[("cost-center", "7"), ("Größe", "XL"), ("9", "nine")]), @"
    __meta_ecs_tag_task_9=nine
    __meta_ecs_tag_task_Gr__e=XL
    __meta_ecs_tag_task_cost_center=7
    ");
    assert_snapshot!(check(&[("a_b", "3"), ("a.b", "2"), ("a-b", "1")]), @"__meta_ecs_tag_task_a_b=1");
    assert_snapshot!(check(&[("a b", "1"), ("a/b", "2"), ("aZb", "3")]), @"
    __meta_ecs_tag_task_aZb=3
    __meta_ecs_tag_task_a_b=1
    ");
}

#[test]
fn hostile_keys_and_values_stay_within_their_label() {
    let hostile = [
        ("__address__", "evil:1"),
        ("__unix_socket__", "/run/docker.sock"),
        ("job", "evil"),
        ("a\"},{\"targets\":[\"evil:1\"]", "x"),
        ("line\nbreak", "first\nsecond\r\u{2028}"),
        ("quote", "\"},\"labels\":{\"job\":\"evil\"}"),
        ("braces", "{}[],\\"),
        ("nul\0", "\0"),
    ];
    let container = hostile.iter().fold(app(), |app, (name, value)| app.label(name, value));
    let mut fixture = ec2("host").with(container).task(|task| task.tags = tags(&hostile));
    fixture = fixture.host(|host| host.tags = tags(&hostile));
    fixture.definition.as_mut().unwrap().tags = tags(&hostile);
    fixture.cluster.tags = tags(&hostile);
    let names = labels_with(fixture.clone(), "", TagSelection::All);
    let outside = names.lines().filter(|line| line.starts_with("__") && !line.starts_with("__meta_ecs_"));
    assert_snapshot!(outside.collect::<Vec<_>>().join("\n"), @"__metrics_path__=/metrics");
    assert_snapshot!(visible_labels(fixture.clone()), @"
    ecs_cluster=prod
    ecs_task_id=0f1e
    ecs_task_version=7
    instance=10.0.9.9:80
    instance_id=i-1
    job=web
    metrics_path=/metrics
    ");
    let target = crate::show::only_target(fixture, Default::default());
    for family in ["tag_task_", "tag_cluster_", "tag_ec2_", "container_label_"] {
        let family = format!("__meta_ecs_{family}");
        let labels = target.labels();
        let own: Vec<_> =
            labels.iter().filter_map(|(name, value)| Some((name.strip_prefix(&*family)?, value))).collect();
        assert_eq!(
            own,
            [
                ("__address__", "evil:1"),
                ("__unix_socket__", "/run/docker.sock"),
                ("a_____targets____evil_1__", "x"),
                ("braces", "{}[],\\"),
                ("job", "evil"),
                ("line_break", "first\nsecond\r\u{2028}"),
                ("nul_", "\0"),
                ("quote", "\"},\"labels\":{\"job\":\"evil\"}"),
            ]
        );
    }
}

#[test]
fn tags_to_labels_lays_the_tasks_tags_over_the_definitions() {
    let fixture = || {
        let mut fixture = fargate().with(app()).task(|task| {
            task.tags = tags(&[("team", "task"), ("only-task", "1"), ("aws:cloudformation:stack", "x")]);
        });
        let definition_tags = [("team", "definition"), ("only-definition", "2"), ("aws:ecs:x", "y")];
        fixture.definition.as_mut().unwrap().tags = tags(&definition_tags);
        fixture
    };
    let check = |selection: TagSelection| {
        let all = labels_with(fixture(), "__meta_ecs_tag_", selection);
        let chosen = all.lines().filter(|line| !line.starts_with("__meta_ecs_tag_task_"));
        chosen.collect::<Vec<_>>().join("\n")
    };
    let keys = |keys: &[&str]| TagSelection::Keys(keys.iter().map(|key| (*key).to_owned()).collect());
    assert_snapshot!(check(TagSelection::None), @"");
    assert_snapshot!(check(TagSelection::All), @"
    __meta_ecs_tag_only_definition=2
    __meta_ecs_tag_only_task=1
    __meta_ecs_tag_team=task
    ");
    assert_snapshot!(check(keys(&["team", "missing"])), @"__meta_ecs_tag_team=task");
    assert_snapshot!(check(keys(&["only-definition", "aws:ecs:x"])), @"__meta_ecs_tag_only_definition=2");
}

#[test]
fn a_selected_tag_does_not_replace_the_label_of_a_tasks_tag() {
    let fixture =
        fargate().with(app()).task(|task| task.tags = tags(&[("owner", "ann"), ("task_owner", "eve")]));
    let seen = labels_with(fixture, "__meta_ecs_tag_task_owner", TagSelection::All);
    assert_snapshot!(seen, @"__meta_ecs_tag_task_owner=ann");
}
