//! Where a request stands in a trace, in and out of its fields: W3C trace context, and B3 where that is wanted.

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator as _},
    trace::{SpanContext, TraceContextExt as _},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use sluice_config::plan::B3;
use sluice_host::FieldList;
use smallvec::SmallVec;

use super::{b3, destination::env};

pub(super) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(super) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Propagation {
    w3c: bool,
    b3: B3,
}

/// What a sender says.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) place: Option<SpanContext>,
    /// Whether the trace was drawn, where that is said.
    pub(super) sampled: Option<bool>,
}

/// Fields as they were written: another value there is a filter's own.
pub(super) type Told = SmallVec<[(HeaderName, HeaderValue); 1]>;

impl Propagation {
    /// As the file says, or else the environment.
    pub(super) fn new(b3: Option<B3>) -> Self {
        Self::resolve(b3, env("OTEL_PROPAGATORS").as_deref())
    }

    fn resolve(b3: Option<B3>, propagators: Option<&str>) -> Self {
        let mut of = Self { w3c: propagators.is_none(), b3: B3::Off };
        for name in propagators.unwrap_or_default().split(',').map(str::trim) {
            match name {
                "tracecontext" => of.w3c = true,
                "b3" => of.b3 = B3::Single,
                "b3multi" => of.b3 = B3::Multi,
                // What it carries passes on in any case.
                "" | "baggage" | "none" => {}
                other => tracing::warn!(
                    "OTEL_PROPAGATORS: `{other}` is not known here; known are tracecontext, baggage, b3, b3multi, none"
                ),
            }
        }
        Self { b3: b3.unwrap_or(of.b3), ..of }
    }

    /// Where the sender stands. What is not wanted is not looked for.
    pub(super) fn read(self, headers: &HeaderMap) -> Said {
        if self.w3c
            && let Some(place) = read(headers)
        {
            return Said { sampled: Some(place.is_sampled()), place: Some(place) };
        }
        if self.b3 == B3::Off { Said::default() } else { b3::read(headers) }
    }

    /// Puts a place into a head, in place of what was said there. Gives what it wrote to those who `keep` it.
    pub(super) fn write(
        self,
        head: &mut pingora_http::RequestHeader,
        place: &SpanContext,
        of_parent: bool,
        keep: bool,
    ) -> Told {
        if self.w3c && !of_parent && head.headers.contains_key(TRACESTATE) {
            // It belongs to a place that nobody took over.
            head.remove_header(&TRACESTATE);
        }
        if self.b3 != B3::Off {
            for field in b3::FIELDS {
                head.remove_header(&field);
            }
        }
        let mut told = Told::new();
        let w3c = self.w3c.then(|| (TRACEPARENT, traceparent(place)));
        for (name, value) in w3c.into_iter().chain(b3::fields(self.b3, place)) {
            if keep {
                told.push((name.clone(), value.clone()));
            }
            // The names are ours and the values are hexadecimal.
            let _ = head.insert_header(name, value);
        }
        told
    }

    /// The fields of those that were told, and that nobody changed since, with another place.
    pub(super) fn news(self, told: &Told, headers: &HeaderMap, place: &SpanContext) -> Told {
        let kept = |(name, _): &(HeaderName, HeaderValue)| {
            told.iter().any(|(told, value)| told == name && headers.get(name) == Some(value))
        };
        let w3c = self.w3c.then(|| (TRACEPARENT, traceparent(place)));
        w3c.into_iter().chain(b3::fields(self.b3, place)).filter(kept).collect()
    }

    /// Tells the server of a callout where it stands; `hosts` is what the host has put there for the exchange. What a
    /// filter says there by itself stays.
    pub(super) fn tell(self, fields: &mut FieldList, hosts: Option<&SpanContext>, place: &SpanContext) {
        if self.w3c {
            match fields.iter_mut().find(|(name, _)| *name == TRACEPARENT) {
                Some((_, value)) if hosts.is_some_and(|hosts| *value == traceparent(hosts)) => {
                    *value = traceparent(place);
                }
                Some(_) => {}
                None => fields.push((TRACEPARENT, traceparent(place))),
            }
        }
        if self.b3 != B3::Off && !fields.iter().any(|(name, _)| b3::FIELDS.contains(name)) {
            fields.extend(b3::fields(self.b3, place));
        }
    }
}

/// Where the sender stands by W3C trace context; `None` when nothing valid is said.
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
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-00";
    hex(&mut text[3..35], &place.trace_id().to_bytes());
    hex(&mut text[36..52], &place.span_id().to_bytes());
    hex(&mut text[53..55], &[place.trace_flags().to_u8()]);
    value(&text)
}

/// Writes hexadecimal digits, two for each byte.
pub(super) fn hex(out: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]);
        }
    }
}

pub(super) fn value(text: &[u8]) -> HeaderValue {
    // Hexadecimal digits and dashes can stand in a field.
    HeaderValue::from_bytes(text).unwrap_or_else(|_| HeaderValue::from_static(""))
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
    use opentelemetry::{SpanId, TraceId};

    use super::{super::span, *};

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

    #[test]
    fn a_small_number_keeps_its_zeros() {
        let place = span::place(TraceId::from(0xab), SpanId::from(1), false);
        assert_eq!(traceparent(&place), "00-000000000000000000000000000000ab-0000000000000001-00");
    }

    #[test]
    fn the_file_says_b3_or_else_the_environment() {
        let of = |w3c, b3| Propagation { w3c, b3 };
        for (file, environment, wanted) in [
            (None, None, of(true, B3::Off)),
            (None, Some("tracecontext,baggage"), of(true, B3::Off)),
            (None, Some("b3"), of(false, B3::Single)),
            (None, Some("tracecontext, b3multi ,what"), of(true, B3::Multi)),
            (None, Some("none"), of(false, B3::Off)),
            (Some(B3::Multi), Some("tracecontext"), of(true, B3::Multi)),
            (Some(B3::Off), Some("b3"), of(false, B3::Off)),
        ] {
            assert_eq!(Propagation::resolve(file, environment), wanted, "{file:?} {environment:?}");
        }
    }

    #[test]
    fn a_callout_is_told_unless_its_filter_says_something_else_itself() {
        let (hosts, place) = (
            span::place(TraceId::from(1), SpanId::from(1), true),
            span::place(TraceId::from(1), SpanId::from(2), true),
        );
        let both = Propagation { w3c: true, b3: B3::Single };
        let tell = |fields: &[(&'static str, HeaderValue)]| {
            let mut fields: FieldList =
                fields.iter().map(|(name, value)| (HeaderName::from_static(name), value.clone())).collect();
            both.tell(&mut fields, Some(&hosts), &place);
            fields.iter().map(|(name, value)| format!("{name}: {}", value.to_str().expect("text"))).collect::<Vec<_>>()
        };
        let (of_hosts, of_place) = (traceparent(&hosts), traceparent(&place));
        let ours = [
            format!("traceparent: {}", of_place.to_str().expect("text")),
            "b3: 00000000000000000000000000000001-0000000000000002-1".to_owned(),
        ];
        assert_eq!(tell(&[]), ours);
        assert_eq!(tell(&[("traceparent", of_hosts)]), ours);
        let own = [("traceparent", HeaderValue::from_static("mine")), ("x-b3-flags", HeaderValue::from_static("1"))];
        assert_eq!(tell(&own), ["traceparent: mine", "x-b3-flags: 1"]);
    }
}
