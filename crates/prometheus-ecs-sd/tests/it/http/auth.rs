//! Passwords, and the web configuration file.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use insta::assert_snapshot;
use prometheus_ecs_sd::sinks::http::Auth;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::{Answer, Served, ask, bare, request};
use crate::simulated::{Stage, fleet};
use crate::tools::{repository, tool, wait};

/// Wrong passwords at a time.
const GUESSES: usize = 20;
/// A check takes long enough to be distinguished from an answer without one, in a debug build too.
const COST: u32 = 8;

/// A configuration with one user, in a directory of its own.
pub(super) fn one_user(user: &str, password: &str) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), &users(user, password));
    directory
}

fn users(user: &str, password: &str) -> String {
    format!("basic_auth_users:\n  {user}: {}\n", bcrypt::hash(password, COST).unwrap())
}

fn write(directory: &Path, text: &str) {
    std::fs::write(directory.join("web.yml"), text).unwrap();
}

pub(super) fn served(directory: &TempDir) -> Served {
    Served::on(Stage::new(fleet(&[("production", 1)])), Some(&directory.path().join("web.yml")))
}

pub(super) fn line(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(format!("{user}:{password}")))
}

fn status(server: SocketAddr, path: &str, lines: &str) -> u16 {
    ask(server, "GET", path, lines).unwrap().status
}

#[test]
fn nobody_is_let_in_without_the_right_password() {
    let directory = one_user("prometheus", "secret");
    let served = served(&directory);
    let right = line("prometheus", "secret");
    wait(|| match status(served.address, "/sd", &right) {
        200 => Ok(()),
        other => Err(format!("the list, not {other}")),
    });
    for wrong in [
        String::new(),
        line("prometheus", "Secret"),
        line("prometheus", ""),
        line("nobody", "secret"),
        "Authorization: Bearer secret\r\n".to_owned(),
        format!("X-Forwarded-User: prometheus\r\n{}", line("", "")),
    ] {
        // What is there and what is not are told to nobody.
        for path in ["/sd", "/sd?x=y", "/-/healthy", "/-/ready", "/nothing"] {
            let answer = served.ask(path, &wrong);
            assert_eq!((answer.status, &*answer.text()), (401, "unauthorized\n"), "{path} {wrong}");
            assert_eq!(answer.header("www-authenticate"), Some("Basic realm=\"targets\""));
        }
    }
    assert_eq!(status(served.address, "/-/healthy", &right), 200);
    assert_eq!(status(served.address, "/nothing", &right), 404);
    // Guessed passwords show in the metrics.
    let page = served.ask("/metrics", &right).text();
    for counted in [
        r#"{handler="/sd",code="401"} 12"#,
        r#"{handler="/-/ready",code="401"} 6"#,
        r#"{handler="other",code="401"} 6"#,
        r#"{handler="other",code="404"} 1"#,
    ] {
        assert!(page.contains(&format!("\necs_sd_http_requests_total{counted}\n")), "{counted}\n{page}");
    }
}

#[test]
fn a_name_that_nobody_has_takes_as_long_as_a_wrong_password() {
    let hash = |cost| bcrypt::hash("secret", cost).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let text = format!("basic_auth_users:\n  costly: {}\n  cheap: {}\n", hash(10), hash(5));
    write(directory.path(), &text);
    let served = served(&directory);
    let mut fastest = [Duration::MAX; 3];
    // In turn, so that all have their share of whatever else the machine does.
    for number in 0..8 {
        for (user, fastest) in ["costly", "cheap", "nobody"].into_iter().zip(&mut fastest) {
            let began = Instant::now();
            assert_eq!(status(served.address, "/sd", &line(user, &format!("{number}"))), 401);
            *fastest = began.elapsed().min(*fastest);
        }
    }
    // Without care it is a factor of thirty.
    let (least, most) = (fastest.iter().min().unwrap(), fastest.iter().max().unwrap());
    assert!(*most < *least * 3, "{fastest:?}");
}

