//! `properties`: facts about the exchange, by path, in Envoy's byte encodings.
//!
//! Text travels as it is, numbers and times as 8 bytes little endian, flags as one byte.

use std::time::Duration;

use sluice_abi::{LogLevel, Status, path};

use super::Value;
use crate::{
    Message, Note,
    head::Look,
    plain::escape,
    state::State,
    trace::{MAX_NOTE, MAX_NOTES},
};

/// Most bytes of values that filters may set in one exchange.
const MAX_SET: usize = 64 << 10;

/// Reads and writes a value into the scratch buffer; `None` is not found.
type Found = Option<()>;

pub(crate) fn proxy_get_property(state: &mut State, path: &[u8]) -> Result<Value, Status> {
    // A property that is not granted does not exist for the filter.
    if !state.identity.grants.property(path) {
        return Err(Status::NotFound);
    }
    let mut out = std::mem::take(&mut state.scratch);
    out.clear();
    let found = lookup(state, path, &mut out);
    let empty = out.is_empty();
    state.scratch = out;
    found.ok_or(Status::NotFound)?;
    Ok(if empty { Value::Empty } else { Value::Scratch })
}

pub(crate) fn proxy_set_property(state: &mut State, path: &[u8], value: &[u8]) -> Result<(), Status> {
    let path = path.strip_suffix(&[0]).unwrap_or(path);
    if !state.identity.grants.property(path) {
        let name = String::from_utf8_lossy(path).replace('\0', ".");
        let why = format!("the property `{name}` was not set: this filter is not granted it (capabilities.properties)");
        super::log::write(state, LogLevel::Warn, why.as_bytes());
        return Err(Status::NotFound);
    }
    if note(state, path, value).is_some() {
        return Ok(());
    }
    let message = state.message_mut().ok_or(Status::NotFound)?;
    let held: usize = message.properties.iter().map(|(p, v)| p.len() + v.len()).sum();
    if held + path.len() + value.len() > MAX_SET {
        super::log::write(
            state,
            LogLevel::Warn,
            b"proxy_set_property was refused: 64 KiB for one exchange are reached",
        );
        return Err(Status::NotFound);
    }
    match message.properties.iter_mut().find(|(p, _)| **p == *path) {
        Some((_, old)) => *old = value.into(),
        None => message.properties.push((path.into(), value.into())),
    }
    Ok(())
}

/// Adds to the span of the running callback: `sluice.span.NAME` an attribute, `sluice.event` something that happened. Where
/// nobody will read it this does nothing, and the filter need not know. `None`: the property is another one.
fn note(state: &mut State, path: &[u8], value: &[u8]) -> Option<()> {
    let name = path.strip_prefix(b"sluice\0")?;
    let key = name.strip_prefix(b"span\0").filter(|key| !key.is_empty());
    if key.is_none() && name != b"event" {
        return None;
    }
    let at = state.services.outside.wall_clock();
    let message = state.message_mut()?;
    let recorded = message.facts.trace.is_some_and(|place| place.visit.is_some());
    if !recorded {
        return Some(());
    }
    let text = |bytes: &[u8]| escape(bytes.get(..MAX_NOTE).unwrap_or(bytes)).into_owned();
    let dotted = |key: &[u8]| key.iter().map(|b| if *b == 0 { b'.' } else { *b }).collect::<Vec<_>>();
    let new = match key {
        Some(key) => Note::Attribute(text(&dotted(key)), text(value)),
        None => Note::Event(text(value), at),
    };
    // What was said last of an attribute counts.
    let same = |note: &Note| matches!((note, &new), (Note::Attribute(a, _), Note::Attribute(b, _)) if a == b);
    message.notes.retain(|note| !same(note));
    if message.notes.len() < MAX_NOTES {
        message.notes.push(new);
    }
    Some(())
}

