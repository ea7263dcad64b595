//! The environment variables of the process, as this program and the AWS SDK read them.
//!
//! A variable that is empty, or only white space, counts as unset: compose files and task definitions often pass such
//! variables. The SDK uses them as values, and panics on some. White space around the value of an AWS variable is
//! ignored, since a secret that was read from a file ends in a newline. An invalid value is an
//! [error](ConfigErrors) before discovery starts; no error quotes a value that may be secret.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::path::Path;

use aws_types::app_name::AppName;
use aws_types::os_shim_internal::Env;
use axum::http::Uri;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::{self, ConfigErrors};

/// The variables with endpoint URLs that this program's requests depend on; others may belong to other programs.
const ENDPOINTS: [&str; 10] = [
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_EC2",
    "AWS_ENDPOINT_URL_ECS",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SSM",
    "AWS_ENDPOINT_URL_SSO",
    "AWS_ENDPOINT_URL_SSO_OIDC",
    "AWS_ENDPOINT_URL_STS",
];

/// The SDK ignores any other value of these, which would send requests to an unintended endpoint.
const SWITCHES: [&str; 3] =
    ["AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"];

/// The HTTP client reads the second if the first is not set.
const PROXIES: [[&str; 2]; 4] = [
    ["ALL_PROXY", "all_proxy"],
    ["HTTPS_PROXY", "https_proxy"],
    ["HTTP_PROXY", "http_proxy"],
    ["NO_PROXY", "no_proxy"],
];

/// Proxy schemes that the HTTP client supports; it ignores a proxy with another scheme.
const PROXY_SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];

/// The variables that are set and not blank.
#[derive(Clone)]
pub struct Environment {
    variables: HashMap<String, String>,
}

impl Environment {
    /// Reads and checks the environment of this process.
    pub fn of_process() -> Result<Self, ConfigErrors> {
        Self::new(std::env::vars_os())
    }

    /// The same with these variables.
    pub fn new(
        variables: impl IntoIterator<Item = (impl Into<OsString>, impl Into<OsString>)>,
    ) -> Result<Self, ConfigErrors> {
        let given: BTreeMap<OsString, OsString> =
            variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let mut errors = Vec::new();
        let mut set = HashMap::new();
        for (name, value) in given.iter().filter(|(_, value)| !is_blank(value)) {
            let Some(name) = name.to_str() else { continue };
            match value.to_str() {
                Some(value) => {
                    let value = if is_of_aws(name) { value.trim() } else { value };
                    errors.extend(problem(name, value).map(|problem| format!("{name}: {problem}")));
                    set.insert(name.to_owned(), value.to_owned());
                }
                None if is_of_aws(name) => {
                    errors.push(format!("{name}: the value is not UTF-8; set it again, or unset it"));
                }
                None => {}
            }
        }
        errors.extend(execution_environment(&given));
        errors.extend(hidden_proxies(&given));
        errors.extend(certificates(&given).map(|problem| format!("SSL_CERT_FILE: {problem}")));
        if errors.is_empty() { Ok(Self { variables: set }) } else { Err(ConfigErrors::from(errors)) }
    }

    /// The same, so that no request is sent: without a region, the SDK would request it from the instance's metadata
    /// service.
    pub fn offline(mut self) -> Self {
        self.variables.insert("AWS_EC2_METADATA_DISABLED".to_owned(), "true".to_owned());
        self
    }

    /// The variables that the SDK sees.
    pub(super) fn for_aws(&self) -> Env {
        self.variables.clone().into()
    }
}

/// Whether a value counts as unset.
pub(crate) fn is_blank(value: &OsStr) -> bool {
    value.to_str().is_some_and(|value| value.trim().is_empty())
}

/// Whether a text is a valid URL of an endpoint.
pub(super) fn is_url(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|url| {
        let is_http = |scheme: &str| ["http", "https"].iter().any(|http| scheme.eq_ignore_ascii_case(http));
        url.scheme_str().is_some_and(is_http) && url.host().is_some_and(|host| !host.is_empty())
    })
}

fn is_of_aws(name: &str) -> bool {
    name.starts_with("AWS_") || name == "SECRET_ACCESS_KEY"
}

