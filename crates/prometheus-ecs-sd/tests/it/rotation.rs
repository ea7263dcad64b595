//! Credentials that another process renews in their files while the program runs.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ecs_simulator::{Aws, OWN_ACCESS_KEY, OWN_ACCOUNT, OWN_SECRET_KEY, Placement, Response};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::{Value, json};

use crate::cli::Program;
use crate::simulated::{REGION, fleet, opted_in};
use crate::tools::{Running, repository, wait};

/// The key that AWS accepts after the rotation, and no other.
const NEW: &str = "AKIAROTATEDEXAMPLE00";
const ROLE: &str = "arn:aws:iam::111111111111:role/reader";
/// The name of SSO's cached token is the SHA-1 of the session's name, here "work".
const SSO_TOKEN: &str = ".aws/sso/cache/e274eeff768c6396088ec6eb091f4bf4d47ab1e0.json";

/// Serves credentials over HTTP: the key that belongs to the token of a request. Counts the requests.
fn endpoint(header: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
            let head: Vec<_> = lines.take_while(|line| !line.is_empty()).collect();
            let mut headers = head.iter().filter_map(|line| line.split_once(": "));
            let is_new = headers.any(|(name, token)| name.eq_ignore_ascii_case(header) && token == "new");
            let key = if is_new { NEW } else { OWN_ACCESS_KEY };
            counted.fetch_add(1, Ordering::SeqCst);
            let (secret, token) = (OWN_SECRET_KEY, "token");
            let sso = json!({
                "accessKeyId": key, "secretAccessKey": secret, "sessionToken": token,
                "expiration": 4_000_000_000_000_u64,
            });
            let body = json!({
                "roleCredentials": sso, "AccessKeyId": key, "SecretAccessKey": secret, "Token": token,
                "Expiration": "2096-10-02T07:06:40Z",
            });
            let body = body.to_string();
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
            let _ = write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        }
    });
    (address, asked)
}

/// The program on a fleet of one task, with its credentials in its home directory.
struct Rotated {
    aws: Aws,
    program: Program,
}

impl Rotated {
    fn new() -> Self {
        let aws = Aws::new(fleet(&[("prod", 1)]));
        let mut program = Program::on(&aws).args(&["--interval", "1s"]);
        program.command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
        program.command.stdout(Stdio::null()).stderr(Stdio::null());
        fs::create_dir_all(program.path().join(".aws/sso/cache")).unwrap();
        Self { aws, program }
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.program.path().join(file), text).unwrap();
    }

    fn path(&self, file: &str) -> String {
        self.program.path().join(file).to_str().unwrap().to_owned()
    }

    fn env(&mut self, name: &str, value: &str) {
        self.program.command.env(name, value);
    }

    fn has(&self, targets: usize) {
        has(self.program.path(), targets);
    }

    /// Starts it, and makes AWS accept only [`NEW`], before and after `renew` has written the file.
    fn survives(mut self, renew: impl Fn(&Self)) {
        let mut running = Running::start(&mut self.program.command);
        self.has(1);
        self.aws.change(|world| {
            world.account(OWN_ACCOUNT).access_key = NEW.to_owned();
            world.end_sessions();
        });
        self.aws.take_ledger();
        wait(|| match self.aws.calls().refused() {
            0 => Err("no refusal".to_owned()),
            _ => Ok(()),
        });
        renew(&self);
        self.finds_another_task();
        running.check();
    }

    fn finds_another_task(&self) {
        self.aws.change(|world| {
            let region = world.own(REGION);
            let definition = region.register(opted_in("other"));
            region.run("prod", &definition, Placement::Fargate);
        });
        self.has(2);
    }
}

fn hang_up(running: &Running) {
    let id = running.0.id().to_string();
    assert!(Command::new("kill").args(["-HUP", &id]).status().unwrap().success());
}

fn has(directory: &Path, targets: usize) {
    wait(|| {
        let text = fs::read_to_string(directory.join("1m-tasks.json")).unwrap_or_default();
        match serde_json::from_str::<Vec<Value>>(&text).map(|found| found.len()) {
            Ok(found) if found == targets => Ok(()),
            found => Err(format!("{found:?} instead of {targets} targets")),
        }
    });
}

fn keys(key: &str) -> String {
    format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {OWN_SECRET_KEY}\n")
}

