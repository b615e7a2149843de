//! B3, as Zipkin's libraries write it: one field, or one for each part.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{SpanId, TraceId, trace::SpanContext};
use sluice_config::plan::B3;

use super::{
    propagate::{Said, Told, hex, value},
    span,
};

const SINGLE: HeaderName = HeaderName::from_static("b3");
const TRACE: HeaderName = HeaderName::from_static("x-b3-traceid");
const SPAN: HeaderName = HeaderName::from_static("x-b3-spanid");
const PARENT: HeaderName = HeaderName::from_static("x-b3-parentspanid");
const SAMPLED: HeaderName = HeaderName::from_static("x-b3-sampled");
const FLAGS: HeaderName = HeaderName::from_static("x-b3-flags");

/// All of them.
pub(super) const FIELDS: [HeaderName; 6] = [SINGLE, TRACE, SPAN, PARENT, SAMPLED, FLAGS];

/// What a sender says, in either form; the one field comes first. Nonsense says nothing.
pub(super) fn read(headers: &HeaderMap) -> Said {
    if headers.contains_key(SINGLE) {
        return only(headers, &SINGLE).and_then(single).unwrap_or_default();
    }
    multi(headers).unwrap_or_default()
}

/// `TRACE-SPAN`, `TRACE-SPAN-STATE`, `TRACE-SPAN-STATE-PARENT`, or `STATE` alone.
fn single(text: &[u8]) -> Option<Said> {
    let mut parts = text.split(|byte| *byte == b'-');
    let first = parts.next()?;
    let Some(id) = parts.next() else { return Some(Said { place: None, sampled: Some(state(first)?) }) };
    let sampled = match parts.next() {
        Some(text) => Some(state(text)?),
        None => None,
    };
    if let Some(parent) = parts.next() {
        span_id(parent)?;
    }
    if parts.next().is_some() {
        return None;
    }
    said(first, id, sampled)
}

fn multi(headers: &HeaderMap) -> Option<Said> {
    let sampled = match (headers.get(FLAGS), headers.get(SAMPLED)) {
        // Somebody looks for an error, and wants all of it.
        (Some(flags), _) if flags == "1" => Some(true),
        (_, Some(_)) => Some(sampled(only(headers, &SAMPLED)?)?),
        (_, None) => None,
    };
    if headers.contains_key(TRACE) {
        return said(only(headers, &TRACE)?, only(headers, &SPAN)?, sampled);
    }
    Some(Said { place: None, sampled })
}

fn said(trace: &[u8], id: &[u8], sampled: Option<bool>) -> Option<Said> {
    let place = span::place(trace_id(trace)?, span_id(id)?, sampled == Some(true));
    // It came from afar.
    let place = SpanContext::new(
        place.trace_id(),
        place.span_id(),
        place.trace_flags(),
        true,
        opentelemetry::trace::TraceState::default(),
    );
    Some(Said { place: Some(place), sampled })
}

/// The value of a field that is there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    Some(value.as_bytes())
}

fn state(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"d" => Some(true),
        b"0" => Some(false),
        _ => None,
    }
}

/// Old libraries write words.
fn sampled(text: &[u8]) -> Option<bool> {
    match text {
        b"1" | b"true" => Some(true),
        b"0" | b"false" => Some(false),
        _ => None,
    }
}

/// 128 bits, or the lower 64 of them.
fn trace_id(text: &[u8]) -> Option<TraceId> {
    let id = number(text).filter(|_| matches!(text.len(), 16 | 32))?;
    Some(TraceId::from(id)).filter(|id| *id != TraceId::INVALID)
}

fn span_id(text: &[u8]) -> Option<SpanId> {
    let id = number(text).filter(|_| text.len() == 16)?;
    Some(SpanId::from(u64::try_from(id).ok()?)).filter(|id| *id != SpanId::INVALID)
}

/// Digits in lower case, and nothing else.
fn number(text: &[u8]) -> Option<u128> {
    let digits = text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    u128::from_str_radix(std::str::from_utf8(text).ok().filter(|_| digits)?, 16).ok()
}

