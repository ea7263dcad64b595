//! Host names and web pages: requests that a page can make a browser send.

use std::io::Write;

use super::{Answer, Served, auth, connect, serving_with};
use crate::simulated::fleet;
use crate::tools::{free_address, wait};

fn raw(served: std::net::SocketAddr, head: &str) -> Answer {
    let mut stream = connect(served).unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).unwrap();
    Answer::read(&mut stream).unwrap()
}

#[test]
fn a_foreign_host_name_reads_nothing_on_the_loopback() {
    let served = Served::new(fleet(&[("production", 1)])).ready();
    for path in ["/sd", "/metrics", "/", "/-/healthy", "/nothing"] {
        let answer = raw(served.address, &format!("GET {path} HTTP/1.1\r\nHost: rebound.example:9779\r\n"));
        assert_eq!(answer.status, 421, "{path}");
        assert!(answer.text().contains("--allowed-host"), "{path}: {}", answer.text());
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
    }
    for (head, status) in [
        ("GET /-/healthy HTTP/1.1\r\nHost: 127.0.0.1:9779\r\n", 200),
        ("GET /-/healthy HTTP/1.1\r\nHost: LOCALHOST.\r\n", 200),
        ("GET http://rebound.example/-/healthy HTTP/1.1\r\nHost: localhost\r\n", 421),
        ("GET /-/healthy HTTP/1.0\r\nHost: rebound.example\r\n", 421),
        ("GET /-/healthy HTTP/1.0\r\n", 200),
        ("GET /-/healthy HTTP/1.1\r\n", 400),
        ("GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n", 400),
        ("GET /-/healthy HTTP/1.1\r\nHost: localhost, localhost\r\n", 400),
    ] {
        assert_eq!(raw(served.address, head).status, status, "{head}");
    }
}

#[test]
fn a_name_that_is_allowed_is_served() {
    let aws = ecs_simulator::Aws::new(fleet(&[("production", 1)]));
    let address = free_address();
    let _running = serving_with(&aws, address, &["--allowed-host", "sd.example.org"]);
    let ask = |host: &str| raw(address, &format!("GET /-/healthy HTTP/1.1\r\nHost: {host}\r\n")).status;
    wait(|| connect(address).map(drop).map_err(|error| error.to_string()));
    assert_eq!((ask("SD.example.org"), ask("localhost"), ask("other.example.org")), (200, 200, 421));
}

#[test]
fn with_passwords_every_name_is_served() {
    let directory = auth::one_user("prometheus", "secret");
    let served = auth::served(&directory);
    let line = auth::line("prometheus", "secret");
    let head = format!("GET /-/healthy HTTP/1.1\r\nHost: sd.example.org\r\n{line}");
    assert_eq!(raw(served.address, &head).status, 200);
    assert_eq!(raw(served.address, "GET /-/healthy HTTP/1.1\r\nHost: sd.example.org\r\n").status, 401);
    // A browser sends a stored password to its host, whichever page causes the request.
    let head = format!("POST /-/reload HTTP/1.1\r\nHost: localhost\r\nOrigin: http://evil.example\r\n{line}");
    assert_eq!(raw(served.address, &head).status, 403);
}
