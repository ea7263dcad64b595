//! Which port is chosen: variables, mappings, bindings and ranges.

use super::{Stage, family, portless, quiet, scraped};
use crate::world::definition::{ContainerDefinition, PortMapping, TaskDefinition};

pub(super) fn play(stage: &mut Stage<'_>) {
    with_own_interface(stage);
    published(stage);
    invalid(stage);
}

fn with_own_interface(stage: &mut Stage<'_>) {
    // 9090: the first mapping is UDP.
    let udp_first = portless("app").mapping(PortMapping::udp(8125)).port(9090);
    stage.fargate(family("port-udp-first", udp_first));
    // 9100: PROMETHEUS_PORT wins over PROMETHEUS_CONTAINER_PORT, which wins over the mapping. 9101 for the other endpoint.
    let all = scraped("app")
        .env("PROMETHEUS_PORT", "9100")
        .env("PROMETHEUS_CONTAINER_PORT", "9200")
        .env("PROMETHEUS_ENDPOINT", "/metrics,9101/other");
    stage.fargate(family("port-precedence", all));
    // 9200: the container port is used as it is.
    stage.fargate(family("port-container-port", scraped("app").env("PROMETHEUS_CONTAINER_PORT", "9200")));
}

fn published(stage: &mut Stage<'_>) {
    let bridge = |name: &str, container: ContainerDefinition| family(name, container).network_mode("bridge");
    // 18080, as the definition says.
    let fixed = portless("app").mapping(PortMapping::tcp(8080).on_host(18_080));
    // The dynamic port of 9100, the second mapping; a host port of 0 is dynamic too.
    let second =
        scraped("app").mapping(PortMapping::tcp(9100).on_host(0)).env("PROMETHEUS_CONTAINER_PORT", "9100");
    // The third port of the host's range.
    let range =
        portless("app").mapping(PortMapping::range(7000, 7009)).env("PROMETHEUS_CONTAINER_PORT", "7002");
    // The TCP binding, though the UDP one comes first.
    let both = portless("app")
        .mapping(PortMapping::udp(8125).on_host(18_125))
        .mapping(PortMapping::tcp(8125).on_host(18_126))
        .env("PROMETHEUS_CONTAINER_PORT", "8125");
    // 12345, published or not.
    let verbatim = scraped("app").env("PROMETHEUS_PORT", "12345");
    // Not published.
    let unpublished = scraped("app").env("PROMETHEUS_CONTAINER_PORT", "9999");
    let host = stage.ec2.clone();
    stage.on(&host, bridge("port-fixed", fixed));
    stage.on(&host, bridge("port-looked-up", second));
    stage.on(&host, bridge("port-in-range", range));
    stage.on(&host, bridge("port-tcp-and-udp", both));
    stage.on(&host, bridge("port-verbatim", verbatim));
    stage.on(&host, bridge("port-not-published", unpublished));
    // Not published: there is no mapping at all.
    stage.on(&host, bridge("port-none", portless("app")));
}

fn invalid(stage: &mut Stage<'_>) {
    // Three containers with invalid ports, and a neighbour that is a target all the same.
    let definition = TaskDefinition::new("port-invalid")
        .container(quiet("zero").env("PROMETHEUS", "true").env("PROMETHEUS_PORT", "0"))
        .container(scraped("too-high").env("PROMETHEUS_PORT", "65536"))
        .container(scraped("a-word").env("PROMETHEUS_CONTAINER_PORT", "http"))
        .container(scraped("neighbour").env("PROMETHEUS_PORT", "65535"));
    stage.fargate(definition);
}
