//! Bodies of refusals, whatever the protocol.
//!
//! An input of two lines is a code and a message, which must be found in every dialect; any input is a body as well.

#![cfg_attr(feature = "libfuzzer", no_main)]

use fuzz::wire::{element, for_xml};
use prometheus_ecs_sd::aws::fuzzing;
use serde_json::json;

fuzz::target!(error);

fn error(input: &[u8]) {
    let [code, _] = fuzzing::error(input);
    let is_json = serde_json::from_slice::<serde_json::Value>(input).is_ok();
    assert!(!is_json || code.is_none_or(|code| !code.contains([':', '#'])));
    let text = std::str::from_utf8(input).ok().and_then(|text| text.split_once('\n'));
    if let Some((code, message)) = text {
        json_error(code, message);
        xml_error(&for_xml(code), &for_xml(message));
    }
}

fn json_error(code: &str, message: &str) {
    let name = code.split('#').next_back().and_then(|code| code.split(':').next()).unwrap_or_default();
    for (code_key, message_key) in [("__type", "message"), ("code", "Message")] {
        let body = json!({ code_key: code, message_key: message, "fault": "client" }).to_string();
        assert_eq!(fuzzing::error(body.as_bytes()), [Some(name.to_owned()), Some(message.to_owned())]);
    }
}

fn xml_error(code: &str, message: &str) {
    let error = element("Code", Some(code)) + &element("Message", Some(message));
    let found = [code, message].map(|text| Some(text.trim().to_owned()));
    for body in [
        format!("<Response><Errors><Error>{error}</Error></Errors><RequestID>1</RequestID></Response>"),
        format!("<ErrorResponse xmlns=\"a\"><Error><Type>Sender</Type>{error}</Error></ErrorResponse>"),
        // Cut off in what follows.
        format!("<?xml version=\"1.0\"?><Error>{error}<Resour"),
    ] {
        assert_eq!(fuzzing::error(body.as_bytes()), found, "{body}");
    }
}