/// The fields that say a place.
pub(super) fn fields(b3: B3, place: &SpanContext) -> Told {
    let mut told = Told::new();
    let sampled = if place.is_sampled() { b'1' } else { b'0' };
    match b3 {
        B3::Off => {}
        B3::Single => {
            let mut text = *b"00000000000000000000000000000000-0000000000000000-0";
            hex(&mut text[..32], &place.trace_id().to_bytes());
            hex(&mut text[33..49], &place.span_id().to_bytes());
            text[50] = sampled;
            told.push((SINGLE, value(&text)));
        }
        B3::Multi => {
            let (mut trace, mut id) = ([0; 32], [0; 16]);
            hex(&mut trace, &place.trace_id().to_bytes());
            hex(&mut id, &place.span_id().to_bytes());
            told.push((TRACE, value(&trace)));
            told.push((SPAN, value(&id)));
            told.push((SAMPLED, HeaderValue::from_static(if sampled == b'1' { "1" } else { "0" })));
        }
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SHORT: &str = "a3ce929d0e0e4736";
    const ID: &str = "00f067aa0ba902b7";

    /// What is read of these fields: trace, span, and whether it was drawn.
    fn heard(fields: &[(&HeaderName, &str)]) -> (Option<(String, String)>, Option<bool>) {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).expect("a value"));
        }
        let Said { place, sampled } = read(&headers);
        assert!(place.as_ref().is_none_or(SpanContext::is_remote));
        (place.map(|place| (place.trace_id().to_string(), place.span_id().to_string())), sampled)
    }

    fn at(trace: &str) -> Option<(String, String)> {
        Some((format!("{trace:0>32}"), ID.to_owned()))
    }

    #[test]
    fn one_field_says_a_place_a_decision_or_both() {
        for (text, place, sampled) in [
            (format!("{LONG}-{ID}"), at(LONG), None),
            (format!("{LONG}-{ID}-1"), at(LONG), Some(true)),
            (format!("{SHORT}-{ID}-d-{ID}"), at(SHORT), Some(true)),
            (format!("{LONG}-{ID}-0"), at(LONG), Some(false)),
            ("0".to_owned(), None, Some(false)),
            ("1".to_owned(), None, Some(true)),
        ] {
            assert_eq!(heard(&[(&SINGLE, &text)]), (place, sampled), "{text}");
        }
    }

    #[test]
    fn many_fields_say_the_same_and_the_one_field_comes_first() {
        let ids = [(&TRACE, LONG), (&SPAN, ID)];
        assert_eq!(heard(&ids), (at(LONG), None));
        for (name, value, sampled) in [
            (&SAMPLED, "1", Some(true)),
            (&SAMPLED, "false", Some(false)),
            (&FLAGS, "1", Some(true)),
            (&FLAGS, "0", None),
            (&PARENT, "nonsense", None),
        ] {
            assert_eq!(heard(&[ids[0], ids[1], (name, value)]), (at(LONG), sampled), "{name}: {value}");
        }
        assert_eq!(heard(&[(&SAMPLED, "0")]), (None, Some(false)));
        assert_eq!(heard(&[ids[0], ids[1], (&SINGLE, "0")]), (None, Some(false)));
    }

    #[test]
    fn nonsense_says_nothing() {
        let (upper, zero, long) = (LONG.to_uppercase(), "0".repeat(32), "0".repeat(60_000));
        for text in [
            "",
            "-",
            "2",
            "true",
            &format!("{LONG}-"),
            &format!("{LONG}-{ID}-"),
            &format!("{LONG}-{ID}-2"),
            &format!("{LONG}-{ID}-1-{ID}-{ID}"),
            &format!("{LONG}-{ID}-1-x"),
            &format!("{upper}-{ID}-1"),
            &format!("{zero}-{ID}-1"),
            &format!("{LONG}-{}-1", "0".repeat(16)),
            &format!("+{}-{ID}-1", &LONG[1..]),
            &format!("{LONG}0-{ID}-1"),
            &long,
            "é",
        ] {
            assert_eq!(heard(&[(&SINGLE, text)]), (None, None), "{text}");
        }
        let valid = format!("{LONG}-{ID}-1");
        assert_eq!(heard(&[(&SINGLE, &valid), (&SINGLE, &valid)]), (None, None), "nobody could say which one counts");
        assert_eq!(heard(&[(&TRACE, LONG)]), (None, None), "no span");
        assert_eq!(heard(&[(&TRACE, LONG), (&SPAN, ID), (&SAMPLED, "maybe")]), (None, None));
        assert_eq!(heard(&[(&TRACE, LONG), (&TRACE, LONG), (&SPAN, ID)]), (None, None));
    }

    #[test]
    fn what_is_written_is_read_again() {
        let place = span::place(TraceId::from(0xab), SpanId::from(0xcd), true);
        for b3 in [B3::Single, B3::Multi] {
            let headers: HeaderMap = fields(b3, &place).into_iter().collect();
            let said = read(&headers);
            let heard = said.place.expect("a place");
            assert_eq!((heard.trace_id(), heard.span_id()), (place.trace_id(), place.span_id()), "{b3:?}");
            assert_eq!(said.sampled, Some(true));
        }
        assert!(fields(B3::Off, &place).is_empty());
    }
}
