//! Reading the configuration file again, while the program runs.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};

use ecs_simulator::Aws;
use serde_json::Value;

use crate::cli::Program;
use crate::simulated::fleet;
use crate::tools::{Running, free_address, get, wait};

/// The program on a fleet of two clusters, with a configuration file in its directory.
struct Configured {
    program: Program,
    running: Running,
    address: SocketAddr,
}

const PROD: &str = "interval: 1s\nregion: eu-central-1\ncluster: [prod]\n";
const TEST: &str = "interval: 1s\nregion: eu-central-1\ncluster: [test]\n";

fn start(arguments: &[&str]) -> Configured {
    let aws = Aws::new(fleet(&[("prod", 1), ("test", 2)]));
    let address = free_address();
    let mut program = Program::on(&aws).args(&["--listen-address", &address.to_string()]).args(arguments);
    let file = program.path().join("config.yml");
    fs::write(&file, PROD).unwrap();
    program
        .command
        .env_remove("AWS_REGION")
        .arg("--config-file")
        .arg(&file)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let running = Running::start(&mut program.command);
    let configured = Configured { program, running, address };
    configured.has(1);
    configured
}

impl Configured {
    fn says(&self, text: &str) {
        fs::write(self.program.path().join("config.yml"), text).unwrap();
    }

    fn targets(&self) -> Option<usize> {
        let text = fs::read_to_string(self.program.path().join("1m-tasks.json")).ok()?;
        Some(serde_json::from_str::<Vec<Value>>(&text).unwrap().len())
    }

    fn has(&self, targets: usize) {
        wait(|| match self.targets() {
            Some(found) if found == targets => Ok(()),
            found => Err(format!("{found:?} instead of {targets} targets")),
        });
    }

    /// The status and what follows the headers.
    fn post(&self, path: &str) -> (u16, String) {
        self.post_with(path, "")
    }

    /// The same with these lines added to the request's head.
    fn post_with(&self, path: &str, lines: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head =
            format!("POST {path} HTTP/1.0\r\nHost: localhost:9779\r\nContent-Length: 0\r\n{lines}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }
}

#[test]
fn a_hangup_makes_the_file_be_read_again() {
    let mut configured = start(&[]);
    configured.says(TEST);
    let id = configured.running.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
    configured.has(2);
    configured.running.check();
    assert_eq!(configured.post("/-/reload").0, 403, "nobody has enabled it");
}

#[test]
fn other_meta_labels_are_in_the_file_the_list_and_the_page() {
    let configured = start(&["--enable-lifecycle"]);
    let meta = |text: &str| text.matches("__meta_ecs_").count();
    let file = || fs::read_to_string(configured.program.path().join("1m-tasks.json")).unwrap();
    let page = |path: &str| get(configured.address, path).unwrap();
    let link = page("/").split("href=\"target?").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let target = format!("/target?{}", link.replace("&amp;", "&"));
    let all = [meta(&file()), meta(&page("/sd")), meta(&page(&target))];
    assert!(all[0] > 15 && all == [all[0]; 3], "{all:?}");
    for (selected, left) in [("[cluster, task_id]", 2), ("none", 0), ("'*'", all[0])] {
        configured.says(&format!("{PROD}meta_labels: {selected}\n"));
        assert_eq!(configured.post("/-/reload"), (200, String::new()));
        wait(|| match [meta(&file()), meta(&page("/sd")), meta(&page(&target))] {
            found if found == [left; 3] => Ok(()),
            found => Err(format!("{found:?} instead of {left} for {selected}")),
        });
    }
    configured.says(&format!("{PROD}meta_labels: [cluster, servce]\n"));
    let (status, said) = configured.post("/-/reload");
    let told = "config.yml:4: meta_labels[1]: \"servce\" matches no meta label; did you mean service?";
    assert!(status == 500 && said.contains(told), "{status} {said}");
    assert_eq!([meta(&file()), meta(&page("/sd")), meta(&page(&target))], all);
}

#[test]
fn a_web_page_of_another_host_cannot_reload() {
    let configured = start(&["--enable-lifecycle"]);
    for foreign in ["Origin: http://evil.example\r\n", "Origin: null\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        assert_eq!(configured.post_with("/-/reload", foreign).0, 403, "{foreign}");
    }
    let metrics = get(configured.address, "/metrics").unwrap();
    assert!(metrics.contains("\necs_sd_config_reloads_total{result=\"success\"} 0\n"), "{metrics}");
    assert_eq!(configured.post_with("/-/reload", "Origin: http://localhost:9779\r\n").0, 200);
}

#[test]
fn a_reload_over_http_answers_once_it_is_done_or_says_what_is_wrong() {
    let configured = start(&["--enable-lifecycle"]);
    configured.says("intervall: 1s\ncluster: [prod]\n");
    let (status, said) = configured.post("/-/reload");
    assert!(
        status == 500 && said.contains("config.yml:1: intervall: there is no such key"),
        "{status} {said}"
    );
    configured.says("interval: 1s\ncluster: [prod]\n");
    let (status, said) = configured.post("/-/reload");
    assert!(status == 500 && said.contains("no region is named"), "{status} {said}");
    configured.says(TEST);
    assert_eq!(configured.post("/-/reload"), (200, String::new()));
    configured.has(2);
    let file = configured.program.path().join("config.yml");
    fs::remove_file(&file).unwrap();
    assert_eq!(configured.post("/-/reload").0, 500);
    // Nothing is ever written into this pipe.
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let (status, said) = configured.post("/-/reload");
    assert!(status == 500 && said.contains("it is not a regular file"), "{status} {said}");
    assert_eq!(configured.targets(), Some(2));
    let metrics = get(configured.address, "/metrics").unwrap();
    for sample in [
        "config_last_reload_successful 0",
        "config_reloads_total{result=\"failure\"} 4",
        "config_reloads_total{result=\"success\"} 1",
    ] {
        assert!(metrics.contains(&format!("\necs_sd_{sample}\n")), "{sample}");
    }
}
