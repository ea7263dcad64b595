//! Measures the memory of the lists of `/sd`, and which clients get one, while tasks change and clients request many
//! lists, or read slowly.
#![allow(clippy::unwrap_used, missing_docs)]

mod program;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use ecs_simulator::Aws;
use ecs_simulator::worlds::{Size, churn, large};

use program::{OWN, Program};

const SIZE: Size = Size { tasks: 10_000, clusters: 20, definitions: 200, hosts: 500 };
/// In seconds; longer than a refresh takes.
const INTERVAL: &str = "12";
const REFRESHES: usize = 5;
/// Clients that each have filters of their own.
const CLIENTS: usize = 70;
/// A Prometheus with a filter, which asks as often while those do.
const TRIES: usize = 30;
const SHARD: &str = "/sd?cluster=shop-production-00*";

fn main() {
    let aws = Aws::new(large(SIZE));
    let url = aws.clone().serve_on_loopback().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listen = address.to_string();
    let arguments = ["--interval", INTERVAL, "--api-share", "1", "--file-layout", "single"];
    let mut program = Program::start(
        OWN.as_ref(),
        &url,
        directory.path(),
        &[&arguments[..], &["--listen-address", &listen]].concat(),
    );
    let begun = SystemTime::now();
    program.published();
    program.written_since(&["tasks.json"], begun);
    println!("{} tasks in {} clusters; peaks of memory in MiB", SIZE.tasks, SIZE.clusters);
    println!("| | peak | 200 | 503 | others |");
    println!("|---|---|---|---|---|");
    let row = |what: &str, statuses: &[u16]| {
        let count = |status| statuses.iter().filter(|other| **other == status).count();
        let (ok, busy) = (count(200), count(503));
        let (peak, others) = (program.cost(&aws).peak, statuses.len() - ok - busy);
        println!("| {what} | {peak:.0} | {ok} | {busy} | {others} |");
    };
    row("before the first list", &[]);

    let refreshed = || {
        aws.change(|world| churn(world, SIZE.tasks / 100));
        program.written_since(&["tasks.json"], SystemTime::now());
    };
    let statuses: Vec<_> = (0..REFRESHES)
        .flat_map(|_| {
            refreshed();
            ["/sd", SHARD, "/sd", SHARD].map(|path| status(address, path))
        })
        .collect();
    row("1 % replaced in each refresh, the whole list and a part of it asked for twice", &statuses);

    let same = |number| format!("/sd?cluster=*&cluster=none-{number}");
    let statuses: Vec<_> = (0..CLIENTS).map(|number| status(address, &same(number))).collect();
    row("70 filters that select everything, one after the other", &statuses);

    let statuses: Vec<_> = (0..CLIENTS).map(|number| status(address, &different(number))).collect();
    row("70 filters for different clusters, one after the other", &statuses);

    let (is_over, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
    let clients = (0..CLIENTS).map(|number| {
        let (is_over, answers) = (is_over.clone(), answers.clone());
        std::thread::spawn(move || {
            for round in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
                let status = status(address, &different(number + CLIENTS * (1 + round)));
                answers.lock().unwrap().push(status);
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    std::thread::sleep(Duration::from_secs(1));
    let mut slowest = Duration::ZERO;
    for path in ["/sd", SHARD] {
        let tries = (0..TRIES).map(|_| {
            let began = Instant::now();
            let status = status(address, path);
            slowest = slowest.max(began.elapsed());
            status
        });
        let tries: Vec<_> = tries.collect();
        row(&format!("{path}, while 70 clients ask for different clusters"), &tries);
    }
    is_over.store(true, Ordering::Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    row(&format!("the 70 clients; the slowest list above took {:.1} s", slowest.as_secs_f64()), &{
        std::mem::take(&mut *answers.lock().unwrap())
    });

    let mut slow = Vec::new();
    let statuses: Vec<_> = (0..REFRESHES)
        .map(|_| {
            refreshed();
            let status = status(address, "/sd");
            slow.extend((0..CLIENTS).map(|_| asked(address, "/sd")));
            status
        })
        .collect();
    row("/sd, while in each refresh 70 clients ask for it and read nothing", &statuses);
    let cost = program.cost(&aws);
    println!(
        "\nall of it took {:.0} s, {:.0} s of a processor and {:.0} calls",
        cost.wall, cost.cpu, cost.calls
    );
}

/// Three quarters of the clusters, others for each number.
fn different(number: usize) -> String {
    let chosen = |cluster: &usize| (number + 1).wrapping_mul(0x9e37_79b9 + 2 * cluster) >> 7 & 3 != 0;
    let clusters = (0..SIZE.clusters).filter(chosen);
    let clusters: Vec<_> = clusters.map(|cluster| format!("cluster=shop-production-{cluster:03}")).collect();
    format!("/sd?{}", clusters.join("&"))
}

fn asked(server: SocketAddr, path: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    stream
}

/// The status of an answer that was read to its end; 0 if it has none.
fn status(server: SocketAddr, path: &str) -> u16 {
    let mut answer = Vec::new();
    if asked(server, path).read_to_end(&mut answer).is_err() {
        return 0;
    }
    let text = String::from_utf8_lossy(&answer[..answer.len().min(1024)]).into_owned();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")?.trim().parse().ok());
    let body = text.find("\r\n\r\n").map(|end| answer.len() - end - 4);
    let is_whole = body.is_some() && length == body;
    text.split(' ').nth(1).filter(|_| is_whole).and_then(|status| status.parse().ok()).unwrap_or(0)
}
