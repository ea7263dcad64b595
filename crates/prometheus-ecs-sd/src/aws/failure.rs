//! Failures of calls: a kind for the caller, and a message for people.
//!
//! The body of an error response is parsed once, when it arrives ([`Refusal`]); the response carries the result.
//!
//! A message is one line that names the operation, AWS's code and message, or the causes of a broken
//! connection from the outside in. It never contains a credential: only the first line of a message
//! of AWS is used, since for a wrong signature AWS quotes the whole request, session token included.

use std::error::Error;
use std::fmt;
use std::iter::successors;

use aws_config::meta::ProviderChainError;
use aws_credential_types::provider::error::CredentialsError;
use aws_runtime::retries::classifiers::THROTTLING_ERRORS;
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use ecs_discovery::arn::RoleArn;
use ecs_discovery::failure::{Failure, FailureKind};

use super::call::DESCRIBE_TASK_DEFINITION;
use super::chain::MissingProfile;
use super::error_document;

/// The length limit of a message: AWS's sentences and a chain of causes fit, a proxy's page does not.
const MESSAGE_LIMIT: usize = 400;

/// EC2 appends kilobytes for `sts:DecodeAuthorizationMessage` to a denial. They differ each time, so that a lasting
/// failure would look like a new one at every refresh.
const ENCODED: &str = "Encoded authorization failure message:";

/// The SDK's text before the standard error of `credential_process`.
const STANDARD_ERROR: &str = ". Stderr:";

/// The SDK's text before a quoted request, with the token in its headers.
const QUOTED_REQUEST: &str = " to request `Request";

/// Replaces the standard error, which may contain secrets.
const NOT_SHOWN: &str = "; run it manually to see its output, which may be secret and is not shown here";

/// The SDK's error for a profile with `login_session`: its build lacks this feature.
const LOGIN: &str = "`credentials-login`";
const NO_LOGIN: &str = "a profile with login_session is not supported; use a profile with credential_process = \
     aws configure export-credentials --profile NAME";

/// The common parts of the SDK's errors about a token of IAM Identity Center, or about its file.
const SSO_TOKEN: [&str; 2] = ["SSO token", "/sso/cache/"];
const HOW_TO_GET_A_TOKEN: &str = "; run aws sso login";

/// Errors of the SDK and its connector whose cause says more.
const EMPTY_WORDS: [&str; 9] = [
    "an error occurred while loading credentials",
    "dispatch failure",
    "failed to construct request",
    "io error",
    "other",
    "request has timed out",
    "response error",
    "service error",
    "streaming error",
];

/// The header in which the JSON protocols repeat the code of an error. Some answers have it only there.
const ERROR_TYPE: &str = "x-amzn-errortype";

/// Where SQS repeats the code that its errors had in an earlier protocol, as `CODE;FAULT`.
const QUERY_ERROR: &str = "x-amzn-query-error";

/// There is no such queue, in that protocol.
const NO_QUEUE: &str = "AWS.SimpleQueueService.NonExistentQueue";

/// AWS does not know the access key or the token, or there is none.
const BAD_CREDENTIALS: [&str; 8] = [
    "AuthFailure",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidToken",
    "MissingAuthenticationToken",
    "MissingAuthenticationTokenException",
    "RequestExpired",
    "UnrecognizedClientException",
];

/// The SDK's names of two providers, and how their errors begin if a profile names another that is in no file, and if the
/// instance metadata service does not answer. (A missing role is another error.)
const PROFILE: &str = "Profile";
const UNDEFINED: &str = "was not defined";
const INSTANCE: &str = "Ec2InstanceMetadata";
const NO_METADATA: &str = "could not communicate with IMDS";

/// With a limit of one hop, answers do not reach a container.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-IMDS-new-instances.html>
const HOP_LIMIT: &str = "the instance metadata service does not answer; for a container on EC2, set the instance's \
     hop limit (HttpPutResponseHopLimit) to 2";

const HOW_TO_GET_CREDENTIALS: &str = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, \
     or run with a task role or an instance role";

/// An error response of AWS, with code and message if the body has them.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) kind: FailureKind,
    status: u16,
    error: ErrorMetadata,
}

impl Refusal {
    /// Parses a response to this operation; `None` if it is not an error.
    pub(super) fn parse(operation: &str, response: &HttpResponse) -> Option<Self> {
        if response.status().is_success() {
            return None;
        }
        let status = response.status().as_u16();
        let error = error_document::error(
            response.body().bytes().unwrap_or_default(),
            response.headers().get(ERROR_TYPE),
        );
        let query = response.headers().get(QUERY_ERROR).and_then(|value| value.split(';').next());
        let kind = match query {
            Some(NO_QUEUE) => FailureKind::NotFound,
            _ => kind(operation, &error, status),
        };
        Some(Self { kind, status, error })
    }

