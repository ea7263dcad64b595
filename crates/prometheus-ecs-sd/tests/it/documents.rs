//! The documents against the program: tables against the code and `--help`, examples by discovering them, links
//! by following them.

mod dashboard;
mod examples;
mod map;
mod metrics;
mod migrating;
mod sizes;
mod tables;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use crate::tools::repository;

fn root() -> PathBuf {
    repository("").canonicalize().unwrap()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files(directory: &str, extension: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(directory)).unwrap();
    let files = entries.map(Result::unwrap).filter(|entry| entry.file_type().unwrap().is_file());
    let names = files.map(|entry| entry.file_name().into_string().unwrap());
    let mut files: Vec<_> = names
        .filter(|name| name.ends_with(extension))
        .map(|name| if directory == "." { name } else { format!("{directory}/{name}") })
        .collect();
    files.sort();
    files
}

/// Every document, by its path.
fn documents() -> BTreeMap<String, String> {
    let paths = [files(".", ".md"), files("docs", ".md"), files("docs/migrating", ".md")].concat();
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

/// What is below a heading, up to the next of its level or above.
fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text.find(&format!("{heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let below = &text[start + heading.len()..];
    let level = heading.bytes().take_while(|byte| *byte == b'#').count();
    let ends = (1..=level).filter_map(|level| below.find(&format!("\n{} ", "#".repeat(level))));
    &below[..ends.min().unwrap_or(below.len())]
}

/// The rows of all tables whose first cell is code, and their cells.
fn rows(text: &str) -> Vec<Vec<&str>> {
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

fn code(cell: &str) -> &str {
    cell.trim_matches('`')
}

/// Every table's first cells, which are code.
fn keys(text: &str) -> Vec<&str> {
    rows(text).into_iter().map(|row| code(row[0])).collect()
}

/// The fenced blocks with their languages.
fn blocks(text: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let body: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            blocks.push((language, body.join("\n") + "\n"));
        }
    }
    blocks
}

/// All Rust files below a directory, by their path.
fn sources(directory: &str) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(root().join(directory)).unwrap().map(Result::unwrap) {
        let path = format!("{directory}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.append(&mut sources(&path));
        } else if path.ends_with(".rs") {
            let text = read(&path);
            found.insert(path, text);
        }
    }
    found
}
