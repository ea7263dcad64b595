//! Address and port: network mode × launch type × what the container asks for.

use ecs_discovery::model::LaunchType;
use insta::assert_snapshot;

use crate::fixture::{
    ContainerFixture, TaskFixture, app, container, ec2, external, fargate, managed_instance,
};
use crate::show::published;

/// Maps 8080 and 9102, published at 32768 and 32769 where the network mode publishes ports at all.
fn mapped(fixture: TaskFixture) -> [String; 5] {
    let published_ports =
        matches!(fixture.definition.as_ref().unwrap().network_mode.as_str(), "bridge" | "default");
    let mut container = app().maps("53/udp").maps("8080").maps("9102");
    if published_ports {
        container = container.binds("0.0.0.0 32768 -> 8080").binds("0.0.0.0 32769 -> 9102");
    }
    let check = |container: ContainerFixture| published(fixture.clone().with(container));
    [
        check(container.clone()),
        check(container.clone().env("PROMETHEUS_CONTAINER_PORT", "9102")),
        check(container.clone().endpoint("9102/metrics")),
        check(container.clone().env("PROMETHEUS_PORT", "1234")),
        check(container.env("PROMETHEUS_PORT", "1234").env("PROMETHEUS_CONTAINER_PORT", "9102")),
    ]
}

