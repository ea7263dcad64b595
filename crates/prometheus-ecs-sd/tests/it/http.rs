//! What the program serves over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;

use ecs_simulator::{Aws, Response};

use crate::cli::Program;
use crate::simulated::fleet;
use crate::tools::{Running, free_address, get, wait};

pub(crate) fn serving(aws: &Aws, address: SocketAddr) -> (Program, Running) {
    let mut program = Program::on(aws).args(&["--interval", "1", "--listen-address", &address.to_string()]);
    let running = Running::start(program.command.stdout(Stdio::null()).stderr(Stdio::null()));
    (program, running)
}

#[test]
fn it_is_healthy_at_once_and_ready_once_something_is_published() {
    let aws = Aws::new(fleet(&[("production", 1)]));
    aws.on_call(|_| Some(Response::connection_refused()));
    let address = free_address();
    let _running = serving(&aws, address);
    wait(|| get(address, "/-/healthy").map_err(|error| error.to_string()));
    assert!(get(address, "/-/ready").unwrap_err().to_string().starts_with("HTTP/1.0 503"));
    aws.heal();
    wait(|| get(address, "/-/ready").map_err(|error| error.to_string()));
}

#[test]
fn an_address_that_was_asked_for_and_is_taken_is_an_error() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut program = Program::on(&Aws::new(fleet(&[]))).args(&["--listen-address", &address]);
    let mut child = program.command.spawn().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(2));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains(&format!("--listen-address: cannot listen at {address}")), "{said}");
}

/// The head and the body of the answer to a scraper who accepts this.
fn metrics(address: SocketAddr, accept: &str) -> (String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.0\r\nAccept: {accept}\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.to_lowercase(), body.to_owned())
}

#[test]
fn metrics_are_served_in_the_format_that_is_asked_for() {
    let address = free_address();
    let _running = serving(&Aws::new(fleet(&[("production", 1)])), address);
    wait(|| get(address, "/-/ready").map_err(|error| error.to_string()));
    assert!(get(address, "/favicon.ico").is_err());
    let (head, body) = metrics(address, "*/*");
    assert!(head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    assert!(
        body.contains("\n# TYPE ecs_sd_aws_requests_total counter\n") && !body.contains("# EOF"),
        "{body}"
    );
    let (head, body) = metrics(address, "application/openmetrics-text;version=1.0.0,text/plain;q=0.5");
    let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
    assert!(head.contains(kind), "{head}");
    assert!(body.contains("\n# TYPE ecs_sd_aws_requests counter\n") && body.ends_with("\n# EOF\n"), "{body}");
    let counted = |handler: &str| {
        body.contains(&format!("ecs_sd_http_requests_total{{handler=\"{handler}\",code=\"200\"}} 1\n"))
    };
    assert!(counted("/metrics") && counted("/-/ready") && !body.contains("favicon"), "{body}");
}
