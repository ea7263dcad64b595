//! `GET /sd`: what is in the list, and when there is none.

use std::io::Read;

use ecs_simulator::Response;
use flate2::read::GzDecoder;
use prometheus_ecs_sd::config::Layout;

use super::{Served, ask};
use crate::simulated::{Stage, every_case, fleet};
use crate::tools::{repository, wait};

#[test]
fn there_is_no_list_until_something_is_published() {
    let stage = Stage::new(fleet(&[("production", 2)]));
    stage.simulator.on_call(|call| Some(Response::denied(call)));
    let served = Served::on(stage, None);
    for path in ["/sd", "/sd?cluster=production", "/sd?cluster=none"] {
        assert_eq!(served.text(path), (503, "nothing is published yet\n".to_owned()), "{path}");
    }
    served.stage.simulator.heal();
    let served = served.ready();
    let (status, list) = served.text("/sd");
    assert_eq!((status, list.matches("\"targets\"").count()), (200, 2));
}

#[test]
fn the_list_is_the_single_file() {
    let mut stage = every_case();
    stage.config.file_layout = Layout::Single;
    let served = Served::on(stage, None).ready();
    let (file, answer) = wait(|| {
        let file = std::fs::read(served.stage.path("tasks.json")).map_err(|error| error.to_string())?;
        let answer = served.ask("/sd", "");
        let is_written = answer.body == file;
        is_written.then_some((file, answer)).ok_or_else(|| "the file has fewer targets".to_owned())
    });
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("content-length"), Some(&*file.len().to_string()));
    assert!(answer.body == file && file.len() > 10_000);

    let packed = served.ask("/sd", "Accept-Encoding: br, GZIP;q=0.5\r\n");
    assert_eq!(
        (packed.header("content-encoding"), packed.header("vary")),
        (Some("gzip"), Some("accept-encoding"))
    );
    let mut unpacked = Vec::new();
    GzDecoder::new(&*packed.body).read_to_end(&mut unpacked).unwrap();
    assert!(unpacked == file && packed.body.len() < file.len() / 4);
    for lines in ["Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity\r\n", "If-None-Match: *\r\n"] {
        assert!(served.ask("/sd", lines).body == file, "{lines}");
    }
    let head = ask(served.address, "HEAD", "/sd", "").unwrap();
    assert_eq!((head.status, head.header("content-length")), (200, Some(&*file.len().to_string())));
    assert!(head.body.is_empty());
}

#[test]
fn a_list_is_narrowed_and_a_typo_is_told() {
    let served = Served::new(fleet(&[("production", 2), ("stage", 1), ("empty", 0)])).ready();
    let count = |path: &str| {
        let (status, list) = served.text(path);
        assert_eq!(status, 200, "{path}: {list}");
        list.matches("\"targets\"").count()
    };
    assert_eq!(count("/sd?cluster=production"), 2);
    assert_eq!(count("/sd?cluster=prod*&cluster=stage"), 3);
    assert_eq!(count("/sd?interval=1m&region=eu-central-1&account=*"), 3);
    assert_eq!(count("/sd?interval=15s"), 0);
    assert_eq!(count("/sd?cluster=empty"), 0);
    // Everything was heard, and there is no such cluster.
    assert_eq!(served.text("/sd?cluster=nowhere"), (200, "[]\n".to_owned()));
    for (path, problem) in [
        ("/sd?interval=2m", "interval: \"2m\" is not one of those that are offered: 15s, 30s, 1m, 5m\n"),
        (
            "/sd?clusters=stage",
            "there is no parameter \"clusters\"; there are interval, convention, account, region and cluster\n",
        ),
        ("/sd?region=us-east-1", "no source covers the requested account and region; check the query\n"),
        (
            &*format!("/sd?{}", "region=*&".repeat(101)),
            "too much is asked for at once; give up to 100 values, or a glob\n",
        ),
        ("/sd?account=000000000000", "no source covers the requested account and region; check the query\n"),
    ] {
        assert_eq!(served.text(path), (400, problem.to_owned()), "{path}");
    }
}

