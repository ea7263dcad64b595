//! Whoever misbehaves gets nothing, and keeps nobody else waiting.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use ecs_simulator::{Aws, Placement, World};
use prometheus_ecs_sd::sinks::http::Auth;
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Answer, Served, ask, bare, connect, request, serving};
use crate::cli::Program;
use crate::simulated::{fleet, opted_in};
use crate::tools::{Running, free_address, get, wait};

/// As many as there may be at once, and some more.
const IDLE: usize = 10_000;
/// What the program keeps for connections, and for everything else.
const CONNECTIONS: usize = 1024;
const OTHERS: usize = 200;

/// How long a list takes at worst, on a machine that runs other tests too: half of what an idle connection is given, so
/// that whoever had to wait for one would take longer.
const A_LITTLE: Duration = Duration::from_secs(5);

#[test]
fn paths_lead_to_nothing_but_what_is_served() {
    let served = Served::new(fleet(&[("production", 1)])).ready();
    let tricks = [
        "//",
        "//sd",
        "/sd/",
        "/SD",
        "/sd%00",
        "/./sd",
        "/../sd",
        "/sd/../-/healthy",
        "/..%2f..%2fetc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/....//etc/passwd",
        "/-/",
        "/-/healthy/..",
        "/.git/config",
        "/sd;x=1",
        "/%ff",
        "/\\sd",
        "*",
    ];
    for path in tricks {
        let answer = served.ask(path, "");
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.head);
        assert!(matches!(&*answer.text(), "not found\n" | ""), "{path}: {}", answer.text());
    }
    // A target may name the host too.
    assert_eq!(served.ask("http://localhost/sd", "").status, 200);
}

#[test]
fn nothing_tells_what_serves() {
    let served = Served::new(fleet(&[("production", 1)])).ready();
    for path in ["/sd", "/nothing", "/sd?x=y", "/-/healthy"] {
        let answer = served.ask(path, "");
        assert_eq!((answer.header("server"), answer.header("x-powered-by")), (None, None));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
        let all = format!("{}{}", answer.head, answer.text()).to_lowercase();
        assert!(!all.contains(env!("CARGO_PKG_VERSION")) && !all.contains("hyper"), "{path}: {all}");
    }
}

#[test]
fn only_reading_is_a_method() {
    let served = Served::new(fleet(&[("production", 1)])).ready();
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "CONNECT"] {
        let answer = ask(served.address, method, "/sd", "Content-Length: 0\r\n").unwrap();
        assert!(matches!(answer.status, 400 | 405), "{method}: {}", answer.head);
        if answer.status == 405 {
            assert_eq!((answer.header("allow"), &*answer.text()), (Some("GET,HEAD"), "method not allowed\n"));
        }
    }
    // A body is nobody's: the answer does not wait for it, and it is not read.
    let mut stream = connect(served.address).unwrap();
    stream.write_all(b"POST /sd HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n").unwrap();
    assert_eq!(Answer::read(&mut stream).unwrap().status, 405);
}

#[test]
fn a_head_has_an_end() {
    let served = Served::new(fleet(&[("production", 1)])).ready();
    let endless: [(&str, String); 4] = [
        ("GET /sd HTTP/1.1\r\n", "X-Endless: ".to_owned() + &"x".repeat(4096) + "\r\n"),
        ("GET /sd HTTP/1.1\r\nX-Endless: ", "x".repeat(4096)),
        ("GET /sd?", "x".repeat(4096)),
        ("GET /sd HTTP/1.1\r\n", "X: y\r\n".repeat(20)),
    ];
    for (begin, more) in &endless {
        let mut stream = connect(served.address).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        let mut sent = 0;
        while sent < 1 << 24 && stream.write_all(more.as_bytes()).is_ok() {
            sent += more.len();
        }
        assert!(sent < 1 << 24, "{begin}: all of it was taken");
    }
    for (begin, more) in &endless {
        let mut stream = connect(served.address).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        stream.write_all(more.repeat(4).as_bytes()).unwrap();
        let _ = stream.write_all(b"\r\n\r\n");
        let mut answer = [0; 12];
        let status = stream.read_exact(&mut answer).map(|()| String::from_utf8_lossy(&answer).into_owned());
        let refused =
            status.is_ok_and(|status| matches!(&*status, "HTTP/1.1 431" | "HTTP/1.1 414" | "HTTP/1.1 400"));
        assert!(refused, "{begin}");
    }
    assert_eq!(served.ask("/sd", "").status, 200);
}

