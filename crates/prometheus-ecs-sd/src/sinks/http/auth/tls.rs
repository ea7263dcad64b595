//! `tls_server_config`: the TLS versions, the certificates and client authentication.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{NamedGroup, RootCertStore, ServerConfig, SupportedProtocolVersion};

use super::web_config::Files;
use crate::atomic_file::directory_of;
use crate::config::ConfigErrors;
use crate::config::yaml::{Mapping, Place, Value};

const VERSIONS: [(&str, &SupportedProtocolVersion); 2] = [("TLS12", &TLS12), ("TLS13", &TLS13)];

/// The key exchange groups by Go's names.
const CURVES: [(&str, NamedGroup); 3] = [
    ("X25519", NamedGroup::X25519),
    ("CurveP256", NamedGroup::secp256r1),
    ("CurveP384", NamedGroup::secp384r1),
];

/// The client certificates that are required, by Go's names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientAuth {
    None,
    IfGiven,
    Required,
}

/// The TLS configuration.
#[derive(Clone, Debug)]
pub(super) struct Tls {
    pub(super) config: Arc<ServerConfig>,
    /// Whether every client needs a certificate.
    pub(super) requires_certificate: bool,
}

/// Reads the section; records an error and returns `None` if it is invalid.
pub(super) fn read(
    mut section: Mapping,
    path: &Path,
    files: &mut Files,
    errors: &mut ConfigErrors,
) -> Option<Tls> {
    let place = section.place.clone();
    for inline in ["cert", "key", "client_ca"] {
        if let Some(value) = section.take(inline) {
            let problem = format!("this is not supported; name a file with {inline}_file");
            errors.add(&value.place, problem);
        }
    }
    if let Some(value) = section.take("client_allowed_sans") {
        let instead = "issue the client certificates from a separate authority";
        errors.add(&value.place, format!("names in certificates are not checked; {instead}"));
    }
    let mut pem = Pem { directory: directory_of(path), files, errors };
    let chain = pem.file(&mut section, "cert_file", &place).and_then(|file| pem.certificates(&file));
    let key = pem.file(&mut section, "key_file", &place).and_then(|file| pem.key(&file));
    let client_auth = client_auth(&mut section, pem.errors);
    let authorities = section.take("client_ca_file").and_then(|value| {
        let file = pem.named(value)?;
        Some((file.place.clone(), pem.certificates(&file)))
    });
    let errors = pem.errors;
    let provider = Arc::new(provider(&mut section, errors));
    let versions = versions(&mut section, errors);
    let prefers_own = section.take("prefer_server_cipher_suites").and_then(|value| value.flag(errors));
    section.finish(errors);

    let client_auth = client_auth?;
    let verifier = match (client_auth, authorities) {
        (ClientAuth::None, None) => Arc::new(NoClientAuth) as Arc<dyn ClientCertVerifier>,
        (ClientAuth::None, Some((place, _))) => {
            errors.add(&place, "client_ca_file has no effect without client_auth_type; set it");
            return None;
        }
        (_, None) => {
            errors.add(&place, "client_auth_type requires client_ca_file with the trusted authorities");
            return None;
        }
        (policy, Some((place, certificates))) => {
            verifier(policy, certificates?, &provider).map_err(|problem| errors.add(&place, problem)).ok()?
        }
    };
    let builder = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)
        .map_err(|error| errors.add(&place, error.to_string()))
        .ok()?;
    let config = builder.with_client_cert_verifier(verifier).with_single_cert(chain?, key?);
    let mut config = config
        .map_err(|error| errors.add(&place, format!("certificate and key cannot be used: {error}")))
        .ok()?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.ignore_client_order = prefers_own.unwrap_or(true);
    Some(Tls { config: Arc::new(config), requires_certificate: client_auth == ClientAuth::Required })
}

/// A file that the configuration names.
struct Named {
    place: Place,
    path: PathBuf,
    text: String,
}

/// Files of certificates and keys.
struct Pem<'a> {
    directory: &'a Path,
    files: &'a mut Files,
    errors: &'a mut ConfigErrors,
}

impl Pem<'_> {
    fn file(&mut self, section: &mut Mapping, key: &'static str, place: &Place) -> Option<Named> {
        match section.take(key) {
            Some(value) => self.named(value),
            None => {
                self.errors.add(place, format!("{key} is missing"));
                None
            }
        }
    }

    /// Relative names are relative to the directory of the configuration.
    fn named(&mut self, value: Value) -> Option<Named> {
        let path = self.directory.join(value.text(self.errors)?);
        let text = self.files.read(&path).map_err(|problem| self.errors.add(&value.place, problem)).ok()?;
        Some(Named { place: value.place, path, text })
    }

    fn certificates(&mut self, file: &Named) -> Option<Vec<CertificateDer<'static>>> {
        let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(file.text.as_bytes()).collect();
        match certificates {
            Ok(certificates) if !certificates.is_empty() => Some(certificates),
            _ => {
                self.errors.add(&file.place, format!("{} has no certificate in PEM", file.path.display()));
                None
            }
        }
    }

    fn key(&mut self, file: &Named) -> Option<PrivateKeyDer<'static>> {
        let key = PrivateKeyDer::from_pem_slice(file.text.as_bytes());
        let problem = |_| format!("{} has no private key in PEM, without a password", file.path.display());
        key.map_err(|error| self.errors.add(&file.place, problem(error))).ok()
    }
}

