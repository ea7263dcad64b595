//! The simulated AWS as the HTTP client of an AWS SDK, below its retries, signing and time limits. It honours the read
//! timeout as a client of real connections does; connecting takes no time.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;

use crate::aws::Aws;
use crate::http::{Delivery, Request, Response};

impl Aws {
    /// This AWS as an SDK's HTTP client.
    pub fn connector(&self) -> SharedHttpClient {
        SharedHttpClient::new(Client { aws: self.clone() })
    }
}

#[derive(Debug)]
struct Client {
    aws: Aws,
}

impl HttpClient for Client {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector { aws: self.aws.clone(), read_timeout: settings.read_timeout() })
    }
}

#[derive(Debug)]
struct Connector {
    aws: Aws,
    read_timeout: Option<Duration>,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (aws, read_timeout) = (self.aws.clone(), self.read_timeout);
        HttpConnectorFuture::new(async move {
            let answered = deliver(aws, request);
            match read_timeout {
                None => answered.await,
                Some(limit) => tokio::time::timeout(limit, answered)
                    .await
                    .unwrap_or_else(|elapsed| Err(ConnectorError::timeout(elapsed.into()))),
            }
        })
    }
}

async fn deliver(aws: Aws, request: HttpRequest) -> Result<HttpResponse, ConnectorError> {
    let request = read(&request)?;
    tokio::time::sleep(aws.latency()).await;
    let response = aws.answer_in_time(&request).await;
    match response.delivery {
        Delivery::Whole => write(response),
        // A body that was taken fails when it is read, as one does whose connection broke.
        Delivery::Reset => write(Response { body: Vec::new(), ..response })
            .map(|response| response.map(|_| SdkBody::taken())),
        Delivery::Stalled => std::future::pending().await,
        Delivery::Refused => {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Err(ConnectorError::io(refused.into()))
        }
    }
}

fn read(request: &HttpRequest) -> Result<Request, ConnectorError> {
    let body = request.body().bytes();
    let body = body
        .ok_or_else(|| ConnectorError::user("a streamed request body is none of these services'".into()))?;
    let headers = request.headers().iter();
    Ok(Request {
        method: request.method().to_owned(),
        headers: headers.map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned())).collect(),
        body: body.to_vec(),
    })
}

fn write(response: Response) -> Result<HttpResponse, ConnectorError> {
    let status = StatusCode::try_from(response.status).map_err(|error| ConnectorError::user(error.into()))?;
    let mut answer = HttpResponse::new(status, SdkBody::from(response.body));
    for (name, value) in response.headers {
        answer.headers_mut().try_append(name, value).map_err(|error| ConnectorError::user(error.into()))?;
    }
    Ok(answer)
}
