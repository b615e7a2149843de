//! W3C trace context, in and out.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where the sender stands; `None` when nothing valid is said.
pub(crate) fn read(headers: &HeaderMap) -> Option<SpanContext> {
    let mut said = headers.get_all(TRACEPARENT).iter();
    // Two of them are none: nobody could say which one counts.
    let (Some(_), None) = (said.next(), said.next()) else { return None };
    let read = TraceContextPropagator::new().extract_with_context(&Context::new(), &Fields(headers));
    let place = read.span().span_context().clone();
    place.is_valid().then_some(place)
}

/// The value of `traceparent`.
pub(super) fn traceparent(place: &SpanContext) -> HeaderValue {
    let text = format!("00-{}-{}-{:02x}", place.trace_id(), place.span_id(), place.trace_flags().to_u8());
    // Hexadecimal digits can stand in a field.
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// Fields as the propagator reads them; one that is no text is not there.
struct Fields<'a>(&'a HeaderMap);

impl Extractor for Fields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn get_all(&self, key: &str) -> Option<Vec<&str>> {
        let all: Vec<_> = self.0.get_all(key).iter().filter_map(|value| value.to_str().ok()).collect();
        (!all.is_empty()).then_some(all)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    fn place(values: &[&[u8]]) -> Option<SpanContext> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(TRACEPARENT, HeaderValue::from_bytes(value).expect("a value"));
        }
        read(&headers)
    }

    #[test]
    fn what_is_said_comes_back_and_nonsense_is_nothing() {
        assert_eq!(traceparent(&place(&[VALID.as_bytes()]).expect("valid")), VALID);
        let long = "0".repeat(60_000);
        for nonsense in [
            &b""[..],
            b"00",
            b"\xff\xfe",
            b"00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            b"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            b"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            b"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            long.as_bytes(),
        ] {
            assert_eq!(place(&[nonsense]), None, "{nonsense:?}");
        }
        assert_eq!(place(&[VALID.as_bytes(), VALID.as_bytes()]), None);
        assert_eq!(place(&[]), None);
    }
}