#[test]
fn a_rewritten_credentials_file_is_read_again_once_aws_refuses_the_old_key() {
    for (variable, file) in
        [("AWS_SHARED_CREDENTIALS_FILE", "keys"), ("AWS_CONFIG_FILE", "settings"), ("", ".aws/credentials")]
    {
        let mut rotated = Rotated::new();
        if !variable.is_empty() {
            let path = rotated.path(file);
            rotated.env(variable, &path);
        }
        rotated.write(file, &keys(OWN_ACCESS_KEY));
        rotated.survives(|rotated| {
            // The file during a write that is not atomic.
            rotated.write(file, "");
            rotated.write(file, "[default]\naws_access_key_id = ");
            rotated.write(file, &keys(NEW));
        });
    }
}

#[test]
fn a_role_of_a_profile_is_assumed_with_the_new_key() {
    let rotated = Rotated::new();
    rotated.aws.change(|world| world.allow_role(ROLE, None));
    rotated.write(".aws/config", &format!("[default]\nrole_arn = {ROLE}\nsource_profile = base\n"));
    rotated.write(".aws/credentials", &keys(OWN_ACCESS_KEY).replace("default", "base"));
    rotated.survives(|rotated| rotated.write(".aws/credentials", &keys(NEW).replace("default", "base")));
}

#[test]
fn the_token_of_a_new_sso_session_is_read() {
    let mut rotated = Rotated::new();
    let (address, _) = endpoint("x-amz-sso_bearer_token");
    rotated.env("AWS_ENDPOINT_URL_SSO", &format!("http://{address}"));
    let session = "sso_session = work\nsso_account_id = 111111111111\nsso_role_name = reader\n";
    let work = "sso_region = eu-central-1\nsso_start_url = https://work.example/start\n";
    rotated.write(".aws/config", &format!("[default]\n{session}[sso-session work]\n{work}"));
    let token = |token: &str| json!({"accessToken": token, "expiresAt": "2096-10-02T07:06:40Z"}).to_string();
    rotated.write(SSO_TOKEN, &token("old"));
    rotated.survives(|rotated| rotated.write(SSO_TOKEN, &token("new")));
}

#[test]
fn a_web_identity_token_that_was_renewed_is_read() {
    let mut rotated = Rotated::new();
    rotated.env("AWS_ROLE_ARN", ROLE);
    rotated.env("AWS_WEB_IDENTITY_TOKEN_FILE", &rotated.path("identity"));
    rotated.write("identity", "old");
    rotated.aws.on_call(|call| {
        let token = call.input["WebIdentityToken"].as_str()?;
        let key = if token == "new" { NEW } else { OWN_ACCESS_KEY };
        let credentials = format!(
            "<Credentials><AccessKeyId>{key}</AccessKeyId><SecretAccessKey>s</SecretAccessKey>\
             <SessionToken>t</SessionToken><Expiration>2096-10-02T07:06:40Z</Expiration></Credentials>"
        );
        let answer = "AssumeRoleWithWebIdentity";
        let body =
            format!("<{answer}Response><{answer}Result>{credentials}</{answer}Result></{answer}Response>");
        Some(Response::xml(200, body))
    });
    rotated.survives(|rotated| rotated.write("identity", "new"));
}

#[test]
fn the_authorization_token_of_a_container_is_read_again() {
    let mut rotated = Rotated::new();
    let (address, _) = endpoint("authorization");
    rotated.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{address}/"));
    rotated.env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", &rotated.path("token"));
    rotated.write("token", "old");
    rotated.survives(|rotated| rotated.write("token", "new"));
}

#[test]
fn a_hangup_reads_credentials_again_that_nobody_has_refused() {
    let mut rotated = Rotated::new();
    let (address, asked) = endpoint("authorization");
    rotated.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{address}/"));
    let mut running = Running::start(&mut rotated.program.command);
    rotated.has(1);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    hang_up(&running);
    wait(|| match asked.load(Ordering::SeqCst) {
        2 => Ok(()),
        asked => Err(format!("{asked} loads")),
    });
    running.check();
}

