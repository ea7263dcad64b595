//! What the program serves over HTTP, and to whom.

mod auth;
mod hosts;
mod limits;
mod sd;
mod tls;

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use ecs_simulator::{Aws, Response, World};
use prometheus_ecs_sd::config::Listen;
use prometheus_ecs_sd::published::SnapshotStore;
use prometheus_ecs_sd::sinks::http::{Auth, Server, Site};
use tokio::runtime::Runtime;

use crate::cli::Program;
use crate::simulated::{Stage, fleet};
use crate::tools::{Running, free_address, get, wait};

/// A server that does not answer must not hold a test for longer than its patience.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// The program in this process, served at an address of the loopback.
pub(crate) struct Served {
    pub(crate) stage: Stage,
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

/// What a server said.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Served {
    pub(crate) fn new(world: World) -> Self {
        Self::on(Stage::new(world), None)
    }

    pub(crate) fn on(mut stage: Stage, web_config: Option<&Path>) -> Self {
        stage.config.interval = Duration::from_secs(1);
        let runtime = Runtime::new().unwrap();
        let address = runtime.block_on(async {
            let store = SnapshotStore::default();
            let listen = Listen::At("127.0.0.1:0".to_owned());
            let server = Server::bind(&listen, false).await.unwrap();
            let address = server.address().unwrap();
            let site = Site::new(store.reader(), store.metrics(), None);
            tokio::spawn(server.serve(site, Auth::new(web_config).unwrap()));
            let (_, never) = tokio::sync::mpsc::channel(1);
            tokio::spawn(stage.discovery(false, store).run(never));
            address
        });
        Self { stage, address, _runtime: runtime }
    }

    /// The same, once something is published.
    pub(crate) fn ready(self) -> Self {
        wait(|| match self.ask("/-/ready", "").status {
            200 => Ok(()),
            status => Err(format!("ready, not {status}")),
        });
        self
    }

    /// Asks with these lines added to the request's head.
    pub(crate) fn ask(&self, path: &str, lines: &str) -> Answer {
        ask(self.address, "GET", path, lines).unwrap()
    }

    /// The status and text of the answer.
    pub(crate) fn text(&self, path: &str) -> (u16, String) {
        let answer = self.ask(path, "");
        (answer.status, answer.text())
    }
}

impl Answer {
    /// Everything until the other end hangs up.
    pub(crate) fn read(stream: &mut impl Read) -> io::Result<Self> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
        let end = end.ok_or_else(|| io::Error::other(String::from_utf8_lossy(&bytes)))?;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Ok(Self { status, head, body: bytes[end + 4..].to_vec() })
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}

pub(crate) fn request(method: &str, path: &str, lines: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
}

pub(crate) fn connect(server: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(server)?;
    stream.set_read_timeout(Some(ANSWER_WITHIN))?;
    stream.set_write_timeout(Some(ANSWER_WITHIN))?;
    Ok(stream)
}

pub(crate) fn ask(server: SocketAddr, method: &str, path: &str, lines: &str) -> io::Result<Answer> {
    let mut stream = connect(server)?;
    stream.write_all(request(method, path, lines).as_bytes())?;
    Answer::read(&mut stream)
}

/// A server with nothing to serve, in the runtime of a test whose time may be paused.
pub(crate) async fn bare(access: Auth) -> SocketAddr {
    let store = SnapshotStore::default();
    let server = Server::bind(&Listen::At("127.0.0.1:0".to_owned()), false).await.unwrap();
    let address = server.address().unwrap();
    tokio::spawn(server.serve(Site::new(store.reader(), store.metrics(), None), access));
    address
}

/// The binary with a server, which refreshes once a second.
pub(crate) fn serving(aws: &Aws, address: SocketAddr) -> (Program, Running) {
    serving_with(aws, address, &[])
}

/// The same with these options too.
fn serving_with(aws: &Aws, address: SocketAddr, options: &[&str]) -> (Program, Running) {
    let mut program = Program::on(aws).args(&["--interval", "1", "--listen-address", &address.to_string()]);
    program.command.args(options);
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