fn client_auth(section: &mut Mapping, errors: &mut ConfigErrors) -> Option<ClientAuth> {
    let Some(value) = section.take("client_auth_type") else { return Some(ClientAuth::None) };
    match value.text(errors)? {
        "NoClientCert" | "" => Some(ClientAuth::None),
        "VerifyClientCertIfGiven" => Some(ClientAuth::IfGiven),
        "RequireAndVerifyClientCert" => Some(ClientAuth::Required),
        unverified @ ("RequestClientCert" | "RequireAnyClientCert") => {
            let problem = format!("{unverified} accepts any certificate; use RequireAndVerifyClientCert");
            errors.add(&value.place, problem);
            None
        }
        other => {
            let offered = "NoClientCert, VerifyClientCertIfGiven or RequireAndVerifyClientCert";
            errors.add(&value.place, format!("{other:?} is not one of {offered}"));
            None
        }
    }
}

fn verifier(
    policy: ClientAuth,
    certificates: Vec<CertificateDer<'static>>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, String> {
    let mut authorities = RootCertStore::empty();
    for certificate in certificates {
        authorities.add(certificate).map_err(|error| format!("an authority cannot be used: {error}"))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(authorities.into(), provider.clone());
    let builder = if policy == ClientAuth::IfGiven { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| format!("the authorities cannot be used: {error}"))
}

/// The configured TLS 1.2 cipher suites and groups, by default all safe ones. As in Go, those of TLS 1.3 cannot be
/// configured.
fn provider(section: &mut Mapping, errors: &mut ConfigErrors) -> CryptoProvider {
    let mut provider = ring::default_provider();
    let suite_name =
        |suite: &rustls::SupportedCipherSuite| format!("{:?}", suite.suite()).replace("TLS13_", "TLS_");
    let names: Vec<_> = provider.cipher_suites.iter().map(suite_name).collect();
    let suites = chosen(section.take("cipher_suites"), &names, errors);
    if !suites.is_empty() {
        let is_wanted = |suite: &rustls::SupportedCipherSuite| {
            suite.tls13().is_some() || suites.contains(&suite_name(suite))
        };
        provider.cipher_suites.retain(is_wanted);
    }
    let names: Vec<_> = CURVES.iter().map(|(name, _)| (*name).to_owned()).collect();
    let curves = chosen(section.take("curve_preferences"), &names, errors);
    if !curves.is_empty() {
        let wanted = curves.iter().filter_map(|name| CURVES.iter().find(|(known, _)| known == name));
        let all = std::mem::take(&mut provider.kx_groups);
        let groups = wanted.filter_map(|(_, group)| all.iter().find(|one| one.name() == *group));
        provider.kx_groups = groups.copied().collect();
    }
    provider
}

/// An empty list is the default, as in Go.
fn chosen(value: Option<Value>, known: &[String], errors: &mut ConfigErrors) -> Vec<String> {
    let given = value.map(|value| value.texts(errors)).unwrap_or_default();
    for (place, name) in given.iter().filter(|(_, name)| !known.contains(name)) {
        errors.add(place, format!("{name} is not supported; use {}", known.join(", ")));
    }
    given.into_iter().map(|(_, name)| name).collect()
}

/// The versions from `min_version` to `max_version`, by default TLS 1.2 and 1.3.
fn versions(section: &mut Mapping, errors: &mut ConfigErrors) -> Vec<&'static SupportedProtocolVersion> {
    let mut bound = |key, usual| {
        let Some(value) = section.take(key) else { return usual };
        let Some(text) = value.text(errors) else { return usual };
        let position = VERSIONS.iter().position(|(name, _)| *name == text);
        position.unwrap_or_else(|| {
            errors.add(&value.place, format!("{text:?} is not supported; use TLS12 or TLS13"));
            usual
        })
    };
    let (least, most) = (bound("min_version", 0), bound("max_version", VERSIONS.len() - 1));
    if least > most {
        errors.add(&section.place, "min_version is above max_version");
    }
    VERSIONS.iter().take(most + 1).skip(least).map(|(_, version)| *version).collect()
}
