//! The dependency budget: building this takes minutes, and every dependency is someone to trust.

use std::collections::BTreeMap;

use crate::tools::repository;

/// What the lock file may hold, the workspace's own crates and other platforms' included.
const PACKAGES: usize = 265;

/// Versions by package.
fn locked() -> BTreeMap<String, Vec<String>> {
    let text = std::fs::read_to_string(repository("Cargo.lock")).unwrap();
    let field = |package: &str, name: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(" = "));
        line.unwrap().trim_matches('"').to_owned()
    };
    let mut packages: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for package in text.split("[[package]]").skip(1) {
        packages.entry(field(package, "name")).or_default().push(field(package, "version"));
    }
    packages
}

#[test]
fn the_lock_file_stays_within_its_budget() {
    let count: usize = locked().values().map(Vec::len).sum();
    assert!(count <= PACKAGES, "{count} packages; drop one, or argue for a higher budget");
}

/// One TLS library, and no crate that takes gigabytes of memory to be compiled for a few requests.
#[test]
fn what_would_be_built_in_vain_is_not_there() {
    let locked = locked();
    let unwanted = [
        "aws-lc-rs",
        "aws-lc-sys",
        "aws-sdk-ec2",
        "aws-sdk-ecs",
        "aws-sdk-sqs",
        "aws-sdk-ssm",
        "native-tls",
        "openssl",
        "openssl-sys",
    ];
    let found: Vec<_> = unwanted.into_iter().filter(|name| locked.contains_key(*name)).collect();
    assert!(found.is_empty(), "{found:?}: see what brings them with cargo tree --invert");
}

#[test]
fn there_is_one_http_stack() {
    let locked = locked();
    for name in ["http", "http-body", "hyper", "rustls", "tokio"] {
        assert_eq!(locked[name].len(), 1, "{name} {:?}", locked[name]);
    }
}
