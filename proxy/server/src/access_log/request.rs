//! What is known of a request. Names follow the OpenTelemetry conventions where those have one.

use std::cell::OnceCell;

use http::HeaderMap;
use opentelemetry::trace::SpanContext;
use pingora_core::{Error, protocols::tls::SslDigest};
use pingora_proxy::Session;
use sluice_config::plan::Field;

use super::{
    line::{Known, Side},
    value::Value,
};
use crate::{answer, context::Context, request::protocol, telemetry, tls_facts};

/// A request at its end.
pub(super) struct Request<'a> {
    session: &'a Session,
    ctx: &'a Context,
    error: Option<&'a Error>,
    /// Two fields of a line need it, and it takes some looking.
    place: OnceCell<Option<SpanContext>>,
}

impl<'a> Request<'a> {
    pub(super) fn new(session: &'a Session, ctx: &'a Context, error: Option<&'a Error>) -> Self {
        Self { session, ctx, error, place: OnceCell::new() }
    }
}

impl Known for Request<'_> {
    fn value(&self, field: Field) -> Value<'_> {
        let Self { session, ctx, error, .. } = self;
        let (head, route) = (session.req_header(), ctx.route.as_ref().map(|route| &route.facts));
        let known = match field {
            Field::Time => Some(Value::Time(ctx.began_wall)),
            Field::TraceId => self.place().map(|place| Value::display(place.trace_id())),
            Field::SpanId => self.place().map(|place| Value::display(place.span_id())),
            Field::RequestId => head.headers.get("x-request-id").map(|h| Value::bytes(h.as_bytes())),
            Field::UserAgent => head.headers.get(http::header::USER_AGENT).map(|h| Value::bytes(h.as_bytes())),
            Field::Client => session.client_addr().and_then(|a| a.as_inet().copied()).map(Value::Address),
            Field::Method => Some(Value::Text(head.method.as_str().into())),
            Field::Host => head.headers.get(http::header::HOST).map(|h| Value::bytes(h.as_bytes())),
            Field::Path => Some(Value::bytes(head.raw_path())),
            Field::Protocol => Some(Value::Text(protocol(head.version).into())),
            Field::Status => Some(Value::Number(answer::sent(session).map_or(0, |r| r.status.as_u16()).into())),
            Field::BytesReceived => Some(Value::Number(session.body_bytes_read() as u64)),
            Field::BytesSent => Some(Value::Number(session.body_bytes_sent() as u64)),
            Field::Duration => Some(Value::Micros(ctx.began.elapsed())),
            Field::UpstreamFirstByte => ctx.upstream_times.first_byte().map(Value::Micros),
            Field::UpstreamDuration => ctx.upstream_times.whole().map(Value::Micros),
            Field::FiltersDuration => ctx.exchange.as_ref().map(|e| Value::Micros(e.ran().map(|ran| ran.used).sum())),
            Field::TlsVersion => self.tls().map(|tls| Value::Text(tls_facts::version(tls).into())),
            Field::TlsCipher => self.tls().map(|tls| Value::Text((*tls.cipher).into())),
            Field::TlsServerName => self.tls().and_then(tls_facts::server_name).map(|name| Value::Text(name.into())),
            Field::Route => route.map(|route| Value::Text(route.name.as_str().into())),
            Field::Upstream => route.map(|route| Value::Text(route.upstream.as_str().into())),
            Field::UpstreamAddress => ctx.upstream.map(Value::Address),
            Field::UpstreamAttempts => ctx.upstream.map(|_| Value::Number(ctx.tries as u64)),
            Field::UpstreamReused => ctx.upstream.map(|_| Value::Flag(ctx.upstream_reused)),
            Field::Generation => ctx.site.as_ref().map(|site| Value::Number(site.generation)),
            Field::Filters => ctx.exchange.as_ref().map(Value::Chain),
            Field::Properties => ctx.exchange.as_ref().map(Value::Properties),
            Field::RepliedBy => ctx.replied.as_ref().map(|(filter, _)| Value::Text((**filter).into())),
            Field::Details => ctx.replied.as_ref().map(|(_, details)| Value::Text(details.into())),
            Field::Error => ctx.cause.as_ref().map(|cause| Value::Text(cause.token.into())),
            Field::ErrorDetails => ctx.cause.as_ref().map(Value::display),
            Field::ErrorCause => error.map(Value::display),
        };
        known.unwrap_or(Value::Absent)
    }

    fn header(&self, side: Side, name: &str) -> Value<'_> {
        let headers: Option<&HeaderMap> = match side {
            Side::Request => Some(&self.session.req_header().headers),
            Side::Response => answer::sent(self.session).map(|head| &head.headers),
        };
        let mut values = headers.into_iter().flat_map(|headers| headers.get_all(name)).map(http::HeaderValue::as_bytes);
        match (values.next(), values.next()) {
            (None, _) => Value::Absent,
            (Some(only), None) => Value::bytes(only),
            (Some(first), Some(second)) => {
                let all: Vec<&[u8]> = [first, second].into_iter().chain(values).collect();
                Value::Text(String::from_utf8_lossy(&all.join(&b", "[..])).into_owned().into())
            }
        }
    }

    /// Ours, or else that of whoever sent it.
    fn place(&self) -> Option<SpanContext> {
        let own = || self.ctx.trace.as_ref().map(|trace| trace.context().clone());
        self.place.get_or_init(|| own().or_else(|| telemetry::sender(&self.session.req_header().headers))).clone()
    }
}

impl Request<'_> {
    fn tls(&self) -> Option<&SslDigest> {
        self.session.digest()?.ssl_digest.as_deref()
    }
}
