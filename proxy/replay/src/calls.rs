//! Calls that filters make by themselves: what a case has as their answers, and what was sent.

use std::time::Duration;

use http::HeaderMap;
use serde::Deserialize;
use sluice_host::{Callout, CalloutOutcome, CalloutResponse, FieldList, GrpcCall, GrpcEvent};

use crate::{case::Pair, script};

/// What comes of calls to an upstream: one of `answer`, `fails` and `events`, or nothing ever.
///
/// A call takes the first entry that fits it and that no call has taken; when all that fit are taken, the last of them.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scripted {
    /// The upstream's name; being named here makes it one that exists.
    pub upstream: String,
    /// Only calls of this path, which is `/service/method` for gRPC.
    pub path: Option<String>,
    /// What an HTTP callout is answered.
    pub answer: Option<Answered>,
    /// Why the call fails.
    pub fails: Option<String>,
    /// What comes on a gRPC call.
    pub events: Option<Vec<Came>>,
    /// Virtual milliseconds until the answer or the failure.
    pub after_ms: u64,
}

/// The answer to an HTTP callout.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[allow(missing_docs, reason = "the names say it")]
pub struct Answered {
    pub status: u16,
    pub headers: Vec<Pair>,
    pub body: String,
    pub trailers: Vec<Pair>,
}

impl Default for Answered {
    fn default() -> Self {
        Self { status: 200, headers: Vec::new(), body: String::new(), trailers: Vec::new() }
    }
}

/// Something that comes on a gRPC call: one of its kinds.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Came {
    /// Initial metadata.
    pub metadata: Option<Vec<Pair>>,
    /// A message.
    pub message: Option<String>,
    /// Trailing metadata.
    pub trailers: Option<Vec<Pair>>,
    /// The end, with this status.
    pub close: Option<u32>,
    /// The words of the end.
    pub words: String,
    /// Virtual milliseconds since what came before it.
    pub after_ms: u64,
}

/// A call that was sent.
#[derive(Debug, Clone, Default)]
pub struct Sent {
    /// Which filter.
    pub filter: String,
    /// To whom.
    pub upstream: String,
    /// Pairs in order: `:method`, `:path` and `:authority` as far as there are any, then the fields.
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body of an HTTP callout.
    pub body: Vec<u8>,
    /// Its trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// How long it may take.
    pub timeout: Option<Duration>,
    /// The messages of a gRPC call.
    pub messages: Vec<Vec<u8>>,
    /// The last message was said to be the last.
    pub ended: bool,
    /// The filter closed the call.
    pub closed: bool,
    /// The filter let go of the call before its end.
    pub cancelled: bool,
}

fn list(fields: &FieldList) -> impl Iterator<Item = (Vec<u8>, Vec<u8>)> + '_ {
    fields.iter().map(|(n, v)| (n.as_str().into(), v.as_bytes().into()))
}

impl Sent {
    pub(crate) fn http(callout: &Callout) -> Self {
        let pseudo = [
            (":method", callout.method.as_str().as_bytes()),
            (":path", &callout.path),
            (":authority", callout.authority.as_bytes()),
        ];
        Self {
            filter: callout.filter.to_string(),
            upstream: callout.upstream.clone(),
            pairs: pseudo.map(|(n, v)| (n.into(), v.into())).into_iter().chain(list(&callout.headers)).collect(),
            body: callout.body.to_vec(),
            trailers: list(&callout.trailers).collect(),
            timeout: Some(callout.timeout),
            ..Self::default()
        }
    }

    pub(crate) fn grpc(call: &GrpcCall) -> Self {
        let path = (b":path".to_vec(), call.path.clone().into_bytes());
        Self {
            filter: call.filter.to_string(),
            upstream: call.upstream.clone(),
            pairs: std::iter::once(path).chain(list(&call.metadata)).collect(),
            timeout: call.timeout,
            messages: call.message.iter().map(|m| m.to_vec()).collect(),
            ended: call.message.is_some(),
            ..Self::default()
        }
    }
}

impl Scripted {
    /// Whether a call to this upstream with this path is meant.
    pub(crate) fn fits(&self, upstream: &str, path: &[u8]) -> bool {
        self.upstream == upstream && self.path.as_ref().is_none_or(|wanted| wanted.as_bytes() == path)
    }

    /// Whether everything in it can be sent.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.outcome()?;
        self.events.iter().flatten().try_for_each(|came| came.event().map(drop))
    }

    /// What an HTTP callout ends in; `None` when nothing ever comes.
    pub(crate) fn outcome(&self) -> Result<Option<CalloutOutcome>, String> {
        if let Some(failure) = &self.fails {
            return Ok(Some(Err(failure.clone())));
        }
        let Some(answer) = &self.answer else { return Ok(None) };
        Ok(Some(Ok(CalloutResponse {
            status: answer.status,
            headers: script::fields(&answer.headers)?,
            body: answer.body.clone().into(),
            trailers: script::fields(&answer.trailers)?,
        })))
    }

    /// What comes on a gRPC call, each with the time since the call.
    pub(crate) fn timed_events(&self) -> Result<Vec<(Duration, GrpcEvent)>, String> {
        let mut at = self.after_ms;
        if let Some(failure) = &self.fails {
            let closed = GrpcEvent::Closed { status: UNAVAILABLE, message: failure.clone() };
            return Ok(vec![(Duration::from_millis(at), closed)]);
        }
        let events = self.events.iter().flatten();
        events
            .map(|came| {
                at += came.after_ms;
                Ok((Duration::from_millis(at), came.event()?))
            })
            .collect()
    }
}

/// What gRPC calls a server that cannot be reached.
const UNAVAILABLE: u32 = 14;

impl Came {
    fn event(&self) -> Result<GrpcEvent, String> {
        let map = |pairs: &Vec<Pair>| -> Result<HeaderMap, String> { script::fields(pairs) };
        match (&self.metadata, &self.message, &self.trailers, self.close) {
            (Some(pairs), None, None, None) => Ok(GrpcEvent::Metadata(map(pairs)?)),
            (None, Some(message), None, None) => Ok(GrpcEvent::Message(message.clone().into())),
            (None, None, Some(pairs), None) => Ok(GrpcEvent::Trailers(map(pairs)?)),
            (None, None, None, Some(status)) => Ok(GrpcEvent::Closed { status, message: self.words.clone() }),
            _ => Err("an event of a gRPC call is one of `metadata`, `message`, `trailers` and `close`".into()),
        }
    }
}
