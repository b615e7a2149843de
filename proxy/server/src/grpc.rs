//! gRPC calls that filters make: unary and streaming, over HTTP/2 clients.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri,
    header::{CONTENT_TYPE, TE},
};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming};
use sluice_host::{GrpcCall, GrpcEvent, GrpcEvents, GrpcSink};
use tokio::{
    sync::{mpsc, oneshot},
    task::AbortHandle,
};

use crate::{
    callout::{Callouts, Target},
    dial::{BoxError, words},
    telemetry::{CalloutSpan, CalloutStatus, CalloutTrace},
};

/// Largest message that is read for a filter, bytes.
const MAX_MESSAGE: usize = 4 << 20;
/// How long a call that its filter closed may take to end by itself.
const LINGER: Duration = Duration::from_secs(5);

// Status codes of gRPC.
const UNKNOWN: u32 = 2;
const DEADLINE_EXCEEDED: u32 = 4;
const PERMISSION_DENIED: u32 = 7;
const RESOURCE_EXHAUSTED: u32 = 8;
const UNIMPLEMENTED: u32 = 12;
const INTERNAL: u32 = 13;
const UNAVAILABLE: u32 = 14;
const UNAUTHENTICATED: u32 = 16;

/// How a call ended: a status and words.
type End = (u32, String);

/// Begins a call; must be called inside of the runtime that shall drive it.
pub(crate) fn open(callouts: Arc<Callouts>, mut call: GrpcCall, mut events: GrpcEvents) -> Box<dyn GrpcSink> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let queued = Arc::new(AtomicUsize::new(0));
    let messages = Messages { receiver, queued: queued.clone() };
    let (closed, is_closed) = oneshot::channel();
    let mut sink = Sink { sender: Some(sender), queued, task: None, closed: Some(closed) };
    if let Some(message) = call.message.take() {
        sink.send(message, true);
    }
    let task = tokio::spawn(async move {
        let timeout = call.timeout;
        let (filter, upstream, path) = (call.filter.clone(), call.upstream.clone(), call.path.clone());
        let mut span = callouts.span(call.trace, &mut call.metadata, || CalloutSpan {
            name: path.trim_start_matches('/').to_owned(),
            filter: filter.clone(),
            upstream: upstream.clone(),
        });
        let end = {
            let run = within(timeout, exchange(&callouts, call, messages, &mut events, &mut span));
            tokio::pin!(run);
            tokio::select! {
                end = &mut run => end,
                // A sink that is dropped ends this task; here it was closed.
                _ = is_closed => match tokio::time::timeout(LINGER, run).await {
                    Ok(end) => end,
                    Err(_) => return,
                },
            }
        };
        if end.0 != 0 {
            tracing::debug!(filter = &*filter, upstream, path, status = end.0, message = end.1, "a gRPC call failed");
        }
        if let Some(span) = span {
            span.end(Some(CalloutStatus::Grpc(end.0)), Some(end.1.as_str()));
        }
        events(GrpcEvent::Closed { status: end.0, message: end.1 });
    });
    sink.task = Some(task.abort_handle());
    Box::new(sink)
}

async fn within(limit: Option<Duration>, exchange: impl Future<Output = End>) -> End {
    match limit {
        None => exchange.await,
        Some(limit) => match tokio::time::timeout(limit, exchange).await {
            Ok(end) => end,
            Err(_) => (DEADLINE_EXCEEDED, "timeout".to_owned()),
        },
    }
}

