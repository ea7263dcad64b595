//! Names that are probably meant to be one of the [variables](super::Variable), and are not.
//!
//! Only names are looked at: a variable that is not the convention's may hold a secret.

use crate::variable::Variable;

/// What similar programs call it, as far as that is not one character away.
const OTHER_NAMES: [(&str, Variable); 8] = [
    ("PROMETHEUS_ENABLED", Variable::Prometheus),
    ("PROMETHEUS_SCRAPE", Variable::Prometheus),
    ("PROMETHEUS_IO_SCRAPE", Variable::Prometheus),
    ("PROMETHEUS_PATH", Variable::Endpoint),
    ("PROMETHEUS_IO_PATH", Variable::Endpoint),
    ("PROMETHEUS_EXPORTER_PATH", Variable::Endpoint),
    ("PROMETHEUS_IO_PORT", Variable::Port),
    ("PROMETHEUS_EXPORTER_PORT", Variable::Port),
];

/// The variable that this name is probably meant to be: it differs in case, in punctuation or by one character, or
/// another program has it.
pub fn meant(name: &str) -> Option<Variable> {
    // A longer name is not compared.
    if name.len() > 64 || Variable::named(name).is_some() {
        return None;
    }
    let shape = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    let name: String = name.chars().map(shape).collect();
    let other = OTHER_NAMES.iter().find(|(other, _)| *other == name).map(|(_, variable)| *variable);
    other.or_else(|| {
        let distance = |variable: &Variable| strsim::osa_distance(variable.name(), &name);
        Variable::ALL.into_iter().find(|variable| distance(variable) <= 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_nearly_a_variable_is_meant_to_be_it() {
        for (name, variable) in [
            ("Prometheus", Variable::Prometheus),
            ("PROMETHUES", Variable::Prometheus),
            ("prometheus.io/scrape", Variable::Prometheus),
            ("PROMETHEUS_ENDPOINTS", Variable::Endpoint),
            ("prometheus-endpoint", Variable::Endpoint),
            ("PROMETHEUS_PATH", Variable::Endpoint),
            ("PROMETHEUS_SD_ENDPOINTS", Variable::SdEndpoint),
            ("PROMETHEUS_EXPORTER_PORT", Variable::Port),
            ("PROMETHEUS_CONTAINERPORT", Variable::ContainerPort),
            ("PROMETHEUS_NO_LABELS", Variable::NoLabels),
            ("PROMETHEUS_TAG", Variable::Tags),
            ("PROMETHEUS_SCHEMA", Variable::Scheme),
        ] {
            assert_eq!(meant(name), Some(variable), "{name}");
        }
        for name in [
            "",
            "PATH",
            "PROMETHEUS",
            "PROMETHEUS_PORT",
            "PROMETHEUS_MULTIPROC_DIR",
            "PROMETHEUS_URL",
            "PROMETHEUS_HOST",
        ] {
            assert_eq!(meant(name), None, "{name}");
        }
    }
}
