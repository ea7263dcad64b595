//! The tables of variables, reasons, labels, options and messages.

use ecs_discovery::finding::Reason;
use ecs_discovery::labels;
use ecs_discovery::variable::Variable;

use super::{code, documents, files, keys, read, rows, section, sources};
use crate::tools::program;

#[test]
fn every_variable_is_explained() {
    let all = Variable::ALL.map(Variable::name);
    assert_eq!(keys(section(&read("README.md"), "## Variables of a container")), all);
    assert_eq!(
        keys(read("docs/variables.md").split("\n## ").next().unwrap()),
        all,
        "the table in docs/variables.md"
    );
}

#[test]
fn every_reason_has_its_advice() {
    let text = read("docs/troubleshooting.md");
    let section = section(&text, "## Why a container is not scraped");
    let lower = |cell: &str| cell[..1].to_lowercase() + &cell[1..].replace('`', "");
    let listed: Vec<_> = rows(section).iter().map(|row| (code(row[0]).to_owned(), lower(row[1]))).collect();
    let all = Reason::ALL.map(|reason| (reason.as_str().to_owned(), reason.advice().to_owned()));
    assert_eq!(listed, all);
    let expected = Reason::ALL.into_iter().filter(|reason| reason.is_expected());
    let expected: Vec<_> = expected.map(|reason| format!("`{reason}`")).collect();
    assert!(section.contains(&format!("({})", expected.join(", "))));
}

#[test]
fn every_label_is_listed_with_its_meaning() {
    let is_family = |name: &str| name.ends_with('_') && !name.ends_with("__");
    let named = |name: &str| if is_family(name) { format!("{name}<key>") } else { name.to_owned() };
    let all: Vec<_> = labels::ALL.iter().map(|label| (named(label.name), label.meaning.to_owned())).collect();
    let text = read("docs/labels.md");
    let listed: Vec<_> =
        rows(&text).into_iter().map(|row| (code(row[0]).to_owned(), row[1].to_owned())).collect();
    assert_eq!(listed, all);
}

#[test]
fn every_recipe_is_listed() {
    let help = help(&["generate", "--help"]);
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let option = help.split("--like <NAME>").nth(1).unwrap();
    let names = option.split("[possible values: ").nth(1).unwrap().split(']').next().unwrap();
    assert_eq!(keys(&read("docs/relabelling.md")), names.split(", ").collect::<Vec<_>>());
}

#[test]
fn no_label_is_mentioned_that_does_not_exist() {
    let configurations = files("examples", ".yml").into_iter().map(|path| (path.clone(), read(&path)));
    for (path, text) in documents().into_iter().chain(configurations) {
        for (at, _) in text.match_indices("__meta_ecs_") {
            let word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            let name: String = text[at..].chars().take_while(word).collect();
            let exists = labels::ALL.iter().any(|label| {
                if label.name.ends_with('_') { name.starts_with(label.name) } else { name == label.name }
            });
            assert!(exists || name == "__meta_ecs_", "{path}: {name}");
        }
    }
}