/// Without keys in the profile, AWS programs use the credentials of the container, here another account's.
#[test]
fn an_emptied_credentials_file_does_not_lead_to_another_account() {
    let mut rotated = Rotated::new();
    let (address, asked) = endpoint("authorization");
    rotated.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{address}/"));
    rotated.env("AWS_CONTAINER_AUTHORIZATION_TOKEN", "new");
    rotated.aws.change(|world| world.account("222222222222").access_key = NEW.to_owned());
    rotated.write(".aws/credentials", &keys(OWN_ACCESS_KEY));
    let mut running = Running::start(&mut rotated.program.command);
    rotated.has(1);
    rotated.write(".aws/credentials", "");
    hang_up(&running);
    wait(|| match asked.load(Ordering::SeqCst) {
        0 => Err("the container's credentials were not loaded".to_owned()),
        _ => Ok(()),
    });
    rotated.finds_another_task();
    running.check();
}

/// The SDK would go on to the container's credentials.
#[test]
fn a_profile_that_does_not_exist_does_not_lead_to_another_identity() {
    let mut rotated = Rotated::new();
    let (address, asked) = endpoint("authorization");
    rotated.env("AWS_CONTAINER_CREDENTIALS_FULL_URI", &format!("http://{address}/"));
    rotated.env("AWS_PROFILE", "work");
    let mut running = Running::start(&mut rotated.program.command);
    wait(|| match asked.load(Ordering::SeqCst) {
        // After the first, the second load shows that the first was not used.
        0 | 1 => Err("the container's credentials were not loaded".to_owned()),
        _ => Ok(()),
    });
    assert_eq!(rotated.aws.take_ledger().total(), 0);
    rotated.write(".aws/config", &keys(OWN_ACCESS_KEY).replace("default", "profile work"));
    rotated.has(1);
    running.check();
}

/// The simulated AWS behind TLS, one request a connection.
fn over_tls(aws: &Aws) -> String {
    let upstream = aws.clone().serve_on_loopback().unwrap();
    let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
    let chain =
        CertificateDer::pem_file_iter(certificate("server.pem")).unwrap().map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(config.with_single_cert(chain, key).unwrap());
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, upstream) = (config.clone(), upstream.clone());
            // A client that does not trust the certificate ends the connection.
            std::thread::spawn(move || forward(stream?, config, &upstream));
        }
    });
    url
}

fn forward(stream: TcpStream, config: Arc<ServerConfig>, upstream: &str) -> io::Result<()> {
    let connection = ServerConnection::new(config).map_err(io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head)? == 0 {
            return Ok(());
        }
    }
    let lines = head.lines().filter_map(|line| line.split_once(": "));
    let length = lines.filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length = length.filter_map(|(_, length)| length.parse().ok()).next().unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let mut server = TcpStream::connect(upstream)?;
    // Its answers end with the connection.
    server.write_all(head.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes())?;
    server.write_all(&body)?;
    let mut answer = Vec::new();
    server.read_to_end(&mut answer)?;
    stream.get_mut().write_all(&answer)?;
    stream.get_mut().conn.send_close_notify();
    stream.get_mut().flush()
}

fn certificate(name: &str) -> PathBuf {
    repository("crates/prometheus-ecs-sd/tests/it/http/certificates").join(name)
}

#[test]
fn a_rotated_certificate_authority_is_read_once_the_old_one_does_not_do() {
    let mut rotated = Rotated::new();
    rotated.write(".aws/credentials", &keys(OWN_ACCESS_KEY));
    rotated.env("AWS_ENDPOINT_URL", &over_tls(&rotated.aws));
    rotated.env("SSL_CERT_FILE", &rotated.path("authorities"));
    fs::copy(certificate("client.pem"), rotated.path("authorities")).unwrap();
    let log = rotated.path("log");
    rotated.program.command.stderr(fs::File::create(&log).unwrap());
    let mut running = Running::start(&mut rotated.program.command);
    wait(|| match fs::read_to_string(&log).unwrap() {
        text if text.contains("UnknownIssuer") => Ok(()),
        text => Err(text),
    });
    fs::copy(certificate("authority.pem"), rotated.path("authorities")).unwrap();
    rotated.has(1);
    running.check();
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    for variable in [
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    ] {
        let mut rotated = Rotated::new();
        rotated.env("AWS_ROLE_ARN", ROLE);
        rotated.env(variable, &rotated.path("missing"));
        let output = rotated.program.command.arg("--once").stderr(Stdio::piped()).output().unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let expected = format!("{variable}: {} cannot be read: No such file", rotated.path("missing"));
        assert!(log.contains(&expected), "{log}");
    }
}