fn lookup(state: &mut State, path: &[u8], out: &mut Vec<u8>) -> Found {
    let mut segments = path::segments(path);
    let (first, second, third) = (segments.next()?, segments.next(), segments.next());
    let rest = segments.next().is_some();
    let built_in = match (first, second, third, rest) {
        (b"plugin_name", None, ..) => text(out, state.identity.name.as_bytes()),
        (b"plugin_root_id", None, ..) => text(out, state.identity.root_id.as_bytes()),
        (b"plugin_vm_id", None, ..) => text(out, state.identity.vm_id.as_bytes()),
        (b"sluice", Some(name), None, false) => trace(state.message()?, name, out),
        (b"request", Some(name), third, false) => request(state, name, third, out),
        (b"response", Some(name), third, false) => response(state.message()?, name, third, out),
        (b"source" | b"destination" | b"connection" | b"upstream", Some(name), None, false) => {
            connection(state.message()?, first, name, out)
        }
        (b"route_name", None, ..) => text(out, state.message()?.facts.route.as_ref()?.name.as_bytes()),
        (b"cluster_name", None, ..) => text(out, state.message()?.facts.route.as_ref()?.upstream.as_bytes()),
        // 1 is INBOUND in Envoy: what a proxy in front of services is.
        (b"listener_direction", None, ..) => state.message().and_then(|_| number(out, 1)),
        // The same facts under the names of newer Envoys.
        (b"xds", Some(b"listener_direction"), None, false) => state.message().and_then(|_| number(out, 1)),
        (b"xds", Some(b"route_name"), None, false) => text(out, state.message()?.facts.route.as_ref()?.name.as_bytes()),
        (b"xds", Some(b"cluster_name"), None, false) => {
            text(out, state.message()?.facts.route.as_ref()?.upstream.as_bytes())
        }
        _ => None,
    };
    built_in.or_else(|| custom(state.message()?, path, out))
}

/// Where the exchange stands in a trace, as in the fields of W3C trace context.
fn trace(message: &Message, name: &[u8], out: &mut Vec<u8>) -> Found {
    let place = message.facts.trace?;
    match name {
        b"trace_id" => text(out, format!("{:032x}", place.trace).as_bytes()),
        b"span_id" => text(out, format!("{:016x}", place.current()).as_bytes()),
        b"sampled" => {
            out.push(u8::from(place.sampled));
            Some(())
        }
        _ => None,
    }
}

/// What the route's configuration or an earlier filter put there.
fn custom(message: &Message, path: &[u8], out: &mut Vec<u8>) -> Found {
    let path = path.strip_suffix(&[0]).unwrap_or(path);
    if let Some((_, value)) = message.properties.iter().find(|(p, _)| **p == *path) {
        return text(out, value);
    }
    let route = message.facts.route.as_ref()?;
    let same =
        |name: &str| name.len() == path.len() && name.bytes().zip(path).all(|(a, b)| a == *b || (a == b'.' && *b == 0));
    let (_, value) = route.properties.iter().find(|(name, _)| same(name))?;
    text(out, value.as_bytes())
}

fn header(head: Option<Look<'_>>, name: &[u8], out: &mut Vec<u8>) -> Found {
    text(out, head?.value(name)?)
}

fn request(state: &State, name: &[u8], third: Option<&[u8]>, out: &mut Vec<u8>) -> Found {
    let message = state.message().filter(|message| !message.tcp)?;
    let head = message.request.as_deref().map(Look::Lent);
    if let Some(third) = third {
        return if name == b"headers" { header(head, third, out) } else { None };
    }
    let path = || head?.value(b":path");
    let query_at = |p: &[u8]| p.iter().position(|b| *b == b'?');
    match name {
        b"path" => text(out, path()?),
        b"url_path" => path().and_then(|p| text(out, &p[..query_at(p).unwrap_or(p.len())])),
        b"query" => path().and_then(|p| text(out, query_at(p).map_or(&[][..], |at| &p[at + 1..]))),
        b"host" => header(head, b":authority", out),
        b"scheme" => header(head, b":scheme", out),
        b"method" => header(head, b":method", out),
        b"referer" => header(head, b"referer", out),
        b"useragent" => header(head, b"user-agent", out),
        b"id" => header(head, b"x-request-id", out),
        b"protocol" => text(out, message.facts.protocol.as_bytes()),
        b"time" => number(out, nanos(message.facts.started)),
        b"duration" => {
            number(out, nanos(state.services.outside.monotonic().saturating_sub(message.facts.started_monotonic)))
        }
        b"size" => number(out, request_size(message)),
        b"total_size" => number(out, request_size(message) + head_bytes(head?)),
        b"headers" => pairs(head?, out),
        _ => None,
    }
}

