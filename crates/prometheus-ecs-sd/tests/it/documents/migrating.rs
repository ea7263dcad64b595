//! The pages on the move from other tools: their commands do what they say.

use std::fs;

use super::{blocks, files, read};
use crate::tools::{program, repository};

/// The commands of a page, without those of other programs.
fn commands(page: &str) -> Vec<String> {
    let text = read(page);
    let lines = blocks(&text).into_iter().filter(|(language, _)| *language == "sh");
    let lines = lines.flat_map(|(_, block)| block.lines().map(str::to_owned).collect::<Vec<_>>());
    lines.filter_map(|line| Some(line.strip_prefix("prometheus-ecs-sd ")?.to_owned())).collect()
}

/// The file that the commands read.
fn imported(page: &str) -> &'static str {
    match page {
        "docs/migrating/cloudwatch-agent.md" => "fuzz/seeds/cloudwatch_agent/file.json",
        "docs/migrating/apptality.md" => "examples/conventions/apptality.yml",
        "docs/migrating/connectedservices.md" => "examples/conventions/connectedservices.yml",
        "docs/migrating/delegator.md" => "examples/conventions/delegator.yml",
        "docs/migrating/litsea.md" => "examples/conventions/litsea.yml",
        _ => "fuzz/seeds/ecs_observer/file.yaml",
    }
}

#[test]
fn the_commands_of_each_page_work() {
    let pages = files("docs/migrating", ".md");
    assert_eq!(pages.len(), 12);
    for page in pages {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("DIR")).unwrap();
        fs::copy(repository(imported(&page)), directory.path().join("FILE")).unwrap();
        let commands = commands(&page);
        assert!(commands.len() >= 4, "{page}");
        for command in commands {
            let (command, result) = command.split_once(" > ").unwrap_or((&command, "output"));
            let words: Vec<_> = command.split(' ').collect();
            let mut run = program();
            run.env_remove("PROMETHEUS_ECS_SD_LISTEN_ADDRESS");
            match words[0] {
                // It asks AWS: only its options are checked.
                "explain" => run.args(&words).arg("--help"),
                // So is a run.
                option if option.starts_with("--") => run.arg("check-config").args(&words),
                _ => run.args(&words),
            };
            let output = run.current_dir(&directory).output().unwrap();
            assert!(
                output.status.success(),
                "{page}: {command}: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            fs::write(directory.path().join(result), &output.stdout).unwrap();
        }
    }
}
