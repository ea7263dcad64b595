//! Checks the host that a request names, and the web page that it comes from.
//!
//! A browser sends requests for every page that it shows. A page cannot read the answers of another host, but it can
//! resolve its own name to this machine (DNS rebinding): then `Host` has that name. And it can send a `POST` without
//! reading the answer: then `Origin` has its name. Other programs than browsers can send any header, so this is not
//! authentication.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::Request;
use axum::http::uri::{Authority, Uri};
use axum::http::{StatusCode, Version, header};

/// The status and the text of a request that is refused.
pub(super) type Refusal = (StatusCode, &'static str);

const WITHOUT_HOST: Refusal = (StatusCode::BAD_REQUEST, "a request must name exactly one host\n");
const MISDIRECTED: Refusal = (
    StatusCode::MISDIRECTED_REQUEST,
    "this host name is not served; if it is one of this server's, add it with --allowed-host\n",
);
const CROSS_ORIGIN: Refusal =
    (StatusCode::FORBIDDEN, "requests from pages of other hosts are not allowed; see --allowed-host\n");

/// The names of this server.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts {
    /// The names of `--allowed-host`.
    allowed: BTreeSet<String>,
    /// The name in `--listen-address`.
    listened: Option<String>,
    /// Whether only this machine can reach the listener.
    is_loopback: bool,
}

impl Hosts {
    /// The names of `--allowed-host`, in lower case.
    pub(super) fn allowing(allowed: BTreeSet<String>) -> Self {
        Self { allowed, ..Self::default() }
    }

    /// For a listener at `address`, which was configured as `HOST:PORT`.
    pub(super) fn at(&self, named: &str, address: IpAddr) -> Self {
        let host = named.rsplit_once(':').map_or(named, |(host, _)| host);
        let listened = (!host.is_empty()).then(|| normal(host));
        Self { allowed: self.allowed.clone(), listened, is_loopback: address.to_canonical().is_loopback() }
    }

    /// Refuses a request that a foreign page may have made. A browser has no password for a foreign name, so the name
    /// is checked only if `is_open` says that none is required.
    pub(super) fn check(&self, request: &Request, is_open: bool) -> Result<(), Refusal> {
        let host = host(request)?;
        // At other addresses the server does not know its names, unless they are configured.
        let is_checked = is_open && (self.is_loopback || !self.allowed.is_empty());
        if is_checked && host.as_ref().is_some_and(|host| !self.is_own(host)) {
            return Err(MISDIRECTED);
        }
        if !request.method().is_safe() && self.is_cross_origin(request, host.as_ref()) {
            return Err(CROSS_ORIGIN);
        }
        Ok(())
    }

    /// An IP address is not a name, so DNS cannot redirect it.
    fn is_own(&self, host: &Host) -> bool {
        let name = &host.name;
        is_address(name)
            || name == "localhost"
            || self.listened.as_ref() == Some(name)
            || self.allowed.contains(name)
    }

    fn is_cross_origin(&self, request: &Request, host: Option<&Host>) -> bool {
        let text = |name| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
        let site = text("sec-fetch-site");
        if site == Some("cross-site") {
            return true;
        }
        match text(header::ORIGIN.as_str()) {
            // `null` stands for an origin that the browser hides.
            Some(origin) => !self.is_own_origin(origin, host),
            None => site.is_some_and(|site| !matches!(site, "same-origin" | "none")),
        }
    }

    /// Whether an origin is the host that the request names, or an allowed host.
    fn is_own_origin(&self, origin: &str, host: Option<&Host>) -> bool {
        let Ok(uri) = origin.parse::<Uri>() else { return false };
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return false };
        let usual = if scheme == "https" { 443 } else { 80 };
        let origin = Host::of(authority);
        let port = |host: &Host| host.port.unwrap_or(usual);
        self.allowed.contains(&origin.name)
            || host.is_some_and(|host| host.name == origin.name && port(host) == port(&origin))
    }
}

/// The host that a request is for.
#[derive(Debug)]
struct Host {
    name: String,
    port: Option<u16>,
}

impl Host {
    fn of(authority: &Authority) -> Self {
        Self { name: normal(authority.host()), port: authority.port_u16() }
    }
}

/// RFC 9112, section 3.2: exactly one `Host`, which HTTP/1.0 may omit; a host in the request target takes precedence.
fn host(request: &Request) -> Result<Option<Host>, Refusal> {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let (first, second) = (hosts.next(), hosts.next());
    let host = match (first, second) {
        (None, _) if request.version() >= Version::HTTP_11 => return Err(WITHOUT_HOST),
        (_, Some(_)) => return Err(WITHOUT_HOST),
        (None, None) => None,
        // An empty `Host` is valid.
        (Some(host), None) if host.is_empty() => Some(Host { name: String::new(), port: None }),
        (Some(host), None) => {
            let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
            let authority = authority.filter(|authority| !authority.as_str().contains('@'));
            Some(Host::of(&authority.ok_or(WITHOUT_HOST)?))
        }
    };
    Ok(request.uri().authority().map(Host::of).or(host))
}