fn response(message: &Message, name: &[u8], third: Option<&[u8]>, out: &mut Vec<u8>) -> Found {
    if message.tcp {
        return None;
    }
    let head = message.response();
    let trailers = message.response_trailers.as_deref().map(Look::Lent);
    if let Some(third) = third {
        return match name {
            b"headers" => header(head, third, out),
            b"trailers" => header(trailers, third, out),
            _ => None,
        };
    }
    match name {
        b"code" => {
            let code = std::str::from_utf8(head?.value(b":status")?).ok()?.parse().ok()?;
            number(out, code)
        }
        b"code_details" => match &message.facts.code_details {
            Some(details) => text(out, details.as_bytes()),
            None => head.and_then(|_| text(out, b"via_upstream")),
        },
        // No flag is ever set: what went wrong stands in the details.
        b"flags" => number(out, 0),
        b"headers" => pairs(head?, out),
        b"grpc_status" => {
            let value = trailers.or(head)?.value(b"grpc-status")?;
            number(out, std::str::from_utf8(value).ok()?.parse().ok()?)
        }
        b"size" => number(out, message.facts.response_bytes),
        b"total_size" => number(out, message.facts.response_bytes + head.map_or(0, head_bytes)),
        _ => None,
    }
}

fn pairs(head: Look<'_>, out: &mut Vec<u8>) -> Found {
    sluice_abi::pairs::encode(out, &|f| head.visit(f));
    Some(())
}

/// What came of the body so far, or before any did, what the client said would come.
fn request_size(message: &Message) -> u64 {
    let declared = || {
        let value = message.request.as_deref()?.value(b"content-length")?;
        std::str::from_utf8(value).ok()?.parse().ok()
    };
    match message.facts.request_bytes {
        0 => declared().unwrap_or(0),
        bytes => bytes,
    }
}

fn connection(message: &Message, group: &[u8], name: &[u8], out: &mut Vec<u8>) -> Found {
    let facts = &message.facts;
    let tls = facts.tls.as_deref();
    match (group, name) {
        (b"source", b"address") => text(out, facts.source?.to_string().as_bytes()),
        (b"source", b"port") => number(out, facts.source?.port().into()),
        (b"destination", b"address") => text(out, facts.destination?.to_string().as_bytes()),
        (b"destination", b"port") => number(out, facts.destination?.port().into()),
        (b"upstream", b"address") => text(out, facts.upstream?.to_string().as_bytes()),
        (b"upstream", b"port") => number(out, facts.upstream?.port().into()),
        (b"connection", b"id") => number(out, facts.connection),
        (b"connection", b"mtls") => {
            out.push(u8::from(tls.is_some_and(|t| t.mutual)));
            Some(())
        }
        (b"connection", b"tls_version") => text(out, tls?.version.as_bytes()),
        (b"connection", b"requested_server_name") => text(out, tls?.server_name.as_ref()?.as_bytes()),
        _ => None,
    }
}

fn head_bytes(head: Look<'_>) -> u64 {
    let mut size = 0;
    head.visit(&mut |n, v| size += n.len() + v.len());
    size as u64
}

fn text(out: &mut Vec<u8>, value: &[u8]) -> Found {
    out.extend_from_slice(value);
    Some(())
}

fn number(out: &mut Vec<u8>, value: u64) -> Found {
    out.extend_from_slice(&value.to_le_bytes());
    Some(())
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