    /// Whether AWS does not accept the credentials or the signature. (A server error says nothing about them.)
    pub(super) fn is_of_credentials(&self) -> bool {
        self.kind == FailureKind::NoCredentials && self.is_of_client()
    }

    /// Whether the request is the cause, and not the server.
    pub(super) fn is_of_client(&self) -> bool {
        (400..500).contains(&self.status)
    }

    fn failure(&self, operation: &str) -> Failure {
        let Self { kind, status, error } = self;
        let mut message = format!("{operation}: ");
        match error.code() {
            Some(code) => message.push_str(&first_line(code)),
            None => message.push_str(&format!("HTTP status {status}")),
        }
        // Messages about a signature quote the signed request.
        let quotes = error.code().is_some_and(|code| code.contains("Signature"));
        if let Some(text) = error.message().map(first_line).filter(|text| !text.is_empty() && !quotes) {
            message.push_str(": ");
            message.push_str(&text);
        }
        if *kind == FailureKind::NoCredentials {
            message.push_str(&format!(
                " (wrong or expired credentials, or a wrong clock: {HOW_TO_GET_CREDENTIALS})"
            ));
        }
        Failure { kind: *kind, message }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for Refusal {}

impl ProvideErrorMetadata for Refusal {
    fn meta(&self) -> &ErrorMetadata {
        &self.error
    }
}

/// The failure for an error of the SDK; `role` is the role whose credentials were used.
pub(super) fn failure<E: Error + 'static>(
    operation: &str,
    role: Option<&RoleArn>,
    error: &SdkError<E, HttpResponse>,
) -> Failure {
    if let Some(response) = error.raw_response() {
        // Requests for the base credentials do not pass through `rate_limited`.
        let parsed = || Refusal::parse(operation, response);
        return match response.extension::<Refusal>().cloned().or_else(parsed) {
            Some(refusal) => refusal.failure(operation),
            None => unreadable(operation, &causes(error)),
        };
    }
    match cause::<CredentialsError>(error) {
        Some(credentials) => without_credentials(operation, role, credentials),
        None => {
            Failure { kind: FailureKind::Unavailable, message: format!("{operation}: {}", causes(error)) }
        }
    }
}

/// The failure for an answer that cannot be used.
pub(super) fn unreadable(operation: &str, why: &str) -> Failure {
    Failure {
        kind: FailureKind::Unavailable,
        message: format!("{operation}: the answer cannot be used: {why}"),
    }
}

/// The kind of failure for an error response.
fn kind(operation: &str, error: &ErrorMetadata, status: u16) -> FailureKind {
    let Some(code) = error.code() else { return kind_of_status(status) };
    match code {
        "ClusterNotFoundException" | "ServiceNotFoundException" => FailureKind::NotFound,
        "QueueDoesNotExist" | NO_QUEUE => FailureKind::NotFound,
        "ClientException" if operation == DESCRIBE_TASK_DEFINITION.operation => FailureKind::NotFound,
        _ if THROTTLING_ERRORS.contains(&code) || code == "KmsThrottled" => FailureKind::Throttled,
        _ if code.starts_with("AccessDenied") => FailureKind::Denied,
        "UnauthorizedOperation" | "NotAuthorized" | "OptInRequired" | "KmsAccessDenied" => {
            FailureKind::Denied
        }
        _ if code.starts_with("ExpiredToken") || code.contains("Signature") => FailureKind::NoCredentials,
        _ if BAD_CREDENTIALS.contains(&code) => FailureKind::NoCredentials,
        _ => kind_of_status(status),
    }
}

/// The kind of failure without a code. A bare 403 is not a denial: AWS sends a code, and a proxy's 403 says nothing about
/// permissions.
fn kind_of_status(status: u16) -> FailureKind {
    match status {
        401 => FailureKind::NoCredentials,
        429 => FailureKind::Throttled,
        _ => FailureKind::Unavailable,
    }
}

fn without_credentials(operation: &str, role: Option<&RoleArn>, error: &CredentialsError) -> Failure {
    if let Some(refusal) = cause::<SdkError<AssumeRoleError, HttpResponse>>(error) {
        let inner = failure("sts:AssumeRole", None, refusal);
        let role = role.map_or("of the profile", RoleArn::as_str);
        let mut message = format!("{operation}: cannot assume the role {role}: {}", inner.message);
        if inner.kind == FailureKind::Denied {
            message.push_str(" (the role's trust policy and the caller's own policy must both allow it)");
        }
        return Failure { kind: inner.kind, message };
    }
    let why = match (cause::<MissingProfile>(error), error) {
        (Some(missing), _) => format!("the AWS credentials cannot be loaded: {missing}"),
        (None, CredentialsError::CredentialsNotLoaded(_)) => not_found(error),
        (None, _) => format!("the AWS credentials cannot be loaded: {}", causes(error)),
    };
    Failure { kind: FailureKind::NoCredentials, message: format!("{operation}: {why}") }
}

/// Why no provider of the chain has credentials.
fn not_found(error: &CredentialsError) -> String {
    let chain = cause::<ProviderChainError<CredentialsError>>(error);
    let attempt = |name: &str| {
        let mut attempts = chain.into_iter().flat_map(ProviderChainError::attempts);
        attempts.find(|attempt| attempt.name() == name)?.error().source().map(causes)
    };
    if let Some(problem) = attempt(PROFILE).filter(|problem| problem.contains(UNDEFINED)) {
        return format!("the AWS credentials cannot be loaded: {problem}");
    }
    let message = format!("no AWS credentials were found: {HOW_TO_GET_CREDENTIALS}");
    match attempt(INSTANCE).is_some_and(|problem| problem.contains(NO_METADATA)) {
        true => format!("{message}; {HOP_LIMIT}"),
        false => message,
    }
}

/// The first error of type `T` among an error and its causes.
fn cause<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    chain(error).find_map(|error| error.downcast_ref())
}