#[test]
fn wrong_passwords_do_not_hold_up_who_is_known() {
    let directory = one_user("prometheus", "secret");
    let served = served(&directory);
    let right = line("prometheus", "secret");
    wait(|| match status(served.address, "/sd", &right) {
        200 => Ok(()),
        other => Err(format!("the list, not {other}")),
    });
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let began = Instant::now();
        for guess in 0..GUESSES {
            let (over, refused) = (&over, &refused);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let guess = line("prometheus", &guess.to_string());
                    // The check that waits longest may wait longer than the test.
                    if let Ok(answer) = ask(served.address, "GET", "/sd", &guess) {
                        assert_eq!(answer.status, 401);
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        wait(|| match refused.load(Ordering::Relaxed) {
            0..GUESSES => Err("some guesses".to_owned()),
            _ => Ok(()),
        });
        let timed = |_| {
            let began = Instant::now();
            assert_eq!(status(served.address, "/sd", &right), 200);
            began.elapsed()
        };
        let mut right: Vec<_> = (0..GUESSES).map(timed).collect();
        let check = began.elapsed() / u32::try_from(refused.load(Ordering::Relaxed)).unwrap();
        over.store(true, Ordering::Relaxed);
        right.sort_unstable();
        // On a busy machine both take longer; but an answer takes no check.
        assert!(right[GUESSES / 2] * 2 < check, "{right:?}, while a check takes {check:?}");
    });
}

#[test]
fn wrong_passwords_do_not_hold_up_a_new_client_at_another_address() {
    let directory = tempfile::tempdir().unwrap();
    let hash = bcrypt::hash("secret", COST).unwrap();
    let lines: String = (0..GUESSES).map(|number| format!("  user{number}: {hash}\n")).collect();
    write(directory.path(), &format!("basic_auth_users:\n{lines}"));
    let served = served(&directory);
    let (over, refused) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        // As many as may wait from one address.
        for guess in 0..60 {
            let (over, refused) = (&over, &refused);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let guess = line("user0", &guess.to_string());
                    // On a busy machine it may take longer than the test waits for an answer.
                    if let Ok(answer) = ask(served.address, "GET", "/-/healthy", &guess) {
                        assert_eq!(answer.status, 401);
                        refused.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        wait(|| match refused.load(Ordering::Relaxed) {
            0..GUESSES => Err("some guesses".to_owned()),
            _ => Ok(()),
        });
        // None of these users was seen before.
        let new = (0..GUESSES).map(|number| {
            let before = refused.load(Ordering::Relaxed);
            let lines = line(&format!("user{number}"), "secret");
            assert_eq!(status_from([127, 0, 0, 2].into(), served.address, &lines), 200);
            refused.load(Ordering::Relaxed) - before
        });
        let mut guesses: Vec<_> = new.collect();
        over.store(true, Ordering::Relaxed);
        guesses.sort_unstable();
        // In a common queue, a new client would wait for 60 guesses; in a separate queue, a few are checked beside its
        // password.
        assert!(guesses[GUESSES / 2] < GUESSES, "{guesses:?}");
    });
}

/// The status of an answer to a client at this address of the loopback.
fn status_from(client: std::net::IpAddr, server: SocketAddr, lines: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((client, 0).into()).unwrap();
        socket.connect(server).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.write_all(request("GET", "/-/healthy", lines).as_bytes()).unwrap();
    Answer::read(&mut stream).unwrap().status
}

#[test]
fn a_password_longer_than_bcrypt_reads_is_refused_with_words() {
    let longest = "x".repeat(72);
    let directory = one_user("prometheus", &longest);
    let served = served(&directory);
    assert_eq!(status(served.address, "/-/healthy", &line("prometheus", &longest)), 200);
    for user in ["prometheus", "nobody"] {
        let answer = served.ask("/-/healthy", &line(user, &format!("{longest}x")));
        assert_eq!(
            (answer.status, &*answer.text()),
            (401, "unauthorized: a password has at most 72 bytes\n")
        );
    }
}