/// One spelling for each name: `LOCALHOST.` is `localhost`.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn is_address(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.map_or_else(|| host.parse::<Ipv4Addr>().is_ok(), |host| host.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn hosts(named: &str, address: &str, allowed: &[&str]) -> Hosts {
        Hosts::allowing(allowed.iter().map(|host| (*host).to_owned()).collect())
            .at(named, address.parse().unwrap())
    }

    fn status(hosts: &Hosts, method: &str, target: &str, headers: &[(&str, &str)]) -> u16 {
        let request =
            headers.iter().fold(Request::builder().method(method).uri(target), |request, header| {
                request.header(header.0, header.1)
            });
        let checked = hosts.check(&request.body(Body::empty()).unwrap(), true);
        checked.err().map_or(200, |(status, _)| status.as_u16())
    }

    #[test]
    fn a_loopback_listener_serves_its_own_names_and_addresses() {
        let hosts = hosts("Discovery.internal:9779", "127.0.0.1", &["sd.example.org"]);
        for own in [
            "localhost",
            "LocalHost:9779",
            "localhost.",
            "127.0.0.1:9779",
            "10.1.2.3",
            "[::1]:9779",
            "discovery.internal",
            "sd.example.org:443",
            "SD.example.org.",
        ] {
            assert_eq!(status(&hosts, "GET", "/sd", &[("host", own)]), 200, "{own}");
            assert_eq!(status(&hosts, "GET", &format!("http://{own}/sd"), &[("host", "x")]), 200, "{own}");
        }
        for foreign in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "0x7f000001",
            "sub.sd.example.org",
            "[evil]",
            "",
        ] {
            assert_eq!(status(&hosts, "GET", "/sd", &[("host", foreign)]), 421, "{foreign}");
        }
        assert_eq!(status(&hosts, "GET", "http://evil.example/sd", &[("host", "localhost")]), 421);
    }

    #[test]
    fn other_listeners_serve_every_name_unless_some_are_allowed() {
        let headers = [("host", "evil.example")];
        assert_eq!(status(&hosts(":9779", "::", &[]), "GET", "/sd", &headers), 200);
        assert_eq!(status(&hosts("10.1.2.3:9779", "10.1.2.3", &[]), "GET", "/sd", &headers), 200);
        assert_eq!(
            status(&hosts("[::ffff:127.0.0.1]:1", "::ffff:127.0.0.1", &[]), "GET", "/sd", &headers),
            421
        );
        let told = hosts(":9779", "::", &["sd.example.org"]);
        assert_eq!(status(&told, "GET", "/sd", &headers), 421);
        assert_eq!(status(&told, "GET", "/sd", &[("host", "sd.example.org")]), 200);
        assert_eq!(status(&told, "GET", "/sd", &[("host", "10.1.2.3")]), 200);
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts = hosts("127.0.0.1:9779", "127.0.0.1", &[]);
        assert_eq!(status(&hosts, "GET", "/sd", &[]), 400);
        assert_eq!(status(&hosts, "GET", "/sd", &[("host", "localhost"), ("host", "localhost")]), 400);
        for wrong in ["a b", "user@localhost", "localhost/", "http://localhost", "a:b:c"] {
            assert_eq!(status(&hosts, "GET", "/sd", &[("host", wrong)]), 400, "{wrong}");
        }
        let old = Request::builder().uri("/sd").version(Version::HTTP_10).body(Body::empty()).unwrap();
        assert!(hosts.check(&old, true).is_ok());
    }

    #[test]
    fn a_page_of_another_origin_may_read_but_not_act() {
        let open = hosts(":9779", "::", &[]);
        let told = hosts(":9779", "::", &["sd.example.org"]);
        let check = |hosts: &Hosts, host: &str, headers: &[(&str, &str)]| {
            let headers = [&[("host", host)], headers].concat();
            assert_eq!(status(hosts, "GET", "/sd", &headers), 200, "{headers:?}");
            let statuses =
                ["POST", "PUT", "DELETE"].map(|method| status(hosts, method, "/-/reload", &headers));
            assert!(statuses.iter().all(|status| *status == statuses[0]), "{headers:?}: {statuses:?}");
            statuses[0]
        };
        for own in [
            &[][..],
            &[("origin", "http://localhost:9779")],
            &[("origin", "http://localhost:9779"), ("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none")],
        ] {
            assert_eq!(check(&open, "LOCALHOST:9779", own), 200, "{own:?}");
        }
        for foreign in [
            &[("origin", "http://evil.example")][..],
            &[("origin", "http://localhost:3000")],
            &[("origin", "http://localhost")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "localhost:9779")],
            &[("origin", "http://localhost:9779"), ("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
        ] {
            assert_eq!(check(&open, "localhost:9779", foreign), 403, "{foreign:?}");
        }
        // Behind a proxy.
        let public = [("origin", "https://sd.example.org")];
        assert_eq!(check(&open, "sd.example.org", &public), 200);
        assert_eq!(check(&open, "sd.example.org:443", &public), 200);
        assert_eq!(check(&open, "10.1.2.3:9779", &public), 403);
        assert_eq!(check(&told, "10.1.2.3:9779", &public), 200);
    }
}
