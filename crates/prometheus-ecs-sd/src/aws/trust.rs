//! The HTTP client over TLS, and the certificate authorities that it trusts: the system's, or those that `SSL_CERT_FILE`
//! and `SSL_CERT_DIR` name.
//!
//! The SDK reads them once per process. Here they are read again on a reload, and when the certificate of AWS or of a
//! proxy is not trusted. If they have changed, later requests use a new client.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_http_client::{Builder, Connector};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::descriptors::Descriptors;

/// The minimum time between two reads. A read takes some milliseconds, and every request fails on a certificate that
/// stays untrusted.
const PAUSE: Duration = Duration::from_secs(1);

type Authorities = Vec<CertificateDer<'static>>;

/// Sends requests through the newest client. Clones share it.
#[derive(Clone)]
pub(super) struct Trusting(Arc<Shared>);

struct Shared {
    read: fn() -> Authorities,
    newest: Mutex<Newest>,
}

struct Newest {
    client: SharedHttpClient,
    authorities: Authorities,
    /// When they were last read again.
    read: Option<Instant>,
    /// A disk that hangs takes one thread.
    is_reading: bool,
    /// Whether it was logged that there are none.
    is_told: bool,
}

impl Trusting {
    /// Trusts the certificate authorities of the system.
    pub(super) fn system() -> Self {
        Self::new(system)
    }

    fn new(read: fn() -> Authorities) -> Self {
        let authorities = read();
        let client = over_tls(&authorities);
        let newest = Newest { client, authorities, read: None, is_reading: false, is_told: false };
        Self(Arc::new(Shared { read, newest: Mutex::new(newest) }))
    }

    /// Reads the authorities again, in the background. An empty result is ignored: the file may be half written.
    pub(super) fn read_again(&self) -> Option<JoinHandle<()>> {
        let mut newest = self.newest();
        if newest.is_reading || newest.read.is_some_and(|read| read.elapsed() < PAUSE) {
            return None;
        }
        (newest.is_reading, newest.read) = (true, Some(Instant::now()));
        let trusting = self.clone();
        Some(tokio::task::spawn_blocking(move || {
            let authorities = (trusting.0.read)();
            let mut newest = trusting.newest();
            newest.is_reading = false;
            if authorities.is_empty() {
                if !std::mem::replace(&mut newest.is_told, true) {
                    warn!(
                        "no certificate authorities were found; the previous ones are kept, if there are any"
                    );
                }
                return;
            }
            newest.is_told = false;
            if authorities != newest.authorities {
                newest.client = over_tls(&authorities);
                newest.authorities = authorities;
                info!(authorities = newest.authorities.len(), "certificate authorities were read again");
            }
        }))
    }

    fn newest(&self) -> MutexGuard<'_, Newest> {
        self.0.newest.lock().expect("nothing panics under the lock")
    }
}

/// The system's authorities, without those that the TLS library cannot read.
fn system() -> Authorities {
    let mut authorities = rustls_native_certs::load_native_certs().certs;
    authorities.retain(|authority| RootCertStore::empty().add(authority.clone()).is_ok());
    authorities
}

/// The SDK's client over rustls. The SDK honours the proxy variables only in the client it builds when
/// it is compiled with its default TLS, so the connectors are made here.
fn over_tls(authorities: &[CertificateDer<'_>]) -> SharedHttpClient {
    let mut pem = String::new();
    for authority in authorities {
        let text = STANDARD.encode(authority);
        pem.push_str(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"));
    }
    let trusted = TrustStore::empty().with_pem_certificate(pem);
    let Descriptors { idle_per_host, .. } = Descriptors::raised();
    Builder::new().build_with_connector_fn(move |settings, components| {
        let context = TlsContext::builder().with_trust_store(trusted.clone()).build();
        let mut connector =
            Connector::builder().proxy_config(ProxyConfig::from_env()).pool_max_idle_per_host(idle_per_host);
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(|components| components.sleep_impl()));
        let connector = connector.tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.tls_context(context.expect("there is nothing in it to refuse")).build()
    })
}

impl HttpClient for Trusting {
    /// The SDK requests a connector for each attempt.
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let client = self.newest().client.clone();
        SharedHttpConnector::new(Watched {
            connector: client.http_connector(settings, components),
            trusting: self.clone(),
        })
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.newest().client.connector_metadata()
    }
}

