//! TLS: what is served under it, and to whom. The certificates beside this file are made by `certificates/make`.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_ecs_sd::sinks::http::Auth;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use super::{Answer, Served, ask, connect, request};
use crate::simulated::{Stage, fleet};
use crate::tools::{repository, wait};

fn certificate(name: &str) -> PathBuf {
    repository("crates/prometheus-ecs-sd/tests/it/http/certificates").join(name)
}

fn chain(name: &str) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(certificate(&format!("{name}.pem"))).unwrap().map(Result::unwrap).collect()
}

/// A client that trusts the authority, with a certificate or without.
struct Client<'a> {
    certificate: Option<&'a str>,
    versions: &'a [&'static SupportedProtocolVersion],
}

const ANY: &[&SupportedProtocolVersion] = &[&TLS12, &TLS13];
const NOBODY: Client<'_> = Client { certificate: None, versions: ANY };

impl Client<'_> {
    fn open(&self, server: SocketAddr) -> StreamOwned<ClientConnection, TcpStream> {
        let mut trusted = RootCertStore::empty();
        trusted.add(chain("authority").remove(0)).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(self.versions).unwrap().with_root_certificates(trusted);
        let config = match self.certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let key = PrivateKeyDer::from_pem_file(certificate(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(chain(name), key).unwrap()
            }
        };
        let name = ServerName::try_from("localhost").unwrap();
        StreamOwned::new(ClientConnection::new(Arc::new(config), name).unwrap(), connect(server).unwrap())
    }

    fn ask(&self, server: SocketAddr, path: &str) -> io::Result<Answer> {
        let mut stream = self.open(server);
        stream.write_all(request("GET", path, "").as_bytes())?;
        Answer::read(&mut stream)
    }

    /// Which certificate the server shows; an error if it closes the connection, since its files have changed.
    fn shown(&self, server: SocketAddr) -> io::Result<Vec<CertificateDer<'static>>> {
        let mut stream = self.open(server);
        stream.write_all(request("GET", "/-/healthy", "").as_bytes())?;
        Answer::read(&mut stream)?;
        Ok(stream.conn.peer_certificates().unwrap().to_vec())
    }
}

/// A directory with the server's certificate, and a configuration in it that adds these lines.
fn directory(lines: &str) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    install(directory.path(), "server");
    std::fs::copy(certificate("authority.pem"), directory.path().join("clients.pem")).unwrap();
    let text = format!("tls_server_config:\n  cert_file: cert.pem\n  key_file: cert.key\n{lines}");
    std::fs::write(directory.path().join("web.yml"), text).unwrap();
    directory
}

fn install(directory: &Path, name: &str) {
    for extension in ["pem", "key"] {
        let file = certificate(&format!("{name}.{extension}"));
        std::fs::copy(file, directory.join(format!("cert.{extension}"))).unwrap();
    }
}

fn served(directory: &tempfile::TempDir) -> Served {
    Served::on(Stage::new(fleet(&[("production", 1)])), Some(&directory.path().join("web.yml")))
}

/// Whether the client gets the list; a refusal is no answer at all.
fn is_served(client: &Client<'_>, server: SocketAddr) -> bool {
    client.ask(server, "/-/healthy").is_ok_and(|answer| answer.status == 200)
}

#[test]
fn what_is_served_is_encrypted_and_nothing_else_is_answered() {
    let directory = directory("");
    let served = served(&directory);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        assert!(is_served(&Client { versions, ..NOBODY }, served.address));
    }
    let plain = ask(served.address, "GET", "/sd", "").unwrap();
    assert_eq!((plain.status, &*plain.text()), (400, "client sent an HTTP request to an HTTPS server\n"));
    let mut noise = connect(served.address).unwrap();
    noise.write_all(&[22; 4096]).unwrap();
    assert!(Answer::read(&mut noise).is_err());
}

#[test]
fn a_minimum_version_is_kept() {
    let directory = directory("  min_version: TLS13\n");
    let served = served(&directory);
    assert!(is_served(&Client { versions: &[&TLS13], ..NOBODY }, served.address));
    assert!(!is_served(&Client { versions: &[&TLS12], ..NOBODY }, served.address));
}

#[test]
fn only_clients_with_a_certificate_of_the_right_authority_are_let_in() {
    let directory =
        directory("  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n");
    let served = served(&directory);
    for versions in [&[&TLS12][..], &[&TLS13]] {
        let client = |certificate| Client { certificate, versions };
        assert!(is_served(&client(Some("client")), served.address));
        assert!(!is_served(&client(None), served.address));
        assert!(!is_served(&client(Some("intruder")), served.address));
    }
}

#[test]
fn a_certificate_that_is_optional_must_still_be_right() {
    let directory = directory("  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: clients.pem\n");
    let served = served(&directory);
    let client = |certificate| Client { certificate, ..NOBODY };
    assert!(is_served(&client(Some("client")), served.address) && is_served(&NOBODY, served.address));
    assert!(!is_served(&client(Some("intruder")), served.address));
}

#[test]
fn a_renewed_certificate_is_shown() {
    let directory = directory("");
    let served = served(&directory);
    assert_eq!(NOBODY.shown(served.address).unwrap(), chain("server"));
    install(directory.path(), "renewed");
    wait(|| match NOBODY.shown(served.address) {
        Ok(shown) if shown == chain("renewed") => Ok(()),
        _ => Err("the renewed certificate".to_owned()),
    });
}

#[test]
fn a_certificate_and_the_key_of_another_are_refused() {
    let directory = directory("");
    std::fs::copy(certificate("renewed.key"), directory.path().join("cert.key")).unwrap();
    let mistakes = Auth::new(Some(&directory.path().join("web.yml"))).unwrap_err().to_string();
    assert!(
        mistakes.contains("web.yml:1: tls_server_config: certificate and key cannot be used"),
        "{mistakes}"
    );
}

/// As in Prometheus's exporters, whose templates write such lists.
#[test]
fn empty_lists_of_suites_and_curves_are_the_default() {
    let directory = directory("  cipher_suites: []\n  curve_preferences: []\n");
    assert!(is_served(&NOBODY, served(&directory).address));
}

#[test]
fn a_connection_ends_when_the_terms_change() {
    let directory = directory("");
    let served = served(&directory);
    let mut stream = NOBODY.open(served.address);
    install(directory.path(), "renewed");
    // One that is never idle for long does not end by itself.
    wait(|| match stream.write_all(b"HEAD /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n") {
        Ok(()) if stream.read(&mut [0; 4096]).is_ok_and(|bytes| bytes > 0) => Err("the end".to_owned()),
        _ => Ok(()),
    });
}

#[test]
fn a_request_that_comes_after_the_terms_changed_is_not_answered_by_those_before() {
    let directory = directory("");
    let served = served(&directory);
    let lines = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.pem\n";
    let text = format!("tls_server_config:\n  cert_file: cert.pem\n  key_file: cert.key\n{lines}");
    // Who has begun before, and is not done.
    let begun = || {
        let mut stream = NOBODY.open(served.address);
        stream.write_all(b"GET /-/healthy HTTP/1.1\r\n")?;
        io::Result::Ok(stream)
    };
    let mut streams = vec![begun().unwrap()];
    std::fs::write(directory.path().join("web.yml"), text).unwrap();
    wait(|| {
        streams.extend(begun());
        match is_served(&NOBODY, served.address) {
            true => Err("a refusal".to_owned()),
            false => Ok(()),
        }
    });
    for mut stream in streams {
        let _ = stream.write_all(b"Host: localhost\r\nConnection: close\r\n\r\n");
        assert!(Answer::read(&mut stream).is_err());
    }
}
