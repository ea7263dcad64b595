//! Errors in the form of the service that gives them, and the usual ones ready made for fault injection.

use super::{request_id, sqs, with_request_id, xml};
use crate::call::Call;
use crate::http::Response;
use crate::wire::json;

/// An error answer, still without the form of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: u16,
    code: String,
    message: String,
}

impl Refusal {
    pub(crate) fn new(status: u16, code: &str, message: &str) -> Self {
        Self { status, code: code.to_owned(), message: message.to_owned() }
    }

    /// `InvalidParameterException`, ECS's answer to most mistakes.
    pub(crate) fn invalid_parameter(message: &str) -> Self {
        Self::new(400, "InvalidParameterException", message)
    }

    /// The error as the call's service writes it.
    pub(crate) fn response(&self, call: &Call) -> Response {
        let Self { status, code, message } = self;
        let response = match call.service {
            "ec2" => {
                let error =
                    xml::element("Error", &(xml::text("Code", code) + &xml::text("Message", message)));
                let id = xml::text("RequestID", &request_id(call));
                let body = xml::element("Response", &(xml::element("Errors", &error) + &id));
                Response::xml(*status, format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{body}"))
            }
            "sts" => {
                let kind = if *status < 500 { "Sender" } else { "Receiver" };
                let error =
                    xml::text("Type", kind) + &xml::text("Code", code) + &xml::text("Message", message);
                let body = xml::element("Error", &error) + &xml::text("RequestId", &request_id(call));
                Response::xml(
                    *status,
                    format!("<ErrorResponse xmlns=\"{}\">{body}</ErrorResponse>", xml::STS),
                )
            }
            "sqs" => sqs::error(*status, code, message),
            _ => {
                let mut body = String::new();
                json::object(&mut body, |error| {
                    error.text("__type", code);
                    error.text("message", message);
                });
                let mut response = Response::json(*status, body);
                response.headers.insert("x-amzn-errortype".to_owned(), code.clone());
                response
            }
        };
        with_request_id(call, response)
    }
}

/// A request without credentials.
pub(crate) fn unsigned(service: &str) -> Refusal {
    match service {
        "ec2" | "sts" => {
            Refusal::new(403, "MissingAuthenticationToken", "Request is missing Authentication Token")
        }
        "sqs" => Refusal::new(403, "MissingAuthenticationTokenException", "Missing Authentication Token"),
        _ => Refusal::new(400, "MissingAuthenticationTokenException", "Missing Authentication Token"),
    }
}

/// A request whose access key belongs to no account.
pub(crate) fn unknown_key(service: &str) -> Refusal {
    let message = "The security token included in the request is invalid.";
    match service {
        "ec2" => {
            Refusal::new(401, "AuthFailure", "AWS was not able to validate the provided access credentials")
        }
        "sts" => Refusal::new(403, "InvalidClientTokenId", message),
        "sqs" => Refusal::new(403, "UnrecognizedClientException", message),
        _ => Refusal::new(400, "UnrecognizedClientException", message),
    }
}

/// A session's credentials that have expired.
pub(crate) fn expired(service: &str) -> Refusal {
    let message = "The security token included in the request is expired";
    match service {
        "ec2" => Refusal::new(400, "RequestExpired", "Request has expired."),
        "sts" => Refusal::new(403, "ExpiredToken", message),
        "sqs" => Refusal::new(403, "ExpiredTokenException", message),
        _ => Refusal::new(400, "ExpiredTokenException", message),
    }
}

/// A request that was signed too early or too late by AWS's clock.
pub(crate) fn wrong_time(service: &str) -> Refusal {
    let message = "Signature expired: it is now outside of 5 min. of the time of this request.";
    match service {
        "ec2" => unknown_key(service),
        "sts" => Refusal::new(403, "SignatureDoesNotMatch", message),
        "sqs" => Refusal::new(403, "InvalidSignatureException", message),
        _ => Refusal::new(400, "InvalidSignatureException", message),
    }
}

/// An operation that the service lacks.
pub(crate) fn unknown_operation(call: &Call) -> Refusal {
    match call.service {
        "ec2" | "sts" => {
            let message = format!("The action {} is not valid for this web service.", call.operation);
            Refusal::new(400, "InvalidAction", &message)
        }
        _ => Refusal::new(400, "UnknownOperationException", ""),
    }
}

/// Errors to inject, each under the code, message and status that the call's service uses for it.
impl Response {
    /// Any error, in the form of the call's service.
    pub fn refused(call: &Call, status: u16, code: &str, message: &str) -> Self {
        Refusal::new(status, code, message).response(call)
    }

    /// Too many requests.
    pub fn throttled(call: &Call) -> Self {
        match call.service {
            "ec2" => Self::refused(call, 503, "RequestLimitExceeded", "Request limit exceeded."),
            "sts" => Self::refused(call, 400, "Throttling", "Rate exceeded"),
            "sqs" => Self::refused(
                call,
                400,
                "RequestThrottled",
                "The request was denied due to request throttling.",
            ),
            _ => Self::refused(call, 400, "ThrottlingException", "Rate exceeded"),
        }
    }

    /// The caller lacks a permission.
    pub fn denied(call: &Call) -> Self {
        let message = format!(
            "User: arn:aws:iam::{}:user/prometheus is not authorized to perform: {}:{}",
            call.account, call.service, call.operation
        );
        match call.service {
            "ec2" => {
                let message = "You are not authorized to perform this operation.";
                Self::refused(call, 403, "UnauthorizedOperation", message)
            }
            "sts" => Self::refused(call, 403, "AccessDenied", &message),
            "sqs" => Self::refused(call, 403, "AccessDeniedException", &message),
            _ => Self::refused(call, 400, "AccessDeniedException", &message),
        }
    }

    /// The session's credentials have expired.
    pub fn expired(call: &Call) -> Self {
        expired(call.service).response(call)
    }

    /// The region is not enabled for the caller's account, so that it knows no key of it.
    pub fn not_enabled(call: &Call) -> Self {
        unknown_key(call.service).response(call)
    }

    /// A fault within AWS: 500.
    pub fn server_error(call: &Call) -> Self {
        let message = "An internal error has occurred";
        match call.service {
            "ecs" => Self::refused(call, 500, "ServerException", message),
            "ec2" => Self::refused(call, 500, "InternalError", message),
            "ssm" => Self::refused(call, 500, "InternalServerError", message),
            _ => Self::refused(call, 500, "InternalFailure", message),
        }
    }

    /// A part of AWS that is away for the moment: 503.
    pub fn unavailable(call: &Call) -> Self {
        let message = "The service is unavailable. Please try again shortly.";
        match call.service {
            "ec2" => Self::refused(call, 503, "Unavailable", message),
            "sts" => Self::refused(call, 503, "ServiceUnavailable", message),
            _ => Self::refused(call, 503, "ServiceUnavailableException", message),
        }
    }
}
