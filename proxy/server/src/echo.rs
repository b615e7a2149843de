//! The embedded echo upstream: answers with what reached it, as JSON, headers in wire order.

use bytes::Bytes;
use http::Version;
use pingora_http::RequestHeader;
use serde_json::{Value, json};

/// Most body bytes that the echo repeats; of a longer body it tells the length.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// The answer's body.
pub(crate) fn body(head: &RequestHeader, body: &[u8], whole_length: u64) -> Bytes {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut headers: Vec<Value> =
        head.case_header_iter().map(|(n, v)| json!([text(n.as_slice()), text(v.as_bytes())])).collect();
    if headers.is_empty() {
        headers = head.headers.iter().map(|(n, v)| json!([n.as_str(), text(v.as_bytes())])).collect();
    }
    let mut answer = json!({
        "method": head.method.as_str(),
        "path": text(head.raw_path()),
        "headers": headers,
        "body": text(body),
    });
    if whole_length > body.len() as u64 {
        answer["body_length"] = whole_length.into();
    }
    if head.version == Version::HTTP_2 {
        answer["protocol"] = "HTTP/2".into();
    }
    let mut out = serde_json::to_vec(&answer).unwrap_or_default();
    out.push(b'\n');
    Bytes::from(out)
}
