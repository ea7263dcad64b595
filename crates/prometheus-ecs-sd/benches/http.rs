//! How fast `/sd` is served, beside nginx with the same bytes in a file, and whether discovery goes on meanwhile.
//!
//! Both are asked by `wrk` over loopback, in turn, in several rounds; printed are medians. On a machine with few
//! processors `wrk` takes as much of them as the server.
#![allow(clippy::unwrap_used, missing_docs)]

mod program;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use ecs_simulator::Aws;
use ecs_simulator::worlds::{Size, churn, large};

use program::{OWN, Program};

const SIZE: Size = Size { tasks: 100_000, clusters: 50, definitions: 2_000, hosts: 5_000 };
/// In seconds; longer than a refresh takes.
const INTERVAL: &str = "75";
const ROUNDS: usize = 3;
/// How long each is asked in a round.
const ROUND: &str = "10s";
const GZIP: &str = "Accept-Encoding: gzip";

fn main() {
    let aws = Aws::new(large(SIZE));
    let url = aws.clone().serve_on_loopback().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let address = free_address();
    let listen = address.to_string();
    let arguments = ["--interval", INTERVAL, "--api-share", "1", "--file-layout", "single"];
    let arguments = [&arguments[..], &["--listen-address", &listen]].concat();
    let mut program = Program::start(OWN.as_ref(), &url, directory.path(), &arguments);
    while TcpStream::connect(address).is_err() {
        std::thread::sleep(Duration::from_millis(1));
    }
    get(address, "/-/healthy", "");
    println!("healthy {:.3} s after the start", program.cost(&aws).wall);
    program.published();
    let before = program.cost(&aws);

    let list = get(address, "/sd", "");
    let first = program.cost(&aws);
    let packed = get(address, "/sd", &format!("{GZIP}\r\n"));
    let (seconds, cpu) = (first.wall - before.wall, first.cpu - before.cpu);
    println!("{} targets: {} bytes, {} with gzip", SIZE.tasks, list.len(), packed.len());
    println!("the first answer takes {seconds:.2} s, {cpu:.2} s of a processor");
    println!("the peak of memory goes from {:.0} to {:.0} MiB\n", before.peak, program.cost(&aws).peak);
    let nginx = Nginx::start(&list, &packed);

    println!("| | requests/s | nginx | ratio | latency, median | nginx |");
    println!("|---|---|---|---|---|---|");
    for (name, connections, header) in [
        ("plain", 2, "X-Plain: yes"),
        ("plain, 16 connections", 16, "X-Plain: yes"),
        ("gzip", 2, GZIP),
        ("gzip, 64 connections", 64, GZIP),
    ] {
        let rounds = (0..ROUNDS).map(|_| {
            [wrk(address, "/sd", connections, header), wrk(nginx.address, "/sd.json", connections, header)]
        });
        let rounds: Vec<_> = rounds.collect();
        let [ours, theirs] = [0, 1].map(|side| median(rounds.iter().map(|round| round[side].rate)));
        let latencies = [0, 1].map(|side| rounds[ROUNDS / 2][side].latency.clone());
        let ratio = ours / theirs;
        println!("| {name} | {ours:.1} | {theirs:.1} | {ratio:.2} | {} | {} |", latencies[0], latencies[1]);
    }

    let quiet = refresh(&program, &aws);
    let mut load =
        wrk_command(address, "/sd", 4, "X-Plain: yes", "10m").stdout(Stdio::null()).spawn().unwrap();
    let loaded = refresh(&program, &aws);
    load.kill().unwrap();
    load.wait().unwrap();
    let ((quiet, cpu), (loaded, _)) = (quiet, loaded);
    println!("\na refresh with 1 % replaced takes {quiet:.1} s ({cpu:.1} s of a processor),");
    println!("and {loaded:.1} s while four connections ask for /sd without a pause");
    println!("at the end the peak of memory is {:.0} MiB", program.cost(&aws).peak);
}

