//! Measured sizes in the documents.

use std::io::Write;

use ecs_discovery::derive::Rules;
use ecs_discovery::labels::meta::{MetaLabels, MetaPattern};
use ecs_simulator::worlds::{Size, large};
use flate2::Compression;
use flate2::write::GzEncoder;
use prometheus_ecs_sd::config::Config;

use super::{code, read, rows, section};
use crate::simulated::Stage;

/// The smallest world of the measurements in docs/performance.md.
const SIZE: Size = Size { tasks: 1_000, clusters: 5, definitions: 50, hosts: 100 };

/// How much a documented size may differ from the measured one, in percent: a further label does not make it wrong.
const TOLERANCE: usize = 10;

#[tokio::test(start_paused = true)]
async fn a_target_has_the_documented_size() {
    let text = read("docs/performance.md");
    let rows = rows(section(&text, "## Meta labels"));
    assert!(rows.len() > 2);
    let stage = Stage::new(large(SIZE));
    let config = |selected: &str| {
        let patterns = selected.split(',').filter(|text| *text != "none");
        let patterns = patterns.map(|text| MetaPattern::parse(text).unwrap());
        let rules = Rules { meta_labels: MetaLabels::new(patterns).into(), ..Rules::default() };
        Config { rules, ..stage.config.clone() }
    };
    let mut running = stage.run().await;
    running.round().await;
    let mut wrong = Vec::new();
    for row in rows {
        running.replace(&config(code(row[0]))).await.unwrap();
        running.next().await;
        let documented = [row[1], row[2]].map(|cell| cell.replace(',', "").parse().unwrap());
        let measured = bytes_of_a_target(&stage);
        let is_near = |(documented, measured): (usize, usize)| {
            documented.abs_diff(measured) * 100 <= measured * TOLERANCE
        };
        if !documented.into_iter().zip(measured).all(is_near) {
            wrong.push(format!("{}: {documented:?}, but measured {measured:?}", row[0]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The mean length of a target in the files, and in the files if they are compressed as `/sd` is.
fn bytes_of_a_target(stage: &Stage) -> [usize; 2] {
    let files = ["15s", "30s", "1m", "5m"].map(|interval| stage.file(interval));
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    files.iter().for_each(|file| packed.write_all(file.as_bytes()).unwrap());
    let bytes: usize = files.iter().map(String::len).sum();
    [bytes, packed.finish().unwrap().len()].map(|bytes| bytes / SIZE.tasks)
}