impl fmt::Debug for Trusting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trusting").finish_non_exhaustive()
    }
}

/// Starts a read of the authorities when a certificate is not trusted.
#[derive(Debug)]
struct Watched {
    connector: SharedHttpConnector,
    trusting: Trusting,
}

impl HttpConnector for Watched {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (answer, trusting) = (self.connector.call(request), self.trusting.clone());
        HttpConnectorFuture::new(async move {
            let answer = answer.await;
            if answer.as_ref().is_err_and(|error| is_untrusted(error)) {
                trusting.read_again();
            }
            answer
        })
    }
}

/// Whether a certificate is the cause.
fn is_untrusted(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(rustls::Error::InvalidCertificate(_)) = error.downcast_ref() {
            return true;
        }
        // An I/O error does not list its inner error among its sources.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        cause = inner.map(|inner| inner as _).or_else(|| error.source());
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::tests::simulated::listing;
    use super::super::{Aws, SourceSpec};
    use super::*;
    use ecs_simulator::{OWN_ACCESS_KEY, OWN_SECRET_KEY};
    use rustls::ServerConfig;
    use rustls::crypto::ring;
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    const AUTHORITY: &[u8] = include_bytes!("../../tests/it/http/certificates/authority.pem");
    const CLIENT: &[u8] = include_bytes!("../../tests/it/http/certificates/client.pem");
    const SERVER: &[u8] = include_bytes!("../../tests/it/http/certificates/server.pem");
    const SERVER_KEY: &[u8] = include_bytes!("../../tests/it/http/certificates/server.key");

    fn certificates(pem: &[u8]) -> Authorities {
        CertificateDer::pem_slice_iter(pem).map(|certificate| certificate.expect("a certificate")).collect()
    }

    /// Accepts connections forever, and answers each with an error.
    async fn server() -> String {
        let key = PrivateKeyDer::from_pem_slice(SERVER_KEY).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let config = config.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
        let config = config.with_single_cert(certificates(SERVER), key).expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.expect("a connection");
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                let answer = "HTTP/1.1 418 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        format!("https://localhost:{}", address.port())
    }

    #[tokio::test]
    async fn authorities_that_were_replaced_are_read_when_a_certificate_is_not_trusted() {
        /// However often the first one is read: attempts that a busy machine delays read it again.
        static REPLACED: AtomicUsize = AtomicUsize::new(0);
        /// First another authority, then none, as in a file that is being written, then the right one.
        fn replaced() -> Authorities {
            match REPLACED.load(Ordering::SeqCst) {
                0 => certificates(CLIENT),
                1 => {
                    REPLACED.store(2, Ordering::SeqCst);
                    Vec::new()
                }
                _ => certificates(AUTHORITY),
            }
        }
        let trusting = Trusting::new(replaced);
        let aws = Aws::isolated(
            SharedHttpClient::new(trusting.clone()),
            "eu-west-1",
            OWN_ACCESS_KEY,
            OWN_SECRET_KEY,
        );
        let config = aws.config.to_builder().endpoint_url(server().await).build();
        let aws = Aws { config, ..aws };
        let region = "eu-west-1".to_owned();
        let source = aws.source(SourceSpec { role: None, external_id: None, session_name: None, region });
        let failure = source.ask(&listing()).await.expect_err("another authority");
        assert!(failure.message.contains("UnknownIssuer"), "{failure}");
        REPLACED.store(1, Ordering::SeqCst);
        // Without the pause between readings.
        for attempt in 0.. {
            trusting.newest().read = None;
            let failure = source.ask(&listing()).await.expect_err("an error in any case");
            if failure.message.contains("418") {
                break;
            }
            assert!(attempt < 100, "{failure}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn authorities_are_read_at_most_once_in_a_while() {
        let trusting = Trusting::new(|| certificates(AUTHORITY));
        for _ in 0..3 {
            let reading = trusting.read_again().expect("it begins");
            reading.await.expect("it ends");
            assert!(trusting.read_again().is_none());
            tokio::time::advance(PAUSE).await;
        }
    }
}