/// How long a whole refresh takes, from its first call until what changed is in the file, and what that costs.
fn refresh(program: &Program, aws: &Aws) -> (f64, f64) {
    program.written_since(&["tasks.json"], SystemTime::now());
    aws.change(|world| churn(world, SIZE.tasks / 100));
    let before = program.cost(aws);
    while program.cost(aws).calls == before.calls {
        std::thread::sleep(Duration::from_millis(5));
    }
    let began = Instant::now();
    program.written_since(&["tasks.json"], SystemTime::now());
    (began.elapsed().as_secs_f64(), program.cost(aws).cpu - before.cpu)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// The body of an answer.
fn get(server: SocketAddr, path: &str, lines: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(server).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let head = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
    answer.split_off(head + 4)
}

/// What `wrk` found.
struct Rate {
    rate: f64,
    latency: String,
}

fn wrk(server: SocketAddr, path: &str, connections: usize, header: &str) -> Rate {
    let output = wrk_command(server, path, connections, header, ROUND).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("{name} in {text}")).trim().to_owned()
    };
    assert!(!text.contains("Non-2xx"), "{text}");
    Rate { rate: value("Requests/sec:").parse().unwrap(), latency: value("50%") }
}

fn wrk_command(server: SocketAddr, path: &str, connections: usize, header: &str, time: &str) -> Command {
    let mut command = tool("wrk");
    let connections = connections.to_string();
    command.args(["--latency", "--timeout", "60s", "-t", "1", "-c", &connections, "-d", time, "-H", header]);
    command.arg(format!("http://{server}{path}"));
    command
}

/// A program of Debian's that `scripts/setup bench` provides, unless it is on the search path.
fn tool(name: &str) -> Command {
    let debian = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../.tools/debian/usr"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = [debian.join("bin"), debian.join("sbin"), "/usr/sbin".into()];
    let mut places = own.into_iter().chain(std::env::split_paths(&path)).map(|place| place.join(name));
    let found = places.find(|file| file.is_file());
    let mut command =
        Command::new(found.unwrap_or_else(|| panic!("{name} is not installed; run scripts/setup bench")));
    let libraries =
        fs::read_dir(debian.join("lib")).into_iter().flatten().flatten().map(|entry| entry.path());
    command.env("LD_LIBRARY_PATH", std::env::join_paths(libraries).unwrap());
    command
}

/// nginx on the list as a file, with a worker for each processor, as Debian configures it but for what it logs.
struct Nginx {
    process: Child,
    address: SocketAddr,
    _directory: tempfile::TempDir,
}

impl Nginx {
    fn start(list: &[u8], packed: &[u8]) -> Self {
        let (directory, address) = (tempfile::tempdir().unwrap(), free_address());
        let place = directory.path();
        fs::write(place.join("sd.json"), list).unwrap();
        fs::write(place.join("sd.json.gz"), packed).unwrap();
        fs::write(place.join("nginx.conf"), configuration(place, address)).unwrap();
        let mut command = tool("nginx");
        command.arg("-p").arg(place).arg("-c").arg(place.join("nginx.conf")).args(["-e", "stderr"]);
        let process = command.spawn().unwrap();
        while TcpStream::connect(address).is_err() {
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(get(address, "/sd.json", "") == list);
        Self { process, address, _directory: directory }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only if it is asked.
        let _ = Command::new("kill").arg(self.process.id().to_string()).status();
        let _ = self.process.wait();
    }
}

fn configuration(place: &Path, address: SocketAddr) -> String {
    let place = place.display();
    // The workers' user can read the temporary directory only if it is the one who made it.
    let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
    format!(
        "{user} daemon off; worker_processes auto; pid {place}/nginx.pid; events {{ worker_connections 768; }}
        http {{
            access_log off; sendfile on; tcp_nopush on; gzip_static on; default_type application/json;
            client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
            uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi;
            server {{ listen {address}; root {place}; }}
        }}"
    )
}
