//! What the program serves over HTTP.

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;

use ecs_simulator::{Aws, Response};

use crate::cli::Program;
use crate::simulated::fleet;
use crate::tools::{Running, free_address, get, wait};

fn serving(aws: &Aws, address: SocketAddr) -> (Program, Running) {
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