/// Why a value is invalid, and how to correct it.
fn problem(name: &str, value: &str) -> Option<String> {
    let problem = match name {
        "AWS_ACCESS_KEY_ID" | "AWS_SESSION_TOKEN" if !value.bytes().all(|byte| byte.is_ascii_graphic()) => {
            "there is white space or a character in the value that AWS never uses there; copy it again"
        }
        "AWS_CONTAINER_AUTHORIZATION_TOKEN" if value.contains(char::is_control) => {
            "there is a control character in the value; set it again, or unset it"
        }
        "AWS_REGION" | "AWS_DEFAULT_REGION" => return config::region(value).err(),
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
            if !value.starts_with('/') || value.parse::<Uri>().is_err() =>
        {
            "the value is not a path such as /v2/credentials/ID; ECS sets the variable, leave it as it is"
        }
        "AWS_SDK_UA_APP_ID" if AppName::new(value.to_owned()).is_err() => {
            "the value is not a name of letters, digits and !#$%&'*+-.^_`|~; choose another, or unset it"
        }
        _ if ENDPOINTS.contains(&name) && !is_url(value) => {
            "the value is not a URL such as https://HOST; correct it, or unset it"
        }
        _ if SWITCHES.contains(&name)
            && !["true", "false"].iter().any(|it| value.eq_ignore_ascii_case(it)) =>
        {
            "the value is neither true nor false; correct it, or unset it"
        }
        _ if PROXIES[..3].as_flattened().contains(&name) && !is_proxy(value) => {
            "the value is not the URL of a proxy such as http://HOST:3128; correct it, or unset it"
        }
        _ => return None,
    };
    Some(problem.to_owned())
}

fn is_proxy(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|url| {
        url.authority().is_some() && url.scheme_str().is_none_or(|scheme| PROXY_SCHEMES.contains(&scheme))
    })
}

/// The SDK reads this variable itself, for the user agent header.
fn execution_environment(given: &BTreeMap<OsString, OsString>) -> Option<String> {
    let value = given.get(OsStr::new("AWS_EXECUTION_ENV"))?.to_str()?;
    let problem = "AWS_EXECUTION_ENV: there is a control character in the value; set it again, or unset it";
    value.contains(char::is_control).then(|| problem.to_owned())
}

/// The HTTP client reads these variables itself, and does not treat an empty one as unset.
fn hidden_proxies(given: &BTreeMap<OsString, OsString>) -> impl Iterator<Item = String> {
    PROXIES.into_iter().filter_map(|[first, second]| {
        let value = |name: &str| given.get(OsStr::new(name));
        let is_hidden = value(first).is_some_and(|first| is_blank(first))
            && value(second).is_some_and(|second| !is_blank(second));
        is_hidden.then(|| format!("{first}: it is empty, and hides {second}; unset it, or set both alike"))
    })
}

