//! The `PROMETHEUS_*` variables and the endpoint grammar, in every layer that can set them.
//!
//! An input that begins like a letter is lines, `VARIABLE=VALUE` of the environment or of another layer that stands
//! before it: `label:`, `override:`, `secret:`. Of any other, variables are made.

#![cfg_attr(feature = "libfuzzer", no_main)]

use std::borrow::Cow;
use std::collections::BTreeMap;

use ecs_discovery::conventions::environment::{Request, read};
use ecs_discovery::conventions::list::Dialect;
use ecs_discovery::conventions::path::Path;
use ecs_discovery::conventions::{Endpoint, PortRequest, Scheme, Scrape, Style};
use ecs_discovery::finding::Problem;
use ecs_discovery::interval::Intervals;
use ecs_discovery::labels::is_label_name;
use ecs_discovery::model::{ContainerDefinition, Settings};
use ecs_discovery::variable::Variable;
use fuzz::facts::Facts;
use fuzz::published;

fuzz::target!(endpoint);

/// The maximum number per container.
const ENDPOINTS: usize = 64;
/// The maximum bytes of one.
const LONGEST: usize = 4096;

/// Names and values, by layer.
type Layers<'a> = BTreeMap<&'a str, Vec<(Cow<'a, str>, Cow<'a, str>)>>;

fn endpoint(input: &[u8]) {
    if !input.first().is_some_and(u8::is_ascii_alphabetic) {
        let mut facts = Facts::new(input);
        // Opted in, unless something made says otherwise.
        let mut layers = Layers::from([("label", vec![("PROMETHEUS".into(), "true".into())])]);
        for (layer, most) in [("label", 2), ("environment", 5), ("override", 2), ("secret", 1)] {
            let made = facts.list(most, Facts::setting).into_iter();
            layers.entry(layer).or_default().extend(made.map(|(name, value)| (name.into(), value.into())));
        }
        return container(&layers);
    }
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut layers = Layers::new();
    for line in text.split('\n') {
        let (name, value) = line.split_once('=').unwrap_or((line, ""));
        let (layer, name) = name.split_once(':').unwrap_or(("environment", name));
        layers.entry(layer).or_default().push((name.into(), value.into()));
    }
    container(&layers);
}

fn container(layers: &Layers<'_>) {
    let layer = |name: &str| layers.get(name).into_iter().flatten().map(|(name, value)| (&**name, &**value));
    let container = ContainerDefinition {
        name: "app".into(),
        environment: Settings::from_pairs(layer("environment"), &ecs_discovery::model::Names::default()),
        secrets: layer("secret")
            .filter_map(|(name, _)| ecs_discovery::model::Names::default().kept(name))
            .collect(),
        docker_labels: layer("label").map(|(key, value)| (key.into(), value.into())).collect(),
        port_mappings: Vec::new(),
    };
    let overrides = Settings::from_pairs(layer("override"), &ecs_discovery::model::Names::default());
    let request = read(Dialect::Environment, &container, Some(&overrides), &Intervals::default());

    let all = ["label", "environment", "override"].into_iter().flat_map(layer);
    let set: Set<'_> = all.filter(|(name, _)| Variable::named(name).is_some()).collect();
    let opt_in = value(&set, Variable::Prometheus);
    match request {
        Request::None => assert_eq!(opt_in, ""),
        Request::OptedOut => {
            assert!(["false", "0", "no", "off"].contains(&&*opt_in.to_ascii_lowercase()));
        }
        Request::Scrape(scrape) => {
            assert_ne!(opt_in, "");
            scraped(&scrape, &set);
            assert!((1..=ENDPOINTS).contains(&scrape.endpoints.len()));
            // Warnings about secrets, intervals and doubtful paths, repeated endpoints and surplus endpoints.
            assert!(scrape.warnings.len() <= Variable::ALL.len() + 2 * ENDPOINTS + 2);
            assert!(scrape.warnings.iter().all(|warning| warning.len() < published::FINDING));
        }
    }
}

/// What the layers come to.
type Set<'a> = BTreeMap<&'a str, &'a str>;

fn value<'a>(set: &Set<'a>, variable: Variable) -> &'a str {
    set.get(variable.name()).copied().unwrap_or_default().trim()
}

type Endpoints = Vec<Result<Endpoint, Problem>>;

/// The variable that lists the endpoints, and its endpoints.
fn listed<'a>(set: &Set<'a>) -> (Variable, Vec<&'a str>) {
    let pieces = |variable| {
        let pieces = value(set, variable).split(',').map(str::trim);
        pieces.filter(|piece| !piece.is_empty()).collect::<Vec<_>>()
    };
    match pieces(Variable::SdEndpoint) {
        none if none.is_empty() => (Variable::Endpoint, pieces(Variable::Endpoint)),
        pieces => (Variable::SdEndpoint, pieces),
    }
}

