//! The HTTP messages that the simulated AWS takes and gives, reduced to what its wire formats need, and the ways in
//! which an answer can break on its way.

use std::collections::BTreeMap;

/// A request. Path and query are ignored: none of the services uses them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// `POST`.
    pub method: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The whole body.
    pub body: Vec<u8>,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    /// The whole body.
    pub body: Vec<u8>,
    /// How it travels.
    pub delivery: Delivery,
}

/// How an answer travels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    /// As it is.
    #[default]
    Whole,
    /// The connection breaks within the body.
    Reset,
    /// It never ends: over the connector nothing comes at all, over HTTP half of the body.
    Stalled,
    /// There is no connection. Over HTTP, where one exists already, the body breaks at its first byte.
    Refused,
}

impl Request {
    /// A POST with this body and without headers.
    pub fn post(body: impl Into<Vec<u8>>) -> Self {
        Self { method: "POST".to_owned(), headers: BTreeMap::new(), body: body.into() }
    }

    /// Sets a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_ascii_lowercase(), value.to_owned());
        self
    }

    /// Signs it as far as the simulated AWS looks: the access key, region and service.
    pub fn signed(self, access_key: &str, region: &str, service: &str) -> Self {
        let scope = format!("{access_key}/20260101/{region}/{service}/aws4_request");
        self.header(
            "authorization",
            &format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=00"),
        )
    }
}

impl Response {
    /// An answer of JSON services.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::of(status, "application/x-amz-json-1.1", body.into())
    }

    /// An answer of Query services.
    pub fn xml(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::of(status, "text/xml;charset=UTF-8", body.into())
    }

    /// A page for people.
    pub fn html(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::of(status, "text/html", body.into())
    }

    /// No answer at all: the connection is refused.
    pub fn connection_refused() -> Self {
        Self { delivery: Delivery::Refused, ..Self::of(200, "text/plain", Vec::new()) }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    fn of(status: u16, content_type: &str, body: Vec<u8>) -> Self {
        let headers = [("content-type".to_owned(), content_type.to_owned())].into();
        Self { status, headers, body, delivery: Delivery::Whole }
    }
}