#[test]
fn a_cluster_that_was_never_read_is_not_an_empty_list() {
    let stage = Stage::new(fleet(&[("production", 1), ("dark", 1)]));
    stage.simulator.on_call(|call| {
        let is_dark = call.cluster.as_deref().is_some_and(|cluster| cluster.ends_with("dark"));
        is_dark.then(|| Response::denied(call))
    });
    let served = Served::on(stage, None).ready();
    assert_eq!(served.text("/sd?cluster=production").0, 200);
    // The process before may have read more.
    for path in ["/sd", "/sd?cluster=dark"] {
        let (status, problem) = served.text(path);
        assert!(status == 503 && problem.contains("was not read since the program started"), "{problem}");
    }
    // All clusters are listed, and none has that name.
    assert_eq!(served.text("/sd?cluster=darker").0, 200);
    served.stage.simulator.heal();
    wait(|| match served.text("/sd?cluster=dark") {
        (200, list) if list.contains("\"ecs_cluster\":\"dark\"") => Ok(()),
        (status, _) => Err(format!("the list, not {status}")),
    });
    // From now on it is held.
    served.stage.simulator.on_call(|call| Some(Response::denied(call)));
    let asked = || served.stage.simulator.calls().total();
    let before = asked();
    wait(|| if asked() > before + 5 { Ok(()) } else { Err("refreshes that fail".to_owned()) });
    assert_eq!(served.text("/sd").1.matches("\"targets\"").count(), 2);
}

/// The state file of a process that has served two targets, and a fleet that cannot be read any more.
fn restarted(change: impl FnOnce(&Stage)) -> Served {
    let mut stage = Stage::new(fleet(&[("production", 2)]));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(stage.once());
    stage.config.directory = None;
    stage.simulator.on_call(|call| Some(Response::server_error(call)));
    change(&stage);
    Served::on(stage, None).ready()
}

#[test]
fn a_restart_serves_what_is_known_to_be_the_newest() {
    let served = restarted(|_| {});
    let (status, list) = served.text("/sd");
    assert_eq!((status, list.matches("\"targets\"").count()), (200, 2));
}

#[test]
fn a_restart_withholds_what_may_not_be_the_newest_until_it_was_read() {
    // A process that could not save its last publication leaves such a file.
    let outdate = |stage: &Stage| {
        let file = std::fs::File::open(stage.state_file()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
    };
    let served = restarted(outdate);
    assert_eq!(served.text("/sd").0, 503);
    served.stage.simulator.heal();
    wait(|| match served.text("/sd") {
        (200, list) if list.matches("\"targets\"").count() == 2 => Ok(()),
        (status, _) => Err(format!("the list, not {status}")),
    });
}

#[test]
fn what_changes_is_in_the_next_list() {
    let served = Served::new(fleet(&[("production", 1)])).ready();
    assert_eq!(served.text("/sd").1.matches("\"targets\"").count(), 1);
    served.stage.change(|region| {
        let definition = region.task_definitions.keys().next().unwrap().clone();
        region.run("production", &definition, ecs_simulator::Placement::Fargate);
    });
    wait(|| match served.text("/sd").1.matches("\"targets\"").count() {
        2 => Ok(()),
        other => Err(format!("2 targets, not {other}")),
    });
}

#[test]
fn what_may_not_be_the_newest_is_withheld_after_a_second_restart_too() {
    let served = restarted(|stage| {
        let file = std::fs::File::open(stage.state_file()).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        // A process that could read nothing.
        tokio::runtime::Runtime::new().unwrap().block_on(stage.once());
    });
    assert_eq!(served.text("/sd").0, 503);
}

#[test]
fn the_document_names_what_is_served_and_what_can_be_asked_for() {
    let text = std::fs::read_to_string(repository("docs/http.md")).unwrap();
    let served = Served::new(fleet(&[("production", 1)])).ready();
    let (paths, parameters) = text.split_once("### Filters").unwrap();
    let first_cells = |text: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
        rows.map(|row| row.split('`').next().unwrap().to_owned()).collect()
    };
    let paths = first_cells(paths);
    assert_eq!(paths.len(), 6);
    for path in paths {
        assert_ne!(served.text(&path).0, 404, "{path}");
    }
    let (status, problem) = served.text("/sd?parameter=1");
    let (last, others) = (first_cells(parameters), problem.split("there are ").nth(1).unwrap());
    let named: Vec<_> = others.trim().split(", ").flat_map(|names| names.split(" and ")).collect();
    assert_eq!((status, last.iter().map(String::as_str).collect::<Vec<_>>()), (400, named));
}
