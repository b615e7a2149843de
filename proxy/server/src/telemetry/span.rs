//! One span, from what is known when it is over.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, StringValue, TraceFlags, TraceId, Value,
    trace::{Event, Link, SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// Longest text of an attribute that is sent, bytes: what clients and filters write is theirs.
const LONGEST: usize = 1024;

/// One span.
pub(super) struct Span(SpanData);

/// A place in a trace.
pub(super) fn place(trace: TraceId, span: SpanId, sampled: bool) -> SpanContext {
    let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
    SpanContext::new(trace, span, flags, false, TraceState::default())
}

impl Span {
    /// A span at this place; `began` and `ended` are times since 1970-01-01 UTC.
    pub(super) fn new(
        name: impl Into<Cow<'static, str>>,
        kind: SpanKind,
        place: &SpanContext,
        (began, ended): (Duration, Duration),
    ) -> Self {
        // Whoever makes a span has settled that it is sent, whatever was told to others before.
        let span_context = self::place(place.trace_id(), place.span_id(), true);
        Self(SpanData {
            span_context,
            parent_span_id: SpanId::INVALID,
            parent_span_is_remote: false,
            span_kind: kind,
            name: name.into(),
            start_time: time(began),
            // Clocks are set back now and then.
            end_time: time(ended.max(began)),
            attributes: Vec::new(),
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: scope(),
        })
    }

    /// Below this one of the same trace.
    pub(super) fn below(mut self, parent: &SpanContext) -> Self {
        self.0.parent_span_id = parent.span_id();
        self.0.parent_span_is_remote = parent.is_remote();
        self
    }

    /// Beside that one.
    pub(super) fn linked(mut self, to: Option<SpanContext>) -> Self {
        self.0.links.links.extend(to.map(Link::with_context));
        self
    }

    pub(super) fn with(mut self, key: &'static str, value: impl Into<Value>) -> Self {
        self.0.attributes.push(KeyValue::new(key, value));
        self
    }

    /// With a text that is not ours.
    pub(super) fn with_text(self, key: &'static str, bytes: &[u8]) -> Self {
        self.with(key, text(bytes))
    }

    /// With what may not be there.
    pub(super) fn with_some(self, key: &'static str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(key, value),
            None => self,
        }
    }

    /// With what a filter added: nothing of that takes the place of what we say.
    pub(super) fn with_own(mut self, key: String, value: String) -> Self {
        if !key.starts_with("sluice.") && key != "error.type" {
            self.0.attributes.push(KeyValue::new(key, value));
        }
        self
    }

    /// Something happened at this time since 1970.
    pub(super) fn event(mut self, name: String, at: Duration) -> Self {
        self.0.events.events.push(Event::new(name, time(at), Vec::new(), 0));
        self
    }

    /// It failed: with a token, and words for people.
    pub(super) fn failed(mut self, token: impl Into<Value>, words: impl Into<Cow<'static, str>>) -> Self {
        self.0.status = Status::error(words);
        self.with("error.type", token)
    }

    pub(super) fn into_data(self) -> SpanData {
        self.0
    }
}

/// Text for an attribute, cut at the limit.
pub(super) fn text(bytes: &[u8]) -> StringValue {
    match bytes.get(..LONGEST) {
        Some(cut) if bytes.len() > LONGEST => format!("{}…", String::from_utf8_lossy(cut)).into(),
        _ => String::from_utf8_lossy(bytes).into_owned().into(),
    }
}

fn time(since: Duration) -> SystemTime {
    UNIX_EPOCH + since
}

fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("sluice").with_version(env!("CARGO_PKG_VERSION")).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_write_is_cut_and_is_text() {
        assert_eq!(text(b"a\xff").as_str(), "a\u{fffd}");
        let long = text("ä".repeat(LONGEST).as_bytes());
        assert_eq!(long.as_str().chars().count(), LONGEST / 2 + 1);
        assert!(long.as_str().ends_with('…'));
        assert_eq!(text(&[b'x'; LONGEST]).as_str().len(), LONGEST);
    }
}
