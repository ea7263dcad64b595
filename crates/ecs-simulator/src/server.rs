//! The simulated AWS over HTTP on a loopback address, for programs that are told of it by `AWS_ENDPOINT_URL`.

use std::io;
use std::net::Ipv4Addr;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use futures_util::StreamExt;
use futures_util::stream;
use tokio::net::TcpListener;

use crate::aws::Aws;
use crate::http::{Delivery, Request, Response};

impl Aws {
    /// Answers over HTTP until dropped.
    ///
    /// # Errors
    /// Those of the listener.
    pub async fn serve(self, listener: TcpListener) -> io::Result<()> {
        axum::serve(listener, Router::new().fallback(respond).with_state(self)).await
    }

    /// Answers over HTTP from a thread of its own for as long as this process lives; returns the URL.
    ///
    /// # Errors
    /// When no loopback port, runtime or thread can be had.
    pub fn serve_on_loopback(self) -> io::Result<String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let url = format!("http://{}", listener.local_addr()?);
        std::thread::Builder::new().spawn(move || runtime.block_on(self.serve(listener)))?;
        Ok(url)
    }
}

async fn respond(
    State(aws): State<Aws>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let headers =
        headers.iter().filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())));
    let request = Request { method: method.to_string(), headers: headers.collect(), body: body.to_vec() };
    tokio::time::sleep(aws.latency()).await;
    write(aws.answer_in_time(&request).await)
}

fn write(response: Response) -> axum::response::Response {
    let Response { status, headers, body, delivery } = response;
    let half = Bytes::copy_from_slice(&body[..body.len() / 2]);
    let broken = || Err(io::Error::from(io::ErrorKind::ConnectionReset));
    let body = match delivery {
        Delivery::Whole => Body::from(body),
        Delivery::Reset => Body::from_stream(stream::iter([Ok(half), broken()])),
        Delivery::Stalled => {
            Body::from_stream(stream::iter([Ok::<_, io::Error>(half)]).chain(stream::pending()))
        }
        Delivery::Refused => Body::from_stream(stream::iter([broken() as io::Result<Bytes>])),
    };
    let mut answer = axum::response::Response::new(body);
    *answer.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            answer.headers_mut().append(name, value);
        }
    }
    answer
}