/// The status of an answer, in a runtime whose time is paused.
async fn status_of(server: SocketAddr, lines: &str) -> String {
    let mut stream = tokio::net::TcpStream::connect(server).await.unwrap();
    stream.write_all(request("GET", "/-/healthy", lines).as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_file_is_read_again_when_it_changes_and_a_bad_one_is_not_taken() {
    let directory = one_user("prometheus", "first");
    let server = bare(Auth::new(Some(&directory.path().join("web.yml"))).unwrap()).await;
    let (first, second) = (line("prometheus", "first"), line("other", "second"));
    assert_eq!(status_of(server, &first).await, "200");
    for bad in
        ["", "basic_auth_users: {}\n", "basic_auth_users:\n  prometheus: first\n", "basic_auth_userz:\n"]
    {
        write(directory.path(), bad);
        sleep(Duration::from_secs(4)).await;
        assert_eq!(status_of(server, &first).await, "200", "{bad:?}");
        assert_eq!(status_of(server, "").await, "401", "{bad:?}");
    }
    std::fs::remove_file(directory.path().join("web.yml")).unwrap();
    sleep(Duration::from_secs(4)).await;
    assert_eq!((status_of(server, &first).await, status_of(server, "").await), ("200".into(), "401".into()));
    write(directory.path(), &users("other", "second"));
    sleep(Duration::from_secs(4)).await;
    assert_eq!(
        (status_of(server, &second).await, status_of(server, &first).await),
        ("200".into(), "401".into())
    );
}

/// Everything that is wrong with a configuration.
fn mistakes(text: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), text);
    let name = directory.path().to_str().unwrap().to_owned() + "/";
    match Auth::new(Some(&directory.path().join("web.yml"))) {
        Ok(_) => "accepted".to_owned(),
        Err(mistakes) => mistakes.to_string().replace(&name, ""),
    }
}