async fn exchange(
    callouts: &Callouts,
    call: GrpcCall,
    messages: Messages,
    events: &mut GrpcEvents,
    span: &mut Option<CalloutTrace>,
) -> End {
    let endpoint = match callouts.target(&call.upstream) {
        Ok(Target::Endpoint(endpoint)) => endpoint,
        Ok(Target::Echo) => return (UNIMPLEMENTED, "the builtin echo speaks no gRPC".into()),
        Err(why) => return (UNAVAILABLE, why),
    };
    if let Some(span) = span {
        span.asks(endpoint.host_and_port());
    }
    let request = match request(call, endpoint.scheme(), &endpoint.authority(), messages) {
        Ok(request) => request,
        Err(why) => return (INTERNAL, why),
    };
    let response = match endpoint.reached(endpoint.grpc_client().request(request).await) {
        Ok(response) => response,
        Err(error) => return (UNAVAILABLE, words(&error)),
    };
    let (head, body) = response.into_parts();
    if head.status != StatusCode::OK {
        return (of_http(head.status), format!("the server answered with HTTP status {}", head.status.as_u16()));
    }
    if let Some(end) = end_in(&head.headers) {
        // The whole answer stands in the head.
        events(GrpcEvent::Trailers(head.headers));
        return end;
    }
    // Also when nobody hears it: a call that its filter closed goes on until all that was sent has arrived, and one that
    // was cancelled ends with this task.
    events(GrpcEvent::Metadata(head.headers));
    receive(body, events).await
}

async fn receive(mut body: Incoming, events: &mut GrpcEvents) -> End {
    let mut decoder = Decoder::default();
    while let Some(frame) = body.frame().await {
        let frame = match frame {
            Ok(frame) => frame,
            Err(error) => return (UNAVAILABLE, words(&error)),
        };
        match frame.into_data() {
            Ok(data) => {
                decoder.bytes.extend_from_slice(&data);
                loop {
                    match decoder.next() {
                        Ok(None) => break,
                        Ok(Some(message)) => {
                            events(GrpcEvent::Message(message));
                        }
                        Err(end) => return end,
                    }
                }
            }
            Err(frame) => {
                let Ok(trailers) = frame.into_trailers() else { continue };
                let end = end_in(&trailers).unwrap_or_else(|| (UNKNOWN, "the server sent no status".into()));
                events(GrpcEvent::Trailers(trailers));
                return end;
            }
        }
    }
    (UNKNOWN, "the server ended the call without a status".into())
}

fn request(
    call: GrpcCall,
    scheme: &str,
    authority: &str,
    messages: Messages,
) -> Result<Request<crate::dial::Body>, String> {
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(authority)
        .path_and_query(call.path)
        .build()
        .map_err(|e| format!("its path cannot be sent: {e}"))?;
    let mut request = Request::new(messages.boxed_unsync());
    *request.method_mut() = Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.extend(call.metadata.into_iter().map(|(name, value)| (Some(name), value)));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
    if let Some(Ok(value)) = call.timeout.map(|t| HeaderValue::from_str(&format!("{}m", t.as_millis()))) {
        headers.insert("grpc-timeout", value);
    }
    Ok(request)
}

/// The status of a call, where these fields hold one.
fn end_in(headers: &HeaderMap) -> Option<End> {
    let text = headers.get("grpc-status")?;
    let status = text.to_str().ok().and_then(|t| t.parse().ok()).unwrap_or(UNKNOWN);
    let message = headers.get("grpc-message").map_or(&b""[..], HeaderValue::as_bytes);
    Some((status, percent_encoding::percent_decode(message).decode_utf8_lossy().into_owned()))
}

/// What a failure of HTTP means in gRPC, by its table of HTTP status codes.
fn of_http(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => INTERNAL,
        401 => UNAUTHENTICATED,
        403 => PERMISSION_DENIED,
        404 => UNIMPLEMENTED,
        429 | 502..=504 => UNAVAILABLE,
        _ => UNKNOWN,
    }
}

/// The sending half as the host holds it.
struct Sink {
    /// `None` behind the last message.
    sender: Option<mpsc::UnboundedSender<Option<Bytes>>>,
    queued: Arc<AtomicUsize>,
    task: Option<AbortHandle>,
    closed: Option<oneshot::Sender<()>>,
}