/// Why there would be no certificate authority. The TLS library reads the variable itself, and does not treat an empty
/// one as unset.
fn certificates(given: &BTreeMap<OsString, OsString>) -> Option<String> {
    let file = given.get(OsStr::new("SSL_CERT_FILE"))?;
    let directories = given.get(OsStr::new("SSL_CERT_DIR"));
    if directories.is_some_and(|paths| std::env::split_paths(paths).any(|path| !path.as_os_str().is_empty()))
    {
        return None;
    }
    if is_blank(file) {
        return Some("it is empty; unset it, or name a file of certificate authorities".to_owned());
    }
    let path = Path::new(file);
    let shown = path.display();
    let problem = match std::fs::metadata(path) {
        Err(error) => format!("{shown} cannot be read: {error}"),
        // Anything but a regular file may be endless.
        Ok(metadata) if !metadata.is_file() => format!("{shown} is not a file"),
        Ok(_) => match CertificateDer::pem_file_iter(path) {
            Ok(mut certificates) => match certificates.any(|certificate| certificate.is_ok()) {
                true => return None,
                false => format!("there is no certificate in {shown}"),
            },
            Err(error) => format!("{shown} cannot be read: {error}"),
        },
    };
    Some(format!("{problem}; name a file of certificate authorities, or unset it"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use insta::assert_snapshot;

    use super::*;

    fn errors(variables: &[(&str, &str)]) -> String {
        Environment::new(variables.iter().copied()).err().map_or_else(String::new, |all| all.to_string())
    }

    #[test]
    fn a_blank_variable_is_unset_and_white_space_around_a_value_of_aws_is_ignored() {
        let blank = ["AWS_ENDPOINT_URL", "AWS_REGION", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "HTTPS_PROXY"];
        let blank = blank.into_iter().zip(["", " ", "\n", "\t \r\n", ""]);
        let set = [("AWS_DEFAULT_REGION", " eu-west-1\n"), ("AWS_SESSION_TOKEN", "token\n"), ("HOME", "/a ")];
        let environment = Environment::new(blank.chain(set)).unwrap();
        let mut seen: Vec<_> = environment.variables.into_iter().collect();
        seen.sort();
        let expected = [("AWS_DEFAULT_REGION", "eu-west-1"), ("AWS_SESSION_TOKEN", "token"), ("HOME", "/a ")];
        assert_eq!(seen, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn an_invalid_value_is_named_and_no_secret_is_quoted() {
        let all = errors(&[
            ("AWS_ACCESS_KEY_ID", "hunter2 hunter2"),
            ("AWS_SESSION_TOKEN", "hunter2\u{1}"),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "hunter2\nhunter2"),
            ("AWS_EXECUTION_ENV", "a\u{1b}b"),
            ("AWS_REGION", "eu west 1"),
            ("AWS_DEFAULT_REGION", "…"),
            ("AWS_ENDPOINT_URL", "nonsense"),
            ("AWS_ENDPOINT_URL_EC2", "localhost:4566"),
            ("AWS_ENDPOINT_URL_ECS", "http://"),
            ("AWS_ENDPOINT_URL_S3", "nobody reads this"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "ftp://host"),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "credentials"),
            ("AWS_USE_FIPS_ENDPOINT", "yes"),
            ("AWS_SDK_UA_APP_ID", "an app"),
            ("HTTPS_PROXY", "http://user:hunter2@proxy:3128 "),
            ("ALL_PROXY", "gopher://proxy"),
            ("NO_PROXY", ""),
            ("no_proxy", "localhost"),
            ("SSL_CERT_FILE", ""),
        ]);
        assert!(!all.contains("hunter2"), "{all}");
        assert_snapshot!(all, @r#"
        ALL_PROXY: the value is not the URL of a proxy such as http://HOST:3128; correct it, or unset it
        AWS_ACCESS_KEY_ID: there is white space or a character in the value that AWS never uses there; copy it again
        AWS_CONTAINER_AUTHORIZATION_TOKEN: there is a control character in the value; set it again, or unset it
        AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: the value is not a path such as /v2/credentials/ID; ECS sets the variable, leave it as it is
        AWS_DEFAULT_REGION: "…" is not a region; it looks like eu-west-1
        AWS_EC2_METADATA_SERVICE_ENDPOINT: the value is not a URL such as https://HOST; correct it, or unset it
        AWS_ENDPOINT_URL: the value is not a URL such as https://HOST; correct it, or unset it
        AWS_ENDPOINT_URL_EC2: the value is not a URL such as https://HOST; correct it, or unset it
        AWS_ENDPOINT_URL_ECS: the value is not a URL such as https://HOST; correct it, or unset it
        AWS_REGION: "eu west 1" is not a region; it looks like eu-west-1
        AWS_SDK_UA_APP_ID: the value is not a name of letters, digits and !#$%&'*+-.^_`|~; choose another, or unset it
        AWS_SESSION_TOKEN: there is white space or a character in the value that AWS never uses there; copy it again
        AWS_USE_FIPS_ENDPOINT: the value is neither true nor false; correct it, or unset it
        HTTPS_PROXY: the value is not the URL of a proxy such as http://HOST:3128; correct it, or unset it
        AWS_EXECUTION_ENV: there is a control character in the value; set it again, or unset it
        NO_PROXY: it is empty, and hides no_proxy; unset it, or set both alike
        SSL_CERT_FILE: it is empty; unset it, or name a file of certificate authorities
        "#);
    }

    #[test]
    fn usual_values_are_valid() {
        let usual = [
            ("AWS_ACCESS_KEY_ID", "ASIAIOSFODNN7EXAMPLE"),
            ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luX2VjEHo//+=="),
            ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Basic dXNlcg=="),
            ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/6e4d0b7a-1f5c"),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials"),
            ("AWS_ENDPOINT_URL", "http://[::1]:4566"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254/"),
            ("AWS_USE_FIPS_ENDPOINT", "True"),
            ("AWS_EXECUTION_ENV", "AWS_ECS_FARGATE"),
            ("AWS_REGION", "us-gov-west-1"),
            ("HTTPS_PROXY", "proxy:3128"),
            ("https_proxy", "http://user:word@proxy:3128/"),
            ("ALL_PROXY", "socks5h://proxy:1080"),
            ("NO_PROXY", "169.254.169.254,.internal, 10.0.0.0/8"),
        ];
        assert_eq!(errors(&usual), "");
    }

    #[test]
    fn a_value_of_aws_that_is_not_utf_8_is_named() {
        let name = |name: &str| OsString::from(name);
        let value = || OsString::from_vec(b"hunter2\xff".to_vec());
        let all = Environment::new([(name("AWS_SECRET_ACCESS_KEY"), value()), (name("LESS"), value())]);
        let all = all.err().map_or_else(String::new, |all| all.to_string());
        assert_eq!(all, "AWS_SECRET_ACCESS_KEY: the value is not UTF-8; set it again, or unset it");
    }

    #[test]
    fn a_file_without_certificate_authorities_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("empty.pem"), "").unwrap();
        let file = |path: &str| {
            errors(&[("SSL_CERT_FILE", path)]).replace(directory.path().to_str().unwrap(), "DIR")
        };
        assert_snapshot!(file(&path("missing.pem")), @"SSL_CERT_FILE: DIR/missing.pem cannot be read: No such file or directory (os error 2); name a file of certificate authorities, or unset it");
        assert_snapshot!(file(&path("empty.pem")), @"SSL_CERT_FILE: there is no certificate in DIR/empty.pem; name a file of certificate authorities, or unset it");
        assert_snapshot!(file(&path("")), @"SSL_CERT_FILE: DIR/ is not a file; name a file of certificate authorities, or unset it");
        let authority = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/http/certificates/authority.pem");
        assert_eq!(file(authority), "");
        assert_eq!(errors(&[("SSL_CERT_FILE", ""), ("SSL_CERT_DIR", "/etc/ssl/certs")]), "");
    }
}