#[test]
fn all_that_is_wrong_is_told_at_once() {
    assert_snapshot!(mistakes("\
tls_server_config:
  cert_file: missing.pem
  client_auth_type: RequireAnyClientCert
  min_version: TLS10
  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]
  curve_preferences: [CurveP521]
  client_allowed_sans: [prometheus]
  certfile: x
http_server_config:
  http2: perhaps
  headers:
    Server: nginx
basic_auth_users:
  prometheus: secret
  slow: $2y$31$BLqg75tQ6uF9BjHx.Ck/qOMeJ6aJyh3YNI63ficBJLSXc7Ud7jJL2
  fast: $2y$03$BLqg75tQ6uF9BjHx.Ck/qOMeJ6aJyh3YNI63ficBJLSXc7Ud7jJL2
  $2y$10$BLqg75tQ6uF9BjHx.Ck/qOMeJ6aJyh3YNI63ficBJLSXc7Ud7jJL2: swapped
  prometheus:secret: joined
unknown: 1
"), @r#"
    web.yml:1: tls_server_config: key_file is missing
    web.yml:2: tls_server_config.cert_file: missing.pem cannot be read: No such file or directory (os error 2)
    web.yml:3: tls_server_config.client_auth_type: RequireAnyClientCert accepts any certificate; use RequireAndVerifyClientCert
    web.yml:4: tls_server_config.min_version: "TLS10" is not supported; use TLS12 or TLS13
    web.yml:5: tls_server_config.cipher_suites[0]: TLS_RSA_WITH_RC4_128_SHA is not supported; use TLS_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
    web.yml:6: tls_server_config.curve_preferences[0]: CurveP521 is not supported; use X25519, CurveP256, CurveP384
    web.yml:7: tls_server_config.client_allowed_sans: names in certificates are not checked; issue the client certificates from a separate authority
    web.yml:8: tls_server_config.certfile: there is no such key; did you mean cert_file?
    web.yml:10: http_server_config.http2: "perhaps" is neither true nor false
    web.yml:12: http_server_config.headers.Server: this header cannot be set; use Content-Security-Policy, Strict-Transport-Security, X-Content-Type-Options, X-Frame-Options, X-XSS-Protection
    web.yml:14: basic_auth_users.prometheus: this is not a bcrypt hash; create one, for example with htpasswd -nBC 10 ''
    web.yml:15: basic_auth_users.slow: the cost of this hash is not from 4 to 16
    web.yml:16: basic_auth_users.fast: the cost of this hash is not from 4 to 16
    web.yml:17: basic_auth_users: a user name cannot contain a colon or begin with a dollar sign; write NAME: HASH
    web.yml:18: basic_auth_users: a user name cannot contain a colon or begin with a dollar sign; write NAME: HASH
    web.yml:19: unknown: there is no such key
    "#);
    assert_eq!(mistakes("http_server_config: {http2: false, headers: {X-Frame-Options: deny}}"), "accepted");
    assert_snapshot!(Auth::new(Some(Path::new("/nonexistent/web.yml"))).unwrap_err(), @"/nonexistent/web.yml cannot be read: No such file or directory (os error 2)");
}

#[test]
fn a_file_or_a_section_that_sets_nothing_does_not_open_the_server() {
    for empty in ["", "\n \n", "# basic_auth_users:\n", "---\n", "null\n", "{}\n"] {
        let told = mistakes(empty);
        let expected = "the file sets nothing; to serve without TLS and passwords, start the program without --web-config-file";
        assert!(told.starts_with("web.yml:") && told.ends_with(expected), "{empty:?}: {told}");
    }
    for section in ["basic_auth_users", "tls_server_config", "http_server_config"] {
        for empty in ["", " ~", " {}"] {
            assert_eq!(
                mistakes(&format!("{section}:{empty}\n")),
                format!(
                    "web.yml:1: {section}: nothing is set under this key; set something, or leave the key out"
                )
            );
        }
    }
    assert_eq!(
        mistakes("basic_auth_users:\n  prometheus:\n"),
        "web.yml:2: basic_auth_users.prometheus: the password's hash is missing"
    );
    assert!(mistakes("basic_auth_users:\n  prometheus: ''\n").contains("not a bcrypt hash"));
}

#[test]
fn headers_that_are_set_are_sent() {
    let directory = tempfile::tempdir().unwrap();
    write(directory.path(), "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\n");
    let served = served(&directory);
    let answer = served.ask("/nothing", "");
    assert_eq!(answer.header("strict-transport-security"), Some("max-age=60"));
}

#[test]
fn the_example_is_accepted_here_and_by_prometheus() {
    let directory = tempfile::tempdir().unwrap();
    let example = directory.path().join("web-config.yml");
    std::fs::copy(repository("examples/web-config.yml"), &example).unwrap();
    for (own, name) in
        [("server.pem", "server.crt"), ("server.key", "server.key"), ("authority.pem", "clients.crt")]
    {
        let own = repository("crates/prometheus-ecs-sd/tests/it/http/certificates").join(own);
        std::fs::copy(own, directory.path().join(name)).unwrap();
    }
    let mut check: Command = tool("promtool");
    let output = check.args(["check", "web-config"]).arg(&example).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Auth::new(Some(&example)).unwrap();
}

#[test]
fn every_key_that_the_document_names_is_known_and_no_other() {
    let text = std::fs::read_to_string(repository("docs/security.md")).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| `tls_") || line.starts_with("| `http_"));
    let cells = rows.flat_map(|row| row.split(" | ").next().unwrap().split('`').skip(1).step_by(2));
    let mut named: Vec<_> = cells.filter_map(|key| key.split('.').nth(1)).collect();
    let sources = ["tls.rs", "web_config.rs"].map(|name| {
        let path = format!("crates/prometheus-ecs-sd/src/sinks/http/auth/{name}");
        std::fs::read_to_string(repository(&path)).unwrap()
    });
    let mut known = Vec::new();
    for beginning in ["section.take(\"", "section, \"", "bound(\""] {
        for source in &sources {
            let uses = source.split(beginning).skip(1);
            known.extend(uses.map(|rest| rest.split('"').next().unwrap().to_owned()));
        }
    }
    known.retain(|key| key != "client_allowed_sans");
    known.sort();
    named.sort_unstable();
    assert_eq!(named, known);
}
