//! The map of the code, links, and what may be named where.

use std::collections::BTreeSet;

use super::{documents, files, read, root, section, sources};

/// The name by which a link finds a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().replace(' ', "-")
}

#[test]
fn every_link_leads_somewhere() {
    let documents = documents();
    let anchors = |path: &str| -> BTreeSet<String> {
        documents[path].lines().filter(|line| line.starts_with('#')).map(anchor).collect()
    };
    for (path, text) in &documents {
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, fragment) = link.split_once('#').unwrap_or((link, ""));
            let here = root().join(path);
            let file = if file.is_empty() { here } else { here.parent().unwrap().join(file) };
            let file = file.canonicalize().unwrap_or_else(|error| panic!("{path}: {link}: {error}"));
            if !fragment.is_empty() {
                let file = file.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
                assert!(anchors(&file).contains(fragment), "{path}: {link}");
            }
        }
    }
}

#[test]
fn every_make_target_that_is_named_exists() {
    let makefile = read("Makefile");
    for (path, text) in documents() {
        let named = text.split(['`', '\n']).filter_map(|code| code.strip_prefix("make "));
        for target in named.filter_map(|rest| rest.split(' ').next()) {
            assert!(makefile.contains(&format!("\n{target}:")), "{path}: make {target}");
        }
    }
}

#[test]
fn the_map_of_the_code_is_complete_and_names_nothing_that_is_not_there() {
    let text = read("ARCHITECTURE.md");
    let is_path = |code: &&str| code.starts_with("crates/") || code.starts_with("fuzz/");
    let named: BTreeSet<&str> = text.split('`').skip(1).step_by(2).filter(is_path).collect();
    for path in &named {
        assert!(root().join(path).exists(), "{path} does not exist");
    }
    for folder in ["crates/ecs-discovery", "crates/ecs-simulator", "crates/prometheus-ecs-sd", "fuzz"] {
        for path in files(&format!("{folder}/src"), ".rs") {
            assert!(named.contains(&*path) || path.ends_with("/lib.rs"), "{path} is missing");
        }
    }
}

/// The rooms, in the order of a picture.
fn rooms<'a>(text: &'a str, heading: &str) -> Vec<&'a str> {
    let picture = section(text, heading).split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let is_name = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    picture.split_whitespace().filter(is_name).collect()
}

/// The code without its unit tests.
fn code_of(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap()
}

/// Checks that no file of a folder uses a room that comes before its own. Returns the number of arrows.
fn arrows(folder: &str, heading: &str) -> usize {
    let text = read("ARCHITECTURE.md");
    let rooms = rooms(&text, heading);
    let place = |room: &str| rooms.iter().position(|other| *other == room);
    let mut arrows = 0;
    for (path, text) in sources(folder) {
        let inner = path.strip_prefix(folder).unwrap().trim_start_matches('/');
        let room = inner.split('/').next().unwrap().trim_end_matches(".rs");
        // The crate's front page, and tests, which use whatever they test.
        let is_test = inner.ends_with("tests.rs") || inner.contains("/tests/");
        if room == "lib" || is_test {
            continue;
        }
        let own = place(room).unwrap_or_else(|| panic!("{path}: the picture has no room {room}"));
        let code = code_of(&text).lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = code.collect::<Vec<_>>().join("\n");
        for used in code.split("crate::").skip(1) {
            let used = used.split(|c: char| !(c.is_ascii_lowercase() || c == '_')).next().unwrap();
            if used == room || used.is_empty() {
                continue;
            }
            let other = place(used).unwrap_or_else(|| panic!("{path}: the picture has no room {used}"));
            assert!(own < other, "{path} uses {used}, which comes before {room}");
            arrows += 1;
        }
    }
    arrows
}

#[test]
fn no_room_uses_one_that_comes_before_it() {
    assert!(arrows("crates/prometheus-ecs-sd/src", "## The rooms of the program") > 100);
}

#[test]
fn no_room_of_the_core_uses_one_that_comes_before_it() {
    assert!(arrows("crates/ecs-discovery/src", "## The rooms of the core") > 50);
}

#[test]
fn every_fuzz_target_is_compiled() {
    let manifest = read("fuzz/Cargo.toml");
    for path in files("fuzz/targets", ".rs") {
        let path = path.trim_start_matches("fuzz/");
        assert!(manifest.contains(&format!("\npath = \"{path}\"\n")), "{path} is no [[bin]]");
    }
}

#[test]
fn the_core_touches_nothing_of_the_world() {
    let worldly =
        ["std::fs", "std::env", "std::net::Tcp", "std::process", "std::thread", "Instant::now", "SystemTime"];
    for (path, text) in sources("crates/ecs-discovery/src") {
        assert_eq!(worldly.iter().find(|name| text.contains(**name)), None, "{path}");
    }
}

#[test]
fn sdk_types_stop_in_aws_and_serde_at_the_edges() {
    let sdk =
        ["aws_config::", "aws_credential_types::", "aws_runtime::", "aws_sdk_", "aws_smithy_", "aws_types::"];
    for (path, text) in sources("crates/prometheus-ecs-sd/src") {
        if !path.starts_with("crates/prometheus-ecs-sd/src/aws") {
            assert_eq!(sdk.iter().find(|name| text.contains(**name)), None, "{path}");
            let edges = [
                "state/",
                "config/conventions/print.rs",
                "config/generated.rs",
                "config/infrastructure.rs",
                "sinks/changes/json.rs",
                "sinks/file_sd/earlier.rs",
            ];
            let is_edge = |edge: &&str| path.starts_with(&format!("crates/prometheus-ecs-sd/src/{edge}"));
            let is_edge = edges.iter().any(is_edge);
            assert!(!text.contains("serde") || is_edge, "{path}");
        }
    }
    for (path, text) in sources("crates/ecs-discovery/src") {
        let is_edge = ["render", "groups.rs", "text.rs"]
            .iter()
            .any(|edge| path.starts_with(&format!("crates/ecs-discovery/src/{edge}")));
        assert!(!text.contains("serde") || is_edge, "{path}");
    }
}