fn help(arguments: &[&str]) -> String {
    let output = program().args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// The options of `--help` as they are written, and their defaults.
fn options(help: &str) -> Vec<(String, String)> {
    let lines = help.lines().skip_while(|line| !line.ends_with(':') || line.starts_with("Commands"));
    let mut options: Vec<(String, String)> = Vec::new();
    for line in lines.map(str::trim) {
        if let Some(option) = line.strip_prefix("--") {
            let (option, text) = option.split_once("  ").unwrap_or((option, ""));
            options.push((format!("--{option}"), text.trim().to_owned()));
        } else if line.is_empty() || line.starts_with('-') {
            // What follows belongs to no option, or to none that is documented.
            options.push(Default::default());
        } else if let Some((_, text)) = options.last_mut() {
            *text = format!("{text} {line}");
        }
    }
    options.retain(|(option, _)| !option.is_empty());
    let default = |text: &str| Some(text.split_once("[default: ")?.1.split_once(']')?.0.to_owned());
    options.into_iter().map(|(option, text)| (option, default(&text).unwrap_or_default())).collect()
}

fn variable(option: &str) -> String {
    let name = option.trim_start_matches("--").split(' ').next().unwrap();
    format!("PROMETHEUS_ECS_SD_{}", name.to_uppercase().replace('-', "_"))
}

#[test]
fn every_option_is_listed_with_its_variable_and_default() {
    let text = read("docs/options.md");
    let run = text.split("## The demo").next().unwrap();
    let check = |table: &str, help: &str, has_variable: fn(&str) -> bool| {
        let listed: Vec<_> = rows(table)
            .into_iter()
            .map(|row| [code(row[0]), code(row[1]), code(row[2])].map(str::to_owned))
            .collect();
        let variable = |option: &str| if has_variable(option) { variable(option) } else { String::new() };
        let options = options(help).into_iter();
        let all: Vec<_> =
            options.map(|(option, default)| [option.clone(), variable(&option), default]).collect();
        assert_eq!(listed, all);
    };
    check(run, &help(&["--help"]), |_| true);
    check(section(&text, "## The demo"), &help(&["demo", "--help"]), |option| {
        option.starts_with("--log-") || option == "--quiet"
    });
    check(section(&text, "## Explain"), &help(&["explain", "--help"]), |option| {
        let shared = [
            "--config-file",
            "--convention",
            "--log-",
            "--scrape-intervals",
            "--default-scrape-interval-prefix",
            "--tags-to-labels",
            "--meta-labels",
            "--service-tags",
        ];
        shared.iter().any(|beginning| option.starts_with(beginning))
    });
}

#[test]
fn every_key_of_the_configuration_file_is_listed_and_means_what_its_option_means() {
    let text = read("docs/configuration.md");
    let listed = keys(section(&text, "## Keys"));
    let key = |option: &str| option.trim_start_matches("--").split(' ').next().unwrap().replace('-', "_");
    let all: Vec<_> = options(&help(&["--help"])).iter().map(|(option, _)| key(option)).collect();
    let all: Vec<_> = all.into_iter().filter(|key| key != "config_file").collect();
    assert_eq!(listed, all);
    let lines = |heading: &str, indent: &str| -> Vec<String> {
        let line = |row: Vec<&str>| format!("{indent}{}: {}\n", code(row[0]), code(row[1]));
        rows(section(&text, heading)).into_iter().map(line).collect()
    };
    let of_sources = lines("## Sources", "    ");
    let own = format!("sources:\n  -\n{}", of_sources[0]);
    let of_role = format!("sources:\n  -\n{}", of_sources[1..].concat());
    for file in [lines("## Keys", "").concat(), own, of_role] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yml");
        std::fs::write(&path, &file).unwrap();
        let mut check = program();
        check.env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS").args(["check-config", "--config-file"]);
        let output = check.arg(&path).output().unwrap();
        assert!(output.status.success(), "{file}{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_options_in_the_readme_exist_with_these_defaults_and_in_this_order() {
    let readme = read("README.md");
    let listed: Vec<_> = rows(section(&readme, "## Options"))
        .into_iter()
        .map(|row| (code(row[0]).to_owned(), code(row[1]).to_owned()))
        .collect();
    assert!(listed.len() > 5);
    let name = |option: String| option.split(' ').next().unwrap().to_owned();
    let mut all: Vec<_> =
        options(&help(&["--help"])).into_iter().map(|(option, default)| (name(option), default)).collect();
    all.retain(|(option, _)| listed.iter().any(|(name, _)| name == option));
    assert_eq!(listed, all);
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let text = read("docs/troubleshooting.md");
    let table = section(&text, "## Exit codes");
    let listed =
        table.lines().filter_map(|line| line.strip_prefix("| ")?.split(' ').next()?.parse::<u8>().ok());
    let listed: Vec<_> = listed.collect();
    let help = help(&["--help"]);
    let (_, codes) = help.split_once("Exit codes:").unwrap();
    let told: Vec<u8> =
        codes.split(',').map(|code| code.split_whitespace().next().unwrap().parse().unwrap()).collect();
    assert_eq!(listed, told);
}

#[test]
fn every_log_message_is_one_of_the_programs() {
    let sources: String = sources("crates/prometheus-ecs-sd/src").into_values().collect();
    let troubleshooting = read("docs/troubleshooting.md");
    let messages = keys(section(&troubleshooting, "## Log messages"));
    assert!(messages.len() > 10);
    for message in &messages {
        assert!(sources.contains(message), "{message:?} is logged nowhere");
    }
    let operations = read("docs/operations.md");
    let table = section(&operations, "## Failures").lines();
    let quoted =
        table.filter(|line| line.starts_with("| ")).flat_map(|row| row.split('`').skip(1).step_by(2));
    let quoted: Vec<_> = quoted.filter(|text| text.contains(' ') && !text.starts_with("--")).collect();
    assert!(quoted.len() > 10);
    for text in quoted {
        assert!(sources.contains(text) || REASONS.contains(&text), "{text:?} is logged nowhere");
    }
}

/// Why a container is not scraped, as far as the operator's page names it.
const REASONS: [&str; 3] = ["definition unavailable", "host unknown", "host gone"];

#[test]
fn every_warning_is_explained() {
    let explained = [read("docs/troubleshooting.md"), read("docs/operations.md")].concat();
    for (path, text) in sources("crates/prometheus-ecs-sd/src") {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for call in ["warn!(", "error!("].iter().flat_map(|name| code.split(name).skip(1)) {
            let message = call.split('"').nth(1).unwrap_or_default();
            let beginning = message.split([';', '{']).next().unwrap();
            assert!(explained.contains(beginning), "{path} logs {message:?}, which no document explains");
        }
    }
}
