//! Error documents of all protocols: `Code` and `Message` of XML, `__type` and `message` of JSON.
//!
//! Both are read for each service: proxies, and emulators of AWS, answer JSON services in XML. Other documents have no
//! code and no message.

use aws_smithy_types::error::ErrorMetadata;
use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event;
use serde_json::Value;

/// Code and message of an error's body. `header` is the code in the response's header, which has precedence in the JSON
/// protocols.
pub(super) fn error(body: &[u8], header: Option<&str>) -> ErrorMetadata {
    let (code, message) = json(body).unwrap_or_else(|| xml(body));
    let code = header.and_then(bare).map(str::to_owned).or(code);
    let mut error = ErrorMetadata::builder();
    if let Some(code) = code {
        error = error.code(code);
    }
    if let Some(message) = message {
        error = error.message(message);
    }
    error.build()
}

type CodeAndMessage = (Option<String>, Option<String>);

fn json(body: &[u8]) -> Option<CodeAndMessage> {
    let document: Value = serde_json::from_slice(body).ok()?;
    let text = |names: [&str; 2]| names.iter().find_map(|name| document.get(name)?.as_str());
    let code = text(["__type", "code"]).and_then(bare);
    Some((code.map(str::to_owned), text(["message", "Message"]).map(str::to_owned)))
}

/// The code in `com.amazonaws.ssm#InvalidFilterKey`, or in `InvalidFilterKey:http://…`.
fn bare(code: &str) -> Option<&str> {
    code.rsplit('#').next()?.split(':').next()
}

/// The first `Code` and the first `Message`, at any depth: EC2 nests them one level deeper than STS.
fn xml(body: &[u8]) -> CodeAndMessage {
    let (mut code, mut message) = (None, None);
    let mut reader = Reader::from_reader(body);
    loop {
        let element = match reader.read_event() {
            Ok(Event::Start(element)) => element,
            Ok(Event::Eof) | Err(_) => return (code, message),
            Ok(_) => continue,
        };
        let found = match element.local_name().as_ref() {
            "Code" => &mut code,
            "Message" => &mut message,
            _ => continue,
        };
        let text = reader.read_text(element.name()).ok();
        *found = found.take().or(text.map(|text| unescaped(&text)));
    }
}

fn unescaped(text: &str) -> String {
    unescape(text).map_or_else(|_| text.to_owned(), |text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_messages_are_found_in_every_dialect() {
        let namespaced = r#"{"__type":"com.amazonaws.ssm#InvalidFilterKey","Message":"no such key"}"#;
        for (body, code, message) in [
            (
                "<?xml version=\"1.0\"?>\n<Response><Errors><Error><Code>RequestLimitExceeded</Code>\
                 <Message>Request limit &lt;exceeded&gt;.</Message></Error></Errors><RequestID>1</RequestID></Response>",
                Some("RequestLimitExceeded"),
                Some("Request limit <exceeded>."),
            ),
            (
                "<ErrorResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><Error><Type>Sender</Type>\
                 <Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>",
                Some("AccessDenied"),
                Some("no"),
            ),
            ("<Error><Code>Cut</Code><Mess", Some("Cut"), None),
            (namespaced, Some("InvalidFilterKey"), Some("no such key")),
            (r#"{"__type":"ThrottlingException"}"#, Some("ThrottlingException"), None),
            (r#"{"message":5}"#, None, None),
            ("<html><body><h1>502 Bad Gateway</h1></body></html>", None, None),
            ("upstream connect error", None, None),
            ("", None, None),
        ] {
            let error = error(body.as_bytes(), None);
            assert_eq!((error.code(), error.message()), (code, message), "{body}");
        }
    }
}
