//! The environment variables of the options, and variables with their prefix that belong to no option.
//!
//! An unknown variable is a warning, unlike an unknown option or key: it may not have been set for this program.
//! Kubernetes and Docker set variables for a service with this program's name, an image may set its version, and after a
//! downgrade the variables of newer options remain. A discovery that does not start would be worse.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use clap::Command;
use tracing::warn;

use crate::aws::is_blank;
use crate::config::similar::similar;

/// The prefix of all variables.
pub(super) const PREFIX: &str = "PROMETHEUS_ECS_SD_";

/// The variable of an option, by the option's long name.
pub(super) fn variable(option: &str) -> String {
    format!("{PREFIX}{}", option.to_uppercase().replace('-', "_"))
}

/// Warns of variables that belong to no option of the command.
pub(super) fn warn_of_unknown(command: &Command) {
    let options = command.get_arguments().filter_map(|option| option.get_long());
    let known: BTreeSet<_> = options.map(variable).collect();
    for (name, value) in std::env::vars_os().filter(|(_, value)| !is_blank(value)) {
        let Some(variable) = name.to_str().filter(|name| is_unknown(name, &value, &known)) else { continue };
        let ending = variable.to_uppercase();
        let endings = known.iter().filter_map(|known| known.strip_prefix(PREFIX));
        let similar = similar(ending.strip_prefix(PREFIX).unwrap_or(&ending), endings);
        let similar = similar.map(|ending| format!("{PREFIX}{ending}"));
        warn!(variable, similar, "this environment variable belongs to no option and has no effect");
    }
}

fn is_unknown(name: &str, value: &OsStr, known: &BTreeSet<String>) -> bool {
    name.to_uppercase().strip_prefix(PREFIX).is_some_and(|ending| {
        !known.contains(name) && !is_of_service(ending, &value.to_string_lossy().to_lowercase())
    })
}

/// Whether Kubernetes or Docker sets it for a service or a linked container of this program's name:
/// <https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables>,
/// <https://docs.docker.com/engine/network/links/#environment-variables>
fn is_of_service(ending: &str, value: &str) -> bool {
    let words: Vec<_> = ending.split('_').collect();
    let has = |beginning: &[&str]| words.windows(beginning.len()).any(|words| words == beginning);
    let is_port = |words: &[&str]| {
        let [word, number, protocol] = words else { return false };
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        *word == "PORT" && is_number && ["TCP", "UDP", "SCTP"].contains(protocol)
    };
    has(&["SERVICE", "HOST"])
        || has(&["SERVICE", "PORT"])
        || words.windows(3).any(is_port)
        || (words.ends_with(&["PORT"]) && value.contains("://"))
        || (words.ends_with(&["NAME"]) && value.starts_with('/'))
        || has(&["ENV"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_of_a_service_with_the_same_name_cause_no_warning() {
        let known = BTreeSet::from([variable("directory")]);
        let unknown = |name: &str, value: &str| is_unknown(name, OsStr::new(value), &known);
        for (ending, value) in [
            ("SERVICE_HOST", "10.0.0.11"),
            ("SERVICE_PORT", "9779"),
            ("SERVICE_PORT_HTTP", "9779"),
            ("PORT", "tcp://10.0.0.11:9779"),
            ("PORT_9779_TCP", "tcp://10.0.0.11:9779"),
            ("PORT_9779_TCP_PROTO", "tcp"),
            ("PORT_9779_TCP_PORT", "9779"),
            ("PORT_9779_TCP_ADDR", "10.0.0.11"),
            ("METRICS_SERVICE_HOST", "10.0.0.12"),
            ("METRICS_PORT", "udp://10.0.0.12:53"),
            ("NAME", "/prometheus/prometheus-ecs-sd"),
            ("ENV_PATH", "/usr/bin"),
        ] {
            assert!(!unknown(&format!("{PREFIX}{ending}"), value), "{ending}");
        }
        for ending in ["PORT", "NAME", "DIRECTROY", "PORT_X_TCP", ""] {
            assert!(unknown(&format!("{PREFIX}{ending}"), "9779"), "{ending}");
        }
        assert!(unknown("prometheus_ecs_sd_directory", "/tmp"));
        assert!(!unknown("PROMETHEUS_ECS_SD_DIRECTORY", "/tmp") && !unknown("PROMETHEUS_PORT", "80"));
    }
}