/// An error and its causes from the outside in, each once.
pub(super) fn causes(error: &(dyn Error + 'static)) -> String {
    let mut said: Vec<String> = Vec::new();
    for error in chain(error) {
        let text = first_line(&error.to_string());
        // Many errors quote their cause.
        let repeats = said.iter().any(|earlier| earlier.contains(&text));
        if !repeats && !EMPTY_WORDS.contains(&text.as_str()) {
            said.push(text);
        }
    }
    if said.is_empty() {
        return "failed for an unknown reason".to_owned();
    }
    let text = said.join(": ");
    if text.contains(LOGIN) {
        return NO_LOGIN.to_owned();
    }
    let lacks_token = SSO_TOKEN.iter().any(|words| text.contains(words));
    let advice = if lacks_token { HOW_TO_GET_A_TOKEN } else { "" };
    first_line(&text) + advice
}

fn chain<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error| (*error).source())
}

/// The first line, shortened, without text that always differs ([`ENCODED`]) or may be secret ([`QUOTED_REQUEST`],
/// [`STANDARD_ERROR`]).
fn first_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let line =
        [ENCODED, QUOTED_REQUEST].iter().fold(line, |line, cut| line.split(cut).next().unwrap_or_default());
    let line = line.trim_end();
    let line = match line.split_once(STANDARD_ERROR) {
        Some((before, _)) => &format!("{before}{NOT_SHOWN}"),
        None => line,
    };
    match line.char_indices().nth(MESSAGE_LIMIT) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::client::result::ConnectorError;
    use aws_smithy_types::body::SdkBody;
    use serde_json::json;

    fn response(status: u16, body: &str) -> HttpResponse {
        HttpResponse::new(status.try_into().expect("a status"), SdkBody::from(body))
    }

    /// The failure for an answer that was not parsed before.
    fn answered(operation: &str, response: HttpResponse) -> Failure {
        failure(operation, None, &SdkError::<Refusal, _>::response_error("expected `{`", response))
    }

    fn refused(operation: &str, code: &str, message: &str, status: u16) -> Failure {
        let body = json!({ "__type": code, "message": message }).to_string();
        answered(operation, response(status, &body))
    }

    #[test]
    fn codes_decide_the_kind() {
        use FailureKind::{Denied, NoCredentials, NotFound, Throttled, Unavailable};
        for (operation, code, status, expected) in [
            ("ListTasks", "ClusterNotFoundException", 400, NotFound),
            ("DescribeTaskDefinition", "ClientException", 400, NotFound),
            ("DescribeTasks", "ClientException", 400, Unavailable),
            ("DescribeTasks", "AccessDeniedException", 400, Denied),
            ("DescribeInstances", "UnauthorizedOperation", 403, Denied),
            ("DescribeInstances", "RequestLimitExceeded", 503, Throttled),
            ("DescribeInstanceInformation", "ThrottlingException", 400, Throttled),
            ("DescribeTasks", "Throttling", 400, Throttled),
            ("DescribeTasks", "ExpiredTokenException", 400, NoCredentials),
            ("GetCallerIdentity", "ExpiredToken", 403, NoCredentials),
            ("DescribeTasks", "UnrecognizedClientException", 400, NoCredentials),
            ("GetCallerIdentity", "InvalidClientTokenId", 403, NoCredentials),
            ("DescribeInstances", "AuthFailure", 401, NoCredentials),
            ("DescribeTasks", "ServerException", 500, Unavailable),
            ("ReceiveMessage", "com.amazonaws.sqs#QueueDoesNotExist", 400, NotFound),
            ("ReceiveMessage", "AWS.SimpleQueueService.NonExistentQueue", 400, NotFound),
            ("ReceiveMessage", "RequestThrottled", 403, Throttled),
            ("ReceiveMessage", "KmsThrottled", 400, Throttled),
            ("ReceiveMessage", "KmsAccessDenied", 400, Denied),
            ("ReceiveMessage", "OverLimit", 403, Unavailable),
            ("DescribeTasks", "SomethingNew", 403, Unavailable),
            ("DescribeTasks", "SomethingNew", 400, Unavailable),
        ] {
            let failure = refused(operation, code, "Why not.", status);
            assert_eq!(failure.kind, expected, "{operation} {code} {status}");
            let code = code.trim_start_matches("com.amazonaws.sqs#");
            assert!(failure.message.starts_with(&format!("{operation}: {code}: Why not.")), "{failure}");
        }
    }

    #[test]
    fn a_refused_signature_does_not_repeat_what_was_signed() {
        let failure = refused("DescribeTasks", "SignatureDoesNotMatch", "Why not.", 403);
        assert_eq!(failure.kind, FailureKind::NoCredentials);
        assert!(!failure.message.contains("Why not"), "{failure}");
        let leak =
            "Bad token.\n\nThe Canonical String should have been\n'POST\nx-amz-security-token:hunter2'";
        let failure = refused("DescribeTasks", "InvalidToken", leak, 403);
        assert!(failure.message.contains("Bad token.") && !failure.message.contains("hunter2"), "{failure}");
    }

    #[test]
    fn a_denial_reads_the_same_each_time() {
        let text =
            "You are not authorized to perform this operation. Encoded authorization failure message: ";
        for encoded in ["4GIOHlTkIaWHQD0Q0m6XSnuUMCm-abc", "rTq9", ""] {
            assert_eq!(
                refused("DescribeInstances", "UnauthorizedOperation", &format!("{text}{encoded}"), 403),
                Failure {
                    kind: FailureKind::Denied,
                    message: "DescribeInstances: UnauthorizedOperation: You are not authorized to perform this operation."
                        .into(),
                }
            );
        }
    }

    #[test]
    fn a_body_of_another_protocol_is_told_by_its_text_or_status() {
        use FailureKind::{Denied, Throttled, Unavailable};
        let xml = "<Response><Errors><Error><Code>AccessDenied</Code><Message>No.</Message></Error></Errors></Response>";
        for (status, body, kind, message) in [
            (403, xml, Denied, "DescribeTasks: AccessDenied: No."),
            (403, "Forbidden", Unavailable, "DescribeTasks: HTTP status 403"),
            (403, "<html><h1>Access Denied</h1></html>", Unavailable, "DescribeTasks: HTTP status 403"),
            (429, "", Throttled, "DescribeTasks: HTTP status 429"),
            (502, "<html>Bad gateway</html>", Unavailable, "DescribeTasks: HTTP status 502"),
            (200, "<html>", Unavailable, "DescribeTasks: the answer cannot be used: expected `{`"),
        ] {
            let expected = Failure { kind, message: message.into() };
            assert_eq!(answered("DescribeTasks", response(status, body)), expected);
        }
    }

    #[test]
    fn a_code_may_stand_in_the_header_alone() {
        let mut answer = response(400, "{}");
        answer.headers_mut().insert("x-amzn-errortype", "ThrottlingException:http://internal.amazon.com/");
        let expected = "DescribeTasks: ThrottlingException".to_owned();
        let expected = Failure { kind: FailureKind::Throttled, message: expected };
        assert_eq!(answered("DescribeTasks", answer), expected);
    }

    #[test]
    fn a_missing_queue_may_be_told_by_the_code_of_the_earlier_protocol_alone() {
        for (value, kind) in [
            ("AWS.SimpleQueueService.NonExistentQueue;Sender", FailureKind::NotFound),
            ("AWS.SimpleQueueService.NonExistentQueue", FailureKind::NotFound),
            ("AWS.SimpleQueueService.UnsupportedOperation;Sender", FailureKind::Unavailable),
        ] {
            let mut answer = response(400, "{}");
            answer.headers_mut().insert("x-amzn-query-error", value);
            assert_eq!(answered("ReceiveMessage", answer).kind, kind, "{value}");
        }
    }

    #[derive(Debug)]
    struct Layer(&'static str, Option<Box<Layer>>);

    impl fmt::Display for Layer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl Error for Layer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.1.as_deref().map(|cause| cause as _)
        }
    }

    #[test]
    fn a_broken_connection_is_told_by_its_causes_each_once() {
        let refused = Layer("Connection refused (os error 111)", None);
        let tcp = Layer("tcp connect error: Connection refused (os error 111)", Some(Box::new(refused)));
        let client = Layer("client error (Connect)", Some(Box::new(tcp)));
        let error = SdkError::<Refusal, _>::dispatch_failure(ConnectorError::io(client.into()));
        assert_eq!(
            failure("ListTasks", None, &error),
            Failure {
                kind: FailureKind::Unavailable,
                message:
                    "ListTasks: client error (Connect): tcp connect error: Connection refused (os error 111)"
                        .into(),
            }
        );
    }

    fn without(error: CredentialsError, role: Option<&RoleArn>) -> Failure {
        let error = SdkError::<Refusal, _>::dispatch_failure(ConnectorError::other(error.into(), None));
        failure("ListClusters", role, &error)
    }

    #[test]
    fn missing_credentials_are_told_with_what_to_set() {
        let failure = without(CredentialsError::not_loaded("no providers in chain"), None);
        assert_eq!(failure.kind, FailureKind::NoCredentials);
        assert_eq!(
            failure.message,
            "ListClusters: no AWS credentials were found: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and \
             AWS_SECRET_ACCESS_KEY, or run with a task role or an instance role"
        );
        let failure = without(CredentialsError::provider_error("the SSO session has expired"), None);
        assert_eq!(failure.kind, FailureKind::NoCredentials);
        let expected = "ListClusters: the AWS credentials cannot be loaded: the SSO session has expired";
        assert_eq!(failure.message, expected);
    }

    /// The SDK's words, with what a program has written, or a whole request.
    #[test]
    fn what_may_be_secret_of_a_failed_load_is_not_told() {
        for (said, expected) in [
            (
                "external process exited with code exit status: 3. Stderr: key hunter2\nhunter2",
                "external process exited with code exit status: 3; run it manually to see its output, which may be \
                 secret and is not shown here",
            ),
            (
                "failed to apply endpoint `x` to request `Request { headers: {\"x-amz-sso_bearer_token\": \"hunter2\"} }`",
                "failed to apply endpoint `x`",
            ),
        ] {
            let failure = without(CredentialsError::provider_error(said), None);
            let expected = format!("ListClusters: the AWS credentials cannot be loaded: {expected}");
            assert_eq!(failure.message, expected);
        }
    }

    #[test]
    fn a_role_that_cannot_be_assumed_is_named() {
        let role = RoleArn::parse("arn:aws:iam::210987654321:role/reader").expect("a role");
        for (code, status, kind) in [
            ("AccessDenied", 403, FailureKind::Denied),
            ("Throttling", 400, FailureKind::Throttled),
            ("ExpiredToken", 403, FailureKind::NoCredentials),
            ("InternalFailure", 500, FailureKind::Unavailable),
        ] {
            let body = format!("<Error><Code>{code}</Code><Message>Because.</Message></Error>");
            let error = AssumeRoleError::generic(ErrorMetadata::builder().build());
            let refusal = SdkError::service_error(error, response(status, &body));
            let failure = without(CredentialsError::provider_error(refusal), Some(&role));
            assert_eq!(failure.kind, kind, "{failure}");
            let expected =
                format!("ListClusters: cannot assume the role {role}: sts:AssumeRole: {code}: Because.");
            assert!(failure.message.starts_with(&expected), "{failure}");
        }
        let nothing = CredentialsError::not_loaded("no providers in chain");
        let inner = ConnectorError::other(nothing.into(), None);
        let inner = SdkError::<AssumeRoleError, HttpResponse>::dispatch_failure(inner);
        let failure = without(CredentialsError::provider_error(inner), Some(&role));
        assert_eq!(failure.kind, FailureKind::NoCredentials);
        assert!(
            failure.message.contains(role.as_str()) && failure.message.contains("AWS_PROFILE"),
            "{failure}"
        );
    }
}