#[test]
fn network_mode_and_launch_type_and_port_request_give_the_address() {
    assert_snapshot!(mapped(fargate()).join("\n"), @"
    app 10.0.0.1:8080/metrics 1m
    app 10.0.0.1:9102/metrics 1m
    app 10.0.0.1:9102/metrics 1m
    app 10.0.0.1:1234/metrics 1m
    app 10.0.0.1:1234/metrics 1m
    ");
    assert_snapshot!(mapped(ec2("awsvpc").interface("10.0.0.2")).join("\n"), @"
    app 10.0.0.2:8080/metrics 1m
    app 10.0.0.2:9102/metrics 1m
    app 10.0.0.2:9102/metrics 1m
    app 10.0.0.2:1234/metrics 1m
    app 10.0.0.2:1234/metrics 1m
    ");
    assert_snapshot!(mapped(managed_instance("awsvpc").interface("10.0.0.3")).join("\n"), @"
    app 10.0.0.3:8080/metrics 1m
    app 10.0.0.3:9102/metrics 1m
    app 10.0.0.3:9102/metrics 1m
    app 10.0.0.3:1234/metrics 1m
    app 10.0.0.3:1234/metrics 1m
    ");
    assert_snapshot!(mapped(ec2("host")).join("\n"), @"
    app 10.0.9.9:8080/metrics 1m
    app 10.0.9.9:9102/metrics 1m
    app 10.0.9.9:9102/metrics 1m
    app 10.0.9.9:1234/metrics 1m
    app 10.0.9.9:1234/metrics 1m
    ");
    assert_snapshot!(mapped(external("host")).join("\n"), @"
    app 192.168.1.5:8080/metrics 1m
    app 192.168.1.5:9102/metrics 1m
    app 192.168.1.5:9102/metrics 1m
    app 192.168.1.5:1234/metrics 1m
    app 192.168.1.5:1234/metrics 1m
    ");
    assert_snapshot!(mapped(managed_instance("host")).join("\n"), @"
    app 10.0.9.10:8080/metrics 1m
    app 10.0.9.10:9102/metrics 1m
    app 10.0.9.10:9102/metrics 1m
    app 10.0.9.10:1234/metrics 1m
    app 10.0.9.10:1234/metrics 1m
    ");
    assert_snapshot!(mapped(ec2("bridge")).join("\n"), @"
    app 10.0.9.9:32768/metrics 1m
    app 10.0.9.9:32769/metrics 1m
    app 10.0.9.9:32769/metrics 1m
    app 10.0.9.9:1234/metrics 1m
    app 10.0.9.9:1234/metrics 1m
    ");
    assert_snapshot!(mapped(external("bridge")).join("\n"), @"
    app 192.168.1.5:32768/metrics 1m
    app 192.168.1.5:32769/metrics 1m
    app 192.168.1.5:32769/metrics 1m
    app 192.168.1.5:1234/metrics 1m
    app 192.168.1.5:1234/metrics 1m
    ");
    for mode in ["", "default"] {
        assert_eq!(mapped(ec2(mode)), mapped(ec2("bridge")), "mode {mode:?}");
    }
}

#[test]
fn without_network_there_is_nothing_to_scrape() {
    for fixture in [ec2("none"), external("none")] {
        for seen in mapped(fixture) {
            assert_eq!(seen, "app: network mode none");
        }
    }
}

#[test]
fn a_network_mode_that_is_not_known_has_no_address() {
    assert_snapshot!(published(ec2("teleport").with(app())), @"app: no address");
}

#[test]
fn the_launch_type_alone_decides_nothing() {
    let fixture = ec2("host").with(app().maps("8080"));
    for launch_type in [None, Some(LaunchType::Fargate), Some(LaunchType::Other("MOON".into()))] {
        let seen = published(fixture.clone().task(|task| task.launch_type = launch_type.clone()));
        assert_eq!(seen, "app 10.0.9.9:8080/metrics 1m", "{launch_type:?}");
    }
}

#[test]
fn an_awsvpc_container_is_at_its_interface_else_at_the_tasks_else_at_its_ipv6_address() {
    let nowhere = || fargate().task(|task| task.network_interface = None);
    assert_snapshot!(published(fargate().with(app().at("10.0.0.7").at("2001:db8::7"))), @"app 10.0.0.7:80/metrics 1m");
    assert_snapshot!(published(fargate().with(app().at("2001:db8::7"))), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(published(nowhere().with(app().at("2001:db8::7"))), @"app [2001:db8::7]:80/metrics 1m");
    assert_snapshot!(published(nowhere().with(app().at("10.0.0.7"))), @"app 10.0.0.7:80/metrics 1m");
    assert_snapshot!(published(nowhere().with(app())), @"app: no address");
    assert_snapshot!(published(ec2("awsvpc").with(app())), @"app: no address");
}

#[test]
fn an_awsvpc_task_does_not_need_its_host_for_its_address() {
    let fixture = ec2("awsvpc").interface("10.0.0.2").without_host().with(app());
    assert_snapshot!(published(fixture), @"app 10.0.0.2:80/metrics 1m");
}

#[test]
fn what_maps_no_tcp_port_is_at_80_unless_ports_are_published() {
    assert_snapshot!(published(fargate().with(app())), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(published(fargate().with(app().maps("53/udp"))), @"app 10.0.0.1:80/metrics 1m");
    assert_snapshot!(published(ec2("host").with(app().maps("53/udp"))), @"app 10.0.9.9:80/metrics 1m");
    assert_snapshot!(published(ec2("bridge").with(app())), @"app: port not published");
    let udp = app().maps("53/udp").binds("0.0.0.0 53 -> 53/udp");
    assert_snapshot!(published(ec2("bridge").with(udp)), @"app: port not published");
}

#[test]
fn the_first_tcp_mapping_counts_in_the_definitions_order() {
    let app = app().maps("53/udp").maps("9102").maps("8080");
    assert_snapshot!(published(fargate().with(app.clone())), @"app 10.0.0.1:9102/metrics 1m");
    let bound = app.binds("0.0.0.0 1000 -> 8080").binds("0.0.0.0 2000 -> 9102");
    assert_snapshot!(published(ec2("bridge").with(bound)), @"app 10.0.9.9:2000/metrics 1m");
}

#[test]
fn a_port_inside_a_published_range_is_found() {
    let check = |port: &str| {
        let app = app().maps("9000-9010").binds("0.0.0.0 40000-40010 -> 9000-9010");
        published(ec2("bridge").with(app.env("PROMETHEUS_CONTAINER_PORT", port)))
    };
    assert_snapshot!(check("9000"), @"app 10.0.9.9:40000/metrics 1m");
    assert_snapshot!(check("9004"), @"app 10.0.9.9:40004/metrics 1m");
    assert_snapshot!(check("9010"), @"app 10.0.9.9:40010/metrics 1m");
    assert_snapshot!(check("9011"), @"app: port not published");
    assert_snapshot!(check(""), @"app 10.0.9.9:40000/metrics 1m");
}

#[test]
fn of_several_bindings_tcp_is_before_udp_and_ipv4_before_ipv6() {
    let check = |bindings: &[&str]| {
        let app = app().env("PROMETHEUS_CONTAINER_PORT", "8080").maps("8080");
        let app = bindings.iter().fold(app, |app, binding| app.binds(binding));
        published(ec2("bridge").with(app))
    };
    assert_snapshot!(check(&[":: 2000 -> 8080", "0.0.0.0 3000 -> 8080"]), @"app 10.0.9.9:3000/metrics 1m");
    assert_snapshot!(check(&["0.0.0.0 3000 -> 8080", ":: 2000 -> 8080"]), @"app 10.0.9.9:3000/metrics 1m");
    assert_snapshot!(check(&["0.0.0.0 1000 -> 8080/udp", "0.0.0.0 3000 -> 8080"]), @"app 10.0.9.9:3000/metrics 1m");
    assert_snapshot!(check(&["0.0.0.0 1000 -> 8080/udp", ":: 3000 -> 8080"]), @"app 10.0.9.9:3000/metrics 1m");
    assert_snapshot!(check(&[":: 2000 -> 8080"]), @"app 10.0.9.9:2000/metrics 1m");
}

#[test]
fn a_container_port_that_no_binding_has_is_that_containers_finding() {
    let fixture = ec2("bridge")
        .with(app().maps("8080").binds("0.0.0.0 32768 -> 8080").env("PROMETHEUS_CONTAINER_PORT", "8081"))
        .with(container("next").env("PROMETHEUS", "1").maps("9000").binds("0.0.0.0 32769 -> 9000"));
    assert_snapshot!(published(fixture), @"
    next 10.0.9.9:32769/metrics 1m
    app: port not published
    ");
    let partly = app().maps("8080").binds("0.0.0.0 32768 -> 8080").endpoint("/metrics,8081/metrics");
    assert_snapshot!(published(ec2("bridge").with(partly)), @"
    app 10.0.9.9:32768/metrics 1m
    app: warning
    ");
}

#[test]
fn a_port_is_a_number_from_1_to_65535() {
    for variable in ["PROMETHEUS_PORT", "PROMETHEUS_CONTAINER_PORT"] {
        let check = |port: &str| published(fargate().with(app().env(variable, port)));
        assert_eq!(check("1"), "app 10.0.0.1:1/metrics 1m");
        assert_eq!(check("65535"), "app 10.0.0.1:65535/metrics 1m");
        for port in ["0", "65536", "-1", "+80", "http", "80.0", "0x50", "99999999999999999999"] {
            assert_eq!(check(port), "app: invalid port", "{variable}={port}");
        }
    }
    let check = |endpoint: &str| published(fargate().with(app().endpoint(endpoint)));
    assert_snapshot!(check("0/metrics"), @"app: invalid port");
    assert_snapshot!(check("65536/metrics"), @"app: invalid port");
}

#[test]
fn an_invalid_port_skips_its_container_and_not_the_neighbour() {
    let fixture =
        fargate().with(app().env("PROMETHEUS_PORT", "0")).with(container("next").env("PROMETHEUS", "true"));
    assert_snapshot!(published(fixture), @"
    next 10.0.0.1:80/metrics 1m
    app: invalid port
    ");
}

#[test]
fn a_host_that_is_gone_or_not_known_is_the_reason() {
    for mode in ["bridge", "host", "default"] {
        let app = || app().maps("8080").binds("0.0.0.0 32768 -> 8080");
        assert_eq!(published(ec2(mode).without_host().with(app())), "app: host gone");
        assert_eq!(published(external(mode).without_host().with(app())), "app: host gone");
        let unplaced = ec2(mode).task(|task| task.container_instance = None);
        assert_eq!(published(unplaced.with(app())), "app: host unknown");
        let mut unregistered = ec2(mode);
        unregistered.instance = None;
        assert_eq!(published(unregistered.with(app())), "app: host gone");
        let unaddressed = ec2(mode).host(|host| host.private_ipv4 = None);
        assert_eq!(published(unaddressed.with(app())), "app: no address");
    }
}