#[tokio::test(start_paused = true)]
async fn who_takes_too_long_to_ask_is_hung_up_on() {
    let address = bare(Auth::default()).await;
    for said in [
        "",
        "GET",
        "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n",
        "GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let began = tokio::time::Instant::now();
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!((10..12).contains(&began.elapsed().as_secs()), "{said:?}: {:?}", began.elapsed());
        // A request that came in time is answered, and after it the connection is idle.
        assert_eq!(answer.contains("is Healthy"), said.ends_with("\r\n\r\n"), "{said:?}: {answer}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_in_is_not_waited_for() {
    let mut stream = tokio::net::TcpStream::connect(bare(Auth::default()).await).await.unwrap();
    let (mut reading, mut writing) = stream.split();
    let began = tokio::time::Instant::now();
    let drip = async {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if writing.write_all(b"G").await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    };
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        // However it is told, it is over.
        _ = reading.read_to_end(&mut answer) => {}
    }
    assert!((10..12).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
}

/// How long each of some lists took.
fn lists(address: SocketAddr) -> Duration {
    let took = |_| {
        let began = Instant::now();
        let answer = ask(address, "GET", "/sd", "").unwrap();
        assert_eq!(answer.status, 200);
        began.elapsed()
    };
    (0..20).map(took).max().unwrap()
}

#[test]
fn ten_thousand_idle_connections_keep_nobody_out() {
    let allowed = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: allowed, maximum: allowed }).unwrap();
    let idle = allowed.map_or(IDLE, |allowed| IDLE.min(allowed.saturating_sub(500) as usize));

    let (aws, address) = (Aws::new(fleet(&[("production", 10)])), free_address());
    let (_program, running) = serving(&aws, address);
    wait(|| match ask(address, "GET", "/-/ready", "") {
        Ok(Answer { status: 200, .. }) => Ok(()),
        _ => Err("ready".to_owned()),
    });
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", running.0.id())).unwrap().count();
    let half = request("GET", "/sd", "");
    let half = &half.as_bytes()[..half.len() - 2];
    let mut connections = Vec::new();
    for number in 0..idle {
        let mut stream = TcpStream::connect(address).unwrap();
        // Some say nothing, the others do not come to an end.
        if number % 2 == 0 {
            let _ = stream.write_all(half);
        }
        connections.push(stream);
        if number % 1000 == 999 {
            let slowest = lists(address);
            assert!(slowest < A_LITTLE, "{slowest:?} with {number} idle connections");
            assert!(descriptors() < CONNECTIONS + OTHERS, "{}", descriptors());
        }
    }
    // What was given up is told so.
    connections[0].set_read_timeout(Some(A_LITTLE)).unwrap();
    match connections[0].read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn failures_to_accept_are_told_once_and_counted() {
    let address = free_address();
    let aws = Aws::new(fleet(&[("production", 1)]));
    let mut program = Program::on(&aws).args(&["--interval", "1", "--listen-address", &address.to_string()]);
    let mut running = Running::start(program.command.stdout(Stdio::null()));
    let (sender, told) = mpsc::channel();
    let lines = BufReader::new(running.0.stderr.take().unwrap()).lines();
    std::thread::spawn(move || {
        let failures = lines.map_while(Result::ok).filter(|line| line.contains("could not be accepted"));
        failures.for_each(|line| drop(sender.send(line)));
    });
    let failures = || {
        let page = get(address, "/metrics").map_err(|error| error.to_string())?;
        let line = page.lines().find(|line| line.starts_with("ecs_sd_http_accept_failures_total "));
        Ok(line.and_then(|line| line.split(' ').nth(1)).unwrap().parse::<u64>().unwrap())
    };
    assert_eq!(wait(failures), 0);
    let id = Pid::from_child(&running.0);
    let usual = getrlimit(Resource::Nofile).maximum;
    let allow = |current| prlimit(Some(id), Resource::Nofile, Rlimit { current, maximum: usual }).unwrap();
    let mut before = 0;
    for _ in 0..3 {
        // Fewer than are open.
        allow(Some(1));
        let _waiting = connect(address).unwrap();
        if before == 0 {
            told.recv_timeout(A_LITTLE * 12).unwrap();
        }
        allow(usual);
        // In between connections are accepted.
        before = wait(|| match failures()? {
            failures if failures > before => Ok(failures),
            failures => {
                allow(Some(1));
                let _waiting = connect(address).map_err(|error| error.to_string())?;
                allow(usual);
                Err(format!("more than {failures} failures"))
            }
        });
    }
    assert!(told.try_recv().is_err(), "it is told once");
}

#[test]
fn more_sources_than_descriptors_are_all_read_and_written() {
    const SOURCES: usize = 100;
    let mut world = World::new(1);
    let regions: Vec<_> = (0..SOURCES).map(|number| format!("eu-west-{number}")).collect();
    for region in &regions {
        let region = world.own(region);
        let definition = region.register(opted_in("web"));
        region.cluster("production");
        region.run("production", &definition, Placement::Fargate);
    }
    let aws = Aws::new(world);
    // All clients send a request before any is answered.
    aws.set_latency(Duration::from_millis(100));
    let program = Program::on(&aws).args(&["--once", "--region", &regions.join(",")]);
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]).arg(program.command.get_program());
    limited.args(program.command.get_args()).env_clear();
    for (name, value) in program.command.get_envs() {
        limited.env(name, value.unwrap_or_default());
    }
    let output = limited.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
    let written = std::fs::read_to_string(program.path().join("1m-tasks.json")).unwrap();
    assert_eq!(written.matches("\"targets\"").count(), SOURCES);
}