/// The same variables with this as the only endpoint.
fn endpoints(set: &Set<'_>, endpoint: &str) -> Scrape {
    let (variable, _) = listed(set);
    let set = set.iter().map(|(name, value)| (*name, *value));
    let container = ContainerDefinition {
        name: "app".into(),
        environment: Settings::from_pairs(
            set.chain([(variable.name(), endpoint)]),
            &ecs_discovery::model::Names::default(),
        ),
        secrets: Vec::new(),
        docker_labels: Vec::new(),
        port_mappings: Vec::new(),
    };
    match read(Dialect::Environment, &container, None, &Intervals::default()) {
        Request::Scrape(scrape) => scrape,
        other => panic!("{other:?}"),
    }
}

fn scraped(scrape: &Scrape, set: &Set<'_>) {
    let style = Style::Variables {
        no_labels: value(set, Variable::NoLabels).eq_ignore_ascii_case("true"),
        tags: set.get(Variable::Tags.name()).map(|tags| (*tags).into()),
    };
    assert_eq!(scrape.said.style, style);
    let (variable, _) = listed(set);
    // A URL may contain commas.
    if !value(set, variable).contains('@') && !value(set, variable).contains("://") {
        assert_eq!(scrape.endpoints, one_by_one(set));
    }
    for endpoint in scrape.endpoints.iter().flatten() {
        sound(endpoint, set);
        // Its full form parses to the same endpoint without a warning, unless that form is too long.
        let written = written(endpoint);
        if written.len() <= LONGEST {
            let again = endpoints(set, &written);
            assert_eq!((again.endpoints, again.warnings), (vec![Ok(endpoint.clone())], Vec::new()));
        }
    }
}

/// Each endpoint separately: none depends on another, except that the last of two duplicates is used, up to the first
/// beyond the limit.
fn one_by_one(set: &Set<'_>) -> Endpoints {
    let (_, mut pieces) = listed(set);
    if pieces.is_empty() {
        pieces.push("/metrics");
    }
    let place = |text: &str, endpoint: &Result<Endpoint, Problem>| match endpoint {
        Ok(endpoint) => Ok((endpoint.path.clone(), endpoint.port)),
        Err(_) => Err(text.to_owned()),
    };
    let mut all = Vec::new();
    for piece in pieces {
        let mut alone = endpoints(set, piece).endpoints;
        assert_eq!(alone.len(), 1);
        let one = (place(piece, &alone[0]), alone.remove(0));
        match all.iter().position(|(earlier, _)| *earlier == one.0) {
            Some(earlier) => drop(all.remove(earlier)),
            None if all.len() == ENDPOINTS => break,
            None => {}
        }
        all.push(one);
    }
    all.into_iter().map(|(_, endpoint)| endpoint).collect()
}

fn sound(endpoint: &Endpoint, set: &Set<'_>) {
    let Path { path, parameters } = endpoint.path.as_ref().expect("the variables always have a path");
    assert!(path.starts_with('/') && !path.contains(['?', ',']));
    assert!(endpoint.interval.as_ref().is_some_and(|own| Intervals::OFFERED.contains(&own.name())));
    assert_eq!(
        endpoint.scheme == Some(Scheme::Https),
        value(set, Variable::Scheme).eq_ignore_ascii_case("https")
    );
    for (name, value) in parameters {
        assert!(!value.is_empty() && !name.is_empty() && is_label_name(&format!("__param_{name}")));
    }
    let [port, container_port] =
        [Variable::Port, Variable::ContainerPort].map(|variable| value(set, variable));
    match endpoint.port {
        PortRequest::Verbatim(number) => assert!(is(port, number)),
        PortRequest::First => assert_eq!((port, container_port), ("", "")),
        PortRequest::Container(number) | PortRequest::ContainerOrHost(number) => {
            let written = listed(set).1.iter().any(|piece| piece.contains(&number.to_string()));
            assert!(written || (port.is_empty() && is(container_port, number)));
        }
    }
}

/// Whether the text is this port, which is not 0.
fn is(text: &str, port: u16) -> bool {
    port > 0 && text.trim_start_matches('0') == port.to_string()
}

fn written(Endpoint { interval, port, path, .. }: &Endpoint) -> String {
    let interval = interval.as_ref().expect("the variables always have an interval");
    let Path { path, parameters } = path.as_ref().expect("the variables always have a path");
    let port = match port {
        PortRequest::Container(port) | PortRequest::ContainerOrHost(port) => port.to_string(),
        // Only a variable can say so.
        PortRequest::Verbatim(_) | PortRequest::First => String::new(),
    };
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
    format!("{interval}:{port}{path}?{query}")
}
