//! How answers reach a caller: over the connector, over HTTP, broken, or replaced by faults.

use std::time::Duration;

use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnector, HttpConnectorSettings};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use ecs_simulator::{Aws, Delivery, Outcome, Response, World};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::{ecs, json_request, read};

const TARGET: &str = "AmazonEC2ContainerServiceV20141113.ListClusters";

/// Sends ListClusters through the connector, with a read timeout of ten seconds.
async fn send(aws: &Aws) -> Result<HttpResponse, ConnectorError> {
    let signed = json_request(TARGET, &json!({}));
    let mut request = HttpRequest::new(signed.body.into());
    request.set_method("POST").unwrap();
    for (name, value) in signed.headers {
        request.headers_mut().append(name, value);
    }
    let settings = HttpConnectorSettings::builder().read_timeout(Duration::from_secs(10)).build();
    let components = RuntimeComponentsBuilder::for_tests().build().unwrap();
    aws.connector().http_connector(&settings, &components).call(request).await
}

#[tokio::test(start_paused = true)]
async fn the_connector_answers_after_the_latency() {
    let aws = Aws::new(World::new(1));
    aws.set_latency(Duration::from_millis(80));
    let before = tokio::time::Instant::now();
    let response = send(&aws).await.unwrap();
    assert_eq!(response.body().bytes(), Some(&b"{\"clusterArns\":[]}"[..]));
    assert_eq!(before.elapsed(), Duration::from_millis(80));
}

#[tokio::test(start_paused = true)]
async fn broken_deliveries_are_the_connectors_errors() {
    let aws = Aws::new(World::new(1));
    aws.on_answer(|_, response| response.delivery = Delivery::Stalled);
    assert!(send(&aws).await.unwrap_err().is_timeout());
    aws.on_answer(|_, response| response.delivery = Delivery::Refused);
    assert!(send(&aws).await.unwrap_err().is_io());
    aws.on_answer(|_, response| response.delivery = Delivery::Reset);
    let reset = send(&aws).await.unwrap();
    assert!(reset.status().is_success() && reset.body().bytes().is_none());
    aws.heal();
    assert!(send(&aws).await.unwrap().status().is_success());
    assert_eq!(aws.calls().to_string(), "ecs ListClusters 4, 3 refused\n");
}

#[tokio::test]
async fn the_same_is_served_over_http() {
    let aws = Aws::new(World::new(1));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(aws.clone().serve(listener));
    let request = json_request(TARGET, &json!({}));
    let mut text =
        format!("POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: 2\r\n");
    for (name, value) in &request.headers {
        text += &format!("{name}: {value}\r\n");
    }
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("{text}\r\n{{}}").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("{\"clusterArns\":[]}"),
        "{answer}"
    );
    server.abort();
}

#[test]
fn a_fault_answers_instead_of_the_world_and_is_written_down() {
    let aws = Aws::new(World::new(1));
    let shared = aws.clone();
    aws.on_call(move |call| {
        let accounts = shared.change(|world| world.accounts.len());
        (accounts == 1 && call.operation == "ListTasks").then(|| Response::throttled(call))
    });
    assert_eq!(ecs(&aws, "ListTasks", json!({})).1["__type"], "ThrottlingException");
    assert_eq!(ecs(&aws, "ListClusters", json!({})).0, 200);
    let calls = aws.take_calls();
    assert_eq!(calls[0].outcome, Outcome::Refused("ThrottlingException".to_owned()));
    assert_eq!(calls[1].outcome, Outcome::Answered);
}

#[test]
fn injected_errors_have_the_services_own_codes() {
    let aws = Aws::new(World::new(1));
    let codes = |error: fn(&ecs_simulator::Call) -> Response| {
        aws.on_call(move |call| Some(error(call)));
        let response = aws.answer(&json_request(TARGET, &json!({})));
        let ec2 = aws.answer(&crate::query_request("ec2", "Action=DescribeInstances"));
        let code = crate::element(&ec2.text(), "Code").unwrap().to_owned();
        format!(
            "{} {}, {} {code}",
            response.status,
            read(&response).1["__type"].as_str().unwrap(),
            ec2.status
        )
    };
    assert_eq!(codes(Response::throttled), "400 ThrottlingException, 503 RequestLimitExceeded");
    assert_eq!(codes(Response::denied), "400 AccessDeniedException, 403 UnauthorizedOperation");
    assert_eq!(codes(Response::expired), "400 ExpiredTokenException, 400 RequestExpired");
    assert_eq!(codes(Response::server_error), "500 ServerException, 500 InternalError");
    assert_eq!(codes(Response::unavailable), "503 ServiceUnavailableException, 503 Unavailable");
}