impl GrpcSink for Sink {
    fn send(&mut self, message: Bytes, end: bool) {
        if let Some(sender) = &self.sender {
            let mut framed = BytesMut::with_capacity(5 + message.len());
            framed.put_u8(0);
            // Bounded by the host's cap of 4 MiB.
            framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
            framed.extend_from_slice(&message);
            self.queued.fetch_add(framed.len(), Ordering::Relaxed);
            let _ = sender.send(Some(framed.freeze()));
        }
        if end {
            self.end();
        }
    }

    fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    fn close(mut self: Box<Self>) {
        self.end();
        self.task = None;
        if let Some(closed) = self.closed.take() {
            let _ = closed.send(());
        }
    }
}

impl Sink {
    /// Nothing more is sent. A sender that is dropped without this word cancels the call.
    fn end(&mut self) {
        if let Some(sender) = self.sender.take() {
            let _ = sender.send(None);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// The request's body: framed messages as they are sent, and `None` for the end.
struct Messages {
    receiver: mpsc::UnboundedReceiver<Option<Bytes>>,
    queued: Arc<AtomicUsize>,
}

impl HttpBody for Messages {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.receiver.poll_recv(cx).map(|message| match message {
            Some(Some(message)) => {
                self.queued.fetch_sub(message.len(), Ordering::Relaxed);
                Some(Ok(Frame::data(message)))
            }
            Some(None) => None,
            // An end that was not said: the server has to see that the call was cancelled, by the code that says so.
            None => Some(Err(h2::Error::from(h2::Reason::CANCEL).into())),
        })
    }
}

/// Cuts what comes into messages: each has a byte for its compression and four for its length before it.
#[derive(Default)]
struct Decoder {
    bytes: BytesMut,
}

impl Decoder {
    /// The next whole message.
    fn next(&mut self) -> Result<Option<Bytes>, End> {
        let Some(head) = self.bytes.first_chunk::<5>() else { return Ok(None) };
        let [compressed, length @ ..] = *head;
        let length = u32::from_be_bytes(length) as usize;
        if compressed != 0 {
            return Err((INTERNAL, "the server sent a compressed message, which was not asked for".into()));
        }
        if length > MAX_MESSAGE {
            return Err((RESOURCE_EXHAUSTED, format!("a message of {length} bytes is over the limit of 4 MiB")));
        }
        if self.bytes.len() < 5 + length {
            return Ok(None);
        }
        self.bytes.advance(5);
        Ok(Some(self.bytes.split_to(length).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_wherever_the_pieces_end() {
        let whole = b"\0\0\0\0\x03abc\0\0\0\0\0\0\0\0\0\x01d";
        for cut in 1..whole.len() {
            let mut decoder = Decoder::default();
            let mut found = Vec::new();
            for piece in [&whole[..cut], &whole[cut..]] {
                decoder.bytes.extend_from_slice(piece);
                while let Some(message) = decoder.next().expect("valid") {
                    found.push(message);
                }
            }
            assert_eq!(found, ["abc", "", "d"], "cut at {cut}");
        }
    }

    #[test]
    fn what_is_too_large_or_compressed_ends_the_call() {
        let end = |bytes: &[u8]| Decoder { bytes: bytes.into() }.next().expect_err("refused").0;
        assert_eq!(end(b"\x01\0\0\0\0"), INTERNAL);
        assert_eq!(end(b"\0\xff\xff\xff\xff"), RESOURCE_EXHAUSTED);
    }

    #[test]
    fn the_end_is_read_from_fields() {
        let mut headers = HeaderMap::new();
        assert_eq!(end_in(&headers), None);
        headers.insert("grpc-status", HeaderValue::from_static("5"));
        headers.insert("grpc-message", HeaderValue::from_static("not%20found%C3%A9"));
        assert_eq!(end_in(&headers), Some((5, "not foundé".into())));
        headers.insert("grpc-status", HeaderValue::from_static("x"));
        assert_eq!(end_in(&headers).expect("a status").0, UNKNOWN);
    }
}
